package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"foyer/acd"
	"foyer/acd/whatif"
	"foyer/cmd/foyer/config"
	"foyer/console"
)

// busyDay is a day that never was, of so many calls.
func busyDay(calls, agents int) whatif.Plan {
	return whatif.Plan{
		Begin: time.Date(2026, time.November, 24, 7, 0, 0, 0, time.UTC), Length: 12 * time.Hour, Calls: calls, Agents: agents, Queues: 4,
		Talk: 4 * time.Minute, Wrap: 30 * time.Second, Patience: 3 * time.Minute, Seed: 3,
	}
}

// keepDay writes a day as the board does: two or three events a page.
func keepDay(tb testing.TB, p whatif.Plan, keep func(page) error) (events int) {
	tb.Helper()
	var next page
	hash, decided := acd.NewHash(), acd.NewHash().Sum()
	flush := func() {
		if len(next.Records) == 0 {
			return
		}
		next.Decided = decided
		if err := keep(next); err != nil {
			tb.Fatal(err)
		}
		next, decided = page{}, hash.Sum()
	}
	p.Made(func(r acd.Record, done []acd.Action) {
		next.Records = append(next.Records, r)
		hash.Add(r, done)
		if events++; events%5 == 1 || events%5 == 3 {
			flush()
		}
	})
	flush()
	return events
}

// dayFile is a day as exported.
func dayFile(tb testing.TB, p whatif.Plan, name string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	w := json.NewEncoder(f)
	var z *gzip.Writer
	if strings.HasSuffix(name, ".gz") {
		z = gzip.NewWriter(f)
		w = json.NewEncoder(z)
	}
	keepDay(tb, p, func(p page) error { return w.Encode(p) })
	if z != nil {
		if err := z.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

func replayed(t *testing.T, path string, c whatif.Change) (*replayReport, error) {
	t.Helper()
	all, err := filedPages(path)
	if err != nil {
		t.Fatal(err)
	}
	r := replaying{pages: all, change: c, bar: &bar{}}
	return r.run(context.Background())
}

func TestReplayOfAFileAndOfADataDirectoryAgree(t *testing.T) {
	t.Parallel()
	p := busyDay(1500, 30)
	var want *replayReport
	for _, name := range []string{"day.ndjson", "day.ndjson.gz"} {
		got, err := replayed(t, dayFile(t, p, name), whatif.Change{})
		if err != nil {
			t.Fatal(err)
		}
		if want != nil && (got.Hash != want.Hash || got.Events != want.Events || got.Was.Total != want.Was.Total) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		want = got
	}
	dir := t.TempDir()
	j, err := openJournal(dir, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	events := keepDay(t, p, j.append)
	j.close()
	r := replayCmd{Journal: dir}
	all, done, err := r.open(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	k := replaying{pages: all, bar: &bar{}}
	got, err := k.run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got.Hash != want.Hash || got.Events != events || got.Was.Total != want.Was.Total {
		t.Errorf("%+v, want %+v", got, want)
	}
	if q := got.Was.Total; q.Offered != 1500 || q.Answered == 0 || q.Abandoned == 0 {
		t.Errorf("%+v", q)
	}
}

func TestReplaySeesATamperedJournal(t *testing.T) {
	t.Parallel()
	path := dayFile(t, busyDay(200, 10), "day.ndjson")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"an agent who was not there", `"k":"answered","c":"call000007","a":"agent`, `"k":"answered","c":"call000007","a":"nobody`, "the replay decides otherwise than the switch did"},
		{"a broken line", `"k":"bridged"`, `"k":bridged"`, "journal page"},
		{"no beginning", `"k":"started"`, `"k":"tick"`, "reaches back to no start of the switch"},
	} {
		bad := bytes.Replace(text, []byte(c.old), []byte(c.new), 1)
		if bytes.Equal(bad, text) {
			t.Fatalf("%s: nothing to change", c.name)
		}
		file := filepath.Join(t.TempDir(), "bad.ndjson")
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := replayed(t, file, whatif.Change{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

func TestReplayWithAChange(t *testing.T) {
	t.Parallel()
	path := dayFile(t, busyDay(1500, 18), "day.ndjson.gz")
	c, err := (&replayCmd{AddAgents: 4, Skill: map[string]int{"fr": 4}, Strategy: []string{"queue01=skill_then_idle"}}).change("")
	if err != nil {
		t.Fatal(err)
	}
	r, err := replayed(t, path, c)
	if err != nil {
		t.Fatal(err)
	}
	if r.trust() != "exactly the recorded figures" {
		t.Errorf("without the change: %s", r.trust())
	}
	if was, is := &r.Was.Total, &r.Is.Total; is.Mean >= was.Mean || is.Answered <= was.Answered || is.LoggedIn <= was.LoggedIn || is.Offered != was.Offered {
		t.Errorf("four more agents: %+v\nwas %+v", is, was)
	}
	r.Cost = rate{Minute: 0.42}
	var out bytes.Buffer
	if err := r.print(&out, time.UTC); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Played again without the change: exactly the recorded figures", "LEVEL: answered in time", "COST: 0.42 for each minute handled"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s\nlacks %s", out.String(), want)
		}
	}
	if _, err := replayed(t, path, whatif.Change{Remove: []acd.AgentID{"zoe"}}); err == nil || err.Error() != "agent zoe was not there on that day" {
		t.Error(err)
	}
}

func TestReplayFlagsAreChecked(t *testing.T) {
	for want, r := range map[string]replayCmd{
		"--add-agents: to play with fewer, name them with --remove-agents":               {AddAgents: -1},
		"--skill and --queues are those of added agents; say how many with --add-agents": {Skill: map[string]int{"fr": 1}},
		"--skill fr=9: a level is 1 to 5":                                                {AddAgents: 1, Skill: map[string]int{"fr": 9}},
		"--strategy sales=best: no such strategy; there are longest_idle, fewest_calls, least_talk, round_robin, top_down, skill_then_idle, weighted_random, ring_all, ring_progressive": {Strategy: []string{"sales=best"}},
	} {
		if _, err := r.change(""); err == nil || err.Error() != want {
			t.Errorf("%+v: %v, want %s", r, err, want)
		}
	}
	for text, want := range map[string]rate{"": {}, "0.42/min": {Minute: 0.42}, "24/h": {Hour: 24}} {
		if got, err := readRate(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"x/min", "0/min", "-1/h", "3", "3/day"} {
		if got, err := readRate(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestQuestionsAboutAnAgent(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, time.November, 25, 15, 0, 0, 0, paris)
	at := func(h, m int) time.Time { return time.Date(2026, time.November, 25, h, m, 0, 0, paris) }
	for _, c := range []struct {
		from, to     string
		wantF, wantT time.Time
		err          string
	}{
		{"14:00", "14:30", at(14, 0), at(14, 30), ""},
		{"", "", at(14, 30), now, ""},
		{"14:00", "18:00", at(14, 0), now, ""},
		{"2026-11-24T09:00:00Z", "2026-11-24T10:00:00+01:00", at(0, 0), at(0, 0), "is not before"},
		{"14", "", now, now, `--from: "14" is neither a time of today`},
		{"", "noon", now, now, `--to: "noon" is neither`},
	} {
		q, err := (&explainCmd{Agent: "ana", From: c.from, To: c.to}).question(now, "fr")
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s to %s: %v, want %s", c.from, c.to, err, c.err)
			}
			continue
		}
		if err != nil || !q.From.Equal(c.wantF) || !q.To.Equal(c.wantT) {
			t.Errorf("%s to %s: %+v, %v", c.from, c.to, q, err)
		}
	}
}

func TestTheJournalOfAnAgentIsExplained(t *testing.T) {
	t.Parallel()
	j, err := openJournal(t.TempDir(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	keepDay(t, busyDay(1500, 18), j.append)
	s := &desk{ex: &exchange{journal: j}, cfg: &config.Config{}}
	s.cfg.Site.Timezone = time.UTC
	begin := busyDay(0, 0).Begin
	x, err := s.ExplainAgent(context.Background(), console.AgentQuestion{Agent: "agent0001", From: begin.Add(5 * time.Hour), To: begin.Add(6 * time.Hour), Lang: "fr"})
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Stretches) < 10 || !x.Stretches[0].From.Equal(x.From) || !x.Stretches[len(x.Stretches)-1].To.Equal(x.To) {
		t.Errorf("%+v", x)
	}
	var out bytes.Buffer
	if err := printAgentExplanation(&out, x, time.UTC); err != nil || !strings.Contains(out.String(), "FROM") {
		t.Errorf("%v: %s", err, out.String())
	}
	if _, err := s.ExplainAgent(context.Background(), console.AgentQuestion{Agent: "zoe", From: begin, To: begin.Add(time.Hour)}); err == nil {
		t.Error("an agent who was never there is explained")
	}
	// What is exported from the middle begins with the start of the switch, and replays.
	path := filepath.Join(t.TempDir(), "part.ndjson.gz")
	err = writeFile(path, func(w io.Writer) error {
		return s.Journal(context.Background(), w, time.Now().Add(-time.Minute), time.Time{})
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := replayed(t, path, whatif.Change{})
	if err != nil || r.Was.Total.Offered != 1500 {
		t.Errorf("%+v, %v", r, err)
	}
}

// cpuTime is what this process has used of the processors.
func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkReplay is a day of 100,000 calls, from a file as exported.
func BenchmarkReplay(b *testing.B) {
	for _, name := range []string{"day.ndjson", "day.ndjson.gz"} {
		b.Run(strings.TrimPrefix(name, "day."), func(b *testing.B) {
			path := dayFile(b, busyDay(100_000, 800), name)
			info, err := os.Stat(path)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(info.Size())
			var events int
			before := cpuTime(b)
			for b.Loop() {
				all, err := filedPages(path)
				if err != nil {
					b.Fatal(err)
				}
				var k judge
				if err := all.each(context.Background(), func(p page, _ int64) error { return k.page(p) }); err != nil {
					b.Fatal(err)
				}
				events = k.events
			}
			b.ReportMetric(float64(events), "events/op")
			b.ReportMetric((cpuTime(b)-before).Seconds()/float64(b.N), "cpu-s/op")
		})
	}
	b.Run("two-more-agents", func(b *testing.B) {
		path := dayFile(b, busyDay(100_000, 800), "day.ndjson")
		before := cpuTime(b)
		for b.Loop() {
			all, err := filedPages(path)
			if err != nil {
				b.Fatal(err)
			}
			r := replaying{pages: all, change: whatif.Change{Add: 2, Skills: map[string]int{"fr": 4}}, bar: &bar{}}
			report, err := r.run(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			if trust := report.trust(); trust != "exactly the recorded figures" {
				b.Fatal(trust)
			}
		}
		b.ReportMetric((cpuTime(b)-before).Seconds()/float64(b.N), "cpu-s/op")
	})
}
