package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"foyer/loadtest"
	"foyer/sip/siptest"
)

// Party is a telephone with somebody who speaks.
type Party struct {
	*siptest.Phone
	*Voice
	call *siptest.Call // the one they are in, or were last
}

// Scene is a caller on a carrier's good line and an agent at home, in one case.
// Its methods are for the one goroutine that plays the case.
type Scene struct {
	lab    *Lab
	rules  Case
	number int // of the case, its agent and its call
	router *siptest.NAT
	public string // address of the router

	agent, caller *Party
	account       loadtest.Call   // of the call, as seen from outside
	more          []loadtest.Call // of callers besides
	left          *arrivals       // what of the agent's media left the home

	OneWay int      // calls in which one did not hear the other
	Notes  []string // what is worth a word in the table
	Faults []string
}

func (s *Scene) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

func (s *Scene) fault(format string, args ...any) {
	s.Faults = append(s.Faults, fmt.Sprintf(format, args...))
}

// Addresses inside every home: each is a network of its own.
func (s *Scene) inside(port int) string {
	return fmt.Sprintf("192.168.%d.20:%d", s.number%250, port)
}

const (
	sipPort = 5060
	rtpPort = 4000
)

func (s *Scene) rtpAddr() netip.AddrPort { return netip.MustParseAddrPort(s.inside(rtpPort)) }

// open builds the home, and both telephones.
func (s *Scene) open() error {
	s.public = s.lab.address(s.number)
	s.left = &arrivals{}
	rules := siptest.NATRules{Kind: s.rules.Kind, Timeout: s.rules.Lifetime, Real: true, Left: s.leaves}
	if s.rules.ALG != nil {
		rules.Rewrite = s.rules.ALG.Rewrite
	}
	var err error
	if s.router, err = s.lab.net.NAT(s.public, rules); err != nil {
		return err
	}
	if s.agent, err = s.openAgent(rtpPort); err != nil {
		return err
	}
	s.caller, err = s.openCaller()
	return err
}

func (s *Scene) openAgent(port int) (*Party, error) {
	wire, err := s.router.Listen(s.inside(sipPort))
	if err != nil {
		return nil, err
	}
	who := s.lab.sw.Crew()[s.number]
	phone, err := siptest.NewPhone(wire, siptest.Options{User: who.User, Password: who.Password,
		Domain: s.lab.sw.Realm, Server: s.lab.server, Outbound: true})
	if err != nil {
		return nil, err
	}
	voice, err := s.agentVoice(port)
	return &Party{Phone: phone, Voice: voice}, err
}

func (s *Scene) agentVoice(port int) (*Voice, error) {
	pc, err := s.router.Listen(s.inside(port))
	if err != nil {
		return nil, err
	}
	return NewVoice(pc, uint32(s.number), loadtest.AgentSide), nil
}

func (s *Scene) openCaller() (*Party, error) {
	host := s.lab.sw.CallerIP + ":0"
	wire, err := net.ListenPacket("udp4", host)
	if err != nil {
		return nil, fmt.Errorf("caller's line: %w", err)
	}
	phone, err := siptest.NewPhone(wire, siptest.Options{User: loadtest.CallerNumber(uint32(s.number)), Domain: "carrier.test", Server: s.lab.server})
	if err != nil {
		return nil, err
	}
	pc, err := net.ListenPacket("udp4", host)
	if err != nil {
		return nil, fmt.Errorf("caller's media: %w", err)
	}
	return &Party{Phone: phone, Voice: NewVoice(pc, uint32(s.number), loadtest.CallerSide)}, nil
}

// register brings the agent in.
func (s *Scene) register(ctx context.Context) error {
	res, err := s.agent.Register(ctx, time.Minute)
	if err != nil {
		return err
	}
	if res.Status != 200 {
		return fmt.Errorf("register: %d %s", res.Status, res.Reason)
	}
	return nil
}

// dial lets the caller call the agent's queue.
func (s *Scene) dial(ctx context.Context) error {
	s.account = loadtest.Call{Number: uint32(s.number), Caller: s.caller.User(), Called: s.lab.sw.NumberOf(s.number),
		Agent: s.agent.User(), Started: time.Now(), Outcome: loadtest.Failed}
	var err error
	s.caller.call, err = s.caller.Dial(ctx, "sip:"+s.account.Called+"@"+s.lab.server, s.caller.Offer("").String())
	if err != nil {
		return err
	}
	s.account.Ringing, s.account.Connected, s.account.Outcome = time.Now(), time.Now(), loadtest.Abandoned
	return s.caller.TalkTo(s.caller.call.RemoteSDP())
}

// pickUp waits for the agent's phone to ring and answers it.
func (s *Scene) pickUp(ctx context.Context) error {
	c, err := s.agent.WaitCall(ctx)
	if err != nil {
		return err
	}
	s.agent.call = c
	c.Ring(180, "")
	if !c.Answer(s.agent.Offer("").String()) {
		return fmt.Errorf("the call was taken away before it was answered")
	}
	if s.account.Answered.IsZero() {
		s.account.Answered, s.account.Outcome = time.Now(), loadtest.Answered
	}
	if _, err := c.WaitFor(ctx, "ACK"); err != nil {
		return err
	}
	return s.agent.TalkTo(c.RemoteSDP())
}

// connect is the usual beginning: registered, called, picked up, heard.
func (s *Scene) connect(ctx context.Context) error {
	if err := s.register(ctx); err != nil {
		return err
	}
	if err := s.dial(ctx); err != nil {
		return err
	}
	if err := s.pickUp(ctx); err != nil {
		return err
	}
	s.talk(ctx, "after the answer", usual)
	return nil
}

const (
	enough = 15 // packets heard of the other make a talk
	// usual is within which they must have come: long enough for a machine that
	// stands still for seconds, and short of for ever, which is what one-way means.
	usual = 10 * time.Second
)

// talk wants both parties to hear each other from now on, and says how long it
// took until they did.
func (s *Scene) talk(ctx context.Context, when string, within time.Duration) time.Duration {
	begun := time.Now()
	caller, agent := s.caller.Heard(), s.agent.Heard()
	for {
		c, a := s.caller.Heard().Other-caller.Other, s.agent.Heard().Other-agent.Other
		took := time.Since(begun)
		if c >= enough && a >= enough {
			return took
		}
		if took > within || ctx.Err() != nil {
			s.OneWay = 1
			s.fault("%s: in %v the caller heard %d packets of the agent, the agent %d of the caller", when, took.Round(time.Millisecond), c, a)
			return took
		}
		pause(ctx, 5*time.Millisecond)
	}
}

// until waits for something that is true sooner or later.
func (s *Scene) until(ctx context.Context, what string, within time.Duration, ok func() bool) bool {
	for begun := time.Now(); !ok(); pause(ctx, 5*time.Millisecond) {
		if time.Since(begun) > within || ctx.Err() != nil {
			s.fault("not within %v: %s", within, what)
			return false
		}
	}
	return true
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// hangUp lets one party end the call and wants both phones to be free.
func (s *Scene) hangUp(ctx context.Context, who *Party) error {
	s.account.Hungup, s.account.EndedBy = time.Now(), "caller"
	if who == s.agent {
		s.account.EndedBy = "agent"
	}
	if err := who.call.Hangup(ctx); err != nil {
		return err
	}
	return s.freed(ctx)
}

// freed wants both phones to know that the call is over.
func (s *Scene) freed(ctx context.Context) error {
	for _, p := range []*Party{s.caller, s.agent} {
		if err := p.call.Ended(ctx); err != nil {
			return fmt.Errorf("%s's phone is left with a call nobody else is in: %w", p.User(), err)
		}
	}
	return nil
}

// dark lets nothing pass between the home and the world, or everything again.
func (s *Scene) dark(on bool) {
	l := siptest.Link{}
	if on {
		l.Loss = 1
	}
	s.lab.net.Impair(s.public, "", l)
	s.lab.net.Impair("", s.public, l)
}

// part ends what is left of the calls.
func (s *Scene) part() {
	s.dark(false)
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	for _, p := range s.parties() {
		if p.call != nil && p.call.State() != siptest.Ended {
			p.call.Bye()
			_ = p.call.Ended(ctx)
		}
		p.Voice.Close()
	}
}

// close takes the home and the caller's line away.
func (s *Scene) close() {
	for _, p := range s.parties() {
		p.Phone.Close()
	}
	if s.router != nil {
		s.router.Close()
	}
}

func (s *Scene) parties() (there []*Party) {
	for _, p := range []*Party{s.caller, s.agent} {
		if p != nil {
			there = append(there, p)
		}
	}
	return there
}

// leaves takes note of the agent's media that has left the home.
func (s *Scene) leaves(inside netip.AddrPort, data []byte, took time.Duration) {
	if inside == s.rtpAddr() {
		s.left.take(data, time.Now(), took)
	}
}
