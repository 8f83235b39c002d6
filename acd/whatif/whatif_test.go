package whatif

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/acd"
)

var morning = time.Date(2026, time.November, 24, 7, 0, 0, 0, time.UTC)

// busy is a day with a little too few agents.
func busy(calls, agents int) Plan {
	return Plan{
		Begin: morning, Length: 10 * time.Hour, Calls: calls, Agents: agents, Queues: 4,
		Talk: 4 * time.Minute, Wrap: 30 * time.Second, Patience: 3 * time.Minute, Seed: 7,
	}
}

// recorded is a day as a journal has it, and its figures.
func recorded(t testing.TB, p Plan) ([]acd.Record, Figures) {
	t.Helper()
	var records []acd.Record
	count := NewTally(time.Time{}, time.Time{})
	p.Made(func(r acd.Record, done []acd.Action) {
		records = append(records, r)
		count.Observe(r, done)
	})
	return records, count.Figures(time.Time{})
}

func learned(records []acd.Record) *Day {
	l := NewLearner()
	acd.Replay(slices.Values(records), l.Observe)
	return l.Day()
}

func played(d *Day, c Change) Figures {
	count := NewTally(time.Time{}, time.Time{})
	d.Run(c, count.Observe)
	return count.Figures(d.end)
}

func level(q *QueueFigures) float64 {
	l, _ := q.ServiceLevel()
	return l
}

func TestAMadeDayIsARealOne(t *testing.T) {
	records, f := recorded(t, busy(2000, 30))
	floor, hash := acd.Replay(slices.Values(records), nil)
	if bad := floor.Check(records[len(records)-1].At); bad != nil || floor.Violations > 0 {
		t.Fatal(bad)
	}
	again, _ := recorded(t, busy(2000, 30))
	if _, h := acd.Replay(slices.Values(again), nil); h != hash {
		t.Error("the same plan makes another day")
	}
	if q := &f.Total; q.Offered != 2000 || q.Answered < 1500 || q.Abandoned < 100 || q.Offered != q.Answered+q.Abandoned+q.Refused+q.Moved {
		t.Errorf("%+v", q)
	}
	t.Logf("%d records; %+v", len(records), f.Total)
}

// Without a change nothing need be drawn that matters: the day comes out exactly as
// it was, to the last wait of the last caller.
func TestADayWithoutAChangeComesOutAsItWas(t *testing.T) {
	for _, agents := range []int{26, 30, 40} {
		records, was := recorded(t, busy(2000, agents))
		is := played(learned(records), Change{})
		if !reflect.DeepEqual(was, is) {
			t.Errorf("%d agents: was\n%+v\nis\n%+v", agents, was, is)
		}
	}
}

// Where the journal says less than everything (here the agents change their minds:
// their offers are drawn by another seed), figures must still be close: the service level
// within 4 points, the answered within 2 %, the mean wait within 15 %, the occupancy
// within 1 point.
func TestADayWithOtherLuckComesOutClose(t *testing.T) {
	for _, agents := range []int{26, 30, 40} {
		records, was := recorded(t, busy(2000, agents))
		d := learned(records)
		for _, c := range d.callers {
			c.offers = nil
		}
		is := played(d, Change{})
		a, b := &was.Total, &is.Total
		occupied, _ := a.Occupancy()
		occupies, _ := b.Occupancy()
		for _, x := range []struct {
			what     string
			was, is  float64
			tolerate float64
		}{
			{"offered", float64(a.Offered), float64(b.Offered), 0},
			{"service level", level(a), level(b), 0.04},
			{"answered", 1, float64(b.Answered) / float64(a.Answered), 0.02},
			{"mean wait", 1, float64(b.Mean) / float64(a.Mean), 0.15},
			{"occupancy", occupied, occupies, 0.01},
			{"logged in", 1, float64(b.LoggedIn) / float64(a.LoggedIn), 0.01},
		} {
			t.Logf("%d agents, %s: was %.4f, is %.4f", agents, x.what, x.was, x.is)
			if math.Abs(x.was-x.is) > x.tolerate {
				t.Errorf("%d agents, %s: was %.4f, is %.4f", agents, x.what, x.was, x.is)
			}
		}
	}
}

func TestTheSameQuestionHasTheSameAnswer(t *testing.T) {
	records, _ := recorded(t, busy(800, 12))
	c := Change{Add: 2, Skills: map[string]int{"fr": 4}, Strategy: map[acd.QueueID]acd.Strategy{"": acd.RoundRobin}}
	first := played(learned(records), c)
	for range 3 {
		if again := played(learned(records), c); !reflect.DeepEqual(first, again) {
			t.Fatalf("%+v\n%+v", first, again)
		}
	}
}

func TestMoreAgentsDoNotMakeCallersWait(t *testing.T) {
	records, _ := recorded(t, busy(2000, 28))
	d := learned(records)
	before := played(d, Change{})
	for _, add := range []int{2, 5, 10} {
		after := played(d, Change{Add: add, Skills: map[string]int{"fr": 4}})
		a, b := &before.Total, &after.Total
		if b.Mean > a.Mean || level(b) < level(a) || b.Abandoned > a.Abandoned || b.LoggedIn <= a.LoggedIn {
			t.Errorf("with %d more: %+v\nbefore %+v", add, b, a)
		}
		t.Logf("with %d more: level %.3f, mean %s, abandoned %d, logged in %s", add, level(b), b.Mean, b.Abandoned, b.LoggedIn)
		before = after
	}
	fewer := played(d, Change{Remove: []acd.AgentID{"agent0001", "agent0002", "agent0003"}})
	if same := played(d, Change{}); fewer.Total.Mean < same.Total.Mean || level(&fewer.Total) > level(&same.Total) {
		t.Errorf("with three fewer: %+v\nbefore %+v", fewer.Total, same.Total)
	}
}

// Every strategy plays the day to its end, and the floor finds nothing wrong.
func TestEveryStrategyPlaysADay(t *testing.T) {
	records, _ := recorded(t, busy(600, 10))
	d := learned(records)
	for s := acd.LongestIdle; s <= acd.RingProgressively; s++ {
		f := played(d, Change{Strategy: map[acd.QueueID]acd.Strategy{"": s}})
		if q := &f.Total; q.Offered != 600 || q.Answered+q.Abandoned+q.Refused < 580 {
			t.Errorf("%s: %+v", s, q)
		}
	}
}

func TestWhatDoesNotFitTheDayIsSaid(t *testing.T) {
	records, _ := recorded(t, busy(50, 3))
	d := learned(records)
	for want, c := range map[string]Change{
		"": {Add: 1, Skills: map[string]int{"fr": 1}},
		"queue sales was not there on that day; there were queue01, queue02, queue03, queue04":      {Add: 1, Queues: []acd.QueueID{"sales"}},
		"queue nil was not there on that day; there were queue01, queue02, queue03, queue04":        {Strategy: map[acd.QueueID]acd.Strategy{"nil": acd.TopDown}},
		"the other configuration has no queue queue01, for which 14 calls came":                     {Config: &acd.Config{}},
		"agent bo was not there on that day":                                                        {Remove: []acd.AgentID{"bo"}},
		"the added agents qualify for no queue; give them skills that a queue asks, or name queues": {Add: 1},
	} {
		got := ""
		if err := d.Check(c); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
}

// Restarts, callbacks, lost lines, holds and every way to wrap up: a day of all of
// them is taken apart and played without the floor finding anything wrong.
func TestADayOfEverythingPlays(t *testing.T) {
	cfg := &acd.Config{
		Queues: []acd.Queue{
			{ID: "sales", MaxOffers: 1, RingTimeout: 15 * time.Second, WrapMode: acd.WrapCoded, WrapUp: 20 * time.Second, Rejoin: 5 * time.Second, Within: 20 * time.Second,
				Callback: acd.Callback{Attempts: 2, Retry: time.Minute, DialFor: 20 * time.Second}},
			{ID: "help", MaxOffers: 1, RingTimeout: 15 * time.Second, WrapMode: acd.WrapExtendable, WrapUp: 10 * time.Second, ExtendBy: 10 * time.Second, MaxExtend: 2,
				Callback: acd.Callback{Attempts: 1, CallerFirst: true}},
		},
		Agents: []acd.AgentCfg{{ID: "ana", Queues: []acd.QueueID{"sales", "help"}}, {ID: "bo", Queues: []acd.QueueID{"sales"}}},
	}
	type at struct {
		s  int
		ev acd.Event
	}
	offer := func(k acd.Kind, c acd.CallID, a acd.AgentID, n acd.OfferID) acd.Event {
		return acd.Event{Kind: k, Call: c, Agent: a, Offer: n, By: acd.Agent}
	}
	var records []acd.Record
	for i, e := range []at{
		{0, acd.Event{Kind: acd.Started, Config: cfg}},
		{0, acd.Event{Kind: acd.Reachable, Agent: "ana"}}, {1, acd.Event{Kind: acd.MakeReady, Agent: "ana", By: acd.Agent}},
		{2, acd.Event{Kind: acd.Arrived, Call: "c1", Queue: "sales"}},
		{4, offer(acd.Answered, "c1", "ana", 1)}, {4, offer(acd.Bridged, "c1", "ana", 1)},
		{10, offer(acd.Held, "c1", "ana", 1)}, {15, offer(acd.Resumed, "c1", "ana", 1)}, {20, offer(acd.LinkLost, "c1", "ana", 1)},
		{22, acd.Event{Kind: acd.Reachable, Agent: "bo"}}, {22, acd.Event{Kind: acd.MakeReady, Agent: "bo", By: acd.Agent}},
		{25, acd.Event{Kind: acd.Tick}}, // to the head of the queue, and to bo
		{27, offer(acd.Answered, "c1", "bo", 2)}, {27, offer(acd.Bridged, "c1", "bo", 2)},
		{30, acd.Event{Kind: acd.Logout, Agent: "ana", By: acd.Agent}},
		{60, acd.Event{Kind: acd.Gone, Call: "c1", By: acd.Caller, Cause: acd.CauseHangup}},
		{75, acd.Event{Kind: acd.WrapUpDone, Agent: "bo", Reason: "sold", By: acd.Agent}},
		{80, acd.Event{Kind: acd.Pause, Agent: "bo", Reason: "lunch", By: acd.Agent}},
		{90, acd.Event{Kind: acd.Arrived, Call: "c2", Queue: "sales", Facts: &acd.Facts{From: "+33612345678"}}},
		{95, acd.Event{Kind: acd.CallbackAsked, Call: "b2", Origin: "c2", Queue: "sales", Number: "+33612345678"}},
		{200, acd.Event{Kind: acd.MakeReady, Agent: "bo", By: acd.Agent}},
		{203, offer(acd.Answered, "b2", "bo", 1)}, {210, acd.Event{Kind: acd.CallerMissed, Call: "b2", Cause: acd.CauseBusy}},
		{270, acd.Event{Kind: acd.Tick}}, {273, offer(acd.Answered, "b2", "bo", 2)}, {280, acd.Event{Kind: acd.CallerBack, Call: "b2"}},
		{280, offer(acd.Bridged, "b2", "bo", 2)}, {330, acd.Event{Kind: acd.Gone, Call: "b2", By: acd.Agent, Cause: acd.CauseHangup}},
		{400, acd.Event{Kind: acd.CallbackAsked, Call: "b3", Queue: "help", Number: "+33612345679"}},
		{401, acd.Event{Kind: acd.MakeReady, Agent: "ana", By: acd.Agent}},
		{410, acd.Event{Kind: acd.Arrived, Call: "c4", Queue: "help"}},
		{420, acd.Event{Kind: acd.CallerMissed, Call: "b3", Cause: acd.CauseNoAnswer}},
		{424, offer(acd.Answered, "c4", "ana", 1)}, {424, offer(acd.Bridged, "c4", "ana", 1)},
		{450, acd.Event{Kind: acd.Gone, Call: "c4", By: acd.Caller, Cause: acd.CauseHangup}}, {460, acd.Event{Kind: acd.Tick}},
		{500, acd.Event{Kind: acd.Started, Config: cfg}},
		{501, acd.Event{Kind: acd.Reachable, Agent: "ana"}}, {502, acd.Event{Kind: acd.MakeReady, Agent: "ana", By: acd.Agent}},
		{510, acd.Event{Kind: acd.Arrived, Call: "c5", Queue: "help"}},
		{513, offer(acd.Answered, "c5", "ana", 1)}, {513, offer(acd.Bridged, "c5", "ana", 1)},
		{540, acd.Event{Kind: acd.Gone, Call: "c5", By: acd.Caller, Cause: acd.CauseHangup}},
		{545, acd.Event{Kind: acd.Extend, Agent: "ana", By: acd.Agent}}, {560, acd.Event{Kind: acd.Tick}},
		{600, acd.Event{Kind: acd.Logout, Agent: "ana", By: acd.Agent}},
	} {
		records = append(records, acd.Record{Seq: uint64(i + 1), At: morning.Add(time.Duration(e.s) * time.Second), Event: e.ev})
	}
	count := NewTally(time.Time{}, time.Time{})
	acd.Replay(slices.Values(records), count.Observe)
	was := count.Figures(time.Time{})
	d := learned(records)
	is := played(d, Change{})
	if was.Total != is.Total {
		t.Errorf("was\n%+v\nis\n%+v", was.Total, is.Total)
	}
	if q := was.Total; q.Offered != 5 || q.Answered != 4 || q.Returned != 1 || q.Callbacks != 1 {
		t.Errorf("%+v", q)
	}
	text, err := json.Marshal(is)
	if err != nil || !strings.Contains(string(text), `"queue":"sales"`) || !strings.Contains(string(text), `"service_level":1`) {
		t.Errorf("%s, %v", text, err)
	}
	for s := acd.LongestIdle; s <= acd.RingProgressively; s++ {
		played(d, Change{Strategy: map[acd.QueueID]acd.Strategy{"": s}, Remove: []acd.AgentID{"bo"}})
	}
}

// The estimate of Kaplan and Meier, by hand: of five callers two leave after 10 s
// and 30 s, the others are answered after 20 s, 30 s and 40 s.
func TestPatience(t *testing.T) {
	var p patience
	for _, w := range []struct {
		s    int
		left bool
	}{{30, false}, {10, true}, {20, false}, {30, true}, {40, false}} {
		p.saw(time.Duration(w.s)*time.Second, w.left)
	}
	p.settle()
	if len(p.steps) != 2 || math.Abs(p.steps[0].share-0.8) > 1e-12 || math.Abs(p.steps[1].share-0.8*2/3) > 1e-12 {
		t.Fatalf("%+v", p.steps)
	}
	leave := map[time.Duration]int{}
	beyond := 0
	const n = 30000
	for i := range n {
		d := p.beyond(15*time.Second, lot("caller", string(rune(i))))
		if d <= 15*time.Second {
			t.Fatalf("patient for %s, and waited longer", d)
		}
		if leave[d]++; d > 30*time.Second {
			beyond++
		}
	}
	if share := float64(leave[30*time.Second]) / n; math.Abs(share-1.0/3) > 0.02 {
		t.Errorf("%.3f leave after 30 s, want a third", share)
	}
	if share := float64(beyond) / n; math.Abs(share-2.0/3) > 0.02 {
		t.Errorf("%.3f stay longer, want two thirds", share)
	}
	var nobody patience
	nobody.saw(time.Second, false)
	nobody.settle()
	if d := nobody.beyond(0, 1); d < never {
		t.Errorf("nobody ever left, and one is patient for %s only", d)
	}
}
