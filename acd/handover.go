package acd

import (
	"cmp"
	"time"
)

// An agent may ask somebody else while their caller is on hold (Consult), and give
// the caller away (Transfer): to an agent, to a queue, to a number outside.
//
// Whoever is asked inside is reserved like for any call, beside the talk: nobody
// else is offered to them meanwhile. Until they have the caller, the caller is still
// the first agent's; so when nothing comes of it nothing has to be put back.

// consult: the agent of a talk asks somebody. A number outside is the switch's to
// call; the floor only notes what the agent does.
func (f *Floor) consult(ev *Event) {
	r, cause := f.givable(ev)
	switch {
	case r == nil:
	case cause != CauseUnknown:
		f.notReached(r, ev, cause)
	default:
		r.consult = true
		if ev.Number == "" {
			f.ask(r, ev, false)
		}
		f.rest(r.agent, whyOf(ev))
	}
}

// consultOver: the agent talks with nobody but the caller any more.
func (f *Floor) consultOver(ev *Event) {
	if r := f.reserved(ev); r != nil && r == r.call.talk {
		f.dropAside(r.call, ev.Cause, ev.By)
		r.consult = false
		f.rest(r.agent, whyOf(ev))
	}
}

// transfer: the caller of a talk is given away. To whom the agent has asked
// already, they go at once, or as soon as that agent has answered.
func (f *Floor) transfer(ev *Event) {
	r, cause := f.givable(ev)
	if r == nil {
		return
	}
	aside := r.call.aside
	switch {
	case aside != nil && ev.To == aside.agent.id && aside.stage == talking:
		f.handOver(aside, ev.By)
	case aside != nil && ev.To == aside.agent.id:
		aside.blind, aside.by = true, ev.By
	case ev.Queue != "" && cause != CauseLinkLost:
		f.giveToQueue(r, ev)
	case ev.Number != "" && cause != CauseLinkLost:
		f.giveOut(r, ev)
	case cause != CauseUnknown:
		f.notReached(r, ev, cause)
	default:
		r.consult = true
		f.ask(r, ev, true)
		f.rest(r.agent, whyOf(ev))
	}
}

func whyOf(ev *Event) why { return why{by: ev.By, cause: ev.Cause, call: ev.Call} }

// givable is the talk that a consultation or transfer is about; nil when the event
// is late. The cause says why nobody can be asked in it now.
func (f *Floor) givable(ev *Event) (*reservation, Cause) {
	r := f.reserved(ev)
	switch {
	case r == nil || r != r.call.talk:
		return nil, CauseUnknown
	case r.dialled:
		return r, CauseFailed
	case !r.lost.IsZero():
		return r, CauseLinkLost
	case r.call.aside != nil:
		return r, CauseBusy
	}
	return r, CauseUnknown
}

// ask rings whom the agent of a talk wants to ask, or wants to take the caller.
func (f *Floor) ask(r *reservation, ev *Event, blind bool) {
	c := r.call
	s, cause := f.askable(r, ev)
	if s == nil {
		r.consult = false
		f.notReached(r, ev, cause)
		return
	}
	m := &Match{
		Call: c.id, Queue: c.line.cfg.ID, Offer: c.offer + 1, Winner: s.agent.id, Strategy: c.line.cfg.Strategy,
		Relaxed: c.relaxed, Waited: f.now.Sub(c.turn), Eligible: 1,
	}
	m.add(f, s, "")
	p := f.bind(c, s)
	p.blind, p.by = blind, ev.By
	c.aside = p
	o := p.offer(f.now, m)
	o.Asker = r.agent.id
	f.emit(o)
	f.rest(s.agent, whyOf(ev))
}

// askable is the seat of an agent who can be rung for a talk of another. A pause
// keeps the queues' calls away, not a colleague's.
func (f *Floor) askable(r *reservation, ev *Event) (*seat, Cause) {
	if ev.To != "" {
		a := f.agents[ev.To]
		if a == nil {
			return nil, CauseUnreachable
		}
		if cause := a.busyFor(r); cause != CauseUnknown {
			return nil, cause
		}
		if s := a.seatIn(r.call.line); s != nil {
			return s, CauseUnknown
		}
		return &seat{agent: a, line: r.call.line, tier: 1, ring: -1, guest: true}, CauseUnknown
	}
	l := f.lines[ev.Queue]
	if l == nil {
		return nil, CauseClosed
	}
	for i := range l.ready {
		for _, s := range l.ready[i].all() {
			if s.agent.busyFor(r) == CauseUnknown {
				return s, CauseUnknown
			}
		}
	}
	return nil, CauseNoneReady
}

// busyFor is why an agent cannot be asked in a talk; CauseUnknown if they can.
func (a *agent) busyFor(r *reservation) Cause {
	if a == r.agent {
		return CauseBusy
	}
	if a.leaving || !a.reachable || !a.want.present() || a.cfg.Capacity.of(Voice) == 0 {
		return CauseUnreachable
	}
	for _, h := range a.hands {
		if !beside[Voice][h.kind] {
			return CauseBusy
		}
	}
	return CauseUnknown
}

// notReached tells that nothing comes of what the agent of a talk wanted.
func (f *Floor) notReached(r *reservation, ev *Event, cause Cause) {
	f.emit(NotReached{Call: r.call.id, Agent: r.agent.id, Offer: r.id, To: ev.To, Queue: ev.Queue, Cause: cause})
}

// asideAnswered: whoever was asked has picked up.
func (f *Floor) asideAnswered(p *reservation) {
	a := p.agent
	a.missed, a.failures, a.backoff = 0, 0, time.Time{}
	p.begun = f.now
	f.stageIs(p, talking)
	f.due.set(&p.due, f.now.Add(proveAfter))
	if p.blind {
		f.handOver(p, p.by)
		return
	}
	p.consult = true
	f.emit(Consulted{Call: p.call.id, Agent: p.call.talk.agent.id, To: a.id, Offer: p.id})
	f.rest(a, why{by: Agent})
}

// asideFailed: whoever was asked did not take it, or has hung up again.
func (f *Floor) asideFailed(p *reservation, cause Cause, by Party) {
	c := p.call
	w := why{cause: cause, by: by, call: c.id}
	f.release(p)
	f.rest(p.agent, w)
	if c.talk != nil {
		f.notReached(c.talk, &Event{To: p.agent.id}, cause)
		c.talk.consult = false
		f.rest(c.talk.agent, w)
	}
}

// dropAside lets go of whom the agent of a talk has asked.
func (f *Floor) dropAside(c *call, cause Cause, by Party) {
	p := c.aside
	if p == nil {
		return
	}
	cause = cmp.Or(cause, CauseHangup)
	f.emit(Withdraw{Call: c.id, Agent: p.agent.id, Offer: p.id, Cause: cause})
	f.release(p)
	f.rest(p.agent, why{cause: cause, by: by, call: c.id})
}

// handOver gives the caller to whom the agent has asked.
func (f *Floor) handOver(p *reservation, by Party) {
	c, old := p.call, p.call.talk
	f.takeLeave(old, by, string(p.agent.id))
	c.aside, c.talk = nil, p
	p.consult, p.blind, p.given, p.begun = false, false, true, f.now
	f.stageIs(p, talking)
	f.emit(Connect{Call: c.id, Agent: p.agent.id, Offer: p.id})
	f.due.set(&p.due, f.now.Add(proveAfter))
	f.remember(c, p.agent)
	f.rest(p.agent, why{cause: CauseTransferred, by: by, call: c.id})
}

// takeLeave ends the talk of an agent who has given the caller away. The work
// after it is theirs, as after any talk.
func (f *Floor) takeLeave(r *reservation, by Party, to string) {
	c := r.call
	f.countAnswered(c)
	f.emit(Part{Call: c.id, Agent: r.agent.id, Offer: r.id, Cause: CauseTransferred, By: by, To: to})
	r.consult, r.held = false, 0
	f.wrapUp(r, why{cause: CauseTransferred, by: by, call: c.id})
	c.talk = nil
}

// giveToQueue lets the caller of a talk wait in a queue, with the time they came
// as their place. A queue whose doors would turn them away does not get them. Who
// falls back to their queue because the agent has hung up meanwhile (by the switch)
// goes first there, whatever its doors say.
func (f *Floor) giveToQueue(r *reservation, ev *Event) {
	c := r.call
	l := f.lines[ev.Queue]
	switch {
	case ev.By == Switch:
	case l == nil:
		f.notReached(r, ev, CauseClosed)
		return
	case l.cfg.Medium != c.line.cfg.Medium:
		f.notReached(r, ev, CauseFailed)
		return
	}
	in := landing{line: c.line}
	if ev.By != Switch {
		in = f.landing(l, c, true)
	}
	if in.line == nil {
		f.notReached(r, ev, in.cause)
		return
	}
	f.dropAside(c, CauseTransferred, ev.By)
	f.takeLeave(r, ev.By, string(in.line.cfg.ID))
	from := c.line
	f.exclude(c, r.agent, CauseBusy) // not at once to whom they come from
	f.unprefer(c)
	c.again, c.asked, c.ahead = true, f.now, c.ahead || ev.By == Switch
	f.settleIn(c, in.line)
	q := Queued{Call: c.id, Queue: in.line.cfg.ID}
	if from != in.line {
		q.From = from.cfg.ID
	}
	f.emit(q)
	f.moveCall(c, CallWaiting)
	f.leave(from)
}

// giveOut lets the caller of a talk go to a number outside, which has answered.
func (f *Floor) giveOut(r *reservation, ev *Event) {
	c := r.call
	f.dropAside(c, CauseTransferred, ev.By)
	f.takeLeave(r, ev.By, ev.Number)
	f.emit(Divert{Call: c.id, Queue: c.line.cfg.ID, To: Target{Number: ev.Number}, Cause: CauseTransferred})
	f.settle(c, CauseTransferred, ev.By)
}
