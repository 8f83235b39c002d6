package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"foyer/acd"
	"foyer/ledger"
	"foyer/recorder"
)

// The reserve is let go when room runs out and taken back when there is some, and
// recordings are suspended meanwhile.
func TestReserve(t *testing.T) {
	t.Parallel()
	const MiB = 1 << 20
	dir := t.TempDir()
	v := newReserve(dir, 256*MiB, zap.NewNop())
	var free, total int64 = 10000 * MiB, 100 * MiB // 2 % of it are 2 MiB
	v.room = func(string) (int64, int64, error) { return free, total, nil }
	var why error
	v.suspend = func(err error) { why = err }
	for i, c := range []struct {
		free      int64
		held      bool
		suspended bool
	}{
		{10000 * MiB, true, false},
		{1 * MiB, true, false},
		{MiB / 2, true, false},
		{MiB/2 - 1, false, true},
		{2 * MiB, false, true}, // what it gave is not room for recordings
		{5*MiB - 1, false, true},
		{5 * MiB, true, false},
		{0, false, true},
	} {
		free = c.free
		v.look()
		st, err := os.Stat(filepath.Join(dir, reserveFile))
		if held := err == nil && st.Size() == 2*MiB; held != c.held || (why != nil) != c.suspended || v.gone.Load() == c.held {
			t.Fatalf("step %d, %d bytes free: held %v, suspended %v", i, c.free, held, why)
		}
		if err == nil && st.Sys() != nil && c.held {
			var s unix.Stat_t
			if err := unix.Stat(filepath.Join(dir, reserveFile), &s); err != nil || s.Blocks*512 < 2*MiB {
				t.Fatalf("its %d blocks are not there, %v", s.Blocks, err)
			}
		}
	}
	if !errors.Is(why, unix.ENOSPC) {
		t.Error(why)
	}
	// One that begins with a full disk knows it too.
	v = newReserve(t.TempDir(), 256*MiB, zap.NewNop())
	v.room = func(string) (int64, int64, error) { return MiB, total, nil }
	v.look()
	if !v.gone.Load() {
		t.Error("it says that room is kept")
	}
}

// smallDisk is a file system of its own, where the test may mount one.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
			t.Fatal(err)
		}
		t.Skipf("may not mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fill leaves so many bytes of a disk.
func fill(t *testing.T, dir string, leave int64) (file string) {
	t.Helper()
	free, _, err := roomOf(dir)
	if err == nil {
		file = filepath.Join(dir, "filler")
		err = allocate(file, free-leave)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// A disk that fills up in the middle of a call: the call goes on, so does the journal,
// the next call has its record, and the recording is whole when there is room again.
func TestDiskFillsUp(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "64m")
	s := openStage(t, dir)
	s.until("the reserve is held", func() bool {
		st, err := os.Stat(filepath.Join(dir, "data", reserveFile))
		return err == nil && st.Size() == (64<<20)/reserveShare
	})
	ana, caller := s.agent("ana", anaTone), s.caller(carrierHost, callerTone)
	out, in := s.connected(caller, ana)
	caller.hears(anaTone)
	filler := fill(t, dir, 200<<10)
	began := time.Now()
	s.until("an alarm", func() bool { code, text := s.ready(); return code == 200 && strings.Contains(text, "for the journal") })
	if took := time.Since(began); took > 2*time.Second+stageSlack {
		t.Errorf("the alarm rose after %v", took)
	}
	s.metrics(`foyer_recording_disk_trouble{kind="full"} 1`, "foyer_disk_reserve_held 0", "foyer_journal_errors_total 0")
	// A whole call while the disk is full.
	bo, second := s.agent("bo", 1500), s.caller(carrierHost, 700)
	other, rung := s.connected(second, bo)
	second.hears(1500)
	rung.Bye()
	second.expect(other, "BYE")
	s.until("its record", func() bool {
		rows, err := s.ex.cdrs.List(s.ctx, ledger.Query{Limit: 10})
		return err == nil && len(rows) == 1 && rows[0].Agent == "bo" && rows[0].RecordingID == ""
	})
	caller.hears(anaTone)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	s.until("no alarm", func() bool { _, text := s.ready(); return !strings.Contains(text, "warning") })
	s.metrics(`foyer_recording_disk_trouble{kind="full"} 0`, "foyer_disk_reserve_held 1",
		`foyer_recording_missing_total{policy="tout"} 1`, "foyer_journal_errors_total 0")
	in.Bye()
	caller.expect(out, "BYE")
	var row ledger.CDR
	s.until("its record", func() bool {
		rows, err := s.ex.cdrs.List(s.ctx, ledger.Query{Limit: 10})
		for _, r := range rows {
			if r.Agent == "ana" {
				row = r
			}
		}
		return err == nil && row.ID != ""
	})
	left, right := s.recorded(row.RecordingID)
	if power(left, callerTone) < 0.8 || power(right, anaTone) < 0.8 {
		t.Error("the recording does not hold the talk")
	}
	i, err := recorder.Find(s.cfg.Recording.Store.Dir, row.RecordingID)
	v, bad := recorder.Verify(s.cfg.Recording.Store.Dir, row.RecordingID, "")
	if err != nil || bad != nil || i.LostMS != 0 || !v.OK {
		t.Errorf("%+v, %v, %+v, %v", i, err, v, bad)
	}
}

// loopDisk mounts an ext4 whose blocks are in a file below backing, and take room there
// when they are first written.
func loopDisk(t *testing.T, backing string) (dir string) {
	t.Helper()
	image, dir := filepath.Join(backing, "image"), t.TempDir()
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 256<<20); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"mkfs.ext4", "-q", "-F", "-O", "^has_journal", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no file system of our own: %s: %v %s", command[0], err, out)
		}
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// freezer is a file system that can be made to stand still, where the test may have
// one: every write to it hangs until it is thawed.
func freezer(t *testing.T) (dir string, freeze, thaw func()) {
	t.Helper()
	dir = loopDisk(t, t.TempDir())
	const freezing, thawing = 0xC0045877, 0xC0045878 // FIFREEZE and FITHAW of linux/fs.h
	order := func(what uint) error {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		defer d.Close()
		return unix.IoctlSetInt(int(d.Fd()), what, 0)
	}
	t.Cleanup(func() { _ = order(thawing) })
	must := func(what uint) func() {
		return func() {
			t.Helper()
			if err := order(what); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir, must(freezing), must(thawing)
}

// A disk that stands still for some seconds: an alarm, and nothing else. The call that
// is up and one that begins meanwhile are recorded without a gap.
func TestDiskStandsStill(t *testing.T) {
	t.Parallel()
	dir, freeze, thaw := freezer(t)
	s := newStage(t, with("observability:", `recording: {store: {dir: "`+dir+`"}}`+"\nobservability:"))
	ana, caller := s.agent("ana", anaTone), s.caller(carrierHost, callerTone)
	out, in := s.connected(caller, ana)
	s.until("it is recorded", func() bool { return s.ex.recordings.Stats().Bytes > 10_000 })
	freeze()
	began := time.Now()
	s.until("an alarm", func() bool { code, text := s.ready(); return code == 200 && strings.Contains(text, "has not answered") })
	if took := time.Since(began); took > 2*time.Second+stageSlack {
		t.Errorf("the alarm rose after %v", took)
	}
	s.metrics(`foyer_recording_disk_trouble{kind="stalled"} 1`)
	bo, second := s.agent("bo", 1500), s.caller(carrierHost, 700)
	other, rung := s.connected(second, bo)
	second.hears(1500)
	bo.hears(700)
	caller.hears(anaTone)
	rung.Bye()
	second.expect(other, "BYE")
	s.until("its record", func() bool {
		rows, err := s.ex.cdrs.List(s.ctx, ledger.Query{Limit: 10})
		return err == nil && len(rows) == 1 && rows[0].Agent == "bo" && rows[0].RecordingID != ""
	})
	thaw()
	s.until("no alarm", func() bool { _, text := s.ready(); return !strings.Contains(text, "warning") })
	in.Bye()
	caller.expect(out, "BYE")
	var list []recorder.Info
	s.until("two recordings", func() bool {
		var err error
		list, err = recorder.List(dir, recorder.Filter{})
		return err == nil && len(list) == 2 && list[0].State == "complete" && list[1].State == "complete"
	})
	for _, i := range list {
		v, err := recorder.Verify(dir, i.ID, "")
		left, right := s.recorded(i.ID)
		tones := map[string][2]float64{"ana": {callerTone, anaTone}, "bo": {700, 1500}}[i.Agent]
		if err != nil || !v.OK || i.LostMS != 0 || power(left, tones[0]) < 0.8 || power(right, tones[1]) < 0.8 {
			t.Errorf("%+v, %+v, %v, %.2f and %.2f of the tones", i, v, err, power(left, tones[0]), power(right, tones[1]))
		}
	}
}

// A disk that takes what is written and cannot keep it, so that fdatasync fails (the
// blocks of this one have no room where they are): an alarm, the recording moves on
// from file to file, and is whole when the disk works again.
func TestDiskLosesWrites(t *testing.T) {
	t.Parallel()
	backing := smallDisk(t, "32m")
	dir := loopDisk(t, backing)
	s := newStage(t, with("observability:", `recording: {store: {dir: "`+dir+`"}}`+"\nobservability:"))
	ana, caller := s.agent("ana", anaTone), s.caller(carrierHost, callerTone)
	out, in := s.connected(caller, ana)
	s.until("it is recorded", func() bool { return s.ex.recordings.Stats().Bytes > 10_000 })
	filler := fill(t, backing, 0)
	s.until("an alarm", func() bool {
		code, text := s.ready()
		return code == 200 && strings.Contains(text, "no space left")
	})
	moved := func() bool {
		files, err := filepath.Glob(filepath.Join(dir, "*", "*", "*", "*", "audio-*.fyr"))
		return err == nil && len(files) > 0
	}
	s.until("the recording has moved", moved)
	caller.hears(anaTone)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	s.until("no alarm", func() bool { _, text := s.ready(); return !strings.Contains(text, "warning") })
	in.Bye()
	caller.expect(out, "BYE")
	c := s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
	left, right := s.recorded(c.RecordingID)
	i, err := recorder.Find(dir, c.RecordingID)
	v, bad := recorder.Verify(dir, c.RecordingID, "")
	if err != nil || bad != nil || !v.OK || i.LostMS != 0 || power(left, callerTone) < 0.8 || power(right, anaTone) < 0.8 {
		t.Errorf("%+v, %v, %+v, %v", i, err, v, bad)
	}
}

// stageSlack is what a busy machine may take to tell.
const stageSlack = time.Second

// ready asks what a load balancer asks.
func (s *stage) ready() (int, string) {
	s.t.Helper()
	text, res := fetch(s.t, "http://"+s.cfg.Listen.HTTP.String()+"/readyz")
	return res.StatusCode, string(text)
}

// Where there is no room for a recording, the policy says whether the call is made.
func TestNoRoomToRecord(t *testing.T) {
	t.Parallel()
	for _, refuse := range []bool{false, true} {
		t.Run(fmt.Sprint("refuse ", refuse), func(t *testing.T) {
			t.Parallel()
			dir := smallDisk(t, "16m")
			rule := "select: {percent: 100}"
			if refuse {
				rule += ", when_full: refuse"
			}
			s := newStage(t, with("select: {percent: 100}", rule), with("observability:", `recording: {store: {dir: "`+dir+`"}}`+"\nobservability:"))
			filler := fill(t, dir, 200<<10) // 1.2 %
			s.until("an alarm", func() bool { _, text := s.ready(); return strings.Contains(text, "nothing new is recorded") })
			ana, caller := s.agent("ana", anaTone), s.caller(carrierHost, callerTone)
			if refuse {
				out := caller.call("+33170000001")
				if m := caller.expect(out, "503 INVITE"); m.Get("Retry-After") == "" {
					t.Errorf("no Retry-After:\n%s", m)
				}
				if c := s.wantEnd(ledger.Refused, acd.Switch, acd.CauseUnrecordable); c.SIPCode != 503 {
					t.Errorf("SIP code %d", c.SIPCode)
				}
			} else {
				out, in := s.connected(caller, ana)
				caller.hears(anaTone)
				in.Bye()
				caller.expect(out, "BYE")
				if c := s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup); c.RecordingID != "" {
					t.Errorf("recorded as %s", c.RecordingID)
				}
				s.metrics(`foyer_recording_missing_total{policy="tout"} 1`)
			}
			if list, err := recorder.List(dir, recorder.Filter{}); err != nil || len(list) != 0 {
				t.Errorf("%+v, %v", list, err)
			}
			// With room again, calls are recorded.
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			s.until("no alarm", func() bool { _, text := s.ready(); return !strings.Contains(text, "warning") })
			next := s.caller(carrierHost, callerTone)
			out, in := s.connected(next, ana)
			next.hears(anaTone)
			in.Bye()
			next.expect(out, "BYE")
			s.until("a recording", func() bool {
				list, err := recorder.List(dir, recorder.Filter{})
				return err == nil && len(list) == 1 && list[0].State == "complete"
			})
		})
	}
}
