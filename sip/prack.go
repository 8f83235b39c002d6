package sip

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// Provisional responses are lost like anything else. A caller who demands it (RFC
// 3262) gets ours until it has said that it has them; and what a phone or carrier
// sends us so is said to have come. A description agreed on that way holds before
// the call is answered, and may be changed by UPDATE (RFC 3311 section 5.1).

// unpracked is a provisional response of ours that waits for its PRACK.
type unpracked struct {
	res    *sip.Response
	rseq   uint32
	sdp    bool
	wait   time.Duration
	waited time.Duration
	timer  *time.Timer
	// What must not be sent before: another provisional response, or the 2xx if
	// this one has a description in it (RFC 3262 section 3).
	next   *sip.Response
	answer func()
}

// reliable reports whether a message demands, or is, a provisional response that is
// acknowledged.
func reliable(msg sip.Message) bool {
	for _, h := range msg.GetHeaders("require") {
		for tag := range eachElement(h.Value(), ',') {
			if strings.EqualFold(tag, "100rel") {
				return true
			}
		}
	}
	return false
}

// early reports whether a description has been agreed on before the answer. The
// caller holds mu.
func (l *Leg) early() bool { return l.phase == opening && l.agreedEarly }

// sendReliably sends a provisional response of which the caller wants to say that it
// has come, or keeps it until it has said so of the one before. The caller holds mu.
func (l *Leg) sendReliably(res *sip.Response) error {
	if u := l.unpracked; u != nil {
		u.next = res
		return nil
	}
	if l.rseq == 0 {
		l.rseq = 1 // no secret: PRACK is only taken inside the dialog
	}
	demandPrack(res, l.rseq)
	a := l.asServer
	u := &unpracked{res: res, rseq: l.rseq, sdp: len(res.Body()) > 0, wait: l.e.timing.t1}
	l.rseq++
	l.awaitPrack(u)
	l.keep()
	if err := l.e.tell(a.req, a.tx, res); err != nil {
		u.timer.Stop()
		l.unpracked = nil
		return fmt.Errorf("ring %s: %w", l.id, err)
	}
	return nil
}

// demandPrack makes a provisional response one that is acknowledged.
func demandPrack(res *sip.Response, rseq uint32) {
	res.AppendHeader(sip.NewHeader("Require", "100rel"))
	res.AppendHeader(sip.NewHeader("RSeq", strconv.FormatUint(uint64(rseq), 10)))
}

// awaitPrack begins to wait for the PRACK of a provisional response. The caller holds
// mu.
func (l *Leg) awaitPrack(u *unpracked) {
	u.timer = time.AfterFunc(u.wait, func() { l.start("repeating a provisional response", func() { l.unheardEarly(u) }) })
	l.unpracked = u
}

// unheardEarly repeats a provisional response, each time after twice as long, or
// gives the call up (RFC 3262 section 3).
func (l *Leg) unheardEarly(u *unpracked) {
	defer l.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unpracked != u || l.phase != opening {
		return
	}
	if u.waited += u.wait; u.waited >= l.e.timing.give {
		l.turnAway(&refusal{code: sip.StatusGatewayTimeout})
		l.post(Cancelled{Reason: Reason{SIP: sip.StatusGatewayTimeout, Text: "PRACK missing"}})
		return
	}
	if l.e.tell(l.asServer.req, l.asServer.tx, u.res) != nil {
		return // cancelled
	}
	l.e.o.Count.Retransmission("INVITE")
	u.wait = min(2*u.wait, l.e.timing.give-u.waited)
	u.timer.Reset(u.wait)
}

// pracked takes a PRACK.
func (l *Leg) pracked(req *sip.Request, tx *sip.ServerTx) {
	defer l.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.unpracked
	if l.overtaken != 0 && l.acknowledges(req, l.overtaken) {
		l.overtaken = 0
		l.e.reply(tx, l.e.respond(req, sip.StatusOK, ""))
		return
	}
	if u == nil || l.phase != opening || !l.acknowledges(req, u.rseq) {
		l.e.refuse(req, tx, &refusal{code: sip.StatusCallTransactionDoesNotExists})
		return
	}
	u.timer.Stop()
	l.unpracked = nil
	l.agreedEarly = l.agreedEarly || u.sdp
	answers := len(req.Body()) > 0 && u.sdp && l.offer == nil // our offer
	if answers {
		l.heard = req.Body()
	}
	l.keep()
	switch {
	case len(req.Body()) == 0:
		l.e.reply(tx, l.e.respond(req, sip.StatusOK, ""))
	case answers:
		l.e.reply(tx, l.e.respond(req, sip.StatusOK, ""))
		l.post(Acked{SDP: req.Body()})
	case l.agreedEarly && l.pending == nil:
		l.ask(&pending{req: req, tx: tx, timer: l.session.session})
	default:
		l.e.refuse(req, tx, &refusal{code: sip.StatusNotAcceptableHere})
	}
	switch {
	case u.answer != nil:
		u.answer()
	case u.next != nil:
		// Whether it can still be sent is seen when it is repeated.
		_ = l.sendReliably(u.next)
	}
}

// acknowledges reads RAck: the number of the provisional response, and those of its
// INVITE.
func (l *Leg) acknowledges(req *sip.Request, rseq uint32) bool {
	h := req.GetHeader("rack")
	if h == nil {
		return false
	}
	f := strings.Fields(h.Value())
	return len(f) == 3 && f[0] == strconv.FormatUint(uint64(rseq), 10) && f[1] == strconv.FormatUint(uint64(l.first), 10) && f[2] == "INVITE"
}

// stopPrack lets go of a provisional response that needs no PRACK any more. The
// caller holds mu.
func (l *Leg) stopPrack() {
	if l.unpracked != nil {
		l.unpracked.timer.Stop()
		l.overtaken = l.unpracked.rseq // its PRACK may be on its way
		l.unpracked = nil
	}
}

// acknowledgeEarly says that a provisional response to an INVITE of ours has come. It
// reports whether it is news: a copy, or one before which another was lost, is none
// (RFC 3262 section 4). The caller holds mu.
//
// The PRACK has a number of the dialog's own. That of the INVITE's ACK stays the
// INVITE's (RFC 3261 section 13.2.2.4), whatever was sent in between.
func (l *Leg) acknowledgeEarly(inv *sip.Request, res *sip.Response) (news bool) {
	h := res.GetHeader("rseq")
	if !reliable(res) || h == nil || toTag(res.To()) == "" {
		return true
	}
	number := deltaSeconds(h.Value())
	tag := toTag(res.To())
	if last, known := l.rseqs[tag]; number == 0 || known && number != last+1 {
		return false
	}
	if l.rseqs == nil {
		l.rseqs = map[string]uint32{}
	}
	l.rseqs[tag] = number
	if sdp := sdpOf(res); sdp != nil {
		l.heard, l.agreedEarly = sdp, true
	}
	d := l.dialog
	d.to, d.routes = res.To(), reversed(slices.Clone(routeSet(res)))
	d.retarget(res.Contact())
	l.dialog.cseq++
	l.keep()
	prack := l.e.inside(l.id, &d, sip.PRACK, l.dialog.cseq)
	prack.AppendHeader(sip.NewHeader("RAck", fmt.Sprintf("%d %d INVITE", number, inv.CSeq().SeqNo)))
	prack.SetBody(nil)
	l.e.start("sending PRACK", func() {
		if res, err := l.e.ask(prack); err != nil || !res.IsSuccess() {
			l.e.o.Log.Debug("PRACK not taken", zap.Error(err))
		}
	})
	return true
}
