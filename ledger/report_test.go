package ledger

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// report is a report's lines as JSON, each to be looked at by its keys.
func report(t *testing.T, s *Store, name string, q ReportQuery) []map[string]any {
	t.Helper()
	lines, err := s.Report(t.Context(), name, q)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(lines)
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// cells are some values of every line.
func cells(lines []map[string]any, keys ...string) string {
	var rows []string
	for _, l := range lines {
		var row []string
		for _, k := range keys {
			v, there := l[k]
			if !there {
				v = "absent"
			}
			row = append(row, strings.TrimSuffix(strings.TrimSuffix(fmt.Sprint(v), ":00.000Z"), "T00:00:00.000Z"))
		}
		rows = append(rows, strings.Join(row, " "))
	}
	return strings.Join(rows, " | ")
}

// The golden row of the definitions, through the database, by every formula.
func TestReportOfTheGoldenRow(t *testing.T) {
	everywhere(t, func(t *testing.T, d Database) {
		s := open(t, d)
		q := &QueueCounts{Offered: 1060, Calls: golden(), Handled: 1000, WaitAnswered: 12_000_000, WaitAll: 12_600_000, WaitMost: 95_000,
			Talked: 170_000_000, Held: 10_000_000, WrappedUp: 60_000_000, Within: 20_000, Short: 5_000}
		for n := range 1060 {
			q.Waits.count(Millis(n * 20))
		}
		s.PutIntervals(Interval{Start: quarterOf(At(day())), Life: 1, Subject: OfQueue, ID: "sales", Client: "acme", Queue: q})
		flush(t, s)
		base := ReportQuery{Bucket: ByDay, Zone: zone(t, "Europe/Paris"), Promises: func(string) Promise { return Promise{AllAbandonsCount, 0.82} }}
		for f, want := range map[Formula]string{
			QuickAbandonsMet: "0.8302 true", AnsweredOnly: "0.86 true", AllAbandonsCount: "0.8113 false",
			LateAbandonsCount: "0.8269 true", ShortAbandonsMet: "0.8208 true", ExcludeShort: "0.819 false", "": "0.8113 false",
		} {
			asked := base
			asked.Formula = f
			got := report(t, s, "sla", asked)
			name := f
			if f == "" {
				name = AllAbandonsCount // the queue's own
			}
			if c := cells(got, "formula", "service_level", "met"); c != string(name)+" "+want {
				t.Errorf("%q: %s, want %s", f, c, want)
			}
		}
		got := report(t, s, "queues", base)
		if c := cells(got, "asa_s", "wait_max_s", "aht_s", "abandon_rate", "abandon_rate_without_short", "offered", "within_s"); c != "12 95 240 0.0566 0.0476 1060 20" {
			t.Errorf("queue: %s", c)
		}
		p50, p90 := got[0]["wait_p50_s"].(float64), got[0]["wait_p90_s"].(float64)
		if p50 < 10.6*0.968 || p50 > 10.6*1.032 || p90 < 19.08*0.968 || p90 > 19.08*1.032 {
			t.Errorf("p50 %v p90 %v", p50, p90)
		}
	})
}

func TestReports(t *testing.T) {
	s := open(t, inFile(t))
	s.PutIntervals(counted()...)
	flush(t, s)
	paris := zone(t, "Europe/Paris")
	for _, tt := range []struct {
		name, report string
		q            ReportQuery
		keys         []string
		want         string
	}{
		{"two lives are one", "queues", ReportQuery{Bucket: ByQuarter}, []string{"start", "client", "queue", "offered"},
			"2026-03-02T09:00 acme sales 5 | 2026-03-02T09:00 bank tier1 1 | 2026-03-02T09:15 acme sales 4"},
		{"half hours", "queues", ReportQuery{Bucket: ByHalfHour}, []string{"end", "queue", "offered", "asa_s"},
			"2026-03-02T09:30 sales 9 3 | 2026-03-02T09:30 tier1 1 3"},
		{"a day in Paris", "intervals", ReportQuery{Bucket: ByDay}, []string{"start", "end", "client", "queue", "answered"},
			"2026-03-01T23:00 2026-03-02T23:00 acme absent 9 | 2026-03-01T23:00 2026-03-02T23:00 bank absent 1"},
		{"one queue", "sla", ReportQuery{Bucket: ByDay, ID: "tier1"}, []string{"queue", "formula", "service_level", "target", "met"}, "tier1 exclude_short 1 <nil> <nil>"},
		{"an agent", "agents", ReportQuery{Bucket: ByQuarter}, []string{"agent", "offers", "accepted", "acceptance", "handled", "logged_in_s", "handling_s", "aht_s", "occupancy", "utilisation", "adherence", "offered_s"},
			"ana 3 2 0.6667 2 780 350 175 0.5385 0.4487 0.6667 30"},
		{"an agent, as a client sees them", "agents", ReportQuery{Bucket: ByQuarter, Clients: []string{"bank"}}, []string{"offers", "handling_s", "idle_s", "occupancy", "utilisation", "adherence"},
			"1 150 0 <nil> <nil> <nil>"},
		{"a client that is not one's own", "queues", ReportQuery{Bucket: ByDay, Client: "bank", Clients: []string{"acme"}}, nil, ""},
	} {
		tt.q.Zone = paris
		if got := cells(report(t, s, tt.report, tt.q), tt.keys...); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if _, err := s.Report(t.Context(), "weather", ReportQuery{Bucket: ByDay, Zone: paris}); err == nil || !strings.Contains(err.Error(), "intervals") {
		t.Errorf("an unknown report: %v", err)
	}
}

// Queues that count differently are added up by the strictest formula, which is named.
func TestMixedFormulas(t *testing.T) {
	s := open(t, inFile(t))
	rows := counted()[:3]
	rows[2].Client = "acme"
	s.PutIntervals(rows...)
	flush(t, s)
	q := ReportQuery{Bucket: ByDay, Zone: time.UTC, Promises: func(queue string) Promise {
		return map[string]Promise{"sales": {AnsweredOnly, 0.8}, "tier1": {ShortAbandonsMet, 0.9}}[queue]
	}}
	if got := cells(report(t, s, "intervals", q), "formula"); got != "all_abandons_count" {
		t.Error(got)
	}
}

// The clock changes: a day has 23 or 25 hours, and the hour that comes twice is two.
func TestBucketsWhereTheClockChanges(t *testing.T) {
	for _, tt := range []struct {
		zone, from string
		quarters   int
		bucket     Bucket
		want       int // buckets
		longest    Millis
	}{
		{"Europe/Paris", "2026-03-29T00:00:00+01:00", 92, ByDay, 1, 23 * 3600_000},
		{"Europe/Paris", "2026-10-25T00:00:00+02:00", 100, ByDay, 1, 25 * 3600_000},
		{"Europe/Paris", "2026-10-25T00:00:00+02:00", 100, ByHalfHour, 50, 1800_000},
		{"Asia/Kathmandu", "2026-03-02T00:00:00+05:45", 96, ByHalfHour, 48, 1800_000},
		{"Asia/Kathmandu", "2026-03-02T00:00:00+05:45", 96, ByDay, 1, 24 * 3600_000},
		{"Australia/Lord_Howe", "2026-04-05T00:00:00+11:00", 98, ByDay, 1, 88200_000},
		{"Australia/Lord_Howe", "2026-04-05T00:00:00+11:00", 98, ByHalfHour, 49, 1800_000},
		{"America/Santiago", "2026-09-06T01:00:00-03:00", 92, ByDay, 1, 23 * 3600_000}, // has no midnight
	} {
		from, err := time.Parse(time.RFC3339, tt.from)
		if err != nil {
			t.Fatal(err)
		}
		z := zone(t, tt.zone)
		held := map[Instant]int{}
		for n := range tt.quarters {
			at := At(from) + Instant(n)*quarter
			start := tt.bucket.start(at, z)
			end := tt.bucket.end(start, z)
			if at < start || at+quarter > end {
				t.Errorf("%s: the quarter at %s is not in %s to %s", tt.zone, at, start, end)
			}
			if Span(start, end) != tt.longest {
				t.Errorf("%s: %s to %s", tt.zone, start, end)
			}
			held[start]++
		}
		if len(held) != tt.want {
			t.Errorf("%s: %d buckets of %s, want %d", tt.zone, len(held), tt.bucket, tt.want)
		}
	}
}

func TestReportsInPrint(t *testing.T) {
	s := open(t, inFile(t))
	s.PutIntervals(counted()...)
	flush(t, s)
	for _, name := range Reports() {
		lines, err := s.Report(t.Context(), name, ReportQuery{Bucket: ByQuarter, Zone: zone(t, "Europe/Paris"),
			Promises: func(string) Promise { return Promise{AnsweredOnly, 0.8} }})
		if err != nil {
			t.Fatal(err)
		}
		var table, sheet bytes.Buffer
		if err := WriteReportTable(&table, lines, zone(t, "Europe/Paris")); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(table.String(), "2026-03-02 10:00") || !strings.Contains(table.String(), " %") || strings.Count(table.String(), "\n") != len(lines)+1 {
			t.Errorf("%s:\n%s", name, table.String())
		}
		if err := WriteReportCSV(&sheet, lines, CSVOptions{}); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&sheet).ReadAll()
		if err != nil || len(rows) != len(lines)+1 || rows[1][0] != "2026-03-02T09:00:00.000Z" {
			t.Fatalf("%s: %v %v", name, rows, err)
		}
		// The columns are the keys of the JSON, all of them.
		for n, line := range lines {
			var keys map[string]any
			raw, _ := json.Marshal(line)
			if err := json.Unmarshal(raw, &keys); err != nil {
				t.Fatal(err)
			}
			for i, column := range rows[0] {
				want, there := keys[column]
				if !there && column != "queue" || want != nil && fmt.Sprint(want) != rows[n+1][i] {
					t.Errorf("%s line %d: %s is %q in the sheet, %v in JSON", name, n, column, rows[n+1][i], want)
				}
				delete(keys, column)
			}
			if len(keys) > 0 {
				t.Errorf("%s: the sheet lacks %v", name, keys)
			}
		}
	}
	var table bytes.Buffer
	if err := WriteReportTable(&table, nil, time.UTC); err != nil || !strings.Contains(table.String(), "Nothing") {
		t.Errorf("%q %v", table.String(), err)
	}
}
