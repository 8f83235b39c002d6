package recorder

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// A recording under way is copied to its last whole chunk; once it has closed, anew;
// from then on the copy there is counts for the next.
func TestCopy(t *testing.T) {
	t.Parallel()
	first, second, third := t.TempDir(), t.TempDir(), t.TempDir()
	b := running(t, Options{}, nil)
	handle, id := b.begin(Meta{CallID: "c1", Agent: "ana"})
	all := talk(4*time.Second, caller, agent)
	b.feed(handle, all[:200])
	eventually(t, "in progress", func() bool {
		info, err := Find(b.dir, id)
		return err == nil && info.State == stateRecording && info.Bytes > 3000
	})
	if err := Copy(b.dir, first, "", id); err != nil {
		t.Fatal(err)
	}
	open := wholeCopy(t, first, id)
	if open.State != stateInterrupted || open.DurationS < 0.2 || open.DurationS > 2.1 || open.CallID != "c1" {
		t.Errorf("copied under way: %+v", open)
	}
	b.feed(handle, all[200:])
	b.End(handle)
	b.waitEnded()
	if err := Copy(b.dir, second, first, id); err != nil {
		t.Fatal(err)
	}
	want, err := Find(b.dir, id)
	if err != nil {
		t.Fatal(err)
	}
	if got := wholeCopy(t, second, id); got.State != stateComplete || got.DurationS != want.DurationS || linked(t, first, second, id) {
		t.Errorf("copied when it was over: %+v, want %+v", got, want)
	}
	if err := Copy(b.dir, third, second, id); err != nil {
		t.Fatal(err)
	}
	if wholeCopy(t, third, id); !linked(t, second, third, id) || linked(t, b.Store.dir, third, id) {
		t.Error("what a copy had already was copied again, or the recording itself was linked")
	}
	if err := Copy(b.dir, third, second, id); err == nil {
		t.Error("a copy was overwritten")
	}
	if err := Copy(b.dir, third, "", newID(callStart).String()); !errors.Is(err, ErrNotFound) {
		t.Errorf("a recording that is not there: %v", err)
	}
}

// Of half a chunk at the end, as a kill leaves it, the copy has nothing.
func TestCopyOfTornRecording(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	written := killed(t, from, "", 100*time.Millisecond)
	for id := range written {
		rec, _ := parseID(id)
		path := audioPath(from, rec)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(text, text[:headSize+100]...), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := Copy(from, to, "", id); err != nil {
			t.Fatal(err)
		}
		if got := wholeCopy(t, to, id); got.State != stateInterrupted || got.Bytes > int64(len(text)) {
			t.Errorf("%+v of %d bytes", got, len(text))
		}
	}
	if len(written) == 0 {
		t.Fatal("the child wrote nothing")
	}
}

func wholeCopy(t *testing.T, dir, id string) Info {
	t.Helper()
	v, err := Verify(dir, id, "")
	if err != nil || !v.OK || len(v.Notes) > 0 && v.Notes[0][:11] != "interrupted" {
		t.Errorf("copy of %s: %+v %v", id, v, err)
	}
	info, err := Find(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func linked(t *testing.T, a, b, id string) bool {
	t.Helper()
	rec, _ := parseID(id)
	x, err := os.Stat(audioPath(a, rec))
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.Stat(audioPath(b, rec))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(recordingDir(b, rec), sheetFile)); err != nil {
		t.Error(err)
	}
	return os.SameFile(x, y)
}

// All files of a recording are copied, its legal hold too; of an erased one, what is left.
func TestCopyOfSeveralFiles(t *testing.T) {
	t.Parallel()
	dir, first, second := t.TempDir(), t.TempDir(), t.TempDir()
	var id string
	synctest.Test(t, func(t *testing.T) {
		disk := &faulty{}
		b := running(t, Options{Dir: dir}, func(s *Store) { s.disk = disk })
		handle, begun := b.begin(Meta{CallID: "c1"})
		id = begun
		b.live(handle, talk(6*time.Second, caller, agent), func(at time.Duration) {
			if at >= 2*time.Second && at < 2*time.Second+frameLength {
				disk.syncFails.Store(1)
			}
		})
		b.End(handle)
		b.waitEnded()
		b.stop()
	})
	w := Word{By: "nadia", At: callStart, Reason: "case 17"}
	if err := Hold(dir, id, w); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ to, older string }{{first, ""}, {second, first}} {
		if err := Copy(dir, c.to, c.older, id); err != nil {
			t.Fatal(err)
		}
		info := wholeCopy(t, c.to, id)
		rec, _ := parseID(id)
		parts, err := partsOf(recordingDir(c.to, rec))
		if err != nil || len(parts) != 2 || info.Held == nil || info.DurationS != 6 {
			t.Errorf("%v, %v, %+v", parts, err, info)
		}
		if out := rendered(t, c.to, id, ""); silence(out.left, 440) > 0 {
			t.Error("the copy has a hole")
		}
	}
	if !linked(t, first, second, id) {
		t.Error("what a copy had already was copied again")
	}
	if err := Release(dir, id); err != nil {
		t.Fatal(err)
	}
	if err := Erase(dir, id, w); err != nil {
		t.Fatal(err)
	}
	third := t.TempDir()
	if err := Copy(dir, third, second, id); err != nil {
		t.Fatal(err)
	}
	if info, err := Find(third, id); err != nil || info.Erased == nil || info.Held != nil {
		t.Errorf("%+v, %v", info, err)
	}
}
