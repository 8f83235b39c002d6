package acd

import (
	"cmp"
	"slices"
	"time"
)

// reconfigure takes over a configuration. What goes on goes on: calls keep their
// place and their agent, agents their state, their clocks and what they want.
// Whoever and whatever is no longer configured drains: a removed agent ends the
// call in hand, a removed queue is served by the agents it had until its last
// call is over.
func (f *Floor) reconfigure(cfg *Config) {
	if cfg == nil {
		return
	}
	f.setLines(cfg.Queues)
	f.setAgents(cfg.Agents)
	f.seatAgents(cfg.Agents)
	for _, a := range slices.Clone(f.roster) {
		switch {
		case a.leaving && a.atEase() && a.state != Off:
			f.rest(a, why{cause: CauseAdmin, by: Supervisor})
		case a.leaving && a.state == Off:
			f.dismiss(a)
		default:
			f.list(a)
		}
	}
	for _, l := range slices.Clone(f.order) {
		f.requeue(l)
	}
}

// setLines makes f.order the configured lines, then the removed ones that still
// have calls.
func (f *Floor) setLines(queues []Queue) {
	before := f.order
	for _, l := range before {
		l.removed = true
	}
	f.order = make([]*line, 0, len(queues))
	for _, q := range queues {
		l := f.lines[q.ID]
		if l == nil {
			l = f.newLine()
			f.lines[q.ID] = l
			l.removed = true
		}
		if l.removed { // else named twice: the first counts
			l.cfg, l.removed = q, false
			f.order = append(f.order, l)
		}
	}
	for _, l := range before {
		switch {
		case !l.removed:
		case l.calls > 0:
			f.order = append(f.order, l)
		default:
			f.due.unset(&l.due)
			delete(f.lines, l.cfg.ID)
		}
	}
}

func (f *Floor) newLine() *line {
	l := &line{waiting: row[*call]{compare: byTurn}, ready: row[*agent]{compare: byIdle}}
	l.due.fire = func(f *Floor) { f.lineDue(l) }
	return l
}

func (f *Floor) setAgents(agents []AgentCfg) {
	for _, a := range f.roster {
		a.leaving = true
	}
	for i := range agents {
		cfg := &agents[i]
		a := f.agents[cfg.ID]
		if a == nil {
			a = &agent{id: cfg.ID, since: f.now, born: f.now}
			a.due.fire = func(f *Floor) { f.agentDue(a) }
			f.agents[cfg.ID] = a
			f.roster = append(f.roster, a)
		}
		a.leaving, a.ready, a.skills = false, cfg.ReadyOnRegister, cfg.Skills
	}
	slices.SortFunc(f.roster, func(a, b *agent) int { return cmp.Compare(a.id, b.id) })
}

// seatAgents seats everybody anew: in the queues they are configured for, and in
// the removed ones they were serving.
func (f *Floor) seatAgents(agents []AgentCfg) {
	queues := make(map[AgentID][]QueueID, len(agents))
	for i := range agents {
		queues[agents[i].ID] = agents[i].Queues
	}
	for _, l := range f.order {
		clear(l.seats)
		l.seats = l.seats[:0]
		l.in, l.able = [WrapUp + 1]int{}, 0
		l.ready.clear()
	}
	for _, a := range f.roster {
		before := a.seats
		a.seats, a.listed = nil, false
		if a.leaving {
			continue
		}
		for _, q := range queues[a.id] {
			f.seat(a, f.lines[q])
		}
		for _, s := range before {
			if s.line.removed && s.line.calls > 0 {
				f.seat(a, s.line)
			}
		}
	}
}

func (f *Floor) seat(a *agent, l *line) {
	if l == nil || a.seatIn(l) != nil {
		return
	}
	s := &seat{agent: a, line: l}
	s.judge()
	a.seats = append(a.seats, s)
	l.seats = append(l.seats, s)
	if s.lacks == "" {
		l.able++
		l.in[a.state]++
	}
}

// requeue gives those who wait in a line their turn under its new rules.
func (f *Floor) requeue(l *line) {
	waiting := slices.Clone(l.waiting.all())
	l.waiting.clear()
	for _, c := range waiting {
		c.key = c.keyIn(l)
		c.step = min(c.step, len(l.cfg.Overflow))
	}
	for _, c := range waiting {
		l.waiting.add(c)
		f.freshen(c)
		f.due.set(&c.due, c.nextDue())
	}
	f.watchEmpty(l, CauseUnreachable)
}

// dismiss removes an agent who is no longer configured.
func (f *Floor) dismiss(a *agent) {
	f.due.unset(&a.due)
	delete(f.agents, a.id)
	if i := slices.Index(f.roster, a); i >= 0 {
		f.roster = slices.Delete(f.roster, i, i+1)
	}
}

// leave takes a call off a line; a removed line ends with its last call.
func (f *Floor) leave(l *line) {
	l.calls--
	if !l.removed || l.calls > 0 {
		return
	}
	f.due.unset(&l.due)
	delete(f.lines, l.cfg.ID)
	if i := slices.Index(f.order, l); i >= 0 {
		f.order = slices.Delete(f.order, i, i+1)
	}
	for _, s := range l.seats {
		a := s.agent
		a.seats = slices.DeleteFunc(a.seats, func(s *seat) bool { return s.line == l })
	}
}

// idleFor is how long an agent has been idle; zero while not ready for a call.
func (a *agent) idleFor(now time.Time) time.Duration {
	if a.state != Ready {
		return 0
	}
	return now.Sub(a.idle)
}
