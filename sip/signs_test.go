package sip

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"foyer/sip/siptest"
)

func TestSigns(t *testing.T) {
	const public, inside = "203.0.113.7", "192.168.1.10"
	for _, x := range []struct {
		name                    string
		source, via, contact    string
		params, second, answers string // answers: Authorization, for a REGISTER we have challenged
		want                    Signs
	}{
		{name: "a phone behind a router", source: public, via: inside, contact: inside},
		{name: "with its answer to our challenge it has learned its public address", source: public, via: inside, contact: public, answers: "Digest x=1"},
		{name: "it has learned it for both", source: public, via: public, contact: public, answers: "Digest x=1"},
		{name: "it asked a STUN server", source: public, via: public, contact: public},
		{name: "it cannot know yet", source: public, via: inside, contact: public, want: ContactForeknown},
		{name: "Via alone is public", source: public, via: public, contact: inside, want: ViaRewritten},
		{name: "the same later", source: public, via: public, contact: inside, answers: "Digest x=1", want: ViaRewritten},
		{name: "a carrier's address inside", source: public, via: public, contact: "100.72.3.4", want: ViaRewritten},
		{name: "no router: a phone of the office", source: inside, via: inside, contact: inside},
		{name: "two addresses of an office", source: "10.0.0.3", via: "10.0.0.3", contact: inside},
		{name: "a phone on this machine", source: "127.0.0.1", via: "127.0.0.1", contact: inside},
		{name: "names instead of addresses", source: public, via: "pc.home", contact: "pc.home"},
		{name: "a phone on the Internet with two addresses", source: public, via: public, contact: "198.51.100.9"},
		{name: "somebody filled rport", source: public, via: inside, contact: inside, params: ";rport=4711", want: ViaFilled},
		{name: "and received", source: public, via: inside, contact: inside, params: ";rport;received=203.0.113.7", want: ViaFilled},
		{name: "rport as phones write it", source: public, via: inside, contact: inside, params: ";rport"},
		{name: "a proxy, which may fill the Via below its own", source: public, via: public, contact: inside, params: ";rport",
			second: "Via: SIP/2.0/UDP 192.168.1.10:5060;received=192.168.1.10;branch=z9hG4bKb\n", want: ViaRewritten},
		{name: "IPv6 at home has no router that translates", source: "2001:db8::7", via: "[2001:db8::7]", contact: "[2001:db8::7]"},
	} {
		auth := ""
		if x.answers != "" {
			auth = "Authorization: " + x.answers + "\n"
		}
		req := parsed(t, "UDP", netip.AddrPortFrom(netip.MustParseAddr(x.source), 5060).String(), fmt.Sprintf(
			"REGISTER sip:lo.test SIP/2.0\nVia: SIP/2.0/UDP %s:5060;branch=z9hG4bKa%s\n%sFrom: <sip:ana@lo.test>;tag=1\nTo: <sip:ana@lo.test>\n"+
				"Call-ID: c\nCSeq: 1 REGISTER\nContact: <sip:ana@%s:5060>\n%sContent-Length: 0\n\n", x.via, x.params, x.second, x.contact, auth))
		if got := signsOf(req, viaFilled(req), auth == ""); got != x.want {
			t.Errorf("%s: signs %b, want %b", x.name, got, x.want)
		}
	}
}

// gateway is a home router's socket that rewrites what passes.
type gateway struct {
	net.PacketConn
	out, in func([]byte) []byte
}

func (g gateway) WriteTo(b []byte, to net.Addr) (int, error) {
	if _, err := g.PacketConn.WriteTo(g.out(b), to); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (g gateway) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := g.PacketConn.ReadFrom(b)
	if err != nil {
		return n, from, err
	}
	return copy(b, g.in(b[:n])), from, nil
}

// Phones behind gateways of several kinds, at the socket: what the registrar tells of
// each REGISTER and of each answer to a probe.
func TestSignsOfGateways(t *testing.T) {
	as := func(b []byte) []byte { return b }
	swap := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(old), []byte(new)) }
	}
	for _, x := range []struct {
		name    string
		out, in func([]byte) []byte
		want    Signs
	}{
		{"none", as, as, 0},
		{"rewrites all, both ways", swap("192.168.1.10:5060", "203.0.113.7:PORT"), swap("203.0.113.7:PORT", "192.168.1.10:5060"), 0},
		{"rewrites Contact", swap("sip:ana@192.168.1.10:5060", "sip:ana@203.0.113.7:PORT"), as, ContactForeknown},
		{"rewrites Via", swap("UDP 192.168.1.10:5060", "UDP 203.0.113.7:PORT"), as, ViaRewritten},
		{"fills Via", swap(";rport", ";rport=5060;received=192.168.1.10"), as, ViaFilled},
		{"rewrites our address in what it lets in", as, swap("10.0.0.1", "192.168.1.1"), AnswerRewritten},
	} {
		t.Run(x.name, func(t *testing.T) {
			network := siptest.NewNet(1)
			udp, err := network.Listen("10.0.0.1:5060")
			if err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			var seen Signs
			asked := make(chan Asked, 16)
			c := openCounter(t, udp, RegistrarOptions{
				Probe: 100 * time.Millisecond, Asked: func(a Asked) { asked <- a },
				Changed: func(e RegEvent) { mu.Lock(); seen |= e.Signs; mu.Unlock() },
			})
			router, err := network.NAT("203.0.113.7", siptest.NATRules{})
			if err != nil {
				t.Fatal(err)
			}
			inside, err := router.Listen("192.168.1.10:5060")
			if err != nil {
				t.Fatal(err)
			}
			port := "40000"
			public := func(f func([]byte) []byte) func([]byte) []byte {
				return func(b []byte) []byte {
					return bytes.ReplaceAll(f(bytes.ReplaceAll(b, []byte("203.0.113.7:"+port), []byte("203.0.113.7:PORT"))), []byte("PORT"), []byte(port))
				}
			}
			p, err := siptest.NewPhone(gateway{inside, public(x.out), public(x.in)}, siptest.Options{
				User: "ana", Password: "pw-ana", Domain: testRealm, Server: "10.0.0.1:5060", Contact: "192.168.1.10:5060",
			})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			mustRegister(t, p)
			a := <-asked
			if !a.Answered || a.RTT <= 0 || a.From != c.Bindings("ana")[0].Source {
				t.Errorf("asked: %+v", a)
			}
			mu.Lock()
			defer mu.Unlock()
			if seen |= a.Signs; seen != x.want {
				t.Errorf("signs %b, want %b\n%s", seen, x.want, p.Wire().Ladder())
			}
			if seen.Sure() != strings.Contains("fills Via, rewrites Via, rewrites our address in what it lets in", x.name) {
				t.Errorf("sure: %v", seen.Sure())
			}
		})
	}
}
