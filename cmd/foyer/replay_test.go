package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"foyer/acd"
	"foyer/acd/whatif"
)

// tuesday is a made day with a little too few agents, as docs/replay.md has it.
func tuesday() whatif.Plan {
	return whatif.Plan{
		Begin: time.Date(2026, time.November, 24, 7, 0, 0, 0, time.UTC), Length: 10 * time.Hour,
		Calls: 2000, Agents: 28, Queues: 2, Talk: 4 * time.Minute, Wrap: 30 * time.Second, Patience: 3 * time.Minute, Seed: 7,
	}
}

// long is a day of 100,000 calls.
func long() whatif.Plan {
	return whatif.Plan{
		Begin: time.Date(2026, time.November, 24, 6, 0, 0, 0, time.UTC), Length: 14 * time.Hour,
		Calls: 100_000, Agents: 800, Queues: 20, Talk: 3 * time.Minute, Wrap: 20 * time.Second, Patience: 2 * time.Minute, Seed: 11,
	}
}

// exported writes a made day as `foyer journal export` would, an event a page.
func exported(t testing.TB, p whatif.Plan, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	err := writeFile(path, func(w io.Writer) error {
		out := bufio.NewWriterSize(w, 1<<20)
		sum := acd.NewHash()
		var failed error
		p.Made(func(r acd.Record, done []acd.Action) {
			body, err := json.Marshal(page{Decided: sum.Sum(), Records: []acd.Record{r}})
			if err != nil && failed == nil {
				failed = err
			}
			out.Write(append(body, '\n'))
			sum.Add(r, done)
		})
		if failed != nil {
			return failed
		}
		return out.Flush()
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// replayed runs `foyer replay` on a file, beside no configuration.
func replayed(t *testing.T, path string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return foyer(t, append([]string{"replay", path, "-c", filepath.Join(filepath.Dir(path), "none.yaml")}, args...)...)
}

// daysOf is what `foyer replay -o json` says.
func daysOf(t *testing.T, path string, args ...string) (p replaying) {
	t.Helper()
	out, errs, code := replayed(t, path, append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), &p); err != nil || code != 0 || errs != "" {
		t.Fatalf("%v: exit %d, %s, %v\n%s", args, code, errs, err, out)
	}
	return p
}

func TestReplayADay(t *testing.T) {
	t.Parallel()
	path := exported(t, tuesday(), "tuesday.ndjson.gz")
	same := daysOf(t, path)
	if len(same.Days) != 1 || same.Days[0].Name != "recorded" || same.Days[0].Total.Offered != 2000 || same.Lives != 1 || same.Hash == "" {
		t.Fatalf("%+v", same)
	}
	if again := daysOf(t, path); again.Hash != same.Hash {
		t.Errorf("hash %s, then %s", same.Hash, again.Hash)
	}
	p := daysOf(t, path, "--add-agents", "2", "--skill", "fr=4", "--rate", "0.5/min")
	if len(p.Days) != 3 || p.Hash != same.Hash {
		t.Fatalf("%d days, hash %s", len(p.Days), p.Hash)
	}
	recorded, unchanged, two := p.Days[0], p.Days[1], p.Days[2]
	// A made day says everything there is to know, so that it comes out as it was.
	if a, b := asJSON(recorded.Total), asJSON(unchanged.Total); a != b {
		t.Errorf("unchanged\n%s\nrecorded\n%s", b, a)
	}
	if two.Agents != recorded.Agents+2 || two.Total.ASA >= unchanged.Total.ASA || *two.Total.Level <= *unchanged.Total.Level ||
		two.Total.Abandoned > unchanged.Total.Abandoned || two.Total.AgentHours <= unchanged.Total.AgentHours {
		t.Errorf("with two more\n%s\nwithout\n%s", asJSON(two.Total), asJSON(unchanged.Total))
	}
	for _, d := range p.Days {
		sum := 0.0
		for _, q := range d.Queues {
			sum += *q.Cost
		}
		if total := *d.Total.Cost; total < 30*d.Total.AgentHours-0.01 || total > 30*d.Total.AgentHours+0.01 || sum < total-0.01 || sum > total+0.01 {
			t.Errorf("%s: cost %.2f of %.2f hours, of the queues %.2f", d.Name, total, d.Total.AgentHours, sum)
		}
	}
	fewer := daysOf(t, path, "--remove-agents", "agent0001,agent0002")
	if a, b := fewer.Days[1].Total, fewer.Days[2].Total; b.ASA <= a.ASA || b.AgentHours >= a.AgentHours {
		t.Errorf("with two fewer\n%s\nwithout\n%s", asJSON(b), asJSON(a))
	}
	mixed := daysOf(t, path, "--strategy", "round_robin,queue01=ring_all")
	if mixed.Days[2].Total.Offered != 2000 || mixed.Days[2].Decisions == mixed.Days[1].Decisions {
		t.Errorf("another strategy decides alike: %s", asJSON(mixed.Days[2]))
	}
	hour := daysOf(t, path, "--from", "2026-11-24T11:00:00Z", "--to", "2026-11-24T12:00:00Z")
	if n := hour.Days[0].Total.Offered; n < 100 || n > 1000 || hour.Days[0].Total.AgentHours > 28 {
		t.Errorf("one hour has %s", asJSON(hour.Days[0].Total))
	}
}

// The page for operators shows what the program prints today.
func TestReplayPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/replay.md")
	if err != nil {
		t.Fatal(err)
	}
	path := exported(t, tuesday(), "tuesday.ndjson.gz")
	examples := strings.Split(string(text), "```\n$ foyer replay tuesday.ndjson.gz")[1:]
	if len(examples) < 2 {
		t.Errorf("%d examples on the page", len(examples))
	}
	for _, x := range examples {
		shown, _, _ := strings.Cut(x, "```")
		line, want, _ := strings.Cut(shown, "\n")
		out, errs, code := foyer(t, append([]string{"replay", path, "-c", "none.yaml"}, strings.Fields(line)...)...)
		if out = strings.ReplaceAll(out, path, "tuesday.ndjson.gz"); code != 0 || errs != "" || out != want {
			t.Errorf("%s: exit %d, %s\n%s\nthe page shows\n%s", line, code, errs, out, want)
		}
	}
}

func TestReplayRefusesInOneSentence(t *testing.T) {
	t.Parallel()
	plan := tuesday()
	plan.Calls, plan.Agents = 20, 3
	path := exported(t, plan, "day.ndjson")
	dir := filepath.Dir(path)
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, text []byte) string {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	lines := slices.Collect(strings.Lines(string(body)))
	forged := slices.Clone(lines)
	forged = slices.Delete(forged, 12, 13)
	for name, c := range map[string]struct {
		path, flags, say string
	}{
		"no file":         {filepath.Join(dir, "none"), "", "none: no such file or directory"},
		"no journal":      {dir, "", "holds no journal: name the data directory of a switch, or a file of `foyer journal export`"},
		"empty":           {write("empty", nil), "", "empty: the journal is empty, or reaches back to no start of the switch"},
		"headless":        {write("headless", []byte(strings.Join(lines[1:], ""))), "", "reaches back to no start of the switch"},
		"no JSON":         {write("text", []byte(lines[0]+"hello\n")), "", "page 2 of the journal: invalid character 'h'"},
		"cut":             {write("cut", body[:len(body)-20]), "", fmt.Sprintf("page %d of the journal: unexpected end of JSON input", len(lines))},
		"no gzip":         {write("day.gz", body), "", "day.gz: gzip: invalid header"},
		"an event gone":   {write("forged", []byte(strings.Join(forged, ""))), "", "the replay decides otherwise than the switch did"},
		"another time":    {path, "--from 2026-11-26", "holds nothing of that time; it goes from"},
		"from after to":   {path, "--from 2026-11-25 --to 2026-11-24", "--from 2026-11-25 is not before --to 2026-11-24"},
		"no day":          {path, "--from noon", `--from: "noon" is neither a day`},
		"skills of none":  {path, "--skill fr=4", "say how many with --add-agents"},
		"a skill":         {path, "--add-agents 1 --skill fr", "--skill fr: must be a skill and its level from 1 to 10, such as fr=4"},
		"negative agents": {path, "--add-agents=-1", "--add-agents -1: must be 1 to 10000"},
		"unfit agents":    {path, "--add-agents 1", "the added agents qualify for no queue"},
		"no queue":        {path, "--add-agents 1 --queues sales", "queue sales was not there on that day; there were queue01, queue02"},
		"queue strategy":  {path, "--strategy sales=top_down", "queue sales was not there on that day"},
		"no strategy":     {path, "--strategy best", `no strategy is called "best"; it is one of longest_idle, fewest_calls`},
		"two strategies":  {path, "--strategy top_down,ring_all", "--strategy ring_all: is the second for the same queue"},
		"no agent":        {path, "--remove-agents bo", "agent bo was not there on that day"},
		"no rate":         {path, "--rate 0.42", "--rate 0.42: must be an amount per minute or hour, such as 0.42/min or 25/h"},
		"free":            {path, "--rate 0/min", "--rate 0/min: must be an amount"},
	} {
		out, errs, code := replayed(t, c.path, strings.Fields(c.flags)...)
		if code != 1 || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, c.say) {
			t.Errorf("%s: exit %d\n%s%s\nwant %q", name, code, out, errs, c.say)
		}
	}
}

func TestProgressIsDrawnAndCleared(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	b := progress{out: &out}
	for range 64 {
		b.draw("replay", 0.5)
	}
	b.clear()
	b.clear()
	bar := "replay     [####################....................]  50%"
	if want := "\r" + bar + "\r" + strings.Repeat(" ", len(bar)) + "\r"; out.String() != want {
		t.Errorf("drawn %q, want %q", out.String(), want)
	}
}

// The benchmarks read a day of 100,000 calls from a file, an event a page, as
// `foyer replay` does.
func BenchmarkReplay(b *testing.B) { benchmarkReplay(b, whatif.Change{}) }

func BenchmarkWhatIf(b *testing.B) {
	benchmarkReplay(b, whatif.Change{Add: 2, Skills: map[string]int{"fr": 4}})
}

func benchmarkReplay(b *testing.B, c whatif.Change) {
	all, err := filedPages(exported(b, long(), "day.ndjson"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	before := spent(b)
	var p *replaying
	for b.Loop() {
		p = &replaying{change: c}
		if err := p.run(context.Background(), all); err != nil {
			b.Fatal(err)
		}
	}
	t := &p.Days[0].Total
	if t.Offered != 100_000 {
		b.Fatalf("%s", asJSON(p.Days))
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/day")
	b.ReportMetric((spent(b)-before).Seconds()/float64(b.N), "cpu-s/day") // what a busy machine does not change
	b.ReportMetric(float64(p.Events), "events")
	b.ReportMetric(float64(all.size)/(1<<20), "MiB")
	b.ReportMetric(float64(t.Answered)/float64(t.Offered), "answered")
}

// spent is the processor time of this process.
func spent(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
