package sip

import (
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// unacked is a 2xx of ours to an INVITE. Repeating it until its ACK comes is not
// the transaction's work but ours, over TCP too (RFC 3261 section 13.3.1.4).
type unacked struct {
	tx      *sip.ServerTx // nil: it was that of the process before
	res     *sip.Response
	since   time.Time // it was sent
	cseq    uint32
	initial bool // of the INVITE that began the call
	owed    bool // it carries our offer: the ACK brings the answer
	wait    time.Duration
	waited  time.Duration
	timer   *time.Timer
}

// awaitAck begins to wait for the ACK of a 2xx that has been sent. The caller
// holds mu.
func (l *Leg) awaitAck(u *unacked) {
	l.acknowledged()
	u.wait, u.since = l.e.timing.t1, l.e.o.Now()
	l.repeatAfter(u)
}

// repeatAfter begins to repeat a 2xx. The caller holds mu.
func (l *Leg) repeatAfter(u *unacked) {
	u.timer = time.AfterFunc(u.wait, func() { l.start("repeating a 200", func() { l.unheard(u) }) })
	l.unacked = u
}

// acknowledged stops repeating a 2xx and lets its transaction go. A late copy of
// the INVITE is known by its leg (see repeated). The caller holds mu.
func (l *Leg) acknowledged() {
	if u := l.unacked; u != nil {
		if u.timer != nil { // not before a resumed leg goes on
			u.timer.Stop()
		}
		if u.tx != nil {
			u.tx.Terminate()
		}
		l.unacked = nil
	}
}

// unheard repeats a 2xx that has not been acknowledged, or gives the leg up.
func (l *Leg) unheard(u *unacked) {
	defer l.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unacked != u {
		return
	}
	t := l.e.timing
	if u.waited += u.wait; u.waited >= t.give {
		l.leave(Reason{SIP: sip.StatusRequestTimeout, Text: "ACK missing"})
		l.post(Ended{Why: NoAck})
		return
	}
	l.sayAgain(u)
	u.wait = min(2*u.wait, t.t2, t.give-u.waited)
	u.timer.Reset(u.wait)
}

// sayAgain sends a 2xx once more. The caller holds mu.
func (l *Leg) sayAgain(u *unacked) {
	l.e.o.Count.Retransmission("INVITE")
	var conn sip.Connection
	if u.tx != nil {
		conn = u.tx.Connection()
	} else if conn = l.e.connectionOf(l.dialog.flow); conn == nil {
		return // until the phone is heard again
	}
	if err := conn.WriteMsg(u.res); err != nil {
		l.e.o.Log.Debug("200 not repeated", zap.Error(err))
	}
}

// acked takes an ACK. Those of other responses than our last 2xx are copies.
func (l *Leg) acked(req *sip.Request) {
	defer l.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.unacked
	if u == nil || u.cseq != req.CSeq().SeqNo {
		return
	}
	l.acknowledged()
	if u.owed {
		l.heard = req.Body()
	}
	l.keep()
	if u.owed {
		l.post(Acked{SDP: req.Body()})
	} else if u.initial {
		l.post(Acked{})
	}
	l.turn()
}

// acknowledge sends the ACK for a 2xx to an INVITE of ours. It has the number of
// that INVITE, not the next one (RFC 3261 section 13.2.2.4). It is kept, for
// every copy of the 2xx is answered with it again. The caller holds mu.
func (l *Leg) acknowledge(cseq uint32) {
	l.ack = l.e.inside(l.id, &l.dialog, sip.ACK, cseq)
	l.ack.SetBody(nil)
	l.ackSince = l.e.o.Now()
	l.keep()
	l.sendAck()
}

// leaveAck sees to it that copies of a 2xx to an INVITE of ours find their ACK
// when the leg is gone: the peer repeats the 2xx for 32 s if our ACK was lost,
// and a call may be shorter. The caller holds mu.
func (l *Leg) leaveAck() {
	if l.ack != nil && l.dialog.flow.transport == "udp" && l.e.o.Now().Sub(l.ackSince) < l.e.timing.give {
		l.e.legs.acknowledged(l.ack)
	}
	l.ack = nil
}

func (l *Leg) sendAck() {
	if err := l.e.tpl.WriteMsg(l.ack); err != nil {
		l.e.o.Log.Debug("ACK not sent", zap.Error(err))
	}
}

// refusedAt ends the transaction of an INVITE of ours that was refused; it has
// sent the ACK. For a copy of the refusal the library would send the next ACK
// only after 4 s, with its transaction locked, so we answer copies ourselves.
func (e *Edge) refusedAt(tx *sip.ClientTx, inv *sip.Request, res *sip.Response) {
	tx.Terminate()
	if !sip.IsReliable(inv.Transport()) && res.To() != nil {
		e.legs.acknowledged(alongside(inv, sip.ACK, res.To()))
	}
}
