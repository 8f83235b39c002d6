package sip

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

func TestAuthentication(t *testing.T) {
	for _, c := range []struct {
		what  string
		phone softphone
		nonce func(d *desk) string // nil: a good one
		code  int
		again bool   // stale=true
		why   string // counted
	}{
		{"right password", softphone{password: "pw-ana"}, nil, 200, false, ""},
		{"right password, SHA-256", softphone{user: "bo", password: "pw-bo", alg: SHA256}, nil, 200, false, ""},
		{"algorithm left out", softphone{user: "bo", password: "pw-bo", alg: SHA256, sayAlg: " "}, nil, 200, false, ""},
		{"algorithm in lower case", softphone{user: "bo", password: "pw-bo", alg: SHA256, sayAlg: ", algorithm=sha-256"}, nil, 200, false, ""},
		{"the other algorithm", softphone{user: "bo", password: "pw-bo", alg: MD5}, nil, 401, false, "wrong_password"},
		{"another algorithm named", softphone{password: "pw-ana", sayAlg: ", algorithm=SHA-512"}, nil, 401, false, "wrong_password"},
		{"wrong password", softphone{password: "pw"}, nil, 401, false, "wrong_password"},
		{"unknown user", softphone{user: "eve", password: "pw"}, nil, 401, false, "unknown_user"},
		{"in another's name", softphone{user: "ana", claims: "bo", password: "pw-ana"}, nil, 401, false, "unknown_user"},
		{"another uri", softphone{password: "pw-ana", uri: "sip:elsewhere.test"}, nil, 401, false, "wrong_password"},
		{"another realm", softphone{password: "pw-ana", realm: "elsewhere.test"}, nil, 401, false, ""},
		{"without qop", softphone{password: "pw-ana", qop: "auth-int"}, nil, 401, false, "malformed"},
		{"nc of one digit", softphone{password: "pw-ana", nc: "1"}, nil, 401, false, "malformed"},
		{"old nonce", softphone{password: "pw-ana"}, func(d *desk) string { return d.nonces.issue(monday.Add(-61*time.Second), homeFlow) }, 401, true, "stale"},
		{"old nonce, wrong password", softphone{password: "pw"}, func(d *desk) string { return d.nonces.issue(monday.Add(-61*time.Second), homeFlow) }, 401, true, "stale"},
		{"another's nonce", softphone{password: "pw-ana"}, func(d *desk) string { return d.nonces.issue(monday, "UDP 203.0.113.8:5060") }, 401, true, "stale"},
		{"invented nonce", softphone{password: "pw-ana"}, func(d *desk) string { return "abc" }, 401, true, "stale"},
		{"another scheme", softphone{headers: "Authorization: Bearer abc\nContact: <sip:ana@a>\n"}, nil, 401, false, ""},
		{"broken digest", softphone{headers: "Authorization: Digest username=\"ana\nContact: <sip:ana@a>\n"}, nil, 401, false, "malformed"},
	} {
		d := newDesk(t, nil)
		if c.phone.password != "" {
			c.phone.nonce = d.nonces.issue(monday, homeFlow)
			if c.nonce != nil {
				c.phone.nonce = c.nonce(d)
			}
		}
		res := d.registered(c.phone.request(t))
		if res.StatusCode != c.code {
			t.Errorf("%s: %d", c.what, res.StatusCode)
			continue
		}
		if why := strings.Join(d.why, " "); why != c.why {
			t.Errorf("%s: counted as %q", c.what, why)
		}
		if c.code == 401 {
			nonce, again := challenged(t, res)
			if again != c.again || nonce == c.phone.nonce {
				t.Errorf("%s: stale %v, nonce fresh %v", c.what, again, nonce != c.phone.nonce)
			}
		}
	}
}

func TestNonceIsUsedOncePerCount(t *testing.T) {
	d := newDesk(t, nil)
	p := softphone{password: "pw-ana", nonce: d.nonces.issue(monday, homeFlow)}
	for i, c := range []struct {
		nc   string
		code int
	}{{"00000001", 200}, {"00000001", 401}, {"00000002", 200}, {"00000005", 200}, {"00000003", 200}, {"00000003", 401}, {"00000001", 401}} {
		p.nc, p.cseq = c.nc, i
		res := d.registered(p.request(t))
		if res.StatusCode != c.code {
			t.Fatalf("nc %s: %d", c.nc, res.StatusCode)
		}
		if c.code == 401 {
			if _, again := challenged(t, res); !again {
				t.Error("a replay is worth another try for whoever knows the password")
			}
		}
	}
	if d.Banned(netip.MustParseAddr("203.0.113.7")) {
		t.Error("replays are no guesses")
	}
}

func TestGuessingIsBanned(t *testing.T) {
	d := newDesk(t, nil)
	source := netip.MustParseAddrPort("203.0.113.7:5060")
	neighbour := softphone{user: "bo", password: "pw-bo", alg: SHA256, source: "203.0.113.7:7777"}
	if res := d.signsIn(neighbour); res.StatusCode != 200 {
		t.Fatal(res)
	}
	d.told()
	for i := range 3 {
		if d.Banned(source.Addr()) {
			t.Fatalf("banned after %d guesses", i)
		}
		d.signsIn(softphone{password: "guess", cseq: 10 * i})
	}
	if !d.Banned(source.Addr()) || d.BannedNow() != 1 || d.BansBegun() != 1 {
		t.Error("not banned")
	}
	if got := d.told(); got != "rejected , rejected , rejected " {
		t.Errorf("told %q", got)
	}
	if !d.Ignored(source, "UDP") || d.Ignored(netip.MustParseAddrPort("203.0.113.7:7777"), "UDP") {
		t.Error("the neighbour's phone should keep its flow")
	}
	if !d.Ignored(netip.MustParseAddrPort("203.0.113.7:7777"), "TCP") {
		t.Error("another transport is another flow")
	}
	d.wait(time.Hour)
	if d.Banned(source.Addr()) || d.BannedNow() != 0 {
		t.Error("banned for ever")
	}
}

// The answer to an unknown user is the answer to a wrong password.
func TestUnknownUserLooksLikeWrongPassword(t *testing.T) {
	shape := func(user, password string) string {
		d := newDesk(t, nil)
		var s strings.Builder
		for _, p := range []softphone{{user: user}, {user: user, password: password, nonce: d.nonces.issue(monday, homeFlow)}} {
			res := d.registered(p.request(t))
			nonce, _ := challenged(t, res)
			text := res.String()
			text = strings.ReplaceAll(text, nonce, "NONCE"+strconv.Itoa(len(nonce)))
			text = strings.ReplaceAll(text, user, "USER")
			tag, _ := res.To().Params.Get("tag")
			text = strings.ReplaceAll(text, tag, "TAG"+strconv.Itoa(len(tag)))
			branch, _ := res.Via().Params.Get("branch")
			s.WriteString(strings.ReplaceAll(text, branch, "BRANCH"))
		}
		return s.String()
	}
	if known, unknown := shape("ana", "x"), shape("eve", "x"); known != unknown {
		t.Errorf("known:\n%s\nunknown:\n%s", known, unknown)
	}
}

func TestCallsOnlyFromRegisteredFlows(t *testing.T) {
	d := newDesk(t, nil)
	invite := func(source string) (string, *sip.Response) {
		p := softphone{password: "pw-ana", method: "INVITE", target: "sip:bo@lo.test", source: source}
		p.nonce = d.nonces.issue(monday, "UDP "+source)
		req := p.request(t) // signed for REGISTER
		ha1, ha2 := HA1(MD5, "ana", testRealm, "pw-ana"), string(MD5.appendSum(nil, []byte("INVITE:sip:bo@lo.test")))
		response := string(MD5.appendSum(nil, []byte(ha1+":"+p.nonce+":00000001:c:auth:"+ha2)))
		if user, refusal := d.authenticate(req); user != "" || refusal.StatusCode != 401 {
			t.Fatalf("a response made for REGISTER let an INVITE through")
		}
		req.RemoveHeader("Authorization")
		req.AppendHeader(sip.NewHeader("Authorization", `Digest username="ana", realm="lo.test", nonce="`+p.nonce+
			`", uri="sip:bo@lo.test", response="`+response+`", cnonce="c", qop=auth, nc=00000001`))
		return d.authenticate(req)
	}
	if _, refusal := invite("203.0.113.7:5060"); refusal == nil || refusal.StatusCode != 403 {
		t.Errorf("before REGISTER: %v", refusal)
	}
	d.signsIn(softphone{password: "pw-ana"})
	if user, refusal := invite("203.0.113.7:5060"); user != "ana" || refusal != nil {
		t.Errorf("after REGISTER: %q %v", user, refusal)
	}
	if _, refusal := invite("203.0.113.7:5061"); refusal == nil || refusal.StatusCode != 403 {
		t.Errorf("from another port: %v", refusal)
	}
}
