package sip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"foyer/sip/siptest"
)

// house is an edge on real sockets of 127.0.0.1.
type house struct {
	t     *testing.T
	edge  *Edge
	calls chan *Leg
	reg   *Registrar
}

func openHouse(t *testing.T, change func(*Options)) *house {
	t.Helper()
	return openHouseAgain(t, change, func(*Edge) {})
}

// openHouseAgain lets an edge resume something before it serves.
func openHouseAgain(t *testing.T, change func(*Options), resume func(*Edge)) *house {
	t.Helper()
	h := &house{t: t, calls: make(chan *Leg, 64)}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.reg = NewRegistrar(RegistrarOptions{Realm: testRealm, Accounts: testAccounts, Probe: -1,
		Ban: BanPolicy{Failures: 2, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}})
	o := Options{
		UDP: udp, TCP: tcp, Registrar: h.reg,
		Trunks: []Trunk{{ID: "carrier", Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}},
		Invite: func(l *Leg) { h.calls <- l; l.Wait() },
	}
	if change != nil {
		change(&o)
	}
	if h.edge, err = NewEdge(o); err != nil {
		t.Fatal(err)
	}
	resume(h.edge)
	ended := make(chan error, 1)
	go func() { ended <- h.edge.Serve(context.Background()) }()
	t.Cleanup(func() {
		if err := h.edge.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := h.edge.Legs(); n != 0 {
			t.Errorf("%d legs left", n)
		}
	})
	until(t, "it serves", func() bool {
		_, err := h.edge.tpl.GetConnection("udp", o.UDP.LocalAddr().String())
		return err == nil
	})
	return h
}

func (h *house) udpPhone(at string, o siptest.Options) *siptest.Phone {
	h.t.Helper()
	pc, err := net.ListenPacket("udp", at+":0")
	if err != nil {
		h.t.Fatal(err)
	}
	o.Server = h.edge.o.UDP.LocalAddr().String()
	p, err := siptest.NewPhone(pc, o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { p.Close() })
	return p
}

func (h *house) tcpPhone(from string, o siptest.Options) (*siptest.Phone, net.Conn) {
	h.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := dialer.Dial("tcp", h.edge.o.TCP.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	p, err := siptest.NewStreamPhone(c, o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { p.Close() })
	return p, c
}

// until waits until something is so.
func until(t testing.TB, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !so(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// A socket that is paused keeps what comes for whoever reads it next.
func TestPause(t *testing.T) {
	var read atomic.Int64
	h := openHouse(t, func(o *Options) { o.Trace = func(Traced) { read.Add(1) } })
	carrier := h.udpPhone("127.0.0.2", siptest.Options{User: "carrier"})
	send := func() int64 { // what nobody answers
		stray := "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP " + h.edge.o.UDP.LocalAddr().String() + ";branch=z9hG4bKstray\r\n" +
			"From: <sip:a@lo.test>;tag=a\r\nTo: <sip:b@lo.test>;tag=b\r\nCall-ID: stray\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
		if err := carrier.Wire().SendRaw([]byte(stray), h.edge.o.UDP.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		return read.Load()
	}
	h.edge.Pause(true)
	before := send() // the reader may have been just about to read
	if after := send(); after != before {
		t.Error("a message was read in the pause")
	}
	h.edge.Pause(false)
	until(t, "both are read", func() bool { return read.Load() == 2 })
}

func TestWholeCallOnRealSockets(t *testing.T) {
	h := openHouse(t, nil)
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			carrier := h.udpPhone("127.0.0.2", siptest.Options{User: "carrier", Outbound: true})
			agent := h.udpPhone("127.0.0.1", siptest.Options{User: "ana", Password: "pw-ana", Domain: testRealm, Outbound: true})
			if transport == "tcp" {
				carrier, _ = h.tcpPhone("127.0.0.2", siptest.Options{User: "carrier"})
				// Its Contact leads nowhere: only its connection does.
				agent, _ = h.tcpPhone("127.0.0.1", siptest.Options{User: "bo", Password: "pw-bo", Domain: testRealm, Contact: "192.168.1.20:5060"})
			}
			mustRegister(t, agent)
			c, err := carrier.Invite(soon(t), number, offerA+strings.Repeat("a=x-long:0123456789\r\n", 200))
			if err != nil {
				t.Fatal(err)
			}
			caller := listenTo(t, <-h.calls)
			if len(caller.leg.SDP()) < 4000 {
				t.Errorf("offer of %d bytes", len(caller.leg.SDP()))
			}
			phone := newDiary(t)
			b := h.reg.Bindings(agent.User())[0]
			phone.leg, err = h.edge.Dial(Dial{To: b, Caller: caller.leg.Caller(), SDP: caller.leg.SDP()}, phone.sink)
			if err != nil {
				t.Fatal(err)
			}
			in, err := agent.WaitCall(soon(t))
			if err != nil {
				t.Fatal(err)
			}
			if b.Transport != transport || phone.leg.Transport() != transport || phone.leg.Local() != h.edge.bound(flow{transport, b.Source}) {
				t.Errorf("flow %s %s of %+v", phone.leg.Transport(), phone.leg.Local(), b)
			}
			if got := in.Invite().Get("Contact"); !strings.Contains(got, h.edge.bound(flow{transport, b.Source}).String()) {
				t.Errorf("Contact %s", got)
			}
			in.Ring(180, "")
			expect[Progress](phone)
			in.Answer(offerB)
			expect[Answered](phone)
			if err := caller.leg.Answer([]byte(ourSDP)); err != nil {
				t.Fatal(err)
			}
			expect[Acked](caller)
			if err := phone.leg.Reoffer([]byte(newSDP)); err != nil {
				t.Fatal(err)
			}
			expect[Reanswered](phone)
			phone.leg.Hangup(Reason{Q850: 16})
			c.Bye()
			expect[Ended](caller)
			if err := in.Ended(soon(t)); err != nil {
				t.Fatal(err)
			}
			until(t, "no legs", func() bool { return h.edge.Legs() == 0 })
		})
	}
}

func TestBannedAreNotHeard(t *testing.T) {
	h := openHouse(t, nil)
	guesser := h.udpPhone("127.0.0.3", siptest.Options{User: "ana", Password: "wrong", Domain: testRealm})
	for range 2 {
		if res, err := guesser.Register(soon(t), time.Hour); err != nil || res.Status != 401 {
			t.Fatalf("%v %v", res, err)
		}
	}
	until(t, "banned", func() bool { return h.reg.Banned(netip.MustParseAddr("127.0.0.3")) })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if res, err := guesser.Do(ctx, guesser.NewRequest("OPTIONS", "sip:lo.test", "")); err == nil {
		t.Errorf("answered %s", res)
	}
	friend := h.udpPhone("127.0.0.1", siptest.Options{User: "x"})
	if _, err := friend.Do(soon(t), friend.NewRequest("OPTIONS", "sip:lo.test", "")); err != nil {
		t.Errorf("the ban silenced the socket: %v", err)
	}
	tcp, _ := h.tcpPhone("127.0.0.3", siptest.Options{User: "ana"})
	ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := tcp.Do(ctx, tcp.NewRequest("OPTIONS", "sip:lo.test", "")); err == nil {
		t.Error("answered over TCP")
	}
}

type counted struct {
	countNothing
	bad, in, out atomic.Int64
}

func (c *counted) ParseError(string)                          { c.bad.Add(1) }
func (c *counted) Request(method, transport string, out bool) { c.in.Add(1) }
func (c *counted) Response(method string, code int, out bool) {
	if out && method == "OPTIONS" && code == 200 {
		c.out.Add(1)
	}
}

func TestTraceAndCounters(t *testing.T) {
	var mu sync.Mutex
	var seen []Traced
	count := &counted{}
	h := openHouse(t, func(o *Options) {
		o.Trace = func(m Traced) { mu.Lock(); seen = append(seen, m); mu.Unlock() }
		o.Count = count
	})
	find := func(out bool, transport, start, id string) (found *Traced) {
		mu.Lock()
		defer mu.Unlock()
		for i := range seen {
			m := &seen[i]
			if m.Out == out && m.Transport == transport && strings.HasPrefix(string(m.Message), start) && m.SIPCallID == id {
				return m
			}
		}
		return nil
	}
	udp := h.udpPhone("127.0.0.1", siptest.Options{User: "ana"})
	tcp, _ := h.tcpPhone("127.0.0.1", siptest.Options{User: "bo"})
	for i, p := range []*siptest.Phone{udp, tcp} {
		transport := [...]string{"udp", "tcp"}[i]
		req := p.NewRequest("OPTIONS", "sip:lo.test", "body Authorization: shown\r\n", siptest.H("Authorization", `Digest secret="1"`), siptest.H("proxy-authorization", "Digest\r\n secret=2"))
		if _, err := p.Do(soon(t), req); err != nil {
			t.Fatal(err)
		}
		until(t, "traced", func() bool { return find(true, transport, "SIP/2.0 200", req.Get("Call-ID")) != nil })
		in := find(false, transport, "OPTIONS", req.Get("Call-ID"))
		if in == nil {
			t.Fatalf("%s: not traced", transport)
		}
		text := string(in.Message)
		if strings.Contains(text, "secret") || strings.Count(text, ": redacted\r\n") != 2 || !strings.HasSuffix(text, "shown\r\n") {
			t.Errorf("%s: %s", transport, text)
		}
		if in.Remote != p.Wire().LocalAddr().String() || in.Local != h.edge.bound(flow{transport, netip.MustParseAddrPort(p.Wire().LocalAddr().String())}).String() || in.At.IsZero() {
			t.Errorf("%s: %+v", transport, in)
		}
	}
	if err := udp.Wire().SendRaw([]byte("OPTIONS sip:a@b SIP/2.0\r\nVia no colon\r\n"+strings.Repeat("x", 99)+"\r\n\r\n"), h.edge.o.UDP.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	until(t, "counted", func() bool { return count.bad.Load() == 1 && count.in.Load() == 2 && count.out.Load() == 2 })
}

func TestWildcardSocket(t *testing.T) {
	for _, host := range []string{"", "acd.example.fr"} {
		var pc net.PacketConn
		h := openHouse(t, func(o *Options) {
			o.UDP.Close()
			var err error
			if pc, err = net.ListenPacket("udp4", "0.0.0.0:0"); err != nil {
				t.Fatal(err)
			}
			o.UDP, o.Host = pc, host
		})
		port := pc.LocalAddr().(*net.UDPAddr).Port
		at, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p, err := siptest.NewPhone(at, siptest.Options{User: "ana", Password: "pw-ana", Domain: testRealm, Server: fmt.Sprintf("127.0.0.1:%d", port), Outbound: true})
		if err != nil {
			t.Fatal(err)
		}
		mustRegister(t, p)
		d := newDiary(t)
		l, err := h.edge.Dial(Dial{To: h.reg.Bindings("ana")[0], SDP: []byte(ourSDP)}, d.sink)
		if err != nil {
			t.Fatal(err)
		}
		in, err := p.WaitCall(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("127.0.0.1:%d", port)
		if l.Local().String() != want {
			t.Errorf("local %s", l.Local())
		}
		if host != "" {
			want = fmt.Sprintf("%s:%d", host, port)
		}
		if got := in.Invite().Get("Contact"); got != "<sip:foyer@"+want+">" {
			t.Errorf("Contact %s, want %s", got, want)
		}
		if got := in.Invite().Get("Via"); !strings.HasPrefix(got, "SIP/2.0/UDP "+want+";") {
			t.Errorf("Via %s", got)
		}
		in.Answer(offerA)
		expect[Answered](d)
		l.Hangup(Reason{})
		if err := in.Ended(soon(t)); err != nil {
			t.Fatal(err)
		}
		p.Close()
	}
}

func TestEdgeThatCannotBe(t *testing.T) {
	if _, err := NewEdge(Options{}); err == nil {
		t.Error("an edge without sockets")
	}
	h := openHouse(t, nil)
	until(t, "serving", func() bool { h.edge.mu.Lock(); defer h.edge.mu.Unlock(); return h.edge.served != nil })
	if err := h.edge.Serve(context.Background()); err == nil {
		t.Error("served twice")
	}
	if _, err := h.edge.Dial(Dial{To: Binding{Contact: "x"}, SDP: []byte("v")}, nil); err == nil {
		t.Error("dialled nothing")
	}
	if _, err := h.edge.Dial(Dial{To: Binding{Contact: "sip:a@b", Transport: "udp"}}, nil); err == nil {
		t.Error("dialled without an offer")
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEdge(Options{UDP: udp})
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	if err := e.Serve(context.Background()); err == nil {
		t.Error("served after Close")
	}
}

// A finished transaction stays for 32 s; the leg it belonged to must not.
func TestEndedLegIsNotKept(t *testing.T) {
	h := openHouse(t, nil)
	carrier := h.udpPhone("127.0.0.2", siptest.Options{User: "carrier", Outbound: true})
	agent := h.udpPhone("127.0.0.1", siptest.Options{User: "ana", Password: "pw-ana", Domain: testRealm, Outbound: true})
	mustRegister(t, agent)
	legs := func() (legs []weak.Pointer[Leg]) {
		c, err := carrier.Invite(soon(t), number, offerA)
		if err != nil {
			t.Fatal(err)
		}
		caller := listenTo(t, <-h.calls)
		phone := newDiary(t)
		if phone.leg, err = h.edge.Dial(Dial{To: h.reg.Bindings("ana")[0], SDP: []byte(ourSDP)}, phone.sink); err != nil {
			t.Fatal(err)
		}
		in, err := agent.WaitCall(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		in.Answer(offerA)
		expect[Answered](phone)
		if err := caller.leg.Answer([]byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		expect[Acked](caller)
		for _, x := range []struct {
			c *siptest.Call
			d *diary
		}{{c, caller}, {in, phone}} {
			x.c.Reinvite(offerB)
			x.d.leg.Accept(expect[Reoffered](x.d), []byte(newSDP))
			if _, err := x.c.WaitFor(soon(t), "200 INVITE"); err != nil {
				t.Fatal(err)
			}
			x.c.Info("application/dtmf", "1")
			expect[Info](x.d)
		}
		c.Bye()
		expect[Ended](caller)
		phone.leg.Hangup(Reason{})
		if err := in.Ended(soon(t)); err != nil {
			t.Fatal(err)
		}
		return []weak.Pointer[Leg]{weak.Make(caller.leg), weak.Make(phone.leg)}
	}()
	for i, p := range legs {
		until(t, fmt.Sprintf("leg %d is let go", i), func() bool { runtime.GC(); return p.Value() == nil })
	}
}
