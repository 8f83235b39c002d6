package main

import (
	"fmt"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/rtp"
	"foyer/sip"
)

// A talk begins in G.711, because the caller's music did, and may change to a
// wideband codec that both telephones have. Nothing is transcoded: what one side
// says reaches the other as it is, or not at all. So nobody is asked to speak a codec
// before the other side has agreed to hear it:
//
//  1. the agent's phone is offered G.711 and the codec behind it: it goes on in
//     G.711, and has the codec or not;
//  2. the caller is offered the codec and G.711 behind it, and speaks it;
//  3. so is the agent's phone.
//
// Whoever refuses leaves all as it was. G.711 stays in what was agreed, so that music
// may be played at any moment, without asking (RFC 3264 sections 5.1 and 7). When the
// talk is over or interrupted for good, whoever speaks the codec is offered G.711
// alone.

// band is how far a side has come with wideband codecs.
type band struct {
	lists rtp.Wideband  // besides G.711, as agreed on last
	asked *rtp.Wideband // in an offer of ours that has no answer yet
	lacks uint8         // bit set of the codecs not taken when offered
	fixed bool          // has refused an offer, and gets none any more
}

// has says whether a side lists a codec, and if asked first of all.
func (b *band) has(codec rtp.Codec, first bool) bool {
	return b.lists.Codec == codec && (b.lists.First || !first)
}

// tune takes the next step towards the codec that the talk should be in. It is called
// after everything that happens to the call, and mostly has nothing to do.
func (c *call) tune() {
	caller := &c.caller
	switch {
	case c.phase >= closing:
		return
	case c.phase != talking || c.agent == nil:
		c.narrow(caller)
		return
	case c.agent.lost:
		if caller.stream.Codec == rtp.NoCodec {
			c.narrow(caller) // else they would not hear why
		}
		return // a phone that is not there cannot answer
	}
	agent, codec := &c.agent.side, c.common()
	if codec == rtp.NoCodec || caller.lists.First && !agent.has(caller.lists.Codec, false) {
		c.narrow(caller)
	}
	if codec == rtp.NoCodec || agent.lists.First && !caller.has(agent.lists.Codec, false) {
		c.narrow(agent)
	}
	switch {
	case codec == rtp.NoCodec, caller.asked != nil, agent.asked != nil, caller.held, agent.held:
	case !agent.has(codec, false):
		c.list(agent, wideOf(caller, codec, false))
	case !caller.has(codec, true):
		c.list(caller, wideOf(agent, codec, true))
	case !agent.has(codec, true):
		c.list(agent, wideOf(caller, codec, true))
	}
}

// common is the wideband codec that the talk may be in now, NoCodec for none.
func (c *call) common() rtp.Codec {
	plan, caller, agent := c.ex.plan.Load(), &c.caller, &c.agent.side
	listenedTo := caller.stream.Inband && caller.stream.EventPT == 0
	switch {
	case !plan.trunks[c.trunk].wideband || c.back:
		return rtp.NoCodec
	case c.rec.handle != 0 || listenedTo: // recordings hold G.711, and keys are found in it
		return rtp.NoCodec
	case c.consult != nil || c.transfer != nil: // who talks next is not known
		return rtp.NoCodec
	case agent.held && caller.stream.Codec == rtp.NoCodec, caller.held && agent.stream.Codec == rtp.NoCodec:
		return rtp.NoCodec // who waits takes no music
	case caller.fixed || agent.fixed:
		return rtp.NoCodec
	}
	for _, codec := range plan.wideband {
		if _, has := caller.sdp.Shown(codec); has && (caller.lacks|agent.lacks)&(1<<codec) == 0 {
			return codec
		}
	}
	return rtp.NoCodec
}

// wideOf is a codec as a side has it, to be listed for the other.
func wideOf(s *side, codec rtp.Codec, first bool) rtp.Wideband {
	w, _ := s.sdp.Shown(codec)
	w.Codec, w.First = codec, first
	return w
}

// narrow has a side speak G.711 again, if it does not.
func (c *call) narrow(s *side) {
	if s.lists.First || s.lists.Codec != rtp.NoCodec && s.stream.Codec == rtp.NoCodec {
		c.list(s, rtp.Wideband{})
	}
}

// list offers a side a codec besides G.711, or none.
func (c *call) list(s *side, w rtp.Wideband) {
	if s.asked != nil || s.fixed || s.owed {
		return
	}
	s.sdp.Widen(w)
	if s.leg.Reoffer(s.sdp.Offer(s.stream.Codec)) != nil {
		s.unlisted() // it has hung up
		return
	}
	s.asked = &w
	s.expect()
}

// expect lets what our last description lists be heard.
func (s *side) expect() {
	s.stream.Expect, s.stream.ExpectPT = s.sdp.Expect()
	s.media.Set(s.stream)
}

// unlisted: an offer of ours has come to nothing, and what was agreed on stays.
func (s *side) unlisted() {
	s.sdp.Refused()
	s.sdp.Widen(s.lists)
	s.expect()
	s.fixed = true
}

// relisted takes the answer to an offer of list.
func (c *call) relisted(who acd.Party, s *side, ev sip.Reanswered) {
	asked := s.asked
	s.asked = nil
	if asked == nil {
		return
	}
	var stream rtp.Stream
	err := fmt.Errorf("answered %d", ev.Code)
	if ev.Code < 300 {
		stream, err = s.sdp.Accept(ev.SDP)
	}
	if err != nil {
		c.log.Info("change of codec refused", zap.String("party", who.String()), zap.Stringer("codec", asked.Codec), zap.Error(err))
		s.unlisted()
		return
	}
	s.lists = *asked
	s.took(stream)
	was := s.stream
	c.apply(s, stream, was.Latch)
	if was.Send != stream.Send || was.Receive != stream.Receive {
		c.streamChanged(who, s)
	}
	c.log.Debug("codec changed", zap.String("party", who.String()), zap.Stringer("codec", s.lists.Codec), zap.Bool("spoken", s.lists.First))
}

// took notes what a side has agreed on: a codec that it does not list where it could
// is one that it does not have.
func (s *side) took(stream rtp.Stream) {
	if codec := s.lists.Codec; codec != rtp.NoCodec && stream.Wide != codec {
		s.lacks |= 1 << codec
		s.lists = rtp.Wideband{}
		if s.asked == nil {
			s.sdp.Widen(s.lists)
		}
	}
}
