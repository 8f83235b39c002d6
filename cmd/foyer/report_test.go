package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"foyer/cmd/foyer/config"
	"foyer/console"
	"foyer/ledger"
	"foyer/ledger/sqltest"
	"foyer/sip/siptest"
)

// Two lives of a switch, the first one killed, the second one stopped: what both
// counted is in the reports, once, in either database.
func TestReportsOfTwoLives(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, postgres string) {
		t.Parallel()
		dir := t.TempDir()
		file, sip, web := smallest(t, dir)
		if postgres != "" {
			addTo(t, file, fmt.Sprintf("database: {postgres: %q}\n", postgres))
		}
		l := startLife(t, file, sip, web)
		oneCall(t, l)
		l.cdrs(1)
		l.kill(syscall.SIGKILL)

		l = startLife(t, file, sip, web)
		from := "?bucket=day&from=" + url.QueryEscape(time.Now().Add(-24*time.Hour).Format(time.RFC3339))
		l.until("the killed life's call is counted", func() bool {
			body, code := l.get("/api/v1/reports/queues" + from)
			if code != 200 {
				t.Fatalf("%d %s", code, body)
			}
			var page struct{ Items []map[string]any }
			if err := json.Unmarshal([]byte(body), &page); err != nil {
				t.Fatal(err)
			}
			return total(page.Items, "offered") == 1 && total(page.Items, "answered") == 1
		})
		if body, code := l.get("/api/v1/reports/agents" + from + "&queue=accueil"); code != 400 || !strings.Contains(body, "not counted by queue") {
			t.Errorf("agents by queue: %d %s", code, body)
		}
		if body, code := l.get("/api/v1/reports/sla" + from + "&formula=SL9"); code != 400 || !strings.Contains(body, "SL1 to SL5") {
			t.Errorf("an unknown formula: %d %s", code, body)
		}
		oneCall(t, l)
		l.cdrs(2)
		if code := l.kill(syscall.SIGTERM); code != 0 {
			t.Errorf("SIGTERM: exit %d\n%s", code, l.log)
		}

		yesterday := time.Now().Add(-24 * time.Hour).Format(time.DateOnly)
		read := func(name string, more ...string) []map[string]any {
			t.Helper()
			out, errs, code := foyer(t, append([]string{"report", name, "-c", file, "--from", yesterday, "--bucket", "day", "-o", "json"}, more...)...)
			var lines []map[string]any
			if err := json.Unmarshal([]byte(out), &lines); err != nil || code != 0 {
				t.Fatalf("report %s: exit %d, %v\n%s%s", name, code, err, out, errs)
			}
			return lines
		}
		for _, name := range []string{"queues", "intervals", "sla"} {
			if lines := read(name); total(lines, "answered") != 2 || total(lines, "abandoned") != 0 || lines[0]["client"] != "essai" {
				t.Errorf("report %s: %v", name, lines)
			}
		}
		lines := read("sla", "--formula", "SL1")
		if lines[0]["formula"] != "quick_abandons_met" || lines[0]["service_level"] != 1.0 || lines[0]["met"] != true || lines[0]["target"] != 0.8 {
			t.Errorf("service level: %v", lines)
		}
		agents := read("agents")
		if total(agents, "accepted") != 2 || total(agents, "handled") != 2 || total(agents, "talk_s") < 0.2 || total(agents, "idle_s") <= 0 ||
			total(agents, "idle_s", "paused_s", "offered_s", "talk_s", "hold_s", "wrapup_s") != total(agents, "logged_in_s") {
			t.Errorf("agents: %v", agents)
		}
		if out, _, code := foyer(t, "report", "queues", "-c", file, "--from", yesterday, "-o", "csv"); code != 0 || !strings.HasPrefix(out, "start,end,client,queue,offered,") {
			t.Errorf("csv: exit %d %s", code, out)
		}
		if out, _, code := foyer(t, "report", "sla", "-c", file, "--from", yesterday); code != 0 || !strings.Contains(out, "100.00 %") || !strings.Contains(out, "exclude_short") {
			t.Errorf("table: exit %d %s", code, out)
		}
		if _, errs, code := foyer(t, "report", "sla", "-c", file, "--formula", "best"); code != 1 || !strings.Contains(errs, "answered_only") {
			t.Errorf("an unknown formula: exit %d %s", code, errs)
		}
	})
}

func addTo(t *testing.T, file, yaml string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(yaml); err != nil {
		t.Fatal(err)
	}
}

// oneCall is answered by ana, talked and hung up.
func oneCall(t *testing.T, l *life) {
	t.Helper()
	ana := outsider(t, l.sip, "127.0.0.1", anaTone, siptest.Options{User: "ana", Password: "pw-ana", Domain: "lo.test"})
	if res, err := ana.Register(ana.s.ctx, time.Minute); err != nil || res.Status != 200 {
		t.Fatalf("REGISTER: %v %v", res, err)
	}
	caller := outsider(t, l.sip, "127.0.0.2", callerTone, siptest.Options{User: "+33612345678", Domain: "carrier.test"})
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	caller.voice.talkTo(t, out.RemoteSDP())
	in := ana.rings()
	ana.picksUp(in)
	caller.hears(anaTone)
	l.until("half a second of talk", func() bool { return len(caller.voice.packets()) > 25 })
	in.Bye()
	caller.expect(out, "BYE")
}

// total adds up numbers of every line, in whole milliseconds: sums of fractions
// would not compare.
func total(lines []map[string]any, keys ...string) float64 {
	ms := 0.0
	for _, l := range lines {
		for _, key := range keys {
			x, _ := l[key].(float64)
			ms += math.Round(x * 1000)
		}
	}
	return ms / 1000
}

// A token limited to a client gets that client's numbers, whatever it asks for.
func TestReportsThroughTheDoor(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	start := ledger.At(time.Now().Truncate(ledger.Quarter))
	queue := func(id, client string, answered int) ledger.Interval {
		return ledger.Interval{Start: start, Life: 1, Subject: ledger.OfQueue, ID: id, Client: client,
			Queue: &ledger.QueueCounts{Offered: answered, Calls: ledger.Calls{Answered: answered, AnsweredWithin: answered}}}
	}
	s.ex.cdrs.PutIntervals(queue("accueil", "essai", 3), queue("other", "rival", 5))
	if err := s.ex.cdrs.Flush(s.ctx); err != nil {
		t.Fatal(err)
	}
	d := &desk{ex: s.ex, cfg: s.cfg}
	for _, tt := range []struct {
		name string
		q    console.ReportQuery
		want float64
	}{
		{"every client", console.ReportQuery{}, 8},
		{"its own", console.ReportQuery{Clients: []string{"essai"}}, 3},
		{"another's", console.ReportQuery{Client: "rival", Clients: []string{"essai"}}, 0},
		{"by queue", console.ReportQuery{Queue: "other"}, 5},
		{"before today", console.ReportQuery{From: start.Time().Add(-96 * time.Hour), To: start.Time().Add(-24 * time.Hour)}, 0},
	} {
		tt.q.Name, tt.q.Bucket = "queues", "15m"
		if tt.q.From.IsZero() {
			tt.q.From = start.Time()
		}
		lines, err := d.Report(s.ctx, tt.q)
		raw, _ := json.Marshal(lines)
		var seen []map[string]any
		if err != nil || json.Unmarshal(raw, &seen) != nil || total(seen, "answered") != tt.want {
			t.Errorf("%s: %s, %v", tt.name, raw, err)
		}
	}
}

// The configuration knows the formulas that the ledger computes, and no others.
func TestEveryFormulaCanBeConfigured(t *testing.T) {
	text, err := os.ReadFile("testdata/smallest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range ledger.Formulas() {
		file := filepath.Join(t.TempDir(), "foyer.yaml")
		yaml := strings.Replace(string(text), "require: [fr],", "require: [fr], service_level: {formula: "+name+"},", 1)
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p := promisesOf(cfg)("accueil"); string(p.Formula) != name || p.Target != 0.8 {
			t.Errorf("%s became %+v", name, p)
		}
		if !strings.Contains(string(schema), `"`+name+`"`) {
			t.Errorf("the schema lacks %s", name)
		}
	}
}

func TestShiftsOfTheConfiguration(t *testing.T) {
	text, err := os.ReadFile("testdata/smallest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "foyer.yaml")
	yaml := strings.Replace(string(text), "skills: {fr: 5},", `skills: {fr: 5}, shifts: {weekly: {mon: ["09:00-12:00", "13:00-17:00"]}},`, 1)
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, cfg.Site.Timezone)
	got := shiftsOf(cfg).Shifts(ledger.At(monday), ledger.At(monday.AddDate(0, 0, 1)))
	if len(got) != 2 || got[0].Agent != "ana" || got[0].From != ledger.At(monday.Add(9*time.Hour)) || got[1].To != ledger.At(monday.Add(17*time.Hour)) {
		t.Errorf("shifts %+v", got)
	}
}
