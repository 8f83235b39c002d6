package sip

import (
	"github.com/emiago/sipgo/sip"
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

// cancelAlone takes a CANCEL whose INVITE has no transaction any more. It has
// come too late for it, or is a copy of one that did not.
func (e *Edge) cancelAlone(req *sip.Request, tx *sip.ServerTx) {
	l, ended := e.legs.calling(inviteOf(req))
	code := sip.StatusCallTransactionDoesNotExists
	if ended || l != nil && l.first == req.CSeq().SeqNo {
		code = sip.StatusOK
	}
	e.refuse(req, tx, &refusal{code: code})
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
