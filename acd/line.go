package acd

import (
	"cmp"
	"slices"
	"time"
)

// line is a queue at work: its configuration, who waits in it and who serves it.
type line struct {
	cfg     Queue
	seats   []*seat // every agent assigned to it, and those it is widened to, by id
	waiting row[*call]
	relaxed []int      // how many of those who wait have come to each step of Relax
	ringing row[*call] // calls that more agents may be rung for
	// ready has a row for each step of Relax: the seats with room that qualify from
	// it on, in the order the strategy takes them.
	ready []row[*seat]
	// in counts its qualified agents by state, strength how many are at work, in
	// parts of one: an agent of k queues is a k-th of an agent in each.
	in       [agentStates]int
	able     int // its qualified agents
	strength int
	calls    int   // its calls, waiting, ringing or talking
	removed  bool  // no longer configured; gone when its last call is
	changed  bool  // by a reconfiguration that is going on
	reseated bool  // by the same: agents have come or gone
	shut     bool  // its customers may not be called back now
	due      timer // when being empty takes effect on those who wait
	stats    counts
	tempo    tempo

	round  uint64 // of the match that last looked here
	fresh  int    // seats new to that match
	least  int    // the lowest step those need
	spread uint64 // of the match that last let its ringing calls ring more

	mark int // in an image that is being made
}

// wholeAgent is an agent who serves one queue, in the parts strength is counted
// in: a number that many divide.
const wholeAgent = 720720

// seat is an agent's place in a queue.
type seat struct {
	agent *agent
	line  *line
	level int    // the lowest of the agent's levels in what the queue requires; 0 if nothing
	tier  int    // 1 is first
	ring  int    // the step of Relax from which on the agent qualifies; -1: never
	lacks string // what keeps the agent from qualifying at once: a skill, or "tier"
	guest bool   // of another queue, which this one is widened to
	share int    // of the agent's strength
	turn  uint64 // when the agent was last offered a call of this queue, counted in offers

	listed bool   // stands in a ready row
	round  uint64 // of the match that counted it among its line's fresh ones
}

// counts is what has happened in a queue since the floor started.
type counts struct {
	Offered        uint64 // calls that entered, overflow included
	Answered       uint64
	AnsweredWithin uint64 // of those, after at most the queue's Within since arrival
	Abandoned      uint64 // left by the caller before an answer
	ShortAbandoned uint64 // of those, before the queue's ShortAbandon
	Overflowed     uint64 // moved elsewhere, or refused after the longest wait
	Refused        uint64 // ended before an answer by the switch or an operator
	Callbacks      uint64 // became a promise to call back
	Handled        uint64 // contacts an agent is done with, wrap-up included
	HandleTime     time.Duration
}

// handled counts a contact that an agent is done with.
func (l *line) handled(d time.Duration) {
	l.stats.Handled++
	l.stats.HandleTime += d
	l.tempo.handled(d)
}

// bySeat is the order in which the strategy takes ready agents.
func (l *line) bySeat(s, t *seat) int {
	if s == t {
		return 0
	}
	a, b := s.agent, t.agent
	n := cmp.Compare(s.tier, t.tier)
	if n == 0 {
		switch l.cfg.Strategy {
		case FewestCalls:
			n = cmp.Compare(a.handled, b.handled)
		case LeastTalk:
			n = cmp.Compare(a.talked, b.talked)
		case RoundRobin:
			n = cmp.Compare(s.turn, t.turn)
		case TopDown:
			n = cmp.Compare(a.rank, b.rank)
		case SkillThenIdle:
			n = cmp.Compare(t.level, s.level)
		case WeightedRandom:
			return cmp.Compare(a.id, b.id)
		}
	}
	if n == 0 {
		n = a.idle.Compare(b.idle)
	}
	return cmp.Or(n, cmp.Compare(a.id, b.id))
}

// judge fills in what a seat says of its agent: how good they are at what the
// queue requires, and from which step of its relaxation on they qualify.
func (s *seat) judge() {
	q, a := &s.line.cfg, s.agent
	s.tier = max(1, a.cfg.Tiers[q.ID])
	s.level = 0
	for i, skill := range q.Require {
		if has := a.cfg.Skills[skill]; i == 0 || has < s.level {
			s.level = has
		}
	}
	s.ring, s.lacks = -1, ""
	for step := 0; step <= len(q.Relax) && s.ring < 0; step++ {
		lacks := s.lacking(step)
		if lacks == "" {
			s.ring = step
		}
		if step == 0 {
			s.lacks = lacks
		}
	}
}

// lacking is what keeps a seat from qualifying after some steps of relaxation.
func (s *seat) lacking(steps int) string {
	q := &s.line.cfg
	tier := q.MaxTier
	for _, x := range q.Relax[:steps] {
		if x.Widen != "" && s.agent.serves(x.Widen) {
			return ""
		}
		tier = max(tier, x.Tier)
	}
	if s.guest {
		return "queue"
	}
	for _, skill := range q.Require {
		need := max(q.MinLevel[skill], 1)
		for _, x := range q.Relax[:steps] {
			if x.Skill == skill {
				need = x.Level
			}
		}
		if s.agent.cfg.Skills[skill] < need {
			return skill
		}
	}
	if q.MaxTier > 0 && s.tier > tier {
		return "tier"
	}
	return ""
}

// serves says whether an agent is assigned to a queue.
func (a *agent) serves(q QueueID) bool { return slices.Contains(a.cfg.Queues, q) }

// counted says whether a seat's agent counts as one of the queue's own.
func (s *seat) counted() bool { return s.ring >= 0 && !s.guest }

// present is how many of the line's agents are logged in with a phone that answers.
func (l *line) present() int { return l.able - l.in[Off] - l.in[Registered] }

// free is how many seats have room for a call that has been relaxed so far.
func (l *line) free(relaxed int) int {
	n := 0
	for i := range min(relaxed+1, len(l.ready)) {
		n += l.ready[i].len()
	}
	return n
}

// ringDefault is how long an offer lasts in a queue that does not say.
const ringDefault = 20 * time.Second

func (l *line) ringFor() time.Duration {
	if l.cfg.RingTimeout > 0 {
		return l.cfg.RingTimeout
	}
	return ringDefault
}

// recount follows an agent's move in one of their lines.
func (f *Floor) recount(s *seat, from, to AgentState, cause Cause) {
	if !s.counted() {
		return
	}
	l := s.line
	l.in[from]--
	l.in[to]++
	if from.atWork() != to.atWork() {
		if to.atWork() {
			l.strength += s.share
		} else {
			l.strength -= s.share
		}
	}
	if from <= Registered != (to <= Registered) {
		f.watchEmpty(l, cause)
	}
}

func (f *Floor) countAnswered(c *call) {
	if c.answered.IsZero() {
		return
	}
	l := c.line
	l.stats.Answered++
	if within := l.cfg.Within; within > 0 && c.answered.Sub(c.asked) <= within {
		l.stats.AnsweredWithin++
	}
	l.tempo.served(c, c.answered)
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
		l.tempo.left(f.now.Sub(c.asked))
		if f.now.Sub(c.asked) < l.cfg.ShortAbandon {
			l.stats.ShortAbandoned++
		}
	}
}
