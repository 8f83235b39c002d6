package rtp

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func ramp(n int, from byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}

func TestSound(t *testing.T) {
	s := NewSound("beep", ramp(8000, 0))
	if s.Duration() != time.Second {
		t.Errorf("lasts %s", s.Duration())
	}
	for i, a := range s.alaw {
		if s.ulaw[i] != toPCMU[a] {
			t.Fatalf("byte %d: %#x is %#x in mu-law", i, a, s.ulaw[i])
		}
	}
}

// Whatever the lengths: the sounds come one after another without a byte
// missing, and the last repeats without a seam.
func TestPlayerFillsAndSkips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := &Playlist{Loop: rapid.Bool().Draw(t, "loop")}
		var whole []byte
		var last []byte
		for range rapid.IntRange(0, 4).Draw(t, "sounds") {
			last = ramp(rapid.IntRange(0, 400).Draw(t, "size"), byte(len(whole)))
			list.Sounds = append(list.Sounds, NewSound("", last))
			whole = append(whole, last...)
		}
		if list.Loop && len(last) > 0 {
			for len(whole) < 5000 {
				whole = append(whole, last...)
			}
		}
		p := player{under: place{list: list}}
		for range 15 {
			if rapid.Bool().Draw(t, "skip") {
				n := rapid.IntRange(0, 100).Draw(t, "n")
				p.skip(n)
				whole = whole[min(n, len(whole)):]
				continue
			}
			dst := make([]byte, 160)
			n := p.fill(dst, PCMA)
			if n != min(160, len(whole)) || !bytes.Equal(dst[:n], whole[:n]) {
				t.Fatalf("got %d bytes, want %d", n, min(160, len(whole)))
			}
			whole = whole[n:]
		}
	})
}

func TestPlaybackKeepsPace(t *testing.T) {
	m := open(t, nil)
	for _, ptime := range []time.Duration{20 * time.Millisecond, 30 * time.Millisecond, 10 * time.Millisecond} {
		for !keepsPace(t, m, ptime) {
			t.Logf("%s: the machine stood still; again", ptime)
		}
	}
}

// keepsPace hears a list for a while. It is false where the machine, and with it the
// shard, stood still for longer than the shard makes up for.
func keepsPace(t *testing.T, m *Media, ptime time.Duration) bool {
	st := alaw()
	st.Ptime = ptime
	p := newPeer(t, m, nil, st)
	defer p.leg.Close(nil)
	began, want := time.Now(), ramp(1000, 0) // before the first packet, whenever this goroutine gets to read it
	p.leg.Hear(&Playlist{Sounds: []*Sound{NewSound("", ramp(1000, 0))}, Loop: true})
	first := p.hear()
	size := int(ptime.Milliseconds()) * 8
	var last uint32
	for i := range 20 {
		k := p.hear()
		last = k.Timestamp - first.Timestamp
		if int(last) > (i+1)*size && time.Since(began) > time.Duration(i+1)*ptime+50*time.Millisecond {
			return false
		}
		if int(last) != (i+1)*size || len(k.Payload) != size || k.Payload[0] != want[(i+1)*size%1000] {
			t.Fatalf("%s, packet %d: timestamp +%d, %d bytes", ptime, i, last, len(k.Payload))
		}
	}
	// The stream may stand behind the clock when the machine is busy, but
	// never run ahead of it.
	if ahead := samples(last) - time.Since(began); ahead > 3*tick {
		t.Errorf("%s: %s ahead of the clock", ptime, ahead)
	}
	return true
}

func TestPlaybackEnds(t *testing.T) {
	m := open(t, nil)
	p := newPeer(t, m, nil, ulaw())
	p.leg.Hear(&Playlist{Sounds: []*Sound{NewSound("a", ramp(200, 0)), NewSound("b", ramp(200, 200))}, Token: 42})
	var heard []byte
	for range 3 {
		heard = append(heard, p.hear().Payload...)
	}
	if e := await[PlaybackEnded](p); e.Token != 42 {
		t.Errorf("token %d", e.Token)
	}
	for i := range 480 {
		want := byte(silencePCMU)
		if i < 400 {
			want = toPCMU[byte(i)]
		}
		if heard[i] != want {
			t.Fatalf("byte %d is %#x, want %#x", i, heard[i], want)
		}
	}
	// A list with nothing in it ends too.
	p.leg.Hear(&Playlist{Sounds: []*Sound{NewSound("", nil)}, Loop: true, Token: 43})
	if e := await[PlaybackEnded](p); e.Token != 43 {
		t.Errorf("token %d", e.Token)
	}
}

func TestPlaybackWaitsForTheNegotiation(t *testing.T) {
	m := open(t, nil)
	p := newPeer(t, m, nil, Stream{})
	p.leg.Hear(&Playlist{Sounds: []*Sound{NewSound("", ramp(320, 0))}, Token: 1})
	p.sync()
	st := alaw()
	st.Remote, st.Send, st.Receive = p.addr(), true, true
	p.leg.Set(st)
	if k := p.hear(); k.Payload[0] != 0 {
		t.Errorf("began at byte %d", k.Payload[0])
	}
}

func TestWheelSpreadsAndForgets(t *testing.T) {
	var w wheel
	legs := make([]*Leg, 100)
	for i := range legs {
		legs[i] = new(Leg)
		w.add(legs[i], w.lightest(7))
	}
	for at := uint64(8); at < 12; at++ {
		if n := len(w.slots[at%wheelSize]); n != 25 {
			t.Errorf("tick %d: %d legs, want 25", at, n)
		}
	}
	for _, l := range legs[:50] {
		w.remove(l)
		w.remove(l)
	}
	popped := map[*Leg]bool{}
	for at := uint64(0); at < wheelSize; at++ {
		for l := w.pop(at); l != nil; l = w.pop(at) {
			popped[l] = true
		}
	}
	if len(popped) != 50 || w.count != 0 {
		t.Errorf("%d popped, %d left", len(popped), w.count)
	}
}
