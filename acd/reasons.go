package acd

import (
	"slices"
	"time"
)

// Match is why an agent was chosen: kept with the offer, printed by explain. The
// lists are bounded so that ten thousand agents do not make a book of every
// offer; the counts are of all.
type Match struct {
	Call     CallID        `json:"call"`
	Queue    QueueID       `json:"queue"`
	Offer    OfferID       `json:"offer"`
	Winner   AgentID       `json:"winner"`
	Waited   time.Duration `json:"waited"`   // since the call arrived
	Position int           `json:"position"` // in its queue; 1 is next
	Eligible int           `json:"eligible"` // agents who could have taken it, the winner included
	Excluded int           `json:"excluded"` // agents of the queue who could not
	// Candidates are the eligible, best first, then the excluded: first those this
	// very call leaves out, then others by id.
	Candidates []Candidate `json:"candidates"`
}

// Candidate is an agent who was considered.
type Candidate struct {
	Agent AgentID       `json:"agent"`
	Idle  time.Duration `json:"idle,omitempty"`
	Level int           `json:"level,omitempty"` // the lowest in what the queue requires
	// Failed is the first filter the agent did not pass; empty: eligible. The
	// filters, in order: "skill:NAME", "off", "unreachable", "paused:REASON",
	// "offered", "talking", "wrap_up", "declined", "busy", "no_answer" and
	// "failed" (of this call; a failing phone may also be "unreachable"), "back_off".
	Failed string `json:"failed,omitempty"`
}

const (
	mostListed = 20  // of each kind
	mostWalked = 100 // seats looked at to find the excluded
)

// reasons writes down why c is offered to a. It runs before either has moved.
func (f *Floor) reasons(c *call, a *agent) *Match {
	l := c.line
	position, _ := l.waiting.find(c)
	m := &Match{
		Call: c.id, Queue: l.cfg.ID, Offer: c.offer, Winner: a.id,
		Waited: f.now.Sub(c.arrived), Position: position + 1, Eligible: l.ready.len(),
	}
	for i := range c.excluded {
		x := &c.excluded[i]
		if s := x.agent.seatIn(l); s != nil && s.lacks == "" && x.agent.listed && x.holds() {
			m.Eligible--
		}
	}
	m.Excluded = len(l.seats) - m.Eligible
	m.Candidates = make([]Candidate, 0, min(m.Eligible, mostListed)+min(m.Excluded, mostListed))
	for _, x := range l.ready.all() {
		if len(m.Candidates) == mostListed {
			break
		}
		if _, out := c.excludes(x); !out {
			m.add(f, x.seatIn(l), "")
		}
	}
	f.leftOut(m, c)
	return m
}

// leftOut lists who could not take the call.
func (f *Floor) leftOut(m *Match, c *call) {
	listed := 0
	add := func(s *seat) bool {
		if failed := f.filter(c, s); failed != "" {
			m.add(f, s, failed)
			listed++
		}
		return listed < mostListed
	}
	for i := range c.excluded {
		x := &c.excluded[i]
		if s := x.agent.seatIn(c.line); s != nil && x.holds() && !add(s) {
			return
		}
	}
	for _, s := range c.line.seats[:min(len(c.line.seats), mostWalked)] {
		if _, already := c.excludes(s.agent); !already && !add(s) {
			return
		}
	}
}

// filter is the first filter that a seat does not pass for a call.
func (f *Floor) filter(c *call, s *seat) string {
	a := s.agent
	switch {
	case s.lacks != "":
		return "skill:" + s.lacks
	case a.state == Off && a.want.present() && !a.leaving:
		return "unreachable"
	case a.state == NotReady:
		return "paused:" + a.cause.reason
	case a.state != Ready:
		return a.state.String()
	}
	if cause, out := c.excludes(a); out {
		switch cause {
		case CauseDeclined, CauseBusy, CauseNoAnswer, CauseUnreachable:
			return cause.String()
		}
		return CauseFailed.String()
	}
	if !a.listed {
		return "back_off"
	}
	return ""
}

func (m *Match) add(f *Floor, s *seat, failed string) {
	m.Candidates = append(m.Candidates, Candidate{
		Agent: s.agent.id, Idle: s.agent.idleFor(f.now), Level: s.level, Failed: failed,
	})
}

// seatIn is the agent's seat in a line; nil if they have none.
func (a *agent) seatIn(l *line) *seat {
	if i := slices.IndexFunc(a.seats, func(s *seat) bool { return s.line == l }); i >= 0 {
		return a.seats[i]
	}
	return nil
}
