package sip

import (
	"net/netip"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// unmatched takes responses that belong to no transaction: a 2xx to an INVITE
// outlives its transaction, and so may the phone that sends it.
func (e *Edge) unmatched(res *sip.Response) {
	if !e.enter() {
		return
	}
	defer e.running.Done()
	e.guard("a late response", func() {
		cseq, id := res.CSeq(), res.CallID()
		if cseq == nil || id == nil || cseq.MethodName != sip.INVITE {
			return
		}
		l := e.legs.find(string(*id), tagOf(res.From()))
		if inv := e.legs.wokenUp(res); inv != nil {
			// First: its leg may live on, in an INVITE to another place of its trunk.
			e.giveUp(inv, res)
		} else if l != nil && res.StatusCode < 300 {
			l.late(res)
		} else if ack := e.legs.ackOf(res); ack != nil && !res.IsProvisional() {
			e.repeatAck(ack, res)
		}
	})
}

// repeatAck acknowledges a copy of a final response when its transaction and its
// leg are gone. The request is shared: it is sent as a copy, for sending writes
// into it.
func (e *Edge) repeatAck(ack *sip.Request, res *sip.Response) {
	if toTag(ack.To()) != toTag(res.To()) {
		return
	}
	e.o.Count.Retransmission("INVITE")
	if err := e.tpl.WriteMsg(ack.Clone()); err != nil {
		e.o.Log.Debug("ACK not sent", zap.Error(err))
	}
}

// late takes a 2xx to an INVITE of ours that comes again, or from a second phone
// behind a forking proxy (RFC 3261 section 13.2.2.4).
func (l *Leg) late(res *sip.Response) {
	if !res.IsSuccess() {
		return
	}
	l.mu.Lock()
	theirs := l.theirs.Load()
	if theirs == nil {
		l.mu.Unlock()
		return
	}
	if *theirs == toTag(res.To()) {
		if l.ack != nil && l.ack.CSeq().SeqNo == res.CSeq().SeqNo {
			l.e.o.Count.Retransmission("INVITE")
			l.sendAck()
		}
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	if l.server {
		return // nobody forks what goes inside a dialog
	}
	l.e.disown(res, Reason{SIP: sip.StatusOK, Text: "Call completed elsewhere"})
}

// giveUp answers a phone that wakes up after we have stopped waiting for it.
func (e *Edge) giveUp(inv *sip.Request, res *sip.Response) {
	why := Reason{SIP: sip.StatusRequestTimeout}
	switch {
	case res.IsProvisional():
		_, _ = e.ask(e.cancelOf(inv, why))
	case res.IsSuccess():
		e.disown(res, why)
	default:
		ack := alongside(inv, sip.ACK, res.To())
		if err := e.tpl.WriteMsg(ack); err != nil {
			e.o.Log.Debug("ACK not sent", zap.Error(err))
		}
	}
}

// disown ends a call that a 2xx has begun and nobody wants: ACK, then BYE, both
// made of nothing but the 2xx.
func (e *Edge) disown(res *sip.Response, why Reason) {
	remote, err := netip.ParseAddrPort(res.Source())
	if err != nil || res.Contact() == nil || toTag(res.To()) == "" {
		return
	}
	d := dialog{
		flow: flow{sip.NetworkToLower(res.Transport()), unmap(remote)},
		from: res.From(), to: res.To(), routes: reversed(routeSet(res)),
	}
	d.retarget(res.Contact())
	id, number := string(*res.CallID()), res.CSeq().SeqNo
	ack := e.inside(id, &d, sip.ACK, number)
	ack.SetBody(nil)
	if err := e.tpl.WriteMsg(ack); err != nil {
		e.o.Log.Debug("ACK not sent", zap.Error(err))
		return
	}
	bye := e.inside(id, &d, sip.BYE, number+1)
	why.write(bye)
	bye.SetBody(nil)
	_, _ = e.ask(bye)
}
