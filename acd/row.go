package acd

import "slices"

// row is a list kept in order. Most who join go to its end and most who leave
// were first, so both of these cost nothing; anything else moves the shorter
// side of the list by one place, which for thousands is a copy of a few pages.
type row[T any] struct {
	items   []T
	front   int // items before it are free places
	compare func(a, b T) int
}

// all is the list in order, valid until the next change.
func (r *row[T]) all() []T { return r.items[r.front:] }

func (r *row[T]) len() int { return len(r.items) - r.front }

// find is the place of v, or where it belongs.
func (r *row[T]) find(v T) (int, bool) {
	all := r.all()
	if n := len(all); n > 0 && r.compare(all[n-1], v) < 0 {
		return n, false
	}
	return slices.BinarySearchFunc(all, v, r.compare)
}

// add puts v in its place, unless it stands there already.
func (r *row[T]) add(v T) {
	i, there := r.find(v)
	if there {
		return
	}
	if r.front > 0 && i < r.len()/2 {
		r.front--
		copy(r.items[r.front:], r.items[r.front+1:r.front+1+i])
		r.items[r.front+i] = v
		return
	}
	r.items = slices.Insert(r.items, r.front+i, v)
}

// remove takes v out, if it is there.
func (r *row[T]) remove(v T) {
	i, there := r.find(v)
	if !there {
		return
	}
	var none T
	if i < r.len()/2 || i == 0 {
		all := r.all()
		copy(all[1:], all[:i])
		all[0] = none
		r.front++
	} else {
		r.items = slices.Delete(r.items, r.front+i, r.front+i+1)
	}
	// Free places are kept for a while, not for ever.
	if r.front > 64 && r.front > len(r.items)/2 {
		r.items = append(r.items[:0:0], r.all()...)
		r.front = 0
	}
}

func (r *row[T]) clear() {
	clear(r.items)
	r.items, r.front = r.items[:0], 0
}
