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
	Name   string // what LegOptions.Playlist knows it by in the next process
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

// place is how far one leg is in a Playlist.
type place struct {
	list  *Playlist
	sound int // index in list.Sounds
	at    int // bytes of it played
}

// fill writes the next bytes of the list and tells how many there were; fewer
// than asked means that it has ended.
func (p *place) fill(dst []byte, c Codec) int {
	n := 0
	for n < len(dst) && p.seek() {
		k := copy(dst[n:], p.list.Sounds[p.sound].law(c)[p.at:])
		n += k
		p.at += k
	}
	return n
}

// skip goes on by n bytes without playing them, and tells by how many it went.
func (p *place) skip(n int) int {
	left := n
	for left > 0 && p.seek() {
		k := min(left, p.left())
		p.at += k
		left -= k
	}
	return n - left
}

// left is how many bytes of the present sound are to come.
func (p *place) left() int { return len(p.list.Sounds[p.sound].alaw) - p.at }

// loops says that the list has come to the sound which it repeats.
func (p *place) loops() bool { return p.list.Loop && p.sound == len(p.list.Sounds)-1 }

// seek goes to the sound the next byte is in, and tells whether there is one.
func (p *place) seek() bool {
	for p.sound < len(p.list.Sounds) {
		s := p.list.Sounds[p.sound]
		if s != nil && p.at < len(s.alaw) {
			return true
		}
		if p.loops() && s != nil && len(s.alaw) > 0 {
			p.at = 0
			continue
		}
		p.sound++
		p.at = 0
	}
	return false
}
