package sip

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/sip/siptest"
)

// Who passed a call on, as carriers write it.
func TestDiversionsAreRead(t *testing.T) {
	many := []siptest.Header{}
	for range 30 {
		many = append(many, siptest.H("Diversion", "<sip:+33170000009@a.test>"))
	}
	for _, x := range []struct {
		name    string
		headers []siptest.Header
		want    string
	}{
		{"nobody", nil, "[]"},
		{"one", []siptest.Header{siptest.H("Diversion", `"Boutik" <sip:+33170000009@a.test;user=phone>;reason=no-answer;counter=2;privacy=off`)},
			"[{+33170000009 no-answer 2 false}]"},
		{"a chain, in one line and two", []siptest.Header{
			siptest.H("Diversion", "<tel:+33170000009>;Reason=\"user-busy\" , <sip:0170000008@a.test>;reason = unconditional"),
			siptest.H("Diversion", "<sip:+33170000007@a.test>;privacy=full"),
		}, "[{+33170000009 user-busy 0 false} {0170000008 unconditional 0 false} {+33170000007  0 true}]"},
		{"nonsense beside it", []siptest.Header{siptest.H("Diversion", "<<>>"), siptest.H("Diversion", "<sip:a.test>"),
			siptest.H("Diversion", "<sip:+33170000009@a.test>;counter=-4;reason=\"a b\"")}, "[{+33170000009  0 false}]"},
		{"a counter to be laughed at", []siptest.Header{siptest.H("Diversion", "<sip:1@a.test>;counter=2000000000")}, "[{1  20 false}]"},
		{"history", []siptest.Header{
			siptest.H("History-Info", `<sip:+33170000009@a.test?Reason=SIP%3Bcause%3D486%3Btext%3D%22Busy%22>;index=1`),
			siptest.H("History-Info", `<sip:+33170000008@a.test?Privacy=history>;index=1.1;mp=1, <sip:+33170000001@a.test;cause=408>;index=1.1.1;mp=1.1`),
		}, "[{+33170000008 no-answer 0 true} {+33170000009 user-busy 0 false}]"},
		{"history without a diversion", []siptest.Header{siptest.H("History-Info", "<sip:+33170000001@a.test>;index=1")}, "[]"},
		{"history of a change of domain", []siptest.Header{siptest.H("History-Info", "<sip:1@a.test>;index=1,<sip:1@b.test>;index=1.1;rc=1")}, "[]"},
		{"both", []siptest.Header{siptest.H("Diversion", "<sip:2@a.test>"),
			siptest.H("History-Info", "<sip:3@a.test>;index=1,<sip:1@b.test>;index=1.1")}, "[{2  0 false}]"},
		{"too many", many, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				c, d := s.arrives(offerA, x.headers...)
				got := d.leg.Diversions()
				if x.want == "" && len(got) != mostDiversions || x.want != "" && fmt.Sprint(got) != x.want {
					s.t.Errorf("read %v, want %s", got, x.want)
				}
				c.Cancel()
				expect[Cancelled](d)
			})
		})
	}
}

// And as each wants to be told.
func TestDiversionsAreWritten(t *testing.T) {
	chain := []Diversion{{User: "+33170000001", Reason: "unconditional"}, {User: "+33170000009", Reason: "user-busy", Counter: 2, Private: true}}
	diversion := []string{
		"<sip:+33170000001@10.0.0.1;user=phone>;reason=unconditional;counter=1;privacy=off",
		"<sip:+33170000009@10.0.0.1;user=phone>;reason=user-busy;counter=2;privacy=full",
	}
	history := []string{
		"<sip:+33170000009@10.0.0.1;user=phone?Reason=SIP%3Bcause%3D486&Privacy=history>;index=1",
		"<sip:+33170000001@10.0.0.1;user=phone;cause=486?Reason=SIP%3Bcause%3D302>;index=1.1",
		"<sip:+33612345678@10.0.0.2;user=phone;cause=302>;index=1.1.1;mp=1.1",
	}
	for _, x := range []struct {
		by                 Forwarded
		diversion, history []string
	}{{0, nil, nil}, {ByDiversion, diversion, nil}, {ByHistory, nil, history}, {ByDiversion | ByHistory, diversion, history}} {
		playOut(t, func(o *Options) { o.Trunks[0].Forwarded = x.by }, func(s *stage) {
			c, d := s.reaches(func(d *Dial) { d.Diverted, d.Hops = chain, 12 })
			inv := c.Invite()
			if got := inv.Values("Diversion"); !slices.Equal(got, x.diversion) {
				s.t.Errorf("Diversion %v", got)
			}
			if got := inv.Values("History-Info"); !slices.Equal(got, x.history) {
				s.t.Errorf("History-Info %v", got)
			}
			if inv.Get("Max-Forwards") != "12" {
				s.t.Errorf("Max-Forwards %s", inv.Get("Max-Forwards"))
			}
			c.Reject(486)
			expect[Refused](d)
		})
	}
}

// What is written can be read: our own chain comes back as it went.
func TestDiversionsComeBack(t *testing.T) {
	chain := []Diversion{{User: "+33170000001", Reason: "unconditional", Counter: 1}, {User: "+33170000009", Reason: "no-answer", Counter: 3, Private: true}}
	for _, by := range []Forwarded{ByDiversion, ByHistory} {
		playOut(t, func(o *Options) { o.Trunks[0].Forwarded = by }, func(s *stage) {
			out, d := s.reaches(func(d *Dial) { d.Diverted = chain })
			var back []siptest.Header
			for _, name := range []string{"Diversion", "History-Info"} {
				for _, v := range out.Invite().Values(name) {
					back = append(back, siptest.H(name, v))
				}
			}
			in, e := s.arrives(offerA, back...)
			got := e.leg.Diversions()
			for i := range got {
				if by == ByHistory { // which does not count
					got[i].Counter = chain[i].Counter
				}
			}
			if !slices.Equal(got, chain) {
				s.t.Errorf("came back as %v", got)
			}
			in.Cancel()
			expect[Cancelled](e)
			out.Reject(486)
			expect[Refused](d)
		})
	}
}

// How a caller is shown is the carrier's wish.
func TestWishesOfCarriers(t *testing.T) {
	national := func(n string) string { return "0" + strings.TrimPrefix(n, "+33") }
	const anonymous = `"Anonymous" <sip:anonymous@anonymous.invalid>`
	for _, x := range []struct {
		name                         string
		identity                     Identity
		spell                        func(string) string
		caller                       Caller
		uri, from, pai, ppi, privacy string
	}{
		{"asserted", Asserted, nil, Caller{User: "+33170000001"}, "sip:+33612345678@10.0.0.2;user=phone",
			"<sip:+33170000001@10.0.0.1;user=phone>", "<sip:+33170000001@10.0.0.1;user=phone>", "", ""},
		{"preferred", Preferred, nil, Caller{User: "+33170000001"}, "sip:+33612345678@10.0.0.2;user=phone",
			"<sip:+33170000001@10.0.0.1;user=phone>", "", "<sip:+33170000001@10.0.0.1;user=phone>", ""},
		{"from alone", FromOnly, nil, Caller{User: "+33170000001"}, "sip:+33612345678@10.0.0.2;user=phone",
			"<sip:+33170000001@10.0.0.1;user=phone>", "", "", ""},
		{"private, preferred", Preferred, nil, Caller{User: "+33170000001", Private: true}, "sip:+33612345678@10.0.0.2;user=phone",
			anonymous, "", "<sip:+33170000001@10.0.0.1;user=phone>", "id"},
		{"private, from alone", FromOnly, nil, Caller{User: "+33170000001", Private: true}, "sip:+33612345678@10.0.0.2;user=phone",
			anonymous, "", "", "id"},
		{"national", Asserted, national, Caller{User: "+33170000001"}, "sip:0612345678@10.0.0.2;user=phone",
			"<sip:0170000001@10.0.0.1;user=phone>", "<sip:0170000001@10.0.0.1;user=phone>", "", ""},
		{"national, a name", Asserted, national, Caller{User: "desk"}, "sip:0612345678@10.0.0.2;user=phone",
			"<sip:desk@10.0.0.1>", "<sip:desk@10.0.0.1>", "", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			playOut(t, func(o *Options) { o.Trunks[0].Identity, o.Trunks[0].Spell = x.identity, x.spell }, func(s *stage) {
				c, d := s.reaches(func(d *Dial) { d.Caller = x.caller })
				inv := c.Invite()
				from, _, _ := strings.Cut(inv.Get("From"), ";tag=")
				if inv.URI != x.uri || from != x.from || inv.Get("P-Asserted-Identity") != x.pai ||
					inv.Get("P-Preferred-Identity") != x.ppi || inv.Get("Privacy") != x.privacy {
					s.t.Errorf("INVITE: %s", inv)
				}
				c.Reject(486)
				expect[Refused](d)
			})
		})
	}
}

// A redirection names numbers, of which those at the trunk's own addresses count.
func TestRedirections(t *testing.T) {
	for _, x := range []struct {
		contacts []string
		moved    string
	}{
		{nil, "[]"},
		{[]string{"<sip:+33612345679@10.0.0.2>"}, "[+33612345679]"},
		{[]string{"<sip:0612345679@10.0.0.8:5090>;q=0.9", "<sip:+33612345670@10.0.0.66>", "<sip:+33612345671@evil.test>"}, "[0612345679]"},
		{[]string{"<sip:+33899000000@10.0.0.66>"}, "[]"},
		{[]string{"*"}, "[]"},
		{[]string{"<sip:10.0.0.2>"}, "[]"},
	} {
		playOut(t, nil, func(s *stage) {
			c, d := s.reaches()
			var headers []siptest.Header
			for _, v := range x.contacts {
				headers = append(headers, siptest.Header{Name: "contact", Value: v})
			}
			c.Reject(302, headers...)
			if r := expect[Refused](d); r.Code != 302 || r.Elsewhere() || fmt.Sprint(r.Moved) != x.moved {
				s.t.Errorf("%v: %+v", x.contacts, r)
			}
			s.settles()
		})
	}
}

// What is claimed of a caller's number is read and not believed.
func TestVouched(t *testing.T) {
	passport := func(claims string) string {
		return "eyJhbGciOiJFUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln;info=<https://cert.test/c.pem>;alg=ES256;ppt=shaken"
	}
	signed := passport(`{"attest":"B","orig":{"tn":"33612345678"}}`)
	for _, x := range []struct {
		name            string
		headers         []siptest.Header
		verstat, attest string
		signatures      int
	}{
		{"nothing", nil, "", "", 0},
		{"verified in a SIP number", []siptest.Header{siptest.H("P-Asserted-Identity", "<sip:+33612345678;verstat=TN-Validation-Passed@a.test;user=phone>")},
			"TN-Validation-Passed", "", 0},
		{"failed, in a tel URI", []siptest.Header{siptest.H("P-Asserted-Identity", "<tel:+33612345678;verstat=TN-Validation-Failed>")}, "TN-Validation-Failed", "", 0},
		{"in From", []siptest.Header{siptest.H("From", "<sip:+33612345678@a.test;verstat=No-TN-Validation>;tag=1")}, "No-TN-Validation", "", 0},
		{"signed", []siptest.Header{siptest.H("Identity", signed)}, "", "B", 1},
		{"signed, compact", []siptest.Header{{Name: "y", Value: signed}}, "", "B", 1},
		{"signed with nonsense", []siptest.Header{siptest.H("Identity", "a.b.c"), siptest.H("Identity", passport(`{"attest":"Z"}`)), siptest.H("Identity", "x")}, "", "", 3},
		{"too long", []siptest.Header{siptest.H("Identity", strings.Repeat("x", longestIdentity+1))}, "", "", 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				c, d := s.arrives(offerA, x.headers...)
				if v := d.leg.Vouched(); v.Verstat != x.verstat || v.Attest != x.attest || len(v.Identity) != x.signatures {
					s.t.Errorf("%+v", v)
				}
				if x.verstat != "" && strings.Contains(d.leg.Caller().User, "verstat") {
					s.t.Errorf("caller %q", d.leg.Caller().User)
				}
				c.Cancel()
				expect[Cancelled](d)
			})
		})
	}
}

// Keys by INFO leave in order, each when the one before has been answered.
func TestKeysByInfo(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.talks()
		for i := range keys {
			d.leg.Info(keys[i], time.Duration(100*(i+1))*time.Millisecond)
		}
		d.leg.Info('x', 0)
		d.leg.Info('5', time.Hour)
		for i := range keys + "5" {
			m := s.saw(c, "INFO")
			key, length := keys[i%len(keys)], 100*(i+1)
			if i == len(keys) {
				key, length = '5', 8000
			}
			if want := fmt.Sprintf("Signal=%c\r\nDuration=%d\r\n", key, length); m.Body != want || m.Get("Content-Type") != "application/dtmf-relay" {
				s.t.Errorf("INFO %d: %s", i, m)
			}
		}
		c.Bye()
		expect[Ended](d)
		d.leg.Info('1', 0)
		if n := s.carrier.Wire().Count("INFO", false); n != 17 {
			s.t.Errorf("%d INFO", n)
		}
	})
}
