package sip

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"foyer/sip/siptest"
)

// vault is a certificate for 127.0.0.1, ::1 and lo.test, and who signed it.
type vault struct {
	*siptest.Authority
	certFile, keyFile string
	cert              *Certificate
}

func newVault(t *testing.T) *vault {
	t.Helper()
	a, err := siptest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	v := &vault{Authority: a, certFile: filepath.Join(dir, "cert.pem"), keyFile: filepath.Join(dir, "key.pem")}
	v.issue(t, time.Now().AddDate(0, 0, 90))
	if v.cert, err = OpenCertificate(v.certFile, v.keyFile, nil, nil); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *vault) issue(t *testing.T, until time.Time) {
	t.Helper()
	if err := v.Issue(v.certFile, v.keyFile, until, "lo.test", "127.0.0.1", "::1"); err != nil {
		t.Fatal(err)
	}
}

func (v *vault) client() *tls.Config { return &tls.Config{RootCAs: v.Roots(), ServerName: "lo.test"} }

// secureHouse is a house that also speaks TLS and, by web, WS and WSS.
type secureHouse struct {
	*house
	*vault
	web, secureWeb *httptest.Server
}

func openSecureHouse(t *testing.T, change func(*Options)) *secureHouse {
	t.Helper()
	s := &secureHouse{vault: newVault(t)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.house = openHouse(t, func(o *Options) {
		o.TLS, o.TLSConfig = l, s.cert.Config()
		if change != nil {
			change(o)
		}
	})
	s.web = httptest.NewServer(s.edge.WebSocket(false))
	s.secureWeb = httptest.NewUnstartedServer(s.edge.WebSocket(true))
	s.secureWeb.TLS = s.cert.Config()
	s.secureWeb.StartTLS()
	t.Cleanup(s.web.Close)
	t.Cleanup(s.secureWeb.Close)
	return s
}

// dial connects by a transport.
func (s *secureHouse) dial(transport, from string) net.Conn {
	s.t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	var c net.Conn
	var err error
	switch transport {
	case "tcp":
		c, err = dialer.Dial("tcp", s.edge.o.TCP.Addr().String())
	case "tls":
		c, err = tls.DialWithDialer(dialer, "tcp", s.edge.o.TLS.Addr().String(), s.client())
	case "ws":
		c, err = siptest.DialWebSocket(soon(s.t), strings.Replace(s.web.URL, "http", "ws", 1)+"/sip", nil)
	case "wss":
		c, err = siptest.DialWebSocket(soon(s.t), strings.Replace(s.secureWeb.URL, "http", "ws", 1)+"/sip", s.client())
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// phone makes a phone on a connection of its own. Its Contact leads nowhere: only
// its connection does.
func (s *secureHouse) phone(transport, user string) *siptest.Phone {
	s.t.Helper()
	o := siptest.Options{User: user, Domain: testRealm, Contact: "192.168.1.20:5060"}
	from := "127.0.0.1"
	if user == "carrier" {
		from = "127.0.0.2"
	} else {
		o.Password = "pw-" + user
	}
	p, err := siptest.NewStreamPhone(s.dial(transport, from), o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { p.Close() })
	return p
}

func TestWholeCallByEveryConnection(t *testing.T) {
	s := openSecureHouse(t, nil)
	for _, transport := range []string{"tcp", "tls", "ws", "wss"} {
		t.Run(transport, func(t *testing.T) {
			agent := s.phone(transport, "bo")
			defer agent.Close()
			mustRegister(t, agent)
			list := s.reg.Bindings("bo")
			if len(list) != 1 || list[0].Transport != transport {
				t.Fatalf("%+v", list)
			}
			phone := newDiary(t)
			var err error
			phone.leg, err = s.edge.Dial(Dial{To: list[0], SDP: []byte(ourSDP)}, phone.sink)
			if err != nil {
				t.Fatal(err)
			}
			in, err := agent.WaitCall(soon(t))
			if err != nil {
				t.Fatal(err)
			}
			inv := in.Invite()
			if via := inv.Get("Via"); !strings.HasPrefix(via, "SIP/2.0/"+strings.ToUpper(transport)+" ") {
				t.Errorf("Via %s", via)
			}
			param := "transport=" + strings.Replace(transport, "wss", "ws", 1)
			if contact := inv.Get("Contact"); !strings.HasSuffix(contact, param+">") {
				t.Errorf("Contact %s", contact)
			}
			in.Ring(180, "")
			expect[Progress](phone)
			in.Answer(offerB)
			expect[Answered](phone)
			if err := phone.leg.Reoffer([]byte(newSDP)); err != nil {
				t.Fatal(err)
			}
			expect[Reanswered](phone)
			in.Bye()
			expect[Ended](phone)
			until(t, "no legs", func() bool { return s.edge.Legs() == 0 })
			agent.Close()
			until(t, "the phone is gone with its connection", func() bool { return len(s.reg.Bindings("bo")) == 0 })
		})
	}
}

// A new certificate is shown from the next handshake on, and a call by TLS that is
// up does not notice; one that cannot be used leaves the old one in place.
func TestCertificateChangesUnderALiveCall(t *testing.T) {
	s := openSecureHouse(t, nil)
	agent := s.phone("tls", "bo")
	mustRegister(t, agent)
	phone := newDiary(t)
	var err error
	if phone.leg, err = s.edge.Dial(Dial{To: s.reg.Bindings("bo")[0], SDP: []byte(ourSDP)}, phone.sink); err != nil {
		t.Fatal(err)
	}
	in, err := agent.WaitCall(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	in.Answer(offerB)
	expect[Answered](phone)
	shown := func() string {
		t.Helper()
		c, ok := s.dial("tls", "127.0.0.1").(*tls.Conn)
		if !ok {
			t.Fatal("no TLS")
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := shown()
	for _, bad := range []struct {
		what string
		make func()
	}{
		{"expired", func() { s.issue(t, time.Now().Add(-time.Hour)) }},
		{"broken", func() { spoil(t, s.certFile) }},
		{"of another key", func() {
			s.issue(t, time.Now().AddDate(0, 0, 30))
			if err := s.Issue(filepath.Join(t.TempDir(), "other"), s.keyFile, time.Now().AddDate(0, 0, 30), "lo.test"); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		bad.make()
		if err := s.cert.Reload(); err == nil {
			t.Errorf("%s: taken", bad.what)
		}
		if now := shown(); now != first {
			t.Errorf("%s: shown", bad.what)
		}
	}
	s.issue(t, time.Now().AddDate(0, 0, 30))
	until(t, "the new one is shown without being asked for", func() bool { return shown() != first })
	if err := phone.leg.Reoffer([]byte(newSDP)); err != nil {
		t.Fatal(err)
	}
	expect[Reanswered](phone)
	phone.leg.Hangup(Reason{})
	if err := in.Ended(soon(t)); err != nil {
		t.Fatal(err)
	}
}

func spoil(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	s := openSecureHouse(t, nil)
	for _, c := range []*tls.Config{
		{RootCAs: s.Roots(), ServerName: "lo.test", MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10},
		{RootCAs: s.Roots(), ServerName: "lo.test", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}},
		{RootCAs: s.Roots(), ServerName: "other.test"},
	} {
		conn, err := tls.Dial("tcp", s.edge.o.TLS.Addr().String(), c)
		if err == nil {
			conn.Close()
			t.Errorf("connected by %+v", conn.ConnectionState())
		}
	}
}

// A call to and from a sips address stays one: what we say we are is sips too.
func TestSipsByTLS(t *testing.T) {
	s := openSecureHouse(t, func(o *Options) { o.AgentInvite = func(l *Leg, _ string) { _ = l.Answer([]byte(ourSDP)); l.Wait() } })
	agent := s.phone("tls", "bo")
	res, err := agent.Register(soon(t), time.Minute, siptest.H("Contact", "<sips:bo@192.168.1.20:5061>"))
	if err != nil || res.Status != 200 {
		t.Fatalf("%v %v", res, err)
	}
	d := newDiary(t)
	if d.leg, err = s.edge.Dial(Dial{To: s.reg.Bindings("bo")[0], SDP: []byte(ourSDP)}, d.sink); err != nil {
		t.Fatal(err)
	}
	in, err := agent.WaitCall(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	if uri, contact := in.Invite().URI, in.Invite().Get("Contact"); !strings.HasPrefix(uri, "sips:bo@") || !strings.HasPrefix(contact, "<sips:foyer@") {
		t.Errorf("INVITE %s with Contact %s", uri, contact)
	}
	in.Answer(offerB)
	expect[Answered](d)
	in.Bye()
	expect[Ended](d)
	out := agent.NewRequest("INVITE", "sips:+33170000001@lo.test", offerA)
	if res, err = agent.Do(soon(t), out); err != nil || res.Status != 200 {
		t.Fatalf("%v %v", res, err)
	}
	if contact := res.Get("Contact"); !strings.HasPrefix(contact, "<sips:foyer@") {
		t.Errorf("200 with Contact %s", contact)
	}
	plain := s.phone("tcp", "ana")
	if res, err = plain.Do(soon(t), plain.NewRequest("OPTIONS", "sips:lo.test", "")); err != nil || res.Status != 416 {
		t.Errorf("sips by TCP: %v %v", res, err)
	}
	for _, l := range s.edge.legs.all() {
		l.lose()
	}
}

// A trunk is called by TLS, its certificate being for the name of its host, whom a
// given authority signed; one connection serves all calls, and theirs to us come by
// TLS too.
func TestTrunkByTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	v := newVault(t)
	asked := v.cert.Config()
	asked.ClientAuth = tls.RequestClientCert
	secured := tls.NewListener(l, asked)
	defer secured.Close()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	s := openSecureHouse(t, func(o *Options) {
		trunk := Trunk{ID: "carrier", Host: "lo.test", Port: port, Transport: "tls", Roots: v.Roots(), Allow: o.Trunks[0].Allow}
		other, unsigned := trunk, trunk
		other.ID, other.Host, other.Allow = "other", "other.test", nil
		unsigned.ID, unsigned.Roots, unsigned.Allow = "unsigned", nil, nil
		o.Trunks = []Trunk{trunk, other, unsigned}
		o.Resolver = &nameServer{addrs: addresses("127.0.0.2")}
		o.Host = "acd.test"
	})
	phones := make(chan *siptest.Phone, 8)
	var accepting sync.WaitGroup
	defer accepting.Wait()
	defer secured.Close()
	accepting.Go(func() {
		for {
			c, err := secured.Accept()
			if err != nil {
				return
			}
			if secure, ok := c.(*tls.Conn); ok && secure.HandshakeContext(soon(t)) != nil {
				c.Close()
				continue
			}
			if p, err := siptest.NewStreamPhone(c, siptest.Options{User: "carrier"}); err == nil {
				phones <- p
			}
		}
	})
	dial := func(trunk string) *diary {
		t.Helper()
		d := newDiary(t)
		var err error
		if d.leg, err = s.edge.Dial(Dial{Trunk: trunk, Number: mobile, SDP: []byte(ourSDP)}, d.sink); err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, trunk := range []string{"other", "unsigned"} {
		if r := expect[Refused](dial(trunk)); r.Code != 503 || !r.Elsewhere() {
			t.Errorf("%s: %+v", trunk, r)
		}
	}
	first, second := dial("carrier"), dial("carrier")
	carrier := <-phones
	defer carrier.Close()
	for range 2 { // in whichever order they come
		c, err := carrier.WaitCall(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		if via := c.Invite().Get("Via"); !strings.HasPrefix(via, "SIP/2.0/TLS acd.test:") {
			t.Errorf("Via %s", via)
		}
		if uri := c.Invite().URI; !strings.Contains(uri, "@lo.test") {
			t.Errorf("called %s", uri)
		}
		c.Answer(offerA)
	}
	expect[Answered](first)
	expect[Answered](second)
	if n := len(phones); n != 0 {
		t.Errorf("%d more connections", n)
	}
	for _, d := range []*diary{first, second} {
		d.leg.Hangup(Reason{})
	}
	until(t, "no legs", func() bool { return s.edge.Legs() == 0 })

	caller := s.phone("tls", "carrier")
	c, err := caller.Invite(soon(t), number, offerA)
	if err != nil {
		t.Fatal(err)
	}
	d := listenTo(t, <-s.calls)
	if d.leg.Trunk() != "carrier" {
		t.Errorf("by trunk %q", d.leg.Trunk())
	}
	c.Cancel()
	expect[Cancelled](d)
}
