package sip

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
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
