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
//  1. An agent has at most one call, a call at most one agent, and each of an
//     offer or a talk knows the other.
//  2. Whoever is being rung or wraps up has a deadline, and none has passed.
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
		onCall := a.state == Offered || a.state == Talking
		if onCall != (a.call != nil) {
			k.bad("agent %s is %s and has call %v", a.id, a.state, a.call != nil)
		}
		if c := a.call; c != nil {
			want := map[AgentState]CallState{Offered: CallRinging, Talking: CallTalking}[a.state]
			if c.agent != a || c.state != want || f.calls[c.id] != c {
				k.bad("agent %s is %s in call %s, which is %s", a.id, a.state, c.id, c.state)
			}
		}
		if (a.state == Offered || a.state == WrapUp) && a.due.place == 0 {
			k.bad("agent %s is %s without a deadline", a.id, a.state)
		}
		if a.state == Ready && (!a.reachable || a.want != wantsCalls || a.leaving) {
			k.bad("agent %s is ready: reachable %v, intent %d, leaving %v", a.id, a.reachable, a.want, a.leaving)
		}
		if a.leaving && a.atEase() {
			k.bad("agent %s was removed and is still %s", a.id, a.state)
		}
		if a.listed != (a.state == Ready && !a.backoff.After(f.now)) {
			k.bad("agent %s: listed %v while %s", a.id, a.listed, a.state)
		}
		sum := f.now.Sub(a.since)
		for _, d := range a.spent {
			sum += d
		}
		if sum != f.now.Sub(a.born) {
			k.bad("agent %s: the times in each state add up to %s of %s", a.id, sum, f.now.Sub(a.born))
		}
	}
}

func (k *checker) calls() {
	f, n := k.f, 0
	for c := f.first; c != nil; c = c.younger {
		n++
		withAgent := c.state == CallRinging || c.state == CallTalking
		if withAgent != (c.agent != nil) || c.state == CallOver {
			k.bad("call %s is %s and has agent %v", c.id, c.state, c.agent != nil)
		}
		if c.agent != nil && c.agent.call != c {
			k.bad("call %s has agent %s, who is in another", c.id, c.agent.id)
		}
		if f.lines[c.line.cfg.ID] != c.line {
			k.bad("call %s is in a queue that is gone", c.id)
		}
		if f.calls[c.id] != c {
			k.bad("call %s is not known by its id", c.id)
		}
		if _, there := c.line.waiting.find(c); there != (c.state == CallWaiting) {
			k.bad("call %s is %s; among those who wait: %v", c.id, c.state, there)
		}
	}
	if n != len(f.calls) {
		k.bad("%d calls in order, %d known", n, len(f.calls))
	}
}

func (k *checker) line(l *line) {
	f := k.f
	var in [WrapUp + 1]int
	able := 0
	for _, s := range l.seats {
		if s.agent.seatIn(l) != s {
			k.bad("queue %s: agent %s does not know the seat", l.cfg.ID, s.agent.id)
		}
		if s.lacks != "" {
			continue
		}
		able++
		in[s.agent.state]++
		if _, there := l.ready.find(s.agent); there != s.agent.listed {
			k.bad("queue %s: agent %s in the ready row: %v, listed: %v", l.cfg.ID, s.agent.id, there, s.agent.listed)
		}
	}
	if in != l.in || able != l.able {
		k.bad("queue %s counts %v of %d, one finds %v of %d", l.cfg.ID, l.in, l.able, in, able)
	}
	calls, pending := 0, uint64(0)
	for c := f.first; c != nil; c = c.younger {
		if c.line != l {
			continue
		}
		calls++
		if c.state != CallTalking || !c.answered.IsZero() {
			pending++
		}
	}
	t := l.stats
	if calls != l.calls || t.Offered != t.Answered+t.Abandoned+t.Overflowed+t.Refused+pending {
		k.bad("queue %s: %d calls of %d, %d pending, %+v", l.cfg.ID, calls, l.calls, pending, t)
	}
	if !slices.IsSortedFunc(l.waiting.all(), byTurn) || !slices.IsSortedFunc(l.ready.all(), byIdle) {
		k.bad("queue %s is out of order", l.cfg.ID)
	}
	for _, c := range l.waiting.all() {
		if a := l.choose(c); a != nil {
			k.bad("call %s waits although %s is ready for it", c.id, a.id)
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
