package loadtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// Plan says what a run of calls looks like. Rate or Concurrent must be set, all
// else has a sensible zero value.
type Plan struct {
	Server   string // IP:port of the switch, UDP
	Domain   string // host part of the agents' addresses: the registrar's realm
	CallerIP string // where callers call from; "" is 127.0.0.2
	AgentIP  string // where agents are; "" is 127.0.0.3
	Numbers  []string
	Agents   []Agent

	Rate       float64 // open: calls a second, whatever becomes of them
	Even       bool    // open: equally spaced instead of Poisson
	Concurrent int     // closed: this many calls at once, a new one for each that ends
	Ramp       float64 // closed: calls a second at most; 0 is 50
	Calls      int     // stop after so many; 0 is no limit
	Duration   time.Duration
	First      int    // number of the first call, so that two runs on one switch do not share callers
	Seed       uint64 // the same seed gives the same callers, talk times and behaviours

	Talk        Dist // from the agent's answer to hanging up; zero is 3 s
	Patience    Dist // how long a caller waits for an agent; zero is for ever
	AnswerAfter Dist // from ringing to the agent's answer; zero is at once
	AgentHangs  float64
	Decline     float64 // share of offers refused with DeclineCode
	DeclineCode int     // 0 is 603
	NoAnswer    float64 // share of offers left ringing

	Media    bool
	Codec    Codec // of both sides; the zero value is mu-law, Defaults sets A-law
	Law      bool  // Codec is meant, even if it is mu-law
	Unmarked bool  // pure audio, nothing measured: for recordings to listen to
	// CallerAudio and AgentAudio are looped, in Codec, 8 kHz, whole frames of 160
	// bytes; nil is a tone of 440 and of 660 Hz.
	CallerAudio, AgentAudio []byte

	Settle time.Duration // how long Drain waits for the last calls; 0 is 10 s
}

// Agent is one account at the switch.
type Agent struct{ User, Password string }

// Dist is a distribution of durations. The zero value is always 0.
type Dist struct {
	Kind string        // "fixed" (or ""), "exponential", "lognormal"
	Mean time.Duration // of the distribution, lognormal too
	CV   float64       // lognormal: standard deviation over mean; 0 is 1
}

// Fixed is always the same duration.
func Fixed(d time.Duration) Dist { return Dist{Mean: d} }

// Exponential has the given mean.
func Exponential(mean time.Duration) Dist { return Dist{Kind: "exponential", Mean: mean} }

// Lognormal has the given mean and coefficient of variation: talk times usually
// look like this.
func Lognormal(mean time.Duration, cv float64) Dist {
	return Dist{Kind: "lognormal", Mean: mean, CV: cv}
}

// draw takes one value. Every kind rolls the same number of dice, so that another
// kind for one value leaves the others as they were.
func (d Dist) draw(r *rand.Rand) time.Duration {
	e, n := r.ExpFloat64(), r.NormFloat64()
	switch d.Kind {
	case "exponential":
		return time.Duration(e * float64(d.Mean))
	case "lognormal":
		cv := d.CV
		if cv == 0 {
			cv = 1
		}
		s2 := math.Log(1 + cv*cv)
		return time.Duration(float64(d.Mean) * math.Exp(math.Sqrt(s2)*n-s2/2))
	}
	return d.Mean
}

// complete fills in what was left open and checks the rest.
func (p Plan) complete() (Plan, error) {
	orIP := func(s *string, def string) {
		if *s == "" {
			*s = def
		}
	}
	orIP(&p.CallerIP, "127.0.0.2")
	orIP(&p.AgentIP, "127.0.0.3")
	for _, ip := range []string{p.CallerIP, p.AgentIP} {
		if a := net.ParseIP(ip); a == nil || a.To4() == nil {
			return p, fmt.Errorf("plan: %q is not an IPv4 address", ip)
		}
	}
	if _, err := net.ResolveUDPAddr("udp4", p.Server); err != nil || p.Server == "" {
		return p, fmt.Errorf("plan: server %q is not IP:port", p.Server)
	}
	if len(p.Numbers) == 0 {
		return p, fmt.Errorf("plan: no number to call")
	}
	if (p.Rate > 0) == (p.Concurrent > 0) {
		return p, fmt.Errorf("plan: set either Rate (%v) or Concurrent (%d)", p.Rate, p.Concurrent)
	}
	if p.Ramp == 0 {
		p.Ramp = 50
	}
	if p.Domain == "" {
		p.Domain = strings.Split(p.Server, ":")[0]
	}
	if p.Talk == (Dist{}) {
		p.Talk = Fixed(3 * time.Second)
	}
	if p.DeclineCode == 0 {
		p.DeclineCode = 603
	}
	if p.Settle == 0 {
		p.Settle = 10 * time.Second
	}
	if !p.Law {
		p.Codec = PCMA
	}
	return p.withAudio()
}

func (p Plan) withAudio() (Plan, error) {
	if !p.Media {
		return p, nil
	}
	if p.CallerAudio == nil {
		p.CallerAudio = Tone(440, p.Codec)
	}
	if p.AgentAudio == nil {
		p.AgentAudio = Tone(660, p.Codec)
	}
	if len(p.CallerAudio) < frameBytes || len(p.AgentAudio) < frameBytes {
		return p, fmt.Errorf("plan: audio shorter than one packet of %d bytes", frameBytes)
	}
	return p, nil
}

// fortune is everything random about one call, decided by its number alone: it
// does not depend on what happened before.
type fortune struct {
	talk, patience time.Duration
	agentHangs     bool
}

func (p *Plan) fortune(call uint32) fortune {
	r := rand.New(rand.NewPCG(p.Seed, uint64(call)))
	return fortune{talk: p.Talk.draw(r), patience: p.Patience.draw(r), agentHangs: r.Float64() < p.AgentHangs}
}

// mood is what an agent does with the n-th offer of a call.
type mood struct {
	after             time.Duration
	decline, noAnswer bool
}

func (p *Plan) mood(call uint32, offer int) mood {
	r := rand.New(rand.NewPCG(p.Seed^0xA6E27, uint64(call)<<16|uint64(offer)))
	m := mood{after: p.AnswerAfter.draw(r)}
	dice := r.Float64()
	m.decline = dice < p.Decline
	m.noAnswer = !m.decline && dice < p.Decline+p.NoAnswer
	return m
}
