package acd

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Liveness: after no step, wherever in the line calls stand and by whatever they got
// there, does a call wait that an agent who is free may take. Said without the
// floor's own index: every waiting call against every agent.
func TestNobodyWaitsBesideAFreeAgent(t *testing.T) {
	waited := 0
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if w.one(3) { // a call with any head start, so that it is put anywhere
				w.calls++
				id := CallID(fmt.Sprintf("c%d", w.calls))
				w.live = append(w.live, id)
				w.step(Event{Kind: Arrived, Call: id, Queue: someQueues[w.number(3)], Priority: w.number(200) - 100})
			} else {
				w.next()
			}
			for _, c := range dumbTurns(w.f, CallWaiting) {
				waited++
				for relaxed := range c.relaxed + 1 {
					for _, a := range w.f.roster {
						if mayTake(w.f, c, a, relaxed, nil) {
							t.Fatalf("%s waits beside %s", c.id, a.id)
						}
					}
				}
			}
		}
	})
	if waited == 0 {
		t.Error("nobody ever waited: this has tested nothing")
	}
}

// No call starves: on a day of bounded head starts, every call is offered within a
// time that can be told beforehand, as long as an agent who may take it gets free
// often enough, however many others come meanwhile.
func TestNoCallStarves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		agents := rapid.IntRange(1, 4).Draw(t, "agents")
		q := Queue{
			RingTimeout: 15 * time.Second, MaxOffers: 99, OnNoAnswer: StayReady,
			Strategy: Strategy(rapid.IntRange(0, 8).Draw(t, "strategy")), AtOnce: 2, NextAfter: 3 * time.Second,
		}
		f := plainFloor(t, agents, q)
		const talk, most = 10 * time.Second, 60 // a call's head start, in seconds
		now, calls := day, 0
		arrived := map[CallID]time.Time{}
		ends := map[CallID]time.Time{}
		var rung []Offer
		step := func(ev Event) {
			done := f.Step(now, ev)
			for _, o := range of[Offer](done) {
				delete(arrived, o.Call)
			}
			rung = append(rung, of[Offer](done)...)
			for _, c := range of[Connect](done) {
				ends[c.Call] = now.Add(talk)
			}
		}
		for range rapid.IntRange(50, 400).Draw(t, "seconds") {
			now = now.Add(time.Second)
			// One call a second is ten times what one agent can take: the line only grows.
			calls++
			id := CallID(fmt.Sprint("c", calls))
			arrived[id] = now
			step(Event{Kind: Arrived, Call: id, Queue: "sales", Priority: rapid.IntRange(0, most).Draw(t, "priority")})
			for len(rung) > 0 {
				o := rung[0]
				rung = rung[1:]
				step(answer(o))
			}
			for _, id := range slices.Sorted(maps.Keys(ends)) {
				if !ends[id].After(now) {
					delete(ends, id)
					step(Event{Kind: Gone, Call: id, By: Caller, Cause: CauseHangup})
				}
			}
			// Before a call may go only those who came before it, and those of the next
			// minute with a head start. Each second brought one; an agent takes 10 s for one.
			for id, at := range arrived {
				ahead := at.Sub(day)/time.Second + most
				if bound := (ahead/time.Duration(agents) + 1) * (talk + 2*time.Second); now.Sub(at) > bound {
					t.Fatalf("%s has waited for %s, and should for %s at most", id, now.Sub(at), bound)
				}
			}
		}
		if bad := f.Check(now); bad != nil {
			t.Fatal(bad)
		}
	})
}

// The time of an agent is conserved: their states, put one after the other as they
// were announced, cover the day without a gap, and add up to what is counted of each.
func TestNoSecondOfAnAgentsDayIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			w.next()
		}
		type stretch struct {
			of    *agent // who is removed and comes back is somebody new
			state AgentState
			since time.Time
			spent [agentStates]time.Duration
		}
		days := map[AgentID]*stretch{}
		f := NewFloor()
		for _, r := range w.events {
			done := f.Step(r.At, r.Event)
			for _, a := range f.roster {
				if days[a.id] == nil || days[a.id].of != a {
					days[a.id] = &stretch{of: a, since: a.born}
				}
			}
			for _, m := range of[Moved](done) {
				d := days[m.Agent]
				if d == nil {
					t.Fatalf("%s moves and is not there", m.Agent)
				}
				if m.From != d.state {
					t.Fatalf("%s goes from %s, and was %s", m.Agent, m.From, d.state)
				}
				d.spent[d.state] += m.Since.Sub(d.since)
				d.state, d.since = m.To, m.Since
			}
		}
		for _, v := range f.Snapshot(w.now).Agents {
			d := days[v.ID]
			d.spent[d.state] += w.now.Sub(d.since)
			sum := time.Duration(0)
			for _, spent := range v.Spent {
				sum += spent
			}
			if v.Spent != d.spent || sum != w.now.Sub(f.agents[v.ID].born) {
				t.Fatalf("%s: counted %v, announced %v, %s of %s", v.ID, v.Spent, d.spent, sum, w.now.Sub(f.agents[v.ID].born))
			}
		}
	})
}
