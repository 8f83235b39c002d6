package main

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/acd"
	"foyer/ledger"
	"foyer/sip/siptest"
)

// withTwoCarriers is a switch with two trunks that can be called, by a route that names
// them in order. wishes stands in the first trunk's configuration.
func withTwoCarriers(t *testing.T, wishes string, opts ...stageOption) (s *stage, first, second *carrier) {
	t.Helper()
	var conns [2]net.PacketConn
	for i, host := range []string{"127.0.0.2:0", "127.0.0.4:0"} {
		pc, err := net.ListenPacket("udp", host)
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = pc
	}
	opts = append([]stageOption{
		with(`{id: carrier, auth:`, `{id: carrier, `+wishes+`host: "`+conns[0].LocalAddr().String()+`", auth:`),
		with("clients: [", `  - {id: second, options_ping: 5s, host: "`+conns[1].LocalAddr().String()+`", auth: {allow: [127.0.0.4/32]}}`+"\n"+
			`outbound_routes: [{match: "+331*", trunks: [carrier, second]}, {match: "+336*", trunks: [second]}]`+"\nclients: ["),
		with(`overflow: [{after: 1s, to: hangup}]`, `overflow: [{after: 1s, to: "+33140000000"}]`),
	}, opts...)
	s = newStage(t, opts...)
	enter := func(pc net.PacketConn, host, user string) *carrier {
		phone, err := siptest.NewPhone(pc, siptest.Options{User: user, Domain: "carrier.test", Server: s.server})
		if err != nil {
			t.Fatal(err)
		}
		return &carrier{person: s.enter(phone, host, 700), addr: pc.LocalAddr().String()}
	}
	return s, enter(conns[0], "127.0.0.2", "+33612345678"), enter(conns[1], "127.0.0.4", "+33612345679")
}

// A trunk that does not answer OPTIONS is left out at once, and taken again at its
// first answer.
func TestTrunkThatIsDownIsLeftOut(t *testing.T) {
	slow(t)
	t.Parallel()
	s, first, second := withTwoCarriers(t, "options_ping: 5s, ")
	s.metrics(`foyer_trunk_up{trunk="carrier"} 1`, `foyer_trunk_options_rtt_seconds{trunk="second"} `)
	first.Manual(true, "OPTIONS")
	s.within(40*time.Second, "the trunk is down", func() bool { return !s.ex.edge.TrunkUp("carrier") })
	s.metrics(`foyer_trunk_up{trunk="carrier"} 0`, `foyer_trunk_up{trunk="second"} 1`)
	s.wants(200, "GET", "/trunks/carrier", "", `"state":"down"`, "does not answer OPTIONS", `"missed":3`)
	s.wants(200, "GET", "/trunks", "", `"id":"early","state":"unwatched"`, `"id":"second","state":"up"`)
	s.wants(404, "GET", "/trunks/nowhere", "")
	s.wants(404, "POST", "/trunks/nowhere/ping", "")
	s.wants(503, "POST", "/trunks/early/ping", "", "no host to ask")
	s.wants(200, "POST", "/trunks/second/ping", "", `"code":200`)

	begun := time.Now()
	_, out := s.rang("+33170000004", 1300)
	in := second.rings()
	if took := time.Since(begun); took > 4*time.Second { // one to overflow, none for the dead trunk
		t.Errorf("called after %v", took)
	}
	second.takes(in)
	out.Bye()
	second.expect(in, "BYE")
	s.wantEnd(ledger.Overflowed, acd.Caller, acd.CauseHangup)

	first.Manual(false, "OPTIONS")
	s.within(20*time.Second, "the trunk is up", func() bool { return s.ex.edge.TrunkUp("carrier") })
	_, out = s.rang("+33170000004", 1300)
	in = first.rings()
	first.takes(in)
	out.Bye()
	first.expect(in, "BYE")
}

// refusals are the codes a carrier refuses calls with, and whether they are its own
// fault, so that the next carrier is asked, or true of the number whoever is asked.
var refusals = map[int]bool{
	404: false, // no such number
	410: false,
	480: false, // not there now
	484: false, // too short
	486: false, // busy
	488: false, // would not hear us by another carrier either
	500: true,  // the carrier's trouble
	502: true,
	503: true, // overloaded
	504: true,
	600: false, // busy everywhere
	603: false, // does not want to
	604: false,
	302: false, // not followed unless follow_redirects says so
	403: false,
	407: false, // no account to answer with
}

// Each call is told by its caller's number.
func TestRefusalsOfTrunks(t *testing.T) {
	slow(t)
	t.Parallel()
	s, first, second := withTwoCarriers(t, "caller_id: passthrough, ", with("caller_id: passthrough, ", "caller_id: passthrough, max_calls: 100, "),
		with("auth: {mode: ip, allow: [127.0.0.2/32]}, max_calls: 20", "auth: {mode: ip, allow: [127.0.0.2/32]}"),
		with("{id: second,", "{id: second, caller_id: passthrough,"))
	number := func(code int) string { return fmt.Sprintf("+33612345%d", code) }
	cara := s.caller(carrierHost, 1300)
	calls := map[int]*siptest.Call{}
	elsewhere := 0
	// 503 last: afterwards the trunk is left alone for a while.
	codes := append(slices.DeleteFunc(slices.Sorted(maps.Keys(refusals)), func(c int) bool { return c == 503 }), 503)
	for _, code := range codes {
		calls[code] = cara.call("+33170000004", siptest.H("P-Asserted-Identity", "<sip:"+number(code)+"@carrier.test>"))
		cara.expect(calls[code], "200 INVITE")
		if in := first.rings(); !in.Reject(code) || in.Invite().Caller() != number(code) {
			t.Errorf("%d: not refused: %s", code, in.Invite())
		}
		if refusals[code] {
			elsewhere++
		}
	}
	taken := map[string]bool{}
	for range elsewhere {
		in := second.rings()
		taken[in.Invite().Caller()] = true
		second.takes(in)
	}
	for code, out := range calls {
		if next := refusals[code]; next != taken[number(code)] {
			t.Errorf("%d: the next carrier was asked: %v", code, !next)
		}
		if refusals[code] {
			out.Bye()
			continue
		}
		cara.expect(out, "BYE") // told that nobody can be reached
	}
	if len(taken) != elsewhere {
		t.Errorf("the next carrier was asked for %v", taken)
	}
}

// A redirection is followed only if the trunk's may be, to the trunk's own
// addresses, and through the outbound routes.
func TestRedirectionsOfTrunks(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name, wishes, contact string
		followed              bool
	}{
		{"not allowed", "", "<sip:+33140000001@127.0.0.2>", false},
		{"allowed", "follow_redirects: true, ", "<sip:0140000001@127.0.0.2>", true},
		{"to somebody else", "follow_redirects: true, ", "<sip:+33140000001@127.0.0.66>", false},
		{"to a number no route allows", "follow_redirects: true, ", "<sip:+33899000000@127.0.0.2>", false},
		{"to satellites", "follow_redirects: true, ", "<sip:+8816123456789@127.0.0.2>", false},
		{"to a number that goes by another trunk", "follow_redirects: true, ", "<sip:+33612345678@127.0.0.2>", false},
		{"to the police", "follow_redirects: true, ", "<sip:17@127.0.0.2>", false},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s, first, _ := withTwoCarriers(t, x.wishes)
			cara, out := s.rang("+33170000004", 1300)
			first.rings().Reject(302, siptest.H("Contact", x.contact))
			if !x.followed {
				cara.expect(out, "BYE")
				if n := len(first.Calls()); n != 0 {
					t.Errorf("%d calls more", n)
				}
				return
			}
			for range mostMoves - 1 {
				in := first.rings()
				if to := siptest.UserOf(in.Invite().URI); to != "+33140000001" {
					t.Errorf("called %s", to)
				}
				in.Reject(302, siptest.H("Contact", x.contact))
			}
			first.rings().Reject(302, siptest.H("Contact", x.contact)) // round and round
			cara.expect(out, "BYE")
		})
	}
}

// A caller who is passed on keeps name, history and signature.
func TestCallerIsPassedOn(t *testing.T) {
	slow(t)
	t.Parallel()
	const signature = "eyJhbGciOiJFUzI1NiJ9.eyJhdHRlc3QiOiJBIn0.c2ln;info=<https://cert.test/c.pem>;alg=ES256"
	s, first, _ := withTwoCarriers(t, "caller_id: passthrough, number_format: national, identity: ppi, forwarded_by: both, ")
	cara := s.caller(carrierHost, 1300)
	out := cara.call("+33170000004", siptest.H("From", "<sip:0033612345678@carrier.test>;tag=f1"), siptest.H("Identity", signature),
		siptest.H("Diversion", "<sip:0170000009@carrier.test>;reason=no-answer;counter=2"), siptest.H("Max-Forwards", "20"))
	cara.expect(out, "200 INVITE")
	in := first.rings()
	inv := in.Invite()
	own := strings.TrimSuffix(s.server, s.server[strings.LastIndex(s.server, ":"):])
	for name, want := range map[string]string{
		"P-Preferred-Identity": "<sip:0612345678@" + own + ";user=phone>", "P-Asserted-Identity": "", "Privacy": "",
		"Identity": signature, "Max-Forwards": "19",
	} {
		if got := inv.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if siptest.UserOf(inv.URI) != "0140000000" {
		t.Errorf("to %s", inv.URI)
	}
	want := []string{
		"<sip:0170000004@" + own + ";user=phone>;reason=unconditional;counter=1;privacy=off",
		"<sip:0170000009@" + own + ";user=phone>;reason=no-answer;counter=2;privacy=off",
	}
	if got := inv.Values("Diversion"); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("Diversion %q", got)
	}
	if got := inv.Values("History-Info"); len(got) != 3 || !strings.HasSuffix(got[2], ";index=1.1.1;mp=1.1") {
		t.Errorf("History-Info %q", got)
	}
	in.Reject(486)
	cara.expect(out, "BYE")
}

// Calls that go round are refused before anybody hears music.
func TestCallsThatGoRound(t *testing.T) {
	slow(t)
	t.Parallel()
	s, _, _ := withTwoCarriers(t, "")
	by := func(number, counter string) siptest.Header {
		return siptest.H("Diversion", "<sip:"+number+"@carrier.test>;reason=unconditional;counter="+counter)
	}
	for _, x := range []struct {
		name  string
		extra []siptest.Header
		code  string
	}{
		{"passed on by others", []siptest.Header{by("+33140000001", "1"), by("+33140000002", "2")}, "200"},
		{"the carrier names the number it delivers to", []siptest.Header{by("0170000005", "1")}, "200"},
		{"we have passed it on twice", []siptest.Header{by("+33170000004", "1"), by("+33140000000", "1"), by("0170000004", "1")}, "482"},
		{"another's circle", []siptest.Header{by("+33140000001", "1"), by("+33140000001", "1")}, "200"},
		{"six times", []siptest.Header{by("+33140000001", "6")}, "483"},
		{"no hop is left", []siptest.Header{siptest.H("Max-Forwards", "0")}, "483"},
	} {
		cara := s.caller(carrierHost, 1300)
		out := cara.call("+33170000005", x.extra...)
		if m := cara.expect(out, x.code[:1]+"xx INVITE"); fmt.Sprint(m.Status) != x.code {
			t.Errorf("%s: %d, want %s", x.name, m.Status, x.code)
		}
	}
	// One hop is enough to wait here, and not to be passed on.
	cara := s.caller(carrierHost, 1300)
	out := cara.call("+33170000004", siptest.H("Max-Forwards", "1"))
	cara.expect(out, "200 INVITE")
	cara.expect(out, "BYE")
	// A number that is the beginning of one of ours is not finished.
	for number, code := range map[string]string{"0170": "404", "017000000": "484", "+3317000000": "484", "0170000099": "404", "01700000011": "404"} {
		out := cara.call(number)
		if m := cara.expect(out, "4xx INVITE"); fmt.Sprint(m.Status) != code {
			t.Errorf("%s: %d, want %s", number, m.Status, code)
		}
	}
}

// Where the number that was called stands is the carrier's habit.
func TestWhereTheCalledNumberStands(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		habit, uri, to, diversion string
		did                       string // "": refused
	}{
		{"request", "+33170000001", "+33170000005", "+33170000005", "+33170000001"},
		{"to", "33123456", "0170000001", "", "+33170000001"},
		{"to", "33123456", "+33140000000", "", ""},
		{"diversion", "+33170000005", "+33170000005", "0170000001", "+33170000001"},
		{"diversion", "+33170000001", "+33170000001", "+33140000000", "+33170000001"},
		{"diversion", "+33170000001", "+33170000001", "", "+33170000001"},
	} {
		t.Run(x.habit+" "+x.uri+" "+x.diversion, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, with("{id: carrier, auth:", "{id: carrier, called_number: "+x.habit+", auth:"))
			cara := s.caller(carrierHost, 1300)
			extra := []siptest.Header{siptest.H("To", "<sip:"+x.to+"@lo.test>")}
			if x.diversion != "" {
				extra = append(extra, siptest.H("Diversion", "<sip:"+x.diversion+"@carrier.test>"))
			}
			out := cara.call(x.uri, extra...)
			if x.did == "" {
				cara.expect(out, "404 INVITE")
				return
			}
			cara.expect(out, "200 INVITE")
			out.Bye()
			if c := s.cdr(); c.DID != x.did {
				t.Errorf("%s", asJSON(c))
			}
		})
	}
}
