package acd

import (
	"slices"
	"time"
)

// offer rings an agent for a call. From here on both belong to each other until
// the reservation's deadline at the latest, whatever the switch reports or does not.
func (f *Floor) offer(c *call, s *seat) {
	m := f.reasons(c, s)
	r := f.reserve(c, s)
	if c.state != CallRinging {
		f.moveCall(c, CallRinging)
	}
	l := c.line
	if c.back != nil && !c.back.present && l.cfg.Callback.CallerFirst {
		r.kept, r.until = true, f.now.Add(l.dialFor())
		f.due.set(&r.due, r.until.Add(dialGrace))
		f.emit(r.dial(false))
	} else {
		f.emit(r.offer(f.now, m))
	}
	f.rest(s.agent, why{by: Switch})
	if f.offers++; l.cfg.Strategy == RoundRobin {
		f.rekey(s.agent, func() { s.turn = f.offers })
	}
}

// offer is the action that rings a reserved agent.
func (r *reservation) offer(now time.Time, m *Match) Offer {
	o := Offer{
		Call: r.call.id, Agent: r.agent.id, Queue: r.call.line.cfg.ID, Offer: r.id,
		Timeout: r.until.Sub(now), Match: m,
	}
	if b := r.call.back; b != nil && !b.present {
		o.Number = b.number
	}
	return o
}

// dial is the action that calls the customer of a callback; waiting says that the
// agent is on the line already.
func (r *reservation) dial(waiting bool) Dial {
	l := r.call.line
	return Dial{
		Call: r.call.id, Agent: r.agent.id, Queue: l.cfg.ID, Offer: r.id,
		Timeout: l.dialFor(), Number: r.call.back.number, Waiting: waiting,
	}
}

func (f *Floor) alerting(ev *Event) {
	if r := f.reserved(ev); r != nil && r.stage == ringing && !r.alerted {
		r.alerted = true
		f.rest(r.agent, why{by: Agent})
	}
}

// answered: the agent has picked up. An answer that crossed our withdrawal has
// a phone off the hook with nobody on it, so the withdrawal is repeated.
func (f *Floor) answered(ev *Event) {
	r := f.reserved(ev)
	switch {
	case r == nil:
		f.emit(Withdraw{Call: ev.Call, Agent: ev.Agent, Offer: ev.Offer, Cause: f.tooLate(ev.Call)})
	case r == r.call.aside && r.stage == ringing:
		f.asideAnswered(r)
	case r.stage == ringing && !r.kept:
		f.takeUp(r)
	}
}

// takeUp gives a call to the agent who answered first.
func (f *Floor) takeUp(r *reservation) {
	c, a := r.call, r.agent
	a.missed, a.failures, a.backoff = 0, 0, time.Time{}
	c.rings = slices.DeleteFunc(c.rings, func(x *reservation) bool { return x == r })
	c.talk, r.begun = r, f.now
	f.stageIs(r, talking)
	f.moveCall(c, CallTalking)
	if b := c.back; b != nil && !b.present {
		r.dialled = true
		f.due.set(&r.due, f.now.Add(c.line.dialFor()+dialGrace))
		f.emit(r.dial(true))
	} else {
		f.connect(r)
	}
	f.rest(a, why{by: Agent})
	f.dropRings(c, CauseElsewhere, why{cause: CauseElsewhere, by: Switch, call: c.id})
}

// connect lets both parties talk.
func (f *Floor) connect(r *reservation) {
	c := r.call
	c.answered = f.now
	f.emit(Connect{Call: c.id, Agent: r.agent.id, Offer: r.id})
	f.due.set(&r.due, f.now.Add(proveAfter))
	f.remember(c, r.agent)
}

// tooLate is why an answer comes too late.
func (f *Floor) tooLate(id CallID) Cause {
	switch c := f.calls[id]; {
	case c == nil:
		return CauseAbandoned
	case c.talk != nil, len(c.rings) > 0:
		return CauseElsewhere
	}
	return CauseNoAnswer
}

func (f *Floor) bridged(ev *Event) {
	if r := f.reserved(ev); r != nil && r == r.call.talk && r.stage == talking && !r.dialled {
		r.bridged = true
		f.countAnswered(r.call)
	}
}

// hold follows who has put whom on hold. A talk in which somebody is on hold is
// still a talk; only the agent's state, and what is counted of it, changes.
func (f *Floor) hold(ev *Event) {
	r := f.reserved(ev)
	if r == nil || r.stage != talking || r == r.call.aside {
		return
	}
	bit := uint8(1) << min(ev.By, 7)
	if ev.Kind == Held {
		r.held |= bit
		r.consult = r.consult || ev.Reason == "consult"
	} else {
		r.held &^= bit
		r.consult = r.consult && r.held != 0
	}
	f.rest(r.agent, why{by: ev.By})
}

// failed: the offer came to nothing. After an answer but before the bridge, the
// agent has dropped the call: the caller waits again, where they stood.
func (f *Floor) failed(ev *Event) {
	r := f.reserved(ev)
	if r == nil || r.bridged {
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
	if r == r.call.aside {
		f.asideFailed(r, ev.Cause, by)
		return
	}
	if r.dialled || r.kept {
		f.emit(Withdraw{Call: r.call.id, Agent: r.agent.id, Offer: r.id, Cause: ev.Cause}) // the customer need not be called now
	}
	f.miss(r, ev.Cause, by)
}

// rangOut: the agent has let the offer ring to its end, or the customer of a
// callback their phone.
func (f *Floor) rangOut(r *reservation) {
	if r.kept {
		f.callerMissed(r, CauseNoAnswer)
		return
	}
	f.emit(Withdraw{Call: r.call.id, Agent: r.agent.id, Offer: r.id, Cause: CauseNoAnswer})
	if r == r.call.aside {
		f.asideFailed(r, CauseNoAnswer, Switch)
		return
	}
	f.miss(r, CauseNoAnswer, Switch)
}

// miss parts a call and an agent who will not take it: the call goes back to its
// place unless others are still being rung, and the agent to what they want, or
// to a pause if they let calls ring out.
func (f *Floor) miss(r *reservation, cause Cause, by Party) {
	c, a := r.call, r.agent
	dropped := r.stage == talking
	if r.alerted || dropped {
		a.failures = 0
	}
	if dropped {
		a.dumped++
		f.dropAside(c, cause, by)
	}
	if dropped && r.given {
		c.again, c.asked = true, f.now
		c.line.stats.Offered++
	}
	switch {
	case cause == CauseNoAnswer:
		f.countMissed(a, &c.line.cfg)
	case !r.alerted && !dropped:
		f.backOff(a)
	}
	f.exclude(c, a, cause)
	f.release(r)
	if c.prefer == a {
		f.unprefer(c)
	}
	f.requeue(c)
	if dropped {
		f.emit(Queued{Call: c.id, Queue: c.line.cfg.ID})
	}
	f.rest(a, why{cause: cause, by: by, call: c.id})
}

// requeue puts a call that has lost an agent back to its place, unless it is
// still ringing others.
func (f *Floor) requeue(c *call) {
	if len(c.rings) > 0 {
		f.widen(c)
		f.due.set(&c.due, f.callNext(c)) // the agent just left out may be asked again later
		return
	}
	c.answered = time.Time{}
	if c.back != nil && !c.back.present {
		f.moveCall(c, CallLater)
		f.callbackDue(c)
		return
	}
	f.moveCall(c, CallWaiting)
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

// freeByOrder takes an agent out of everything they are in.
func (f *Floor) freeByOrder(a *agent, by Party) {
	for len(a.hands) > 0 {
		r := a.hands[0]
		c := r.call
		switch {
		case r == c.aside:
			f.emit(Withdraw{Call: c.id, Agent: a.id, Offer: r.id, Cause: CauseAdmin})
			f.asideFailed(r, CauseAdmin, by)
		case r.stage == ringing, r.dialled:
			f.emit(Withdraw{Call: c.id, Agent: a.id, Offer: r.id, Cause: CauseAdmin})
			f.exclude(c, a, CauseBusy)
			f.release(r)
			f.requeue(c)
		case r.stage == talking:
			f.countAnswered(c)
			f.dropAside(c, CauseAdmin, by)
			f.emit(Hangup{Call: c.id, Cause: CauseAdmin, By: by})
			f.settle(c, CauseAdmin, by)
			f.handled(r)
			f.release(r)
		default:
			f.release(r)
		}
	}
	f.rest(a, why{cause: CauseAdmin, by: by})
}
