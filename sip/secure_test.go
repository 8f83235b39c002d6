package sip

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
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

var _ = context.Background
var _ = http.StatusOK
var _ netip.Addr
