package lab

import (
	"context"
	"fmt"
	"time"

	"foyer/sip/siptest"
)

// kinds are the four classic kinds of router.
var kinds = [...]siptest.NATKind{siptest.FullCone, siptest.AddressRestricted, siptest.PortRestricted, siptest.Symmetric}

// Kinds are the things that happen in calls, behind each kind of router. idle is
// how long a phone waits for its call, behind a router that forgets in lifetime.
func Kinds(idle, lifetime time.Duration) []Case {
	var all []Case
	for _, kind := range kinds {
		for _, c := range []Case{
			{Name: "caller hangs up", Play: callerHangsUp},
			{Name: "agent hangs up", Play: agentHangsUp},
			{Name: "hold and resume, media forgotten meanwhile", Play: holdsAndResumes},
			{Name: "caller holds and resumes", Play: callerHolds},
			{Name: "agent moves media by re-INVITE", Play: agentMoves},
			{Name: "caller moves media by re-INVITE", Play: callerMoves},
			{Name: fmt.Sprintf("%v idle, mappings live %v", idle, lifetime), Lifetime: lifetime, Limit: idle + time.Minute,
				Play: func(ctx context.Context, s *Scene) error { return waitsIdle(ctx, s, idle) }},
		} {
			c.Name = kind.String() + ": " + c.Name
			c.Kind = kind
			all = append(all, c)
		}
	}
	return all
}

func callerHangsUp(ctx context.Context, s *Scene) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	return s.hangUp(ctx, s.caller)
}

func agentHangsUp(ctx context.Context, s *Scene) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	return s.hangUp(ctx, s.agent)
}

// holdsAndResumes: while the agent holds, the telephone sends nothing, and the
// router gives its media port away.
func holdsAndResumes(ctx context.Context, s *Scene) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.hold(ctx, s.agent, s.caller); err != nil {
		return err
	}
	s.router.Forget(s.rtpAddr())
	if err := s.resume(ctx, s.agent); err != nil {
		return err
	}
	return s.hangUp(ctx, s.caller)
}

func callerHolds(ctx context.Context, s *Scene) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.hold(ctx, s.caller, s.agent); err != nil {
		return err
	}
	if err := s.resume(ctx, s.caller); err != nil {
		return err
	}
	return s.hangUp(ctx, s.agent)
}

// hold lets one party hold the other, who must hear the switch's music instead. A
// carrier that says sendonly brings music of its own.
func (s *Scene) hold(ctx context.Context, who, other *Party) error {
	direction := "sendonly"
	if who == s.caller {
		direction = "inactive"
	}
	if err := s.offers(ctx, who, direction); err != nil {
		return err
	}
	who.Mute(true)
	before := other.Heard().Music
	s.until(ctx, other.User()+" hears music", usual, func() bool { return other.Heard().Music >= before+enough })
	return nil
}

func (s *Scene) resume(ctx context.Context, who *Party) error {
	who.Mute(false)
	if err := s.offers(ctx, who, ""); err != nil {
		return err
	}
	s.talk(ctx, "after the hold", usual)
	return nil
}

// offers lets a party make another offer in its call, and follow the answer.
func (s *Scene) offers(ctx context.Context, who *Party, direction string) error {
	sdp := who.Offer(direction)
	before, err := siptest.ParseSDP(who.call.LocalSDP())
	if err != nil {
		return err
	}
	sdp.Version = before.Version + 1
	who.call.Reinvite(sdp.String())
	res, err := who.call.WaitFor(ctx, "xxx INVITE")
	for ; err == nil && res.Status < 200; res, err = who.call.WaitFor(ctx, "xxx INVITE") {
	}
	if err != nil {
		return err
	}
	if res.Status != 200 {
		return fmt.Errorf("%s's offer: %d %s", who.User(), res.Status, res.Reason)
	}
	return who.TalkTo(who.call.RemoteSDP())
}

// agentMoves: the telephone goes on with another socket.
func agentMoves(ctx context.Context, s *Scene) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	next, err := s.agentVoice(rtpPort + 2)
	if err != nil {
		return err
	}
	s.agent.Voice.Close()
	s.agent.Voice = next
	if err := s.offers(ctx, s.agent, ""); err != nil {
		return err
	}
	s.talk(ctx, "after the agent's re-INVITE", usual)
	return s.hangUp(ctx, s.agent)
}

// callerMoves: the carrier changes its media gateway.
func callerMoves(ctx context.Context, s *Scene) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	other, err := s.openCaller()
	if err != nil {
		return err
	}
	other.Phone.Close()
	s.caller.Voice.Close()
	s.caller.Voice = other.Voice
	if err := s.offers(ctx, s.caller, ""); err != nil {
		return err
	}
	s.talk(ctx, "after the carrier's re-INVITE", usual)
	return s.hangUp(ctx, s.caller)
}

// waitsIdle: nothing but the switch's questions keeps the way to the phone open.
func waitsIdle(ctx context.Context, s *Scene, idle time.Duration) error {
	if err := s.register(ctx); err != nil {
		return err
	}
	pause(ctx, idle)
	if err := s.dial(ctx); err != nil {
		return err
	}
	if err := s.pickUp(ctx); err != nil {
		return err
	}
	s.talk(ctx, "after the answer", usual)
	return s.hangUp(ctx, s.caller)
}
