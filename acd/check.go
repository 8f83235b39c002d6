package acd

import (
	"fmt"
	"slices"
	"time"
)

// Check looks for anything that must not be, at now and after a Step, and says
// what it found; nil when all is well. It goes over the whole floor, so it is
// for tests and for a supervisor's doubt, not for every event.
//
//  1. An agent has at most one call, a call at most one agent who has answered,
//     and both sides of a reservation know of each other.
//  2. Every reservation has a deadline, and none has passed.
//  3. Who is ready has a phone that answers, and wants calls.
//  4. No waiting call is left that a ready agent could take.
//  5. Counts and lists say what one finds by counting: agents by state, calls
//     by queue, each agent's time.
func (f *Floor) Check(now time.Time) []string {
	k := checker{f: f, now: now}
	if f.Violations > 0 {
		k.bad("%d illegal moves", f.Violations)
	}
	k.agents()
	k.calls()
	for _, l := range f.order {
		k.line(l)
	}
	k.timers()
	return k.found
}

type checker struct {
	f     *Floor
	now   time.Time
	found []string
}

func (k *checker) bad(format string, args ...any) {
	k.found = append(k.found, fmt.Sprintf(format, args...))
}

func (k *checker) agents() {
	f := k.f
	if len(f.roster) != len(f.agents) {
		k.bad("%d agents in the roster, %d known", len(f.roster), len(f.agents))
	}
	for _, a := range f.roster {
		if bad := f.agentFault(a); bad != "" {
			k.bad("agent %s %s", a.id, bad)
		}
		if a.leaving && a.atEase() {
			k.bad("agent %s was removed and is still %s", a.id, a.state)
		}
		for m := range media {
			if a.room[m] != f.takes(a, Medium(m)) {
				k.bad("agent %s: has room for %s: %v, while %s", a.id, Medium(m), a.room[m], a.state)
			}
		}
	}
}

func (k *checker) calls() {
	f, n := k.f, 0
	for c := f.first; c != nil; c = c.younger {
		n++
		if bad := f.callFault(c); bad != "" || c.state == CallOver {
			k.bad("call %s, %s: %s", c.id, c.state, bad)
		}
		if f.lines[c.line.cfg.ID] != c.line {
			k.bad("call %s is in a queue that is gone", c.id)
		}
		if _, there := c.line.waiting.find(c); there != (c.state == CallWaiting) {
			k.bad("call %s is %s; among those who wait: %v", c.id, c.state, there)
		}
		if (c.back != nil) != (c.back != nil && f.promised[c.back.key] == c) {
			k.bad("callback %s is not known by its number", c.id)
		}
		if _, there := c.line.ringing.find(c); there != (c.state == CallRinging && c.line.cfg.Strategy >= RingAll) {
			k.bad("call %s is %s; among those who ring more: %v", c.id, c.state, there)
		}
	}
	if n != len(f.calls) {
		k.bad("%d calls in order, %d known", n, len(f.calls))
	}
}

func (k *checker) line(l *line) {
	var in [agentStates]int
	able, strength := 0, 0
	for _, s := range l.seats {
		if s.agent.seatIn(l) != s {
			k.bad("queue %s: agent %s does not know the seat", l.cfg.ID, s.agent.id)
		}
		if s.listed != (s.ring >= 0 && s.agent.room[l.cfg.Medium]) {
			k.bad("queue %s: agent %s listed: %v, room: %v", l.cfg.ID, s.agent.id, s.listed, s.agent.room)
		}
		if s.ring >= 0 {
			if _, there := l.ready[s.ring].find(s); there != s.listed {
				k.bad("queue %s: agent %s in the ready row: %v, listed: %v", l.cfg.ID, s.agent.id, there, s.listed)
			}
		}
		if s.counted() {
			able++
			in[s.agent.state]++
			if s.agent.state.atWork() {
				strength += s.share
			}
		}
	}
	if in != l.in || able != l.able || strength != l.strength {
		k.bad("queue %s counts %v of %d, strength %d; one finds %v of %d, %d", l.cfg.ID, l.in, l.able, l.strength, in, able, strength)
	}
	k.lineCalls(l)
}

func (k *checker) lineCalls(l *line) {
	f := k.f
	calls, pending := 0, uint64(0)
	relaxed := make([]int, len(l.cfg.Relax)+1)
	for c := f.first; c != nil; c = c.younger {
		if c.line != l {
			continue
		}
		calls++
		if c.state == CallWaiting {
			relaxed[c.relaxed]++
		}
		if !(c.back != nil && !c.back.present) && (c.state != CallTalking || !c.answered.IsZero()) {
			pending++
		}
	}
	t := l.stats
	if calls != l.calls || t.Offered != t.Answered+t.Abandoned+t.Overflowed+t.Refused+t.Callbacks+pending {
		k.bad("queue %s: %d calls of %d, %d pending, %+v", l.cfg.ID, calls, l.calls, pending, t)
	}
	if !slices.Equal(relaxed, l.relaxed) {
		k.bad("queue %s: relaxed %v, counted %v", l.cfg.ID, relaxed, l.relaxed)
	}
	if !slices.IsSortedFunc(l.waiting.all(), byTurn) {
		k.bad("queue %s: those who wait are out of order", l.cfg.ID)
	}
	for i := range l.ready {
		if !slices.IsSortedFunc(l.ready[i].all(), l.bySeat) {
			k.bad("queue %s: those who are ready are out of order", l.cfg.ID)
		}
	}
	for _, c := range l.waiting.all() {
		if s := l.choose(c); s != nil {
			k.bad("call %s waits although %s is ready for it", c.id, s.agent.id)
		}
	}
}

func (k *checker) timers() {
	for i, t := range k.f.due.heap {
		if t.place != i+1 || i > 0 && k.f.due.before(i, (i-1)/2) {
			k.bad("deadline %d out of place", i)
		}
	}
	if t := k.f.due.next(); t != nil && !t.at.After(k.now) {
		k.bad("a deadline passed %s ago", k.now.Sub(t.at))
	}
}
