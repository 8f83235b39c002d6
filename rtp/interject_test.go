package rtp

import (
	"bytes"
	"math"
	"slices"
	"testing"
	"time"

	pion "github.com/pion/rtp"
	"github.com/zaf/g711"
	"pgregory.net/rapid"
)

// run plays n bytes in the sizes that size gives, and the tokens told at what byte.
func run(p *player, n int, size func() int, skip func() bool) (heard []byte, told map[int][]uint64) {
	told = map[int][]uint64{}
	for at := 0; at < n; {
		k := min(size(), n-at)
		part := make([]byte, k)
		done := 0
		for quiet := skip(); done < k && p.active(); {
			if quiet {
				done += p.skip(k - done)
			} else {
				done += p.fill(part[done:], PCMA)
			}
			if done < k {
				told[at+done] = append(told[at+done], p.drop())
			}
		}
		if at += done; done < k {
			return append(heard, part[:done]...), told
		}
		heard = append(heard, part...)
	}
	return heard, told
}

func one() int    { return 1 }
func never() bool { return false }

// Whatever is interrupted when, and in packets of whatever size: it is heard as
// when played byte by byte, and what is skipped is as long as what is played.
func TestInterjectionsDoNotDependOnPacketSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sounds := func(label string, least int) (all []*Sound) {
			for range rapid.IntRange(least, 3).Draw(t, label) {
				all = append(all, NewSound("", ramp(rapid.IntRange(0, 500).Draw(t, label+" size"), 7)))
			}
			return all
		}
		list := &Playlist{Sounds: sounds("list", 0), Loop: rapid.Bool().Draw(t, "loop"), Token: 1}
		quick, slow := player{under: place{list: list}}, player{under: place{list: list}}
		skipped := rapid.Bool().Draw(t, "skipped")
		size := func() int { return rapid.IntRange(1, 480).Draw(t, "size") }
		for i := range rapid.IntRange(0, 4).Draw(t, "announcements") {
			n := rapid.IntRange(1, 1000).Draw(t, "until")
			got, toldQuick := run(&quick, n, size, func() bool { return skipped })
			want, toldSlow := run(&slow, n, one, never)
			if len(got) != len(want) || !skipped && !bytes.Equal(got, want) {
				t.Fatalf("%d bytes, want %d", len(got), len(want))
			}
			for at, tokens := range toldSlow {
				if !slices.Equal(tokens, toldQuick[at]) {
					t.Fatalf("told %v at %d, want %v", toldQuick[at], at, tokens)
				}
			}
			if quick != slow && quick.active() {
				// Only a loop that has just ended may stand before or after its seam.
				quick.heard().seek()
				slow.heard().seek()
			}
			if quick.active() != slow.active() || quick.active() && quick != slow {
				t.Fatalf("stands at %+v, want %+v", quick, slow)
			}
			if !quick.active() {
				return
			}
			next := &Playlist{Sounds: sounds("announcement", 0), Token: uint64(2 + i)}
			quick.next, slow.next = next, next
		}
	})
}

// music of one loud tone, in which any click is heard, and what is said over it.
func tones() (music, words *Sound) {
	tone := func(n int, hz float64) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = g711.EncodeAlawFrame(int16(20000 * math.Sin(2*math.Pi*hz*float64(i)/clockRate)))
		}
		return b
	}
	return NewSound("music", tone(8000, 400)), NewSound("words", tone(800, 300))
}

func TestInterjectionDoesNotClick(t *testing.T) {
	music, words := tones()
	for _, after := range []int{1, 5, 163, 7990} {
		for _, law := range []Codec{PCMA, PCMU} {
			p := player{under: place{list: &Playlist{Sounds: []*Sound{music}, Loop: true}}}
			heard := make([]byte, after+fade+800+fade+500)
			p.fill(heard[:after], law)
			p.next = &Playlist{Sounds: []*Sound{words}, Token: 5}
			rest := heard[after:]
			k := p.fill(rest, law)
			if k != fade+800 {
				t.Fatalf("the announcement ends at byte %d", k)
			}
			if token := p.drop(); token != 5 {
				t.Errorf("token %d", token)
			}
			if k += p.fill(rest[k:], law); k != len(rest) {
				t.Fatalf("%d bytes of %d", k, len(rest))
			}
			// The music goes on where it was.
			if want := music.law(law)[(after+2*fade)%8000]; heard[after+2*fade+800] != want {
				t.Errorf("%s, after %d: %#x, want %#x", law, after, heard[after+2*fade+800], want)
			}
			if !bytes.Equal(rest[fade:fade+800], words.law(law)) {
				t.Errorf("%s, after %d: the words are not as they were", law, after)
			}
			before := 0.0
			for i, b := range heard {
				x := float64(g711.DecodeAlawFrame(b))
				if law == PCMU {
					x = float64(g711.DecodeUlawFrame(b))
				}
				// The steepest step of the tone, and of the coarsest quantisation.
				if i > 0 && math.Abs(x-before) > 20000*2*math.Pi*400/clockRate+1024 {
					t.Errorf("%s, after %d: a click at byte %d, from %.0f to %.0f", law, after, i-after, before, x)
				}
				before = x
			}
		}
	}
}

// A caller who waits is told his place: one unbroken stream from music to words
// to music, and the end told by the token.
func TestInterject(t *testing.T) {
	m := open(t, nil)
	for _, st := range []Stream{alaw(), ulaw()} {
		p := newPeer(t, m, nil, st)
		music, words := tones()
		p.leg.Hear(&Playlist{Sounds: []*Sound{music}, Loop: true})
		all := []pion.Packet{p.hear(), p.hear(), p.hear()}
		p.leg.Interject([]*Sound{words, nil, words}, 77)
		for range 20 {
			all = append(all, p.hear())
		}
		if e := await[PlaybackEnded](p); e.Token != 77 {
			t.Errorf("token %d", e.Token)
		}
		var heard []byte
		for i, k := range all {
			if i > 0 && (k.SSRC != all[0].SSRC || k.SequenceNumber != all[0].SequenceNumber+uint16(i) || k.Timestamp != all[0].Timestamp+uint32(160*i) || k.Marker) {
				t.Errorf("packet %d: SSRC %x, seq +%d, timestamp +%d, marker %v", i, k.SSRC, k.SequenceNumber-all[0].SequenceNumber, k.Timestamp-all[0].Timestamp, k.Marker)
			}
			heard = append(heard, k.Payload...)
		}
		said := slices.Concat(words.law(st.Codec), words.law(st.Codec))
		at := bytes.Index(heard, said)
		if at < fade {
			t.Fatalf("the words are not heard (%d)", at)
		}
		// Both fades are the music's own time.
		after := at + len(said) + fade
		if want := music.law(st.Codec)[at+fade : at+fade+160]; !bytes.Equal(heard[after:after+160], want) {
			t.Error("the music does not go on where it was")
		}
		p.leg.Close(nil)
	}
}

// Greeting and recording notice are heard out, and the last announcement asked
// for is the one that is heard.
func TestInterjectWaitsForTheGreeting(t *testing.T) {
	m := open(t, nil)
	p := newPeer(t, m, nil, alaw())
	greeting, notice := NewSound("", ramp(2000, 1)), NewSound("", ramp(1500, 100))
	music := NewSound("", bytes.Repeat([]byte{silencePCMA}, 160))
	words := NewSound("", bytes.Repeat([]byte{0x33}, 400))
	p.leg.Hear(&Playlist{Sounds: []*Sound{greeting, notice, music}, Loop: true})
	p.leg.Interject([]*Sound{greeting}, 1)
	p.leg.Interject([]*Sound{words}, 2)
	want := slices.Concat(greeting.alaw, notice.alaw, bytes.Repeat([]byte{silencePCMA}, fade), words.alaw, bytes.Repeat([]byte{silencePCMA}, 160))
	var heard []byte
	for len(heard) < len(want) {
		heard = append(heard, p.hear().Payload...)
	}
	if !bytes.HasPrefix(heard, want) {
		t.Errorf("heard % x", heard)
	}
	if e := await[PlaybackEnded](p); e.Token != 2 {
		t.Errorf("token %d", e.Token)
	}
}

func TestInterjectAgain(t *testing.T) {
	m := open(t, nil)
	p := newPeer(t, m, nil, alaw())
	music, words := tones()
	long := NewSound("", bytes.Repeat(words.alaw, 100))
	p.leg.Hear(&Playlist{Sounds: []*Sound{music}, Loop: true})
	p.leg.Interject([]*Sound{long}, 1)
	for range 4 {
		p.hear()
	}
	p.leg.Interject([]*Sound{words}, 2) // the caller pressed a key: no more of the offer
	if e := await[PlaybackEnded](p); e.Token != 2 {
		t.Errorf("token %d", e.Token)
	}
	p.leg.Interject([]*Sound{long}, 3)
	p.leg.Interject(nil, 4) // enough
	if e := await[PlaybackEnded](p); e.Token != 4 {
		t.Errorf("token %d", e.Token)
	}
	p.leg.Interject([]*Sound{long}, 5)
	p.leg.Hear(&Playlist{Sounds: []*Sound{words}, Token: 6}) // ends all
	if e := await[PlaybackEnded](p); e.Token != 6 {
		t.Errorf("token %d", e.Token)
	}
	p.leg.Interject([]*Sound{words}, 7) // nothing is heard any more: the words alone
	if e := await[PlaybackEnded](p); e.Token != 7 {
		t.Errorf("token %d", e.Token)
	}
}

// A list that does not loop is heard to its end, and both ends are told.
func TestInterjectAfterAList(t *testing.T) {
	m := open(t, nil)
	p := newPeer(t, m, nil, alaw())
	p.leg.Hear(&Playlist{Sounds: []*Sound{NewSound("", ramp(2000, 0))}, Token: 1})
	p.leg.Interject([]*Sound{NewSound("", ramp(2000, 0))}, 2)
	var heard []byte
	for range 25 {
		heard = append(heard, p.hear().Payload...)
	}
	if want := slices.Concat(ramp(2000, 0), ramp(2000, 0)); !bytes.Equal(heard, want) {
		t.Errorf("heard % x", heard)
	}
	for _, want := range []uint64{1, 2} {
		if e := await[PlaybackEnded](p); e.Token != want {
			t.Errorf("token %d, want %d", e.Token, want)
		}
	}
}

func TestInterjectLeavesATalkAlone(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, alaw(), alaw())
	_, words := tones()
	b.leg.Interject([]*Sound{words}, 1)
	b.sync()
	first := say(a, b, 0)
	for step := uint16(1); step < 5; step++ {
		if k := say(a, b, step); k.SequenceNumber != first.SequenceNumber+step {
			t.Errorf("packet %d came as +%d", step, k.SequenceNumber-first.SequenceNumber)
		}
	}
	if k, ok := b.listen(2 * keyStep); ok {
		t.Errorf("heard % x", k.Payload)
	}
	select {
	case e := <-b.told:
		if _, ok := e.(PlaybackEnded); ok {
			t.Error("an end was told of what was not heard")
		}
	default:
	}
}

// A shard that was held up skips what should have been heard, announcements too.
func TestSkipEndsAnAnnouncement(t *testing.T) {
	music, words := tones()
	p := player{under: place{list: &Playlist{Sounds: []*Sound{music}, Loop: true}}, next: &Playlist{Sounds: []*Sound{words}, Token: 9}}
	hour := int(time.Hour/time.Second) * clockRate
	n := p.skip(hour)
	if n != fade+800 || p.drop() != 9 {
		t.Fatalf("skipped %d", n)
	}
	if n += p.skip(hour - n); n != hour || p.under.at != (hour-800)%8000 {
		t.Errorf("skipped %d to %d", n, p.under.at)
	}
}
