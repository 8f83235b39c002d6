package main

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"foyer/acd"
	"foyer/ledger"
	"foyer/sip/siptest"
)

// dials calls a Request-URI as it stands.
func (p *person) dials(uri string, extra ...siptest.Header) *siptest.Call {
	p.s.t.Helper()
	c, err := p.Invite(p.s.ctx, uri, p.voice.offer(), append([]siptest.Header{siptest.H("To", "<sip:somebody@carrier.test>")}, extra...)...)
	if err != nil {
		p.s.t.Fatal(err)
	}
	return c
}

func TestNumbersAsCarriersWriteThem(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	caller := s.caller(carrierHost, callerTone)
	const us = "+33170000001"
	for _, c := range []struct{ uri, did string }{
		{"sip:+33170000001@" + s.server, us},
		{"sip:0033170000001@" + s.server, us},
		{"sip:33170000001@" + s.server, us},
		{"sip:0170000001@" + s.server, us},
		{"sip:+33170000001@" + s.server + ";user=phone", us},
		{"sip:+33170000001;npdi=yes@" + s.server + ";user=phone", us},
		{"sip:%2B33170000001@" + s.server, us},
		{"sip:+33-1-70-00-00-01@" + s.server, us},
		{"sip:01%2070%2000%2000%2001@" + s.server, us},
		{"tel:+33170000001", us},
		{"tel:+33-170-000-001;phone-context=+33", us},
	} {
		out := caller.dials(c.uri)
		if _, err := out.WaitFor(s.ctx, "200 INVITE"); err != nil {
			t.Fatalf("%s: %v", c.uri, err)
		}
		out.Bye()
		caller.expect(out, "200 BYE")
		if row := s.rowOf(out); row.DID != c.did || row.Queue != "accueil" {
			t.Errorf("%s leads to %q, queue %q", c.uri, row.DID, row.Queue)
		}
	}
	for _, uri := range []string{
		"sip:@" + s.server, "sip:" + s.server, "sip:+@" + s.server, "sip:0@" + s.server, "sip:112@" + s.server,
		"sip:+33170000009@" + s.server, "sip:%00@" + s.server, "sip:%F0%9F%93%9E@" + s.server,
		"sip:" + strings.Repeat("9", 300) + "@" + s.server, "sip:..%2F..%2Fetc%2Fpasswd@" + s.server,
		"sip:%EF%BC%90%EF%BC%91%EF%BC%97%EF%BC%90@" + s.server, "tel:+33899000000",
	} {
		out := caller.dials(uri)
		m, err := out.WaitFor(s.ctx, "4xx INVITE")
		if err != nil {
			t.Fatalf("%s: %v", uri, err)
		}
		if m.Status != 404 && m.Status != 400 {
			t.Errorf("%s is refused with %d", uri, m.Status)
		}
		if m.Status == 404 {
			if row := s.rowOf(out); row.Cause != acd.CauseNumberUnknown.String() || row.Outcome != ledger.Refused {
				t.Errorf("%s: CDR %s", uri, asJSON(row))
			}
		}
	}
}

// rowOf waits for the CDR of one call.
func (s *stage) rowOf(out *siptest.Call) (row ledger.CDR) {
	s.t.Helper()
	s.until("a CDR of "+out.ID(), func() bool {
		rows, err := s.ex.cdrs.List(s.ctx, ledger.Query{Limit: 1000})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, r := range rows {
			if r.SIPCallID == out.ID() {
				row = r
				return true
			}
		}
		return false
	})
	return row
}

func TestWhoTheAgentSeesCalling(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		extra        []siptest.Header
		agent, books string
	}{
		{"anonymous From", []siptest.Header{siptest.H("From", `"Anonymous" <sip:anonymous@anonymous.invalid>;tag=a1`)}, "anonymous", "anonymous"},
		{"anonymous From, asserted identity, privacy", []siptest.Header{
			siptest.H("From", `<sip:anonymous@anonymous.invalid>;tag=a1`),
			siptest.H("P-Asserted-Identity", "<sip:+33699999999@carrier.test>"), siptest.H("Privacy", "user;id"),
		}, "anonymous", "anonymous"},
		{"asserted identity", []siptest.Header{siptest.H("P-Asserted-Identity", `"X" <sip:+33699999999@carrier.test>`)}, "+33699999999", "+33699999999"},
		{"preferred identity of a trunk is no proof", []siptest.Header{siptest.H("P-Preferred-Identity", "<sip:+33699999999@carrier.test>")}, "+33612345678", "+33612345678"},
		{"Diversion changes neither caller nor number", []siptest.Header{
			siptest.H("Diversion", "<sip:+33170000002@carrier.test>;reason=unconditional"), siptest.H("History-Info", "<sip:+33170000002@x>;index=1"),
		}, "+33612345678", "+33612345678"},
		{"a national number", []siptest.Header{siptest.H("From", "<sip:0612345678@carrier.test>;tag=a1")}, "+33612345678", "+33612345678"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			ana := s.agent("ana", anaTone)
			caller := s.caller(carrierHost, callerTone)
			out := caller.call("+33170000001", c.extra...)
			caller.expect(out, "200 INVITE")
			in := ana.rings()
			if got := in.Invite().Caller(); got != c.agent {
				t.Errorf("the agent sees %q, want %q", got, c.agent)
			}
			if raw := in.Invite().String(); c.agent == "anonymous" && strings.Contains(raw, "99999999") {
				t.Errorf("a withheld number at the agent:\n%s", raw)
			}
			ana.picksUp(in)
			out.Bye()
			if row := s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup); row.From != c.books || row.DID != "+33170000001" {
				t.Errorf("CDR from %q to %q", row.From, row.DID)
			}
		})
	}
}

func TestHostileWordsStayWords(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	bo := s.agent("bo", boTone)
	caller := s.caller(carrierHost, callerTone)
	const script = `<script>alert(1)</script>`
	const injected = `X-Injected: yes`
	var ids []string
	for _, user := range []string{
		"%3Cscript%3Ealert(1)%3C%2Fscript%3E", "=cmd%7C'%20%2FC%20calc'!A0", "%2Bcmd%7Ccalc", "-1%2B1", "%40SUM(1)",
		"a%0D%0AX-Injected%3A%20yes", "';DROP%20TABLE%20cdr;--", "%00%FF%FE", "%E2%80%AE4321", strings.Repeat("a", 500),
	} {
		out := caller.call("+33170000001",
			siptest.H("From", `"=cmd|'/C calc'!A0\" `+script+`" <sip:`+user+`@carrier.test>;tag=t1`),
			siptest.H("User-Agent", script), siptest.H("Subject", "=1+1"))
		caller.expect(out, "200 INVITE")
		in := ana.rings()
		if raw := in.Invite().String(); strings.Contains(raw, "\n"+injected) {
			t.Errorf("a header of the caller's making reaches the agent:\n%s", raw)
		}
		in.Reject(603, siptest.H("Reason", `SIP;cause=603;text="`+script+`"`), siptest.H("Warning", `399 x "`+script+`"`))
		in = bo.rings()
		bo.picksUp(in)
		in.Bye(siptest.H("Reason", `Q.850;cause=16;text="=1+1`+script+`"`))
		caller.expect(out, "BYE")
		ids = append(ids, s.rowOf(out).ID)
		s.set("ana", "ready")
	}
	base := "http://" + s.cfg.Listen.HTTP.String()
	paths := []string{"/api/v1/contacts", "/api/v1/calls", "/api/v1/agents"}
	for _, id := range ids {
		paths = append(paths, "/api/v1/calls/"+id, "/api/v1/calls/"+id+"/explain", "/api/v1/calls/"+id+"/trace")
	}
	for _, path := range paths {
		body, res := fetch(t, base+path)
		if res.StatusCode == 404 {
			t.Fatalf("no such path: %s", path)
		}
		if !json.Valid(body) {
			t.Errorf("%s is not JSON:\n%.400s", path, body)
		}
		if res.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(res.Header.Get("Content-Type"), "json") {
			t.Errorf("%s: headers %v", path, res.Header)
		}
	}
	var table strings.Builder
	if err := s.ex.cdrs.ExportCSV(s.ctx, &table, ledger.Query{}, ledger.CSVOptions{}); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(table.String())).ReadAll()
	if err != nil || len(rows) != len(ids)+1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=-@\t\r\n", rune(cell[0])) || strings.HasPrefix(cell, "+") && strings.Trim(cell[1:], "0123456789") != "" {
				t.Errorf("a spreadsheet would compute %q", cell)
			}
		}
	}
}

func fetch(t *testing.T, url string) ([]byte, *http.Response) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body, res
}
