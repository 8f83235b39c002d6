package sound

import (
	_ "embed"
	"fmt"

	"github.com/zaf/g711"

	"foyer/rtp"
)

// rate is samples per second of everything here.
const rate = 8000

// Music is the music on hold of that name: calm, tick or silence.
func Music(name string) (*rtp.Sound, error) {
	switch name {
	case "calm":
		return Calm(), nil
	case "tick":
		return Tick(), nil
	case "silence":
		return Silence(), nil
	}
	return nil, fmt.Errorf("music on hold %q is not one of calm, tick and silence", name)
}

// computed is what encode(calm()) gives. Computing it takes 30 ms, for which calls
// would wait whenever the switch is started again.
//
//go:embed calm.al
var computed []byte

// Calm is half a minute of slow chords with a quiet melody over them. It loops
// without a seam.
func Calm() *rtp.Sound { return rtp.NewSound("calm", computed) }

// Tick is a soft knock every two seconds: enough to know the line is alive. It
// loops without a seam.
func Tick() *rtp.Sound { return rtp.NewSound("tick", encode(tick())) }

// Silence is one second of it.
func Silence() *rtp.Sound { return rtp.NewSound("silence", encode(make([]float64, rate))) }

// Beep is the tone after which a caller may speak: two fifths of a second, none
// of the frequencies by which fax machines and dialling make themselves known.
func Beep() *rtp.Sound { return rtp.NewSound("beep", encode(beep())) }

// Ringback is the tone of a telephone that rings elsewhere, as France knows it: 440 Hz
// for one and a half seconds of five (ITU-T E.180).
func Ringback() *rtp.Sound { return rtp.NewSound("ringback", encode(ringback())) }

// encode turns samples from -1 to 1 into A-law (ITU-T G.711).
func encode(samples []float64) []byte {
	alaw := make([]byte, len(samples))
	for i, x := range samples {
		alaw[i] = g711.EncodeAlawFrame(int16(32767 * max(-1, min(1, x))))
	}
	return alaw
}
