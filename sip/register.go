package sip

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

const (
	maxContactURI = 512 // bytes
	maxUserAgent  = 128
)

// enlist answers a REGISTER outside any dialog that has passed vet, on the
// goroutine that read it. It starts no transaction, of which nothing would be
// left: a refused stranger costs no memory (RFC 3261 section 8.2.7), and the
// registrar knows a repetition of what it has accepted by itself, so that ten
// thousand phones that come back at once cost none either. Nobody waits for
// anything here but the peer of a connection, for its own.
func (e *Edge) enlist(transport string, ends addrs, req *sip.Request) {
	req.SetTransport(sip.NetworkToUpper(transport))
	req.SetSource(ends.remote.String())
	if e.counting {
		e.countReceived(req)
	}
	e.stamp(req)
	var res *sip.Response
	if a := arrivalOf(req); a.refused != nil {
		res = e.refusing(req, a.refused)
	} else if !e.guard("registering", func() { res = e.o.Registrar.registered(req) }) {
		res = e.refusing(req, &refusal{code: sip.StatusInternalServerError})
	}
	if err := e.write(transport, ends, res); err != nil {
		e.o.Log.Debug("REGISTER not answered", zap.Error(err))
	}
}

// registered carries a REGISTER out (RFC 3261 section 10.3) and returns the
// answer. The form is looked at first, so that it is refused alike for everybody,
// then who sent it.
func (r *Registrar) registered(req *sip.Request) *sip.Response {
	want, bad := r.read(req)
	if bad != nil {
		r.tellRejected(req, "")
		return reply(req, bad.Code, bad.Reason)
	}
	account, v := r.prove(req)
	want.user = account.User
	if v == replayed && r.repeats(want) {
		return r.accept(req, want)
	}
	if v != proven {
		r.remember(account.User, req, want.signs)
		if v != missing && !v.worthRetrying() {
			r.tellRejected(req, claimed(req))
		}
		return r.challenge(req, account.Algorithm, v.worthRetrying())
	}
	want.signs |= r.recall(want.user, want.callID)
	var err error
	r.change(func(now time.Time) (events []RegEvent) {
		events, err = r.places.register(now, want)
		for i := range events {
			events[i].Signs = want.signs
		}
		return events
	})
	if err != nil {
		r.tellRejected(req, want.user)
		return reply(req, sip.StatusBadRequest, sentence(err))
	}
	return r.accept(req, want)
}

// repeats reports whether a REGISTER is a copy of the one that a binding is from:
// its answer was lost on the way, and it is not carried out again.
func (r *Registrar) repeats(want registration) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.places.repeats(r.now(), want)
}

func sentence(err error) string {
	switch {
	case errors.Is(err, errStaleCSeq):
		return "CSeq Out Of Order"
	case errors.Is(err, errTooMany):
		return "Too Many Contacts"
	}
	return "Bad Request"
}

func (r *Registrar) tellRejected(req *sip.Request, user string) {
	from, _ := flowOf(req)
	r.reject(user, Binding{Transport: from.transport, Source: from.remote, UserAgent: userAgent(req)})
}

// read turns a REGISTER into what it asks for, or says what is wrong with it.
func (r *Registrar) read(req *sip.Request) (registration, *Reject) {
	bad := func(reason string) (registration, *Reject) {
		return registration{}, &Reject{Code: sip.StatusBadRequest, Reason: reason}
	}
	from, ok := flowOf(req)
	if !ok || req.CallID() == nil || req.CSeq() == nil || claimed(req) == "" {
		return bad("Bad Request")
	}
	want := registration{
		from:      from,
		callID:    string(*req.CallID()),
		cseq:      req.CSeq().SeqNo,
		userAgent: userAgent(req),
		grant:     r.grant(from.transport),
		phase:     r.phase(),
	}
	if a := arrivalOf(req); a != nil {
		want.signs = signsOf(req, a.filled, firstHeader(req, "authorization") == nil)
	}
	remove := false // what the Expires header says for contacts that say nothing
	if h := firstHeader(req, "expires"); h != nil {
		if remove, ok = isZero(h.Value()); !ok {
			return bad("Bad Expires")
		}
	}
	headers := slices.Collect(eachHeader(req, "contact"))
	for _, h := range headers {
		c, ok := h.(*sip.ContactHeader)
		if !ok {
			return bad("Bad Contact")
		}
		if c.Address.Wildcard {
			// RFC 3261 section 10.2.2: only alone, and only to remove everything.
			if len(headers) > 1 || !remove {
				return bad("Bad Contact")
			}
			want.removeAll = true
			return want, nil
		}
		one, ok := readContact(c, remove, secure(from.transport))
		if !ok {
			return bad("Bad Contact")
		}
		want.contacts = append(want.contacts, one)
	}
	return want, nil
}

// readContact takes what we use of a Contact. It is a SIP URI or nothing: a call
// will be sent there. That it is a sips URI promises that nobody can listen, which
// only a flow by TLS keeps (RFC 5630 section 5.3).
func readContact(h *sip.ContactHeader, remove, secure bool) (contact, bool) {
	c := contact{uri: h.Address.String(), remove: remove}
	scheme := h.Address.Scheme
	if scheme != "sip" && (scheme != "sips" || !secure) || h.Address.Host == "" || len(c.uri) > maxContactURI {
		return c, false
	}
	for _, p := range h.Params {
		value := betweenBlank(p.V)
		switch strings.ToLower(betweenBlank(p.K)) {
		case "expires":
			var ok bool
			if c.remove, ok = isZero(value); !ok {
				return c, false
			}
		case "+sip.instance":
			c.instance = strings.Trim(value, `"`)
		case "reg-id":
			c.regID = value
		}
	}
	return c, len(c.instance) <= maxContactURI && len(c.regID) <= 10
}

// isZero reads delta-seconds and says whether they are zero. Something that is
// no number counts as one hour (RFC 3261 section 20.19), a number of more than
// 32 bits is not ok.
func isZero(s string) (zero, ok bool) {
	n, err := strconv.ParseUint(betweenBlank(s), 10, 32)
	if errors.Is(err, strconv.ErrRange) {
		return false, false
	}
	return err == nil && n == 0, true
}

// roomForContacts is how many bytes of Contact headers an answer over UDP has
// room for before it is cut into fragments, which home routers drop. A phone
// that cannot be told of all bindings is told of its own.
const roomForContacts = 700

// accept answers 200 with all bindings of the user and what is left of each.
func (r *Registrar) accept(req *sip.Request, want registration) *sip.Response {
	res := reply(req, sip.StatusOK, "OK")
	now := r.now()
	room := maxAuthorization
	if want.from.transport == "udp" {
		room = roomForContacts
	}
	bindings := r.Bindings(want.user)
	for _, own := range [...]bool{true, false} {
		for _, b := range bindings {
			value := "<" + b.Contact + ">;expires=" + strconv.Itoa(seconds(b.Expires.Sub(now)))
			if want.has(b) == own && len(value) <= room {
				room -= len(value)
				res.AppendHeader(sip.NewHeader("Contact", value))
			}
		}
	}
	if len(want.contacts) > 0 {
		res.AppendHeader(sip.NewHeader("Expires", strconv.Itoa(seconds(want.grant))))
	}
	// Many phones set their clock by it (RFC 3261 section 10.3 step 8).
	res.AppendHeader(sip.NewHeader("Date", now.UTC().Format(http.TimeFormat)))
	return res
}

// has reports whether a binding is one the request speaks of.
func (want registration) has(b Binding) bool {
	for _, c := range want.contacts {
		if c.uri == b.Contact {
			return true
		}
	}
	return false
}

// seconds rounds up: a phone told 0 would think itself removed.
func seconds(d time.Duration) int {
	return int((d + time.Second - 1) / time.Second)
}

func userAgent(req *sip.Request) string {
	h := firstHeader(req, "user-agent")
	if h == nil {
		return ""
	}
	v := h.Value()
	return printable(v[:min(len(v), maxUserAgent)])
}
