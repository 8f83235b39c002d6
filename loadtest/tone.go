package loadtest

import (
	"math"

	"github.com/zaf/g711"
)

// Tone makes one second of a sine as G.711, at about a tenth of full scale. A
// whole number of hertz loops without a click.
func Tone(hz int, codec Codec) []byte {
	const rate = 8000
	out := make([]byte, rate)
	for i := range out {
		sample := int16(3276 * math.Sin(2*math.Pi*float64(hz)*float64(i)/rate))
		if codec == PCMU {
			out[i] = g711.EncodeUlawFrame(sample)
		} else {
			out[i] = g711.EncodeAlawFrame(sample)
		}
	}
	return out
}
