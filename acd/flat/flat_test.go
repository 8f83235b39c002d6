package flat

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

type thing struct {
	small  uint8
	large  uint64
	minus  int
	yes    bool
	share  float64
	word   string
	at     time.Time
	never  time.Time
	bytes  []byte
	things []thing
}

func (v *thing) flat(f *Form) {
	Number(f, &v.small)
	Number(f, &v.large)
	Number(f, &v.minus)
	f.Bool(&v.yes)
	f.Float(&v.share)
	Text(f, &v.word)
	f.Moment(&v.at)
	f.Moment(&v.never)
	f.Blob(&v.bytes)
	List(f, &v.things, func(x *thing) { x.flat(f) })
}

func draw(t *rapid.T, depth int) thing {
	v := thing{
		small: rapid.Uint8().Draw(t, "small"), large: rapid.Uint64().Draw(t, "large"), minus: rapid.Int().Draw(t, "minus"),
		yes: rapid.Bool().Draw(t, "yes"), share: rapid.Float64().Draw(t, "share"), word: rapid.String().Draw(t, "word"),
		at:    time.Unix(rapid.Int64Range(-1e10, 1e10).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC(),
		bytes: rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"),
	}
	if depth > 0 {
		for range rapid.IntRange(0, 3).Draw(t, "things") {
			v.things = append(v.things, draw(t, depth-1))
		}
	}
	return v
}

func same(a, b *thing) bool {
	if a.small != b.small || a.large != b.large || a.minus != b.minus || a.yes != b.yes || a.share != b.share || a.word != b.word ||
		!a.at.Equal(b.at) || b.at.Location() != time.UTC || !b.never.IsZero() || string(a.bytes) != string(b.bytes) || len(a.things) != len(b.things) {
		return false
	}
	for i := range a.things {
		if !same(&a.things[i], &b.things[i]) {
			return false
		}
	}
	return true
}

// What is written is read again, and whatever is cut off it is noticed.
func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, base := draw(t, 2), time.Unix(rapid.Int64Range(-1e10, 1e10).Draw(t, "base"), 0)
		w := Writing(nil)
		w.Base(base)
		v.flat(w)
		read := func(b []byte) (thing, error) {
			var back thing
			r := Reading(b)
			r.Base(base)
			back.flat(r)
			return back, r.End()
		}
		back, err := read(w.Bytes())
		if err != nil || !same(&v, &back) {
			t.Fatalf("%+v became %+v: %v", v, back, err)
		}
		if _, err := read(w.Bytes()[:rapid.IntRange(0, len(w.Bytes())-1).Draw(t, "cut")]); err == nil {
			t.Fatal("bytes are missing, and nobody notices")
		}
		if _, err := read(append(w.Bytes(), 0)); !errors.Is(err, ErrCut) {
			t.Fatalf("a byte too many: %v", err)
		}
	})
}

func FuzzReading(f *testing.F) {
	w := Writing(nil)
	(&thing{word: "ana", things: []thing{{}}}).flat(w)
	f.Add(w.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		var v thing
		v.flat(Reading(b))
	})
}
