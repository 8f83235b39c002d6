package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// create makes the recording's directory and files. After a failure it goes on
// where it stopped.
func (s *Store) create(r *recording) error {
	if r.fd < 0 {
		dir := s.recordingDir(r.id)
		err := os.Mkdir(dir, 0o750)
		if errors.Is(err, fs.ErrNotExist) {
			err = os.MkdirAll(dir, 0o750)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if r.fd, err = s.disk.create(filepath.Join(dir, audioFile)); err != nil {
			return err
		}
	}
	// A second name by which the next Open finds what was not closed: much
	// cheaper than a file.
	err := os.Link(filepath.Join(s.recordingDir(r.id), audioFile), filepath.Join(s.openDir(), r.id.String()))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if r.size == 0 {
		if r.end == nil {
			c, err := s.heading(r)
			if err != nil {
				return err
			}
			r.end = c
		}
		if err := s.append(r, r.end, headChunk); err != nil {
			return err
		}
		r.end = nil
	}
	if err := firstSheet(s.recordingDir(r.id), r.sheet(s)); err != nil {
		return err
	}
	r.started = true
	return nil
}

// heading is the payload of the first chunk.
type heading struct {
	Meta Meta   `json:"meta"`
	Key  []byte `json:"key,omitempty"` // wrapped for the recipient
}

func (s *Store) heading(r *recording) (*chunk, error) {
	h := heading{Meta: r.meta}
	if s.recipient != nil {
		aead, wrapped, err := wrapKey(s.recipient)
		if err != nil {
			return nil, err
		}
		h.Key, r.seal.aead = wrapped, aead
	}
	text, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("head of recording: %w", err)
	}
	c := &chunk{b: append(make([]byte, headSize, headSize+len(text)+crcSize), text...)}
	c.first = r.meta.Started.UnixNano()
	c.last = c.first
	r.seal.seal(c, headChunk, 0)
	return c, nil
}
