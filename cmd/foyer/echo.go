package main

import (
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/rtp"
	"foyer/sip"
)

// The echo test: whoever calls it hears what is to be done, then themselves, and in
// the end what their line is worth, in plain words.

// echoTime is how long they hear themselves, if they press no key. Two reports of a
// phone about what it hears fit into it, from which the round trip is known.
const echoTime = 12 * time.Second

// echoes says whether a called number leads to the echo test.
func (p *plan) echoes(called string) bool { return p.dids[p.e164(called)].echo }

// echoTest serves an agent, or with "" somebody from outside.
func (ex *exchange) echoTest(leg *sip.Leg, agent acd.AgentID) {
	e := ex.errand(leg, agent)
	e.run(e.echo)
}

func (e *errand) echo() {
	e.say(func() {
		e.echoes = true
		e.media.Hear(e.media)
		e.in(echoTime, echoLate{})
	}, "echo-test")
}

// echoed ends the echo and asks what was measured.
func (e *errand) echoed() {
	if e.echoes {
		e.echoes = false
		e.media.Hear(nil)
		e.media.Report(func(r rtp.Report) { e.box.post(r) })
	}
}

// judged tells what the line is worth.
func (e *errand) judged(r rtp.Report) {
	m := measureOf(r)
	if m.trip == 0 && e.agent != "" {
		// The phone sends no reports: then as long as its answers to a probe take.
		for _, b := range reachable(e.ex.registrar.Bindings(string(e.agent))) {
			m.trip = max(m.trip, b.RTT)
		}
	}
	e.log.Info("echo test", zap.Uint64("packets", r.Received), zap.Float64("loss", m.loss),
		zap.Duration("jitter", m.jitter), zap.Duration("round_trip", m.trip), zap.Stringer("line", m.worst()))
	e.sayLast(m.words()...)
}

// measure is what is known of a line's sound, the worse of both ways.
type measure struct {
	deaf   bool          // nothing came from there
	loss   float64       // 0 to 1, of packets lost or too late
	jitter time.Duration // p95
	trip   time.Duration // both ways; 0 unknown
}

func measureOf(r rtp.Report) measure {
	m := measure{deaf: r.Received == 0, loss: r.RemoteLoss, jitter: r.Jitter, trip: r.RTT}
	if all := r.Received + r.Lost; all > 0 {
		m.loss = max(m.loss, float64(min(r.Lost+r.Late, all))/float64(all))
	}
	return m
}

// grade is what a figure of a line is worth.
type grade uint8

const (
	good     grade = iota // nobody notices
	middling              // noticed
	bad                   // in the way of talking
)

func (g grade) String() string { return [...]string{"good", "middling", "bad"}[g] }

// between grades a figure by two limits: from some on it is noticed, from much on it
// is in the way.
func between[T float64 | time.Duration](figure, some, much T) grade {
	switch {
	case figure >= much:
		return bad
	case figure >= some:
		return middling
	}
	return good
}

// Of G.711 with the concealment that phones have, 1 % lost is noticed by who listens
// for it and 3 % by everybody (ITU-T G.113 appendix I). A jitter buffer of a phone
// takes 40 ms without loss. A round trip of 300 ms is what ITU-T G.114 allows one way
// for both; below half of that nobody interrupts the other.
func (m measure) lossGrade() grade { return between(m.loss, 0.01, 0.03) }
func (m measure) jitterGrade() grade {
	return between(m.jitter, 20*time.Millisecond, 40*time.Millisecond)
}
func (m measure) delayGrade() grade {
	return between(m.trip, 150*time.Millisecond, 300*time.Millisecond)
}

func (m measure) worst() grade { return max(m.lossGrade(), m.jitterGrade(), m.delayGrade()) }

// words are the prompts that tell it: the whole, then each figure. What is not known
// is not spoken of.
func (m measure) words() []string {
	if m.deaf {
		return []string{"echo-deaf"}
	}
	said := []string{"line-" + m.worst().String(), "loss-" + m.lossGrade().String(), "jitter-" + m.jitterGrade().String()}
	if m.trip > 0 {
		said = append(said, "delay-"+m.delayGrade().String())
	}
	return append(said, "goodbye")
}
