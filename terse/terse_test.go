package terse_test

import (
	"errors"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"foyer/terse"
	"foyer/terse/tersetest"
)

type name string

type part struct {
	Name  name
	Bytes []byte
	Deep  *part
}

type all struct {
	Bool    bool
	Int     int
	Int8    int8
	Int16   int16
	Int32   int32
	Int64   int64
	Uint    uint
	Uint8   uint8
	Uint16  uint16
	Uint32  uint32
	Uint64  uint64
	Float   float64
	Text    string
	Bytes   []byte
	Part    struct{ A, B int }
	Parts   []part2
	Pointer *part2
	Number  *uint64
	Texts   []string
	Pairs   [][2]uint8
	Array   [3]string
	Wait    time.Duration
	Time    time.Time
	Addr    netip.Addr
	Port    netip.AddrPort
	inner
}

type part2 struct {
	Name  name
	Bytes []byte
}

type inner struct {
	Inside string
	Deeper *part2
}

var codec = terse.New[all]()

func TestEveryKindComesBack(t *testing.T) { tersetest.RoundTrip(t, codec) }

func TestValuesComeBack(t *testing.T) {
	zero := uint64(0)
	for _, want := range []all{
		{},
		{Int64: math.MinInt64, Uint64: math.MaxUint64, Float: math.Inf(-1), Int8: -128},
		{Text: strings.Repeat("x", 127), Bytes: []byte{0}},
		{Text: strings.Repeat("x", 128), Parts: []part2{{}, {Name: name(strings.Repeat("y", 1<<14))}, {}}},
		{Number: &zero, Pointer: &part2{}},
		{Array: [3]string{"", "b", ""}, Texts: []string{"", ""}},
		{Time: time.Unix(-5, 999_999_999)},
		{Time: time.Date(2026, 11, 26, 18, 0, 0, 1, time.UTC)},
		{Addr: netip.MustParseAddr("fe80::1%eth0"), Port: netip.AddrPortFrom(netip.Addr{}, 7)},
		{Addr: netip.MustParseAddr("::ffff:192.0.2.1"), Port: netip.MustParseAddrPort("192.0.2.1:65535")},
	} {
		var got all
		if err := codec.Read(codec.Append(nil, &want), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v\nis %+v, %v", want, got, err)
		}
	}
}

// Releases before and after have other fields, in another order, and arrays of another
// length; what both have comes through.
func TestOtherReleases(t *testing.T) {
	type before struct {
		Gone   []string
		Number int
		Array  [2]uint8
		Sub    struct{ A, Gone string }
		Moved  string
		Kind   string // a number now
	}
	type after struct {
		New    *part
		Kind   int
		Moved  string
		Sub    struct{ New, A string }
		Number int
		Array  [4]uint8
		Float  float64
	}
	old := before{[]string{"x"}, 7, [2]uint8{1, 2}, struct{ A, Gone string }{"a", "gone"}, "moved", "kind"}
	var got after
	if err := terse.New[after]().Read(terse.New[before]().Append(nil, &old), &got); err != nil {
		t.Fatal(err)
	}
	if got.Number != 7 || got.Array != [4]uint8{1, 2} || got.Sub.A != "a" || got.Moved != "moved" || got.Kind != 0 {
		t.Errorf("%+v", got)
	}
	later := after{New: &part{Name: "n"}, Kind: 3, Moved: "m", Number: 8, Array: [4]uint8{1, 2, 3, 4}, Float: 1}
	var back before
	if err := terse.New[before]().Read(terse.New[after]().Append(nil, &later), &back); err != nil {
		t.Fatal(err)
	}
	if back.Number != 8 || back.Array != [2]uint8{1, 2} || back.Moved != "m" || back.Kind != "" {
		t.Errorf("%+v", back)
	}
}

func TestWhatIsNotWhole(t *testing.T) {
	want := all{Int: 5, Text: "text", Parts: []part2{{Name: "n"}}, Array: [3]string{"a"}, Time: time.Unix(1, 1), Float: 1, Bool: true}
	whole := codec.Append(nil, &want)
	for n := range whole {
		var got all
		if err := codec.Read(whole[:n], &got); n == 0 && !errors.Is(err, terse.ErrFormat) {
			t.Errorf("nothing: %v", err)
		}
	}
	var got all
	if err := codec.Read([]byte(`{"Int":5}`), &got); !errors.Is(err, terse.ErrFormat) {
		t.Errorf("JSON: %v", err)
	}
	type small struct{ Int uint8 }
	type large struct{ Int uint16 }
	if err := terse.New[small]().Read(terse.New[large]().Append(nil, &large{256}), &small{}); err == nil {
		t.Error("256 fits into a byte")
	}
}

// What cannot be written is found when the program starts, not when a call is lost.
func TestNewRefuses(t *testing.T) {
	for what, make := range map[string]func(){
		"a field that is not exported": func() { terse.New[struct{ hidden int }]() },
		"a map":                        func() { terse.New[struct{ M map[string]int }]() },
		"an interface":                 func() { terse.New[struct{ E error }]() },
		"a function, deep inside":      func() { terse.New[struct{ P *struct{ F []func() } }]() },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is taken", what)
				}
			}()
			make()
		}()
	}
}

func TestRecursion(t *testing.T) {
	c := terse.New[part]()
	want := part{Name: "a", Deep: &part{Name: "b", Deep: &part{}}}
	var got part
	if err := c.Read(c.Append(nil, &want), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzRead(f *testing.F) {
	full := all{Int: -5, Text: strings.Repeat("x", 200), Parts: []part2{{Name: "n"}, {}}, Array: [3]string{"a"}, Time: time.Unix(1, 1),
		Float: 1, Bool: true, Addr: netip.MustParseAddr("::1"), Port: netip.MustParseAddrPort("1.2.3.4:5"), Pairs: [][2]uint8{{1, 2}}, Number: new(uint64)}
	f.Add(codec.Append(nil, &full))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) { tersetest.FixedPoint(t, codec, b) })
}
