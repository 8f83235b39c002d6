package sip

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"foyer/sip/siptest"
)

func TestCallToPhone(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.rings(func(d *Dial) { d.Headers = []Header{{"X-Foyer-Queue", "accueil"}} })
		inv := c.Invite()
		for name, want := range map[string]string{
			"Contact": "<sip:foyer@10.0.0.1:5060>", "X-Foyer-Queue": "accueil", "To": "<sip:ana@10.0.0.1>",
			"P-Asserted-Identity": `"Léa" <sip:+33612345678@10.0.0.1>`, "Privacy": "", "Max-Forwards": "70",
			"User-Agent": "Foyer/test", "Session-Expires": "1800", "Min-SE": "90", "Content-Type": "application/sdp",
		} {
			if got := inv.Get(name); got != want {
				s.t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if !strings.HasPrefix(inv.Get("From"), `"Léa" <sip:+33612345678@10.0.0.1>;tag=`) || inv.URI != "sip:ana@10.0.0.3:5060" || inv.Body != ourSDP {
			s.t.Errorf("INVITE: %s", inv)
		}
		if via := inv.Get("Via"); !strings.HasPrefix(via, "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK") {
			s.t.Errorf("Via: %s", via)
		}
		c.Trying()
		c.Ring(183, offerA)
		if p := expect[Progress](d); p.Code != 183 || string(p.SDP) != offerA {
			s.t.Errorf("%+v", p)
		}
		c.Ring(180, "")
		if p := expect[Progress](d); p.Code != 180 || p.SDP != nil {
			s.t.Errorf("%+v", p)
		}
		for range 15 {
			c.Ring(182, "")
			expect[Progress](d)
		}
		c.Answer(offerA)
		if a := expect[Answered](d); string(a.SDP) != offerA {
			s.t.Errorf("answer %q", a.SDP)
		}
		ack := s.saw(c, "ACK")
		number, _ := ack.CSeq()
		first, _ := inv.CSeq()
		if number != first || ack.Get("Via") == inv.Get("Via") || ack.Tag("To") == "" {
			s.t.Errorf("ACK: %s", ack)
		}
		c.Bye()
		expect[Ended](d)
		s.saw(c, "200 BYE")
		d.silent()
	})
}

func TestPrivateCaller(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.rings(func(d *Dial) { d.Caller = Caller{User: "+33612345678", Display: "Léa", Private: true} })
		inv := c.Invite()
		if !strings.HasPrefix(inv.Get("From"), `"Anonymous" <sip:anonymous@anonymous.invalid>;tag=`) ||
			inv.Get("Privacy") != "id" || inv.Get("P-Asserted-Identity") != "" || strings.Contains(inv.String(), "33612345678") {
			s.t.Errorf("INVITE: %s", inv)
		}
		d.leg.Hangup(Reason{})
	})
}

func TestCallerCannotWriteHeaders(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.rings(func(d *Dial) {
			d.Caller = Caller{User: "a b>\r\nX-Evil: 1", Display: "\"x\\\r\nX-Evil: 1"}
		})
		inv := c.Invite()
		if inv.Get("X-Evil") != "" || inv.Caller() != "a%20b%3E%0D%0AX-Evil%3A%201" {
			s.t.Errorf("INVITE: %s", inv)
		}
		d.leg.Hangup(Reason{})
		if _, err := s.edge.Dial(Dial{To: s.binding(), SDP: []byte(ourSDP), Headers: []Header{{"X", "a\r\nY: b"}}}, nil); err == nil {
			s.t.Error("a header of two lines was taken")
		}
	})
}

func TestPhoneRefuses(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.rings()
		c.Ring(180, "")
		expect[Progress](d)
		c.Reject(486)
		if r := expect[Refused](d); r.Code != 486 || r.Unreachable {
			s.t.Errorf("%+v", r)
		}
		s.saw(c, "ACK")
		if s.edge.Legs() != 0 {
			s.t.Error("leg left")
		}
		// Each copy of the refusal is acknowledged, at once: its ACK was lost.
		first := s.lastReceived(s.phone, "ACK")
		for range 3 {
			if err := s.phone.Wire().SendRaw(s.lastSent(s.phone, "486 INVITE"), s.edge.o.UDP.LocalAddr()); err != nil {
				s.t.Fatal(err)
			}
		}
		synctest.Wait()
		again := s.lastReceived(s.phone, "ACK")
		if n := s.phone.Wire().Count("ACK", false); n != 4 || again.Get("Via") != first.Get("Via") || again.Get("To") != first.Get("To") ||
			again.Get("CSeq") != first.Get("CSeq") || again.URI != first.URI {
			s.t.Errorf("%d ACK; first %s\nthen %s", n, first, again)
		}
		for _, code := range []int{302, 401, 603} {
			c, d := s.rings()
			c.Reject(code)
			if r := expect[Refused](d); r.Code != code || r.Unreachable {
				s.t.Errorf("%+v", r)
			}
			d.leg.Hangup(Reason{})
			d.silent()
		}
	})
}

func TestDeadPhone(t *testing.T) {
	play(t, nil, func(s *stage) {
		begun := time.Now()
		d := s.dials(func(d *Dial) { d.To.Source = netip.MustParseAddrPort("10.0.0.77:5060") })
		if r := expect[Refused](d); r.Code != 408 || !r.Unreachable {
			s.t.Errorf("%+v", r)
		}
		if took := time.Since(begun); took != 4*time.Second {
			s.t.Errorf("found unreachable after %v", took)
		}
		if s.edge.Legs() != 0 {
			s.t.Error("leg left")
		}
	})
}

// A phone that was asleep answers when we have given it up: it must not ring for
// nobody, nor sit in a call with nobody.
func TestPhoneWakesUpLate(t *testing.T) {
	for _, answer := range []bool{false, true} {
		t.Run(fmt.Sprintf("answer=%v", answer), func(t *testing.T) {
			play(t, nil, func(s *stage) {
				c, d := s.rings()
				expect[Refused](d)
				if answer {
					c.Answer(offerA)
					s.saw(c, "ACK")
					s.saw(c, "BYE")
				} else {
					c.Ring(180, "")
					s.saw(c, "CANCEL")
				}
				if err := c.Ended(s.patience()); err != nil {
					s.t.Fatal(err)
				}
				d.silent()
			})
		})
	}
}

func TestHangupBeforeInviteLeft(t *testing.T) {
	play(t, nil, func(s *stage) {
		d := s.dials()
		d.leg.Hangup(Reason{})
		synctest.Wait()
		select {
		case c := <-s.phone.Calls(): // it was faster
			c.Ring(180, "")
			s.saw(c, "CANCEL")
		default:
		}
		s.settles()
		if n := s.phone.Wire().Count("INVITE", false); n != s.phone.Wire().Count("CANCEL", false) {
			s.t.Errorf("%d INVITE:\n%s", n, s.phone.Wire().Ladder())
		}
		d.silent()
	})
}

// RFC 3261 section 9.1: no CANCEL before a provisional response.
func TestCancelWaitsForProvisional(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.rings()
		d.leg.Hangup(Reason{SIP: 200, Text: "Call completed elsewhere"})
		time.Sleep(time.Second)
		if n := s.phone.Wire().Count("CANCEL", false); n != 0 {
			s.t.Fatal("CANCEL before any response")
		}
		c.Ring(180, "")
		m := s.saw(c, "CANCEL")
		inv := c.Invite()
		if m.Get("Via") != inv.Get("Via") || m.URI != inv.URI || m.Tag("To") != "" || m.Get("From") != inv.Get("From") ||
			m.Get("Reason") != `SIP;cause=200;text="Call completed elsewhere"` {
			s.t.Errorf("CANCEL: %s", m)
		}
		if err := c.Ended(s.patience()); err != nil {
			s.t.Fatal(err)
		}
		s.settles()
		d.leg.Hangup(Reason{})
		d.silent()
	})
}

// The CANCEL goes where the INVITE went, not where the Contact points: a phone
// behind a home router would ring on.
func TestCancelReachesPhoneBehindRouter(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.rings(func(d *Dial) { d.To.Contact = "sip:ana@192.168.1.10:5060" })
		c.Ring(180, "")
		expect[Progress](d)
		d.leg.Hangup(Reason{})
		s.saw(c, "CANCEL")
	})
}

func TestAnswerCrossingCancel(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.phone.Manual(true, "CANCEL")
		c, d := s.rings()
		c.Ring(180, "")
		expect[Progress](d)
		d.leg.Hangup(Reason{SIP: 200, Text: "Call completed elsewhere"})
		s.saw(c, "CANCEL")
		c.Answer(offerA)
		s.saw(c, "ACK")
		if bye := s.saw(c, "BYE"); bye.Get("Reason") != `SIP;cause=200;text="Call completed elsewhere"` {
			s.t.Errorf("BYE: %s", bye)
		}
		s.settles()
		d.silent()
	})
}

func TestCancelIgnored(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.phone.Manual(true, "CANCEL")
		c, d := s.rings()
		c.Ring(180, "")
		expect[Progress](d)
		d.leg.Hangup(Reason{})
		s.saw(c, "CANCEL")
		time.Sleep(40 * time.Second)
		if s.edge.Legs() != 0 {
			s.t.Error("leg of a phone that ignores CANCEL left")
		}
		c.Reject(487)
	})
}

func TestRepeatedAnswerIsAcknowledgedAgain(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.answers()
		answer := s.lastSent(s.phone, "200 INVITE")
		for range 3 {
			if err := s.phone.Wire().SendRaw(answer, s.edge.o.UDP.LocalAddr()); err != nil {
				s.t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := s.phone.Wire().Count("ACK", false); n != 4 {
			s.t.Errorf("%d ACK", n)
		}
		d.silent()
		d.leg.Hangup(Reason{})
		s.saw(c, "BYE")
		s.settles()
		if err := s.phone.Wire().SendRaw(answer, s.edge.o.UDP.LocalAddr()); err != nil {
			s.t.Fatal(err)
		}
		synctest.Wait()
		if n := s.phone.Wire().Count("ACK", false); n != 5 {
			s.t.Errorf("%d ACK, the last of a call that is over", n)
		}
	})
}

// A second phone behind a forking proxy answers too: it is thanked and hung up.
func TestForkedAnswer(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.answers()
		answer, err := siptest.Parse(s.lastSent(s.phone, "200 INVITE"))
		if err != nil {
			s.t.Fatal(err)
		}
		answer.Set("To", "<sip:ana@lo.test>;tag=other")
		answer.Set("Contact", "<sip:other@10.0.0.3:5060>")
		if err := s.phone.Wire().SendRaw(answer.Bytes(), s.edge.o.UDP.LocalAddr()); err != nil {
			s.t.Fatal(err)
		}
		for _, method := range []string{"ACK", "BYE"} {
			if _, err := s.phone.Wire().WaitMessage(s.patience(), func(m *siptest.Message) bool {
				return m.Method == method && m.Tag("To") == "other" && m.URI == "sip:other@10.0.0.3:5060"
			}); err != nil {
				s.t.Fatal(err)
			}
		}
		d.silent()
		c.Bye()
		expect[Ended](d)
	})
}

func TestPhoneAnswersAndHangsUpAtOnce(t *testing.T) {
	play(t, nil, func(s *stage) {
		for range 20 {
			c, d := s.rings()
			c.Answer(offerA)
			c.Bye()
			expect[Answered](d)
			expect[Ended](d)
			s.saw(c, "200 BYE")
		}
	})
}

func TestSessionTooShortForPhone(t *testing.T) {
	play(t, func(o *Options) { o.Session = SessionPolicy{Expires: 100 * time.Second} }, func(s *stage) {
		c, d := s.rings()
		c.Reject(422, siptest.H("Min-SE", "600"))
		again, err := s.phone.WaitCall(s.patience())
		if err != nil {
			s.t.Fatal(err)
		}
		inv := again.Invite()
		if number, _ := inv.CSeq(); number != 2 || inv.Get("Session-Expires") != "600" || inv.Get("Min-SE") != "600" ||
			inv.Get("Via") == c.Invite().Get("Via") {
			s.t.Errorf("INVITE: %s", inv)
		}
		again.Reject(422, siptest.H("Min-SE", "600"))
		if r := expect[Refused](d); r.Code != 422 {
			s.t.Errorf("%+v", r)
		}
	})
}

// lastReceived returns the last request of a method that a phone got.
func (s *stage) lastReceived(p *siptest.Phone, method string) *siptest.Message {
	s.t.Helper()
	all := p.Wire().Trace()
	for i := len(all) - 1; i >= 0; i-- {
		if m := all[i].Msg; !all[i].Out && m != nil && m.Method == method {
			return m
		}
	}
	s.t.Fatalf("no %s received", method)
	return nil
}

// lastSent returns the last message a phone sent that fits.
func (s *stage) lastSent(p *siptest.Phone, what string) []byte {
	s.t.Helper()
	code, method, _ := strings.Cut(what, " ")
	all := p.Wire().Trace()
	for i := len(all) - 1; i >= 0; i-- {
		if m := all[i].Msg; all[i].Out && m != nil && fmt.Sprint(m.Status) == code && strings.HasSuffix(m.Get("CSeq"), method) {
			return all[i].Raw
		}
	}
	s.t.Fatalf("no %s sent", what)
	return nil
}

func TestEdgeClosesWithLegsUp(t *testing.T) {
	play(t, nil, func(s *stage) {
		_, a := s.talks()
		_, b := s.answers()
		_, c := s.arrives(offerA)
		_, d := s.rings()
		s.edge.Close()
		if e := expect[Ended](a); e.Why != FlowLost {
			s.t.Errorf("%+v", e)
		}
		expect[Ended](b)
		expect[Cancelled](c)
		if r := expect[Refused](d); !r.Unreachable {
			s.t.Errorf("%+v", r)
		}
		if _, err := s.edge.Dial(Dial{To: s.binding(), SDP: []byte(ourSDP)}, nil); err == nil {
			s.t.Error("dialled by a closed edge")
		}
		s.phone.Close()
		s.carrier.Close()
	})
}
