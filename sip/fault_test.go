package sip

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"foyer/sip/siptest"
)

// poison is what a message holds over which a socket of these tests breaks.
const poison = "X-Poison: yes"

// brokenPackets breaks in the reading goroutine, as a parser would.
type brokenPackets struct{ net.PacketConn }

func (b brokenPackets) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := b.PacketConn.ReadFrom(p)
	if bytes.Contains(p[:n], []byte(poison)) {
		panic("a test broke the reading of a datagram")
	}
	return n, from, err
}

// brokenDoor gives connections that break when they are looked at, the first at once.
type brokenDoor struct {
	net.Listener
	first *atomic.Bool
}

type brokenGuest struct {
	net.Conn
	nameless bool
}

func (b brokenDoor) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	return brokenGuest{c, b.first.CompareAndSwap(true, false)}, err
}

func (b brokenGuest) RemoteAddr() net.Addr {
	if b.nameless {
		panic("a test broke the taking of a connection")
	}
	return b.Conn.RemoteAddr()
}

func (b brokenGuest) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if bytes.Contains(p[:n], []byte(poison)) {
		panic("a test broke the reading of a connection")
	}
	return n, err
}

// What breaks while a socket or a connection is read costs that message or that
// connection, and nobody else anything.
func TestAFaultWhileReading(t *testing.T) {
	var first atomic.Bool
	first.Store(true)
	h := openHouse(t, func(o *Options) { o.UDP, o.TCP = brokenPackets{o.UDP}, brokenDoor{o.TCP, &first} })
	bad := []byte("OPTIONS sip:x SIP/2.0\r\n" + poison + "\r\n\r\n")
	registers := func(p *siptest.Phone) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if res, err := p.Register(ctx, time.Minute); err != nil || res.Status != 200 {
			t.Errorf("REGISTER: %v %v", res, err)
		}
	}
	ana := siptest.Options{User: "ana", Password: "pw-ana", Domain: testRealm, Outbound: true}
	for n := range uint64(3) {
		stranger, err := net.Dial("udp", h.edge.o.UDP.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stranger.Write(bad); err != nil {
			t.Fatal(err)
		}
		stranger.Close()
		until(t, "the fault is counted", func() bool { return h.edge.Faults() == n+1 })
		registers(h.udpPhone("127.0.0.1", ana))
	}
	for n := range uint64(2) { // without a name; while it is read
		c, err := net.Dial("tcp", h.edge.o.TCP.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			if _, err := c.Write(bad); err != nil {
				t.Fatal(err)
			}
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("the broken connection stays: %v", err)
		}
		c.Close()
		until(t, "it is counted out, and the fault in", func() bool { return h.edge.Faults() == 4+n && h.edge.Connections()["tcp"] == 0 })
	}
	p, _ := h.tcpPhone("127.0.0.1", ana)
	registers(p)
}

// Whoever is told of phones breaks over one: the others are told of, and probed on.
func TestAFaultInTheRegistrarsClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreet()
		d := newDesk(t, func(o *RegistrarOptions) { o.Probe, o.Now = 10*time.Second, time.Now })
		d.attach(s, nil)
		for _, user := range []string{"ana", "bo"} {
			d.comes(user, "udp", anaHome, 15*time.Second)
		}
		d.comes("cy", "udp", anaHome, time.Hour)
		d.told()
		var told []string
		d.changed = func(e RegEvent) {
			if e.User == "ana" && e.Kind == RegExpired {
				panic("a test broke this")
			}
			told = append(told, e.User+" "+e.Kind.String())
		}
		asked := 0
		d.asked = func(a Asked) {
			if asked++; asked == 1 {
				panic("a test broke this too")
			}
		}
		e := &Edge{o: Options{Log: zap.NewNop()}}
		ctx, cancel := context.WithCancel(t.Context())
		var served sync.WaitGroup
		served.Go(func() { d.run(ctx, e.guard) })
		time.Sleep(time.Minute)
		cancel()
		served.Wait()
		if !slices.Contains(told, "bo expired") || asked < 5 || e.Faults() != 2 {
			t.Errorf("told %v, asked %d times, %d faults", told, asked, e.Faults())
		}
	})
}

// brokenCount breaks a timer of a leg in the middle of its work.
type brokenCount struct {
	countNothing
	boom atomic.Bool
}

func (b *brokenCount) Retransmission(string) {
	if b.boom.CompareAndSwap(true, false) {
		panic("a test broke this timer")
	}
}

// A leg whose timer breaks ends, to its owner and to its peer; another goes on.
func TestAFaultInATimerEndsItsLeg(t *testing.T) {
	count := &brokenCount{}
	count.boom.Store(true)
	play(t, func(o *Options) { o.Count = count }, func(s *stage) {
		t := s.t
		s.carrier.Manual(true, "ACK")
		c, d := s.arrives(offerA)
		if err := d.leg.Answer([]byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		if e := expect[Ended](d); e.Why != Broken || e.Reason != (Reason{}) {
			t.Errorf("%+v", e)
		}
		if bye := s.saw(c, "BYE"); !strings.Contains(bye.Get("Reason"), "500") {
			t.Errorf("BYE with Reason %q", bye.Get("Reason"))
		}
		s.carrier.Manual(false, "ACK")

		count.boom.Store(true)
		early, d := s.arrives(offerA, wants100rel)
		if err := d.leg.Ring(183, []byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		if e := expect[Cancelled](d); !e.Broken {
			t.Errorf("%+v", e)
		}
		s.saw(early, "500 INVITE")

		other, d := s.talks()
		other.Bye()
		expect[Ended](d)
		if n := s.edge.Faults(); n != 2 {
			t.Errorf("%d faults", n)
		}
	})
}
