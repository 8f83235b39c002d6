package sound

import (
	"flag"
	"math"
	"math/cmplx"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/zaf/g711"
)

var melodies = []struct {
	name         string
	samples      func() []float64
	loud, louder float64 // of the root mean square, dB below full scale
}{
	{"calm", calm, -18.5, -17.5},
	{"tick", tick, -45, -25},
}

func TestLength(t *testing.T) {
	for _, m := range melodies {
		n := len(m.samples())
		if s := n / rate; s < 20 || s > 40 {
			t.Errorf("%s is %d s long, not 20 to 40", m.name, s)
		}
		// Whole packets of 20 ms, so that the loop begins on one.
		if n%160 != 0 {
			t.Errorf("%s has %d samples, not a multiple of 160", m.name, n)
		}
	}
}

func TestLevel(t *testing.T) {
	for _, m := range melodies {
		samples := m.samples()
		if top := peakOf(samples); top > 0.9 {
			t.Errorf("%s has a peak of %.2f, too near to clipping", m.name, top)
		}
		if l := loudness(samples); l < m.loud || l > m.louder {
			t.Errorf("%s is at %.1f dBFS, want %.1f to %.1f", m.name, l, m.loud, m.louder)
		}
		if l := loudness(decode(encode(samples))); l < m.loud || l > m.louder {
			t.Errorf("%s in A-law is at %.1f dBFS, want %.1f to %.1f", m.name, l, m.loud, m.louder)
		}
	}
}

// The music that is kept is the music that is computed. After a change to the score:
// go test ./rtp/sound -run TestCalmIsWhatTheScoreSays -compose
func TestCalmIsWhatTheScoreSays(t *testing.T) {
	want := encode(calm())
	if *compose {
		if err := os.WriteFile("calm.al", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	// Where the processor multiplies and adds at once the last bit may differ.
	differ := 0
	for i := range min(len(want), len(computed)) {
		if want[i] != computed[i] {
			differ++
		}
	}
	if len(want) != len(computed) || differ > len(want)/1000 {
		t.Errorf("calm.al has %d bytes, the score %d; %d differ", len(computed), len(want), differ)
	}
}

var compose = flag.Bool("compose", false, "write calm.al anew")

// No stretch of calm may be so loud or so faint that a caller moves the handset.
func TestCalmIsEven(t *testing.T) {
	samples := calm()
	for at := 0; at+rate <= len(samples); at += rate {
		if l := loudness(samples[at : at+rate]); l < -24 || l > -13 {
			t.Errorf("second %d is at %.1f dBFS", at/rate, l)
		}
	}
}

// What a telephone line would cut is not there: below 300 Hz and above 3,400.
func TestBand(t *testing.T) {
	for _, m := range melodies {
		samples := m.samples()
		if r := outOfBand(samples); r > -50 {
			t.Errorf("%s has %.1f dB outside the band, relative to within", m.name, r)
		}
		// A-law adds noise of its own, about 38 dB down, at all frequencies.
		if r := outOfBand(decode(encode(samples))); r > -35 {
			t.Errorf("%s in A-law has %.1f dB outside the band, relative to within", m.name, r)
		}
	}
}

// Where the loop begins again the wave goes on: the step and the bend there are
// no larger than elsewhere.
func TestSeam(t *testing.T) {
	for _, m := range melodies {
		s := m.samples()
		n := len(s)
		at := func(i int) float64 { return s[(i+n)%n] }
		step := func(i int) float64 { return math.Abs(at(i) - at(i-1)) }
		bend := func(i int) float64 { return math.Abs(at(i+1) - 2*at(i) + at(i-1)) }
		mostStep, mostBend := 0.0, 0.0
		for i := 2; i < n-2; i++ {
			mostStep, mostBend = max(mostStep, step(i)), max(mostBend, bend(i))
		}
		for i := -1; i <= 1; i++ {
			if step(i) > mostStep || bend(i) > mostBend {
				t.Errorf("%s clicks where it loops: step %.4f of %.4f, bend %.4f of %.4f", m.name, step(i), mostStep, bend(i), mostBend)
			}
		}
		// A click would be heard outside the band in the moment around the seam.
		around := make([]float64, 2048)
		for i := range around {
			around[i] = at(i - len(around)/2)
		}
		if loudness(around) > -60 {
			if r := outOfBand(around); r > -45 {
				t.Errorf("%s has %.1f dB outside the band around the seam", m.name, r)
			}
		}
	}
}

// The tone begins and ends in silence, and is heard in between.
func TestBeep(t *testing.T) {
	samples := beep()
	n := len(samples)
	if n != rate*2/5 || n%160 != 0 {
		t.Errorf("%d samples", n)
	}
	for _, edge := range [][]float64{samples[:10], samples[n-10:]} {
		if p := peakOf(edge); p > 0.003 {
			t.Errorf("an edge is as loud as %.4f", p)
		}
	}
	if l := loudness(samples); l < -15 || l > -11 {
		t.Errorf("it is at %.1f dBFS", l)
	}
	// A click would be heard outside the band, there most of all.
	quiet := make([]float64, 2048)
	whole := slices.Concat(quiet, samples, quiet)
	if r := outOfBand(whole); r > -45 {
		t.Errorf("%.1f dB outside the band", r)
	}
	for _, edge := range []int{len(quiet), len(quiet) + n} {
		if r := outOfBand(whole[edge-1024 : edge+1024]); r > -45 {
			t.Errorf("%.1f dB outside the band around sample %d", r, edge-len(quiet))
		}
	}
	if d := Beep().Duration(); d != 400*time.Millisecond {
		t.Errorf("lasts %s", d)
	}
}

func TestSilenceIsSilent(t *testing.T) {
	for i, b := range encode(make([]float64, 160)) {
		if b != 0xd5 {
			t.Fatalf("sample %d of silence is %#x, not 0xd5", i, b)
		}
	}
}

func TestMusicByName(t *testing.T) {
	for _, name := range []string{"calm", "tick", "silence"} {
		s, err := Music(name)
		if err != nil || s.Name != name {
			t.Errorf("music %s: %v, %v", name, s, err)
		}
	}
	if _, err := Music("loud"); err == nil {
		t.Error("music that does not exist was found")
	}
}

func BenchmarkCalm(b *testing.B) {
	for b.Loop() {
		encode(calm())
	}
}

func decode(alaw []byte) []float64 {
	samples := make([]float64, len(alaw))
	for i, a := range alaw {
		samples[i] = float64(g711.DecodeAlawFrame(a)) / 32767
	}
	return samples
}

func peakOf(samples []float64) float64 {
	top := 0.0
	for _, x := range samples {
		top = max(top, math.Abs(x))
	}
	return top
}

func loudness(samples []float64) float64 {
	sum := 0.0
	for _, x := range samples {
		sum += x * x
	}
	return 10 * math.Log10(sum/float64(len(samples)))
}

// outOfBand is the energy below 300 Hz and above 3,400 relative to that between,
// in dB, by windowed Fourier transforms over the whole.
func outOfBand(samples []float64) float64 {
	const n = 2048
	inside, outside := 1e-20, 1e-20
	for from := 0; from+n <= len(samples); from += n / 2 {
		frame := make([]complex128, n)
		for i := range frame {
			// A Blackman window: its own leakage is 58 dB down at once and falls on.
			x := 2 * math.Pi * float64(i) / n
			frame[i] = complex(samples[from+i]*(0.42-0.5*math.Cos(x)+0.08*math.Cos(2*x)), 0)
		}
		fourier(frame)
		for k := 1; k < n/2; k++ {
			energy := real(frame[k])*real(frame[k]) + imag(frame[k])*imag(frame[k])
			// Three bins of the window's width are neither in nor out.
			switch hz := float64(k) * rate / n; {
			case hz >= 300 && hz <= 3400:
				inside += energy
			case hz < 300-12 || hz > 3400+12:
				outside += energy
			}
		}
	}
	return 10 * math.Log10(outside/inside)
}

// fourier transforms in place; the length is a power of two.
func fourier(a []complex128) {
	n := len(a)
	if n == 1 {
		return
	}
	even, odd := make([]complex128, n/2), make([]complex128, n/2)
	for i := range even {
		even[i], odd[i] = a[2*i], a[2*i+1]
	}
	fourier(even)
	fourier(odd)
	for k := range even {
		twist := cmplx.Rect(1, -2*math.Pi*float64(k)/float64(n)) * odd[k]
		a[k], a[k+n/2] = even[k]+twist, even[k]-twist
	}
}
