package sip

import (
	"testing"
	"time"

	"foyer/sip/siptest"
)

func TestCancel(t *testing.T) {
	play(t, nil, func(s *stage) {
		t := s.t
		c, d := s.arrives(offerA)
		if err := d.leg.Ring(180, nil); err != nil {
			t.Fatal(err)
		}
		ringing := s.saw(c, "180")
		c.Cancel(siptest.H("Reason", "SIP;cause=487"))
		ok, final := s.saw(c, "200 CANCEL"), s.saw(c, "487 INVITE")
		if ok.Tag("To") != ringing.Tag("To") || final.Tag("To") != ringing.Tag("To") {
			t.Errorf("To tags %s %s %s", ringing.Tag("To"), ok.Tag("To"), final.Tag("To"))
		}
		if e := expect[Cancelled](d); e.Reason.SIP != 487 {
			t.Errorf("cancelled %+v", e)
		}
		if err := d.leg.Answer([]byte(ourSDP)); err == nil {
			t.Error("answered after CANCEL")
		}
		d.leg.Reject(Reject{Code: 486})
		d.leg.Hangup(Reason{})
		c.CancelNow() // again, by another transaction of the phone's
		s.saw(c, "200 CANCEL")
		time.Sleep(40 * time.Second)
		if n := s.carrier.Wire().Count("2xx INVITE", false); n != 0 {
			t.Error("answered after CANCEL")
		}
		d.silent()
	})
}

func TestCancelAtOnce(t *testing.T) {
	play(t, nil, func(s *stage) {
		t := s.t
		for range 20 {
			c, err := s.carrier.Invite(s.patience(), number, offerA)
			if err != nil {
				t.Fatal(err)
			}
			c.CancelNow()
			l := <-s.calls
			if err := l.Answer([]byte(ourSDP)); err == nil {
				s.saw(c, "200 INVITE") // it was first
				c.Bye()
			} else {
				s.saw(c, "487 INVITE")
			}
			if err := c.Ended(s.patience()); err != nil {
				t.Fatal(err)
			}
			s.settles()
		}
	})
}

func TestCancelCrossingAnswer(t *testing.T) {
	play(t, nil, func(s *stage) {
		t := s.t
		s.carrier.Manual(true, "ACK")
		c, d := s.arrives(offerA)
		if err := d.leg.Answer([]byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		s.saw(c, "200 INVITE")
		c.CancelNow()
		s.saw(c, "200 CANCEL")
		c.Ack("")
		expect[Acked](d)
		c.CancelNow() // a late copy, when the INVITE's transaction is gone
		s.saw(c, "200 CANCEL")
		d.silent()
		c.Bye()
		expect[Ended](d)
	})
}

func TestByeBeforeAnswer(t *testing.T) {
	play(t, nil, func(s *stage) {
		t := s.t
		c, d := s.arrives(offerA)
		if err := d.leg.Ring(180, nil); err != nil {
			t.Fatal(err)
		}
		s.saw(c, "180")
		c.Bye()
		s.saw(c, "200 BYE")
		s.saw(c, "487 INVITE")
		expect[Cancelled](d)
	})
}
