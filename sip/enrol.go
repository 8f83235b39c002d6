package sip

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

const (
	// enrolBase and enrolMost bound the pauses between attempts to register: they
	// double from the one to the other (after RFC 5626 section 4.5).
	enrolBase = 4 * time.Second
	enrolMost = 5 * time.Minute
	// refusedBase and refusedMost are the same where the carrier has refused our
	// account: it will not think better of it, and many ban who insists.
	refusedBase = time.Minute
	refusedMost = 30 * time.Minute
	// leastExpires and mostExpires bound what a registrar can make us do.
	leastExpires = 10 * time.Second
	mostExpires  = 24 * time.Hour
)

// enrolment is our registration at a carrier: a pure machine, to which the outcome
// of each REGISTER is told. The zero value is a trunk that does not register.
type enrolment struct {
	asks     time.Duration // what we ask for; 0: we do not register
	next     time.Time     // of the next REGISTER
	until    time.Time     // registered until then; zero: we are not
	failures int           // in a row
	why      string        // of the last failure, "" after a success
}

// enrolled is the outcome of a REGISTER.
type enrolled struct {
	code    int           // 0: no answer came
	granted time.Duration // by a 200
	least   time.Duration // Min-Expires of a 423
	after   time.Duration // Retry-After
	err     string        // why no answer came
}

// took takes an outcome and reports whether we are registered now and were not, or
// the other way round. chance is in [0, 1).
func (r *enrolment) took(now time.Time, e enrolled, chance float64) (turned bool) {
	was := r.up(now)
	if e.code == 200 && e.granted > 0 {
		granted := min(max(e.granted, leastExpires), mostExpires)
		r.until, r.failures, r.why = now.Add(granted), 0, ""
		// Well before it ends, so that several attempts can fail, and not at the
		// same moment for all customers of a carrier that was restarted.
		r.next = now.Add(time.Duration(float64(granted) * (0.7 + 0.15*chance)))
		return !was
	}
	r.failures++
	r.why = e.text()
	base, most := enrolBase, enrolMost
	if e.refused() {
		base, most = refusedBase, refusedMost
		r.until = time.Time{} // also if one from before would still hold: it is not ours any more
	}
	wait := most
	if r.failures < 16 {
		wait = min(base<<(r.failures-1), most)
	}
	wait = time.Duration(float64(wait) * (0.5 + 0.5*chance))
	if e.code == 423 && e.least > r.asks {
		// RFC 3261 section 10.2.8. Nothing was wrong but the number.
		r.asks, wait = min(e.least, mostExpires), 0
	}
	r.next = now.Add(max(wait, min(e.after, refusedMost)))
	return was && !r.up(now)
}

// up reports whether we are registered.
func (r *enrolment) up(now time.Time) bool { return now.Before(r.until) }

// refused reports whether the carrier knows us and does not want us, as far as a
// code can tell.
func (e enrolled) refused() bool {
	switch e.code {
	case 401, 403, 404, 405, 407, 410, 604:
		return true
	}
	return e.code >= 600
}

func (e enrolled) text() string {
	switch {
	case e.code == 0:
		return "REGISTER got no answer (" + e.err + ")"
	case e.code == 401 || e.code == 407:
		return fmt.Sprintf("REGISTER was refused with %d: username, password or realm are not what the carrier expects", e.code)
	case e.code == 200:
		return "REGISTER was answered with 200 and no time"
	}
	return fmt.Sprintf("REGISTER was refused with %d", e.code)
}

// enrolledOf reads the final response to a REGISTER.
func enrolledOf(req *sip.Request, res *sip.Response) enrolled {
	return enrolled{
		code:    res.StatusCode,
		granted: grantedBy(req, res),
		least:   secondsIn(res, "min-expires"),
		after:   retryAfter(res),
	}
}

// grantedBy is for how long a registrar keeps our address (RFC 3261 section
// 10.2.4): as its entry of our Contact says, or Expires, or as we asked. Routers
// and border controllers may have rewritten our address; if there is one entry
// only, it is ours.
func grantedBy(req *sip.Request, res *sip.Response) time.Duration {
	ours := req.Contact().Address
	contacts := res.GetHeaders("contact")
	for _, h := range contacts {
		c, ok := h.(*sip.ContactHeader)
		if !ok || len(contacts) > 1 && (c.Address.User != ours.User || c.Address.Host != ours.Host || portOf(&c.Address) != portOf(&ours)) {
			continue
		}
		if v, ok := c.Params.Get("expires"); ok {
			if n, err := strconv.ParseUint(v, 10, 32); err == nil {
				return time.Duration(n) * time.Second
			}
		}
		break
	}
	if res.GetHeader("expires") != nil {
		return secondsIn(res, "expires")
	}
	return secondsIn(req, "expires")
}

// secondsIn reads a header that is a number of seconds; 0 if it is missing or none.
func secondsIn(msg sip.Message, name string) time.Duration {
	headers := msg.GetHeaders(name)
	if len(headers) == 0 {
		return 0
	}
	digits, _, _ := strings.Cut(headers[0].Value(), ";")
	digits, _, _ = strings.Cut(digits, "(")
	n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 32)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

// retryAfter reads Retry-After (RFC 3261 section 20.33).
func retryAfter(res *sip.Response) time.Duration { return secondsIn(res, "retry-after") }
