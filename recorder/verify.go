package recorder

import (
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"foyer/rtp"
)

// Verdict of Verify.
type Verdict struct {
	ID       string   `json:"id"`
	OK       bool     `json:"ok"`
	Chunks   int      `json:"chunks"`
	Problems []string `json:"problems,omitempty"`
	Notes    []string `json:"notes,omitempty"` // what was found and is no damage
}

// Verify reads every byte of a recording and tells whether it is as it was
// written: nothing changed, removed, put elsewhere or cut off. With an identity
// it also decrypts it all. It never writes. Its errors are about not being able
// to look; what it finds is in the Verdict.
func Verify(dir, id, identity string) (Verdict, error) {
	rec, ok := parseID(id)
	if !ok {
		return Verdict{}, fmt.Errorf("recording %.40q: %w", id, ErrNotFound)
	}
	before := written(audioPath(dir, rec))
	v, err := verify(dir, rec, identity)
	if err == nil && !v.OK && before && !written(audioPath(dir, rec)) {
		return verify(dir, rec, identity) // it ended while we read
	}
	return v, err
}

func verify(dir string, rec recID, identity string) (Verdict, error) {
	id := rec.String()
	if sh, err := readSheet(recordingDir(dir, rec)); err == nil && sh.Erased != nil {
		return verifyErased(dir, rec, sh.Erased), nil
	}
	f, err := openTape(dir, rec)
	if errors.Is(err, fs.ErrNotExist) {
		return Verdict{}, fmt.Errorf("recording %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return Verdict{}, fmt.Errorf("recording %s: %w", id, err)
	}
	defer f.Close()
	c := check{Verdict: Verdict{ID: id}, id: rec, identity: identity}
	if err := c.file(f); err != nil {
		return Verdict{}, fmt.Errorf("recording %s: %w", id, err)
	}
	c.against(dir)
	c.OK = len(c.Problems) == 0
	return c.Verdict, nil
}

// verifyErased looks whether an erased recording is gone.
func verifyErased(dir string, id recID, w *Word) Verdict {
	v := Verdict{ID: id.String(), OK: true, Notes: []string{
		fmt.Sprintf("erased by %s on %s: %s", w.By, w.At.Format(time.RFC3339), w.Reason)}}
	if hasTape(dir, id) {
		v.OK, v.Problems = false, []string{"it is said to be erased, and its audio is there"}
	}
	return v
}

// check is a verification under way.
type check struct {
	Verdict
	id       recID
	identity string
	survey   survey
	next     uint32 // number of the next chunk
	aead     cipher.AEAD
	in       *frames
	tail     int64
}

func (c *check) problem(format string, args ...any) {
	const enough = 20
	if len(c.Problems) < enough {
		c.Problems = append(c.Problems, fmt.Sprintf(format, args...))
	}
}

// file reads all chunks.
func (c *check) file(r io.Reader) error {
	c.in = newFrames(r)
	var prev [sha256.Size]byte
	skipped := int64(0)
	for {
		at := c.in.offset
		f, err := c.in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if n := c.in.skipped - skipped; n > 0 {
			c.problem("%d bytes at %d are no chunk", n, at)
			skipped = c.in.skipped
		}
		if f.id != c.id {
			c.problem("a chunk of another recording, %s, before byte %d", f.id, c.in.offset)
			continue
		}
		if err := c.chunk(&f, prev); err != nil {
			return err
		}
		prev = sha256.Sum256(f.raw)
		c.Chunks++
	}
	c.tail = c.in.tail
	return nil
}

func (c *check) chunk(f *frame, prev [sha256.Size]byte) error {
	// A life of the switch that goes on with a recording leaves out the numbers the
	// life before may have used. That it left out no chunk is proven by the chain.
	again := f.kind == resumeChunk && f.number > c.next
	switch {
	case c.survey.end:
		c.problem("chunk %d after the end", f.number)
	case f.number != c.next && !again:
		c.problem("chunk %d where %d should be", f.number, c.next)
	case f.prev != prev:
		c.problem("chunk %d does not follow from the one before", f.number)
	case (f.kind == headChunk) != (f.number == 0) || f.kind > resumeChunk || f.kind == 0:
		c.problem("chunk %d is of a kind that cannot be there", f.number)
	}
	c.next = f.number + 1
	if f.kind == resumeChunk {
		c.note("goes on at chunk %d after a restart of the switch", f.number)
	}
	c.survey.add(f)
	if f.kind == headChunk {
		if !c.survey.found {
			c.problem("the head cannot be understood")
			return nil
		}
		if c.identity == "" {
			return nil
		}
		var err error
		c.aead, err = c.survey.keyOf(c.identity)
		return err
	}
	if sealed := f.flags&sealedFlag != 0; sealed != (len(c.survey.heading.Key) > 0) {
		c.problem("chunk %d is not sealed like the others", f.number)
		return nil
	}
	if f.flags&sealedFlag != 0 && c.aead == nil {
		return nil // without a key, the chain has to do
	}
	plain, err := unseal(c.aead, f)
	if err == nil && f.kind == audioChunk {
		err = packets(plain, f.first, func(*rtp.TapRecord) {})
	}
	if err != nil {
		c.problem("chunk %d: %v", f.number, err)
	}
	return nil
}

// against compares the file with meta.json.
func (c *check) against(dir string) {
	// Of a recording that was cut off, the mark that it is open is still there.
	living := written(audioPath(dir, c.id))
	open := living || marked(dir, c.id)
	sh, err := readSheet(recordingDir(dir, c.id))
	switch {
	case err != nil && open && !c.survey.end:
		c.unfinished(living)
		return
	case err != nil:
		c.problem("%v", err)
		return
	}
	want, got := c.survey.heading.Meta.info(c.id), sh.Info
	got.Agents, got.DurationS, got.State, got.Encrypted, got.Bytes, got.LostMS = nil, 0, "", false, 0, 0
	if c.survey.found && (!want.Started.Equal(got.Started) || !sameCall(want, got)) {
		c.problem("%s speaks of another call than the head of the recording", sheetFile)
	}
	switch {
	case sh.State == stateRecording && c.survey.end:
		// It ended while we read, or the switch died in between.
	case sh.State == stateRecording:
		if !open {
			c.problem("the end is missing")
		}
		c.unfinished(living)
		return
	case sh.State == stateComplete && !c.survey.end:
		c.problem("the end is missing")
	}
	if sh.Chain != "" && (sh.Chunks != c.survey.chunks || sh.Chain != fmt.Sprintf("%x", c.survey.chain)) {
		c.problem("%d chunks, of which the last is not the one %s names", c.survey.chunks, sheetFile)
	}
	switch {
	case c.tail > 0 && c.survey.end:
		c.problem("%d bytes after the end", c.tail)
	case c.tail > 0:
		c.note("%d bytes of an unfinished chunk at the end", c.tail)
	}
	if sh.State == stateInterrupted {
		c.note("interrupted after %.3f s", sh.DurationS)
	}
}

// unfinished notes how a recording without an end breaks off.
func (c *check) unfinished(living bool) {
	if c.tail > 0 {
		c.note("%d bytes of an unfinished chunk at the end", c.tail)
	}
	if !living {
		c.note("interrupted after %.3f s", seconds(c.survey.first, c.survey.last))
	}
}

// marked tells whether a recording has never been closed.
func marked(dir string, id recID) bool {
	_, err := os.Lstat(filepath.Join(dir, ".open", id.String()))
	return err == nil
}

func (c *check) note(format string, args ...any) {
	c.Notes = append(c.Notes, fmt.Sprintf(format, args...))
}

func sameCall(a, b Info) bool {
	return a.ID == b.ID && a.CallID == b.CallID && a.Client == b.Client && a.Queue == b.Queue && a.Agent == b.Agent &&
		a.Policy == b.Policy && a.Purpose == b.Purpose && a.LegalBasis == b.LegalBasis && a.From == b.From && a.To == b.To
}
