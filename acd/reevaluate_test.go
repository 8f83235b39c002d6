package acd

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// reevaluate finds the winner of a match anew, from what the match says alone and
// the plain rule of its strategy. "" when the match left no choice.
func reevaluate(m *Match, listed func(*Candidate) bool) AgentID {
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
	if m.Strategy == WeightedRandom {
		return redraw(m, listed)
	}
	return slices.MinFunc(free, func(a, b Candidate) int {
		rule := 0
		switch m.Strategy {
		case FewestCalls, LeastTalk, RoundRobin, TopDown:
			rule = cmp.Compare(a.Rank, b.Rank)
		case SkillThenIdle:
			rule = cmp.Compare(b.Level, a.Level)
		}
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.Tier, b.Tier), rule, cmp.Compare(b.Idle, a.Idle), cmp.Compare(a.Agent, b.Agent))
	}).Agent
}

// redraw draws the same lots over those of the first step and tier: the free, and
// those the call leaves out, whose lots do not count.
func redraw(m *Match, listed func(*Candidate) bool) AgentID {
	w := m.Candidates[slices.IndexFunc(m.Candidates, func(c Candidate) bool { return c.Agent == m.Winner })]
	var row []Candidate
	for _, c := range m.Candidates {
		if c.Failed == "" && c.Step == w.Step && c.Tier == w.Tier || c.Failed != "" && listed(&c) && c.Tier == w.Tier {
			row = append(row, c)
		}
	}
	slices.SortFunc(row, func(a, b Candidate) int { return cmp.Compare(a.Agent, b.Agent) })
	lot := uint64(m.Offer)
	for _, b := range []byte(m.Call) {
		lot = (lot ^ uint64(b)) * 0x100000001b3
	}
	for range 64 {
		hi, lo := bits.Mul64(lot^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
		lot = hi ^ lo
		c := row[lot%uint64(len(row))]
		weight := uint64(c.Level)
		if weight == 0 {
			weight = 5
		}
		if c.Failed == "" && lot>>40%5 < weight {
			return c.Agent
		}
	}
	return row[slices.IndexFunc(row, func(c Candidate) bool { return c.Failed == "" })].Agent
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
				again := reevaluate(m, func(c *Candidate) bool { return f.wasListed(m, c) })
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

// wasListed says whether an agent the call left out stood in the row drawn from
// all the same.
func (f *Floor) wasListed(m *Match, c *Candidate) bool {
	switch c.Failed {
	case "declined", "busy", "no_answer", "unreachable", "failed":
	default:
		return false
	}
	a := f.agents[c.Agent]
	s := a.seatIn(f.lines[m.Queue])
	w := f.agents[m.Winner].seatIn(f.lines[m.Queue])
	return s != nil && w != nil && s.ring == w.ring && a.reachable && !a.backoff.After(f.now)
}
