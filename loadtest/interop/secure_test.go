package interop

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"foyer/loadtest"
	"foyer/sip/siptest"
)

// trust is a client that trusts the switch's authority.
func (h *house) trust() *tls.Config {
	h.t.Helper()
	pem, err := os.ReadFile(h.sw.CA())
	if err != nil {
		h.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool, ServerName: h.sw.Realm}
}

// A phone at /sip, beside the console on the same port, is rung for a call of the
// queue: by WSS from anywhere, by WS from this machine. It is offered what browsers
// know, DTLS and ICE, and refuses (browser_test.go has one that talks).
func TestPhoneByWebSocket(t *testing.T) {
	for _, scheme := range []string{"wss", "ws"} {
		t.Run(scheme, func(t *testing.T) {
			h := newHouse(t, loadtest.Setup{Secure: true})
			port := h.sw.HTTPPort
			if scheme == "wss" {
				port = h.sw.WSSPort
			}
			c, err := siptest.DialWebSocket(h.ctx, fmt.Sprintf("%s://%s:%d/sip", scheme, h.sw.IP, port), h.trust())
			if err != nil {
				t.Fatal(err)
			}
			a := h.sw.Crew()[0]
			p, err := siptest.NewStreamPhone(c, siptest.Options{User: a.User, Password: a.Password, Domain: h.sw.Realm, Contact: "x7k2.invalid"})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if res, err := p.Register(h.ctx, time.Minute); err != nil || res.Status != 200 {
				t.Fatalf("%v %v", res, err)
			}
			sipp := h.startSipp(carrier{scenario: "talk", pause: 2 * time.Second})
			in, err := p.WaitCall(h.ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range []string{" UDP/TLS/RTP/SAVPF ", "a=fingerprint:sha-256 ", "a=ice-lite", "a=rtcp-mux", "a=setup:actpass"} {
				if !strings.Contains(in.RemoteSDP(), line) {
					t.Errorf("%q is not offered:\n%s", line, in.RemoteSDP())
				}
			}
			in.Reject(488)
			sipp.succeeded()
			h.wantOutcome("short_abandon", "caller")
			p.Close()
			until(t, "the agent is missed as soon as the connection is gone", func() bool { return !h.agents()[a.User].Reachable }, h.sw.Tail)
		})
	}
}

// The console is served by TLS too, and what is no WebSocket for SIP is refused at
// /sip.
func TestConsoleByTLS(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Secure: true})
	client := http.Client{Transport: &http.Transport{TLSClientConfig: h.trust(), DisableKeepAlives: true}}
	for path, want := range map[string]string{"/readyz": "200 OK", "/sip": "400 Bad Request"} {
		res, err := client.Get(fmt.Sprintf("https://%s:%d%s", h.sw.IP, h.sw.WSSPort, path))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.Status != want {
			t.Errorf("%s: %s, %s", path, res.Status, strings.TrimSpace(string(body)))
		}
	}
}
