package rtp

import (
	"bytes"
	"math"
	"slices"
	"testing"
	"time"

	pion "github.com/pion/rtp"
	"github.com/zaf/g711"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
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

// still is a leg whose clock the test turns, so that a busy machine changes nothing.
type still struct {
	t    *testing.T
	s    *shard
	leg  *Leg
	far  int // where its packets come out
	told []uint64
}

func newStill(t *testing.T, st Stream) *still {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeSockets(int32(ends[0]), int32(ends[1])) })
	x := &still{t: t, s: &shard{log: zap.NewNop()}, far: ends[1]}
	st.Send, st.Latch = true, Near
	x.leg = &Leg{
		shard: x.s, fd: int32(ends[0]), open: int32(ends[0]), stream: st, terms: st.terms(), audible: true, out: newOutflow(),
		sink: func(e MediaEvent) {
			if e, ok := e.(PlaybackEnded); ok {
				x.told = append(x.told, e.Token)
			}
		},
	}
	return x
}

// hear is the next n packets, one after another without a break.
func (x *still) hear(n int) (heard []byte) {
	x.t.Helper()
	for range n {
		x.s.obey()
		if !x.leg.beat.on {
			x.t.Fatal("nothing is played")
		}
		before := x.leg.out
		x.s.tick = x.leg.beat.due
		x.s.now = int64(x.s.tick) * int64(tick)
		x.s.strike(x.s.wheel.pop(x.s.tick))
		var b [1500]byte
		size, err := unix.Read(x.far, b[:])
		if err != nil {
			x.t.Fatalf("nothing heard: %v", err)
		}
		var k pion.Packet
		if err := k.Unmarshal(b[:size]); err != nil {
			x.t.Fatal(err)
		}
		first := before.packets == 0
		if k.SSRC != before.ssrc || k.SequenceNumber != before.seq+1 || !first && k.Timestamp != before.ts+160 || k.Marker != first {
			x.t.Errorf("SSRC %x, seq %d after %d, timestamp %d after %d, marker %v", k.SSRC, k.SequenceNumber, before.seq, k.Timestamp, before.ts, k.Marker)
		}
		heard = append(heard, k.Payload...)
	}
	return heard
}

func (x *still) tells(tokens ...uint64) {
	x.t.Helper()
	if !slices.Equal(x.told, tokens) {
		x.t.Errorf("told the ends of %v, want %v", x.told, tokens)
	}
	x.told = nil
}

// A caller who waits is told his place: one unbroken stream from music to words
// to music, and the end told by the token.
func TestInterject(t *testing.T) {
	for _, st := range []Stream{alaw(), ulaw()} {
		x := newStill(t, st)
		music, words := tones()
		x.leg.Hear(&Playlist{Sounds: []*Sound{music}, Loop: true})
		heard := x.hear(3)
		x.leg.Interject([]*Sound{words, nil, words}, 77)
		heard = append(heard, x.hear(11)...)
		x.tells()
		heard = append(heard, x.hear(9)...)
		x.tells(77)
		said := slices.Concat(words.law(st.Codec), words.law(st.Codec))
		at := 3*160 + fade
		if !bytes.Equal(heard[at:at+len(said)], said) {
			t.Errorf("%s: the words are not heard", st.Codec)
		}
		// Both fades are the music's own time.
		if rest := heard[at+len(said)+fade:]; !bytes.Equal(rest, music.law(st.Codec)[at+fade:][:len(rest)]) {
			t.Errorf("%s: the music does not go on where it was", st.Codec)
		}
	}
}

// Greeting and recording notice are heard out, and the last announcement asked
// for is the one that is heard.
func TestInterjectWaitsForTheGreeting(t *testing.T) {
	x := newStill(t, alaw())
	greeting, notice := NewSound("", ramp(300, 1)), NewSound("", ramp(350, 100))
	music := NewSound("", bytes.Repeat([]byte{silencePCMA}, 160))
	words := NewSound("", bytes.Repeat([]byte{0x33}, 400))
	x.leg.Hear(&Playlist{Sounds: []*Sound{greeting, notice, music}, Loop: true})
	x.leg.Interject([]*Sound{greeting}, 1)
	x.leg.Interject([]*Sound{words}, 2)
	want := slices.Concat(greeting.alaw, notice.alaw, bytes.Repeat(music.alaw, fade/160), words.alaw, music.alaw)
	if heard := x.hear(10); !bytes.HasPrefix(heard, want) {
		t.Errorf("heard % x", heard)
	}
	x.tells(2)
}

// Whoever presses a key at the offer hears no more of it.
func TestInterjectAgain(t *testing.T) {
	x := newStill(t, alaw())
	music, words := tones()
	long := NewSound("", bytes.Repeat(words.alaw, 100))
	x.leg.Hear(&Playlist{Sounds: []*Sound{music}, Loop: true})
	x.leg.Interject([]*Sound{long}, 1)
	x.hear(4)
	x.leg.Interject([]*Sound{words}, 2)
	if heard := x.hear(1 + 5); !bytes.HasSuffix(heard, words.alaw) {
		t.Error("the second is not heard at once")
	}
	x.tells()
	x.hear(1)
	x.tells(2)

	x.leg.Interject([]*Sound{long}, 3)
	x.hear(4)
	x.leg.Interject(nil, 4) // ends it
	x.hear(2)
	x.tells(4)

	x.leg.Interject([]*Sound{long}, 5)
	x.hear(4)
	x.s.now += int64(20 * time.Millisecond)
	x.leg.Hear(nil) // ends all
	x.s.obey()
	if x.leg.player.active() {
		t.Error("something is still played")
	}
	x.tells()
}

// A list that does not loop is heard to its end, and both ends are told.
func TestInterjectAfterAList(t *testing.T) {
	x := newStill(t, alaw())
	list, words := NewSound("", ramp(500, 0)), NewSound("", ramp(500, 9))
	x.leg.Hear(&Playlist{Sounds: []*Sound{list}, Token: 1})
	x.leg.Interject([]*Sound{words}, 2)
	if heard := x.hear(7); !bytes.Equal(heard[:1000], slices.Concat(list.alaw, words.alaw)) {
		t.Errorf("heard % x", heard)
	}
	x.tells(1, 2)
	x.s.obey()
	if x.leg.beat.on {
		t.Error("the leg is still served by the clock")
	}
}

// A peer who hears nothing hears the words alone; and so on real sockets.
func TestInterjectInSilence(t *testing.T) {
	m := open(t, nil)
	p := newPeer(t, m, nil, ulaw())
	_, words := tones()
	p.leg.Interject([]*Sound{NewSound("", bytes.Repeat(words.alaw, 10))}, 7)
	p.hear()
	if e := await[PlaybackEnded](p); e.Token != 7 {
		t.Errorf("token %d", e.Token)
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
