package recorder

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"time"

	"foyer/rtp"
)

// Render writes a recording as stereo 8 kHz PCM16 WAV, left the caller, right the
// agent, as long as the talk was. identity is the age secret key of an encrypted
// recording (ErrSealed without it), else "". One in progress is rendered as far
// as it is written; damaged chunks leave silence.
func Render(w io.Writer, dir, id, identity string) error {
	rec, ok := parseID(id)
	if !ok {
		return fmt.Errorf("recording %.40q: %w", id, ErrNotFound)
	}
	if sh, err := readSheet(recordingDir(dir, rec)); err == nil && sh.Erased != nil {
		return fmt.Errorf("recording %s: %w", id, ErrErased)
	}
	v, err := look(dir, rec)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("recording %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("recording %s: %w", id, err)
	}
	aead, err := v.keyOf(identity)
	if err != nil {
		return fmt.Errorf("recording %s: %w", id, err)
	}
	f, err := openTape(dir, rec)
	if err != nil {
		return fmt.Errorf("recording %s: %w", id, err)
	}
	defer f.Close()
	s := studio{id: rec, aead: aead, zero: v.first, end: samples(v.length()), out: bufio.NewWriterSize(w, 1<<16)}
	if err := s.render(newFrames(f)); err != nil {
		return fmt.Errorf("recording %s: %w", id, err)
	}
	return nil
}

// studio renders one recording, in one pass and a few seconds of memory.
type studio struct {
	id     recID
	aead   cipher.AEAD
	zero   int64 // unix ns of the first sample
	end    int64 // samples
	voices [channels]voice
	played int64
	out    *bufio.Writer
}

func (s *studio) render(in *frames) error {
	if err := writeWAVHeader(s.out, s.end); err != nil {
		return err
	}
	for {
		f, err := in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if f.id != s.id || f.kind != audioChunk {
			continue
		}
		plain, err := unseal(s.aead, &f)
		if err != nil {
			continue // Verify tells about it; here it is a gap
		}
		_ = packets(plain, f.first, func(t *rtp.TapRecord) {
			if t.Channel < channels {
				s.voices[t.Channel].push(t, samples(time.Duration(t.At-s.zero)))
			}
		})
		now := samples(time.Duration(f.last - s.zero))
		for i := range s.voices {
			s.voices[i].advance(now)
		}
		if err := s.play(now - patience); err != nil {
			return err
		}
	}
	for i := range s.voices {
		s.voices[i].advance(math.MaxInt64)
	}
	if err := s.play(s.end); err != nil {
		return err
	}
	return s.out.Flush()
}

// play writes what both parties said until then, a few seconds at a time.
func (s *studio) play(until int64) error {
	const step = 10 * sampleRate
	for until = min(until, s.end); s.played < until; {
		s.played = min(s.played+step, until)
		for i := range s.voices {
			s.voices[i].play(s.played, s.end)
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
	return nil
}

// flush writes the samples both parties have.
func (s *studio) flush() error {
	left, right := &s.voices[0], &s.voices[1]
	n := min(len(left.pcm), len(right.pcm))
	var b [4]byte
	for i := range n {
		binary.LittleEndian.PutUint16(b[0:], uint16(left.pcm[i]))
		binary.LittleEndian.PutUint16(b[2:], uint16(right.pcm[i]))
		if _, err := s.out.Write(b[:]); err != nil {
			return err
		}
	}
	left.pcm = append(left.pcm[:0], left.pcm[n:]...)
	right.pcm = append(right.pcm[:0], right.pcm[n:]...)
	return nil
}

const (
	wavHeader = 44
	wavFrame  = 2 * channels // bytes
	inMemory  = 64 << 20     // a rendered recording larger than this goes to a file
)

// writeWAVHeader writes the 44 bytes before frames of stereo PCM16.
func writeWAVHeader(w io.Writer, frames int64) error {
	size := uint32(frames * wavFrame)
	b := make([]byte, 0, wavHeader)
	b = append(b, "RIFF"...)
	b = binary.LittleEndian.AppendUint32(b, wavHeader-8+size)
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1) // PCM
	b = binary.LittleEndian.AppendUint16(b, channels)
	b = binary.LittleEndian.AppendUint32(b, sampleRate)
	b = binary.LittleEndian.AppendUint32(b, sampleRate*wavFrame)
	b = binary.LittleEndian.AppendUint16(b, wavFrame)
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, size)
	_, err := w.Write(b)
	return err
}

// Audio is a rendered recording to be read from any place, for HTTP ranges. A
// long one is in a nameless temporary file; who is done early may close what
// implements io.Closer.
func Audio(dir, id, identity string) (io.ReadSeeker, Info, error) {
	info, err := Find(dir, id)
	if err != nil {
		return nil, info, err
	}
	if info.Erased != nil {
		return nil, info, fmt.Errorf("recording %s: %w", id, ErrErased)
	}
	if size := max(0, info.DurationS) * sampleRate * wavFrame; size < inMemory {
		var b bytes.Buffer
		b.Grow(int(size) + wavHeader)
		if err := Render(&b, dir, id, identity); err != nil {
			return nil, info, err
		}
		return bytes.NewReader(b.Bytes()), info, nil
	}
	f, err := os.CreateTemp("", "foyer-*.wav")
	if err != nil {
		return nil, info, fmt.Errorf("render recording %s: %w", id, err)
	}
	err = errors.Join(os.Remove(f.Name()), Render(f, dir, id, identity))
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, info, err
	}
	return f, info, nil
}
