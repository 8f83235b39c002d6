package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"foyer/sip/siptest"
)

// payloads are what somebody may put where a name or number belongs, to be carried
// out where it is shown: in a page, a spreadsheet, a terminal, a database, a log, a
// header.
var payloads = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `javascript:alert(1)`, `<svg/onload=alert(1)>`,
	`'-alert(1)-'`, `{{constructor.constructor('alert(1)')()}}`, `${7*7}`, `<!--#exec cmd="id"-->`, `]]><x/>`, `&lt;b&gt;`,
	`=cmd|'/C calc'!A0`, `+1+cmd|'/C calc'!A0`, `-2+3+cmd|'/C calc'!A0`, `@SUM(1+1)`, "\t=1+1", "\r=1+1", `=HYPERLINK("http://x","y")`,
	"\x1b[2J\x1b[1;1H", "\x1b]0;title\x07", "\u009b31mred", "\x1b]8;;http://x\x1b\\", "\u202e4321", "\u2066a\u2069", "a\x08\x08b",
	"a\r\nX-Injected: yes", "a\nINFO forged=\"line\"", `'; DROP TABLE cdr; --`, `' OR 1=1 --`, "nul\x00byte", "\xff\xfe\xc0\xaf",
	`../../../../etc/passwd`, `%s%s%n%x`, strings.Repeat("A", 1000),
}

// commands are those that show what callers and phones send.
func commands(call string) [][]string {
	return [][]string{
		{"status"}, {"call", "list"}, {"agent", "list"}, {"agent", "show", "ana"}, {"queue", "list"}, {"callback", "list"},
		{"recording", "list"}, {"explain", call}, {"trace", call}, {"explain", "--agent", "ana"}, {"report", "queues"},
	}
}

// Whatever is sent stays words, wherever it is shown, logged, stored or exported.
func TestPayloadsAreInert(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var log output
	s := openStage(t, dir, func(st *staging) {
		encode := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
		st.log = zap.New(zapcore.NewCore(encode, zapcore.AddSync(&log), zap.DebugLevel))
	})
	file := filepath.Join(dir, "foyer.yaml")
	ana := s.agent("ana", anaTone)
	caller := s.caller(carrierHost, callerTone)
	var last *siptest.Call // is up while the programs look
	var first string
	taken := 0
	for i, p := range payloads {
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", "", "\x00", "").Replace(p)
		out := caller.call("+33170000001",
			siptest.H("From", fmt.Sprintf(`"%s" <sip:%s@carrier.test>;tag=t%d`, quoted, url.PathEscape(p), i)),
			siptest.H("User-Agent", strings.NewReplacer("\r", "", "\n", "").Replace(p)),
			siptest.H("Subject", quoted))
		var answer string
		s.until("an answer", func() bool {
			for _, e := range out.Events() {
				if e.Name == "200 INVITE" || e.Name == "400 INVITE" {
					answer = e.Name
				}
			}
			return answer != ""
		})
		if answer == "400 INVITE" { // not even looked into
			continue
		}
		taken++
		in := ana.rings()
		if raw := in.Invite().String(); strings.Contains(raw, "\nX-Injected") {
			t.Errorf("a header of the caller's making reaches the agent:\n%s", raw)
		}
		if i == len(payloads)-1 {
			last = out
			break
		}
		out.Bye(siptest.H("Reason", `Q.850;cause=16;text="`+quoted+`"`))
		caller.expect(out, "200 BYE")
		ana.expect(in, "CANCEL")
		first = s.rowOf(out).ID
	}
	s.callsWithID("\x1b[2J\u202e<script>alert(1)</script>=1+1")
	for _, args := range commands(first) {
		out, errs, code := foyer(t, append(args, "-c", file)...)
		if code != 0 {
			t.Errorf("foyer %v: exit %d %s", args, code, errs)
		}
		wantInert(t, "foyer "+strings.Join(args, " "), out)
	}
	if taken < len(payloads)*3/4 {
		t.Errorf("only %d of %d were taken", taken, len(payloads))
	}
	table, _, code := foyer(t, "cdr", "export", "--format", "csv", "-c", file)
	rows, err := csv.NewReader(strings.NewReader(table)).ReadAll()
	if code != 0 || err != nil || len(rows) < taken {
		t.Errorf("exit %d, %v, %d rows", code, err, len(rows))
	}
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=-@\t\r\n", rune(cell[0])) || strings.HasPrefix(cell, "+") && strings.Trim(cell[1:], "0123456789") != "" {
				t.Errorf("a spreadsheet would compute %q", cell)
			}
			wantInert(t, "CSV", cell)
		}
	}
	for _, path := range []string{"/api/v1/calls", "/api/v1/contacts", "/api/v1/agents"} {
		body, res := fetch(t, "http://"+s.cfg.Listen.HTTP.String()+path)
		if !json.Valid(body) || !strings.Contains(res.Header.Get("Content-Type"), "json") || res.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %v\n%.300s", path, res.Header, body)
		}
	}
	body, _ := fetch(t, "http://"+s.cfg.Listen.HTTP.String()+"/metrics")
	for _, p := range []string{"alert", "calc", "DROP", "INFO forged"} {
		if bytes.Contains(body, []byte(p)) {
			t.Errorf("a label has what a caller sent: %s", p)
		}
	}
	last.Bye()
	caller.expect(last, "200 BYE")
	s.rowOf(last)
	for line := range strings.Lines(log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no line of a log: %q", line)
		}
		wantInert(t, "log", line)
	}
}

// callsWithID calls a number that does not exist, with a Call-ID of one's own.
func (s *stage) callsWithID(id string) {
	s.t.Helper()
	pc, err := net.ListenPacket("udp", carrierHost+":0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer pc.Close()
	to, err := net.ResolveUDPAddr("udp", s.server)
	if err != nil {
		s.t.Fatal(err)
	}
	text := fmt.Sprintf("INVITE sip:+33199999999@%[1]s SIP/2.0\r\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bKid\r\nMax-Forwards: 70\r\n"+
		"From: <sip:+33612345678@carrier.test>;tag=id\r\nTo: <sip:+33199999999@%[1]s>\r\nCall-ID: %[3]s\r\nCSeq: 1 INVITE\r\n"+
		"Contact: <sip:%[2]s>\r\nContent-Length: 0\r\n\r\n", s.server, pc.LocalAddr(), id)
	if _, err := pc.WriteTo([]byte(text), to); err != nil {
		s.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	_ = pc.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		n, _, err := pc.ReadFrom(buf)
		if err != nil {
			s.t.Fatal(err)
		}
		if !bytes.HasPrefix(buf[:n], []byte("SIP/2.0 1")) {
			return // refused for its form or its number: both are well
		}
	}
}

// wantInert checks that a text does nothing to a terminal.
func wantInert(t *testing.T, where, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && r != ' ' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			t.Errorf("%s: %U in %q", where, r, text[:min(len(text), 300)])
			return
		}
	}
}
