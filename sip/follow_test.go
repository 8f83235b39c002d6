package sip

import (
	"testing"
	"time"

	"foyer/sip/siptest"
)

// atHome is an agent's phone behind a router, registered and in a call.
func atHome(s *stage, reg *Registrar) (*siptest.NAT, *siptest.Phone, *siptest.Call, *diary) {
	s.t.Helper()
	router, err := s.net.NAT("203.0.113.7", siptest.NATRules{})
	if err != nil {
		s.t.Fatal(err)
	}
	line, err := router.Listen("192.168.1.10:5060")
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := siptest.NewPhone(line, siptest.Options{User: "ana", Password: "pw-ana", Domain: testRealm, Server: "10.0.0.1:5060", Outbound: true})
	if err != nil {
		s.t.Fatal(err)
	}
	mustRegister(s.t, p)
	d := newDiary(s.t)
	if d.leg, err = s.edge.Dial(Dial{To: reg.Bindings("ana")[0], SDP: []byte(ourSDP)}, d.sink); err != nil {
		s.t.Fatal(err)
	}
	c, err := p.WaitCall(s.patience())
	if err != nil {
		s.t.Fatal(err)
	}
	c.Answer(offerA)
	s.saw(c, "ACK")
	expect[Answered](d)
	return router, p, c, d
}

// What is said inside a call goes to where the phone is now: known by its REGISTER
// from there, by a request of the call, and in time even for a BYE that was sent
// to where it no longer is.
func TestCallFollowsItsPhone(t *testing.T) {
	for _, c := range []struct {
		name string
		play func(s *stage, p *siptest.Phone, c *siptest.Call, d *diary)
	}{
		{"registered, then hung up", func(s *stage, p *siptest.Phone, c *siptest.Call, d *diary) {
			mustRegister(s.t, p)
			expect[Moved](d)
			d.leg.Hangup(Reason{})
		}},
		{"hung up, then registered", func(s *stage, p *siptest.Phone, c *siptest.Call, d *diary) {
			d.leg.Hangup(Reason{SIP: 200, Text: "Call completed elsewhere"})
			time.Sleep(10 * time.Second)
			if c.State() != siptest.Talking {
				s.t.Fatal("the BYE passed a router that had forgotten the phone")
			}
			mustRegister(s.t, p)
		}},
		{"heard in the call, then hung up", func(s *stage, p *siptest.Phone, c *siptest.Call, d *diary) {
			c.Send("OPTIONS", "")
			s.saw(c, "200 OPTIONS")
			expect[Moved](d)
			d.leg.Hangup(Reason{})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var reg *Registrar
			play(t, func(o *Options) {
				reg = NewRegistrar(RegistrarOptions{Realm: testRealm, Default: MD5, Accounts: testAccounts, Probe: -1})
				o.Registrar = reg
			}, func(s *stage) {
				router, p, call, d := atHome(s, reg)
				defer p.Close()
				before := d.leg.Remote()
				router.Forget()
				c.play(s, p, call, d)
				if bye := s.saw(call, "BYE"); bye.Get("To") == "" || d.leg.Remote() == before {
					s.t.Errorf("still reached at %s: %s", before, bye)
				}
				s.settles()
			})
		})
	}
}
