package main

import (
	"fmt"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/rtp"
	"foyer/sip"
)

// takingOver comes when another phone of the agent who talks wants to have the talk
// (RFC 3891).
type takingOver struct {
	leg   *sip.Leg
	agent acd.AgentID
}

// takeOver moves an agent's talk to another phone of theirs. The talk itself, its
// media leg and its recording go on; only who speaks into it changes.
func (c *call) takeOver(m takingOver) {
	o := c.agent
	if c.phase != talking || o.agent != m.agent || o.lost || o.leg != m.leg.Instead() {
		m.leg.Reject(sip.Reject{Code: 481})
		return
	}
	session := c.ex.newSession(o.media, c.ex.ofPhone(m.leg.Transport()).answers())
	var b band
	if len(m.leg.SDP()) > 0 {
		b.lists = o.lists // taken if the phone offers it
		session.Widen(b.lists)
	}
	body, stream, err := answerTo(session, m.leg.SDP(), o.stream)
	if err != nil {
		m.leg.Reject(sip.Reject{Code: 488, Err: err})
		return
	}
	p := &phone{offer: o, leg: m.leg, binding: c.ex.bindingOf(m.agent, m.leg)}
	m.leg.Listen(c.phoneSink(p))
	if err := m.leg.Answer(body); err != nil {
		return // its caller has given up; the talk stays where it was
	}
	c.ex.journal.traceLeg(c.id, thread{SIPCallID: m.leg.SIPCallID(), Party: string(m.agent), Agent: true})
	o.taken.hangUp(sip.Reason{SIP: 200, Text: "Call completed elsewhere"})
	o.phones, o.taken = append(o.phones, p), p
	o.leg, o.sdp, o.owed, o.quiet, o.band = m.leg, session, len(m.leg.SDP()) == 0, false, b
	c.log.Info("talk moved to another phone", zap.String("agent", string(m.agent)))
	if !o.owed {
		o.took(stream)
		c.apply(&o.side, stream, rtp.Near)
		c.streamChanged(acd.Agent, &o.side)
	}
}

// answerTo makes our description for a phone that calls: an answer, or an offer when
// it has brought none.
func answerTo(s *rtp.Session, offer []byte, like rtp.Stream) ([]byte, rtp.Stream, error) {
	if len(offer) == 0 {
		return s.Offer(like.Codec), like, nil
	}
	body, stream, err := s.Answer(offer, like.Codec)
	if err != nil {
		return nil, stream, fmt.Errorf("phone's offer: %w", err)
	}
	return body, stream, nil
}

// bindingOf is the registration of the phone that a leg comes from; the zero Binding
// if it has none.
func (ex *exchange) bindingOf(agent acd.AgentID, leg *sip.Leg) sip.Binding {
	for _, b := range ex.registrar.Bindings(string(agent)) {
		if b.Source == leg.Remote() {
			return b
		}
	}
	return sip.Binding{}
}
