package loadtest

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	rtpHeader  = 12
	packetSize = rtpHeader + frameBytes
	firstPort  = 30000 // even ports from here up to lastPort are tried in turn
	lastPort   = 59998
)

// leg is one media socket: one end of one call. The goroutine that opens it may
// read addr; everything else belongs to the engine once the leg was added to it.
type leg struct {
	fd    int
	addr  *net.UDPAddr
	call  uint32
	side  Side
	codec Codec

	audio    []byte // whole frames of 160 bytes, looped; shared, never written
	unmarked bool

	to      unix.RawSockaddrInet4
	sending bool
	phase   int // tick within the 20 ms in which this leg sends
	place   int // index in its phase
	frame   int // of audio
	seq     uint32
	packet  [packetSize]byte

	heard heard
	last  int64 // arrival of the newest marked packet, unix ns

	marked int64         // when the window began whose longest pause is looked for, unix ns; 0: in none
	worst  time.Duration // the longest in it so far

}

// heard is what a leg received of the other end.
type heard struct {
	first, highest uint32 // marker sequence numbers
	window         uint64 // bit n: highest-n was seen
	unique         uint32 // marked packets of this call, each once
	any            bool
}

// ports deals out even port numbers, one sequence for each process: a phone's RTP
// port is even and the odd one above is its RTCP.
type ports struct{ next atomic.Uint32 }

func (p *ports) take() int {
	const span = (lastPort-firstPort)/2 + 1
	return firstPort + 2*int(p.next.Add(1)%span)
}

// openLeg opens a socket on a local address for one end of a call.
func openLeg(ip net.IP, p *ports) (*leg, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open media socket: %w", err)
	}
	at := unix.SockaddrInet4{Addr: [4]byte(ip.To4())}
	for range 1000 {
		at.Port = p.take()
		if err = unix.Bind(fd, &at); err != unix.EADDRINUSE {
			break
		}
	}
	if err == nil {
		// The kernel's time of arrival: our own reading waits for the tick.
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind media socket on %s: %w", ip, err)
	}
	return &leg{fd: fd, addr: &net.UDPAddr{IP: ip, Port: at.Port}, codec: PCMA}, nil
}

// prepare writes the parts of the RTP header that stay.
func (l *leg) prepare(ssrc uint32) {
	l.packet[0] = 2 << 6
	l.packet[1] = byte(l.codec)
	binary.BigEndian.PutUint32(l.packet[8:], ssrc)
}

// next makes the leg's next packet, sent at now (ns since 1970).
func (l *leg) next(now int64) {
	binary.BigEndian.PutUint16(l.packet[2:], uint16(l.seq))
	binary.BigEndian.PutUint32(l.packet[4:], l.seq*frameBytes)
	copy(l.packet[rtpHeader:], l.audio[l.frame:l.frame+frameBytes])
	if l.frame += frameBytes; l.frame+frameBytes > len(l.audio) {
		l.frame = 0
	}
	if !l.unmarked {
		m := Marker{Call: l.call, Side: l.side, Seq: l.seq, Sent: now}
		m.Put(l.packet[rtpHeader:], l.codec)
	}
	l.seq++
}

func (l *leg) aim(to *net.UDPAddr) {
	l.to.Family = unix.AF_INET
	binary.BigEndian.PutUint16(portBytes(&l.to), uint16(to.Port))
	copy(l.to.Addr[:], to.IP.To4())
}

// fate is what a received packet turned out to be.
type fate uint8

const (
	fresh    fate = iota // of this call, from the other end, not seen before
	repeated             // the same again
	stranger             // of another call, or our own come back
	unmarked             // music, an announcement, or a translated codec
	notMedia             // RTCP or not RTP at all
)

// hear judges one packet and returns its marker if it has one.
func (l *leg) hear(packet []byte) (fate, Marker) {
	var m Marker
	if len(packet) < rtpHeader || packet[0]>>6 != 2 || (packet[1] >= 200 && packet[1] <= 207) {
		return notMedia, m
	}
	if codec := Codec(packet[1] & 0x7f); (codec != PCMU && codec != PCMA) || !m.Get(packet[rtpHeader:], codec) {
		return unmarked, m
	}
	if m.Call != l.call || m.Side != l.side.other() {
		return stranger, m
	}
	return l.heard.count(m.Seq), m
}

// count takes one marked packet into the account of losses.
func (h *heard) count(seq uint32) fate {
	switch ahead := int32(seq - h.highest); {
	case !h.any:
		h.any, h.first, h.highest, h.window = true, seq, seq, 1
	case ahead > 0:
		if ahead < 64 {
			h.window = h.window<<ahead | 1
		} else {
			h.window = 1
		}
		h.highest = seq
	case ahead <= -64:
		return repeated // too old to tell; loss was already counted
	default:
		bit := uint64(1) << -ahead
		if h.window&bit != 0 {
			return repeated
		}
		h.window |= bit
		if int32(seq-h.first) < 0 {
			h.first = seq
		}
	}
	h.unique++
	return fresh
}

// lost is how many packets are missing between the first and the last heard.
func (h *heard) lost() uint64 {
	if !h.any {
		return 0
	}
	return uint64(h.highest - h.first + 1 - h.unique)
}
