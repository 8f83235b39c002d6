package lab

import (
	"context"
	"fmt"
	"time"

	"foyer/loadtest"
	"foyer/sip/siptest"
)

// Turns are callers who give up one after the other while the agent's phone rings
// for them, on a line where packets overtake each other.
func Turns(callers int) []Case {
	return []Case{{
		Name: fmt.Sprintf("%d callers give up ringing, packets overtake", callers), Limit: time.Minute,
		Play: func(ctx context.Context, s *Scene) error { return giveUpInTurn(ctx, s, callers) },
	}}
}

// giveUpInTurn: the phone may ring for one caller at a time.
func giveUpInTurn(ctx context.Context, s *Scene, callers int) error {
	late := siptest.Link{Jitter: 80 * time.Millisecond}
	s.lab.net.Impair(s.inside(sipPort), "", late)
	s.lab.net.Impair("", s.inside(sipPort), late)
	if err := s.register(ctx); err != nil {
		return err
	}
	waiting := make([]*siptest.Call, callers)
	for n := range waiting {
		var err error
		if waiting[n], err = s.joins(ctx, uint32(1000*(s.number+1)+n)); err != nil {
			return err
		}
	}
	ended := time.Time{} // the last ringing, by the phone
	for n, caller := range waiting {
		ring, err := s.agent.WaitCall(ctx)
		if err != nil {
			return err
		}
		if early := ended.Sub(ring.Began()); early > 0 {
			s.fault("the phone rings for caller %d, and for another %v before the last ringing ended", n, early)
		}
		ring.Ring(180, "")
		pause(ctx, 150*time.Millisecond)
		caller.Bye()
		if _, err := ring.WaitFor(ctx, "CANCEL"); err != nil {
			return err
		}
		if err := ring.Ended(ctx); err != nil {
			return err
		}
		events := ring.Events()
		ended = events[len(events)-1].At
	}
	return nil
}

// joins lets one more caller into the agent's queue.
func (s *Scene) joins(ctx context.Context, number uint32) (*siptest.Call, error) {
	from := loadtest.CallerNumber(number)
	s.more = append(s.more, loadtest.Call{Number: number, Caller: from, Outcome: loadtest.Abandoned, EndedBy: "caller", Started: time.Now()})
	c, err := s.caller.InviteWith(ctx, &siptest.Outgoing{Target: "sip:" + s.lab.sw.NumberOf(s.number) + "@" + s.lab.server,
		SDP: s.caller.Offer("").String(), From: from})
	if err != nil {
		return nil, err
	}
	_, err = c.WaitFor(ctx, "200 INVITE")
	return c, err
}
