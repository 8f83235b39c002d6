package sound

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zaf/g711"
)

// maxWAV bounds a file, in bytes: 20 minutes of 16-bit samples.
const maxWAV = 20 * 60 * rate * 2

// Format tags of RIFF WAVE files (RFC 2361).
const (
	wavePCM        = 0x0001
	waveALaw       = 0x0006
	waveULaw       = 0x0007
	waveExtensible = 0xfffe
)

// decodeWAV is the A-law samples of a RIFF WAVE file of 8 kHz mono.
func decodeWAV(file []byte) ([]byte, error) {
	if len(file) < 12 || string(file[:4]) != "RIFF" || string(file[8:12]) != "WAVE" {
		return nil, errors.New("is not a WAV file")
	}
	var format []byte
	for rest := file[12:]; len(rest) >= 8; {
		name := string(rest[:4])
		size := uint64(binary.LittleEndian.Uint32(rest[4:8]))
		rest = rest[8:]
		// A recorder that was cut short leaves a size that runs past the end.
		body := rest[:min(size, uint64(len(rest)))]
		switch name {
		case "fmt ":
			format = body
		case "data":
			return decodeSamples(format, body)
		}
		// Chunks are padded to an even size.
		rest = rest[min(size+size%2, uint64(len(rest))):]
	}
	return nil, errors.New("is a WAV file without sound in it")
}

func decodeSamples(format, data []byte) ([]byte, error) {
	if len(format) < 16 {
		return nil, errors.New("is a WAV file that does not say its format")
	}
	tag := binary.LittleEndian.Uint16(format)
	channels := binary.LittleEndian.Uint16(format[2:])
	hz := binary.LittleEndian.Uint32(format[4:])
	bits := binary.LittleEndian.Uint16(format[14:])
	if tag == waveExtensible && len(format) >= 26 {
		tag = binary.LittleEndian.Uint16(format[24:]) // the first bytes of the sub-format's GUID
	}
	if hz != rate || channels != 1 {
		return nil, fmt.Errorf("has %d Hz and %d channels; it must be 8000 Hz mono: sox IN.wav -r 8000 -c 1 -b 16 OUT.wav", hz, channels)
	}
	if len(data) == 0 {
		return nil, errors.New("is empty")
	}
	switch {
	case tag == wavePCM && bits == 16:
		if len(data) < 2 {
			return nil, errors.New("is empty")
		}
		return g711.EncodeAlaw(data[:len(data)&^1]), nil
	case tag == waveALaw && bits == 8:
		return append([]byte(nil), data...), nil
	case tag == waveULaw && bits == 8:
		return g711.Ulaw2Alaw(data), nil
	}
	return nil, fmt.Errorf("has format %#x of %d bits; it must be 16-bit PCM or G.711: sox IN.wav -r 8000 -c 1 -b 16 OUT.wav", tag, bits)
}
