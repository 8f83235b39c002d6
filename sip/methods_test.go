package sip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"foyer/sip/siptest"
)

// What every method gets outside a dialog, by who sends it: a stranger before the
// switch of a real installation, one whose address the configuration names, an
// agent's phone that is registered and signs nothing, and a carrier. 0 is silence.
func TestEveryMethodFromEverybody(t *testing.T) {
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := NewRegistrar(RegistrarOptions{Realm: testRealm, Default: MD5, Accounts: testAccounts, Probe: -1})
	e, err := NewEdge(Options{
		UserAgent: "test", UDP: udp, TCP: tcp, Registrar: r,
		Trunks: []Trunk{{ID: "carrier", Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.14/32")}}},
		Flood:  &FloodPolicy{Hosts: []string{"lo.test"}, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.12/32")}, Source: 1000},
		Invite: func(l *Leg) { l.Reject(Reject{Code: 404}) },
		AgentInvite: func(l *Leg, user string) {
			t.Errorf("a call of %s that was not signed", user)
			l.Reject(Reject{Code: 500})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, e)
	table := []struct {
		method                             string
		stranger, friend, phone, ofCarrier int
	}{
		{"REGISTER", 401, 401, 401, 401}, // a carrier is no agent: it has no password
		{"INVITE", 0, 401, 401, 404},     // a stranger's is in the name of an address
		{"ACK", 0, 0, 0, 0},
		{"BYE", 0, 481, 481, 481},
		{"CANCEL", 0, 481, 481, 481},
		{"OPTIONS", 0, 200, 200, 200},
		{"SUBSCRIBE", 0, 405, 405, 405},
		{"NOTIFY", 0, 405, 405, 405},
		{"MESSAGE", 0, 405, 405, 405},
		{"INFO", 0, 481, 481, 481},
		{"UPDATE", 0, 481, 481, 481},
		{"PRACK", 0, 481, 481, 481},
		{"REFER", 0, 403, 403, 403},
		{"PUBLISH", 0, 405, 405, 405},
		{"EXOTIC", 0, 501, 501, 501},
	}
	phone := strangerAt(t, "127.0.0.13:0", udp.LocalAddr())
	p := softphone{password: "pw-ana", cseq: 1}
	p.nonce = phone.nonce(p)
	if res := phone.sends(p); res.Status != 200 {
		t.Fatal(res)
	}
	for _, who := range []struct {
		name string
		s    stranger
		code func(i int) int
	}{
		{"a stranger", strangerAt(t, "127.0.0.11:0", udp.LocalAddr()), func(i int) int { return table[i].stranger }},
		{"a named address", strangerAt(t, "127.0.0.12:0", udp.LocalAddr()), func(i int) int { return table[i].friend }},
		{"a registered phone", phone, func(i int) int { return table[i].phone }},
		{"a carrier", strangerAt(t, "127.0.0.14:0", udp.LocalAddr()), func(i int) int { return table[i].ofCarrier }},
	} {
		for i, row := range table {
			want := who.code(i)
			for _, tag := range []string{"", ";tag=nobody"} {
				switch {
				case tag == "" || row.method == "ACK":
				case who.name == "a stranger":
					want = 0
				default: // inside a dialog there is none
					want = 481
				}
				res := who.s.hears(methodText(row.method, "127.0.0.1", tag, i), want != 0)
				got := 0
				if res != nil {
					got = res.Status
				}
				if got != want {
					t.Errorf("%s%s from %s: %d, want %d", row.method, tag, who.name, got, want)
				}
			}
		}
	}
	t.Run("by TCP", func(t *testing.T) { strangersByTCP(t, tcp.Addr().String()) })
	// In the name of our domain a stranger's INVITE is challenged, so that a phone
	// whose registration was lost knows that it must register; a signature does not help.
	s := strangerAt(t, "127.0.0.15:0", udp.LocalAddr())
	if res := s.hears(methodText("INVITE", "lo.test", "", 90), true); res == nil || res.Status != 401 {
		t.Errorf("an INVITE in the name of our domain: %v", res)
	}
}

// strangersByTCP: the same silence over a connection, but for what is answered.
func strangersByTCP(t *testing.T, server string) {
	local := &net.TCPAddr{IP: net.ParseIP("127.0.0.11")}
	d := net.Dialer{LocalAddr: local}
	conn, err := d.DialContext(context.Background(), "tcp4", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i, method := range []string{"OPTIONS", "INVITE", "MESSAGE", "BYE", "EXOTIC", "REGISTER"} {
		text := strings.Replace(methodText(method, "127.0.0.1", "", 200+i), "SIP/2.0/UDP", "SIP/2.0/TCP", 1)
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 16<<10)
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal("the REGISTER is not answered: ", err)
	}
	if text := string(buf[:n]); !strings.HasPrefix(text, "SIP/2.0 401 ") || !strings.Contains(text, "REGISTER") || strings.Count(text, "SIP/2.0 ") != 1 {
		t.Errorf("a stranger hears by TCP:\n%s", text)
	}
}

func methodText(method, host, tag string, i int) string {
	target := "sip:ana@lo.test"
	if method == "REGISTER" {
		target = "sip:lo.test"
	}
	return fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.10:5060;rport;branch=z9hG4bK%s%d%s\r\n"+
		"Max-Forwards: 70\r\nFrom: <sip:ana@%s>;tag=1\r\nTo: <sip:ana@lo.test>%s\r\nCall-ID: m%d%s%s\r\nCSeq: 1 %s\r\n"+
		"Contact: <sip:ana@192.168.1.10>\r\nContent-Length: 0\r\n\r\n", method, target, method, i, strings.Trim(tag, ";="), host, tag, i, method, strings.Trim(tag, ";="), method)
}

func strangerAt(t *testing.T, at string, edge net.Addr) stranger {
	t.Helper()
	conn, err := net.ListenPacket("udp4", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return stranger{t, conn, edge}
}

// hears sends a text and returns the final answer, nil if there is none; expected
// says how patiently to wait.
func (s stranger) hears(text string, expected bool) *siptest.Message {
	s.t.Helper()
	if _, err := s.conn.WriteTo([]byte(text), s.edge); err != nil {
		s.t.Fatal(err)
	}
	patience := 100 * time.Millisecond
	if expected {
		patience = 10 * time.Second
	}
	buf := make([]byte, 4096)
	_ = s.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		n, _, err := s.conn.ReadFrom(buf)
		if err != nil {
			return nil
		}
		m, err := siptest.Parse(buf[:n])
		if err != nil {
			s.t.Fatalf("%v in\n%s", err, buf[:n])
		}
		if m.Status >= 200 {
			if strings.HasPrefix(text, "INVITE") {
				ack := strings.ReplaceAll(strings.Replace(text, "INVITE sip", "ACK sip", 1), "1 INVITE", "1 ACK")
				_, _ = s.conn.WriteTo([]byte(ack), s.edge)
			}
			return m
		}
	}
}
