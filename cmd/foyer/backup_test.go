package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"foyer/acd"
	"foyer/cmd/foyer/config"
	"foyer/ledger"
	"foyer/recorder"
	"foyer/sip/siptest"
)

// backedUp makes a backup as an operator does, and checks it as one should.
func backedUp(t *testing.T, file, store string) (dir string, m *manifest) {
	t.Helper()
	out, errs, code := foyer(t, "backup", store, "-c", file, "-o", "json")
	var r backupReport
	if err := json.Unmarshal([]byte(out), &r); code != 0 || err != nil || !r.OK {
		t.Fatalf("backup: exit %d %v\n%s%s", code, err, out, errs)
	}
	table, errs, code := foyer(t, "restore", store, "--check")
	if code != 0 || errs != "" || strings.Count(table, "whole") != 5 || !strings.Contains(table, r.Backup) {
		t.Fatalf("restore --check: exit %d\n%s%s", code, table, errs)
	}
	m, err := readManifest(r.Backup)
	if err != nil {
		t.Fatal(err)
	}
	return r.Backup, m
}

// movedTo is the configuration of a file for a switch that has its data elsewhere.
func movedTo(t *testing.T, file, dir string) (moved, sip, web string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	sip = fmt.Sprintf("127.0.0.1:%d", freePort(t, "127.0.0.1"))
	web = fmt.Sprintf("127.0.0.1:%d", freePort(t, "127.0.0.1"))
	text = []byte(strings.NewReplacer(cfg.Site.DataDir, filepath.Join(dir, "data"),
		cfg.Listen.SIPUDP.String(), sip, cfg.Listen.HTTP.String(), web).Replace(string(text)))
	moved = filepath.Join(dir, "foyer.yaml")
	if err := os.WriteFile(moved, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return moved, sip, web
}

// Not parallel: fifty calls with voices want the machine for themselves.
func TestBackupWithFiftyCallsUp(t *testing.T) {
	slow(t)
	const calls, agents = 50, 20
	dir, store := t.TempDir(), t.TempDir()
	s := openStage(t, dir, crowd(agents))
	file := filepath.Join(dir, "foyer.yaml")
	ana := s.agent("ana", anaTone)

	// One call is over before, with its recording.
	caller, out := s.waits(callerTone)
	in := ana.rings()
	ana.picksUp(in)
	caller.hears(anaTone)
	out.Bye()
	old := s.rowOf(out)
	s.recorded(old.RecordingID)

	var up, agentsOf []*siptest.Call
	for i := range agents {
		a, tone := ana, float64(anaTone)
		if i > 0 {
			a, tone = s.agent(fmt.Sprintf("a%02d", i), 1000), 1000
		}
		c, out := s.waits(callerTone)
		in := a.rings()
		a.picksUp(in)
		c.hears(tone)
		up, agentsOf = append(up, out), append(agentsOf, in)
	}
	waiting := s.caller(carrierHost, callerTone)
	for range calls - agents {
		c := waiting.call("+33170000001")
		waiting.expect(c, "200 INVITE")
		up = append(up, c)
	}
	s.until("every talk in its recording", func() bool { return s.ex.recordings.Stats().Active == agents })

	first, was := backedUp(t, file, store)
	if was.Database.Calls != 1 || was.Recorded != agents+1 || was.Journal.Events < 2*calls || was.Diary.Kept == 0 {
		t.Errorf("the first backup: %s", asJSON(was.report(first)))
	}
	if n := s.ex.calls.count(); n != calls {
		t.Errorf("%d calls are up after the backup, want %d", n, calls)
	}
	agentsOf[0].Bye() // one more is over, and one who waited has an agent
	s.rowOf(up[0])
	second, is := backedUp(t, file, store)
	if is.Database.Calls != 2 {
		t.Errorf("the second backup: %s", asJSON(is.report(second)))
	}
	// What was closed is there once; what was open is copied anew.
	for path := range was.Files {
		if part(path) != recordingsDir || filepath.Base(path) != "audio.fyr" {
			continue
		}
		closed := strings.Contains(path, old.RecordingID)
		if linked := sameFile(filepath.Join(first, path), filepath.Join(second, path)); linked != closed {
			t.Errorf("%s: linked %v, want %v", path, linked, closed)
		}
	}

	for _, c := range up[1:] {
		c.Bye()
	}
	for _, c := range up[1:] {
		row := s.rowOf(c)
		if row.EndedBy != acd.Caller.String() || row.LossRatio != 0 {
			t.Errorf("a call that was up: %s", asJSON(row))
		}
	}
	if out, errs, code := foyer(t, "recording", "verify", "-c", file); code != 0 {
		t.Errorf("recordings of the switch that was backed up: exit %d\n%s%s", code, out, errs)
	}
	if _, errs, code := foyer(t, "restore", store, "-c", file); code != 1 || !strings.Contains(errs, "in use by another foyer") {
		t.Errorf("restore into a running switch: exit %d %s", code, errs)
	}
	s.strike()
	if _, errs, code := foyer(t, "restore", store, "-c", file); code != 1 || !strings.Contains(errs, errNotEmpty.Error()) {
		t.Errorf("restore over what is there: exit %d %s", code, errs)
	}

	journal := filepath.Join(second, streamFile(journalStream))
	if out, errs, code := foyer(t, "replay", journal, "-o", "json"); code != 0 || !strings.Contains(out, `"lives": 1,`) {
		t.Errorf("replay of the journal in a backup: exit %d\n%s%s", code, out, errs)
	}

	moved, sip, web := movedTo(t, file, t.TempDir())
	if out, errs, code := foyer(t, "restore", first, "-c", moved); code != 0 {
		t.Fatalf("restore: exit %d\n%s%s", code, out, errs)
	}
	l := startLife(t, moved, sip, web)
	rows := l.cdrs(calls + 1)
	for _, row := range rows {
		if row.ID != old.ID && (row.Cause != acd.CauseRestart.String() || row.Outcome != ledger.Broken) {
			t.Errorf("a call that was up when the backup was made: %s", asJSON(row))
		}
		if row.ID == old.ID && asJSON(row) != asJSON(old) {
			t.Errorf("a call that was over, restored: %s", asJSON(row))
		}
	}
	for _, cmd := range [][]string{{"explain", old.ID}, {"trace", old.ID}} {
		if out, errs, code := foyer(t, append(cmd, "-c", moved)...); code != 0 || !strings.Contains(out, "ana") {
			t.Errorf("%v after a restore: exit %d\n%s%s", cmd, code, out, errs)
		}
	}
	if out, errs, code := foyer(t, "recording", "verify", "-c", moved); code != 0 || strings.Count(out, "whole") != agents+1 {
		t.Errorf("recordings after a restore: exit %d\n%s%s", code, out, errs)
	}
	wav := filepath.Join(dir, "old.wav")
	if _, errs, code := foyer(t, "recording", "get", old.RecordingID, "-c", moved, "--out", wav); code != 0 {
		t.Errorf("recording get after a restore: exit %d %s", code, errs)
	}
	if code := l.kill(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit %d\n%s", code, l.log)
	}
	if out, errs, code := foyer(t, "journal", "verify", "-c", moved); code != 0 || !strings.Contains(out, "2 lives") {
		t.Errorf("journal verify after a restore: exit %d\n%s%s", code, out, errs)
	}
}

// closedCall is a switch that has had one call, with its backup.
func closedCall(t *testing.T, see func(part string)) (s *stage, dir string, m *manifest) {
	t.Helper()
	s = newStage(t)
	ana := s.agent("ana", anaTone)
	caller, out := s.waits(callerTone)
	in := ana.rings()
	ana.picksUp(in)
	caller.hears(anaTone)
	out.Bye()
	s.recorded(s.rowOf(out).RecordingID)
	dir, m, err := makeBackup(context.Background(), s.cfg, t.TempDir(), &bar{}, see)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir, m
}

func TestCheckFindsEveryDamage(t *testing.T) {
	t.Parallel()
	s, dir, m := closedCall(t, nil)
	if r, err := m.check(context.Background(), dir, &bar{}); err != nil || !r.OK {
		t.Fatalf("before any damage: %v %s", err, asJSON(r))
	}
	var audio, sheet string
	for path := range m.Files {
		switch filepath.Base(path) {
		case "audio.fyr":
			audio = path
		case "meta.json":
			sheet = path
		}
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	half := func(b []byte) []byte { return b[:len(b)/2] }
	for _, c := range []struct {
		path   string
		damage func([]byte) []byte // nil: the file is removed
		says   string
	}{
		{"config/foyer.yaml", flip, "config/foyer.yaml is not as it was written"},
		{"foyer.db", flip, "foyer.db is not as it was written"},
		{"foyer.db", half, "the database cannot be used"},
		{"foyer.db", nil, "foyer.db is missing"},
		{"journal.ndjson.gz", flip, "the journal cannot be replayed"},
		{"journal.ndjson.gz", half, "the journal cannot be replayed"},
		{"journal.ndjson.gz", nil, "journal.ndjson.gz is missing"},
		{"diary.ndjson.gz", half, "the diary cannot be read"},
		{audio, flip, "recording " + filepath.Base(filepath.Dir(audio)) + " is damaged"},
		{audio, half, "recording " + filepath.Base(filepath.Dir(audio)) + " is damaged"},
		{audio, nil, audio + " is missing"},
		{sheet, flip, sheet + " is not as it was written"},
		{"recordings/stray", flip, "recordings/stray is not of this backup"},
	} {
		path := filepath.Join(dir, c.path)
		was, err := os.ReadFile(path)
		stray := errors.Is(err, os.ErrNotExist)
		if stray {
			was = []byte("stray")
		}
		if c.damage == nil {
			err = os.Remove(path)
		} else {
			err = os.WriteFile(path, c.damage(bytes.Clone(was)), 0o640)
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := m.check(context.Background(), dir, &bar{})
		if err != nil || r.OK || !strings.Contains(strings.Join(r.Problems, "\n"), c.says) || !strings.Contains(asJSON(r.Parts), "DAMAGED") {
			t.Errorf("%s: no %q in %v %s", c.path, c.says, err, asJSON(r))
		}
		if stray {
			os.Remove(path)
		} else if err := os.WriteFile(path, was, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	// A manifest that promises more than there is, whose every hash is right.
	lying := *m
	lying.Database.Calls, lying.Recorded, lying.Journal.Events = 2, 2, m.Journal.Events+1
	if r, err := lying.check(context.Background(), dir, &bar{}); err != nil || len(r.Problems) != 3 {
		t.Errorf("counts that do not agree: %v %s", err, asJSON(r))
	}
	if err := os.WriteFile(filepath.Join(dir, "foyer.db"), nil, 0o640); err != nil {
		t.Fatal(err)
	}
	file, _, _ := movedTo(t, s.cfg.Files[0], t.TempDir())
	for _, args := range [][]string{{"restore", dir, "--check"}, {"restore", dir, "-c", file}} {
		if out, errs, code := foyer(t, args...); code != 4 || !strings.Contains(out, "DAMAGED") || !strings.Contains(errs, "foyer.db is not as it was written") {
			t.Errorf("foyer %v: exit %d\n%s%s", args, code, out, errs)
		}
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(file), "data")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a damaged backup was begun to be restored: %v", err)
	}
}

// At every moment of a backup, what a kill would leave is no backup.
func TestBackupBrokenOffIsNone(t *testing.T) {
	t.Parallel()
	s, dir, m := closedCall(t, nil)
	store := t.TempDir()
	seen := 0
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, _, err := makeBackup(ctx, s.cfg, store, &bar{}, func(p string) {
		seen++
		entries, err := os.ReadDir(store)
		if err != nil || len(entries) != 1 {
			t.Fatalf("after the %s: %v %v", p, entries, err)
		}
		if dir, err := newestBackup(store); !errors.Is(err, errNoBackup) {
			t.Errorf("after the %s, %s is taken for a backup: %v", p, dir, err)
		}
		if _, err := readManifest(filepath.Join(store, entries[0].Name())); !errors.Is(err, errNoBackup) {
			t.Errorf("after the %s: %v", p, err)
		}
		if _, _, err := makeBackup(ctx, s.cfg, store, &bar{}, nil); err == nil {
			t.Error("two backups are made at once")
		}
		if p == "diary" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || seen != 4 {
		t.Errorf("after %d parts: %v", seen, err)
	}
	if out, errs, code := foyer(t, "restore", store, "--check"); code != 4 || !strings.Contains(errs, errNoBackup.Error()) {
		t.Errorf("check of nothing: exit %d\n%s%s", code, out, errs)
	}
	// What a kill left is swept away by the next, which is whole.
	if err := os.MkdirAll(filepath.Join(store, unfinished+"old", "config"), 0o750); err != nil {
		t.Fatal(err)
	}
	// A process that another test begins at this moment holds locks until its exec.
	s.until("the lock is free, and the backup made", func() bool {
		_, _, err := makeBackup(context.Background(), s.cfg, store, &bar{}, nil)
		if err != nil && !strings.Contains(err.Error(), "another backup is being made") {
			t.Fatal(err)
		}
		return err == nil
	})
	if entries, err := os.ReadDir(store); err != nil || len(entries) != 1 {
		t.Errorf("left in the store: %v %v", entries, err)
	}

	// A restore that was broken off leaves nothing that a switch would take for data.
	file, _, _ := movedTo(t, s.cfg.Files[0], t.TempDir())
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	if err := m.restore(stopped, cfg, dir, &bar{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a restore that was stopped: %v", err)
	}
	if err := wantEmpty(cfg.Site.DataDir, "lock", "recordings"); err != nil {
		t.Error(err)
	}
	s.until("the lock is free, and the backup restored", func() bool {
		err := m.restore(context.Background(), cfg, dir, &bar{})
		if err != nil && !strings.Contains(err.Error(), "in use by another foyer") {
			t.Fatal(err)
		}
		return err == nil
	})
}

// A backup in one file is the same, and nothing in such a file gets beside the
// directory that it is unpacked in.
func TestBackupInAFile(t *testing.T) {
	t.Parallel()
	s, _, m := closedCall(t, nil)
	dir := t.TempDir()
	file := filepath.Join(dir, "night.tar")
	if out, errs, code := foyer(t, "backup", file, "-c", s.cfg.Files[0]); code != 0 || !strings.Contains(out, file) {
		t.Fatalf("backup: exit %d\n%s%s", code, out, errs)
	}
	if out, errs, code := foyer(t, "restore", file, "--check"); code != 0 || errs != "" || strings.Count(out, "whole") != 5 || !strings.Contains(out, file) {
		t.Errorf("check: exit %d\n%s%s", code, out, errs)
	}
	if _, errs, code := foyer(t, "backup", file, "-c", s.cfg.Files[0]); code != 1 || !strings.Contains(errs, "is there already") {
		t.Errorf("over another: exit %d %s", code, errs)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left beside it: %v %v", entries, err)
	}
	moved, _, _ := movedTo(t, s.cfg.Files[0], t.TempDir())
	if _, errs, code := foyer(t, "restore", file, "-c", moved); code != 0 {
		t.Errorf("restore: exit %d %s", code, errs)
	}
	if list, err := recorder.List(filepath.Join(filepath.Dir(moved), "data", "recordings"), recorder.Filter{}); err != nil || len(list) != m.Recorded {
		t.Errorf("%d recordings restored: %v", len(list), err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, "half.tar")
	if err := os.WriteFile(half, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{half, filepath.Join(dir, "none.tar"), filepath.Join(dir, "none")} {
		if out, errs, code := foyer(t, "restore", from, "--check"); code != 4 || !strings.Contains(errs, from) {
			t.Errorf("check of %s: exit %d\n%s%s", from, code, out, errs)
		}
	}
	for _, h := range []tar.Header{
		{Name: "../out", Typeflag: tar.TypeReg}, {Name: "/out", Typeflag: tar.TypeReg},
		{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, {Name: "a", Typeflag: tar.TypeLink, Linkname: "../out"},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := errors.Join(w.WriteHeader(&h), w.Close()); err != nil {
			t.Fatal(err)
		}
		bad := filepath.Join(t.TempDir(), "bad.tar")
		if err := os.WriteFile(bad, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := unpack(t.Context(), bad, t.TempDir()); err == nil || !strings.Contains(err.Error(), "nothing that a backup holds") {
			t.Errorf("%s of kind %c: %v", h.Name, h.Typeflag, err)
		}
	}
}

// Books in PostgreSQL are left to pg_dump, and said to be missing; nothing is restored
// from one kind of books into the other.
func TestBackupOfBooksInPostgres(t *testing.T) {
	t.Parallel()
	s, ofFile, m := closedCall(t, nil)
	text, err := os.ReadFile(s.cfg.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "foyer.yaml")
	if err := os.WriteFile(elsewhere, append(text, "database: {postgres: \"postgres://foyer@127.0.0.1/none\"}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	store := t.TempDir()
	out, errs, code := foyer(t, "backup", store, "-c", elsewhere)
	if code != 0 || !strings.Contains(out, "in PostgreSQL, not here: pg_dump") || !strings.Contains(errs, "back them up with pg_dump") {
		t.Fatalf("backup: exit %d\n%s%s", code, out, errs)
	}
	if out, errs, code := foyer(t, "restore", store, "--check"); code != 0 || errs != "" || strings.Count(out, "whole") != 4 {
		t.Errorf("check: exit %d\n%s%s", code, out, errs)
	}
	file, _, _ := movedTo(t, s.cfg.Files[0], t.TempDir())
	if _, errs, code := foyer(t, "restore", store, "-c", file); code != 1 || !strings.Contains(errs, "the configuration has no database.postgres") {
		t.Errorf("restore without PostgreSQL: exit %d %s", code, errs)
	}
	file, _, _ = movedTo(t, elsewhere, t.TempDir())
	if _, errs, code := foyer(t, "restore", ofFile, "-c", file); code != 1 || !strings.Contains(errs, "nothing is moved between them") {
		t.Errorf("restore of a file into PostgreSQL: exit %d %s", code, errs)
	}
	if _, errs, code := foyer(t, "restore", store, "-c", file); code != 0 {
		t.Errorf("restore beside PostgreSQL: exit %d %s", code, errs)
	}
	if list, err := recorder.List(filepath.Join(filepath.Dir(file), "data", "recordings"), recorder.Filter{}); err != nil || len(list) != m.Recorded {
		t.Errorf("%d recordings restored: %v", len(list), err)
	}
}

// A backup of what was restored is the one it was restored from: every message has
// its place, its time and its text.
func TestRestoredStreamsAreTheSame(t *testing.T) {
	t.Parallel()
	s, dir, m := closedCall(t, nil)
	file, _, _ := movedTo(t, s.cfg.Files[0], t.TempDir())
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	// As if the oldest messages had grown too old before the backup.
	m.Journal.First += 1000
	if err := m.restore(context.Background(), cfg, dir, &bar{}); err != nil {
		t.Fatal(err)
	}
	again, n, err := makeBackup(context.Background(), cfg, t.TempDir(), &bar{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n.Journal.First != m.Journal.First || n.Journal.Events != m.Journal.Events || n.Diary != m.Diary {
		t.Errorf("restored: %+v %+v\nbacked up: %+v %+v", n.Journal, n.Diary, m.Journal, m.Diary)
	}
	for _, name := range []string{journalStream, diaryStream} {
		was, is := linesOf(t, dir, name), linesOf(t, again, name)
		if len(was) == 0 || len(was) != len(is) {
			t.Fatalf("%s: %d lines restored of %d", name, len(is), len(was))
		}
		for i := range was {
			if name == journalStream {
				was[i].Seq += 1000
			}
			if !reflect.DeepEqual(was[i], is[i]) {
				t.Errorf("%s\nbacked up %s\nrestored  %s", name, asJSON(was[i]), asJSON(is[i]))
			}
		}
	}
}

func linesOf(t *testing.T, dir, name string) (lines []streamLine) {
	t.Helper()
	in, f, err := openStream(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = readStream(in, name, func(streamHead) error { return nil }, func(l *streamLine, _ []byte) error {
		lines = append(lines, *l)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// A stream that was cut short, or put together of others, is refused.
func TestStreamThatIsNotWhole(t *testing.T) {
	t.Parallel()
	head := `{"stream":"diary","first":3,"last":5,"messages":3}` + "\n"
	line := func(n int) string { return fmt.Sprintf(`{"seq":%d,"at":"2026-11-26T10:00:00Z","page":"dw=="}`+"\n", n) }
	for _, c := range []struct{ text, says string }{
		{head + line(3) + line(4) + line(5), ""},
		{head + line(4) + line(5), ""}, // the oldest grew too old meanwhile
		{`{"stream":"diary","first":6,"last":5,"messages":0}` + "\n", ""},
		{"", "unexpected EOF"},
		{head, "unexpected EOF"},
		{head + line(3) + line(4), "unexpected EOF"},
		{head + line(3) + line(4) + strings.TrimSpace(line(5)), "unexpected EOF"},
		{head + line(3) + line(5) + line(4), "goes on after its last message"},
		{head + line(4) + line(3) + line(5), "message 3 after 4"},
		{head + line(6), "message 6 after 2"},
		{strings.Replace(head, "diary", "journal", 1) + line(5), `messages of "journal"`},
		{head + "{}\n", "message 0 after 2"},
		{"\n", "unexpected end of JSON"},
	} {
		err := readStream(strings.NewReader(c.text), diaryStream, func(streamHead) error { return nil }, func(*streamLine, []byte) error { return nil })
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want %q", c.text, err, c.says)
		}
	}
}
