package acd

// wrapUp ends an agent's talk. The work after it belongs to the agent, not to
// the queue: no other queue shortens it, and no change of the configuration.
func (f *Floor) wrapUp(a *agent, c *call, w why) {
	a.call = nil
	f.idleSince(a, f.now)
	if c.line.cfg.WrapUp <= 0 {
		f.rest(a, w)
		return
	}
	a.wraps = f.now.Add(c.line.cfg.WrapUp)
	f.move(a, WrapUp, w)
}

func (f *Floor) wrapUpDone(a *agent, by Party) {
	if a.state == WrapUp {
		f.endWrapUp(a, by)
	}
}

// endWrapUp: the contact is handled, wrap-up included; the idle clock starts here.
func (f *Floor) endWrapUp(a *agent, by Party) {
	f.idleSince(a, f.now)
	f.rest(a, why{by: by, call: a.about})
}
