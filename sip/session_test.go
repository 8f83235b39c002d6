package sip

import (
	"testing"
	"testing/synctest"
	"time"

	"foyer/sip/siptest"
)

func TestGrant(t *testing.T) {
	p := SessionPolicy{}.orDefault()
	const s = time.Second
	for _, c := range []struct {
		name  string
		ask   sessionAsk
		want  session
		brief bool
	}{
		{"no timer", sessionAsk{}, session{}, false},
		{"can but does not ask", sessionAsk{supported: true}, session{expires: 1800 * s, by: we}, false},
		{"can, does not ask, wants it long", sessionAsk{supported: true, min: 3600 * s}, session{expires: 3600 * s, by: we}, false},
		{"asks", sessionAsk{supported: true, expires: 600 * s}, session{expires: 600 * s, by: they, require: true}, false},
		{"asks us to refresh", sessionAsk{supported: true, expires: 600 * s, refresher: "uas"}, session{expires: 600 * s, by: we}, false},
		{"will refresh", sessionAsk{supported: true, expires: 600 * s, refresher: "uac"}, session{expires: 600 * s, by: they, require: true}, false},
		{"asks for hours", sessionAsk{supported: true, expires: 7200 * s}, session{expires: 1800 * s, by: they, require: true}, false},
		{"asks for hours and no less", sessionAsk{supported: true, expires: 7200 * s, min: 7200 * s}, session{expires: 7200 * s, by: they, require: true}, false},
		{"too short", sessionAsk{supported: true, expires: 89 * s}, session{}, true},
		{"just long enough", sessionAsk{supported: true, expires: 90 * s}, session{expires: 90 * s, by: they, require: true}, false},
		{"a proxy asks for one who cannot", sessionAsk{expires: 600 * s}, session{expires: 600 * s, by: we}, false},
		{"a proxy asks too little for one who cannot", sessionAsk{expires: 60 * s}, session{expires: 60 * s, by: we}, false},
	} {
		if got, brief := p.grant(c.ask); got != c.want || brief != c.brief {
			t.Errorf("%s: %+v %v, want %+v %v", c.name, got, brief, c.want, c.brief)
		}
	}
}

func TestAccepted(t *testing.T) {
	for _, c := range []struct {
		answer sessionAsk
		want   session
	}{
		{sessionAsk{}, session{}},
		{sessionAsk{expires: time.Minute}, session{expires: time.Minute, by: we}},
		{sessionAsk{expires: time.Minute, refresher: "uac"}, session{expires: time.Minute, by: we}},
		{sessionAsk{expires: time.Minute, refresher: "uas"}, session{expires: time.Minute, by: they}},
	} {
		if got := accepted(c.answer); got != c.want {
			t.Errorf("%+v: %+v", c.answer, got)
		}
	}
}

func TestSessionTimer(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	type step struct {
		at   float64
		do   sessionDo
		next float64 // of the deadline, 0: none
	}
	for _, c := range []struct {
		name  string
		s     session
		steps []step
	}{
		{"none", session{}, []step{{0, doNothing, 0}, {1e6, doNothing, 0}}},
		{"we refresh at half", session{expires: 1800 * time.Second, by: we},
			[]step{{0, doNothing, 900}, {899.9, doNothing, 900}, {900, doRefresh, 1768}, {1000, doNothing, 1768}, {1768, doExpire, 0}, {1800, doNothing, 0}}},
		{"they refresh", session{expires: 1800 * time.Second, by: they}, []step{{900, doNothing, 1768}, {1768, doExpire, 0}}},
		{"a third of a short one", session{expires: 90 * time.Second, by: they}, []step{{59, doNothing, 60}, {60, doExpire, 0}}},
		{"late for both", session{expires: 90 * time.Second, by: we}, []step{{70, doExpire, 0}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m sessionTimer
			m.agreed(at(0), c.s)
			for _, st := range c.steps {
				if do := m.Step(at(st.at)); do != st.do {
					t.Errorf("at %v: %v, want %v", st.at, do, st.do)
				}
				next, some := m.Deadline()
				if some != (st.next != 0) || some && next != at(st.next) {
					t.Errorf("at %v: deadline %v %v, want %v", st.at, next.Sub(start), some, st.next)
				}
			}
		})
	}
	var m sessionTimer
	m.agreed(at(0), session{expires: 300 * time.Second, by: we})
	m.Step(at(150))
	m.failed(at(160)) // end is 268
	if next, _ := m.Deadline(); next != at(214) {
		t.Errorf("tried again at %v", next.Sub(start))
	}
	if m.Step(at(214)) != doRefresh {
		t.Error("not tried again")
	}
	m.failed(at(267.5))
	if next, _ := m.Deadline(); next != at(268) {
		t.Errorf("deadline %v", next.Sub(start))
	}
}

func TestSessionsOnTheWire(t *testing.T) {
	timer := siptest.H("Supported", "timer")
	t.Run("they do not refresh", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			begun := time.Now()
			c, d := s.talks(timer, siptest.H("Session-Expires", "300;refresher=uac"))
			if e := expect[Ended](d); e.Why != SessionExpired || time.Since(begun) != 268*time.Second {
				s.t.Errorf("%+v after %v", e, time.Since(begun))
			}
			s.saw(c, "BYE")
		})
	})
	t.Run("they refresh", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			c, d := s.talks(timer, siptest.H("Session-Expires", "300;refresher=uac"))
			for range 4 {
				time.Sleep(200 * time.Second)
				c.Update("", timer, siptest.H("Session-Expires", "300;refresher=uac"))
				s.saw(c, "200 UPDATE")
				time.Sleep(200 * time.Second)
				c.Reinvite(offerA, timer, siptest.H("Session-Expires", "300;refresher=uac"))
				d.leg.Accept(expect[Reoffered](d), []byte(ourSDP))
				if m := s.saw(c, "200 INVITE"); m.Get("Session-Expires") != "300;refresher=uac" {
					s.t.Errorf("%s", m)
				}
			}
			c.Bye()
			expect[Ended](d)
		})
	})
	t.Run("too short", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			c, err := s.carrier.Invite(s.patience(), number, offerA, timer, siptest.H("x", "60"))
			if err != nil {
				s.t.Fatal(err)
			}
			if m := s.saw(c, "422"); m.Get("Min-SE") != "90" {
				s.t.Errorf("%s", m)
			}
		})
	})
	t.Run("we refresh by re-INVITE", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			c, d := s.talks(timer, siptest.H("Allow", "INVITE, ACK, BYE, CANCEL"), siptest.H("Session-Expires", "300;refresher=uas"))
			s.carrier.Manual(true, "INVITE")
			for range 3 {
				begun := time.Now()
				m := s.reinvite(c)
				if err := c.Respond(m, 200, offerA); err != nil {
					s.t.Fatal(err)
				}
				if time.Since(begun).Round(time.Second) != 150*time.Second || m.Body != ourSDP || m.Get("Session-Expires") != "300;refresher=uac" {
					s.t.Errorf("after %v: %s", time.Since(begun), m)
				}
			}
			d.silent()
			d.leg.Hangup(Reason{})
		})
	})
	t.Run("we refresh by UPDATE", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			c, d := s.answers(timer, siptest.H("Session-Expires", "300;refresher=uac"))
			m := s.saw(c, "UPDATE")
			if m.Body != "" || m.Get("Session-Expires") != "300;refresher=uac" {
				s.t.Errorf("%s", m)
			}
			s.saw(c, "UPDATE")
			d.silent()
			d.leg.Hangup(Reason{})
		})
	})
	t.Run("nobody answers our refresh", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			s.phone.Manual(true, "UPDATE")
			c, d := s.answers(timer, siptest.H("Session-Expires", "90;refresher=uac"))
			s.saw(c, "UPDATE")
			e := expect[Ended](d)
			if e.Why != SessionExpired {
				s.t.Errorf("%+v", e)
			}
			s.saw(c, "BYE")
		})
	})
	t.Run("our refresh is refused for the moment", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			s.phone.Manual(true, "UPDATE")
			c, d := s.answers(timer, siptest.H("Session-Expires", "300;refresher=uac"))
			if err := c.Respond(s.saw(c, "UPDATE"), 500, ""); err != nil {
				s.t.Fatal(err)
			}
			s.phone.Manual(false, "UPDATE")
			s.saw(c, "UPDATE")
			time.Sleep(time.Second)
			d.silent()
			d.leg.Hangup(Reason{})
		})
	})
	t.Run("without a timer nothing happens", func(t *testing.T) {
		play(t, nil, func(s *stage) {
			_, d := s.talks(siptest.H("Supported", ""))
			time.Sleep(5 * time.Hour)
			d.silent()
			d.leg.Hangup(Reason{})
		})
	})
}

// Calls that last: refreshed by us or by the carrier, they are up until somebody
// hangs up, and nothing is left of them.
func TestLongCalls(t *testing.T) {
	for _, long := range []time.Duration{30 * time.Minute, 4 * time.Hour} {
		for _, refresher := range []string{"uas", "uac", ""} {
			t.Run(long.String()+" "+refresher, func(t *testing.T) {
				play(t, nil, func(s *stage) {
					var extra []siptest.Header
					if refresher != "" {
						extra = []siptest.Header{siptest.H("Supported", "timer"), siptest.H("Session-Expires", "1800;refresher="+refresher)}
					}
					c, d := s.talks(extra...)
					const every = 15 * time.Minute
					for up := time.Duration(0); up < long; up += every {
						time.Sleep(every)
						if refresher == "uac" {
							c.Update("", extra...)
							s.saw(c, "200 UPDATE")
						}
						synctest.Wait()
						if s.edge.Legs() != 1 {
							s.t.Fatalf("gone after %v", up+every)
						}
					}
					refreshes := s.carrier.Wire().Count("UPDATE", false) + s.carrier.Wire().Count("INVITE", false)
					if want := int(long / every); refresher == "uas" && (refreshes < want-1 || refreshes > want+1) {
						s.t.Errorf("refreshed %d times in %v", refreshes, long)
					}
					d.silent()
					c.Bye()
					expect[Ended](d)
					s.saw(c, "200 BYE")
				})
			})
		}
	}
}
