package rtp

import (
	"math"

	"github.com/zaf/g711"
)

// Some carriers send key presses as the two tones that a telephone makes, in the
// audio itself. This file finds them, and nothing else: a voice must not press
// keys (talk-off).
//
// The audio is cut into pieces of 5 ms, and each piece is held against the eight
// frequencies. Three pieces in a row make a window of 15 ms, a new one every 5 ms,
// whose eight amplitudes are the sums of those of its pieces, each turned by the
// phase that the frequency gains in a piece. A window shows a key when
//
//   - one tone of each group is there, far above the others of its group,
//   - the two are loud enough and about as loud as each other (twist),
//   - all three pieces are about as loud: it neither begins nor ends here,
//   - next to nothing else sounds.
//
// A key is pressed when enough windows in a row show it and both tones have kept
// their frequency meanwhile, which is what a voice does not do: the phase a tone
// gains from window to window tells its frequency to a hertz or two.
//
// The limits are those of ITU-T Q.23 and Q.24 (frequency, twist, durations) and of
// Bellcore's test for talk-off.
const (
	pieceSize   = clockRate * 5 / 1000
	windowSize  = pieceSize * windowParts
	windowParts = 3

	// windowsDown are needed for a key, 30 ms of tones: 40 ms always are one,
	// 23 ms never (Q.24). windowsUp without it end a key: a pause of 40 ms always
	// does, an interruption of 10 ms never.
	windowsDown = 4
	windowsUp   = 6

	// quietest is the least amplitude of a tone, -36 dBm0, in the 16 bit samples
	// that G.711 decodes to, where 0 dBm0 has 22,400.
	quietest = 355

	twistHigh = 8.5  // the high tone above the low one, as a ratio of powers: 9.3 dB
	twistLow  = 2.8  // the low tone above the high one: 4.5 dB
	above     = 3.5  // a tone above the others of its group: 5.4 dB
	purity    = 0.85 // share of the window's energy that is the two tones'
	roughly   = 0.68 // the same while it is not known by how much they are off
	unsteady  = 2.2  // the loudest piece of a window against its softest

	// A tone may be 1.5 % off (Q.23: 1.8) and must not be 3.5 % off.
	detuned = 0.025

	// bridgedLoss is the longest loss of packets that is taken to be no pause.
	bridgedLoss = 60 * clockRate / 1000
)

// toneKeys is the key of each pair of a low and a high tone.
const toneKeys = "123A456B789C*0#D"

// spectrum is what one window of audio shows of the eight frequencies: the four low
// ones, then the four high.
type spectrum [8]complex128

// dial is the arithmetic of the eight frequencies, computed once.
type dial struct {
	omega [8]float64    // radians a sample
	step  [8]float64    // 2 cos omega
	back  [8]complex128 // exp(-i omega)
	turn  [8]complex128 // exp(i omega pieceSize): what a tone gains in a piece
	pcma  [256]float32
	pcmu  [256]float32
}

var dialled = newDial()

func newDial() *dial {
	d := &dial{}
	for i, hz := range [8]float64{697, 770, 852, 941, 1209, 1336, 1477, 1633} {
		w := 2 * math.Pi * hz / clockRate
		d.omega[i], d.step[i] = w, 2*math.Cos(w)
		d.back[i] = complex(math.Cos(w), -math.Sin(w))
		d.turn[i] = complex(math.Cos(w*pieceSize), math.Sin(w*pieceSize))
	}
	for i := range 256 {
		d.pcma[i] = float32(g711.DecodeAlawFrame(uint8(i)))
		d.pcmu[i] = float32(g711.DecodeUlawFrame(uint8(i)))
	}
	return d
}

// ear finds keys in the audio of one peer. Pure; it allocates nothing. Its cost is
// in BenchmarkInband.
type ear struct {
	next   uint32 // timestamp that goes on without a gap
	seq    uint16
	heard  bool
	piece  [pieceSize]float32
	filled int

	parts  [windowParts]spectrum // of the last pieces, oldest first
	energy [windowParts]float64

	before  spectrum   // the last window
	key     int        // that it showed, in toneKeys; -1: none
	hits    int        // windows in a row that showed it
	drift   [2]float64 // phase that its two tones gained beyond their due in these
	down    int        // the key that is pressed, -1: none
	length  int        // samples since it was
	missing int        // windows in a row without it
}

func newEar() *ear { return &ear{key: -1, down: -1} }

// listen takes the audio of a packet and gives the key that was let go in it.
// Two keys cannot end in one packet of up to 60 ms, for a key and its pause are
// longer.
func (e *ear) listen(p *packet, place placing) (d Digit, ok bool) {
	if place == reorder {
		return d, false // its place in the audio has gone by
	}
	payload := p.buf[p.payload:]
	if !e.heard || place == restarts {
		*e = *newEar()
		e.heard = true
	} else if gap := int32(p.ts - e.next); gap > 0 {
		// Lost packets are bridged; what the peer left out was silent.
		if p.seq == e.seq+1 || gap > bridgedLoss {
			d, ok = e.hush(int(gap))
		}
	}
	e.next, e.seq = p.ts+uint32(len(payload)), p.seq
	law := &dialled.pcma
	if p.codec == PCMU {
		law = &dialled.pcmu
	}
	for _, b := range payload {
		e.piece[e.filled] = law[b]
		if e.filled++; e.filled == pieceSize {
			e.filled = 0
			if digit, told := e.step(); told {
				d, ok = digit, true
			}
		}
	}
	return d, ok
}

// expire ends a key after which nothing came any more.
func (e *ear) expire() (Digit, bool) {
	if e.down < 0 {
		return Digit{}, false
	}
	return e.hush(int(keyTimeout * clockRate / 1e9))
}

// hush is n samples of silence, as far as they matter.
func (e *ear) hush(n int) (d Digit, ok bool) {
	e.filled, e.piece = 0, [pieceSize]float32{}
	for range min(n/pieceSize, windowsUp+windowParts) {
		if digit, told := e.step(); told {
			d, ok = digit, true
		}
	}
	return d, ok
}

// step takes the piece that is full.
func (e *ear) step() (Digit, bool) {
	copy(e.parts[:], e.parts[1:])
	copy(e.energy[:], e.energy[1:])
	e.energy[windowParts-1] = e.measure(&e.parts[windowParts-1])
	key, pure, window := e.window()
	var gained [2]float64
	if key >= 0 && key == e.key {
		gained, pure = e.gain(key, &window, pure)
	} else {
		e.hits, e.drift = 0, [2]float64{}
	}
	switch {
	case key < 0, e.hits == 0 && pure[0]+pure[1] < roughly, e.hits > 0 && pure[0]+pure[1] < purity:
		key, e.hits = -1, 0
	default:
		e.hits++
		e.drift[0] += gained[0]
		e.drift[1] += gained[1]
	}
	e.key, e.before = key, window
	return e.press()
}

// press moves the key that is down by what the last window showed.
func (e *ear) press() (Digit, bool) {
	e.length += pieceSize
	sure := e.hits >= windowsDown && e.tuned()
	switch {
	case e.down >= 0 && e.key == e.down:
		e.missing = 0
	case e.down >= 0:
		if e.missing++; e.missing < windowsUp && !sure {
			return Digit{}, false
		}
		// What was seen of the key after it was let go, and before it was sure.
		d := Digit{Digit: toneKeys[e.down], Length: samples(uint32(max(e.length-e.missing*pieceSize, 0)))}
		e.down = -1
		if sure {
			e.begin()
		}
		return d, true
	case sure:
		e.begin()
	}
	return Digit{}, false
}

func (e *ear) begin() {
	e.down, e.missing = e.key, 0
	e.length = (e.hits + windowParts - 1) * pieceSize
}

// measure finds the eight tones in the piece (Goertzel) and its energy. A piece too
// soft to be part of a key costs only the latter.
func (e *ear) measure(into *spectrum) float64 {
	var energy float32
	for _, x := range e.piece {
		energy += x * x
	}
	*into = spectrum{}
	if energy < quietest*quietest*pieceSize/2 {
		return float64(energy)
	}
	e.group(into, 0)
	e.group(into, 4)
	return float64(energy)
}

// group is the four filters of one group, side by side: the processor works on
// all of them at once, which it could not on one after the other.
func (e *ear) group(into *spectrum, first int) {
	step := (*[4]float64)(dialled.step[first:])
	var a1, a2, b1, b2, c1, c2, d1, d2 float64
	for _, sample := range e.piece {
		x := float64(sample)
		a1, a2 = x+step[0]*a1-a2, a1
		b1, b2 = x+step[1]*b1-b2, b1
		c1, c2 = x+step[2]*c1-c2, c1
		d1, d2 = x+step[3]*d1-d2, d1
	}
	for i, s := range [4][2]float64{{a1, a2}, {b1, b2}, {c1, c2}, {d1, d2}} {
		into[first+i] = complex(s[0], 0) - dialled.back[first+i]*complex(s[1], 0)
	}
}

// window puts the last pieces together and says which key they may show, -1 for
// none, and which share of their energy each of its tones has.
func (e *ear) window() (key int, pure [2]float64, all spectrum) {
	loud, soft, energy := e.energy[0], e.energy[0], 0.0
	for _, x := range e.energy {
		loud, soft, energy = max(loud, x), min(soft, x), energy+x
	}
	if soft < quietest*quietest*pieceSize/2 || loud > unsteady*soft {
		return -1, pure, all
	}
	for i := range all {
		// Phases are counted to the last piece.
		all[i] = (e.parts[0][i]*dialled.turn[i]+e.parts[1][i])*dialled.turn[i] + e.parts[2][i]
	}
	low, lowPower := loudest(all[:4])
	high, highPower := loudest(all[4:])
	const least = quietest * quietest * windowSize * windowSize / 4
	switch {
	case low < 0, high < 0, lowPower < least, highPower < least,
		highPower > twistHigh*lowPower, lowPower > twistLow*highPower:
		return -1, pure, all
	}
	return 4*low + high, [2]float64{2 * lowPower / (energy * windowSize), 2 * highPower / (energy * windowSize)}, all
}

// loudest is the tone of a group that is far louder than the others, -1 if none is.
func loudest(group []complex128) (int, float64) {
	best, first, second := -1, 0.0, 0.0
	for i, x := range group {
		switch p := real(x)*real(x) + imag(x)*imag(x); {
		case p > first:
			best, first, second = i, p, first
		case p > second:
			second = p
		}
	}
	if first < above*second {
		return -1, 0
	}
	return best, first
}

// gain is by how much the two tones of a key are off: the phase they have gained
// since the window before beyond what their frequency gains in a piece. A tone that
// is off looks weaker to the window than it is, which is put right in its share.
func (e *ear) gain(key int, window *spectrum, pure [2]float64) (gained, whole [2]float64) {
	for n, i := range [2]int{key / 4, 4 + key%4} {
		was, is := e.before[i]*dialled.turn[i], window[i]
		gained[n] = math.Atan2(imag(is)*real(was)-real(is)*imag(was), real(is)*real(was)+imag(is)*imag(was))
		whole[n] = pure[n]
		if x := gained[n] * windowParts / 2; math.Abs(x) > 0.01 && math.Abs(x) < 1.5 {
			seen := math.Sin(x) / x
			whole[n] /= seen * seen
		}
	}
	return gained, whole
}

// tuned says that both tones have been on their frequency while they were heard.
func (e *ear) tuned() bool {
	for n, i := range [2]int{e.key / 4, 4 + e.key%4} {
		if math.Abs(e.drift[n]) > detuned*dialled.omega[i]*pieceSize*float64(e.hits-1) {
			return false
		}
	}
	return true
}
