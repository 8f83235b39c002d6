package console

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"foyer/ledger/sqltest"
)

func TestListening(t *testing.T) {
	v := newVisit(t)
	token := v.token([]string{RecordingsListen}, nil)
	v.shelf.onRead = func() { // the first byte is about to go out: the line must be there
		trail, err := ListAudit(t.Context(), v.db, AuditQuery{Object: "r1", Limit: 1})
		if err != nil || len(trail) != 1 {
			t.Errorf("read before it was written down: %v %v", trail, err)
		}
	}
	w := v.ask("GET", "/api/v1/recordings/r1/audio", "", "token", token)
	if w.Code != 200 || w.Body.String() != "RIFF-0123456789" || w.Header().Get("Content-Type") != "audio/wav" ||
		w.Header().Get("Accept-Ranges") != "bytes" || w.Header().Get("Content-Disposition") != "" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("whole: %d %q %v", w.Code, w.Body, w.Header())
	}
	w = v.ask("GET", "/api/v1/recordings/r1/audio", "", "token", token, "Range", "bytes=5-8")
	if w.Code != 206 || w.Body.String() != "0123" || w.Header().Get("Content-Range") != "bytes 5-8/15" {
		t.Errorf("part: %d %q %v", w.Code, w.Body, w.Header())
	}
	if w = v.ask("GET", "/api/v1/recordings/r1/audio", "", "token", token, "Range", "bytes=99-"); w.Code != 416 {
		t.Errorf("beyond the end: %d", w.Code)
	}
	w = v.ask("GET", "/api/v1/recordings/r1/audio?download=1", "", "token", token)
	if got := w.Header().Get("Content-Disposition"); w.Code != 200 || got != "attachment; filename=foyer-20260302-090000-r1.wav" {
		t.Errorf("download: %d %q", w.Code, got)
	}
	w = v.ask("GET", "/api/v1/recordings/r1/audit", "", "token", v.token([]string{RecordingsRead}, nil))
	var trail struct{ Items []AuditEntry }
	if err := json.Unmarshal(w.Body.Bytes(), &trail); err != nil || len(trail.Items) != 4 {
		t.Fatalf("trail %s %v", w.Body, err)
	}
	for i, want := range []string{"recording.download from byte 0", "recording.listen from byte 99", "recording.listen from byte 5", "recording.listen from byte 0"} {
		e := trail.Items[i]
		if got := e.Action + " " + e.Detail; got != want || !strings.HasPrefix(e.Actor, "nadia (") || e.Remote != "192.0.2.7:4711" || e.Call != "c0" {
			t.Errorf("line %d: %+v, want %s", i, e, want)
		}
	}
	if v.shelf.open != 0 {
		t.Errorf("%d recordings left open", v.shelf.open)
	}
}

func TestNobodyListensUnseen(t *testing.T) { sqltest.Each(t, nobodyListensUnseen) }

func nobodyListensUnseen(t *testing.T, postgres string) {
	v := newVisit(t, on(t, postgres))
	token := v.token([]string{RecordingsListen}, nil)
	full := "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'disk full'); END"
	if postgres != "" {
		full = "ALTER TABLE audit ADD CONSTRAINT disk_full CHECK (false) NOT VALID"
	}
	if _, err := v.db.Exec(full); err != nil {
		t.Fatal(err)
	}
	w := v.ask("GET", "/api/v1/recordings/r1/audio", "", "token", token)
	if w.Code != 500 || strings.Contains(w.Body.String(), "RIFF") || v.shelf.read != 0 || v.shelf.open != 0 {
		t.Errorf("%d %s, %d reads, %d open", w.Code, w.Body, v.shelf.read, v.shelf.open)
	}
}

func TestTheAuditTrailShowsTampering(t *testing.T) { sqltest.Each(t, showsTampering) }

func showsTampering(t *testing.T, postgres string) {
	db := database(t, postgres)
	ctx := t.Context()
	var all sync.WaitGroup
	for range 20 { // from several requests at once
		all.Go(func() {
			if _, err := AppendAudit(ctx, db, AuditEntry{Actor: "a", Action: "recording.listen", Object: "r1"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	last, err := VerifyAudit(ctx, db)
	if err != nil || last.Seq != 20 {
		t.Fatalf("whole: %+v %v", last, err)
	}
	for _, q := range []string{"UPDATE audit SET actor = 'b' WHERE seq = 7", "DELETE FROM audit WHERE seq = 7"} {
		if _, err := db.Exec(q); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", q, err)
		}
	}
	if postgres != "" {
		if _, err := db.Exec("TRUNCATE audit"); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("truncate: %v", err)
		}
	}
	disarm := "DROP TRIGGER audit_stays; DROP TRIGGER audit_keeps" // by somebody with the file in their hands
	if postgres != "" {
		disarm = "DROP TRIGGER audit_stays ON audit; DROP TRIGGER audit_keeps ON audit"
	}
	if _, err := db.Exec(disarm); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		harm, undo string
		seq        int64
	}{
		{"UPDATE audit SET actor = 'b' WHERE seq = 7", "UPDATE audit SET actor = 'a' WHERE seq = 7", 7},
		{"UPDATE audit SET actor = 'arec', action = 'ording.listen' WHERE seq = 7", "UPDATE audit SET actor = 'a', action = 'recording.listen' WHERE seq = 7", 7},
		{"UPDATE audit SET at = at + 1 WHERE seq = 20", "UPDATE audit SET at = at - 1 WHERE seq = 20", 20},
		{"UPDATE audit SET hash = prev_hash WHERE seq = 20", "", 20},
		{"DELETE FROM audit WHERE seq = 5", "", 5},
		{"DELETE FROM audit WHERE seq = 1", "", 1},
	} {
		if _, err := db.Exec(tt.harm); err != nil {
			t.Fatal(err)
		}
		var broken *AuditBroken
		if _, err := VerifyAudit(ctx, db); !errors.As(err, &broken) || broken.Seq != tt.seq {
			t.Errorf("%s: %v", tt.harm, err)
		}
		if tt.undo != "" {
			if _, err := db.Exec(tt.undo); err != nil {
				t.Fatal(err)
			}
			if _, err := VerifyAudit(ctx, db); err != nil {
				t.Errorf("%s: %v", tt.undo, err)
			}
		}
	}
}

func TestAuditPages(t *testing.T) { sqltest.Each(t, auditPages) }

func auditPages(t *testing.T, postgres string) {
	v := newVisit(t, on(t, postgres))
	for range 5 {
		if _, err := AppendAudit(t.Context(), v.db, AuditEntry{Actor: "a", Action: "x", Object: "r1"}); err != nil {
			t.Fatal(err)
		}
	}
	var seen []int64
	for cursor := ""; ; {
		w := v.ask("GET", "/api/v1/audit?object=r1&limit=2"+cursor, "", "socket", "")
		var page struct {
			Items []AuditEntry
			Next  string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 {
			t.Fatal(w.Body)
		}
		for _, e := range page.Items {
			seen = append(seen, e.Seq)
		}
		if page.Next == "" {
			break
		}
		cursor = "&cursor=" + page.Next
	}
	if len(seen) != 5 || seen[0] != 5 || seen[4] != 1 {
		t.Errorf("seen %v", seen)
	}
}

func TestLadder(t *testing.T) {
	at := began()
	got := Ladder([]TraceLine{
		{At: at, Leg: "caller", Direction: "in", Transport: "udp", Remote: "127.0.0.2:5060", Summary: "INVITE", CSeq: "1 INVITE"},
		{At: at.Add(2e6), Leg: "caller", Direction: "out", Transport: "udp", Remote: "127.0.0.2:5060", Summary: "200 OK", CSeq: "1 INVITE"},
		{At: at.Add(3e6), Leg: "agent", Agent: "ana", Direction: "out", Transport: "tcp", Remote: "127.0.0.3:5060", Summary: "INVITE"},
		{At: at.Add(3456e6), Leg: "agent", Agent: "bo\x1b[2J", Direction: "in", Transport: "tcp", Remote: "127.0.0.4:5060", Summary: "486 Busy Here with a reason that does not fit"},
	})
	for _, line := range []string{
		"2026-03-02 09:00:00.000 UTC",
		"    +0.000  |- INVITE (1 INVITE) -------->|                             |                             |  udp 127.0.0.2:5060",
		"    +0.002  |< 200 OK (1 INVITE) ---------|                             |                             |  udp 127.0.0.2:5060",
		"    +0.003  |                             |- INVITE ------------------->|                             |  tcp 127.0.0.3:5060",
		"    +3.456  |                             |< 486 Busy Here with a reason that does not fit -----------|  tcp 127.0.0.4:5060",
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no line\n%s\nin\n%s", line, got)
		}
	}
	if strings.ContainsRune(got, 0x1b) {
		t.Error("an escape sequence came through")
	}
	if Ladder(nil) != "no messages\n" {
		t.Error("an empty ladder")
	}
}

func TestAnyLadderIsStraight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) TraceLine {
			return TraceLine{
				At: began(), Leg: rapid.SampledFrom([]string{"caller", "agent", ""}).Draw(t, "leg"),
				Agent:     rapid.SampledFrom([]string{"", "ana", "bo", "a name much longer than any column is"}).Draw(t, "agent"),
				Direction: rapid.SampledFrom([]string{"in", "out"}).Draw(t, "direction"),
				Transport: "udp", Remote: "x", Summary: rapid.String().Draw(t, "summary"), CSeq: rapid.String().Draw(t, "cseq"),
			}
		}), 1, 8).Draw(t, "lines")
		rows := strings.Split(strings.TrimSuffix(Ladder(lines), "\n"), "\n")
		if len(rows) != len(lines)+2 {
			t.Fatalf("%d rows for %d lines", len(rows), len(lines))
		}
		for _, row := range rows[2:] {
			if len([]rune(row)) != len([]rune(rows[2])) {
				t.Fatalf("crooked:\n%s", strings.Join(rows, "\n"))
			}
		}
	})
}
