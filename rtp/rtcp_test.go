package rtp

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// hasten makes the next report of a leg due at once.
func (p *peer) hasten() { p.leg.post(func(*shard) { p.leg.control.due = 0 }) }

func listenRTCP(t *testing.T, conn *net.UDPConn) []rtcp.Packet {
	t.Helper()
	b := make([]byte, 2000)
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	list, err := rtcp.Unmarshal(b[:n])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestReportsAreSentAndRead(t *testing.T) {
	m := open(t, nil)
	side, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = side.Close() }()
	st := alaw()
	st.RemoteRTCP = side.LocalAddr().(*net.UDPAddr).AddrPort()
	p := newPeer(t, m, nil, st)
	p.say(8, frame(0))
	p.seq++ // lost
	p.say(8, frame(0))
	p.sync()
	p.hasten()
	list := listenRTCP(t, side)
	rr, ok := list[0].(*rtcp.ReceiverReport)
	if !ok || len(rr.Reports) != 1 || rr.Reports[0].SSRC != p.ssrc || rr.Reports[0].TotalLost != 1 || rr.Reports[0].FractionLost != 85 {
		t.Fatalf("before we sent: %+v", list[0])
	}
	if sd, ok := list[1].(*rtcp.SourceDescription); !ok || len(sd.Chunks) != 1 || len(sd.Chunks[0].Items[0].Text) < 8 {
		t.Errorf("no CNAME: %+v", list[1])
	}

	p.leg.Hear(&Playlist{Sounds: []*Sound{NewSound("", ramp(8000, 0))}, Loop: true})
	k := p.hear()
	p.sync()
	p.hasten()
	list = listenRTCP(t, side)
	sr, ok := list[0].(*rtcp.SenderReport)
	if !ok || sr.SSRC != k.SSRC || sr.PacketCount == 0 || sr.OctetCount != 160*sr.PacketCount {
		t.Fatalf("after we sent: %+v", list[0])
	}

	// The peer answers 100 ms of its own delay later, having lost a quarter.
	answer := &rtcp.ReceiverReport{SSRC: p.ssrc, Reports: []rtcp.ReceptionReport{{
		SSRC: k.SSRC, TotalLost: sr.PacketCount/4 + 1, LastSenderReport: uint32(sr.NTPTime >> 16), Delay: 0,
	}}}
	b, err := rtcp.Marshal([]rtcp.Packet{answer})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := side.WriteToUDPAddrPort(b, next(p.leg.Addr())); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for r := p.sync(); r.RTT == 0; r = p.sync() {
		if time.Now().After(deadline) {
			t.Fatal("no round trip")
		}
	}
	if r := p.sync(); r.RTT > 5*time.Second || r.RemoteLoss <= 0 || r.RemoteLoss > 1 {
		t.Errorf("round trip %s, remote loss %g", r.RTT, r.RemoteLoss)
	}
	p.leg.Close(nil)
	list = listenRTCP(t, side)
	if bye, ok := list[len(list)-1].(*rtcp.Goodbye); !ok || len(bye.Sources) != 1 || bye.Sources[0] != k.SSRC {
		t.Errorf("at the end: %+v", list)
	}
}

func TestReportsOnTheRTPPort(t *testing.T) {
	m := open(t, nil)
	st := alaw()
	st.Mux = true
	p := newPeer(t, m, nil, st)
	p.say(8, frame(0))
	p.sync()
	p.hasten()
	if rr, ok := listenRTCP(t, p.conn)[0].(*rtcp.ReceiverReport); !ok || len(rr.Reports) != 1 {
		t.Fatalf("not a receiver report: %+v", rr)
	}
	b, err := rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{SSRC: p.ssrc, NTPTime: 0x1234_5678_0000_0000}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.conn.WriteToUDPAddrPort(b, p.leg.Addr()); err != nil {
		t.Fatal(err)
	}
	p.sync()
	deadline := time.Now().Add(5 * time.Second)
	for {
		p.hasten()
		rr, ok := listenRTCP(t, p.conn)[0].(*rtcp.ReceiverReport)
		if ok && rr.Reports[0].LastSenderReport == 0x5678_0000 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("our report does not name the peer's: %+v", rr)
		}
	}
	if r := p.sync(); r.Received != 1 || r.Malformed != 0 {
		t.Errorf("RTCP was taken for RTP: %+v", r)
	}
}

func TestRTCPNeverMovesRTP(t *testing.T) {
	m := open(t, nil)
	st := alaw()
	st.Remote, st.Latch, st.SignalIP = ap("10.9.8.7:4000"), Near, loopback
	p := newPeer(t, m, nil, st)
	p.leg.Hear(&Playlist{Sounds: []*Sound{NewSound("", ramp(8000, 0))}, Loop: true})
	b, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: p.ssrc}})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := p.conn.WriteToUDPAddrPort(b, next(p.leg.Addr())); err != nil {
			t.Fatal(err)
		}
		p.hasten()
	}
	deadline := time.Now().Add(5 * time.Second)
	for r := p.sync(); r.Refused < 20; r = p.sync() {
		if time.Now().After(deadline) {
			t.Fatalf("refused %d of 20", r.Refused)
		}
	}
	if r := p.sync(); r.Sent != 0 {
		t.Errorf("%d packets bled", r.Sent)
	}
}

func TestReportTimes(t *testing.T) {
	var c control
	var sum time.Duration
	for range 1000 {
		c.schedule(0, false)
		wait := time.Duration(c.due)
		if wait < 2*time.Second || wait > 6200*time.Millisecond {
			t.Fatalf("next report in %s", wait)
		}
		sum += wait
	}
	if mean := sum / 1000; mean < 3900*time.Millisecond || mean > 4300*time.Millisecond {
		t.Errorf("mean %s, want 5 s / 1.218", mean)
	}
}

func TestControlAim(t *testing.T) {
	for _, c := range []struct {
		name   string
		stream Stream
		peer   string // where RTP is sent
		want   string
	}{
		{"the port above", Stream{Remote: ap("192.0.2.1:4000")}, "192.0.2.1:4000", "192.0.2.1:4001"},
		{"as the SDP says", Stream{Remote: ap("192.0.2.1:4000"), RemoteRTCP: ap("192.0.2.1:5000")}, "192.0.2.1:4000", "192.0.2.1:5000"},
		{"shared", Stream{Remote: ap("192.0.2.1:4000"), Mux: true}, "192.0.2.1:4000", "192.0.2.1:4000"},
		{"shared, behind a router", Stream{Remote: ap("10.0.0.1:4000"), Mux: true}, "192.0.2.1:999", "192.0.2.1:999"},
		{"behind a router", Stream{Remote: ap("10.0.0.1:4000")}, "192.0.2.1:999", ""},
		{"nowhere yet", Stream{Remote: ap("10.0.0.1:4000")}, "", ""},
	} {
		l := &Leg{stream: c.stream, local: netip.AddrPortFrom(loopback, 1)}
		l.latch.remote = c.stream.Remote
		var rtp netip.AddrPort
		if c.peer != "" {
			rtp = ap(c.peer)
		}
		l.control.aim(l, rtp)
		got := ""
		if l.control.target.valid() {
			got = l.control.target.addrPort().String()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
