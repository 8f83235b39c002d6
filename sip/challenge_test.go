package sip

import (
	"fmt"
	"strings"
	"testing"

	"foyer/sip/siptest"
)

func withAccount(o *Options) {
	o.Trunks[0].Username, o.Trunks[0].Password = "33123456789", "s3cret"
}

func challengeOf(code int, params string) siptest.Header {
	name := "WWW-Authenticate"
	if code == 407 {
		name = "Proxy-Authenticate"
	}
	return siptest.H(name, `Digest realm="carrier.test",nonce="n1",`+params)
}

func TestCarrierChallenges(t *testing.T) {
	for _, x := range []struct {
		code   int
		params string
		alg    Algorithm
	}{
		{407, `algorithm=MD5,qop="auth"`, MD5},
		{401, `algorithm=SHA-256,qop="auth"`, SHA256},
		{401, `qop="auth,auth-int",opaque="o"`, MD5},
	} {
		t.Run(fmt.Sprint(x.code, x.params), func(t *testing.T) {
			playOut(t, withAccount, func(s *stage) {
				c, d := s.reaches()
				first := c.Invite()
				if first.Get("Authorization")+first.Get("Proxy-Authorization") != "" {
					s.t.Error("credentials without being asked")
				}
				c.Reject(x.code, challengeOf(x.code, x.params))
				c = s.taken()
				inv := c.Invite()
				name, other := "Authorization", "Proxy-Authorization"
				if x.code == 407 {
					name, other = other, name
				}
				cred, ok := parseCredentials(inv.Get(name))
				if !ok {
					s.t.Fatalf("INVITE: %s", inv)
				}
				a := Account{User: "33123456789", Algorithm: x.alg, HA1: HA1(x.alg, "33123456789", "carrier.test", "s3cret")}
				if !a.proves(cred, "INVITE") || cred.username != a.User || cred.nonce != "n1" || cred.uri != inv.URI || inv.Get(other) != "" ||
					strings.Contains(x.params, "opaque") != strings.Contains(inv.Get(name), `opaque="o"`) {
					s.t.Errorf("credentials %s", inv.Get(name))
				}
				number, _ := inv.CSeq()
				if number != 2 || inv.Get("Via") == first.Get("Via") || inv.Get("Call-ID") != first.Get("Call-ID") ||
					inv.Get("From") != first.Get("From") || inv.Tag("To") != "" || inv.Body != first.Body {
					s.t.Errorf("INVITE: %s\nafter %s", inv, first)
				}
				if n := s.edge.TrunkCalls()["carrier"]; n != 1 {
					s.t.Errorf("%d channels in use", n)
				}
				c.Answer(offerA)
				expect[Answered](d)
				c.Bye()
				expect[Ended](d)
			})
		})
	}
}

// RFC 7616 without qop is RFC 2069: some carriers' proxies are that old.
func TestCarrierChallengesWithoutQop(t *testing.T) {
	playOut(t, withAccount, func(s *stage) {
		c, d := s.reaches()
		c.Reject(407, challengeOf(407, "algorithm=MD5"))
		c = s.taken()
		inv := c.Invite()
		ha1 := HA1(MD5, "33123456789", "carrier.test", "s3cret")
		ha2 := string(MD5.appendSum(nil, []byte("INVITE:"+inv.URI)))
		want := string(MD5.appendSum(nil, []byte(ha1+":n1:"+ha2)))
		if got := inv.Get("Proxy-Authorization"); !strings.Contains(got, `response="`+want+`"`) || strings.Contains(got, "qop") {
			s.t.Errorf("credentials %s", got)
		}
		c.Reject(603)
		expect[Refused](d)
	})
}

func TestChallengesThatAreRefusals(t *testing.T) {
	const good = `algorithm=MD5,qop="auth"`
	for _, x := range []struct {
		name    string
		account bool
		rounds  []string
		signed  int // how many INVITEs have credentials
	}{
		{"no account", false, []string{good}, 0},
		{"wrong password", true, []string{good, good}, 1},
		{"nonce grew old", true, []string{good, good + ",stale=true", good + ",stale=true"}, 2},
		{"unknown algorithm", true, []string{`algorithm=SHA-3,qop="auth"`}, 0},
		{"digest of the body", true, []string{`algorithm=MD5,qop="auth-int"`}, 0},
		{"not a digest", true, []string{`"`}, 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			playOut(t, func(o *Options) {
				if x.account {
					withAccount(o)
				}
			}, func(s *stage) {
				d := s.dialsOut()
				signed := 0
				for _, params := range x.rounds {
					c := s.taken()
					if c.Invite().Get("Proxy-Authorization") != "" {
						signed++
					}
					if len(c.Invite().Values("Proxy-Authorization")) > 0 && strings.Count(c.Invite().String(), "Proxy-Authorization") != 1 {
						s.t.Errorf("INVITE: %s", c.Invite())
					}
					c.Reject(407, challengeOf(407, params))
				}
				if r := expect[Refused](d); r.Code != 407 || r.Elsewhere() {
					s.t.Errorf("%+v", r)
				}
				s.settles()
				if signed != x.signed || len(s.carrier.Calls()) != 0 {
					s.t.Errorf("%d of %d INVITE signed", signed, len(x.rounds)+len(s.carrier.Calls()))
				}
			})
		})
	}
}

// A challenge inside the dialog may be the callee's own: it never sees a digest.
func TestChallengeInsideDialog(t *testing.T) {
	playOut(t, withAccount, func(s *stage) {
		s.carrier.Manual(true, "INVITE")
		c, d := s.speaks()
		if err := d.leg.Reoffer([]byte(newSDP)); err != nil {
			s.t.Fatal(err)
		}
		s.saw(c, "INVITE")
		m := s.saw(c, "INVITE")
		if err := c.Respond(m, 407, "", challengeOf(407, `algorithm=MD5,qop="auth"`)); err != nil {
			s.t.Fatal(err)
		}
		if r := expect[Reanswered](d); r.Code != 407 {
			s.t.Errorf("%+v", r)
		}
		d.leg.Hangup(Reason{})
		s.settles()
		for _, e := range s.carrier.Wire().Trace() {
			if strings.Contains(string(e.Raw), "Authorization:") {
				s.t.Errorf("answered: %s", e.Raw)
			}
		}
	})
}
