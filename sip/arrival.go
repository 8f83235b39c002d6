package sip

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"

	"github.com/emiago/sipgo/sip"
)

// arrival is what we know of a request from the moment it was read. It travels
// with the request as a header without a name, which is never written.
type arrival struct {
	sip.Header
	from    flow
	line    *line // of the trunk it came by; nil: it came by none
	fresh   bool  // it had no To tag; the one it has now is ours
	filled  bool  // somebody on the way has written into its Via
	refused *refusal
	leg     *Leg // whose dialog it belongs to
	letter  *letter
	again   *takenUp // it came to the process before
}

func arrivalOf(req *sip.Request) *arrival {
	all := req.Headers()
	for i := len(all) - 1; i >= 0; i-- {
		if a, ok := all[i].(*arrival); ok {
			return a
		}
	}
	return nil
}

// arrived sees every message on the goroutine that reads its socket, so in the
// order of the wire, before the library gives it a goroutine of its own.
func (e *Edge) arrived(msg sip.Message) {
	e.guard("reading a message", func() {
		if a := e.intake.address(msg); a != nil {
			msg.AppendHeader(&arrival{Header: e.nameless, from: a.flow, again: a})
			return
		}
		if e.counting {
			e.countReceived(msg)
		}
		switch m := msg.(type) {
		case *sip.Request:
			e.stamp(m)
		case *sip.Response:
			if e.strange(m) || e.asleep.has(m) {
				// Nothing can be dropped here, but without a branch it matches no
				// transaction and belongs to nobody.
				m.Via().Params.Add("branch", "")
			}
		}
	})
}

// stamp notes where a request comes from and whose it is, and gives it its place
// in its leg's inbox.
func (e *Edge) stamp(req *sip.Request) {
	a := &arrival{Header: e.nameless}
	var known bool
	if a.from, known = flowOf(req); known {
		a.line = e.trunks.of(a.from.remote.Addr(), userOf(&req.Recipient))
	}
	a.refused = check(req)
	if known {
		a.filled = viaFilled(req)
		symmetric(req.Via(), a)
	}
	e.modernise(req)
	req.AppendHeader(a)
	if a.refused != nil && req.IsAck() {
		// The library would answer it; by this transport it finds no way.
		req.SetTransport("nowhere")
	}
	to := req.To()
	tag, _ := to.Params.Get("tag")
	if a.fresh = tag == ""; a.fresh {
		to.Params.Add("tag", e.tagFor(req))
		if req.IsCancel() && a.refused == nil {
			e.keepCancel(req)
		}
		return
	}
	if a.refused != nil || req.IsCancel() {
		return
	}
	l := e.legs.find(string(*req.CallID()), tag) // a stranger's finds none, and gets 481
	if l == nil || !l.knows(tagOf(req.From())) || !l.admits(a.from.remote.Addr()) {
		return
	}
	if req.IsAck() {
		// The library hands an ACK over only if it has a branch of its own, which
		// some phones' has not. This goroutine must not wait for the leg.
		l.box.take(req, req.CSeq().SeqNo)
		e.start("reading an ACK", l.box.drain)
		return
	}
	a.leg = l
	a.letter = l.box.take(req, req.CSeq().SeqNo)
}

// symmetric sees to it that every answer, also those the library gives by
// itself, goes back to where the request came from, whether or not its Via asks
// for that (RFC 3581): nothing else passes a home router. A trunk is taken at
// its word, if that makes sense: it may well listen elsewhere than it sends from
// (RFC 3261 section 18.2.2).
func symmetric(via *sip.ViaHeader, a *arrival) {
	source := a.from.remote.Addr().String()
	_, asked := via.Params.Get("rport")
	if a.from.transport != "udp" {
		// By its own connection or not at all: if that is gone, the library would
		// call where Via says. What is received from is put right in the answer.
		via.Params.Add("rport", "")
		via.Params.Add("received", unresolvable)
		return
	}
	if a.line == nil || asked || a.refused != nil {
		via.Params.Add("rport", "")
		// Also lest the library looks for the host that Via names.
		via.Params.Add("received", source)
		return
	}
	via.Params.Remove("received") // nobody says of himself where he is
	if via.Host != source {
		via.Params.Add("received", source)
	}
}

// modernise gives a request of RFC 2543 what the library matches transactions by.
// Such a client has no tag in From and need not have a branch; it ignores one in
// the responses (RFC 3261 section 17.2.3).
func (e *Edge) modernise(req *sip.Request) {
	via := req.Via()
	if via.Params.Has("branch") || req.From().Params.Has("tag") {
		return
	}
	via.Params.Add("branch", sip.RFC3261BranchMagicCookie+
		e.hash(string(*req.CallID()), req.From().Value(), via.Value(), strconv.FormatUint(uint64(req.CSeq().SeqNo), 10)))
}

// tagFor makes our To tag for a request that opens a dialog or stands alone. The
// same request gets the same one again, and a CANCEL that of its INVITE (RFC
// 3261 sections 8.2.7 and 9.2), without anything to remember.
func (e *Edge) tagFor(req *sip.Request) string {
	branch, _ := req.Via().Params.Get("branch")
	return e.hash(string(*req.CallID()), tagOf(req.From()), branch, strconv.FormatUint(uint64(req.CSeq().SeqNo), 10))
}

// hash makes a token of words that nobody else can: half of a SHA-256 that begins
// with a secret.
func (e *Edge) hash(words ...string) string {
	var room [512]byte
	text := append(room[:0], e.secret[:]...)
	for _, w := range words {
		text = append(append(text, w...), 0)
	}
	sum := sha256.Sum256(text)
	var b [40]byte
	token := strconv.AppendUint(b[:0], binary.BigEndian.Uint64(sum[:]), 36)
	return string(strconv.AppendUint(token, binary.BigEndian.Uint64(sum[8:]), 36))
}

func tagOf(from *sip.FromHeader) string {
	if from == nil {
		return ""
	}
	tag, _ := from.Params.Get("tag")
	return tag
}

func toTag(to *sip.ToHeader) string {
	if to == nil {
		return ""
	}
	tag, _ := to.Params.Get("tag")
	return tag
}

// dispatch takes a request that starts a transaction, on the transaction's own
// goroutine.
func (e *Edge) dispatch(req *sip.Request, tx *sip.ServerTx) {
	if !e.enter() {
		tx.Terminate()
		return
	}
	defer e.running.Done()
	if !e.guard("handling a request", func() { e.route(req, tx) }) && !req.IsAck() {
		e.guard("refusing a request", func() { e.refuse(req, tx, &refusal{code: sip.StatusInternalServerError}) })
	}
}

func (e *Edge) route(req *sip.Request, tx *sip.ServerTx) {
	a := arrivalOf(req)
	switch {
	case req.IsAck():
		tx.Terminate() // never answered; its leg has had it from stamp
	case a == nil:
		e.refuse(req, tx, &refusal{code: sip.StatusInternalServerError})
	case a.again != nil:
		again := a.again
		a.again = nil // the request is kept for long, the leg need not be
		e.invitedAgain(req, tx, again)
	case a.refused != nil:
		e.refuse(req, tx, a.refused)
	case a.letter != nil:
		leg, letter := a.leg, a.letter
		a.leg, a.letter = nil, nil // the request is kept for long to be answered again, the leg need not be
		if !leg.box.arrived(letter, req, tx) {
			e.refuse(req, tx, &refusal{code: sip.StatusInternalServerError})
		}
	case a.leg != nil && a.leg.repeats(req):
		tx.Terminate()
	case a.leg != nil:
		// RFC 3261 section 12.2.2: a number below what we have seen.
		e.refuse(req, tx, &refusal{code: sip.StatusInternalServerError, reason: "CSeq Out Of Order"})
	case req.IsCancel():
		e.cancelAlone(req, tx)
	case !a.fresh:
		e.refuse(req, tx, &refusal{code: sip.StatusCallTransactionDoesNotExists})
	default:
		e.outside(req, tx, a)
	}
}

// outside takes a request outside any dialog.
func (e *Edge) outside(req *sip.Request, tx *sip.ServerTx, a *arrival) {
	switch req.Method {
	case sip.INVITE:
		e.invited(req, tx, a)
	case sip.OPTIONS:
		e.options(req, tx)
	case sip.REFER:
		// A call is transferred by who is in it; nobody may have us call out of the blue.
		e.refuse(req, tx, &refusal{code: sip.StatusForbidden})
	case sip.BYE, sip.INFO, sip.UPDATE, sip.PRACK:
		e.refuse(req, tx, &refusal{code: sip.StatusCallTransactionDoesNotExists})
	default:
		e.refuse(req, tx, e.unhandled(req.Method))
	}
}
