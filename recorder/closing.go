package recorder

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"
)

// close says in meta.json how a recording ended. The closer's.
func (s *Store) close(r *recording) {
	s.abandon(r)
	sheet := r.sheet(s)
	err := error(nil)
	if r.fd >= 0 {
		err = writeSheet(s.disk, s.recordingDir(r.id), sheet)
		s.soil(r, true)
	}
	if err == nil {
		err = s.disk.remove(filepath.Join(s.openDir(), r.id.String()))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// With the marker there, the next Open does it from the chunks.
		s.errors.Add(1)
		s.log.Error("recording not closed", zap.Stringer("recording", r.id), zap.Error(err))
	}
	s.forget(r)
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
		s.syncing.end()
		if len(round) > 0 {
			s.syncing.begin(time.Now())
			s.guard("syncing recordings", func() { s.syncAll(round) })
			s.syncing.end()
		}
		clear(round)
	}
}

// syncing is what a round brings to the disk of one recording.
type syncing struct {
	r        *recording
	fd       int
	over     bool
	size, at int64
}

func (s *Store) syncAll(round []*recording) {
	var list []syncing
	var fds []int
	for _, r := range round {
		// Clean before the sync: what is written meanwhile makes it dirty again.
		r.dirty.Store(false)
		s.mu.Lock()
		one := syncing{r: r, fd: r.fd, over: r.over, size: r.reach.size.Load(), at: r.reach.at.Load()}
		s.mu.Unlock()
		list, fds = append(list, one), append(fds, one.fd)
	}
	failed, err := s.disk.sync(fds)
	for i, one := range list {
		if !slices.Contains(failed, i) {
			one.r.safe.at.Store(one.at)
			one.r.safe.size.Store(one.size)
		} else {
			s.errors.Add(1)
			one.r.damaged.Store(true)
			if one.over { // the writer is done with it
				s.lastRescue(one.r)
			}
		}
		if one.over {
			s.closeFiles(one.r)
		}
	}
	if err == nil {
		s.syncFault.Store(nil)
		return
	}
	if s.syncFault.Load() == nil {
		s.log.Error("recordings not synced", zap.Int("recordings", len(fds)), zap.Error(err))
	}
	blame(&s.syncFault, err, time.Now())
}

// lastRescue moves the end of a recording that is over.
func (s *Store) lastRescue(r *recording) {
	err := s.rescue(r)
	if err == nil {
		_, err = s.disk.sync([]int{r.fd})
	}
	if err != nil {
		s.log.Error("the end of a recording may not be on the disk", zap.Stringer("recording", r.id), zap.Error(err))
	}
}

func (s *Store) closeFiles(r *recording) {
	s.mu.Lock()
	fds := append(r.old, r.fd)
	r.old = nil
	s.mu.Unlock()
	for _, fd := range fds {
		_ = s.disk.close(fd)
	}
}
