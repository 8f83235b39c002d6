package acd

import (
	"cmp"
	"flag"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// dumbMatch is the matching rule told as plainly as possible, without an index:
// every waiting call in turn, and for each the longest idle of all agents.
func dumbMatch(f *Floor) []string {
	var waiting []*call
	for c := f.first; c != nil; c = c.younger {
		if c.state == CallWaiting {
			waiting = append(waiting, c)
		}
	}
	turn := func(c *call) time.Time {
		return c.arrived.Add(-c.priority).Add(-time.Duration(c.line.cfg.Priority) * time.Second)
	}
	slices.SortFunc(waiting, func(a, b *call) int {
		return cmp.Or(turn(a).Compare(turn(b)), cmp.Compare(a.number, b.number))
	})
	taken := map[*agent]bool{}
	var offers []string
	for _, c := range waiting {
		var best *agent
		for _, a := range f.agents {
			if taken[a] || !mayTake(f, c, a) {
				continue
			}
			if best == nil || a.idle.Before(best.idle) || a.idle.Equal(best.idle) && a.id < best.id {
				best = a
			}
		}
		if best != nil {
			taken[best] = true
			offers = append(offers, fmt.Sprintf("%s to %s", c.id, best.id))
		}
	}
	return offers
}

func mayTake(f *Floor, c *call, a *agent) bool {
	if a.state != Ready || f.now.Before(a.backoff) {
		return false
	}
	seated := false
	for _, s := range a.seats {
		seated = seated || s.line == c.line
	}
	for _, skill := range c.line.cfg.Require {
		if a.skills[skill] < 1 || a.skills[skill] < c.line.cfg.MinLevel[skill] {
			return false
		}
	}
	for _, x := range c.excluded {
		again := x.cause == CauseNoAnswer && x.forgiven != a.forgiven
		if x.agent == a && !again && (x.until.IsZero() || f.now.Before(x.until)) {
			return false
		}
	}
	return seated
}

// stepAndCompare is Step, with the dumb matcher looking over its shoulder.
func stepAndCompare(t *rapid.T, f *Floor, now time.Time, ev Event) []Action {
	f.begin(now)
	f.apply(&ev)
	f.expire()
	want := dumbMatch(f)
	f.match()
	var got []string
	for _, a := range f.out {
		if o, ok := a.(Offer); ok {
			got = append(got, fmt.Sprintf("%s to %s", o.Call, o.Agent))
			checkMatch(t, o)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("offered %q; the plain rule offers %q", got, want)
	}
	out := f.out
	f.out = nil
	return out
}

// checkMatch: the reasons of an offer must agree with it.
func checkMatch(t *rapid.T, o Offer) {
	m := o.Match
	eligible, excluded := 0, 0
	for _, c := range m.Candidates {
		if c.Failed == "" {
			eligible++
		} else {
			excluded++
		}
	}
	if m.Winner != o.Agent || m.Call != o.Call || m.Offer != o.Offer || m.Candidates[0].Agent != o.Agent ||
		eligible != m.Eligible || excluded != m.Excluded || m.Position < 1 {
		t.Fatalf("the reasons of %+v do not fit: %+v", o, m)
	}
}

// world draws what happens on a small floor. What it knows of the floor it
// learns from the actions, like the switch.
type world struct {
	t      *rapid.T
	f      *Floor
	now    time.Time
	dice   *rand.Rand
	live   []CallID
	rung   []Offer
	talks  []Offer
	calls  int
	events []Record
}

var (
	someQueues = []QueueID{"q1", "q2", "q3"}
	someAgents = []AgentID{"a1", "a2", "a3", "a4"}
)

// newWorld starts a day that a few drawn numbers decide: rapid shrinks a failure
// to its shortest beginning, and the numbers replay it.
func newWorld(t *rapid.T) *world {
	seed := rapid.SliceOfN(rapid.Uint64(), 4, 4).Draw(t, "seed")
	w := &world{t: t, f: NewFloor(), now: day, dice: rand.New(rand.NewPCG(seed[0]^bits.RotateLeft64(seed[1], 17), seed[2]^bits.RotateLeft64(seed[3], 31)))}
	w.step(Event{Kind: Started, Config: w.config()})
	return w
}

func (w *world) number(below int) int { return w.dice.IntN(below) }

func (w *world) config() *Config {
	cfg := &Config{}
	for _, id := range someQueues {
		dice := w.number(1 << 16)
		if dice&7 == 7 && len(w.events) > 0 {
			continue // removed
		}
		q := Queue{ID: id, RingTimeout: 15 * time.Second, MaxOffers: 1 + dice>>3&1, OnNoAnswer: NoAnswer(dice >> 4 & 1)}
		if dice>>5&1 == 1 {
			q.WrapUp = 20 * time.Second
		}
		if dice>>6&1 == 1 {
			q.Require, q.MinLevel = []string{"fr"}, map[string]int{"fr": 1 + dice>>7&3}
		}
		q.Priority = dice >> 9 & 1 * 20
		q.Empty, q.EmptyTo = EmptyRule(dice>>10&3%3), someQueues[dice>>12%3]
		if dice>>13&1 == 1 {
			q.Overflow = []Overflow{{After: 25 * time.Second, To: someQueues[dice>>14%3]}, {After: time.Minute}}
		}
		q.ShortAbandon, q.Within = 5*time.Second, 20*time.Second
		cfg.Queues = append(cfg.Queues, q)
	}
	for _, id := range someAgents {
		dice := w.number(1 << 10)
		if dice&7 == 7 && len(w.events) > 0 {
			continue
		}
		a := AgentCfg{ID: id, Skills: map[string]int{"fr": dice >> 3 & 3}, ReadyOnRegister: dice>>5&3 > 0}
		for i, q := range someQueues {
			if dice>>(7+i)&1 == 1 {
				a.Queues = append(a.Queues, q)
			}
		}
		cfg.Agents = append(cfg.Agents, a)
	}
	return cfg
}

func (w *world) step(ev Event) {
	w.events = append(w.events, Record{Seq: uint64(len(w.events)), At: w.now, Event: ev})
	for _, a := range stepAndCompare(w.t, w.f, w.now, ev) {
		switch a := a.(type) {
		case Offer:
			w.rung = append(w.rung, a)
		case Connect:
			w.talks = append(w.talks, Offer{Call: a.Call, Agent: a.Agent, Offer: a.Offer})
		case Settled:
			w.live = slices.DeleteFunc(w.live, func(c CallID) bool { return c == a.Call })
		}
	}
	if bad := w.f.Check(w.now); bad != nil {
		w.t.Fatalf("after %v: %q", ev.Kind, bad)
	}
}

// next draws one event, now and then at the very moment of the next deadline.
func (w *world) next() {
	w.now = w.now.Add(time.Duration(w.number(8)*w.number(5)) * time.Second)
	agent := someAgents[w.number(len(someAgents))]
	ev := Event{Agent: agent, By: Agent}
	switch w.number(20) {
	case 0:
		ev = Event{Kind: Reconfigured, Config: w.config()}
	case 1:
		ev.Kind = Login
	case 2:
		ev.Kind = Logout
	case 3, 4:
		ev.Kind = MakeReady
	case 5:
		ev.Kind, ev.Reason = Pause, "lunch"
	case 6:
		ev.Kind = Unreachable
	case 7, 8:
		ev.Kind = Reachable
	case 9:
		ev.Kind = WrapUpDone
	case 10, 11, 12:
		w.calls++
		id := CallID(fmt.Sprintf("c%d", w.calls))
		w.live = append(w.live, id)
		ev = Event{Kind: Arrived, Call: id, Queue: someQueues[w.number(3)], Priority: 10 * w.number(2)}
	case 13, 14:
		if len(w.live) > 0 {
			ev = Event{Kind: Gone, Call: w.live[w.number(len(w.live))], By: Caller}
		}
	case 15, 16, 17:
		ev = w.aboutAnOffer()
	case 18:
		if len(w.talks) > 0 {
			o := w.talks[w.number(len(w.talks))]
			ev = Event{Kind: Bridged, Call: o.Call, Agent: o.Agent, Offer: o.Offer}
		}
	case 19:
		if at, ok := w.f.Deadline(); ok && at.After(w.now) {
			w.now = at
		}
		ev = Event{Kind: Tick}
	}
	w.step(ev)
}

// aboutAnOffer is news of any offer ever made, mostly the last ones.
func (w *world) aboutAnOffer() Event {
	if len(w.rung) == 0 {
		return Event{Kind: Tick}
	}
	back := min(w.number(3), len(w.rung)-1)
	o := w.rung[len(w.rung)-1-back]
	ev := Event{Kind: Answered, Call: o.Call, Agent: o.Agent, Offer: o.Offer}
	switch w.number(6) {
	case 0:
		ev.Kind = Alerting
	case 1, 2:
		ev.Kind = Failed
		ev.Cause = []Cause{CauseDeclined, CauseBusy, CauseUnreachable, CauseNoAnswer, CauseFailed}[w.number(5)]
	}
	return ev
}

func TestRandomFloorsKeepEveryInvariant(t *testing.T) {
	runs, steps := "20000", 40
	if testing.Short() {
		runs = "2000"
	}
	setRapidChecks(t, runs)
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, steps).Draw(t, "steps") {
			w.next()
		}
	})
}

// setRapidChecks asks for a number of runs, unless the command line already has.
func setRapidChecks(t *testing.T, runs string) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	if before != f.DefValue {
		return
	}
	if err := f.Value.Set(runs); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(before) })
}

// Days of up to 800 events. Whatever happens, everybody is back to rest once every caller has gone and
// time has passed: nobody is left reserved, rung or wrapping up, nothing is due.
func TestRandomFloorsComeToRest(t *testing.T) {
	setRapidChecks(t, "300")
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 800).Draw(t, "steps") {
			w.next()
		}
		for _, c := range slices.Clone(w.live) {
			w.step(Event{Kind: Gone, Call: c, By: Caller})
		}
		w.now = w.now.Add(time.Hour)
		w.step(Event{Kind: Tick})
		v := w.f.Snapshot(w.now)
		if len(v.Calls) != 0 {
			t.Fatalf("calls left: %+v", v.Calls)
		}
		for _, a := range v.Agents {
			if a.State > Ready || a.Call != "" {
				t.Fatalf("agent left in a call: %+v", a)
			}
		}
		if at, ok := w.f.Deadline(); ok {
			t.Fatalf("still waiting for %s", at)
		}
	})
}

func TestReplayDecidesTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.next()
		}
		journal := throughJSON(t, w.events)
		var first, second [][]Action
		_, hash := Replay(slices.Values(journal), func(_ Record, done []Action) { first = append(first, done) })
		g, again := Replay(slices.Values(journal), func(_ Record, done []Action) { second = append(second, done) })
		if hash != again || !reflect.DeepEqual(first, second) {
			t.Fatalf("a second run decides otherwise: %016x, %016x", hash, again)
		}
		if !reflect.DeepEqual(g.Snapshot(w.now), w.f.Snapshot(w.now)) {
			t.Fatal("the replay ends on another floor than the one it was recorded from")
		}
	})
}
