package interop

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"testing"
)

const rate = 8000

// writeTone writes 60 s of a tone as an 8 kHz mono WAV file.
func writeTone(t *testing.T, file string, hz float64) {
	t.Helper()
	second := make([]int16, rate) // loops without a click at whole hertz
	for i := range second {
		second[i] = int16(8000 * math.Sin(2*math.Pi*hz*float64(i)/rate))
	}
	var data, b bytes.Buffer
	for range 60 {
		binary.Write(&data, binary.LittleEndian, second)
	}
	b.WriteString("RIFF")
	binary.Write(&b, binary.LittleEndian, uint32(36+data.Len()))
	b.WriteString("WAVEfmt ")
	for _, v := range []any{uint32(16), uint16(1), uint16(1), uint32(rate), uint32(2 * rate), uint16(2), uint16(16)} {
		binary.Write(&b, binary.LittleEndian, v)
	}
	b.WriteString("data")
	binary.Write(&b, binary.LittleEndian, uint32(data.Len()))
	b.Write(data.Bytes())
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// readPCM reads the samples of a 16-bit WAV file, even one whose header is not
// finished yet.
func readPCM(file string) []float64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	at := bytes.Index(b, []byte("data"))
	if at < 0 {
		return nil
	}
	var x []float64
	for i := at + 8; i+1 < len(b); i += 2 {
		x = append(x, float64(int16(binary.LittleEndian.Uint16(b[i:]))))
	}
	return x
}

// split separates the channels of stereo samples.
func split(x []float64) (left, right []float64) {
	for i := 0; i+1 < len(x); i += 2 {
		left, right = append(left, x[i]), append(right, x[i+1])
	}
	return left, right
}

// loudest is the largest share of energy at hz in any piece of x of so many
// samples.
func loudest(x []float64, hz float64, piece int) float64 {
	best := 0.0
	for from := 0; from+piece <= len(x); from += piece / 4 {
		best = max(best, share(x[from:from+piece], hz))
	}
	return best
}

// share is how much of the energy of x is at hz (Goertzel), from 0 to 1. Silence
// has none.
func share(x []float64, hz float64) float64 {
	w := 2 * math.Pi * hz / rate
	var s1, s2, energy float64
	for _, v := range x {
		s1, s2 = v+2*math.Cos(w)*s1-s2, s1
		energy += v * v
	}
	if energy == 0 {
		return 0
	}
	return 2 * (s1*s1 + s2*s2 - 2*math.Cos(w)*s1*s2) / (energy * float64(len(x)))
}

// energy is the mean square of samples.
func energy(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	return sum / float64(len(x))
}
