package acd

import "time"

// How long a call leaves out an agent who did not take it. Who said no, or let
// it ring, is left out for the rest of the call; who let it ring is asked again
// after being made ready again. A busy or unreachable phone is tried again.
const (
	busyFor        = 30 * time.Second
	unreachableFor = 10 * time.Second
)

// exclusion is an agent whom a call is not offered to.
type exclusion struct {
	agent    *agent
	cause    Cause
	until    time.Time // zero: for good
	forgiven uint32    // the agent's count then
}

func (x *exclusion) holds() bool {
	return x.cause != CauseNoAnswer || x.forgiven == x.agent.forgiven
}

func (f *Floor) exclude(c *call, a *agent, cause Cause) {
	x := exclusion{agent: a, cause: cause, forgiven: a.forgiven}
	switch cause {
	case CauseDeclined, CauseNoAnswer:
	case CauseBusy:
		x.until = f.now.Add(busyFor)
	default:
		x.until = f.now.Add(unreachableFor)
	}
	for i := range c.excluded {
		if c.excluded[i].agent == a {
			c.excluded[i] = x
			return
		}
	}
	c.excluded = append(c.excluded, x)
}

// excludes is why a call leaves an agent out, if it does: they have refused it in
// some way, or are being rung for it already.
func (c *call) excludes(a *agent) (Cause, bool) {
	for _, r := range c.rings {
		if r.agent == a {
			return CauseUnknown, true
		}
	}
	for i := range c.excluded {
		if x := &c.excluded[i]; x.agent == a {
			return x.cause, x.holds()
		}
	}
	return CauseUnknown, false
}

// readmit drops the exclusions whose time is up.
func (f *Floor) readmit(c *call) {
	kept := c.excluded[:0]
	for _, x := range c.excluded {
		if x.until.IsZero() || x.until.After(f.now) {
			kept = append(kept, x)
		}
	}
	if len(kept) < len(c.excluded) {
		clear(c.excluded[len(kept):])
		c.excluded = kept
		f.freshen(c)
		f.widen(c)
	}
}

// A phone that fails before it rings would fail the next caller too, at once:
// with many waiting that is a storm of INVITEs at one phone. The first failure
// is anybody's; from the second in a row on, the agent is offered nothing for a
// time that doubles.
const (
	backOffFirst = 2 * time.Second
	backOffMost  = 30 * time.Second
)

func (f *Floor) backOff(a *agent) {
	a.failures++
	if a.failures < 2 {
		return
	}
	a.backoff = f.now.Add(min(backOffFirst<<min(a.failures-2, 8), backOffMost))
}
