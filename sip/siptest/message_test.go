package siptest

import (
	"bufio"
	"bytes"
	"reflect"
	"strings"
	"testing"
)

const tortuous = "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n" +
	"TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n" +
	"f: \"J Rosenberg \\\\\\\"\" <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n" +
	"i: 98asdh@10.1.1.1\r\nCSeq: 0009 INVITE\r\n" +
	"Via: SIP/2.0/UDP 10.1.1.2;branch=z9hG4bK390skdjuw\r\nVia: SIP/2.0/TCP 10.1.1.3;branch=z9hG4bKa, SIP/2.0/UDP 10.1.1.4;branch=z9hG4bKb\r\n" +
	"m: \"Quoted, comma\" <sip:a@b;x=1>;expires=60, <sip:c@d>\r\nl: 4\r\n\r\nbodyand more"

func TestParseReadsWhatPhonesSend(t *testing.T) {
	m := must[*Message](t)(Parse([]byte(tortuous)))
	for got, want := range map[string]string{
		m.Method: "INVITE", m.Body: "body", m.Get("call-id"): "98asdh@10.1.1.1",
		m.Tag("From"): "98asjd8", m.Tag("To"): "1918181833n",
	} {
		if got != want {
			t.Errorf("read %q, want %q", got, want)
		}
	}
	if n, method := m.CSeq(); n != 9 || method != "INVITE" {
		t.Errorf("CSeq %d %s", n, method)
	}
	if v := m.Values("Via"); len(v) != 3 || Param(v[2], "branch") != "z9hG4bKb" {
		t.Errorf("Via %q", v)
	}
	if v := m.Values("Contact"); len(v) != 2 || URIOf(v[0]) != "sip:a@b;x=1" || Param(v[0], "expires") != "60" || HasParam(v[0], "x") {
		t.Errorf("Contact %q", v)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, raw := range map[string]string{
		"no end":          "OPTIONS sip:a SIP/2.0\r\nA: b\r\n",
		"bad start":       "OPTIONS sip:a\r\n\r\n",
		"bad code":        "SIP/2.0 999 Huh\r\n\r\n",
		"no colon":        "OPTIONS sip:a SIP/2.0\r\nhello\r\n\r\n",
		"fold first":      "OPTIONS sip:a SIP/2.0\r\n hello\r\n\r\n",
		"short body":      "OPTIONS sip:a SIP/2.0\r\nContent-Length: 9\r\n\r\nabc",
		"negative length": "OPTIONS sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n",
	} {
		if _, err := Parse([]byte(raw)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAddresses(t *testing.T) {
	for uri, want := range map[string][2]string{
		"sip:ana@lo.test":                   {"ana", "lo.test"},
		"sips:a:pw@[::1]:5061;transport=ws": {"a", "[::1]:5061"},
		"tel:+33170000001;phone-context=x":  {"+33170000001", "+33170000001"},
		"sip:10.0.0.1:5060":                 {"", "10.0.0.1:5060"},
		"nonsense":                          {"", ""},
	} {
		if got := [2]string{UserOf(uri), HostOf(uri)}; got != want {
			t.Errorf("%s read as %q, want %q", uri, got, want)
		}
	}
}

func TestStreamFraming(t *testing.T) {
	one := "\r\n\r\nOPTIONS sip:a SIP/2.0\r\nContent-Length: 3\r\n\r\nabc"
	r := bufio.NewReader(strings.NewReader(one + one + "OPTIONS sip:a SIP/2.0\r\n\r\n"))
	for range 2 {
		if m, _, err := readFramed(r); err != nil || m.Body != "abc" {
			t.Fatalf("%v, %v", m, err)
		}
	}
	if _, raw, err := readFramed(r); err == nil || raw == nil {
		t.Error("a message without Content-Length was framed")
	}
}

func TestSDPRoundTrip(t *testing.T) {
	for _, s := range []SDP{
		{Addr: "127.0.0.1", Port: 4000, Payloads: []int{PCMA, TelephoneEvent}, Direction: "sendonly", Session: 7, Version: 3},
		{Addr: "::1", Port: 4002, Payloads: []int{PCMU}, Direction: "sendrecv", Session: 1, Version: 1},
	} {
		if back := must[SDP](t)(ParseSDP(s.String())); !reflect.DeepEqual(back, s) {
			t.Errorf("%+v came back as %+v", s, back)
		}
	}
	if _, err := ParseSDP("v=0\r\nm=video 5 RTP/AVP 96\r\n"); err == nil {
		t.Error("a description without audio was accepted")
	}
	if s := (SDP{Addr: "0.0.0.0", Port: 5}); s.Target() != nil {
		t.Error("0.0.0.0 is a target")
	}
}

// FuzzParse: what parses is written and parsed again to the same message, unless
// its own Content-Length lies.
func FuzzParse(f *testing.F) {
	f.Add([]byte(tortuous))
	f.Add([]byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9\r\nContent-Length: 0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := Parse(raw)
		if err != nil {
			return
		}
		_, _ = m.CSeq()
		for _, name := range []string{"Via", "Contact", "From"} {
			for _, v := range m.Values(name) {
				_ = Param(v, "tag") + UserOf(URIOf(v)) + HostOf(URIOf(v))
			}
		}
		out := m.Bytes()
		back, err := Parse(out)
		if err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		if again := back.Bytes(); !bytes.Equal(out, again) {
			t.Fatalf("%q is written again as %q", out, again)
		}
	})
}
