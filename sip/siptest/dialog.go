package siptest

import (
	"context"
	"fmt"
)

// incoming takes a request inside the call's dialog.
func (c *Call) incoming(tx *serverTx) {
	m := tx.req
	tx.call = c
	offer := m.Body
	if m.Method == "INVITE" || m.Method == "UPDATE" {
		c.retarget(m, false)
	}
	if m.Method == "INVITE" {
		num, _ := m.CSeq()
		c.invites[num] = tx
	}
	if (m.Method == "INVITE" || m.Method == "UPDATE") && offer != "" {
		c.remote = offer
	}
	c.emit(m.Method, m)
	if c.p.manual[m.Method] || c.p.o.Passive {
		return
	}
	switch m.Method {
	case "BYE":
		c.respond(tx, 200, "", nil)
		if c.first != nil {
			c.reply(487, "", nil)
		}
		c.end()
	case "INVITE":
		c.respond(tx, 200, c.answerTo(offer), nil)
	case "UPDATE":
		if offer == "" {
			c.respond(tx, 200, "", nil)
			return
		}
		c.respond(tx, 200, c.answerTo(offer), nil)
	case "REFER":
		c.respond(tx, 202, "", nil)
	default:
		c.respond(tx, 200, "", nil)
	}
}

// answerTo repeats our last description as the answer to an offer, with the
// direction RFC 3264 section 6.1 asks for and a version one higher; without an
// offer it is our own offer again.
func (c *Call) answerTo(offer string) string {
	ours, err := ParseSDP(c.local)
	if err != nil {
		return c.local
	}
	ours.Direction = ""
	if offer != "" {
		if theirs, err := ParseSDP(offer); err == nil && theirs.Direction != "sendrecv" {
			ours.Direction = answerDirection(theirs.Direction)
		}
	}
	ours.Version++
	return ours.String()
}

// Bye hangs up; the answer is an event and ends the call, as does its absence.
func (c *Call) Bye(extra ...Header) {
	c.p.w.do(func() {
		if c.state == Ended || c.p.w.closed {
			return
		}
		c.send(c.request("BYE", "", extra), func(res *Message, err error) {
			if err != nil || res.Status >= 200 {
				c.end()
			}
		})
	})
}

// Hangup is Bye and waits for its answer.
func (c *Call) Hangup(ctx context.Context) error {
	c.Bye()
	if _, err := c.WaitFor(ctx, "xxx BYE"); err != nil {
		return fmt.Errorf("hang up: %w", err)
	}
	return nil
}

// Reinvite sends an INVITE inside the dialog; its answers are events and are
// acknowledged. An empty sdp asks the other side for an offer.
func (c *Call) Reinvite(sdp string, extra ...Header) {
	c.p.w.do(func() {
		if c.state == Ended || c.p.w.closed {
			return
		}
		if sdp != "" {
			c.local = sdp
		}
		c.sendInvite(c.request("INVITE", sdp, extra))
	})
}

// Update sends an UPDATE (RFC 3311), with an offer if sdp is not empty.
func (c *Call) Update(sdp string, extra ...Header) {
	c.Send("UPDATE", sdp, extra...)
}

// Info sends an INFO with a body of the given type, e.g. application/dtmf-relay.
func (c *Call) Info(contentType, body string) {
	c.Send("INFO", body, H("Content-Type", contentType))
}

// Refer asks the other side to call somebody else (RFC 3515).
func (c *Call) Refer(to string, extra ...Header) {
	c.Send("REFER", "", append([]Header{H("Refer-To", "<"+to+">")}, extra...)...)
}

// Send sends any other request inside the dialog; its answers are events.
func (c *Call) Send(method, body string, extra ...Header) {
	c.p.w.do(func() {
		if c.state == Ended || c.p.w.closed {
			return
		}
		if method == "UPDATE" && body != "" {
			c.local = body
		}
		c.send(c.request(method, body, extra), func(res *Message, err error) {
			if err == nil && method == "UPDATE" && res.Status < 300 {
				c.retarget(res, false)
				if res.Body != "" {
					c.remote = res.Body
				}
			}
		})
	})
}
