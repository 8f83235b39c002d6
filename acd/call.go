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
	CallRinging                  // in a queue, one or more agents being rung
	CallTalking                  // with an agent
	CallLater                    // to be called back, and not now
)

// callMoves is every legal move. A talk goes back to ringing or waiting when the
// agent was lost.
var callMoves = [][]CallState{
	CallOver:    {CallWaiting, CallLater},
	CallWaiting: {CallRinging, CallLater, CallOver},
	CallRinging: {CallWaiting, CallTalking, CallLater, CallOver},
	CallTalking: {CallWaiting, CallRinging, CallLater, CallOver},
	CallLater:   {CallWaiting, CallOver},
}

// call is a customer's contact on the floor: a call, a chat, a mail, or the
// promise to call back.
type call struct {
	id       CallID
	state    CallState
	since    time.Time
	line     *line
	from     string        // the caller's number; "" when it is not known
	arrived  time.Time     // on the floor
	asked    time.Time     // the service level counts from here
	turn     time.Time     // the order counts from here
	entered  time.Time     // its present queue: steps of overflow and relaxation count from here
	priority time.Duration // its own head start
	ahead    bool          // goes before all others: its agent was lost
	key      time.Time     // turn less every head start: the order of all waiting calls
	number   uint64        // its place among all arrivals
	step     int           // the next overflow step of its queue
	relaxed  int           // steps of relaxation taken
	fresh    bool          // waiting, or excluding fewer agents, since the last match
	touched  bool          // changed since the last audit

	rings    []*reservation // agents being rung
	talk     *reservation   // who answered
	aside    *reservation   // whom that agent asks, or gives the caller to
	offer    OfferID        // the last one made
	answered time.Time      // zero once counted
	again    bool           // was answered before, and lost its agent
	excluded []exclusion
	waves    int       // agents added to those rung first
	growsAt  time.Time // when another may be
	growing  bool      // looked at by this match

	prefer *agent // waits for this agent alone
	held   time.Time
	told   announced
	back   *promise // of a callback
	due    timer

	older, younger *call

	mark int // in an image that is being made
}

// aheadBy is the head start of a caller who has lost their agent in the middle
// of the talk: more than any configuration gives.
const aheadBy = 365 * 24 * time.Hour

// keyIn is the call's turn in a line: its arrival, less every head start.
func (c *call) keyIn(l *line) time.Time {
	start := c.priority + time.Duration(l.cfg.Priority)*time.Second
	if c.ahead {
		start += aheadBy
	}
	return c.turn.Add(-start)
}

func byTurn(a, b *call) int {
	if c := a.key.Compare(b.key); c != 0 {
		return c
	}
	return cmp.Compare(a.number, b.number)
}

// moveCall is the only function that changes a call's state. It keeps the rows
// of those who wait and ring.
func (f *Floor) moveCall(c *call, to CallState) {
	from := c.state
	if !allowed(callMoves, from, to) {
		f.illegal("call %s: %s -> %s", c.id, from, to)
		return
	}
	f.touchCall(c)
	l := c.line
	switch from {
	case CallWaiting:
		l.unwait(c)
	case CallRinging:
		l.ringing.remove(c)
	}
	c.state, c.since = to, f.now
	switch to {
	case CallWaiting:
		c.key = c.keyIn(l) // the head starts may have changed while it was ringing
		l.wait(c)
		f.freshen(c)
		if l.present() == 0 { // its agents left while it was being offered
			f.watchEmpty(l, CauseUnreachable)
		}
	case CallRinging:
		c.waves, c.growsAt = 0, time.Time{}
		if l.cfg.Strategy >= RingAll {
			l.ringing.add(c)
		}
		if l.cfg.Strategy == RingProgressively {
			c.growsAt = f.now.Add(max(l.cfg.NextAfter, time.Second))
		}
	}
	f.due.set(&c.due, f.callNext(c))
}

// wait and unwait keep the row of those who wait, and count them by relaxation.
func (l *line) wait(c *call) {
	l.waiting.add(c)
	l.relaxed[c.relaxed]++
}

func (l *line) unwait(c *call) {
	l.waiting.remove(c)
	l.relaxed[c.relaxed]--
}

// freshen lets the next match look at a call.
func (f *Floor) freshen(c *call) {
	if !c.fresh {
		c.fresh = true
		f.freshCalls = append(f.freshCalls, c)
	}
}

// earliest is the first of some moments, those that are zero left out.
func earliest(moments ...time.Time) time.Time {
	var first time.Time
	for _, t := range moments {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// callNext is when something is due for a call; zero if nothing is.
func (f *Floor) callNext(c *call) time.Time {
	switch c.state {
	case CallWaiting:
		return earliest(c.nextStep(), c.nextAgents(), c.held, c.told.next)
	case CallRinging:
		if c.line.cfg.Strategy >= RingAll {
			return earliest(c.growsAt, c.nextAgents())
		}
	case CallLater:
		if !c.line.shut {
			return c.back.notBefore
		}
	}
	return time.Time{}
}

// nextAgents is when a call may be offered to agents it may not be offered to now.
func (c *call) nextAgents() time.Time {
	at := c.nextRelax()
	for i := range c.excluded {
		at = earliest(at, c.excluded[i].until)
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
	c := f.newCall(ev)
	needless := f.returned(c, l)
	f.preferred(c, l, f.agents[ev.Agent])
	f.enter(c, l, "")
	if ev.Cause == CauseClosed && l.cfg.Closed.Rule == Send && l.cfg.Closed.To.Queue == "" {
		f.divert(c, l.cfg.Closed.To, CauseClosed)
		return
	}
	if needless != nil {
		f.settle(needless, CauseElsewhere, Caller)
	}
	f.shelter(c, true)
}

func (f *Floor) newCall(ev *Event) *call {
	f.tally++
	c := &call{
		id: ev.Call, arrived: f.now, asked: f.now, turn: f.now, number: f.tally,
		priority: time.Duration(ev.Priority) * time.Second,
	}
	c.due.of = c
	if ev.Facts != nil && ev.Facts.From != "anonymous" {
		c.from = ev.Facts.From
	}
	if !ev.Since.IsZero() && ev.Since.Before(f.now) {
		c.turn = ev.Since.Round(0)
	}
	f.append(c)
	return c
}

// enter puts a call at its place in a queue, coming from another or from outside.
func (f *Floor) enter(c *call, l *line, from QueueID) {
	f.settleIn(c, l)
	f.emit(Queued{Call: c.id, Queue: l.cfg.ID, From: from})
	f.moveCall(c, CallWaiting)
}

// settleIn makes a call one of a line's.
func (f *Floor) settleIn(c *call, l *line) {
	c.line, c.entered, c.step, c.relaxed = l, f.now, 0, 0
	c.told.next = time.Time{}
	if a := &l.cfg.Announce; c.back == nil && (a.Position || a.Wait) {
		c.told.next = f.now.Add(max(a.First, time.Second))
	}
	l.calls++
	l.stats.Offered++
}

// gone: the call is over, in whatever phase it was.
func (f *Floor) gone(ev *Event) {
	c := f.calls[ev.Call]
	if c == nil {
		return
	}
	cause := ev.Cause
	switch {
	case c.state == CallTalking && !c.talk.dialled:
		cause = cmp.Or(cause, CauseHangup)
		f.countAnswered(c)
	case c.back != nil && !c.back.present:
		cause = cmp.Or(cause, CauseAdmin)
	default:
		cause = cmp.Or(cause, CauseAbandoned)
		f.countLost(c, ev.By, cause)
		f.leaves(c, cause)
	}
	w := why{cause: cause, by: ev.By, call: c.id}
	f.dropRings(c, cause, w)
	f.dropAside(c, cause, ev.By)
	talk := c.talk
	f.settle(c, cause, ev.By)
	switch {
	case talk == nil:
	case talk.dialled: // nobody has talked
		f.release(talk)
		f.rest(talk.agent, w)
	default:
		f.wrapUp(talk, w)
	}
}

// dropRings stops ringing everybody for a call.
func (f *Floor) dropRings(c *call, cause Cause, w why) {
	for len(c.rings) > 0 {
		r := c.rings[0]
		f.emit(Withdraw{Call: c.id, Agent: r.agent.id, Offer: r.id, Cause: cause})
		f.release(r)
		f.rest(r.agent, w)
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
	f.unprefer(c)
	f.moveCall(c, CallOver)
	f.unlink(c)
	if c.back != nil {
		delete(f.promised, c.back.key)
		f.emit(CallbackOver{Call: c.id, Queue: c.line.cfg.ID, Number: c.back.number, Cause: cause, Made: c.back.present})
	}
	f.emit(Settled{Call: c.id, Cause: cause, By: by})
	f.leave(c.line)
}

// expire: an exclusion has run out, a preference, a pause between two words to
// the caller; or it is time for a step of relaxation or overflow, for one more
// agent, or to call back.
func (c *call) expire(f *Floor) {
	switch c.state {
	case CallWaiting:
		f.readmit(c)
		f.relax(c)
		if !c.held.IsZero() && !c.held.After(f.now) {
			f.unprefer(c)
		}
		f.announce(c)
		if at := c.nextStep(); !at.IsZero() && !at.After(f.now) {
			f.overflow(c)
		}
	case CallRinging:
		f.readmit(c)
		f.relax(c)
		f.grow(c)
	case CallLater:
		f.callbackDue(c)
	}
	if c.state != CallOver {
		f.due.set(&c.due, f.callNext(c))
	}
}
