// Package tersetest tests what is written by package terse.
package tersetest

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"foyer/terse"
)

// RoundTrip fills every field of a T, writes and reads it, and wants it back as it was.
// A field that is of no kind it knows fails the test, so that no new one is forgotten.
func RoundTrip[T any](t *testing.T, c terse.Codec[T]) {
	t.Helper()
	var full, back T
	n := 0
	if err := fill(reflect.ValueOf(&full).Elem(), &n); err != nil {
		t.Fatal(err)
	}
	written := c.Append(nil, &full)
	if err := c.Read(written, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(full, back) {
		t.Errorf("%+v\ncame back as %+v", full, back)
	}
}

// FixedPoint wants that whatever can be read is read again as it was.
func FixedPoint[T any](t *testing.T, c terse.Codec[T], b []byte) {
	t.Helper()
	var once, twice T
	if c.Read(b, &once) != nil {
		return
	}
	first := c.Append(nil, &once)
	if err := c.Read(first, &twice); err != nil {
		t.Fatalf("% x, written as % x, cannot be read: %v", b, first, err)
	}
	if second := c.Append(nil, &twice); string(first) != string(second) {
		t.Fatalf("% x\nwritten as % x\nand then % x", b, first, second)
	}
}

func fill(v reflect.Value, n *int) error {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1_700_000_000+int64(*n), int64(*n))))
		return nil
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{192, 0, 2, byte(*n)})))
		return nil
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.AddrPortFrom(netip.MustParseAddr("2001:db8::1"), uint16(*n))))
		return nil
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(-int64(*n%100) - 1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n%200) + 1)
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.5)
	case reflect.String:
		v.SetString(fmt.Sprint("text ", *n))
	case reflect.Struct:
		return fillFields(v, n)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		return fillEach(v, n)
	case reflect.Array:
		return fillEach(v, n)
	default:
		return fmt.Errorf("%s cannot be filled", v.Type())
	}
	return nil
}

func fillFields(v reflect.Value, n *int) error {
	for i := range v.NumField() {
		field := v.Field(i)
		if !field.CanSet() { // embedded, of a type that is not exported
			field = reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem()
		}
		if err := fill(field, n); err != nil {
			return err
		}
	}
	return nil
}

func fillEach(v reflect.Value, n *int) error {
	for i := range v.Len() {
		if err := fill(v.Index(i), n); err != nil {
			return err
		}
	}
	return nil
}
