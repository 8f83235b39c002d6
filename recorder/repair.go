package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.uber.org/zap"
)

// repair closes the recordings an earlier life of the switch left open: their
// meta.json is written from their chunks. Nothing is changed in the audio. A
// recording that another process is writing is left to it.
func (s *Store) repair() error {
	entries, err := os.ReadDir(s.openDir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if id, ok := parseID(e.Name()); ok {
			if err := s.repairOne(id); err != nil {
				return fmt.Errorf("recording %s: %w", id, err)
			}
		}
	}
	return nil
}

func (s *Store) repairOne(id recID) error {
	dir, path := s.recordingDir(id), audioPath(s.dir, id)
	if written(path) {
		return nil // by another process, or resumed
	}
	sh, err := readSheet(dir)
	if err == nil && sh.State != stateRecording {
		return s.unmark(id)
	}
	v, err := look(s.dir, id)
	if errors.Is(err, fs.ErrNotExist) {
		return s.unmark(id) // killed before there was anything
	}
	if err != nil {
		return err
	}
	agents := sh.Agents
	sh = v.sheet(id, false)
	sh.Agents = agents
	if err := writeSheet(s.disk, dir, sh); err != nil {
		return err
	}
	s.log.Warn("recording closed after a crash", zap.String("recording", sh.ID), zap.String("call", sh.CallID),
		zap.String("state", sh.State), zap.Float64("duration_s", sh.DurationS))
	return s.unmark(id)
}

func (s *Store) unmark(id recID) error {
	err := s.disk.remove(filepath.Join(s.openDir(), id.String()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
