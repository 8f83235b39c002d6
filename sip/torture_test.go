package sip

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"foyer/sip/siptest"

	"github.com/emiago/sipgo/sip"
)

// vector is one message of RFC 4475 or RFC 5118 and what comes back at the
// socket. The messages are in testdata/torture by the names of the RFCs.
type vector struct {
	section, name string
	code          int    // 0: silence
	header        string // Name: value in the answer
	call          string // who calls whom, when a call must come of it
	contacts      string // registered once the phone has proven itself
	tcp           onTCP
}

// onTCP is what a connection changes.
type onTCP uint8

const (
	alike     onTCP = iota
	closes          // answered the same, then closed: nobody knows where the message ends
	waits           // silence, then closed: the message never ends
	both            // what follows the message is another
	unlimited       // over a connection it needs a length, and gets one
)

// vectors are all of RFC 4475 section 3 and RFC 5118 section 4. There is no
// deviation from what they ask; one would stand here with its reason.
var vectors = []vector{
	{"3.1.1.1", "wsinv", 480, "", "+33140000001 > +33170000001", "", alike},
	{"3.1.1.2", "intmeth", 501, "Allow: " + allowed, "", "", alike},
	{"3.1.1.3", "esc01", 480, "", "sips:kate@op.example > sips:night@lo.test", "", alike},
	{"3.1.1.4", "escnull", 401, "", "", "sip:%00%00@kiosk.example.net sip:%00@kiosk.example.net", alike},
	{"3.1.1.5", "esc02", 501, "Allow: " + allowed, "", "", alike},
	{"3.1.1.6", "lwsdisp", 200, `From: "kate" <sip:kate@op.example>;tag=flwsdisp`, "", "", alike},
	{"3.1.1.7", "longreq", 480, "", "+33140000001 > +33170000001", "", alike},
	{"3.1.1.8", "dblreq", 401, "", "", "sip:ana@kiosk.example.net", both},
	{"3.1.1.9", "semiuri", 200, "", "", "", alike},
	{"3.1.1.10", "transports", 200, "", "", "", alike},
	{"3.1.1.11", "mpart01", 405, "Allow: " + allowed, "", "", alike},
	{"3.1.1.12", "unreason", 0, "", "", "", alike},
	{"3.1.1.13", "noreason", 0, "", "", "", alike},
	{"3.1.2.1", "badinv01", 400, "", "", "", alike},
	{"3.1.2.2", "clerr", 400, "", "", "", waits},
	{"3.1.2.3", "ncl", 400, "", "", "", closes},
	{"3.1.2.4", "scalar02", 400, "", "", "", alike},
	{"3.1.2.5", "scalarlg", 0, "", "", "", alike},
	{"3.1.2.6", "quotbal", 400, "", "", "", alike},
	{"3.1.2.7", "ltgtruri", 400, "", "", "", alike},
	{"3.1.2.8", "lwsruri", 400, "", "", "", alike},
	{"3.1.2.9", "lwsstart", 400, "", "", "", alike},
	{"3.1.2.10", "trws", 400, "", "", "", alike},
	{"3.1.2.11", "escruri", 400, "", "", "", alike},
	{"3.1.2.12", "baddate", 480, "", "+33140000001 > +33170000001", "", alike},
	{"3.1.2.13", "regbadct", 400, "", "", "", alike},
	{"3.1.2.14", "badaspec", 400, "", "", "", alike},
	{"3.1.2.15", "baddn", 400, "", "", "", alike},
	{"3.1.2.16", "badvers", 505, "", "", "", alike},
	{"3.1.2.17", "mismatch01", 400, "", "", "", alike},
	{"3.1.2.18", "mismatch02", 400, "", "", "", alike},
	{"3.1.2.19", "bigcode", 0, "", "", "", alike},
	{"3.2.1", "badbranch", 200, "", "", "", alike},
	{"3.3.1", "insuf", 400, "", "", "", alike},
	{"3.3.2", "unkscm", 416, "", "", "", alike},
	{"3.3.3", "novelsc", 416, "", "", "", alike},
	{"3.3.4", "unksm2", 400, "", "", "", alike},
	{"3.3.5", "bext01", 420, "Unsupported: nobodySupports, norDoesAnybody", "", "", alike},
	{"3.3.6", "invut", 415, "Accept: application/sdp", "", "", alike},
	{"3.3.7", "regaut01", 401, "", "", "", alike},
	{"3.3.8", "multi01", 400, "", "", "", closes},
	{"3.3.9", "mcl01", 400, "", "", "", closes},
	{"3.3.10", "bcast", 0, "", "", "", alike},
	{"3.3.11", "zeromf", 483, "", "", "", alike},
	{"3.3.12", "cparam01", 401, "", "", "sip:+33140000009@gw.example", alike},
	{"3.3.13", "cparam02", 401, "", "", "sip:+33140000009@gw.example;unknownparam", alike},
	{"3.3.14", "regescrt", 401, "", "", "sip:ana@kiosk.example.net?Route=%3Csip:edge.example%3E", alike},
	{"3.3.15", "sdp01", 406, "", "", "", alike},
	{"3.4.1", "inv2543", 480, "", "+33140000001 > +33170000001", "", unlimited},

	{"5118 4.1", "ipv6-good", 401, "", "", "sip:ana@[2001:db8::1]", alike},
	{"5118 4.2", "ipv6-bad", 400, "", "", "", alike},
	{"5118 4.3", "port-ambiguous", 401, "", "", "sip:ana@[2001:db8::1]", alike},
	{"5118 4.4", "port-unambiguous", 401, "", "", "sip:ana@[2001:db8::1]", alike},
	{"5118 4.5", "via-received-param-with-delim", 200, "", "", "", alike},
	{"5118 4.5", "via-received-param-no-delim", 200, "", "", "", alike},
	{"5118 4.6", "ipv6-in-sdp", 480, "", "+33140000001 > +33170000001", "", alike},
	{"5118 4.7", "mult-ip-in-header", 200, "", "", "", alike},
	{"5118 4.8", "mult-ip-in-sdp", 480, "", "+33140000001 > +33170000001", "", alike},
	{"5118 4.9", "ipv4-mapped-ipv6", 480, "", "+33140000001 > +33170000001", "", alike},
	{"5118 4.10", "ipv6-bug-abnf-3-colons", 200, "", "", "", alike},
}

// The whole of both RFCs over UDP and TCP: the answer or the silence, nothing to
// anybody else, and a valid request served afterwards.
func TestTorture(t *testing.T) {
	met := map[string]int{}
	for _, transport := range []string{"udp", "tcp"} {
		for _, v := range vectors {
			ok := t.Run(transport+"/"+v.name, func(t *testing.T) { v.play(t, transport) })
			rfc := "RFC 4475"
			if strings.HasPrefix(v.section, "5118") {
				rfc = "RFC 5118"
			}
			if ok {
				met[rfc+" over "+transport]++
			}
		}
	}
	t.Logf("as asked: %v", met)
}

// Every message is in the table and every file in use.
func TestTortureIsComplete(t *testing.T) {
	var names, files []string
	for _, v := range vectors {
		names = append(names, v.name)
	}
	err := fs.WalkDir(os.DirFS("testdata/torture"), ".", func(path string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(path, ".sip"); ok {
			files = append(files, name)
		}
		return err
	})
	files = append(files, "longreq", "mpart01") // made by the test
	slices.Sort(names)
	slices.Sort(files)
	if err != nil || !slices.Equal(names, files) {
		t.Errorf("table %v\nfiles %v\n%v", names, files, err)
	}
	if n := len(slices.DeleteFunc(slices.Clone(vectors), func(v vector) bool { return strings.HasPrefix(v.section, "5118") })); n != 49 {
		t.Errorf("%d messages of RFC 4475", n)
	}
}

// What of the corpus passes is written by the library so that it passes again
// and reads the same.
func TestTortureIsAFixedPoint(t *testing.T) {
	passed := 0
	for _, v := range vectors {
		if p, isSIP := vet(v.message(t, 5060)); !isSIP || p.wrong != nil {
			continue
		}
		passed++
		again(t, v.message(t, 5060))
	}
	if passed < 30 {
		t.Errorf("only %d passed", passed)
	}
}

// again reads and writes a message that passes vet until nothing changes any
// more, which must be at once.
func again(t *testing.T, data []byte) sip.Message {
	t.Helper()
	parser := sip.NewParser(sip.WithHeadersParsers(headerParsers()))
	first, err := parser.ParseSIP(bytes.Clone(data))
	if err != nil {
		t.Fatalf("passed vet, but not the library: %v in\n%q", err, data)
	}
	text := first.String()
	if p, isSIP := vet([]byte(text)); !isSIP || p.wrong != nil {
		t.Fatalf("%+v when written:\n%q\n%q", p.wrong, data, text)
	}
	second, err := parser.ParseSIP([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%q", err, text)
	}
	if written := second.String(); written != text {
		t.Fatalf("read again as another:\n%q\n%q", text, written)
	}
	return first
}

var escape = regexp.MustCompile(`\\x[0-9A-F]{2}`)

// message makes the bytes of a vector, its answers to come to a port.
func (v vector) message(t *testing.T, port int) []byte {
	t.Helper()
	var text string
	switch v.name {
	case "longreq":
		text = longRequest()
	case "mpart01":
		text = multipart()
	default:
		raw, err := os.ReadFile(filepath.Join("testdata", "torture", v.name+".sip"))
		if err != nil {
			t.Fatal(err)
		}
		text = strings.ReplaceAll(string(raw), "\n", "\r\n")
	}
	text = escape.ReplaceAllStringFunc(text, func(s string) string {
		n, _ := strconv.ParseUint(s[2:], 16, 8)
		return string([]byte{byte(n)})
	})
	text = strings.ReplaceAll(text, "@PORT@", strconv.Itoa(port))
	if i := strings.LastIndex(text, "\r\n\r\n"); strings.Contains(text, "@LEN@") {
		text = strings.ReplaceAll(text, "@LEN@", strconv.Itoa(len(text)-i-4))
	}
	return []byte(text)
}

// longRequest is an INVITE with names, values and parameters of great length and
// 34 hops (RFC 4475 section 3.1.1.7).
func longRequest() string {
	long := func(word string, n int) string { return word + strings.Repeat("-"+word, n) }
	var b strings.Builder
	fmt.Fprintf(&b, "INVITE %s SIP/2.0\r\nVia: SIP/2.0/UDP kiosk.example.net:@PORT@;branch=z9hG4bKlongreq\r\n", number)
	for i := 33; i > 0; i-- {
		fmt.Fprintf(&b, "v: SIP/2.0/TCP relay%d.example;branch=z9hG4bK%s%d;received=192.0.2.%d\r\n", i, long("very", 10), i, i)
	}
	fmt.Fprintf(&b, "To: \"%s\" <%s;%s=%s>\r\n", long("night desk", 60), number, long("parameter", 30), long("value", 40))
	fmt.Fprintf(&b, "From: <sip:+33140000001@op.example>;%s=%s;tag=%s\r\n", long("name", 50), long("value", 50), long("tag", 60))
	fmt.Fprintf(&b, "Call-ID: longreq.%s@kiosk.example.net\r\n", long("id", 100))
	fmt.Fprintf(&b, "CSeq: 3882340 INVITE\r\n%s: %s\r\n", long("Unknown", 100), long("unknown", 200))
	fmt.Fprintf(&b, "Contact: <sip:%s@%s.example>\r\n", long("kate", 60), long("kiosk", 10))
	fmt.Fprintf(&b, "Max-Forwards: 70\r\nContent-Type: application/sdp\r\nContent-Length: @LEN@\r\n\r\n%s", offerA)
	return b.String()
}

// multipart is a MESSAGE whose body is not text (RFC 4475 section 3.1.1.11).
func multipart() string {
	var binary []byte
	for i := range 512 {
		binary = append(binary, byte(i*7))
	}
	body := "--7a9cbec02ceef655\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\nHello\r\n" +
		"--7a9cbec02ceef655\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n" +
		string(binary) + "\r\n--7a9cbec02ceef655--\r\n"
	return "MESSAGE " + number + " SIP/2.0\r\nVia: SIP/2.0/UDP kiosk.example.net:@PORT@;branch=z9hG4bKmpart01\r\n" +
		"Max-Forwards: 70\r\nFrom: <sip:kate@op.example>;tag=fmpart01\r\nTo: <" + number + ">\r\nCall-ID: mpart01.41\r\nCSeq: 12 MESSAGE\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: multipart/mixed;boundary=7a9cbec02ceef655\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

// A body that is not text arrives byte by byte.
func TestBodyIsUntouched(t *testing.T) {
	text := vector{name: "mpart01"}.message(t, 5060)
	_, body, _ := bytes.Cut(text, endOfHead)
	if m := again(t, text); !bytes.Equal(m.Body(), body) {
		t.Errorf("%q, not %q", m.Body(), body)
	}
}

// arena is an edge with a sender before it, and notes where the edge sends to.
type arena struct {
	*house
	mu    sync.Mutex
	calls []string
	sent  map[string]bool // destinations
}

func openArena(t *testing.T, change func(*Options)) *arena {
	a := &arena{sent: map[string]bool{}}
	var reg *Registrar
	a.house = openHouse(t, func(o *Options) {
		accounts := []Account{}
		for _, user := range []string{"ana", "null-%00-null"} {
			accounts = append(accounts, Account{User: user, Algorithm: MD5, HA1: HA1(MD5, user, testRealm, "pw")})
		}
		reg = NewRegistrar(RegistrarOptions{Realm: testRealm, Accounts: accounts, Probe: -1})
		o.Registrar = reg
		o.T1 = 5 * time.Millisecond
		o.Invite = func(l *Leg) {
			a.mu.Lock()
			a.calls = append(a.calls, l.Caller().User+" > "+l.Called())
			a.mu.Unlock()
			l.Reject(Reject{Code: 480})
		}
		o.Trace = func(m Traced) {
			if m.Out {
				a.mu.Lock()
				a.sent[m.Remote] = true
				a.mu.Unlock()
			}
		}
		if change != nil {
			change(o)
		}
	})
	a.reg = reg
	return a
}

// play sends a vector and checks what comes of it.
func (v vector) play(t *testing.T, transport string) {
	a := openArena(t, nil)
	s := a.sender(t, transport)
	msg := v.message(t, s.port())
	if transport == "tcp" && v.tcp == unlimited {
		head, body, _ := bytes.Cut(msg, endOfHead)
		msg = fmt.Appendf(nil, "%s\r\nContent-Length: %d\r\n\r\n%s", head, len(body), body)
	}
	s.send(msg)
	code := v.code
	if transport == "tcp" && v.tcp == waits {
		code = 0
	}
	if transport == "tcp" && v.tcp == both {
		first, second := s.final(), s.final() // each is handled on a goroutine of its own
		if first.Status == 480 {
			first, second = second, first
		}
		if s.last = first; second.Status != 480 || !strings.HasPrefix(second.Get("Call-ID"), "second") {
			t.Errorf("the second message: %s", second)
		}
		v.answered(t, msg, first)
	} else if code != 0 {
		v.answered(t, msg, s.final())
	}
	if v.contacts != "" {
		a.provesItself(t, s, msg, v.contacts)
	}
	if transport == "tcp" && (v.tcp == closes || v.tcp == waits) {
		s.closed()
		s = a.sender(t, transport)
	}
	s.probe()
	if v.code == 0 || v.name == "dblreq" && transport == "udp" {
		s.silence()
	}
	a.strays(t)
	a.mu.Lock()
	defer a.mu.Unlock()
	if v.tcp != both && strings.Join(a.calls, ", ") != v.call {
		t.Errorf("calls %q, not %q", a.calls, v.call)
	}
}

// strays checks that nothing was sent but to the sender.
func (a *arena) strays(t *testing.T) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for to := range a.sent {
		if at, err := netip.ParseAddrPort(to); err != nil || at.Addr() != netip.MustParseAddr("127.0.0.2") {
			t.Errorf("something was sent to %s", to)
		}
	}
}

// answered checks the answer and what it must carry of the request.
func (v vector) answered(t *testing.T, msg []byte, m *siptest.Message) {
	t.Helper()
	if m.Status != v.code {
		t.Errorf("answered %s", m)
	}
	if name, value, _ := strings.Cut(v.header, ": "); name != "" && m.Get(name) != value {
		t.Errorf("%s is %q, not %q", name, m.Get(name), value)
	}
	p, _ := vet(msg)
	if v.code != 400 && m.Get("Call-ID") != p.callID {
		t.Errorf("Call-ID %q for %q", m.Get("Call-ID"), p.callID)
	}
	if v.code != 400 && (siptest.Param(m.Get("To"), "tag") == "" || len(m.Values("Via")) != p.hops) {
		t.Errorf("To or Via lost:\n%s", m)
	}
}

// provesItself sends a REGISTER again with the answer to its challenge.
func (a *arena) provesItself(t *testing.T, s *sender, msg []byte, contacts string) {
	t.Helper()
	first, _, _ := bytes.Cut(msg, endOfHead)
	uri := strings.Split(string(first), " ")[1]
	p, _ := vet(append(first, endOfHead...))
	to, _, _ := readAddress(p.to)
	user := unescape(to.uri.User)
	nonce, _, _ := strings.Cut(s.last.Get("WWW-Authenticate")[len(`Digest realm="`+testRealm+`", nonce="`):], `"`)
	s.send(fmt.Appendf(nil, "%s\r\nAuthorization: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", uri=\"%s\", response=\"%s\", cnonce=\"c\", qop=auth, nc=00000001\r\n\r\n",
		first, user, testRealm, nonce, uri, prove(user, nonce, uri)))
	if m := s.final(); m.Status != 200 {
		t.Errorf("with a password: %s", m)
	}
	var got []string
	for _, b := range a.reg.Bindings(user) {
		got = append(got, b.Contact)
	}
	slices.Sort(got)
	if strings.Join(got, " ") != contacts {
		t.Errorf("registered %q, not %q", got, contacts)
	}
}

// prove answers a challenge to a REGISTER.
func prove(user, nonce, uri string) string {
	sum := func(s string) string { return string(MD5.appendSum(nil, []byte(s))) }
	return sum(HA1(MD5, user, testRealm, "pw") + ":" + nonce + ":00000001:c:auth:" + sum("REGISTER:"+uri))
}

// sender is a socket of the trunk's, opposite an edge.
type sender struct {
	t    *testing.T
	conn net.Conn
	buf  []byte
	last *siptest.Message
	n    int // probes
}

func (a *arena) sender(t *testing.T, transport string) *sender {
	t.Helper()
	to, local := a.edge.o.UDP.LocalAddr(), net.Addr(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)})
	if transport == "tcp" {
		to, local = a.edge.o.TCP.Addr(), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
	}
	conn, err := (&net.Dialer{LocalAddr: local}).DialContext(context.Background(), transport, to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &sender{t: t, conn: conn}
}

func (s *sender) port() int {
	at, _ := addrPort(s.conn.LocalAddr())
	return int(at.Port())
}

func (s *sender) send(b []byte) {
	s.t.Helper()
	if _, err := s.conn.Write(b); err != nil {
		s.t.Fatal(err)
	}
}

// read returns the next message, nil if none comes in time or the connection is
// closed.
func (s *sender) read(patience time.Duration) (*siptest.Message, error) {
	s.t.Helper()
	_ = s.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		if end := bytes.Index(s.buf, endOfHead); end >= 0 { // no answer here has a body
			m, err := siptest.Parse(s.buf[:end+4])
			if err != nil {
				s.t.Fatalf("%v in an answer:\n%q", err, s.buf)
			}
			s.buf = s.buf[end+4:]
			return m, nil
		}
		b := make([]byte, 64<<10)
		n, err := s.conn.Read(b)
		if err != nil {
			return nil, err
		}
		s.buf = append(s.buf, b[:n]...)
	}
}

// final waits for the next final answer.
func (s *sender) final() *siptest.Message {
	s.t.Helper()
	for {
		m, err := s.read(10 * time.Second)
		if err != nil {
			s.t.Fatalf("no answer: %v", err)
		}
		if m.Status >= 200 {
			s.last = m
			return m
		}
	}
}

// askAfter is a request that is answered 200.
func askAfter(id string) []byte {
	return []byte(strings.Join(request("OPTIONS", id, "Via: SIP/2.0/UDP 127.0.0.2;rport;branch=z9hG4bK"+id), "\r\n") + "\r\n")
}

// askAfter asks something valid.
func (s *sender) probe() {
	s.t.Helper()
	s.n++
	id := fmt.Sprintf("probe%d", s.n)
	s.send(askAfter(id))
	for {
		if m := s.final(); m.Get("Call-ID") == id {
			if m.Status != 200 {
				s.t.Errorf("a valid request afterwards: %s", m)
			}
			return
		} else if !strings.HasPrefix(m.Get("CSeq"), "12 INVITE") && !strings.HasPrefix(m.Get("CSeq"), "3882340") { // repeated till its ACK
			s.t.Errorf("answered besides: %s", m)
		}
	}
}

// silence checks that nothing comes.
func (s *sender) silence() {
	s.t.Helper()
	if m, err := s.read(100 * time.Millisecond); err == nil {
		s.t.Errorf("came: %s", m)
	}
}

// closed waits until the edge closes the connection.
func (s *sender) closed() {
	s.t.Helper()
	if m, err := s.read(10 * time.Second); err == nil {
		s.t.Errorf("came: %s", m)
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		s.t.Error("the connection stays open")
	}
}
