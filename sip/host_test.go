package sip

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"foyer/sip/siptest"
)

func TestHostOfTrunk(t *testing.T) {
	for text, want := range map[string]bool{
		"sip.carrier.test": true, "192.0.2.1": true, "2001:db8::1": true,
		"": false, "a:5060": false, "[2001:db8::1]": false, "fe80::1%lo": false, "a b": false, "sip:a": false, "a;x": false, "a>": false, "é.test": false,
	} {
		if isHost(text) != want {
			t.Errorf("%q is a host: %v", text, !want)
		}
	}
}

// nameServer answers what it is told to.
type nameServer struct {
	asked atomic.Int64
	takes time.Duration
	addrs []netip.Addr
	err   error
}

// It has no SRV records.
func (n *nameServer) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", nil, &net.DNSError{IsNotFound: true}
}

func (n *nameServer) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	n.asked.Add(1)
	addrs, err := slices.Clone(n.addrs), n.err
	select {
	case <-time.After(n.takes):
		return addrs, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func addresses(s ...string) (list []netip.Addr) {
	for _, a := range s {
		list = append(list, netip.MustParseAddr(a))
	}
	return list
}

func at5060(s ...string) (list []netip.AddrPort) {
	for _, a := range addresses(s...) {
		list = append(list, netip.AddrPortFrom(a, 5060))
	}
	return list
}

func TestNamesAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nameServer{addrs: addresses("192.0.2.1", "::ffff:192.0.2.2")}
		h := newHosts(n, time.Now)
		find := func(want ...string) {
			t.Helper()
			got, err := h.find(t.Context(), host{name: "carrier.test", port: 5060})
			if err != nil || !slices.Equal(got, at5060(want...)) {
				t.Errorf("found %v, %v", got, err)
			}
		}
		asked := func(want int64) {
			t.Helper()
			if n := n.asked.Load(); n != want {
				t.Errorf("asked %d times, want %d", n, want)
			}
		}
		find("192.0.2.1", "192.0.2.2")
		find("192.0.2.1", "192.0.2.2")
		asked(1)
		h.silent(at5060("192.0.2.1")[0], 0)
		find("192.0.2.2", "192.0.2.1")
		time.Sleep(freshFor)
		n.addrs = addresses("192.0.2.1", "192.0.2.3")
		find("192.0.2.1", "192.0.2.3")
		asked(2)
		// A name server that fails, or says nothing, leaves us what we had.
		for _, broken := range []*nameServer{{err: errors.New("refused")}, {takes: time.Hour}, {}} {
			time.Sleep(freshFor)
			h.resolver = broken
			find("192.0.2.1", "192.0.2.3")
			find("192.0.2.1", "192.0.2.3")
			if broken.asked.Load() != 1 {
				t.Errorf("a broken name server was asked %d times", broken.asked.Load())
			}
		}
		time.Sleep(lookUpAgain)
		h.resolver = n
		find("192.0.2.1", "192.0.2.3")
		asked(3)
	})
}

func TestNameIsNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, n := range []*nameServer{{err: errors.New("refused")}, {takes: time.Hour}, {}} {
			h := newHosts(n, time.Now)
			begun := time.Now()
			for range 3 {
				if a, err := h.find(t.Context(), host{name: "carrier.test", port: 5060}); err == nil {
					t.Errorf("found %v", a)
				}
			}
			if took := time.Since(begun); took != min(n.takes, lookUpLimit) || n.asked.Load() != 1 {
				t.Errorf("%v, asked %d times", took, n.asked.Load())
			}
		}
		// An address needs nobody.
		if a, err := newHosts(nil, time.Now).find(t.Context(), host{name: "192.0.2.1"}); err != nil || !slices.Equal(a, at5060("192.0.2.1")) {
			t.Errorf("%v, %v", a, err)
		}
	})
}

func TestOneLookUpForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nameServer{addrs: addresses("192.0.2.1"), takes: time.Second}
		h := newHosts(n, time.Now)
		found := make(chan error, 100)
		for range cap(found) {
			go func() {
				_, err := h.find(t.Context(), host{name: "carrier.test", port: 5060})
				found <- err
			}()
		}
		begun := time.Now()
		for range cap(found) {
			if err := <-found; err != nil {
				t.Error(err)
			}
		}
		if n.asked.Load() != 1 || time.Since(begun) != time.Second {
			t.Errorf("asked %d times, %v", n.asked.Load(), time.Since(begun))
		}
	})
}

// named makes the carrier's host a name.
func named(n *nameServer) func(*Options) {
	return func(o *Options) {
		o.Trunks[0].Host, o.Trunks[0].Port = "sip.carrier.test", 5060
		o.Resolver = n
	}
}

func TestCallToTrunkByName(t *testing.T) {
	n := &nameServer{addrs: addresses("2001:db8::2", "10.0.0.99", "10.0.0.2"), takes: time.Second}
	playOut(t, named(n), func(s *stage) {
		// Nobody is at the first address: the call goes on to the second.
		begun := time.Now()
		d := s.dialsOut()
		if took := time.Since(begun); took != 0 {
			s.t.Errorf("Dial waited %v", took)
		}
		c := s.taken()
		if took := time.Since(begun); took != 5*time.Second {
			s.t.Errorf("called at the second address after %v", took)
		}
		c.Reject(486)
		expect[Refused](d)
		// The next call asks the second at once.
		begun = time.Now()
		c, d = s.reaches()
		if took := time.Since(begun); took != 0 {
			s.t.Errorf("called after %v", took)
		}
		if inv := c.Invite(); inv.URI != "sip:+33612345678@sip.carrier.test:5060;user=phone" ||
			inv.Get("To") != "<sip:+33612345678@sip.carrier.test;user=phone>" {
			s.t.Errorf("INVITE: %s", inv)
		}
		c.Answer(offerA)
		expect[Answered](d)
		d.leg.Hangup(Reason{})
		s.saw(c, "BYE")
		if n.asked.Load() != 1 {
			s.t.Errorf("asked %d times", n.asked.Load())
		}
	})
}

func TestTrunkHasNoAddress(t *testing.T) {
	for _, n := range []*nameServer{{err: errors.New("no such host")}, {takes: time.Hour}, {addrs: addresses("2001:db8::2")}} {
		playOut(t, named(n), func(s *stage) {
			d := s.dialsOut()
			if r := expect[Refused](d); r.Code != 503 || !r.Unreachable {
				s.t.Errorf("%+v", r)
			}
			s.settles()
		})
	}
}

func TestHangupDuringLookUp(t *testing.T) {
	n := &nameServer{addrs: addresses("10.0.0.2"), takes: time.Second}
	playOut(t, named(n), func(s *stage) {
		d := s.dialsOut()
		synctest.Wait()
		d.leg.Hangup(Reason{})
		s.settles()
		if n := s.carrier.Wire().Count("INVITE", false); n != 0 {
			s.t.Errorf("%d INVITE", n)
		}
		d.silent()
	})
}

// Serving ends at once, though a name server is waited for.
func TestServingEndsDuringLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		udp, err := siptest.NewNet(1).Listen("10.0.0.1:5060")
		if err != nil {
			t.Fatal(err)
		}
		e, err := NewEdge(Options{UDP: udp, Trunks: []Trunk{{ID: "a", Host: "carrier.test"}}, Resolver: &nameServer{takes: time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- e.Serve(ctx) }()
		d := newDiary(t)
		if d.leg, err = e.Dial(Dial{Trunk: "a", Number: mobile, SDP: []byte(ourSDP)}, d.sink); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		begun := time.Now()
		cancel()
		if err := <-ended; err != nil || time.Since(begun) > 100*time.Millisecond {
			t.Errorf("ended after %v: %v", time.Since(begun), err)
		}
		expect[Refused](d)
	})
}

// A reload while calls are up: they are still heard, and new ones go the new way.
func TestTrunkMoves(t *testing.T) {
	playOut(t, nil, func(s *stage) {
		old, d := s.speaks()
		s.edge.SetTrunks([]Trunk{{ID: "carrier", Allow: prefixes("10.0.0.7/32"), Host: "10.0.0.7"}})
		moved := s.newPhone("10.0.0.7:5060", siptest.Options{User: "moved"})
		defer moved.Close()
		e := s.dialsOut()
		c, err := moved.WaitCall(s.patience())
		if err != nil {
			s.t.Fatal(err)
		}
		if n := s.edge.TrunkCalls()["carrier"]; n != 2 {
			s.t.Errorf("%d channels in use", n)
		}
		c.Reject(486)
		expect[Refused](e)
		old.Bye()
		s.saw(old, "200 BYE")
		expect[Ended](d)
	})
}
