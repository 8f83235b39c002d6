package ledger

import (
	"cmp"
	"slices"
	"time"

	"foyer/acd"
)

// Fold turns the journal into CDRs. It is fed every record in journal order: the
// event, when it happened, and what the floor answered. It is pure and belongs to
// one goroutine. It remembers the calls without a last word and the agents in
// wrap-up, nothing else, so it does not grow with the history.
type Fold struct {
	open     map[acd.CallID]*story
	wrapping map[acd.AgentID]*story
	queues   map[acd.QueueID]rules
	asked    *acd.Facts // of the present event
	alive    Instant    // the last record that proves the switch was up
}

// NewFold is a Fold before the first record.
func NewFold() *Fold {
	return &Fold{
		open:     make(map[acd.CallID]*story),
		wrapping: make(map[acd.AgentID]*story),
		queues:   make(map[acd.QueueID]rules),
	}
}

// Apply takes one record and returns the CDRs it completed or changed: a call's
// when its Closed comes, and the same ID again when a wrap-up ends later.
//
// A call is closed once. Should the switch die with the call up, either a Closed
// with CauseRestart says so or the next Started does; then the call ends at the
// last moment the journal proves that the switch was running, because how long
// the caller talked to a dead machine is nobody's to bill.
func (f *Fold) Apply(now time.Time, ev acd.Event, done []acd.Action) []CDR {
	at := At(now)
	if ev.Cause == acd.CauseRestart {
		at = cmp.Or(f.alive, at)
	}
	var out []CDR
	if ev.Kind == acd.Started {
		out = f.restart(cmp.Or(f.alive, at))
	}
	f.asked = ev.Facts
	f.before(at, ev)
	for _, a := range done {
		if c, ok := f.act(at, a); ok {
			out = append(out, c)
		}
	}
	if c, ok := f.after(at, ev); ok {
		out = append(out, c)
	}
	if ev.Cause != acd.CauseRestart {
		f.alive = max(f.alive, At(now))
	}
	return out
}

// Open lists the calls without a last word, in order of arrival.
func (f *Fold) Open() []acd.CallID {
	ids := make([]acd.CallID, 0, len(f.open))
	for _, s := range f.inOrder() {
		ids = append(ids, acd.CallID(s.cdr.ID))
	}
	return ids
}

func (f *Fold) inOrder() []*story {
	all := make([]*story, 0, len(f.open))
	for _, s := range f.open {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *story) int {
		return cmp.Or(cmp.Compare(a.cdr.Started, b.cdr.Started), cmp.Compare(a.cdr.ID, b.cdr.ID))
	})
	return all
}

// restart closes what an earlier life left open, and its wrap-ups.
func (f *Fold) restart(at Instant) []CDR {
	var out []CDR
	for _, s := range f.inOrder() {
		s.end(at, acd.Switch, acd.CauseRestart)
		for _, agent := range s.wrappers() {
			s.unwrap(at, agent)
			delete(f.wrapping, agent)
		}
		out = append(out, f.finish(s, acd.Event{}))
	}
	late := make([]acd.AgentID, 0, len(f.wrapping))
	for agent := range f.wrapping {
		late = append(late, agent)
	}
	slices.Sort(late)
	for _, agent := range late {
		if c, ok := f.wrapped(at, agent); ok {
			out = append(out, c)
		}
	}
	return out
}

// before applies what an event says of itself; the floor's answer comes after it.
func (f *Fold) before(at Instant, ev acd.Event) {
	switch ev.Kind {
	case acd.Started, acd.Reconfigured:
		f.configure(ev.Config)
	case acd.Arrived, acd.Rejected:
		f.arrive(at, ev)
	case acd.Alerting:
		f.with(ev.Call, func(s *story) { s.alerted(at, ev.Offer) })
	case acd.Failed:
		f.with(ev.Call, func(s *story) { s.missed(at, ev.Offer, ev.Cause, ev.Code) })
	case acd.WrapUpDone:
		f.coded(ev)
	case acd.Held:
		f.with(ev.Call, func(s *story) { s.hold(at, ev.By) })
	case acd.Resumed:
		f.with(ev.Call, func(s *story) { s.resume(at, ev.By) })
	case acd.Consult:
		f.with(ev.Call, func(s *story) { s.consult(at, ev) })
	case acd.ConsultOver:
		f.with(ev.Call, func(s *story) { s.consulted(at, "over") })
	}
}

// after applies the events that end something: what the floor answered to them,
// a withdrawn offer for one, belongs inside the call they end.
func (f *Fold) after(at Instant, ev acd.Event) (CDR, bool) {
	s, known := f.open[ev.Call]
	if !known {
		return CDR{}, false
	}
	switch ev.Kind {
	case acd.Gone:
		s.end(at, ev.By, ev.Cause)
	case acd.Closed:
		s.end(at, ev.By, ev.Cause) // in case nothing else ended it
		return f.finish(s, ev), true
	}
	return CDR{}, false
}

func (f *Fold) act(at Instant, a acd.Action) (CDR, bool) {
	switch a := a.(type) {
	case acd.Queued:
		f.with(a.Call, func(s *story) { s.enter(at, a.Queue) })
	case acd.Offer:
		f.with(a.Call, func(s *story) { s.offer(at, a) })
	case acd.Withdraw:
		f.with(a.Call, func(s *story) { s.missed(at, a.Offer, a.Cause, 0) })
	case acd.Connect:
		f.with(a.Call, func(s *story) { s.connect(at, a, f.queues[acd.QueueID(s.cdr.Queue)]) })
	case acd.Refuse:
		f.with(a.Call, func(s *story) { s.refused = a.Cause })
	case acd.Divert:
		f.with(a.Call, func(s *story) { s.divert(at, a) })
	case acd.Part:
		f.with(a.Call, func(s *story) { s.part(at, a) })
	case acd.Consulted:
		f.with(a.Call, func(s *story) { s.answered(at, a.Offer) })
	case acd.NotReached:
		f.with(a.Call, func(s *story) { s.consulted(at, resultOf(a.Cause)) })
	case acd.Settled:
		f.with(a.Call, func(s *story) { s.settled, s.settledBy = a.Cause, a.By })
	case acd.Moved:
		return f.move(at, a)
	case acd.CallbackKept:
		f.promise(at, a)
	case acd.CallbackOver:
		return f.broken(at, a)
	}
	return CDR{}, false
}

// promise begins the CDR of a callback.
func (f *Fold) promise(at Instant, a acd.CallbackKept) {
	f.with(a.Call, func(s *story) { s.cdr.Callback = string(a.Callback) })
	if _, twice := f.open[a.Callback]; twice {
		return
	}
	s := newStory(at, acd.Event{Call: a.Callback, Facts: f.asked})
	s.cdr.Direction, s.cdr.Origin, s.cdr.From, s.cdr.To = "outbound", string(a.Call), a.Number, a.Number
	if s.cdr.Client == "" {
		s.cdr.Client = f.queues[a.Queue].client
	}
	s.enter(at, a.Queue)
	f.open[a.Callback] = s
}

// broken ends the CDR of a callback that is made no more.
func (f *Fold) broken(at Instant, a acd.CallbackOver) (CDR, bool) {
	s, known := f.open[a.Call]
	if !known || a.Made { // the call's own last word follows
		return CDR{}, false
	}
	by := acd.Caller
	if a.Cause == acd.CauseAdmin || a.Cause == acd.CauseFailed || a.Cause == acd.CauseDraining {
		by = acd.Switch
	}
	s.end(at, by, a.Cause)
	return f.finish(s, acd.Event{}), true
}

func (f *Fold) with(id acd.CallID, do func(*story)) {
	if s, ok := f.open[id]; ok {
		do(s)
	}
}

func (f *Fold) configure(c *acd.Config) {
	if c == nil {
		return
	}
	clear(f.queues)
	for _, q := range c.Queues {
		f.queues[q.ID] = rulesOf(&q)
	}
}

// rules is what the books must know of a queue.
type rules struct {
	client        string
	within, short time.Duration
}

func rulesOf(q *acd.Queue) rules { return rules{string(q.Client), q.Within, q.ShortAbandon} }

func (f *Fold) arrive(at Instant, ev acd.Event) {
	if _, twice := f.open[ev.Call]; twice || ev.Call == "" {
		return
	}
	s := newStory(at, ev)
	if s.cdr.Client == "" {
		s.cdr.Client = f.queues[ev.Queue].client
	}
	if ev.Kind == acd.Rejected {
		s.refused, s.rejected = ev.Cause, true
	} else {
		s.enter(at, ev.Queue)
	}
	f.open[ev.Call] = s
}

// coded notes what an agent says of the call they are wrapping up.
func (f *Fold) coded(ev acd.Event) {
	s := f.wrapping[ev.Agent]
	if s == nil || ev.Call != "" && s.cdr.ID != string(ev.Call) {
		return
	}
	note := ""
	if ev.Facts != nil {
		note = ev.Facts.Note
	}
	if ev.Reason != "" || note != "" {
		s.coded(ev.Agent, ev.Reason, note)
	}
}

// move follows an agent into and out of the work after a call.
func (f *Fold) move(at Instant, m acd.Moved) (CDR, bool) {
	var c CDR
	var changed bool
	if _, busy := f.wrapping[m.Agent]; busy {
		c, changed = f.wrapped(at, m.Agent)
	}
	if s, ok := f.open[m.Call]; ok && m.To == acd.WrapUp && !s.rejected {
		s.wrap(at, m.Agent)
		f.wrapping[m.Agent] = s
	}
	return c, changed
}

// wrapped ends an agent's wrap-up; the call's CDR goes out again if it was out already.
func (f *Fold) wrapped(at Instant, agent acd.AgentID) (CDR, bool) {
	s := f.wrapping[agent]
	delete(f.wrapping, agent)
	s.unwrap(at, agent)
	if !s.closed {
		return CDR{}, false
	}
	c := s.row()
	c.Again = true
	return c, true
}

func (f *Fold) finish(s *story, last acd.Event) CDR {
	delete(f.open, acd.CallID(s.cdr.ID))
	s.conclude(last, f.queues[acd.QueueID(s.cdr.Queue)])
	return s.row()
}
