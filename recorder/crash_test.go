package recorder

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"foyer/rtp"
)

// What was written before kill -9 is there, is found, verifies, and can be heard.
func TestKilled(t *testing.T) {
	t.Parallel()
	identity, recipient := keys(t)
	for round := range 4 {
		dir := t.TempDir()
		to, with := "", ""
		if round%2 == 1 {
			to, with = recipient, identity
		}
		written := killed(t, dir, to, time.Duration(rand.Int64N(int64(250*time.Millisecond))))
		if len(written) == 0 {
			t.Fatal("the child wrote nothing")
		}
		before, err := List(dir, Filter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range before {
			if i.State != stateInterrupted {
				t.Errorf("before repair: %s is %s", i.ID, i.State)
			}
		}
		if _, err := Open(Options{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		list, err := List(dir, Filter{})
		if err != nil || len(list) < len(written) {
			t.Fatalf("%d recordings of %d listed, %v", len(list), len(written), err)
		}
		for id, last := range written {
			info, err := Find(dir, id)
			if err != nil || info.State != stateInterrupted {
				t.Errorf("%s: %+v, %v", id, info, err)
			}
			kept := time.Duration(info.DurationS * float64(time.Second))
			if least := time.Duration(last - callStart.UnixNano()); kept < least-time.Millisecond {
				t.Errorf("%s: %v acknowledged, %v kept", id, least, kept)
			}
			v, err := Verify(dir, id, with)
			if err != nil || !v.OK {
				t.Errorf("%s: %+v, %v", id, v, err)
			}
			w := rendered(t, dir, id, with)
			within(t, id, w.length(), kept, time.Millisecond)
			if l, r := loudest(w.left), loudest(w.right); l != 440 || r != 1000 {
				t.Errorf("%s: left %v Hz, right %v Hz", id, l, r)
			}
		}
		if left, _ := os.ReadDir(filepath.Join(dir, ".open")); len(left) != 0 {
			t.Errorf("%d recordings still marked open", len(left))
		}
	}
}

// A recording another process is writing is not touched by Open.
func TestOpenLeavesTheLivingAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: not in make check")
	}
	t.Parallel()
	b := running(t, Options{}, nil)
	handle, id := b.begin(Meta{})
	b.feed(handle, talk(time.Second, caller)[:40])
	eventually(t, "in progress", func() bool {
		info, err := Find(b.dir, id)
		return err == nil && info.State == stateRecording && info.Bytes > 3000
	})
	if _, err := Open(Options{Dir: b.dir}); err != nil {
		t.Fatal(err)
	}
	if info, _ := Find(b.dir, id); info.State != stateRecording {
		t.Errorf("state is %s", info.State)
	}
	if w := rendered(t, b.dir, id, ""); w.length() == 0 || loudest(w.left) != 440 {
		t.Error("one in progress cannot be heard")
	}
	if v, err := Verify(b.dir, id, ""); err != nil || !v.OK {
		t.Errorf("%+v, %v", v, err)
	}
	b.End(handle)
	// Its taps never stop: the end is when it was ended.
	if info := b.waitEnded(); info.State != stateComplete {
		t.Errorf("state is %s", info.State)
	}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// Every prefix of a file can be read to its last whole chunk, and rendered.
func TestEveryPrefix(t *testing.T) {
	t.Parallel()
	b := running(t, Options{}, nil)
	id, _ := b.record(Meta{CallID: "c1"}, talk(1500*time.Millisecond, caller, agent))
	rec, _ := parseID(id)
	whole, err := os.ReadFile(audioPath(b.dir, rec))
	if err != nil {
		t.Fatal(err)
	}
	var ends []int
	for in := newFrames(bytes.NewReader(whole)); ; {
		if _, err := in.next(); err != nil {
			break
		}
		ends = append(ends, int(in.offset))
	}
	if len(ends) < 5 || ends[len(ends)-1] != len(whole) {
		t.Fatalf("chunks end at %v of %d", ends, len(whole))
	}
	for n := range len(whole) + 1 {
		complete := 0
		for _, e := range ends {
			if e <= n {
				complete++
			}
		}
		in, read := newFrames(bytes.NewReader(whole[:n])), 0
		for {
			if _, err := in.next(); err != nil {
				break
			}
			read++
		}
		tail := n
		if complete > 0 {
			tail -= ends[complete-1]
		}
		if read != complete || in.tail != int64(tail) || in.skipped != 0 {
			t.Fatalf("of %d bytes %d chunks read, %d are whole; tail %d of %d", n, read, complete, in.tail, tail)
		}
		if n%397 == 0 && complete > 0 {
			dir := transplant(t, rec, whole[:n])
			if w := rendered(t, dir, id, ""); complete > 3 && loudest(w.right) != 1000 {
				t.Fatalf("prefix of %d bytes is not heard", n)
			}
		}
	}
}

// transplant puts a file where a recording's would be, in a directory of its own.
func transplant(t *testing.T, id recID, audio []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(recordingDir(dir, id), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(audioPath(dir, id), audio, 0o640); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Run cuts what nobody ends, and Begin says no from then on.
func TestRunEndsWithRecordingsOpen(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := running(t, Options{Dir: dir}, nil)
		handle, _ := b.begin(Meta{CallID: "nobody ends it"})
		b.feed(handle, talk(5*time.Second, caller)[:100])
		other, id := b.begin(Meta{CallID: "ended in time"})
		b.feed(other, talk(5*time.Second, caller))
		b.End(other)
		b.stop()
		states := map[string]string{}
		for range 2 {
			i := b.waitEnded()
			states[i.CallID] = i.State
		}
		if states["nobody ends it"] != stateInterrupted || states["ended in time"] != stateComplete {
			t.Error(states)
		}
		if _, _, err := b.Begin(Meta{}); !errors.Is(err, ErrClosed) {
			t.Errorf("Begin after Run: %v", err)
		}
		if v, err := Verify(dir, id, ""); err != nil || !v.OK {
			t.Errorf("%+v, %v", v, err)
		}
		list, err := List(dir, Filter{})
		if err != nil || len(list) != 2 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// End comes before the marks that are still on their way in the tap.
func TestEndWaitsForTheMarks(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := running(t, Options{Dir: dir}, nil)
		records := talk(2*time.Second, caller, agent)
		handle, _ := b.begin(Meta{})
		b.End(handle)
		time.Sleep(time.Second)
		b.feed(handle, records)
		if info := b.waitEnded(); info.DurationS != 2 || info.State != stateComplete {
			t.Errorf("%+v", info)
		}
		// No mark at all: it gives up after two seconds.
		handle, _ = b.begin(Meta{})
		b.End(handle)
		before := time.Now()
		if info := b.waitEnded(); info.State != stateInterrupted || time.Since(before) > 3*time.Second {
			t.Errorf("%+v after %v", info, time.Since(before))
		}
		b.stop()
	})
}

// The agent's channel passes from one agent to the next, whose tap may begin
// before the first one's has stopped.
func TestAgentsHandOver(t *testing.T) {
	b := running(t, Options{}, nil)
	first, second := agent, agent
	second.ssrc, second.from = 5, 2*time.Second
	first.delay = func(_ int, sent time.Duration) (time.Duration, bool) { return 0, sent >= 2*time.Second }
	records := talk(4*time.Second, caller, first, second)
	at := callStart.Add(2 * time.Second).UnixNano()
	i := slices.IndexFunc(records, func(r rtp.TapRecord) bool { return r.At >= at })
	records = slices.Insert(records, i,
		rtp.TapRecord{Kind: rtp.TapStart, Channel: 1, At: at},
		rtp.TapRecord{Kind: rtp.TapStop, Channel: 1, At: at})
	handle, id := b.begin(Meta{Agent: "ana"})
	b.feed(handle, records[:i])
	b.Join(handle, "bo")
	b.feed(handle, records[i:])
	b.End(handle)
	info := b.waitEnded()
	if info.Agent != "ana" || !slices.Equal(info.Agents, []string{"ana", "bo"}) || info.DurationS != 4 {
		t.Errorf("%+v", info)
	}
	if list, _ := List(b.dir, Filter{Agent: "bo"}); len(list) != 1 {
		t.Error("not found by its second agent")
	}
	if w := rendered(t, b.dir, id, ""); level(w.right, 1000) < 11500 {
		t.Errorf("agent at %.0f", level(w.right, 1000))
	}
}
