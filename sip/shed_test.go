package sip

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"foyer/sip/siptest"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestBucket(t *testing.T) {
	t0 := time.Unix(1_800_000_000, 0)
	b := newBuckets(rate{20, 40}, t0)
	take := func(key uint64, at time.Duration, messages int) (granted int) {
		for range messages {
			if _, ok := b.take(key, whole, t0.Add(at)); ok {
				granted++
			}
		}
		return granted
	}
	for _, c := range []struct {
		what     string
		key      uint64
		at       time.Duration
		ask, get int
	}{
		{"a burst", 2, 0, 100, 40},
		{"another source", 4, 0, 3, 3},
		{"a tick later", 2, 50 * time.Millisecond, 10, 1},
		{"a second later", 2, 1050 * time.Millisecond, 100, 20},
		{"never more than the burst", 2, time.Hour, 100, 40},
	} {
		if got := take(c.key, c.at, c.ask); got != c.get {
			t.Errorf("%s: %d of %d granted, want %d", c.what, got, c.ask, c.get)
		}
	}
	if wait, ok := b.take(2, 2*whole, t0.Add(time.Hour)); ok || wait < 100*time.Millisecond || wait > 102*time.Millisecond {
		t.Errorf("two messages in %v, %v; want in 100 ms", wait, ok)
	}
	if _, ok := b.take(6, 1000*whole, t0); !ok {
		t.Error("what is larger than the burst must be granted from a full bucket, or it never is")
	}
}

// Whoever is being held back stays so, however many others turn up.
func TestBucketIsNotWashedOutBySpoofing(t *testing.T) {
	t0 := time.Unix(1_800_000_000, 0)
	b := newBuckets(rate{20, 40}, t0)
	g := newGate(FloodPolicy{}, t0, zap.NewNop())
	loud := g.addrKey(netip.MustParseAddr("198.51.100.1"))
	for range 40 {
		b.take(loud, whole, t0)
	}
	granted := 0
	for i := range uint32(300_000) {
		b.take(g.addrKey(v4(i)), whole, t0)
		if i%100 == 0 {
			if _, ok := b.take(loud, whole, t0); ok {
				granted++
			}
		}
	}
	if granted > 0 {
		t.Errorf("%d messages got through behind 300,000 spoofed sources", granted)
	}
}

// v4 is one of the addresses 16.0.0.0 and above.
func v4(i uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 0x10000000+i)
	return netip.AddrFrom4(b)
}

// As everybody together gets too much, the lesser go first, and what belongs to a
// call never does.
func TestSheddingOrder(t *testing.T) {
	t0 := time.Unix(1_800_000_000, 0)
	g := newGate(FloodPolicy{Total: 1000}, t0, zap.NewNop())
	granted := map[weight]int{}
	for range 2000 {
		for c := asking; c <= talking; c++ {
			if g.fromAll(registered, c, whole, t0) == "" {
				granted[c]++
			}
		}
	}
	for c := asking; c < talking; c++ {
		if granted[c] >= granted[c+1] {
			t.Errorf("weight %d: %d, weight %d: %d", c, granted[c], c+1, granted[c+1])
		}
	}
	if granted[talking] != 2000 {
		t.Errorf("%d of 2000 messages of dialogs", granted[talking])
	}
}

// What a message is worth, by what can be seen of it and who it is from.
func TestGlance(t *testing.T) {
	const head = " sip:lo.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.10:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	edge, err := NewEdge(Options{UDP: udp, Flood: &FloodPolicy{Hosts: []string{"lo.test", "192.0.2.1"}},
		Trunks: []Trunk{{ID: "c", Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/32")}, Host: "10.0.0.9"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer edge.Close()
	msg := func(method, from, to string, more ...string) string {
		return method + head + "From: " + from + "\r\nTo: " + to + "\r\nCall-ID: 1\r\nCSeq: 1 " + method + "\r\n" +
			strings.Join(append(more, ""), "\r\n") + "Content-Length: 0\r\n\r\n"
	}
	const ana, us, tagged = "<sip:ana@lo.test>;tag=1", "<sip:lo.test>", "<sip:lo.test>;TAG = x"
	ok := "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n"
	for _, c := range []struct {
		what   string
		s      standing
		text   string
		weight weight
		why    shed
	}{
		{"a stranger registers", foreign, msg("REGISTER", ana, us), signingIn, ""},
		{"with a nonce of somebody", foreign, msg("REGISTER", ana, us, `Authorization: Digest nonce="AAAA"`), signingIn, ""},
		{"a stranger calls in our name", foreign, msg("INVITE", ana, us), signingIn, ""},
		{"in short form", foreign, strings.Replace(msg("INVITE", ana, us), "From:", "f:", 1), signingIn, ""},
		{"in an address", foreign, msg("INVITE", "<sip:100@192.0.2.1>;tag=1", us), asking, shedSilence},
		{"in another's", foreign, msg("INVITE", "sip:100@example.com:5060;tag=1", us), asking, shedSilence},
		{"a stranger asks", foreign, msg("OPTIONS", ana, us), asking, shedSilence},
		{"a stranger hangs up", foreign, msg("BYE", ana, tagged), asking, shedSilence},
		{"a stranger invents", foreign, msg("EXOTIC", ana, us), asking, shedSilence},
		{"an answer nobody waits for", foreign, ok, asking, shedSilence},
		{"a scanner", foreign, msg("REGISTER", ana, us, "User-Agent: Friendly-Scanner"), asking, shedScanner},
		{"a scanner in disguise", foreign, msg("REGISTER", `"sipvicious"<sip:100@1.1.1.1>;tag=6161`, us, "User-Agent: Linphone"), asking, shedScanner},
		{"a friend asks", friend, msg("OPTIONS", ana, us), asking, ""},
		{"a friend's scanner", friend, msg("OPTIONS", ana, us, "User-Agent: sipsak"), asking, ""},
		{"a friend registers", friend, msg("REGISTER", ana, us), refreshing, ""},
		{"a phone registers again", registered, msg("REGISTER", ana, us), refreshing, ""},
		{"a phone calls", registered, msg("INVITE", ana, us), calling, ""},
		{"a phone hangs up", registered, msg("BYE", ana, tagged), talking, ""},
		{"a phone answers", registered, ok, talking, ""},
		{"a carrier calls", ofTrunk, msg("INVITE", "<sip:+33612345678@carrier.test>;tag=1", us), calling, ""},
		{"a carrier's re-INVITE", ofTrunk, msg("INVITE", ana, tagged), talking, ""},
		{"a carrier cancels", ofTrunk, msg("CANCEL", ana, us), talking, ""},
		{"a carrier asks", ofTrunk, msg("OPTIONS", ana, us), refreshing, ""},
	} {
		from := flow{"udp", netip.MustParseAddrPort("203.0.113.7:5060")}
		look := edge.glanceAt([]byte(c.text), c.s, from)
		if weight, why := look.weigh(c.s, edge.gate.policy.Hosts); weight != c.weight || why != c.why {
			t.Errorf("%s: weight %d, %q; want %d, %q (%+v)", c.what, weight, why, c.weight, c.why, look)
		}
	}
	for addr, want := range map[string]standing{
		"10.0.0.2": ofTrunk, "10.0.0.9": ofTrunk, "10.0.0.10": foreign, // 10.0.0.9 is called, and in no allow list
	} {
		if got := edge.standing(flow{"udp", netip.AddrPortFrom(netip.MustParseAddr(addr), 5060)}); got != want {
			t.Errorf("%s is %d to us, want %d", addr, got, want)
		}
	}
}

// answers is a socket that counts what is sent, and keeps to itself what would
// leave the machine.
type answers struct {
	net.PacketConn
	sent atomic.Int64
}

func (a *answers) WriteTo(b []byte, to net.Addr) (int, error) {
	a.sent.Add(1)
	if !to.(*net.UDPAddr).IP.IsLoopback() {
		return len(b), nil
	}
	return a.PacketConn.WriteTo(b, to)
}

// besieged is an edge with a gate before real sockets.
func besieged(t testing.TB, policy FloodPolicy) (*Edge, *atomic.Uint64, net.Addr) {
	t.Helper()
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp := &answers{PacketConn: socket}
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var dropped atomic.Uint64
	policy.Shed = func(string) { dropped.Add(1) }
	policy.Hosts = []string{"lo.test"}
	e, err := NewEdge(Options{
		UserAgent: "test", UDP: udp, TCP: tcp, Flood: &policy,
		Registrar: NewRegistrar(RegistrarOptions{Realm: testRealm, Default: MD5, Accounts: testAccounts, Probe: -1}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- e.Serve(context.Background()) }()
	t.Cleanup(func() {
		_ = e.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return e, &dropped, udp.LocalAddr()
}

func registerOf(i int) []byte {
	return fmt.Appendf(nil, "REGISTER sip:lo.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.10:5060;rport;branch=z9hG4bK%d\r\nMax-Forwards: 70\r\n"+
		"From: <sip:ana@lo.test>;tag=1\r\nTo: <sip:ana@lo.test>\r\nCall-ID: c%d\r\nCSeq: 1 REGISTER\r\n"+
		"Contact: <sip:ana@192.168.1.10:5060>\r\nUser-Agent: Linphone\r\nContent-Length: 0\r\n\r\n", i, i)
}

// A flood of spoofed sources, each within its own rate, meets the limit of all
// strangers; a phone signs in all the same, and no memory is gone.
func TestFloodOfSpoofedSources(t *testing.T) {
	e, dropped, _ := besieged(t, FloodPolicy{Strangers: 200})
	const sources = 150_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	sent := &e.o.UDP.(*answers).sent
	until(t, "the socket is served", func() bool { return e.tpl.Pool("udp").Size() > 0 })
	began := time.Now()
	for i := range sources {
		from := sip.TransportReadProps{Transport: "UDP", LocalAddr: e.o.UDP.LocalAddr(), RemoteAddr: &net.UDPAddr{IP: v4(uint32(i)).AsSlice(), Port: 5060}}
		if data, err := e.filter(from, registerOf(i)); err != nil {
			t.Fatal("an error ends the socket: ", err)
		} else if len(data) > 0 {
			t.Fatal("the library has it: ", string(data))
		}
	}
	passed := int(sent.Load())
	if most := 400 + int(200*time.Since(began).Seconds()) + 1; passed > most {
		t.Errorf("%d of %d got through; at most %d may", passed, sources, most)
	}
	if n := dropped.Load(); int(n)+passed != sources {
		t.Errorf("%d shed and %d through, of %d", n, passed, sources)
	}
	// A home from which a password was proven is not of the crowd; one whose phone
	// brings back a nonce of ours is not either.
	home := &net.UDPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 5062}
	ask := func() bool {
		before := sent.Load()
		_, _ = e.filter(sip.TransportReadProps{Transport: "UDP", LocalAddr: e.o.UDP.LocalAddr(), RemoteAddr: home}, registerOf(1))
		return sent.Load() > before
	}
	e.gate.strangers.level = 0
	if ask() {
		t.Error("a stranger got in while the crowd is too large")
	}
	e.o.Registrar.guesses.right("ana", netip.MustParseAddr("203.0.113.7"), time.Now())
	if !ask() {
		t.Error("a phone cannot come back to its home while there is a flood")
	}
	if grown := int64(heap()) - int64(before); grown > 4<<20 {
		t.Errorf("the heap grew by %d kB", grown>>10)
	}
}

// A challenge leaves nothing behind: neither a transaction, which the library would
// keep for 32 s in 4 KB, nor anything else.
func TestChallengesCostNoMemory(t *testing.T) {
	_, _, server := besieged(t, FloodPolicy{Source: 1e6, Strangers: 1e6, Total: 1e6})
	conn, err := net.Dial("udp4", server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 4096)
	ask := func(i int) {
		for range 5 { // a datagram may be lost on a busy machine
			if _, err := conn.Write(registerOf(i)); err != nil {
				t.Fatal(err)
			}
			_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
			if n, err := conn.Read(buf); err == nil && strings.HasPrefix(string(buf[:n]), "SIP/2.0 401 ") {
				return
			}
		}
		t.Fatal("no challenge")
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const asked = 5000
	for i := range 500 {
		ask(i)
	}
	before := heap()
	for i := range asked {
		ask(500 + i)
	}
	if each := (heap() - before) / asked; each > 200 {
		t.Errorf("%d bytes left of each challenge", each)
	}
}

// crowd is a socket at which very many others say something once, before it is
// read as it is.
type crowd struct {
	net.PacketConn
	sources int
	after   func(i int) // sees every one
}

func (c *crowd) ReadFrom(b []byte) (int, net.Addr, error) {
	if c.sources == 0 {
		return c.PacketConn.ReadFrom(b)
	}
	c.after(c.sources)
	c.sources--
	// An answer that nobody waits for, whole enough to reach the parser.
	n := copy(b, "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n"+
		"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n")
	return n, &net.UDPAddr{IP: v4(uint32(c.sources)).AsSlice(), Port: 5060}, nil
}

// The library remembers every source of a datagram for ever; we do not let it,
// and a call goes out and comes in by the same socket after that as before.
func TestLibraryForgetsSources(t *testing.T) {
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	most, over := 0, make(chan struct{})
	var e *Edge
	pc := &crowd{PacketConn: udp, sources: 3 * crowded, after: func(i int) {
		if i%997 == 0 {
			most = max(most, e.tpl.Pool("udp").Size())
		}
		if i == 1 {
			close(over)
		}
	}}
	if e, err = NewEdge(Options{UDP: pc, Log: zap.NewNop()}); err != nil {
		t.Fatal(err)
	}
	serve(t, e)
	<-over
	if most > 2*crowded { // one reading goes while the next has begun
		t.Errorf("%d addresses remembered", most)
	}
	if most < crowded/2 {
		t.Errorf("%d addresses remembered at most: the library has mended its ways, and crowd.go may go", most)
	}
	own, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	phone, err := siptest.NewPhone(own, siptest.Options{User: "ana", Server: udp.LocalAddr().String(), Outbound: true})
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	y := newDiary(t)
	at := netip.MustParseAddrPort(own.LocalAddr().String())
	if _, err := e.Dial(Dial{To: Binding{User: "ana", Contact: "sip:ana@" + at.String(), Transport: "udp",
		Source: at, Reachable: true}, SDP: []byte(ourSDP)}, y.sink); err != nil {
		t.Fatal(err)
	}
	c, err := phone.WaitCall(ctx)
	if err != nil {
		t.Fatal("the phone is not rung: ", err)
	}
	if via := c.Invite().Get("Via"); !strings.Contains(via, udp.LocalAddr().String()) {
		t.Errorf("rung from another socket: Via %s", via)
	}
	c.Reject(486)
	expect[Refused](y)
}

// Over a connection nothing is lost, only late: a stranger who is too fast waits.
func TestStreamWaits(t *testing.T) {
	e, _, _ := besieged(t, FloodPolicy{Source: 50})
	conn, err := net.Dial("tcp4", e.o.TCP.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const requests = 130
	go func() {
		for i := range requests {
			text := strings.Replace(string(registerOf(i)), "SIP/2.0/UDP", "SIP/2.0/TCP", 1)
			if _, err := conn.Write([]byte(text)); err != nil {
				return
			}
		}
	}()
	began, got, buf := time.Now(), 0, make([]byte, 64<<10)
	_ = conn.SetReadDeadline(began.Add(20 * time.Second))
	for got < requests {
		k, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("%d of %d answered: %v", got, requests, err)
		}
		got += strings.Count(string(buf[:k]), "SIP/2.0 401 ")
	}
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("%d requests in %v: nobody was slowed to 50 a second after 100", got, took)
	}
}

// What is shed is told of once a second, with how many it was.
func TestSheddingIsLoggedSparingly(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	g := newGate(FloodPolicy{}, time.Unix(1_800_000_000, 0), zap.New(core))
	for i := range 5000 {
		g.note(shedSource, v4(0), time.Unix(1_800_000_000, 0).Add(time.Duration(i)*time.Millisecond))
	}
	if n := logs.Len(); n != 5 {
		t.Errorf("%d lines in five seconds", n)
	}
	if last := logs.All()[logs.Len()-1].ContextMap(); last["since_last"] != uint64(1000) {
		t.Errorf("the last says %v", last)
	}
}
