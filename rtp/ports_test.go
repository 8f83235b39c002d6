package rtp

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func seeded() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func TestPortRange(t *testing.T) {
	for _, c := range []struct {
		lo, hi uint16
		pairs  int
	}{
		{20000, 20001, 1},
		{20000, 20000, 0}, // no room for RTCP
		{20001, 20002, 0},
		{20001, 20003, 1},
		{20000, 24999, 2500},
		{65534, 65535, 1},
		{65535, 65535, 0},
		{30000, 20000, 0},
	} {
		if _, limit := newPortPool(c.lo, c.hi, time.Minute, seeded()).count(); limit != c.pairs {
			t.Errorf("%d-%d: %d pairs, want %d", c.lo, c.hi, limit, c.pairs)
		}
	}
}

func TestPortOrderIsNotTheirNumber(t *testing.T) {
	p := newPortPool(20000, 29999, time.Minute, seeded())
	rising, now, last := 0, time.Unix(0, 0), uint16(0)
	for range 1000 {
		port, err := p.take(now)
		if err != nil {
			t.Fatal(err)
		}
		if port > last {
			rising++
		}
		last = port
	}
	if rising < 400 || rising > 600 {
		t.Errorf("%d of 1000 ports were above the one before: the order can be guessed", rising)
	}
}

func TestPortQuarantine(t *testing.T) {
	p := newPortPool(20000, 20007, time.Minute, seeded()) // four pairs
	now := time.Unix(100, 0)
	take := func() uint16 {
		t.Helper()
		port, err := p.take(now)
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	a, b := take(), take()
	p.release(a, now)
	now = now.Add(time.Second)
	p.release(b, now)
	// Two ports have never been used: they come first.
	for range 2 {
		if c := take(); c == a || c == b {
			t.Fatalf("port %d came back while others were free", c)
		}
	}
	// Now the rest is cut short, of the one that rested longest first.
	if c := take(); c != a {
		t.Errorf("got %d, want %d, the longest rested", c, a)
	}
	if c := take(); c != b {
		t.Errorf("got %d, want %d", c, b)
	}
	if _, err := p.take(now); !errors.Is(err, ErrPortsFull) {
		t.Errorf("empty pool: %v", err)
	}
	if used, limit := p.count(); used != 4 || limit != 4 {
		t.Errorf("used %d of %d", used, limit)
	}
}

// Whatever is taken and given back: no port is out twice, and none is lost.
func TestPortPoolKeepsItsPorts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPortPool(20000, 20019, 10*time.Second, seeded())
		now, out := time.Unix(0, 0), map[uint16]bool{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "s")) * time.Second)
			if rapid.Bool().Draw(t, "take") {
				port, err := p.take(now)
				if err != nil {
					if len(out) != 10 {
						t.Fatalf("%v with %d of 10 out", err, len(out))
					}
					continue
				}
				if out[port] || port%2 != 0 {
					t.Fatalf("port %d given twice or odd", port)
				}
				out[port] = true
				continue
			}
			for port := range out {
				p.release(port, now)
				delete(out, port)
				break
			}
		}
		if used, _ := p.count(); used != len(out) {
			t.Fatalf("%d counted, %d out", used, len(out))
		}
	})
}

func TestPortOfSomebodyElseIsSkipped(t *testing.T) {
	// Hold one of two pairs, RTP in one round and RTCP in the other.
	for odd := range uint16(2) {
		base := freePairs(t, 2)
		held, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(here(), base+odd)))
		if err != nil {
			t.Skip(err)
		}
		m := open(t, func(o *Options) { o.MinPort, o.MaxPort = base, base+3 })
		l, err := m.NewLeg(LegOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if l.Addr().Port() != base+2 {
			t.Errorf("got port %d, want %d", l.Addr().Port(), base+2)
		}
		if _, err := m.NewLeg(LegOptions{}); !errors.Is(err, ErrPortsFull) {
			t.Errorf("second leg: %v", err)
		}
		if used, limit := m.Ports(); used != 1 || limit != 2 {
			t.Errorf("ports used %d of %d", used, limit)
		}
		_ = held.Close()
		if _, err := m.NewLeg(LegOptions{}); err != nil {
			t.Errorf("after the other let go: %v", err)
		}
		_ = m.Close()
	}
}

// freePairs finds n neighbouring pairs of free ports.
func freePairs(t *testing.T, n uint16) uint16 {
	t.Helper()
	for range 100 {
		base := (20000 + uint16(rand.IntN(20000))) &^ 1
		ok := true
		for i := range 2 * n {
			c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(here(), base+i)))
			if err != nil {
				ok = false
				break
			}
			_ = c.Close()
		}
		if ok {
			return base
		}
	}
	t.Skip("no free ports")
	return 0
}
