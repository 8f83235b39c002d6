package recorder

import (
	"context"
	"sync"
	"time"

	"foyer/rtp"
)

// Run consumes the taps until ctx ends and every recording is closed; recordings
// that nobody ends are cut 3 s later. It is called once.
func (s *Store) Run(ctx context.Context, taps []*rtp.Tap) error {
	var readers, closer, syncer, watcher sync.WaitGroup
	stopReaders, stopSyncer := make(chan struct{}), make(chan struct{})
	watcher.Go(func() { s.watch(stopSyncer) })
	for _, t := range taps {
		readers.Go(func() { s.read(t, stopReaders) })
	}
	closer.Go(func() {
		for r := range s.done {
			s.closing.begin(time.Now())
			s.guard("closing a recording", func() { s.close(r) })
			s.closing.end()
		}
	})
	syncer.Go(func() { s.sync(stopSyncer) })

	s.write(ctx.Done())

	close(stopReaders)
	readers.Wait()
	close(s.done)
	closer.Wait()
	close(stopSyncer)
	syncer.Wait()
	watcher.Wait()
	return nil
}

// read empties one tap every 20 ms while there is something in it.
func (s *Store) read(t *rtp.Tap, stop <-chan struct{}) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	var dropped uint64
	k := &taker{s: s}
	for {
		for !s.guard("taking a packet", func() { t.Read(k.take) }) {
			k.breakOff() // and on, behind that packet
		}
		if n := t.Dropped(); n != dropped {
			s.tapDropped.Add(n - dropped)
			dropped = n
		}
		pause.Reset(readEvery)
		select {
		case <-pause.C:
		case <-stop:
			return
		}
		select {
		case <-t.Wake():
		case <-stop:
			return
		}
	}
}

// write appends what has come to every recording's file, and closes those that
// have ended, until stop and the last of them.
func (s *Store) write(stop <-chan struct{}) {
	var active []*recording
	var stopped time.Time
	for {
		active = s.adopt(active)
		now := time.Now()
		if stopped.IsZero() && isClosed(stop) {
			stopped = now
			s.refuse()
			continue // one more may have begun before
		}
		overdue := !stopped.IsZero() && now.Sub(stopped) >= lastWait
		live, failing := active[:0], false
		for _, r := range active {
			if overdue {
				r.force(now)
			}
			over := true // also one whose writing broke: what it has is kept
			s.writing.begin(now)
			if !s.guard("writing a recording", func() { over = s.advance(r, now) }) {
				r.breakOff()
			}
			s.writing.end()
			if over {
				s.recordings.Delete(r.handle)
				s.done <- r
				continue
			}
			live = append(live, r)
			failing = failing || r.failed != nil
		}
		if !failing && len(live) > 0 {
			s.writeFault.Store(nil)
		}
		clear(active[len(live):])
		active = live
		switch {
		case len(active) > 0:
			time.Sleep(sweepEvery)
		case !stopped.IsZero():
			return
		default:
			select {
			case <-s.kick:
			case <-stop:
			}
		}
	}
}

// adopt adds the recordings begun since the last look.
func (s *Store) adopt(active []*recording) []*recording {
	s.mu.Lock()
	defer s.mu.Unlock()
	active = append(active, s.fresh...)
	clear(s.fresh)
	s.fresh = s.fresh[:0]
	return active
}

// refuse makes Begin say ErrClosed from now on.
func (s *Store) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
