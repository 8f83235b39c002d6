package recorder

import (
	"slices"

	"foyer/rtp"

	"github.com/zaf/g711"
)

// The two laws of G.711 as tables, filled once and only read afterwards.
var (
	alaw = fillLaw(g711.DecodeAlawFrame)
	ulaw = fillLaw(g711.DecodeUlawFrame)
)

func fillLaw(decode func(uint8) int16) *[256]int16 {
	var t [256]int16
	for i := range t {
		t[i] = decode(uint8(i))
	}
	return &t
}

func lawOf(c rtp.Codec) *[256]int16 {
	if c == rtp.PCMU {
		return ulaw
	}
	return alaw
}

const (
	frameSamples  = 20 * sampleRate / 1000 // what is repeated into a gap
	concealedMost = 60 * sampleRate / 1000 // then silence
)

// voice is one channel of the rendered recording: packets in, samples out without
// a hole.
type voice struct {
	line
	cursor int64   // the next sample to make
	pcm    []int16 // made, not yet taken
	before [frameSamples]int16
	known  int   // samples of before that are filled
	hole   int64 // samples made since the last real one
}

// play makes the samples up to until, and none from end on. No packet that comes
// later may belong before until.
func (v *voice) play(until, end int64) {
	n := 0
	for ; n < len(v.ready) && v.ready[n].at < until; n++ {
		v.speak(&v.ready[n], end)
	}
	v.ready = slices.Delete(v.ready, 0, n)
	v.conceal(until)
}

// speak decodes a packet at its place; what would overlap the one before is cut.
func (v *voice) speak(p *placed, end int64) {
	v.conceal(min(p.at, end))
	from := max(0, v.cursor-p.at)
	to := min(int64(len(p.payload)), end-p.at)
	if from >= to {
		return
	}
	law := lawOf(p.codec)
	start := len(v.pcm)
	for _, b := range p.payload[from:to] {
		v.pcm = append(v.pcm, law[b])
	}
	v.cursor += to - from
	v.hole = 0
	v.known = copy(v.before[:], v.pcm[max(start, len(v.pcm)-frameSamples):])
}

// conceal fills a gap: the last 20 ms again, fading to silence in 60.
func (v *voice) conceal(until int64) {
	for ; v.cursor < until; v.cursor++ {
		sample := int16(0)
		if v.known > 0 && v.hole < concealedMost {
			sample = int16(int64(v.before[v.hole%int64(v.known)]) * (concealedMost - v.hole) / concealedMost)
		}
		v.pcm = append(v.pcm, sample)
		v.hole++
	}
}
