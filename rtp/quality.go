package rtp

import "time"

// lateness is how far behind its turn a packet may come and still be played: a
// phone's jitter buffer has given up on it after that.
const lateness = 60 * clockRate / 1000 // clock units

// Limits of RFC 3550 appendix A.1 on the step from one sequence number to the
// next. Beyond them the sender is taken to have started again.
const (
	maxDropout  = 3000
	maxMisorder = 100
)

// Jitter samples are sorted into buckets of a quarter millisecond up to 16 ms,
// then of 4 ms up to 272 ms; the last holds all that is worse.
const (
	fineBuckets   = 64
	coarseBuckets = 64
	fineStep      = clockRate / 4000     // clock units
	coarseStep    = clockRate * 4 / 1000 // clock units
)

// reception is the statistics of what one leg receives, by RFC 3550 section 6.4
// and appendices A.1, A.3 and A.8. Sources follow each other (a new SSRC, or a
// sequence that starts again) and their figures add up. Pure.
type reception struct {
	ssrc     uint32
	heard    bool
	first    uint32 // extended sequence number the source began with
	highest  uint32 // extended; the upper half counts the wraps
	window   uint64 // which of the 64 packets up to highest came; bit 0 is highest
	received uint64 // of this source

	pastExpected, pastReceived uint64 // of the sources before

	timed   bool
	fast    bool  // its clock is that of Opus
	transit int32 // of the last packet, clock units
	usual   int64 // the shortest transit lately, in 512ths: when a packet's turn is
	jitter  int32 // RFC 3550 A.8, sixteenths of a clock unit

	packets, bytes             uint64
	late, duplicate, reordered uint64

	expectedBefore, receivedBefore uint64 // at the last receiver report

	samples uint32
	buckets [fineBuckets + coarseBuckets]uint16

	newest uint32 // timestamp of the last packet, if fast
	passed int64  // fast units since the first
}

// placing says where a packet stands in its stream.
type placing uint8

const (
	inOrder  placing = iota // the next, or after a gap
	reorder                 // fills a gap
	repeat                  // seen before
	restarts                // the first of a new source
)

// place counts a packet by its sequence number.
func (r *reception) place(ssrc uint32, seq uint16) placing {
	if !r.heard || ssrc != r.ssrc {
		r.restart(ssrc, seq)
		return restarts
	}
	step := int16(seq - uint16(r.highest))
	switch {
	case step > 0 && step < maxDropout:
		r.highest += uint32(step)
		r.window = r.window<<uint(step) | 1
		r.received++
		return inOrder
	case step <= 0 && step > -maxMisorder:
		return r.fill(uint(-step))
	default:
		r.restart(ssrc, seq)
		return restarts
	}
}

// goesOn tells whether a packet may be one of the source heard last, later than
// all of it that came.
func (r *reception) goesOn(ssrc uint32, seq uint16) bool {
	step := int16(seq - uint16(r.highest))
	return r.heard && ssrc == r.ssrc && step > 0 && step < maxDropout
}

func (r *reception) fill(back uint) placing {
	if back < 64 && r.window&(1<<back) != 0 {
		r.duplicate++
		return repeat
	}
	if r.highest-uint32(back) < r.first {
		r.first = r.highest - uint32(back) // began earlier than we thought
	}
	if back < 64 {
		r.window |= 1 << back
	}
	r.received++
	r.reordered++
	return reorder
}

func (r *reception) restart(ssrc uint32, seq uint16) {
	if r.heard {
		r.pastExpected += r.expectedNow()
		r.pastReceived += r.received
	}
	// One full turn is put in front, so that a packet before the first one does
	// not count below zero.
	r.ssrc, r.heard = ssrc, true
	r.highest = 1<<16 | uint32(seq)
	r.first, r.window, r.received = r.highest, 1, 1
	r.timed, r.jitter = false, 0
}

// slow is a packet's timestamp in clock units of 8000 Hz, whatever its own are, to be
// given to time. Another clock is another origin.
func (r *reception) slow(c Codec, timestamp uint32) uint32 {
	if fast := c == Opus; fast != r.fast {
		r.fast, r.newest, r.passed, r.timed, r.jitter = fast, timestamp, 0, false, 0
	}
	if !r.fast {
		return timestamp
	}
	r.passed += int64(int32(timestamp - r.newest))
	r.newest = timestamp
	return uint32(r.passed / fastClock)
}

// time counts the moment of arrival of an audio packet, in clock units of any
// origin. Events are left out: their packets share one timestamp.
func (r *reception) time(timestamp, arrival uint32) {
	transit := int32(arrival - timestamp)
	if !r.timed {
		r.timed, r.transit, r.usual = true, transit, int64(transit)<<9
		return
	}
	d := transit - r.transit
	r.transit = transit
	if d < 0 {
		d = -d
	}
	if d < 0 || d > 3*clockRate {
		r.usual = int64(transit) << 9 // the sender's clock was set: not jitter
		return
	}
	r.jitter += d - (r.jitter+8)>>4
	switch behind := transit - int32(r.usual>>9); {
	case behind < 0:
		r.usual = int64(transit) << 9
	case behind > lateness:
		r.late++
		r.usual += int64(behind) << 3
	default:
		// The clocks of the two sides drift apart: what is usual follows slowly.
		r.usual += int64(behind)
	}
}

// sample notes the jitter of this second.
func (r *reception) sample() {
	if !r.timed {
		return
	}
	units := int(r.jitter >> 4)
	i := units / fineStep
	if i >= fineBuckets {
		i = min(fineBuckets+(units-fineBuckets*fineStep)/coarseStep, len(r.buckets)-1)
	}
	if r.buckets[i] < 1<<16-1 {
		r.buckets[i]++
		r.samples++
	}
}

// jitterP95 is the jitter that 95 of 100 seconds did not exceed.
func (r *reception) jitterP95() time.Duration {
	if r.samples == 0 {
		return samples(uint32(r.jitter >> 4))
	}
	need := (uint64(r.samples)*95 + 99) / 100
	for i, n := range r.buckets {
		if need > uint64(n) {
			need -= uint64(n)
			continue
		}
		if i < fineBuckets {
			return samples(i * fineStep)
		}
		return samples(fineBuckets*fineStep + (i-fineBuckets)*coarseStep)
	}
	return 0
}

func (r *reception) expectedNow() uint64 { return uint64(r.highest-r.first) + 1 }

// expected is the number of packets the peer has sent as far as we can tell.
func (r *reception) expected() uint64 {
	if !r.heard {
		return 0
	}
	return r.pastExpected + r.expectedNow()
}

func (r *reception) lost() uint64 {
	e, got := r.expected(), r.pastReceived+r.received
	if got > e {
		return 0
	}
	return e - got
}

// fraction is the "fraction lost" field of a report block: of the packets
// expected since the last report, in 256ths (RFC 3550 appendix A.3).
func (r *reception) fraction() uint8 {
	e, got := r.expected(), r.pastReceived+r.received
	de, dg := e-r.expectedBefore, got-r.receivedBefore
	r.expectedBefore, r.receivedBefore = e, got
	if de == 0 || dg >= de {
		return 0
	}
	return uint8(min((de-dg)<<8/de, 255))
}
