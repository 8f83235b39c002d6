package sound

import "math"

// loop is a stretch of music that begins again where it ends. It is written on
// a circle: a note that sounds past the end goes on at the beginning, and every
// frequency fits a whole number of times, so there is no seam to hear.
type loop struct {
	samples []float64
}

func newLoop(seconds int) *loop { return &loop{make([]float64, seconds*rate)} }

// fit is the frequency nearest to hz that fits the loop a whole number of times.
func (l *loop) fit(hz float64) float64 {
	grain := rate / float64(len(l.samples))
	return math.Round(hz/grain) * grain
}

// Partials outside this band are left out: a telephone line would cut or alias them.
const lowest, highest = 300, 3400

// envelope is the loudness of a note over its time, both in seconds.
type envelope func(t float64) float64

// tone adds a sine with an envelope: at is when it begins, length how long it
// lasts, in seconds.
func (l *loop) tone(hz, level, at, length float64, shape envelope) {
	hz = l.fit(hz)
	if hz < lowest || hz > highest {
		return
	}
	// The envelope is drawn with straight lines of a millisecond.
	const block = rate / 1000
	from, to := 0.0, level*shape(0)
	// A sine of constant step is a rotation, cheaper than a call to Sin a sample.
	start := int(at * rate)
	sin, cos := math.Sincos(2 * math.Pi * hz * float64(start) / rate)
	stepSin, stepCos := math.Sincos(2 * math.Pi * hz / rate)
	for i := range int(length * rate) {
		if i%block == 0 {
			from, to = to, level*shape(min(length, float64(i+block)/rate))
		}
		loud := from + (to-from)*float64(i%block)/block
		l.samples[(start+i)%len(l.samples)] += loud * sin
		sin, cos = sin*stepCos+cos*stepSin, cos*stepCos-sin*stepSin
	}
}

// swell rises for rise seconds, stays, and falls as slowly at the end of length.
func swell(rise, length float64) envelope {
	return func(t float64) float64 { return ramp(min(t, length-t) / rise) }
}

// pluck rises within attack seconds and dies away with that half-life.
func pluck(attack, halfLife float64) envelope {
	return func(t float64) float64 { return ramp(t/attack) * math.Exp2(-t/halfLife) }
}

// ramp goes from 0 to 1 as x does, without a corner at either end.
func ramp(x float64) float64 {
	if x >= 1 {
		return 1
	}
	return x * x * x * (10 + x*(6*x-15))
}

// level scales the loop to a loudness (root mean square) in dB below full scale.
func (l *loop) level(dbfs float64) []float64 {
	sum := 0.0
	for _, x := range l.samples {
		sum += x * x
	}
	l.scale(math.Pow(10, dbfs/20) / math.Sqrt(sum/float64(len(l.samples))))
	return l.samples
}

// peak scales the loop to a highest sample in dB below full scale.
func (l *loop) peak(dbfs float64) []float64 {
	top := 0.0
	for _, x := range l.samples {
		top = max(top, math.Abs(x))
	}
	l.scale(math.Pow(10, dbfs/20) / top)
	return l.samples
}

func (l *loop) scale(by float64) {
	for i := range l.samples {
		l.samples[i] *= by
	}
}

// note is the frequency of a MIDI note number: 69 is the A of 440 Hz.
func note(n int) float64 { return 440 * math.Exp2(float64(n-69)/12) }
