package acd

import "slices"

// Matching brings waiting calls and agents with room together in one order for
// all queues: the call that has waited longest, its head start counted, goes
// first, and takes the agent its queue's strategy puts first of those it may
// have. So a call never waits because of another that cannot use the agent it needs.
//
// Between two steps no call and agent are left that could meet. Only what the
// present step has made new can therefore lead to an offer: agents who got room,
// calls that began to wait, took a step of relaxation or readmit an agent. The
// walk below looks at the lines of the new agents, as long as such an agent is
// left in them, and at the new calls, and is done. What it leaves over may then
// be rung for calls that ring several agents at once.

// cursor walks calls in their turn: those waiting in a line, or the new ones.
type cursor struct {
	line  *line // nil for the new calls
	calls []*call
	at    int
	left  int // calls of the line that may still use one of its new agents
}

func (k *cursor) head() *call {
	if k.line == nil {
		if k.at < len(k.calls) {
			return k.calls[k.at]
		}
		return nil
	}
	if all := k.line.waiting.all(); k.line.fresh > 0 && k.left > 0 && k.at < len(all) {
		return all[k.at]
	}
	return nil
}

func (f *Floor) match() {
	if len(f.freshAgents) == 0 && len(f.freshCalls) == 0 && len(f.growing) == 0 {
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
		if k.line != nil && c.relaxed >= k.line.least {
			k.left--
		}
		if s := c.line.choose(c); s != nil {
			if k.line != nil {
				k.at-- // the call leaves the row, its place is the next one's
			}
			f.offer(c, s)
			f.widen(c)
		}
	}
	f.spread()
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
	walk := f.walk[:0]
	for _, a := range f.freshAgents {
		for _, s := range a.seats {
			l := s.line
			if !s.listed || l.waiting.len() == 0 {
				continue
			}
			if l.round != f.round {
				l.round, l.fresh, l.least = f.round, 0, s.ring
				walk = append(walk, cursor{line: l})
			}
			s.round = f.round
			l.fresh++
			l.least = min(l.least, s.ring)
		}
	}
	for i := range walk {
		k := &walk[i]
		for _, n := range k.line.relaxed[k.line.least:] {
			k.left += n
		}
	}
	if len(f.freshCalls) > 0 {
		slices.SortFunc(f.freshCalls, byTurn)
		walk = append(walk, cursor{calls: f.freshCalls})
	}
	f.walk = walk
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

// spread rings agents left over for calls that may ring several.
func (f *Floor) spread() {
	for _, a := range f.freshAgents {
		for _, s := range a.seats {
			if !s.listed || s.line.ringing.len() == 0 || s.line.spread == f.round {
				continue
			}
			s.line.spread = f.round
			for _, c := range s.line.ringing.all() {
				f.widen(c)
			}
		}
	}
	if len(f.growing) == 0 {
		return
	}
	slices.SortFunc(f.growing, byTurn)
	for _, c := range f.growing {
		c.growing = false
		for c.state == CallRinging && len(c.rings) < c.mayRing() {
			s := c.line.choose(c)
			if s == nil {
				break
			}
			f.offer(c, s)
		}
	}
	clear(f.growing)
	f.growing = f.growing[:0]
}
