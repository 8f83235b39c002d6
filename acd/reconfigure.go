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
	f.setRules(cfg)
	f.setLines(cfg.Queues)
	f.setAgents(cfg.Agents)
	f.seatAgents()
	for _, a := range slices.Clone(f.roster) {
		w := why{}
		if a.leaving {
			w = why{cause: CauseAdmin, by: Supervisor}
		}
		f.rest(a, w)
	}
	for _, l := range slices.Clone(f.order) {
		f.takeOver(l)
	}
	for c := f.first; c != nil; c = c.younger {
		if c.state == CallWaiting {
			continue
		}
		c.relaxed = min(c.relaxed, len(c.line.cfg.Relax))
		if c.state == CallRinging && c.line.cfg.Strategy >= RingAll {
			c.line.ringing.add(c)
			f.widen(c)
		}
		f.due.set(&c.due, f.callNext(c))
	}
}

// setRules takes over what belongs to no queue and no agent.
func (f *Floor) setRules(cfg *Config) {
	f.limits = make(map[string]time.Duration, len(cfg.Reasons))
	for _, r := range cfg.Reasons {
		f.limits[r.ID] = r.Max
	}
	f.pauseEndsIdle = cfg.PauseEndsIdle
	f.stickiest, f.longestReturn = 0, 0
	for i := range cfg.Queues {
		f.stickiest = max(f.stickiest, cfg.Queues[i].LastAgent.Within)
		f.longestReturn = max(f.longestReturn, cfg.Queues[i].Return)
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
	l := &line{waiting: row[*call]{compare: byTurn}, ringing: row[*call]{compare: byTurn}}
	l.due.of = l
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
			a.due.of = a
			f.agents[cfg.ID] = a
			f.roster = append(f.roster, a)
		}
		a.leaving, a.cfg, a.rank = false, cfg, i
	}
	slices.SortFunc(f.roster, func(a, b *agent) int { return cmp.Compare(a.id, b.id) })
}

// seatAgents seats everybody anew: in the queues they are configured for, in
// those that are widened to these, and in the removed ones they were serving.
func (f *Floor) seatAgents() {
	widens := map[QueueID][]*line{}
	for _, l := range f.order {
		clear(l.seats)
		l.seats = l.seats[:0]
		l.in, l.able, l.strength = [agentStates]int{}, 0, 0
		l.ready = make([]row[*seat], len(l.cfg.Relax)+1)
		for i := range l.ready {
			l.ready[i].compare = l.bySeat
		}
		for _, x := range l.cfg.Relax {
			if x.Widen != "" {
				widens[x.Widen] = append(widens[x.Widen], l)
			}
		}
	}
	for _, a := range f.roster {
		before := a.seats
		a.seats = nil
		if a.leaving {
			continue
		}
		for _, q := range a.cfg.Queues {
			f.seat(a, f.lines[q], before, false)
		}
		for _, q := range a.cfg.Queues {
			for _, l := range widens[q] {
				f.seat(a, l, before, true)
			}
		}
		for _, s := range before {
			if s.line.removed && s.line.calls > 0 {
				f.seat(a, s.line, before, s.guest)
			}
		}
		f.share(a)
	}
}

func (f *Floor) seat(a *agent, l *line, before []*seat, guest bool) {
	if l == nil || a.seatIn(l) != nil {
		return
	}
	s := &seat{agent: a, line: l, guest: guest}
	for _, old := range before {
		if old.line == l {
			s.turn = old.turn
		}
	}
	s.judge()
	a.seats = append(a.seats, s)
	l.seats = append(l.seats, s)
	if s.counted() {
		l.able++
		l.in[a.state]++
	}
}

// share splits an agent's strength among the queues they serve.
func (f *Floor) share(a *agent) {
	n := 0
	for _, s := range a.seats {
		if s.counted() {
			n++
		}
	}
	for _, s := range a.seats {
		if s.counted() {
			s.share = wholeAgent / n
			if a.state.atWork() {
				s.line.strength += s.share
			}
		}
	}
}

// takeOver gives the calls of a line their turn under its new rules.
func (f *Floor) takeOver(l *line) {
	waiting := slices.Clone(l.waiting.all())
	l.waiting.clear()
	l.ringing.clear()
	l.relaxed = make([]int, len(l.cfg.Relax)+1)
	for _, c := range waiting {
		c.key = c.keyIn(l)
		c.step = min(c.step, len(l.cfg.Overflow))
		c.relaxed = min(c.relaxed, len(l.cfg.Relax))
	}
	for _, c := range waiting {
		l.wait(c)
		f.freshen(c)
		f.due.set(&c.due, f.callNext(c))
	}
	f.watchEmpty(l, CauseUnreachable)
}

// dismiss removes an agent who is no longer configured.
func (f *Floor) dismiss(a *agent) {
	f.due.unset(&a.due)
	f.spend(a)
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
