package sip

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/sip/siptest"
)

// stranger is a socket that belongs to nobody we know, opposite an edge.
type stranger struct {
	t    *testing.T
	conn net.PacketConn
	edge net.Addr
}

// besiege opens an edge with ana's and bo's accounts on a real socket and
// strangers before it.
func besiege(t *testing.T, strangers int) (*Registrar, []stranger) {
	t.Helper()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := NewRegistrar(RegistrarOptions{
		Realm: testRealm, Default: MD5, Accounts: testAccounts, Probe: -1,
		Ban: BanPolicy{Failures: 1000},
	})
	e, err := NewEdge(Options{
		UserAgent: "test", UDP: udp, Registrar: r,
		Invite:      func(l *Leg) { t.Error("a call got through"); l.Reject(Reject{Code: 500}) },
		AgentInvite: func(l *Leg, user string) { t.Errorf("a call by %s got through", user); l.Reject(Reject{Code: 500}) },
	})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, e)
	list := make([]stranger, strangers)
	for i := range list {
		conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		list[i] = stranger{t, conn, udp.LocalAddr()}
	}
	return r, list
}

func (s stranger) source() string { return s.conn.LocalAddr().String() }

// ask sends a request and returns its final answer, nil if none comes.
func (s stranger) ask(text string) *siptest.Message {
	s.t.Helper()
	if _, err := s.conn.WriteTo([]byte(text), s.edge); err != nil {
		s.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	deadline := time.Now().Add(5 * time.Second)
	if strings.HasPrefix(text, "ACK ") {
		deadline = time.Now().Add(200 * time.Millisecond)
	}
	_ = s.conn.SetReadDeadline(deadline)
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
			return m
		}
	}
}

// sends asks with a softphone's request from this socket.
func (s stranger) sends(p softphone) *siptest.Message {
	s.t.Helper()
	p.source = s.source()
	text := strings.Replace(p.request(s.t).String(), "192.168.1.10:5060;branch", "192.168.1.10:5060;rport;branch", 1)
	res := s.ask(text)
	if res == nil {
		s.t.Fatalf("no answer to\n%s", text)
	}
	return res
}

// nonce asks for one.
func (s stranger) nonce(p softphone) string {
	s.t.Helper()
	p.password, p.nonce = "", ""
	p.cseq += 1000
	return nonceOf(s.t, s.sends(p))
}

func nonceOf(t *testing.T, res *siptest.Message) string {
	t.Helper()
	_, v, _ := strings.Cut(res.Get("WWW-Authenticate"), `nonce="`)
	v, _, ok := strings.Cut(v, `"`)
	if res.Status != 401 || !ok {
		t.Fatalf("no challenge:\n%s", res)
	}
	return v
}

// Nothing a stranger sends does anything, whatever the method.
func TestStrangersGetNowhere(t *testing.T) {
	for _, c := range []struct {
		method string
		code   int // 0: no answer
	}{
		{"REGISTER", 401}, {"INVITE", 401}, {"ACK", 0}, {"BYE", 481}, {"CANCEL", 481},
		{"OPTIONS", 200}, {"SUBSCRIBE", 405}, {"NOTIFY", 405}, {"REFER", 403}, {"MESSAGE", 405},
		{"PUBLISH", 405}, {"INFO", 481}, {"UPDATE", 481}, {"PRACK", 481}, {"EXOTIC", 501},
	} {
		t.Run(c.method, func(t *testing.T) {
			_, s := besiege(t, 1)
			target := "sip:ana@lo.test"
			if c.method == "REGISTER" {
				target = "sip:lo.test"
			}
			res := s[0].ask(fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.10:5060;rport;branch=z9hG4bK1\r\n"+
				"Max-Forwards: 70\r\nFrom: <sip:ana@lo.test>;tag=1\r\nTo: <sip:ana@lo.test>\r\nCall-ID: 1\r\nCSeq: 1 %s\r\n"+
				"Contact: <sip:ana@192.168.1.10>\r\nContent-Length: 0\r\n\r\n", c.method, target, c.method))
			switch {
			case res == nil && c.code != 0:
				t.Error("no answer")
			case res != nil && res.Status != c.code:
				t.Errorf("%d %s", res.Status, res.Reason)
			}
		})
	}
}

// Neither code nor headers nor the form of the nonce say whether a user exists.
func TestUsersCannotBeCounted(t *testing.T) {
	_, s := besiege(t, 1)
	shape := func(res *siptest.Message) string {
		var names []string
		for _, h := range res.Headers {
			names = append(names, h.Name)
		}
		challenge := res.Get("WWW-Authenticate")
		challenge = strings.Replace(challenge, nonceOf(t, res), fmt.Sprintf("of %d letters", len(nonceOf(t, res))), 1)
		return fmt.Sprint(res.Status, res.Reason, names, challenge)
	}
	for _, method := range []string{"REGISTER", "INVITE"} {
		var seen []string
		for i, user := range []string{"ana", "eve", "root", "+33170000001"} {
			p := softphone{user: user, method: method, cseq: 10 * i}
			first := s[0].sends(p)
			p.nonce, p.password, p.cseq = nonceOf(t, first), "guess", p.cseq+1
			seen = append(seen, shape(first)+" then "+shape(s[0].sends(p)))
		}
		if len(slices.Compact(seen)) != 1 {
			t.Errorf("%s:\n%s", method, strings.Join(seen, "\n"))
		}
	}
}

// What somebody saw on the wire is of no use to him.
func TestWhatWasOverheardIsWorthless(t *testing.T) {
	r, s := besiege(t, 2)
	ana, eve := s[0], s[1]
	p := softphone{password: "pw-ana", cseq: 1}
	p.nonce = ana.nonce(p)
	if res := ana.sends(p); res.Status != 200 {
		t.Fatal(res)
	}
	again := p
	again.cseq++ // another branch, or the transaction would just repeat its answer
	for _, c := range []struct {
		what  string
		who   stranger
		phone softphone
		stale bool
	}{
		{"the same again", ana, again, true},
		{"the same from elsewhere", eve, again, true},
		{"the next count from elsewhere", eve, with(again, func(p *softphone) { p.nc = "00000002" }), true},
		{"as an INVITE", ana, with(again, func(p *softphone) { p.method, p.nc, p.uri = "INVITE", "00000003", "sip:lo.test" }), false},
		{"another uri signed", ana, with(again, func(p *softphone) { p.uri, p.nc = "sip:elsewhere.test", "00000004" }), false},
		{"another realm signed", ana, with(again, func(p *softphone) { p.realm, p.nc = "elsewhere.test", "00000005" }), false},
		{"in bo's name", ana, with(again, func(p *softphone) { p.claims, p.nc = "bo", "00000006" }), false},
	} {
		c.phone.cseq += 10
		res := c.who.sends(c.phone)
		if fresh := nonceOf(t, res); fresh == p.nonce {
			t.Errorf("%s: the old nonce again", c.what)
		}
		if stale := strings.Contains(res.Get("WWW-Authenticate"), "stale=true"); stale != c.stale {
			t.Errorf("%s: stale is %v", c.what, stale)
		}
	}
	if list := r.All(); len(list) != 1 || list[0].Source.String() != ana.source() {
		t.Errorf("bindings %+v", list)
	}
	p.nc, p.cseq = "00000007", 50
	if res := ana.sends(p); res.Status != 200 {
		t.Errorf("ana herself:\n%s", res)
	}
}

func with(p softphone, change func(*softphone)) softphone {
	change(&p)
	return p
}

// A source that guesses is not answered any more, whoever it says it is.
func TestGuesserIsNotAnswered(t *testing.T) {
	r, s := besiege(t, 1)
	for range 1000 {
		r.bans.fail(s[0].conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr(), r.now())
	}
	p := softphone{source: s[0].source()}
	_ = s[0].conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := s[0].conn.WriteTo([]byte(p.request(t).String()), s[0].edge); err != nil {
		t.Fatal(err)
	}
	if n, _, err := s[0].conn.ReadFrom(make([]byte, 4096)); err == nil {
		t.Errorf("answered with %d bytes", n)
	}
}
