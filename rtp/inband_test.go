package rtp

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zaf/g711"
)

// keyed is two tones as a telephone makes them, to be disturbed by a test.
type keyed struct {
	low, high     float64       // Hz
	loud          float64       // dBm0 of the louder tone
	twist         float64       // dB by which the high tone is above the low one
	length, pause time.Duration // of tones and of the silence after them
	noise         float64       // dB below the two tones together; 0: none
	from          int           // sample it begins at, in its packet
}

func pairOf(digit byte) (low, high float64) {
	i := strings.IndexByte(toneKeys, digit)
	return [4]float64{697, 770, 852, 941}[i/4], [4]float64{1209, 1336, 1477, 1633}[i%4]
}

// dbm0 is the amplitude of a tone in 16 bit samples: one that reaches the end of the
// scale of A-law has 3.14 dBm0 (ITU-T G.711).
func dbm0(level float64) float64 { return 32124 * math.Pow(10, (level-3.14)/20) }

func (k keyed) samples(r *rand.Rand) []float64 {
	low, high := dbm0(k.loud-max(k.twist, 0)), dbm0(k.loud+min(k.twist, 0))
	tone, still := int(k.length*clockRate/time.Second), int(k.pause*clockRate/time.Second)
	x := make([]float64, k.from+tone+still)
	one, other := r.Float64()*2*math.Pi, r.Float64()*2*math.Pi
	for i := range tone {
		t := 2 * math.Pi * float64(i) / clockRate
		x[k.from+i] = low*math.Sin(k.low*t+one) + high*math.Sin(k.high*t+other)
	}
	if k.noise > 0 {
		rms := math.Sqrt((low*low+high*high)/2) * math.Pow(10, -k.noise/20)
		for i := range x {
			x[i] += r.NormFloat64() * rms
		}
	}
	return x
}

// encoded is audio in a law.
func encoded(x []float64, c Codec) []byte {
	b := make([]byte, len(x))
	for i, v := range x {
		s := int16(min(max(v, -32768), 32767))
		if c == PCMU {
			b[i] = g711.EncodeUlawFrame(s)
		} else {
			b[i] = g711.EncodeAlawFrame(s)
		}
	}
	return b
}

// listened is what an ear makes of audio that comes in packets of n bytes.
func listened(e *ear, audio []byte, c Codec, n int) (got []Digit) {
	p := packet{codec: c, seq: e.seq, ts: e.next}
	for len(audio) > 0 {
		p.buf = audio[:min(n, len(audio))]
		p.seq++
		if d, ok := e.listen(&p, inOrder); ok {
			got = append(got, d)
		}
		p.ts += uint32(len(p.buf))
		audio = audio[len(p.buf):]
	}
	return got
}

// hits is how many of n presses, each with another phase and place, are heard once
// and right.
func hits(k keyed, digit byte, n int) int {
	r, right := rand.New(rand.NewPCG(1, uint64(digit))), 0
	for range n {
		k.from = r.IntN(160)
		c := [2]Codec{PCMA, PCMU}[r.IntN(2)]
		e := newEar()
		e.heard = true
		if got := listened(e, encoded(k.samples(r), c), c, 160); len(got) == 1 && got[0].Digit == digit {
			right++
		}
	}
	return right
}

func TestInbandHearsWhatItMust(t *testing.T) {
	ms := time.Millisecond
	usual := keyed{loud: -7, length: 100 * ms, pause: 100 * ms}
	for _, c := range []struct {
		name   string
		change func(*keyed)
		least  int // of 100
	}{
		{"as a telephone sends it", func(k *keyed) {}, 100},
		{"40 ms, the shortest there is", func(k *keyed) { k.length, k.pause = 40*ms, 40*ms }, 100},
		{"a second", func(k *keyed) { k.length = time.Second }, 100},
		{"0 dBm0 each", func(k *keyed) { k.loud = 0 }, 100},
		{"-25 dBm0, as soft as Q.24 asks", func(k *keyed) { k.loud = -25 }, 100},
		{"-34 dBm0", func(k *keyed) { k.loud = -34 }, 100},
		{"high tone 4 dB above", func(k *keyed) { k.twist = 4 }, 100},
		{"high tone 8 dB above", func(k *keyed) { k.twist = 8 }, 100},
		{"high tone 4 dB below", func(k *keyed) { k.twist = -4 }, 100},
		{"1.5 % above their frequency", func(k *keyed) { k.low *= 1.015; k.high *= 1.015 }, 100},
		{"1.5 % below it", func(k *keyed) { k.low *= 0.985; k.high *= 0.985 }, 100},
		{"1.5 % apart", func(k *keyed) { k.low *= 0.985; k.high *= 1.015 }, 100},
		{"1.5 % off, 45 ms, twisted", func(k *keyed) { k.low *= 0.985; k.high *= 1.015; k.length = 45 * ms; k.twist = 4 }, 100},
		{"noise 23 dB below", func(k *keyed) { k.noise = 23 }, 100},
		{"noise 15 dB below", func(k *keyed) { k.noise = 15 }, 98},
		{"noise 12 dB below", func(k *keyed) { k.noise = 12 }, 90},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, digit := range []byte(toneKeys) {
				k := usual
				k.low, k.high = pairOf(digit)
				c.change(&k)
				if n := hits(k, digit, 100); n < c.least {
					t.Errorf("%c heard %d times of 100, want %d", digit, n, c.least)
				}
			}
		})
	}
}

func TestInbandRefusesWhatItMust(t *testing.T) {
	ms := time.Millisecond
	usual := keyed{loud: -7, length: 100 * ms, pause: 100 * ms}
	for _, c := range []struct {
		name   string
		change func(*keyed)
	}{
		{"23 ms", func(k *keyed) { k.length = 23 * ms }},
		{"10 ms", func(k *keyed) { k.length = 10 * ms }},
		{"low tone 3.5 % above its frequency", func(k *keyed) { k.low *= 1.035 }},
		{"low tone 3.5 % below it", func(k *keyed) { k.low *= 0.965 }},
		{"high tone 3.5 % above its frequency", func(k *keyed) { k.high *= 1.035 }},
		{"high tone 3.5 % below it", func(k *keyed) { k.high *= 0.965 }},
		{"high tone 12 dB above", func(k *keyed) { k.twist = 12 }},
		{"high tone 8 dB below", func(k *keyed) { k.twist = -8 }},
		{"-45 dBm0", func(k *keyed) { k.loud = -45 }},
		{"one tone", func(k *keyed) { k.high = k.low }},
		{"under noise as loud", func(k *keyed) { k.noise = 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, digit := range []byte(toneKeys) {
				k := usual
				k.low, k.high = pairOf(digit)
				c.change(&k)
				r := rand.New(rand.NewPCG(2, uint64(digit)))
				for range 50 {
					k.from = r.IntN(160)
					e := newEar()
					e.heard = true
					if got := listened(e, encoded(k.samples(r), PCMA), PCMA, 160); len(got) > 0 {
						t.Fatalf("%c heard as %v", digit, got)
					}
				}
			}
		})
	}
}

// Whole numbers, as fast as they may be dialled, in every length of packet.
func TestInbandHearsNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, packet := range []int{80, 160, 240, 320, 480} {
		for _, pace := range []time.Duration{40, 50, 70, 120} {
			var x []float64
			want := make([]byte, 200)
			for i := range want {
				want[i] = toneKeys[r.IntN(16)]
				k := keyed{loud: -10, length: pace * time.Millisecond, pause: pace * time.Millisecond}
				k.low, k.high = pairOf(want[i])
				x = append(x, k.samples(r)...)
			}
			e := newEar()
			e.heard = true
			got := ""
			for _, d := range listened(e, encoded(x, PCMA), PCMA, packet) {
				got += string(d.Digit)
				if off := d.Length - pace*time.Millisecond; off.Abs() > 15*time.Millisecond {
					t.Errorf("packets of %d: a key of %d ms is told as %s", packet, pace, d.Length)
				}
			}
			if got != string(want) {
				t.Errorf("packets of %d, %d ms:\n got %s\nwant %s", packet, pace, got, want)
			}
		}
	}
}

// What is done to a key on its way must make neither none nor two of it.
func TestInbandKeepsAKeyWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	k := keyed{low: 770, high: 1336, loud: -10, length: 120 * time.Millisecond, pause: 200 * time.Millisecond}
	audio := encoded(k.samples(r), PCMA) // packets 0 to 5 have the key
	send := func(e *ear, order ...int) (got string) {
		for _, i := range order {
			p := packet{codec: PCMA, seq: uint16(100 + i), ts: uint32(5000 + 160*i), buf: audio[160*i:][:160]}
			if d, ok := e.listen(&p, inOrder); ok {
				got += string(d.Digit)
			}
		}
		return got
	}
	for _, c := range []struct {
		name  string
		order []int
		want  string
	}{
		{"nothing", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, "5"},
		{"a packet lost in its middle", []int{0, 1, 2, 4, 5, 6, 7, 8, 9}, "5"},
		{"two packets lost in its middle", []int{0, 1, 4, 5, 6, 7, 8, 9}, "5"},
		{"its end lost", []int{0, 1, 2, 3, 8, 9, 10, 11}, "5"},
		{"its beginning lost", []int{2, 3, 4, 5, 6, 7, 8, 9}, "5"},
	} {
		if got := send(newEar(), c.order...); got != c.want {
			t.Errorf("%s: heard %q, want %q", c.name, got, c.want)
		}
	}

	// A peer that sends nothing between two keys has paused all the same.
	e, got := newEar(), ""
	for n := range 3 {
		for i := range 6 {
			p := packet{codec: PCMA, seq: uint16(6*n + i), ts: uint32(4000*n + 160*i), buf: audio[160*i:][:160]}
			if d, ok := e.listen(&p, inOrder); ok {
				got += string(d.Digit)
			}
		}
	}
	if d, ok := e.hush(800); ok {
		got += string(d.Digit)
	}
	if got != "555" {
		t.Errorf("three keys of a peer that is silent between them: heard %q", got)
	}

	// An interruption of 10 ms is none.
	x := k.samples(r)
	for i := 400; i < 480; i++ {
		x[i] = 0
	}
	if got := listened(newEar(), encoded(x, PCMA), PCMA, 160); len(got) != 1 {
		t.Errorf("a key with 10 ms of silence in it is heard as %v", got)
	}
}

// Talk-off: a voice presses no key. Every prompt there is, in both languages, at
// three loudnesses; an hour of noise of two colours; and a chorus of random tones.
func TestInbandHearsNoKeysInVoices(t *testing.T) {
	files, err := filepath.Glob("sound/prompts/*/*.al")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d prompts, %v", len(files), err)
	}
	var spoken time.Duration
	for _, file := range files {
		alaw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, gain := range []float64{0.25, 1, 2.5} {
			x := make([]float64, len(alaw))
			for i, b := range alaw {
				x[i] = gain * float64(g711.DecodeAlawFrame(b))
			}
			spoken += samples(uint32(len(x)))
			if got := listened(newEar(), encoded(x, PCMA), PCMA, 160); len(got) > 0 {
				t.Errorf("%s, %.2f times as loud, presses %v", file, gain, got)
			}
		}
	}
	t.Logf("%s of speech without a key", spoken.Round(time.Second))
}

func TestInbandHearsNoKeysInNoise(t *testing.T) {
	minutes := 10
	if testing.Short() {
		minutes = 2
	}
	r := rand.New(rand.NewPCG(5, 5))
	for name, next := range map[string]func() float64{
		"white": func() float64 { return 3000 * r.NormFloat64() },
		"pink":  pink(r),
		"tones": chorus(r),
	} {
		e := newEar()
		for range minutes {
			x := make([]float64, 60*clockRate)
			for i := range x {
				x[i] = next()
			}
			if got := listened(e, encoded(x, PCMA), PCMA, 160); len(got) > 0 {
				t.Errorf("%s presses %v", name, got)
			}
		}
	}
}

// pink is noise that is louder the lower it is, as rooms are.
func pink(r *rand.Rand) func() float64 {
	var y float64
	return func() float64 {
		y = 0.95*y + 900*r.NormFloat64()
		return y
	}
}

// chorus is three notes at a time, new ones four times a second, anywhere in the
// band but not within 3 % of a key's tones.
func chorus(r *rand.Rand) func() float64 {
	var hz [3]float64
	n := 0
	return func() float64 {
		if n%2000 == 0 {
			for i := range hz {
				hz[i] = note(r)
			}
		}
		n++
		t, x := float64(n)/clockRate, 0.0
		for _, f := range hz {
			x += 4000 * math.Sin(2*math.Pi*f*t)
		}
		return x
	}
}

func note(r *rand.Rand) float64 {
	for {
		hz := 200 + r.Float64()*2800
		near := false
		for _, digit := range []byte("159D") {
			low, high := pairOf(digit)
			near = near || math.Abs(hz/low-1) < 0.03 || math.Abs(hz/high-1) < 0.03
		}
		if !near {
			return hz
		}
	}
}

func TestInbandAllocatesNothing(t *testing.T) {
	e, audio := newEar(), encoded(keyed{low: 697, high: 1209, loud: -7, length: time.Second}.samples(rand.New(rand.NewPCG(6, 6))), PCMA)
	p := packet{codec: PCMA, buf: audio[:160]}
	if n := testing.AllocsPerRun(100, func() {
		p.seq++
		e.listen(&p, inOrder)
		p.ts += 160
	}); n != 0 {
		t.Errorf("%.0f allocations a packet", n)
	}
}

func BenchmarkInband(b *testing.B) {
	r := rand.New(rand.NewPCG(7, 7))
	tone := keyed{low: 697, high: 1209, loud: -7, length: 40 * time.Millisecond}
	speech, err := os.ReadFile("sound/prompts/fr/welcome.al")
	if err != nil {
		b.Fatal(err)
	}
	for name, audio := range map[string][]byte{
		"key": encoded(tone.samples(r), PCMA), "speech": speech, "silence": encoded(make([]float64, 320), PCMA),
	} {
		b.Run(fmt.Sprintf("%s of 20 ms", name), func(b *testing.B) {
			e, at := newEar(), 0
			p := packet{codec: PCMA}
			b.ReportAllocs()
			for range b.N {
				if at += 160; at+160 > len(audio) {
					at = 0
				}
				p.buf = audio[at:][:160]
				p.seq++
				e.listen(&p, inOrder)
				p.ts += 160
			}
		})
	}
}
