package ledger

import (
	"slices"

	"foyer/acd"
)

// contact is a call that is up, as the Tally sees it: its stay in the present queue,
// who is rung for it, who has it.
type contact struct {
	arrived bool // called us; a callback that waits its turn has not
	stay    *stay
	rings   []ringing
	holders uint8       // a bit for each Party holding
	refused acd.Cause   // the floor has turned it away
	agent   acd.AgentID // connected to; empty while waiting
	offer   acd.OfferID
	joined  Instant // when connected
	counted bool    // as handled
}

// stay is the time of a call in one queue, and the row it counts in.
type stay struct {
	row     *row
	queue   acd.QueueID
	entered Instant
	within  Millis
	short   Millis
}

// ringing is an offer that is out. It counts in the row of the quarter it began in.
type ringing struct {
	offer acd.OfferID
	agent acd.AgentID
	row   *row
}

// fate is how a stay in a queue ended without an answer.
type fate uint8

const (
	cutOff fate = iota // the switch died
	abandoned
	overflowed
	refused
	calledBack // the caller took a callback instead
)

// causeCallback is the word of the cause that ends a call which is to be called back.
const causeCallback = "callback"

// fateOf says what became of a call that ends before its answer. Who hangs up has
// abandoned it; whoever of us ends it has refused it.
func fateOf(by acd.Party, cause acd.Cause) fate {
	switch {
	case cause.String() == causeCallback:
		return calledBack
	case cause == acd.CauseMaxWait:
		return overflowed
	case by == acd.Supervisor || by == acd.Switch || by == acd.Agent:
		return refused
	case by == acd.Nobody && cause != acd.CauseAbandoned && cause != acd.CauseHangup:
		return refused
	}
	return abandoned
}

// before applies what an event says of itself.
func (t *Tally) before(ev acd.Event) {
	switch ev.Kind {
	case acd.Started, acd.Reconfigured:
		if ev.Config != nil {
			for _, q := range ev.Config.Queues {
				t.queues[q.ID] = rulesOf(&q)
			}
		}
	case acd.Arrived:
		if ev.Call != "" && t.calls[ev.Call] == nil {
			t.calls[ev.Call] = &contact{arrived: true}
		}
	case acd.Failed:
		t.unrung(t.calls[ev.Call], ev.Agent, ev.Offer, ev.Cause)
	case acd.Held:
		t.hold(t.calls[ev.Call], func(c *contact) { c.holders |= 1 << ev.By })
	case acd.Resumed:
		t.hold(t.calls[ev.Call], func(c *contact) { c.holders &^= 1 << ev.By })
	}
}

// act applies one decision of the floor; one nobody has told us of changes nothing.
func (t *Tally) act(a acd.Action) {
	switch a := a.(type) {
	case acd.Queued:
		t.queued(a)
	case acd.Offer:
		t.offered(a)
	case acd.Withdraw:
		t.unrung(t.calls[a.Call], a.Agent, a.Offer, a.Cause)
	case acd.Connect:
		t.connect(a)
	case acd.Consulted:
		if r := t.takeRing(t.calls[a.Call], a.To, a.Offer); r != nil {
			r.Agent.Accepted++
			t.release(r)
		}
	case acd.Refuse:
		if c := t.calls[a.Call]; c != nil {
			c.refused = a.Cause
		}
	case acd.Settled:
		t.settled(a)
	case acd.Moved:
		t.moved(a)
	}
}

// queued: a call enters a queue, from outside or from another. Each queue has its
// own clock. A call that an agent has dropped before the talk began is still in the
// queue it was in; one that has talked comes anew.
func (t *Tally) queued(a acd.Queued) {
	c := t.calls[a.Call]
	if c == nil {
		c = &contact{}
		t.calls[a.Call] = c
	}
	switch {
	case c.stay == nil:
	case c.counted:
		t.depart(c)
	case c.stay.queue == a.Queue:
		c.agent, c.joined = "", 0
		return
	default:
		t.leave(c, overflowed)
	}
	cfg := t.queues[a.Queue]
	r := t.row(rowKey{t.start, OfQueue, string(a.Queue), cfg.client})
	r.users++
	c.stay = &stay{
		row: r, queue: a.Queue, entered: t.now,
		within: Millis(cfg.within.Milliseconds()), short: Millis(cfg.short.Milliseconds()),
	}
	c.agent, c.joined, c.counted, c.holders = "", 0, false, 0
	r.Queue.Within, r.Queue.Short = c.stay.within, c.stay.short
	if c.arrived {
		r.Queue.Offered++
	}
}

func (t *Tally) offered(a acd.Offer) {
	c := t.calls[a.Call]
	if c == nil || c.stay == nil {
		return
	}
	r := t.agentRow(a.Agent, c.stay.row.Client)
	r.users++
	r.Agent.Offers++
	c.rings = append(c.rings, ringing{a.Offer, a.Agent, r})
}

// unrung ends an offer that nobody took. The first word on it stands.
func (t *Tally) unrung(c *contact, agent acd.AgentID, n acd.OfferID, why acd.Cause) {
	r := t.takeRing(c, agent, n)
	if r == nil {
		return
	}
	switch resultOf(why) {
	case "declined", "busy":
		r.Agent.Declined++
	case "no_answer":
		r.Agent.Missed++
	case "withdrawn":
		r.Agent.Withdrawn++
	default:
		r.Agent.Unreachable++
	}
	t.release(r)
}

// takeRing takes an offer off the list of those that are out.
func (t *Tally) takeRing(c *contact, agent acd.AgentID, n acd.OfferID) *row {
	if c == nil {
		return nil
	}
	i := slices.IndexFunc(c.rings, func(r ringing) bool { return r.offer == n && r.agent == agent })
	if i < 0 {
		return nil
	}
	r := c.rings[i].row
	c.rings = slices.Delete(c.rings, i, i+1)
	return r
}

func (t *Tally) connect(a acd.Connect) {
	c := t.calls[a.Call]
	if r := t.takeRing(c, a.Agent, a.Offer); r != nil {
		r.Agent.Accepted++
		t.release(r)
	}
	if c == nil || c.stay == nil {
		return
	}
	if c.counted && c.agent != a.Agent { // given to them by another
		t.agentRow(a.Agent, c.stay.row.Client).Agent.Handled++
	}
	c.agent, c.offer, c.holders = a.Agent, a.Offer, 0
	if !c.counted {
		c.joined = t.now
	}
}

// bridged: both hear each other, so the call counts as answered: at the moment the
// agent picked up.
func (t *Tally) bridged(ev acd.Event) {
	if c := t.calls[ev.Call]; c != nil && c.agent == ev.Agent && c.offer == ev.Offer {
		t.answer(c)
	}
}

func (t *Tally) answer(c *contact) {
	if c.stay == nil || c.agent == "" || c.counted {
		return
	}
	c.counted = true
	q := c.stay.row.Queue
	q.Handled++
	t.agentRow(c.agent, c.stay.row.Client).Agent.Handled++
	if c.arrived {
		wait := t.waited(c.stay, c.joined)
		q.Answered++
		q.WaitAnswered += wait
		if c.stay.within > 0 && wait <= c.stay.within {
			q.AnsweredWithin++
		}
	}
	t.touch(c.stay.row)
}

// waited counts how long a call was in a queue.
func (t *Tally) waited(s *stay, until Instant) Millis {
	wait := Span(s.entered, until)
	q := s.row.Queue
	q.WaitAll += wait
	q.WaitMost = max(q.WaitMost, wait)
	q.Waits.count(wait)
	return wait
}

// leave ends a stay: as answered if it was, else by its fate.
func (t *Tally) leave(c *contact, how fate) {
	if c.agent != "" && how != cutOff {
		t.answer(c)
	}
	if c.stay != nil && !c.counted && c.arrived {
		t.lose(c.stay, how)
	}
	t.depart(c)
	for len(c.rings) > 0 {
		t.unrung(c, c.rings[0].agent, c.rings[0].offer, acd.CauseElsewhere)
	}
}

func (t *Tally) lose(s *stay, how fate) {
	wait := t.waited(s, t.now)
	q := s.row.Queue
	switch how {
	case cutOff:
		q.Failed++
	case overflowed:
		q.Overflowed++
	case refused:
		q.Refused++
	case calledBack:
		q.Callbacks++
	case abandoned:
		q.Abandoned++
		if s.within > 0 && wait <= s.within {
			q.AbandonedWithin++
		} else {
			q.AbandonedLater++
		}
		if wait < s.short {
			q.ShortAbandoned++
		}
	}
}

func (t *Tally) depart(c *contact) {
	if c.stay != nil {
		t.release(c.stay.row)
		c.stay = nil
	}
}

// settled: the floor is done with a call.
func (t *Tally) settled(a acd.Settled) {
	c := t.calls[a.Call]
	if c == nil {
		return
	}
	how := fateOf(a.By, a.Cause)
	if c.refused != acd.CauseUnknown {
		how = fateOf(acd.Switch, c.refused)
	}
	t.leave(c, how)
	delete(t.calls, a.Call)
}
