package acd

import "time"

// wrapUp ends an agent's talk. The work after it belongs to the agent, not to
// the queue: no other queue shortens it, and no change of the configuration.
func (f *Floor) wrapUp(r *reservation, w why) {
	f.handled(r)
	q, a := &r.line.cfg, r.agent
	switch {
	case q.WrapMode < WrapManual && q.WrapUp <= 0:
		r.line.handled(f.now.Sub(r.begun))
		f.release(r)
	default:
		f.stageIs(r, wrapping)
		r.call.talk = nil
		r.until = f.now.Add(q.WrapUp)
		if q.WrapMode >= WrapManual && q.WrapUp <= 0 {
			r.until = f.now.Add(overlong)
		}
		f.due.set(&r.due, r.until)
	}
	f.rest(a, w)
}

// overlong is when a wrap-up that only the agent can end is overdue in a queue
// that does not say.
const overlong = 10 * time.Minute

// handled counts a contact that an agent has had, and starts their idle clock.
func (f *Floor) handled(r *reservation) {
	f.remember(r.call, r.agent)
	f.rekey(r.agent, func() {
		r.agent.idle = f.now
		r.agent.handled++
		r.agent.talked += f.now.Sub(r.begun)
	})
}

// wrapDue: the time of a wrap-up is over. One that only the agent can end goes on.
func (f *Floor) wrapDue(r *reservation) {
	q := &r.line.cfg
	if q.WrapMode < WrapManual {
		f.endWrapUp(r, Switch, "")
		return
	}
	f.emit(Overdue{Agent: r.agent.id, State: WrapUp, For: f.now.Sub(r.since)})
	f.due.set(&r.due, f.now.Add(max(q.WrapUp, time.Minute)))
}

// wrapUpDone: the agent has finished, with a code if the queue asks for one.
func (f *Floor) wrapUpDone(a *agent, ev *Event) {
	if r := a.wrapping(ev.Call); r != nil && (r.line.cfg.WrapMode != WrapCoded || ev.Reason != "") {
		f.endWrapUp(r, ev.By, ev.Reason)
	}
}

// extend gives an agent more time for the wrap-up, if their queue does.
func (f *Floor) extend(a *agent, ev *Event) {
	if r := a.wrapping(ev.Call); r != nil && r.extensions() > 0 {
		r.longer++
		r.until = r.until.Add(r.line.cfg.ExtendBy)
		f.due.set(&r.due, r.until)
	}
}

// extensions is how often a wrap-up may still be extended.
func (r *reservation) extensions() int {
	q := &r.line.cfg
	if q.WrapMode != WrapExtendable {
		return 0
	}
	return max(q.MaxExtend-r.longer, 0)
}

// wrapping is the wrap-up of a call, or the one an agent is in if no call is named.
func (a *agent) wrapping(id CallID) *reservation {
	for _, r := range a.hands {
		if r.stage == wrapping && (id == "" || r.call.id == id) {
			return r
		}
	}
	return nil
}

// endWrapUp: the contact is handled, wrap-up included; the idle clock starts here.
func (f *Floor) endWrapUp(r *reservation, by Party, code string) {
	a, c := r.agent, r.call
	r.line.handled(f.now.Sub(r.begun))
	f.release(r)
	f.idleSince(a, f.now)
	f.rest(a, why{by: by, call: c.id, reason: code})
}
