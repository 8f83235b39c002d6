package siptest

import (
	"errors"
	"net"
	"strings"
	"time"
)

// ErrTimeout is the result of a request that got no final answer in 64 times T1
// (RFC 3261 Timers B and F).
var ErrTimeout = errors.New("no final answer")

// clientTx is a request of ours that waits for its final answer.
type clientTx struct {
	w     *Wire
	key   string
	req   *Message
	to    net.Addr
	got   func(*Message, error) // under the lock; every answer, or one error
	every time.Duration         // until the next repetition
	ends  time.Time
	timer *time.Timer
	prov  bool // a provisional answer came
}

// start sends a request and calls got, under the lock, for every answer: for a
// final one once, or with ErrTimeout.
func (w *Wire) start(req *Message, to net.Addr, got func(*Message, error)) *clientTx {
	tx := &clientTx{w: w, req: req, to: to, got: got, every: w.t1, ends: time.Now().Add(64 * w.t1)}
	tx.key = Param(req.Get("Via"), "branch") + " " + req.Method
	w.pending[tx.key] = tx
	w.write(req, to)
	wait := tx.every
	if w.reliable() {
		wait = 64 * w.t1
	}
	tx.timer = time.AfterFunc(wait, func() { w.do(tx.again) })
	return tx
}

// again repeats the request (Timers A and E) or gives it up (Timers B and F).
func (tx *clientTx) again() {
	w := tx.w
	if w.pending[tx.key] != tx || w.closed {
		return
	}
	if !time.Now().Before(tx.ends) {
		if tx.prov && tx.req.Method == "INVITE" {
			return // ringing may last as long as it likes
		}
		delete(w.pending, tx.key)
		w.stats.TimedOut++
		tx.got(nil, ErrTimeout)
		return
	}
	if tx.prov && tx.req.Method == "INVITE" {
		return
	}
	if !w.reliable() {
		w.stats.Resent++
		w.write(tx.req, tx.to)
	}
	tx.every *= 2
	if tx.req.Method != "INVITE" {
		tx.every = min(tx.every, timerT2)
	}
	tx.timer.Reset(min(tx.every, time.Until(tx.ends)))
}

func (tx *clientTx) stop() {
	if tx.timer != nil {
		tx.timer.Stop()
	}
}

// response hands an answer to its request. A 2xx to INVITE that arrives after
// the request is done is a repeated one: its ACK was lost.
func (w *Wire) response(m *Message) {
	_, method := m.CSeq()
	key := Param(m.Get("Via"), "branch") + " " + method
	tx := w.pending[key]
	if tx == nil {
		if c := w.calls[dialogID{m.Get("Call-ID"), m.Tag("From")}]; c != nil && method == "INVITE" && m.Status >= 200 {
			c.repeatACK(m)
			return
		}
		w.stats.Stray++
		return
	}
	if m.Status < 200 {
		tx.prov = true
	} else {
		tx.stop()
		delete(w.pending, key)
	}
	tx.got(m, nil)
}

// serverTx is a request of theirs, kept so that a repetition gets the same
// answer.
type serverTx struct {
	w      *Wire
	key    string
	req    *Message
	from   net.Addr
	call   *Call    // of an INVITE
	last   *Message // last answer sent, nil while there is none
	born   time.Time
	every  time.Duration
	resend *time.Timer // of a final answer to INVITE until its ACK
	acked  bool
}

func serverKey(m *Message, method string) string {
	via := m.Get("Via")
	sentBy, _, _ := strings.Cut(via, ";")
	return Param(via, "branch") + " " + sentBy + " " + method
}

// request takes a request off the wire: a repetition is answered as before, an
// ACK is matched, the rest goes to a call or a phone.
func (w *Wire) request(m *Message, from net.Addr) {
	if m.Method == "ACK" {
		w.ack(m)
		return
	}
	key := serverKey(m, m.Method)
	if tx := w.answered[key]; tx != nil {
		w.stats.Repeated++
		if tx.last != nil {
			w.write(tx.last, tx.from)
		}
		return
	}
	tx := &serverTx{w: w, key: key, req: m, from: from, born: time.Now()}
	w.forgetOld(tx.born)
	w.answered[key] = tx
	w.aging = append(w.aging, tx)
	w.dispatch(tx)
}

func (w *Wire) dispatch(tx *serverTx) {
	m := tx.req
	if m.Method == "CANCEL" {
		w.cancelled(tx)
		return
	}
	if local := m.Tag("To"); local != "" {
		if c := w.calls[dialogID{m.Get("Call-ID"), local}]; c != nil {
			c.incoming(tx)
			return
		}
		w.stats.Stray++
		if p := w.phoneFor(m); p == nil || !p.o.Passive {
			tx.reply(tx.build(481, ""))
		}
		return
	}
	p := w.phoneFor(m)
	if p == nil {
		w.stats.Stray++
		tx.reply(tx.build(404, ""))
		return
	}
	p.incoming(tx)
}

func (w *Wire) phoneFor(m *Message) *Phone {
	if w.only != nil {
		return w.only
	}
	return w.phones[UserOf(m.URI)]
}

// forgetOld drops requests whose repetitions can no longer come. An INVITE still
// ringing stays.
func (w *Wire) forgetOld(now time.Time) {
	for len(w.aging) > 0 && now.Sub(w.aging[0].born) > keepReplies {
		tx := w.aging[0]
		w.aging = w.aging[1:]
		if tx.last == nil || tx.last.Status < 200 {
			tx.born = now
			w.aging = append(w.aging, tx)
			return
		}
		delete(w.answered, tx.key)
	}
}

// reply sends an answer. A final one to INVITE is repeated until its ACK comes:
// a 2xx by RFC 3261 section 13.3.1.4 on every transport, others by Timer G on
// UDP.
func (tx *serverTx) reply(res *Message) {
	w := tx.w
	tx.last = res
	w.write(res, tx.from)
	if tx.req.Method != "INVITE" || res.Status < 200 || (w.reliable() && res.Status >= 300) {
		return
	}
	tx.every = w.t1
	ends := time.Now().Add(64 * w.t1)
	tx.stop()
	tx.resend = time.AfterFunc(tx.every, func() { w.do(func() { tx.repeat(ends) }) })
}

func (tx *serverTx) repeat(ends time.Time) {
	w := tx.w
	if tx.acked || w.closed {
		return
	}
	if !time.Now().Before(ends) {
		w.stats.Unacked++
		if tx.call != nil {
			tx.call.emit("no-ack", tx.last)
		}
		return
	}
	w.stats.Resent++
	w.write(tx.last, tx.from)
	tx.every = min(2*tx.every, timerT2)
	tx.resend.Reset(min(tx.every, time.Until(ends)))
}

func (tx *serverTx) stop() {
	if tx.resend != nil {
		tx.resend.Stop()
	}
}

// ack matches an ACK: the one for a refusal shares the branch of its INVITE
// (RFC 3261 section 17.1.1.3), the one for a 2xx only the dialog.
func (w *Wire) ack(m *Message) {
	tx := w.answered[serverKey(m, "INVITE")]
	if tx == nil {
		c := w.calls[dialogID{m.Get("Call-ID"), m.Tag("To")}]
		if c == nil {
			w.stats.Stray++
			return
		}
		num, _ := m.CSeq()
		tx = c.invites[num]
	}
	if tx == nil || tx.last == nil {
		w.stats.Stray++
		return
	}
	if tx.acked {
		w.stats.Repeated++
		return
	}
	tx.acked = true
	tx.stop()
	if tx.call != nil {
		tx.call.acked(m, tx)
	}
}

// build makes an answer to the request as RFC 3261 section 8.2.6.2 says, with a
// To tag except for 100.
func (tx *serverTx) build(code int, body string, extra ...Header) *Message {
	res := &Message{Status: code, Reason: reasonOf(code), Body: body}
	for _, h := range tx.req.Headers {
		switch strings.ToLower(h.Name) {
		case "via", "from", "call-id", "cseq", "record-route":
			res.Headers = append(res.Headers, h)
		case "to":
			if code > 100 && Param(h.Value, "tag") == "" {
				tag := token()
				if tx.call != nil {
					tag = tx.call.id.localTag
				}
				h.Value += ";tag=" + tag
			}
			res.Headers = append(res.Headers, h)
		}
	}
	res.Headers = append(res.Headers, extra...)
	return res
}

func reasonOf(code int) string {
	if r, ok := reasons[code]; ok {
		return r
	}
	return "Answer"
}

var reasons = map[int]string{
	100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 202: "Accepted",
	302: "Moved Temporarily", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found",
	408: "Request Timeout", 422: "Session Interval Too Small", 480: "Temporarily Unavailable",
	481: "Call/Transaction Does Not Exist", 486: "Busy Here", 487: "Request Terminated",
	488: "Not Acceptable Here", 491: "Request Pending", 500: "Server Internal Error",
	501: "Not Implemented", 503: "Service Unavailable", 600: "Busy Everywhere", 603: "Decline",
}
