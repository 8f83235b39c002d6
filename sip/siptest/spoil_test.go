package siptest

import (
	"strings"
	"testing"
)

func TestSpoil(t *testing.T) {
	good := Template("A {uri:sip:b} SIP/2.0\nContent-Length: {length:#}\n\n{body:xyz}")
	if got := good.Elements(); strings.Join(got, " ") != "uri length body" {
		t.Errorf("elements %q", got)
	}
	for _, c := range []struct{ element, want string }{
		{"", "A sip:b SIP/2.0\r\nContent-Length: 3\r\n\r\nxyz"},
		{"uri", "A sip:bsip:b SIP/2.0\r\nContent-Length: 3\r\n\r\nxyz"},
		{"length", "A sip:b SIP/2.0\r\nContent-Length: 00\r\n\r\nxyz"},
		{"body", "A sip:b SIP/2.0\r\nContent-Length: 6\r\n\r\nxyzxyz"},
	} {
		if got := string(good.Spoil(c.element, func(s string) string { return s + s })); got != c.want {
			t.Errorf("%s: %q", c.element, got)
		}
	}
	seen := map[string]bool{}
	for _, s := range Spoilings() {
		if seen[s.Name] {
			t.Errorf("twice: %s", s.Name)
		}
		seen[s.Name] = true
	}
	if len(seen) < 150 {
		t.Errorf("%d ways", len(seen))
	}
}
