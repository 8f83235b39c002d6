package sip

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// Dial is a call to one contact of an agent, To, or to a number of the public
// network, Number, by a trunk.
type Dial struct {
	To       Binding
	Trunk    string      // id of the trunk; "": To is rung
	Number   string      // E.164, with the plus sign
	Caller   Caller      // From, P-Asserted-Identity, Privacy (RFC 3323, 3325) are made of it
	Diverted []Diversion // the numbers that passed Caller's call on, ours first; nil: the call is our own
	Hops     int         // Max-Forwards; 0: 70. Below it no hop is left, and no call is made
	SDP      []byte      // our offer; not to be changed afterwards
	Headers  []Header    // extra headers
	Owner    string      // what Standing says of the leg in the next process
}

// Dial rings one contact of an agent, or calls a number by a trunk. The returned
// leg is ringing (or failing: then Refused reaches the sink); it never blocks on
// the network. The error tells of a Dial that makes no INVITE, of an edge that is
// closed, or, a *TrunkFull, of a trunk without a free channel.
//
// A leg tries one trunk, and there one address after the other. When Refused says
// Elsewhere, the caller of Dial dials the next: another carrier is another call,
// with a channel and a trace of its own.
func (e *Edge) Dial(d Dial, sink func(LegEvent)) (*Leg, error) {
	l := &Leg{
		e: e, id: sip.GenerateTagN(24), tag: sip.GenerateTagN(12), trunk: d.Trunk, free: func() {},
		quit: make(chan struct{}), dialog: dialog{cseq: 1}, sink: sink, owner: d.Owner,
	}
	l.box.open = l.opened
	first, err := l.aim(&d)
	if err == nil {
		e.legs.add(l)
		if !e.start("dialling", func() { l.dial(first) }) {
			e.legs.remove(l)
			l.free()
			err = errors.New("edge is closed")
		}
	}
	if err != nil {
		callee := d.To.User
		if d.Trunk != "" {
			callee = d.Number
		}
		return nil, fmt.Errorf("dial %s: %w", callee, err)
	}
	return l, nil
}

// aim checks a Dial and returns what makes its INVITE, nil if there is nowhere
// to send it; that may wait for the network.
func (l *Leg) aim(d *Dial) (first func() *sip.Request, err error) {
	if len(d.SDP) == 0 {
		return nil, errors.New("no offer")
	}
	for _, h := range d.Headers {
		if !h.clean() {
			return nil, fmt.Errorf("header %q is not one line", h.Name)
		}
	}
	if d.Trunk != "" {
		return l.aimAtNumber(d)
	}
	var ok bool
	if l.dialog.target, ok = readURI(d.To.Contact); !ok {
		return nil, fmt.Errorf("contact: %q is no URI", d.To.Contact)
	}
	l.user = d.To.User
	l.dialog.flow = flow{d.To.Transport, d.To.Source}
	l.place = place{l.dialog.flow, d.To.Contact}
	l.end.told = make(chan struct{})
	domain := l.e.domain(l.dialog.flow)
	l.dialog.to = &sip.ToHeader{Address: sip.Uri{Scheme: "sip", User: escapeUser(d.To.User), Host: domain}}
	return func() *sip.Request { return l.firstInvite(d, domain) }, nil
}

// domain is what our phones' addresses are in.
func (e *Edge) domain(f flow) string {
	if e.o.Registrar != nil && e.o.Registrar.realm != "" {
		return e.o.Registrar.realm
	}
	host, _ := e.sentBy(f)
	return host
}

// firstInvite builds the INVITE of a client leg. domain is what the caller's
// address is in.
func (l *Leg) firstInvite(d *Dial, domain string) *sip.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.e
	from, identity := d.Caller.from(domain, l.tag)
	if l.out() {
		t, _ := e.trunks.named(l.trunk)
		from, identity = d.Caller.towards(t.Trunk, domain, l.tag)
	}
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
func (l *Leg) dial(first func() *sip.Request) {
	defer l.deliver()
	l.afterLast()
	var inv *sip.Request
	whole := l.e.guard("making a call", func() { inv = first() })
	for whole && inv != nil {
		whole = l.e.guard("making a call", func() { inv = l.try(inv) })
	}
	if !whole {
		l.lose()
	}
}

// try sends an INVITE and follows it. It returns another INVITE if that is to be
// tried instead.
func (l *Leg) try(inv *sip.Request) (again *sip.Request) {
	if !l.leaves(inv) {
		l.takeBack(inv)
		l.finish()
		return nil
	}
	tx, err := l.e.send(context.Background(), inv)
	if err != nil {
		l.e.o.Log.Debug("INVITE not sent", zap.Error(err))
		return l.unanswered(inv, sip.StatusServiceUnavailable)
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
			l.progress(inv, res)
		case <-quit:
			given, quit = true, nil
		case <-tx.Done(): // its connection broke
			if !heard {
				return l.unanswered(inv, sip.StatusServiceUnavailable)
			}
			l.unreachable(sip.StatusServiceUnavailable)
			return nil
		case <-patience.C:
			return l.silence(tx, inv, heard)
		}
		if given && heard {
			// Not before a provisional response (RFC 3261 section 9.1).
			given = false
			l.e.start("sending CANCEL", func() { l.cancel(inv) })
			patience.Reset(l.e.timing.give)
		}
	}
}

// leaves notes that an INVITE is about to be sent, and reports whether it may: not
// after Hangup, when nobody has heard of it.
func (l *Leg) leaves(inv *sip.Request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase != opening {
		return false
	}
	l.invite = l.e.toKeep(inv)
	l.keep()
	return true
}

// finish ends a client leg that we gave up.
func (l *Leg) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.move(over)
}

// unreachable ends a leg that got nothing back.
func (l *Leg) unreachable(code int) {
	l.refused(Refused{Code: code, Reason: phrases[code], Unreachable: true})
}

// unanswered takes it that nobody has seen an INVITE: the next place of its trunk
// may, or the leg ends.
func (l *Leg) unanswered(inv *sip.Request, code int) (again *sip.Request) {
	if again = l.onward(inv, 0); again == nil {
		l.unreachable(code)
	}
	return again
}

func (l *Leg) refused(ev Refused) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.phase
	if l.move(over) && was == opening {
		l.post(ev)
	}
}

// redirection is where a 3xx points. Nothing here follows it: whose call it is decides
// (RFC 3261 section 8.1.3.4).
func redirection(res *sip.Response) (to Referral) {
	if contact := res.Contact(); res.StatusCode/100 == 3 && contact != nil && !contact.Address.Wildcard {
		to = Referral{User: userOf(&contact.Address), Host: contact.Address.Host}
	}
	return to
}

// silence takes it that a phone says nothing: to the INVITE, or after our CANCEL.
// What it may say later goes to unmatched.
func (l *Leg) silence(tx *sip.ClientTx, inv *sip.Request, heard bool) (again *sip.Request) {
	tx.Terminate()
	if heard {
		l.unreachable(sip.StatusRequestTimeout)
		return nil
	}
	l.e.legs.forget(inv)
	return l.unanswered(inv, sip.StatusRequestTimeout)
}

// progress takes a provisional response.
func (l *Leg) progress(inv *sip.Request, res *sip.Response) {
	l.mu.Lock()
	if res.StatusCode > sip.StatusTrying && l.phase == opening && l.acknowledgeEarly(inv, res) {
		l.post(Progress{Code: res.StatusCode, SDP: sdpOf(res)})
	}
	l.mu.Unlock()
	l.deliver()
}

// finally takes the final response to the INVITE.
func (l *Leg) finally(tx *sip.ClientTx, inv *sip.Request, res *sip.Response) (again *sip.Request) {
	if !res.IsSuccess() {
		l.e.refusedAt(tx, inv, res)
		if next := l.amended(inv, res); next != nil {
			return next
		}
		if res.StatusCode == sip.StatusServiceUnavailable {
			if next := l.onward(inv, retryAfter(res)); next != nil {
				return next
			}
		}
		l.refused(Refused{Code: res.StatusCode, Reason: res.Reason, RetryAfter: retryAfter(res), Moved: l.moved(res), To: redirection(res)})
		return nil
	}
	// Copies of the 2xx are ours to acknowledge, and so are those of other phones
	// behind a forking proxy: they come to unmatched once the transaction is gone.
	tx.Terminate()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.established(res)
	if !l.move(up) {
		l.acknowledge(inv.CSeq().SeqNo)
		if l.phase == giving {
			l.leave(l.why) // it crossed our CANCEL, or came before we could send it
		}
		return nil
	}
	if sdp := sdpOf(res); sdp != nil || !l.agreedEarly {
		l.heard = sdp
	}
	l.agree(accepted(askOf(res)))
	l.acknowledge(inv.CSeq().SeqNo)
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
	l.dialog.routes = reversed(routeSet(res))
	l.retarget(res.Contact())
	l.updates = allows(res, "UPDATE")
}

// amended builds the INVITE to be sent instead of one that was refused: for a
// longer session, or with credentials. Nil: the refusal is final.
func (l *Leg) amended(inv *sip.Request, res *sip.Response) *sip.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase != opening {
		return nil
	}
	next := inv.Clone()
	if !l.prolong(next, res) && !l.account.answer(next, res) {
		return nil
	}
	l.renumber(next)
	return next
}

// renumber makes a copy of an INVITE the next one of its call, by the dialog's
// flow. The caller holds mu.
func (l *Leg) renumber(inv *sip.Request) {
	l.dialog.cseq++
	inv.ReplaceHeader(l.e.via(l.dialog.flow))
	inv.ReplaceHeader(&sip.CSeqHeader{SeqNo: l.dialog.cseq, MethodName: sip.INVITE})
	l.e.by(inv, l.dialog.flow)
}

// prolong makes an INVITE ask for the session that the refusal of it wants (RFC
// 4028 section 7.4). It reports whether that was it and was not tried before.
func (l *Leg) prolong(inv *sip.Request, res *sip.Response) bool {
	least := askOf(res).min
	if res.StatusCode != 422 || least <= askOf(inv).min {
		return false
	}
	drop(inv, "Session-Expires")
	drop(inv, "Min-SE")
	inv.AppendHeader(sip.NewHeader("Session-Expires", strconv.Itoa(seconds(max(least, l.e.o.Session.Expires)))))
	inv.AppendHeader(sip.NewHeader("Min-SE", strconv.Itoa(seconds(least))))
	return true
}
