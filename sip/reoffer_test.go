package sip

import (
	"testing"
	"testing/synctest"
	"time"

	"foyer/sip/siptest"
)

// bothSides runs a test on a server leg and on a client leg that is up.
func bothSides(t *testing.T, test func(*stage, *siptest.Phone, *siptest.Call, *diary)) {
	t.Run("server", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			c, d := s.talks(siptest.H("Allow", "INVITE, ACK, BYE, CANCEL, UPDATE"))
			test(s, s.carrier, c, d)
		})
	})
	t.Run("client", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			c, d := s.answers()
			test(s, s.phone, c, d)
		})
	})
}

func TestTheyReoffer(t *testing.T) {
	bothSides(t, func(s *stage, _ *siptest.Phone, c *siptest.Call, d *diary) {
		for _, method := range []string{"INVITE", "UPDATE"} {
			if method == "INVITE" {
				c.Reinvite(offerB, siptest.H("Contact", "<sip:moved@10.0.0.9:5070>"))
			} else {
				c.Update(offerB)
			}
			o := expect[Reoffered](d)
			if string(o.SDP) != offerB || o.Method != method {
				s.t.Errorf("%+v", o)
			}
			d.leg.Accept(Reoffered{Token: o.Token + 1}, []byte(ourSDP)) // another one's token
			d.leg.Accept(o, []byte(newSDP))
			if m := s.saw(c, "200 "+method); m.Body != newSDP || m.Get("Contact") != "<sip:foyer@10.0.0.1:5060>" {
				s.t.Errorf("answer: %s", m)
			}
			d.leg.Accept(o, []byte(newSDP)) // too late
		}
		c.Reinvite("")
		o := expect[Reoffered](d)
		if o.SDP != nil {
			s.t.Errorf("%+v", o)
		}
		d.leg.Decline(o, Reject{Code: 488})
		s.saw(c, "488")
		synctest.Wait()
		d.silent()
		d.leg.Hangup(Reason{})
		if bye := s.saw(c, "BYE"); bye.URI != "sip:"+c.Phone().User()+"@"+c.Phone().Wire().LocalAddr().String() {
			s.t.Errorf("BYE to %s after UPDATE moved the target back", bye.URI)
		}
	})
}

func TestTargetMoves(t *testing.T) {
	bothSides(t, func(s *stage, _ *siptest.Phone, c *siptest.Call, d *diary) {
		c.Reinvite(offerB, siptest.H("Contact", "<sip:refused@10.0.0.9:5070>"))
		d.leg.Decline(expect[Reoffered](d), Reject{Code: 488})
		s.saw(c, "488")
		c.Reinvite(offerB, siptest.H("Contact", "<sip:moved@10.0.0.9:5070>"))
		d.leg.Accept(expect[Reoffered](d), []byte(newSDP))
		s.saw(c, "200 INVITE")
		c.Reinvite(offerB, siptest.H("Contact", "<sip:refused@10.0.0.9:5070>"))
		d.leg.Decline(expect[Reoffered](d), Reject{Code: 488})
		s.saw(c, "488")
		d.leg.Hangup(Reason{})
		if bye := s.saw(c, "BYE"); bye.URI != "sip:moved@10.0.0.9:5070" {
			s.t.Errorf("BYE to %s", bye.URI)
		}
	})
}

func TestTheyAskForOurOffer(t *testing.T) {
	bothSides(t, func(s *stage, p *siptest.Phone, c *siptest.Call, d *diary) {
		p.Manual(true, "ACK")
		c.Reinvite("")
		o := expect[Reoffered](d)
		d.leg.Accept(o, []byte(newSDP))
		if m := s.saw(c, "200 INVITE"); m.Body != newSDP {
			s.t.Errorf("offer: %s", m)
		}
		time.Sleep(time.Second)
		c.Ack(offerB)
		if a := expect[Acked](d); string(a.SDP) != offerB {
			s.t.Errorf("answer %q", a.SDP)
		}
		d.leg.Hangup(Reason{})
	})
}

func TestUpdateWithoutOffer(t *testing.T) {
	bothSides(t, func(s *stage, _ *siptest.Phone, c *siptest.Call, d *diary) {
		c.Update("", siptest.H("Session-Expires", "600;refresher=uac"), siptest.H("Supported", "timer"))
		m := s.saw(c, "200 UPDATE")
		if m.Get("Session-Expires") != "600;refresher=uac" || m.Get("Require") != "timer" || m.Body != "" {
			s.t.Errorf("answer: %s", m)
		}
		d.silent()
		d.leg.Hangup(Reason{})
	})
}

func TestWeReoffer(t *testing.T) {
	bothSides(t, func(s *stage, _ *siptest.Phone, c *siptest.Call, d *diary) {
		if err := d.leg.Reoffer([]byte(newSDP)); err != nil {
			s.t.Fatal(err)
		}
		m := s.saw(c, "INVITE")
		if m.Tag("To") == "" {
			m = s.saw(c, "INVITE")
		}
		if m.Body != newSDP || m.Get("Contact") != "<sip:foyer@10.0.0.1:5060>" {
			s.t.Errorf("re-INVITE: %s", m)
		}
		r := expect[Reanswered](d)
		if r.Code != 200 || len(r.SDP) == 0 {
			s.t.Errorf("%+v", r)
		}
		s.saw(c, "ACK")
		d.leg.Hangup(Reason{})
		if err := d.leg.Reoffer([]byte(newSDP)); err == nil {
			s.t.Error("reoffered after hangup")
		}
	})
}

func TestReofferRefused(t *testing.T) {
	bothSides(t, func(s *stage, p *siptest.Phone, c *siptest.Call, d *diary) {
		p.Manual(true, "INVITE")
		if err := d.leg.Reoffer([]byte(newSDP)); err != nil {
			s.t.Fatal(err)
		}
		if err := c.Respond(s.reinvite(c), 488, ""); err != nil {
			s.t.Fatal(err)
		}
		if r := expect[Reanswered](d); r.Code != 488 {
			s.t.Errorf("%+v", r)
		}
		d.silent()
		d.leg.Hangup(Reason{})
		s.saw(c, "BYE")
	})
}

// reinvite waits for an INVITE inside the dialog.
func (s *stage) reinvite(c *siptest.Call) *siptest.Message {
	s.t.Helper()
	for {
		if m := s.saw(c, "INVITE"); m.Tag("To") != "" {
			return m
		}
	}
}

func TestReofferFindsNoDialog(t *testing.T) {
	bothSides(t, func(s *stage, p *siptest.Phone, c *siptest.Call, d *diary) {
		p.Manual(true, "INVITE")
		if err := d.leg.Reoffer([]byte(newSDP)); err != nil {
			s.t.Fatal(err)
		}
		if err := c.Respond(s.reinvite(c), 481, ""); err != nil {
			s.t.Fatal(err)
		}
		if e := expect[Ended](d); e.Why != FlowLost {
			s.t.Errorf("%+v", e)
		}
		s.saw(c, "BYE")
		d.silent()
	})
}

// An offer that nobody answers is no reason to end a talk that goes on.
func TestReofferIsIgnored(t *testing.T) {
	bothSides(t, func(s *stage, p *siptest.Phone, c *siptest.Call, d *diary) {
		p.Manual(true, "INVITE")
		if err := d.leg.Reoffer([]byte(newSDP)); err != nil {
			s.t.Fatal(err)
		}
		s.reinvite(c)
		if r := expect[Reanswered](d); r.Code != 408 {
			s.t.Errorf("%+v", r)
		}
		d.silent()
		p.Manual(false, "INVITE")
		c.Reinvite(offerB)
		d.leg.Accept(expect[Reoffered](d), []byte(newSDP))
		s.saw(c, "200 INVITE")
		d.leg.Hangup(Reason{})
		s.saw(c, "BYE")
	})
}

// RFC 3261 section 14: each side refuses the other's offer while its own is out,
// and tries again after a while.
func TestGlare(t *testing.T) {
	bothSides(t, func(s *stage, p *siptest.Phone, c *siptest.Call, d *diary) {
		p.Manual(true, "INVITE")
		if err := d.leg.Reoffer([]byte(newSDP)); err != nil {
			s.t.Fatal(err)
		}
		ours := s.reinvite(c)
		c.Reinvite(offerB)
		s.saw(c, "491")
		c.Update(offerB)
		s.saw(c, "491")
		if err := c.Respond(ours, 491, ""); err != nil {
			s.t.Fatal(err)
		}
		begun := time.Now()
		again := s.reinvite(c)
		waited := time.Since(begun)
		if least := 2100 * time.Millisecond; d.leg.server != (waited <= 2*time.Second) || !d.leg.server && (waited < least || waited > 4*time.Second) {
			s.t.Errorf("tried again after %v", waited)
		}
		if err := c.Respond(again, 200, offerB); err != nil {
			s.t.Fatal(err)
		}
		if r := expect[Reanswered](d); r.Code != 200 || string(r.SDP) != offerB {
			s.t.Errorf("%+v", r)
		}
		d.silent()
		d.leg.Hangup(Reason{})
	})
}

func TestOffersOneAtATime(t *testing.T) {
	bothSides(t, func(s *stage, p *siptest.Phone, c *siptest.Call, d *diary) {
		c.Reinvite(offerB)
		o := expect[Reoffered](d)
		c.Update(offerB)
		if m := s.saw(c, "500"); m.Get("Retry-After") == "" {
			s.t.Errorf("second offer: %s", m)
		}
		// Ours waits until theirs is done.
		if err := d.leg.Reoffer([]byte(newSDP)); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(time.Second)
		d.silent()
		d.leg.Accept(o, []byte(ourSDP))
		s.saw(c, "200 INVITE")
		expect[Reanswered](d)
		d.leg.Hangup(Reason{})
	})
}

func TestReinviteIsCancelled(t *testing.T) {
	bothSides(t, func(s *stage, _ *siptest.Phone, c *siptest.Call, d *diary) {
		c.Reinvite(offerB)
		o := expect[Reoffered](d)
		c.CancelNow()
		s.saw(c, "200 CANCEL")
		s.saw(c, "487")
		d.leg.Accept(o, []byte(newSDP))
		time.Sleep(time.Second)
		c.Reinvite(offerB)
		d.leg.Accept(expect[Reoffered](d), []byte(newSDP))
		s.saw(c, "200 INVITE")
		d.leg.Hangup(Reason{})
	})
}

func TestHangupWhileReoffering(t *testing.T) {
	bothSides(t, func(s *stage, p *siptest.Phone, c *siptest.Call, d *diary) {
		p.Manual(true, "INVITE", "BYE")
		if err := d.leg.Reoffer([]byte(newSDP)); err != nil {
			s.t.Fatal(err)
		}
		inv := s.reinvite(c)
		d.leg.Hangup(Reason{})
		bye := s.saw(c, "BYE")
		before := p.Wire().Count("ACK", false)
		if err := c.Respond(inv, 200, offerB); err != nil {
			s.t.Fatal(err)
		}
		synctest.Wait()
		if p.Wire().Count("ACK", false) == before {
			s.t.Error("200 to our re-INVITE not acknowledged")
		}
		if err := c.Respond(bye, 200, ""); err != nil {
			s.t.Fatal(err)
		}
		d.silent()
	})
}

func TestByesCross(t *testing.T) {
	bothSides(t, func(s *stage, p *siptest.Phone, c *siptest.Call, d *diary) {
		p.Manual(true, "BYE")
		d.leg.Hangup(Reason{})
		s.saw(c, "BYE")
		c.Bye()
		s.saw(c, "200 BYE")
		s.settles()
		d.silent()
	})
}

func TestByeIsLost(t *testing.T) {
	bothSides(t, func(s *stage, p *siptest.Phone, c *siptest.Call, d *diary) {
		p.Manual(true, "BYE")
		d.leg.Hangup(Reason{})
		s.saw(c, "BYE")
		begun := time.Now()
		s.settles()
		if took := time.Since(begun); took < 30*time.Second || took > 35*time.Second {
			s.t.Errorf("gave up after %v", took)
		}
	})
}

func TestHangupLeavesNoOfferUnanswered(t *testing.T) {
	bothSides(t, func(s *stage, p *siptest.Phone, c *siptest.Call, d *diary) {
		c.Reinvite(offerB)
		o := expect[Reoffered](d)
		if d.leg.server {
			d.leg.Hangup(Reason{})
			s.saw(c, "BYE")
		} else {
			c.Bye()
			expect[Ended](d)
		}
		s.saw(c, "487 INVITE")
		d.leg.Accept(o, []byte(ourSDP))
		d.leg.Decline(o, Reject{Code: 488})
	})
}
