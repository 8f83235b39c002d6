package sip

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
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

// zone is a carrier's name server with SRV records.
type zone struct {
	srv   map[string][]*net.SRV
	addrs map[string][]netip.Addr
	err   error // of SRV look-ups
}

func (z *zone) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	key := "_" + service + "._" + proto + "." + name
	if z.err != nil {
		return "", nil, z.err
	}
	if z.srv[key] == nil {
		return "", nil, &net.DNSError{IsNotFound: true, Name: key}
	}
	return key, z.srv[key], nil
}

func (z *zone) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	if z.addrs[name] == nil {
		return nil, &net.DNSError{IsNotFound: true, Name: name}
	}
	return slices.Clone(z.addrs[name]), nil
}

func record(target string, port, priority, weight uint16) *net.SRV {
	return &net.SRV{Target: target, Port: port, Priority: priority, Weight: weight}
}

// Where a host leads, by what its name server says (RFC 3263 section 4.2).
func TestPlacesOfHost(t *testing.T) {
	z := &zone{
		srv: map[string][]*net.SRV{
			"_sip._udp.a.test":  {record("two.a.test.", 5080, 20, 0), record("one.a.test.", 5070, 10, 0), record("gone.a.test.", 5060, 1, 0)},
			"_sip._tcp.a.test":  {record("one.a.test.", 5071, 10, 0)},
			"_sips._tcp.a.test": {record("one.a.test.", 5081, 10, 0)},
			"_sip._udp.no.test": {record(".", 0, 0, 0)},
		},
		addrs: map[string][]netip.Addr{
			"a.test": addresses("192.0.2.9"), "no.test": addresses("192.0.2.9"), "bare.test": addresses("192.0.2.8"),
			"one.a.test": addresses("192.0.2.1", "::ffff:192.0.2.2"), "two.a.test": addresses("192.0.2.3", "2001:db8::3"),
		},
	}
	for _, x := range []struct {
		at   host
		want string
	}{
		{host{"a.test", 0, "udp"}, "192.0.2.1:5070 192.0.2.2:5070 192.0.2.3:5080 [2001:db8::3]:5080"},
		{host{"a.test", 0, "tcp"}, "192.0.2.1:5071 192.0.2.2:5071"},
		{host{"a.test", 0, "tls"}, "192.0.2.1:5081 192.0.2.2:5081"},
		{host{"a.test", 5060, "udp"}, "192.0.2.9:5060"}, // a port: no SRV
		{host{"bare.test", 0, "udp"}, "192.0.2.8:5060"},
		{host{"bare.test", 0, "tls"}, "192.0.2.8:5061"},
		{host{"192.0.2.7", 0, "udp"}, "192.0.2.7:5060"},
		{host{"2001:db8::7", 5090, "udp"}, "[2001:db8::7]:5090"},
		{host{"no.test", 0, "udp"}, ""},
		{host{"none.test", 0, "udp"}, ""},
	} {
		got, err := newHosts(z, time.Now).find(t.Context(), x.at)
		var text []string
		for _, p := range got {
			text = append(text, p.String())
		}
		if strings.Join(text, " ") != x.want || (err == nil) != (x.want != "") {
			t.Errorf("%+v: %v, %v", x.at, text, err)
		}
	}
	// A name server in trouble is not one that knows of no record.
	z.err = errors.New("server misbehaving")
	if got, err := newHosts(z, time.Now).find(t.Context(), host{"a.test", 0, "udp"}); err == nil {
		t.Errorf("found %v", got)
	}
}

// Among servers of one priority the weights decide, and a silent one comes last.
func TestWeightsOfServers(t *testing.T) {
	z := &zone{
		srv: map[string][]*net.SRV{"_sip._udp.a.test": {
			record("a.", 1, 10, 60), record("b.", 2, 10, 30), record("c.", 3, 10, 10), record("d.", 4, 10, 0), record("e.", 5, 20, 100),
		}},
		addrs: map[string][]netip.Addr{},
	}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		z.addrs[name] = addresses("192.0.2.1")
	}
	h := newHosts(z, time.Now)
	const rounds = 20000
	first := map[uint16]int{}
	for range rounds {
		places, err := h.find(t.Context(), host{"a.test", 0, "udp"})
		if err != nil || len(places) != 5 || places[4].Port() != 5 {
			t.Fatalf("%v, %v", places, err)
		}
		first[places[0].Port()]++
	}
	for port, share := range map[uint16]float64{1: 0.60, 2: 0.30, 3: 0.10, 4: 0.01, 5: 0} {
		if got := float64(first[port]) / rounds; got < share-0.02 || got > share+0.02 {
			t.Errorf("server %d first in %.3f of the calls, want %.2f", port, got, share)
		}
	}
	silent := netip.MustParseAddrPort("192.0.2.1:1")
	h.silent(silent, 0)
	for range 100 {
		if places, _ := h.find(t.Context(), host{"a.test", 0, "udp"}); places[4] != silent {
			t.Fatalf("%v", places)
		}
	}
	h.heard(silent)
	h.silent(silent, time.Hour)
	h.heard(silent) // by OPTIONS, say
	if until := h.quiet[silent].until; time.Until(until) > quietAtMost || h.anyOf([]netip.AddrPort{silent}) {
		t.Errorf("left alone until %v", until)
	}
}

// threeMachines is a trunk whose name leads to three machines.
func threeMachines(o *Options) {
	o.Trunks[0].Host = "carrier.test"
	o.Resolver = &zone{
		srv: map[string][]*net.SRV{"_sip._udp.carrier.test": {
			record("a.carrier.test.", 5070, 1, 0), record("b.carrier.test.", 5080, 2, 0), record("c.carrier.test.", 5060, 3, 0),
		}},
		addrs: map[string][]netip.Addr{
			"a.carrier.test": addresses("10.0.0.21"), "b.carrier.test": addresses("10.0.0.22"), "c.carrier.test": addresses("10.0.0.2"),
		},
	}
}

// A call goes on to the carrier's next machine when one is silent or unwilling
// (RFC 3263 section 4.3), and stays the same call.
func TestCallGoesOnToNextMachine(t *testing.T) {
	playOut(t, threeMachines, func(s *stage) {
		b := s.newPhone("10.0.0.22:5080", siptest.Options{User: "b"})
		defer b.Close()
		begun := time.Now()
		d := s.dialsOut(func(d *Dial) { d.Caller = Caller{User: "+33170000001"} })
		unwilling, err := b.WaitCall(s.patience())
		if err != nil {
			s.t.Fatal(err)
		}
		if took := time.Since(begun); took != 4*time.Second {
			s.t.Errorf("the second was called after %v", took)
		}
		unwilling.Reject(503, siptest.H("Retry-After", "120"))
		c := s.taken()
		if a, b := unwilling.Invite(), c.Invite(); a.Get("Call-ID") != b.Get("Call-ID") || a.Tag("From") != b.Tag("From") ||
			a.Get("Via") == b.Get("Via") || a.URI != b.URI || a.Body != b.Body {
			s.t.Errorf("INVITE: %s\nthen: %s", a, b)
		}
		if n := s.edge.TrunkCalls()["carrier"]; n != 1 {
			s.t.Errorf("%d channels in use", n)
		}
		c.Answer(offerA)
		expect[Answered](d)
		d.leg.Hangup(Reason{})
		s.saw(c, "BYE")
		d.silent()
		// The next call begins where somebody answered.
		begun = time.Now()
		c, d = s.reaches()
		if took := time.Since(begun); took != 0 {
			s.t.Errorf("called after %v", took)
		}
		c.Reject(486)
		expect[Refused](d)
	})
}

// When none is left the leg says so once, with what the last one said.
func TestNoMachineIsLeft(t *testing.T) {
	playOut(t, threeMachines, func(s *stage) {
		c, d := s.reaches()
		c.Reject(503, siptest.H("Retry-After", "30"))
		if r := expect[Refused](d); r.Code != 503 || r.Unreachable || r.RetryAfter != 30*time.Second || !r.Elsewhere() {
			s.t.Errorf("%+v", r)
		}
		s.settles()
		// None is left for other calls either, until the first wants some again.
		if s.edge.TrunkUp("carrier") {
			s.t.Error("the trunk is up")
		}
		time.Sleep(31 * time.Second)
		if !s.edge.TrunkUp("carrier") {
			s.t.Error("the trunk is down for longer than it asked")
		}
		d.silent()
	})
}

// What is not the machine's fault is asked of no other.
func TestRefusalIsNotAskedElsewhere(t *testing.T) {
	for _, code := range []int{302, 404, 480, 484, 486, 500, 502, 504, 603} {
		playOut(t, threeMachines, func(s *stage) {
			a := s.newPhone("10.0.0.21:5070", siptest.Options{User: "a"})
			defer a.Close()
			d := s.dialsOut()
			c, err := a.WaitCall(s.patience())
			if err != nil {
				s.t.Fatal(err)
			}
			c.Reject(code)
			if r := expect[Refused](d); r.Code != code {
				s.t.Errorf("%+v", r)
			}
			s.settles()
			if n := s.carrier.Wire().Count("INVITE", false); n != 0 {
				s.t.Errorf("after %d another was asked", code)
			}
		})
	}
}

// A machine that wakes up when the call has gone on is cancelled, or hung up on.
func TestMachineWakesUpLate(t *testing.T) {
	for _, answered := range []bool{false, true} {
		playOut(t, threeMachines, func(s *stage) {
			late := s.newPhone("10.0.0.21:5070", siptest.Options{User: "late"})
			defer late.Close()
			d := s.dialsOut()
			sleeper, err := late.WaitCall(s.patience())
			if err != nil {
				s.t.Fatal(err)
			}
			c := s.taken()
			if answered {
				sleeper.Answer(offerA)
				s.saw(sleeper, "ACK")
				s.saw(sleeper, "BYE")
			} else {
				sleeper.Ring(180, "")
				s.saw(sleeper, "CANCEL")
				s.saw(sleeper, "ACK")
			}
			c.Answer(offerA)
			expect[Answered](d)
			c.Bye()
			expect[Ended](d)
			d.silent()
		})
	}
}

// Hanging up ends the search.
func TestHangupWhileMachinesAreTried(t *testing.T) {
	playOut(t, threeMachines, func(s *stage) {
		d := s.dialsOut()
		time.Sleep(5 * time.Second)
		d.leg.Hangup(Reason{})
		s.settles()
		if n := s.carrier.Wire().Count("INVITE", false); n != 0 {
			s.t.Errorf("%d INVITE", n)
		}
		d.silent()
	})
}
