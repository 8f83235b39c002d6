package acd

import (
	"math"
	"time"
)

// choose is the seat whose agent a call is offered to: of those with room that
// qualify for it, the first by the queue's strategy whom the call does not leave
// out; nil if there is none.
func (l *line) choose(c *call) *seat {
	if c.prefer != nil {
		s := c.prefer.seatIn(l)
		if s == nil || !s.listed || s.ring > c.relaxed {
			return nil
		}
		if _, out := c.excludes(s.agent); out {
			return nil
		}
		return s
	}
	for ring := range min(c.relaxed+1, len(l.ready)) {
		row := l.ready[ring].all()
		if l.cfg.Strategy == WeightedRandom {
			if s := draw(row, c); s != nil {
				return s
			}
			continue
		}
		for _, s := range row {
			if _, out := c.excludes(s.agent); !out {
				return s
			}
		}
	}
	return nil
}

// draw takes one of the first tier of a row that has somebody the call does not
// leave out, by chance, in proportion to level: each draws as many lots as their
// level, and the highest lot wins. A lot is made of the call's id, the number of
// the offer and the agent's id alone, so that a replay draws the same, and whoever
// reads the reasons of the offer too.
func draw(row []*seat, c *call) *seat {
	var best *seat
	var highest uint64
	for _, s := range row {
		if best != nil && s.tier != best.tier {
			break
		}
		if _, out := c.excludes(s.agent); out {
			continue
		}
		if lot := lotOf(c.id, c.offer+1, s.agent.id, s.level); best == nil || lot > highest {
			best, highest = s, lot
		}
	}
	return best
}

// lotOf is the highest of the lots an agent of a level draws for an offer. Where a
// queue requires nothing, all draw one.
func lotOf(c CallID, n OfferID, a AgentID, level int) uint64 {
	seed := uint64(n)
	for _, id := range [...]string{string(c), string(a)} {
		for i := range len(id) {
			seed = (seed ^ uint64(id[i])) * 0x100000001b3
		}
	}
	var highest uint64
	for range max(level, 1) {
		seed += 0x9e3779b97f4a7c15 // splitmix64 (Steele, Lea and Flood 2014)
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		highest = max(highest, z^z>>31)
	}
	return highest
}

// A queue that rings several agents for one call does so with those whom no
// waiting call can use: nobody waits because another caller's call rings at five
// phones at once.

// mayRing is how many agents may be rung for a call at this moment.
func (c *call) mayRing() int {
	q := &c.line.cfg
	switch {
	case c.back != nil && !c.back.present && q.Callback.CallerFirst:
		return 1 // the agent who is kept free for it
	case len(c.rings) > 0 && (c.rings[0].kept || c.rings[0].again):
		return 1 // the same, from before a change of the rules; or the agent who has come back to it
	}
	switch q.Strategy {
	case RingAll:
		if q.AtOnce > 0 {
			return q.AtOnce
		}
		return math.MaxInt // some of those being rung may have left the queue, so seats are no measure
	case RingProgressively:
		return max(q.AtOnce, 1) + c.waves
	}
	return 1
}

// grow lets one more agent be rung for a call.
func (f *Floor) grow(c *call) {
	if c.growsAt.IsZero() || c.growsAt.After(f.now) {
		return
	}
	c.waves++
	c.growsAt = f.now.Add(max(c.line.cfg.NextAfter, time.Second))
	if c.waves >= len(c.line.seats) {
		c.growsAt = time.Time{} // everybody may be rung
	}
	f.widen(c)
}

// widen lets this match ring more agents for a call.
func (f *Floor) widen(c *call) {
	if !c.growing && c.state == CallRinging && c.line.cfg.Strategy >= RingAll {
		c.growing = true
		f.growing = append(f.growing, c)
	}
}
