package sip

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"foyer/terse"
)

// recordVersion changes when what a field means does. Fields that are new are not
// known to older releases, which pass over them.
const recordVersion = 2

var (
	legRecords     = terse.New[legRecord]()
	bindingRecords = terse.New[bindingRecord]()
)

// legRecord is a leg in memory that outlives the process. Times are those of a wall
// clock: the next process counts on from there.
type legRecord struct {
	Version int
	Phase   Phase
	Server  bool
	CallID  string
	Tag     string
	Theirs  string

	Caller   Caller
	Called   string
	To       string
	Diverted []Diversion
	Vouched  *Vouched
	Hops     int
	Instead  string // key of the leg whose place it wants
	Trunk    string
	User     string
	Contact  string // of the phone that was rung
	Owner    string

	Transport string
	Remote    netip.AddrPort
	Places    []netip.Addr
	FromUs    string
	ToThem    string
	Target    string
	Routes    []string
	SIPS      bool
	As        string
	CSeq      uint32 // the last of ours that may have been used
	Heeded    uint32 // the last of theirs that changed something; 0: none
	First     uint32

	Sent     []byte
	Heard    []byte
	Early    bool
	Updates  bool
	Reliably bool
	RSeq     uint32
	Session  *sessionRecord
	Least    time.Duration
	Why      Reason
	Tokens   uint64
	Refers   int
	Referral *referralRecord

	Invite    []byte // until it is answered
	Rang      *rangRecord
	Challenge int // how many of the INVITE were answered
	Ahead     []netip.AddrPort
	Said      *saidRecord
	Acked     uint32 // CSeq of the INVITE of ours whose 2xx was acknowledged last
	Offering  *offeringRecord
}

type sessionRecord struct {
	Expires time.Duration
	By      refresher
	Require bool
	Refresh time.Time
	Last    time.Time
}

// rangRecord is our last provisional response.
type rangRecord struct {
	Code int
	SDP  []byte
	RSeq uint32 // it waits for its PRACK; 0: it does not
}

// saidRecord is our last answer inside the dialog: a 2xx to an INVITE without its
// ACK, or the last that changed something and may have been lost on the way.
type saidRecord struct {
	Response []byte
	To       string // where it is sent
	Unacked  bool   // it is to be repeated until its ACK
	Initial  bool
	Owed     bool
	Since    time.Time
}

// offeringRecord is a re-INVITE or UPDATE of ours that has no answer.
type offeringRecord struct {
	Request []byte
	Refresh bool
}

// referralRecord is a REFER of theirs that we have accepted and not finished.
type referralRecord struct {
	Token uint64
	Event string
	Quiet bool
}

// writer is what of the library's writes itself.
type writer interface{ StringWrite(io.StringWriter) }

// Most addresses of a dialog, and most messages, fit into as many bytes.
const (
	roomForTexts   = 512
	roomForMessage = 2048
)

// inBytes returns a message as bytes.
func inBytes(msg writer) []byte {
	var b bytes.Buffer
	b.Grow(roomForMessage)
	msg.StringWrite(&b)
	return b.Bytes()
}

// record makes the record of a leg. The caller holds mu.
func (l *Leg) record(p Phase, u *unacked, said *sip.Response) *legRecord {
	d := &l.dialog
	var room strings.Builder
	room.Grow(roomForTexts)
	text := func(of writer) string {
		start := room.Len()
		of.StringWrite(&room)
		return room.String()[start:]
	}
	r := &legRecord{
		Version: recordVersion, Phase: p, Server: l.server, CallID: l.id, Tag: l.tag,
		Caller: l.caller, Called: l.called, To: l.to, Diverted: l.diverted, Hops: l.hops,
		Trunk: l.trunk, User: l.user, Owner: l.owner, Contact: l.place.contact,
		Transport: d.flow.transport, Remote: d.flow.remote,
		Target: text(&d.target), SIPS: d.sips, As: d.as, CSeq: l.reserved, Heeded: l.heeded, First: l.first,
		Sent: l.sdp, Heard: l.heard, Early: l.agreedEarly, Updates: l.updates, Reliably: l.reliably, RSeq: l.rseq,
		Least: l.least, Why: l.why, Tokens: l.tokens, Refers: l.refers,
		Invite: l.invite, Challenge: l.account.answered, Ahead: l.ahead,
	}
	if theirs := l.theirs.Load(); theirs != nil {
		r.Theirs = *theirs
	}
	if v := &l.vouched; v.Verstat != "" || v.Attest != "" || v.Identity != nil {
		r.Vouched = v
	}
	if instead := l.Instead(); instead != nil && p == Opening {
		r.Instead = instead.Key()
	}
	if places := l.places.Load(); places != nil {
		r.Places = *places
	}
	if d.from != nil {
		r.FromUs = strings.TrimPrefix(text(d.from), "From: ")
	}
	if d.to != nil {
		r.ToThem = strings.TrimPrefix(text(d.to), "To: ")
	}
	for i := range d.routes {
		r.Routes = append(r.Routes, text(&d.routes[i]))
	}
	if s := &l.session; s.expires > 0 {
		r.Session = &sessionRecord{s.expires, s.by, s.require, s.refresh.Round(0), s.last.Round(0)}
	}
	if a := l.referral; a != nil && a.answered {
		r.Referral = &referralRecord{a.token, a.event, a.quiet}
	}
	if w := l.ours; w != nil {
		r.Offering = &offeringRecord{w.request, w.refresh}
	}
	if l.ack != nil {
		r.Acked = l.ack.CSeq().SeqNo
	}
	l.recordAnswers(r, p, u, said)
	return r
}

// recordAnswers notes which of our responses may have to be sent again.
func (l *Leg) recordAnswers(r *legRecord, p Phase, u *unacked, said *sip.Response) {
	switch {
	case p != Opening:
	case l.unpracked != nil:
		r.Rang = &rangRecord{l.unpracked.res.StatusCode, l.unpracked.res.Body(), l.unpracked.rseq}
	case l.rang != nil:
		r.Rang = &rangRecord{Code: l.rang.StatusCode, SDP: l.rang.Body()}
	case l.left != nil:
		r.Rang = l.left.rang
	}
	if u != nil {
		r.Said = &saidRecord{inBytes(u.res), u.res.Destination(), true, u.initial, u.owed, u.since.Round(0)}
	} else if said != nil {
		r.Said = &saidRecord{Response: inBytes(said), To: said.Destination()}
	}
}

var errRecord = errors.New("record of a leg")

// flow is the one the leg was last reached by.
func (r *legRecord) flow() flow { return flow{r.Transport, r.Remote} }

// dialog reads the dialog back.
func (r *legRecord) dialog() (d dialog, err error) {
	from, _, fromOK := readAddress(r.FromUs)
	to, _, toOK := readAddress(r.ToThem)
	target, targetOK := readURI(r.Target)
	if !fromOK || !toOK || !targetOK {
		return d, fmt.Errorf("%w: from %q to %q at %q", errRecord, r.FromUs, r.ToThem, r.Target)
	}
	d = dialog{
		flow: r.flow(), target: target, cseq: r.CSeq, sips: r.SIPS, as: r.As,
		from: &sip.FromHeader{DisplayName: from.display, Address: from.uri, Params: from.params},
		to:   &sip.ToHeader{DisplayName: to.display, Address: to.uri, Params: to.params},
	}
	for _, text := range r.Routes {
		route, ok := readURI(text)
		if !ok {
			return d, fmt.Errorf("%w: route %q", errRecord, text)
		}
		d.routes = append(d.routes, route)
	}
	return d, nil
}

// timer reads the session timer back.
func (r *legRecord) timer() (t sessionTimer) {
	if s := r.Session; s != nil {
		t = sessionTimer{session{s.Expires, s.By, s.Require}, s.Refresh, s.Last}
	}
	return t
}

// requestFrom reads a request back, as the library would from the wire.
func (e *Edge) requestFrom(text []byte) (*sip.Request, error) {
	msg, err := e.parser.ParseSIP(text)
	req, ok := msg.(*sip.Request)
	if err != nil || !ok || req.Via() == nil || req.From() == nil || req.To() == nil || req.CallID() == nil || req.CSeq() == nil {
		return nil, fmt.Errorf("%w: no request in it: %w", errRecord, err)
	}
	return req, nil
}

// responseFrom reads a response of ours back.
func (e *Edge) responseFrom(r *legRecord, s *saidRecord) (*sip.Response, error) {
	msg, err := e.parser.ParseSIP(s.Response)
	res, ok := msg.(*sip.Response)
	if err != nil || !ok || res.CSeq() == nil {
		return nil, fmt.Errorf("%w: no response in it: %w", errRecord, err)
	}
	res.SetTransport(sip.NetworkToUpper(r.Transport))
	res.SetDestination(s.To)
	return res, nil
}
