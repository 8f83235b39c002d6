package sip

import (
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// cancelled takes a CANCEL that the transaction has accepted: the library has
// answered it and then the INVITE.
func (l *Leg) cancelled(tx *sip.ServerTx, cancel *sip.Request) {
	_ = tx.Err() // waits until the transaction has sent its 487
	defer l.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase == opening && l.move(over) {
		l.post(Cancelled{Reason: reasonOf(cancel)})
	}
}

// overtaken is how long a CANCEL waits for an INVITE that it may have overtaken.
const overtaken = 200 * time.Millisecond

// cancelAlone takes a CANCEL whose INVITE has no transaction any more, or none
// yet: it has come too late, is a copy of one that did not, or was sent right
// behind its INVITE and has overtaken it, for the library gives each message a
// goroutine of its own.
func (e *Edge) cancelAlone(req *sip.Request, tx *sip.ServerTx) {
	key := invite{half{string(*req.CallID()), tagOf(req.From())}, req.CSeq().SeqNo}
	l, ended := e.legs.calling(key)
	if a := arrivalOf(req); a != nil && a.line != nil {
		for until := time.Now().Add(overtaken); l == nil && !ended && time.Now().Before(until); l, ended = e.legs.calling(key) {
			time.Sleep(time.Millisecond)
		}
	}
	mine := l != nil && l.first == req.CSeq().SeqNo
	code := sip.StatusCallTransactionDoesNotExists
	if ended || mine {
		code = sip.StatusOK
	}
	e.refuse(req, tx, &refusal{code: code})
	if !mine {
		return
	}
	l.mu.Lock()
	asked := l.asServer
	l.mu.Unlock()
	if asked != nil { // not answered: its transaction takes the CANCEL as if it had come in order
		if err := asked.tx.Receive(req); err != nil {
			e.o.Log.Debug("CANCEL not taken", zap.Error(err))
		}
	}
}

// cancel sends the CANCEL for an INVITE of ours.
func (l *Leg) cancel(inv *sip.Request) {
	if _, err := l.e.ask(l.e.cancelOf(inv, l.why)); err == nil {
		l.mu.Lock()
		l.end.acknowledged()
		l.mu.Unlock()
	}
}

// cancelOf builds the CANCEL for an INVITE of ours (RFC 3261 section 9.1): same
// branch, number, routes and flow, whatever the Request-URI says.
func (e *Edge) cancelOf(inv *sip.Request, why Reason) *sip.Request {
	req := alongside(inv, sip.CANCEL, inv.To())
	why.write(req)
	return req
}

// alongside builds a request that goes the very way of an INVITE: its CANCEL, or
// the ACK of its refusal (RFC 3261 section 17.1.1.3).
func alongside(inv *sip.Request, method sip.RequestMethod, to *sip.ToHeader) *sip.Request {
	req := sip.NewRequest(method, inv.Recipient)
	req.AppendHeader(inv.Via().Clone())
	for _, h := range inv.GetHeaders("route") {
		req.AppendHeader(h)
	}
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.AppendHeader(inv.From())
	req.AppendHeader(to)
	req.AppendHeader(inv.CallID())
	req.AppendHeader(&sip.CSeqHeader{SeqNo: inv.CSeq().SeqNo, MethodName: method})
	req.SetBody(nil)
	req.SetTransport(inv.Transport())
	req.SetDestination(inv.Destination())
	req.Laddr = inv.Laddr
	return req
}
