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
	Strategy Strategy      `json:"strategy,omitempty"`
	Relaxed  int           `json:"relaxed,omitempty"` // steps the queue's demands were relaxed by
	Wanted   AgentID       `json:"wanted,omitempty"`  // the one agent the call was waiting for
	Waited   time.Duration `json:"waited"`            // since the call began to wait
	Position int           `json:"position"`          // in its queue; 1 is next, 0: others are being rung for it already
	Eligible int           `json:"eligible"`          // agents who could have taken it, the winner included
	Excluded int           `json:"excluded"`          // agents of the queue who could not
	// Candidates are the eligible, best first, then the excluded: first those this
	// very call leaves out, then others by id.
	Candidates []Candidate `json:"candidates"`
	// Passed are calls that stood before this one and could not have the winner, the
	// first few of them.
	Passed []Passed `json:"passed,omitempty"`
}

// Passed is a call that had to let another go first. Why is a filter of the agent,
// as in Candidate, or "waits:AGENT" when the call waited for somebody else.
type Passed struct {
	Call CallID `json:"call"`
	Why  string `json:"why"`
}

// Candidate is an agent who was considered.
type Candidate struct {
	Agent AgentID       `json:"agent"`
	Idle  time.Duration `json:"idle,omitempty"`
	Level int           `json:"level,omitempty"` // the lowest in what the queue requires
	// Rank is what the queue's strategy orders by, where that is neither the idle
	// time nor the level: contacts handled, nanoseconds talked, the turn, the place
	// in the configuration.
	Rank int64 `json:"rank,omitempty"`
	Tier int   `json:"tier,omitempty"` // where it is not 1
	// Step is from which step of relaxation on an eligible agent qualifies: who
	// qualifies after fewer goes first.
	Step int `json:"step,omitempty"`
	// Failed is the first filter the agent did not pass; empty: eligible. The
	// filters, in order: "skill:NAME", "tier", "queue" (of a queue this one is widened
	// to only later), "off", "registered", "unreachable", "paused:REASON", "reserved",
	// "offered", "talking", "held", "consulting", "wrap_up", "declined", "busy",
	// "no_answer" and "failed" (of this call; a failing phone may also be
	// "unreachable"), "back_off", "unwanted" (the call waits for another agent).
	Failed string `json:"failed,omitempty"`
}

const (
	mostListed = 20  // of each kind
	mostPassed = 5   // calls passed over that are told
	mostWalked = 100 // seats looked at to find the excluded, or calls to find the passed
)

// reasons writes down why c is offered to the agent of a seat. It runs before
// either has moved.
func (f *Floor) reasons(c *call, w *seat) *Match {
	l := c.line
	m := &Match{
		Call: c.id, Queue: l.cfg.ID, Offer: c.offer + 1, Winner: w.agent.id, Strategy: l.cfg.Strategy,
		Relaxed: c.relaxed, Waited: f.now.Sub(c.turn), Position: c.position(), Eligible: l.free(c.relaxed),
	}
	if c.prefer != nil {
		m.Wanted, m.Eligible = c.prefer.id, 1
	} else {
		for i := range c.excluded {
			x := &c.excluded[i]
			if s := x.agent.seatIn(l); s != nil && s.listed && s.ring <= c.relaxed && x.holds() {
				m.Eligible--
			}
		}
		for _, r := range c.rings { // with room for more
			if s := r.agent.seatIn(l); s != nil && s.listed && s.ring <= c.relaxed {
				m.Eligible--
			}
		}
	}
	if m.Position == 0 { // rung already, or rung back: there was no choice
		m.Eligible = max(m.Eligible, 1)
	}
	m.Excluded = max(len(l.seats)-m.Eligible, 0)
	m.Candidates = make([]Candidate, 0, min(m.Eligible, mostListed)+min(m.Excluded, mostListed))
	m.add(f, w, "")
	if c.prefer == nil {
		f.eligible(m, c, w)
	}
	f.leftOut(m, c, w)
	f.passed(m, c, w)
	return m
}

// eligible lists who else could have taken the call, in the order of the strategy.
func (f *Floor) eligible(m *Match, c *call, w *seat) {
	for ring := range min(c.relaxed+1, len(c.line.ready)) {
		for _, s := range c.line.ready[ring].all() {
			if len(m.Candidates) == mostListed {
				return
			}
			if _, out := c.excludes(s.agent); !out && s != w {
				m.add(f, s, "")
			}
		}
	}
}

// leftOut lists who could not take the call.
func (f *Floor) leftOut(m *Match, c *call, w *seat) {
	listed := 0
	add := func(s *seat) bool {
		if s == w {
			return true
		}
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
		if why, already := c.excludes(s.agent); (!already || why == CauseUnknown) && !add(s) {
			return
		}
	}
}

// passed lists calls of the queue that stood before this one, and why none of
// them could have the winner.
func (f *Floor) passed(m *Match, c *call, w *seat) {
	for _, x := range c.line.waiting.all()[:max(min(m.Position-1, mostWalked), 0)] {
		why := f.filter(x, w)
		if x.prefer != nil && x.prefer != w.agent {
			why = "waits:" + string(x.prefer.id)
		}
		if why != "" {
			m.Passed = append(m.Passed, Passed{Call: x.id, Why: why})
		}
		if len(m.Passed) == mostPassed {
			return
		}
	}
}

// filter is the first filter that a seat does not pass for a call.
func (f *Floor) filter(c *call, s *seat) string {
	a := s.agent
	switch {
	case s.ring < 0 || s.ring > c.relaxed:
		if s.lacks == "tier" || s.lacks == "queue" {
			return s.lacks
		}
		return "skill:" + s.lacks
	case a.state == Off && a.want.present() && !a.leaving:
		return "unreachable"
	case a.state == NotReady:
		return "paused:" + a.cause.reason
	case a.state != Ready && !a.room[c.line.cfg.Medium]:
		return a.state.String()
	}
	if cause, out := c.excludes(a); out {
		switch cause {
		case CauseUnknown:
			return Reserved.String()
		case CauseDeclined, CauseBusy, CauseNoAnswer, CauseUnreachable:
			return cause.String()
		}
		return CauseFailed.String()
	}
	switch {
	case !s.listed:
		return "back_off"
	case c.prefer != nil && c.prefer != a:
		return "unwanted"
	}
	return ""
}

func (m *Match) add(f *Floor, s *seat, failed string) {
	x := Candidate{Agent: s.agent.id, Idle: s.agent.idleFor(f.now), Level: s.level, Rank: s.order(), Failed: failed}
	if failed == "" { // beside another contact too the idle clock decides
		x.Idle, x.Step = f.now.Sub(s.agent.idle), s.ring
	}
	if s.tier != 1 {
		x.Tier = s.tier
	}
	m.Candidates = append(m.Candidates, x)
}

// order is what a seat is ordered by in its queue, where that is a number of its own.
func (s *seat) order() int64 {
	switch s.line.cfg.Strategy {
	case FewestCalls:
		return int64(s.agent.handled)
	case LeastTalk:
		return int64(s.agent.talked)
	case RoundRobin:
		return int64(s.turn)
	case TopDown:
		return int64(s.agent.rank)
	}
	return 0
}

// seatIn is the agent's seat in a line; nil if they have none.
func (a *agent) seatIn(l *line) *seat {
	if i := slices.IndexFunc(a.seats, func(s *seat) bool { return s.line == l }); i >= 0 {
		return a.seats[i]
	}
	return nil
}
