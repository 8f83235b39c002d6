package acd

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// thawed is a floor by way of an image.
func thawed(t interface{ Fatalf(string, ...any) }, f *Floor) *Floor {
	m, ok := f.Freeze()
	if !ok {
		t.Fatalf("the floor cannot be frozen")
	}
	text, err := m.Encode()
	if err != nil {
		t.Fatalf("%v", err)
	}
	g, err := Thaw(text)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return g
}

// At any moment of a random day a floor goes through an image. It is the same then, to
// the last field, and both decide the same for the rest of the day.
func TestRandomFloorsGoOnFromAnImage(t *testing.T) {
	runs := "20000"
	if testing.Short() {
		runs = "1000"
	}
	setRapidChecks(t, runs)
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.alone = true
		var g *Floor
		hash, again := NewHash(), NewHash()
		for n := range rapid.IntRange(2, 120).Draw(t, "steps") {
			w.next()
			r := w.events[len(w.events)-1]
			hash.Add(r, w.done)
			if g != nil {
				goesOnAlike(t, w, g, again, r)
				if hash.Sum() != again.Sum() {
					t.Fatalf("step %d: the hashes part", n)
				}
			}
			if g == nil && w.one(8) || w.one(30) {
				g, again = thawed(t, w.f), ResumeHash(hash.Sum())
				g.OnViolation = w.f.OnViolation
				alike(t, w.f, g)
			}
		}
	})
}

func goesOnAlike(t *rapid.T, w *world, g *Floor, h *Hash, r Record) {
	done := g.Step(r.At, r.Event)
	h.Add(r, done)
	if !reflect.DeepEqual(done, w.done) {
		t.Fatalf("on %+v:\ndecided %+v\nthawed: %+v", r.Event, w.done, done)
	}
	if a, b := w.f.Snapshot(r.At), g.Snapshot(r.At); !reflect.DeepEqual(a, b) {
		t.Fatalf("on %+v:\n%+v\nthawed: %+v", r.Event, a, b)
	}
	at, waits := w.f.Deadline()
	if next, due := g.Deadline(); due != waits || !next.Equal(at) {
		t.Fatalf("on %+v: next at %v, thawed: %v", r.Event, at, next)
	}
	if bad := g.Check(r.At); bad != nil {
		t.Fatalf("on %+v: %q", r.Event, bad)
	}
	if !reflect.DeepEqual(w.f.Pending(), g.Pending()) {
		t.Fatalf("on %+v: other things are pending", r.Event)
	}
}

// told is every field that is written to an image, or can be told from those that are;
// passing is every one that means nothing between two steps.
var (
	told = map[string]string{
		"Floor": "Violations now agents roster listed lines order calls first last tally offers due config limits pauseEndsIdle stickiest longestReturn " +
			"spent paused promised talked left",
		"agent": "id cfg rank seats state since cause want pause reachable leaving room idle hands about awaited due missed failures backoff forgiven " +
			"handled dumped talked spent born",
		"seat":        "agent line level tier ring lacks guest share turn listed",
		"line":        "cfg seats waiting relaxed ringing ready in able strength calls removed shut due stats tempo",
		"counts":      "Offered Answered AnsweredWithin Abandoned ShortAbandoned Overflowed Refused Callbacks Handled HandleTime",
		"tempo":       "handling waiting contacts leavers told inside",
		"reservation": "call agent seat line id kind stage since begun alerted bridged again kept dialled consult blind by given held lost longer until due",
		"call":        "id state since line from arrived asked turn entered priority ahead key number step relaxed rings talk aside offer answered again excluded waves growsAt prefer held told back due older younger",
		"exclusion":   "agent cause until forgiven",
		"announced":   "next since low high latest at",
		"promise":     "key number attempts notBefore present facts",
		"why":         "reason cause by call",
		"timer":       "at order of",
		"deadlines":   "count",
		"recent":      "of order over",
		"kept":        "at value number",
		"stamp":       "key at value gone",
		"row":         "items",
		"Config":      "Queues Agents Reasons PauseEndsIdle",
		"Reason":      "ID Max",
		"AgentCfg":    "ID Skills Queues Tiers Capacity ReadyOnRegister",
		"Capacity":    "Voice Chat Mail",
		"Facts":       "Client DID From To Trunk Transport SIPCallID Note Code Q850 Codec Recording RecordedMS CallerLeg AgentLeg",
		"Queue":       "ID Client Medium Require MinLevel MaxTier Relax Strategy AtOnce NextAfter Priority RingTimeout MaxOffers OnNoAnswer WrapMode WrapUp ExtendBy MaxExtend Overflow MaxWaiting Full NoneReady Empty Closed Within ShortAbandon Prefer LastAgent Return Rejoin Announce Callback",
		"Relax":       "After Skill Level Tier Widen",
		"Overflow":    "After To Offer",
		"Target":      "Queue Number Voicemail",
		"Door":        "Rule To",
		"Sticky":      "Within Wait",
		"Announcing":  "Position Wait First Every MaxError",
		"Callback":    "CallerFirst Attempts Retry DialFor",
		"Quality":     "",
		"time.Time":   "",
	}
	passing = map[string]string{
		"Floor":       "OnViolation freshAgents freshCalls growing touchedAgents touchedCalls walk round out frozen",
		"agent":       "moved isFresh touched mark",
		"seat":        "round",
		"line":        "changed reseated round fresh least spread mark",
		"reservation": "mark",
		"call":        "fresh touched growing mark",
		"timer":       "place",
		"deadlines":   "heap",
		"row":         "front compare",
	}
)

// Whoever adds a field to the floor says here whether it is in the image.
func TestEveryFieldIsInTheImage(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(v reflect.Type) {
		switch v.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			visit(v.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		name := typeName(v)
		if seen[v] || name == "time.Time" || name == "Quality" {
			return
		}
		seen[v] = true
		known := strings.Fields(told[name] + " " + passing[name])
		for i := range v.NumField() {
			field := v.Field(i).Name
			if !slices.Contains(known, field) {
				t.Errorf("%s.%s is new: go over it in paint.go, or tell it there from others, and say so here", name, field)
			}
			known = slices.DeleteFunc(known, func(k string) bool { return k == field })
			if slices.Contains(strings.Fields(told[name]), field) {
				visit(v.Field(i).Type)
			}
		}
		if len(known) > 0 {
			t.Errorf("%s has no %q any more", name, known)
		}
	}
	visit(reflect.TypeOf(Floor{}))
	visit(reflect.TypeOf(reservation{}))
}

func typeName(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Name(), "[")
	if t.PkgPath() == "time" {
		return "time." + name
	}
	return name
}

// alike compares two floors field by field, but for those that mean nothing.
func alike(t *rapid.T, f, g *Floor) {
	k := &comparison{f: f, met: map[uintptr]uintptr{}}
	k.compare("floor", reflect.ValueOf(f), reflect.ValueOf(g))
	for i, a := range f.roster {
		for j, r := range a.hands {
			k.compare(fmt.Sprintf("agent %s, contact %d", a.id, j), reflect.ValueOf(r), reflect.ValueOf(g.roster[i].hands[j]))
		}
	}
	if len(f.due.heap) != len(g.due.heap) {
		k.found = append(k.found, fmt.Sprintf("%d deadlines, thawed: %d", len(f.due.heap), len(g.due.heap)))
	}
	if k.found != nil {
		t.Fatalf("%s", strings.Join(k.found, "\n"))
	}
}

type comparison struct {
	f     *Floor
	met   map[uintptr]uintptr
	found []string
}

func (k *comparison) differ(where string, a, b any) {
	if len(k.found) < 20 {
		k.found = append(k.found, fmt.Sprintf("%s: %v, thawed: %v", where, a, b))
	}
}

func (k *comparison) compare(where string, a, b reflect.Value) {
	if a.Type() == reflect.TypeOf(time.Time{}) {
		if x, y := momentIn(a), momentIn(b); !x.Equal(y) {
			k.differ(where, x, y)
		}
		return
	}
	switch a.Kind() {
	case reflect.Func, reflect.Interface:
	case reflect.Pointer:
		k.pointers(where, a, b)
	case reflect.Struct:
		k.structs(where, a, b)
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() {
			k.differ(where, a.Len(), b.Len())
			return
		}
		for i := range a.Len() {
			k.compare(fmt.Sprintf("%s[%d]", where, i), a.Index(i), b.Index(i))
		}
	case reflect.Map:
		if a.Len() != b.Len() {
			k.differ(where, a.Len(), b.Len())
			return
		}
		for i := a.MapRange(); i.Next(); {
			other := b.MapIndex(i.Key())
			if !other.IsValid() {
				k.differ(where, i.Key(), nil)
				continue
			}
			k.compare(fmt.Sprintf("%s[%v]", where, i.Key()), i.Value(), other)
		}
	default:
		if !a.Equal(b) {
			k.differ(where, a, b)
		}
	}
}

// momentIn is a time that is in a field of ours.
func momentIn(v reflect.Value) time.Time {
	wall, seconds := v.Field(0).Uint(), v.Field(1).Int()
	return time.Unix(seconds-62135596800, int64(wall&(1<<30-1)))
}

func (k *comparison) pointers(where string, a, b reflect.Value) {
	if a.IsNil() || b.IsNil() {
		if a.IsNil() != b.IsNil() {
			k.differ(where, a.IsNil(), b.IsNil())
		}
		return
	}
	if met, before := k.met[a.Pointer()]; before {
		// Of a seat that an agent had before, each contact has a copy of its own.
		if met != b.Pointer() && a.Type() != reflect.TypeOf(&seat{}) {
			k.differ(where, "one and the same", "two")
		}
		return
	}
	k.met[a.Pointer()] = b.Pointer()
	k.compare(where, a.Elem(), b.Elem())
}

func (k *comparison) structs(where string, a, b reflect.Value) {
	name := typeName(a.Type())
	switch name {
	case "timer":
		if set := a.FieldByName("place").Int() > 0; set != (b.FieldByName("place").Int() > 0) {
			k.differ(where, set, !set)
		} else if !set {
			return
		}
	case "row":
		all := func(v reflect.Value) reflect.Value {
			return v.FieldByName("items").Slice(int(v.FieldByName("front").Int()), v.FieldByName("items").Len())
		}
		k.compare(where, all(a), all(b))
		return
	case "exclusion":
		if there := k.f.agents[AgentID(a.FieldByName("agent").Elem().FieldByName("id").String())]; there == nil || reflect.ValueOf(there).Pointer() != a.FieldByName("agent").Pointer() {
			k.compare(where+".until", a.FieldByName("until"), b.FieldByName("until"))
			return
		}
	case "line":
		if there := k.f.lines[QueueID(a.FieldByName("cfg").FieldByName("ID").String())]; !a.CanAddr() || there == nil || reflect.ValueOf(there).Pointer() != a.Addr().Pointer() {
			k.compare(where+".cfg", a.FieldByName("cfg"), b.FieldByName("cfg"))
			return
		}
	}
	skip := strings.Fields(passing[name])
	for i := range a.NumField() {
		if field := a.Type().Field(i).Name; !slices.Contains(skip, field) {
			k.compare(where+"."+field, a.Field(i), b.Field(i))
		}
	}
}

// An image stays as it was while the floor goes on.
func TestAnImageDoesNotMove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.alone = true
		for range rapid.IntRange(1, 60).Draw(t, "before") {
			w.next()
		}
		m, _ := w.f.Freeze()
		before, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for range 60 {
			w.next()
		}
		if after, err := m.Encode(); err != nil || !bytes.Equal(before, after) {
			t.Fatalf("the image has changed: %v", err)
		}
	})
}

// Whatever is broken in an image, it is refused or gives a floor, and nothing else.
func TestBrokenImagesAreRefused(t *testing.T) {
	c := newCrowd(t, size{20, 4, 30}, mixedQueues)
	m, ok := c.f.Freeze()
	if !ok {
		t.Fatal("not frozen")
	}
	whole, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Thaw(append([]byte{2 * (imageVersion + 1)}, whole[1:]...)); !errors.Is(err, ErrImage) {
		t.Errorf("another version: %v", err)
	}
	for n := range whole {
		if _, err := Thaw(whole[:n]); !errors.Is(err, ErrImage) {
			t.Fatalf("cut after %d of %d bytes: %v", n, len(whole), err)
		}
	}
}

func FuzzThaw(f *testing.F) {
	c := newCrowd(f, size{3, 2, 4}, mixedQueues)
	m, _ := c.f.Freeze()
	whole, err := m.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, image []byte) {
		if g, err := Thaw(image); err == nil {
			g.Snapshot(g.Now())
		}
	})
}

// BenchmarkImage is what an image of the floor costs: the floor stands still for
// freeze, and for nothing else.
func BenchmarkImage(b *testing.B) {
	for _, s := range []size{smallFloor, usualFloor} {
		c := newCrowd(b, s, mixedQueues)
		var last *Image
		b.Run(s.String()+"/freeze", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m, ok := c.f.Freeze()
				if !ok {
					b.Fatal("not frozen")
				}
				last = m
			}
			b.ReportMetric(float64(len(last.state)), "bytes")
			b.ReportMetric(float64(len(c.f.calls)), "calls")
		})
		var text []byte
		b.Run(s.String()+"/encode", func(b *testing.B) {
			for b.Loop() {
				var err error
				if text, err = last.Encode(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(text)), "bytes")
		})
		b.Run(s.String()+"/thaw", func(b *testing.B) {
			for b.Loop() {
				if _, err := Thaw(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
