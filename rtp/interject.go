package rtp

import "github.com/zaf/g711"

// fade is how long a list takes to go quiet for an announcement and to come back
// after it, in bytes: 20 ms, enough that no click is heard.
const fade = 20 * clockRate / 1000

// Interject plays sounds over the Playlist that this leg's peer hears, which goes
// on afterwards from where it was; PlaybackEnded with the token tells the end.
// What the list plays only once, a greeting or a notice, is not broken into: the
// announcement waits for the sound that loops, or for the end of a list that does
// not. An announcement takes the place of an earlier one, heard or not yet, which
// then says nothing; one without sounds only ends the earlier. Hear ends all.
//
// A peer who hears nothing hears the sounds alone. A peer who hears another leg is
// not interrupted, and nothing is told.
func (l *Leg) Interject(sounds []*Sound, token uint64) {
	l.post(func(s *shard) {
		list := &Playlist{Sounds: sounds, Token: token}
		switch {
		case l.hears != nil:
		case !l.player.active():
			s.hear(l, list)
		default:
			l.player.next = list
			s.change(l)
		}
	})
}

// player is what one leg plays: a list, and at times an announcement over it.
type player struct {
	under place     // the list
	over  place     // the announcement, heard instead of the list
	next  *Playlist // the announcement that waits until what is heard has faded
	dip   int       // bytes of the fade that what is heard is down, 0 to fade
}

func (p *player) active() bool { return p.under.list != nil || p.over.list != nil }

// heard is what is played now.
func (p *player) heard() *place {
	if p.over.list != nil {
		return &p.over
	}
	return &p.under
}

// fill writes the next bytes and tells how many there were; fewer than asked
// means that what was heard has ended, and is to be dropped.
func (p *player) fill(dst []byte, c Codec) int {
	n := 0
	for n < len(dst) {
		part := dst[n:][:p.stretch(len(dst)-n)]
		k := p.heard().fill(part, c)
		p.slide(part[:k], k, c)
		n += k
		if k < len(part) {
			break
		}
	}
	return n
}

// skip goes on by n bytes without playing them, and tells by how many it went.
func (p *player) skip(n int) int {
	done := 0
	for done < n {
		part := p.stretch(n - done)
		k := p.heard().skip(part)
		p.slide(nil, k, NoCodec)
		done += k
		if k < part {
			break
		}
	}
	return done
}

// stretch is how many of the next n bytes come from what is heard, in one
// direction of the fade. The announcement begins here once there is room for it.
func (p *player) stretch(n int) int {
	h := p.heard()
	if p.next == nil {
		if p.dip > 0 {
			n = min(n, p.dip)
		}
		return n
	}
	if !h.seek() {
		return n
	}
	if h == &p.under && !h.loops() {
		return min(n, h.left())
	}
	if p.dip < fade {
		return min(n, fade-p.dip)
	}
	p.begin()
	return n
}

// slide turns k bytes of what is heard down when an announcement waits, and up
// after one. Without dst they only count.
func (p *player) slide(dst []byte, k int, c Codec) {
	waits := p.next != nil && (p.over.list != nil || p.under.loops())
	if !waits && p.dip == 0 {
		return
	}
	for i := range k {
		if waits {
			p.dip++
		} else {
			p.dip--
		}
		if dst != nil {
			dst[i] = quieter(dst[i], fade-p.dip, c)
		}
	}
}

// begin lets the announcement be heard. It comes at its full loudness: sounds
// that are spoken begin in silence.
func (p *player) begin() { p.over, p.next, p.dip = place{list: p.next}, nil, 0 }

// drop takes out what was heard, which has ended, and gives its token. An
// announcement that waited for it begins; after one the list comes back softly.
func (p *player) drop() uint64 {
	h := p.heard()
	token := h.list.Token
	if h == &p.over {
		p.dip = fade
	}
	*h = place{}
	if p.next != nil {
		p.begin()
	}
	return token
}

// quieter is one byte of audio at part/fade of its loudness.
func quieter(b byte, part int, c Codec) byte {
	if c == PCMU {
		return g711.EncodeUlawFrame(int16(int(g711.DecodeUlawFrame(b)) * part / fade))
	}
	return g711.EncodeAlawFrame(int16(int(g711.DecodeAlawFrame(b)) * part / fade))
}
