package sound

// calm is eight chords of four seconds, each fading into the next, and a
// broken chord above them, played softly. The voices lie between 330 and 1400 Hz,
// where a telephone is kindest.
func calm() []float64 {
	const bar = 4.0
	// MIDI note numbers; 64 is the E of 330 Hz.
	chords := [...][4]int{
		{64, 67, 72, 76}, // C
		{64, 69, 72, 76}, // A minor
		{65, 69, 72, 77}, // F
		{67, 71, 74, 79}, // G
		{64, 67, 71, 76}, // E minor
		{64, 69, 72, 76}, // A minor
		{65, 69, 74, 77}, // D minor
		{65, 67, 71, 74}, // G seventh
	}
	// The order in which the notes of a chord are plucked, half a second each;
	// a dash is a rest.
	const pattern = "0121-321"

	l := newLoop(len(chords) * int(bar))
	for i, chord := range chords {
		at := float64(i) * bar
		for _, n := range chord {
			pad(l, note(n), at, bar+2)
		}
		for j, c := range pattern {
			if c == '-' {
				continue
			}
			bell(l, note(chord[c-'0']+12), at+float64(j)*bar/float64(len(pattern)))
		}
	}
	return l.level(-18)
}

// pad is a long soft note: a voice, and a fainter one a third of a hertz above it
// that makes it breathe.
func pad(l *loop, hz, from, length float64) {
	l.tone(hz, 0.14, from, length, swell(2, length))
	l.tone(hz+0.33, 0.05, from, length, swell(2, length))
	l.tone(2*hz, 0.025, from, length, swell(2, length))
	l.tone(3*hz, 0.008, from, length, swell(2, length))
}

// bell is a short clear note; its overtone dies away first.
func bell(l *loop, hz, from float64) {
	l.tone(hz, 0.11, from, 2.5, pluck(0.02, 0.25))
	l.tone(2*hz, 0.025, from, 1.2, pluck(0.02, 0.12))
}

// tick is a knock every two seconds, every fourth a little lower.
func tick() []float64 {
	l := newLoop(24)
	for i := range 12 {
		hz := 1000.0
		if i%4 == 0 {
			hz = 800
		}
		l.tone(hz, 1, float64(2*i), 0.5, pluck(0.006, 0.02))
		l.tone(1.5*hz, 0.4, float64(2*i), 0.5, pluck(0.006, 0.012))
	}
	return l.peak(-12)
}

// beep is one plain tone that comes and goes softly enough not to click.
func beep() []float64 {
	const length = 0.4
	l := newLoop(1)
	l.tone(1010, 1, 0, length, swell(0.02, length))
	return l.peak(-9)[:int(length*rate)]
}

func ringback() []float64 {
	const rings = 1.5
	l := newLoop(5)
	l.tone(440, 1, 0, rings, swell(0.01, rings))
	return l.peak(-12)
}
