package acd

import (
	"cmp"
	"time"
)

// timer is when something must happen if nothing else does. Each agent, call,
// line and reservation has one, set to the nearest of its reasons.
type timer struct {
	at    time.Time
	order uint64 // breaks ties: what was set first is due first
	place int    // in the heap, from 1; 0 when not set
	of    interface{ expire(*Floor) }
}

// deadlines is a heap of the timers that are set, the nearest on top.
type deadlines struct {
	heap  []*timer
	count uint64
}

func (d *deadlines) next() *timer {
	if len(d.heap) == 0 {
		return nil
	}
	return d.heap[0]
}

// set moves t to at; the zero time clears it.
func (d *deadlines) set(t *timer, at time.Time) {
	switch {
	case at.IsZero():
		d.unset(t)
		return
	case t.place == 0:
		d.heap = append(d.heap, t)
		t.place = len(d.heap)
	case t.at.Equal(at):
		return
	}
	d.count++
	t.at, t.order = at, d.count
	d.settle(t.place - 1)
}

func (d *deadlines) unset(t *timer) {
	if t.place == 0 {
		return
	}
	i, last := t.place-1, len(d.heap)-1
	d.swap(i, last)
	d.heap[last] = nil
	d.heap = d.heap[:last]
	t.place = 0
	if i < last {
		d.settle(i)
	}
}

// settle restores the order of the heap around place i.
func (d *deadlines) settle(i int) {
	for i > 0 && d.before(i, (i-1)/2) {
		d.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(d.heap); child++ {
			if d.before(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		d.swap(i, least)
		i = least
	}
}

func (d *deadlines) before(i, j int) bool {
	return dueBefore(d.heap[i], d.heap[j]) < 0
}

func dueBefore(a, b *timer) int {
	return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.order, b.order))
}

func (d *deadlines) swap(i, j int) {
	d.heap[i], d.heap[j] = d.heap[j], d.heap[i]
	d.heap[i].place, d.heap[j].place = i+1, j+1
}
