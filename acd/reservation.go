package acd

import (
	"slices"
	"time"
)

// reservation binds an agent and a contact to each other: from the decision to
// ring the agent, through the talk, to the end of the work after it. An agent has
// at most one for a call of any queue, and a call at most one that was answered.
type reservation struct {
	call  *call
	agent *agent
	seat  *seat // the place the agent was chosen in
	line  *line // of the call then: the rules of the wrap-up are its own
	id    OfferID
	kind  Medium // of the contact
	stage stage
	since time.Time // of the stage
	begun time.Time // of the talk

	alerted bool // the phone has rung
	bridged bool
	again   bool      // had this call, lost the line, and is rung for it before anybody else
	kept    bool      // chosen for a callback whose customer is being called first
	dialled bool      // the customer of a callback is being called; the agent waits on the line
	consult bool      // asks somebody, or is asked
	blind   bool      // asked beside a talk, to take the caller
	by      Party     // who wants that
	given   bool      // has the caller from another agent: that talk is counted
	held    uint8     // a bit for each Party that holds the other
	lost    time.Time // the link is gone since then; zero while it is there
	longer  int       // extensions of the wrap-up
	until   time.Time // of the ringing, or of the wrap-up
	due     timer

	mark int // in an image that is being made
}

// stage is how far a reservation has come.
type stage uint8

const (
	ended stage = iota
	ringing
	talking
	wrapping
)

// binds is the agent's state that a reservation makes, and its weight among others.
func (r *reservation) binds() (AgentState, int) {
	switch r.stage {
	case talking:
		switch {
		case r.consult:
			return Consulting, 4
		case r.held != 0:
			return OnHold, 4
		}
		return Talking, 4
	case ringing:
		if r.alerted {
			return Offered, 3
		}
		return Reserved, 2
	case wrapping:
		return WrapUp, 1
	}
	return Off, 0
}

// expire: the offer has rung out, the link did not come back, the wrap-up is over,
// or nothing has been heard of a talk for long.
func (r *reservation) expire(f *Floor) {
	switch r.stage {
	case ringing:
		f.rangOut(r)
	case talking:
		f.talkDue(r)
	case wrapping:
		f.wrapDue(r)
	}
}

// proveAfter is how long a talk may go on unheard of.
const proveAfter = 10 * time.Minute

func (f *Floor) talkDue(r *reservation) {
	switch {
	case r.dialled:
		f.callerMissed(r, CauseNoAnswer)
	case !r.lost.IsZero():
		f.linkGone(r, CauseLinkLost)
	default:
		f.emit(Prove{Call: r.call.id})
		f.due.set(&r.due, f.now.Add(proveAfter))
	}
}

// reserve binds an agent to a call that rings them.
func (f *Floor) reserve(c *call, s *seat) *reservation {
	r := f.bind(c, s)
	c.rings = append(c.rings, r)
	return r
}

func (f *Floor) bind(c *call, s *seat) *reservation {
	c.offer++
	r := &reservation{
		call: c, agent: s.agent, seat: s, line: c.line, id: c.offer, kind: c.line.cfg.Medium, stage: ringing, since: f.now,
	}
	r.due.of = r
	r.until = f.now.Add(c.line.ringFor())
	s.agent.hands = append(s.agent.hands, r)
	f.touch(s.agent)
	f.touchCall(c)
	f.due.set(&r.due, r.until)
	return r
}

// stageIs moves a reservation on.
func (f *Floor) stageIs(r *reservation, s stage) {
	r.stage, r.since = s, f.now
	f.touch(r.agent)
	f.touchCall(r.call)
}

// release unbinds agent and call. It leaves it to others to say what becomes of both.
func (f *Floor) release(r *reservation) {
	f.due.unset(&r.due)
	f.stageIs(r, ended)
	r.agent.hands = slices.DeleteFunc(r.agent.hands, func(x *reservation) bool { return x == r })
	r.call.rings = slices.DeleteFunc(r.call.rings, func(x *reservation) bool { return x == r })
	if r.call.talk == r {
		r.call.talk = nil
	}
	if r.call.aside == r {
		r.call.aside = nil
	}
}

// reserved finds the reservation an event is about; nil when the event is late.
func (f *Floor) reserved(ev *Event) *reservation {
	c := f.calls[ev.Call]
	if c == nil {
		return nil
	}
	if r := c.talk; r != nil && r.id == ev.Offer && r.agent.id == ev.Agent {
		return r
	}
	if r := c.aside; r != nil && r.id == ev.Offer && r.agent.id == ev.Agent {
		return r
	}
	for _, r := range c.rings {
		if r.id == ev.Offer && r.agent.id == ev.Agent {
			return r
		}
	}
	return nil
}
