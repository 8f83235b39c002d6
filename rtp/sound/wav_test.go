package sound

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zaf/g711"
)

// wav is a file of one format chunk and one data chunk.
func wav(tag, hz, channels, bits int, data []byte) []byte {
	var b bytes.Buffer
	le := binary.LittleEndian
	b.WriteString("RIFF")
	b.Write(le.AppendUint32(nil, uint32(36+len(data))))
	b.WriteString("WAVEfmt ")
	b.Write(le.AppendUint32(nil, 16))
	b.Write(le.AppendUint16(nil, uint16(tag)))
	b.Write(le.AppendUint16(nil, uint16(channels)))
	b.Write(le.AppendUint32(nil, uint32(hz)))
	b.Write(le.AppendUint32(nil, uint32(hz*channels*bits/8)))
	b.Write(le.AppendUint16(nil, uint16(channels*bits/8)))
	b.Write(le.AppendUint16(nil, uint16(bits)))
	b.WriteString("data")
	b.Write(le.AppendUint32(nil, uint32(len(data))))
	b.Write(data)
	return b.Bytes()
}

func TestDecodeWAV(t *testing.T) {
	pcm := make([]byte, 0, 320)
	for i := range 160 {
		pcm = binary.LittleEndian.AppendUint16(pcm, uint16(int16(i*200-16000)))
	}
	alaw := g711.EncodeAlaw(pcm)
	whole := wav(wavePCM, rate, 1, 16, pcm)
	extensible := wav(waveExtensible, rate, 1, 16, pcm)
	// The extensible format chunk has 24 bytes more; its real tag stands at 24.
	extension := make([]byte, 24)
	extension[8] = wavePCM
	extensible = append(append(append([]byte(nil), extensible[:36]...), extension...), extensible[36:]...)
	extensible[16] = 40
	odd := append([]byte(nil), whole[:12]...)
	odd = append(odd, 'L', 'I', 'S', 'T', 3, 0, 0, 0, 'a', 'b', 'c', 0)
	odd = append(odd, whole[12:]...)

	for _, c := range []struct {
		name string
		file []byte
		want []byte
		says string
	}{
		{"PCM", whole, alaw, ""},
		{"A-law", wav(waveALaw, rate, 1, 8, alaw), alaw, ""},
		{"mu-law", wav(waveULaw, rate, 1, 8, g711.Alaw2Ulaw(alaw)), g711.Ulaw2Alaw(g711.Alaw2Ulaw(alaw)), ""},
		{"extensible", extensible, alaw, ""},
		{"a chunk of odd size before", odd, alaw, ""},
		{"cut short", whole[:len(whole)-20], alaw[:150], ""},
		{"not WAV", []byte("ID3 something"), nil, "is not a WAV file"},
		{"no sound", whole[:36], nil, "without sound"},
		{"empty", wav(wavePCM, rate, 1, 16, nil), nil, "is empty"},
		{"one byte", wav(wavePCM, rate, 1, 16, []byte{1}), nil, "is empty"},
		{"no format", append(append([]byte(nil), whole[:12]...), whole[36:]...), nil, "does not say its format"},
		{"44.1 kHz stereo", wav(wavePCM, 44100, 2, 16, pcm), nil, "44100 Hz and 2 channels; it must be 8000 Hz mono"},
		{"24 bits", wav(wavePCM, rate, 1, 24, pcm), nil, "0x1 of 24 bits"},
		{"MP3", wav(0x55, rate, 1, 0, pcm), nil, "0x55"},
	} {
		got, err := decodeWAV(c.file)
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: error %v, want one saying %q", c.name, err, c.says)
		case !bytes.Equal(got, c.want):
			t.Errorf("%s: %d samples, want %d", c.name, len(got), len(c.want))
		}
	}
}

func TestLoadWAV(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "hello.wav")
	if err := os.WriteFile(file, wav(wavePCM, rate, 1, 16, make([]byte, 1600)), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := LoadWAV(file)
	if err != nil || s.Name != "hello" {
		t.Fatalf("%v, %v", s, err)
	}
	if _, err := LoadWAV(filepath.Join(dir, "absent.wav")); err == nil {
		t.Error("a file that is not there was loaded")
	}
}

func FuzzDecodeWAV(f *testing.F) {
	f.Add(wav(wavePCM, rate, 1, 16, []byte{1, 2, 3, 4}))
	f.Add(wav(waveULaw, rate, 1, 8, []byte{1, 2, 3, 4}))
	f.Fuzz(func(t *testing.T, file []byte) {
		alaw, err := decodeWAV(file)
		if (err == nil) != (len(alaw) > 0) {
			t.Fatalf("%d samples with error %v", len(alaw), err)
		}
		if len(alaw) > len(file) {
			t.Fatalf("%d samples of %d bytes", len(alaw), len(file))
		}
	})
}
