package sip

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Dial is a call to one contact of an agent.
type Dial struct {
	To      Binding
	Caller  Caller   // From, P-Asserted-Identity, Privacy (RFC 3323, 3325) are made of it
	SDP     []byte   // our offer
	Headers []Header // extra headers
}

// Dial rings one contact of an agent. The returned leg is ringing (or failing:
// then Refused reaches the sink); it never blocks on the network. The error
// tells of a Dial that makes no INVITE, or of an edge that is closed.
func (e *Edge) Dial(d Dial, sink func(LegEvent)) (*Leg, error) {
	var target sip.Uri
	if err := sip.ParseUri(d.To.Contact, &target); err != nil {
		return nil, fmt.Errorf("dial %s: contact: %w", d.To.User, err)
	}
	if len(d.SDP) == 0 {
		return nil, fmt.Errorf("dial %s: no offer", d.To.User)
	}
	for _, h := range d.Headers {
		if !h.clean() {
			return nil, fmt.Errorf("dial %s: header %q is not one line", d.To.User, h.Name)
		}
	}
	l := e.clientLeg(&d, target)
	l.sink = sink
	inv := l.firstInvite(&d)
	e.legs.add(l)
	if !e.start("dialling", func() { l.dial(inv) }) {
		e.legs.remove(l)
		return nil, fmt.Errorf("dial %s: edge is closed", d.To.User)
	}
	return l, nil
}

// clientLeg makes the leg of a Dial.
func (e *Edge) clientLeg(d *Dial, target sip.Uri) *Leg {
	f := flow{d.To.Transport, d.To.Source}
	l := &Leg{
		e: e, id: sip.GenerateTagN(24), tag: sip.GenerateTagN(12), free: func() {},
		quit: make(chan struct{}),
		dialog: dialog{
			flow: f, target: target, cseq: 1,
			to: &sip.ToHeader{Address: sip.Uri{Scheme: "sip", User: escapeUser(d.To.User), Host: e.domain(f)}},
		},
	}
	l.box.open = l.opened
	return l
}

// domain is what our phones' addresses are in.
func (e *Edge) domain(f flow) string {
	if e.o.Registrar != nil && e.o.Registrar.realm != "" {
		return e.o.Registrar.realm
	}
	host, _ := e.sentBy(f)
	return host
}

// firstInvite builds the INVITE of a client leg.
func (l *Leg) firstInvite(d *Dial) *sip.Request {
	e := l.e
	from, identity := d.Caller.from(e.domain(l.dialog.flow), l.tag)
	l.dialog.from = from
	inv := e.inside(l.id, &l.dialog, sip.INVITE, l.dialog.cseq)
	for _, h := range identity {
		inv.AppendHeader(h)
	}
	inv.AppendHeader(e.allow)
	inv.AppendHeader(e.supports)
	e.o.Session.write(inv, session{expires: e.o.Session.Expires}, e.o.Session.Min)
	for _, h := range d.Headers {
		inv.AppendHeader(sip.NewHeader(h.Name, h.Value))
	}
	describe(inv, d.SDP)
	l.remember(d.SDP)
	return inv
}

// dial carries an INVITE out, until its final response is dealt with. It runs on
// a goroutine of its own.
func (l *Leg) dial(inv *sip.Request) {
	defer l.deliver()
	for inv != nil {
		if !l.e.guard("a call to a phone", func() { inv = l.try(inv) }) {
			l.lose()
			return
		}
	}
}

// try sends an INVITE and follows it. It returns another INVITE if that is to be
// tried instead.
func (l *Leg) try(inv *sip.Request) (again *sip.Request) {
	if l.givenUp() {
		l.finish() // hung up before it left: nobody ever hears of it
		return nil
	}
	f := l.dialog.flow
	if !l.e.connected(f.transport, f.remote) {
		l.unreachable(sip.StatusServiceUnavailable)
		return nil
	}
	tx, err := l.e.send(context.Background(), inv)
	if err != nil {
		l.unreachable(sip.StatusServiceUnavailable)
		return nil
	}
	heard, given := false, false
	quit := l.quit
	patience := time.NewTimer(l.e.timing.unanswered)
	defer patience.Stop()
	for {
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				return l.finally(tx, inv, res)
			}
			if !heard {
				heard = true
				patience.Stop()
			}
			l.progress(res)
		case <-quit:
			given, quit = true, nil
		case <-tx.Done():
			l.unreachable(sip.StatusServiceUnavailable)
			return nil
		case <-patience.C:
			l.silence(tx, inv, heard)
			return nil
		}
		if given && heard {
			// Not before a provisional response (RFC 3261 section 9.1).
			given = false
			l.e.start("sending CANCEL", func() { _, _ = l.e.ask(l.e.cancelOf(inv, l.why)) })
			patience.Reset(l.e.timing.give)
		}
	}
}

// givenUp reports whether Hangup has been called.
func (l *Leg) givenUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.phase != opening
}

// finish ends a client leg that we gave up.
func (l *Leg) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.move(over)
}

// unreachable ends a leg that got nothing back.
func (l *Leg) unreachable(code int) { l.refused(code, phrases[code], true) }

func (l *Leg) refused(code int, reason string, unreachable bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.phase
	if l.move(over) && was == opening {
		l.post(Refused{Code: code, Reason: reason, Unreachable: unreachable})
	}
}

// silence ends a leg whose phone has said nothing: to the INVITE, or after our
// CANCEL. What it may say later goes to unmatched.
func (l *Leg) silence(tx *sip.ClientTx, inv *sip.Request, heard bool) {
	tx.Terminate()
	if !heard {
		l.e.legs.forget(l, inv)
	}
	l.unreachable(sip.StatusRequestTimeout)
}

// progress takes a provisional response.
func (l *Leg) progress(res *sip.Response) {
	l.mu.Lock()
	if res.StatusCode > sip.StatusTrying && l.phase == opening {
		l.post(Progress{Code: res.StatusCode, SDP: sdpOf(res)})
	}
	l.mu.Unlock()
	l.deliver()
}

// finally takes the final response to the INVITE.
func (l *Leg) finally(tx *sip.ClientTx, inv *sip.Request, res *sip.Response) (again *sip.Request) {
	if !res.IsSuccess() {
		l.e.refusedAt(tx, inv, res)
		if longer := l.prolonged(inv, res); longer != nil {
			return longer
		}
		l.refused(res.StatusCode, res.Reason, false)
		return nil
	}
	// Copies of the 2xx are ours to acknowledge, and so are those of other phones
	// behind a forking proxy: they come to unmatched once the transaction is gone.
	tx.Terminate()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.established(res)
	l.acknowledge(inv.CSeq().SeqNo)
	if l.phase == giving {
		l.leave(l.why) // it crossed our CANCEL, or came before we could send it
		return nil
	}
	if !l.move(up) {
		return nil
	}
	l.heard = sdpOf(res)
	l.agree(accepted(askOf(res)))
	l.post(Answered{SDP: l.heard})
	if l.goodbye != nil {
		l.move(over)
		l.post(Ended{Why: Bye, Reason: *l.goodbye})
	}
	return nil
}

// established takes the dialog from the 2xx to our INVITE (RFC 3261 section
// 12.1.2). The caller holds mu.
func (l *Leg) established(res *sip.Response) {
	theirs := toTag(res.To())
	l.theirs.Store(&theirs)
	l.dialog.to = res.To()
	l.dialog.retarget(res.Contact())
	l.dialog.routes = reversed(routeSet(res))
	l.updates = allows(res, "UPDATE")
}

// prolonged builds the INVITE to be sent when the first asked for too short a
// session (RFC 4028 section 7.4), nil if that was not it or was tried before.
func (l *Leg) prolonged(inv *sip.Request, res *sip.Response) *sip.Request {
	least := askOf(res).min
	if res.StatusCode != 422 || least <= askOf(inv).min {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase != opening {
		return nil
	}
	next := inv.Clone()
	l.dialog.cseq++
	drop(next, "Session-Expires")
	drop(next, "Min-SE")
	next.ReplaceHeader(l.e.via(l.dialog.flow))
	next.ReplaceHeader(&sip.CSeqHeader{SeqNo: l.dialog.cseq, MethodName: sip.INVITE})
	next.AppendHeader(sip.NewHeader("Session-Expires", strconv.Itoa(seconds(max(least, l.e.o.Session.Expires)))))
	next.AppendHeader(sip.NewHeader("Min-SE", strconv.Itoa(seconds(least))))
	l.e.by(next, l.dialog.flow)
	return next
}
