package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Word is what somebody has ordered of a recording: who, when and why.
type Word struct {
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

var (
	// ErrErased: of the recording only the tombstone is left.
	ErrErased = errors.New("recording is erased")
	// ErrHeld: the recording is under legal hold, and may not be erased.
	ErrHeld = errors.New("recording is under legal hold")
	// ErrInProgress: the recording has not ended.
	ErrInProgress = errors.New("recording is in progress")
)

const (
	stateErased = "erased"
	holdFile    = "hold.json"
	keyBytes    = maxFrame // at the beginning of a recording, that hold its wrapped key
)

// Erase destroys a recording: the key to it, then what was said. What stays is a
// tombstone, meta.json without the parties' numbers, that says who erased it, when
// and why. It fails with ErrHeld, ErrInProgress, ErrErased or ErrNotFound; after any
// other error it may be called again.
//
// The key is overwritten before it is unlinked. What a file system or a disk keeps of
// overwritten blocks, and backups, is out of reach.
func Erase(dir, id string, w Word) error {
	return erase(dir, id, w, func(sh *sheet) { sh.From, sh.To = "", "" })
}

// Expire is Erase by a rule of retention, which leaves the numbers for as long as
// what is known of the call is kept.
func Expire(dir, id string, w Word) error { return erase(dir, id, w, func(*sheet) {}) }

func erase(dir, id string, w Word, strip func(*sheet)) error {
	info, rec, err := mutable(dir, id)
	if err != nil {
		return err
	}
	own := recordingDir(dir, rec)
	if info.Erased == nil {
		w.At = w.At.UTC()
		info.Erased, info.State, info.Bytes, info.Held = &w, stateErased, 0, nil
		sh := sheet{Info: info}
		strip(&sh)
		// From here on it is erased, whatever becomes of us.
		if err := writeSheet(linux{}, own, sh); err != nil {
			return fmt.Errorf("erase recording %s: %w", id, err)
		}
		if err := flush(own, sheetFile); err != nil {
			return fmt.Errorf("erase recording %s: %w", id, err)
		}
	} else if !hasTape(dir, rec) {
		return fmt.Errorf("recording %s: %w", id, ErrErased)
	}
	if err := destroy(own); err != nil {
		return fmt.Errorf("erase recording %s: %w", id, err)
	}
	return nil
}

// Forget removes all that is known of a recording, its tombstone too. It fails like
// Erase.
func Forget(dir, id string) error {
	_, rec, err := mutable(dir, id)
	if err != nil {
		return err
	}
	own := recordingDir(dir, rec)
	if err := destroy(own); err != nil {
		return fmt.Errorf("forget recording %s: %w", id, err)
	}
	if err := os.RemoveAll(own); err != nil {
		return fmt.Errorf("forget recording %s: %w", id, err)
	}
	return nil
}

// mutable gives a recording that may be destroyed.
func mutable(dir, id string) (Info, recID, error) {
	info, err := Find(dir, id)
	if err != nil {
		return info, recID{}, err
	}
	rec, _ := parseID(id)
	switch {
	case info.Held != nil:
		return info, rec, fmt.Errorf("recording %s: %w: %s", id, ErrHeld, info.Held.Reason)
	case written(audioPath(dir, rec)), marked(dir, rec), // or to be closed by the next start
		time.Since(rec.time()) < time.Minute && info.State == stateInterrupted: // or its files are being made
		return info, rec, fmt.Errorf("recording %s: %w", id, ErrInProgress)
	}
	return info, rec, nil
}

// destroy makes what a recording holds unreadable, and removes it.
func destroy(own string) error {
	parts, err := partsOf(own)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := blank(filepath.Join(own, audioFile)); err != nil {
		return err
	}
	// The first is the last to go: it says that there is something left to remove.
	for i := len(parts) - 1; i >= 0; i-- {
		if err := os.Remove(filepath.Join(own, parts[i].name)); err != nil {
			return err
		}
	}
	_ = os.Remove(filepath.Join(own, ".part"))
	return flush(own, "")
}

// blank overwrites the wrapped key.
func blank(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(make([]byte, min(st.Size(), keyBytes)), 0); err != nil {
		return err
	}
	return f.Sync()
}

// flush brings a file's content to the disk, and the names in its directory.
func flush(own, name string) error {
	for _, path := range []string{filepath.Join(own, name), own} {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		err = unix.Fsync(fd)
		_ = unix.Close(fd)
		if err != nil {
			return err
		}
	}
	return nil
}

// Hold puts a recording under legal hold: no rule and nobody may erase it until it is
// released. One in progress may be held. Holding it again replaces the words.
func Hold(dir, id string, w Word) error {
	info, err := Find(dir, id)
	if err != nil {
		return err
	}
	if info.Erased != nil {
		return fmt.Errorf("recording %s: %w", id, ErrErased)
	}
	rec, _ := parseID(id)
	own := recordingDir(dir, rec)
	w.At = w.At.UTC()
	text, err := json.MarshalIndent(w, "", "  ")
	if err != nil {
		return fmt.Errorf("hold recording %s: %w", id, err)
	}
	tmp := filepath.Join(own, "."+holdFile)
	if err := os.WriteFile(tmp, append(text, '\n'), 0o640); err != nil {
		return fmt.Errorf("hold recording %s: %w", id, err)
	}
	if err := os.Rename(tmp, filepath.Join(own, holdFile)); err != nil {
		return fmt.Errorf("hold recording %s: %w", id, err)
	}
	if err := flush(own, holdFile); err != nil {
		return fmt.Errorf("hold recording %s: %w", id, err)
	}
	return nil
}

// ErrNotHeld: there is no hold to release.
var ErrNotHeld = errors.New("recording is not under legal hold")

// Release ends a legal hold.
func Release(dir, id string) error {
	if _, err := Find(dir, id); err != nil {
		return err
	}
	rec, _ := parseID(id)
	own := recordingDir(dir, rec)
	err := os.Remove(filepath.Join(own, holdFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("recording %s: %w", id, ErrNotHeld)
	}
	if err == nil {
		err = flush(own, "")
	}
	if err != nil {
		return fmt.Errorf("release recording %s: %w", id, err)
	}
	return nil
}

// heldBy reads the hold of a recording; nil: there is none. One that cannot be read
// holds all the same.
func heldBy(own string) *Word {
	text, err := os.ReadFile(filepath.Join(own, holdFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	w := &Word{Reason: "hold.json cannot be read"}
	if err == nil {
		_ = json.Unmarshal(text, w)
	}
	return w
}
