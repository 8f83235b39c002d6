package sip

import (
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// The example of RFC 7616 section 3.9.1, by both algorithms.
func TestDigestOfTheRFC(t *testing.T) {
	for alg, response := range map[Algorithm]string{
		MD5:    "8ca523f5e9506fed4657c9700eebdbec",
		SHA256: "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
	} {
		header := `Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", ` +
			`algorithm=` + string(alg) + `, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, ` +
			`cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="` + response + `"`
		c, ok := parseCredentials(header)
		if !ok {
			t.Fatalf("%s: header refused", alg)
		}
		a := Account{User: "Mufasa", Algorithm: alg, HA1: HA1(alg, "Mufasa", "http-auth@example.org", "Circle of Life")}
		if !a.proves(c, "GET") {
			t.Errorf("%s: right response refused", alg)
		}
		if a.proves(c, "PUT") {
			t.Errorf("%s: response proves another method", alg)
		}
		c.uri = "/dir/other.html"
		if a.proves(c, "GET") {
			t.Errorf("%s: response proves another uri", alg)
		}
		if nobody(alg).proves(c, "GET") {
			t.Errorf("%s: nobody has a password", alg)
		}
	}
}

// What another library signs, we accept.
func TestDigestOfAnotherLibrary(t *testing.T) {
	for _, alg := range []Algorithm{MD5, SHA256} {
		challenge := &digest.Challenge{Realm: `a "quoted" realm`, Nonce: "n", Algorithm: string(alg), QOP: []string{"auth"}}
		signed, err := digest.Digest(challenge, digest.Options{Method: "REGISTER", URI: "sip:lo.test", Username: "ana", Password: "pw", Count: 9})
		if err != nil {
			t.Fatal(err)
		}
		c, ok := parseCredentials(signed.String())
		if !ok {
			t.Fatalf("refused: %s", signed)
		}
		if n, ok := c.count(); !ok || n != 9 {
			t.Errorf("nc %q read as %d", c.nc, n)
		}
		a := Account{User: "ana", Algorithm: alg, HA1: HA1(alg, "ana", c.realm, "pw")}
		if c.realm != challenge.Realm || !a.proves(c, "REGISTER") {
			t.Errorf("%s: not accepted: %s", alg, signed)
		}
	}
}

func TestParseCredentials(t *testing.T) {
	const rest = `, nonce="n", uri="sip:x", response="r"`
	for _, c := range []struct {
		header, username string
		ok               bool
	}{
		{`Digest username="ana"` + rest, "ana", true},
		{`digest USERNAME = "ana"` + rest, "ana", true},
		{`Digest   username="a\"n\\a"` + rest, `a"n\a`, true},
		{`Digest username=ana` + rest, "ana", true},
		{`Digest username="ana", unheard="of", opaque=""` + rest, "ana", true},
		{`Digest username="a,n=a"` + rest, "a,n=a", true},
		{`Digest username="ana" ` + rest + ` `, "ana", true},
		{`Digest username="ana", uri=sip:ana@lo.test:5060, nonce=n, response=r`, "ana", true},
		{`Basic YW5hOnB3`, "", false},
		{`Digest`, "", false},
		{`Digest `, "", false},
		{`Digest username="ana"` + rest + `,`, "", false},
		{`Digest username="ana"` + rest + `, username="bo"`, "", false},
		{`Digest username="ana` + rest, "", false},
		{`Digest username="ana" x` + rest, "", false},
		{`Digest username="ana\`, "", false},
		{`Digest username=""` + rest, "", false},
		{`Digest username="ana", nonce="n", uri="sip:x"`, "", false},
		{`Digest ="ana"` + rest, "", false},
		{`Digest username="` + strings.Repeat("a", maxAuthorization) + `"` + rest, "", false},
	} {
		got, ok := parseCredentials(c.header)
		if ok != c.ok || ok && got.username != c.username {
			t.Errorf("%.60s: got %v %+v", c.header, ok, got)
		}
	}
}

func TestNonceCountIsEightHexDigits(t *testing.T) {
	for nc, ok := range map[string]bool{
		"00000001": true, "ffffffff": true, "0000000A": true,
		"00000000": false, "1": false, "000000001": false, "+0000001": false, "0x000001": false, "": false,
	} {
		if _, got := (&credentials{nc: nc}).count(); got != ok {
			t.Errorf("nc %q: %v", nc, got)
		}
	}
}

func TestURINamesRequestURI(t *testing.T) {
	for _, c := range []struct {
		uri, target string
		same        bool
	}{
		{"sip:lo.test", "sip:lo.test", true},
		{"sip:LO.test", "sip:lo.test", true},
		{"sip:lo.test:5060", "sip:lo.test", true},
		{"sip:lo.test", "sip:lo.test;transport=tcp", true},
		{"sip:+331@lo.test", "sip:+331@lo.test;user=phone", true},
		{"sip:+331@lo.test", "sip:+338@lo.test", false},
		{"sip:lo.test", "sip:other.test", false},
		{"sip:lo.test:5061", "sip:lo.test", false},
		{"sips:lo.test", "sip:lo.test", false},
		{"*", "sip:lo.test", false},
		{"", "sip:lo.test", false},
	} {
		var target sip.Uri
		if err := sip.ParseUri(c.target, &target); err != nil {
			t.Fatal(err)
		}
		if got := names(c.uri, &target); got != c.same {
			t.Errorf("%q names %q: %v", c.uri, c.target, got)
		}
	}
}

// Whatever is accepted, written out again, is read as the same.
func FuzzParseCredentials(f *testing.F) {
	f.Add(`Digest username="ana", realm="lo.test", nonce="n", uri="sip:lo.test", response="r", qop=auth, nc=00000001, cnonce="c", algorithm=MD5`)
	f.Add(`Digest username="a\"b\\", nonce=n,uri=sip:x, response="r" , userhash=true`)
	f.Fuzz(func(t *testing.T, header string) {
		c, ok := parseCredentials(header)
		if !ok {
			return
		}
		written := `Digest username="` + quote(c.username) + `", realm="` + quote(c.realm) + `", nonce="` + quote(c.nonce) +
			`", uri="` + quote(c.uri) + `", response="` + quote(c.response) + `", algorithm="` + quote(c.algorithm) +
			`", cnonce="` + quote(c.cnonce) + `", qop="` + quote(c.qop) + `", nc="` + quote(c.nc) + `"`
		if c.userhash {
			written += ", userhash=true"
		}
		if len(written) > maxAuthorization {
			return
		}
		again, ok := parseCredentials(written)
		if !ok || *again != *c {
			t.Fatalf("%q read as %+v, written as %q, read as %+v", header, c, written, again)
		}
	})
}

func BenchmarkProves(b *testing.B) {
	for _, alg := range []Algorithm{MD5, SHA256} {
		b.Run(string(alg), func(b *testing.B) {
			a := Account{User: "ana", Algorithm: alg, HA1: HA1(alg, "ana", "lo.test", "pw")}
			c := &credentials{uri: "sip:lo.test", nonce: strings.Repeat("n", nonceLength), nc: "00000001", cnonce: "0123456789abcdef", qop: "auth"}
			b.ReportAllocs()
			for b.Loop() {
				a.proves(c, "REGISTER")
			}
		})
	}
}
