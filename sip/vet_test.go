package sip

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

// text makes a message of lines.
func text(lines []string) []byte { return []byte(strings.Join(lines, "\r\n") + "\r\n") }

// Every limit from both sides, and what is malformed by the name of what is
// wrong. "" passes.
func TestVet(t *testing.T) {
	many := func(n int, line string) []string {
		lines := make([]string, n)
		for i := range lines {
			lines[i] = "+" + strings.ReplaceAll(line, "#", fmt.Sprint(i))
		}
		return lines
	}
	for _, c := range []struct {
		name   string
		change []string
		wrong  string
	}{
		{"plain", nil, ""},
		{"white space before the colon", []string{"+Subject \t : x"}, ""},
		{"white space in a name", []string{"+Sub ject: x"}, "Bad Header Name"},
		{"control character in a name", []string{"+Subject\x0b: x"}, "Bad Header Name"},
		{"no name", []string{"+: x"}, "Bad Header Name"},
		{"no colon", []string{"+Subject"}, "Bad Header Name"},
		{"folded before any header", []string{"line:OPTIONS " + number + " SIP/2.0\r\n folded: x"}, "Bad Header Name"},
		{"tab in a value", []string{"+Subject: a\tb"}, ""},
		{"NUL in a value", []string{"+Subject: a\x00b"}, "Control Character"},
		{"bare CR in a value", []string{"+Subject: a\rX: y"}, "Control Character"},
		{"bare LF in a value", []string{"+Subject: a\nX: y"}, "Control Character"},
		{"64 of a kind", many(64, "Subject: #"), ""},
		{"65 of a kind", many(65, "Subject: #"), "Too Many Headers"},
		{"65 of a kind by two names", append(many(33, "Subject: #"), many(32, "s: #")...), "Too Many Headers"},
		{"100 kinds", many(91, "X-#: x"), ""},
		{"101 kinds", many(93, "X-#: x"), "Too Many Headers"},
		{"64 hops", many(63, "Via: SIP/2.0/UDP h#;branch=z9hG4bK#"), ""},
		{"65 hops", many(64, "Via: SIP/2.0/UDP h#;branch=z9hG4bK#"), "Too Many Headers"},
		{"65 hops on a line", []string{"+Via: SIP/2.0/UDP h" + strings.Repeat(", SIP/2.0/UDP h", 63)}, "Bad Via"},
		{"64 routes", []string{"+Record-Route: <sip:a>" + strings.Repeat(", <sip:a>", 62), "+Record-Route: <sip:a>"}, ""},
		{"65 routes", []string{"+Record-Route: <sip:a>" + strings.Repeat(", <sip:a>", 63), "+Record-Route: <sip:a>"}, "Too Many Headers"},
		{"65 contacts on a line", []string{"Contact: <sip:a>" + strings.Repeat(", <sip:a>", 64)}, "Bad Contact"},
		{"a line of 8 kB", []string{"+Subject: " + strings.Repeat("x", 8<<10)}, ""},
		{"a line above it", []string{"+Subject: " + strings.Repeat("x", 8<<10+1)}, "Header Too Long"},
		{"the same in folds", []string{"+Subject: x" + strings.Repeat("\r\n xxxxxxx", 1024)}, "Header Too Long"},
		{"a head above 16 kB", many(30, "Subject: "+strings.Repeat("x", 600)), "Header Too Long"},
		{"64 parameters", []string{"To: <" + number + ">" + params(64)}, ""},
		{"65 parameters", []string{"To: <" + number + ">" + params(65)}, "Bad To"},
		{"a parameter twice", []string{"From: <sip:a@b>;tag=1;TAG=2"}, "Bad From"},
		{"a URI parameter twice", []string{"To: <sip:a@b;x=1;X=2>"}, "Bad To"},
		{"Expires too large", []string{"+Expires: 4294967296"}, "Bad Expires"},
		{"Expires no number", []string{"+Expires: soon"}, ""},
		{"a star with company", []string{"Contact: *, <sip:a@b>"}, "Bad Contact"},
		{"Route without brackets", []string{"+Route: sip:a@b;lr"}, "Bad Route"},
		{"unbalanced Record-Route", []string{"+Record-Route: <sip:a@b;lr, <sip:c>"}, "Bad Record-Route"},
		{"port 0", []string{"Contact: <sip:a@b:0>"}, "Bad Contact"},
		{"port 65536", []string{"Contact: <sip:a@b:65536>"}, "Bad Contact"},
		{"scope in an address", []string{"Contact: <sip:a@[fe80::1%25lo]>"}, "Bad Contact"},
		{"no such IPv4 address", []string{"Contact: <sip:a@1.2.3.256>"}, "Bad Contact"},
		{"two colons in a user", []string{"Contact: <sip:a:b:c@d>"}, "Bad Contact"},
		{"two at signs", []string{"Contact: <sip:a@b@c>"}, "Bad Contact"},
		{"a percent sign alone", []string{"Contact: <sip:a%2@c>"}, "Bad Contact"},
		{"quoted comma in Via", []string{`Via: SIP/2.0/UDP h;x="a,b;c";branch=z9hG4bKq`}, ""},
		{"display name in Latin-1", []string{"From: M\xfcller <sip:a@b>;tag=1"}, ""},
		{"comma in a name without quotes", []string{"From: M, K <sip:a@b>;tag=1"}, "Bad From"},
		{"method in lower case", []string{"line:options " + number + " SIP/2.0", "CSeq: 1 options"}, "501"},
		{"negative Max-Forwards", []string{"Max-Forwards: -1"}, "Bad Max-Forwards"},
		{"digits that are none of ASCII", []string{"Max-Forwards: \u0663"}, "Bad Max-Forwards"},
		{"Content-Type without subtype", []string{"+Content-Type: application"}, "Bad Content-Type"},
		{"response with a hop besides ours", []string{"line:SIP/2.0 200 OK", "+Via: SIP/2.0/UDP h"}, "Not Ours"},
		{"response of three digits and no more", []string{"line:SIP/2.0 0200 OK"}, "Bad Status Line"},
		{"response below 100", []string{"line:SIP/2.0 099 OK"}, "Bad Status Line"},
		{"response above 699", []string{"line:SIP/2.0 700 OK"}, "Bad Status Line"},
	} {
		msg := text(request("OPTIONS", "vet", c.change...))
		p, isSIP := vet(msg)
		wrong := ""
		if p.wrong != nil {
			wrong = p.wrong.reason
			if wrong == "" {
				wrong = fmt.Sprint(p.wrong.code)
			}
		}
		if !isSIP || wrong != c.wrong {
			t.Errorf("%s: %q, %v", c.name, wrong, isSIP)
		}
		if wrong == "" {
			again(t, msg)
		}
	}
}

func params(n int) string {
	s := ""
	for i := range n {
		s += fmt.Sprintf(";p%d", i)
	}
	return s
}

// What the library reads otherwise than it is written, ours read right: the rows
// of its faults, each of which fails without our parsers.
func TestLibraryIsSetRight(t *testing.T) {
	msg := again(t, text(request("INVITE", "right",
		`Via: SIP/2.0/UDP h;BRANCH=z9hG4bK1;RPORT;x="a,b"`,
		`From: "a \"b\" <c>" <sip:u:p@h>;TAG = one ; x="y;z=w"`,
		`Contact: "x, y" <sip:a@b;lr?Subject=z>;+sip.instance="<urn:uuid:1>", <sip:second@b>`,
		"CSeq: 1 \t INVITE", "k: timer", "x: 90", "r: <sip:a@b?Replaces=1%3Bto-tag%3D2>", "b: <sip:r@b>", "o: talk",
		"Record-Route: <sip:p1;lr>;why=this, <sip:p2;lr>")))
	req := msg.(*sip.Request)
	branch, _ := req.Via().Params.Get("branch")
	quoted, _ := req.Via().Params.Get("x")
	both, _ := req.From().Params.Get("x")
	contacts := req.GetHeaders("contact")
	first := contacts[0].(*sip.ContactHeader)
	subject, _ := first.Address.Headers.Get("Subject")
	instance, _ := first.Params.Get("+sip.instance")
	for what, ok := range map[string]bool{
		"branch": branch == "z9hG4bK1", "rport": req.Via().Params.Has("rport"), "quoted comma": quoted == `"a,b"`,
		"tag": tagOf(req.From()) == "one", "quoted semicolon": both == `"y;z=w"`, "display name": unbackslash(req.From().DisplayName) == `a "b" <c>`,
		"user and password": req.From().Address.User == "u" && req.From().Address.Password == "p",
		"CSeq":              req.CSeq().MethodName == sip.INVITE,
		"contacts":          len(contacts) == 2 && first.DisplayName == "x, y" && subject == "z" && instance == `"<urn:uuid:1>"`,
		"compact names":     req.GetHeader("supported") != nil && req.GetHeader("session-expires") != nil && req.GetHeader("event") != nil && req.ReferTo() != nil && req.ReferredBy() != nil,
		"routes":            len(routeSet(req)) == 2 && routeSet(req)[1].Host == "p2",
		"route parameters":  req.GetHeader("record-route").Value() == "<sip:p1;lr>;why=this, <sip:p2;lr>",
	} {
		if !ok {
			t.Errorf("%s:\n%s", what, req)
		}
	}
}

// No Via leads an answer to anybody but the sender: not to another host, not to
// a broadcast address, not to a group.
func TestNobodyElseIsAnswered(t *testing.T) {
	a := openArena(t, nil)
	for _, from := range []string{"127.0.0.1", "127.0.0.2"} { // a stranger, and the trunk
		conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(from)}, a.edge.o.UDP.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		s := &sender{t: t, conn: conn}
		for i, via := range []string{
			"255.255.255.255:@;rport", "224.2.0.1:@;maddr=239.1.1.1;ttl=1;rport", "192.0.2.1:@;received=192.0.2.2;rport=4",
			"127.0.0.9:@", "[::1]:@;received=[::1]", "nowhere.invalid:@;maddr=127.0.0.9", "127.0.0.9:@;received=127.0.0.9",
		} {
			for _, version := range []string{"2.0", "3.0"} { // answered by the library, and without it
				id := fmt.Sprintf("astray%s-%d-%s", from, i, version)
				s.send(text(request("OPTIONS", id, "line:OPTIONS "+number+" SIP/"+version,
					"Via: SIP/2.0/UDP "+strings.Replace(via, "@", fmt.Sprint(s.port()), 1)+";branch=z9hG4bK"+id)))
				if m := s.final(); m.Get("Call-ID") != id {
					t.Errorf("%s: %s", via, m)
				}
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for to := range a.sent {
		if at, err := netip.ParseAddrPort(to); err != nil || at.Addr() != netip.MustParseAddr("127.0.0.1") && at.Addr() != netip.MustParseAddr("127.0.0.2") {
			t.Errorf("something was sent to %s", to)
		}
	}
}

// A connection carries messages however they are cut, many in a piece, with
// pings between them; and it ends where nobody can know what follows.
func TestConnectionIsCutAnywhere(t *testing.T) {
	a := openArena(t, nil)
	one := string(askAfter("cut"))
	for _, c := range []struct {
		name    string
		bytes   string
		step    int
		answers string // their codes
		closes  bool
	}{
		{"byte by byte", one, 1, "200", false},
		{"three in a piece", strings.ReplaceAll(one, "cut", "cut1") + strings.ReplaceAll(one, "cut", "cut2") + strings.ReplaceAll(one, "cut", "cut3"), 1 << 16, "200 200 200", false},
		{"empty lines before", "\r\n\r\n\r\n" + one, 3, "pong 200", false},
		{"ping", "\r\n\r\n", 1, "pong", false},
		{"half a ping", "\r\n" + one, 2, "200", false},
		{"malformed between good ones", strings.ReplaceAll(one, "cut", "cut4") + strings.Replace(one, "Max-Forwards: 70", "Max-Forwards: x", 1) + strings.ReplaceAll(one, "cut", "cut5"), 50, "200 400 200", false},
		{"no length", strings.Replace(one, "Content-Length: 0\r\n", "", 1) + one, 1 << 16, "400", true},
		{"two lengths that agree", strings.Replace(one, "Content-Length: 0\r\n", "Content-Length: 0\r\nl: 0\r\n", 1), 100, "400", true},
		{"a length of 2^32", strings.Replace(one, "Content-Length: 0", "Content-Length: 4294967296", 1), 100, "400", true},
		{"a body above 64 kB", strings.Replace(one, "Content-Length: 0", "Content-Length: 65536", 1), 100, "513", true},
		{"a head without end", "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP h\r\nX: " + strings.Repeat("x", 20000), 4000, "400", true},
		{"no SIP", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 10, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := a.sender(t, "tcp")
			go func() {
				for rest := c.bytes; rest != ""; {
					n := min(c.step, len(rest))
					if _, err := s.conn.Write([]byte(rest[:n])); err != nil {
						return
					}
					rest = rest[n:]
				}
			}()
			got := map[string]int{}
			want := strings.Fields(c.answers)
			for range want {
				got[s.heard()]++
			}
			for _, w := range want {
				got[w]--
			}
			for code, n := range got {
				if n != 0 {
					t.Errorf("%d of %s besides %s", n, code, c.answers)
				}
			}
			if c.closes {
				s.closed()
			} else {
				s.probe()
			}
		})
	}
	a.neverAnswered(t)
}

// heard returns the code of the next answer, or pong.
func (s *sender) heard() string {
	s.t.Helper()
	for len(s.buf) < 4 {
		b := make([]byte, 4096)
		_ = s.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := s.conn.Read(b)
		if err != nil {
			s.t.Fatal(err)
		}
		s.buf = append(s.buf, b[:n]...)
		if bytes.Equal(s.buf, []byte("\r\n")) {
			break
		}
	}
	if rest, ok := bytes.CutPrefix(s.buf, []byte("\r\n")); ok {
		s.buf = rest
		return "pong"
	}
	return fmt.Sprint(s.final().Status)
}

// neverAnswered checks that a message that does not end costs its sender the
// connection, within the time a transaction would wait.
func (a *arena) neverAnswered(t *testing.T) {
	s := a.sender(t, "tcp")
	s.send([]byte("OPTIONS sip:a SIP/2.0\r\nVia: SIP"))
	began := time.Now()
	s.closed()
	if took := time.Since(began); took < a.edge.timing.give/2 {
		t.Errorf("closed after %s", took)
	}
}

func BenchmarkVet(b *testing.B) {
	msg := text(request("INVITE", "bench", "From: \"Kate\" <sip:+33140000001@op.example>;tag=f", "+Session-Expires: 1800",
		"+Allow: INVITE, ACK, BYE, CANCEL, OPTIONS", "+Supported: timer", "+P-Asserted-Identity: <sip:+33140000001@op.example>"))
	b.Run("vet", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			vet(msg)
		}
	})
	for name, p := range map[string]*sip.Parser{"our parsers": sip.NewParser(sip.WithHeadersParsers(headerParsers())), "the library's": sip.NewParser()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p.ParseSIP(msg)
			}
		})
	}
}
