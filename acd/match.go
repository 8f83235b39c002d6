package acd

import "slices"

// Matching brings waiting calls and ready agents together in one order for all
// queues: the call that has waited longest, its head start counted, goes first,
// and takes the ready agent who has been idle longest of those it may have. So
// a call never waits because of another that cannot use the agent it needs.
//
// Between two steps no call and agent are left that could meet. Only what the
// present step has made new can therefore lead to an offer: agents who became
// ready, calls that began to wait or readmit an agent. The walk below looks at
// the lines of the new agents, as long as such an agent is left in them, and at
// the new calls, and is done.

// cursor walks calls in their turn: those waiting in a line, or the new ones.
type cursor struct {
	line  *line // nil for the new calls
	calls []*call
	at    int
}

func (k *cursor) head() *call {
	if k.line == nil {
		if k.at < len(k.calls) {
			return k.calls[k.at]
		}
		return nil
	}
	if all := k.line.waiting.all(); k.line.fresh > 0 && k.at < len(all) {
		return all[k.at]
	}
	return nil
}

func (f *Floor) match() {
	if len(f.freshAgents) == 0 && len(f.freshCalls) == 0 {
		return
	}
	walk := f.cursors()
	for {
		k := nextTurn(walk)
		if k == nil {
			break
		}
		c := k.head()
		k.at++
		if c.state != CallWaiting {
			continue
		}
		if a := c.line.choose(c); a != nil {
			if k.line != nil {
				k.at-- // the call leaves the row, its place is the next one's
			}
			f.offer(c, a)
		}
	}
	for _, c := range f.freshCalls {
		c.fresh = false
	}
	for _, a := range f.freshAgents {
		a.isFresh = false
	}
	clear(f.freshCalls)
	clear(f.freshAgents)
	f.freshCalls, f.freshAgents = f.freshCalls[:0], f.freshAgents[:0]
}

// cursors is what this match must look at.
func (f *Floor) cursors() []cursor {
	f.round++
	var walk []cursor
	for _, a := range f.freshAgents {
		if !a.listed {
			continue
		}
		for _, s := range a.seats {
			l := s.line
			if s.lacks != "" || l.waiting.len() == 0 {
				continue
			}
			if l.round != f.round {
				l.round, l.fresh = f.round, 0
				walk = append(walk, cursor{line: l})
			}
			l.fresh++
		}
	}
	if len(f.freshCalls) > 0 {
		slices.SortFunc(f.freshCalls, byTurn)
		walk = append(walk, cursor{calls: f.freshCalls})
	}
	return walk
}

// nextTurn is the cursor whose call comes first of all.
func nextTurn(walk []cursor) *cursor {
	var next *cursor
	var first *call
	for i := range walk {
		if c := walk[i].head(); c != nil && (first == nil || byTurn(c, first) < 0) {
			next, first = &walk[i], c
		}
	}
	return next
}

// choose is the agent whom a waiting call is offered to: of the ready ones of
// its queue the longest idle whom it does not leave out; nil if there is none.
func (l *line) choose(c *call) *agent {
	for _, a := range l.ready.all() {
		if _, out := c.excludes(a); !out {
			return a
		}
	}
	return nil
}

// claimed takes an agent who has been offered a call out of this match.
func (f *Floor) claimed(a *agent) {
	if !a.isFresh {
		return
	}
	for _, s := range a.seats {
		if s.lacks == "" && s.line.round == f.round {
			s.line.fresh--
		}
	}
}
