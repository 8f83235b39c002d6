package sip

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// asked is an INVITE of a caller that has no final response yet.
type asked struct {
	req *sip.Request
	tx  *sip.ServerTx
}

// invited takes an INVITE outside any dialog. It runs until the INVITE has its
// final response and that its ACK.
func (e *Edge) invited(req *sip.Request, tx *sip.ServerTx, a *arrival) {
	if e.repeated(req, tx) {
		return
	}
	l, user, r := e.admit(req, tx, a)
	if r != nil {
		e.answerOnce(tx, r)
		return
	}
	// Its failure is seen by Wait.
	_ = e.tell(req, tx, e.trying(req))
	l.mayBeCancelled(req, tx)
	e.guard("a call", func() {
		if user != "" {
			e.o.AgentInvite(l, user)
		} else {
			e.o.Invite(l)
		}
	})
	l.Reject(Reject{Code: sip.StatusInternalServerError}) // if nobody has answered it
	absorbAck(tx)
}

// trying builds the 100, which begins no dialog.
func (e *Edge) trying(req *sip.Request) *sip.Response {
	res := e.respond(req, sip.StatusTrying, "")
	res.To().Params.Remove("tag")
	return res
}

// mayBeCancelled lets the CANCEL of a leg's INVITE reach it.
func (l *Leg) mayBeCancelled(req *sip.Request, tx *sip.ServerTx) {
	e, asked := l.e, l.asking
	if !tx.OnCancel(func(cancel *sip.Request) {
		// Called inside the transaction, before its 487 has been sent. The library
		// keeps this function for 32 s after the answer; it must not keep the leg.
		if l := asked.Load(); l != nil {
			e.start("taking a CANCEL", func() { l.cancelled(tx, cancel) })
		}
	}) {
		l.cancelled(tx, req) // it came before the INVITE got this far
	}
}

// repeated takes an INVITE that we have already in hand or have had: a copy that
// outlived its transaction is absorbed, one that came by another way is a loop
// (RFC 3261 section 8.2.2.2).
func (e *Edge) repeated(req *sip.Request, tx *sip.ServerTx) bool {
	l, ended := e.legs.calling(inviteOf(req))
	switch {
	case ended || l != nil && l.first == req.CSeq().SeqNo && l.tag == toTag(req.To()):
		e.o.Count.Retransmission("INVITE")
		tx.Terminate()
		if l != nil {
			l.askedAgain()
		}
	case l != nil:
		e.refuse(req, tx, &refusal{code: sip.StatusLoopDetected})
	default:
		return false
	}
	return true
}

// admit decides whose call an INVITE is. It returns a leg, with the agent's name
// if it is an agent's, or the response that refuses it.
func (e *Edge) admit(req *sip.Request, tx *sip.ServerTx, a *arrival) (*Leg, string, *sip.Response) {
	refused := func(r *refusal) (*Leg, string, *sip.Response) {
		res := e.respond(req, r.code, r.reason)
		for _, h := range r.headers {
			res.AppendHeader(sip.NewHeader(h.Name, h.Value))
		}
		return nil, "", res
	}
	user := ""
	if a.line == nil {
		if e.o.Registrar == nil {
			return refused(&refusal{code: sip.StatusForbidden})
		}
		var refusal *sip.Response
		if user, refusal = e.o.Registrar.authenticate(req); refusal != nil {
			return nil, "", refusal
		}
	}
	instead, wrong := e.replaced(req, user)
	if wrong != nil {
		return refused(wrong)
	}
	if a.line != nil && e.o.Invite == nil || a.line == nil && e.o.AgentInvite == nil {
		return refused(&refusal{code: sip.StatusForbidden})
	}
	if e.draining() {
		return refused(unavailable())
	}
	if !acceptsSDP(req) {
		return refused(&refusal{code: sip.StatusNotAcceptable})
	}
	timer, tooBrief := e.o.Session.grant(askOf(req))
	if tooBrief {
		return refused(e.tooBrief())
	}
	contact := target(req)
	if contact == nil || contact.Address.Wildcard {
		return refused(&refusal{code: sip.StatusBadRequest, reason: "Missing Contact"})
	}
	free := func() {}
	if a.line != nil {
		var err error
		if free, err = a.line.acquire(); err != nil {
			e.o.Log.Warn("call refused", zap.Error(err))
			return refused(unavailable())
		}
	}
	l := e.serverLeg(req, tx, a)
	l.free, l.user, l.instead = free, user, instead
	l.session.session = timer
	if user != "" {
		l.caller = Caller{User: user}
		l.caller.Display = printable(unbackslash(req.From().DisplayName))
	}
	if !e.legs.add(l) {
		free() // the same INVITE twice at the same moment
		return refused(&refusal{code: sip.StatusLoopDetected})
	}
	l.mu.Lock()
	l.invite = e.toKeep(req)
	l.keep()
	l.mu.Unlock()
	return l, user, nil
}

// target is where requests to the sender of an INVITE go: its Contact, or From if
// it is one of RFC 2543, which had neither to be there nor a tag in From.
func target(req *sip.Request) *sip.ContactHeader {
	contact, from := req.Contact(), req.From()
	if contact == nil && !from.Params.Has("tag") {
		return &sip.ContactHeader{Address: from.Address}
	}
	return contact
}

// serverLeg makes the leg of an INVITE.
func (e *Edge) serverLeg(req *sip.Request, tx *sip.ServerTx, a *arrival) *Leg {
	l := &Leg{
		e: e, server: true, id: string(*req.CallID()), tag: toTag(req.To()), first: req.CSeq().SeqNo, branch: branchOf(req),
		caller: callerOf(req), called: printable(userOf(&req.Recipient)), to: printable(userOf(&req.To().Address)),
		diverted: diversionsOf(req), vouched: vouchedOf(req), hops: 70,
		offer: req.Body(), heard: req.Body(), final: make(chan struct{}),
		asServer: &asked{req, tx}, asking: new(atomic.Pointer[Leg]), updates: allows(req, "UPDATE"),
	}
	if a.line != nil {
		l.trunk = a.line.ID
	}
	if len(l.offer) == 0 {
		l.offer, l.heard = nil, nil
	}
	if hops := req.MaxForwards(); hops != nil {
		l.hops = int(hops.Val())
	}
	l.reliably = reliable(req)
	l.asking.Store(l)
	theirs := tagOf(req.From())
	l.theirs.Store(&theirs)
	from, to := req.To().AsFrom(), req.From().AsTo()
	l.dialog = dialog{flow: a.from, from: &from, to: &to, routes: routeSet(req), sips: req.Recipient.Scheme == "sips"}
	l.dialog.retarget(target(req))
	l.places.Store(&[]netip.Addr{a.from.remote.Addr()})
	l.box.open = l.opened
	l.box.begin(l.first)
	return l
}

// acceptsSDP reports whether a caller can read our answers. Without Accept it can
// (RFC 3261 section 20.1).
func acceptsSDP(req *sip.Request) bool {
	headers := req.GetHeaders("accept")
	for _, h := range headers {
		for kind := range eachElement(h.Value(), ',') {
			switch mediaType(kind) {
			case "application/sdp", "application/*", "*/*":
				return true
			}
		}
	}
	return len(headers) == 0
}

// Wait blocks until the INVITE of a server leg has its final response. It is for
// Options.Invite.
func (l *Leg) Wait() {
	l.e.open()
	l.mu.Lock()
	a := l.asServer
	l.mu.Unlock()
	if a == nil {
		return
	}
	select {
	case <-l.final:
	case <-a.tx.Done():
		l.callerGone()
	}
}

// callerGone ends a server leg whose transaction ended under it: the connection
// it came by was closed, and there is nobody to answer.
func (l *Leg) callerGone() {
	l.mu.Lock()
	if l.phase == opening && l.move(over) {
		l.post(Cancelled{})
	}
	l.mu.Unlock()
	l.deliver()
}

// Ring answers the INVITE of a server leg with a provisional response, 180 or
// 183, with early media if there is sdp. It fails when the INVITE has its final
// response or cannot be answered.
func (l *Leg) Ring(code int, sdp []byte) error {
	l.e.open()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase != opening || !l.server {
		return fmt.Errorf("ring %s: %w", l.id, errOver)
	}
	if code <= sip.StatusTrying || code > 199 {
		return fmt.Errorf("ring %s: %d is not a provisional code", l.id, code)
	}
	res := l.provisional(code, sdp)
	l.remember(sdp)
	if l.reliably {
		return l.sendReliably(res)
	}
	before := l.rang
	l.rang = res
	l.keep()
	if err := l.e.tell(l.asServer.req, l.asServer.tx, res); err != nil {
		l.rang = before
		return fmt.Errorf("ring %s: %w", l.id, err)
	}
	l.keepRinging()
	return nil
}

// provisional builds a provisional response to the INVITE of a server leg. The caller
// holds mu.
func (l *Leg) provisional(code int, sdp []byte) *sip.Response {
	res := l.e.respond(l.asServer.req, code, "")
	res.AppendHeader(l.dialog.contact(l.e))
	describe(res, sdp)
	return res
}

// keepRinging lets a provisional response be repeated. The caller holds mu.
func (l *Leg) keepRinging() {
	if l.ringing == nil {
		l.ringing = time.AfterFunc(ringAgain, func() { l.start("ringing on", l.ringOn) })
	}
}

// ringAgain is how often a provisional response is repeated: proxies on the way
// give up on an INVITE that is silent for three minutes (RFC 3261 sections
// 13.3.1.1 and 16.6).
const ringAgain = time.Minute

func (l *Leg) ringOn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase == opening && l.e.tell(l.asServer.req, l.asServer.tx, l.rang) == nil {
		l.ringing.Reset(ringAgain)
	}
}

// Answer answers the INVITE of a server leg with 200, repeated until its ACK. sdp
// is our answer, or our offer when the INVITE had none. It fails when the INVITE
// has its final response, by CANCEL too, or cannot be answered.
func (l *Leg) Answer(sdp []byte) error {
	l.e.open()
	defer l.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase != opening || !l.server {
		return fmt.Errorf("answer %s: %w", l.id, errOver)
	}
	if u := l.unpracked; u != nil && u.sdp {
		u.answer = func() { _ = l.answer(sdp) } // its failure is told as an event
		return nil
	}
	return l.answer(sdp)
}

// answer sends the 200. The caller holds mu, and calls deliver after letting go.
func (l *Leg) answer(sdp []byte) error {
	if l.agreedEarly {
		sdp = nil // nothing is left to agree on (RFC 6337 section 2.2)
	}
	a := l.asServer
	timer := l.session.session
	res := l.okay(a.req, sdp, timer)
	u := &unacked{tx: a.tx, res: res, since: l.e.o.Now(), cseq: l.first, initial: true, owed: l.offer == nil && !l.agreedEarly}
	l.session.agreed(l.e.o.Now(), timer)
	l.keepAs(up, u, nil)
	if err := l.e.tell(a.req, a.tx, res); err != nil {
		// After a CANCEL, cancelled tells the rest.
		if !errors.Is(err, sip.ErrTransactionCanceled) && l.move(over) {
			l.post(Cancelled{})
		}
		return fmt.Errorf("answer %s: %w", l.id, err)
	}
	l.move(up)
	l.awaitAck(u)
	l.agree(timer)
	return nil
}

// tell sends a response to an INVITE or UPDATE by its transaction. If a CANCEL
// was first, its 487 is out and the error is ErrTransactionCanceled; but the
// library has noted our response as the one to repeat, so it is given the 487
// back.
func (e *Edge) tell(req *sip.Request, tx *sip.ServerTx, res *sip.Response) error {
	err := tx.Respond(res)
	if errors.Is(err, sip.ErrTransactionCanceled) {
		_ = tx.Respond(e.respond(req, sip.StatusRequestTerminated, ""))
	}
	return err
}

// okay builds the 200 to an INVITE or UPDATE of theirs. The caller holds mu.
func (l *Leg) okay(req *sip.Request, sdp []byte, timer session) *sip.Response {
	res := l.e.respond(req, sip.StatusOK, "")
	res.AppendHeader(l.dialog.contact(l.e))
	res.AppendHeader(l.e.allow)
	res.AppendHeader(l.e.supports)
	timer.writeAnswer(res)
	describe(res, sdp)
	l.remember(sdp)
	return res
}

// remember keeps the last description sent: a session refresh repeats it.
func (l *Leg) remember(sdp []byte) {
	if len(sdp) > 0 {
		l.sdp = bytes.Clone(sdp)
	}
}

func (e *Edge) tooBrief() *refusal {
	return &refusal{code: 422, headers: []Header{{"Min-SE", strconv.Itoa(seconds(e.o.Session.Min))}}}
}
