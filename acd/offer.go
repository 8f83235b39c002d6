package acd

import "time"

// ringFor is how long an offer lasts in a queue that does not say.
const ringFor = 20 * time.Second

// offer rings an agent for a call. From here on both belong to each other until
// the agent's deadline at the latest, whatever the switch reports or does not.
func (f *Floor) offer(c *call, a *agent) {
	timeout := c.line.cfg.RingTimeout
	if timeout <= 0 {
		timeout = ringFor
	}
	c.offer++
	m := f.reasons(c, a)
	c.agent, c.alerted, c.bridged = a, false, false
	a.call, a.rings = c, f.now.Add(timeout)
	f.claimed(a)
	f.moveCall(c, CallRinging)
	f.emit(Offer{Call: c.id, Agent: a.id, Queue: c.line.cfg.ID, Offer: c.offer, Timeout: timeout, Match: m})
	f.move(a, Offered, why{call: c.id, by: Switch})
}

// offered finds the call whose present offer an event is about; nil when the
// event is late.
func (f *Floor) offered(ev *Event) *call {
	c := f.calls[ev.Call]
	if c == nil || c.agent == nil || c.offer != ev.Offer || c.agent.id != ev.Agent {
		return nil
	}
	return c
}

func (f *Floor) alerting(ev *Event) {
	if c := f.offered(ev); c != nil && c.state == CallRinging {
		c.alerted = true
	}
}

// answered: the agent has picked up. An answer that crossed our withdrawal has
// a phone off the hook with nobody on it, so the withdrawal is repeated.
func (f *Floor) answered(ev *Event) {
	c := f.offered(ev)
	switch {
	case c == nil:
		f.emit(Withdraw{Call: ev.Call, Agent: ev.Agent, Offer: ev.Offer, Cause: f.tooLate(ev.Call)})
	case c.state == CallRinging:
		a := c.agent
		a.missed, a.failures, a.backoff = 0, 0, time.Time{}
		c.answered = f.now
		f.moveCall(c, CallTalking)
		f.emit(Connect{Call: c.id, Agent: a.id, Offer: c.offer})
		f.move(a, Talking, why{call: c.id, by: Agent})
	}
}

// tooLate is why an answer comes too late.
func (f *Floor) tooLate(id CallID) Cause {
	switch c := f.calls[id]; {
	case c == nil:
		return CauseAbandoned
	case c.agent != nil:
		return CauseElsewhere
	}
	return CauseNoAnswer
}

func (f *Floor) bridged(ev *Event) {
	if c := f.offered(ev); c != nil && c.state == CallTalking {
		c.bridged = true
		f.countAnswered(c)
	}
}

// failed: the offer came to nothing. After an answer but before the bridge, the
// agent has dropped the call: the caller waits again, where they stood.
func (f *Floor) failed(ev *Event) {
	c := f.offered(ev)
	if c == nil || c.bridged {
		return
	}
	by := ev.By
	switch {
	case by != Nobody:
	case ev.Cause == CauseDeclined || ev.Cause == CauseBusy:
		by = Agent
	default:
		by = Switch
	}
	f.miss(c, ev.Cause, by)
}

// rangOut: the agent has let the offer ring to its end.
func (f *Floor) rangOut(a *agent) {
	c := a.call
	f.emit(Withdraw{Call: c.id, Agent: a.id, Offer: c.offer, Cause: CauseNoAnswer})
	f.miss(c, CauseNoAnswer, Switch)
}

// miss parts a call and the agent who will not take it: the call goes back to
// its place, and the agent to what they want, or to a pause if they let calls
// ring out.
func (f *Floor) miss(c *call, cause Cause, by Party) {
	a := c.agent
	dropped := c.state == CallTalking
	if c.alerted || dropped {
		a.failures = 0
	}
	switch {
	case cause == CauseNoAnswer:
		f.countMissed(a, &c.line.cfg)
	case !c.alerted && !dropped:
		f.backOff(a)
	}
	f.exclude(c, a, cause)
	c.agent, c.answered = nil, time.Time{}
	f.moveCall(c, CallWaiting)
	if dropped {
		f.emit(Queued{Call: c.id, Queue: c.line.cfg.ID})
	}
	f.rest(a, why{cause: cause, by: by, call: c.id})
}

// countMissed pauses an agent who has let too many offers in a row ring out,
// unless they have already asked for something else.
func (f *Floor) countMissed(a *agent, q *Queue) {
	a.missed++
	if q.OnNoAnswer == PauseAgent && a.missed >= max(q.MaxOffers, 1) && a.want == wantsCalls {
		a.want = wantsPause
		a.pause = why{reason: ReasonMissed, cause: CauseNoAnswer, by: Switch}
	}
}
