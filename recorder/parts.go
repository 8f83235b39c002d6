package recorder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A recording is written in one file, audio.fyr, until its disk fails to bring what
// was written to the platter. What is not known to be there is then written again,
// and the rest after it, in another file: audio-01-4711.fyr is the first such, and
// begins with byte 4711 of the recording. Nobody trusts what the file before holds
// from there on.
type part struct {
	name  string
	first int64 // byte of the recording it begins with
}

func partFile(number int, first int64) string { return fmt.Sprintf("audio-%02d-%d.fyr", number, first) }

// partsOf lists the files of a recording in order. fs.ErrNotExist: it has none.
func partsOf(own string) ([]part, error) {
	if _, err := os.Stat(filepath.Join(own, audioFile)); err != nil {
		return nil, err
	}
	found := []part{{name: audioFile}}
	entries, err := os.ReadDir(own)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		p := part{name: e.Name()}
		var number int
		if n, _ := fmt.Sscanf(e.Name(), "audio-%d-%d.fyr", &number, &p.first); n == 2 && partFile(number, p.first) == p.name {
			found = append(found, p)
		}
	}
	slices.SortFunc(found[1:], func(a, b part) int { return strings.Compare(a.name, b.name) })
	return found, nil
}

// tape reads a recording as if it were one file.
type tape struct {
	io.Reader
	files []*os.File
	size  int64
	last  time.Time // when it was last written
}

// openTape opens the audio of a recording. fs.ErrNotExist: there is none.
func openTape(dir string, id recID) (*tape, error) {
	own := recordingDir(dir, id)
	parts, err := partsOf(own)
	if err != nil {
		return nil, err
	}
	t := &tape{}
	var readers []io.Reader
	for i, p := range parts {
		f, err := os.Open(filepath.Join(own, p.name))
		if err != nil {
			t.Close()
			return nil, err
		}
		t.files = append(t.files, f)
		st, err := f.Stat()
		if err != nil {
			t.Close()
			return nil, err
		}
		if i+1 < len(parts) {
			readers = append(readers, io.LimitReader(f, max(0, parts[i+1].first-p.first)))
			continue
		}
		t.size, t.last = p.first+st.Size(), st.ModTime()
		readers = append(readers, f)
	}
	t.Reader = readers[0]
	if len(readers) > 1 {
		t.Reader = io.MultiReader(readers...)
	}
	return t, nil
}

func (t *tape) Close() error {
	var err error
	for _, f := range t.files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// hasTape tells whether there is any audio of a recording.
func hasTape(dir string, id recID) bool {
	_, err := os.Stat(audioPath(dir, id))
	return !errors.Is(err, fs.ErrNotExist)
}
