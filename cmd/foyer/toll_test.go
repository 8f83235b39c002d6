package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/cmd/foyer/config"
)

// Whatever is dialled, however it is written: it is refused, or it is the number it
// truly is and judged as that. The routes allow France, the Americas and the United
// Kingdom whole, and name nothing costly.
func TestDialTricks(t *testing.T) {
	p := routed(t,
		`{match: "+33*", trunks: [carrier], allow_roles: [client, supervisor]}`, `{match: "+1*", trunks: [carrier]}`,
		`{match: "+44*", trunks: [carrier]}`, `{match: "+338*", action: deny}`, `{match: "+33800*", trunks: [early]}`)
	agent, client := dialer{agent: "ana", client: "essai"}, dialer{client: "essai"}
	for _, x := range []struct {
		who     dialer
		dialled string
		number  string // "": refused
		err     error
	}{
		{client, "+33612345678", "+33612345678", nil},
		{client, "0612345678", "+33612345678", nil},
		{client, "0033612345678", "+33612345678", nil},
		{client, "+33 (0) 6 12 34 56 78", "+33612345678", nil},
		{client, "tel:+33612345678", "+33612345678", nil},
		{client, " 06 12-34.56/78 ", "+33612345678", nil},
		{client, "+330612345678", "+33612345678", nil},
		{client, "+330899123456", "", errDenied}, // the same as the next
		{client, "+33899123456", "", errDenied},
		{client, "0 899 123 456", "", errDenied},
		{client, "00330899123456", "", errDenied},
		{client, "+33 (0) 899 123 456", "", errDenied},
		{client, "0800123456", "+33800123456", nil},
		{client, "01133612345678", "", errNoNumber}, // an American's 011
		{client, "001133612345678", "", errNoNumber},
		{client, "+0033612345678", "+33612345678", nil},
		{client, "++33612345678", "", errNoNumber},
		{client, "+33612345678;phone-context=+44", "", errNoNumber},
		{client, "0170000001;phone-context=+882", "", errNoNumber},
		{client, "+33612345678;isub=12345", "", errNoNumber},
		{client, "+33612345678;postd=p22", "", errNoNumber},
		{client, "+33612345678;ext=5", "", errNoNumber},
		{client, "tel:+33612345678;tgrp=x", "", errNoNumber},
		{client, "%2B33612345678", "", errNoNumber},
		{client, "+33612345678%3B", "", errNoNumber},
		{client, "+3361234567８", "", errNoNumber}, // a full-width digit
		{client, "+٣٣٦١٢٣٤٥٦٧٨", "", errNoNumber},
		{client, "\u202e+33612345678", "", errNoNumber},
		{client, "＋33612345678", "", errNoNumber},
		{client, "+33612345678,,1234#", "", errNoNumber},
		{client, "+33612345678w9", "", errNoNumber},
		{client, "*21*+33612345678#", "", errNoNumber},
		{client, "**61*0899123456#", "", errNoNumber},
		{client, "#31#0612345678", "", errNoNumber}, // hides the caller, on some networks
		{client, "+33612345678@evil.test", "", errNoNumber},
		{client, "sip:+33612345678@lo.test", "", errNoNumber},
		{client, "+33612345678?Replaces=x", "", errNoNumber},
		{client, "+33612345678\r\nDiversion: <sip:x>", "", errNoNumber},
		{client, "+33612345678\x00", "", errNoNumber},
		{client, "0800FLOWERS", "", errNoNumber},
		{client, "+336123456789999", "", errNoNumber},
		{client, "112", "", errNoNumber},
		{client, "+33112", "", errNoNumber},
		{client, "3639", "", errNoNumber},
		{client, "118218", "", errNoNumber},
		{client, "+19005550100", "", errCostly},
		{client, "+1 876 555 0100", "", errCostly}, // Jamaica
		{client, "+18095550100", "", errCostly},    // the Dominican Republic
		{client, "+14155550100", "+14155550100", nil},
		{client, "+447012345678", "", errCostly}, // a personal number
		{client, "+449098790000", "", errCostly},
		{client, "+8816123456789", "", errNoRoute},
		{client, "+8835100123456", "", errNoRoute},
		{client, "+979123456789", "", errNoRoute},
		{client, "+37112345678", "", errNoRoute},
		{agent, "+33612345678", "", errRole},
		{agent, "+14155550100", "+14155550100", nil},
		{dialer{agent: "ana", supervisor: true}, "+33612345678", "+33612345678", nil},
	} {
		w, err := p.wouldDial(time.Now(), x.who, x.dialled)
		if w.number != x.number || !errors.Is(err, x.err) || (err == nil) != (x.err == nil) {
			t.Errorf("%q: %q, %v; want %q, %v", x.dialled, w.number, err, x.number, x.err)
		}
	}
}

// What is costly is called only if a route names it, not if one is wide.
func TestCostlyNumbersMustBeNamed(t *testing.T) {
	for _, x := range []struct {
		number string
		match  string
		ok     bool
	}{
		{"+33899123456", "+*", false}, {"+33899123456", "+33*", false}, {"+33899123456", "+338*", true}, {"+33899123456", "+33899123456", true},
		{"+33826123456", "+33*", false}, {"+33826123456", "+3382*", true},
		{"+8816123456789", "+*", false}, {"+8816123456789", "+88*", false}, {"+8816123456789", "+881*", true},
		{"+87077312345", "+8*", false}, {"+979123456789", "+9*", false}, {"+979123456789", "+979*", true},
		{"+18765550100", "+1*", false}, {"+18765550100", "+1876*", true},
		{"+33612345678", "+*", true}, {"+14165550100", "+1*", true}, {"+33800123456", "+33*", true},
	} {
		p := routed(t, fmt.Sprintf(`{match: "%s", trunks: [carrier]}`, x.match))
		if _, _, err := p.outbound(x.number); (err == nil) != x.ok {
			t.Errorf("%s by %s: %v", x.number, x.match, err)
		}
	}
}

// meter is a toll with a clock.
type meter struct {
	*toll
	now time.Time
}

func (m *meter) begin(number string, payers ...payer) (*passage, error) {
	p := &passage{way: way{number: number}, rate: 200, payers: payers} // 0.02 a minute
	return p, m.toll.begin(m.now, p, 5)
}

func (m *meter) wait(d time.Duration) { m.now = m.now.Add(d) }

func TestTollLimits(t *testing.T) {
	limits := config.DialLimits{Calls: 2, Call: time.Hour, DailyCalls: 6, Daily: 90 * time.Minute}
	ana := payer{"agent ana", limits}
	wide := config.DialLimits{Calls: 100, Call: 24 * time.Hour, DailyCalls: 1000, Daily: 1000 * time.Hour}
	essai := payer{"client essai", wide}
	m := &meter{newToll(), time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)}
	must := func(p *passage, err error) *passage {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := must(m.begin("+331", ana, essai))
	second := must(m.begin("+332", ana, essai))
	if _, err := m.begin("+333", ana, essai); !errors.Is(err, errTooMany) {
		t.Errorf("a third at once: %v", err)
	}
	if _, err := m.begin("+333", payer{"agent bo", limits}, essai); err != nil {
		t.Errorf("another agent: %v", err)
	}
	m.answer(m.now, first)
	m.wait(59 * time.Minute)
	ends, told := m.watch(m.now)
	if len(ends) != 0 {
		t.Errorf("ended after 59 minutes: %v", ends)
	}
	if len(told) != 1 || told[0] != (nearing{"agent ana", 50, "minutes"}) {
		t.Errorf("told %v", told)
	}
	m.wait(time.Minute)
	ends, told = m.watch(m.now)
	if len(ends) != 1 || ends[0].passage != first || !errors.Is(ends[0].why, errTooLong) {
		t.Errorf("after an hour: %v", ends)
	}
	if len(told) != 0 {
		t.Errorf("told again: %v", told)
	}
	m.over(m.now, first)
	m.over(m.now, first) // again, as a call that breaks may
	m.answer(m.now, second)
	m.wait(30 * time.Minute)
	ends, told = m.watch(m.now)
	if len(ends) != 1 || ends[0].passage != second || !errors.Is(ends[0].why, errDayTime) {
		t.Errorf("after 90 minutes of the day: %v", ends)
	}
	if len(told) != 1 || told[0].percent != 100 {
		t.Errorf("told %v", told)
	}
	m.over(m.now, second)
	if _, err := m.begin("+334", ana, essai); !errors.Is(err, errDayTime) {
		t.Errorf("with no minutes left: %v", err)
	}
	m.wait(14 * time.Hour) // the next day
	for i := range 6 {
		m.over(m.now, must(m.begin(fmt.Sprint("+34", i), ana, essai)))
	}
	if _, err := m.begin("+349", ana, essai); !errors.Is(err, errDayCalls) {
		t.Errorf("a seventh call: %v", err)
	}
}

// A caller who shows somebody else's number does not have it rung all day, and
// money is a hard stop in the middle of a call.
func TestTollSpendAndSameNumber(t *testing.T) {
	essai := payer{"client essai", config.DialLimits{Calls: 10, Call: 24 * time.Hour, DailyCalls: 1000, Daily: 100 * time.Hour, DailySpend: 2000}}
	m := &meter{newToll(), time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)}
	for range 5 {
		p, err := m.begin("+33612345678", essai)
		if err != nil {
			t.Fatal(err)
		}
		m.over(m.now, p)
	}
	if _, err := m.begin("+33612345678", essai); !errors.Is(err, errAgain) {
		t.Errorf("a sixth time: %v", err)
	}
	p, err := m.begin("+33700000000", essai)
	if err != nil {
		t.Fatal(err)
	}
	m.answer(m.now, p)
	var percents []int
	for minute := range 10 {
		ends, told := m.watch(m.now)
		for _, w := range told {
			percents = append(percents, w.percent)
		}
		if over := minute >= 9; over != (len(ends) == 1) {
			t.Errorf("minute %d at 0.02 of 0.20: %v", minute, ends)
		}
		m.wait(time.Minute)
	}
	if !slices.Equal(percents, []int{50, 80, 100}) {
		t.Errorf("told at %v", percents)
	}
}

func TestDialHours(t *testing.T) {
	p := planOf(t, strings.Replace(fmt.Sprintf(stageConfig, t.TempDir(), 5060, 8080, "20000-20999"), "  - {id: carrier,", "  - {id: carrier, host: 127.0.0.2,", 1)+
		"outbound_routes: [{match: \"+33*\", trunks: [carrier]}]\noutbound: {agent: {calendar: never}}\n")
	if _, err := p.wouldDial(time.Now(), dialer{agent: "ana"}, "0612345678"); !errors.Is(err, errHours) {
		t.Errorf("an agent outside the hours: %v", err)
	}
	if _, err := p.wouldDial(time.Now(), dialer{client: "essai"}, "0612345678"); err != nil {
		t.Errorf("a client has other hours: %v", err)
	}
}

// The gate stands before real calls: with no call left to the client, a caller whom
// a queue passes on is not put through, is told so, and the carrier sees no INVITE.
func TestGateStopsOverflow(t *testing.T) {
	slow(t)
	t.Parallel()
	s, far := withCarrier(t, with("overflow: [{after: 1s, to: hangup}]", `overflow: [{after: 1s, to: "+33612345678"}]`),
		with("agents:\n", "outbound: {client: {calls: 0}}\nagents:\n"))
	cara, c := s.rang("+33170000004", 1300)
	cara.hearsPrompt("nobody")
	cara.expect(c, "BYE")
	for _, e := range far.Wire().Trace() {
		if e.Msg != nil && e.Msg.Method == "INVITE" && !e.Out {
			t.Errorf("the carrier was called: %s", e.Msg)
		}
	}
	s.metrics(`foyer_dial_refused_total{reason="limit"} 1`)
}

// A call that has been put through ends when a limit is met, on both sides, and
// what it used is booked.
func TestGateEndsACall(t *testing.T) {
	t.Parallel()
	s, far := withCarrier(t, with("overflow: [{after: 1s, to: hangup}]", `overflow: [{after: 1s, to: "+33612345678"}]`))
	cara, out := s.rang("+33170000004", 1300)
	in := far.rings()
	far.takes(in)
	cara.hears(700)
	s.ex.toll.mu.Lock()
	pass := s.ex.toll.running[0]
	s.ex.toll.mu.Unlock()
	pass.stop() // as watchToll does
	far.expect(in, "BYE")
	cara.expect(out, "BYE")
	s.until("it is booked", func() bool {
		s.ex.toll.mu.Lock()
		defer s.ex.toll.mu.Unlock()
		a := s.ex.toll.payers["client essai"]
		return a.calls == 1 && a.talked > 0 && len(s.ex.toll.running) == 0
	})
}
