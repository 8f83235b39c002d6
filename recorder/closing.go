package recorder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
)

// close says in meta.json how a recording ended. The closer's.
func (s *Store) close(r *recording) {
	s.abandon(r)
	sheet := r.sheet(s)
	err := error(nil)
	if r.fd >= 0 {
		err = writeSheet(s.recordingDir(r.id), sheet)
		s.soil(r, true)
	}
	if err == nil {
		err = os.Remove(filepath.Join(s.openDir(), r.id.String()))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// With the marker there, the next Open does it from the chunks.
		s.errors.Add(1)
		s.log.Error("recording not closed", zap.Stringer("recording", r.id), zap.Error(err))
	}
	s.ended(sheet.Info)
}

// abandon counts as lost what is still in memory when the disk never came back.
func (s *Store) abandon(r *recording) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fill != nil {
		r.full = append(r.full, r.fill)
	}
	for _, c := range r.full {
		for i := range r.lost {
			r.lost[i] += c.last - c.first
		}
		s.recycle(c)
	}
	r.fill, r.full = nil, nil
}

// sync brings the dirty files to the disk every second until stop, and a last
// time then. It closes the files of recordings that are over: nobody else does.
func (s *Store) sync(stop <-chan struct{}) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	var round []*recording
	for last := false; !last; {
		select {
		case <-every.C:
		case <-stop:
			last = true
		}
		s.mu.Lock()
		round, s.dirty = s.dirty, round[:0]
		s.mu.Unlock()
		s.guard("syncing recordings", func() { s.syncAll(round) })
		clear(round)
	}
}

func (s *Store) syncAll(round []*recording) {
	if len(round) == 0 {
		return
	}
	var fds, over []int
	for _, r := range round {
		// Clean before the sync: what is written meanwhile makes it dirty again.
		r.dirty.Store(false)
		s.mu.Lock()
		if r.over {
			over = append(over, r.fd)
		}
		s.mu.Unlock()
		fds = append(fds, r.fd)
	}
	if err := s.disk.sync(fds); err != nil {
		s.errors.Add(1)
		s.log.Error("recordings not synced", zap.Int("recordings", len(fds)), zap.Error(err))
	}
	for _, fd := range over {
		_ = s.disk.close(fd)
	}
}
