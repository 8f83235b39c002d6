package siptest

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestDigestVectors are the two examples of RFC 7616 section 3.9.1.
func TestDigestVectors(t *testing.T) {
	for algorithm, want := range map[string]string{
		"MD5":     "8ca523f5e9506fed4657c9700eebdbec",
		"SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
	} {
		c := &challenge{realm: "http-auth@example.org", algorithm: algorithm, qop: "auth",
			nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"}
		ha1 := c.hash("Mufasa:" + c.realm + ":Circle of Life")
		ha2 := c.hash("GET:/dir/index.html")
		got := c.proof(ha1, ha2, "00000001", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
		if got != want {
			t.Errorf("%s: %s, want %s", algorithm, got, want)
		}
	}
}

// registrar answers REGISTER with digest; each nonce serves three requests and
// is stale then.
type registrar struct {
	p         atomic.Pointer[Phone]
	algorithm string
	nonce     int
	uses      int
	asked     []string // Authorization headers seen
}

func (r *registrar) handle(m *Message) {
	auth := m.Get("Authorization")
	r.asked = append(r.asked, auth)
	current := fmt.Sprintf(`nonce="n%d"`, r.nonce)
	switch {
	case strings.Contains(auth, current) && r.uses < 3:
		r.uses++
		if !strings.Contains(auth, fmt.Sprintf("nc=%08x", r.uses)) {
			r.p.Load().Respond(m, 400, "")
			return
		}
		if !r.right(m, auth) {
			r.challenge(m, "")
			return
		}
		r.p.Load().Respond(m, 200, "", H("Contact", m.Get("Contact")+";expires=60"))
	case auth != "" && strings.Contains(auth, current):
		r.challenge(m, ",stale=true")
	default:
		r.challenge(m, "")
	}
}

func (r *registrar) right(m *Message, auth string) bool {
	field := func(name string) string {
		for _, p := range splitList(strings.TrimPrefix(auth, "Digest ")) {
			if v, ok := strings.CutPrefix(p, name+"="); ok {
				return strings.Trim(v, `"`)
			}
		}
		return ""
	}
	c := &challenge{realm: "lo.test", algorithm: r.algorithm, nonce: field("nonce")}
	want := c.proof(c.hash("ana:lo.test:secret"), c.hash("REGISTER:"+m.URI), field("nc"), field("cnonce"))
	return field("response") == want
}

func (r *registrar) challenge(m *Message, more string) {
	r.nonce++
	r.uses = 0
	r.p.Load().Respond(m, 401, "", H("WWW-Authenticate",
		fmt.Sprintf(`Digest realm="lo.test", nonce="n%d", algorithm=%s, qop="auth,auth-int"%s`, r.nonce, r.algorithm, more)))
}

func TestRegisterCountsNoncesAndFollowsStale(t *testing.T) {
	for _, algorithm := range []string{"MD5", "SHA-256"} {
		t.Run(algorithm, func(t *testing.T) {
			ctx := soon(t)
			r := &registrar{algorithm: algorithm}
			a, b := pair(t, udp(t), udp(t), Options{Password: "secret"},
				Options{Manual: []string{"REGISTER"}, OnRequest: r.handle})
			r.p.Store(b)
			for range 5 {
				res := must[*Message](t)(a.Register(ctx, 5*time.Minute))
				if res.Status != 200 || a.Granted(res) != time.Minute {
					t.Fatalf("registered with\n%s", res)
				}
			}
			// One challenge at first, one when the nonce was stale.
			if n := a.Wire().Count("401", false); n != 2 {
				t.Errorf("%d challenges, want 2", n)
			}
			if res := must[*Message](t)(a.Unregister(ctx)); res.Status != 200 {
				t.Errorf("unregister got %d", res.Status)
			}
			if !strings.Contains(a.Wire().Trace()[0].Msg.Get("Expires"), "300") {
				t.Error("expires was not asked for")
			}
		})
	}
}

func TestWrongPasswordGivesUp(t *testing.T) {
	ctx := soon(t)
	r := &registrar{algorithm: "MD5"}
	a, b := pair(t, udp(t), udp(t), Options{Password: "wrong"}, Options{Manual: []string{"REGISTER"}, OnRequest: r.handle})
	r.p.Store(b)
	if res := must[*Message](t)(a.Register(ctx, time.Minute)); res.Status != 401 {
		t.Errorf("got %d", res.Status)
	}
	if n := a.Wire().Count("REGISTER", true); n != 2 {
		t.Errorf("tried %d times, want 2", n)
	}
}
