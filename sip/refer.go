package sip

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// A REFER ends here, as everything inside a dialog does: the call carries out what
// it asks for, and tells the peer by NOTIFY, in the subscription that the REFER
// itself has made (RFC 3515 section 2.4.4). The other side of the call never sees it.

// Referral is where a REFER wants the other party of the call to go.
type Referral struct {
	User     string    // of the address, unescaped; a number of a tel URI
	Host     string    // "" in a tel URI
	Replaces *Replaces // the dialog whose other party they shall talk with instead
}

// referral is a REFER that has no final word yet. Its subscription lives as long.
type referral struct {
	token    uint64
	req      *sip.Request
	tx       *sip.ServerTx // nil once answered
	event    string        // what its NOTIFYs are about
	quiet    bool          // no subscription: norefersub (RFC 4488)
	answered bool
}

// referred takes a REFER.
func (l *Leg) referred(req *sip.Request, tx *sip.ServerTx) {
	defer l.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	to, r := referTo(req)
	switch {
	case l.phase == leaving || l.phase == over:
		r = &refusal{code: sip.StatusCallTransactionDoesNotExists}
	case r != nil:
	case l.phase != up:
		r = later()
	case l.referral != nil:
		r = &refusal{code: sip.StatusRequestPending} // one transfer of a call at a time
	}
	if r != nil {
		l.e.refuse(req, tx, r)
		return
	}
	l.tokens++
	l.referral = &referral{token: l.tokens, req: req, tx: tx, event: "refer", quiet: wantsQuiet(req)}
	if l.refers++; l.refers > 1 {
		// Only the first subscription of a dialog may go without an id (RFC 3515
		// section 2.4.6).
		l.referral.event += ";id=" + strconv.FormatUint(uint64(req.CSeq().SeqNo), 10)
	}
	l.post(Referred{To: to, Token: l.tokens})
}

// referTo reads Refer-To, of which there is exactly one (RFC 3515 section 2.4.2).
func referTo(req *sip.Request) (to Referral, r *refusal) {
	bad := func(reason string) (Referral, *refusal) {
		return Referral{}, &refusal{code: sip.StatusBadRequest, reason: reason}
	}
	headers := req.GetHeaders("refer-to")
	if len(headers) != 1 {
		return bad("Exactly One Refer-To Wanted")
	}
	var uri sip.Uri
	if _, err := sip.ParseAddressValue(headers[0].Value(), &uri, nil); err != nil || uri.Scheme != "sip" && uri.Scheme != "tel" || userOf(&uri) == "" {
		return bad("Bad Refer-To")
	}
	if m, given := paramOf(uri.UriParams, "method"); given && !strings.EqualFold(m, "INVITE") {
		return Referral{}, &refusal{code: sip.StatusForbidden, reason: "Only INVITE Is Referred"}
	}
	to = Referral{User: userOf(&uri), Host: uri.Host}
	if value, given := paramOf(uri.Headers, "replaces"); given {
		if to.Replaces = parseReplaces(unescape(value)); to.Replaces == nil {
			return bad("Bad Replaces")
		}
	}
	return to, nil
}

func paramOf(params sip.HeaderParams, name string) (value string, given bool) {
	for _, p := range params {
		if strings.EqualFold(p.K, name) {
			return p.V, true
		}
	}
	return "", false
}

// wantsQuiet reports whether the sender of a REFER wants no subscription.
func wantsQuiet(req *sip.Request) bool {
	for _, h := range req.GetHeaders("refer-sub") {
		value, _, _ := strings.Cut(h.Value(), ";")
		if strings.EqualFold(strings.TrimSpace(value), "false") {
			return true
		}
	}
	return false
}

// AcceptReferral answers a REFER: the call will try. Report tells how it goes. The
// error says that the REFER or the leg is gone.
func (l *Leg) AcceptReferral(r Referred) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.referral
	if a == nil || a.token != r.Token || a.answered || l.phase != up {
		return fmt.Errorf("referral of %s: %w", l.id, errOver)
	}
	a.answered = true
	l.heeded = a.req.CSeq().SeqNo
	res := l.e.respond(a.req, sip.StatusAccepted, "Accepted")
	res.AppendHeader(l.e.contact(l.dialog.flow))
	if a.quiet {
		res.AppendHeader(sip.NewHeader("Refer-Sub", "false"))
	}
	l.keepAs(l.phase, l.unacked, res)
	l.e.reply(a.tx, res)
	l.notify(a, sip.StatusTrying, "")
	return nil
}

// DeclineReferral refuses a REFER; the call stays as it is.
func (l *Leg) DeclineReferral(r Referred, why Reject) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.referral; a != nil && a.token == r.Token && !a.answered {
		l.referral = nil
		f := why.refusal()
		res := l.e.respond(a.req, f.code, f.reason)
		for _, h := range f.headers {
			res.AppendHeader(sip.NewHeader(h.Name, h.Value))
		}
		l.e.reply(a.tx, res)
	}
}

// Report tells the sender of an accepted REFER how it goes, as a response code of
// the call it asked for; a final one ends the subscription (RFC 3515 section
// 2.4.7). It does nothing when that has ended.
func (l *Leg) Report(r Referred, code int, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.referral
	if a == nil || a.token != r.Token || !a.answered || l.phase != up {
		return
	}
	if code >= 200 {
		l.referral = nil
		l.keep()
	}
	l.notify(a, code, reason)
}

// notify queues a NOTIFY. They leave one after the other, each when the one before
// it has been answered, so that what is last is last on any transport. The caller
// holds mu.
func (l *Leg) notify(a *referral, code int, reason string) {
	if a.quiet {
		return
	}
	if reason == "" {
		reason = phrases[code]
	}
	req := l.request(sip.NOTIFY)
	req.AppendHeader(l.e.contact(l.dialog.flow))
	req.AppendHeader(sip.NewHeader("Event", a.event))
	state := "active;expires=" + strconv.Itoa(referralLasts)
	if code >= 200 {
		state = "terminated;reason=noresource"
	}
	req.AppendHeader(sip.NewHeader("Subscription-State", state))
	kind := sip.ContentTypeHeader("message/sipfrag;version=2.0")
	req.AppendHeader(&kind)
	req.SetBody([]byte("SIP/2.0 " + strconv.Itoa(code) + " " + printable(reason) + "\r\n"))
	l.notices = append(l.notices, req)
	if len(l.notices) > 1 {
		return // whoever sends the first takes this along
	}
	l.told = make(chan struct{})
	if !l.e.start("telling of a referral", l.sendNotices) {
		l.notices = nil
		close(l.told)
	}
}

// referralLasts is how long, in seconds, a transfer may take: longer than any phone
// rings for it.
const referralLasts = 180

func (l *Leg) sendNotices() {
	for {
		l.mu.Lock()
		req := l.notices[0]
		l.mu.Unlock()
		if _, err := l.e.ask(req); err != nil {
			l.e.o.Log.Debug("NOTIFY not answered", zap.Error(err))
		}
		l.mu.Lock()
		l.notices = l.notices[1:]
		last := len(l.notices) == 0
		if last {
			close(l.told)
		}
		l.mu.Unlock()
		if last {
			return
		}
	}
}
