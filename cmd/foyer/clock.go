package main

import "time"

// clock is the time of the floor: what the machine's clock said when it was made, and
// since then the pace of the one that nobody sets. A machine whose time is put right
// by an hour must not let every ringing telephone ring out, nor ring for an hour.
type clock struct {
	wall  time.Time // without a monotonic reading
	begun time.Time // the same moment, with one
}

// newClock begins at a moment with a monotonic reading.
func newClock(at time.Time) clock { return clock{at.Round(0), at} }

func (c *clock) now() time.Time { return c.of(time.Now()) }

// of is the floor's time of a moment.
func (c *clock) of(moment time.Time) time.Time { return c.wall.Add(moment.Sub(c.begun)).UTC() }

// notBefore puts the clock forward if it is behind: after a start, to the last moment
// that the life before has written down.
func (c *clock) notBefore(last time.Time) {
	if behind := last.Sub(c.now()); behind > 0 {
		c.wall = c.wall.Add(behind)
	}
}

// off is how far the machine's clock has been set since; times in call records are as
// far from it until the next start.
func (c *clock) off() time.Duration {
	now := time.Now()
	return now.Round(0).Sub(c.of(now))
}
