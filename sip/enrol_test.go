package sip

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"foyer/sip/siptest"
)

func TestEnrolment(t *testing.T) {
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	ok := func(d time.Duration) enrolled { return enrolled{code: 200, granted: d} }
	silent := enrolled{err: "timeout"}
	for _, x := range []struct {
		name   string
		told   []enrolled // each as soon as it is due
		chance float64
		wait   time.Duration // until the next after the last
		up     bool
	}{
		{"granted", []enrolled{ok(time.Hour)}, 0, 42 * time.Minute, true},
		{"granted, later", []enrolled{ok(time.Hour)}, 1, 51 * time.Minute, true},
		{"granted for a moment", []enrolled{ok(time.Second)}, 0, 7 * time.Second, true},
		{"granted for ever", []enrolled{ok(8760 * time.Hour)}, 0, 1008 * time.Minute, true},
		{"granted nothing", []enrolled{ok(0)}, 1, 4 * time.Second, false},
		{"silent", []enrolled{silent}, 1, 4 * time.Second, false},
		{"silent, sooner", []enrolled{silent}, 0, 2 * time.Second, false},
		{"silent thrice", []enrolled{silent, silent, silent}, 1, 16 * time.Second, false},
		{"silent for long", repeated(silent, 40), 1, 5 * time.Minute, false},
		{"silent once registered", []enrolled{ok(time.Hour), silent}, 1, 4 * time.Second, true},
		{"silent beyond the end", append([]enrolled{ok(time.Minute)}, repeated(silent, 4)...), 1, 32 * time.Second, false},
		{"back again", []enrolled{silent, silent, ok(time.Minute), silent}, 1, 4 * time.Second, true},
		{"wrong password", []enrolled{{code: 401}}, 1, time.Minute, false},
		{"wrong password, again", []enrolled{{code: 403}, {code: 403}}, 1, 2 * time.Minute, false},
		{"wrong password, for long", repeated(enrolled{code: 403}, 40), 1, 30 * time.Minute, false},
		{"password changed", []enrolled{ok(time.Hour), {code: 403}}, 1, time.Minute, false},
		{"overloaded", []enrolled{{code: 503, after: 90 * time.Second}}, 1, 90 * time.Second, false},
		{"overloaded for a year", []enrolled{{code: 503, after: 8760 * time.Hour}}, 1, 30 * time.Minute, false},
		{"trouble", []enrolled{{code: 500}}, 1, 4 * time.Second, false},
		{"too brief", []enrolled{{code: 423, least: time.Hour}}, 1, 0, false},
		{"too brief, it says nothing", []enrolled{{code: 423}}, 1, 4 * time.Second, false},
		{"too brief, again", []enrolled{{code: 423, least: time.Hour}, {code: 423, least: time.Hour}}, 1, 8 * time.Second, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := enrolment{asks: 10 * time.Minute}
			now := start
			for _, e := range x.told {
				if r.next.After(now) {
					now = r.next
				}
				was := r.up(now)
				if turned := r.took(now, e, x.chance); turned != (was != r.up(now)) {
					t.Errorf("turned: %v", turned)
				}
			}
			if wait := r.next.Sub(now); wait.Round(time.Millisecond) != x.wait || r.up(now) != x.up {
				t.Errorf("next in %v, want %v; registered %v, want %v", wait, x.wait, r.up(now), x.up)
			}
			if r.up(now) && r.failures == 0 && !r.next.Before(r.until) {
				t.Error("refreshed too late")
			}
		})
	}
}

func repeated(e enrolled, n int) (list []enrolled) {
	for range n {
		list = append(list, e)
	}
	return list
}

// registry is a carrier's registrar, as a phone at 10.0.0.2 plays it.
type registry struct {
	s      *stage
	phone  *siptest.Phone // once there is one, which ready tells
	ready  chan struct{}
	asked  chan *siptest.Message
	answer func(*siptest.Message) (int, []siptest.Header)
}

func (r *registry) took(m *siptest.Message) {
	<-r.ready
	code, headers := r.answer(m)
	if code != 0 {
		_ = r.phone.Respond(m, code, "", headers...)
	}
	select {
	case r.asked <- m:
	default: // nobody looks
	}
}

// next waits for the next REGISTER.
func (r *registry) next() *siptest.Message {
	r.s.t.Helper()
	select {
	case m := <-r.asked:
		return m
	case <-time.After(24 * time.Hour):
		r.s.t.Fatal("no REGISTER came")
		return nil
	}
}

// granting answers 200 once the request is signed.
func granting(params string, extra ...siptest.Header) func(*siptest.Message) (int, []siptest.Header) {
	return func(m *siptest.Message) (int, []siptest.Header) {
		if m.Get("Authorization") == "" {
			return 401, []siptest.Header{challengeOf(401, params)}
		}
		return 200, append([]siptest.Header{siptest.H("Contact", m.Get("Contact")+";expires="+m.Get("Expires"))}, extra...)
	}
}

// playEnrolled runs a test on a stage whose trunk registers at 10.0.0.9.
func playEnrolled(t *testing.T, answer func(*siptest.Message) (int, []siptest.Header), change func(*Trunk), test func(*stage, *registry)) {
	t.Helper()
	play(t, func(o *Options) {
		trunk := Trunk{ID: "home", Host: "sip.carrier.test", Username: "33123", Password: "s3cret", Realm: "carrier.test",
			Registration: Registration{Host: "sip.carrier.test", Expires: 10 * time.Minute}}
		if change != nil {
			change(&trunk)
		}
		o.Trunks = append(o.Trunks, trunk)
		o.Resolver = &nameServer{addrs: addresses("10.0.0.9"), takes: time.Second}
	}, func(s *stage) {
		r := &registry{s: s, ready: make(chan struct{}), asked: make(chan *siptest.Message, 64), answer: answer}
		r.phone = s.newPhone("10.0.0.9:5060", siptest.Options{User: "33123", Outbound: true, Manual: []string{"REGISTER", "OPTIONS"}, OnRequest: r.took})
		close(r.ready)
		defer r.phone.Close()
		test(s, r)
	})
}

func (s *stage) trunk(id string) TrunkState {
	s.t.Helper()
	for _, t := range s.edge.TrunkStates() {
		if t.ID == id {
			return t
		}
	}
	s.t.Fatalf("no trunk %s", id)
	return TrunkState{}
}

func TestTrunkRegisters(t *testing.T) {
	for _, params := range []string{`algorithm=MD5,qop="auth"`, `algorithm=SHA-256,qop="auth"`, `algorithm=MD5`} {
		t.Run(params, func(t *testing.T) {
			playEnrolled(t, granting(params), nil, func(s *stage, r *registry) {
				begun := time.Now()
				first, second := r.next(), r.next()
				synctest.Wait()
				if first.URI != "sip:sip.carrier.test" || first.Get("To") != "<sip:33123@sip.carrier.test>" ||
					first.Get("Contact") != "<sip:33123@10.0.0.1:5060>" || first.Get("Expires") != "600" {
					s.t.Errorf("REGISTER: %s", first)
				}
				a, _ := first.CSeq()
				b, _ := second.CSeq()
				if b != a+1 || second.Get("Call-ID") != first.Get("Call-ID") || second.Tag("From") != first.Tag("From") ||
					!strings.Contains(second.Get("Authorization"), `username="33123"`) {
					s.t.Errorf("REGISTER: %s", second)
				}
				if st := s.trunk("home"); !st.Up || !st.Registered || st.At.String() != "10.0.0.9:5060" || st.Until.Sub(begun).Round(time.Minute) != 10*time.Minute {
					s.t.Errorf("%+v", st)
				}
				if !s.edge.TrunkUp("home") {
					s.t.Error("not up")
				}
				// It is refreshed before it ends, signed at once.
				third := r.next()
				if took := time.Since(begun); took < 6*time.Minute || took > 9*time.Minute {
					s.t.Errorf("refreshed after %v", took)
				}
				if c, _ := third.CSeq(); c != b+1 || third.Get("Authorization") == "" ||
					strings.Contains(params, "qop") && !strings.Contains(third.Get("Authorization"), "nc=00000002") {
					s.t.Errorf("REGISTER: %s", third)
				}
			})
		})
	}
}

// What the carrier answers decides whether the trunk is up.
func TestTrunkIsNotRegistered(t *testing.T) {
	foreign := siptest.H("WWW-Authenticate", `Digest realm="else.test",nonce="n1",algorithm=MD5,qop="auth"`)
	for _, x := range []struct {
		name   string
		answer func(*siptest.Message) (int, []siptest.Header)
		signed int // REGISTERs in the first half minute that bear credentials
		all    int
	}{
		{"challenge of another realm", func(*siptest.Message) (int, []siptest.Header) { return 401, []siptest.Header{foreign} }, 0, 1},
		{"wrong password", func(*siptest.Message) (int, []siptest.Header) {
			return 401, []siptest.Header{challengeOf(401, `algorithm=MD5,qop="auth"`)}
		}, 1, 2},
		{"stale for ever", func(*siptest.Message) (int, []siptest.Header) {
			return 401, []siptest.Header{challengeOf(401, `algorithm=MD5,qop="auth",stale=true`)}
		}, 2, 3},
		{"forbidden", func(*siptest.Message) (int, []siptest.Header) { return 403, nil }, 0, 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			playEnrolled(t, x.answer, nil, func(s *stage, r *registry) {
				time.Sleep(29 * time.Second)
				synctest.Wait()
				signed, all := 0, len(r.asked)
				for range all {
					if m := <-r.asked; m.Get("Authorization") != "" {
						signed++
					}
				}
				if all != x.all || signed != x.signed {
					s.t.Errorf("%d REGISTER, %d signed", all, signed)
				}
				if st := s.trunk("home"); st.Up || st.Registered || st.Why == "" || !st.Watched {
					s.t.Errorf("%+v", st)
				}
			})
		})
	}
}

// A carrier that is away does not cost the registration before it ends, and is not
// run down when it comes back.
func TestRegistrarGoesAway(t *testing.T) {
	var away atomic.Bool
	good := granting(`algorithm=MD5,qop="auth"`)
	playEnrolled(t, func(m *siptest.Message) (int, []siptest.Header) {
		if away.Load() {
			return 0, nil
		}
		return good(m)
	}, nil, func(s *stage, r *registry) {
		r.next()
		r.next()
		synctest.Wait()
		away.Store(true)
		time.Sleep(9*time.Minute + 30*time.Second)
		if !s.edge.TrunkUp("home") {
			s.t.Error("down before the registration ended")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := s.trunk("home"); st.Up || !strings.Contains(st.Why, "no answer") || time.Since(st.Since) > time.Minute {
			s.t.Errorf("%+v", st)
		}
		for len(r.asked) > 0 {
			<-r.asked
		}
		time.Sleep(30 * time.Minute)
		if n := len(r.asked); n < 6 || n > 16 {
			s.t.Errorf("%d REGISTER in half an hour", n)
		}
		away.Store(false)
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if !s.edge.TrunkUp("home") {
			s.t.Errorf("%+v", s.trunk("home"))
		}
	})
}

// Min-Expires, Service-Route and Path are heeded.
func TestRegistrarHasWishes(t *testing.T) {
	good := granting(`algorithm=MD5,qop="auth"`, siptest.H("Service-Route", "<sip:edge.carrier.test;lr>"), siptest.H("Path", "<sip:p.carrier.test;lr>"))
	playEnrolled(t, func(m *siptest.Message) (int, []siptest.Header) {
		if m.Get("Expires") == "600" {
			return 423, []siptest.Header{siptest.H("Min-Expires", "3600")}
		}
		return good(m)
	}, nil, func(s *stage, r *registry) {
		r.next()
		if m := r.next(); m.Get("Expires") != "3600" || m.Get("Supported") != "path" {
			s.t.Errorf("REGISTER: %s", m)
		}
		r.next()
		synctest.Wait()
		if st := s.trunk("home"); !st.Up || time.Until(st.Until) < 59*time.Minute || fmt.Sprint(st.Path) != "[<sip:p.carrier.test;lr>]" {
			s.t.Errorf("%+v", st)
		}
		d := s.dialsOut(func(d *Dial) { d.Trunk = "home" })
		c, err := r.phone.WaitCall(s.patience())
		if err != nil {
			s.t.Fatal(err)
		}
		if inv := c.Invite(); inv.Get("Route") != "<sip:edge.carrier.test;lr>" || inv.Get("Contact") != "<sip:33123@10.0.0.1:5060>" ||
			!strings.HasPrefix(inv.Get("From"), `"Boutik" <sip:+33170000001@sip.carrier.test;user=phone>`) {
			s.t.Errorf("INVITE: %s", inv)
		}
		c.Reject(486)
		expect[Refused](d)
	})
}

// A call from where we are registered is the trunk's, and nobody else's is.
func TestCallOverRegistration(t *testing.T) {
	playEnrolled(t, granting(`algorithm=MD5,qop="auth"`), nil, func(s *stage, r *registry) {
		r.next()
		r.next()
		synctest.Wait()
		c, err := r.phone.Invite(s.patience(), "sip:33123@10.0.0.1:5060", offerA, siptest.H("To", "<sip:0170000001@sip.carrier.test>"))
		if err != nil {
			s.t.Fatal(err)
		}
		d := listenTo(s.t, <-s.calls)
		if d.leg.Trunk() != "home" || d.leg.Called() != "33123" || d.leg.To() != "0170000001" {
			s.t.Errorf("by %s to %s, %s", d.leg.Trunk(), d.leg.Called(), d.leg.To())
		}
		if err := d.leg.Answer([]byte(ourSDP)); err != nil {
			s.t.Fatal(err)
		}
		s.saw(c, "200 INVITE")
		expect[Acked](d)
		c.Bye()
		expect[Ended](d)
		stranger := s.newPhone("10.0.0.10:5060", siptest.Options{User: "stranger"})
		defer stranger.Close()
		if c, err = stranger.Invite(s.patience(), "sip:33123@10.0.0.1:5060", offerA); err != nil {
			s.t.Fatal(err)
		}
		s.saw(c, "403 INVITE")
	})
}

// Two accounts at one carrier are told apart by whom it calls.
func TestTwoAccountsAtOneCarrier(t *testing.T) {
	at := netip.MustParseAddr("10.0.0.9")
	list := newTrunks([]Trunk{
		{ID: "a", Username: "1", Registration: Registration{Host: "x", Expires: time.Minute}},
		{ID: "b", Username: "2", Registration: Registration{Host: "x", Expires: time.Minute}},
		{ID: "c", Username: "3"},
	})
	for _, l := range list.all() {
		l.watch.found(&l.watch.registrars, []netip.AddrPort{netip.AddrPortFrom(at, 5060)})
	}
	for account, want := range map[string]string{"1": "a", "2": "b", "3": "a", "": "a"} {
		if l := list.of(at, account); l == nil || l.ID != want {
			t.Errorf("%q is %v", account, l)
		}
	}
}

// Whoever leaves says so, also when the account changes in the middle.
func TestRegistrationIsTakenBack(t *testing.T) {
	playEnrolled(t, granting(`algorithm=MD5,qop="auth"`), nil, func(s *stage, r *registry) {
		r.next()
		r.next()
		synctest.Wait()
		moved := s.edge.trunks.all()[1].Trunk
		moved.Password = "other"
		s.edge.SetTrunks([]Trunk{moved})
		if m := r.next(); m.Get("Expires") != "0" || m.Get("Authorization") == "" {
			s.t.Errorf("REGISTER: %s", m)
		}
		if m := r.next(); m.Get("Expires") != "600" || m.Get("Authorization") != "" {
			s.t.Errorf("REGISTER: %s", m)
		}
		r.next()
		synctest.Wait()
		if !s.edge.TrunkUp("home") {
			s.t.Error("not up")
		}
		// The same trunk again changes nothing.
		s.edge.SetTrunks([]Trunk{moved})
		synctest.Wait()
		if len(r.asked) != 0 || !s.edge.TrunkUp("home") {
			s.t.Errorf("%d REGISTER", len(r.asked))
		}
		s.edge.leaveTrunks()
		if m := r.next(); m.Get("Expires") != "0" {
			s.t.Errorf("REGISTER: %s", m)
		}
	})
}

func TestPingOfTrunkWithoutHost(t *testing.T) {
	play(t, nil, func(s *stage) {
		if _, err := s.edge.PingTrunk(s.t.Context(), "carrier"); !errors.Is(err, ErrNoHost) {
			s.t.Error(err)
		}
		if _, err := s.edge.PingTrunk(s.t.Context(), "nowhere"); err == nil {
			s.t.Error("pinged nowhere")
		}
	})
}
