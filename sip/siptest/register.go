package siptest

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Register registers the phone's Contact for the given time and answers the
// digest challenge. Later registrations use the nonce again, counting up, until
// the registrar asks anew (RFC 7616 section 3.3: nc, stale). It returns the
// final answer whatever its code; the error is for no answer at all.
func (p *Phone) Register(ctx context.Context, expires time.Duration, extra ...Header) (*Message, error) {
	return p.register(ctx, seconds(expires), extra)
}

// Unregister takes this phone's binding away.
func (p *Phone) Unregister(ctx context.Context) (*Message, error) {
	return p.register(ctx, "0", nil)
}

func (p *Phone) register(ctx context.Context, expires string, extra []Header) (*Message, error) {
	build := func() *Message {
		p.w.mu.Lock()
		defer p.w.mu.Unlock()
		p.cseq++
		req := p.NewRequest("REGISTER", "sip:"+p.o.Domain, "", H("Expires", expires))
		req.Set("To", "<"+p.AOR()+">")
		req.Set("Call-ID", p.regID)
		req.Set("CSeq", fmt.Sprintf("%d REGISTER", p.cseq))
		override(req, extra)
		for _, c := range p.challenges {
			c.sign(req, p.o.AuthUser, p.o.Password)
		}
		return req
	}
	res, err := p.once(ctx, build())
	// A remembered nonce may be refused as stale, the new one then is not.
	for tries := 0; err == nil && (res.Status == 401 || res.Status == 407) && tries < 2; tries++ {
		c, cerr := findChallenge(res)
		if cerr != nil || p.o.Password == "" {
			return res, nil
		}
		p.w.mu.Lock()
		known := p.challenges[c.answerIn]
		p.challenges[c.answerIn] = c
		p.w.mu.Unlock()
		if known != nil && !c.stale && tries > 0 {
			p.w.mu.Lock()
			delete(p.challenges, c.answerIn)
			p.w.mu.Unlock()
			return res, nil // the password is wrong: asking again will not help
		}
		res, err = p.once(ctx, build())
	}
	return res, err
}

// Granted returns how long a registrar's 200 keeps this phone's own binding, 0
// if it is not in the answer.
func (p *Phone) Granted(res *Message) time.Duration {
	for _, c := range res.Values("Contact") {
		if UserOf(URIOf(c)) != p.o.User || HostOf(URIOf(c)) != p.o.Contact {
			continue
		}
		v := Param(c, "expires")
		if v == "" {
			v = res.Get("Expires")
		}
		n, _ := strconv.Atoi(v)
		return time.Duration(n) * time.Second
	}
	return 0
}
