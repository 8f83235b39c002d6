package sip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// pending is a re-INVITE or UPDATE of theirs that the call has not answered.
type pending struct {
	token uint64
	req   *sip.Request
	tx    *sip.ServerTx
	timer session

	mu  sync.Mutex
	leg *Leg // nil when answered
}

// cancelled is called by its transaction, which keeps it for long: done lets go
// of the leg.
func (p *pending) cancelled(*sip.Request) {
	p.mu.Lock()
	l := p.leg
	p.mu.Unlock()
	if l != nil {
		l.e.start("taking a CANCEL", func() { l.withdrawn(p) })
	}
}

func (p *pending) done() {
	p.mu.Lock()
	p.leg = nil
	p.mu.Unlock()
}

// wanted is a re-INVITE or UPDATE of ours.
type wanted struct {
	sdp     []byte
	refresh bool   // only to keep the session alive
	again   bool   // it has been sent before
	request []byte // the request that is out, to be kept
	resumed bool   // that left in the process before
}

// offered takes a re-INVITE or UPDATE.
func (l *Leg) offered(req *sip.Request, tx *sip.ServerTx) {
	defer l.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	timer, tooBrief := l.e.o.Session.grant(askOf(req))
	var r *refusal
	switch {
	case l.phase == leaving || l.phase == over:
		r = &refusal{code: sip.StatusCallTransactionDoesNotExists}
	case l.phase != up && !l.server && !l.early(), l.ours != nil:
		r = &refusal{code: sip.StatusRequestPending} // glare: RFC 3261 section 14.2, RFC 3311 section 5.2
	case l.phase != up && !(l.early() && req.Method == sip.UPDATE), l.pending != nil:
		r = later()
	case tooBrief:
		r = l.e.tooBrief()
	}
	if r != nil {
		l.e.refuse(req, tx, r)
		return
	}
	if req.GetHeader("allow") != nil {
		l.updates = allows(req, "UPDATE")
	}
	p := &pending{req: req, tx: tx, timer: timer}
	if req.Method == sip.UPDATE && len(req.Body()) == 0 {
		l.accept(p, nil) // nothing but a refresh
		return
	}
	l.ask(p)
}

// ask hands an offer of theirs to the call. The caller holds mu.
func (l *Leg) ask(p *pending) {
	req := p.req
	l.tokens++
	p.token = l.tokens
	l.pending = p
	p.leg = l
	p.tx.OnCancel(p.cancelled)
	offer := Reoffered{Method: string(req.Method), Token: p.token}
	if len(req.Body()) > 0 {
		offer.SDP = req.Body()
	}
	l.post(offer)
}

// withdrawn takes the CANCEL of a re-INVITE; its 487 has been sent.
func (l *Leg) withdrawn(p *pending) {
	l.mu.Lock()
	if l.pending == p {
		l.settled(p)
		l.turn()
	}
	l.mu.Unlock()
	absorbAck(p.tx)
}

// refusePending answers what the call will not answer any more (RFC 3261 section
// 15.1.2). The caller holds mu.
func (l *Leg) refusePending() {
	if p := l.pending; p != nil {
		l.settled(p)
		l.refuseOffer(p, &refusal{code: sip.StatusRequestTerminated})
	}
}

// refuseOffer answers a re-INVITE or UPDATE with a refusal.
func (l *Leg) refuseOffer(p *pending, r *refusal) {
	l.e.final(p.req, p.tx, r)
	if p.req.Method == sip.INVITE {
		l.e.start("waiting for an ACK", func() { absorbAck(p.tx) })
	}
}

func (l *Leg) settled(p *pending) {
	l.pending = nil
	p.done()
}

// Accept answers an offer made by re-INVITE or UPDATE with sdp. It does nothing
// when the offer has been withdrawn.
func (l *Leg) Accept(o Reoffered, sdp []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.pending; p != nil && p.token == o.Token && (l.phase == up || l.early()) {
		l.settled(p)
		l.accept(p, sdp)
		l.turn()
	}
}

// accept answers 200. The caller holds mu.
func (l *Leg) accept(p *pending, sdp []byte) {
	res := l.okay(p.req, sdp, p.timer)
	was, heard, session, heeded := l.dialog, l.heard, l.session, l.heeded
	l.retarget(p.req.Contact())
	if len(p.req.Body()) > 0 {
		l.heard = p.req.Body()
	}
	var u *unacked
	if p.req.Method == sip.INVITE {
		u = &unacked{tx: p.tx, res: res, since: l.e.o.Now(), cseq: p.req.CSeq().SeqNo, owed: len(p.req.Body()) == 0}
	}
	if l.phase == up {
		l.session.agreed(l.e.o.Now(), p.timer)
	}
	l.heeded = p.req.CSeq().SeqNo
	l.keepAs(l.phase, u, res)
	if err := l.e.tell(p.req, p.tx, res); err != nil {
		// Withdrawn, or its connection is gone; a BYE will tell.
		l.dialog, l.heard, l.session, l.heeded = was, heard, session, heeded
		l.keep()
		return
	}
	if u != nil {
		l.awaitAck(u)
	}
	if l.phase == up {
		l.agree(p.timer)
	}
}

// Decline refuses an offer (488, …); the session stays as it was.
func (l *Leg) Decline(o Reoffered, r Reject) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pending
	if p == nil || p.token != o.Token || l.phase != up && !l.early() {
		return
	}
	l.settled(p)
	l.refuseOffer(p, r.refusal())
	l.turn()
}

// Reoffer sends a re-INVITE with sdp as soon as no other is under way; glare
// (491) is retried inside. Outcome: Reanswered, with 408 when there is no answer. An offer that has not been sent
// yet is replaced by a newer one and never answered. The error says that the
// leg is not up.
func (l *Leg) Reoffer(sdp []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase != up {
		return fmt.Errorf("reoffer %s: %w", l.id, errOver)
	}
	l.want = &wanted{sdp: bytes.Clone(sdp)}
	l.turn()
	return nil
}

// turn sends what we want to offer when it is our turn: one offer at a time, and
// not before an earlier INVITE is acknowledged (RFC 3261 section 14.1). The
// caller holds mu.
func (l *Leg) turn() {
	if l.phase != up || l.want == nil || l.ours != nil || l.pending != nil || l.unacked != nil || l.truce != nil || l.adrift != nil {
		return
	}
	w := l.want
	l.want = nil
	method := sip.INVITE
	if w.refresh {
		w.sdp = l.sdp
		if l.updates {
			method, w.sdp = sip.UPDATE, nil
		}
	}
	req := l.request(method)
	req.AppendHeader(l.e.allow)
	req.AppendHeader(l.e.supports)
	if l.session.by != neither {
		l.e.o.Session.write(req, l.session.session, l.least)
	}
	describe(req, w.sdp)
	w.request = l.e.toKeep(req)
	l.ours = w
	l.keep()
	l.offerOut(w, req)
}

// offerOut sends a re-INVITE or UPDATE of ours. The caller holds mu.
func (l *Leg) offerOut(w *wanted, req *sip.Request) {
	if !l.start("offering anew", func() {
		res, err := l.e.askAny(req)
		l.reanswered(w, req, res, err)
	}) {
		l.ours = nil
	}
}

// askAny sends a request, an INVITE too, and waits for its final response.
func (e *Edge) askAny(req *sip.Request) (*sip.Response, error) {
	if !req.IsInvite() {
		return e.ask(req)
	}
	tx, err := e.send(context.Background(), req)
	if err != nil {
		return nil, err
	}
	for {
		select {
		case res := <-tx.Responses():
			if res.IsProvisional() {
				continue
			}
			if res.IsSuccess() {
				tx.Terminate() // its copies are the leg's to acknowledge
			} else {
				e.refusedAt(tx, req, res)
			}
			return res, nil
		case <-tx.Done():
			return nil, tx.Err()
		}
	}
}

// unanswered says that the peer, or whoever stands before it, has let a request time out.
func unanswered(res *sip.Response, err error) bool {
	if err != nil {
		return errors.Is(err, sip.ErrTransactionTimeout)
	}
	return res.StatusCode == sip.StatusRequestTimeout
}

// reanswered takes the outcome of a re-INVITE or UPDATE of ours.
func (l *Leg) reanswered(w *wanted, req *sip.Request, res *sip.Response, err error) {
	defer l.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ours = nil
	success := err == nil && res.IsSuccess()
	if l.phase == up && success {
		l.renewed(w, res)
	}
	if success && req.IsInvite() {
		l.acknowledge(req.CSeq().SeqNo) // also when we have hung up meanwhile
	} else {
		l.keep()
	}
	if l.phase != up {
		return
	}
	switch {
	case success:
	case w.resumed && (err != nil || res.StatusCode == sip.StatusRequestTimeout):
		// It may have been answered to the process before, and says nothing now.
		if w.refresh {
			l.session.failed(l.e.o.Now())
			l.schedule()
		} else {
			l.post(Reanswered{Code: sip.StatusRequestTimeout})
		}
	case !w.refresh && unanswered(res, err):
		// A departure from RFC 3261 section 12.2.1.2: an offer that the peer ignores
		// says nothing of the talk, which was up before and goes on.
		l.post(Reanswered{Code: sip.StatusRequestTimeout})
	case err != nil || res.StatusCode == sip.StatusRequestTimeout || res.StatusCode == sip.StatusCallTransactionDoesNotExists:
		// RFC 3261 section 12.2.1.2: there is no dialog any more.
		l.leave(Reason{SIP: sip.StatusRequestTimeout, Text: "Dialog lost"})
		l.post(Ended{Why: FlowLost})
		return
	case res.StatusCode == sip.StatusRequestPending:
		l.makeTruce(w)
	case res.StatusCode == 422 && !w.again && askOf(res).min > 0:
		w.again, l.least = true, askOf(res).min
		l.session.expires = max(l.session.expires, l.least)
		l.want = w
	case w.refresh:
		l.session.failed(l.e.o.Now())
		l.schedule()
	default:
		l.post(Reanswered{Code: res.StatusCode})
	}
	l.turn()
}

// renewed takes the 2xx to a re-INVITE or UPDATE of ours. The caller holds mu.
func (l *Leg) renewed(w *wanted, res *sip.Response) {
	l.retarget(res.Contact())
	l.remember(w.sdp)
	sdp := sdpOf(res)
	changed := sdp != nil && !bytes.Equal(sdp, l.heard)
	if sdp != nil {
		l.heard = sdp
	}
	if !w.refresh || changed {
		l.post(Reanswered{Code: res.StatusCode, SDP: sdp, Refresh: w.refresh})
	}
	s := accepted(askOf(res))
	if s.by == neither && l.session.by == we {
		s = l.session.session // they do not know the timer; we go on by ourselves
	}
	l.agree(s)
}

// makeTruce waits before an offer that met one of theirs is tried again (RFC
// 3261 section 14.1): longer for the side that chose the Call-ID. The caller
// holds mu.
func (l *Leg) makeTruce(w *wanted) {
	if l.want == nil {
		l.want = w
	}
	wait := time.Duration(rand.IntN(201)) * 10 * time.Millisecond
	if !l.server {
		wait = 2100*time.Millisecond + time.Duration(rand.IntN(191))*10*time.Millisecond
	}
	l.truce = time.AfterFunc(wait, func() {
		l.start("offering again", func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.truce = nil
			l.turn()
		})
	})
}
