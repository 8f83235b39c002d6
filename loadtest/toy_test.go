package loadtest

import (
	"net"
	"sync"
	"testing"

	"foyer/sip/siptest"
)

// toy is the smallest thing that can be called a switch: it registers anybody,
// offers each caller to the first free agent and lets the media flow directly
// between them. The generator is tried against it, so that what it measures later
// is the switch and not itself.
type toy struct {
	t     *testing.T
	wire  *siptest.Wire
	inbox *siptest.Phone
	// media, if set, is asked for the description each side gets instead of the
	// other side's own.
	media func(from, sdp string) string

	mu      sync.Mutex
	exits   map[string]*siptest.Phone // by agent
	contact map[string]string
	busy    map[string]bool
	queue   []*siptest.Call
}

// pairing joins the two calls of a conversation.
type pairing struct {
	in, out *siptest.Call
	agent   string
}

func startToy(t *testing.T, number string) *toy {
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &toy{t: t, wire: siptest.NewWire(pc, siptest.WireOptions{Quiet: true}),
		exits: map[string]*siptest.Phone{}, contact: map[string]string{}, busy: map[string]bool{}}
	t.Cleanup(func() { s.wire.Close() })
	registrar, err := s.wire.Phone(siptest.Options{Manual: []string{"REGISTER"}, OnRequest: s.register})
	if err != nil {
		t.Fatal(err)
	}
	s.inbox = registrar
	if _, err := s.wire.Phone(siptest.Options{User: number, OnCall: s.arrive, OnEvent: s.callerEvent}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *toy) addr() string { return s.wire.LocalAddr().String() }

func (s *toy) register(m *siptest.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	uri := siptest.URIOf(m.Get("Contact"))
	user := siptest.UserOf(uri)
	if s.exits[user] == nil {
		p, err := s.wire.Phone(siptest.Options{User: "to-" + user, Server: siptest.HostOf(uri), OnEvent: s.agentEvent})
		if err != nil {
			s.t.Error(err)
			return
		}
		s.exits[user], s.contact[user] = p, uri
	}
	s.inbox.Respond(m, 200, "", siptest.H("Contact", m.Get("Contact")+";expires=60"))
}

func (s *toy) arrive(c *siptest.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Ring(180, "")
	s.queue = append(s.queue, c)
	s.match()
}

// match gives the longest waiting caller to a free agent.
func (s *toy) match() {
	for user, exit := range s.exits {
		if len(s.queue) == 0 {
			return
		}
		if s.busy[user] {
			continue
		}
		in := s.queue[0]
		s.queue = s.queue[1:]
		p := &pairing{in: in, agent: user}
		in.Data = p
		out, err := exit.InviteWith(s.t.Context(), &siptest.Outgoing{Target: s.contact[user],
			SDP: s.describe("caller", in.RemoteSDP()), From: in.Invite().Caller(), Data: p})
		if err != nil {
			s.t.Error(err)
			return
		}
		s.busy[user], p.out = true, out
	}
}

func (s *toy) describe(from, sdp string) string {
	if s.media == nil {
		return sdp
	}
	return s.media(from, sdp)
}

func (s *toy) agentEvent(c *siptest.Call, e siptest.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := c.Data.(*pairing)
	switch {
	case e.Name == "200 INVITE":
		if !p.in.Answer(s.describe("agent", c.RemoteSDP())) {
			c.Bye()
		}
	case e.Name == "BYE":
		p.in.Bye()
	case e.Name == "ended":
		s.busy[p.agent] = false
		if p.in.State() == siptest.Calling {
			s.queue = append([]*siptest.Call{p.in}, s.queue...)
		}
		s.match()
	}
}

func (s *toy) callerEvent(c *siptest.Call, e siptest.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, _ := c.Data.(*pairing)
	switch {
	case e.Name == "CANCEL" && p == nil:
		for i := range s.queue {
			if s.queue[i] == c {
				s.queue = append(s.queue[:i], s.queue[i+1:]...)
				break
			}
		}
	case e.Name == "CANCEL":
		p.out.Cancel()
	case e.Name == "BYE":
		p.out.Bye()
	}
}
