package sip

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"foyer/sip/siptest"
)

func TestCallFromTrunk(t *testing.T) {
	play(t, nil, func(s *stage) {
		t := s.t
		c, d := s.arrives(offerA,
			siptest.H("P-Asserted-Identity", `"Mairie \"A\"" <sip:+33123456789;npdi@op.example;user=phone>`),
			siptest.H("From", "<sip:0123@op.example>;tag=z"))
		l := d.leg
		if l.Called() != "+33170000001" || l.Trunk() != "carrier" || string(l.SDP()) != offerA {
			t.Errorf("called %q by %q with %q", l.Called(), l.Trunk(), l.SDP())
		}
		if want := (Caller{User: "+33123456789", Display: `Mairie "A"`}); l.Caller() != want {
			t.Errorf("caller %+v", l.Caller())
		}
		if l.Transport() != "udp" || l.Remote().String() != "10.0.0.2:5060" || l.Local().String() != "10.0.0.1:5060" {
			t.Errorf("flow %s %s %s", l.Transport(), l.Remote(), l.Local())
		}
		trying := s.saw(c, "100")
		if trying.Tag("To") != "" {
			t.Errorf("100 has a To tag: %s", trying)
		}
		if err := l.Ring(180, nil); err != nil {
			t.Fatal(err)
		}
		ringing := s.saw(c, "180")
		if err := l.Ring(183, []byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		if m := s.saw(c, "183"); m.Body != ourSDP || m.Get("Content-Type") != "application/sdp" {
			t.Errorf("early media: %s", m)
		}
		if err := l.Answer([]byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		ok := s.saw(c, "200 INVITE")
		if ok.Body != ourSDP || ok.Tag("To") != ringing.Tag("To") || ok.Tag("To") == "" {
			t.Errorf("200: %s", ok)
		}
		if got := ok.Get("Contact"); got != "<sip:foyer@10.0.0.1:5060>" {
			t.Errorf("Contact %s", got)
		}
		if !ok.Has("Allow", "UPDATE") || !ok.Has("Supported", "timer") || ok.Get("Server") != "Foyer/test" {
			t.Errorf("200: %s", ok)
		}
		if a := expect[Acked](d); a.SDP != nil {
			t.Errorf("ACK with %q", a.SDP)
		}
		if s.edge.Legs() != 1 || s.edge.TrunkCalls()["carrier"] != 1 {
			t.Errorf("%d legs, %v", s.edge.Legs(), s.edge.TrunkCalls())
		}
		if err := l.Answer([]byte(ourSDP)); err == nil {
			t.Error("answered twice")
		}
		c.Bye(siptest.H("Reason", `Q.850;cause=16;text="Terminated"`))
		if e := expect[Ended](d); e.Why != Bye || e.Reason != (Reason{Q850: 16, Text: "Terminated"}) {
			t.Errorf("ended %+v", e)
		}
		s.saw(c, "200 BYE")
		d.silent()
	})
}

func TestHangupOfServerLeg(t *testing.T) {
	play(t, nil, func(s *stage) {
		t := s.t
		c, d := s.talks(siptest.H("Record-Route", "<sip:10.0.0.2:5060;lr;a=1>, <sip:10.9.9.9;lr>"))
		d.leg.Hangup(Reason{SIP: 200, Q850: 16, Text: "Call \"done\""})
		bye := s.saw(c, "BYE")
		routes := bye.Values("Route")
		if len(routes) != 2 || routes[0] != "<sip:10.0.0.2:5060;lr;a=1>" {
			t.Errorf("Route %q", routes)
		}
		reasons := bye.Values("Reason")
		if len(reasons) != 2 || reasons[0] != `SIP;cause=200;text="Call \"done\""` || reasons[1] != "Q.850;cause=16" {
			t.Errorf("Reason %q", reasons)
		}
		d.leg.Hangup(Reason{})
		if err := c.Ended(s.patience()); err != nil {
			t.Fatal(err)
		}
		if n := s.carrier.Wire().Count("BYE", false); n != 1 {
			t.Errorf("%d BYE", n)
		}
		s.settles()
		d.silent()
	})
}

func TestDelayedOffer(t *testing.T) {
	play(t, nil, func(s *stage) {
		t := s.t
		s.carrier.Manual(true, "ACK")
		c, d := s.arrives("")
		if d.leg.SDP() != nil {
			t.Fatalf("offer %q", d.leg.SDP())
		}
		if err := d.leg.Answer([]byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		s.saw(c, "200 INVITE")
		c.Ack(offerA)
		if a := expect[Acked](d); string(a.SDP) != offerA {
			t.Errorf("answer %q", a.SDP)
		}
		c.Bye()
		expect[Ended](d)
	})
}

func TestAnswerIsRepeatedUntilAck(t *testing.T) {
	play(t, nil, func(s *stage) {
		t := s.t
		s.carrier.Manual(true, "ACK")
		begun := time.Now()
		c, d := s.arrives(offerA)
		if err := d.leg.Answer([]byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		if e := expect[Ended](d); e.Why != NoAck {
			t.Errorf("ended %+v", e)
		}
		if took := time.Since(begun); took != 32*time.Second {
			t.Errorf("gave up after %v", took)
		}
		s.saw(c, "BYE")
		var at []time.Duration
		for _, e := range s.carrier.Wire().Trace() {
			if !e.Out && e.Msg.Status == 200 {
				at = append(at, e.At.Sub(begun))
			}
		}
		want := []float64{0, .5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5}
		if len(at) != len(want) {
			t.Fatalf("200 sent at %v", at)
		}
		for i := range want {
			if at[i].Seconds() != want[i] {
				t.Errorf("200 sent at %v, want %v s", at, want)
				break
			}
		}
	})
}

func TestLostAckIsMadeGood(t *testing.T) {
	play(t, nil, func(s *stage) {
		t := s.t
		s.carrier.Manual(true, "ACK")
		c, d := s.arrives(offerA)
		if err := d.leg.Answer([]byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		c.Ack("")
		expect[Acked](d)
		c.Ack("") // a copy
		synctest.Wait()
		n := s.carrier.Wire().Count("200", false)
		time.Sleep(40 * time.Second)
		if m := s.carrier.Wire().Count("200", false); m != n {
			t.Errorf("%d 200 after the ACK", m-n)
		}
		d.silent()
		c.Bye()
		expect[Ended](d)
	})
}

func TestReject(t *testing.T) {
	play(t, nil, func(s *stage) {
		t := s.t
		c, d := s.arrives(offerA)
		d.leg.Reject(Reject{Code: 503, Reason: "Full\r\nX: y", RetryAfter: 1500 * time.Millisecond})
		m := s.saw(c, "503")
		if m.Get("Retry-After") != "2" || m.Reason != "FullX: y" || m.Get("X") != "" {
			t.Errorf("refused with %s", m)
		}
		if err := c.Ended(s.patience()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if n := s.carrier.Wire().Count("503", false); n != 1 {
			t.Errorf("%d 503 although acknowledged", n)
		}
		c, d = s.arrives(offerA)
		d.leg.Hangup(Reason{SIP: 486})
		s.saw(c, "486")
		c, d = s.arrives(offerA)
		d.leg.Hangup(Reason{Q850: 16})
		s.saw(c, "480")
		d.silent()
	})
}

func TestInviteLeftWithoutAnswer(t *testing.T) {
	play(t, func(o *Options) { o.Invite = func(*Leg) {} }, func(s *stage) {
		t := s.t
		if _, err := s.carrier.Dial(s.patience(), number, offerA); err == nil || !strings.Contains(err.Error(), "500") {
			t.Errorf("%v", err)
		}
	})
}

func TestPanicEndsOneCall(t *testing.T) {
	broken := false
	play(t, func(o *Options) {
		invite := o.Invite
		o.Invite = func(l *Leg) {
			if broken = !broken; broken {
				panic("a broken invariant")
			}
			invite(l)
		}
	}, func(s *stage) {
		t := s.t
		if _, err := s.carrier.Dial(s.patience(), number, offerA); err == nil || !strings.Contains(err.Error(), "500") {
			t.Errorf("%v", err)
		}
		c, d := s.talks()
		d.leg.Listen(func(LegEvent) { panic("a broken sink") })
		c.Bye()
		s.saw(c, "200 BYE")
	})
}

func TestRepeatedInvite(t *testing.T) {
	play(t, nil, func(s *stage) {
		t := s.t
		c, d := s.talks()
		raw := c.Invite().Bytes()
		to := s.edge.o.UDP.LocalAddr()
		// A copy of the INVITE, when its transaction is long gone.
		if err := s.carrier.Wire().SendRaw(raw, to); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		// And one that came round by another way.
		other := c.Invite().Clone()
		other.Set("Via", "SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKother")
		if err := s.carrier.Wire().SendRaw(other.Bytes(), to); err != nil {
			t.Fatal(err)
		}
		if m := s.status(s.carrier, c.ID()); m.Status == 200 {
			if m = s.status(s.carrier, c.ID()); m.Status != 482 {
				t.Errorf("merged INVITE: %s", m)
			}
		}
		c.Bye()
		expect[Ended](d)
		s.settles()
		if err := s.carrier.Wire().SendRaw(raw, to); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if s.edge.Legs() != 0 || len(s.calls) != 0 {
			t.Error("a copy of an INVITE began another call")
		}
	})
}

func TestTrunkIsFull(t *testing.T) {
	play(t, nil, func(s *stage) {
		t := s.t
		var calls []*siptest.Call
		for range 3 {
			c, _ := s.talks()
			calls = append(calls, c)
		}
		c, err := s.carrier.Invite(s.patience(), number, offerA)
		if err != nil {
			t.Fatal(err)
		}
		if m := s.saw(c, "503"); m.Get("Retry-After") == "" {
			t.Errorf("full trunk: %s", m)
		}
		s.edge.SetTrunks([]Trunk{{ID: "carrier", Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, MaxCalls: 4}})
		c, _ = s.talks()
		for _, c := range append(calls, c) {
			c.Bye()
			if err := c.Ended(s.patience()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestDraining(t *testing.T) {
	draining := false
	play(t, func(o *Options) { o.Draining = func() bool { return draining } }, func(s *stage) {
		t := s.t
		c, d := s.talks()
		draining = true
		res, err := s.carrier.Do(s.patience(), s.carrier.NewRequest("OPTIONS", "sip:lo.test", ""))
		if err != nil || res.Status != 503 || res.Get("Retry-After") == "" {
			t.Errorf("OPTIONS: %v %v", res, err)
		}
		n, err := s.carrier.Invite(s.patience(), number, offerA)
		if err != nil {
			t.Fatal(err)
		}
		s.saw(n, "503")
		c.Send("OPTIONS", "")
		s.saw(c, "200 OPTIONS")
		c.Bye()
		expect[Ended](d)
	})
}

func TestStrangerMayNotCall(t *testing.T) {
	play(t, nil, func(s *stage) {
		t := s.t
		c, err := s.phone.Invite(s.patience(), number, offerA)
		if err != nil {
			t.Fatal(err)
		}
		s.saw(c, "403")
		if s.edge.Legs() != 0 {
			t.Error("a stranger's leg")
		}
	})
}

func TestAgentCalls(t *testing.T) {
	called := make(chan string, 1)
	play(t, func(o *Options) {
		o.Registrar = NewRegistrar(RegistrarOptions{Realm: testRealm, Accounts: testAccounts, Probe: -1})
		o.AgentInvite = func(l *Leg, user string) { called <- user; l.Reject(Reject{Code: 404}) }
	}, func(s *stage) {
		t := s.t
		p, err := siptest.NewPhone(s.listen("10.0.0.9:5060"), siptest.Options{User: "ana", Password: "pw-ana", Domain: testRealm, Server: "10.0.0.1:5060"})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if _, err := p.Dial(s.patience(), number, offerA); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("from an unregistered flow: %v", err)
		}
		if res, err := p.Register(s.patience(), time.Hour); err != nil || res.Status != 200 {
			t.Fatalf("%v %v", res, err)
		}
		if _, err := p.Dial(s.patience(), number, offerA); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("%v", err)
		}
		if user := <-called; user != "ana" {
			t.Errorf("call of %q", user)
		}
	})
}

// Proxies give up on an INVITE that is silent for three minutes.
func TestRingingIsRepeated(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.arrives(offerA)
		if err := d.leg.Ring(183, []byte(ourSDP)); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(10*time.Minute + time.Second)
		if n := s.carrier.Wire().Count("183", false); n != 11 {
			s.t.Errorf("183 sent %d times in ten minutes", n)
		}
		if err := d.leg.Answer([]byte(ourSDP)); err != nil {
			s.t.Fatal(err)
		}
		expect[Acked](d)
		time.Sleep(10 * time.Minute)
		if n := s.carrier.Wire().Count("183", false); n != 11 {
			s.t.Errorf("183 after the answer")
		}
		c.Bye()
		expect[Ended](d)
	})
}
