package lab

import (
	"context"
	"fmt"
	"strings"
	"time"

	"foyer/loadtest"
)

// Meddlers are routers whose SIP helper rewrites, well and badly, and leaves it to
// the switch to find its way.
func Meddlers() []Case {
	half := func(change func(*ALG)) *ALG {
		a := goodALG()
		change(a)
		return a
	}
	return []Case{
		{Name: "ALG that does it all", ALG: goodALG(), Play: holdsAndResumes},
		{Name: "ALG that rewrites Contact alone", ALG: &ALG{Contact: true, Back: true}, Play: holdsAndResumes},
		{Name: "ALG that rewrites Via alone", ALG: &ALG{Via: true}, Play: holdsAndResumes},
		{Name: "ALG that rewrites SDP alone", ALG: &ALG{SDP: true, Length: true}, Play: holdsAndResumes},
		{Name: "ALG that puts nothing back", ALG: half(func(a *ALG) { a.Back = false }), Play: holdsAndResumes},
		{Name: "ALG that writes wrong ports", ALG: half(func(a *ALG) { a.PortOff = 2; a.Back = false }), Play: holdsAndResumes},
	}
}

// Damagers are routers that leave nothing to be read. What can be had is that nobody
// is left with half a call, half a minute later.
func Damagers() []Case {
	noLength, cutting := goodALG(), goodALG()
	noLength.Length = false
	cutting.Longest = 800
	return []Case{
		// RFC 3261 section 18.3: a response that ends before its body does is discarded.
		{Name: "ALG that forgets Content-Length", ALG: noLength, Play: neverAnswers, Judge: wantAbandoned},
		{Name: "ALG that cuts long messages", ALG: cutting, Play: neverAnswers, Judge: wantAbandoned},
	}
}

// neverAnswers: the agent's answer is damaged and must not be believed. The caller keeps
// the music, and nobody is left with half a call.
func neverAnswers(ctx context.Context, s *Scene) error {
	if err := s.register(ctx); err != nil {
		return err
	}
	if err := s.dial(ctx); err != nil {
		return err
	}
	c, err := s.agent.WaitCall(ctx)
	if err != nil {
		return err
	}
	s.agent.call = c
	c.Ring(180, "")
	sdp := s.agent.Offer("")
	sdp.Extra = []string{"a=X-long:" + strings.Repeat(" as telephones like it", 20)}
	c.Answer(sdp.String())
	pause(ctx, 2*time.Second)
	if n := s.caller.Heard().Other; n > 0 {
		return fmt.Errorf("the caller heard %d packets of an agent whose answer was damaged", n)
	}
	s.account.Hungup, s.account.EndedBy = time.Now(), "caller"
	if err := s.caller.call.Hangup(ctx); err != nil {
		return err
	}
	if _, err := c.WaitFor(ctx, "CANCEL"); err != nil {
		return fmt.Errorf("the phone was not told that the caller has gone: %w", err)
	}
	s.note("not answered, its 200 is damaged: switch the helper off, or use TLS")
	return nil
}

func wantAbandoned(s *Scene, row *loadtest.CDR) {
	if row.Outcome != "abandoned" && row.Outcome != "short_abandon" {
		s.fault("the record says %s", row.Outcome)
	}
}
