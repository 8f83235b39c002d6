package main

import (
	"cmp"
	"slices"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/recorder"
	"foyer/rtp"
	"foyer/rtp/sound"
	"foyer/sip"
)

// A call that its queue does not keep may go on to a number outside, or leave a
// message. Either way the floor has done with it.

// outward is a call of ours to a number of the public network: where a caller is
// put through to, or the customer of a callback.
type outward struct {
	side
	*passage
	passed
	codec rtp.Codec
	early bool // their early media are heard
	taken bool
	tries int // INVITEs sent
	moves int // redirections followed

	trunk  string           // being dialled
	offers []rtp.Protection // that it has not been offered yet
	// joined: this is the customer of a callback, who is the call's caller now.
	joined bool
	aside  bool // called for the agent who talks
}

// passed is the call that an outward leg passes on; that of a callback is empty but
// for the number of ours that calls.
type passed struct {
	caller  sip.Caller
	by      string          // the number of ours
	before  []sip.Diversion // who passed it on to us
	hops    int             // Max-Forwards left
	vouched sip.Vouched
}

// passedOn is the call that has come by a caller's leg.
func (c *call) passedOn() passed {
	leg := c.caller.leg
	// One less, as a proxy counts (RFC 7332): a call that goes round comes to its end.
	// None left is refused by Dial.
	hops := leg.Hops() - 1
	if hops == 0 {
		hops = -1
	}
	return passed{caller: leg.Caller(), by: c.facts.DID, before: leg.Diversions(), hops: hops, vouched: leg.Vouched()}
}

// divert carries out what the floor decided for a caller whom no agent will take.
func (c *call) divert(d acd.Divert) {
	if c.phase != waiting {
		return
	}
	if d.Cause == acd.CauseTransferred && c.out != nil && c.out.taken {
		c.putThrough(d)
		return
	}
	c.cause, c.by = d.Cause, acd.Switch
	c.log.Info("call diverted", zap.String("queue", string(d.Queue)), zap.String("to", d.To.Number),
		zap.Bool("voicemail", d.To.Voicemail), zap.String("cause", d.Cause.String()))
	first := c.ex.plan.Load().queues[d.Queue].prompts[d.Cause]
	if d.To.Voicemail {
		c.takeMessage(first, "voicemail")
		return
	}
	c.phase = diverted
	if err := c.callOut(d.To.Number, c.passedOn()); err != nil {
		c.log.Warn("call not put through", zap.String("to", d.To.Number), zap.Error(err))
		c.notPutThrough()
		return
	}
	c.say(0, first, "transfer")
}

// callOut calls a number by the trunks of its route.
func (c *call) callOut(number string, p passed) error {
	o, who := &outward{passed: p, aside: c.phase == talking}, dialer{client: c.dest.client}
	if o.aside {
		who.agent = c.agent.agent
	}
	pass, err := c.ex.mayDial(who, number, func() { c.box.post(dialLimit{o}) })
	if err != nil {
		return err
	}
	o.passage, c.passage = pass, pass
	o.way.prefer(c.ex.edge.TrunkUp)
	party := acd.Carrier
	if c.back && !o.aside {
		party = acd.Caller
	}
	media, err := c.ex.media.NewLeg(rtp.LegOptions{
		Role: rtp.TrunkLeg, Beside: c.beside(),
		Sink: func(ev rtp.MediaEvent) { c.box.post(fromMedia{party: party, event: ev}) },
	})
	if err != nil {
		c.ex.dialOver(pass)
		return err
	}
	o.media = media
	if c.caller.media != nil {
		o.codec = c.caller.stream.Codec
	}
	c.out = o
	if err := c.tryNext(); err != nil {
		c.dropOut(sip.Reason{})
		return err
	}
	return nil
}

// beside is a leg of this call that a new one may be bridged with.
func (c *call) beside() *rtp.Leg {
	if c.caller.media != nil {
		return c.caller.media
	}
	for _, o := range c.offers {
		if o.media != nil {
			return o.media
		}
	}
	return nil
}

// tryNext dials by the next trunk of the way.
func (c *call) tryNext() error {
	o, plan := c.out, c.ex.plan.Load()
	leg, err := o.way.next(func(trunk string) (*sip.Leg, error) {
		o.trunk, o.offers = trunk, c.ex.ofTrunk().offers(plan.trunks[trunk].transport)
		return c.dialOut()
	})
	if err != nil {
		return err
	}
	c.onItsWay(leg)
	return nil
}

// dialOut dials by the present trunk, with the next protection to be offered.
func (c *call) dialOut() (*sip.Leg, error) {
	o := c.out
	o.tries++
	o.sdp = c.ex.newSession(o.media, o.offers[0])
	o.offers = o.offers[1:]
	plan, passedOn := c.ex.plan.Load(), false
	d := sip.Dial{Trunk: o.trunk, Number: o.way.number, Hops: o.hops, SDP: o.sdp.Offer(o.codec)}
	if d.Caller, passedOn = plan.shown(o.trunk, o.caller, o.by); passedOn {
		d.Diverted = plan.passedOn(o.before, o.by)
		// The signature is of the caller's number, and says nothing of ours.
		if d.Caller.User != o.by {
			for _, signature := range o.vouched.Identity {
				d.Headers = append(d.Headers, sip.Header{Name: "Identity", Value: signature})
			}
		}
	}
	return c.ex.edge.Dial(d, c.outsideSink(o))
}

func (c *call) outsideSink(o *outward) func(sip.LegEvent) {
	attempt := o.tries
	return func(ev sip.LegEvent) { c.box.post(fromOutside{o, attempt, ev}) }
}

// onItsWay takes the leg of an attempt that is on its way.
func (c *call) onItsWay(leg *sip.Leg) {
	o, attempt := c.out, c.out.tries
	o.leg, o.early = leg, false
	if c.phase == diverted || o.aside { // the floor watches over callbacks
		time.AfterFunc(outsideRings, func() { c.box.post(outwardTime{o, attempt}) })
	}
	c.ex.journal.traceLeg(c.id, thread{SIPCallID: leg.SIPCallID(), Party: leg.Trunk()})
}

// outsideDid takes what the other end of an outward leg does.
func (c *call) outsideDid(m fromOutside) {
	o := m.out
	switch {
	case o.joined:
		c.callerDid(m.event)
		return
	case c.out != o || o.tries != m.attempt:
		return // of a trunk that was given up
	}
	switch ev := m.event.(type) {
	case sip.Progress:
		if len(ev.SDP) > 0 && !o.early {
			if stream, err := o.sdp.Accept(ev.SDP); err == nil {
				o.early = true
				c.apply(&o.side, stream, rtp.Exact)
				c.heardOutside()
			}
		}
	case sip.Answered:
		c.outsideAnswered(ev)
	case sip.Refused:
		c.outsideRefused(ev)
	case sip.Acked:
		c.acked(acd.Carrier, &o.side, ev.SDP)
	case sip.Reoffered:
		c.reoffered(acd.Carrier, &o.side, o.leg, ev)
	case sip.Reanswered:
		c.reanswered(acd.Carrier, &o.side, ev)
	case sip.Info:
		if to := c.opposite(acd.Carrier); to != nil {
			c.pressByInfo(to, ev)
		}
	case sip.Referred:
		o.leg.DeclineReferral(ev, sip.Reject{Code: 403})
	case sip.Ended:
		if o.aside {
			c.asideLost(480, "the number hung up")
			return
		}
		c.end(partyOfEnd(acd.Carrier, ev.Why), causeOfEnd(ev.Why))
	}
}

// heardOutside lets whoever waits for the other end hear its early media.
func (c *call) heardOutside() {
	switch {
	case c.out.aside:
		return
	case c.phase == diverted:
		c.caller.media.Hear(c.out.media)
		return
	}
	if o := c.waitingAgent(); o != nil {
		o.media.Hear(c.out.media)
	}
}

func (c *call) outsideAnswered(ev sip.Answered) {
	o := c.out
	if len(ev.SDP) > 0 || !o.early {
		stream, err := o.sdp.Accept(ev.SDP)
		if err != nil {
			o.leg.Hangup(sip.Reason{SIP: 488, Text: "Not acceptable here"})
			c.outsideRefused(sip.Refused{Code: 488, Reason: "no common codec in the answer"})
			return
		}
		c.apply(&o.side, stream, rtp.Exact)
	}
	o.taken = true
	c.ex.dialAnswered(o.passage)
	if o.aside {
		c.asideAnswered()
		return
	}
	if c.phase != diverted {
		c.customerAnswered()
		return
	}
	if !c.answered {
		if err := c.answer(c.caller.sdp.Last()); err != nil {
			c.code = 487
			c.end(acd.Caller, acd.CauseAbandoned)
			return
		}
	}
	c.joinOutside()
	c.log.Info("call put through", zap.String("to", o.way.number), zap.String("trunk", o.leg.Trunk()))
}

// joinOutside lets a caller and the far end hear each other, and watches that both
// are there: a BYE that was lost must not leave the call up for ever.
func (c *call) joinOutside() {
	near, far := &c.caller, &c.out.side
	rtp.Bridge(near.media, far.media)
	for _, s := range []*side{near, far} {
		s.media.Watch(near.stream.Send && far.stream.Send && s.stream.Receive)
	}
}

// outsideRings is how long a number may ring for a caller who is put through.
const outsideRings = time.Minute

// outwardTime ends an attempt to reach a number that has rung for too long.
type outwardTime struct {
	out     *outward
	attempt int
}

func (c *call) outwardLate(m outwardTime) {
	o := c.out
	if o != m.out || o == nil || o.tries != m.attempt || o.taken || c.phase != diverted && !o.aside {
		return
	}
	c.log.Info("number did not answer", zap.String("number", o.way.number))
	if o.aside {
		c.asideLost(408, "no answer")
		return
	}
	c.dropOut(sip.Reason{SIP: 408, Q850: 19, Text: "No answer"})
	c.notPutThrough()
}

// outsideRefused tries another protection or the next trunk where that may help.
func (c *call) outsideRefused(ev sip.Refused) {
	o := c.out
	if unacceptable(ev) && len(o.offers) > 0 {
		if leg, err := c.dialOut(); err == nil {
			c.onItsWay(leg)
			return
		}
	}
	if c.movedOn(ev) {
		return
	}
	if ev.Elsewhere() {
		if err := c.tryNext(); err == nil {
			return
		}
	}
	c.log.Info("number not reached", zap.String("number", o.way.number), zap.Int("code", ev.Code), zap.String("reason", ev.Reason))
	switch {
	case o.aside:
		c.asideLost(ev.Code, cmp.Or(ev.Reason, "refused"))
		return
	case c.phase == diverted:
		c.dropOut(sip.Reason{})
		c.notPutThrough()
		return
	}
	c.customerMissed(causeOfRefusal(ev))
}

// mostMoves is how many redirections of one call are followed.
const mostMoves = 2

// movedOn follows a redirection, if the trunk's may be followed and an outbound
// route lets the new number be called by that very trunk: what a carrier says must
// not make us call what we would not call ourselves.
func (c *call) movedOn(ev sip.Refused) bool {
	o, plan := c.out, c.ex.plan.Load()
	if len(ev.Moved) == 0 {
		return false
	}
	trunk := o.leg.Trunk()
	if !plan.trunks[trunk].follow || o.moves == mostMoves {
		c.log.Info("redirection not followed", zap.String("trunk", trunk), zap.Int("code", ev.Code), zap.Strings("to", ev.Moved))
		return false
	}
	for _, to := range ev.Moved {
		next, err := c.ex.mayDial(dialer{client: c.dest.client}, to, func() { c.box.post(dialLimit{o}) })
		if err == nil && !slices.Contains(next.trunks, trunk) {
			c.ex.dialOver(next)
			err = errNoTrunk
		}
		if err != nil {
			c.log.Warn("redirection refused", zap.String("trunk", trunk), zap.String("to", to), zap.Error(err))
			continue
		}
		c.ex.dialOver(o.passage)
		next.trunks = []string{trunk}
		o.passage, c.passage, o.moves = next, next, o.moves+1
		return c.tryNext() == nil
	}
	return false
}

// notPutThrough tells a caller that nobody could be reached.
func (c *call) notPutThrough() {
	c.phase = leaving
	c.sayLast("nobody")
}

// dialLimit ends a call to a number that has met a limit.
type dialLimit struct{ out *outward }

func (c *call) limited(m dialLimit) {
	if m.out == c.out || m.out.joined {
		c.end(acd.Switch, acd.CauseAdmin)
	}
}

// dropOut ends the outward leg.
func (c *call) dropOut(r sip.Reason) {
	if o := c.out; o != nil {
		c.out = nil
		c.ex.dialOver(o.passage)
		if o.leg != nil {
			o.leg.Hangup(r)
		}
		o.media.Close(nil)
	}
}

// longestMessage is how long a caller may speak to a voicemail box.
const longestMessage = 3 * time.Minute

// takeMessage asks the caller to speak after the tone.
func (c *call) takeMessage(prompts ...string) {
	c.phase = messaging
	if !c.answered {
		if err := c.answer(c.caller.sdp.Last()); err != nil {
			c.code = 487
			c.end(acd.Caller, acd.CauseAbandoned)
			return
		}
	}
	sounds := append(c.ex.plan.Load().voice(c.client).Say(prompts...), sound.Beep())
	c.caller.media.Hear(&rtp.Playlist{Sounds: sounds, Token: afterTone})
}

// messageTime ends a message that has gone on for too long.
type messageTime struct{}

// startMessage begins to record the message; the caller has heard the tone. It is
// what the caller wants kept, so no policy of the client decides on it.
func (c *call) startMessage() {
	c.rec.since = time.Now()
	handle, id, err := c.ex.recordings.Begin(recorder.Meta{
		CallID: string(c.id), Client: string(c.facts.Client), Queue: string(c.dest.queue),
		Policy: "voicemail", Purpose: "voicemail", LegalBasis: "left by the caller",
		From: c.facts.From, To: c.facts.DID, Started: c.rec.since,
	})
	if err != nil {
		c.log.Error("message not recorded", zap.Error(err))
		c.ex.metrics.recordingMissing.WithLabelValues("voicemail").Inc()
		c.phase, c.cause = leaving, acd.CauseFailed
		c.sayLast("technical")
		return
	}
	c.rec.handle, c.rec.id = handle, id
	c.save()
	c.caller.media.Tap(handle, callerChannel)
	time.AfterFunc(longestMessage, func() { c.box.post(messageTime{}) })
}

// messageLeft ends a message that the caller has finished, or spoken too long.
func (c *call) messageLeft() {
	if c.phase != messaging || c.rec.handle == 0 {
		return
	}
	c.stopRecording()
	c.phase = leaving
	c.sayLast("voicemail-thanks")
}
