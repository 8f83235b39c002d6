package sip

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"foyer/sip/siptest"
)

func TestResumedCallGoesOn(t *testing.T) {
	for _, server := range []bool{true, false} {
		t.Run(map[bool]string{true: "they called", false: "we called"}[server], func(t *testing.T) {
			live(t, nil, func(v *lives) {
				t := v.t
				begin, phone := v.talks, v.carrier
				if !server {
					begin, phone = v.answers, v.phone
				}
				c, d := begin()
				before := d.leg
				l := only(t, v.dieAfter(3*time.Second))
				if st := v.stood[l]; st.Phase != Up || st.Server != server || string(st.Sent) != ourSDP || string(st.Heard) != offerA || st.Acked != server {
					t.Errorf("standing %+v", st)
				}
				if l.Key() != before.Key() || l.Trunk() != before.Trunk() || l.Caller() != before.Caller() || l.Called() != before.Called() || l.Remote() != before.Remote() {
					t.Errorf("leg %+v", l)
				}
				if server && v.edge.TrunkCalls()["carrier"] != 1 {
					t.Errorf("channels %v", v.edge.TrunkCalls())
				}
				d = listenTo(t, l)
				c.Reinvite(offerB)
				o := expect[Reoffered](d)
				if err := l.Reoffer([]byte(newSDP)); err != nil { // waits for its turn
					t.Error(err)
				}
				if string(o.SDP) != offerB {
					t.Errorf("offered %q", o.SDP)
				}
				l.Accept(o, []byte(newSDP))
				v.saw(c, "200 INVITE")
				expect[Reanswered](d)
				c.Update("")
				v.saw(c, "200 UPDATE")
				c.Info("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n")
				if i := expect[Info](d); i.Digit != '5' {
					t.Errorf("%+v", i)
				}
				l.Hangup(Reason{SIP: 200})
				v.saw(c, "BYE")
				v.settles()
				consistent(t, phone, c.ID())
			})
		})
	}
}

func TestResumedCallIsHungUpByThem(t *testing.T) {
	for _, server := range []bool{true, false} {
		live(t, nil, func(v *lives) {
			begin := v.talks
			if !server {
				begin = v.answers
			}
			c, _ := begin()
			d := listenTo(v.t, only(v.t, v.dieAfter(time.Second)))
			c.Bye()
			v.saw(c, "200 BYE")
			if e := expect[Ended](d); e.Why != Bye {
				v.t.Errorf("%+v", e)
			}
		})
	}
}

func TestUnacknowledged200IsRepeatedByTheNextProcess(t *testing.T) {
	live(t, nil, func(v *lives) {
		v.carrier.Manual(true, "ACK")
		c, d := v.arrives(offerA)
		if err := d.leg.Answer([]byte(ourSDP)); err != nil {
			v.t.Fatal(err)
		}
		v.saw(c, "200 INVITE")
		l := only(v.t, v.dieAfter(2*time.Second))
		if st := v.stood[l]; st.Phase != Up || st.Acked {
			v.t.Errorf("standing %+v", st)
		}
		d = listenTo(v.t, l)
		before := v.carrier.Wire().Count("200 INVITE", false)
		time.Sleep(5 * time.Second)
		if now := v.carrier.Wire().Count("200 INVITE", false); now < before+2 {
			v.t.Errorf("200 seen %d times, then %d", before, now)
		}
		c.Ack("")
		expect[Acked](d)
		synctest.Wait()
		before = v.carrier.Wire().Count("200 INVITE", false)
		time.Sleep(10 * time.Second)
		if now := v.carrier.Wire().Count("200 INVITE", false); now != before {
			v.t.Errorf("repeated after its ACK")
		}
		c.Bye()
		expect[Ended](d)
		consistent(v.t, v.carrier, c.ID())
	})
}

func TestACKNeverComesAfterARestart(t *testing.T) {
	live(t, nil, func(v *lives) {
		v.carrier.Manual(true, "ACK")
		c, d := v.arrives(offerA)
		began := time.Now()
		if err := d.leg.Answer([]byte(ourSDP)); err != nil {
			v.t.Fatal(err)
		}
		d = listenTo(v.t, only(v.t, v.dieAfter(20*time.Second)))
		if e := expect[Ended](d); e.Why != NoAck {
			v.t.Errorf("%+v", e)
		}
		if waited := time.Since(began); waited > 36*time.Second {
			v.t.Errorf("given up after %v", waited)
		}
		v.saw(c, "BYE")
	})
}

func TestSessionTimerKeepsItsTime(t *testing.T) {
	t.Run("we refresh", func(t *testing.T) {
		live(t, nil, func(v *lives) {
			began := time.Now()
			c, _ := v.talks(siptest.H("Supported", "timer"), siptest.H("Session-Expires", "600;refresher=uas"))
			time.Sleep(100 * time.Second)
			listenTo(v.t, only(v.t, v.dieAfter(time.Second)))
			v.saw(c, "UPDATE")
			if at := time.Since(began).Round(time.Second); at != 300*time.Second {
				v.t.Errorf("refreshed after %v", at)
			}
			c.Bye()
		})
	})
	t.Run("while nobody was there", func(t *testing.T) {
		live(t, nil, func(v *lives) {
			c, _ := v.talks(siptest.H("Supported", "timer"), siptest.H("Session-Expires", "600;refresher=uas"))
			time.Sleep(295 * time.Second)
			listenTo(v.t, only(v.t, v.dieAfter(10*time.Second)))
			v.saw(c, "UPDATE")
			c.Bye()
		})
	})
	t.Run("they do not", func(t *testing.T) {
		live(t, nil, func(v *lives) {
			began := time.Now()
			c, _ := v.talks(siptest.H("Supported", "timer"), siptest.H("Session-Expires", "600;refresher=uac"))
			time.Sleep(100 * time.Second)
			d := listenTo(v.t, only(v.t, v.dieAfter(time.Second)))
			if e := expect[Ended](d); e.Why != SessionExpired {
				v.t.Errorf("%+v", e)
			}
			if at := time.Since(began).Round(time.Second); at != 568*time.Second {
				v.t.Errorf("given up after %v", at)
			}
			v.saw(c, "BYE")
		})
	})
}

func TestRingingServerLegIsResumed(t *testing.T) {
	for _, x := range []struct {
		name  string
		rings func(*Leg) error
		what  string
	}{
		{"before ringing", func(*Leg) error { return nil }, "100"},
		{"180", func(l *Leg) error { return l.Ring(180, nil) }, "180"},
		{"early media", func(l *Leg) error { return l.Ring(183, []byte(ourSDP)) }, "183"},
	} {
		begin := func(v *lives) (*siptest.Call, *diary) {
			c, d := v.arrives(offerA, siptest.H("Diversion", "<sip:+33199999999@x>;reason=user-busy"))
			if err := x.rings(d.leg); err != nil {
				v.t.Fatal(err)
			}
			v.saw(c, x.what)
			l := only(v.t, v.dieAfter(time.Second))
			if v.stood[l].Phase != Opening || string(l.SDP()) != offerA || l.Called() != "+33170000001" || len(l.Diversions()) != 1 {
				v.t.Errorf("leg %+v", l)
			}
			v.saw(c, x.what)
			return c, listenTo(v.t, l)
		}
		t.Run(x.name+", answered", func(t *testing.T) {
			live(t, nil, func(v *lives) {
				c, d := begin(v)
				if err := d.leg.Answer([]byte(ourSDP)); err != nil {
					v.t.Fatal(err)
				}
				if m := v.saw(c, "200 INVITE"); m.Body != ourSDP {
					v.t.Errorf("%s", m)
				}
				expect[Acked](d)
				c.Bye()
				expect[Ended](d)
				consistent(v.t, v.carrier, c.ID())
			})
		})
		t.Run(x.name+", cancelled", func(t *testing.T) {
			live(t, nil, func(v *lives) {
				c, d := begin(v)
				c.Cancel()
				v.saw(c, "200 CANCEL")
				v.saw(c, "487 INVITE")
				expect[Cancelled](d)
				consistent(v.t, v.carrier, c.ID())
			})
		})
		t.Run(x.name+", refused", func(t *testing.T) {
			live(t, nil, func(v *lives) {
				c, d := begin(v)
				d.leg.Reject(Reject{Code: 486})
				v.saw(c, "486 INVITE")
				consistent(v.t, v.carrier, c.ID())
			})
		})
		t.Run(x.name+", asked again", func(t *testing.T) {
			live(t, nil, func(v *lives) {
				c, d := begin(v)
				had := v.carrier.Wire().Count(x.what, false)
				v.raw(v.carrier, c.Invite().String()) // as it was
				synctest.Wait()
				if now := v.carrier.Wire().Count(x.what, false); now != had+1 || len(v.calls) > 0 {
					v.t.Errorf("a copy of the INVITE: %d responses, then %d, and %d calls", had, now, len(v.calls))
				}
				d.leg.Hangup(Reason{})
			})
		})
	}
}

func TestPRACKIsAskedForOnceOverRestarts(t *testing.T) {
	live(t, nil, func(v *lives) {
		c, d := v.arrives(offerA, siptest.H("Require", "100rel"))
		if err := d.leg.Ring(183, []byte(ourSDP)); err != nil {
			v.t.Fatal(err)
		}
		number := v.saw(c, "183 INVITE").Get("RSeq")
		only(v.t, v.dieAfter(time.Second))
		if again := v.saw(c, "183 INVITE"); again.Get("RSeq") != number || again.Body != ourSDP {
			v.t.Errorf("%s", again)
		}
		c.Send("PRACK", "", siptest.H("RAck", number+" 1 INVITE"))
		v.saw(c, "200 PRACK")
		l := only(v.t, v.dieAfter(time.Second))
		if !v.stood[l].Early {
			v.t.Errorf("standing %+v", v.stood[l])
		}
		synctest.Wait()
		had := v.carrier.Wire().Count("183 INVITE", false)
		time.Sleep(50 * time.Second) // longer than a PRACK is waited for
		if now := v.carrier.Wire().Count("183 INVITE", false); now != had || l.Standing().Phase != Opening {
			v.t.Errorf("repeated %d times after its PRACK, %v", now-had, l.Standing().Phase)
		}
		d = listenTo(v.t, l)
		if err := l.Answer([]byte(ourSDP)); err != nil {
			v.t.Fatal(err)
		}
		if m := v.saw(c, "200 INVITE"); m.Body != "" {
			v.t.Errorf("agreed early, and described again: %s", m)
		}
		c.Bye()
		expect[Acked](d)
		expect[Ended](d)
		consistent(v.t, v.carrier, c.ID())
	})
}

func TestRingingClientLegIsResumed(t *testing.T) {
	begin := func(v *lives) (*siptest.Call, *diary) {
		c, d := v.rings()
		c.Ring(180, "")
		expect[Progress](d)
		l := only(v.t, v.dieAfter(time.Second))
		if v.stood[l].Phase != Opening {
			v.t.Errorf("standing %+v", v.stood[l])
		}
		d = listenTo(v.t, l)
		expect[Progress](d) // the phone repeats it
		return c, d
	}
	t.Run("answered", func(t *testing.T) {
		live(t, nil, func(v *lives) {
			c, d := begin(v)
			c.Answer(offerA)
			if a := expect[Answered](d); string(a.SDP) != offerA {
				v.t.Errorf("%+v", a)
			}
			v.saw(c, "ACK")
			d.leg.Hangup(Reason{})
			v.saw(c, "BYE")
			consistent(v.t, v.phone, c.ID())
		})
	})
	t.Run("answered meanwhile", func(t *testing.T) {
		live(t, nil, func(v *lives) {
			c, d := v.rings()
			c.Ring(180, "")
			expect[Progress](d)
			v.kill()
			c.Answer(offerA)
			time.Sleep(3 * time.Second)
			d = listenTo(v.t, only(v.t, v.revive()))
			if a := expect[Answered](d); string(a.SDP) != offerA {
				v.t.Errorf("%+v", a)
			}
			v.saw(c, "ACK")
			c.Bye()
			expect[Ended](d)
			consistent(v.t, v.phone, c.ID())
		})
	})
	t.Run("refused meanwhile", func(t *testing.T) {
		live(t, nil, func(v *lives) {
			c, d := v.rings()
			c.Ring(180, "")
			expect[Progress](d)
			v.kill()
			c.Reject(486)
			time.Sleep(3 * time.Second)
			d = listenTo(v.t, only(v.t, v.revive()))
			if r := expect[Refused](d); r.Code != 486 {
				v.t.Errorf("%+v", r)
			}
			v.saw(c, "ACK")
			consistent(v.t, v.phone, c.ID())
		})
	})
	t.Run("cancelled", func(t *testing.T) {
		live(t, nil, func(v *lives) {
			c, d := begin(v)
			d.leg.Hangup(Reason{SIP: 200, Text: "Call completed elsewhere"})
			v.saw(c, "CANCEL")
			if err := c.Ended(v.patience()); err != nil {
				v.t.Error(err)
			}
			consistent(v.t, v.phone, c.ID())
		})
	})
	t.Run("being cancelled", func(t *testing.T) {
		live(t, nil, func(v *lives) {
			c, d := v.rings()
			c.Ring(180, "")
			expect[Progress](d)
			v.mem.put = func(int) { v.kill() }
			d.leg.Hangup(Reason{})
			v.mem.put = nil
			time.Sleep(time.Second)
			if n := v.phone.Wire().Count("CANCEL", false); n != 0 {
				v.t.Fatal("it was not killed in time")
			}
			if l := only(v.t, v.revive()); v.stood[l].Phase != GivingUp {
				v.t.Errorf("standing %+v", v.stood[l])
			}
			v.saw(c, "CANCEL")
			if err := c.Ended(v.patience()); err != nil {
				v.t.Error(err)
			}
			consistent(v.t, v.phone, c.ID())
		})
	})
}

func TestByeIsSentAgain(t *testing.T) {
	live(t, nil, func(v *lives) {
		v.carrier.Manual(true, "BYE")
		c, d := v.talks()
		d.leg.Hangup(Reason{Q850: 16, Text: "done"})
		first, _ := v.saw(c, "BYE").CSeq()
		v.carrier.Manual(false, "BYE")
		if l := only(v.t, v.dieAfter(time.Second)); v.stood[l].Phase != Leaving {
			v.t.Errorf("standing %+v", v.stood[l])
		}
		if n := v.edge.TrunkCalls()["carrier"]; n != 0 {
			v.t.Errorf("%d channels in use", n)
		}
		m := v.saw(c, "BYE")
		for n, _ := m.CSeq(); n == first; n, _ = m.CSeq() {
			m = v.saw(c, "BYE")
		}
		if m.Get("Reason") != `Q.850;cause=16;text="done"` {
			v.t.Errorf("%s", m)
		}
		v.settles()
		consistent(v.t, v.carrier, c.ID())
	})
}

func TestAnswerToAnUpdateIsRepeatedByTheNextProcess(t *testing.T) {
	live(t, nil, func(v *lives) {
		c, d := v.talks()
		v.mem.put = func(int) { v.kill() }
		c.Update(offerB)
		d.leg.Accept(expect[Reoffered](d), []byte(newSDP))
		v.mem.put = nil
		time.Sleep(time.Second)
		l := only(v.t, v.revive())
		if st := v.stood[l]; string(st.Heard) != offerB || string(st.Sent) != newSDP {
			v.t.Errorf("standing %+v", st)
		}
		if m := v.saw(c, "200 UPDATE"); m.Body != newSDP {
			v.t.Errorf("%s", m)
		}
		d = listenTo(v.t, l)
		c.Bye()
		expect[Ended](d)
	})
}

// A carrier that challenges what the process before has sent is answered, and the
// call goes on by the next place when the one that was tried is silent.
func TestNumberIsCalledOnAfterARestart(t *testing.T) {
	trunk := func(o *Options) {
		o.Trunks = []Trunk{{ID: "carrier", Allow: prefixes("10.0.0.2/32"), Host: "lines.test", Username: "us", Password: "pw", MaxCalls: 1}}
		o.Resolver = &nameServer{addrs: addresses("10.0.0.9", "10.0.0.2")}
	}
	live(t, trunk, func(v *lives) {
		silent := v.listen("10.0.0.9:5060")
		defer silent.Close()
		v.dialsOut()
		time.Sleep(time.Second)
		d := listenTo(v.t, only(v.t, v.dieAfter(time.Second)))
		if _, err := v.edge.Dial(Dial{Trunk: "carrier", Number: mobile, SDP: []byte(ourSDP)}, nil); err == nil {
			v.t.Error("a trunk of one channel took two calls")
		}
		first := v.taken()
		first.Ring(180, "")
		expect[Progress](d)
		d = listenTo(v.t, only(v.t, v.dieAfter(time.Second)))
		expect[Progress](d)
		first.Reject(407, siptest.H("Proxy-Authenticate", `Digest realm="x", nonce="n", qop="auth"`))
		second := v.taken()
		if !strings.Contains(second.Invite().Get("Proxy-Authorization"), `username="us"`) {
			v.t.Errorf("%s", second.Invite())
		}
		second.Answer(offerA)
		expect[Answered](d)
		d = listenTo(v.t, only(v.t, v.dieAfter(time.Second)))
		second.Bye()
		expect[Ended](d)
	})
}

func TestTrunkIsConnectedToAfterARestart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accept := func(passive bool) *siptest.Phone {
		t.Helper()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		p, err := siptest.NewStreamPhone(c, siptest.Options{User: "carrier", Passive: passive})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	k := newMemory()
	trunk := func(o *Options) {
		o.Keep = k
		o.Trunks = []Trunk{{ID: "carrier", Host: "127.0.0.2", Port: uint16(l.Addr().(*net.TCPAddr).Port), Transport: "tcp"}}
	}
	h := openHouse(t, trunk)
	d := newDiary(t)
	if d.leg, err = h.edge.Dial(Dial{Trunk: "carrier", Number: mobile, SDP: []byte(ourSDP)}, d.sink); err != nil {
		t.Fatal(err)
	}
	c, err := accept(false).WaitCall(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	c.Answer(offerA)
	expect[Answered](d)
	k = k.next()
	if err := h.edge.Close(); err != nil {
		t.Fatal(err)
	}
	var leg *Leg
	openHouseAgain(t, trunk, func(e *Edge) {
		for _, record := range k.left(LegPrefix) {
			if leg, err = e.Resume(record); err != nil {
				t.Fatal(err)
			}
		}
	})
	leg.Hangup(Reason{})
	m, err := accept(true).Wire().WaitMessage(soon(t), func(m *siptest.Message) bool { return m.Method == "BYE" })
	if err != nil {
		t.Fatal(err)
	}
	if m.Get("Call-ID") != leg.SIPCallID() {
		t.Errorf("%s", m)
	}
}

// A transfer that was accepted is told of to its end, in the subscription it began in.
func TestTransferIsReportedAfterARestart(t *testing.T) {
	live(t, nil, func(v *lives) {
		c, d := v.answers()
		c.Refer("sip:bo@lo.test")
		r := expect[Referred](d)
		if err := d.leg.AcceptReferral(r); err != nil {
			v.t.Fatal(err)
		}
		v.saw(c, "202 REFER")
		v.saw(c, "NOTIFY")
		l := only(v.t, v.dieAfter(time.Second))
		if v.stood[l].Referral != r.Token {
			v.t.Errorf("standing %+v, want token %d", v.stood[l], r.Token)
		}
		c.Refer("sip:bo@lo.test")
		v.saw(c, "491 REFER") // one at a time, as before
		l.Report(Referred{Token: r.Token}, 200, "")
		if m := v.saw(c, "NOTIFY"); m.Get("Subscription-State") != "terminated;reason=noresource" || m.Body != "SIP/2.0 200 OK\r\n" {
			v.t.Errorf("%s", m)
		}
		c.Refer("sip:bo@lo.test")
		if again := expect[Referred](listenTo(v.t, l)); again.Token == r.Token {
			v.t.Errorf("token %d again", again.Token)
		}
		l.Hangup(Reason{})
		v.saw(c, "BYE")
		consistent(v.t, v.phone, c.ID())
	})
}
