package sip

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

const (
	allowed   = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, REFER, PRACK"
	supported = "timer, replaces, norefersub, 100rel"
)

// phrases are the reason phrases of RFC 3261 section 21 and later.
var phrases = map[int]string{
	200: "OK", 202: "Accepted", 300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily",
	400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
	406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone",
	413: "Request Entity Too Large", 414: "Request-URI Too Long", 415: "Unsupported Media Type",
	416: "Unsupported URI Scheme", 420: "Bad Extension", 422: "Session Interval Too Small",
	480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected",
	483: "Too Many Hops", 484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here",
	487: "Request Terminated", 488: "Not Acceptable Here", 491: "Request Pending",
	500: "Server Internal Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
	504: "Server Time-out", 505: "Version Not Supported", 513: "Message Too Large",
	600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable",
	180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress", 100: "Trying",
}

// respond builds a response. It goes back where the request came from.
func (e *Edge) respond(req *sip.Request, code int, reason string) *sip.Response {
	if reason == "" {
		if reason = phrases[code]; reason == "" {
			reason = "Refused"
		}
	}
	res := sip.NewResponseFromRequest(req, code, printable(reason), nil)
	res.SipVersion = "SIP/2.0" // also to one who speaks another
	if e.o.UserAgent != "" {
		res.AppendHeader(e.server)
	}
	return res
}

// refuse answers without remembering it: a repetition of the request is refused
// anew (RFC 3261 section 8.2.7).
func (e *Edge) refuse(req *sip.Request, tx *sip.ServerTx, r *refusal) {
	e.answerOnce(tx, e.refusing(req, r))
}

// refusing builds the response of a refusal.
func (e *Edge) refusing(req *sip.Request, r *refusal) *sip.Response {
	res := e.respond(req, r.code, r.reason)
	for _, h := range r.headers {
		res.AppendHeader(sip.NewHeader(h.Name, h.Value))
	}
	return res
}

// answerOnce sends a final response without a transaction to repeat it.
func (e *Edge) answerOnce(tx *sip.ServerTx, res *sip.Response) {
	if err := once(tx, res); err != nil {
		e.o.Log.Debug("response not sent", zap.Int("code", res.StatusCode), zap.Error(err))
	}
}

// once ends a transaction and then sends its response: whoever has the response
// may send the request again, and must not meet the transaction.
func once(tx *sip.ServerTx, res *sip.Response) error {
	conn := tx.Connection()
	tx.Terminate()
	return conn.WriteMsg(res)
}

func notAllowed() *refusal {
	return &refusal{code: sip.StatusMethodNotAllowed, headers: []Header{{"Allow", allowed}}}
}

func notImplemented() *refusal {
	r := notAllowed()
	r.code = sip.StatusNotImplemented
	return r
}

// unhandled refuses a method we do nothing with: 405 if we know it, 501 if not
// (RFC 3261 section 8.2.1).
func (e *Edge) unhandled(m sip.RequestMethod) *refusal {
	switch m {
	case sip.REGISTER, sip.SUBSCRIBE, sip.NOTIFY, sip.REFER, sip.MESSAGE, sip.PRACK, sip.PUBLISH:
		return notAllowed()
	}
	return notImplemented()
}

// options answers OPTIONS outside a dialog as an INVITE would be answered now
// (RFC 3261 section 11.2).
func (e *Edge) options(req *sip.Request, tx *sip.ServerTx) {
	if e.draining() {
		e.refuse(req, tx, unavailable())
		return
	}
	e.answerOnce(tx, e.capable(req))
}

// capable is the 200 to an OPTIONS.
func (e *Edge) capable(req *sip.Request) *sip.Response {
	res := e.respond(req, sip.StatusOK, "")
	res.AppendHeader(e.allow)
	res.AppendHeader(e.supports)
	res.AppendHeader(sip.NewHeader("Accept", "application/sdp"))
	return res
}

// unavailable asks to come back in a while, not all at the same moment.
func unavailable() *refusal {
	return &refusal{code: sip.StatusServiceUnavailable, headers: []Header{{"Retry-After", strconv.Itoa(5 + rand.IntN(6))}}}
}

// write makes a refusal of a Reject.
func (r Reject) refusal() *refusal {
	f := &refusal{code: r.Code, reason: r.Reason}
	if f.code < 300 || f.code > 699 {
		f.code, f.reason = sip.StatusInternalServerError, ""
	}
	if r.RetryAfter > 0 {
		f.headers = []Header{{"Retry-After", strconv.Itoa(int((r.RetryAfter + time.Second - 1) / time.Second))}}
	}
	return f
}

// Reject answers the INVITE of a server leg with a refusal and ends the leg. It
// does nothing when the INVITE has its final response.
func (l *Leg) Reject(r Reject) {
	l.e.open()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase == opening && l.server {
		l.turnAway(r.refusal())
	}
}

// turnAway refuses the INVITE of a server leg. The caller holds mu.
func (l *Leg) turnAway(r *refusal) {
	a := l.asServer
	l.move(over)
	l.e.final(a.req, a.tx, r)
}

// final refuses an INVITE by its transaction, which repeats the response until
// its ACK comes.
func (e *Edge) final(req *sip.Request, tx *sip.ServerTx, r *refusal) {
	if err := e.tell(req, tx, e.refusing(req, r)); err != nil {
		e.o.Log.Debug("INVITE not refused: " + err.Error())
	}
}

// absorbAck waits for the ACK of a final response, which the library would
// otherwise keep a goroutine for. It returns at the latest when the transaction
// ends.
func absorbAck(tx *sip.ServerTx) {
	select {
	case <-tx.Acks():
	case <-tx.Done():
	}
}

// clean reports whether a header can be written as one line.
func (h Header) clean() bool {
	return h.Name != "" && !strings.ContainsAny(h.Name, " \t:\r\n") && printable(h.Value) == h.Value
}
