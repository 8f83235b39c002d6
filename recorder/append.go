package recorder

import (
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"
)

// advance brings one recording's file up to date, and says whether that was its
// end. The writer's.
func (s *Store) advance(r *recording, now time.Time) bool {
	ending := r.ending(now)
	if now.Before(r.retry) && !r.hopeless(now) {
		return false
	}
	err := s.bring(r, now, ending)
	switch {
	case err == nil && r.failed != nil:
		s.log.Info("recording is written again", zap.Stringer("recording", r.id))
	case err != nil:
		s.errors.Add(1)
		blame(&s.writeFault, err, now)
		if r.failed == nil {
			s.log.Error("recording cannot be written; its audio is kept in memory for a minute", zap.Stringer("recording", r.id), zap.Error(err))
		}
		r.retry = now.Add(retryEvery)
	}
	r.failed = err
	if err == nil {
		return ending
	}
	return r.hopeless(now)
}

// ending tells whether every mark has been read that will be.
func (r *recording) ending(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	since := r.endedAt
	switch {
	case r.shut:
		return true
	case since.IsZero():
		return false
	case r.marked.After(since):
		since = r.marked
	}
	stopped := r.startAt != 0 && r.open == [channels]int{}
	if stopped && now.Sub(since) >= settle {
		r.shut = true
		return true
	}
	if !r.forced && now.Sub(r.endedAt) < markWait {
		return false
	}
	switch {
	case stopped || r.startAt == 0:
	case r.revived != 0 && r.lastAt <= r.revived:
		// Its call was not there any more in this life: it ends where it was cut.
		r.stopAt, r.forced = max(r.stopAt, r.lastAt), true
	default:
		// A stop was lost on the way: the end of the call is the best there is.
		r.stopAt = max(r.stopAt, r.lastAt, r.endedAt.UnixNano())
	}
	r.shut = true
	return true
}

// hopeless tells whether a recording that has ended has waited long enough for a
// disk that fails.
func (r *recording) hopeless(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed != nil && !r.endedAt.IsZero() && (r.forced || now.Sub(r.endedAt) >= diskWait)
}

// force ends a recording whose call has not.
func (r *recording) force(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.endedAt.IsZero() {
		r.endedAt = now
		r.forced = true
		return
	}
	// Its own end came late; it may still be whole, but waits for nobody.
	if now.Sub(r.endedAt) >= markWait {
		r.forced = true
	}
}

func (s *Store) bring(r *recording, now time.Time, ending bool) error {
	if f := s.suspended.Load(); f != nil {
		return f.err
	}
	if err := s.moveOn(r, now); err != nil {
		return err
	}
	if !r.started {
		if err := s.create(r); err != nil {
			return err
		}
	}
	if r.again != nil {
		if err := s.append(r, r.again, resumeChunk, 0); err != nil {
			return err
		}
		r.again = nil
	}
	for {
		c := r.due(now, ending)
		if c == nil {
			break
		}
		if !c.settled {
			c.settled, c.lost = true, uint32(r.lostMS(s))
		}
		if err := s.append(r, c, audioChunk, 0); err != nil {
			return err
		}
		r.mu.Lock()
		copy(r.full, r.full[1:])
		r.full[len(r.full)-1] = nil
		r.full = r.full[:len(r.full)-1]
		r.mu.Unlock()
		s.recycle(c)
	}
	if !ending {
		return nil
	}
	return s.appendEnd(r)
}

// due gives the oldest chunk that is to be written. It stays where it is until it
// is in the file.
func (r *recording) due(now time.Time, ending bool) *chunk {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.full) == 0 {
		if r.fill == nil || !ending && now.Sub(r.fill.since) < writeEvery {
			return nil
		}
		r.full = append(r.full, r.fill)
		r.fill = nil
	}
	return r.full[0]
}

// append writes a chunk as one frame, wholly or not at all: of a short write nothing
// stays. It is called again for the same chunk until it succeeds.
func (s *Store) append(r *recording, c *chunk, k kind, flags uint8) error {
	if r.torn {
		if err := s.disk.truncate(r.fd, r.size-r.base); err != nil {
			return fmt.Errorf("truncate to the last chunk: %w", err)
		}
		r.torn = false
	}
	r.sealing = r.seal.number // before there is a frame of that number anywhere
	s.frame = r.seal.seal(s.frame[:0], c, k, flags)
	n, err := s.disk.write(r.fd, s.frame)
	if err == nil && n < len(s.frame) {
		err = io.ErrShortWrite
	}
	if err != nil {
		r.torn = n > 0 && s.disk.truncate(r.fd, r.size-r.base) != nil
		return fmt.Errorf("append chunk: %w", err)
	}
	r.size += int64(n)
	r.reach.at.Store(c.last)
	r.reach.size.Store(r.size)
	r.seal.written(s.frame)
	order := r.places[r.which].order
	if k == audioChunk {
		order = c.slot().order
	}
	r.arrive(order)
	s.written.Add(uint64(n))
	s.soil(r, false)
	if s.wrote != nil {
		s.wrote(r, k, c.last)
	}
	return nil
}

// arrive says how far the file is written, for the next life: into the place that
// does not count, which then does.
func (r *recording) arrive(order uint64) {
	r.places[1-r.which] = place{size: r.size, order: order, number: r.seal.number, chain: r.seal.prev}
	r.which = 1 - r.which
}

// soil puts a recording on the syncer's list.
func (s *Store) soil(r *recording, over bool) {
	if !over && r.dirty.Load() {
		return
	}
	s.syncing.began.CompareAndSwap(0, time.Now().UnixNano())
	s.mu.Lock()
	defer s.mu.Unlock()
	r.over = r.over || over
	if !r.dirty.Swap(true) {
		s.dirty = append(s.dirty, r)
	}
}

// appendEnd writes the chunk after which nothing comes.
func (s *Store) appendEnd(r *recording) error {
	if r.last == nil {
		c := newChunk(nil)
		r.mu.Lock()
		c.first, c.last = r.startAt, r.stopAt
		r.cut = r.forced || r.startAt == 0
		r.mu.Unlock()
		c.lost = uint32(r.lostMS(s))
		r.last = c
	}
	flags := uint8(0)
	if r.cut {
		flags = cutFlag
	}
	err := s.append(r, r.last, endChunk, flags)
	r.done = err == nil
	return err
}

// lostMS is the audio that should be there and is not. What the network lost is
// not ours to count, unless a tap overflowed meanwhile and the two cannot be told
// apart. Of two parties the one that lost more counts.
func (r *recording) lostMS(s *Store) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.overflowed = r.overflowed || s.tapDropped.Load() != r.taps
	worst := int64(0)
	for i := range r.lost {
		lost := r.lost[i]
		if r.overflowed {
			lost = max(lost, r.missing[i].lost())
		}
		worst = max(worst, lost)
	}
	return worst / int64(time.Millisecond)
}
