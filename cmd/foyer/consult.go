package main

import (
	"errors"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/rtp"
	"foyer/sip"
)

// An agent with a caller on hold may call somebody else from the same phone. That
// second call of theirs belongs to the customer call it is about: whoever is asked
// rings as an offer of it, or as a call of ours to a number outside.

// consult is the second call of the agent who talks.
type consult struct {
	side
	goal  goal
	offer *offer // an agent who is asked, once rung; nil for a number outside
	talks bool   // both are on the line
}

// What arrives about a consultation.
type (
	asking struct {
		leg   *sip.Leg
		agent acd.AgentID
		goal  goal
	}
	fromAsker struct {
		consult *consult
		event   sip.LegEvent
	}
)

var errNoCaller = errors.New("no caller of theirs to consult about")

// consult hands a call that an agent's phone makes to the customer call it is about.
func (ex *exchange) consult(leg *sip.Leg, agent acd.AgentID, g goal) error {
	if c := ex.calls.talksWith(agent); c == nil || !c.box.post(asking{leg, agent, g}) {
		return errNoCaller
	}
	return nil
}

// asks takes the second call of the agent who talks, and rings whom they want.
func (c *call) asks(m asking) {
	switch {
	case c.phase != talking || c.agent.agent != m.agent:
		m.leg.Reject(sip.Reject{Code: 403})
		return
	case c.consult != nil || c.transfer != nil || c.agent.lost:
		m.leg.Reject(sip.Reject{Code: 486})
		return
	}
	media, err := c.ex.media.NewLeg(rtp.LegOptions{
		Role: rtp.AgentLeg, Beside: c.caller.media,
		Sink: func(ev rtp.MediaEvent) { c.box.post(fromMedia{party: acd.Nobody, event: ev}) },
	})
	if err != nil {
		m.leg.Reject(sip.Reject{Code: 503, Err: err})
		return
	}
	c.followed = false
	k := &consult{goal: m.goal}
	k.leg, k.media, k.sdp = m.leg, media, c.ex.newSession(media, c.ex.ofPhone(m.leg.Transport()).answers())
	c.consult = k
	c.ex.journal.traceLeg(c.id, thread{SIPCallID: k.leg.SIPCallID(), Party: string(m.agent), Agent: true})
	k.leg.Listen(func(ev sip.LegEvent) { c.box.post(fromAsker{k, ev}) })
	c.log.Info("agent consults", zap.String("agent", string(m.agent)), zap.Stringer("whom", &m.goal))
	if m.goal.way.number != "" {
		if err := c.callAside(m.goal.way.number, sip.Caller{}); err != nil {
			c.closeConsult(rejectForGoal(err))
			return
		}
	}
	if err := k.leg.Ring(180, nil); err != nil {
		c.consultOver()
		return
	}
	c.tellFloor(acd.Consult, acd.Agent, &k.goal)
}

// tellFloor posts what the agent who talks does with a goal.
func (c *call) tellFloor(kind acd.Kind, by acd.Party, g *goal) {
	ev := acd.Event{Kind: kind, Call: c.id, Agent: c.agent.agent, Offer: c.agent.id, By: by}
	if g != nil {
		ev.To, ev.Queue, ev.Number = g.agent, g.queue, g.way.number
	}
	c.ex.board.post(ev)
}

// callAside calls a number outside for the agent who talks.
func (c *call) callAside(number string, shown sip.Caller) error {
	if c.out != nil {
		return errBusyAside
	}
	return c.callOut(number, passed{caller: shown, by: c.facts.DID})
}

var errBusyAside = errors.New("another number is being called")

// askerDid takes what the agent does with their second call.
func (c *call) askerDid(m fromAsker) {
	k := m.consult
	if k != c.consult {
		return
	}
	switch ev := m.event.(type) {
	case sip.Cancelled, sip.Ended:
		c.consultOver()
	case sip.Acked:
		c.askerAcked(k, ev)
	case sip.Reoffered:
		c.reoffered(acd.Agent, &k.side, k.leg, ev)
	case sip.Reanswered:
		c.reanswered(acd.Agent, &k.side, ev)
	case sip.Info:
		if far := c.asked(); far != nil && k.talks {
			far.media.SendDigit(ev.Digit, infoDigit)
		}
	case sip.Referred:
		// Whoever is asked may be told of as well as the caller (RFC 5589 section 7.2).
		c.referred(k.leg, ev)
	}
}

// askerAcked takes the answer to a delayed offer.
func (c *call) askerAcked(k *consult, ev sip.Acked) {
	if !k.owed {
		return
	}
	k.owed = false
	stream, err := k.sdp.Accept(ev.SDP)
	if err != nil {
		c.consultOver()
		return
	}
	c.apply(&k.side, stream, rtp.Near)
	c.joinAsked()
}

// asked is the other side of a consultation; nil while nobody has answered.
func (c *call) asked() *side {
	switch k := c.consult; {
	case k == nil:
	case k.offer != nil && k.offer.taken != nil:
		return &k.offer.side
	case c.out != nil && c.out.taken:
		return &c.out.side
	}
	return nil
}

// askedAnswered: whoever the agent asks is on the line, and so is the agent now.
func (c *call) askedAnswered() {
	k, far := c.consult, c.asked()
	if k == nil || far == nil || k.talks {
		return
	}
	k.owed = len(k.leg.SDP()) == 0
	body, stream, err := answerTo(k.sdp, k.leg.SDP(), far.stream)
	if err != nil {
		k.leg.Reject(sip.Reject{Code: 488})
	} else {
		err = k.leg.Answer(body)
	}
	if err != nil {
		c.log.Info("consultation came to nothing", zap.Error(err))
		c.consultOver()
		return
	}
	k.talks = true
	if !k.owed {
		c.apply(&k.side, stream, rtp.Near)
		c.joinAsked()
	}
}

// joinAsked lets the agent and whoever they ask hear each other.
func (c *call) joinAsked() {
	if k, far := c.consult, c.asked(); k != nil && k.talks && !k.owed && far != nil && far.media != nil {
		k.held, far.held = !k.stream.Send, !far.stream.Send
		c.pair(far, &k.side)
	}
}

// consultOver: the agent asks nobody any more. A transfer that has been asked for
// goes on without their second call.
func (c *call) consultOver() {
	pending := c.transfer != nil
	c.closeConsult(sip.Reject{Code: 480})
	if pending || c.phase != talking {
		return
	}
	c.dropOut(sip.Reason{Q850: 16, Text: "Consultation over"})
	c.tellFloor(acd.ConsultOver, acd.Agent, nil)
}

// closeConsult ends the second call of the agent, whatever its phase.
func (c *call) closeConsult(why sip.Reject) {
	k := c.consult
	if k == nil {
		return
	}
	c.consult = nil
	k.leg.Reject(why) // does nothing once it is answered
	k.leg.Hangup(sip.Reason{Q850: 16})
	k.media.Close(nil)
}
