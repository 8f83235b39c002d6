package loadtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// books makes the accounts of n flawless calls.
func books(n int) Books {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	b := Books{Recorded: true,
		Before: Readings{"go_goroutines": 50}, After: Readings{"go_goroutines": 55}}
	for i := range uint32(n) {
		c := Call{Number: i, Caller: CallerNumber(i), Outcome: Answered, Agent: "ana", EndedBy: "caller",
			Started: at, Ringing: at, Connected: at, Answered: at.Add(time.Second), Hungup: at.Add(11 * time.Second)}
		b.Calls = append(b.Calls, c)
		id := fmt.Sprint("call-", i)
		b.CDRs = append(b.CDRs, CDR{ID: id, From: c.Caller, Outcome: "answered", Agent: "ana", EndedBy: "caller",
			TalkS: 10.02, RecordingID: "rec-" + id})
		b.Recordings = append(b.Recordings, Recording{ID: "rec-" + id, CallID: id, State: "complete", DurationS: 10.01})
	}
	return b
}

func TestVerifierFinds(t *testing.T) {
	if found := Verify(books(5)); len(found) != 0 {
		t.Fatalf("flawless books: %v", found)
	}
	for want, spoil := range map[string]func(b *Books){
		"no CDR":                         func(b *Books) { b.CDRs = slices.Delete(b.CDRs, 2, 3) },
		"2 CDRs":                         func(b *Books) { c := b.CDRs[1]; c.ID = "again"; b.CDRs = append(b.CDRs, c) },
		"exists more than once":          func(b *Books) { b.CDRs = append(b.CDRs, b.CDRs[1]) },
		"never called":                   func(b *Books) { b.CDRs[0].From = "+33699999999" },
		"the CDR says abandoned":         func(b *Books) { b.CDRs[3].Outcome = "abandoned" },
		`the CDR says "bo"`:              func(b *Books) { b.CDRs[3].Agent = "bo" },
		"the CDR says 9.000":             func(b *Books) { b.CDRs[3].TalkS = 9 },
		"ended by caller":                func(b *Books) { b.CDRs[0].EndedBy = "switch" },
		"0 recordings":                   func(b *Books) { b.Recordings = b.Recordings[1:] },
		"2 recordings":                   func(b *Books) { b.Recordings = append(b.Recordings, b.Recordings[0]) },
		"has no CDR":                     func(b *Books) { b.Recordings[0].CallID = "other" },
		"interrupted at rest":            func(b *Books) { b.Recordings[4].State = "interrupted" },
		"3.000 s long":                   func(b *Books) { b.Recordings[4].DurationS = 3 },
		"foyer_rtp_ports_used: 0 before": func(b *Books) { b.After["foyer_rtp_ports_used"] = 2 },
		"go_goroutines: 50 before":       func(b *Books) { b.After["go_goroutines"] = 500 },
	} {
		b := books(5)
		spoil(&b)
		found := strings.Join(Verify(b), "\n")
		if !strings.Contains(found, want) {
			t.Errorf("no %q in\n%s", want, found)
		}
	}
}

func TestAnswerThatCrossedTheHangUpIsNoFault(t *testing.T) {
	b := books(1)
	b.Calls[0].Hungup = b.Calls[0].Answered.Add(3 * time.Millisecond)
	b.CDRs[0] = CDR{ID: "call-0", From: b.Calls[0].Caller, Outcome: "abandoned"}
	b.Recordings = nil
	if found := Verify(b); len(found) != 0 {
		t.Error(found)
	}
}

func TestReadReadings(t *testing.T) {
	got, err := ReadReadings(strings.NewReader("# HELP x\nfoyer_calls_active{state=\"a b}\",client=\"x\"} 2\n" +
		"foyer_calls_active{state=\"c\"} 3 1700000000\ngo_goroutines 41\n\nfoyer_rtp_ports_used 1e+01\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got["foyer_calls_active"] != 5 || got["go_goroutines"] != 41 || got["foyer_rtp_ports_used"] != 10 {
		t.Error(got)
	}
	if _, err := ReadReadings(strings.NewReader("broken x\n")); err == nil {
		t.Error("a broken line was read")
	}
}

func TestReadBooks(t *testing.T) {
	cdrs, err := ReadCDRs(strings.NewReader(`{"id":"a","from":"+33600000001","talk_s":1.5}` + "\n" + `{"id":"b"}` + "\n"))
	if err != nil || len(cdrs) != 2 || cdrs[0].TalkS != 1.5 {
		t.Error(cdrs, err)
	}
	if _, err := ReadCDRs(strings.NewReader("{")); err == nil {
		t.Error("half a row was read")
	}
	recs, err := ReadRecordings(strings.NewReader(`[{"id":"r","call_id":"a","state":"complete","duration_s":2}]`))
	if err != nil || len(recs) != 1 || recs[0].DurationS != 2 {
		t.Error(recs, err)
	}
}
