package acd

import "time"

// An agent at home may lose the line in the middle of a talk. The caller is put
// on hold with a word, and for some seconds the talk is the agent's to take up
// again: by sound that comes back on the same call (LinkBack), or by a phone that
// registers anew and is rung (Reachable). After that the caller goes to the head
// of the queue, and anybody may take them.

// rejoinDefault is how long an agent has in a queue that does not say.
const rejoinDefault = 20 * time.Second

func (l *line) rejoinFor() time.Duration {
	if l.cfg.Rejoin > 0 {
		return l.cfg.Rejoin
	}
	return rejoinDefault
}

func (f *Floor) linkLost(ev *Event) {
	r := f.reserved(ev)
	if r == nil || r != r.call.talk || r.dialled || !r.lost.IsZero() {
		return
	}
	r.lost = f.now
	f.touch(r.agent)
	f.emit(Comfort{Call: r.call.id, Agent: r.agent.id, Offer: r.id})
	f.due.set(&r.due, f.now.Add(r.call.line.rejoinFor()))
}

func (f *Floor) linkBack(ev *Event) {
	r := f.reserved(ev)
	if r == nil || r.stage != talking || r.lost.IsZero() {
		return
	}
	r.lost = time.Time{}
	f.touch(r.agent)
	f.emit(Rejoin{Call: r.call.id, Agent: r.agent.id, Offer: r.id})
	f.due.set(&r.due, f.now.Add(proveAfter))
}

// lostTalk is the talk whose link an agent has lost.
func (a *agent) lostTalk() *reservation {
	for _, r := range a.hands {
		if r.stage == talking && !r.lost.IsZero() {
			return r
		}
	}
	return nil
}

// ringBack rings the agent of a lost link at the phone that has come back. The
// call is theirs until that has rung out.
func (f *Floor) ringBack(r *reservation) {
	c, s := r.call, r.seat
	f.part(r, CauseLinkLost)
	m := f.reasons(c, s)
	next := f.reserve(c, s)
	next.again = true
	f.moveCall(c, CallRinging)
	o := next.offer(f.now, m)
	o.Rejoin = true
	f.emit(o)
	f.rest(s.agent, why{cause: CauseLinkLost, by: Switch})
}

// linkGone: the agent has not come back in time. The caller is next.
func (f *Floor) linkGone(r *reservation, cause Cause) {
	c, a := r.call, r.agent
	f.part(r, cause)
	f.exclude(c, a, CauseUnreachable)
	f.moveCall(c, CallWaiting)
	f.emit(Queued{Call: c.id, Queue: c.line.cfg.ID})
	f.backOff(a)
	f.rest(a, why{cause: cause, by: Switch, call: c.id})
}

// part ends a talk but not its call, which begins to wait anew, before all others.
func (f *Floor) part(r *reservation, cause Cause) {
	c := r.call
	f.countAnswered(c)
	f.dropAside(c, cause, Switch)
	f.emit(Part{Call: c.id, Agent: r.agent.id, Offer: r.id, Cause: cause})
	f.handled(r)
	f.release(r)
	c.ahead, c.again, c.asked = true, true, f.now
	c.line.stats.Offered++
	f.unprefer(c)
}
