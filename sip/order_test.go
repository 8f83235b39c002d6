package sip

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"foyer/sip/siptest"
)

// requests lists what a phone was asked, in the order it came.
func requests(p *siptest.Phone) (list []string) {
	for _, e := range p.Wire().Trace() {
		if !e.Out && e.Msg != nil && e.Msg.IsRequest() && e.Msg.Method != "ACK" {
			list = append(list, e.Msg.Method)
		}
	}
	return list
}

// The line holds a CANCEL or BYE up for a tenth of a second and is quick again: the
// next INVITE must not come first, or the phone is rung while it is busy.
func TestNextCallDoesNotOvertakeTheEndOfTheLast(t *testing.T) {
	for _, c := range []struct {
		name string
		ring func(s *stage) *diary
		last string
		slow time.Duration // of the end of the last call
		deaf float64       // share of the phone's answers lost
		wait time.Duration // of the next INVITE
	}{
		{"CANCEL", ringing, "CANCEL", 100 * time.Millisecond, 0, 100 * time.Millisecond},
		{"BYE", inTalk, "BYE", 100 * time.Millisecond, 0, 100 * time.Millisecond},
		{"a phone that says nothing is not waited for long", ringing, "CANCEL", 0, 1, toldWithin},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				first := c.ring(s)
				before := requests(s.phone)
				s.net.Impair("10.0.0.1", "10.0.0.3", siptest.Link{Delay: c.slow})
				s.net.Impair("10.0.0.3", "10.0.0.1", siptest.Link{Loss: c.deaf})
				first.leg.Hangup(Reason{})
				time.Sleep(time.Millisecond) // it is on its way
				s.net.Impair("10.0.0.1", "10.0.0.3", siptest.Link{})
				begun := time.Now()
				call, next := s.rings()
				if took := time.Since(begun); took > c.wait || took < c.wait-time.Millisecond {
					t.Errorf("rang after %v, want %v", took, c.wait)
				}
				s.net.Impair("10.0.0.3", "10.0.0.1", siptest.Link{})
				// What is repeated is not new.
				if got, want := slices.Compact(requests(s.phone)), append(before, c.last, "INVITE"); !slices.Equal(got, want) {
					t.Errorf("the phone was asked %v, want %v", got, want)
				}
				call.Reject(486)
				expect[Refused](next)
			})
		})
	}
}

func ringing(s *stage) *diary {
	c, d := s.rings()
	c.Ring(180, "")
	expect[Progress](d)
	return d
}

func inTalk(s *stage) *diary {
	_, d := s.answers()
	return d
}

// The next call may be dialled before the last has been hung up: the decisions about
// both are carried out by different goroutines. A call given up while it waits for
// its turn is never heard of, and the one after it waits for the first all the same.
func TestCallsToOnePhoneWaitForTheirTurn(t *testing.T) {
	play(t, nil, func(s *stage) {
		first := ringing(s)
		second := s.dials()
		third := s.dials()
		second.leg.Hangup(Reason{})
		time.Sleep(50 * time.Millisecond)
		first.leg.Hangup(Reason{})
		call, err := s.phone.WaitCall(s.patience())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := requests(s.phone), []string{"INVITE", "CANCEL", "INVITE"}; !slices.Equal(got, want) {
			t.Errorf("the phone was asked %v, want %v", got, want)
		}
		call.Reject(486)
		expect[Refused](third)
	})
}

// The phone answers just when its call is withdrawn and another is offered to it.
func TestAnswerCrossesWithdrawalAndNextCall(t *testing.T) {
	play(t, nil, func(s *stage) {
		_, first := s.answers()
		second := s.dials()
		time.Sleep(50 * time.Millisecond)
		first.leg.Hangup(Reason{})
		call, err := s.phone.WaitCall(s.patience())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := requests(s.phone), []string{"INVITE", "BYE", "INVITE"}; !slices.Equal(got, want) {
			t.Errorf("the phone was asked %v, want %v", got, want)
		}
		call.Reject(486)
		expect[Refused](second)
	})
}

// A second call to an agent who has been talking for a while rings at once.
func TestSecondCallRingsBesideATalk(t *testing.T) {
	play(t, nil, func(s *stage) {
		_, first := s.answers()
		time.Sleep(time.Minute)
		begun := time.Now()
		call, second := s.rings()
		if took := time.Since(begun); took > 0 {
			t.Errorf("rang after %v", took)
		}
		call.Reject(486)
		expect[Refused](second)
		first.leg.Hangup(Reason{})
	})
}

// Nobody waits for a call to another phone, nor for one that is over.
func TestOtherPhonesAreRungAtOnce(t *testing.T) {
	play(t, nil, func(s *stage) {
		other := s.newPhone("10.0.0.4:5060", siptest.Options{User: "bo"})
		defer other.Close()
		first := ringing(s)
		s.net.Impair("10.0.0.1", "10.0.0.3", siptest.Link{Delay: time.Second})
		first.leg.Hangup(Reason{})
		begun := time.Now()
		d := s.dials(func(d *Dial) {
			d.To.User, d.To.Contact, d.To.Source = "bo", "sip:bo@10.0.0.4:5060", netip.MustParseAddrPort("10.0.0.4:5060")
		})
		call, err := other.WaitCall(s.patience())
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("rang after %v", took)
		}
		call.Reject(486)
		expect[Refused](d)
	})
}

// A network that repeats a datagram at once: whichever copy the library hands over
// first, the request is opened once and answered well.
func TestCopiesAtOnceAreOneRequest(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.talks()
		s.net.Impair("10.0.0.2", "10.0.0.1", siptest.Link{Duplicate: 1})
		for range 500 {
			c.Info("application/dtmf-relay", "Signal=5\r\nDuration=100\r\n")
			if m := s.saw(c, "xxx INFO"); m.Status != 200 {
				t.Fatalf("answered %d %s", m.Status, m.Reason)
			}
			expect[Info](d)
		}
		d.silent()
		c.Bye()
		expect[Ended](d)
	})
}
