package main

import (
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/rtp"
	"foyer/rtp/sound"
	"foyer/sip"
)

// errand is a call to the switch itself: a feature code that an agent has dialled,
// or the echo test. It is no customer call: the floor does not see it, and it has no
// call record. One goroutine owns it from the INVITE to the BYE, takes everything
// about it from one mailbox, and lives for errandTime at most.
type errand struct {
	ex    *exchange
	plan  *plan
	agent acd.AgentID // "": somebody from outside
	side
	voice sound.Voice
	box   *mailbox
	log   *zap.Logger

	work   func() // what it is about, once both can hear each other
	heard  bool   // work has begun
	asked  *featureOf
	typed  string // keys pressed since asked
	tries  int    // questions asked
	after  func() // when what is being said has been said
	over   bool
	echoes bool // they hear themselves
}

const (
	// errandTime is the longest an errand may take: the echo test takes 35 s.
	errandTime = time.Minute
	// latchTime is how long a phone may take to send its first packets. What is said
	// before would be lost: behind a router, nothing is sent to a phone that has not.
	latchTime = time.Second
	// choiceTime is how long an agent may think about which key to press; after the
	// first of two, keyTime.
	choiceTime = 8 * time.Second
	keyTime    = 2 * time.Second
	// choiceTries is how often a choice that stands for nothing may be made.
	choiceTries = 3
)

// What arrives in an errand's mailbox besides events of its leg and its media.
type (
	errandLate struct{} // errandTime is over
	latchLate  struct{}
	choiceLate struct{ tries, keys int }
	echoLate   struct{}
)

func (ex *exchange) errand(leg *sip.Leg, agent acd.AgentID) *errand {
	p := ex.plan.Load()
	return &errand{
		ex: ex, plan: p, agent: agent, side: side{leg: leg}, voice: p.voice(nil), box: newMailbox(),
		log: ex.log.With(zap.String("agent", string(agent)), zap.String("trunk", leg.Trunk()), zap.String("sip_call_id", leg.SIPCallID())),
	}
}

// run answers the INVITE and does the work. It returns when the INVITE has its final
// response; the errand goes on.
func (e *errand) run(work func()) {
	e.work = work
	e.ex.wait.Go(e.live)
	e.leg.Wait()
}

// live is the goroutine of the errand.
func (e *errand) live() {
	defer e.ex.confined(anErrand, e.log, e.end)
	e.ex.confined(anErrand, e.log, e.does)
}

func (e *errand) does() {
	if err := e.answer(); err != nil {
		e.log.Info("errand refused", zap.Error(err))
		e.leg.Reject(rejectFor(causeOf(err)))
		return
	}
	e.in(errandTime, errandLate{})
	e.in(latchTime, latchLate{})
	var spare []any
	for !e.over {
		<-e.box.ready
		msgs := e.box.take(spare)
		for _, m := range msgs {
			if !e.over {
				e.handle(m)
			}
		}
		clear(msgs)
		spare = msgs
	}
}

// in has a message arrive later.
func (e *errand) in(d time.Duration, msg any) { time.AfterFunc(d, func() { e.box.post(msg) }) }

// protection is how the caller's offer is answered.
func (e *errand) protection() rtp.Protection {
	if e.agent == "" {
		return e.ex.ofTrunk().answers()
	}
	return e.ex.ofPhone(e.leg.Transport()).answers()
}

// answer opens the media and takes the call.
func (e *errand) answer() error {
	role, latch := rtp.AgentLeg, rtp.Near
	if e.agent == "" {
		role, latch = rtp.TrunkLeg, rtp.Exact
	}
	media, err := e.ex.media.NewLeg(rtp.LegOptions{Role: role, Sink: func(ev rtp.MediaEvent) { e.box.post(ev) }})
	if err != nil {
		return err
	}
	e.media, e.sdp = media, e.ex.newSession(media, e.protection())
	var body []byte
	if offer := e.leg.SDP(); len(offer) == 0 {
		e.owed = true
		e.stream.Latch = latch
		body = e.sdp.Offer(rtp.NoCodec)
	} else {
		answer, stream, err := e.sdp.Answer(offer, rtp.NoCodec)
		if err != nil {
			return errOffer
		}
		e.ex.apply(&e.side, stream, latch)
		e.ex.described(e.agent, e.leg, offer)
		body = answer
	}
	e.leg.Listen(func(ev sip.LegEvent) { e.box.post(ev) })
	if err := e.leg.Answer(body); err != nil {
		return errGone
	}
	return nil
}

func (e *errand) handle(m any) {
	switch m := m.(type) {
	case sip.Acked:
		e.agreed(m.SDP)
		if e.stream.Latch == rtp.Exact {
			e.begin() // a trunk hears us from the start
		}
	case sip.Reoffered:
		e.reoffered(m)
	case sip.Info:
		e.pressed(m.Digit)
	case sip.Cancelled, sip.Ended:
		e.over = true
	case rtp.Latched:
		e.begin()
	case latchLate:
		e.begin()
	case rtp.Digit:
		e.pressed(m.Digit)
	case rtp.PlaybackEnded:
		if next := e.after; next != nil && m.Token == lastWords {
			e.after = nil
			next()
		}
	case rtp.Broken:
		e.hangUp()
	case choiceLate:
		e.chosen(m)
	case echoLate:
		e.echoed()
	case rtp.Report:
		e.judged(m)
	case errandLate:
		e.hangUp()
	}
}

// agreed completes a delayed offer: the ACK brings the answer to ours.
func (e *errand) agreed(sdp []byte) {
	if !e.owed {
		return
	}
	e.owed = false
	stream, err := e.sdp.Accept(sdp)
	if err != nil {
		e.log.Info("no usable answer in ACK", zap.Error(err))
		e.hangUp()
		return
	}
	e.ex.apply(&e.side, stream, e.stream.Latch)
}

// reoffered answers a re-INVITE: a phone on hold misses what is said, and hangs up.
func (e *errand) reoffered(ev sip.Reoffered) {
	if len(ev.SDP) == 0 {
		e.owed = true
		e.leg.Accept(ev, e.sdp.Offer(e.stream.Codec))
		return
	}
	answer, stream, err := e.sdp.Answer(ev.SDP, e.stream.Codec)
	if err != nil {
		e.leg.Decline(ev, sip.Reject{Code: 488, Err: err})
		return
	}
	e.leg.Accept(ev, answer)
	e.ex.apply(&e.side, stream, e.stream.Latch)
}

// begin does the work once the phone's sound comes, or should have come by now.
func (e *errand) begin() {
	if !e.heard {
		e.heard = true
		e.work()
	}
}

// say plays prompts and goes on with next.
func (e *errand) say(next func(), ids ...string) {
	e.after = next
	e.media.Hear(&rtp.Playlist{Sounds: e.voice.Say(ids...), Token: lastWords})
}

// sayLast plays prompts and hangs up.
func (e *errand) sayLast(ids ...string) { e.say(e.hangUp, ids...) }

// choose asks for a key, and gives the order that waits for it.
func (e *errand) choose(prompt string, f featureOf) {
	if e.tries++; e.tries > choiceTries {
		e.sayLast("not-done")
		return
	}
	f.place, e.typed = 0, ""
	e.asked = &f
	e.say(func() { e.in(choiceTime, choiceLate{e.tries, 0}) }, prompt)
}

// pressed takes a key.
func (e *errand) pressed(digit byte) {
	switch {
	case e.echoes:
		e.echoed()
	case e.asked == nil:
	case digit == '#' && e.typed != "":
		e.chosen(choiceLate{e.tries, len(e.typed)})
	case digit >= '0' && digit <= '9' && len(e.typed) < 2:
		e.typed += string(digit)
		e.in(keyTime, choiceLate{e.tries, len(e.typed)})
	}
}

// chosen gives the order with the number that was typed, once no key has followed it.
func (e *errand) chosen(m choiceLate) {
	f := e.asked
	if f == nil || m.tries != e.tries || m.keys != len(e.typed) {
		return
	}
	e.asked, e.after = nil, nil
	place := 0
	for _, d := range e.typed {
		place = 10*place + int(d-'0')
	}
	if place == 0 {
		e.choose("choice-unknown", *f)
		return
	}
	f.place = place
	e.order(*f)
}

func (e *errand) hangUp() {
	e.over = true
	e.leg.Hangup(sip.Reason{SIP: 200})
}

// end gives everything back.
func (e *errand) end() {
	if !e.over {
		e.leg.Hangup(sip.Reason{SIP: 500})
	}
	if e.media != nil {
		e.media.Close(nil)
	}
	e.box.close()
}
