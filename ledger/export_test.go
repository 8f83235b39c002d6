package ledger

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestNDJSON(t *testing.T) {
	var b bytes.Buffer
	if err := WriteNDJSON(&b, samples(3)); err != nil {
		t.Fatal(err)
	}
	s := open(t, inFile(t))
	s.Put(samples(3)...)
	flush(t, s)
	var streamed bytes.Buffer
	if err := s.ExportNDJSON(t.Context(), &streamed, Query{OldestFirst: true}); err != nil {
		t.Fatal(err)
	}
	if streamed.String() != b.String() {
		t.Errorf("streamed\n%swritten\n%s", streamed.String(), b.String())
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, line := range lines {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil || row["queued_s"] != 3.25 || row["started"] == nil {
			t.Errorf("%v in %s", err, line)
		}
	}
}

func TestCSV(t *testing.T) {
	odd := sample(1)
	odd.From, odd.To, odd.Answered = `=HYPERLINK("http://evil")`, "a;b,\"c\"\nd", 0
	var b bytes.Buffer
	if err := WriteCSV(&b, []CDR{sample(0), odd}, CSVFor("fr-FR")); err != nil {
		t.Fatal(err)
	}
	text, found := strings.CutPrefix(b.String(), "\ufeff")
	if !found {
		t.Error("no byte-order mark")
	}
	r := csv.NewReader(strings.NewReader(text))
	r.Comma = ';'
	rows, err := r.ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	cell := func(row int, name string) string {
		for i, h := range rows[0] {
			if h == name {
				return rows[row][i]
			}
		}
		t.Fatalf("no column %s", name)
		return ""
	}
	for name, want := range map[string]string{
		"id": "c00000", "from": "+33600000000", "queued_s": "3,25", "duration_s": "63,3", "mos_min": "4,31",
		"started": "2026-03-02T09:00:00.000Z", "sip_code": "200", "q850": "", "service_level_met": "true",
	} {
		if got := cell(1, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := cell(2, "from"); got != `'=HYPERLINK("http://evil")` {
		t.Errorf("a formula: %q", got)
	}
	if got := cell(2, "to"); got != "a;b,\"c\"\nd" {
		t.Errorf("separators: %q", got)
	}
	if got := cell(2, "answered"); got != "" {
		t.Errorf("never answered: %q", got)
	}

	s := open(t, inFile(t))
	s.Put(sample(0), odd)
	flush(t, s)
	var streamed bytes.Buffer
	if err := s.ExportCSV(t.Context(), &streamed, Query{OldestFirst: true}, CSVFor("fr")); err != nil {
		t.Fatal(err)
	}
	if streamed.String() != b.String() {
		t.Errorf("streamed\n%swritten\n%s", streamed.String(), b.String())
	}
	if o := CSVFor("en"); o.BOM || o.Semicolon {
		t.Errorf("english: %+v", o)
	}
}

func TestInert(t *testing.T) {
	for in, want := range map[string]string{
		"":                    "",
		"Ana":                 "Ana",
		"+33612345678":        "+33612345678",
		"+":                   "'+",
		"+33 6":               "'+33 6",
		"+1234567890123456":   "'+1234567890123456", // longer than a number can be
		"+1+cmd|' /C calc'!A": "'+1+cmd|' /C calc'!A",
		"-1":                  "'-1",
		"=1+1":                "'=1+1",
		"@SUM(A1)":            "'@SUM(A1)",
		"\t=1":                "'\t=1",
		"\r=1":                "'\r=1",
		"a=1":                 "a=1",
		"anonymous":           "anonymous",
		"0612345678":          "0612345678",
	} {
		if got := inert(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errBroken }

var errBroken = errors.New("broken pipe")

func TestExportsSayWhenNobodyReads(t *testing.T) {
	if err := WriteNDJSON(brokenPipe{}, samples(1)); !errors.Is(err, errBroken) {
		t.Errorf("NDJSON: %v", err)
	}
	if err := WriteCSV(brokenPipe{}, samples(1), CSVOptions{}); !errors.Is(err, errBroken) {
		t.Errorf("CSV: %v", err)
	}
}

func TestSeconds(t *testing.T) {
	for m, want := range map[Millis]string{0: "0", 1: "0.001", 10: "0.01", 100: "0.1", 1000: "1", 63300: "63.3", 3599999: "3599.999", -1500: "-1.5"} {
		raw, err := json.Marshal(m)
		if err != nil || string(raw) != want {
			t.Errorf("%d: %s %v", m, raw, err)
		}
		var back Millis
		if err := json.Unmarshal(raw, &back); err != nil || back != m {
			t.Errorf("%s: back %d, %v", raw, back, err)
		}
	}
}

func FuzzInstant(f *testing.F) {
	f.Add(int64(1772442000123))
	f.Add(int64(0))
	f.Fuzz(func(t *testing.T, ms int64) {
		if ms < -62135596800000 || ms > 253402300799999 { // years RFC 3339 can write
			return
		}
		raw, err := json.Marshal(Instant(ms))
		if err != nil {
			t.Fatal(err)
		}
		var back Instant
		if err := json.Unmarshal(raw, &back); err != nil || back != Instant(ms) {
			t.Errorf("%d as %s came back %d, %v", ms, raw, back, err)
		}
	})
}
