package main

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/rtp"
	"foyer/sip"
)

// call is one customer call: the caller's leg, the phones being rung for it, the
// agent who talks, its media and its recording. One goroutine, run, owns all of
// it and takes every message about it from one mailbox, in order; nobody else
// reads or writes a field. It decides nothing about queues: it reports to the
// board what happened and carries out what the floor answers.
type call struct {
	ex  *exchange
	id  acd.CallID
	box *mailbox
	log *zap.Logger

	phase  phase
	saved  phase // as which it is kept for the next life
	begun  time.Time
	told   bool // the journal knows the call: Arrived or Rejected was posted
	caller side
	dest   destination // where the number led
	client *client
	early  bool // the trunk gives music as early media: 200 only when an agent answers

	offers  map[acd.OfferID]*offer
	agent   *offer   // who won, once connected
	out     *outward // a call of ours to a number outside
	passage *passage // the leave to call the number of out

	consult  *consult  // the agent's second call
	transfer *transfer // under way
	redirect *goal     // where the phone of whoever was asked would rather have them
	followed bool      // one such has been followed
	refused  time.Time // when the agent was last told that a transfer had failed
	rec      recording

	trunk   string      // by which it came; "" when we call back
	back    bool        // a callback
	dialled acd.OfferID // of the agent for whom its customer is being called
	mayAsk  bool        // the caller has been asked whether to be called back

	code      int // final status of the caller's INVITE
	cause     acd.Cause
	by        acd.Party
	answered  bool      // the caller's INVITE has its 200
	connected time.Time // when the agent was bridged
	measures  int       // reports of media legs still to come
	facts     acd.Facts

	card atomic.Pointer[card] // what others may read; replaced by show
}

// phase is how far the call has come on our side of the wires. The floor has
// states of its own; this one only says what may still be done to the legs.
type phase uint8

const (
	arriving  phase = iota // the INVITE is in hand, nothing promised yet
	waiting                // in a queue, hearing music
	talking                // bridged with an agent
	diverted               // put through to a number outside
	messaging              // leaving a message
	leaving                // being told why it ends
	closing                // both legs hung up, media being measured
	over
)

// side is one party on both wires.
type side struct {
	leg    *sip.Leg
	sdp    *rtp.Session
	media  *rtp.Leg
	stream rtp.Stream
	held   bool // this party has put the other on hold
	owed   bool // our 200 carried the offer: the ACK brings the answer
	band
}

// What arrives in a call's mailbox besides the floor's actions.
type (
	arrived    struct{} // the first of all
	fromCaller struct{ event sip.LegEvent }
	fromPhone  struct {
		phone *phone
		event sip.LegEvent
	}
	fromMedia struct {
		party acd.Party
		offer acd.OfferID
		event rtp.MediaEvent
	}
	fromOutside struct {
		out     *outward
		attempt int
		event   sip.LegEvent
	}
	measured struct {
		party  acd.Party
		report rtp.Report
	}
	// ordered is an operator's or the draining switch's word to end the call.
	ordered struct {
		by    acd.Party
		cause acd.Cause
	}
)

// invite is the edge's entrance: it returns when the INVITE transaction ends.
func (ex *exchange) invite(leg *sip.Leg) {
	if ex.plan.Load().echoes(leg.Called()) {
		ex.echoTest(leg, "")
		return
	}
	c := &call{
		ex:     ex,
		id:     newCallID(time.Now()),
		box:    newMailbox(),
		begun:  time.Now(),
		caller: side{leg: leg}, trunk: leg.Trunk(),
		offers: map[acd.OfferID]*offer{},
		facts:  acd.Facts{To: leg.Called(), Trunk: leg.Trunk(), Transport: leg.Transport(), SIPCallID: leg.SIPCallID()},
	}
	c.log = ex.log.With(zap.String("call", string(c.id)))
	ex.calls.add(c)
	go c.run(arrived{})
	leg.Wait()
}

// run is the goroutine of the call; first is what it begins with, nil if it waits.
func (c *call) run(first any) {
	defer c.ex.calls.remove(c)
	if first != nil {
		c.guard(func() { c.take(first) })
	}
	c.guard(c.show)
	var spare []any
	for c.phase != over {
		<-c.box.ready
		msgs := c.box.take(spare)
		for _, m := range msgs {
			c.guard(func() { c.take(m) })
		}
		c.guard(c.show)
		clear(msgs)
		spare = msgs
	}
	for _, m := range c.box.close() {
		tooLate(m)
	}
}

// tooLate answers what somebody waits for and the call can give no more.
func tooLate(m any) {
	switch m := m.(type) {
	case asking:
		m.leg.Reject(sip.Reject{Code: 480})
	case takingOver:
		m.leg.Reject(sip.Reject{Code: 481})
	case orderedTransfer:
		m.done <- errCallOver
	}
}

// take deals with one message from the mailbox.
func (c *call) take(m any) {
	if c.ex.onStep != nil {
		c.ex.onStep(c, m)
	}
	c.handle(m)
	c.tune()
	if c.phase != c.saved && c.phase < closing {
		c.save()
	}
}

func (c *call) handle(m any) {
	switch m := m.(type) {
	case arrived:
		c.arrive()
	case revived:
		c.goOn(m)
	case fromCaller:
		c.callerDid(m.event)
	case fromPhone:
		c.phoneDid(m.phone, m.event)
	case fromMedia:
		c.mediaSaid(m)
	case measured:
		c.measured(m)
	case acd.Offer:
		c.ring(m)
	case acd.Withdraw:
		c.withdraw(m.Offer, m.Cause)
	case acd.Connect:
		c.connect(m)
	case acd.Queued:
		c.queued(m)
	case acd.Refuse:
		c.refuse(m.Queue, m.Cause)
	case ordered:
		c.end(m.by, m.cause)
	case fromOutside:
		c.outsideDid(m)
	default:
		c.handleRarer(m)
	}
}

// handleRarer deals with what most calls never see.
func (c *call) handleRarer(m any) {
	switch m := m.(type) {
	case acd.Divert:
		c.divert(m)
	case acd.Announce:
		c.announce(m)
	case acd.OfferCallback:
		c.offerCallback()
	case acd.CallbackKept:
		c.callbackKept(m)
	case acd.Dial:
		c.callCustomer(m)
	case acd.CallbackOver, retire:
		if c.alone() {
			c.phase = over
			c.ex.forget(c.id)
		}
	case acd.Comfort:
		c.comfort()
	case acd.Rejoin:
		c.rejoin()
	case acd.Part:
		c.part(m)
	case acd.Hangup:
		c.end(m.By, m.Cause)
	case acd.Consulted:
		c.askedAnswered()
	case acd.NotReached:
		c.floorNotReached(m)
	case asking:
		c.asks(m)
	case fromAsker:
		c.askerDid(m)
	case takingOver:
		c.takeOver(m)
	case orderedTransfer:
		c.transferBy(m)
	case probed:
		c.probed(m)
	case messageTime:
		c.messageLeft()
	case outwardTime:
		c.outwardLate(m)
	case dialLimit:
		c.limited(m)
	}
}

// arrive answers the INVITE as its number, hour and trunk demand.
func (c *call) arrive() {
	leg := c.caller.leg
	c.ex.journal.traceLeg(c.id, thread{SIPCallID: leg.SIPCallID(), Party: leg.Trunk()})
	plan := c.ex.plan.Load()
	called := plan.called(leg)
	c.facts.To = called
	c.dest = plan.route(c.begun, called, c.id)
	c.client = plan.clients[c.dest.client]
	c.early = plan.trunks[leg.Trunk()].earlyMedia
	c.facts = c.firstFacts(plan)
	c.log.Info("call arrived",
		zap.String("from", c.facts.From), zap.String("to", c.facts.To), zap.String("trunk", c.facts.Trunk),
		zap.String("queue", string(c.dest.queue)), zap.String("sip_call_id", leg.SIPCallID()),
		zap.String("verstat", leg.Vouched().Verstat), zap.String("attest", leg.Vouched().Attest))

	if code := plan.circle(leg); code != 0 {
		c.turnBack(sip.Reject{Code: code, Err: errCircle}, acd.CauseFailed)
		return
	}
	if c.dest.cause == acd.CauseNumberUnknown && plan.incomplete(c.dest.number) {
		c.turnBack(sip.Reject{Code: 484}, c.dest.cause)
		return
	}
	if err := c.unrecordable(); err != nil {
		c.turnAway(acd.CauseUnrecordable, err)
		return
	}
	if c.dest.cause != acd.CauseUnknown && c.dest.prompt == "" {
		c.turnAway(c.dest.cause, nil)
		return
	}
	if err := c.openMedia(); err != nil {
		c.turnAway(causeOf(err), err)
		return
	}
	leg.Listen(c.callerSink())
	if c.dest.cause != acd.CauseUnknown {
		c.announceClosed()
		return
	}
	c.admit()
}

func (c *call) callerSink() func(sip.LegEvent) {
	return func(ev sip.LegEvent) { c.box.post(fromCaller{ev}) }
}

// admit lets the caller in: music at once, then the queue.
func (c *call) admit() {
	c.phase = waiting
	if err := c.greet(); err != nil {
		c.turnAway(causeOf(err), err)
		return
	}
	c.tellArrived()
}

func (c *call) tellArrived() {
	facts := c.facts
	c.told = true
	// Whoever rang first goes first, whichever goroutine gets to say so first.
	ev := acd.Event{
		Kind: acd.Arrived, Call: c.id, Queue: c.dest.queue, Agent: c.dest.agent,
		Since: c.ex.board.clock.of(c.begun), Facts: &facts,
	}
	if c.dest.closed {
		ev.Cause = acd.CauseClosed
	}
	c.ex.board.post(ev)
}

// turnAway refuses the INVITE with a final response; no queue ever sees it.
func (c *call) turnAway(cause acd.Cause, err error) {
	r := rejectFor(cause)
	r.Err = err
	c.turnBack(r, cause)
}

// turnBack is turnAway with a response of its own.
func (c *call) turnBack(r sip.Reject, cause acd.Cause) {
	c.log.Warn("call turned away", zap.String("cause", cause.String()), zap.Int("code", r.Code), zap.Error(r.Err))
	c.phase, c.by, c.cause, c.code = leaving, acd.Switch, cause, r.Code
	if cause == acd.CauseAbandoned {
		c.by, c.code = acd.Caller, 487 // there is no INVITE left to refuse
	}
	c.caller.leg.Reject(r)
	c.tellRejected(c.code)
	c.hangUpMedia()
}

// tellRejected gives the call to the journal as one that no queue sees.
func (c *call) tellRejected(code int) {
	facts := c.facts
	c.told = true
	c.ex.board.post(acd.Event{Kind: acd.Rejected, Call: c.id, By: c.by, Cause: c.cause, Code: code, Facts: &facts})
}

// announceClosed plays the closed prompt as early media, which costs the caller
// nothing, then refuses the call.
func (c *call) announceClosed() {
	c.phase, c.cause, c.by = leaving, c.dest.cause, acd.Switch
	c.tellRejected(rejectFor(c.dest.cause).Code)
	answer, err := c.negotiate()
	if err == nil {
		err = c.caller.leg.Ring(183, answer)
	}
	if err != nil || c.caller.owed {
		c.finish(c.by, c.cause)
		return
	}
	c.sayLast(c.dest.prompt)
}

// callerDid takes what the carrier sends on the caller's leg.
func (c *call) callerDid(ev sip.LegEvent) {
	switch ev := ev.(type) {
	case sip.Cancelled:
		if ev.Broken {
			c.code = 500
			c.end(acd.Switch, acd.CausePanic)
			return
		}
		c.code = 487
		c.end(acd.Caller, acd.CauseAbandoned)
	case sip.Acked:
		c.acked(acd.Caller, &c.caller, ev.SDP)
	case sip.Reoffered:
		c.reoffered(acd.Caller, &c.caller, c.caller.leg, ev)
	case sip.Reanswered:
		c.reanswered(acd.Caller, &c.caller, ev)
	case sip.Referred:
		// Nobody outside has us call anybody.
		c.caller.leg.DeclineReferral(ev, sip.Reject{Code: 403})
	case sip.Info:
		if to := c.opposite(acd.Caller); to != nil {
			c.pressByInfo(to, ev)
		} else {
			c.pressed(acd.Caller, ev.Digit)
		}
	case sip.Ended:
		cause := causeOfEnd(ev.Why)
		if c.phase == waiting && cause == acd.CauseHangup {
			cause = acd.CauseAbandoned
		}
		c.end(partyOfEnd(acd.Caller, ev.Why), cause)
	}
}

// mediaSaid takes what the media shard noticed.
func (c *call) mediaSaid(m fromMedia) {
	switch ev := m.event.(type) {
	case rtp.PlaybackEnded:
		switch {
		case c.phase == leaving && ev.Token == lastWords:
			c.finish(c.by, c.cause)
		case c.phase == messaging && ev.Token == afterTone:
			c.startMessage()
		}
	case rtp.Digit:
		if to := c.opposite(m.party); to != nil {
			c.pressByEvent(to, ev)
		} else {
			c.pressed(m.party, ev.Digit)
		}
	case rtp.Quiet:
		if c.isTalker(m) {
			c.agentQuiet()
		}
	case rtp.Heard:
		if c.isTalker(m) {
			c.agentHeard()
		}
	case rtp.Silent:
		if c.phase == talking && !c.agent.lost && (m.party == acd.Caller || c.isTalker(m)) || c.phase == diverted {
			c.log.Info("leg silent", zap.String("party", m.party.String()), zap.Duration("for", ev.For))
			c.end(partyOfEnd(m.party, sip.FlowLost), acd.CauseMediaTimeout)
		}
	case rtp.Broken:
		c.log.Error("media leg broken", zap.String("party", m.party.String()), zap.Error(ev.Err))
		c.end(acd.Switch, acd.CausePanic)
	case rtp.Latched:
		c.log.Debug("media latched", zap.String("party", m.party.String()), zap.Stringer("remote", ev.Remote))
	}
}

// isTalker says whether a media event is about the agent who talks, and not about
// one who is asked or has gone.
func (c *call) isTalker(m fromMedia) bool {
	return m.party == acd.Agent && c.agent != nil && m.offer == c.agent.id
}

// queued notes that the floor has moved the call to another queue by overflow.
func (c *call) queued(q acd.Queued) {
	c.dest.queue = q.Queue
	if q.From != "" {
		c.log.Info("call overflowed", zap.String("from", string(q.From)), zap.String("to", string(q.Queue)))
	}
}

// refuse tells a waiting caller that nobody of a queue will come, and ends the call.
func (c *call) refuse(q acd.QueueID, cause acd.Cause) {
	if c.phase != waiting {
		return
	}
	c.phase, c.cause, c.by = leaving, cause, acd.Switch
	c.sayLast(c.ex.plan.Load().farewell(q, cause))
}

func (c *call) firstFacts(p *plan) acd.Facts {
	from, facts := c.caller.leg.Caller(), c.facts
	facts.Client, facts.DID, facts.From = c.dest.client, c.dest.number, p.e164(from.User)
	if from.Private {
		facts.From = "anonymous"
	}
	return facts
}
