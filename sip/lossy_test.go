package sip

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"foyer/sip/siptest"
)

// On a network that loses, delays, doubles and reorders, with both sides hanging
// up whenever they like, no leg may stay and none may end twice.
func TestCallsOnBadNetwork(t *testing.T) {
	for seed := range uint64(12) {
		play(t, nil, func(s *stage) {
			r := rand.New(rand.NewPCG(seed, 1))
			s.net.Impair("", "", siptest.Link{Loss: 0.15, Delay: 10 * time.Millisecond, Jitter: 40 * time.Millisecond, Duplicate: 0.1, Reorder: 0.1})
			var all []*diary
			for range 20 {
				d := newDiary(s.t)
				all = append(all, d)
				if r.IntN(2) == 0 {
					s.badCallIn(r, d)
				} else {
					s.badCallOut(r, d)
				}
			}
			s.settles()
			for _, l := range s.edge.legs.all() {
				s.t.Errorf("seed %d, left: server %v, %v", seed, l.server, l.phase)
				for _, e := range append(s.carrier.Wire().Trace(), s.phone.Wire().Trace()...) {
					if e.Msg.Get("Call-ID") == l.id {
						s.t.Log(e.String())
					}
				}
			}
			for _, d := range all {
				d.endsOnce()
			}
			s.net.Impair("", "", siptest.Link{})
			time.Sleep(5 * time.Minute) // until the phones have given up as well
		})
	}
}

func nap(r *rand.Rand) { time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond) }

func (s *stage) badCallIn(r *rand.Rand, d *diary) {
	c, err := s.carrier.Invite(s.patience(), number, offerA)
	if err != nil {
		s.t.Fatal(err)
	}
	if r.IntN(4) == 0 {
		nap(r)
		c.Cancel()
	}
	select {
	case d.leg = <-s.calls:
	case <-time.After(40 * time.Second):
		return // no INVITE came through
	}
	d.leg.Listen(d.sink)
	nap(r)
	if d.leg.Answer([]byte(ourSDP)) != nil {
		return
	}
	if nap(r); c.State() == siptest.Talking && r.IntN(2) == 0 {
		c.Reinvite(offerB)
		synctest.Wait()
	}
	nap(r)
	if r.IntN(2) == 0 {
		c.Bye()
	} else {
		d.hangup()
	}
	time.Sleep(40 * time.Second)
	d.hangup()
}

func (s *stage) badCallOut(r *rand.Rand, d *diary) {
	l, err := s.edge.Dial(Dial{To: s.binding(), SDP: []byte(ourSDP)}, d.sink)
	if err != nil {
		s.t.Fatal(err)
	}
	d.leg = l
	if r.IntN(4) == 0 {
		nap(r)
		d.hangup()
	}
	select {
	case c := <-s.phone.Calls():
		c.Ring(180, "")
		nap(r)
		c.Answer(offerA)
		nap(r)
		if r.IntN(2) == 0 {
			_ = l.Reoffer([]byte(newSDP))
			nap(r)
		}
		if r.IntN(2) == 0 {
			c.Bye()
		}
	case <-time.After(40 * time.Second):
	}
	time.Sleep(5 * time.Second)
	d.hangup()
}

// hangup hangs up and notes that nothing may be told afterwards.
func (d *diary) hangup() {
	d.leg.Hangup(Reason{})
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed == 0 {
		d.closed = len(d.told) + 1
	}
}

// endsOnce checks that at most one event ended the leg, and that it was the last.
func (d *diary) endsOnce() {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed > 0 && len(d.told) > d.closed-1 {
		d.t.Errorf("told after hangup: %+v", d.told[d.closed-1:])
	}
	for i, ev := range d.told {
		switch ev.(type) {
		case Ended, Cancelled, Refused:
			if i != len(d.told)-1 {
				d.t.Errorf("%T is not the last of %+v", ev, d.told)
			}
		}
	}
}
