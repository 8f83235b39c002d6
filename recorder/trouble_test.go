package recorder

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"foyer/rtp"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"
)

func (s *Store) kinds() (kinds []string) {
	for _, t := range s.Trouble(time.Now()) {
		kinds = append(kinds, t.Kind)
	}
	return kinds
}

// live plays records at the pace of life, and calls at before each.
func (b *bench) live(handle uint64, records []rtp.TapRecord, at func(time.Duration)) {
	began := time.Now()
	for _, p := range records {
		after := time.Duration(p.At - callStart.UnixNano())
		time.Sleep(time.Until(began.Add(after)))
		at(after)
		p.Recording = handle
		b.take(p)
	}
}

// Whatever the disk says, the recording is whole if it says so for less than a
// minute, and says what it lost if it was longer; the alarm rises within 2 s and
// goes when it is over.
func TestDiskRefuses(t *testing.T) {
	for _, c := range []struct {
		err  error
		kind string
		long time.Duration
	}{
		{unix.ENOSPC, TroubleFull, 20 * time.Second},
		{unix.EDQUOT, TroubleFull, 20 * time.Second},
		{unix.EROFS, TroubleReadOnly, 20 * time.Second},
		{unix.EIO, TroubleFailing, 20 * time.Second},
		{unix.EROFS, TroubleReadOnly, 90 * time.Second},
		{unix.EIO, TroubleFailing, 90 * time.Second},
	} {
		t.Run(fmt.Sprint(c.err, " for ", c.long), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				disk, seen := &faulty{}, newSeen()
				b := running(t, Options{Dir: dir, Log: seen.log}, func(s *Store) { s.disk = disk })
				handle, id := b.begin(Meta{})
				const from = 10 * time.Second
				risen := time.Duration(0)
				length := from + c.long + 20*time.Second
				b.live(handle, talk(length, caller, agent), func(at time.Duration) {
					refuses := at >= from && at < from+c.long
					if refuses {
						disk.refuse(c.err)
					} else {
						disk.refuse(nil)
					}
					alarm := slices.Contains(b.kinds(), c.kind) && seen.alarm(c.kind)
					switch {
					case at < from && alarm:
						t.Fatalf("trouble before there was any, at %v", at)
					case alarm && risen == 0:
						risen = at - from
						if err := b.MayRecord(); err == nil {
							t.Error("new recordings would be kept, it says")
						}
					case at > from+c.long+2*time.Second && len(b.kinds()) > 0:
						t.Fatalf("still in trouble: %v", b.kinds())
					}
				})
				if risen == 0 || risen > 2*time.Second {
					t.Errorf("the alarm rose after %v", risen)
				}
				b.End(handle)
				info := b.waitEnded()
				b.stop()
				if info.State != stateComplete {
					t.Errorf("%+v", info)
				}
				lost := time.Duration(info.LostMS) * time.Millisecond
				within(t, "lost", lost, max(0, c.long-64*time.Second), 4*time.Second)
				if v, err := Verify(dir, id, ""); err != nil || !v.OK {
					t.Errorf("%+v, %v", v, err)
				}
				w := rendered(t, dir, id, "")
				within(t, "length", w.length(), length, frameLength)
				within(t, "silence", silence(w.left, 440), lost, 400*time.Millisecond)
			})
		})
	}
}

// silence is how long a tone cannot be heard.
func silence(pcm []float64, hz float64) (d time.Duration) {
	for at := 0; at+800 <= len(pcm); at += 800 {
		if level(pcm[at:at+800], hz) < 8000 {
			d += 100 * time.Millisecond
		}
	}
	return d
}

// seen is a log that tells what was said.
type seen struct {
	log  *zap.Logger
	logs *observer.ObservedLogs
}

func newSeen() seen {
	core, logs := observer.New(zapcore.InfoLevel)
	return seen{zap.New(core), logs}
}

func (s seen) alarm(kind string) bool {
	return s.logs.FilterMessage("recordings are in trouble").FilterField(zap.String("kind", kind)).Len() > 0
}

// When fdatasync fails, what it should have brought to the disk is written again in
// another file, and no byte of the first is needed from there on.
func TestSyncFails(t *testing.T) {
	identity, recipient := keys(t)
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprint("pages gone at once ", gone), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				disk, seen := &faulty{}, newSeen()
				b := running(t, Options{Dir: dir, Recipient: recipient, Log: seen.log}, func(s *Store) { s.disk = disk })
				handle, id := b.begin(Meta{})
				r, _ := b.recordings.Load(handle)
				rec, _ := parseID(id)
				var safe int64 // when the sync failed
				disk.onFailure = func() { safe = r.safe.size.Load() }
				failed := false
				b.live(handle, talk(20*time.Second, caller, agent), func(at time.Duration) {
					if at >= 10*time.Second && !failed {
						failed = true
						disk.unreadable.Store(gone)
						disk.syncFails.Store(1)
					}
				})
				b.End(handle)
				info := b.waitEnded()
				b.stop()
				if !seen.alarm(TroubleFailing) {
					t.Error("no alarm")
				}
				parts, err := partsOf(recordingDir(dir, rec))
				if err != nil || len(parts) != 2 {
					t.Fatalf("%v, %v", parts, err)
				}
				// The power fails, and the pages are not there.
				if err := os.Truncate(audioPath(dir, rec), safe); err != nil {
					t.Fatal(err)
				}
				v, err := Verify(dir, id, identity)
				w := rendered(t, dir, id, identity)
				quiet := silence(w.left, 440)
				if !gone {
					if err != nil || !v.OK || info.LostMS != 0 || info.State != stateComplete || quiet > 0 {
						t.Errorf("%+v, %v, %+v, %v silent", v, err, info, quiet)
					}
					return
				}
				if err != nil || v.OK || !strings.Contains(fmt.Sprint(v.Problems), "should be") {
					t.Errorf("a loss was not found: %+v, %v", v, err)
				}
				lost := time.Duration(info.LostMS) * time.Millisecond
				if lost == 0 || lost > 2*time.Second {
					t.Errorf("lost %v", lost)
				}
				within(t, "silence", quiet, lost, 400*time.Millisecond)
			})
		})
	}
}

// A disk whose syncs fail for good costs nothing but files, and the last second of a
// recording is moved too.
func TestSyncFailsForGood(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &faulty{}
		disk.syncFails.Store(1 << 30)
		b := running(t, Options{Dir: dir}, func(s *Store) { s.disk = disk })
		handle, id := b.begin(Meta{})
		b.live(handle, talk(30*time.Second, caller, agent), func(time.Duration) {})
		b.End(handle)
		info := b.waitEnded()
		b.stop()
		rec, _ := parseID(id)
		parts, err := partsOf(recordingDir(dir, rec))
		if err != nil || len(parts) < 4 || len(parts) > 15 {
			t.Errorf("%d files, %v", len(parts), err)
		}
		if v, err := Verify(dir, id, ""); err != nil || !v.OK || info.LostMS != 0 {
			t.Errorf("%+v, %v, %+v", v, err, info)
		}
		if w := rendered(t, dir, id, ""); silence(w.right, 1000) > 0 || w.length() != 30*time.Second {
			t.Errorf("%v, of which silent %v", w.length(), silence(w.right, 1000))
		}
	})
}

// A disk that hangs raises the alarm within 2 s of real time, costs no packet, and
// recordings in progress go on when it is back.
func TestDiskHangs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: not in make check")
	}
	t.Parallel()
	disk, seen := &faulty{awake: make(chan struct{})}, newSeen()
	b := running(t, Options{Log: seen.log}, func(s *Store) { s.disk = disk })
	handle, id := b.begin(Meta{})
	var hung, risen time.Time
	longest := time.Duration(0)
	b.live(handle, talk(6*time.Second, caller, agent), func(at time.Duration) {
		if at >= 2*time.Second && hung.IsZero() {
			hung = time.Now()
			disk.stalled.Store(true)
		}
		if risen.IsZero() && seen.alarm(TroubleStalled) {
			risen = time.Now()
		}
		before := time.Now()
		_ = b.Stats()
		longest = max(longest, time.Since(before))
	})
	if risen.IsZero() || risen.Sub(hung) > 2*time.Second {
		t.Errorf("the alarm rose after %v", risen.Sub(hung))
	}
	if longest > time.Second {
		t.Errorf("somebody waited for the disk for %v", longest)
	}
	disk.stalled.Store(false)
	close(disk.awake)
	b.End(handle)
	if info := b.waitEnded(); info.State != stateComplete || info.LostMS != 0 {
		t.Errorf("%+v", info)
	}
	eventually(t, "out of trouble", func() bool { return !slices.Contains(b.kinds(), TroubleStalled) })
	b.stop()
	if v, err := Verify(b.dir, id, ""); err != nil || !v.OK {
		t.Errorf("%+v, %v", v, err)
	}
	if w := rendered(t, b.dir, id, ""); silence(w.left, 440) > 0 {
		t.Errorf("%v silent", silence(w.left, 440))
	}
}

// Room is kept for others: suspended, nothing is written, and what comes waits.
func TestSuspended(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := running(t, Options{Dir: dir}, nil)
		handle, id := b.begin(Meta{})
		var written uint64
		b.live(handle, talk(40*time.Second, caller, agent), func(at time.Duration) {
			switch {
			case at >= 5*time.Second && at < 30*time.Second:
				b.Suspend(fmt.Errorf("kept for the journal: %w", unix.ENOSPC))
				if at < 6*time.Second {
					written = b.Stats().Bytes
				} else if b.Stats().Bytes != written || !slices.Contains(b.kinds(), TroubleFull) {
					t.Fatalf("at %v: %d bytes, then %d; %v", at, written, b.Stats().Bytes, b.kinds())
				}
			default:
				b.Suspend(nil)
			}
		})
		b.End(handle)
		if info := b.waitEnded(); info.State != stateComplete || info.LostMS != 0 {
			t.Errorf("%+v", info)
		}
		b.stop()
		if v, err := Verify(dir, id, ""); err != nil || !v.OK {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

func TestRoom(t *testing.T) {
	dir := t.TempDir()
	const GiB = 1 << 30
	for _, c := range []struct {
		free, total uint64
		kind        string
		may         bool
	}{
		{50 * GiB, 100 * GiB, "", true},
		{9 * GiB, 100 * GiB, TroubleLow, true},
		{1900 << 20, 100 * GiB, TroubleScarce, false},
		{110 * GiB, 10000 * GiB, "", true}, // 1 %, and a day of a thousand calls
		{90 * GiB, 10000 * GiB, TroubleLow, true},
		{19 * GiB, 10000 * GiB, TroubleScarce, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			disk := &faulty{}
			disk.free.Store(c.free)
			disk.total.Store(c.total)
			b := running(t, Options{Dir: dir}, func(s *Store) { s.disk = disk })
			time.Sleep(2 * time.Second)
			kind := ""
			if k := b.kinds(); len(k) > 0 {
				kind = k[0]
			}
			if err := b.MayRecord(); kind != c.kind || err == nil != c.may {
				t.Errorf("%d of %d GiB: %q, may record: %v", c.free/GiB, c.total/GiB, kind, err)
			}
			b.stop()
		})
	}
	// At this rate it lasts another ten hours.
	var u usage
	r := Room{Free: 12 * GiB, Total: 100 * GiB}
	at, written := callStart, uint64(0)
	for range 120 {
		at, written = at.Add(time.Minute), written+GiB/60
		if in := u.fullIn(at, written, r); at.Sub(callStart) < 10*time.Minute && in != 0 {
			t.Fatalf("foretold after %v", at.Sub(callStart))
		}
	}
	within(t, "full in", u.fullIn(at, written, r), 10*time.Hour, 10*time.Minute)
}

// A disk that failed when nothing was recorded is tried until it works.
func TestProbe(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &faulty{}
		b := running(t, Options{Dir: dir}, func(s *Store) { s.disk = disk })
		disk.refuse(unix.EROFS)
		handle, _ := b.begin(Meta{})
		b.live(handle, talk(time.Second, caller), func(time.Duration) {})
		b.End(handle)
		time.Sleep(2 * diskWait)
		if info := b.waitEnded(); info.State != stateInterrupted || info.LostMS < 900 {
			t.Errorf("%+v", info)
		}
		time.Sleep(time.Minute)
		if err := b.MayRecord(); err == nil || !slices.Contains(b.kinds(), TroubleReadOnly) {
			t.Errorf("forgot that the disk takes nothing: %v", b.kinds())
		}
		disk.refuse(nil)
		time.Sleep(2 * time.Second)
		if err := b.MayRecord(); err != nil {
			t.Error(err)
		}
		b.stop()
		if left, _ := filepath.Glob(filepath.Join(dir, ".open", "*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

var errUnreadable = errors.New("the pages are gone")

// A file's name tells its place; what looks like one and is none is left out.
func TestPartsInOrder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{audioFile, "audio-02-10.fyr", "audio-01-5.fyr", "audio-1-5.fyr", "audio-x.fyr", sheetFile, ".meta.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte(name[:1]), 3), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parts, err := partsOf(dir)
	if err != nil || fmt.Sprint(parts) != "[{audio.fyr 0} {audio-01-5.fyr 5} {audio-02-10.fyr 10}]" {
		t.Errorf("%v, %v", parts, err)
	}
}
