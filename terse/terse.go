// Package terse writes structs down for another process of this program, maybe of the
// release before or after, and reads them back: short, and in a microsecond.
//
// A struct is its fields that are not zero, in their order, with those of a struct that
// is embedded among them. A field is known by its name, of which 14 bits of a hash are written, so that fields may be added, moved and
// left out: who does not know one passes over it, and what is not there stays zero. A
// field must not get another meaning under the same name, nor be given another type
// that Kinds do not tell apart.
//
//	struct   field*
//	field    hash<<2|form, 2 bytes; then by form: a number, 8 bytes, or a length and so many bytes
//	number   unsigned: LEB128; signed: zigzag in LEB128; bool: 1
//	in a length: string, []byte: the bytes; struct: its fields; *T: T as an element;
//	         slice, array: how many, then the elements
//	element  as a field without its head
//	time     zigzag seconds, nanoseconds<<1|UTC
//	address  as netip's AppendBinary
//
// It knows bool, numbers, strings, structs, pointers, slices, arrays, time.Time (without
// its monotonic clock), netip.Addr and netip.AddrPort. Nil and empty are one. Whatever
// else is in a struct, an unexported field too, is a mistake of who wrote it: New panics.
// Secrets that hide in JSON are written as they are.
package terse

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
	"sync"
	"unsafe"
)

// Codec writes and reads a type. Any goroutine may use it.
type Codec[T any] struct{ plan *structure }

// New is the codec of a struct. It panics if the type has what cannot be written.
func New[T any]() Codec[T] {
	return Codec[T]{structureOf(reflect.TypeFor[T](), map[reflect.Type]*structure{})}
}

// first begins what is written: the version of the format.
const first = 1

// ErrFormat says that what is to be read was not written by this package.
var ErrFormat = errors.New("terse: not of this format")

// Append writes v behind b.
func (c Codec[T]) Append(b []byte, v *T) []byte {
	return c.plan.append(append(b, first), unsafe.Pointer(v))
}

// buffers are what Lend lends.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Lend gives v as Append writes it to somebody who keeps nothing of it.
func (c Codec[T]) Lend(v *T, to func(b []byte) error) error {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	*b = c.Append((*b)[:0], v)
	return to(*b)
}

// Read reads what Append has written into v, which should be zero. It keeps nothing of b.
func (c Codec[T]) Read(b []byte, v *T) error {
	if len(b) == 0 || b[0] != first {
		return ErrFormat
	}
	return c.plan.read(b[1:], unsafe.Pointer(v))
}

// form is how a value lies on the wire, so that one that is not known can be skipped.
type form uint16

const (
	number form = iota
	eight
	counted // a length and so many bytes
	forms   = 4
)

// value is how one type is written. The pointers are to a value of the type.
type value struct {
	form   form
	zero   func(p unsafe.Pointer) bool
	append func(b []byte, p unsafe.Pointer) []byte       // without length
	read   func(b []byte, p unsafe.Pointer) (int, error) // how much it took; all of what is counted
}

// structure is a struct type.
type structure struct{ fields []field }

type field struct {
	value
	head   uint16
	offset uintptr
	name   string
}

func structureOf(t reflect.Type, known map[reflect.Type]*structure) *structure {
	if s := known[t]; s != nil {
		return s
	}
	s := &structure{}
	known[t] = s
	s.add(t, 0, known)
	return s
}

// add adds the fields of a type that begins at an offset.
func (s *structure) add(t reflect.Type, offset uintptr, known map[reflect.Type]*structure) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			s.add(f.Type, offset+f.Offset, known)
			continue
		}
		if !f.IsExported() {
			panic(fmt.Sprintf("terse: %s.%s is not exported", t, f.Name))
		}
		one := field{value: valueOf(f.Type, known), offset: offset + f.Offset, name: f.Name}
		one.head = hash(f.Name)*forms | uint16(one.form)
		for _, other := range s.fields {
			if other.head/forms == one.head/forms {
				panic(fmt.Sprintf("terse: %s.%s and %s look the same: give one another name", t, f.Name, other.name))
			}
		}
		s.fields = append(s.fields, one)
	}
}

func hash(name string) uint16 {
	h := fnv.New32a()
	h.Write([]byte(name))
	sum := h.Sum32()
	return uint16(sum^sum>>14^sum>>28) & (1<<14 - 1)
}

func (s *structure) append(b []byte, p unsafe.Pointer) []byte {
	for i := range s.fields {
		f := &s.fields[i]
		at := unsafe.Add(p, f.offset)
		if f.zero(at) {
			continue
		}
		b = append(b, byte(f.head), byte(f.head>>8))
		b = f.element(b, at)
	}
	return b
}

// element writes a value so that its end can be told.
func (v *value) element(b []byte, p unsafe.Pointer) []byte {
	if v.form != counted {
		return v.append(b, p)
	}
	start := len(b)
	b = v.append(append(b, 0), p)
	length := len(b) - start - 1
	if length < 0x80 {
		b[start] = byte(length)
		return b
	}
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(length))
	b = append(b, head[:n-1]...) // makes room
	copy(b[start+n:], b[start+1:start+1+length])
	copy(b[start:], head[:n])
	return b
}

var errShort = errors.New("terse: ends too early")

// scan finds the end of a value: from and to where its bytes are.
func scan(b []byte, f form) (from, to int, err error) {
	switch f {
	case number:
		if _, n := binary.Uvarint(b); n > 0 {
			return 0, n, nil
		}
	case eight:
		if len(b) >= 8 {
			return 0, 8, nil
		}
	case counted:
		if length, n := binary.Uvarint(b); n > 0 && length <= uint64(len(b)-n) {
			return n, n + int(length), nil
		}
	}
	return 0, 0, errShort
}

// readElement reads what element has written, and tells how much that was.
func (v *value) readElement(b []byte, p unsafe.Pointer) (int, error) {
	from, to, err := scan(b, v.form)
	if err == nil {
		_, err = v.read(b[from:to], p)
	}
	return to, err
}

func (s *structure) read(b []byte, p unsafe.Pointer) error {
	next := 0
	for len(b) > 0 {
		if len(b) < 2 {
			return errShort
		}
		head := binary.LittleEndian.Uint16(b)
		from, to, err := scan(b[2:], form(head%forms))
		if err != nil {
			return err
		}
		if f := s.find(head, &next); f != nil {
			if _, err := f.read(b[2+from:2+to], unsafe.Add(p, f.offset)); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
		b = b[2+to:]
	}
	return nil
}

// find looks for a field, first where the last one was followed by it.
func (s *structure) find(head uint16, next *int) *field {
	for i := range s.fields {
		at := (*next + i) % len(s.fields)
		if s.fields[at].head == head {
			*next = at + 1
			return &s.fields[at]
		}
	}
	return nil
}
