package acd

import "time"

// Relaxation: the longer a call waits, the less its queue asks of an agent. A call
// has taken c.relaxed steps; a seat qualifies from step seat.ring on. Agents who
// qualify at an earlier step are taken first.

// nextRelax is when the call takes its next step; zero if there is none.
func (c *call) nextRelax() time.Time {
	if c.relaxed >= len(c.line.cfg.Relax) {
		return time.Time{}
	}
	return c.entered.Add(c.line.cfg.Relax[c.relaxed].After)
}

// relax takes the steps that are due.
func (f *Floor) relax(c *call) {
	for at := c.nextRelax(); !at.IsZero() && !at.After(f.now); at = c.nextRelax() {
		waits := c.state == CallWaiting
		if waits {
			c.line.relaxed[c.relaxed]--
		}
		c.relaxed++
		if waits {
			c.line.relaxed[c.relaxed]++
		}
		f.freshen(c)
		f.widen(c)
	}
}
