package siptest

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// Who may answer to a public port that has written to one server, by kind.
func TestFourKindsOfNAT(t *testing.T) {
	for _, c := range []struct {
		kind                    NATKind
		server, sameHost, other bool // reached the phone
		samePort                bool // the same public port towards both
	}{
		{FullCone, true, true, true, true},
		{AddressRestricted, true, true, false, true},
		{PortRestricted, true, false, false, true},
		{Symmetric, true, false, false, false},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := NewNet(1)
				router := must[*NAT](t)(n.NAT("203.0.113.1", NATRules{Kind: c.kind}))
				phone := must[*Endpoint](t)(router.Listen("192.168.1.10:5060"))
				server := must[*Endpoint](t)(n.Listen("198.51.100.1:5060"))
				sameHost := must[*Endpoint](t)(n.Listen("198.51.100.1:7000"))
				other := must[*Endpoint](t)(n.Listen("198.51.100.2:5060"))
				phone.WriteTo([]byte("hello"), server.LocalAddr())
				_, public, err := server.ReadFrom(make([]byte, 64))
				if err != nil {
					t.Fatal(err)
				}
				for name, from := range map[string]*Endpoint{"server": server, "same host": sameHost, "other": other} {
					from.WriteTo([]byte(name), public)
				}
				got := fmt.Sprint(drain(t, phone))
				for name, want := range map[string]bool{"server": c.server, "same host": c.sameHost, "other": c.other} {
					if bytes.Contains([]byte(got), []byte(name)) != want {
						t.Errorf("%s reached the phone: %v, want %v", name, !want, want)
					}
				}
				phone.WriteTo([]byte("hello"), other.LocalAddr())
				_, second, err := other.ReadFrom(make([]byte, 64))
				if err != nil {
					t.Fatal(err)
				}
				if same := second.String() == public.String(); same != c.samePort {
					t.Errorf("seen from %v and %v", public, second)
				}
				phone.WriteTo([]byte("to myself"), public)
				if got := drain(t, phone); len(got) != 0 {
					t.Errorf("through the hairpin came %v", got)
				}
			})
		})
	}
}

func TestRouterForgetsAndMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNet(1)
		router := must[*NAT](t)(n.NAT("203.0.113.1", NATRules{}))
		phone := must[*Endpoint](t)(router.Listen("192.168.1.10:5060"))
		media := must[*Endpoint](t)(router.Listen("192.168.1.10:4000"))
		server := must[*Endpoint](t)(n.Listen("198.51.100.1:5060"))
		from := func(e *Endpoint) string {
			e.WriteTo([]byte("hello"), server.LocalAddr())
			_, at, err := server.ReadFrom(make([]byte, 64))
			if err != nil {
				t.Fatal(err)
			}
			return at.String()
		}
		signalling, voice := from(phone), from(media)
		router.Forget(netip.MustParseAddrPort("192.168.1.10:4000"))
		if got := from(media); got == voice {
			t.Errorf("the forgotten socket came back as %s", got)
		}
		if got := from(phone); got != signalling {
			t.Errorf("the other socket moved from %s to %s", signalling, got)
		}
		if err := router.Renumber("203.0.113.9"); err != nil {
			t.Fatal(err)
		}
		if got := netip.MustParseAddrPort(from(phone)); got.Addr().String() != "203.0.113.9" {
			t.Errorf("after the move seen from %s", got)
		}
		server.WriteTo([]byte("back"), must[*net.UDPAddr](t)(net.ResolveUDPAddr("udp", from(phone))))
		if got := drain(t, phone); len(got) != 1 {
			t.Errorf("after the move arrived %v", got)
		}
	})
}

// A Real router's phone talks to a socket of this machine, through a gateway that
// rewrites, with the fate of its own link.
func TestRealRouterReachesTheMachine(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	n := NewNet(3)
	router := must[*NAT](t)(n.NAT("127.1.0.77", NATRules{Real: true, Kind: Symmetric, Rewrite: func(p *Passing) []byte {
		if !p.Out {
			return append([]byte("in "), p.Data...)
		}
		return fmt.Appendf(nil, "%s is %s", p.Data, p.Public(netip.MustParseAddrPort("192.168.1.10:5060")))
	}}))
	defer router.Close()
	phone := must[*Endpoint](t)(router.Listen("192.168.1.10:5060"))
	phone.WriteTo([]byte("phone"), server.LocalAddr())
	buf := make([]byte, 64)
	server.SetReadDeadline(time.Now().Add(5 * time.Second))
	size, from, err := server.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	if want := "phone is " + from.String(); string(buf[:size]) != want || from.(*net.UDPAddr).IP.String() != "127.1.0.77" {
		t.Errorf("%q from %v", buf[:size], from)
	}
	server.WriteTo([]byte("back"), from)
	if got := drain(t, phone); len(got) != 1 || got[0] != "in back" {
		t.Errorf("behind the router arrived %v", got)
	}
	n.Impair("192.168.1.10:5060", "", Link{Loss: 1})
	phone.WriteTo([]byte("lost"), server.LocalAddr())
	n.Impair("192.168.1.10:5060", "", Link{})
	phone.WriteTo([]byte("kept"), server.LocalAddr())
	if size, _, err = server.ReadFrom(buf); err != nil || !bytes.HasPrefix(buf[:size], []byte("kept")) {
		t.Errorf("after a dark link came %q, %v", buf[:size], err)
	}
	router.Forget()
	server.WriteTo([]byte("late"), from)
	if got := drain(t, phone); len(got) != 0 {
		t.Errorf("by a forgotten mapping arrived %v", got)
	}
}
