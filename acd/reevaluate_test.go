package acd

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// reevaluate finds the winner of a match anew, from what the match says alone and
// the plain rule of its strategy. "" when the match left no choice.
func reevaluate(m *Match) AgentID {
	if m.Wanted != "" {
		return m.Wanted
	}
	var free []Candidate
	for _, c := range m.Candidates {
		if c.Failed == "" {
			c.Tier = max(c.Tier, 1)
			free = append(free, c)
		}
	}
	return slices.MinFunc(free, func(a, b Candidate) int {
		rule := 0
		switch m.Strategy {
		case FewestCalls, LeastTalk, RoundRobin, TopDown:
			rule = cmp.Compare(a.Rank, b.Rank)
		case SkillThenIdle:
			rule = cmp.Compare(b.Level, a.Level)
		case WeightedRandom:
			rule = cmp.Compare(lotOf(m.Call, m.Offer, b.Agent, b.Level), lotOf(m.Call, m.Offer, a.Agent, a.Level))
		}
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.Tier, b.Tier), rule, cmp.Compare(b.Idle, a.Idle), cmp.Compare(a.Agent, b.Agent))
	}).Agent
}

// An explanation is worth something only if whoever reads it comes to the same
// winner.
func TestReevaluatingAnExplanationGivesTheSameWinner(t *testing.T) {
	runs := "3000"
	if testing.Short() {
		runs = "1500" // of which rapid makes a fifth
	}
	setRapidChecks(t, runs)
	var judged, several [RingProgressively + 1]int
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.alone = true // what is judged here is the reasons, not the floor
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if w.one(8) {
				w.calm()
			}
			w.next()
		}
		dialled := map[CallID]OfferID{}
		f := NewFloor()
		for _, r := range w.events {
			for _, a := range f.Step(r.At, r.Event) {
				if d, is := a.(Dial); is {
					dialled[d.Call] = d.Offer
				}
				o, is := a.(Offer)
				if !is || o.Rejoin || dialled[o.Call] == o.Offer { // whose agent was given
					continue
				}
				m := o.Match
				again := reevaluate(m)
				if again != m.Winner {
					t.Fatalf("%s to %s: the rule %s chooses %s from %+v", m.Call, m.Winner, m.Strategy, again, m.Candidates)
				}
				judged[m.Strategy]++
				if m.Eligible > 1 {
					several[m.Strategy]++
				}
				for _, c := range m.Candidates[1:] {
					rule, behind := m.Behind(c.Agent)
					if c.Failed == "" && (!behind || rule == ByNothing) || c.Failed != "" && behind && m.Wanted == "" {
						t.Fatalf("%s stood behind %s by rule %d, %v: %+v", c.Agent, m.Winner, rule, behind, m)
					}
				}
			}
		}
	})
	for s := range judged {
		if t.Logf("%s: %d winners, %d of several", Strategy(s), judged[s], several[s]); several[s] == 0 {
			t.Errorf("no choice of %s was judged", Strategy(s))
		}
	}
}

// calm frees everybody and makes them ready, so that the next calls have a choice.
func (w *world) calm() {
	for _, c := range slices.Clone(w.live) {
		w.step(Event{Kind: Gone, Call: c, By: Caller})
	}
	for _, a := range someAgents {
		for _, k := range []Kind{WrapUpDone, Reachable, MakeReady} {
			w.step(Event{Kind: k, Agent: a, By: Agent, Reason: "solved"})
		}
	}
	for range 3 {
		w.now = w.now.Add(time.Second)
		w.calls++
		id := CallID(fmt.Sprintf("c%d", w.calls))
		w.live = append(w.live, id)
		w.step(Event{Kind: Arrived, Call: id, Queue: someQueues[w.number(3)]})
	}
}
