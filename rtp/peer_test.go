package rtp

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	pion "github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(lifeAddress) != "" {
		liveUntilKilled()
	}
	goleak.VerifyTestMain(m)
}

var loopback = netip.MustParseAddr("127.0.0.1")

// here is the address of this process's legs: packets of others that run the same
// tests do not stray to them.
func here() netip.Addr {
	pid := os.Getpid()
	return netip.AddrFrom4([4]byte{127, byte(192 + pid%32), byte(pid / 32), 1})
}

// open starts media on loopback. However busy the machine is, what is said is heard.
func open(t testing.TB, change func(*Options)) *Media {
	t.Helper()
	o := Options{Addr: here(), MinPort: 20000, MaxPort: 60000, Shards: 1}
	if change != nil {
		change(&o)
	}
	m, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range m.shards {
		s.post(func() { s.stale = int64(time.Minute) })
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// peer is the far end of a leg: a phone or a carrier on a socket of its own.
type peer struct {
	t    testing.TB
	conn *net.UDPConn
	leg  *Leg
	ssrc uint32
	seq  uint16
	ts   uint32
	told chan MediaEvent

	tx, rx *srtp.Context // of a peer that speaks SRTP
}

func newPeer(t testing.TB, m *Media, beside *Leg, st Stream) *peer {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p := &peer{t: t, conn: conn, ssrc: 0x1000 + uint32(conn.LocalAddr().(*net.UDPAddr).Port), seq: 65530, ts: 0xFFFFFF00, told: make(chan MediaEvent, 1000)}
	p.leg, err = m.NewLeg(LegOptions{Beside: beside, Sink: func(e MediaEvent) {
		select {
		case p.told <- e:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !st.Remote.IsValid() {
		st.Remote = p.addr()
	}
	st.Send, st.Receive = true, true
	p.leg.Set(st)
	return p
}

func alaw() Stream { return Stream{Codec: PCMA, PT: 8, EventPT: 101} }
func ulaw() Stream { return Stream{Codec: PCMU, PT: 0, EventPT: 96} }

func (p *peer) addr() netip.AddrPort {
	return p.conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// say sends one packet of 20 ms and moves on.
func (p *peer) say(pt uint8, payload []byte) {
	p.t.Helper()
	p.write(pion.Packet{Header: pion.Header{Version: 2, PayloadType: pt, SequenceNumber: p.seq, Timestamp: p.ts, SSRC: p.ssrc}, Payload: payload})
	p.seq++
	p.ts += 160
}

func (p *peer) write(k pion.Packet) {
	p.t.Helper()
	b, err := k.Marshal()
	if err != nil {
		p.t.Fatal(err)
	}
	p.throw(p.seal(b))
}

// seal encrypts a packet if this peer does.
func (p *peer) seal(b []byte) []byte {
	p.t.Helper()
	if p.tx == nil {
		return b
	}
	sealed, err := p.tx.EncryptRTP(nil, b, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return sealed
}

// throw sends bytes as they are.
func (p *peer) throw(b []byte) {
	p.t.Helper()
	if _, err := p.conn.WriteToUDPAddrPort(b, p.leg.Addr()); err != nil {
		p.t.Fatal(err)
	}
}

// hear waits for the next packet.
func (p *peer) hear() pion.Packet {
	p.t.Helper()
	k, ok := p.listen(5 * time.Second)
	if !ok {
		p.t.Fatal("nothing heard")
	}
	return k
}

func (p *peer) listen(patience time.Duration) (k pion.Packet, ok bool) {
	p.t.Helper()
	b := make([]byte, 2000)
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	n, from, err := p.conn.ReadFromUDPAddrPort(b)
	for err == nil && from != p.leg.Addr() && isRTCP(b[:n]) {
		// Somebody else's report: our port is the one above that of their peer.
		n, from, err = p.conn.ReadFromUDPAddrPort(b)
	}
	if err != nil {
		return k, false
	}
	if from != p.leg.Addr() {
		p.t.Fatalf("packet from %s, leg is %s", from, p.leg.Addr())
	}
	b = b[:n]
	if p.rx != nil {
		if b, err = p.rx.DecryptRTP(nil, b, nil); err != nil {
			p.t.Fatalf("a packet that cannot be decrypted: %v", err)
		}
	}
	if err := k.Unmarshal(b); err != nil {
		p.t.Fatal(err)
	}
	return k, true
}

// await waits for an event of the type.
func await[E MediaEvent](p *peer) E {
	p.t.Helper()
	deadline := time.After(5 * time.Second)
	for {
		select {
		case e := <-p.told:
			if e, ok := e.(E); ok {
				return e
			}
		case <-deadline:
			var e E
			p.t.Fatalf("no %T", e)
		}
	}
}

// sync waits until the shard has done everything asked before.
func (p *peer) sync() Report {
	p.t.Helper()
	done := make(chan Report, 1)
	p.leg.Report(func(r Report) { done <- r })
	select {
	case r := <-done:
		return r
	case <-time.After(5 * time.Second):
		p.t.Fatal("the shard does not answer")
		return Report{}
	}
}
