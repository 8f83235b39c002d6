package rtp

import (
	"net/netip"
	"strings"
)

// Guard is what protects a stream on the wire.
type Guard uint8

const (
	Plain Guard = iota // nothing: RTP as it is
	SDES               // SRTP, its keys in the SDP (RFC 4568): as secret as the signalling is
	DTLS               // SRTP, its keys from a handshake on the media path (RFC 5763, RFC 5764)
)

func (g Guard) String() string { return [...]string{"plain", "sdes", "dtls"}[g] }

// Guards is a set of them.
type Guards uint8

// Among makes a set.
func Among(list ...Guard) (g Guards) {
	for _, one := range list {
		g |= 1 << one
	}
	return g
}

func (g Guards) has(one Guard) bool { return g&(1<<one) != 0 }

// Protection is how a session may be protected.
type Protection struct {
	Offer  Guard  // what a first offer of ours asks for
	Answer Guards // what of a peer's offer is taken; the zero value takes only what Offer names
	// Fingerprint of our certificate, Media.Fingerprint; without it there is no DTLS.
	Fingerprint string
	ICE         bool // answered where it is offered, and offered together with DTLS
}

func (p Protection) takes() Guards {
	if p.Answer == 0 {
		return Among(p.Offer)
	}
	return p.Answer
}

// Protect says how this session may be protected. Before it is called: not at all.
func (s *Session) Protect(p Protection) { s.protection = p }

// Handshake is what SDP says about a DTLS handshake to come.
type Handshake struct {
	Active  bool   // we begin it (RFC 4145 a=setup)
	Prints  string // of the peer's certificate, one a line as in a=fingerprint (RFC 8122): one must fit
	Restart string // changes when the peer wants another handshake though its certificate is the same
}

// Checks are the credentials of ICE connectivity checks (RFC 8445). We are lite:
// we answer checks and make none, and send where the peer's checks say.
type Checks struct {
	OurName, TheirName       string // ufrag
	OurPassword, TheirSecret Secret
}

// Secret is a key or password; it is never printed.
type Secret string

// String hides it in logs, and GoString from %#v.
func (Secret) String() string   { return "redacted" }
func (Secret) GoString() string { return "redacted" }

// MarshalText hides it in JSON.
func (Secret) MarshalText() ([]byte, error) { return []byte("redacted"), nil }

// secure is RTP under SRTP, by whatever keys; overTLS by those of a handshake.
func secure(proto string) bool {
	proto, _ = cutFold(proto, "UDP/TLS/")
	return strings.EqualFold(proto, "RTP/SAVP") || strings.EqualFold(proto, "RTP/SAVPF")
}

func overTLS(proto string) bool {
	_, tls := cutFold(proto, "UDP/TLS/")
	return tls
}

// plain is RTP in the clear, unless attributes say more. The feedback profile (RFC
// 4585) is ordinary RTP for one who has no feedback to give.
func plain(proto string) bool {
	return strings.EqualFold(proto, "RTP/AVP") || strings.EqualFold(proto, "RTP/AVPF")
}

// guards are those a peer's stream can be had with. Keys under RTP/AVP are an
// offer to encrypt if the other side can (RFC 8643).
func (m *section) guards() (g Guards) {
	if plain(m.proto) {
		g = Among(Plain)
	} else if !secure(m.proto) {
		return 0
	}
	if len(m.cryptos) > 0 && !overTLS(m.proto) {
		g |= Among(SDES)
	}
	if len(m.prints) > 0 && m.setup != "holdconn" {
		g |= Among(DTLS)
	}
	return g
}

// guard chooses among those allowed: what is in use, else the better. Of keys in
// the SDP and a handshake the one the profile is made for comes first.
func (m *section) guard(allowed Guards, inUse Guard) (Guard, bool) {
	g := m.guards() & allowed
	order := [...]Guard{inUse, SDES, DTLS, Plain}
	if overTLS(m.proto) {
		order = [...]Guard{DTLS, DTLS, SDES, Plain}
	} else if inUse == Plain {
		order[0] = SDES // a call may become safer
	}
	for _, one := range order {
		if g.has(one) {
			return one, true
		}
	}
	return Plain, false
}

// profile is the transport of an offer of ours.
func (p Protection) profile() string {
	switch {
	case p.Offer == SDES:
		return "RTP/SAVP"
	case p.Offer == DTLS && p.ICE:
		return "UDP/TLS/RTP/SAVPF" // as browsers write it (RFC 8834)
	case p.Offer == DTLS:
		return "UDP/TLS/RTP/SAVP"
	default:
		return "RTP/AVP"
	}
}

// secure puts what protects the stream into an offer of ours: what is agreed, else
// what Protection says, with fresh keys.
func (s *Session) secure(o *ours) {
	if len(s.agreed.lines) > 0 {
		a := &s.agreed
		o.guard, o.keys, o.setup, o.ice, o.bundle = a.guard, a.keys, a.setup, a.ice, a.bundle
		if o.guard == DTLS {
			o.setup = "actpass" // RFC 5763 section 5; the roles stay all the same
		}
		return
	}
	p := s.protection
	o.guard = p.Offer
	switch p.Offer {
	case SDES:
		o.keys = offerKeys()
		if p.takes().has(DTLS) && p.Fingerprint != "" {
			o.setup = "actpass" // some phones say yes to this profile and mean DTLS
		}
	case DTLS:
		o.setup = "actpass"
		o.mux, o.ice = p.ICE, p.ICE
		if p.ICE {
			o.lines[0].mid, o.bundle = "0", "0"
			s.renameICE()
		}
	}
}

// reply puts what protects the stream into our answer to theirs. It changes nothing.
func (s *Session) reply(o *ours, theirs *section) {
	o.guard, _ = theirs.guard(s.protection.takes(), s.agreed.guard)
	switch o.guard {
	case SDES:
		o.keys = []cryptoLine{s.keyFor(theirs.cryptos[0])}
	case DTLS:
		// We let the peer begin: it may be behind a router that lets nothing in before.
		o.setup = "passive"
		if theirs.setup == "passive" || s.client && theirs.setup == "actpass" {
			o.setup = "active"
		}
	}
	o.ice = s.protection.ICE && theirs.ufrag != "" && o.guard != Plain
}

// keyFor is our side of the peer's crypto line. While the peer keeps its key we
// keep ours; when it begins anew, with another key and maybe another device, so do
// we, for it knows nothing of how often our numbers have rolled over.
func (s *Session) keyFor(theirs cryptoLine) cryptoLine {
	ours := cryptoLine{tag: theirs.tag, suite: theirs.suite}
	if k := s.keys; k != nil && k.Suite == theirs.suite && k.Theirs == theirs.key {
		ours.key = k.Ours
		return ours
	}
	ours.key = newKey(theirs.suite)
	return ours
}

// shield works out what protects the stream that has been agreed on.
func (s *Session) shield(st *Stream, theirs *section) {
	a := &s.agreed
	st.Guard = a.guard
	s.keys = nil
	switch a.guard {
	case SDES:
		for _, ours := range a.keys {
			if c := theirs.cryptos[0]; ours.tag == c.tag {
				s.keys = &Keys{Suite: ours.suite, Ours: ours.key, Theirs: c.key, MKI: c.mki}
			}
		}
		st.Keys = s.keys
	case DTLS:
		s.client = s.begins(theirs)
		st.DTLS = &Handshake{Active: s.client, Prints: strings.Join(theirs.prints, "\n"), Restart: theirs.tlsID}
	}
	if a.ice {
		s.ice.peer = theirs.ufrag
	}
	// Two lite agents make no checks: both send where the SDP says.
	if a.ice && theirs.ufrag != "" && !theirs.lite {
		st.ICE = &Checks{OurName: s.ice.name, OurPassword: s.ice.password, TheirName: theirs.ufrag, TheirSecret: theirs.pwd}
	}
}

// begins tells whether we are the client of the handshake.
func (s *Session) begins(theirs *section) bool {
	if s.offerer {
		return theirs.setup == "passive"
	}
	return s.agreed.setup == "active"
}

// agrees gives our side of an offer as it was answered: of what may protect the
// stream, only what the peer took. It leaves the same in theirs.
func (s *Session) agrees(theirs *section) (ours, bool) {
	o := s.said
	o.mux = o.mux && theirs.mux
	if o.guard == Plain {
		return o, plain(theirs.proto)
	}
	for _, c := range theirs.cryptos {
		for _, mine := range o.keys {
			if mine.tag == c.tag && mine.suite == c.suite {
				theirs.cryptos = []cryptoLine{c}
				o.guard, o.setup = SDES, ""
				return o, true
			}
		}
	}
	o.guard, o.keys = DTLS, nil
	shakes := theirs.setup == "active" || theirs.setup == "passive"
	return o, o.setup != "" && len(theirs.prints) > 0 && shakes
}

// iceSide is our ICE name and password, and the peer's name they are for.
type iceSide struct {
	name     string
	password Secret
	peer     string
}

// renameICE draws new credentials. RFC 8445 section 5.3 wants 24 bits of chance in
// the name and 128 in the password.
func (s *Session) renameICE() {
	s.ice = iceSide{name: randomText(8), password: Secret(randomText(24))}
}

// meetICE gives a peer credentials of ours; new ones when it restarts ICE (RFC
// 8445 section 9).
func (s *Session) meetICE(theirs *section) {
	if s.ice.name == "" || s.ice.peer != "" && s.ice.peer != theirs.ufrag {
		s.renameICE()
	}
	s.ice.peer = theirs.ufrag
}

// candidate is the one of a lite agent with one address: priority by RFC 8445
// section 5.1.2.1, type preference 126, local preference 65535.
func candidate(b []byte, component int, a netip.AddrPort) []byte {
	priority := "2130706431"
	if component == 2 {
		priority = "2130706430"
	}
	b = append(b, "a=candidate:1 "...)
	b = append(b, byte('0'+component))
	b = append(b, " UDP "+priority+" "...)
	b = a.Addr().AppendTo(b)
	b = append(b, ' ')
	b = appendInt(b, int(a.Port()))
	return append(b, " typ host\r\n"...)
}
