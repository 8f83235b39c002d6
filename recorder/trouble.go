package recorder

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Trouble is something about the disk that an operator must see to. No call
// suffers of it, recordings do or will.
type Trouble struct {
	Kind  string // one of Troubles
	Since time.Time
	Text  string
}

// Kinds of trouble.
const (
	TroubleFull     = "full"     // no room, or what is left is not for recordings
	TroubleReadOnly = "readonly" // the file system takes no writes
	TroubleFailing  = "failing"  // writes or syncs fail otherwise
	TroubleStalled  = "stalled"  // a write does not return
	TroubleUnsynced = "unsynced" // what is written does not reach the disk
	TroubleScarce   = "scarce"   // so little room that nothing new is recorded
	TroubleLow      = "low"      // room is getting short
)

// Troubles lists the kinds.
func Troubles() []string {
	return []string{TroubleFull, TroubleReadOnly, TroubleFailing, TroubleStalled, TroubleUnsynced, TroubleScarce, TroubleLow}
}

const (
	watchEvery   = 500 * time.Millisecond
	stalledAfter = time.Second     // a write takes microseconds
	unsyncedMost = 5 * time.Second // a sync is due every second
	forecast     = 24 * time.Hour  // a disk that will be full by then is low

	lowPercent, lowMost       = 10, 100 << 30 // below both of these bytes of room, room is low
	scarcePercent, scarceMost = 2, 20 << 30   // and nothing new is recorded
)

// fault is an error of the disk that has not gone away.
type fault struct {
	err   error
	since time.Time
}

// blame notes that the disk has failed; the first of several counts.
func blame(p *atomic.Pointer[fault], err error, now time.Time) {
	p.CompareAndSwap(nil, &fault{err, now})
}

// Room is how much space the file system of the recordings has.
type Room struct {
	Free, Total uint64        // bytes; Total 0: not known
	FullIn      time.Duration // at the rate of the last hour; 0: not foreseeable
}

func (r Room) below(percent, most uint64) bool {
	return r.Total > 0 && r.Free < min(r.Total/100*percent, most)
}

// Room tells how much space there is; it is up to a second old.
func (s *Store) Room() Room {
	if r := s.room.Load(); r != nil {
		return *r
	}
	return Room{}
}

// Suspend has nothing written until it is called with nil: the room that is left is
// kept for others. Recordings wait in memory meanwhile, for about a minute each.
func (s *Store) Suspend(why error) {
	if why == nil {
		s.suspended.Store(nil)
		return
	}
	s.suspended.CompareAndSwap(nil, &fault{why, time.Now()})
}

// MayRecord says why a recording that begins now would not be kept, or nil. What is
// in progress goes on being written as long as anything can be.
func (s *Store) MayRecord() error {
	for _, t := range s.Trouble(time.Now()) {
		if t.Kind != TroubleLow && t.Kind != TroubleUnsynced {
			return errors.New(t.Text)
		}
	}
	return nil
}

// Trouble tells what is wrong with the disk at the moment, the worst first.
func (s *Store) Trouble(now time.Time) (all []Trouble) {
	add := func(kind string, since time.Time, format string, args ...any) {
		all = append(all, Trouble{kind, since, "recordings: " + fmt.Sprintf(format, args...)})
	}
	if f := s.suspended.Load(); f != nil {
		add(TroubleFull, f.since, "%v", f.err)
	}
	for _, p := range []*atomic.Pointer[fault]{&s.writeFault, &s.syncFault} {
		if f := p.Load(); f != nil {
			add(kindOf(f.err), f.since, "%v", f.err)
		}
	}
	for _, w := range []*work{&s.writing, &s.closing, &s.gauging} {
		if since := w.since(); !since.IsZero() && now.Sub(since) >= stalledAfter {
			add(TroubleStalled, since, "the disk has not answered for %v", now.Sub(since).Round(time.Second))
			break
		}
	}
	if since := s.syncing.since(); !since.IsZero() && now.Sub(since) >= unsyncedMost {
		add(TroubleUnsynced, since, "the disk has been behind for %v", now.Sub(since).Round(time.Second))
	}
	switch r := s.Room(); {
	case r.below(scarcePercent, scarceMost):
		add(TroubleScarce, now, "%d MiB of %d left: nothing new is recorded", r.Free>>20, r.Total>>20)
	case r.below(lowPercent, lowMost):
		add(TroubleLow, now, "%d MiB of %d left", r.Free>>20, r.Total>>20)
	case r.FullIn > 0 && r.FullIn < forecast:
		add(TroubleLow, now, "the disk will be full in %v", r.FullIn.Round(time.Minute))
	}
	return all
}

func kindOf(err error) string {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return TroubleFull
	case errors.Is(err, unix.EROFS):
		return TroubleReadOnly
	}
	return TroubleFailing
}

// work is a piece of work with the disk, which may not return.
type work struct{ began atomic.Int64 }

func (w *work) begin(now time.Time) { w.began.Store(now.UnixNano()) }
func (w *work) end()                { w.began.Store(0) }

func (w *work) since() time.Time {
	if at := w.began.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// watch tells in the log when trouble begins and when it is over, and keeps the
// figures of the file system fresh, until stop.
func (s *Store) watch(stop <-chan struct{}) {
	var gauge sync.WaitGroup
	gauge.Go(func() { s.gauge(stop) })
	defer gauge.Wait()
	every := time.NewTicker(watchEvery)
	defer every.Stop()
	var told []string
	for {
		select {
		case <-every.C:
		case <-stop:
			return
		}
		var kinds []string
		for _, t := range s.Trouble(time.Now()) {
			if slices.Contains(kinds, t.Kind) {
				continue
			}
			kinds = append(kinds, t.Kind)
			if slices.Contains(told, t.Kind) {
				continue
			}
			say := s.log.Error
			if t.Kind == TroubleLow {
				say = s.log.Warn
			}
			say("recordings are in trouble", zap.String("kind", t.Kind), zap.String("what", t.Text))
		}
		for _, k := range told {
			if !slices.Contains(kinds, k) {
				s.log.Info("recordings are out of trouble", zap.String("kind", k))
			}
		}
		told = kinds
	}
}

// gauge looks every second how much room there is, and whether a disk that has
// failed works again when nothing else tries. It may hang with the disk; watch sees
// that.
func (s *Store) gauge(stop <-chan struct{}) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	var past usage
	for {
		now := time.Now()
		s.gauging.begin(now)
		if free, total, err := s.disk.room(s.dir); err == nil {
			r := Room{Free: free, Total: total}
			r.FullIn = past.fullIn(now, s.written.Load(), r)
			s.room.Store(&r)
		}
		if s.writeFault.Load() != nil && s.recordings.Size() == 0 && s.probe() == nil {
			s.writeFault.Store(nil)
		}
		s.gauging.end()
		s.memory.trim()
		select {
		case <-every.C:
		case <-stop:
			return
		}
	}
}

// probe tries to write.
func (s *Store) probe() error {
	path := filepath.Join(s.openDir(), ".probe")
	err := s.disk.put(path, []byte(strings.Repeat("probe ", 1000)))
	return errors.Join(err, s.disk.remove(path))
}

// usage is what was written in the last hour, by the minute.
type usage struct {
	at      [61]time.Time
	written [61]uint64
	n       int
}

// fullIn is how long the room lasts, once there are ten minutes to judge by.
func (u *usage) fullIn(now time.Time, written uint64, r Room) time.Duration {
	last := (u.n + len(u.at) - 1) % len(u.at)
	if u.n == 0 || now.Sub(u.at[last]) >= time.Minute {
		u.at[u.n%len(u.at)], u.written[u.n%len(u.at)] = now, written
		u.n++
	}
	first := 0
	if u.n > len(u.at) {
		first = u.n % len(u.at)
	}
	over, grown := now.Sub(u.at[first]), written-u.written[first]
	least := min(r.Total/100*scarcePercent, scarceMost)
	if over < 10*time.Minute || grown == 0 || r.Free <= least {
		return 0
	}
	left := float64(r.Free-least) / float64(grown) * float64(over)
	return time.Duration(min(left, float64(10*365*24*time.Hour)))
}
