package rtp

import (
	"math/rand/v2"
)

// outflow is the one RTP stream a leg sends during its whole life, or one of two
// where Opus is passed on, for that has another clock (RFC 7160). Whatever it
// is made of (music, another leg, keys we press), the peer sees one SSRC, each
// sequence number once, and a timestamp that follows the clock. Pure.
type outflow struct {
	ssrc uint32
	seq  uint16 // of the newest packet
	ts   uint32 // of the newest packet
	span uint32 // clock units it carried
	at   int64  // when it was sent, ns on the shard's clock

	fresh bool // what comes next is a new source
	fast  bool // its clock is that of Opus
	relay relayMap

	packets, bytes uint64
}

// relayMap moves the numbers of a relayed source into the leg's own stream by
// a fixed distance, so that a gap or a swap in the source is the same gap or
// swap for the peer.
type relayMap struct {
	live   bool
	ssrc   uint32 // of the source
	newest uint16 // of the source
	base   uint16 // our number of the first packet
	seq    uint16 // added to the source's
	ts     uint32 // added to the source's
	run    uint16 // packets moved forward, up to maxMisorder
}

func newOutflow() outflow {
	// The number begins in the lower half, so that with SRTP a peer that misses the
	// first packets cannot take one turn of the numbers for another (RFC 3711 section 3.3.1).
	return outflow{ssrc: rand.Uint32(), seq: uint16(rand.Uint32()) >> 1, ts: rand.Uint32(), fresh: true}
}

// newFastOutflow is one in the clock of Opus. Like every stream it has an SSRC of its
// own, so that no number is used twice under one key.
func newFastOutflow() *outflow {
	o := newOutflow()
	o.fast = true
	return &o
}

// cut says that what has been sent until now ends: the next packet opens a new
// stretch, with the marker bit and a timestamp advanced by the time in between.
func (o *outflow) cut() { o.fresh, o.relay.live = true, false }

// resume is the timestamp of a stretch that begins now: as much later as time
// has passed, and never before the end of what was sent last.
func (o *outflow) resume(now int64) uint32 {
	if o.packets == 0 {
		return o.ts
	}
	return o.ts + max(o.since(now), o.span)
}

// since is the time since the newest packet, in clock units.
func (o *outflow) since(now int64) uint32 {
	units := (now - o.at) / (1e9 / clockRate)
	if o.fast {
		units *= fastClock
	}
	return uint32(units)
}

// turnTo makes the stream with the clock of c the one that a leg sends. A receiver
// can make sense of two clocks only as two sources (RFC 7160 section 4).
func (l *Leg) turnTo(c Codec) {
	if fast := c == Opus; fast != l.out.fast {
		l.out.cut()
		l.out, *l.other = *l.other, l.out
	}
}

// flow is the stream in the clock of Opus, or the other.
func (l *Leg) flow(fast bool) *outflow {
	if fast == l.out.fast {
		return &l.out
	}
	return l.other
}

// sent is how much the leg has sent, in whatever clock.
func (l *Leg) sent() (packets, bytes uint64) {
	packets, bytes = l.out.packets, l.out.bytes
	if l.other != nil {
		packets, bytes = packets+l.other.packets, bytes+l.other.bytes
	}
	return packets, bytes
}

// step numbers the next packet of audio we make ourselves.
func (o *outflow) step(now int64, span uint32) (seq uint16, ts uint32, marker bool) {
	ts, marker = o.ts+o.span, o.fresh
	if o.fresh {
		ts = o.resume(now)
	}
	o.fresh = false
	o.seq, o.ts, o.span, o.at = o.seq+1, ts, span, now
	return o.seq, o.ts, marker
}

// event numbers the next packet of a key: they share the timestamp of the first.
func (o *outflow) event(now int64, first bool, duration uint32) (seq uint16, ts uint32) {
	if first {
		o.cut()
		o.ts = o.resume(now)
	}
	o.seq, o.span, o.at = o.seq+1, duration, now
	return o.seq, o.ts
}

// carry numbers a relayed packet that carries span clock units. It is not to be
// sent when ok is false: it belongs to the time before this source was heard.
func (o *outflow) carry(now int64, p *packet, span uint32) (seq uint16, ts uint32, marker, ok bool) {
	m := &o.relay
	step := int16(p.seq - m.newest)
	if !m.live || p.ssrc != m.ssrc || step >= maxDropout || step <= -maxMisorder {
		base := o.seq + 1
		*m = relayMap{live: true, ssrc: p.ssrc, newest: p.seq, base: base, seq: base - p.seq, ts: o.resume(now) - p.ts}
		o.fresh, step = true, 1
	}
	seq, ts = p.seq+m.seq, p.ts+m.ts
	marker = p.marker || o.fresh
	if step <= 0 {
		if m.run < maxMisorder && int16(seq-m.base) < 0 {
			return 0, 0, false, false
		}
		return seq, ts, marker, true
	}
	o.fresh = false
	m.newest = p.seq
	if m.run < maxMisorder {
		m.run++
	}
	o.seq, o.ts, o.span, o.at = seq, ts, span, now
	return seq, ts, marker, true
}

// leaveOut closes the gap that a packet of the source which this peer cannot be
// sent would otherwise show as loss.
func (o *outflow) leaveOut(p *packet) {
	if m := &o.relay; m.live && p.ssrc == m.ssrc && int16(p.seq-m.newest) > 0 {
		m.newest = p.seq
		m.seq--
	}
}
