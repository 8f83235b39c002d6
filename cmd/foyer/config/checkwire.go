package config

import "net/netip"

func (k *checker) checkListen() {
	l := &k.c.Listen
	if !k.given(&l.SIPUDP) && !k.given(&l.SIPTCP) && !k.given(&l.SIPTLS) && !k.given(&l.HTTPS) {
		k.errorf(k.at[l], "listen needs \"sip_udp\", \"sip_tcp\", \"sip_tls\" or \"https\": without one no call can come in")
	}
	k.checkMediaAddress(l)
	k.checkPorts(l)
	k.checkKeys(l)
	// The path of a Unix socket has 107 bytes, see unix(7).
	if at, set := k.at[&l.AdminSocket]; set && len(l.AdminSocket) > 107 {
		k.errorf(at, "listen.admin_socket is longer than the 107 bytes a socket's path may have")
	}
}

func (k *checker) given(field any) bool {
	_, yes := k.at[field]
	return yes
}

func (k *checker) checkMediaAddress(l *Listen) {
	rtp, given := k.at[&l.RTP]
	if !given {
		rtp = k.at[l]
	}
	_, public := k.at[&l.RTP.PublicIP]
	if l.RTP.PublicIP.IsUnspecified() && !public {
		k.errorf(rtp, "listen.rtp needs \"public_ip\" (or an \"addr\" of one interface): phones must be told one address")
	}
	if l.RTP.Addr.IsValid() && l.RTP.Addr.Is4() != l.RTP.PublicIP.Is4() {
		k.errorf(k.at[&l.RTP.PublicIP], "listen.rtp.public_ip and listen.rtp.addr are of different IP versions")
	}
}

// checkPorts: one TCP port serves one thing, and none is in the range of media.
func (k *checker) checkPorts(l *Listen) {
	type listener struct {
		key  string
		addr *netip.AddrPort
		at   any
	}
	once := []listener{
		{"listen.http", &l.HTTP, &l.HTTP}, {"listen.https.addr", &l.HTTPS.Addr, &l.HTTPS.Addr},
		{"listen.sip_tcp", &l.SIPTCP.AddrPort, &l.SIPTCP}, {"listen.sip_tcp", &l.SIPTCP.Other, &l.SIPTCP.Other},
		{"listen.sip_tls", &l.SIPTLS.AddrPort, &l.SIPTLS}, {"listen.sip_tls", &l.SIPTLS.Other, &l.SIPTLS.Other},
		{"listen.metrics", &l.Metrics, &l.Metrics},
	}
	for i, a := range once {
		for _, b := range once[:i] {
			if a.key != b.key && a.addr.IsValid() && b.addr.IsValid() && overlap(*a.addr, *b.addr) {
				k.errorf(k.at[a.at], "%s is %s, which %s has taken", a.key, *a.addr, b.key)
			}
		}
	}
	for _, udp := range []listener{{"", &l.SIPUDP.AddrPort, &l.SIPUDP}, {"", &l.SIPUDP.Other, &l.SIPUDP.Other}} {
		p := udp.addr.Port()
		if udp.addr.IsValid() && p >= l.RTP.Ports.Min && p <= l.RTP.Ports.Max &&
			overlap(*udp.addr, netip.AddrPortFrom(l.RTP.Addr, p)) {
			k.errorf(k.at[udp.at], "listen.sip_udp is %s, inside the range of listen.rtp.ports", *udp.addr)
		}
	}
}

// checkKeys: what speaks TLS has a certificate, and a certificate has its key.
func (k *checker) checkKeys(l *Listen) {
	for _, of := range []struct {
		path string
		pair *KeyPair
	}{{"listen.tls", &l.TLS}, {"listen.https.tls", &l.HTTPS.TLS}} {
		if (of.pair.Cert == "") != (of.pair.Key == "") {
			k.errorf(k.at[of.pair], "%s needs \"cert\" and \"key\", the files of a certificate and of its key", of.path)
		}
	}
	if k.given(&l.SIPTLS) && l.CertificateOfSIP() == (KeyPair{}) {
		k.errorf(k.at[&l.SIPTLS], "listen.sip_tls needs a certificate: give listen.tls {cert, key}")
	}
	if k.given(&l.HTTPS) && l.CertificateOfHTTPS() == (KeyPair{}) {
		k.errorf(k.at[&l.HTTPS], "listen.https needs a certificate: give listen.https.tls {cert, key}, or listen.tls")
	}
}

// overlap says whether two listeners would want the same port.
func overlap(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && (a.Addr() == b.Addr() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified())
}

func (k *checker) checkTrunks() {
	calls := 0
	for i := range k.c.Trunks {
		t := &k.c.Trunks[i]
		calls += t.MaxCalls
		k.checkEntrance(t)
		for j := range t.Auth.Allow {
			p := &t.Auth.Allow[j]
			if !p.IsValid() {
				continue
			}
			if p.Bits() == 0 {
				k.errorf(k.at[p], "%s lets the whole Internet in as carrier %q", p, t.ID)
			}
			for o := range k.c.Trunks[:i] {
				k.checkOverlap(t, p, &k.c.Trunks[o])
			}
		}
		k.checkOut(t)
		if at, given := k.at[&t.Wideband]; given && t.Wideband && len(k.c.Media.Wideband) == 0 {
			k.errorf(at, "trunks[%s].wideband needs \"media.wideband\": the codecs to change to", t.ID)
		}
	}
	// Two legs a call, a pair of ports a leg.
	if room := k.c.Listen.RTP.Ports.Pairs() / 2; calls > room && room > 0 {
		k.warnf(k.at[&k.c.Listen.RTP], "listen.rtp.ports has room for %d calls at once, but the trunks may bring %d", room, calls)
	}
}

// checkEntrance checks how a carrier is recognised.
func (k *checker) checkEntrance(t *Trunk) {
	at, given := k.at[&t.Auth.Allow]
	if t.Auth.Mode == ByAddress {
		switch {
		case !given:
			k.errorf(k.at[&t.Auth], "trunks[%s].auth needs \"allow\": the addresses its carrier calls from", t.ID)
		case len(t.Auth.Allow) == 0:
			k.errorf(at, "trunks[%s].auth.allow is empty: no carrier could ever call", t.ID)
		}
		if at, given := k.at[&t.Auth.Registrar]; given {
			k.errorf(at, "trunks[%s].auth.registrar is for mode: register", t.ID)
		}
		if at, given := k.at[&t.Auth.Expires]; given {
			k.errorf(at, "trunks[%s].auth.expires is for mode: register", t.ID)
		}
		return
	}
	if t.Auth.Mode != ByRegister {
		return // no mode at all, which was said already
	}
	if t.Auth.Username == "" {
		k.errorf(k.at[&t.Auth], "trunks[%s].auth needs \"username\" and \"password\" to register", t.ID)
	}
	if t.Auth.Registrar.Name == "" && t.Host.Name == "" {
		k.errorf(k.at[&t.Auth], "trunks[%s] needs \"host\", or \"registrar\" in its auth: where should it register?", t.ID)
	}
}

// checkOverlap: a request's source address must say whose it is.
func (k *checker) checkOverlap(t *Trunk, p *netip.Prefix, other *Trunk) {
	for _, q := range other.Auth.Allow {
		if p.Overlaps(q) && q.Bits() > 0 {
			k.errorf(k.at[p], "%s of trunk %q overlaps %s of trunk %q: a source address must belong to one carrier", p, t.ID, q, other.ID)
		}
	}
}

// checkOut checks how a trunk takes calls of ours.
func (k *checker) checkOut(t *Trunk) {
	_, user := k.at[&t.Auth.Username]
	password, secret := k.at[&t.Auth.Password]
	switch {
	case user != secret:
		k.errorf(k.at[&t.Auth], "trunks[%s].auth needs \"username\" and \"password\", or neither", t.ID)
	case k.literal[&t.Auth.Password] && !k.c.Demo:
		k.errorf(password, "password must not be literal; use ${cred:trunk_%s} or ${file:…}", t.ID)
	}
	if ca, set := k.at[&t.CA]; set && t.Transport != "tls" {
		k.errorf(ca, "trunks[%s].ca is for transport tls, and this trunk's is %s", t.ID, t.Transport)
	}
	if at := k.at[&t.Ringback]; t.Ringback && !t.EarlyMedia {
		k.errorf(at, "trunks[%s].ringback needs \"early_media: true\": a caller who has been answered hears music", t.ID)
	}
	at, out := k.at[&t.Host]
	if ping, given := k.at[&t.OptionsPing]; given && !out {
		k.errorf(ping, "trunks[%s].options_ping needs \"host\": whom should it ask?", t.ID)
	}
	if !out || t.Host.Name == "" {
		return
	}
	if l := &k.c.Listen; t.Transport == "udp" && !l.SIPUDP.IsValid() || t.Transport == "tcp" && !l.SIPTCP.IsValid() ||
		t.Transport == "tls" && !l.SIPTLS.IsValid() {
		k.errorf(at, "trunk %q is called by %s, but there is no listen.sip_%s for the carrier to call back", t.ID, t.Transport, t.Transport)
	}
	k.checkPlace(t, "host", &t.Host)
	k.checkPlace(t, "auth.registrar", &t.Auth.Registrar)
}

// checkPlace: an address that a trunk is reached at must not be another's.
func (k *checker) checkPlace(t *Trunk, key string, h *Host) {
	addr, err := netip.ParseAddr(h.Name)
	if err != nil {
		return // a name, or none: who knows where it leads tomorrow
	}
	for i := range k.c.Trunks {
		o := &k.c.Trunks[i]
		for _, p := range o.Auth.Allow {
			if o != t && p.Contains(addr) {
				k.errorf(k.at[h], "%s %s of trunk %q is in %s of trunk %q: a source address must belong to one carrier", key, addr, t.ID, p, o.ID)
			}
		}
	}
}

func (k *checker) checkMedia() {
	seen := map[string]bool{}
	for i := range k.c.Media.Codecs {
		name := &k.c.Media.Codecs[i]
		if seen[*name] {
			k.errorf(k.at[name], "codec %s stands twice", *name)
		}
		seen[*name] = true
	}
	if !seen["PCMA"] && !seen["PCMU"] {
		k.errorf(k.at[&k.c.Media.Codecs], "media.codecs needs PCMA or PCMU: nothing else carries a voice here")
	}
	for i := range k.c.Media.Wideband {
		name := &k.c.Media.Wideband[i]
		if seen[*name] {
			k.errorf(k.at[name], "codec %s stands twice", *name)
		}
		seen[*name] = true
	}
}
