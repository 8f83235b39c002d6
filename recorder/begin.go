package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// create makes the recording's directory and files. After a failure it goes on
// where it stopped.
func (s *Store) create(r *recording) error {
	if r.fd < 0 {
		dir := s.recordingDir(r.id)
		err := s.disk.mkdir(dir)
		if err != nil {
			return err
		}
		if r.fd, err = s.disk.create(filepath.Join(dir, audioFile)); err != nil {
			return err
		}
	}
	// A second name by which the next Open finds what was not closed: much
	// cheaper than a file.
	err := s.disk.link(filepath.Join(s.recordingDir(r.id), audioFile), filepath.Join(s.openDir(), r.id.String()))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if r.size == 0 {
		if r.last == nil {
			c, err := s.heading(r)
			if err != nil {
				return err
			}
			r.last = c
		}
		if err := s.append(r, r.last, headChunk, 0); err != nil {
			return err
		}
		r.last = nil
	}
	if err := writeSheet(s.disk, s.recordingDir(r.id), r.sheet(s)); err != nil {
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
		key, wrapped, err := wrapKey(s.recipient)
		if err != nil {
			return nil, err
		}
		if r.seal.aead, err = newAEAD(key); err != nil {
			return nil, err
		}
		h.Key = wrapped
		s.keepKey(r, key)
	}
	text, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("head of recording: %w", err)
	}
	c := newChunk(text)
	c.first = r.meta.Started.UnixNano()
	c.last = c.first
	return c, nil
}
