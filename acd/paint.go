package acd

import (
	"maps"
	"slices"
	"time"

	"foyer/acd/flat"
)

// painter goes over a floor's fields, to keep them in an image or to set them from one:
// the same functions do both. What is not gone over here can be told from the rest, and
// complete tells it. A field that is new to the floor must be added to one of the two;
// TestEveryFieldIsInTheImage asks for it.
//
// Agents, lines, calls and reservations name each other by their places in the lists
// below, from 1; 0 is none.
type painter struct {
	*flat.Form
	f       *Floor
	lasting *lasting

	agents []*agent // as in the roster
	lines  []*line  // those of the floor in order, then those that only a call or a contact has left
	calls  []*call  // those of the floor in order, then those over whose agents still wrap up
	hands  []*reservation
	sizes
	timers int // gone over

	leavers, gone, facts int // of what lasts, already given out
	configured           map[QueueID]bool
	next                 int // of the configured queues
}

// sizes are how many of the lines and calls are the floor's.
type sizes struct{ order, live int }

// gather lists what an image is of, the floor's own first, and marks each with its place.
func (p *painter) gather() {
	f := p.f
	p.agents = f.roster
	for i, a := range f.roster {
		a.mark = i
	}
	for _, l := range f.order {
		p.addLine(l)
	}
	p.order = len(p.lines)
	p.calls = make([]*call, 0, len(f.calls)+len(f.calls)/8)
	for c := f.first; c != nil; c = c.younger {
		p.addCall(c)
	}
	p.live = len(p.calls)
	for _, a := range f.roster {
		for _, r := range a.hands {
			r.mark = len(p.hands)
			p.hands = append(p.hands, r)
			p.addCall(r.call)
			p.addLine(r.line)
			if r.seat != nil {
				p.addLine(r.seat.line)
			}
		}
	}
}

func (p *painter) addLine(l *line) {
	if !at(p.lines, l.mark, l) {
		l.mark = len(p.lines)
		p.lines = append(p.lines, l)
	}
}

func (p *painter) addCall(c *call) {
	if !at(p.calls, c.mark, c) {
		c.mark = len(p.calls)
		p.calls = append(p.calls, c)
		p.addLine(c.line)
	}
}

// at says whether v stands at a place of a list.
func at[T comparable](list []T, place int, v T) bool { return place < len(list) && list[place] == v }

// ref goes over a name of something in a list.
func ref[T any](p *painter, v **T, list []*T, mark func(*T) int) {
	n := 0
	if !p.Reads() && *v != nil {
		if n = mark(*v) + 1; n > len(list) || list[n-1] != *v {
			p.Fail("something is not the floor's")
			return
		}
	}
	flat.Number(p.Form, &n)
	if !p.Reads() {
		return
	}
	if n < 0 || n > len(list) {
		p.Fail("there is no number %d", n)
		return
	}
	if *v = nil; n > 0 {
		*v = list[n-1]
	}
}

func (p *painter) agent(v **agent) { ref(p, v, p.agents, func(a *agent) int { return a.mark }) }
func (p *painter) line(v **line)   { ref(p, v, p.lines, func(l *line) int { return l.mark }) }
func (p *painter) call(v **call)   { ref(p, v, p.calls, func(c *call) int { return c.mark }) }
func (p *painter) hand(v **reservation) {
	ref(p, v, p.hands, func(r *reservation) int { return r.mark })
}

// someLine is line where there must be one.
func (p *painter) someLine(v **line) {
	if p.line(v); *v == nil {
		p.Fail("no line")
	}
}

func (p *painter) someCall(v **call) {
	if p.call(v); *v == nil {
		p.Fail("no call")
	}
}

func (p *painter) duration(d *time.Duration) { flat.Number(p.Form, d) }

// floor goes over all of it.
func (p *painter) floor() {
	f := p.f
	p.Moment(&f.now)
	p.Base(f.now)
	flat.Number(p.Form, &f.Violations)
	flat.Number(p.Form, &f.tally)
	flat.Number(p.Form, &f.offers)
	flat.Number(p.Form, &f.due.count)
	for i := range f.spent {
		p.duration(&f.spent[i])
	}
	p.paused()
	if p.Reads() && p.lasting.Config != nil {
		f.config = p.lasting.Config
		f.setRules(f.config)
	}
	p.make()
	for _, l := range p.lines {
		if p.Err() != nil {
			return
		}
		l.flat(p)
	}
	for _, a := range p.agents {
		if p.Err() != nil {
			return
		}
		a.flat(p)
	}
	for _, r := range p.hands {
		r.flat(p)
	}
	for _, c := range p.calls {
		if p.Err() != nil {
			return
		}
		c.flat(p)
	}
}

func (p *painter) paused() {
	paused := p.f.paused
	reasons := slices.Sorted(maps.Keys(paused))
	flat.List(p.Form, &reasons, func(reason *string) {
		flat.Text(p.Form, reason)
		d := paused[*reason]
		p.duration(&d)
		paused[*reason] = d
	})
}

// make makes, when an image is read, what it names.
func (p *painter) make() {
	agents, lines, calls, hands := p.Count(len(p.agents)), p.Count(len(p.lines)), p.Count(len(p.calls)), p.Count(len(p.hands))
	p.order, p.live = p.Count(p.order), p.Count(p.live)
	if !p.Reads() {
		return
	}
	if p.order > lines || p.live > calls {
		p.Fail("more than there are")
	}
	p.agents, p.lines, p.calls, p.hands = many[agent](agents), many[line](lines), many[call](calls), many[reservation](hands)
	for _, a := range p.agents {
		a.due.of = a
	}
	for _, l := range p.lines {
		l.waiting.compare, l.ringing.compare = byTurn, byTurn
		l.due.of = l
	}
	for _, c := range p.calls {
		c.due.of = c
	}
	for _, r := range p.hands {
		r.due.of = r
	}
	p.configured = map[QueueID]bool{}
}

// many makes so many in one piece.
func many[T any](n int) []*T {
	all, list := make([]T, n), make([]*T, n)
	for i := range all {
		list[i] = &all[i]
	}
	return list
}

// timer goes over when something is due.
func (p *painter) timer(t *timer) {
	set := t.place > 0
	if p.Bool(&set); !set {
		return
	}
	p.timers++
	p.Moment(&t.at)
	flat.Number(p.Form, &t.order)
	if p.Reads() {
		p.f.due.heap = append(p.f.due.heap, t)
	}
}

func (l *line) flat(p *painter) {
	p.Bool(&l.removed)
	p.queue(l)
	p.Bool(&l.shut)
	p.timer(&l.due)
	s := &l.stats
	for _, n := range []*uint64{&s.Offered, &s.Answered, &s.AnsweredWithin, &s.Abandoned, &s.ShortAbandoned, &s.Overflowed, &s.Refused, &s.Callbacks, &s.Handled} {
		flat.Number(p.Form, n)
	}
	p.duration(&s.HandleTime)
	t := &l.tempo
	p.duration(&t.handling)
	p.duration(&t.waiting)
	for _, n := range []*int64{&t.contacts, &t.leavers, &t.told, &t.inside} {
		flat.Number(p.Form, n)
	}
}

// queue is a line's configuration: the next one of the floor's, or one of its own.
func (p *painter) queue(l *line) {
	last := p.lasting
	switch {
	case !p.Reads() && l.removed:
		last.Queues = append(last.Queues, l.cfg)
	case !p.Reads():
	case l.removed && p.gone < len(last.Queues):
		l.cfg = last.Queues[p.gone]
		p.gone++
	case !l.removed && last.Config != nil:
		for p.next < len(last.Config.Queues) && p.configured[last.Config.Queues[p.next].ID] {
			p.next++ // named twice: the first counts
		}
		if p.next == len(last.Config.Queues) {
			p.Fail("a queue is not configured")
			return
		}
		l.cfg = last.Config.Queues[p.next]
		p.configured[l.cfg.ID] = true
	default:
		p.Fail("a queue is not configured")
	}
}

func (a *agent) flat(p *painter) {
	flat.Number(p.Form, &a.rank)
	p.Bool(&a.leaving)
	p.person(a)
	if p.Err() != nil {
		return
	}
	flat.List(p.Form, &a.seats, func(s **seat) {
		if p.Reads() {
			*s = &seat{agent: a}
		}
		p.someLine(&(*s).line)
		p.Bool(&(*s).guest)
		flat.Number(p.Form, &(*s).turn)
	})
	flat.Number(p.Form, &a.state)
	p.Moment(&a.since)
	a.cause.flat(p)
	flat.Number(p.Form, &a.want)
	a.pause.flat(p)
	p.Bool(&a.reachable)
	for i := range a.room {
		p.Bool(&a.room[i])
	}
	p.Moment(&a.idle)
	flat.List(p.Form, &a.hands, p.someHand)
	flat.Text(p.Form, &a.about)
	flat.List(p.Form, &a.awaited, p.someCall)
	p.timer(&a.due)
	flat.Number(p.Form, &a.missed)
	flat.Number(p.Form, &a.failures)
	p.Moment(&a.backoff)
	flat.Number(p.Form, &a.forgiven)
	flat.Number(p.Form, &a.handled)
	flat.Number(p.Form, &a.dumped)
	p.duration(&a.talked)
	for i := range a.spent {
		p.duration(&a.spent[i])
	}
	p.Moment(&a.born)
	if p.Reads() && (int(a.state) >= agentStates || a.want > wantsCalls) {
		p.Fail("agent %s is in no state there is", a.id)
	}
}

func (p *painter) someHand(r **reservation) {
	if p.hand(r); *r == nil {
		p.Fail("no contact")
	}
}

// person is an agent's configuration: the one at their place, or one of their own.
func (p *painter) person(a *agent) {
	last := p.lasting
	switch {
	case !p.Reads() && a.leaving:
		last.Agents = append(last.Agents, a.cfg)
	case !p.Reads():
	case a.leaving && p.leavers < len(last.Agents) && last.Agents[p.leavers] != nil:
		a.cfg = last.Agents[p.leavers]
		p.leavers++
	case !a.leaving && last.Config != nil && a.rank >= 0 && a.rank < len(last.Config.Agents):
		a.cfg = &last.Config.Agents[a.rank]
	default:
		p.Fail("an agent is not configured")
		return
	}
	a.id = a.cfg.ID
}

func (w *why) flat(p *painter) {
	flat.Text(p.Form, &w.reason)
	flat.Number(p.Form, &w.cause)
	flat.Number(p.Form, &w.by)
	flat.Text(p.Form, &w.call)
}

func (r *reservation) flat(p *painter) {
	p.someCall(&r.call)
	p.someAgent(&r.agent)
	p.someLine(&r.line)
	p.seat(r)
	flat.Number(p.Form, &r.id)
	flat.Number(p.Form, &r.kind)
	flat.Number(p.Form, &r.stage)
	p.Moment(&r.since)
	p.Moment(&r.begun)
	for _, b := range []*bool{&r.alerted, &r.bridged, &r.again, &r.kept, &r.dialled, &r.consult, &r.blind, &r.given} {
		p.Bool(b)
	}
	flat.Number(p.Form, &r.by)
	flat.Number(p.Form, &r.held)
	p.Moment(&r.lost)
	flat.Number(p.Form, &r.longer)
	p.Moment(&r.until)
	p.timer(&r.due)
}

func (p *painter) someAgent(a **agent) {
	if p.agent(a); *a == nil {
		p.Fail("no agent")
	}
}

// seat is where a reservation's agent was chosen: one of those they have, or one that
// they had before a reconfiguration.
func (p *painter) seat(r *reservation) {
	place := 0 // none
	if !p.Reads() && r.seat != nil {
		place = slices.Index(r.agent.seats, r.seat) + 2 // 1: not one of them
	}
	flat.Number(p.Form, &place)
	switch {
	case p.Err() != nil || place == 0:
		return
	case place == 1:
		if p.Reads() {
			r.seat = &seat{}
		}
		r.seat.flat(p)
	case place < 0 || place-2 >= len(r.agent.seats):
		p.Fail("an agent has no seat %d", place)
	default:
		r.seat = r.agent.seats[place-2]
	}
}

func (s *seat) flat(p *painter) {
	p.someAgent(&s.agent)
	p.someLine(&s.line)
	flat.Number(p.Form, &s.level)
	flat.Number(p.Form, &s.tier)
	flat.Number(p.Form, &s.ring)
	flat.Text(p.Form, &s.lacks)
	p.Bool(&s.guest)
	flat.Number(p.Form, &s.share)
	flat.Number(p.Form, &s.turn)
	p.Bool(&s.listed)
}

func (c *call) flat(p *painter) {
	flat.Text(p.Form, &c.id)
	flat.Number(p.Form, &c.state)
	p.someLine(&c.line)
	flat.Text(p.Form, &c.from)
	for _, t := range []*time.Time{&c.since, &c.arrived, &c.asked, &c.turn, &c.entered, &c.key, &c.answered, &c.growsAt, &c.held} {
		p.Moment(t)
	}
	p.duration(&c.priority)
	p.Bool(&c.ahead)
	flat.Number(p.Form, &c.number)
	flat.Number(p.Form, &c.step)
	flat.Number(p.Form, &c.relaxed)
	flat.List(p.Form, &c.rings, p.someHand)
	p.hand(&c.talk)
	p.hand(&c.aside)
	flat.Number(p.Form, &c.offer)
	p.Bool(&c.again)
	flat.List(p.Form, &c.excluded, func(x *exclusion) { x.flat(p) })
	flat.Number(p.Form, &c.waves)
	p.agent(&c.prefer)
	c.told.flat(p)
	p.promise(c)
	p.timer(&c.due)
	if p.Reads() && (c.state > CallLater || c.relaxed < 0 || c.line != nil && c.state != CallOver && c.relaxed > len(c.line.cfg.Relax)) {
		p.Fail("call %s is in no state there is", c.id)
	}
}

// flat goes over an exclusion. One of an agent who is no longer on the floor excludes
// nobody, and still runs out at its time.
func (x *exclusion) flat(p *painter) {
	there := !p.Reads() && at(p.agents, x.agent.mark, x.agent)
	if p.Bool(&there); there {
		p.someAgent(&x.agent)
	} else if p.Reads() {
		x.agent = &agent{}
	}
	flat.Number(p.Form, &x.cause)
	p.Moment(&x.until)
	flat.Number(p.Form, &x.forgiven)
}

func (a *announced) flat(p *painter) {
	p.Moment(&a.next)
	p.Moment(&a.since)
	p.duration(&a.low)
	p.duration(&a.high)
	p.duration(&a.latest)
	p.Moment(&a.at)
}

func (p *painter) promise(c *call) {
	there := c.back != nil
	if p.Bool(&there); !there {
		return
	}
	last := p.lasting
	if p.Reads() {
		c.back = &promise{}
		if p.facts >= len(last.Facts) {
			p.Fail("callback %s has no facts", c.id)
			return
		}
		c.back.facts = last.Facts[p.facts]
		p.facts++
	} else {
		last.Facts = append(last.Facts, c.back.facts)
	}
	b := c.back
	flat.Text(p.Form, &b.key)
	flat.Text(p.Form, &b.number)
	flat.Number(p.Form, &b.attempts)
	p.Moment(&b.notBefore)
	p.Bool(&b.present)
}

// complete tells the rest of a floor that was read.
func (p *painter) complete() {
	f := p.f
	f.roster, f.order = p.agents, p.lines[:p.order:p.order]
	for _, l := range p.lines {
		l.relaxed = make([]int, len(l.cfg.Relax)+1)
		l.ready = make([]row[*seat], len(l.cfg.Relax)+1)
		for i := range l.ready {
			l.ready[i].compare = l.bySeat
		}
	}
	for _, l := range f.order {
		f.lines[l.cfg.ID] = l
	}
	for _, a := range p.agents {
		f.agents[a.id] = a
		p.seated(a)
	}
	if f.config != nil {
		f.listed = make([]*agent, len(f.config.Agents))
		for i := range f.config.Agents {
			if f.listed[i] = f.agents[f.config.Agents[i].ID]; f.listed[i] == nil {
				p.Fail("agent %s is not there", f.config.Agents[i].ID)
				return
			}
		}
	}
	for _, c := range p.calls[:p.live] {
		p.placed(c)
	}
	for _, l := range f.order {
		slices.SortFunc(l.waiting.items, byTurn)
		slices.SortFunc(l.ringing.items, byTurn)
		for i := range l.ready {
			slices.SortFunc(l.ready[i].items, l.bySeat)
		}
	}
	slices.SortFunc(f.due.heap, dueBefore) // which makes it a heap
	for i, t := range f.due.heap {
		t.place = i + 1
	}
}

// seated puts an agent's seats where they belong.
func (p *painter) seated(a *agent) {
	for _, s := range a.seats {
		l := s.line
		s.judge()
		l.seats = append(l.seats, s)
		if s.counted() {
			l.able++
			l.in[a.state]++
		}
		if s.ring >= 0 && a.room[l.cfg.Medium] {
			s.listed = true
			l.ready[s.ring].items = append(l.ready[s.ring].items, s)
		}
	}
	p.f.share(a)
}

// placed puts a call into the rows of its line.
func (p *painter) placed(c *call) {
	p.f.append(c)
	l := c.line
	l.calls++
	if c.back != nil {
		p.f.promised[c.back.key] = c
	}
	switch {
	case c.state == CallWaiting:
		l.waiting.items = append(l.waiting.items, c)
		l.relaxed[c.relaxed]++
	case c.state == CallRinging && l.cfg.Strategy >= RingAll:
		l.ringing.items = append(l.ringing.items, c)
	}
}
