package acd

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The audit holds the invariants in a running switch: after every step, for the
// agents and calls that the step has touched. What Check finds over the whole
// floor it finds where it could have begun. A fault is told with a picture of all
// who take part in it, counted, and repaired in favour of the caller: who has lost
// their agent by it waits again, before all others, and is offered to somebody in
// the same step; an agent who is in nothing is in nothing.

// auditRounds bounds how often one step looks again at what it has repaired.
const auditRounds = 3

func (f *Floor) touch(a *agent) {
	if !a.touched {
		a.touched = true
		f.touchedAgents = append(f.touchedAgents, a)
	}
}

func (f *Floor) touchCall(c *call) {
	if !c.touched {
		c.touched = true
		f.touchedCalls = append(f.touchedCalls, c)
	}
}

// audit looks at everything touched, and says whether it was sound. What its
// repairs touch is left for the next round.
func (f *Floor) audit() (sound bool) {
	calls, agents := f.touchedCalls, f.touchedAgents
	f.touchedCalls, f.touchedAgents = nil, nil
	sound = true
	for _, c := range calls {
		c.touched = false
		if bad := f.callFault(c); bad != "" {
			sound = false
			f.violated("call %s: %s; %s", c.id, bad, f.callScene(c))
			f.repairCall(c)
		}
	}
	for _, a := range agents {
		a.touched = false
		if bad := f.agentFault(a); bad != "" {
			sound = false
			f.violated("agent %s: %s; %s", a.id, bad, a.scene())
			f.repairAgent(a)
		}
	}
	if sound { // the lists are used again
		clear(calls)
		clear(agents)
		f.touchedCalls, f.touchedAgents = calls[:0], agents[:0]
	}
	return sound
}

// violated reports a broken invariant.
func (f *Floor) violated(format string, args ...any) { f.illegal(format, args...) }

// callFault is what is wrong with a call; "" when nothing is.
func (f *Floor) callFault(c *call) string {
	if c.state == CallOver {
		if len(c.reservations()) > 0 {
			return "over, and still with an agent"
		}
		return ""
	}
	if f.calls[c.id] != c {
		return "not known by its id"
	}
	if ringing := c.state == CallRinging; ringing != (len(c.rings) > 0) {
		return fmt.Sprintf("%s with %d agents rung", c.state, len(c.rings))
	}
	if talks := c.state == CallTalking; talks != (c.talk != nil) {
		return fmt.Sprintf("%s, talking with an agent: %v", c.state, c.talk != nil)
	}
	if c.aside != nil && (c.talk == nil || c.aside == c.talk) {
		return "somebody is asked beside no talk"
	}
	for _, r := range c.reservations() {
		if r.call != c || !slices.Contains(r.agent.hands, r) {
			return fmt.Sprintf("agent %s does not know of it", r.agent.id)
		}
		if r.due.place == 0 {
			return fmt.Sprintf("no deadline with agent %s", r.agent.id)
		}
	}
	if _, there := c.line.waiting.find(c); there != (c.state == CallWaiting) {
		return fmt.Sprintf("%s, among those who wait: %v", c.state, there)
	}
	if c.state == CallWaiting && !c.fresh {
		if s := c.line.choose(c); s != nil {
			return fmt.Sprintf("waits although %s is ready for it", s.agent.id)
		}
	}
	return ""
}

// reservations are all of a call.
func (c *call) reservations() []*reservation {
	all := c.rings
	if c.talk != nil {
		all = append(slices.Clip(all), c.talk)
	}
	if c.aside != nil {
		all = append(slices.Clip(all), c.aside)
	}
	return all
}

// agentFault is what is wrong with an agent; "" when nothing is.
func (f *Floor) agentFault(a *agent) string {
	voices := 0
	for _, r := range a.hands {
		if r.agent != a || r.stage == ended {
			return "holds a contact that is not theirs"
		}
		if r.due.place == 0 {
			return fmt.Sprintf("call %s without a deadline", r.call.id)
		}
		if r.stage != wrapping && !slices.Contains(r.call.reservations(), r) {
			return fmt.Sprintf("call %s does not know of it", r.call.id)
		}
		if r.kind == Voice {
			voices++
		}
	}
	if voices > 1 {
		return fmt.Sprintf("%d calls at once", voices)
	}
	if state, r := a.bound(); r != nil && a.state != state {
		return fmt.Sprintf("is %s, what they have in hand says %s", a.state, state)
	} else if r == nil && a.state > Ready {
		return fmt.Sprintf("is %s with nothing in hand", a.state)
	}
	if a.state == Ready && (!a.reachable || a.want != wantsCalls || a.leaving) {
		return "ready, and not to be reached or not willing"
	}
	if at := a.before(); !a.since.Equal(at) || at.After(f.now) {
		return fmt.Sprintf("the times in the states before this one end at %s", at.Format(pictured))
	}
	for _, s := range a.seats {
		if m := s.line.cfg.Medium; a.room[m] != f.takes(a, m) || s.listed != (s.ring >= 0 && a.room[m]) {
			return fmt.Sprintf("to be had in queue %s: %v, which is not so", s.line.cfg.ID, s.listed)
		}
	}
	return ""
}

// before is when the states before this one ended: no moment of a day is lost or
// counted twice.
func (a *agent) before() time.Time {
	at := a.born
	for _, d := range a.spent {
		at = at.Add(d)
	}
	return at
}

// repairCall frees a call of every agent, and lets it wait again. Only its
// deadlines, and its place in the rows, are mended where they are.
func (f *Floor) repairCall(c *call) {
	switch known := f.calls[c.id]; {
	case c.state == CallOver:
	case known == nil:
		f.calls[c.id] = c
	case known != c:
		f.violated("two calls %s", c.id) // nothing names this one any more
	}
	if f.mendDeadlines(c) {
		return
	}
	bound := f.boundTo(c)
	talked := len(bound) == 0 && c.state == CallTalking && c.answered.IsZero()
	for _, r := range bound {
		talked = talked || r.bridged || r.given && r == c.talk
		f.unbind(r)
		f.rest(r.agent, why{cause: CauseFailed, by: Switch, call: c.id})
	}
	c.line.rerow(c)
	f.waitAgain(c, talked)
}

// rerow puts a call into the rows of its line where it belongs, and nowhere else.
func (l *line) rerow(c *call) {
	l.waiting.remove(c)
	l.ringing.remove(c)
	switch {
	case c.state == CallWaiting:
		l.waiting.add(c)
	case c.state == CallRinging && l.cfg.Strategy >= RingAll:
		l.ringing.add(c)
	}
	clear(l.relaxed)
	for _, w := range l.waiting.all() {
		l.relaxed[w.relaxed]++
	}
}

// mendDeadlines says whether a call has agents and lacked nothing but deadlines.
func (f *Floor) mendDeadlines(c *call) bool {
	list := c.reservations()
	if len(list) == 0 {
		return false
	}
	for _, r := range list {
		if r.due.place == 0 {
			f.setDeadline(r)
		}
	}
	return f.callFault(c) == ""
}

// setDeadline gives a reservation that lacks one the deadline of its stage.
func (f *Floor) setDeadline(r *reservation) {
	at := r.until
	if r.stage == talking {
		at = f.now.Add(proveAfter)
	}
	if at.Before(f.now) {
		at = f.now
	}
	f.due.set(&r.due, at)
}

// boundTo is every reservation that a call, or any agent, holds to be one of it.
func (f *Floor) boundTo(c *call) []*reservation {
	list := slices.Clone(c.reservations())
	for _, a := range f.roster {
		for _, r := range a.hands {
			if r.call == c && r.stage != wrapping && !slices.Contains(list, r) {
				list = append(list, r)
			}
		}
	}
	return list
}

// unbind parts a call and an agent, whatever either knows of the other.
func (f *Floor) unbind(r *reservation) {
	if r.stage == talking && !r.dialled && r != r.call.aside {
		f.emit(Part{Call: r.call.id, Agent: r.agent.id, Offer: r.id, Cause: CauseFailed})
	} else {
		f.emit(Withdraw{Call: r.call.id, Agent: r.agent.id, Offer: r.id, Cause: CauseFailed})
	}
	f.release(r)
}

// waitAgain puts a call that has no agent any more to the head of those who wait.
// One that has talked already has been counted, and is counted anew.
func (f *Floor) waitAgain(c *call, talked bool) {
	if f.calls[c.id] != c || len(c.rings) > 0 || c.talk != nil || c.state == CallOver || c.state == CallLater {
		return
	}
	if talked {
		c.again, c.asked = true, f.now
		c.line.stats.Offered++
	}
	if c.state == CallWaiting {
		f.freshen(c)
		return
	}
	c.ahead = true
	f.requeue(c)
	f.emit(Queued{Call: c.id, Queue: c.line.cfg.ID})
}

// repairAgent takes out of an agent's hands what does not fit, and puts them where
// the rest, and what they want, says.
func (f *Floor) repairAgent(a *agent) {
	a.since = a.before()
	voices := 0
	for _, r := range f.boundWith(a) {
		fits := r.agent == a && r.stage != ended && slices.Contains(a.hands, r) &&
			(r.stage == wrapping || slices.Contains(r.call.reservations(), r))
		if fits && r.kind == Voice {
			voices++
			fits = voices == 1
		}
		switch {
		case r.agent != a:
			a.hands = slices.DeleteFunc(a.hands, func(x *reservation) bool { return x == r })
			f.touchCall(r.call)
		case !fits:
			f.unbind(r)
			f.waitAgain(r.call, r.bridged)
		case r.due.place == 0:
			f.setDeadline(r)
		}
	}
	f.leadBack(a)
	f.relist(a)
}

// boundWith is every reservation that an agent, or any call, holds to be one of theirs.
func (f *Floor) boundWith(a *agent) []*reservation {
	list := slices.Clone(a.hands)
	for c := f.first; c != nil; c = c.younger {
		for _, r := range c.reservations() {
			if r.agent == a && !slices.Contains(list, r) {
				list = append(list, r)
			}
		}
	}
	return list
}

// leadBack brings an agent to the state that their hands make, by legal moves only.
func (f *Floor) leadBack(a *agent) {
	w := why{cause: CauseFailed, by: Switch}
	if to, r := a.bound(); r != nil && to != a.state && !allowed(agentMoves, a.state, to) {
		w.call = r.call.id
		if a.state != Ready {
			f.move(a, Ready, w)
		}
		if to != Reserved {
			f.move(a, Reserved, w)
		}
	}
	f.rest(a, w)
}

// relist puts an agent's seats where they belong, whatever is noted of them.
func (f *Floor) relist(a *agent) {
	for _, s := range a.seats {
		if s.ring >= 0 {
			s.line.ready[s.ring].remove(s)
		}
		s.listed = false
	}
	f.list(a)
}

// callScene is a picture of a call and of everybody who takes part in it.
func (f *Floor) callScene(c *call) string {
	parts := []string{c.picture()}
	for _, r := range f.boundTo(c) {
		parts = append(parts, "agent "+string(r.agent.id)+" "+r.agent.picture())
	}
	return strings.Join(parts, ", ")
}

// scene is a picture of an agent and of every call they have in hand.
func (a *agent) scene() string {
	parts := []string{a.picture()}
	for _, r := range a.hands {
		parts = append(parts, "call "+string(r.call.id)+" "+r.call.picture())
	}
	return strings.Join(parts, ", ")
}

// pictured is how a picture writes a time.
const pictured = "15:04:05.000"

func (c *call) picture() string {
	var with []string
	for _, r := range c.reservations() {
		with = append(with, r.picture())
	}
	return fmt.Sprintf("{%s since %s in %s, offer %d, with [%s]}", c.state, c.since.Format(pictured), c.line.cfg.ID, c.offer, strings.Join(with, " "))
}

func (a *agent) picture() string {
	var with []string
	for _, r := range a.hands {
		with = append(with, r.picture())
	}
	return fmt.Sprintf("{%s since %s, intent %d, reachable %v, with [%s]}", a.state, a.since.Format(pictured), a.want, a.reachable, strings.Join(with, " "))
}

func (r *reservation) picture() string {
	return fmt.Sprintf("%s/%s#%d stage %d until %s", r.call.id, r.agent.id, r.id, r.stage, r.due.at.Format(pictured))
}
