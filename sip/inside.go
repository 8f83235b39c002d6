package sip

import (
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// knows reports whether a tag is the peer's. A phone that rings may still answer
// as several.
func (l *Leg) knows(tag string) bool {
	theirs := l.theirs.Load()
	return theirs == nil || *theirs == tag
}

// opened takes the next request of the dialog.
func (l *Leg) opened(m *letter) {
	if !l.e.guard("a request inside a call", func() { l.take(m) }) && m.tx != nil {
		l.e.guard("refusing a request", func() {
			l.e.refuse(m.req, m.tx, &refusal{code: sip.StatusInternalServerError})
		})
	}
}

func (l *Leg) take(m *letter) {
	if f, ok := flowOf(m.req); ok && !l.out() {
		l.mu.Lock()
		l.reachedBy(f)
		l.mu.Unlock()
		l.deliver()
	}
	switch m.req.Method {
	case sip.ACK:
		l.acked(m.req)
	case sip.BYE:
		l.hungUp(m.req, m.tx)
	case sip.INVITE, sip.UPDATE:
		l.offered(m.req, m.tx)
	case sip.INFO:
		l.informed(m.req, m.tx)
	case sip.PRACK:
		l.pracked(m.req, m.tx)
	case sip.REFER:
		l.referred(m.req, m.tx)
	case sip.OPTIONS:
		l.e.reply(m.tx, l.e.capable(m.req))
	default:
		l.e.refuse(m.req, m.tx, l.e.unhandled(m.req.Method))
	}
}

// reply sends a response by its transaction, which repeats it if asked again.
func (e *Edge) reply(tx *sip.ServerTx, res *sip.Response) {
	if err := tx.Respond(res); err != nil {
		e.o.Log.Debug("response not sent", zap.Int("code", res.StatusCode), zap.Error(err))
	}
}

// hungUp takes BYE.
func (l *Leg) hungUp(req *sip.Request, tx *sip.ServerTx) {
	defer l.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase == over {
		l.e.refuse(req, tx, &refusal{code: sip.StatusCallTransactionDoesNotExists})
		return
	}
	why := reasonOf(req)
	switch {
	case l.phase == up:
		l.move(over)
		l.post(Ended{Why: Bye, Reason: why})
	case l.phase == leaving:
		l.move(over) // it crossed ours
	case l.phase == opening && l.server:
		// RFC 3261 section 15: a caller may end the early dialog so.
		l.turnAway(&refusal{code: sip.StatusRequestTerminated})
		l.post(Cancelled{Reason: why})
	default:
		// A phone that answers and hangs up at once: its 200 is on the way to us
		// on another goroutine.
		l.goodbye = &why
	}
	// Last, for with it a carrier counts the channel as free, and may use it at once.
	l.e.reply(tx, l.e.respond(req, sip.StatusOK, ""))
}

// informed takes INFO: a digit, if it is one.
func (l *Leg) informed(req *sip.Request, tx *sip.ServerTx) {
	kind := contentType(&req.MessageData)
	if len(req.Body()) > 0 && kind != "application/dtmf-relay" && kind != "application/dtmf" {
		l.e.refuse(req, tx, &refusal{code: sip.StatusUnsupportedMediaType,
			headers: []Header{{"Accept", "application/dtmf-relay, application/dtmf"}}})
		return
	}
	defer l.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.e.reply(tx, l.e.respond(req, sip.StatusOK, ""))
	if digit, ok := digitOf(kind, string(req.Body())); ok && l.phase == up {
		l.post(digit)
	}
}

// later refuses a request whose time has not come, for some seconds (RFC 3261
// section 14.2).
func later() *refusal {
	return &refusal{code: sip.StatusInternalServerError, headers: []Header{{"Retry-After", strconv.Itoa(rand.IntN(11))}}}
}

// sdpOf returns a response's session description, nil if it has none.
func sdpOf(res *sip.Response) []byte {
	if len(res.Body()) == 0 || contentType(&res.MessageData) != "application/sdp" {
		return nil
	}
	return res.Body()
}

// allows reports whether a message's Allow names a method.
func allows(msg sip.Message, method string) bool {
	for _, h := range msg.GetHeaders("allow") {
		for m := range eachElement(h.Value(), ',') {
			if m == method {
				return true
			}
		}
	}
	return false
}

func reversed(routes []sip.Uri) []sip.Uri {
	slices.Reverse(routes)
	return routes
}

// drop takes every header of a name out of a request of ours.
func drop(req *sip.Request, name string) {
	for req.RemoveHeader(name) {
	}
}
