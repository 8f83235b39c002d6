package sip

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"foyer/sip/siptest"
)

// owner is what a call of the switch does with its leg, over several lives. What it
// wants outlives the process, as the floor's journal does; what it has seen does not.
type owner struct {
	v *lives

	mu    sync.Mutex
	leg   *Leg
	life  int
	want  []byte        // the description that the peer should have
	leave bool          // it wants the call to end
	rings bool          // it never answers
	delay time.Duration // before it answers
}

func (o *owner) take(l *Leg) {
	o.mu.Lock()
	o.life++
	life := o.life
	o.leg = l
	o.mu.Unlock()
	l.Listen(func(ev LegEvent) { o.told(life, l, ev) })
	o.mu.Lock()
	defer o.mu.Unlock()
	switch st := l.Standing(); {
	case o.leave:
		go l.Hangup(Reason{})
	case st.Phase == Opening && st.Server:
		go func() {
			_ = l.Ring(180, nil)
			if o.rings {
				return
			}
			time.Sleep(o.delay)
			_ = l.Answer([]byte(ourSDP))
		}()
	case st.Phase == Up && o.want != nil && !bytes.Equal(st.Sent, o.want):
		_ = l.Reoffer(o.want)
	}
}

func (o *owner) told(life int, l *Leg, ev LegEvent) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if offer, ok := ev.(Reoffered); ok && life == o.life {
		go l.Accept(offer, []byte(ourSDP))
	}
}

// reoffer and hangUp are orders that outlive the process.
func (o *owner) reoffer(sdp string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.want = []byte(sdp)
	if o.leg != nil {
		_ = o.leg.Reoffer(o.want)
	}
}

func (o *owner) hangUp() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leave = true
	if o.leg != nil {
		o.leg.Hangup(Reason{Q850: 16})
	}
}

// press presses keys. Those that are pressed when the process dies are lost.
func (o *owner) press(keys int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for range keys {
		o.leg.Info('5', 100*time.Millisecond)
	}
}

// dial rings the phone, again in a life that finds it was never rung.
func (o *owner) dial() {
	l, err := o.v.edge.Dial(Dial{To: o.v.binding(), Caller: Caller{User: "+33612345678"}, SDP: []byte(ourSDP)}, nil)
	if err != nil {
		o.v.t.Error(err)
		return
	}
	o.take(l)
}

// script is a call from beginning to end, as its peer lives it.
type script struct {
	name string
	ours bool // we call
	play func(v *lives, o *owner) *siptest.Call
}

var scripts = []script{
	{"they call, talk and hang up", false, func(v *lives, o *owner) *siptest.Call {
		c := v.calls1()
		v.saw(c, "200 INVITE")
		talkedWith(v, o, c)
		c.Bye()
		return c
	}},
	{"they call, we hang up", false, func(v *lives, o *owner) *siptest.Call {
		c := v.calls1(siptest.H("Supported", "timer"), siptest.H("Session-Expires", "600;refresher=uas"))
		v.saw(c, "200 INVITE")
		v.saw(c, "UPDATE") // after half of the session
		time.Sleep(time.Second)
		o.hangUp()
		v.saw(c, "BYE")
		return c
	}},
	{"they give up", false, func(v *lives, o *owner) *siptest.Call {
		o.rings = true
		c := v.calls1()
		v.saw(c, "180 INVITE")
		time.Sleep(time.Second)
		c.Cancel()
		v.saw(c, "487 INVITE")
		return c
	}},
	{"they call with PRACK", false, func(v *lives, o *owner) *siptest.Call {
		c := v.calls1(siptest.H("Require", "100rel"))
		m := v.saw(c, "180 INVITE")
		c.Send("PRACK", "", siptest.H("RAck", m.Get("RSeq")+" 1 INVITE"))
		v.saw(c, "200 PRACK")
		v.saw(c, "200 INVITE")
		c.Bye()
		return c
	}},
	{"we call, talk and hang up", true, func(v *lives, o *owner) *siptest.Call {
		c := v.rung()
		v.saw(c, "ACK")
		talkedWith(v, o, c)
		o.hangUp()
		v.saw(c, "BYE")
		return c
	}},
	{"we call and press keys", true, func(v *lives, o *owner) *siptest.Call {
		c := v.rung()
		v.saw(c, "ACK")
		time.Sleep(time.Second)
		o.press(2 * spareNumbers)
		time.Sleep(5 * time.Second)
		o.press(2)
		time.Sleep(5 * time.Second)
		o.hangUp()
		v.saw(c, "BYE")
		return c
	}},
	{"we call, they hang up", true, func(v *lives, o *owner) *siptest.Call {
		c := v.rung()
		v.saw(c, "ACK")
		time.Sleep(time.Second)
		c.Bye()
		return c
	}},
	{"we give up", true, func(v *lives, o *owner) *siptest.Call {
		c, err := v.phone.WaitCall(v.patience())
		if err != nil {
			v.t.Fatal(err)
		}
		c.Ring(180, "")
		time.Sleep(3 * time.Second)
		o.hangUp()
		v.saw(c, "CANCEL")
		return c
	}},
}

// calls1 makes the carrier call.
func (v *lives) calls1(extra ...siptest.Header) *siptest.Call {
	v.t.Helper()
	c, err := v.carrier.Invite(v.patience(), number, offerA, extra...)
	if err != nil {
		v.t.Fatal(err)
	}
	return c
}

// rung lets the phone ring and answer.
func (v *lives) rung() *siptest.Call {
	v.t.Helper()
	c, err := v.phone.WaitCall(v.patience())
	if err != nil {
		v.t.Fatal(err)
	}
	c.Ring(180, "")
	time.Sleep(2 * time.Second)
	c.Answer(offerA)
	return c
}

// talkedWith is what happens inside a call: hold, retrieve, a key, an offer of ours.
func talkedWith(v *lives, o *owner, c *siptest.Call) {
	v.t.Helper()
	time.Sleep(time.Second)
	c.Reinvite(offerB)
	v.saw(c, "200 INVITE")
	time.Sleep(time.Second)
	c.Update(offerA)
	v.saw(c, "200 UPDATE")
	time.Sleep(time.Second)
	c.Info("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n")
	v.saw(c, "200 INFO")
	time.Sleep(time.Second)
	o.reoffer(newSDP)
	v.saw(c, "INVITE")
	v.saw(c, "ACK")
	time.Sleep(time.Second)
}

// moment is when a process is killed: after so many records or messages. The one
// after it is killed two of them later if again is set.
type moment struct {
	puts, sends int
	down        time.Duration
	again       bool
}

// perform plays a script and kills the process at a moment. It returns how many
// records and messages there were.
func perform(t *testing.T, s script, at moment) (puts, sends int) {
	var o *owner
	live(t, func(opt *Options) {
		opt.Invite = func(l *Leg) { o.take(l); l.Wait() }
	}, func(v *lives) {
		o = &owner{v: v, delay: 2 * time.Second}
		v.owner = o.take
		dies, revived, done := make(chan struct{}, 2), make(chan struct{}), make(chan struct{})
		die := func(first int) func(int) {
			return func(n int) {
				if first > 0 && (n == first || at.again && n == first+2) {
					v.kill()
					dies <- struct{}{}
				}
			}
		}
		v.mem.put, v.plug.sent = die(at.puts), die(at.sends)
		go func() {
			defer close(revived)
			for {
				select {
				case <-dies:
				case <-done:
					return
				}
				time.Sleep(at.down)
				if legs := v.revive(); s.ours && len(legs) == 0 && v.phone.Wire().Count("INVITE", false) == 0 {
					o.dial()
				}
			}
		}()
		phone := v.carrier
		if s.ours {
			phone = v.phone
			o.dial()
		}
		c := s.play(v, o)
		if err := c.Ended(v.patience()); err != nil {
			v.t.Error(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		close(done)
		<-revived
		consistent(v.t, phone, c.ID())
		select {
		case other := <-phone.Calls():
			v.t.Errorf("the phone has rung again: %s", other.Invite())
		default:
		}
		if puts, sends = v.mem.puts, v.plug.sends; v.t.Failed() {
			v.t.Logf("killed after record %d or message %d; wire:\n%s", at.puts, at.sends, phone.Wire().Ladder())
		}
	})
	return puts, sends
}

// TestCallSurvivesDeathAtAnyMoment kills the process after each record and after each
// message of each script.
func TestCallSurvivesDeathAtAnyMoment(t *testing.T) {
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			puts, sends := perform(t, s, moment{})
			if puts < 3 || sends < 3 {
				t.Fatalf("%d records and %d messages: nothing was tried", puts, sends)
			}
			for _, down := range []time.Duration{50 * time.Millisecond, 3 * time.Second} {
				for n := 1; n <= max(puts, sends); n++ {
					t.Run(fmt.Sprintf("down for %v, record %d", down, n), func(t *testing.T) { perform(t, s, moment{puts: n, down: down}) })
					t.Run(fmt.Sprintf("down for %v, message %d", down, n), func(t *testing.T) { perform(t, s, moment{sends: n, down: down}) })
					t.Run(fmt.Sprintf("twice, record %d", n), func(t *testing.T) { perform(t, s, moment{puts: n, down: down, again: true}) })
					t.Run(fmt.Sprintf("twice, message %d", n), func(t *testing.T) { perform(t, s, moment{sends: n, down: down, again: true}) })
				}
			}
		})
	}
}
