package recorder

import (
	"errors"
	"runtime/debug"

	"go.uber.org/zap"
)

// errFault is why a recording was broken off.
var errFault = errors.New("a fault of ours")

// guard runs f and confines a broken invariant of ours to it: no recording costs
// another, nor a call. It reports whether f came through.
func (s *Store) guard(doing string, f func()) (whole bool) {
	defer func() {
		if p := recover(); p != nil {
			s.broken(doing, p)
			whole = false
		}
	}()
	f()
	return true
}

func (s *Store) broken(doing string, p any) {
	s.faults.Add(1)
	s.log.Error("broken: "+doing, zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
}

// breakOff ends a recording whose handling broke: it becomes interrupted, with what is
// in its file.
func (r *recording) breakOff() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shut, r.forced = true, true
	if r.failed == nil {
		r.failed = errFault
	}
}
