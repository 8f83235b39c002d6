package recorder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// faulty is a disk that fails when told to.
type faulty struct {
	linux
	full       atomic.Bool // writes get through by half, then ENOSPC
	stalled    atomic.Bool
	awake      chan struct{}         // closed when the stall is over
	stuck      atomic.Bool           // truncate fails too
	refusal    atomic.Pointer[error] // of everything that writes
	syncFails  atomic.Int32          // so many syncs to come fail
	onFailure  func()                // called in a sync that fails
	unreadable atomic.Bool           // nothing can be read back
	free       atomic.Uint64         // with total, what room says
	total      atomic.Uint64         // 0: as it is
}

func (f *faulty) refuse(err error) {
	if err == nil {
		f.refusal.Store(nil)
		return
	}
	f.refusal.Store(&err)
}

func (f *faulty) refuses() error {
	if err := f.refusal.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *faulty) write(fd int, b []byte) (int, error) {
	if f.stalled.Load() {
		<-f.awake
	}
	if err := f.refuses(); err != nil {
		return 0, err
	}
	if f.full.Load() {
		n, _ := f.linux.write(fd, b[:len(b)/2])
		return n, unix.ENOSPC
	}
	return f.linux.write(fd, b)
}

func (f *faulty) mkdir(path string) error {
	if err := f.refuses(); err != nil {
		return err
	}
	return f.linux.mkdir(path)
}

func (f *faulty) put(path string, text []byte) error {
	if err := f.refuses(); err != nil {
		return err
	}
	return f.linux.put(path, text)
}

func (f *faulty) sync(fds []int) ([]int, error) {
	if f.syncFails.Load() > 0 {
		f.syncFails.Add(-1)
		if f.onFailure != nil {
			f.onFailure()
		}
		return []int{0}, unix.EIO
	}
	return f.linux.sync(fds)
}

func (f *faulty) read(fd int, b []byte, at int64) (int, error) {
	if f.unreadable.Load() {
		return 0, errUnreadable
	}
	return f.linux.read(fd, b, at)
}

func (f *faulty) room(path string) (free, total uint64, err error) {
	if total = f.total.Load(); total > 0 {
		return f.free.Load(), total, nil
	}
	return f.linux.room(path)
}

func (f *faulty) truncate(fd int, size int64) error {
	if f.stuck.Load() {
		return unix.EIO
	}
	return f.linux.truncate(fd, size)
}

// A full disk costs nothing when it is emptied within a minute, and nothing but a
// marked gap later; the file is sound all the time.
func TestDiskFull(t *testing.T) {
	for _, c := range []struct {
		full  time.Duration
		stuck bool
		lost  bool
	}{{30 * time.Second, false, false}, {30 * time.Second, true, false}, {100 * time.Second, false, true}} {
		t.Run(fmt.Sprint(c.full, c.stuck), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				disk := &faulty{}
				b := running(t, Options{Dir: dir}, func(s *Store) { s.disk = disk })
				handle, id := b.begin(Meta{})
				length := c.full + 40*time.Second
				began := time.Now()
				for _, p := range talk(length, caller, agent) {
					at := time.Duration(p.At - callStart.UnixNano())
					time.Sleep(time.Until(began.Add(at)))
					full := at > 10*time.Second && at < 10*time.Second+c.full
					disk.full.Store(full)
					disk.stuck.Store(full && c.stuck)
					p.Recording = handle
					b.take(p)
				}
				b.End(handle)
				info := b.waitEnded()
				b.stop()
				if info.State != stateComplete || info.LostMS > 0 != c.lost || b.Stats().WriteErrors == 0 {
					t.Errorf("%+v, %+v", info, b.Stats())
				}
				if c.lost {
					within(t, "lost", time.Duration(info.LostMS)*time.Millisecond, c.full-64*time.Second, 4*time.Second)
				}
				v, err := Verify(dir, id, "")
				if err != nil || !v.OK {
					t.Errorf("%+v, %v", v, err)
				}
				w := rendered(t, dir, id, "")
				within(t, "length", w.length(), length, frameLength)
				silent := 0
				for at := 0; at+800 <= len(w.left); at += 800 {
					if level(w.left[at:at+800], 440) < 8000 {
						silent++
					}
				}
				within(t, "silence", time.Duration(silent)*100*time.Millisecond, time.Duration(info.LostMS)*time.Millisecond, 300*time.Millisecond)
			})
		})
	}
}

// A disk that hangs holds up nobody: packets are taken, audio waits in memory.
func TestDiskStalls(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &faulty{awake: make(chan struct{})}
		b := running(t, Options{Dir: dir}, func(s *Store) { s.disk = disk })
		handle, id := b.begin(Meta{})
		began := time.Now()
		for _, p := range talk(40*time.Second, caller, agent) {
			at := time.Duration(p.At - callStart.UnixNano())
			time.Sleep(time.Until(began.Add(at)))
			p.Recording = handle
			if at >= 5*time.Second {
				disk.stalled.Store(true)
			}
			b.take(p)
		}
		if backlog := b.Stats().Backlog; backlog < 30*time.Second {
			t.Errorf("backlog %v", backlog)
		}
		disk.stalled.Store(false)
		close(disk.awake)
		b.End(handle)
		if info := b.waitEnded(); info.State != stateComplete || info.LostMS != 0 {
			t.Errorf("%+v", info)
		}
		b.stop()
		w := rendered(t, dir, id, "")
		if l := level(w.left, 440); l < 11500 || w.length() != 40*time.Second {
			t.Errorf("level %.0f, %v", l, w.length())
		}
	})
}

// A disk that never comes back: the recording ends all the same, and says so.
func TestDiskGone(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &faulty{}
		b := running(t, Options{Dir: dir}, func(s *Store) { s.disk = disk })
		handle, id := b.begin(Meta{})
		records := talk(10*time.Second, caller)
		b.feed(handle, records[:200])
		time.Sleep(time.Second)
		disk.full.Store(true)
		b.feed(handle, records[200:])
		b.End(handle)
		time.Sleep(2 * diskWait)
		info := b.waitEnded()
		if info.State != stateInterrupted || info.LostMS < 5000 {
			t.Errorf("%+v", info)
		}
		b.stop()
		if v, err := Verify(dir, id, ""); err != nil || !v.OK {
			t.Errorf("%+v, %v", v, err)
		}
		if b.inMemory.Load() != 0 {
			t.Errorf("%d chunks never given back", b.inMemory.Load())
		}
	})
}

// A real full file system, where the test may mount one; the faulty disk above
// shows the same everywhere.
func TestFullFileSystem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"); err != nil {
		if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
			t.Fatal(err)
		}
		t.Skipf("may not mount a small file system (%v): TestDiskFull stands for it", err)
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 80<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	b := running(t, Options{Dir: dir}, nil)
	handle, id := b.begin(Meta{})
	records := talk(4*time.Second, caller, agent) // 70 kB
	b.feed(handle, records)
	eventually(t, "the file system is full", func() bool { return b.Stats().WriteErrors > 0 })
	if v, err := Verify(dir, id, ""); err != nil || !v.OK || len(v.Notes) > 0 {
		t.Errorf("while full: %+v, %v", v, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	b.End(handle)
	if info := b.waitEnded(); info.State != stateComplete || info.LostMS != 0 {
		t.Errorf("%+v", info)
	}
	b.stop()
	if w := rendered(t, dir, id, ""); w.length() != 4*time.Second || level(w.right, 1000) < 11000 {
		t.Errorf("%v", w.length())
	}
}

// Who lists recordings looks whether the file of one is locked, also in the moment
// between its making and its locking: that must not cost the recording.
func TestCreateBesideWhoLooks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	var looking atomic.Bool
	looking.Store(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for looking.Load() {
			written(path)
		}
	}()
	for range 3000 {
		fd, err := linux{}.create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join((linux{}).close(fd), os.Remove(path)); err != nil {
			t.Fatal(err)
		}
	}
	looking.Store(false)
	<-done
}
