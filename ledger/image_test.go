package ledger

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/acd"

	"pgregory.net/rapid"
)

// books are a Fold and a Tally that are fed alike.
type books struct {
	fold  *Fold
	tally *Tally
}

func newBooks() *books { return &books{NewFold(), NewTally(someShifts{})} }

func (b *books) thawed(t *rapid.T) *books {
	image, err := b.tally.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	tally, err := ThawTally(image, someShifts{})
	if err != nil {
		t.Fatal(err)
	}
	fold, err := ThawFold(b.fold.Freeze())
	if err != nil {
		t.Fatal(err)
	}
	if len(tally.rows) != len(b.tally.rows) || !slices.Equal(fold.Open(), b.fold.Open()) {
		t.Fatalf("%d rows and calls %v, were %d and %v", len(tally.rows), fold.Open(), len(b.tally.rows), b.fold.Open())
	}
	return &books{fold, tally}
}

// thawing feeds books, and others that go through an image now and then; both must say
// the same.
type thawing struct {
	t        *rapid.T
	was, now *books
}

func (x *thawing) apply(at time.Time, ev acd.Event, done []acd.Action, thaw bool) {
	if thaw {
		x.now = x.now.thawed(x.t)
	}
	rows, again := x.was.fold.Apply(at, ev, done), x.now.fold.Apply(at, ev, done)
	if !reflect.DeepEqual(rows, again) {
		x.t.Fatalf("on %+v:\n%s\nthawed: %s", ev, asJSON(rows), asJSON(again))
	}
	counts, same := x.was.tally.Apply(at, ev, done), x.now.tally.Apply(at, ev, done)
	if !reflect.DeepEqual(counts, same) {
		x.t.Fatalf("on %+v:\n%s\nthawed: %s", ev, asJSON(counts), asJSON(same))
	}
}

func TestRandomBooksGoOnFromAnImage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, x := newDrive(t), &thawing{t, newBooks(), newBooks()}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			d.next()
		}
		for _, r := range d.told {
			x.apply(r.at, r.ev, r.done, d.dice.IntN(20) == 0)
		}
		if a, b := x.was.tally.Pending(), x.now.tally.Pending(); !reflect.DeepEqual(a, b) {
			t.Fatalf("in the end\n%s\nthawed: %s", asJSON(a), asJSON(b))
		}
	})
}

func TestBooksOfAnyJournalGoOnFromAnImage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, at := &thawing{t, newBooks(), newBooks()}, day()
		x.apply(at, started().ev, nil, false)
		for range rapid.IntRange(1, 60).Draw(t, "records") {
			at = at.Add(time.Duration(rapid.Int64Range(-2000, 400_000).Draw(t, "ms")) * time.Millisecond)
			ev := anyEvent(t)
			switch ev.Kind {
			case acd.Closed:
				ev.Facts = &acd.Facts{Codec: "PCMA", CallerLeg: &acd.Quality{Packets: 7, MOS: 4.1, SRTP: "sdes"}}
			case acd.Arrived:
				ev.Facts = &acd.Facts{Client: "acme", From: "+33612345678", SIPCallID: "x@y"}
			}
			x.apply(at, ev, anyActions(t), rapid.IntRange(0, 4).Draw(t, "thaw") == 0)
		}
		x.apply(at, acd.Event{Kind: acd.Started}, nil, true)
	})
}

// inImage is every field that goes through an image; passing is every one that means
// nothing between two records.
var (
	inImage = map[string]string{
		"Fold":         "open wrapping queues alive",
		"Tally":        "life start now covered shifts queues calls agents rows late",
		"rules":        "client within short",
		"story":        "cdr segments latest holders ended closed by cause rejected refused settled settledBy message",
		"CDR":          "ID Client DID Direction From To Queue Trunk Started Answered Ended QueuedFor RungFor TalkedFor HeldFor DivertedFor WrappedUpIn Duration WrapUpCode WrapUpNote DivertedTo TransferTo Callback Origin Agent Agents Outcome EndedBy Cause SIPCode Q850 ServiceLevelMet SIPCallID RecordingID RecordedFor Codec Transport SRTP MOSMin LossRatio JitterMS Quality",
		"QualityByLeg": "Caller Agent",
		"Quality":      "Codec Packets Lost LossRatio JitterMS RTTMS MOS RemoteLossRatio SRTP",
		"Segment":      "Kind Start End Duration Queue Agent Offer Alerted By To Result Cause SIPCode Code",
		"contact":      "arrived stay rings holders refused agent offer joined counted",
		"stay":         "row queue entered within short",
		"ringing":      "offer agent row",
		"worker":       "since doing state call row",
		"row":          "Interval users listed",
		"Interval":     "Start Life Subject ID Client Queue Agent",
		"QueueCounts":  "Offered Calls Overflowed Refused Callbacks Failed Handled WaitAnswered WaitAll WaitMost Waits Talked Held WrappedUp Within Short",
		"Calls":        "Answered AnsweredWithin Abandoned AbandonedWithin AbandonedLater ShortAbandoned",
		"AgentCounts":  "Offers Accepted Declined Missed Unreachable Withdrawn Handled Paused Idle Rung Talked Held WrappedUp Scheduled Adhered",
		"Shift":        "Agent From To",
	}
	passing = map[string]string{
		"Fold":  "asked",    // of the present record
		"Tally": "schedule", // of the configuration
		"CDR":   "Again Segments",
	}
)

// Whoever adds a field to what the books remember says here whether it is in the image.
func TestEveryFieldIsInTheImage(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(v reflect.Type) {
		switch v.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			visit(v.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if seen[v] {
			return
		}
		seen[v] = true
		gone := strings.Fields(passing[v.Name()])
		known := append(strings.Fields(inImage[v.Name()]), gone...)
		for i := range v.NumField() {
			field := v.Field(i)
			if !slices.Contains(known, field.Name) {
				t.Errorf("%s.%s is new: go over it in image.go, and say so here", v.Name(), field.Name)
			}
			known = slices.DeleteFunc(known, func(k string) bool { return k == field.Name })
			if !slices.Contains(gone, field.Name) {
				visit(field.Type)
			}
		}
		if len(known) > 0 {
			t.Errorf("%s has no %q any more", v.Name(), known)
		}
	}
	visit(reflect.TypeOf(Fold{}))
	visit(reflect.TypeOf(Tally{}))
}

func TestBrokenImagesAreRefused(t *testing.T) {
	b := newBooks()
	for _, r := range []rec{started(), arrived(10, "sales", ring("ana", "sales", 1)), answered(20, "ana", 1)} {
		at := day().Add(time.Duration(r.ms) * time.Millisecond)
		b.fold.Apply(at, r.ev, r.done)
		b.tally.Apply(at, r.ev, r.done)
	}
	fold := b.fold.Freeze()
	tally, err := b.tally.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		whole []byte
		thaw  func([]byte) error
	}{
		"fold":  {fold, func(b []byte) error { _, err := ThawFold(b); return err }},
		"tally": {tally, func(b []byte) error { _, err := ThawTally(b, nil); return err }},
	} {
		if err := c.thaw(c.whole); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for n := range c.whole {
			if err := c.thaw(c.whole[:n]); !errors.Is(err, ErrImage) {
				t.Fatalf("%s: cut after %d of %d bytes: %v", name, n, len(c.whole), err)
			}
		}
		other := slices.Clone(c.whole)
		other[0] = 2 * (imageVersion + 1)
		if err := c.thaw(other); !errors.Is(err, ErrImage) {
			t.Errorf("%s of another version: %v", name, err)
		}
	}
}

// BenchmarkImage is what an image of the books costs with 8,000 calls up.
func BenchmarkImage(b *testing.B) {
	k := newBooks()
	k.fold.Apply(day(), started().ev, nil)
	k.tally.Apply(day(), started().ev, nil)
	for n := range 8000 {
		call, agent := acd.CallID("06d8q3k4w2x5y7z8a9b0c"+string(rune('a'+n%26))+string(rune('a'+n/26%26))+string(rune('a'+n/676))), acd.AgentID("agent"+string(rune('a'+n%26))+string(rune('a'+n/26%26))+string(rune('a'+n/676)))
		for _, r := range []rec{
			{0, acd.Event{Kind: acd.Arrived, Call: call, Queue: "sales", Facts: arrived(0, "sales").ev.Facts}, do(acd.Queued{Call: call, Queue: "sales"}, acd.Offer{Call: call, Agent: agent, Queue: "sales", Offer: 1})},
			{0, acd.Event{Kind: acd.Answered, Call: call, Agent: agent, Offer: 1}, do(acd.Connect{Call: call, Agent: agent, Offer: 1}, acd.Moved{Agent: agent, From: acd.Offered, To: acd.Talking, Call: call})},
		} {
			at := day().Add(time.Duration(n) * 10 * time.Millisecond)
			k.fold.Apply(at, r.ev, r.done)
			k.tally.Apply(at, r.ev, r.done)
		}
	}
	for b.Loop() {
		fold := k.fold.Freeze()
		tally, err := k.tally.Freeze()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(fold)+len(tally)), "bytes")
	}
}
