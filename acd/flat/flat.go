// Package flat writes what a machine remembers as bytes, and reads it back. Each thing
// goes over its fields once, in one function for both ways, so that what is written and
// what is read cannot differ.
package flat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// Form is bytes being written or read. The first fault ends it: from then on nothing
// is read but zeros, and Err says what was wrong. It belongs to one goroutine.
type Form struct {
	b       []byte
	at      int
	reading bool
	base    int64 // seconds since 1970 that moments are counted from
	err     error
}

// ErrCut: the bytes end before what they should hold does, or go on after it.
var ErrCut = errors.New("cut short, or too long")

// Writing begins a form whose bytes are appended to b.
func Writing(b []byte) *Form { return &Form{b: b} }

// Reading reads what a form has written.
func Reading(b []byte) *Form { return &Form{b: b, reading: true} }

// Reads says whether the fields gone over are set by the form, or kept in it.
func (f *Form) Reads() bool { return f.reading }

// Bytes is what was written.
func (f *Form) Bytes() []byte { return f.b }

// Err is the first fault.
func (f *Form) Err() error { return f.err }

// End is Err, or that there are bytes left to be read.
func (f *Form) End() error {
	if f.err == nil && f.reading && f.at != len(f.b) {
		f.err = ErrCut
	}
	return f.err
}

// Fail notes a fault, unless there was one before.
func (f *Form) Fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

// Base says near which moment those to come are: it makes them short.
func (f *Form) Base(t time.Time) { f.base = t.Unix() }

func (f *Form) cut() {
	if f.err == nil {
		f.err = ErrCut
	}
	f.at = len(f.b)
}

func (f *Form) varint(v int64) int64 {
	if !f.reading {
		f.b = binary.AppendVarint(f.b, v)
		return v
	}
	if f.at < len(f.b) { // most are of one byte
		if c := f.b[f.at]; c < 0x80 {
			f.at++
			return int64(c>>1) ^ -int64(c&1)
		}
	}
	v, n := binary.Varint(f.b[f.at:])
	if n <= 0 {
		f.cut()
		return 0
	}
	f.at += n
	return v
}

// Number goes over a whole number.
func Number[T ~int | ~int64 | ~uint64 | ~int32 | ~uint32 | ~uint16 | ~uint8](f *Form, v *T) {
	if f.reading {
		n := f.varint(0)
		if *v = T(n); int64(*v) != n {
			f.Fail("%d is too large", n)
		}
		return
	}
	f.varint(int64(*v))
}

// Bool goes over a yes or no.
func (f *Form) Bool(v *bool) {
	if f.reading {
		*v = f.varint(0) != 0
		return
	}
	n := byte(0)
	if *v {
		n = 2
	}
	f.b = append(f.b, n)
}

// Float goes over a number that may have a fraction.
func (f *Form) Float(v *float64) {
	bits := math.Float64bits(*v)
	Number(f, &bits)
	*v = math.Float64frombits(bits)
}

// Text goes over words.
func Text[T ~string](f *Form, v *T) {
	n := f.Count(len(*v))
	if !f.reading {
		f.b = append(f.b, *v...)
		return
	}
	*v = T(f.b[f.at : f.at+n])
	f.at += n
}

// Blob goes over bytes. Those read are part of the form's.
func (f *Form) Blob(v *[]byte) {
	n := f.Count(len(*v))
	if !f.reading {
		f.b = append(f.b, *v...)
		return
	}
	*v = f.b[f.at : f.at+n : f.at+n]
	f.at += n
}

// Moment goes over a time, to the nanosecond, in UTC when read.
func (f *Form) Moment(v *time.Time) {
	if f.reading {
		n := f.varint(0)
		if n == 0 {
			*v = time.Time{}
			return
		}
		if n > 0 {
			n--
		}
		*v = time.Unix(f.base+n, f.varint(0)).UTC()
		return
	}
	if v.IsZero() {
		f.varint(0)
		return
	}
	n := v.Unix() - f.base
	if n >= 0 { // 0 stands for never
		n++
	}
	f.varint(n)
	f.varint(int64(v.Nanosecond()))
}

// Count goes over how many follow, each of a byte at least.
func (f *Form) Count(n int) int {
	if !f.reading {
		f.varint(int64(n))
		return n
	}
	v := f.varint(0)
	if v < 0 || v > int64(len(f.b)-f.at) {
		f.cut()
		return 0
	}
	return int(v)
}

// List goes over a list, each of its own.
func List[T any](f *Form, list *[]T, each func(*T)) {
	n := f.Count(len(*list))
	if f.reading {
		*list = nil
		if n > 0 {
			*list = make([]T, n)
		}
	}
	for i := range *list {
		each(&(*list)[i])
	}
}
