package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"foyer/sip"
	"foyer/sip/siptest"
)

// routed is a plan with some outbound routes.
func routed(t *testing.T, routes ...string) *plan {
	t.Helper()
	yaml := fmt.Sprintf(stageConfig, t.TempDir(), 5060, 8080, "20000-20999")
	yaml = strings.Replace(yaml, "  - {id: carrier,", "  - {id: carrier, host: 127.0.0.2, caller_id: passthrough,", 1)
	yaml = strings.Replace(yaml, "  - {id: early,", "  - {id: early, host: \"sip.early.test:5070\", transport: tcp,", 1)
	if len(routes) > 0 {
		yaml += "outbound_routes:\n  - " + strings.Join(routes, "\n  - ") + "\n"
	}
	return planOf(t, yaml)
}

func TestOutboundRoutes(t *testing.T) {
	p := routed(t,
		`{match: "+33*", trunks: [carrier, early]}`,
		`{match: "+338*", action: deny}`,
		`{match: "+33800*", trunks: [early]}`,
		`{match: "+33170000009", action: deny}`,
		`{match: "+33299*", trunks: [carrier]}`,
		`{match: "+33299*", action: deny}`,
		`{match: "+33298*", action: deny}`,
		`{match: "+33298*", trunks: [carrier]}`,
		`{match: "+33297123456", trunks: [early]}`,
		`{match: "+33297123456*", action: deny}`,
		`{match: "+44*", trunks: [early]}`)
	for _, x := range []struct {
		dialled, number, trunks string
		err                     error
	}{
		{"+33170000010", "+33170000010", "carrier early", nil},
		{"01 70 00 00 10", "+33170000010", "carrier early", nil},
		{"0033170000010", "+33170000010", "carrier early", nil},
		{"06.12.34.56.78", "+33612345678", "carrier early", nil},
		{"+33800123456", "+33800123456", "early", nil},
		{"+441632960001", "+441632960001", "early", nil},
		{"+33297123456", "+33297123456", "early", nil}, // exact is longer than a prefix
		{"+33897123456", "", "", errDenied},
		{"0897123456", "", "", errDenied},
		{"+33170000009", "", "", errDenied},
		{"01 70 00 00 09", "", "", errDenied},
		{"+33299123456", "", "", errDenied}, // denied and allowed, whichever comes first
		{"+33298123456", "", "", errDenied},
		{"+4930123456", "", "", errNoRoute},
		{"+8816123456789", "", "", errNoRoute},
		{"+14155550100", "", "", errNoRoute},
	} {
		w, _, err := p.outbound(x.dialled)
		if w.number != x.number || strings.Join(w.trunks, " ") != x.trunks || !errors.Is(err, x.err) || (err == nil) != (x.err == nil) {
			t.Errorf("%s: %s by %v, %v; want %s by %s, %v", x.dialled, w.number, w.trunks, err, x.number, x.trunks, x.err)
		}
	}
}

// Nothing is dialled that no route fits: with none, nothing at all is.
func TestOutboundDefaultIsDeny(t *testing.T) {
	p := routed(t)
	for _, number := range []string{"+33170000001", "0170000002", "+33899123456", "+8816123456789", "+979123456789", "112"} {
		if w, _, err := p.outbound(number); err == nil {
			t.Errorf("%s goes by %v", number, w.trunks)
		}
	}
}

// With every number allowed, what is no number of the public network still is
// not dialled, however it is written; nor are premium-rate numbers when the
// routes name what may be called.
func TestOutboundNeverDials(t *testing.T) {
	every := routed(t, `{match: "+*", trunks: [carrier]}`)
	for _, number := range []string{
		"112", "15", "17", "18", "114", "116117", "3117", "3639", "118218", "911", "999", // emergency and short codes
		"+33112", "+3315", "0033112", "+333639", "+1911", "+44999", "+49110", "+49112", "+390112", // the same, dressed up
		"", "+", "0", "00", "+0170000001", "anonymous", "unknown", "sip:+33170000001@evil.test", "tel:112", "112;phone-context=+33",
		"+33170000001@evil.test", "+337000000012345", "*21*0170000001#", "%2B33112", "١٥", "+33170000001\r\nX: y",
	} {
		w, _, err := every.outbound(number)
		if err == nil {
			t.Errorf("%q is dialled as %s", number, w.number)
		}
	}
	narrow := routed(t, `{match: "+331*", trunks: [carrier]}`, `{match: "+336*", trunks: [carrier]}`, `{match: "+337*", trunks: [carrier]}`)
	for _, number := range []string{"0899123456", "+33899123456", "0892123456", "0033 8 97 12 34 56", "+979123456789", "+8835100123456", "+87012345678", "+19005550100"} {
		if w, _, err := narrow.outbound(number); err == nil {
			t.Errorf("%q is dialled as %s", number, w.number)
		}
	}
	if _, _, err := narrow.outbound("0612345678"); err != nil {
		t.Error(err)
	}
}

func TestNextTrunkOfWay(t *testing.T) {
	p := routed(t, `{match: "+33*", trunks: [carrier, early]}`)
	leg := new(sip.Leg)
	for _, x := range []struct {
		full  string // trunks that take no call
		tried string // by three calls of next
		legs  int
	}{
		{"", "carrier early", 2}, {"carrier", "carrier early", 1}, {"early", "carrier early", 1}, {"carrier early", "carrier early", 0},
	} {
		w, _, err := p.outbound("0612345678")
		if err != nil {
			t.Fatal(err)
		}
		var tried []string
		legs := 0
		for range 3 {
			got, err := w.next(func(trunk string) (*sip.Leg, error) {
				tried = append(tried, trunk)
				if slices.Contains(strings.Fields(x.full), trunk) {
					return nil, &sip.TrunkFull{Trunk: trunk, Max: 1}
				}
				return leg, nil
			})
			if (got == leg) != (err == nil) {
				t.Errorf("%v, %v", got, err)
			}
			if err == nil {
				legs++
			}
		}
		if strings.Join(tried, " ") != x.tried || legs != x.legs {
			t.Errorf("%s full: tried %v, %d legs", x.full, tried, legs)
		}
		if len(p.cfg.OutboundRoutes[0].Trunks) != 2 {
			t.Fatal("the configuration was changed")
		}
		// The last error is what the call is told: that the trunk was full, or
		// that there was none.
		_, err = w.next(nil)
		if !errors.Is(err, errNoTrunk) {
			t.Error(err)
		}
	}
}

func TestWhoIsShown(t *testing.T) {
	p := routed(t)
	const did = "+33170000001"
	for _, x := range []struct {
		trunk    string
		caller   sip.Caller
		shown    sip.Caller
		passedOn bool
	}{
		{"carrier", sip.Caller{User: "0612345678", Display: "Ada"}, sip.Caller{User: "+33612345678", Display: "Ada"}, true},
		{"carrier", sip.Caller{User: "+441632960001", Private: true}, sip.Caller{User: "+441632960001", Private: true}, true},
		{"carrier", sip.Caller{User: "anonymous", Display: "Anonymous", Private: true}, sip.Caller{User: did, Private: true}, true},
		{"carrier", sip.Caller{User: "desk", Display: "Desk"}, sip.Caller{User: did}, true},
		{"carrier", sip.Caller{}, sip.Caller{User: did}, false},
		{"early", sip.Caller{User: "+441632960001", Display: "Ada"}, sip.Caller{User: did}, false},
		{"early", sip.Caller{User: "+441632960001", Private: true}, sip.Caller{User: did}, false},
	} {
		shown, passedOn := p.shown(x.trunk, x.caller, did)
		if shown != x.shown || passedOn != x.passedOn {
			t.Errorf("by %s %+v: %+v, passed on %v", x.trunk, x.caller, shown, passedOn)
		}
	}
}

// What the configuration says of a trunk is what the wire is told.
func TestPlanOfTrunks(t *testing.T) {
	p := routed(t)
	a, b := p.sipTrunks[0], p.sipTrunks[1]
	if a.Host != "127.0.0.2" || a.Port != 0 || a.Transport != "udp" || a.MaxCalls != 20 || a.Username != "" {
		t.Errorf("%+v", a)
	}
	if b.Host != "sip.early.test" || b.Port != 5070 || b.Transport != "tcp" {
		t.Errorf("%+v", b)
	}
}

// The whole way of a number: the first trunk has trouble, the second is full, the
// third answers; and a number that is refused is not asked of another.
func TestNumberIsCalledByTheNextTrunk(t *testing.T) {
	t.Parallel()
	ports := map[string]int{}
	trunks := "trunks:\n"
	for i, id := range []string{"broken", "full", "good"} {
		at := fmt.Sprintf("127.0.0.%d", 11+i)
		ports[id] = freePort(t, at)
		trunks += fmt.Sprintf("  - {id: %s, host: \"%s:%d\", auth: {allow: [%s/32]}, max_calls: 1}\n", id, at, ports[id], at)
	}
	s := newStage(t, with("trunks:\n", trunks), with("agents:\n", "outbound_routes: [{match: \"+33*\", trunks: [broken, full, good]}]\nagents:\n"))
	carriers := map[string]*siptest.Phone{}
	for i, id := range []string{"broken", "full", "good"} {
		pc, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.%d:%d", 11+i, ports[id]))
		if err != nil {
			t.Fatal(err)
		}
		if carriers[id], err = siptest.NewPhone(pc, siptest.Options{User: id, Server: s.server, Outbound: true}); err != nil {
			t.Fatal(err)
		}
		defer carriers[id].Close()
	}
	wait := func(id string) *siptest.Call {
		t.Helper()
		c, err := carriers[id].WaitCall(s.ctx)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	p := s.ex.plan.Load()
	told := make(chan sip.LegEvent, 16)
	dial := func(w *way) func(string) (*sip.Leg, error) {
		return func(trunk string) (*sip.Leg, error) {
			shown, _ := p.shown(trunk, sip.Caller{}, "+33170000001")
			return s.ex.edge.Dial(sip.Dial{Trunk: trunk, Number: w.number, Caller: shown, SDP: []byte("v=0\r\n")},
				func(ev sip.LegEvent) { told <- ev })
		}
	}
	refused := func() sip.Refused {
		t.Helper()
		select {
		case ev := <-told:
			if r, ok := ev.(sip.Refused); ok {
				return r
			}
			t.Fatalf("told %T", ev)
		case <-s.ctx.Done():
			t.Fatal("nothing told")
		}
		return sip.Refused{}
	}
	occupied, err := (&way{number: "+33612345670", trunks: []string{"full"}}).next(dial(&way{number: "+33612345670"}))
	if err != nil {
		t.Fatal(err)
	}
	busy := wait("full")

	w, _, err := p.outbound("06 12 34 56 78")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.next(dial(&w)); err != nil {
		t.Fatal(err)
	}
	wait("broken").Reject(503)
	if r := refused(); r.Code != 503 || !r.Elsewhere() {
		t.Fatalf("%+v", r)
	}
	leg, err := w.next(dial(&w))
	if err != nil {
		t.Fatal(err)
	}
	c := wait("good")
	if leg.Trunk() != "good" || c.Invite().Caller() != "+33170000001" || siptest.UserOf(c.Invite().URI) != "+33612345678" {
		t.Errorf("by %s: %s", leg.Trunk(), c.Invite())
	}
	c.Reject(486)
	if r := refused(); r.Code != 486 || r.Elsewhere() {
		t.Errorf("%+v", r)
	}
	if _, err := w.next(dial(&w)); !errors.Is(err, errNoTrunk) {
		t.Error(err)
	}
	busy.Ring(180, "")
	occupied.Hangup(sip.Reason{})
	s.until("the trunk is free", func() bool { return s.ex.edge.TrunkCalls()["full"] == 0 })
}
