package recorder

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Copy copies a recording from one directory of recordings into another, where it
// must not be yet. It works beside a running switch: one that is still being written
// is copied to its last whole chunk and is "interrupted" in the copy. What an older
// directory of copies has already, closed and the same, is linked instead of read
// again; older may be "". ErrNotFound when it has been deleted meanwhile, or has not
// been written yet.
func Copy(from, to, older, id string) error {
	rec, ok := parseID(id)
	if !ok {
		return fmt.Errorf("recording %.40q: %w", id, ErrNotFound)
	}
	dst := recordingDir(to, rec)
	if err := os.MkdirAll(dst, 0o750); err != nil {
		return fmt.Errorf("recording %s: %w", id, err)
	}
	err := copyInto(from, dst, older, rec)
	if err != nil {
		os.RemoveAll(dst)
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrNotFound
		}
		return fmt.Errorf("recording %s: %w", id, err)
	}
	return nil
}

func copyInto(from, dst, older string, id recID) error {
	src := recordingDir(from, id)
	sh, err := readSheet(src)
	if err != nil || sh.State == stateRecording {
		return errors.Join(copyOpen(from, dst, sh, id), copyHold(src, dst))
	}
	names := []string{sheetFile}
	if sh.Erased == nil {
		parts, err := partsOf(src)
		if err != nil {
			return err
		}
		for _, p := range parts {
			names = append(names, p.name)
		}
	}
	same := older != "" && sameSheet(src, recordingDir(older, id))
	for _, name := range names {
		// A file system may know no links, or no more of them: a copy does as well.
		if same && os.Link(filepath.Join(recordingDir(older, id), name), filepath.Join(dst, name)) == nil {
			continue
		}
		if err := copyFile(filepath.Join(src, name), filepath.Join(dst, name)); err != nil {
			return err
		}
	}
	return copyHold(src, dst)
}

// copyHold copies the legal hold of a recording, if it is under one.
func copyHold(src, dst string) error {
	err := copyFile(filepath.Join(src, holdFile), filepath.Join(dst, holdFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sameSheet says whether two recordings are the same one, closed: meta.json names
// the last chunk by its hash, and every chunk the one before it.
func sameSheet(a, b string) bool {
	x, err := os.ReadFile(filepath.Join(a, sheetFile))
	if err != nil {
		return false
	}
	y, err := os.ReadFile(filepath.Join(b, sheetFile))
	return err == nil && bytes.Equal(x, y)
}

// copyOpen copies the whole chunks of a recording that is being written, or whose
// switch has died, and closes the copy.
func copyOpen(from, dst string, sh sheet, id recID) error {
	in, err := openTape(from, id)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(dst, audioFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	defer out.Close()
	var v survey
	chunks := newFrames(in)
	for {
		c, err := chunks.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if c.id != id {
			continue
		}
		v.add(&c)
		v.bytes += int64(len(c.raw))
		if _, err := out.Write(c.raw); err != nil {
			return err
		}
	}
	if v.chunks == 0 {
		return fs.ErrNotExist // begun at this moment
	}
	closed := v.sheet(id, false)
	closed.Agents = sh.Agents
	return errors.Join(writeSheet(linux{}, dst, closed), out.Close())
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
