package siptest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// received sends count numbered packets 20 ms apart and returns what arrives
// within a second after the last.
func received(t *testing.T, n *Net, from, to *Endpoint, count int) []string {
	t.Helper()
	for i := range count {
		if _, err := from.WriteTo(fmt.Appendf(nil, "%d", i), to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return drain(t, to)
}

func drain(t *testing.T, e *Endpoint) []string {
	t.Helper()
	var got []string
	b := make([]byte, 64)
	e.SetReadDeadline(time.Now().Add(time.Second))
	for {
		size, _, err := e.ReadFrom(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(b[:size]))
	}
}

func TestLinkMishapsAreTheSameEveryRun(t *testing.T) {
	run := func(seed uint64) (got []string, c Counts) {
		synctest.Test(t, func(t *testing.T) {
			n := NewNet(seed)
			a, b := must[*Endpoint](t)(n.Listen("10.0.0.1:0")), must[*Endpoint](t)(n.Listen("10.0.0.2:5060"))
			n.Impair("10.0.0.1", "10.0.0.2", Link{Loss: 0.1, Delay: 30 * time.Millisecond,
				Jitter: 10 * time.Millisecond, Reorder: 0.05, ReorderBy: 50 * time.Millisecond, Duplicate: 0.05})
			got, c = received(t, n, a, b, 500), n.Counts()
		})
		return got, c
	}
	got, c := run(7)
	again, _ := run(7)
	other, _ := run(8)
	if fmt.Sprint(got) != fmt.Sprint(again) {
		t.Error("same seed, different fate")
	}
	if fmt.Sprint(got) == fmt.Sprint(other) {
		t.Error("different seed, same fate")
	}
	if c.Lost < 30 || c.Lost > 70 || c.Duplicated < 10 || len(got) != 500-c.Lost+c.Duplicated {
		t.Errorf("%d arrived, %+v", len(got), c)
	}
	swaps := 0
	for i := 1; i < len(got); i++ {
		var a, b int
		fmt.Sscan(got[i-1], &a)
		fmt.Sscan(got[i], &b)
		if b < a {
			swaps++
		}
	}
	if swaps < 10 {
		t.Errorf("%d packets out of order, expected about 25", swaps)
	}
}

func TestEqualDelayKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNet(1)
		a, b := must[*Endpoint](t)(n.Listen("10.0.0.1:0")), must[*Endpoint](t)(n.Listen("10.0.0.2:0"))
		n.Impair("", "", Link{Delay: 5 * time.Millisecond})
		for i := range 200 {
			a.WriteTo(fmt.Appendf(nil, "%03d", i), b.LocalAddr())
		}
		got := drain(t, b)
		if len(got) != 200 || got[0] != "000" || got[199] != "199" {
			t.Errorf("%d packets, %v", len(got), got)
		}
	})
}

func TestNATMapsFiltersAndForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNet(1)
		router := must[*NAT](t)(n.NAT("203.0.113.1", NATRules{Timeout: 20 * time.Second}))
		phone := must[*Endpoint](t)(router.Listen("192.168.1.10:5060"))
		server := must[*Endpoint](t)(n.Listen("198.51.100.1:5060"))
		stranger := must[*Endpoint](t)(n.Listen("198.51.100.2:5060"))

		seen := func() *net.UDPAddr {
			phone.WriteTo([]byte("hello"), server.LocalAddr())
			_, from, err := server.ReadFrom(make([]byte, 64))
			if err != nil {
				t.Fatal(err)
			}
			return from.(*net.UDPAddr)
		}
		first := seen()
		if first.IP.String() != "203.0.113.1" {
			t.Fatalf("seen from %v", first)
		}
		stranger.WriteTo([]byte("spam"), first)
		server.WriteTo([]byte("direct"), phone.LocalAddr())
		server.WriteTo([]byte("back"), first)
		if got := drain(t, phone); len(got) != 1 || got[0] != "back" {
			t.Errorf("behind the router arrived %v", got)
		}
		time.Sleep(21 * time.Second)
		server.WriteTo([]byte("late"), first)
		if got := drain(t, phone); len(got) != 0 {
			t.Errorf("after the mapping timed out arrived %v", got)
		}
		if second := seen(); second.Port == first.Port {
			t.Error("a new mapping got the old port")
		}
		if at, ok := router.Public(netip.MustParseAddrPort("192.168.1.10:5060"), netip.AddrPort{}); !ok || at.Addr().String() != "203.0.113.1" {
			t.Errorf("public address %v %v", at, ok)
		}
	})
}

// TestCallOverABadNetwork lets both phones retransmit their way through a fifth
// of the packets lost, one of them behind a router, in virtual time.
func TestCallOverABadNetwork(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithTimeout(context.Background(), time.Minute)
			defer stop()
			n := NewNet(seed)
			router := must[*NAT](t)(n.NAT("203.0.113.1", NATRules{}))
			home := must[*Endpoint](t)(router.Listen("192.168.1.10:5060"))
			server := must[*Endpoint](t)(n.Listen("198.51.100.1:5060"))
			n.Impair("", "", Link{Loss: 0.2, Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond, Duplicate: 0.1})
			a, b := pair(t, home, server, Options{Outbound: true}, Options{})
			out := must[*Call](t)(a.Invite(ctx, b.AOR(), SDP{Addr: "192.168.1.10", Port: 4000}.String()))
			in := must[*Call](t)(b.WaitCall(ctx))
			in.Ring(180, "")
			in.Answer(SDP{Addr: "198.51.100.1", Port: 4002}.String())
			must[*Message](t)(out.WaitFor(ctx, "200"))
			must[*Message](t)(in.WaitFor(ctx, "ACK"))
			if err := out.Hangup(ctx); err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, a.Wire().Ladder())
			}
			if err := in.Ended(ctx); err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, b.Wire().Ladder())
			}
			if in.Target() != "sip:ana@192.168.1.10:5060" {
				t.Errorf("contact %s", in.Target())
			}
			a.Close()
			b.Close()
		})
	}
}

func TestDeadCalleeTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNet(1)
		a := must[*Phone](t)(NewPhone(must[*Endpoint](t)(n.Listen("10.0.0.1:5060")), Options{User: "ana", Server: "10.0.0.9:5060"}))
		defer a.Close()
		began := time.Now()
		out := must[*Call](t)(a.Invite(context.Background(), "sip:bo@10.0.0.9", ""))
		must[*Message](t)(out.WaitFor(context.Background(), "timeout INVITE"))
		if took := time.Since(began); took != 32*time.Second {
			t.Errorf("gave up after %v, want 64*T1", took)
		}
		if n := a.Wire().Count("INVITE", true); n != 7 {
			t.Errorf("sent %d times, want 7 (0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s)", n)
		}
		if !strings.Contains(a.Wire().Ladder(), "INVITE sip:bo@10.0.0.9") {
			t.Error("the ladder does not tell")
		}
	})
}
