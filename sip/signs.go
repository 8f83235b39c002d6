package sip

import (
	"net/netip"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Signs are what shows that something between a phone and us rewrites SIP: an
// application layer gateway (ALG) of a home router. Such a gateway means well and
// breaks calls, for it knows neither all of SIP nor that we cope with NAT ourselves.
//
// A phone behind a router names its own, private address in Via and Contact. That
// it names its public one in Contact proves nothing: many phones learn it from the
// received and rport of our answers, or by STUN.
type Signs uint8

const (
	// ViaFilled: a request came with received, or a port in rport, in its only Via.
	// Only who receives a request writes that (RFC 3581 section 4).
	ViaFilled Signs = 1 << iota
	// ViaRewritten: Via names the address the request came from, Contact a private
	// one. A phone that knows its public address puts it into Contact first: that is
	// where calls go.
	ViaRewritten
	// ContactForeknown: Via was private and Contact already public in a REGISTER that
	// we had not answered yet. Without STUN no phone can know.
	ContactForeknown
	// AnswerRewritten: the answer to our OPTIONS does not repeat the From, To, Call-ID
	// or Via that we sent, as RFC 3261 section 8.2.6.2 has it.
	AnswerRewritten
)

// Sure reports whether nothing but a gateway explains the signs.
func (s Signs) Sure() bool { return s&^ContactForeknown != 0 }

// signsOf reads the signs in a REGISTER. first says that its sender has had no
// answer of ours yet.
func signsOf(req *sip.Request, filled, first bool) (s Signs) {
	if filled {
		s |= ViaFilled
	}
	from, ok := flowOf(req)
	via, contact := req.Via(), req.Contact()
	if !ok || via == nil || contact == nil || !global(from.remote.Addr()) {
		return s
	}
	source := from.remote.Addr()
	sentBy, byAddress := addressOf(via.Host)
	target, toAddress := addressOf(contact.Address.Host)
	switch {
	case !byAddress || !toAddress:
	case sentBy == source && private(target):
		s |= ViaRewritten
	case private(sentBy) && target == source && first:
		s |= ContactForeknown
	}
	return s
}

// viaFilled reports whether somebody else has written into the Via of a request. More
// than one Via is a proxy, which may.
func viaFilled(req *sip.Request) bool {
	via := req.Via()
	hops := 0
	for range eachHeader(req, "via") {
		hops++
	}
	if via == nil || hops > 1 {
		return false
	}
	received, _ := via.Params.Get("received")
	port, _ := via.Params.Get("rport")
	return received != "" || port != ""
}

// answerRewritten reports whether an answer does not repeat what we asked.
func answerRewritten(req *sip.Request, res *sip.Response) bool {
	switch {
	case res.CallID() == nil || res.From() == nil || res.To() == nil || res.Via() == nil || req.Via() == nil:
		return false // broken, which is another matter
	case string(*res.CallID()) != string(*req.CallID()):
		return true
	}
	same := strings.EqualFold
	return !same(res.From().Address.Host, req.From().Address.Host) ||
		!same(res.To().Address.Host, req.To().Address.Host) ||
		!same(res.Via().Host, req.Via().Host) || res.Via().Port != req.Via().Port
}

// addressOf reads a host of SIP that is no name.
func addressOf(host string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return a.Unmap(), err == nil
}

// shared is what carriers put their customers behind (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// private reports whether an address is known inside a home or a carrier alone.
func private(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLinkLocalUnicast() || shared.Contains(a)
}

// global reports whether an address is one of the Internet.
func global(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !private(a)
}

// remember keeps the signs of REGISTERs that were challenged, until their sender
// proves who they are: at most one for each account.
func (r *Registrar) remember(user string, req *sip.Request, s Signs) {
	if s == 0 || user == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.challenged[user] = firstSight{strings.Clone(string(*req.CallID())), s}
}

// firstSight is what the REGISTER showed that a challenge answered.
type firstSight struct {
	callID string
	signs  Signs
}

// recall gives the signs of the same REGISTER before it was challenged.
func (r *Registrar) recall(user, callID string) Signs {
	r.mu.Lock()
	defer r.mu.Unlock()
	first, ok := r.challenged[user]
	if !ok {
		return 0
	}
	delete(r.challenged, user)
	if first.callID != callID {
		return 0
	}
	return first.signs
}
