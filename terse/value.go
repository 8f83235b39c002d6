package terse

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"time"
	"unsafe"
)

func valueOf(t reflect.Type, known map[reflect.Type]*structure) value {
	switch t {
	case reflect.TypeFor[time.Time]():
		return timeValue()
	case reflect.TypeFor[netip.Addr]():
		return addressValue[netip.Addr]()
	case reflect.TypeFor[netip.AddrPort]():
		return addressValue[netip.AddrPort]()
	}
	switch t.Kind() {
	case reflect.Bool:
		return boolValue()
	case reflect.Int:
		return signed[int]()
	case reflect.Int8:
		return signed[int8]()
	case reflect.Int16:
		return signed[int16]()
	case reflect.Int32:
		return signed[int32]()
	case reflect.Int64:
		return signed[int64]()
	case reflect.Uint:
		return unsigned[uint]()
	case reflect.Uint8:
		return unsigned[uint8]()
	case reflect.Uint16:
		return unsigned[uint16]()
	case reflect.Uint32:
		return unsigned[uint32]()
	case reflect.Uint64:
		return unsigned[uint64]()
	case reflect.Float64:
		return floatValue()
	case reflect.String:
		return stringValue()
	case reflect.Struct:
		return structValue(structureOf(t, known))
	case reflect.Pointer:
		return pointerValue(t.Elem(), known)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return bytesValue()
		}
		return sliceValue(t, valueOf(t.Elem(), known))
	case reflect.Array:
		return arrayValue(t.Len(), t.Elem().Size(), valueOf(t.Elem(), known))
	}
	panic(fmt.Sprintf("terse: %s cannot be written", t))
}

var errRange = errors.New("terse: number out of range")

func boolValue() value {
	return value{
		form:   number,
		zero:   func(p unsafe.Pointer) bool { return !*(*bool)(p) },
		append: func(b []byte, p unsafe.Pointer) []byte { return append(b, *(*byte)(p)) },
		read: func(b []byte, p unsafe.Pointer) (int, error) {
			n, size := binary.Uvarint(b)
			*(*bool)(p) = n != 0
			return size, nil
		},
	}
}

func signed[T int | int8 | int16 | int32 | int64]() value {
	return value{
		form:   number,
		zero:   func(p unsafe.Pointer) bool { return *(*T)(p) == 0 },
		append: func(b []byte, p unsafe.Pointer) []byte { return binary.AppendVarint(b, int64(*(*T)(p))) },
		read: func(b []byte, p unsafe.Pointer) (int, error) {
			n, size := binary.Varint(b)
			if *(*T)(p) = T(n); int64(T(n)) != n {
				return 0, errRange
			}
			return size, nil
		},
	}
}

func unsigned[T uint | uint8 | uint16 | uint32 | uint64]() value {
	return value{
		form:   number,
		zero:   func(p unsafe.Pointer) bool { return *(*T)(p) == 0 },
		append: func(b []byte, p unsafe.Pointer) []byte { return binary.AppendUvarint(b, uint64(*(*T)(p))) },
		read: func(b []byte, p unsafe.Pointer) (int, error) {
			n, size := binary.Uvarint(b)
			if *(*T)(p) = T(n); uint64(T(n)) != n {
				return 0, errRange
			}
			return size, nil
		},
	}
}

func floatValue() value {
	return value{
		form:   eight,
		zero:   func(p unsafe.Pointer) bool { return *(*uint64)(p) == 0 },
		append: func(b []byte, p unsafe.Pointer) []byte { return binary.LittleEndian.AppendUint64(b, *(*uint64)(p)) },
		read: func(b []byte, p unsafe.Pointer) (int, error) {
			*(*float64)(p) = math.Float64frombits(binary.LittleEndian.Uint64(b))
			return 8, nil
		},
	}
}

func stringValue() value {
	return value{
		form:   counted,
		zero:   func(p unsafe.Pointer) bool { return len(*(*string)(p)) == 0 },
		append: func(b []byte, p unsafe.Pointer) []byte { return append(b, *(*string)(p)...) },
		read: func(b []byte, p unsafe.Pointer) (int, error) {
			*(*string)(p) = string(b)
			return len(b), nil
		},
	}
}

// bytesValue is of any slice of bytes, also of those of a named type.
func bytesValue() value {
	return value{
		form:   counted,
		zero:   func(p unsafe.Pointer) bool { return len(*(*[]byte)(p)) == 0 },
		append: func(b []byte, p unsafe.Pointer) []byte { return append(b, *(*[]byte)(p)...) },
		read: func(b []byte, p unsafe.Pointer) (int, error) {
			*(*[]byte)(p) = append([]byte(nil), b...)
			return len(b), nil
		},
	}
}

func structValue(s *structure) value {
	return value{
		form: counted,
		zero: func(p unsafe.Pointer) bool {
			for i := range s.fields {
				if f := &s.fields[i]; !f.zero(unsafe.Add(p, f.offset)) {
					return false
				}
			}
			return true
		},
		append: s.append,
		read:   func(b []byte, p unsafe.Pointer) (int, error) { return len(b), s.read(b, p) },
	}
}

func pointerValue(t reflect.Type, known map[reflect.Type]*structure) value {
	to := valueOf(t, known)
	return value{
		form:   counted,
		zero:   func(p unsafe.Pointer) bool { return *(*unsafe.Pointer)(p) == nil },
		append: func(b []byte, p unsafe.Pointer) []byte { return to.append(b, *(*unsafe.Pointer)(p)) },
		read: func(b []byte, p unsafe.Pointer) (int, error) {
			of := reflect.New(t)
			*(*unsafe.Pointer)(p) = of.UnsafePointer()
			if from, end, err := scan(b, to.form); to.form != counted && (err != nil || from != 0 || end != len(b)) {
				return 0, errShort
			}
			return to.read(b, of.UnsafePointer())
		},
	}
}

func sliceValue(t reflect.Type, of value) value {
	size := t.Elem().Size()
	return value{
		form: counted,
		zero: func(p unsafe.Pointer) bool { return len(*(*[]byte)(p)) == 0 },
		append: func(b []byte, p unsafe.Pointer) []byte {
			s := *(*[]byte)(p) // of whatever: its start, and how many
			return appendAll(b, unsafe.Pointer(unsafe.SliceData(s)), len(s), size, &of)
		},
		read: func(b []byte, p unsafe.Pointer) (int, error) {
			many, n := binary.Uvarint(b)
			if n <= 0 || many > uint64(len(b)-n) { // each takes a byte at least
				return 0, errShort
			}
			s := reflect.MakeSlice(t, int(many), int(many))
			reflect.NewAt(t, p).Elem().Set(s)
			return len(b), readAll(b[n:], s.UnsafePointer(), int(many), size, &of)
		},
	}
}

// arrayValue is of a length that another release may have changed.
func arrayValue(length int, size uintptr, of value) value {
	return value{
		form: counted,
		zero: func(p unsafe.Pointer) bool {
			for i := range length {
				if !of.zero(unsafe.Add(p, uintptr(i)*size)) {
					return false
				}
			}
			return true
		},
		append: func(b []byte, p unsafe.Pointer) []byte { return appendAll(b, p, length, size, &of) },
		read: func(b []byte, p unsafe.Pointer) (int, error) {
			many, n := binary.Uvarint(b)
			if n <= 0 {
				return 0, errShort
			}
			return len(b), readAll(b[n:], p, int(min(many, uint64(length))), size, &of)
		},
	}
}

func appendAll(b []byte, p unsafe.Pointer, many int, size uintptr, of *value) []byte {
	b = binary.AppendUvarint(b, uint64(many))
	for i := range many {
		b = of.element(b, unsafe.Add(p, uintptr(i)*size))
	}
	return b
}

func readAll(b []byte, p unsafe.Pointer, many int, size uintptr, of *value) error {
	for i := range many {
		n, err := of.readElement(b, unsafe.Add(p, uintptr(i)*size))
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func timeValue() value {
	return value{
		form: counted,
		zero: func(p unsafe.Pointer) bool { return (*time.Time)(p).IsZero() },
		append: func(b []byte, p unsafe.Pointer) []byte {
			t := (*time.Time)(p)
			fraction := uint64(t.Nanosecond()) << 1
			if t.Location() == time.UTC {
				fraction |= 1
			}
			return binary.AppendUvarint(binary.AppendVarint(b, t.Unix()), fraction)
		},
		read: func(b []byte, p unsafe.Pointer) (int, error) {
			seconds, n := binary.Varint(b)
			if n <= 0 {
				return 0, errShort
			}
			fraction, m := binary.Uvarint(b[n:])
			if m <= 0 || fraction>>1 >= uint64(time.Second) {
				return 0, errRange
			}
			t := time.Unix(seconds, int64(fraction>>1))
			if fraction&1 != 0 {
				t = t.UTC()
			}
			*(*time.Time)(p) = t
			return len(b), nil
		},
	}
}

// addressValue is of what writes itself.
func addressValue[T comparable, P interface {
	*T
	AppendBinary(b []byte) ([]byte, error)
	UnmarshalBinary(b []byte) error
}]() value {
	return value{
		form: counted,
		zero: func(p unsafe.Pointer) bool { return *(*T)(p) == *new(T) },
		append: func(b []byte, p unsafe.Pointer) []byte {
			b, _ = P(p).AppendBinary(b) // of an address it never fails
			return b
		},
		read: func(b []byte, p unsafe.Pointer) (int, error) { return len(b), P(p).UnmarshalBinary(b) },
	}
}
