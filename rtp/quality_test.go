package rtp

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The golden table of the simplified E-model, R and MOS to two places.
func TestRating(t *testing.T) {
	type point struct{ r, mos float64 }
	for _, row := range []struct {
		loss      float64
		concealed [4]point // at 50, 150, 250 and 400 ms
		plain     point    // at 50 ms
	}{
		{0, [4]point{{92.00, 4.38}, {89.60, 4.33}, {79.20, 3.99}, {59.10, 3.05}}, point{92.00, 4.38}},
		{1, [4]point{{88.36, 4.30}, {85.96, 4.23}, {75.56, 3.85}, {55.46, 2.86}}, point{74.08, 3.78}},
		{2, [4]point{{84.99, 4.20}, {82.59, 4.12}, {72.19, 3.70}, {52.09, 2.69}}, point{61.84, 3.19}},
		{3, [4]point{{81.86, 4.09}, {79.46, 4.00}, {69.06, 3.55}, {48.96, 2.52}}, point{52.96, 2.73}},
		{5, [4]point{{76.22, 3.87}, {73.82, 3.77}, {63.42, 3.28}, {43.32, 2.23}}, point{40.92, 2.11}},
		{8, [4]point{{69.04, 3.55}, {66.64, 3.44}, {56.24, 2.90}, {36.14, 1.88}}, point{30.21, 1.62}},
	} {
		check := func(delay int, bpl float64, want point) {
			t.Helper()
			r := rating(time.Duration(delay)*time.Millisecond, row.loss, bpl)
			if math.Abs(r-want.r) > 0.0051 || math.Abs(opinion(r)-want.mos) > 0.0051 {
				t.Errorf("%g %% at %d ms, Bpl %g: R %.3f MOS %.3f, want %.2f %.2f", row.loss, delay, bpl, r, opinion(r), want.r, want.mos)
			}
		}
		for i, delay := range []int{50, 150, 250, 400} {
			check(delay, bplConcealed, row.concealed[i])
		}
		check(50, bplPlain, row.plain)
	}
	if opinion(-10) != 1 || opinion(120) != 4.5 {
		t.Error("opinion leaves 1 to 4.5")
	}
}

func TestReceptionCounts(t *testing.T) {
	for _, c := range []struct {
		name                             string
		seqs                             []uint16
		lost, duplicate, reordered, want uint64 // want: expected
	}{
		{"in order", []uint16{1, 2, 3, 4}, 0, 0, 0, 4},
		{"across the wrap", []uint16{65534, 65535, 0, 1}, 0, 0, 0, 4},
		{"one lost", []uint16{1, 2, 4}, 1, 0, 0, 4},
		{"one late", []uint16{1, 3, 2, 4}, 0, 0, 1, 4},
		{"one twice", []uint16{1, 2, 2, 3}, 0, 1, 0, 3},
		{"a late one twice", []uint16{1, 3, 2, 2}, 0, 1, 1, 3},
		{"one before the first", []uint16{5, 4, 6}, 0, 0, 1, 3},
		{"one before the first, across the wrap", []uint16{0, 65535, 1}, 0, 0, 1, 3},
		{"a new start, far away", []uint16{10, 11, 30000, 30001}, 0, 0, 0, 4},
		{"a new start, after a loss", []uint16{10, 12, 30000, 30002}, 2, 0, 0, 6},
	} {
		var r reception
		for _, s := range c.seqs {
			r.place(1, s)
		}
		if r.lost() != c.lost || r.duplicate != c.duplicate || r.reordered != c.reordered || r.expected() != c.want {
			t.Errorf("%s: lost %d twice %d late %d expected %d; want %d %d %d %d", c.name,
				r.lost(), r.duplicate, r.reordered, r.expected(), c.lost, c.duplicate, c.reordered, c.want)
		}
	}
}

func TestReceptionAddsSources(t *testing.T) {
	var r reception
	for _, s := range []uint16{1, 2, 4} {
		r.place(1, s)
	}
	for _, s := range []uint16{500, 503} {
		r.place(2, s)
	}
	if r.expected() != 8 || r.lost() != 3 {
		t.Errorf("expected %d lost %d, want 8 and 3", r.expected(), r.lost())
	}
	if f := r.fraction(); f != 3*256/8 {
		t.Errorf("fraction %d", f)
	}
	r.place(2, 504)
	if f := r.fraction(); f != 0 {
		t.Errorf("fraction of what came since: %d", f)
	}
}

// Counted against the plainest possible count: a set of what was sent and of
// what arrived.
func TestReceptionAgreesWithASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r reception
		first := rapid.Uint16().Draw(t, "first")
		n := rapid.IntRange(1, 300).Draw(t, "n")
		came, twice := map[int]bool{0: true}, uint64(0)
		r.place(1, first)
		top := 0
		for i := 1; i < n; i++ {
			at := i
			switch rapid.IntRange(0, 9).Draw(t, "fate") {
			case 0:
				continue // lost
			case 1:
				at = max(i-rapid.IntRange(1, 20).Draw(t, "back"), 0) // again, or late
			}
			if came[at] {
				twice++
			}
			came[at], top = true, max(top, at)
			r.place(1, first+uint16(at))
		}
		if r.duplicate != twice || r.expected() != uint64(top+1) || r.lost() != uint64(top+1-len(came)) {
			t.Fatalf("twice %d expected %d lost %d; want %d %d %d", r.duplicate, r.expected(), r.lost(), twice, top+1, top+1-len(came))
		}
	})
}

func TestReceptionJitter(t *testing.T) {
	var r reception
	// RFC 3550 A.8 by hand: packets 20 ms apart arriving alternately 0 and 10 ms
	// behind their time differ by 80 units each, and the estimate approaches 80.
	want := 0.0
	for i := range 400 {
		arrival := uint32(i*160 + i%2*80)
		r.time(uint32(i*160), arrival)
		if i > 0 {
			want += (80 - want) / 16
		}
	}
	if got := float64(r.jitter) / 16; math.Abs(got-want) > 1.5 {
		t.Errorf("jitter %.1f units, want %.1f", got, want)
	}
	r.sample()
	if p := r.jitterP95(); p < 9*time.Millisecond || p > 11*time.Millisecond {
		t.Errorf("p95 %s, want 10 ms", p)
	}
}

func TestReceptionJitterP95(t *testing.T) {
	var r reception
	r.timed = true
	for i := range 100 {
		r.jitter = 16 * 16 // 2 ms
		if i >= 96 {
			r.jitter = 1600 * 16 // 200 ms
		}
		r.sample()
	}
	if p := r.jitterP95(); p != 2*time.Millisecond {
		t.Errorf("4 bad seconds of 100: %s, want 2 ms", p)
	}
	for range 5 {
		r.sample()
	}
	if p := r.jitterP95(); p < 190*time.Millisecond || p > 210*time.Millisecond {
		t.Errorf("9 bad seconds of 105: %s, want 200 ms", p)
	}
}

func TestReceptionLate(t *testing.T) {
	var r reception
	for i := range 100 {
		arrival := uint32(i * 160)
		switch i {
		case 50:
			arrival += 59 * 8
		case 60, 70:
			arrival += 62 * 8
		}
		r.time(uint32(i*160), arrival)
	}
	if r.late != 2 {
		t.Errorf("%d late, want 2", r.late)
	}
	// The sender's clock is 100 ppm slow for an hour: nobody is late.
	r = reception{}
	for i := range 180000 {
		r.time(uint32(i*160), uint32(float64(i)*160*1.0001))
	}
	if r.late != 0 {
		t.Errorf("%d late by drift", r.late)
	}
}

func TestMOSOfAReception(t *testing.T) {
	var r reception
	if r.mos(0, 20*time.Millisecond) != 0 {
		t.Error("an opinion of nothing")
	}
	for i := range 100 {
		r.place(1, uint16(i))
		r.time(uint32(i*160), uint32(i*160))
	}
	good := r.mos(20*time.Millisecond, 20*time.Millisecond) // 50 ms mouth to ear
	if math.Abs(good-4.38) > 0.01 {
		t.Errorf("clean line: %.2f", good)
	}
	r.late = 5 // as bad as lost
	if bad := r.mos(20*time.Millisecond, 20*time.Millisecond); math.Abs(bad-3.87) > 0.01 {
		t.Errorf("5 %% late: %.2f", bad)
	}
}
