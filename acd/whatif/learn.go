package whatif

import (
	"time"

	"foyer/acd"
)

// Learner takes a recorded day apart while its records go by.
type Learner struct {
	day    Day
	live   map[acd.CallID]*phase
	agents map[acd.AgentID]*standing
	last   time.Time
}

// phase is where a call stands while the day is learned.
type phase struct {
	*caller
	offers  map[acd.OfferID]*ringing
	talking time.Time // since; zero while not
	agent   acd.AgentID
	dialled time.Time
	settled bool
}

type ringing struct {
	at time.Time
	tried
}

// standing is where an agent stands.
type standing struct {
	state  acd.AgentState
	reason string
	since  time.Time
	calls  bool // last asked for calls
	about  acd.CallID
}

// NewLearner is a day before its first record.
func NewLearner() *Learner {
	return &Learner{
		day: Day{
			callers: map[acd.CallID]*caller{}, agents: map[acd.AgentID]*habits{}, queues: map[acd.QueueID]*custom{},
		},
		live: map[acd.CallID]*phase{}, agents: map[acd.AgentID]*standing{},
	}
}

// Observe takes one record and what the floor decided on it. It fits acd.Replay.
func (l *Learner) Observe(r acd.Record, done []acd.Action) {
	at, ev := r.At, &r.Event
	if l.day.begin.IsZero() {
		l.day.begin = at
	}
	if ev.Kind == acd.Started {
		l.restart()
	}
	l.last = at
	l.ofAgent(at, ev)
	l.ofCall(at, ev)
	for _, a := range done {
		l.action(at, a)
	}
	if ev.Kind == acd.Gone {
		l.gone(at, ev)
	}
}

func (l *Learner) keep(at time.Time, ev *acd.Event) {
	l.day.script = append(l.day.script, beat{at, *ev})
}

// restart ends what an earlier life of the switch left open.
func (l *Learner) restart() {
	for _, p := range l.live {
		l.interrupt(p)
	}
	for _, s := range l.agents { // each has a call of its own, so the order does not matter
		if c := l.day.callers[s.about]; c != nil && s.state == acd.WrapUp {
			c.after = wrap{length: max(l.last.Sub(s.since), time.Millisecond), agent: true, cut: true}
		}
	}
	clear(l.live)
	clear(l.agents)
}

// interrupt: nothing more is known of a call.
func (l *Learner) interrupt(p *phase) {
	if !p.talking.IsZero() {
		p.talk += l.last.Sub(p.talking)
	} else if p.talk == 0 && !p.settled {
		p.waited = l.last.Sub(p.arrived)
	}
}

func (l *Learner) agent(id acd.AgentID) *standing {
	s := l.agents[id]
	if s == nil {
		s = &standing{}
		l.agents[id] = s
	}
	return s
}

func (l *Learner) habits(id acd.AgentID) *habits {
	h := l.day.agents[id]
	if h == nil {
		h = &habits{}
		l.day.agents[id] = h
	}
	return h
}

// ofAgent keeps what an agent asks for, but for what they only ask because of a
// call: the end of a wrap-up, and coming back after a missed call.
func (l *Learner) ofAgent(at time.Time, ev *acd.Event) {
	if ev.Agent == "" {
		return
	}
	s := l.agent(ev.Agent)
	switch ev.Kind {
	case acd.WrapUpDone:
		l.wrapDone(at, s, ev.Reason)
	case acd.MakeReady:
		if s.state == acd.WrapUp {
			l.wrapDone(at, s, "")
			if s.calls {
				return
			}
		}
		s.calls = true
		if s.state == acd.NotReady && s.reason == acd.ReasonMissed {
			if back := l.habits(ev.Agent).back; len(back) > 0 {
				back[len(back)-1] = at.Sub(s.since)
			}
			return
		}
		l.keep(at, ev)
	case acd.Login, acd.Reachable, acd.Unreachable:
		l.keep(at, ev)
	case acd.Logout, acd.Pause:
		s.calls = false
		l.keep(at, ev)
	}
}

func (l *Learner) wrapDone(at time.Time, s *standing, code string) {
	if c := l.day.callers[s.about]; c != nil && s.state == acd.WrapUp {
		c.after = wrap{length: max(at.Sub(s.since), time.Millisecond), agent: true, code: code}
	}
}

func (l *Learner) ofCall(at time.Time, ev *acd.Event) {
	p := l.live[ev.Call]
	switch ev.Kind {
	case acd.Started, acd.Reconfigured, acd.CallbacksOpen, acd.CallbacksShut:
		l.keep(at, ev)
	case acd.Arrived:
		l.arrive(at, ev)
		l.keep(at, ev)
	case acd.CallbackAsked:
		if from := l.live[ev.Origin]; from != nil {
			from.asks = &asking{after: at.Sub(from.arrived), ev: *ev}
		} else {
			l.keep(at, ev)
		}
		l.arrive(at, ev)
	case acd.Alerting:
		if o := p.offer(ev.Offer); o != nil && o.alerted < 0 {
			o.alerted = at.Sub(o.at)
		}
	case acd.Failed:
		l.tried(p, ev.Offer, at, tried{result: acd.Failed, cause: ev.Cause, code: ev.Code})
	case acd.Held, acd.Resumed, acd.LinkLost, acd.LinkBack:
		if p != nil && !p.talking.IsZero() {
			p.during = append(p.during, during{p.talk + at.Sub(p.talking), ev.Kind, ev.By, ev.Reason})
		}
	case acd.CallerBack, acd.CallerMissed:
		if p != nil && !p.dialled.IsZero() {
			d := dialled{after: at.Sub(p.dialled)}
			if ev.Kind == acd.CallerMissed {
				d.missed = ev.Cause
				if d.missed == acd.CauseUnknown {
					d.missed = acd.CauseNoAnswer
				}
			}
			p.dials = append(p.dials, d)
		}
	}
}

func (l *Learner) arrive(at time.Time, ev *acd.Event) {
	if l.live[ev.Call] != nil || ev.Call == "" {
		return
	}
	c := &caller{queue: ev.Queue, arrived: at}
	l.day.callers[ev.Call] = c
	l.live[ev.Call] = &phase{caller: c, offers: map[acd.OfferID]*ringing{}}
}

func (p *phase) offer(n acd.OfferID) *ringing {
	if p == nil {
		return nil
	}
	return p.offers[n]
}

// tried notes what became of an offer, once.
func (l *Learner) tried(p *phase, n acd.OfferID, at time.Time, what tried) {
	o := p.offer(n)
	if o == nil {
		return
	}
	delete(p.offers, n)
	what.agent, what.alerted, what.after = o.agent, o.alerted, at.Sub(o.at)
	p.caller.offers = append(p.caller.offers, what)
	if what.cut {
		return
	}
	h := l.habits(o.agent)
	h.offers = append(h.offers, what)
	l.day.anyone.offers = append(l.day.anyone.offers, what)
}

func (l *Learner) action(at time.Time, a acd.Action) {
	switch a := a.(type) {
	case acd.Offer:
		if p := l.live[a.Call]; p != nil && a.Asker == "" {
			p.offers[a.Offer] = &ringing{at: at, tried: tried{agent: a.Agent, alerted: -1}}
		}
	case acd.Withdraw:
		if p := l.live[a.Call]; p != nil {
			l.tried(p, a.Offer, at, tried{cut: a.Cause != acd.CauseNoAnswer})
		}
	case acd.Connect:
		if p := l.live[a.Call]; p != nil {
			if p.talk == 0 {
				p.waited = at.Sub(p.arrived)
			}
			p.talking, p.agent = at, a.Agent
			l.tried(p, a.Offer, at, tried{result: acd.Answered})
		}
	case acd.Dial:
		if p := l.live[a.Call]; p != nil {
			l.tried(p, a.Offer, at, tried{result: acd.Answered})
			p.dialled = at
		}
	case acd.Queued: // again: the agent was lost before the bridge, or in the talk
		if p := l.live[a.Call]; p != nil {
			p.queue = a.Queue
			p.stop(at)
		}
	case acd.Part:
		if p := l.live[a.Call]; p != nil {
			p.stop(at)
		}
	case acd.Refuse:
		l.settle(a.Call, at)
	case acd.Divert:
		l.settle(a.Call, at)
	case acd.CallbackKept:
		l.settle(a.Call, at)
	case acd.Moved:
		l.moved(at, a)
	}
}

func (p *phase) stop(at time.Time) {
	if !p.talking.IsZero() {
		p.talk += at.Sub(p.talking)
		p.talking = time.Time{}
	}
}

// settle: the floor sent a caller away who would have waited on.
func (l *Learner) settle(id acd.CallID, at time.Time) {
	if p := l.live[id]; p != nil && !p.settled {
		p.settled = true
		if p.talk == 0 {
			p.waited = at.Sub(p.arrived)
		}
	}
}

func (l *Learner) moved(at time.Time, a acd.Moved) {
	s := l.agent(a.Agent)
	if s.state == acd.WrapUp {
		if c := l.day.callers[s.about]; c != nil && c.after.length == 0 {
			c.after = wrap{length: max(at.Sub(s.since), time.Millisecond)}
		}
	}
	s.state, s.reason, s.since, s.about = a.To, a.Reason, at, a.Call
	if a.To == acd.NotReady && a.Reason == acd.ReasonMissed {
		l.habits(a.Agent).back = append(l.habits(a.Agent).back, notBack)
	}
	if a.To == acd.Ready {
		s.calls = true
	}
}

func (l *Learner) gone(at time.Time, ev *acd.Event) {
	p := l.live[ev.Call]
	if p == nil {
		return
	}
	delete(l.live, ev.Call)
	switch {
	case !p.talking.IsZero():
		p.stop(at)
		p.talk = max(p.talk, time.Millisecond)
		p.by, p.cause = ev.By, ev.Cause
	case p.talk == 0 && !p.settled:
		p.waited = at.Sub(p.arrived)
		p.left = ev.By <= acd.Caller || ev.By == acd.Carrier
	}
}

// Day is what was learned. The learner is of no use afterwards.
func (l *Learner) Day() *Day {
	l.restart()
	d := &l.day
	d.end = l.last
	for _, id := range inOrder(d.agents) {
		for _, b := range d.agents[id].back {
			if b != notBack {
				d.anyone.back = append(d.anyone.back, b)
			}
		}
	}
	for _, id := range inOrder(d.callers) {
		c := d.callers[id]
		q := d.queues[c.queue]
		if q == nil {
			q = &custom{}
			d.queues[c.queue] = q
		}
		for _, u := range []*custom{q, &d.all} {
			u.patience.saw(c.waited, c.left)
			if c.talk > 0 {
				u.talks = append(u.talks, c.talk)
			}
			if c.after.length > 0 && !c.after.cut {
				u.wraps = append(u.wraps, c.after)
			}
		}
	}
	d.all.patience.settle()
	for _, q := range d.queues {
		q.patience.settle()
	}
	return d
}
