package rtp

import "time"

// Source is what a leg can hear: a *Leg (relay of what that leg receives) or a
// *Playlist.
type Source interface{ source() }

func (*Leg) source()      {}
func (*Playlist) source() {}

// Playlist plays Sounds one after another without a pause; the last one loops
// when Loop. It may be heard by any number of legs at once, each at its own
// place, and is not changed after it was given to the first.
type Playlist struct {
	Sounds []*Sound
	Loop   bool
	Token  uint64 // PlaybackEnded carries it
}

// Sound is audio at 8 kHz held in both G.711 laws, shared by all legs.
type Sound struct {
	Name string
	alaw []byte
	ulaw []byte
}

// NewSound makes a Sound of A-law bytes at 8 kHz, which it keeps.
func NewSound(name string, alaw []byte) *Sound {
	s := &Sound{Name: name, alaw: alaw, ulaw: make([]byte, len(alaw))}
	translate(s.ulaw, s.alaw, PCMU)
	return s
}

// Duration is how long it plays.
func (s *Sound) Duration() time.Duration { return samples(len(s.alaw)) }

func (s *Sound) law(c Codec) []byte {
	if c == PCMU {
		return s.ulaw
	}
	return s.alaw
}

// player is one leg's place in a Playlist.
type player struct {
	list  *Playlist
	sound int // index in list.Sounds
	at    int // bytes of it played
}

func (p *player) active() bool { return p.list != nil }

// fill writes the next bytes of the list and tells how many there were; fewer
// than asked means that it has ended.
func (p *player) fill(dst []byte, c Codec) int {
	n := 0
	for n < len(dst) && p.seek() {
		k := copy(dst[n:], p.list.Sounds[p.sound].law(c)[p.at:])
		n += k
		p.at += k
	}
	return n
}

// skip goes on by n bytes without playing them.
func (p *player) skip(n int) {
	for n > 0 && p.seek() {
		k := min(n, len(p.list.Sounds[p.sound].alaw)-p.at)
		p.at += k
		n -= k
	}
}

// seek goes to the sound the next byte is in, and tells whether there is one.
func (p *player) seek() bool {
	for p.sound < len(p.list.Sounds) {
		s := p.list.Sounds[p.sound]
		if s != nil && p.at < len(s.alaw) {
			return true
		}
		last := p.sound == len(p.list.Sounds)-1
		if last && p.list.Loop && s != nil && len(s.alaw) > 0 {
			p.at = 0
			continue
		}
		p.sound++
		p.at = 0
	}
	return false
}
