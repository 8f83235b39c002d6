package sip

import (
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/emiago/sipgo/sip"
)

// legOf makes the leg of a record.
func (e *Edge) legOf(r *legRecord) (*Leg, error) {
	d, err := r.dialog()
	if err != nil {
		return nil, err
	}
	l := &Leg{
		e: e, server: r.Server, id: r.CallID, tag: r.Tag, free: func() {},
		caller: r.Caller, called: r.Called, to: r.To, diverted: r.Diverted, hops: r.Hops, trunk: r.Trunk, user: r.User, owner: r.Owner,
		first: r.First, phase: r.Phase, dialog: d, why: r.Why, ahead: r.Ahead, sdp: r.Sent, heard: r.Heard,
		updates: r.Updates, reliably: r.Reliably, agreedEarly: r.Early, rseq: r.RSeq, least: r.Least,
		tokens: r.Tokens, refers: r.Refers, session: r.timer(),
		invite: r.Invite, reserved: r.CSeq, heeded: r.Heeded, left: &leftover{instead: r.Instead, rang: r.Rang},
	}
	l.box.open = l.opened
	if r.Heeded > 0 || r.Server {
		l.box.begin(max(r.Heeded, r.First))
	}
	if r.Theirs != "" {
		l.theirs.Store(&r.Theirs)
	}
	if r.Vouched != nil {
		l.vouched = *r.Vouched
	}
	if r.Places != nil {
		l.places.Store(&r.Places)
	}
	if a := r.Referral; a != nil {
		l.referral = &referral{token: a.Token, event: a.Event, quiet: a.Quiet, answered: true}
	}
	l.findFlow()
	if r.Acked > 0 {
		l.ack = e.inside(l.id, &l.dialog, sip.ACK, r.Acked)
		l.ack.SetBody(nil)
		l.ackSince = e.o.Now()
	}
	restore := l.asCallee
	if r.Server {
		restore = l.asCaller
	}
	return l, errors.Join(restore(r), l.restoreSaid(r), l.restoreOffer(r))
}

// leftover is what of a resumed leg waits for Serve.
type leftover struct {
	invite    *sip.Request  // of ours
	offer     *sip.Request  // of ours, inside the dialog
	said      *sip.Response // an answer of ours that the peer may ask for again
	rang      *rangRecord
	cancelled bool   // their INVITE was, and they may not know
	instead   string // key of the leg whose place it wants
}

// asCaller restores what only a leg has that a caller began.
func (l *Leg) asCaller(r *legRecord) error {
	l.final = make(chan struct{})
	l.asking = new(atomic.Pointer[Leg])
	if l.phase != Opening {
		close(l.final)
		return nil
	}
	l.asking.Store(l)
	if l.rseq > 1 && r.Rang == nil {
		l.overtaken = l.rseq - 1 // its PRACK may come again
	}
	invite, err := l.e.requestFrom(r.Invite)
	if err != nil {
		return err
	}
	l.branch = branchOf(invite)
	if l.e.o.Keep != nil {
		_, l.left.cancelled = l.e.o.Keep.Get(l.cancelKey())
	}
	if len(invite.Body()) > 0 {
		l.offer = invite.Body()
	}
	return nil
}

// asCallee restores what only a leg has that we began.
func (l *Leg) asCallee(r *legRecord) (err error) {
	l.quit = make(chan struct{})
	if r.Contact != "" {
		l.place = place{l.dialog.flow, r.Contact}
		l.end.told = make(chan struct{})
	}
	if t, known := l.e.trunks.named(l.trunk); known {
		l.account = t.account()
		l.account.answered = r.Challenge
	}
	if l.phase == Opening || l.phase == GivingUp {
		l.left.invite, err = l.e.requestFrom(r.Invite)
	}
	if l.phase != Opening {
		close(l.quit)
	}
	return err
}

// restoreSaid restores an answer of ours that may have to be sent again.
func (l *Leg) restoreSaid(r *legRecord) error {
	s := r.Said
	if s == nil {
		return nil
	}
	res, err := l.e.responseFrom(r, s)
	if err != nil {
		return err
	}
	if s.Unacked {
		l.unacked = &unacked{res: res, since: s.Since, cseq: res.CSeq().SeqNo, initial: s.Initial, owed: s.Owed}
	} else {
		l.left.said = res
	}
	return nil
}

// restoreOffer restores a re-INVITE or UPDATE of ours that is out. By a connection
// that is gone nothing is repeated, but said anew.
func (l *Leg) restoreOffer(r *legRecord) error {
	o := r.Offering
	if o == nil || l.phase != Up {
		return nil
	}
	req, err := l.e.requestFrom(o.Request)
	if err != nil {
		return err
	}
	w := &wanted{refresh: o.Refresh, resumed: true, request: o.Request}
	if len(req.Body()) > 0 {
		w.sdp = req.Body()
	}
	if l.dialog.flow.transport != "udp" {
		l.want = &wanted{sdp: w.sdp, refresh: w.refresh}
	} else {
		l.ours, l.left.offer = w, req
	}
	return nil
}

// findFlow sees by which way a resumed leg's peer is reached, if its connection died
// with the process before: a trunk is called again, a phone calls.
func (l *Leg) findFlow() {
	f := &l.dialog.flow
	if f.transport == "udp" {
		return
	}
	if l.trunk == "" {
		l.adrift = make(chan struct{})
		return
	}
	t, known := l.e.trunks.named(l.trunk)
	if !known {
		return
	}
	if l.server {
		// Where the carrier's connection came from it does not listen (RFC 3261
		// section 12.2.1.1).
		hop := &l.dialog.target
		if len(l.dialog.routes) > 0 {
			hop = &l.dialog.routes[0]
		}
		if addr, err := netip.ParseAddr(strings.Trim(hop.Host, "[]")); err == nil && l.admits(addr) {
			f.remote = netip.AddrPortFrom(addr.Unmap(), uint16(portOf(hop)))
		}
	}
	l.e.outgoing.mayCall(*f, &t.Trunk)
}
