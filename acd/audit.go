package acd

import (
	"fmt"
	"slices"
	"strings"
)

// The audit holds the invariants in a running switch: after every step, for the
// agents and calls that the step has touched. What Check finds over the whole
// floor it finds where it could have begun. A fault is told with a picture of all
// who take part in it, counted, and repaired in favour of the caller: who waits
// goes on waiting, and an agent who is in nothing is in nothing.

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

func (f *Floor) audit() {
	for i := 0; i < len(f.touchedCalls); i++ { // a repair may touch more
		c := f.touchedCalls[i]
		c.touched = false
		if bad := f.callFault(c); bad != "" {
			f.violated("call %s: %s; %s", c.id, bad, c.picture())
			f.repairCall(c)
		}
	}
	for i := 0; i < len(f.touchedAgents); i++ {
		a := f.touchedAgents[i]
		a.touched = false
		if bad := f.agentFault(a); bad != "" {
			f.violated("agent %s: %s; %s", a.id, bad, a.picture())
			f.repairAgent(a)
		}
	}
	clear(f.touchedCalls)
	clear(f.touchedAgents)
	f.touchedCalls, f.touchedAgents = f.touchedCalls[:0], f.touchedAgents[:0]
}

// violated reports a broken invariant.
func (f *Floor) violated(format string, args ...any) { f.illegal(format, args...) }

// callFault is what is wrong with a call; "" when nothing is.
func (f *Floor) callFault(c *call) string {
	if c.state == CallOver {
		if len(c.rings) > 0 {
			return "over, and still ringing"
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
	for _, r := range c.reservations() {
		if r.call != c || !slices.Contains(r.agent.hands, r) {
			return fmt.Sprintf("agent %s does not know of it", r.agent.id)
		}
		if r.due.place == 0 {
			return fmt.Sprintf("no deadline with agent %s", r.agent.id)
		}
	}
	return ""
}

// reservations are all of a call.
func (c *call) reservations() []*reservation {
	if c.talk != nil {
		return append(slices.Clip(c.rings), c.talk)
	}
	return c.rings
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
	if a.since.After(f.now) {
		return "in this state since a time to come"
	}
	return ""
}

// repairCall lets a call wait again, freed of every agent.
func (f *Floor) repairCall(c *call) {
	for _, r := range slices.Clone(c.reservations()) {
		f.emit(Withdraw{Call: c.id, Agent: r.agent.id, Offer: r.id, Cause: CauseFailed})
		f.release(r)
		f.touch(r.agent)
	}
	c.rings, c.talk = nil, nil
	if c.state != CallOver && c.state != CallWaiting && f.calls[c.id] == c {
		f.moveCall(c, CallWaiting)
		f.emit(Queued{Call: c.id, Queue: c.line.cfg.ID})
	}
}

// repairAgent takes everything out of an agent's hands that does not fit, and
// puts them where they want to be.
func (f *Floor) repairAgent(a *agent) {
	for _, r := range slices.Clone(a.hands) {
		f.due.unset(&r.due)
		r.stage = ended
		f.touchCall(r.call)
	}
	for _, r := range a.hands {
		c := r.call
		c.rings = slices.DeleteFunc(c.rings, func(x *reservation) bool { return x == r })
		if c.talk == r {
			c.talk = nil
		}
		if f.calls[c.id] == c && c.talk == nil && len(c.rings) == 0 && c.state != CallWaiting && c.state != CallLater {
			f.moveCall(c, CallWaiting)
			f.emit(Queued{Call: c.id, Queue: c.line.cfg.ID})
		}
	}
	a.hands = nil
	f.rest(a, why{cause: CauseFailed, by: Switch})
}

func (c *call) picture() string {
	var with []string
	for _, r := range c.reservations() {
		with = append(with, r.picture())
	}
	return fmt.Sprintf("{%s since %s in %s, offer %d, with [%s]}", c.state, c.since.Format("15:04:05.000"), c.line.cfg.ID, c.offer, strings.Join(with, " "))
}

func (a *agent) picture() string {
	var with []string
	for _, r := range a.hands {
		with = append(with, r.picture())
	}
	return fmt.Sprintf("{%s since %s, intent %d, reachable %v, with [%s]}", a.state, a.since.Format("15:04:05.000"), a.want, a.reachable, strings.Join(with, " "))
}

func (r *reservation) picture() string {
	return fmt.Sprintf("%s/%s#%d stage %d until %s", r.call.id, r.agent.id, r.id, r.stage, r.due.at.Format("15:04:05.000"))
}
