package acd

import "time"

// A callback is a customer's place in the queue without the customer: they are
// called when it is their turn, which is that of the moment they began to wait.
// Each one that is being made has an agent to itself, kept free or on the line
// already, so that never more are in flight than agents are free. A number has
// one callback in a queue at a time. It is no abandoned call, and no answered one
// until both talk.

// promise is what is known of a callback.
type promise struct {
	key       string // of Floor.promised
	number    string
	attempts  int
	notBefore time.Time
	present   bool   // the customer is on the line
	facts     *Facts // as it was asked for, for whoever makes the promise anew
}

const (
	dialDefault = 45 * time.Second
	// dialGrace is the time the switch has to say what became of a Dial whose time is up.
	dialGrace = 5 * time.Second
)

func (l *line) dialFor() time.Duration {
	if l.cfg.Callback.DialFor > 0 {
		return l.cfg.Callback.DialFor
	}
	return dialDefault
}

func placeKey(q QueueID, number string) string { return string(q) + " " + number }

// callbackAsked turns a waiting call into a promise to call back, or takes over a
// promise made earlier. Where the number has one already, that one stands.
func (f *Floor) callbackAsked(ev *Event) {
	from := f.calls[ev.Origin]
	l := f.lines[ev.Queue]
	if from != nil {
		l = from.line
	}
	if l == nil || ev.Call == "" || ev.Number == "" || f.calls[ev.Call] != nil || l.cfg.Callback.Attempts <= 0 ||
		from != nil && (from.state == CallTalking || from.back != nil) {
		return
	}
	key := placeKey(l.cfg.ID, ev.Number)
	c := f.promised[key]
	if c == nil {
		c = f.newCall(ev)
		c.from = ev.Number
		c.back = &promise{key: key, number: ev.Number, facts: ev.Facts}
		f.promised[key] = c
		switch {
		case from != nil:
			c.turn, c.priority, c.number = from.turn, from.priority, from.number
		case ev.Since.After(f.now):
			// An appointment: their place is that of who comes at that moment.
			c.turn, c.back.notBefore = ev.Since.Round(0), ev.Since.Round(0)
		}
		f.settleIn(c, l)
		l.stats.Offered-- // counted as a callback, and as answered when it is
		c.key = c.keyIn(l)
		f.emit(Queued{Call: c.id, Queue: l.cfg.ID})
		f.moveCall(c, CallLater)
	}
	place := 0
	if from != nil {
		f.dropRings(from, CauseCallback, why{cause: CauseCallback, by: Caller, call: from.id})
		if from.state == CallRinging {
			f.moveCall(from, CallWaiting)
		}
		place = from.position()
		l.stats.Callbacks++
		f.settle(from, CauseCallback, Caller)
	}
	f.callbackDue(c)
	if c.state == CallWaiting {
		place = c.position()
	}
	f.emit(CallbackKept{Call: ev.Origin, Callback: c.id, Queue: l.cfg.ID, Number: ev.Number, Position: place})
}

// callbackDue lets a callback wait for an agent if it may be made now.
func (f *Floor) callbackDue(c *call) {
	if c.state == CallLater && !c.line.shut && !c.back.notBefore.After(f.now) {
		f.moveCall(c, CallWaiting)
	}
}

// callbacks opens or shuts the hours in which a queue's customers are called back.
// What is being made goes on.
func (f *Floor) callbacks(l *line, open bool) {
	if l == nil || l.shut == !open {
		return
	}
	l.shut = !open
	for c := f.first; c != nil; c = c.younger {
		switch {
		case c.line != l || c.back == nil || c.back.present:
		case !open && c.state == CallWaiting:
			f.moveCall(c, CallLater)
		case open:
			f.callbackDue(c)
			f.due.set(&c.due, f.callNext(c))
		}
	}
}

// dialling is the reservation for which the customer of a callback is being
// called; nil when nobody is.
func (f *Floor) dialling(c *call) *reservation {
	switch {
	case c == nil:
	case c.talk != nil && c.talk.dialled:
		return c.talk
	case len(c.rings) > 0 && c.rings[0].kept:
		return c.rings[0]
	}
	return nil
}

// callerBack: the customer is on the line. Now the agent is rung, or both talk.
func (f *Floor) callerBack(ev *Event) {
	r := f.dialling(f.calls[ev.Call])
	if r == nil || ev.Offer != 0 && ev.Offer != r.id {
		return
	}
	c := r.call
	c.back.present = true
	c.line.stats.Offered++
	switch {
	case r.dialled:
		r.dialled = false
		f.connect(r)
	default:
		r.kept, r.until = false, f.now.Add(c.line.ringFor())
		f.due.set(&r.due, r.until)
		f.touch(r.agent)
		f.emit(r.offer(f.now, f.reasons(c, r.seat)))
		f.widen(c)
	}
}

// callerMissed: the customer has not taken the callback. It is tried again later,
// as often as the queue does; the agent is free at once.
func (f *Floor) callerMissed(r *reservation, cause Cause) {
	c := r.call
	f.emit(Withdraw{Call: c.id, Agent: r.agent.id, Offer: r.id, Cause: cause})
	f.release(r)
	c.back.attempts++
	c.back.notBefore = f.now.Add(max(c.line.cfg.Callback.Retry, time.Second))
	if c.back.attempts >= c.line.cfg.Callback.Attempts {
		f.settle(c, cause, Caller)
	} else {
		f.moveCall(c, CallLater)
	}
	f.rest(r.agent, why{cause: cause, by: Caller, call: c.id})
}
