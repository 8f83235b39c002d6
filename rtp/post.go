package rtp

import (
	"fmt"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// post has f carried out on the shard. After the shard has ended f is carried
// out all the same, by one caller of post at a time, so that nobody waits for an
// answer that never comes.
func (s *shard) post(f func()) {
	s.mu.Lock()
	s.posted = append(s.posted, f)
	switch {
	case s.ended:
		s.finish()
	case s.resting.Load():
		s.ring()
	}
	s.mu.Unlock()
}

// finish carries out what was posted to a shard that has ended. It is called
// with the lock held, and gives it back while something runs: that may post too.
func (s *shard) finish() {
	if s.finishing {
		return
	}
	s.finishing = true
	for len(s.posted) > 0 {
		list := s.posted
		s.posted = nil
		s.mu.Unlock()
		for _, f := range list {
			s.safely(f)
		}
		s.mu.Lock()
	}
	s.finishing = false
}

// ring ends the rest. A full counter means that it has been rung already.
func (s *shard) ring() {
	one := [8]byte{0: 1}
	_, _ = unix.Write(s.wake, one[:])
}

// obey carries out what was posted.
func (s *shard) obey() {
	if s.done == len(s.running) {
		s.mu.Lock()
		s.running, s.posted = s.posted, s.running[:0]
		s.mu.Unlock()
		s.done = 0
	}
	for s.done < len(s.running) {
		f := s.running[s.done]
		s.running[s.done] = nil
		s.done++
		f()
		s.current = nil
	}
}

// safely runs f; a panic ends the leg it happened in.
func (s *shard) safely(f func()) {
	defer s.rescue()
	f()
}

func (s *shard) rescue() {
	if r := recover(); r != nil {
		s.blame(fmt.Errorf("media leg: %v", r))
	}
}

// blame ends the leg whose work failed.
func (s *shard) blame(err error) {
	l := s.current
	s.current = nil
	s.faults.Add(1)
	if l == nil {
		s.log.Error("media shard", zap.Error(err), zap.Stack("stack"))
		return
	}
	s.log.Error("media leg ended by a fault", zap.Stringer("port", l.local), zap.Error(err), zap.Stack("stack"))
	sink := l.sink
	l.sink = nil // it may be what failed
	s.end(l)
	defer func() { _ = recover() }()
	l.sink = sink
	l.tell(Broken{Err: err})
}
