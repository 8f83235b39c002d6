package acd

import (
	"cmp"
	"time"
)

// CallState is where a call stands. The zero value is a call the floor does not have.
type CallState uint8

const (
	CallOver    CallState = iota // not on the floor: not yet, or no more
	CallWaiting                  // in a queue, no agent being rung
	CallRinging                  // in a queue, an agent being rung
	CallTalking                  // with an agent
)

// callMoves is every legal move. A talk goes back to waiting only when the agent
// was lost before both heard each other.
var callMoves = [][]CallState{
	CallOver:    {CallWaiting},
	CallWaiting: {CallRinging, CallOver},
	CallRinging: {CallWaiting, CallTalking, CallOver},
	CallTalking: {CallWaiting, CallOver},
}

// call is a customer's call on the floor.
type call struct {
	id       CallID
	state    CallState
	since    time.Time
	line     *line
	arrived  time.Time     // on the floor: order and service level count from here
	entered  time.Time     // its present queue: overflow steps count from here
	priority time.Duration // its own head start
	key      time.Time     // arrived less every head start: the order of all waiting calls
	number   uint64        // its place among all arrivals
	step     int           // the next overflow step of its queue
	fresh    bool          // waiting, or excluding fewer agents, since the last match

	agent    *agent // being rung or talking
	offer    OfferID
	alerted  bool // the present offer's phone has rung
	bridged  bool
	answered time.Time
	excluded []exclusion
	due      timer

	older, younger *call
}

// keyIn is the call's turn in a line: its arrival, less every head start.
func (c *call) keyIn(l *line) time.Time {
	return c.arrived.Add(-c.priority - time.Duration(l.cfg.Priority)*time.Second)
}

func byTurn(a, b *call) int {
	if c := a.key.Compare(b.key); c != 0 {
		return c
	}
	return cmp.Compare(a.number, b.number)
}

// moveCall is the only function that changes a call's state. It keeps the row
// of those who wait.
func (f *Floor) moveCall(c *call, to CallState) {
	from := c.state
	if !allowed(callMoves, from, to) {
		f.illegal("call %s: %s -> %s", c.id, from, to)
		return
	}
	if from == CallWaiting {
		c.line.waiting.remove(c)
	}
	c.state, c.since = to, f.now
	if to == CallWaiting {
		c.key = c.keyIn(c.line) // the head starts may have changed while it was ringing
		c.line.waiting.add(c)
		f.freshen(c)
		if c.line.present() == 0 { // its agents left while it was being offered
			f.watchEmpty(c.line, CauseUnreachable)
		}
	}
	f.due.set(&c.due, c.nextDue())
}

// freshen lets the next match look at a call.
func (f *Floor) freshen(c *call) {
	if !c.fresh {
		c.fresh = true
		f.freshCalls = append(f.freshCalls, c)
	}
}

// nextDue is when a waiting call takes its next overflow step or may be offered
// to somebody it excluded; zero if never.
func (c *call) nextDue() time.Time {
	if c.state != CallWaiting {
		return time.Time{}
	}
	at := c.nextStep()
	for _, x := range c.excluded {
		if !x.until.IsZero() && (at.IsZero() || x.until.Before(at)) {
			at = x.until
		}
	}
	return at
}

func (f *Floor) arrive(ev *Event) {
	if f.calls[ev.Call] != nil || ev.Call == "" {
		return
	}
	l := f.lines[ev.Queue]
	if l == nil {
		f.emit(Refuse{Call: ev.Call, Queue: ev.Queue, Cause: CauseClosed})
		f.emit(Settled{Call: ev.Call, Cause: CauseClosed, By: Switch})
		return
	}
	f.tally++
	c := &call{
		id: ev.Call, arrived: f.now, number: f.tally,
		priority: time.Duration(ev.Priority) * time.Second,
	}
	c.due.fire = func(f *Floor) { f.callDue(c) }
	f.append(c)
	f.enter(c, l, "")
	f.shelter(c)
}

// enter puts a call at its place in a queue, coming from another or from outside.
func (f *Floor) enter(c *call, l *line, from QueueID) {
	c.line, c.entered, c.step = l, f.now, 0
	l.calls++
	l.stats.Offered++
	f.emit(Queued{Call: c.id, Queue: l.cfg.ID, From: from})
	f.moveCall(c, CallWaiting)
}

// gone: the call is over, in whatever phase it was.
func (f *Floor) gone(ev *Event) {
	c := f.calls[ev.Call]
	if c == nil {
		return
	}
	a, cause := c.agent, ev.Cause
	switch c.state {
	case CallWaiting, CallRinging:
		cause = cmp.Or(cause, CauseAbandoned)
		f.countLost(c, ev.By, cause)
	case CallTalking:
		cause = cmp.Or(cause, CauseHangup)
		f.countAnswered(c)
	}
	ringing := c.state == CallRinging
	if ringing {
		f.emit(Withdraw{Call: c.id, Agent: a.id, Offer: c.offer, Cause: cause})
	}
	f.settle(c, cause, ev.By)
	switch {
	case a == nil:
	case ringing:
		f.rest(a, why{cause: cause, by: ev.By, call: c.id})
	default:
		f.wrapUp(a, c, why{cause: cause, by: ev.By, call: c.id})
	}
}

// refuse turns a waiting call away: no agent will take it.
func (f *Floor) refuse(c *call, cause Cause) {
	f.emit(Refuse{Call: c.id, Queue: c.line.cfg.ID, Cause: cause})
	if cause == CauseMaxWait {
		c.line.stats.Overflowed++
	} else {
		c.line.stats.Refused++
	}
	f.settle(c, cause, Switch)
}

// settle is the end of a call for the floor.
func (f *Floor) settle(c *call, cause Cause, by Party) {
	f.moveCall(c, CallOver)
	f.unlink(c)
	f.emit(Settled{Call: c.id, Cause: cause, By: by})
	f.leave(c.line)
}

// callDue: an exclusion has run out, or it is time for an overflow step.
func (f *Floor) callDue(c *call) {
	if c.state != CallWaiting {
		return
	}
	f.readmit(c)
	if at := c.nextStep(); !at.IsZero() && !at.After(f.now) {
		f.overflow(c)
	}
	if c.state == CallWaiting {
		f.due.set(&c.due, c.nextDue())
	}
}
