package sip

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"foyer/sip/siptest"
)

func TestPulse(t *testing.T) {
	good, missed := echo{code: 200, rtt: time.Millisecond}, echo{err: "timeout"}
	many := func(e echo, n int) (list []echo) {
		for range n {
			list = append(list, e)
		}
		return list
	}
	for _, x := range []struct {
		name string
		told []echo
		down bool
		wait time.Duration // until the next round
	}{
		{"answers", many(good, 3), false, 30 * time.Second},
		{"says that it does not know OPTIONS", []echo{{code: 405}}, false, 30 * time.Second},
		{"says not found", []echo{{code: 404}}, false, 30 * time.Second},
		{"has trouble", []echo{{code: 500}}, false, 30 * time.Second},
		{"one lost", []echo{good, missed}, false, 2 * time.Second},
		{"two lost", []echo{good, missed, missed}, false, 2 * time.Second},
		{"three lost", []echo{good, missed, missed, missed}, true, 10 * time.Second},
		{"never there", many(missed, 3), true, 10 * time.Second},
		{"two lost and an answer", []echo{missed, missed, good, missed, missed}, false, 2 * time.Second},
		{"back at the first answer", append(many(missed, 50), good), false, 30 * time.Second},
		{"unwilling", []echo{good, {code: 503}}, true, 10 * time.Second},
		{"unwilling for a while", []echo{good, {code: 503, after: time.Minute}}, true, time.Minute},
		{"unwilling for ever", []echo{good, {code: 503, after: 24 * time.Hour}}, true, 10 * time.Minute},
		{"willing again", []echo{{code: 503}, good}, false, 30 * time.Second},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := pulse{every: 30 * time.Second}
			now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
			for _, e := range x.told {
				was, spread := p.down, p
				if turned := p.took(now, e, 0); turned != (was != p.down) {
					t.Errorf("turned: %v", turned)
				}
				spread.took(now, e, 0.999)
				if early := p.next.Sub(spread.next); early < 0 || early > p.next.Sub(now)/10 {
					t.Errorf("chance makes it %v sooner", early)
				}
			}
			if p.down != x.down || p.next.Sub(now) != x.wait || p.down != (p.why != "") {
				t.Errorf("down %v (%s), next in %v", p.down, p.why, p.next.Sub(now))
			}
			p.doubt(now)
			if !p.next.Equal(now) {
				t.Error("not asked at once when a call got no answer")
			}
		})
	}
	never := pulse{}
	if never.took(time.Now(), echo{}, 0); never.down || !never.next.IsZero() {
		t.Error("a trunk that is asked by hand is pinged for ever")
	}
}

// A trunk goes down when its carrier falls silent or says 503, and comes up with
// its first answer.
func TestTrunkGoesDownAndComesUp(t *testing.T) {
	var answer atomic.Int64
	answer.Store(200)
	playEnrolled(t, func(m *siptest.Message) (int, []siptest.Header) {
		if m.Method == "OPTIONS" && answer.Load() == 503 {
			return 503, []siptest.Header{siptest.H("Retry-After", "5")}
		}
		return int(answer.Load()), nil
	}, func(trunk *Trunk) { trunk.Registration, trunk.Ping = Registration{}, 30*time.Second }, func(s *stage, r *registry) {
		if m := r.next(); m.Method != "OPTIONS" || m.URI != "sip:sip.carrier.test" || m.Get("Accept") != "application/sdp" {
			s.t.Errorf("%s", m)
		}
		settled := func(within time.Duration, up bool, why string) {
			s.t.Helper()
			begun := time.Now()
			for s.edge.TrunkUp("home") != up {
				if time.Since(begun) > within {
					s.t.Fatalf("not within %v: %+v", within, s.trunk("home"))
				}
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
			}
			if st := s.trunk("home"); !strings.Contains(st.Why, why) {
				s.t.Errorf("%+v", st)
			}
		}
		settled(time.Second, true, "")
		answer.Store(0)
		settled(50*time.Second, false, "does not answer OPTIONS (timeout)")
		answer.Store(404)
		settled(13*time.Second, true, "")
		answer.Store(503)
		settled(31*time.Second, false, "503")
		answer.Store(200)
		settled(10*time.Second, true, "")
		if st := s.trunk("home"); st.Code != 200 || st.Since.IsZero() || len(st.Places) != 1 {
			s.t.Errorf("%+v", st)
		}
		// A call that gets no answer makes it ask at once.
		synctest.Wait()
		for len(r.asked) > 0 {
			<-r.asked
		}
		r.phone.Manual(true, "INVITE")
		answer.Store(0)
		begun := time.Now()
		s.edge.trunks.all()[1].watch.doubt(time.Now())
		r.next()
		if took := time.Since(begun); took > time.Second {
			s.t.Errorf("asked after %v", took)
		}
		if st, err := s.edge.PingTrunk(s.t.Context(), "home"); err != nil || st.Code != 0 {
			s.t.Errorf("%+v, %v", st, err)
		}
	})
}
