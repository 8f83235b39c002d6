package lab

import (
	"context"
	"fmt"
	"time"

	"foyer/sip/siptest"
)

// Mishaps are what happens to a line in the middle of a call, behind the usual
// kind of router and behind the worst. dark is how long it goes dark.
func Mishaps(dark ...time.Duration) []Case {
	var all []Case
	for _, kind := range []siptest.NATKind{siptest.PortRestricted, siptest.Symmetric} {
		cases := []Case{
			{Name: "router gives the media another port", Play: mediaForgotten},
			{Name: "the same while the agent is muted", Play: forgottenWhileMuted},
			{Name: "router restarts, agent hangs up", Play: routerRestarts((*Scene).agentLeaves)},
			{Name: "router restarts, caller hangs up", Play: routerRestarts((*Scene).callerLeaves)},
			{Name: "router restarts, phone registers after the BYE", Play: leavesBeforeRegister},
			{Name: "line gets another public address", Play: lineRenumbered(3 * time.Second)},
			{Name: "the same, and registers when it counts as lost", Play: lineRenumbered(noticed), Limit: 80 * time.Second},
		}
		for _, d := range dark {
			cases = append(cases, Case{Name: fmt.Sprintf("%v dark", d), Limit: d + time.Minute,
				Play: func(ctx context.Context, s *Scene) error { return goesDark(ctx, s, d) }})
		}
		for _, c := range cases {
			c.Name = kind.String() + ": " + c.Name
			c.Kind = kind
			all = append(all, c)
		}
	}
	return all
}

func (s *Scene) agentLeaves(ctx context.Context) error  { return s.hangUp(ctx, s.agent) }
func (s *Scene) callerLeaves(ctx context.Context) error { return s.hangUp(ctx, s.caller) }

// healed wants the talk to go on after a mishap, and notes how soon it did.
func (s *Scene) healed(ctx context.Context, when string, within time.Duration) {
	s.note("heard again after %v", s.talk(ctx, when, within).Round(10*time.Millisecond))
}

func mediaForgotten(ctx context.Context, s *Scene) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	s.router.Forget(s.rtpAddr())
	s.healed(ctx, "with another media port", usual)
	return s.hangUp(ctx, s.caller)
}

// forgottenWhileMuted: a telephone that sends nothing while muted loses its port,
// and is found when it speaks again.
func forgottenWhileMuted(ctx context.Context, s *Scene) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	s.agent.Mute(true)
	pause(ctx, time.Second)
	s.router.Forget(s.rtpAddr())
	pause(ctx, time.Second)
	s.agent.Mute(false)
	s.healed(ctx, "unmuted with another media port", usual)
	return s.hangUp(ctx, s.caller)
}

// routerRestarts: all mappings are gone; the phone finds out nothing, and registers
// when its time has come.
func routerRestarts(end func(*Scene, context.Context) error) func(context.Context, *Scene) error {
	return func(ctx context.Context, s *Scene) error {
		if err := s.connect(ctx); err != nil {
			return err
		}
		s.router.Forget()
		s.healed(ctx, "after the restart", usual)
		if err := s.register(ctx); err != nil {
			return err
		}
		return end(s, ctx)
	}
}

// leavesBeforeRegister: our BYE finds the old port dead; the phone is told when it
// is back.
func leavesBeforeRegister(ctx context.Context, s *Scene) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	s.router.Forget()
	s.healed(ctx, "after the restart", usual)
	s.account.Hungup, s.account.EndedBy = time.Now(), "caller"
	if err := s.caller.call.Hangup(ctx); err != nil {
		return err
	}
	pause(ctx, 2*time.Second)
	if err := s.register(ctx); err != nil {
		return err
	}
	return s.freed(ctx)
}

// lineRenumbered: nothing of the phone can be believed from another address until
// it has registered from there. That it was lost meanwhile need not make it ring.
func lineRenumbered(register time.Duration) func(context.Context, *Scene) error {
	return func(ctx context.Context, s *Scene) error {
		if err := s.connect(ctx); err != nil {
			return err
		}
		s.public = s.lab.address(s.number + 100)
		if err := s.router.Renumber(s.public); err != nil {
			return err
		}
		pause(ctx, register)
		if err := s.register(ctx); err != nil {
			return err
		}
		s.healed(ctx, "registered from another address", usual)
		return s.hangUp(ctx, s.caller)
	}
}

// goesDark: for some time nothing passes either way. A caller is left in silence
// for a short time, hears a word after a longer one, and talks on in the end.
func goesDark(ctx context.Context, s *Scene, long time.Duration) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	s.dark(true)
	before, begun := s.caller.Heard().Music, time.Now()
	if long > noticed {
		if s.until(ctx, "the caller is told that the agent is gone", long, func() bool { return s.caller.Heard().Music >= before+enough }) {
			s.note("the caller is told after %v", time.Since(begun).Round(100*time.Millisecond))
		}
	}
	pause(ctx, long-time.Since(begun))
	s.dark(false)
	s.healed(ctx, fmt.Sprintf("after %v of darkness", long), usual)
	return s.hangUp(ctx, s.caller)
}

// noticed is by when a dead line must be known: 5 s of silence, two probes of 3 s
// without an answer, and a busy machine.
const noticed = 14 * time.Second
