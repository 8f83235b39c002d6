package rtp

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	pion "github.com/pion/rtp"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// connected waits until the leg's socket is the peer's own, talking meanwhile.
func (p *peer) connected(want bool) {
	p.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	answer := make(chan bool)
	for {
		p.leg.post(func(*shard) { answer <- p.leg.open != noSocket })
		if <-answer == want {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("connected is not %v", want)
		}
	}
}

func TestConnectingLosesNothing(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, alaw(), alaw())
	for i := 0; i < 400; i++ {
		a.say(8, frame(byte(i)))
		if k := b.hear(); k.Payload[0] != byte(i) {
			t.Fatalf("packet %d: heard % x", i, k.Payload[:4])
		}
		if i == 5 {
			b.say(8, frame(0))
			a.hear()
		}
		time.Sleep(time.Millisecond) // so that it goes on while the socket is split
	}
	a.connected(true)
	b.connected(true)
	if r := a.sync(); r.Received != 400 || r.Reordered != 0 || r.Refused != 0 {
		t.Errorf("received %d, reordered %d, refused %d", r.Received, r.Reordered, r.Refused)
	}
}

func TestStrangersAreCountedBesideAConnectedPeer(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, alaw(), alaw())
	a.say(8, frame(0))
	b.hear()
	a.connected(true)
	stranger, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(a.leg.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Close() }()
	k, err := (&pion.Packet{Header: pion.Header{Version: 2, PayloadType: 8, SSRC: a.ssrc}, Payload: frame(9)}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := stranger.Write(k); err != nil {
			t.Fatal("told by ICMP:", err)
		}
	}
	a.say(8, frame(1))
	if k := b.hear(); k.Payload[0] != 1 {
		t.Errorf("heard the stranger: % x", k.Payload[:4])
	}
	deadline := time.Now().Add(5 * time.Second)
	for r := a.sync(); r.Refused != 100; r = a.sync() {
		if time.Now().After(deadline) {
			t.Fatalf("refused %d of 100", r.Refused)
		}
	}
	// Nobody can join the port.
	fd, err := newSocket(loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer closeSockets(fd)
	if err := errors.Join(share(fd, 1), bindSocket(fd, a.leg.local)); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("somebody else binds the port: %v", err)
	}
}

// What a stranger got into the socket between its binding and its connecting is
// not taken for the peer's.
func TestOnlyAnEmptiedSocketIsThePeersOwn(t *testing.T) {
	s, err := newShard(&Options{Log: zap.NewNop()}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.release()
	s.clock()
	socket := func() (int32, netip.AddrPort) {
		fd := bound(t, netip.AddrPortFrom(loopback, 0))
		sa, err := unix.Getsockname(int(fd))
		if err != nil {
			t.Fatal(err)
		}
		return fd, netip.AddrPortFrom(loopback, uint16(sa.(*unix.SockaddrInet4).Port))
	}
	fd, local := socket()
	peer, at := socket()
	stranger, _ := socket()
	st := alaw()
	st.Receive = true
	l := &Leg{fd: fd, open: peer, known: true, peer: newSockaddr(at, loopback), terms: st.terms()}
	to := newSockaddr(local, loopback)
	data := make([]byte, headerSize+160)
	for i, from := range []int32{stranger, peer, stranger} {
		writeHeader(data, st.PT, false, uint16(i), 0, 1)
		if errno := send(from, data, &to); errno != 0 {
			t.Fatal(errno)
		}
	}
	s.trust(l)
	if !l.own || l.in.packets != 1 || l.refused != 2 {
		t.Errorf("own %v, taken %d, refused %d", l.own, l.in.packets, l.refused)
	}
}

func TestAPeerThatMovesIsFollowedByTheNegotiation(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, alaw(), alaw())
	a.say(8, frame(0))
	b.hear()
	a.connected(true)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	old := a.conn
	a.conn = conn
	st := alaw()
	st.Remote, st.Send, st.Receive = a.addr(), true, true
	a.leg.Set(st)
	a.sync()
	a.connected(false)
	trusted := make(chan bool)
	a.leg.post(func(*shard) { trusted <- a.leg.own })
	if <-trusted {
		t.Error("the socket for everybody is taken for the peer's own")
	}
	b.say(8, frame(4))
	if k := a.hear(); k.Payload[0] != 4 {
		t.Errorf("at the new place: % x", k.Payload[:4])
	}
	a.say(8, frame(5))
	if k := b.hear(); k.Payload[0] != 5 {
		t.Errorf("from the new place: % x", k.Payload[:4])
	}
	a.connected(true)
	a.conn = old
	a.say(8, frame(6)) // the old place is a stranger now
	a.conn = conn
	a.say(8, frame(7))
	if k := b.hear(); k.Payload[0] != 7 {
		t.Errorf("heard % x", k.Payload[:4])
	}
}

func TestAPeerThatIsAwayForAWhile(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, alaw(), alaw())
	b.say(8, frame(0))
	a.hear()
	b.connected(true)
	at := b.conn.LocalAddr().(*net.UDPAddr)
	_ = b.conn.Close()
	for i := range byte(10) {
		a.say(8, frame(i))
		a.sync()
	}
	conn, err := net.ListenUDP("udp4", at)
	if err != nil {
		t.Skip("the port was taken meanwhile:", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	b.conn = conn
	a.say(8, frame(20))
	// The last of those before may have been on its way when there was somebody again.
	k := b.hear()
	for k.Payload[0] < 10 {
		k = b.hear()
	}
	if k.Payload[0] != 20 {
		t.Errorf("heard % x", k.Payload[:4])
	}
	if r := b.sync(); r.Unreachable == 0 || r.SendFails > 5 {
		t.Errorf("unreachable %d, send fails %d", r.Unreachable, r.SendFails)
	}
}
