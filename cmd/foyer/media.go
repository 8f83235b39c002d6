package main

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/rtp"
	"foyer/sip"
)

// lastWords marks the announcement after which the call ends, afterTone the one
// after which the caller leaves a message.
const (
	lastWords = 1
	afterTone = 2
)

// errOffer: the caller's SDP cannot be served. errGone: the caller left before
// the INVITE could be answered.
var (
	errOffer  = errors.New("caller's offer")
	errGone   = errors.New("caller is gone")
	errCircle = errors.New("the call goes round: see its Diversion")
)

// openMedia takes ports for the caller's leg.
func (c *call) openMedia() error {
	media, err := c.ex.media.NewLeg(rtp.LegOptions{
		Role: rtp.TrunkLeg,
		Sink: func(ev rtp.MediaEvent) { c.box.post(fromMedia{party: acd.Caller, event: ev}) },
	})
	if err != nil {
		return fmt.Errorf("caller's media: %w", err)
	}
	c.caller.media = media
	c.caller.sdp = c.ex.newSession(media, c.ex.ofTrunk().answers())
	return nil
}

// newSession is the SDP of a new leg, speaking what the configuration says.
func (ex *exchange) newSession(media *rtp.Leg, protected rtp.Protection) *rtp.Session {
	p := ex.plan.Load()
	s := rtp.NewSession(media.Addr(), rand.Uint64())
	s.Speak(p.codecs, p.events)
	s.Protect(protected)
	return s
}

// negotiate makes our side of the caller's SDP: the answer to the INVITE's
// offer, or our own offer when the INVITE brought none.
func (c *call) negotiate() ([]byte, error) {
	offer := c.caller.leg.SDP()
	if len(offer) == 0 {
		c.caller.owed = true
		return c.caller.sdp.Offer(rtp.NoCodec), nil
	}
	answer, stream, err := c.caller.sdp.Answer(offer, rtp.NoCodec)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOffer, err)
	}
	c.apply(&c.caller, stream, rtp.Exact)
	return answer, nil
}

// apply puts a negotiated stream into force. Trunks send from exactly where
// their SDP says; agents sit behind home routers.
func (c *call) apply(s *side, stream rtp.Stream, latch rtp.Latch) { c.ex.apply(s, stream, latch) }

func (ex *exchange) apply(s *side, stream rtp.Stream, latch rtp.Latch) {
	stream.Latch = latch
	stream.Inband = ex.plan.Load().trunks[s.leg.Trunk()].inband
	if latch == rtp.Near {
		stream.SignalIP = s.leg.Remote().Addr()
	}
	s.stream = stream
	s.media.Set(stream)
}

// greet gives the caller the queue's sound, as an answered call or as early media.
func (c *call) greet() error {
	answer, err := c.negotiate()
	if err != nil {
		return err
	}
	if c.early && !c.caller.owed {
		c.save()
		if err := c.caller.leg.Ring(183, answer); err != nil {
			return fmt.Errorf("%w: %w", errGone, err)
		}
	} else if err := c.answer(answer); err != nil {
		return err
	}
	c.playQueue()
	return nil
}

func (c *call) answer(sdp []byte) error {
	c.answered, c.code = true, 200
	c.save()
	if err := c.caller.leg.Answer(sdp); err != nil {
		c.answered, c.code = false, 0
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// playQueue plays the greeting and the recording notice once, then music, or to a
// caller who has not been answered the tone of a ringing telephone.
func (c *call) playQueue() {
	c.caller.media.Hear(c.playlist(waitingList))
}

func (c *call) playMusic(to *side) { to.media.Hear(c.playlist(holdList)) }

// What goes on until something else is heard, by the names that the next life of the
// switch knows it by: a voice, perhaps, and then music. The others are prompts.
const (
	waitingList = "queue"
	holdList    = "music"
)

func (c *call) playlist(name string) *rtp.Playlist {
	plan := c.ex.plan.Load()
	var sounds []*rtp.Sound
	then := plan.music
	switch name {
	case holdList:
	case waitingList:
		sounds = append(sounds, c.dest.greeting...)
		if !c.answered && plan.trunks[c.trunk].ringback {
			then = c.ex.ringback
		}
	default:
		sounds = plan.voice(c.client).Say(name)
	}
	return &rtp.Playlist{Name: name, Sounds: append(sounds, then), Loop: true}
}

// sayLast plays one announcement to the caller and ends the call after it.
func (c *call) sayLast(prompt string) {
	sound := c.ex.plan.Load().prompt(c.client, prompt)
	if sound == nil || c.caller.owed {
		c.finish(c.by, c.cause)
		return
	}
	c.caller.media.Hear(&rtp.Playlist{Sounds: []*rtp.Sound{sound}, Token: lastWords})
}

// acked completes a delayed offer: the ACK brings the answer to ours.
func (c *call) acked(who acd.Party, s *side, sdp []byte) {
	if !s.owed {
		return
	}
	s.owed = false
	stream, err := s.sdp.Accept(sdp)
	if err != nil {
		c.log.Info("no usable answer in ACK", zap.Error(err))
		c.end(acd.Switch, acd.CauseBadOffer)
		return
	}
	s.took(stream)
	c.apply(s, stream, s.stream.Latch)
	c.streamChanged(who, s)
}

// reanswered takes the answer to a re-INVITE of ours. One that came without a question
// of the call is to a session refresh, which repeats our last description, and has
// another address, codec or direction than before (RFC 4028 section 7.4).
func (c *call) reanswered(who acd.Party, s *side, ev sip.Reanswered) {
	if !ev.Refresh {
		c.relisted(who, s, ev)
		return
	}
	if len(ev.SDP) == 0 {
		return
	}
	s.sdp.Repeated()
	stream, err := s.sdp.Accept(ev.SDP)
	if err != nil {
		c.log.Info("answer to a session refresh not usable", zap.String("party", who.String()), zap.Error(err))
		return
	}
	s.took(stream)
	c.apply(s, stream, s.stream.Latch)
	c.streamChanged(who, s)
}

// streamChanged lets a talk follow what one party has newly agreed on.
func (c *call) streamChanged(who acd.Party, s *side) {
	switch {
	case c.consult != nil && (s == &c.consult.side || s == c.asked()), c.phase == talking && s != &c.caller && s != &c.agent.side:
		c.joinAsked()
	case c.phase == talking && !c.agent.lost:
		c.holdChanged(who, s)
		c.rewire()
	case c.phase == diverted && c.out != nil && c.out.taken:
		c.joinOutside()
	}
}

// reoffered answers a re-INVITE or UPDATE: hold, resume, a changed address, a
// session refresh, or a request for our offer.
func (c *call) reoffered(who acd.Party, s *side, leg *sip.Leg, ev sip.Reoffered) {
	if len(ev.SDP) == 0 {
		s.owed = true
		offer := s.sdp.Offer(s.stream.Codec)
		if s.asked != nil {
			_ = leg.Reoffer(offer) // see below
		}
		leg.Accept(ev, offer)
		return
	}
	answer, stream, err := s.sdp.Answer(ev.SDP, s.stream.Codec)
	if err != nil {
		leg.Decline(ev, sip.Reject{Code: 488, Err: err})
		return
	}
	if s.asked != nil {
		// An offer of ours waits for its turn, and has been overtaken by this answer.
		_ = leg.Reoffer(s.sdp.Offer(s.stream.Codec)) // fails when the leg is over
	}
	s.took(stream)
	c.apply(s, stream, s.stream.Latch)
	c.save()
	leg.Accept(ev, answer)
	if s.asked != nil {
		s.expect()
	}
	c.streamChanged(who, s)
	if c.phase < closing {
		c.save() // who holds whom
	}
}

// holdChanged tells the floor when a party has put the other on hold: it no
// longer wants to hear us.
func (c *call) holdChanged(who acd.Party, s *side) {
	held := !s.stream.Send
	if held == s.held || s.owed {
		return
	}
	s.held = held
	kind := acd.Resumed
	if held {
		kind = acd.Held
	}
	ev := acd.Event{Kind: kind, Call: c.id, Agent: c.agent.agent, Offer: c.agent.id, By: who}
	if held && c.consult != nil {
		ev.Reason = "consult"
	}
	c.ex.board.post(ev)
}

// rewire lets each party hear what the hold state allows: each other, or music
// for the one who was put on hold.
func (c *call) rewire() {
	c.pair(&c.caller, &c.agent.side)
	c.watchTalk()
}

// watchTalk looks for silence where there should be none: a party that holds, or is
// held, may rightly be silent.
func (c *call) watchTalk() {
	caller, agent := &c.caller, &c.agent.side
	talk := !caller.held && !agent.held
	caller.media.Watch(talk && caller.stream.Receive)
	agent.media.Watch(talk && agent.stream.Receive)
}

// pair lets two parties hear what the hold state allows.
func (c *call) pair(far, near *side) {
	ofFar, ofNear := c.hearing(far, near)
	far.media.Hear(ofFar)
	near.media.Hear(ofNear)
}

// hearing is what each of two parties hears: the other, or music if the other holds
// them. far is the one of the two who may send hold music of their own.
func (c *call) hearing(far, near *side) (ofFar, ofNear rtp.Source) {
	switch {
	case !far.held && !near.held:
		return near.media, far.media
	case near.held && far.held:
		return nil, nil
	case near.held:
		return c.playlist(holdList), nil
	case far.stream.Receive:
		return nil, far.media // the carrier sends its own hold music: let the agent hear it
	default:
		return nil, c.playlist(holdList)
	}
}

// causeOf says why the caller's media could not be had.
func causeOf(err error) acd.Cause {
	switch {
	case errors.Is(err, rtp.ErrPortsFull):
		return acd.CausePortsFull
	case errors.Is(err, errOffer):
		return acd.CauseBadOffer
	case errors.Is(err, errGone):
		return acd.CauseAbandoned
	}
	return acd.CauseFailed
}

func qualityOf(r rtp.Report) *acd.Quality {
	return &acd.Quality{
		Codec:           r.Codec.String(),
		Packets:         r.Received,
		Lost:            r.Lost,
		LossRatio:       r.LossRatio,
		JitterMS:        float64(r.Jitter.Microseconds()) / 1000,
		RTTMS:           float64(r.RTT.Microseconds()) / 1000,
		MOS:             r.MOS,
		RemoteLossRatio: r.RemoteLoss,
		SRTP:            guardOf(r),
	}
}
