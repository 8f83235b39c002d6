package sip

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

const testRealm = "lo.test"

var testAccounts = []Account{
	{User: "ana", Algorithm: MD5, HA1: HA1(MD5, "ana", testRealm, "pw-ana")},
	{User: "bo", Algorithm: SHA256, HA1: strings.ToUpper(HA1(SHA256, "bo", testRealm, "pw-bo"))},
}

// desk is a registrar with a clock and a memory, and no network.
type desk struct {
	*Registrar
	t   testing.TB
	mu  sync.Mutex
	at  time.Time
	log []RegEvent
	why []string // authentication failures counted
}

func newDesk(t testing.TB, change func(*RegistrarOptions)) *desk {
	d := &desk{t: t, at: monday}
	o := RegistrarOptions{
		Realm: testRealm, Default: MD5, Accounts: testAccounts,
		Ban: BanPolicy{Failures: 3},
		Now: func() time.Time { d.mu.Lock(); defer d.mu.Unlock(); return d.at },
		Changed: func(e RegEvent) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.log = append(d.log, e)
		},
	}
	if change != nil {
		change(&o)
	}
	d.Registrar = NewRegistrar(o)
	d.attach(nil, func(reason string) { d.why = append(d.why, reason) })
	return d
}

func (d *desk) wait(t time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = d.at.Add(t)
}

// told returns the events since it was called last.
func (d *desk) told() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := told(d.log)
	d.log = nil
	return s
}

// parsed makes a request of a text as it would come from source.
func parsed(t testing.TB, transport, source, text string) *sip.Request {
	t.Helper()
	data := []byte(strings.ReplaceAll(text, "\n", "\r\n"))
	m, err := sip.NewParser(sip.WithHeadersParsers(headerParsers())).ParseSIP(data)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	req := m.(*sip.Request)
	if p, _ := vet(data); p.wrong == nil && p.req != nil {
		readAlike(t, p.req, req)
		req = p.req
	}
	req.SetTransport(transport)
	req.SetSource(source)
	return req
}

// readAlike checks that we have read of a REGISTER what the library reads.
func readAlike(t testing.TB, ours, library *sip.Request) {
	t.Helper()
	if ours.Method != library.Method || ours.Recipient.String() != library.Recipient.String() || ours.SipVersion != library.SipVersion {
		t.Errorf("read %q, and the library %q", ours.StartLine(), library.StartLine())
	}
	for _, name := range []string{"via", "from", "to", "contact", "call-id", "cseq", "max-forwards", "authorization", "expires", "require", "user-agent"} {
		values := func(req *sip.Request) (all []string) {
			for _, h := range req.GetHeaders(name) {
				all = append(all, fmt.Sprintf("%T %s", h, h.Value()))
			}
			return all
		}
		if one, other := values(ours), values(library); !slices.Equal(one, other) {
			t.Errorf("%s: read %q, and the library %q", name, one, other)
		}
	}
}

// softphone writes REGISTER requests. A zero field means the usual.
type softphone struct {
	user, password, claims, realm, uri, method string
	source, transport                          string
	alg                                        Algorithm
	sayAlg                                     string
	nonce, nc, qop                             string
	headers                                    string // further lines
	target                                     string
	cseq                                       int
}

func (p softphone) request(t testing.TB) *sip.Request {
	t.Helper()
	or := func(s *string, usual string) {
		if *s == "" {
			*s = usual
		}
	}
	or(&p.user, "ana")
	or(&p.claims, p.user)
	or(&p.realm, testRealm)
	or(&p.method, "REGISTER")
	or(&p.source, "203.0.113.7:5060")
	or(&p.transport, "UDP")
	or(&p.target, "sip:lo.test")
	or(&p.uri, p.target)
	or((*string)(&p.alg), string(MD5))
	or(&p.nc, "00000001")
	or(&p.qop, "auth")
	if p.sayAlg == "" {
		p.sayAlg = ", algorithm=" + string(p.alg)
	}
	if p.headers == "" {
		p.headers = "Contact: <sip:" + p.claims + "@192.168.1.10:5060>\n"
	}
	text := p.method + " " + p.target + " SIP/2.0\n" +
		"Via: SIP/2.0/" + p.transport + " 192.168.1.10:5060;branch=z9hG4bK" + strconv.Itoa(p.cseq) + p.nonce + "\n" +
		"Max-Forwards: 70\nFrom: <sip:" + p.claims + "@lo.test>;tag=1\nTo: <sip:" + p.claims + "@lo.test>\n" +
		"Call-ID: one\nCSeq: " + strconv.Itoa(p.cseq) + " " + p.method + "\n" + p.headers
	if p.nonce != "" {
		sum := func(s string) string { return string(p.alg.appendSum(nil, []byte(s))) }
		response := sum(sum(p.user+":"+p.realm+":"+p.password) + ":" + p.nonce + ":" + p.nc + ":c:" + p.qop + ":" + sum("REGISTER:"+p.uri))
		text += fmt.Sprintf(`Authorization: Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s", cnonce="c", qop=%s, nc=%s%s`+"\n",
			p.user, p.realm, p.nonce, p.uri, response, p.qop, p.nc, p.sayAlg)
	}
	return parsed(t, p.transport, p.source, text+"Content-Length: 0\n\n")
}

// challenged returns the nonce of a 401 and whether it says stale.
func challenged(t testing.TB, res *sip.Response) (nonce string, again bool) {
	t.Helper()
	h := res.GetHeaders("www-authenticate")
	if res.StatusCode != 401 || len(h) != 1 {
		t.Fatalf("no challenge:\n%s", res)
	}
	v := h[0].Value()
	_, v, _ = strings.Cut(v, `nonce="`)
	nonce, v, _ = strings.Cut(v, `"`)
	return nonce, strings.Contains(v, "stale=true")
}

// signsIn registers with one challenge and returns the final answer.
func (d *desk) signsIn(p softphone) *sip.Response {
	d.t.Helper()
	nonce := p.nonce
	p.nonce = ""
	if nonce == "" {
		nonce, _ = challenged(d.t, d.registered(p.request(d.t)))
		p.cseq++
	}
	p.nonce = nonce
	return d.registered(p.request(d.t))
}

// slow is a network on which to move a call takes until somebody lets go.
type slow struct {
	flows
	letGo chan struct{}
	moves atomic.Int32
}

func (s *slow) moved(string, flow, flow) { s.moves.Add(1); <-s.letGo }

func (s *slow) start(_ string, f func()) bool { go f(); return true }

// A REGISTER is answered on the goroutine that reads the socket, which must not
// wait until a call of the phone has followed it; what is told stays in order.
func TestMovingACallHoldsUpNoREGISTER(t *testing.T) {
	d := newDesk(t, nil)
	net := &slow{letGo: make(chan struct{})}
	d.attach(net, nil)
	answered := make(chan int)
	ask := func(p softphone) {
		t.Helper()
		go func() { answered <- d.signsIn(p).StatusCode }()
		select {
		case code := <-answered:
			if code != 200 {
				t.Fatal(code)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("waits for a call to move")
		}
	}
	ask(softphone{password: "pw-ana"})
	ask(softphone{password: "pw-ana", cseq: 5, source: "203.0.113.7:7070"})
	until(t, "the call is being moved", func() bool { return net.moves.Load() == 1 })
	ask(softphone{user: "bo", password: "pw-bo", alg: SHA256})
	if told := d.told(); told != "added ana@192.168.1.10:5060 *" {
		t.Errorf("told %q before the call has moved", told)
	}
	close(net.letGo)
	var told string
	until(t, "all is told", func() bool {
		if more := d.told(); more != "" {
			told += more + ", "
		}
		return strings.Count(told, ",") == 2
	})
	if told != "refreshed ana@192.168.1.10:5060 *, added bo@192.168.1.10:5060 *, " {
		t.Errorf("told %q", told)
	}
}

func TestRegisterIsGrantedWhatWeWant(t *testing.T) {
	for _, c := range []struct {
		what      string
		transport string
		headers   string
		contacts  string // of the answer
		code      int
	}{
		{"nothing asked", "UDP", "Contact: <sip:ana@a>\n", "<sip:ana@a>;expires=60", 200},
		{"an hour asked", "UDP", "Contact: <sip:ana@a>\nExpires: 3600\n", "<sip:ana@a>;expires=60", 200},
		{"a second asked", "UDP", "Contact: <sip:ana@a>;expires=1\n", "<sip:ana@a>;expires=60", 200},
		{"by TCP longer", "TCP", "Contact: <sip:ana@a>;expires=1\n", "<sip:ana@a>;expires=300", 200},
		{"nonsense asked", "UDP", "Contact: <sip:ana@a>;expires=soon\nExpires: later\n", "<sip:ana@a>;expires=60", 200},
		{"a contact's own word counts", "UDP", "Contact: <sip:ana@a>;expires=60\nExpires: 0\n", "<sip:ana@a>;expires=60", 200},
		{"upper-case parameter", "UDP", "Contact: <sip:ana@a>;EXPIRES=0\n", "", 200},
		{"two contacts", "UDP", "Contact: <sip:ana@a>, <sip:ana@b>\n", "<sip:ana@a>;expires=60 <sip:ana@b>;expires=60", 200},
		{"two headers", "UDP", "Contact: <sip:ana@a>\nContact: <sip:ana@b>;expires=0\n", "<sip:ana@a>;expires=60", 200},
		{"a question", "UDP", "Expires: 60\n", "", 200},
		{"a star", "UDP", "Contact: *\nExpires: 0\n", "", 200},
		{"a star without Expires", "UDP", "Contact: *\n", "", 400},
		{"a star with company", "UDP", "Contact: *\nContact: <sip:ana@a>\nExpires: 0\n", "", 400},
		{"sips", "UDP", "Contact: <sips:ana@a>\n", "", 400},
		{"sips by TLS", "TLS", "Contact: <sips:ana@a>\n", "<sips:ana@a>;expires=300", 200},
		{"tel", "UDP", "Contact: <tel:+33170000001>\n", "", 400},
		{"http", "UDP", "Contact: <http://example.com/>\n", "", 400},
		{"a scheme unheard of", "UDP", "Contact: <name:John_Smith>\n", "", 400},
		{"too long", "UDP", "Contact: <sip:" + strings.Repeat("a", maxContactURI) + "@a>\n", "", 400},
		{"overlarge Expires", "UDP", "Contact: <sip:ana@a>\nExpires: 4294967296\n", "", 400},
		{"overlarge expires", "UDP", "Contact: <sip:ana@a>;expires=99999999999999999999\n", "", 400},
		{"six at once", "UDP", "Contact: <sip:1@a>, <sip:2@a>, <sip:3@a>, <sip:4@a>, <sip:5@a>, <sip:6@a>\n", "", 400},
		{"parameters of the URI are kept", "UDP", "Contact: <sip:ana@a:5070;ob;transport=udp>;q=0.5\n", "<sip:ana@a:5070;ob;transport=udp>;expires=60", 200},
	} {
		d := newDesk(t, nil)
		nonce := d.nonces.issue(monday, c.transport+" 203.0.113.7:5060")
		res := d.signsIn(softphone{password: "pw-ana", transport: c.transport, headers: c.headers, nonce: nonce})
		var contacts []string
		for _, h := range res.GetHeaders("contact") {
			contacts = append(contacts, h.Value())
		}
		if got := strings.Join(contacts, " "); res.StatusCode != c.code || got != c.contacts {
			t.Errorf("%s: %d %q", c.what, res.StatusCode, got)
		}
		if c.code == 200 && res.GetHeader("date") == nil {
			t.Errorf("%s: no Date", c.what)
		}
	}
}

func TestRegistrationRemembersTheRealFlow(t *testing.T) {
	d := newDesk(t, nil)
	res := d.signsIn(softphone{password: "pw-ana",
		headers: "User-Agent: Softphone 1\nContact: <sip:ana@192.168.1.10:5060>;+sip.instance=\"<urn:uuid:1>\";reg-id=1\n"})
	if res.Destination() != "203.0.113.7:5060" {
		t.Errorf("answered to %s", res.Destination())
	}
	if got, _ := res.Via().Params.Get("received"); got != "203.0.113.7" {
		t.Errorf("received=%q", got)
	}
	want := Binding{User: "ana", Contact: "sip:ana@192.168.1.10:5060", Transport: "udp", Source: netip.MustParseAddrPort("203.0.113.7:5060"),
		Instance: "<urn:uuid:1>", UserAgent: "Softphone 1", Expires: monday.Add(time.Minute), Reachable: true}
	if got := d.Bindings("ana"); len(got) != 1 || got[0] != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if len(d.All()) != 1 || len(d.Bindings("bo")) != 0 {
		t.Error("bindings of others")
	}
	d.wait(20 * time.Second)
	res = d.signsIn(softphone{password: "pw-ana", headers: "Expires: 60\n", cseq: 5})
	if h := res.GetHeader("contact"); h == nil || !strings.HasSuffix(h.Value(), ";expires=40") {
		t.Errorf("a question is answered %v", h)
	}
}

func TestReloadForgetsWhoIsGone(t *testing.T) {
	d := newDesk(t, nil)
	d.signsIn(softphone{password: "pw-ana"})
	d.signsIn(softphone{user: "bo", password: "pw-bo", alg: SHA256})
	d.told()
	d.SetAccounts(testAccounts[1:])
	if got := d.told(); got != "expired ana@192.168.1.10:5060" {
		t.Errorf("told %q", got)
	}
	if res := d.signsIn(softphone{password: "pw-ana", cseq: 9}); res.StatusCode != 401 {
		t.Errorf("ana without account: %d", res.StatusCode)
	}
	if len(d.Bindings("bo")) != 1 {
		t.Error("bo should not notice")
	}
}

// Events arrive one at a time and in order, also when the listener asks back.
func TestEventsInOrder(t *testing.T) {
	var d *desk
	var mu sync.Mutex
	inside, last := false, map[string]RegKind{}
	d = newDesk(t, func(o *RegistrarOptions) {
		o.Accounts = nil
		for i := range 8 {
			user := "u" + strconv.Itoa(i)
			o.Accounts = append(o.Accounts, Account{User: user, Algorithm: MD5, HA1: HA1(MD5, user, testRealm, "pw")})
		}
		o.Changed = func(e RegEvent) {
			mu.Lock()
			if inside {
				t.Error("two events at a time")
			}
			inside = true
			mu.Unlock()
			d.Bindings(e.User)
			time.Sleep(10 * time.Microsecond) // others come by meanwhile
			mu.Lock()
			before, seen := last[e.User]
			if gone := !seen || before == RegRemoved; (e.Kind == RegAdded) != gone {
				t.Errorf("%s: %d after %d", e.User, e.Kind, before)
			}
			last[e.User] = e.Kind
			inside = false
			mu.Unlock()
		}
	})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			p := softphone{user: "u" + strconv.Itoa(i), password: "pw", source: fmt.Sprintf("203.0.113.%d:5060", i)}
			for j := range 50 {
				p.cseq = j
				p.nonce = d.nonces.issue(monday, "UDP "+p.source)
				p.headers = "Contact: <sip:a@b>\nExpires: " + strconv.Itoa((j%3)*60) + "\n"
				if res := d.registered(p.request(t)); res.StatusCode != 200 {
					t.Errorf("%d", res.StatusCode)
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkRegister(b *testing.B) {
	d := newDesk(b, func(o *RegistrarOptions) {
		o.Now, o.Changed = time.Now, func(RegEvent) {}
		o.Accounts = nil
		for i := range 10000 {
			user := "agent" + strconv.Itoa(i)
			o.Accounts = append(o.Accounts, Account{User: user, Algorithm: SHA256, HA1: HA1(SHA256, user, testRealm, "pw")})
		}
	})
	d.attach(nil, nil)
	p := softphone{user: "agent77", password: "pw", alg: SHA256}
	for i := range 10000 {
		_, err := d.places.register(time.Now(), registration{
			user: "agent" + strconv.Itoa(i), from: flowBy("udp", "203.0.113.7:5060"), grant: time.Hour, phase: time.Hour,
			contacts: []contact{{uri: "sip:" + strconv.Itoa(i) + "@192.168.1.10"}},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Run("challenge", func(b *testing.B) {
		req := p.request(b)
		b.ReportAllocs()
		for b.Loop() {
			d.registered(req)
		}
	})
	b.Run("refresh", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			p.nonce, p.cseq = d.nonces.issue(time.Now(), homeFlow), i
			req := p.request(b)
			b.StartTimer()
			if res := d.registered(req); res.StatusCode != 200 {
				b.Fatal(res)
			}
		}
	})
}
