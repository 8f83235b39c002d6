package sip

import "time"

const (
	// pingWait is how long a carrier may take to answer OPTIONS, which the
	// transaction repeats 0.5 and 1.5 s after the first.
	pingWait = 3 * time.Second
	// pingAgain is the pause before a carrier that did not answer is asked anew.
	pingAgain = 2 * time.Second
	// pingsMissed in a row make a trunk down: one datagram is lost now and then.
	pingsMissed = 3
	// pingDown is the longest pause between pings of a trunk that is down: calls
	// wait for it.
	pingDown = 10 * time.Second
)

// pulse is whether a trunk answers OPTIONS: a pure machine, to which the outcome
// of each round of pings is told. The zero value is a trunk that is not pinged.
type pulse struct {
	every  time.Duration
	next   time.Time // of the next round; zero: never
	missed int       // rounds in a row without an answer
	down   bool
	why    string
	code   int           // of the last answer, 0: none came
	rtt    time.Duration // of the last good answer
}

// echo is the outcome of a round of pings: the best answer of all the trunk's
// places.
type echo struct {
	code  int // 0: none came
	rtt   time.Duration
	after time.Duration // Retry-After
	err   string        // why none came
}

// good reports whether a carrier that answers so takes calls. Any answer shows
// that it is there: many refuse OPTIONS with 403, 404 or 405. A 503 says by itself
// that it wants none (RFC 3261 section 21.5.4).
func (e echo) good() bool { return e.code != 0 && e.code != 503 }

// took takes a round's outcome and reports whether the trunk has gone down or
// come up by it. chance is in [0, 1): rounds are spread by a tenth, so that a
// carrier with many customers is not asked by all of them at once.
func (p *pulse) took(now time.Time, e echo, chance float64) (turned bool) {
	was := p.down
	p.code = e.code
	switch {
	case p.every == 0: // asked by hand, once: that alone decides nothing
		p.rtt = e.rtt
		return false
	case e.good():
		p.missed, p.down, p.why, p.rtt = 0, false, "", e.rtt
	case e.code != 0:
		p.missed, p.down, p.why = 0, true, "it answers OPTIONS with 503"
	default:
		p.missed++
		if p.missed >= pingsMissed {
			p.down, p.why = true, "it does not answer OPTIONS ("+e.err+")"
		}
	}
	wait := p.every
	switch {
	case p.down:
		wait = max(min(p.every, pingDown), min(e.after, quietAtMost))
	case p.missed > 0:
		wait = min(p.every, pingAgain)
	}
	p.next = now.Add(wait - time.Duration(chance*float64(wait)/10))
	return p.down != was
}

// doubt lets the trunk be asked at once: a call to it got no answer.
func (p *pulse) doubt(now time.Time) {
	if p.every > 0 && now.Before(p.next) {
		p.next = now
	}
}
