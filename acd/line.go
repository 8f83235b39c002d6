package acd

import "time"

// line is a queue at work: its configuration, who waits in it and who serves it.
type line struct {
	cfg     Queue
	seats   []*seat // every agent assigned to it, by id
	waiting row[*call]
	ready   row[*agent] // its ready agents, longest idle first
	// in counts its qualified agents by state.
	in      [WrapUp + 1]int
	able    int   // its qualified agents
	calls   int   // its calls, waiting, ringing or talking
	removed bool  // no longer configured; gone when its last call is
	due     timer // when being empty takes effect on those who wait
	stats   counts

	round uint64 // of the match that last looked here
	fresh int    // agents new to that match
}

// seat is an agent's place in a queue.
type seat struct {
	agent *agent
	line  *line
	level int    // the lowest of the agent's levels in what the queue requires; 0 if nothing
	lacks string // the first skill the agent lacks, or has too little of; "" when qualified
}

// counts is what has happened in a queue since the floor started.
type counts struct {
	Offered        uint64 // calls that entered, overflow included
	Answered       uint64
	AnsweredWithin uint64 // of those, after at most the queue's Within since arrival
	Abandoned      uint64 // left by the caller before an answer
	ShortAbandoned uint64 // of those, before the queue's ShortAbandon
	Overflowed     uint64 // moved to another queue, or refused after the longest wait
	Refused        uint64 // ended before an answer by the switch or an operator
}

// judge fills in what a seat says of its agent.
func (s *seat) judge() {
	s.level, s.lacks = 0, ""
	for i, skill := range s.line.cfg.Require {
		has := s.agent.skills[skill]
		if has < max(s.line.cfg.MinLevel[skill], 1) {
			s.level, s.lacks = has, skill
			return
		}
		if i == 0 || has < s.level {
			s.level = has
		}
	}
}

// present is how many of the line's agents are logged in with a phone that answers.
func (l *line) present() int { return l.able - l.in[Off] }

// recount follows an agent's move in one of their lines.
func (f *Floor) recount(s *seat, from, to AgentState, cause Cause) {
	if s.lacks != "" {
		return
	}
	l := s.line
	l.in[from]--
	l.in[to]++
	if from == Off || to == Off {
		f.watchEmpty(l, cause)
	}
}

func (f *Floor) countAnswered(c *call) {
	if c.answered.IsZero() {
		return
	}
	l := c.line
	l.stats.Answered++
	if within := l.cfg.Within; within > 0 && c.answered.Sub(c.arrived) <= within {
		l.stats.AnsweredWithin++
	}
	c.answered = time.Time{} // counted
}

// countLost: a call ended before an answer. It was abandoned if its caller or
// the carrier ended it, refused if we did.
func (f *Floor) countLost(c *call, by Party, cause Cause) {
	l := c.line
	switch {
	case by == Supervisor || by == Switch || by == Agent,
		by == Nobody && cause != CauseAbandoned && cause != CauseHangup:
		l.stats.Refused++
	default:
		l.stats.Abandoned++
		if f.now.Sub(c.arrived) < l.cfg.ShortAbandon {
			l.stats.ShortAbandoned++
		}
	}
}
