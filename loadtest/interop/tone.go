package interop

import (
	"bytes"
	"encoding/binary"
	"math"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

const rate = 8000

// tonePCM is one second of a tone that loops without a click at whole hertz.
func tonePCM(hz float64) []int16 {
	pcm := make([]int16, rate)
	for i := range pcm {
		pcm[i] = int16(8000 * math.Sin(2*math.Pi*hz*float64(i)/rate))
	}
	return pcm
}

// writeTone writes 60 s of a tone as an 8 kHz mono WAV file.
func writeTone(t *testing.T, file string, hz float64) {
	t.Helper()
	var data bytes.Buffer
	for range 60 {
		binary.Write(&data, binary.LittleEndian, tonePCM(hz))
	}
	var b bytes.Buffer
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

// readPCM reads the samples of a 16-bit WAV file, even one whose header was not
// finished.
func readPCM(t *testing.T, file string) []float64 {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil || len(b) < 44 {
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

// loudest is the largest share of energy at hz (Goertzel, 0 to 1) in any second of x.
func loudest(x []float64, hz float64) float64 {
	best := 0.0
	for from := 0; from+rate <= len(x); from += rate / 4 {
		best = max(best, share(x[from:from+rate], hz))
	}
	return best
}

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

func freePort(t *testing.T) int {
	t.Helper()
	// The phones want the port above theirs too (TLS), so both must be free.
	for range 50 {
		l, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.LocalAddr().(*net.UDPAddr).Port
		l.Close()
		if above, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1))); err == nil {
			above.Close()
			return port
		}
	}
	t.Fatal("no two neighbouring ports are free")
	return 0
}

var nextRange atomic.Int32

// freeRange is the first of a hundred ports no other phone of this run uses.
func freeRange() int { return 46000 + int(nextRange.Add(100)) }
