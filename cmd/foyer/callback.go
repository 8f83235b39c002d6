package main

import (
	"context"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/sip"
)

// A callback is a call like others, only that its caller is called by us. The
// floor keeps the promise; a goroutine exists from the moment an agent or the
// customer is first rung for it.

// callbackFor makes the call of a callback that is about to be made, unless it
// exists.
func (ex *exchange) callbackFor(id acd.CallID, q acd.QueueID, number string) {
	if ex.calls.card(id) != nil {
		return
	}
	plan := ex.plan.Load()
	queue := plan.queues[q]
	c := &call{
		ex: ex, id: id, box: newMailbox(), begun: time.Now(), phase: waiting, back: true, told: true,
		offers: map[acd.OfferID]*offer{},
		dest:   destination{number: queue.number, client: queue.client, queue: q},
		client: plan.clients[queue.client],
		facts:  acd.Facts{Client: queue.client, DID: queue.number, From: number, To: number},
	}
	c.log = ex.log.With(zap.String("call", string(id)))
	c.show()
	ex.calls.add(c)
	go c.run(nil)
}

// callCustomer carries out the floor's decision to call the customer of a callback.
func (c *call) callCustomer(d acd.Dial) {
	if c.out != nil || c.phase != waiting || !c.back {
		return
	}
	c.dialled = d.Offer
	c.log.Info("calling back", zap.String("number", d.Number), zap.String("agent", string(d.Agent)))
	if o := c.waitingAgent(); o != nil {
		o.media.Hear(c.playlist("callback-agent"))
	}
	if err := c.callOut(d.Number, passed{by: c.dest.number}); err != nil {
		c.log.Warn("customer not called", zap.Error(err))
		c.customerMissed(acd.CauseFailed)
	}
}

// waitingAgent is the agent who has answered a callback and waits for the customer.
func (c *call) waitingAgent() *offer {
	if o := c.offers[c.dialled]; o != nil && o.taken != nil {
		return o
	}
	return nil
}

// customerAnswered: the customer is on the line, and is the caller from here on.
func (c *call) customerAnswered() {
	o := c.out
	c.out, o.joined = nil, true
	c.caller = o.side
	c.answered, c.code = true, 200
	c.facts.Trunk, c.facts.SIPCallID, c.facts.Transport = o.leg.Trunk(), o.leg.SIPCallID(), o.leg.Transport()
	if c.waitingAgent() == nil {
		c.caller.media.Hear(c.playlist("callback-hello"))
	}
	c.ex.board.post(acd.Event{Kind: acd.CallerBack, Call: c.id, Offer: c.dialled})
}

// customerMissed: the customer was not reached. The floor tries again, or not;
// it withdraws the agent.
func (c *call) customerMissed(cause acd.Cause) {
	c.dropOut(sip.Reason{SIP: 487, Text: "Callback given up"})
	c.ex.board.post(acd.Event{Kind: acd.CallerMissed, Call: c.id, Offer: c.dialled, Cause: cause, By: acd.Caller})
}

// postpone leaves a callback that is being made when the switch stops to the next
// life: its phones fall silent, and the floor is not told that it is over.
func (c *call) postpone() {
	c.dropOut(sip.Reason{SIP: 487, Text: "Callback given up"})
	for id := range c.offers {
		c.withdraw(id, acd.CauseDraining)
	}
	c.phase = over
	c.ex.forget(c.id)
}

// retire lets callbacks go that are not being made.
type retire struct{}

// alone says whether a callback has neither a customer nor an agent to lose.
func (c *call) alone() bool { return c.back && !c.answered && c.out == nil && len(c.offers) == 0 }

// promisedIn are the callbacks that an earlier life of the switch had promised and
// not made.
func promisedIn(f *acd.Floor, now time.Time) []acd.Event {
	var asks []acd.Event
	for _, v := range f.Snapshot(now).Calls {
		if v.Callback == "" || v.Present { // who was on the line has had their callback
			continue
		}
		asks = append(asks, acd.Event{
			Kind: acd.CallbackAsked, Call: v.ID, Queue: v.Queue, Number: v.Callback,
			Since: v.Turn, By: acd.Switch, Facts: v.Facts,
		})
	}
	return asks
}

// hours tells the floor when customers of each queue may be called back.
func (ex *exchange) hours(ctx context.Context) {
	open := map[acd.QueueID]bool{}
	every := ex.minute
	if every == 0 {
		every = time.Minute
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ex.confined(theHours, ex.log, func() { ex.tellHours(open) })
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-ex.rehour:
		}
	}
}

// tellHours tells what has changed since open was told.
func (ex *exchange) tellHours(open map[acd.QueueID]bool) {
	plan, now := ex.plan.Load(), time.Now()
	for _, q := range plan.cfg.Queues {
		id := acd.QueueID(q.ID)
		may := plan.callable(now, id)
		if was, known := open[id]; known && was == may || !known && may {
			open[id] = may
			continue
		}
		open[id] = may
		kind := acd.CallbacksShut
		if may {
			kind = acd.CallbacksOpen
		}
		ex.board.post(acd.Event{Kind: kind, Queue: id, By: acd.Switch})
	}
}
