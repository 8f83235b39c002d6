package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/console"
	"foyer/recorder"
)

// shelved makes recordings that began so many days ago, of a policy each, and gives
// their ids in that order.
func shelved(t *testing.T, dir string, days []int, policies []string) (ids []string) {
	t.Helper()
	ended := make(chan recorder.Info, len(days))
	store, err := recorder.Open(recorder.Options{Dir: dir, Ended: func(i recorder.Info) { ended <- i }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- store.Run(ctx, nil) }()
	for i, d := range days {
		handle, id, err := store.Begin(recorder.Meta{
			CallID: fmt.Sprint("call-", i), Client: "essai", Policy: policies[i], From: "+33612345678",
			Started: time.Now().AddDate(0, 0, -d),
		})
		if err != nil {
			t.Fatal(err)
		}
		store.End(handle)
		ids = append(ids, id)
	}
	for range days {
		<-ended
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return ids
}

// What is older than its policy allows is deleted, with a line in the audit trail
// each; what is held stays, and what no policy speaks of.
func TestRetention(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	recordings := filepath.Join(dir, "data", "recordings")
	ids := shelved(t, recordings,
		[]int{10, 31, 31, 61, 61, 400, 61},
		[]string{"tout", "tout", "tout", "tout", "tout", "voicemail", "tout"})
	young, old, held, ancient, heldAncient, unruled, reheld := ids[0], ids[1], ids[2], ids[3], ids[4], ids[5], ids[6]
	w := recorder.Word{By: "nadia", At: time.Now(), Reason: "case 17"}
	for _, id := range []string{held, heldAncient, reheld} {
		if err := recorder.Hold(recordings, id, w); err != nil {
			t.Fatal(err)
		}
	}
	s := openStage(t, dir, with("select: {percent: 100}", "select: {percent: 100}, retain: {audio: 30d, metadata: 60d}"))
	due, err := expired(s.cfg, time.Now())
	if err != nil || len(due) != 2 {
		t.Fatalf("%d are due: %+v, %v", len(due), due, err)
	}
	s.ex.retainNow(s.ctx, time.Now())
	state := func(id string) string {
		i, err := recorder.Find(recordings, id)
		switch {
		case errors.Is(err, recorder.ErrNotFound):
			return "forgotten"
		case err != nil:
			t.Fatal(err)
		case i.Held != nil:
			return "held"
		case i.Erased != nil && (i.From == "" || i.Erased.By != "retention" || !strings.Contains(i.Erased.Reason, "30 days")):
			t.Errorf("%+v, %+v", i, i.Erased)
		}
		return i.State
	}
	for id, want := range map[string]string{
		young: "interrupted", old: "erased", held: "held", ancient: "forgotten", heldAncient: "held", unruled: "interrupted", reheld: "held",
	} {
		if got := state(id); got != want {
			t.Errorf("%s is %s, want %s", id, got, want)
		}
	}
	// Once released, the rule counts again; and a month later the tombstone goes.
	if err := recorder.Release(recordings, reheld); err != nil {
		t.Fatal(err)
	}
	s.ex.retainNow(s.ctx, time.Now())
	if got := state(reheld); got != "forgotten" {
		t.Errorf("after its release it is %s", got)
	}
	s.ex.retainNow(s.ctx, time.Now().AddDate(0, 0, 30))
	if got := state(old); got != "forgotten" {
		t.Errorf("its tombstone is %s", got)
	}
	trail, err := console.ListAudit(s.ctx, s.ex.cdrs.DB(), console.AuditQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range trail {
		if e.Actor == "retention" {
			lines = append(lines, e.Action+" "+e.Object)
		}
	}
	slices.Sort(lines)
	want := []string{"recording.expire " + old, "recording.expire " + young, "recording.forget " + ancient, "recording.forget " + old, "recording.forget " + reheld}
	slices.Sort(want)
	if !slices.Equal(lines, want) {
		t.Errorf("the trail says %q, want %q", lines, want)
	}
}

// The commands do what they say beside a running switch, and leave their trace.
func TestRecordingOrders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ids := shelved(t, filepath.Join(dir, "data", "recordings"), []int{1, 400}, []string{"tout", "tout"})
	s := openStage(t, dir)
	c := &cli{Config: filepath.Join(dir, "foyer.yaml")}
	args := func(id string) keepArgs { return keepArgs{ID: id, Reason: "case 17"} }
	if err := (&recordingHold{args(ids[1])}).Run(c); err != nil {
		t.Fatal(err)
	}
	if err := (&recordingErase{args(ids[1])}).Run(c); !errors.Is(err, recorder.ErrHeld) {
		t.Errorf("a held one: %v", err)
	}
	if err := (&recordingErase{args(ids[0])}).Run(c); err != nil {
		t.Error(err)
	}
	if err := (&recordingErase{args("000000000000000000000000")}).Run(c); err == nil || !strings.Contains(err.Error(), "no recording") {
		t.Errorf("one that is not there: %v", err)
	}
	if err := (&recordingGet{ID: ids[0], Out: filepath.Join(dir, "x.wav")}).Run(c); err == nil || !strings.Contains(err.Error(), "was erased") {
		t.Errorf("get: %v", err)
	}
	if err := (&recordingRelease{args(ids[1])}).Run(c); err != nil {
		t.Error(err)
	}
	if err := (&recordingPurge{}).Run(c); err != nil {
		t.Error(err)
	}
	list, err := recorder.List(s.cfg.Recording.Store.Dir, recorder.Filter{})
	if err != nil || len(list) != 1 || list[0].ID != ids[0] || list[0].State != "erased" || list[0].Erased.Reason != "case 17" {
		t.Errorf("%+v, %v", list, err)
	}
	var said []string
	trail, err := console.ListAudit(s.ctx, s.ex.cdrs.DB(), console.AuditQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range slices.Backward(trail) {
		said = append(said, e.Action)
		if e.Actor != whoRuns() || e.Remote != "command line" {
			t.Errorf("%+v", e)
		}
	}
	want := []string{"recording.hold", "recording.erase", "recording.erase", "recording.erase", "recording.download", "recording.release", "recording.forget"}
	if !slices.Equal(said, want) {
		t.Errorf("the trail says %q", said)
	}
}
