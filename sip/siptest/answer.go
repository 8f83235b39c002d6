package siptest

import (
	"fmt"
	"time"
)

// ringing takes a new INVITE: it becomes a call of the phone.
func (p *Phone) ringing(tx *serverTx) {
	m := tx.req
	tag := token()
	c := &Call{p: p, Incoming: true, began: time.Now(), invite: m, first: tx, remote: m.Body,
		remoteTag: m.Tag("From"), remoteURI: m.Get("From"), localURI: m.Get("To") + ";tag=" + tag,
		peer: tx.from, id: dialogID{m.Get("Call-ID"), tag},
		invites: map[uint32]*serverTx{}, acks: map[uint32]*Message{}}
	tx.call = c
	num, _ := m.CSeq()
	c.invites[num] = tx
	c.retarget(m, true)
	p.w.calls[c.id] = c
	c.emit("INVITE", m)
	if f := p.o.OnCall; f != nil {
		p.w.later(func() { f(c) })
		return
	}
	select {
	case p.calls <- c:
	default:
		c.reply(486, "", nil)
	}
}

// Trying answers 100.
func (c *Call) Trying() { c.p.w.do(func() { c.reply(100, "", nil) }) }

// Ring answers 180, 183 or another provisional code, with early media if sdp is
// not empty.
func (c *Call) Ring(code int, sdp string, extra ...Header) {
	c.p.w.do(func() { c.reply(code, sdp, extra) })
}

// Answer answers the INVITE with 200 and repeats it until the ACK comes. It does
// nothing and returns false if the INVITE has a final answer already, as after a
// CANCEL.
func (c *Call) Answer(sdp string, extra ...Header) (sent bool) {
	c.p.w.do(func() { sent = c.reply(200, sdp, extra) })
	return sent
}

// Reject answers the INVITE with a final refusal or a redirection, false if it is
// too late.
func (c *Call) Reject(code int, extra ...Header) (sent bool) {
	c.p.w.do(func() { sent = c.reply(code, "", extra) })
	return sent
}

// reply answers the INVITE that opened the call, as long as it has no final
// answer yet.
func (c *Call) reply(code int, sdp string, extra []Header) bool {
	tx := c.first
	if tx == nil || c.p.w.closed {
		return false
	}
	c.respond(tx, code, sdp, extra)
	if code < 200 {
		return true
	}
	c.first = nil
	if code < 300 {
		c.state = Talking
		return true
	}
	c.end()
	return true
}

// respond writes one answer to any request of the call.
func (c *Call) respond(tx *serverTx, code int, sdp string, extra []Header) {
	all := make([]Header, 0, 4+len(extra))
	method := tx.req.Method
	if code > 100 && code < 300 && (method == "INVITE" || method == "UPDATE") {
		all = append(all, H("Contact", "<"+c.p.ContactURI()+">"))
	}
	if code >= 200 && code < 300 && method == "INVITE" {
		all = append(all, H("Allow", allowed))
	}
	if sdp != "" {
		all = append(all, H("Content-Type", "application/sdp"))
		if code < 300 {
			c.local = sdp
		}
	}
	res := tx.build(code, sdp, all...)
	override(res, extra)
	tx.reply(res)
}

// Respond answers a request of the call that the phone was told to leave to the
// test (Options.Manual). req is the message of its event.
func (c *Call) Respond(req *Message, code int, sdp string, extra ...Header) error {
	err := fmt.Errorf("respond %d to %s: no such request", code, req.Method)
	c.p.w.do(func() {
		tx := c.p.w.answered[serverKey(req, req.Method)]
		if tx == nil {
			return
		}
		err = nil
		if tx == c.first {
			c.reply(code, sdp, extra)
			return
		}
		c.respond(tx, code, sdp, extra)
		if req.Method == "BYE" && code < 300 {
			c.end()
		}
	})
	return err
}

// cancelled takes a CANCEL: 200 for itself, 487 for the INVITE it means, unless
// that is answered already (RFC 3261 section 9.2).
func (w *Wire) cancelled(tx *serverTx) {
	inv := w.answered[serverKey(tx.req, "INVITE")]
	if inv == nil || inv.call == nil {
		w.stats.Stray++
		if p := w.phoneFor(tx.req); p == nil || !p.o.Passive {
			tx.reply(tx.build(481, ""))
		}
		return
	}
	c := inv.call
	tx.call = c
	c.emit("CANCEL", tx.req)
	if c.p.manual["CANCEL"] {
		return
	}
	tx.reply(tx.build(200, ""))
	if c.first == inv {
		c.reply(487, "", nil)
	}
}

// acked takes the ACK of an INVITE of theirs; it may carry the answer to our
// delayed offer.
func (c *Call) acked(m *Message, tx *serverTx) {
	if m.Body != "" {
		c.remote = m.Body
	}
	num, _ := tx.req.CSeq()
	delete(c.invites, num)
	c.emit("ACK", m)
}
