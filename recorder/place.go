package recorder

import (
	"math"
	"slices"
	"time"

	"foyer/rtp"
)

// Where a packet belongs on the time line: a sender's timestamps say how far its
// packets are apart, times of arrival say when. A packet is placed at its
// timestamp plus an anchor, which is the smallest delay seen in the two seconds
// that follow, so that jitter moves nothing. When that smallest delay has moved
// away from the anchor, because the sender's clock runs differently or it began
// to count anew, the anchor is moved too: in a quiet place if there is one, and
// anywhere once it is 40 ms off.
//
// All times are in samples of 8 kHz since the beginning of the recording.
const (
	lookahead  = 2 * sampleRate          // the anchor is judged by so much to come
	patience   = 12 * sampleRate         // later than this, a packet is not waited for
	drift      = 40 * sampleRate / 1000  // moves the anchor
	quietDrift = 20 * sampleRate / 1000  // moves it in a quiet place
	leap       = 200 * sampleRate / 1000 // of timestamps against sequence numbers: counted anew
	witnesses  = 10                      // packets it takes to move an anchor
	hush       = 250                     // below this amplitude nobody hears a splice
	sourcesMax = 16                      // of a channel at a time
)

// heard is one packet before it has its place.
type heard struct {
	seq     int64 // extended
	ts      int64 // extended
	at      int64
	codec   rtp.Codec
	payload []byte
}

// placed is one that has.
type placed struct {
	at      int64
	codec   rtp.Codec
	payload []byte
}

// source is one SSRC of a channel.
type source struct {
	ssrc     uint32
	began    bool
	seq, ts  int64 // of the latest packet
	waiting  []heard
	anchored bool
	anchor   int64
	last     heard // the last one placed
}

// line puts the packets of one channel in their order.
type line struct {
	sources []*source
	ready   []placed // by place
	late    int      // packets that came too late to be placed
}

// push takes a packet in order of arrival; at is its arrival.
func (l *line) push(t *rtp.TapRecord, at int64) {
	s := l.source(t.SSRC)
	ahead := int16(t.Seq - uint16(s.seq))
	if s.began && (ahead > dropout || ahead < -dropout) {
		// Another numbering under the same name: what waits belongs to the old one.
		l.settle(s, math.MaxInt64)
		*s = source{ssrc: s.ssrc}
	}
	if !s.began {
		s.began, s.seq, s.ts = true, int64(t.Seq), int64(t.Timestamp)
		ahead = 0
	}
	p := heard{
		seq:     s.seq + int64(ahead),
		ts:      s.ts + int64(int32(t.Timestamp-uint32(s.ts))),
		at:      at,
		codec:   t.Codec,
		payload: slices.Clone(t.Payload),
	}
	if p.seq > s.seq {
		s.seq, s.ts = p.seq, p.ts
	}
	if s.anchored && p.seq <= s.last.seq {
		l.late++
		return
	}
	i := len(s.waiting)
	for i > 0 && s.waiting[i-1].seq > p.seq {
		i--
	}
	if i > 0 && s.waiting[i-1].seq == p.seq {
		return // twice
	}
	s.waiting = slices.Insert(s.waiting, i, p)
}

// source finds an SSRC. Of too many, the one that spoke longest ago goes.
func (l *line) source(ssrc uint32) *source {
	for i, s := range l.sources {
		if s.ssrc == ssrc {
			// The latest stays last.
			copy(l.sources[i:], l.sources[i+1:])
			l.sources[len(l.sources)-1] = s
			return s
		}
	}
	if len(l.sources) == sourcesMax {
		l.settle(l.sources[0], math.MaxInt64)
		l.sources = slices.Delete(l.sources, 0, 1)
	}
	s := &source{ssrc: ssrc}
	l.sources = append(l.sources, s)
	return s
}

// advance places what arrived more than the lookahead before now.
func (l *line) advance(now int64) {
	for _, s := range l.sources {
		l.settle(s, now-lookahead)
	}
}

// settle places a source's packets that arrived until then.
func (l *line) settle(s *source, until int64) {
	n := 0
	for ; n < len(s.waiting) && s.waiting[n].at <= until; n++ {
		p := s.waiting[n]
		s.anchorFor(s.waiting[n:])
		s.last = p
		at := p.ts + s.anchor
		i := len(l.ready)
		for i > 0 && l.ready[i-1].at > at {
			i--
		}
		l.ready = slices.Insert(l.ready, i, placed{at: at, codec: p.codec, payload: p.payload})
	}
	s.waiting = slices.Delete(s.waiting, 0, n)
}

// anchorFor moves the anchor if the first of the packets to come needs it.
func (s *source) anchorFor(coming []heard) {
	p := &coming[0]
	smallest, seen := p.at-p.ts, 1
	for i := 1; i < len(coming) && !coming[i].leaps(&coming[i-1]); i++ {
		if coming[i].at > p.at+lookahead {
			break
		}
		smallest = min(smallest, coming[i].at-coming[i].ts)
		seen++
	}
	if !s.anchored || p.leaps(&s.last) {
		s.anchored, s.anchor = true, smallest
		return
	}
	off := smallest - s.anchor
	if off < 0 {
		off = -off
	}
	if seen < witnesses || off < quietDrift {
		return
	}
	if off >= drift || quiet(p) {
		s.anchor = smallest
	}
}

// leaps tells whether the sender counted anew between two packets: timestamps
// moved otherwise than sequence numbers, and otherwise than time. In a pause of
// speech timestamps leap too, but with the clock.
func (p *heard) leaps(before *heard) bool {
	steps := p.seq - before.seq
	counted := p.ts - before.ts - steps*int64(len(before.payload))
	delayed := (p.at - p.ts) - (before.at - before.ts)
	return abs(counted) > leap && abs(delayed) > leap
}

// quiet tells whether a packet holds next to nothing, or there is none before it.
func quiet(p *heard) bool {
	law := lawOf(p.codec)
	for _, b := range p.payload {
		if abs(int64(law[b])) > hush {
			return false
		}
	}
	return true
}

func abs(n int64) int64 { return max(n, -n) }

// samples converts a duration, rounding to the nearest.
func samples(d time.Duration) int64 {
	return (int64(d)*sampleRate + int64(time.Second)/2) / int64(time.Second)
}
