package rtp

import (
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"

	"github.com/pion/rtcp"
)

// reportInterval is the mean time between two reports of a leg: with two parties
// RFC 3550 section 6.2 comes to its minimum.
const reportInterval = 5 * time.Second

// ntpEpoch is 1900 in unix seconds, negated.
const ntpEpoch = 2208988800

// roundTripMax is where a round trip is taken for nonsense.
const roundTripMax = 10 * time.Second

// control is the RTCP side of a leg (RFC 3550 section 6). What comes in changes
// figures only; it never moves RTP and never ends a call.
type control struct {
	target  sockaddr // where reports go; not valid: nowhere
	learned bool     // target is where the peer's own reports come from
	cname   string
	due     int64 // next report, on the shard's clock

	senderReport uint32 // middle of the NTP time of the peer's last, RFC 3550 "LSR"
	senderAt     int64  // when it came, unix ns
	roundTrip    time.Duration
	remoteLoss   float64
}

// newControl takes a random CNAME, as a call should not say whose it is (RFC 7022).
func newControl() control {
	return control{cname: strconv.FormatUint(rand.Uint64(), 36)}
}

// schedule sets the time of the next report: 0.5 to 1.5 intervals, half of that
// for the first, divided by e - 3/2 (RFC 3550 section 6.3.1).
func (c *control) schedule(now int64, first bool) {
	wait := float64(reportInterval) * (0.5 + rand.Float64()) / 1.21828
	if first {
		wait /= 2
	}
	c.due = now + int64(wait)
}

// aim works out where reports go. A phone behind a home router whose RTP comes
// from elsewhere than its SDP says is answered where its own reports come from.
func (c *control) aim(l *Leg, rtp netip.AddrPort) {
	remote := unmap(l.stream.rtcpRemote())
	switch {
	case !rtp.IsValid(), l.stream.Guard == DTLS && !l.stream.Mux:
		// A port of its own for RTCP wants a handshake of its own (RFC 5764 section
		// 4), which we do not do: such a peer gets no reports.
		c.target, c.learned = sockaddr{}, false
	case l.stream.Mux:
		c.target, c.learned = newSockaddr(rtp, l.local.Addr()), false
	case rtp.Addr() == l.latch.remote.Addr():
		c.target, c.learned = newSockaddr(remote, l.local.Addr()), false
	case !c.learned || c.target.addrPort().Addr() != rtp.Addr():
		c.target, c.learned = sockaddr{}, false
	}
}

// readRTCP serves a leg whose RTCP socket has something.
func (s *shard) readRTCP(l *Leg) {
	for range batchMax {
		if s.in.one(l.rtcp, 0) != 0 {
			return
		}
		data, wall := s.in.packet(0)
		if l.shield != nil && isCheck(data) {
			s.check(l, l.rtcp, &s.in.from[0], data)
			continue
		}
		s.control(l, &s.in.from[0], data, wall)
	}
}

// control takes a compound packet from the peer's address or, on a protected leg,
// one that is made with the peer's key.
func (s *shard) control(l *Leg, from *sockaddr, data []byte, wall int64) {
	c, source := &l.control, from.addrPort()
	if l.shield != nil {
		var ok bool
		if data, ok = s.unlockControl(l, data); !ok {
			return
		}
		if l.known && !l.stream.Mux && !(c.learned && from.same(&c.target)) {
			c.target, c.learned = *from, true
			s.change(l)
		}
	} else if !l.target.valid() || source.Addr() != l.target.addrPort().Addr() {
		if !c.target.valid() || !from.same(&c.target) {
			l.refused++
			return
		}
	}
	packets, err := rtcp.Unmarshal(data)
	if err != nil {
		l.malformed++
		return
	}
	if !c.target.valid() && l.known && !l.stream.Mux {
		c.target, c.learned = *from, true
		s.change(l)
	}
	if wall == 0 {
		wall = s.wall
	}
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			c.senderReport, c.senderAt = uint32(p.NTPTime>>16), wall
			c.heard(l, p.Reports, wall)
		case *rtcp.ReceiverReport:
			c.heard(l, p.Reports, wall)
		}
	}
}

// heard reads what the peer says of our stream.
func (c *control) heard(l *Leg, reports []rtcp.ReceptionReport, wall int64) {
	for _, r := range reports {
		if r.SSRC != l.out.ssrc {
			continue
		}
		if sent := l.out.packets; sent > 0 && r.TotalLost < 1<<23 { // a 24 bit signed number, negative when packets were doubled
			c.remoteLoss = min(float64(r.TotalLost)/float64(sent), 1)
		}
		if r.LastSenderReport == 0 {
			continue
		}
		units := uint32(ntpTime(wall)>>16) - r.LastSenderReport - r.Delay // 1/65536 s
		trip := time.Duration(units) * time.Second / 65536
		switch {
		case trip > roundTripMax:
		case c.roundTrip == 0:
			c.roundTrip = trip
		default:
			c.roundTrip += (trip - c.roundTrip) / 8
		}
	}
}

// sendReport sends what is due and sets the time of the next.
func (s *shard) sendReport(l *Leg) {
	l.control.schedule(s.now, false)
	s.sendControl(l, false)
}

// bye tells the peer that our stream ends.
func (s *shard) bye(l *Leg) {
	if packets, _ := l.sent(); packets > 0 {
		s.sendControl(l, true)
	}
}

func (s *shard) sendControl(l *Leg, bye bool) {
	c := &l.control
	if !c.target.valid() || !l.stream.settled() {
		return
	}
	list := []rtcp.Packet{c.report(l, s.now, s.wall), &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
		Source: l.out.ssrc,
		Items:  []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: c.cname}},
	}}}}
	if bye {
		sources := []uint32{l.out.ssrc}
		if l.other != nil && l.other.packets > 0 {
			sources = append(sources, l.other.ssrc)
		}
		list = append(list, &rtcp.Goodbye{Sources: sources})
	}
	data, err := rtcp.Marshal(list)
	if err != nil {
		l.sendFails++
		return
	}
	if l.changed {
		s.write(l)
	}
	if l.shield != nil {
		if data = s.sealControl(l, data); data == nil {
			return
		}
	}
	fd := l.rtcp
	if l.stream.Mux {
		fd = l.fd
	}
	if errno := send(fd, data, &c.target); errno != 0 {
		l.sendFails++
	}
}

// report is a sender report, or a receiver report while we have sent nothing.
func (c *control) report(l *Leg, now, wall int64) rtcp.Packet {
	var blocks []rtcp.ReceptionReport
	if l.in.heard {
		block := rtcp.ReceptionReport{
			SSRC: l.in.ssrc, FractionLost: l.in.fraction(),
			TotalLost:          uint32(min(l.in.lost(), 1<<23-1)),
			LastSequenceNumber: l.in.highest, Jitter: uint32(l.in.jitter >> 4),
		}
		if l.in.fast {
			block.Jitter *= fastClock
		}
		if c.senderReport != 0 {
			block.LastSenderReport = c.senderReport
			block.Delay = uint32((wall - c.senderAt) * 65536 / 1e9)
		}
		blocks = append(blocks, block)
	}
	if l.out.packets == 0 {
		return &rtcp.ReceiverReport{SSRC: l.out.ssrc, Reports: blocks}
	}
	return &rtcp.SenderReport{
		SSRC: l.out.ssrc, NTPTime: ntpTime(wall), RTPTime: l.out.ts + l.out.since(now),
		PacketCount: uint32(l.out.packets), OctetCount: uint32(l.out.bytes), Reports: blocks,
	}
}

// ntpTime is unix ns in the format of RFC 3550 section 4: seconds since 1900,
// and in the lower half their fraction.
func ntpTime(wall int64) uint64 {
	return uint64(wall/1e9+ntpEpoch)<<32 | uint64(wall%1e9)<<32/1e9
}
