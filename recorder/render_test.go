package recorder

import (
	"io"
	"math"
	"testing"
	"time"

	"foyer/rtp"
)

const frameLength = 20 * time.Millisecond

// The caller's tone is left and nowhere else, the agent's right, and the length
// is that of the talk, whatever the network did to the packets.
func TestRenderAfterARoughNetwork(t *testing.T) {
	const length = 20 * time.Second
	b := running(t, Options{}, nil)
	c, a := caller, agent
	c.delay, a.delay = rough(1), rough(2)
	id, info := b.record(Meta{CallID: "c1"}, talk(length, c, a))
	if info.State != stateComplete || info.LostMS != 0 {
		t.Errorf("info: %+v", info)
	}
	within(t, "duration_s", time.Duration(info.DurationS*float64(time.Second)), length, time.Millisecond)
	w := rendered(t, b.dir, id, "")
	within(t, "length", w.length(), length, frameLength)
	if l, r := loudest(w.left), loudest(w.right); l != 440 || r != 1000 {
		t.Errorf("left %v Hz, right %v Hz", l, r)
	}
	if x, y := level(w.left, 1000), level(w.right, 440); x > 60 || y > 60 {
		t.Errorf("the other party is heard: %.0f left, %.0f right", x, y)
	}
	// What arrived is where it belongs: with 5 % lost and jitter, the tone keeps
	// its phase from end to end.
	for _, side := range []struct {
		pcm []float64
		hz  float64
	}{{w.left, 440}, {w.right, 1000}} {
		if l := level(side.pcm, side.hz); l < 0.93*12000 {
			t.Errorf("%v Hz at %.0f of 12000: packets are not in their places", side.hz, l)
		}
	}
}

func TestSilentPartyIsSilent(t *testing.T) {
	b := running(t, Options{}, nil)
	id, _ := b.record(Meta{}, talk(3*time.Second, caller))
	w := rendered(t, b.dir, id, "")
	for i, x := range w.right {
		if x != 0 {
			t.Fatalf("sample %d of a party that said nothing is %v", i, x)
		}
	}
	if loudest(w.left) != 440 {
		t.Error("caller not heard")
	}
}

func TestPacketsAfterTheTapAreIgnored(t *testing.T) {
	outside(t, true)
}

// A tap that is full may lose the mark of the beginning. What comes is recorded all
// the same: the first packet is the beginning.
func TestBeginningWithoutItsMark(t *testing.T) {
	outside(t, false)
}

// outside records two seconds of four, with or without the mark of their beginning.
func outside(t *testing.T, marked bool) {
	t.Helper()
	b := running(t, Options{}, nil)
	records := caller.packets(4 * time.Second)
	handle, id := b.begin(Meta{})
	mark := func(k rtp.TapKind, at time.Duration) rtp.TapRecord {
		return rtp.TapRecord{Kind: k, At: callStart.Add(at).UnixNano()}
	}
	var all []rtp.TapRecord
	if marked {
		all = append(all, mark(rtp.TapStart, time.Second))
	}
	all = append(all, records[50:150]...)
	all = append(all, mark(rtp.TapStop, 3*time.Second))
	all = append(all, records[150:]...)
	b.feed(handle, all)
	b.End(handle)
	b.End(handle)
	if info := b.waitEnded(); info.DurationS != 2 || info.State != "complete" {
		t.Errorf("%s, lasts %v s", info.State, info.DurationS)
	}
	if w := rendered(t, b.dir, id, ""); w.length() != 2*time.Second || level(w.left, 440) < 11000 {
		t.Errorf("length %v, level %.0f", w.length(), level(w.left, 440))
	}
}

// placement feeds one party and says where its tone is: the amplitude in each
// tenth of a second.
func placement(t *testing.T, length time.Duration, parties ...party) []float64 {
	t.Helper()
	b := running(t, Options{}, nil)
	id, _ := b.record(Meta{}, talk(length, parties...))
	w := rendered(t, b.dir, id, "")
	within(t, "length", w.length(), length, time.Millisecond)
	var levels []float64
	for i := 0; i+800 <= len(w.left); i += 800 {
		levels = append(levels, level(w.left[i:i+800], 440))
	}
	return levels
}

func expectTone(t *testing.T, levels []float64, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if levels[i] < 8000 {
			t.Errorf("tone missing at %d00 ms: %.0f", i, levels[i])
		}
	}
}

func expectNone(t *testing.T, levels []float64, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if levels[i] > 200 {
			t.Errorf("tone at %d00 ms: %.0f", i, levels[i])
		}
	}
}

func TestLateStartIsPlacedByArrival(t *testing.T) {
	p := caller
	p.from = 2 * time.Second
	levels := placement(t, 4*time.Second, p)
	expectNone(t, levels, 0, 20)
	expectTone(t, levels, 20, 40)
}

// A pause with the timestamps going on (silence suppression) stays a pause, and
// its edges do not move.
func TestSilenceSuppression(t *testing.T) {
	p := caller
	p.delay = func(_ int, sent time.Duration) (time.Duration, bool) {
		return 0, sent >= time.Second && sent < 3*time.Second
	}
	levels := placement(t, 4*time.Second, p)
	expectTone(t, levels, 0, 10)
	expectNone(t, levels, 11, 30) // the first tenth holds the fade
	expectTone(t, levels, 30, 40)
}

// A network that stalls for a second and then delivers everything at once: the
// speech is where it was spoken.
func TestStallAndBurst(t *testing.T) {
	p := caller
	p.delay = func(_ int, sent time.Duration) (time.Duration, bool) {
		if sent >= 2*time.Second && sent < 3*time.Second {
			return 3*time.Second - sent, false
		}
		return 0, false
	}
	expectTone(t, placement(t, 6*time.Second, p), 0, 60)
}

// Timestamps that jump at a stroke, either way, leave no hole: arrival decides.
func TestTimestampJump(t *testing.T) {
	for _, by := range []uint32{1_000_000, math.MaxUint32 - 1_000_000} {
		p := caller
		p.skew = func(n int) uint32 {
			if n >= 150 {
				return by
			}
			return 0
		}
		expectTone(t, placement(t, 6*time.Second, p), 0, 60)
	}
}

// A sender that stands still without counting, as some do on hold, goes on where
// time is, not where its timestamps are.
func TestPauseWithoutCounting(t *testing.T) {
	p := caller
	p.delay = func(n int, _ time.Duration) (time.Duration, bool) {
		if n >= 100 {
			return 2 * time.Second, false
		}
		return 0, false
	}
	levels := placement(t, 7*time.Second, p)
	expectTone(t, levels, 0, 20)
	expectNone(t, levels, 21, 40)
	expectTone(t, levels, 40, 70)
}

func TestNewSSRCAndNewNumbering(t *testing.T) {
	first := caller
	first.delay = func(_ int, sent time.Duration) (time.Duration, bool) { return 0, sent >= 2*time.Second }
	second := caller
	second.from, second.seq, second.ts = 2*time.Second, 30000, 77
	t.Run("same SSRC", func(t *testing.T) { expectTone(t, placement(t, 4*time.Second, first, second), 0, 40) })
	second.ssrc = 99
	t.Run("other SSRC", func(t *testing.T) { expectTone(t, placement(t, 4*time.Second, first, second), 0, 40) })
}

// A sender whose clock is off by 200 parts in a million for half an hour: 360 ms
// in all. The last words are where they were said.
func TestClockDrift(t *testing.T) {
	t.Parallel()
	const length = 30 * time.Minute
	for _, clock := range []float64{0.9998, 1.0002} {
		p := caller
		p.clock = clock
		p.delay = func(_ int, sent time.Duration) (time.Duration, bool) {
			return 0, sent < length-20*time.Second && sent > 10*time.Second && sent%(10*time.Second) > 500*time.Millisecond || sent > length-10*time.Second
		}
		levels := placement(t, length, p)
		n := len(levels)
		expectTone(t, levels, n-198, n-101)
		expectNone(t, levels, n-97, n)
	}
}

func TestDuplicatesAreHeardOnce(t *testing.T) {
	b := running(t, Options{}, nil)
	records := caller.packets(2 * time.Second)
	var twice []rtp.TapRecord
	for i, r := range records {
		twice = append(twice, r, r)
		if i >= 3 {
			twice = append(twice, records[i-3])
		}
	}
	id, _ := b.record(Meta{}, bracket(2*time.Second, twice))
	w := rendered(t, b.dir, id, "")
	if l := level(w.left, 440); l < 11800 || w.length() != 2*time.Second {
		t.Errorf("level %.0f, length %v", l, w.length())
	}
}

// A short gap is covered by what was before it, fading; a long one is silence.
func TestConcealment(t *testing.T) {
	p := caller
	p.delay = func(n int, _ time.Duration) (time.Duration, bool) { return 0, n >= 50 && n < 70 }
	b := running(t, Options{}, nil)
	id, _ := b.record(Meta{}, talk(2*time.Second, p))
	w := rendered(t, b.dir, id, "")
	gap := w.left[8000 : 8000+20*160]
	if l := level(gap[:160], 440); l < 7000 {
		t.Errorf("the first 20 ms of a gap are at %.0f", l)
	}
	for i, x := range gap[concealedMost:] {
		if x != 0 {
			t.Fatalf("%d ms into a gap: %v", (concealedMost+i)/8, x)
		}
	}
}

func TestEmptyRecording(t *testing.T) {
	b := running(t, Options{}, nil)
	id, info := b.record(Meta{}, bracket(1500*time.Millisecond, nil))
	if w := rendered(t, b.dir, id, ""); w.length() != 1500*time.Millisecond || info.State != stateComplete {
		t.Errorf("%v, %+v", w.length(), info)
	}
}

func TestAudioForRanges(t *testing.T) {
	b := running(t, Options{}, nil)
	id, _ := b.record(Meta{CallID: "c7"}, talk(2*time.Second, caller, agent))
	audio, info, err := Audio(b.dir, id, "")
	if err != nil || info.CallID != "c7" {
		t.Fatal(err, info)
	}
	if n, err := audio.Seek(0, io.SeekEnd); err != nil || n != wavHeader+2*sampleRate*wavFrame {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := audio.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(audio)
	if err != nil || parseWAV(t, all).length() != 2*time.Second {
		t.Error("not the recording")
	}
}

func BenchmarkRenderMinute(b *testing.B) {
	s := running(b, Options{}, nil)
	c, a := caller, agent
	c.delay, a.delay = rough(1), rough(2)
	id, _ := s.record(Meta{}, talk(time.Minute, c, a))
	for b.Loop() {
		if err := Render(io.Discard, s.dir, id, ""); err != nil {
			b.Fatal(err)
		}
	}
}
