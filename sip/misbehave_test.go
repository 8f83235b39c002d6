package sip

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/gobwas/ws"

	"foyer/sip/siptest"
)

// rawOptions is a message of somebody who is no phone.
func rawOptions(id string, extra ...string) string {
	return "OPTIONS sip:lo.test SIP/2.0\r\nVia: SIP/2.0/TCP 192.168.1.20:5060;branch=z9hG4bK" + id + "\r\n" +
		"From: <sip:x@lo.test>;tag=1\r\nTo: <sip:lo.test>\r\nCall-ID: " + id + "\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n" +
		strings.Join(append(extra, "Content-Length: 0\r\n\r\n"), "")
}

// serves checks that somebody else is served at once, whatever goes on.
func (s *secureHouse) serves(transport string) {
	s.t.Helper()
	begun := time.Now()
	p, err := siptest.NewStreamPhone(s.dial(transport, "127.0.0.1"), siptest.Options{User: "ana", Password: "pw-ana", Domain: testRealm})
	if err != nil {
		s.t.Fatal(err)
	}
	defer p.Close()
	mustRegister(s.t, p)
	if took := time.Since(begun); took > 3*time.Second { // on a busy machine; behind those who are held it would be far longer
		s.t.Errorf("another phone was served after %v", took)
	}
}

// hangsUp waits until the other end has closed a connection, and returns what it
// said before.
func hangsUp(t *testing.T, c net.Conn, within time.Duration) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(within + 5*time.Second))
	begun := time.Now()
	said, err := io.ReadAll(c)
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		t.Fatalf("not closed within %v; it said %q", within, said)
	}
	if took := time.Since(begun); took > within {
		t.Errorf("closed after %v, not within %v", took, within)
	}
	return string(said)
}

// plain connects without anything above TCP to the socket of a transport.
func (s *secureHouse) plain(transport string) net.Conn {
	s.t.Helper()
	addr := s.edge.o.TCP.Addr()
	if transport == "tls" {
		addr = s.edge.o.TLS.Addr()
	}
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// Whoever says nothing, or too little, is closed and holds up nobody.
func TestSilentConnections(t *testing.T) {
	for _, x := range []struct {
		name      string
		transport string
		say       func(net.Conn)
	}{
		{"silent", "tcp", func(net.Conn) {}},
		{"empty lines", "tcp", func(c net.Conn) { c.Write([]byte("\r")) }},
		{"no handshake", "tls", func(net.Conn) {}},
		{"half a handshake", "tls", func(c net.Conn) { c.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}) }},
		{"SIP where TLS is spoken", "tls", func(c net.Conn) { c.Write([]byte(rawOptions("plain"))) }},
		{"garbage", "tls", func(c net.Conn) { io.CopyN(c, rand.Reader, 4096) }},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s := openSecureHouse(t, nil)
			var held []net.Conn
			for range 20 {
				c := s.plain(x.transport)
				x.say(c)
				held = append(held, c)
			}
			s.serves(x.transport)
			for _, c := range held {
				if x.name == "empty lines" {
					continue // a message that has begun has longer
				}
				hangsUp(t, c, firstByte+2*time.Second)
			}
			s.serves(x.transport)
		})
	}
}

// What a connection may bring, and what is said to it.
func TestWhatConnectionsBring(t *testing.T) {
	long := func(n int) string { return "Subject: " + strings.Repeat("x", n) + "\r\n" }
	many := func(n int) (all string) {
		for i := range n {
			all += fmt.Sprintf("X-%d: %s\r\n", i, strings.Repeat("y", 900))
		}
		return all
	}
	sized := func(n int) string { return fmt.Sprintf("Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n", n) }
	for _, x := range []struct {
		name    string
		say     string
		answers []string // in any order
		closed  bool
	}{
		{"one", rawOptions("a"), []string{"200 OK"}, false},
		{"pipelined", rawOptions("a") + rawOptions("b") + "\r\n" + rawOptions("c"), []string{"200 OK", "200 OK", "200 OK"}, false},
		{"keep-alives between", "\r\n\r\n" + rawOptions("a") + "\r\n\r\n" + rawOptions("b"), []string{"200 OK", "200 OK"}, false},
		{"garbage", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", nil, true},
		{"binary", string(bytes.Repeat([]byte{0, 1, 0xff, '\r', '\n'}, 1000)) + "\r\n\r\n", nil, true},
		{"a response that is none", "SIP/2.0 200\r\n\r\n", nil, true},
		{"a long line", rawOptions("a", long(9<<10)), []string{"400"}, false},
		{"a line that never ends", strings.Repeat("z", 17<<10), nil, true},
		{"headers up to the limit", rawOptions("a", many(16)), []string{"200 OK"}, false},
		{"headers beyond it", rawOptions("a", many(20)), []string{"400"}, true},
		{"a body beyond the limit", strings.Replace(rawOptions("a"), "Content-Length: 0\r\n\r\n", sized(70000), 1), []string{"513"}, true},
		{"a negative length", strings.Replace(rawOptions("a"), "Length: 0", "Length: -1", 1), []string{"400"}, true},
		{"a length that is no number", strings.Replace(rawOptions("a"), "Length: 0", "Length: ten", 1), []string{"400"}, true},
		{"two lengths", rawOptions("a", "l: 5\r\n"), []string{"400"}, true},
		{"a large body", strings.Replace(rawOptions("a"), "Content-Length: 0\r\n\r\n", sized(60000), 1) + strings.Repeat("b", 60000), []string{"200 OK"}, false},
	} {
		for _, transport := range []string{"tcp", "tls"} {
			t.Run(x.name+" by "+transport, func(t *testing.T) {
				t.Parallel()
				s := openSecureHouse(t, nil)
				c := s.dial(transport, "127.0.0.1")
				defer c.Close()
				if _, err := io.WriteString(c, x.say); err != nil && !x.closed {
					t.Fatal(err)
				}
				var said string
				if x.closed {
					said = hangsUp(t, c, 3*time.Second)
				} else {
					said = readAnswers(t, c, len(x.answers))
				}
				for _, a := range x.answers {
					if !strings.Contains(said, "SIP/2.0 "+a) {
						t.Errorf("no %s in %q", a, said)
					}
					said = strings.Replace(said, "SIP/2.0 "+a, "", 1)
				}
				if strings.Contains(said, "SIP/2.0 ") {
					t.Errorf("more answers: %q", said)
				}
				s.serves(transport)
			})
		}
	}
}

// readAnswers reads until so many answers have come.
func readAnswers(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	var all []byte
	for buf := make([]byte, 8192); strings.Count(string(all), "SIP/2.0 ") < n || !bytes.HasSuffix(all, endOfHead); {
		m, err := c.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, all)
		}
		all = append(all, buf[:m]...)
	}
	return string(all)
}

// A message may come in any pieces.
func TestMessageInPieces(t *testing.T) {
	s := openSecureHouse(t, nil)
	c := s.dial("tcp", "127.0.0.1")
	defer c.Close()
	go func() {
		for _, b := range []byte(rawOptions("slow")) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	time.Sleep(20 * time.Millisecond)
	s.serves("tcp")
	if said := readAnswers(t, c, 1); !strings.HasPrefix(said, "SIP/2.0 200") {
		t.Error(said)
	}
}

// A ping is answered between messages, also where it comes in halves.
func TestPingsOfPhones(t *testing.T) {
	s := openSecureHouse(t, nil)
	for _, pieces := range [][]string{{"\r\n\r\n"}, {"\r\n", "\r\n"}, {"\r\n\r", "\n"}} {
		c := s.dial("tls", "127.0.0.1")
		for _, p := range pieces {
			if _, err := io.WriteString(c, p); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		got := make([]byte, 8)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := c.Read(got); err != nil || string(got[:n]) != "\r\n" {
			t.Errorf("%q was answered %q, %v", pieces, got[:n], err)
		}
		c.Close()
	}
}

// A connection that is reset in the middle of a message is gone; the phones of
// others stay.
func TestResetInTheMiddle(t *testing.T) {
	s := openSecureHouse(t, nil)
	bo := s.phone("tcp", "bo")
	mustRegister(t, bo)
	for range 50 {
		c := s.dial("tcp", "127.0.0.1")
		if _, err := io.WriteString(c, rawOptions("cut")[:100]); err != nil {
			t.Fatal(err)
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		c.Close()
	}
	s.serves("tcp")
	until(t, "only bo's connection is left", func() bool { return s.inside() == 1 })
	if len(s.reg.Bindings("bo")) != 1 {
		t.Error("bo is gone too")
	}
}

// inside is how many connections there are.
func (s *secureHouse) inside() (n int) {
	for _, of := range s.edge.Connections() {
		n += of
	}
	return n
}

// A peer that does not read is closed after a while and holds up only those who
// write to it.
func TestPeerThatDoesNotRead(t *testing.T) {
	s := openSecureHouse(t, nil)
	c := s.dial("tcp", "127.0.0.1")
	defer c.Close()
	// Every Via comes back, so few answers fill what the kernel holds for it.
	long := "Via: SIP/2.0/TCP 192.168.1.20;branch=z9hG4bK0;pad=" + strings.Repeat("x", 7<<10) + "\r\n"
	var writing sync.WaitGroup
	defer writing.Wait()
	defer c.Close()
	writing.Go(func() {
		for i := 0; ; i++ {
			if _, err := io.WriteString(c, rawOptions(fmt.Sprint("deaf", i), long)); err != nil {
				return
			}
		}
	})
	for range 10 {
		s.serves("tcp")
	}
	until(t, "it is closed", func() bool { return s.inside() == 0 })
}

// A source has so many connections by which no phone has registered, and any
// number by which one has.
func TestConnectionsOfOneSource(t *testing.T) {
	s := openSecureHouse(t, func(o *Options) { o.PerSource = 3 })
	s.reg.bans.policy.Allow = nil
	var held []net.Conn
	for range 3 {
		held = append(held, s.plain("tcp"))
	}
	until(t, "they are in", func() bool { return s.inside() == 3 })
	over := s.plain("tcp")
	hangsUp(t, over, time.Second)
	other, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}).Dial("tcp", s.edge.o.TCP.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	until(t, "another source is let in", func() bool { return s.inside() == 4 })
	for _, c := range held {
		c.Close()
	}
	until(t, "they are out", func() bool { return s.inside() == 1 })
	for i := range 6 {
		o := siptest.Options{User: "bo", Password: "pw-bo", Domain: testRealm, Contact: fmt.Sprint("192.168.1.20:", 5000+i)}
		if i%2 == 0 {
			o.User, o.Password = "ana", "pw-ana"
		}
		p, err := siptest.NewStreamPhone(s.dial("tcp", "127.0.0.1"), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		mustRegister(t, p)
	}
	if n := s.inside(); n != 7 {
		t.Errorf("%d connections, of six phones and a stranger", n)
	}
}

// No more than mostHalfOpen connections are in a handshake; the oldest makes room.
func TestHalfOpenConnections(t *testing.T) {
	s := openSecureHouse(t, nil)
	for range mostHalfOpen + 50 {
		s.plain("tls")
	}
	s.serves("tls")
	s.edge.door.mu.Lock()
	n := s.edge.door.halfOpen.Len()
	s.edge.door.mu.Unlock()
	if n > mostHalfOpen {
		t.Errorf("%d in their handshake", n)
	}
}

// A WebSocket's frames: fragments, pings, limits and what breaks the protocol.
func TestFramesOfAWebSocket(t *testing.T) {
	s := openSecureHouse(t, nil)
	open := func() net.Conn {
		t.Helper()
		c, _, _, err := ws.Dialer{Protocols: []string{"sip"}}.Dial(soon(t), strings.Replace(s.web.URL, "http", "ws", 1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		return c
	}
	send := func(c net.Conn, f ws.Frame) {
		t.Helper()
		if err := ws.WriteFrame(c, ws.MaskFrame(f)); err != nil {
			t.Fatal(err)
		}
	}
	receive := func(c net.Conn) ws.Frame {
		t.Helper()
		f, err := ws.ReadFrame(c)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	text := []byte(rawOptions("ws"))

	c := open()
	send(c, ws.NewFrame(ws.OpText, false, text[:10]))
	send(c, ws.NewPingFrame([]byte("there?")))
	send(c, ws.NewFrame(ws.OpContinuation, false, text[10:20]))
	send(c, ws.NewFrame(ws.OpContinuation, true, text[20:]))
	if f := receive(c); f.Header.OpCode != ws.OpPong || string(f.Payload) != "there?" {
		t.Errorf("a ping was answered %+v", f)
	}
	if f := receive(c); f.Header.OpCode != ws.OpText || !strings.HasPrefix(string(f.Payload), "SIP/2.0 200") {
		t.Errorf("a message in three frames was answered %q", f.Payload)
	}
	send(c, ws.NewTextFrame([]byte("\r\n\r\n")))
	if f := receive(c); string(f.Payload) != "\r\n" {
		t.Errorf("a keep-alive of other transports was answered %q", f.Payload)
	}
	send(c, ws.NewBinaryFrame(text))
	receive(c)
	send(c, ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusGoingAway, "")))
	if f := receive(c); f.Header.OpCode != ws.OpClose {
		t.Errorf("a goodbye was answered %+v", f)
	}
	hangsUp(t, c, time.Second)

	for what, f := range map[string]ws.Frame{
		"too long":                 ws.NewTextFrame(make([]byte, largestHead+1)),
		"continues nothing":        ws.NewFrame(ws.OpContinuation, true, text),
		"not SIP":                  ws.NewTextFrame([]byte("hello, this is no SIP at all, whatever its length may be")),
		"a control frame too long": ws.NewPingFrame(make([]byte, 200)),
	} {
		c := open()
		_ = ws.WriteFrame(c, ws.MaskFrame(f))
		hangsUp(t, c, time.Second)
		_ = what
	}
	c = open()
	_ = ws.WriteFrame(c, ws.NewTextFrame(text)) // not masked
	hangsUp(t, c, time.Second)
	s.serves("ws")

	if _, _, _, err := (ws.Dialer{Protocols: []string{"chat"}}).Dial(soon(t), strings.Replace(s.web.URL, "http", "ws", 1)); err == nil {
		t.Error("a WebSocket for something else was opened")
	}
}

// A call and its requests stay on the phone's own connection, and when that is
// gone nobody calls where Via or Contact say.
func TestNobodyIsCalledBack(t *testing.T) {
	s := openSecureHouse(t, nil)
	bait, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer bait.Close()
	for _, transport := range []string{"tcp", "tls", "ws", "wss"} {
		c := s.dial(transport, "127.0.0.1")
		for i := range 20 {
			text := strings.Replace(rawOptions(fmt.Sprint("bait", i)), "192.168.1.20:5060", bait.Addr().String(), 1)
			if _, err := io.WriteString(c, text); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
	}
	until(t, "they are gone", func() bool { return s.inside() == 0 })
	// Nor does the library open a connection in place of one that is gone.
	for _, transport := range []string{"tcp", "tls", "ws", "wss"} {
		at, _ := addrPort(bait.Addr())
		f := flow{transport, at}
		to := &sip.ToHeader{Address: sip.Uri{Scheme: "sip", Host: "lo.test"}}
		req := s.edge.inside("x", &dialog{flow: f, from: &sip.FromHeader{Address: to.Address}, to: to, target: to.Address}, sip.OPTIONS, 1)
		req.SetBody(nil)
		if err := s.edge.tpl.WriteMsg(req); err == nil {
			t.Errorf("%s: sent to nobody", transport)
		}
	}
	bait.(*net.TCPListener).SetDeadline(time.Now().Add(200 * time.Millisecond))
	if c, err := bait.Accept(); err == nil {
		c.Close()
		t.Error("the edge called where Via said")
	}
}

// Both IP versions at once, on sockets of their own and on one for both.
func TestBothIPVersions(t *testing.T) {
	listen := func(network, addr string) net.Listener {
		l, err := net.Listen(network, addr)
		if err != nil {
			t.Skipf("no IPv6 on this machine: %v", err)
		}
		return l
	}
	packets := func(addr string) net.PacketConn {
		c, err := net.ListenPacket("udp", addr)
		if err != nil {
			t.Skipf("no IPv6 on this machine: %v", err)
		}
		return c
	}
	for name, change := range map[string]func(o *Options){
		"two sockets": func(o *Options) {
			o.UDP6, o.TCP6, o.TLS6 = packets("[::1]:0"), listen("tcp", "[::1]:0"), listen("tcp", "[::1]:0")
		},
		"wildcard": func(o *Options) {
			o.UDP.Close()
			o.TCP.Close()
			o.TLS.Close()
			o.UDP, o.TCP, o.TLS = packets("[::]:0"), listen("tcp", "[::]:0"), listen("tcp", "[::]:0")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openSecureHouse(t, change)
			s.reg.bans.policy.Allow = append(s.reg.bans.policy.Allow, netip.MustParsePrefix("::1/128"))
			for _, transport := range []string{"udp", "tcp", "tls"} {
				for _, ip := range []string{"127.0.0.1", "::1"} {
					s.callsBy(t, transport, ip)
				}
			}
		})
	}
}

// callsBy makes a call to a phone at an address and wants to be called by it too.
func (s *secureHouse) callsBy(t *testing.T, transport, ip string) {
	t.Helper()
	f := flow{transport, netip.AddrPortFrom(netip.MustParseAddr(ip), 1)}
	at := net.JoinHostPort(ip, fmt.Sprint(s.edge.bound(f).Port()))
	o := siptest.Options{User: "bo", Password: "pw-bo", Domain: testRealm, Server: at}
	var p *siptest.Phone
	var err error
	var c net.Conn
	switch transport {
	case "udp":
		var pc net.PacketConn
		if pc, err = net.ListenPacket("udp", net.JoinHostPort(ip, "0")); err == nil {
			p, err = siptest.NewPhone(pc, o)
		}
	case "tcp":
		c, err = net.Dial("tcp", at)
	case "tls":
		c, err = tls.Dial("tcp", at, s.client())
	}
	if err == nil && c != nil {
		p, err = siptest.NewStreamPhone(c, o)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	mustRegister(t, p)
	list := s.reg.Bindings("bo")
	d := newDiary(t)
	if d.leg, err = s.edge.Dial(Dial{To: list[0], SDP: []byte(ourSDP)}, d.sink); err != nil {
		t.Fatal(err)
	}
	in, err := p.WaitCall(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	in.Answer(offerB)
	expect[Answered](d)
	if host := siptest.HostOf(siptest.URIOf(in.Invite().Get("Contact"))); host != at {
		t.Errorf("%s at %s: Contact is at %s, not %s", transport, ip, host, at)
	}
	in.Bye()
	expect[Ended](d)
	if _, err := p.Register(soon(t), 0); err != nil {
		t.Fatal(err)
	}
	until(t, "no binding", func() bool { return len(s.reg.Bindings("bo")) == 0 })
}
