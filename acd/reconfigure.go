package acd

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"time"
)

// reconfigure takes over a configuration. What goes on goes on: calls keep their
// place and their agent, agents their state, their clocks and what they want.
// Whoever and whatever is no longer configured drains: a removed agent ends the
// call in hand, a removed queue is served by the agents it had until its last
// call is over.
//
// No call is routed meanwhile, so only what has changed is touched: lines whose
// rules are other ones, and the agents who are other ones or serve such a line.
func (f *Floor) reconfigure(cfg *Config) {
	if cfg == nil {
		return
	}
	f.config = cfg
	f.setRules(cfg)
	touched := f.setLines(cfg.Queues)
	moved := f.setAgents(cfg.Agents, touched)
	f.seatAgents(moved)
	for _, a := range moved {
		a.moved = false
		w := why{}
		if a.leaving {
			w = why{cause: CauseAdmin, by: Supervisor}
		}
		f.rest(a, w)
	}
	for _, l := range slices.Clone(f.order) {
		if l.changed {
			f.takeOver(l)
		}
		f.watchEmpty(l, CauseUnreachable)
	}
	for c := f.first; c != nil; c = c.younger {
		if c.state == CallWaiting || !c.line.changed {
			continue
		}
		c.relaxed = min(c.relaxed, len(c.line.cfg.Relax))
		if c.state == CallRinging && c.line.cfg.Strategy >= RingAll {
			c.line.ringing.add(c)
			f.widen(c)
		}
		f.due.set(&c.due, f.callNext(c))
	}
	for _, l := range f.order {
		l.changed = false
	}
}

// setRules takes over what belongs to no queue and no agent.
func (f *Floor) setRules(cfg *Config) {
	limits := make(map[string]time.Duration, len(cfg.Reasons))
	for _, r := range cfg.Reasons {
		limits[r.ID] = r.Max
	}
	if !maps.Equal(f.limits, limits) {
		f.limits = limits
		for _, a := range f.roster {
			f.due.set(&a.due, f.agentNext(a))
		}
	}
	f.pauseEndsIdle = cfg.PauseEndsIdle
	f.stickiest, f.longestReturn = 0, 0
	for i := range cfg.Queues {
		f.stickiest = max(f.stickiest, cfg.Queues[i].LastAgent.Within)
		f.longestReturn = max(f.longestReturn, cfg.Queues[i].Return)
	}
}

// setLines makes f.order the configured lines, then the removed ones that still
// have calls. It notes which have changed, and returns the queues that are these,
// or whose agents serve these as guests.
func (f *Floor) setLines(queues []Queue) (touched map[QueueID]bool) {
	before := f.order
	for _, l := range before {
		l.changed, l.removed = l.removed, true // a removed one that is back has changed
	}
	f.order = make([]*line, 0, len(queues))
	for _, q := range queues {
		l := f.lines[q.ID]
		if l == nil {
			l = f.newLine()
			f.lines[q.ID] = l
			l.removed, l.changed = true, true
		}
		if l.removed { // else named twice: the first counts
			l.changed = l.changed || !reflect.DeepEqual(l.cfg, q)
			l.cfg, l.removed = q, false
			f.order = append(f.order, l)
		}
	}
	for _, l := range before {
		switch {
		case !l.removed:
		case l.calls > 0:
			l.changed = true
			f.order = append(f.order, l)
		default:
			l.changed = true
			f.due.unset(&l.due)
			delete(f.lines, l.cfg.ID)
		}
	}
	touched = map[QueueID]bool{}
	for _, l := range slices.Concat(before, f.order) {
		if l.changed {
			touched[l.cfg.ID] = true
			for _, x := range l.cfg.Relax {
				touched[x.Widen] = true
			}
		}
	}
	return touched
}

func (f *Floor) newLine() *line {
	l := &line{waiting: row[*call]{compare: byTurn}, ringing: row[*call]{compare: byTurn}}
	l.due.of = l
	return l
}

// setAgents takes over who is at work, and lists, by id, those who must be seated
// anew. They are out of all rows before anything changes that a row is ordered by.
func (f *Floor) setAgents(agents []AgentCfg, touched map[QueueID]bool) (moved []*agent) {
	for _, a := range f.roster {
		a.moved, a.leaving = a.leaving, true // who was to go, and stays after all, has moved
	}
	known, last := len(f.roster), -1
	listed, reordered := make([]*agent, len(agents)), false
	for i := range agents {
		cfg := &agents[i]
		a := f.known(i, cfg.ID)
		if a == nil {
			a = &agent{id: cfg.ID, cfg: cfg, since: f.now, born: f.now, moved: true, rank: last}
			a.due.of = a
			f.agents[cfg.ID] = a
			f.roster = append(f.roster, a)
		}
		if a.rank < last { // listed in another order, which top_down goes by
			reordered = true
		}
		listed[i], last = a, a.rank
		a.leaving = false
		a.moved = a.moved || !cfg.alike(a.cfg)
	}
	if len(f.roster) > known {
		slices.SortFunc(f.roster, func(a, b *agent) int { return cmp.Compare(a.id, b.id) })
	}
	for _, a := range f.roster {
		if a.moved || a.leaving || reordered || a.servesAny(touched) {
			a.moved = true
			moved = append(moved, a)
		}
	}
	f.unseat(moved)
	for i, a := range listed {
		a.cfg, a.rank = &agents[i], i
	}
	f.listed = listed
	return moved
}

// known is an agent of the last configuration, most likely in the same place there.
func (f *Floor) known(place int, id AgentID) *agent {
	if place < len(f.listed) && f.listed[place].id == id {
		return f.listed[place]
	}
	return f.agents[id]
}

// alike says whether nothing has changed of an agent.
func (c *AgentCfg) alike(d *AgentCfg) bool {
	return c.ReadyOnRegister == d.ReadyOnRegister && slices.Equal(c.Queues, d.Queues) &&
		maps.Equal(c.Skills, d.Skills) && maps.Equal(c.Tiers, d.Tiers) &&
		(c.Capacity == d.Capacity || c.Capacity != nil && d.Capacity != nil && *c.Capacity == *d.Capacity)
}

// servesAny says whether an agent serves one of some queues, or has a seat in a
// line that has changed.
func (a *agent) servesAny(touched map[QueueID]bool) bool {
	return len(touched) > 0 &&
		(slices.ContainsFunc(a.cfg.Queues, func(q QueueID) bool { return touched[q] }) ||
			slices.ContainsFunc(a.seats, func(s *seat) bool { return s.line.changed }))
}

// unseat takes agents out of the lines they serve. All who have a seat in a line
// that has changed are among them. The seats are left to them, to be looked up.
func (f *Floor) unseat(moved []*agent) {
	for _, l := range f.order {
		if l.changed {
			clear(l.seats)
			l.seats = l.seats[:0]
			l.in, l.able, l.strength = [agentStates]int{}, 0, 0
			l.ready = make([]row[*seat], len(l.cfg.Relax)+1)
			for i := range l.ready {
				l.ready[i].compare = l.bySeat
			}
		}
	}
	var thinned []*line
	for _, a := range moved {
		for _, s := range a.seats {
			l := s.line
			if l.changed {
				continue
			}
			if s.listed {
				l.ready[s.ring].remove(s)
			}
			if s.counted() {
				l.able--
				l.in[a.state]--
				if a.state.atWork() {
					l.strength -= s.share
				}
			}
			if !l.reseated {
				l.reseated = true
				thinned = append(thinned, l)
			}
		}
	}
	for _, l := range thinned {
		l.reseated = false
		l.seats = slices.DeleteFunc(l.seats, func(s *seat) bool { return s.agent.moved })
	}
}

// seatAgents seats agents anew: in the queues they are configured for, in those
// that are widened to these, and in the removed ones they were serving.
func (f *Floor) seatAgents(moved []*agent) {
	widens := map[QueueID][]*line{}
	for _, l := range f.order {
		for _, x := range l.cfg.Relax {
			if x.Widen != "" {
				widens[x.Widen] = append(widens[x.Widen], l)
			}
		}
	}
	for _, a := range moved {
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
	for _, l := range f.order {
		if l.reseated {
			l.reseated = false
			slices.SortFunc(l.seats, func(s, t *seat) int { return cmp.Compare(s.agent.id, t.agent.id) })
		}
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
	l.reseated = true
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
		for _, s := range a.seats {
			if s.counted() && a.state.atWork() {
				s.line.strength -= s.share
			}
		}
		a.seats = slices.DeleteFunc(a.seats, func(s *seat) bool { return s.line == l })
		f.share(a)
	}
}

// idleFor is how long an agent has been idle; zero while not ready for a call.
func (a *agent) idleFor(now time.Time) time.Duration {
	if a.state != Ready {
		return 0
	}
	return now.Sub(a.idle)
}
