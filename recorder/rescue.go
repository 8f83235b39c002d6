package recorder

import (
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"go.uber.org/zap"
)

// When fdatasync fails, the kernel has given up on pages and calls them clean: no
// later fdatasync will say anything about them, and they may be gone once they
// leave the page cache. What was written since the last sync that succeeded is
// therefore read back at once, proven to be what we wrote by its chain of hashes,
// and written again elsewhere. On ext4 and XFS the pages still hold it (Rebello et
// al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020); where
// they do not, the recording has a gap, and Verify and lost_ms say so.

// rescue moves a recording to a new file. The writer's, or, of one that is over, the
// syncer's.
func (s *Store) rescue(r *recording) error {
	from, lost := r.safe.size.Load(), false
	b := make([]byte, r.size-from)
	if _, err := s.disk.read(r.fd, b, from-r.base); err != nil || !r.wrote(b) {
		b, from, lost = nil, r.size, true
	}
	own := s.recordingDir(r.id)
	path := filepath.Join(own, partFile(r.part+1, from))
	fd, err := s.newPart(path, b)
	if err != nil {
		return fmt.Errorf("move to a new file: %w", err)
	}
	s.mu.Lock()
	r.old = append(r.old, r.fd)
	r.fd = fd
	s.mu.Unlock()
	r.base, r.torn = from, false
	r.part++
	if lost {
		r.mourn(s)
	}
	s.log.Error("the disk has lost what was written of a recording, which goes on in another file", zap.Stringer("recording", r.id),
		zap.String("file", path), zap.Int("bytes_written_again", len(b)), zap.Bool("audio_lost", lost))
	return nil
}

// newPart makes a file that begins with b. It has its name once all of b is in it:
// until then the file before it counts.
func (s *Store) newPart(path string, b []byte) (int, error) {
	tmp := filepath.Join(filepath.Dir(path), ".part")
	_ = s.disk.remove(tmp) // of a life that was killed here
	fd, err := s.disk.create(tmp)
	if err != nil {
		return -1, err
	}
	n, err := s.disk.write(fd, b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err == nil {
		err = s.disk.rename(tmp, path)
	}
	if err != nil {
		_ = s.disk.close(fd)
		_ = s.disk.remove(tmp)
		return -1, err
	}
	return fd, nil
}

// wrote tells whether b is the end of what was written so far.
func (r *recording) wrote(b []byte) bool {
	var last [sha256.Size]byte
	for begun := false; len(b) > 0; begun = true {
		f, ok := parseFrame(b)
		if !ok || f.id != r.id || begun && f.prev != last {
			return false
		}
		last = sha256.Sum256(f.raw)
		b = b[len(f.raw):]
		if len(b) == 0 {
			return last == r.seal.prev
		}
	}
	return true
}

// mourn says in the recording what its disk has lost.
func (r *recording) mourn(s *Store) {
	from, to := r.safe.at.Load(), r.reach.at.Load()
	if to <= from {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.lost {
		r.lost[i] += to - from
	}
	packets := uint32((to-from)/int64(20*time.Millisecond)) * channels
	if r.gap.packets == 0 {
		r.gap.from = from
	}
	r.gap.to = to
	r.gap.packets += packets
	s.dropped.Add(uint64(packets))
}

// moveOn rescues a recording whose sync has failed, more and more seldom when that
// does not help.
func (s *Store) moveOn(r *recording, now time.Time) error {
	if !r.damaged.Load() || now.Before(r.moveAt) {
		return nil
	}
	r.damaged.Store(false) // before the new file is dirty: its own sync may fail
	if err := s.rescue(r); err != nil {
		r.damaged.Store(true)
		return err
	}
	r.moveAt = now.Add(min(time.Duration(r.part)*retryEvery, time.Minute))
	s.soil(r, false)
	return nil
}
