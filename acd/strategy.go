package acd

import (
	"math"
	"math/bits"
	"slices"
	"sort"
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

// draws is how many lots are drawn before the first who may is taken. A lot fails
// for four in five at the most, so it hardly ever comes to that.
const draws = 64

// draw takes one of the first tier of a row that has somebody the call does not
// leave out, by chance, in proportion to level. Chance is made of the call's id and
// the number of the offer, so that a replay draws the same.
func draw(row []*seat, c *call) *seat {
	open := slices.IndexFunc(row, func(s *seat) bool { _, out := c.excludes(s.agent); return !out })
	if open < 0 {
		return nil
	}
	tier := row[open].tier
	from := sort.Search(open, func(i int) bool { return row[i].tier >= tier })
	to := sort.Search(len(row), func(i int) bool { return row[i].tier > tier })
	row, open = row[from:to], open-from
	lot := uint64(c.offer) + 1
	for _, b := range []byte(c.id) {
		lot = (lot ^ uint64(b)) * 0x100000001b3
	}
	for range draws {
		hi, lo := bits.Mul64(lot^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
		lot = hi ^ lo
		s := row[lot%uint64(len(row))]
		weight := s.level
		if weight == 0 {
			weight = 5 // the queue requires nothing: all alike
		}
		if _, out := c.excludes(s.agent); !out && int(lot>>40%5) < weight {
			return s
		}
	}
	return row[open]
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
