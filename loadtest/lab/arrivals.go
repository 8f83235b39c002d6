package lab

import (
	"encoding/binary"
	"math"
	"sync"
	"time"
)

// arrivals is the stream of one voice as it really left the home, by its own
// arithmetic: what the switch should have measured. The figures are those of RFC
// 3550 section 6.4.1 and appendix A.8, in floating point.
type arrivals struct {
	mu             sync.Mutex
	any            bool
	ssrc           uint32
	first, highest int64
	seen           map[int64]bool
	transit        float64       // ms
	jitter         float64       // ms
	least, most    float64       // of jitter, once it is settled
	unsure         time.Duration // the longest that one sending took
}

// settled is after how many packets the jitter's average has forgotten its beginning.
const settled = 50

// take counts a packet that has left at a moment; what is no RTP is left out.
func (a *arrivals) take(packet []byte, at time.Time, took time.Duration) {
	if len(packet) < rtpHeader || packet[0]>>6 != 2 || packet[1]&0x7f >= 72 && packet[1]&0x7f <= 79 {
		return
	}
	seq := int64(binary.BigEndian.Uint16(packet[2:]))
	stamp := float64(binary.BigEndian.Uint32(packet[4:])) / 8
	now := float64(at.UnixMicro()) / 1000
	a.mu.Lock()
	defer a.mu.Unlock()
	if ssrc := binary.BigEndian.Uint32(packet[8:]); !a.any || ssrc != a.ssrc {
		a.any, a.ssrc, a.first, a.highest, a.seen = true, ssrc, seq, seq, map[int64]bool{}
		a.transit = now - stamp
	}
	a.unsure = max(a.unsure, took)
	if a.seen[seq] {
		return
	}
	a.seen[seq] = true
	a.first, a.highest = min(a.first, seq), max(a.highest, seq)
	transit := now - stamp
	a.jitter += (math.Abs(transit-a.transit) - a.jitter) / 16
	a.transit = transit
	switch n := len(a.seen); {
	case n == settled:
		a.least, a.most = a.jitter, a.jitter
	case n > settled:
		a.least, a.most = min(a.least, a.jitter), max(a.most, a.jitter)
	}
}

// loss is the share of packets between the first and the last that are missing, and
// how many should have been there.
func (a *arrivals) loss() (share float64, of int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.any {
		return 0, 1
	}
	of = a.highest - a.first + 1
	return 1 - float64(len(a.seen))/float64(of), of
}

// jitterRange is the least and the most that the jitter has been, in ms, and by how
// much that may be wrong.
func (a *arrivals) jitterRange() (least, most, unsure float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.least, a.most, float64(a.unsure) / float64(time.Millisecond)
}
