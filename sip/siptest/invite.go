package siptest

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Invite calls target ("sip:+33170000001@lo.test") and returns at once; answers
// are events. An empty sdp leaves the offer to the other side: put "ACK" into
// Options.Manual and answer it with Call.Ack. If ctx ends before the final
// answer, the call is cancelled.
func (p *Phone) Invite(ctx context.Context, target, sdp string, extra ...Header) (*Call, error) {
	return p.InviteWith(ctx, &Outgoing{Target: target, SDP: sdp, Extra: extra})
}

// Outgoing is a call to be made. Data becomes the call's before it can have any
// event.
type Outgoing struct {
	Target string
	SDP    string
	Extra  []Header // a header that would be written anyway is replaced
	From   string   // user of From instead of the phone's own: another caller number
	Data   any
}

// InviteWith is Invite for a phone that calls for many: each call with its own
// caller number and its own data.
func (p *Phone) InviteWith(ctx context.Context, o *Outgoing) (*Call, error) {
	if p.serverAddr == nil {
		return nil, fmt.Errorf("call %s: phone %s has no server address", o.Target, p.o.User)
	}
	m := p.NewRequest("INVITE", o.Target, o.SDP, H("Allow", allowed))
	if o.From != "" {
		m.Set("From", "<sip:"+o.From+"@"+p.o.Domain+">;tag="+token())
	}
	override(m, o.Extra)
	c := &Call{p: p, began: time.Now(), Data: o.Data, invite: m, local: o.SDP, localURI: m.Get("From"), remoteURI: m.Get("To"),
		target: o.Target, peer: p.serverAddr, id: dialogID{m.Get("Call-ID"), m.Tag("From")},
		invites: map[uint32]*serverTx{}, acks: map[uint32]*Message{}}
	c.cseq, _ = m.CSeq()
	var err error
	p.w.do(func() {
		if p.w.closed {
			err = fmt.Errorf("call %s: %w", o.Target, net.ErrClosed)
			return
		}
		p.w.calls[c.id] = c
		c.sendInvite(m)
	})
	if err == nil && ctx.Done() != nil {
		context.AfterFunc(ctx, func() {
			if c.State() == Calling {
				c.Cancel()
			}
		})
	}
	return c, err
}

// Dial calls and waits for the answer; an error tells the code of a refusal.
func (p *Phone) Dial(ctx context.Context, target, sdp string, extra ...Header) (*Call, error) {
	c, err := p.Invite(ctx, target, sdp, extra...)
	if err != nil {
		return nil, err
	}
	for {
		m, err := c.WaitFor(ctx, "xxx INVITE")
		if err != nil {
			return c, fmt.Errorf("dial %s: %w", target, err)
		}
		switch {
		case m.Status < 200 || (m.Status == 401 || m.Status == 407) && c.State() == Calling:
		case m.Status < 300:
			return c, nil
		default:
			return c, fmt.Errorf("dial %s: %d %s", target, m.Status, m.Reason)
		}
	}
}

// sendInvite sends the first INVITE, or a later one, of the call.
func (c *Call) sendInvite(m *Message) {
	first := c.state == Calling
	c.outgoing = c.p.w.start(m, c.peer, func(res *Message, err error) {
		if err != nil {
			c.emit("timeout INVITE", nil)
			if first {
				c.end()
			}
			return
		}
		c.inviteAnswered(m, res, first)
	})
}

// inviteAnswered follows our INVITE's answers.
func (c *Call) inviteAnswered(req, res *Message, first bool) {
	if tag := res.Tag("To"); tag != "" && first {
		c.remoteTag, c.remoteURI = tag, res.Get("To")
	}
	if res.Body != "" && res.Status < 300 {
		c.remote = res.Body
	}
	if res.Status < 200 {
		c.emit(eventName(res), res)
		if c.cancel {
			c.sendCancel()
		}
		return
	}
	if res.Status < 300 {
		c.retarget(res, first)
		c.state = Talking
		c.emit(eventName(res), res)
		if !c.p.manual["ACK"] {
			c.sendACK(req, "")
		}
		return
	}
	c.refusedACK(req, res)
	if first && (res.Status == 401 || res.Status == 407) && c.signAgain(req, res) {
		return
	}
	c.emit(eventName(res), res)
	if first || res.Status == 481 || res.Status == 408 {
		c.end() // RFC 3261 section 12.2.1.2: these codes end the dialog too
	}
}

// signAgain repeats a challenged INVITE with credentials, once.
func (c *Call) signAgain(req, res *Message) bool {
	if c.signed || c.p.o.Password == "" {
		return false
	}
	ch, err := findChallenge(res)
	if err != nil {
		return false
	}
	c.signed = true
	again := req.Clone()
	c.p.resign(again, ch)
	c.cseq++
	c.remoteTag, c.remoteURI = "", req.Get("To")
	c.sendInvite(again)
	return true
}

// sendACK acknowledges a 2xx with the INVITE's number (RFC 3261 section
// 13.2.2.4).
func (c *Call) sendACK(req *Message, sdp string) {
	num, _ := req.CSeq()
	ack := c.numbered("ACK", num, sdp, nil)
	ack.Del("Contact")
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		if v := req.Get(name); v != "" {
			ack.Add(name, v)
		}
	}
	if sdp != "" {
		c.local = sdp
	}
	c.acks[num] = ack
	c.p.w.write(ack, c.peer)
}

// Ack acknowledges the last 2xx by hand, with an answer to a delayed offer if
// sdp is not empty. For phones with "ACK" in Manual.
func (c *Call) Ack(sdp string) {
	c.p.w.do(func() {
		if c.outgoing != nil {
			c.sendACK(c.outgoing.req, sdp)
		}
	})
}

// repeatACK sends the ACK of a repeated final answer again.
func (c *Call) repeatACK(res *Message) {
	c.p.w.stats.Repeated++
	num, _ := res.CSeq()
	if ack := c.acks[num]; ack != nil && !c.p.manual["ACK"] {
		c.p.w.stats.Resent++
		c.p.w.write(ack, c.peer)
	}
}

// refusedACK acknowledges a final answer other than 2xx, hop by hop with the
// INVITE's own branch (RFC 3261 section 17.1.1.3).
func (c *Call) refusedACK(req, res *Message) {
	if c.p.manual["ACK"] {
		return
	}
	num, _ := req.CSeq()
	ack := &Message{Method: "ACK", URI: req.URI, Headers: []Header{
		{"Via", req.Get("Via")}, {"Max-Forwards", "70"}, {"From", req.Get("From")},
		{"To", res.Get("To")}, {"Call-ID", req.Get("Call-ID")},
	}}
	for _, r := range req.Values("Route") {
		ack.Add("Route", r)
	}
	ack.Add("CSeq", fmt.Sprintf("%d ACK", num))
	c.acks[num] = ack
	c.p.w.write(ack, c.peer)
}

// Cancel gives the call up. Before any provisional answer it waits for one, as
// RFC 3261 section 9.1 says; CancelNow does not.
func (c *Call) Cancel(extra ...Header) {
	c.p.w.do(func() {
		if c.outgoing == nil || c.state != Calling {
			return
		}
		if !c.outgoing.prov {
			c.cancel = true
			return
		}
		c.sendCancel(extra...)
	})
}

// CancelNow sends CANCEL in any state, even when it is too early or too late.
func (c *Call) CancelNow(extra ...Header) {
	c.p.w.do(func() {
		if c.outgoing != nil {
			c.sendCancel(extra...)
		}
	})
}

func (c *Call) sendCancel(extra ...Header) {
	c.cancel = false
	inv := c.outgoing.req
	num, _ := inv.CSeq()
	m := &Message{Method: "CANCEL", URI: inv.URI, Headers: []Header{
		{"Via", inv.Get("Via")}, {"Max-Forwards", "70"}, {"From", inv.Get("From")},
		{"To", inv.Get("To")}, {"Call-ID", inv.Get("Call-ID")}, {"CSeq", fmt.Sprintf("%d CANCEL", num)},
	}}
	for _, r := range inv.Values("Route") {
		m.Add("Route", r)
	}
	override(m, extra)
	c.send(m, nil)
}
