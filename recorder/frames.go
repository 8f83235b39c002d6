package recorder

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"time"
)

// frames reads the chunks of a file one after another. What is no chunk is
// skipped and counted: damage costs the chunks it hit, not those behind them.
type frames struct {
	r       *bufio.Reader
	offset  int64 // of the next byte
	skipped int64 // bytes between chunks that belong to none
	tail    int64 // bytes after the last chunk
}

func newFrames(r io.Reader) *frames { return &frames{r: bufio.NewReaderSize(r, maxFrame)} }

// next gives the next chunk, valid until the call after; io.EOF when there is
// none.
func (f *frames) next() (frame, error) {
	lost := int64(0)
	for {
		// One that fits into what has been read needs no more reading.
		b, _ := f.r.Peek(f.r.Buffered())
		chunk, ok := parseFrame(b)
		var err error
		if !ok {
			b, err = f.r.Peek(maxFrame)
			chunk, ok = parseFrame(b)
		}
		if ok {
			f.skipped += lost
			f.offset += int64(len(chunk.raw))
			// Discarding only moves on: the bytes stay until the next Peek.
			_, err = f.r.Discard(len(chunk.raw))
			return chunk, err
		}
		if len(b) == 0 {
			f.tail += lost
			if err == nil || err == io.EOF {
				return frame{}, io.EOF
			}
			return frame{}, fmt.Errorf("read chunks: %w", err)
		}
		n := skip(b)
		f.offset += int64(n)
		lost += int64(n)
		if _, err := f.r.Discard(n); err != nil {
			return frame{}, fmt.Errorf("read chunks: %w", err)
		}
	}
}

// skip is how far it is to the next place where a chunk might begin.
func skip(b []byte) int {
	if i := bytes.Index(b[1:], []byte(magic)); i >= 0 {
		return 1 + i
	}
	return max(1, len(b)-len(magic)+1)
}

// survey is what a recording's file tells without a key.
type survey struct {
	heading heading
	found   bool // a heading
	first   int64
	last    int64
	lost    uint32
	chunks  int
	chain   [sha256.Size]byte
	end     bool
	cut     bool
	bytes   int64
}

// look reads all chunks of a recording.
func look(dir string, id recID) (v survey, err error) {
	f, err := openTape(dir, id)
	if err != nil {
		return v, err
	}
	defer f.Close()
	in := newFrames(f)
	for {
		c, err := in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return v, err
		}
		if c.id != id {
			continue
		}
		v.add(&c)
	}
	v.bytes = in.offset
	return v, nil
}

func (v *survey) add(c *frame) {
	v.chunks = int(c.number) + 1
	v.chain = sha256.Sum256(c.raw)
	v.lost = max(v.lost, c.lost)
	switch c.kind {
	case headChunk:
		v.found = json.Unmarshal(c.payload, &v.heading) == nil
		return
	case endChunk:
		v.end, v.cut = true, c.flags&cutFlag != 0
	}
	if c.first != 0 && (v.first == 0 || c.first < v.first) {
		v.first = c.first
	}
	v.last = max(v.last, c.last)
}

// length is how long the recording is; no WAV is longer than longest.
func (v *survey) length() time.Duration {
	const longest = 36 * time.Hour
	if v.first <= 0 || v.last < v.first {
		return 0
	}
	return min(time.Duration(v.last-v.first), longest)
}

// keyOf opens what is needed to read the recording's audio: nothing, or the key.
func (v *survey) keyOf(identity string) (cipher.AEAD, error) {
	if len(v.heading.Key) == 0 {
		return nil, nil
	}
	return unwrapKey(v.heading.Key, identity)
}

func audioPath(dir string, id recID) string { return filepath.Join(recordingDir(dir, id), audioFile) }
