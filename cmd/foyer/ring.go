package main

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/rtp"
	"foyer/sip"
)

// offer is one agent being rung for a call: every phone of theirs that can be
// reached rings, over one media leg of ours, and the first to answer has it.
type offer struct {
	side
	id      acd.OfferID
	agent   acd.AgentID
	queue   acd.QueueID
	asker   acd.AgentID // of the agent who talks, for whom this one is rung; "": for the caller
	phones  []*phone
	alerted bool
	taken   *phone // who answered
	refusal sip.Refused
	left    *sip.Ended // they hung up before they were connected
	closed  bool

	// In the talk: nothing comes from their phone; the floor knows that the link is
	// lost; and nothing more can come on this leg.
	quiet, lost, dead bool
}

// phone is one contact of an agent during an offer.
type phone struct {
	offer   *offer
	place   int // among the offer's phones
	leg     *sip.Leg
	sdp     *rtp.Session
	offers  []rtp.Protection // that it has not been offered yet
	binding sip.Binding
	done    bool // refused, cancelled or hung up
}

// ring carries out the floor's decision to offer this call to an agent.
func (c *call) ring(a acd.Offer) {
	o := &offer{id: a.Offer, agent: a.Agent, queue: a.Queue, asker: a.Asker}
	if !c.ringable(o) || c.offers[a.Offer] != nil {
		return
	}
	if o.asker != "" {
		c.redirect = nil
		if c.consult != nil {
			c.consult.offer = o
		}
	}
	c.offers[a.Offer] = o
	bindings := reachable(c.ex.registrar.Bindings(string(a.Agent)))
	if len(bindings) == 0 {
		c.failed(o, acd.CauseUnreachable, sip.Refused{Code: 480, Reason: "no phone reachable"})
		return
	}
	if err := c.openPhoneMedia(o); err != nil {
		c.log.Warn("agent not rung", zap.String("agent", string(a.Agent)), zap.Error(err))
		c.failed(o, acd.CauseFailed, sip.Refused{Code: 503, Reason: err.Error()})
		return
	}
	for _, b := range bindings {
		p := &phone{offer: o, place: len(o.phones), binding: b, offers: c.ex.ofPhone(b.Transport).offers(b.Transport)}
		o.phones = append(o.phones, p)
		if !c.dial(p) {
			o.phones = o.phones[:p.place]
		}
	}
	if o.pending() == 0 && c.offers[o.id] != nil {
		c.failed(o, acd.CauseUnreachable, o.refusal)
	}
}

// ringable says whether somebody may still pick up for an offer.
func (c *call) ringable(o *offer) bool {
	return c.phase == waiting || c.phase == talking && o.asker != ""
}

// reachable leaves out the phones known to be lost.
func reachable(all []sip.Binding) []sip.Binding {
	for i, b := range all {
		if !b.Reachable {
			return all[:i] // Bindings lists the reachable ones first
		}
	}
	return all
}

func (c *call) openPhoneMedia(o *offer) error {
	id := o.id
	media, err := c.ex.media.NewLeg(rtp.LegOptions{
		Role:   rtp.AgentLeg,
		Beside: c.beside(),
		Sink:   func(ev rtp.MediaEvent) { c.box.post(fromMedia{party: acd.Agent, offer: id, event: ev}) },
	})
	if err != nil {
		return fmt.Errorf("agent's media: %w", err)
	}
	o.media = media
	return nil
}

// dial rings a phone with the next protection to be offered, and says whether it
// is on its way.
func (c *call) dial(p *phone) bool {
	o := p.offer
	p.sdp = c.ex.newSession(o.media, p.offers[0])
	p.offers = p.offers[1:]
	caller := sip.Caller{}
	if !c.back {
		caller = c.caller.leg.Caller()
	}
	caller.User = c.facts.From
	if c.consult != nil && o.asker != "" {
		caller = sip.Caller{User: string(o.asker), Display: c.ex.plan.Load().agents[o.asker].name}
	}
	p.leg = nil
	sdp := p.sdp.Offer(c.caller.stream.Codec)
	c.save()
	leg, err := c.ex.edge.Dial(sip.Dial{
		To:     p.binding,
		Caller: caller,
		SDP:    sdp,
		Owner:  p.owner(c),
		Headers: []sip.Header{
			{Name: "X-Foyer-Call", Value: string(c.id)},
			{Name: "X-Foyer-Queue", Value: string(o.queue)},
		},
	}, c.phoneSink(p))
	if err != nil {
		o.refusal = sip.Refused{Code: 503, Reason: err.Error(), Unreachable: true}
		return false
	}
	p.leg = leg
	c.ex.journal.traceLeg(c.id, thread{SIPCallID: leg.SIPCallID(), Party: string(o.agent), Agent: true})
	return true
}

func (c *call) phoneSink(p *phone) func(sip.LegEvent) {
	return func(ev sip.LegEvent) { c.box.post(fromPhone{p, ev}) }
}

// pending counts the phones that may still answer.
func (o *offer) pending() int {
	n := 0
	for _, p := range o.phones {
		if !p.done {
			n++
		}
	}
	return n
}

// phoneDid takes what an agent's phone does.
func (c *call) phoneDid(p *phone, ev sip.LegEvent) {
	o := p.offer
	switch ev := ev.(type) {
	case sip.Progress:
		if ev.Code != 100 && !o.alerted && c.offers[o.id] != nil {
			o.alerted = true
			c.ex.board.post(acd.Event{Kind: acd.Alerting, Call: c.id, Agent: o.agent, Offer: o.id, Code: ev.Code})
		}
	case sip.Answered:
		c.phoneAnswered(p, ev)
	case sip.Refused:
		c.phoneRefused(p, ev)
	case sip.Acked:
		c.acked(acd.Agent, &o.side, ev.SDP)
	case sip.Reoffered:
		c.phoneReoffered(p, ev)
	case sip.Reanswered:
		if o.taken == p && !o.closed {
			c.reanswered(acd.Agent, &o.side, ev)
		}
	case sip.Referred:
		if c.agent == o && o.taken == p {
			c.referred(p.leg, ev)
		} else {
			p.leg.DeclineReferral(ev, sip.Reject{Code: 403})
		}
	case sip.Moved:
		c.phoneMoved(p)
	case sip.Info:
		if to := c.opposite(acd.Agent); to != nil && (c.agent == o || c.consult != nil && c.consult.offer == o) {
			c.pressByInfo(to, ev)
		}
	case sip.Ended:
		p.done = true
		switch {
		case c.agent == o && o.taken == p && c.transfer != nil:
			c.agentLeft()
		case c.agent == o && o.taken == p && c.phase == talking && c.byReflex():
			c.fallBack()
		case c.agent == o && o.taken == p && ev.Why == sip.FlowLost:
			o.dead = true
			c.linkLost(o)
		case c.agent == o && o.taken == p:
			c.end(partyOfEnd(acd.Agent, ev.Why), causeOfEnd(ev.Why))
		case o.taken == p && o.id == c.dialled && !c.answered:
			c.dropOut(sip.Reason{SIP: 487, Text: "Agent hung up"})
			c.failed(o, acd.CauseDeclined, sip.Refused{Reason: "hung up before the customer was reached"})
		case o.taken == p && c.phase == talking && c.consult != nil && c.consult.offer == o && c.consult.talks:
			c.failed(o, acd.CauseHangup, sip.Refused{Reason: "hung up"})
		case o.taken == p:
			// Answered and hung up before the floor's word came: connect sees to it.
			o.left = &ev
		}
	}
}

func (c *call) phoneReoffered(p *phone, ev sip.Reoffered) {
	if o := p.offer; o.taken == p && !o.closed {
		c.reoffered(acd.Agent, &o.side, p.leg, ev)
		return
	}
	p.leg.Decline(ev, sip.Reject{Code: 488})
}

// phoneAnswered: an agent has picked up. The floor says whether they have the call.
func (c *call) phoneAnswered(p *phone, ev sip.Answered) {
	o := p.offer
	if o.taken == p {
		return // told again, after a restart
	}
	if o.taken != nil || o.closed || !c.ringable(o) {
		p.hangUp(sip.Reason{SIP: 200, Text: "Call completed elsewhere"})
		return
	}
	stream, err := p.sdp.Accept(ev.SDP)
	if err != nil {
		p.hangUp(sip.Reason{SIP: 488, Text: "Not acceptable here"})
		c.phoneRefused(p, sip.Refused{Code: 488, Reason: "no common codec in the answer"})
		return
	}
	o.taken, o.leg, o.sdp = p, p.leg, p.sdp
	c.ex.described(o.agent, p.leg, ev.SDP)
	c.apply(&o.side, stream, rtp.Near)
	for _, other := range o.phones {
		if other != p {
			other.hangUp(sip.Reason{SIP: 200, Text: "Call completed elsewhere"})
		}
	}
	c.ex.board.post(acd.Event{Kind: acd.Answered, Call: c.id, Agent: o.agent, Offer: o.id})
}

// phoneRefused: one phone said no, or could not be reached. When none is left
// the offer has failed; a person's no weighs more than a dead phone's silence.
func (c *call) phoneRefused(p *phone, ev sip.Refused) {
	o := p.offer
	if unacceptable(ev) && !p.done && !o.closed && o.taken == nil && len(p.offers) > 0 && c.dial(p) {
		return
	}
	p.done = true
	if ev.Unreachable {
		c.ex.registrar.ReportUnreachable(p.binding)
	}
	if o.asker != "" && ev.To.User != "" {
		c.redirect = c.ex.plan.Load().redirection(ev.To)
	}
	if o.refusal.Code == 0 || o.refusal.Unreachable {
		o.refusal = ev
	}
	if o.taken == nil && !o.closed && o.pending() == 0 {
		c.failed(o, causeOfRefusal(o.refusal), o.refusal)
	}
}

// failed tells the floor that this agent will not take the call.
func (c *call) failed(o *offer, cause acd.Cause, r sip.Refused) {
	c.closeOffer(o, sip.Reason{})
	c.ex.board.post(acd.Event{Kind: acd.Failed, Call: c.id, Agent: o.agent, Offer: o.id, Cause: cause, Code: r.Code, Reason: r.Reason})
}

// withdraw stops ringing an agent: the caller left, the time is up, or another has it.
func (c *call) withdraw(id acd.OfferID, cause acd.Cause) {
	o := c.offers[id]
	if o == nil || o == c.agent {
		return
	}
	c.closeOffer(o, reasonForWithdrawal(cause))
	if id == c.dialled && !c.answered {
		c.dropOut(sip.Reason{SIP: 487, Text: "Callback given up"})
	}
}

func (c *call) closeOffer(o *offer, r sip.Reason) {
	o.closed = true
	o.hangUp(r)
	if o.media != nil {
		o.media.Close(nil)
	}
	delete(c.offers, o.id)
}

// hangUp ends every phone of the offer that still rings or talks.
func (o *offer) hangUp(r sip.Reason) {
	for _, p := range o.phones {
		p.hangUp(r)
	}
}

func (p *phone) hangUp(r sip.Reason) {
	if !p.done {
		p.done = true
		p.leg.Hangup(r)
	}
}

// connect bridges the caller and the agent who won.
func (c *call) connect(a acd.Connect) {
	o := c.offers[a.Offer]
	if o == nil || o.taken == nil || c.phase != waiting {
		return
	}
	if o.left != nil {
		// The floor puts the caller back in their place.
		c.failed(o, acd.CauseDeclined, sip.Refused{Reason: "hung up before they were connected"})
		return
	}
	delete(c.offers, o.id)
	c.agent = o
	if !c.answered {
		if err := c.answer(c.caller.sdp.Last()); err != nil {
			c.code = 487
			c.end(acd.Caller, acd.CauseAbandoned) // a CANCEL crossed the agent's answer
			return
		}
	}
	c.phase = talking
	c.connected = time.Now()
	c.mayAsk = false
	c.startRecording()
	c.save()
	c.ex.board.post(acd.Event{Kind: acd.Bridged, Call: c.id, Agent: o.agent, Offer: o.id})
	// Either may have been on hold before they met.
	c.holdChanged(acd.Caller, &c.caller)
	c.holdChanged(acd.Agent, &o.side)
	c.rewire()
	c.log.Info("call bridged", zap.String("agent", string(o.agent)), zap.String("recording", c.rec.id))
}
