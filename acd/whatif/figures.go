package whatif

import (
	"encoding/json"
	"slices"
	"time"

	"foyer/acd"
)

// Figures are what a day comes to.
type Figures struct {
	Queues []QueueFigures `json:"queues"` // as configured
	Total  QueueFigures   `json:"total"`
	// Agents is how many were at work at some time.
	Agents int `json:"agents"`
	// Decisions is how many actions the floor took.
	Decisions int `json:"decisions"`
}

// QueueFigures are those of a queue. Waits count from the arrival of the call, or
// from the loss of its agent. A call that moves on counts in each queue; in the
// total it counts once.
type QueueFigures struct {
	Queue     acd.QueueID   `json:"queue,omitempty"`
	Offered   int           `json:"offered"`
	Answered  int           `json:"answered"`
	InTime    int           `json:"in_time"` // of the answered, within the queue's target
	Abandoned int           `json:"abandoned"`
	Short     int           `json:"short"`     // of the abandoned, sooner than the queue counts
	Moved     int           `json:"moved"`     // to another queue, outside, or to voicemail
	Refused   int           `json:"refused"`   // ended by the switch or an operator before an answer
	Callbacks int           `json:"callbacks"` // callers who chose to be called back
	Returned  int           `json:"called_back"`
	Mean      time.Duration `json:"-"` // of the answered
	P90       time.Duration `json:"-"` // of the answered
	Longest   time.Duration `json:"-"`
	Handling  time.Duration `json:"-"` // talk, hold and wrap-up of its calls
	// Of the agents who serve it, in all their queues:
	Ready    time.Duration `json:"-"`
	Busy     time.Duration `json:"-"`
	LoggedIn time.Duration `json:"-"`
}

// MarshalJSON writes times in seconds, and the shares that can be told.
func (q QueueFigures) MarshalJSON() ([]byte, error) {
	type counts QueueFigures
	out := struct {
		counts
		Mean      float64  `json:"asa_s"`
		P90       float64  `json:"p90_s"`
		Longest   float64  `json:"longest_s"`
		Handling  float64  `json:"handling_s"`
		Ready     float64  `json:"ready_s"`
		Busy      float64  `json:"busy_s"`
		LoggedIn  float64  `json:"logged_in_s"`
		Level     *float64 `json:"service_level,omitempty"`
		Occupancy *float64 `json:"occupancy,omitempty"`
	}{
		counts: counts(q), Mean: q.Mean.Seconds(), P90: q.P90.Seconds(), Longest: q.Longest.Seconds(), Handling: q.Handling.Seconds(),
		Ready: q.Ready.Seconds(), Busy: q.Busy.Seconds(), LoggedIn: q.LoggedIn.Seconds(),
	}
	if l, ok := q.ServiceLevel(); ok {
		out.Level = &l
	}
	if o, ok := q.Occupancy(); ok {
		out.Occupancy = &o
	}
	return json.Marshal(out)
}

// ServiceLevelName says which of the many service levels this is.
const ServiceLevelName = "answered in time / (answered + abandoned, short ones left out)"

// ServiceLevel is the share of callers served in time; false when there were none.
func (q *QueueFigures) ServiceLevel() (float64, bool) {
	n := q.Answered + q.Abandoned - q.Short
	return ratio(float64(q.InTime), float64(n))
}

// Occupancy is the share of time with a call of the time with or ready for one.
func (q *QueueFigures) Occupancy() (float64, bool) {
	return ratio(float64(q.Busy), float64(q.Busy+q.Ready))
}

func ratio(part, of float64) (float64, bool) {
	if of <= 0 {
		return 0, false
	}
	return part / of, true
}

// Tally counts the figures of a day, recorded or played, while it goes by.
type Tally struct {
	from, to time.Time // only calls that arrive, and time that passes, between them; zero: all
	rules    map[acd.QueueID]*acd.Queue
	serves   map[acd.AgentID][]acd.QueueID
	order    []acd.QueueID
	queues   map[acd.QueueID]*count
	total    count
	calls    map[acd.CallID]*counted
	agents   map[acd.AgentID]*timed
	came     map[acd.AgentID]bool
	first    time.Time
	last     time.Time
	done     int
}

type count struct {
	QueueFigures
	waits []time.Duration
}

// counted is a call that is being counted; one that is not has no queue.
type counted struct {
	queue    acd.QueueID
	asked    time.Time
	talks    bool
	callback bool
	given    bool // by the agent who had it, to another or to a number
}

// timed is an agent whose time is being counted.
type timed struct {
	state acd.AgentState
	since time.Time
	queue acd.QueueID // of the call in hand
}

// NewTally counts calls that arrive from one moment on and before another, and the
// agents' time between them; zero moments are no bounds.
func NewTally(from, to time.Time) *Tally {
	return &Tally{
		from: from, to: to, rules: map[acd.QueueID]*acd.Queue{}, serves: map[acd.AgentID][]acd.QueueID{},
		queues: map[acd.QueueID]*count{}, calls: map[acd.CallID]*counted{}, agents: map[acd.AgentID]*timed{}, came: map[acd.AgentID]bool{},
	}
}

// Observe takes one record and what the floor decided on it. It fits acd.Replay.
func (t *Tally) Observe(r acd.Record, done []acd.Action) {
	ev := &r.Event
	if t.first.IsZero() {
		t.first = r.At
	}
	switch ev.Kind {
	case acd.Started:
		t.stop(t.last)
		clear(t.calls)
		t.configure(ev.Config)
	case acd.Reconfigured:
		t.configure(ev.Config)
	case acd.Arrived:
		if t.counts(r.At) {
			t.calls[ev.Call] = &counted{asked: r.At}
			t.total.Offered++
		}
	case acd.CallbackAsked:
		if t.counts(r.At) && t.calls[ev.Call] == nil {
			t.calls[ev.Call] = &counted{asked: r.At, callback: true}
		}
	}
	t.last = r.At
	for _, a := range done {
		t.done++
		t.action(r.At, a)
	}
	if ev.Kind == acd.Gone {
		t.gone(r.At, ev)
	}
}

func (t *Tally) counts(at time.Time) bool {
	return (t.from.IsZero() || !at.Before(t.from)) && (t.to.IsZero() || at.Before(t.to))
}

func (t *Tally) configure(cfg *acd.Config) {
	if cfg == nil {
		return
	}
	for i := range cfg.Queues {
		q := &cfg.Queues[i]
		t.rules[q.ID] = q
		t.queue(q.ID)
	}
	for i := range cfg.Agents {
		t.serves[cfg.Agents[i].ID] = cfg.Agents[i].Queues
	}
}

func (t *Tally) queue(id acd.QueueID) *count {
	q := t.queues[id]
	if q == nil {
		q = &count{QueueFigures: QueueFigures{Queue: id}}
		t.queues[id] = q
		t.order = append(t.order, id)
	}
	return q
}

func (t *Tally) action(at time.Time, a acd.Action) {
	switch a := a.(type) {
	case acd.Queued:
		if c := t.calls[a.Call]; c != nil {
			t.queued(c, a)
		}
	case acd.Connect:
		if c := t.calls[a.Call]; c != nil {
			if !c.given {
				t.answered(at, c)
			}
			c.given = false
			c.talks = true
		}
		t.timer(a.Agent).queue = t.queueOf(a.Call)
	case acd.Part:
		if c := t.calls[a.Call]; c != nil {
			c.talks, c.asked = false, at
			if c.given = a.Cause == acd.CauseTransferred && t.rules[acd.QueueID(a.To)] == nil; c.given {
				return // to an agent or a number
			}
			t.total.Offered++
			if a.Cause != acd.CauseTransferred || acd.QueueID(a.To) == c.queue {
				t.queue(c.queue).Offered++
			}
		}
	case acd.Refuse:
		t.sentAway(a.Call, at, func(q *QueueFigures) { q.Refused++ })
	case acd.Divert:
		t.sentAway(a.Call, at, func(q *QueueFigures) { q.Moved++ })
	case acd.CallbackKept:
		t.sentAway(a.Call, at, func(q *QueueFigures) { q.Callbacks++ })
	case acd.Moved:
		t.moved(at, a)
	}
}

func (t *Tally) queueOf(id acd.CallID) acd.QueueID {
	if c := t.calls[id]; c != nil {
		return c.queue
	}
	return ""
}

func (t *Tally) queued(c *counted, a acd.Queued) {
	switch {
	case c.talks: // lost before both heard each other: not answered after all
		c.talks = false
		t.unanswer(c)
		return
	case c.queue == a.Queue:
		return
	case a.From != "" && c.queue != "":
		t.queue(a.From).Moved++
	}
	c.queue = a.Queue
	if !c.callback {
		t.queue(a.Queue).Offered++
	}
}

func (t *Tally) answered(at time.Time, c *counted) {
	wait := at.Sub(c.asked)
	rules := t.rules[c.queue]
	for _, q := range []*count{t.queue(c.queue), &t.total} {
		if c.callback {
			q.Returned++
			continue
		}
		q.Answered++
		q.waits = append(q.waits, wait)
		q.Longest = max(q.Longest, wait)
		if rules != nil && rules.Within > 0 && wait <= rules.Within {
			q.InTime++
		}
	}
}

// unanswer takes back the last answer, which is the one of this moment.
func (t *Tally) unanswer(c *counted) {
	rules := t.rules[c.queue]
	for _, q := range []*count{t.queue(c.queue), &t.total} {
		if c.callback {
			q.Returned--
			continue
		}
		q.Answered--
		if n := len(q.waits) - 1; n >= 0 {
			if rules != nil && rules.Within > 0 && q.waits[n] <= rules.Within {
				q.InTime--
			}
			q.waits = q.waits[:n]
		}
	}
}

func (t *Tally) sentAway(id acd.CallID, at time.Time, how func(*QueueFigures)) {
	c := t.calls[id]
	if c == nil || c.callback {
		return
	}
	delete(t.calls, id)
	for _, q := range []*count{t.queue(c.queue), &t.total} {
		how(&q.QueueFigures)
		q.Longest = max(q.Longest, at.Sub(c.asked))
	}
}

func (t *Tally) gone(at time.Time, ev *acd.Event) {
	c := t.calls[ev.Call]
	if c == nil {
		return
	}
	delete(t.calls, ev.Call)
	if c.talks || c.callback {
		return
	}
	wait := at.Sub(c.asked)
	ours := ev.By == acd.Supervisor || ev.By == acd.Switch || ev.By == acd.Agent
	rules := t.rules[c.queue]
	for _, q := range []*count{t.queue(c.queue), &t.total} {
		q.Longest = max(q.Longest, wait)
		if ours {
			q.Refused++
			continue
		}
		q.Abandoned++
		if rules != nil && wait < rules.ShortAbandon {
			q.Short++
		}
	}
}

func (t *Tally) timer(id acd.AgentID) *timed {
	s := t.agents[id]
	if s == nil {
		s = &timed{since: t.last}
		t.agents[id] = s
	}
	return s
}

func (t *Tally) moved(at time.Time, a acd.Moved) {
	s := t.timer(a.Agent)
	t.spend(a.Agent, s, at)
	s.state = a.To
}

// spend counts the time an agent has been in a state.
func (t *Tally) spend(id acd.AgentID, s *timed, at time.Time) {
	from, to := s.since, at
	s.since = at
	if from.Before(t.from) {
		from = t.from
	}
	if !t.to.IsZero() && to.After(t.to) {
		to = t.to
	}
	d := to.Sub(from)
	if d <= 0 || s.state < acd.NotReady {
		return
	}
	t.came[id] = true
	add := func(q *QueueFigures) {
		q.LoggedIn += d
		switch {
		case s.state == acd.Ready:
			q.Ready += d
		case s.state >= acd.Talking:
			q.Busy += d
		}
	}
	add(&t.total.QueueFigures)
	for _, q := range t.serves[id] {
		add(&t.queue(q).QueueFigures)
	}
	if s.state >= acd.Talking {
		t.total.Handling += d
		if s.queue != "" {
			t.queue(s.queue).Handling += d
		}
	}
}

// stop counts everybody's time up to a moment and forgets them.
func (t *Tally) stop(at time.Time) {
	for _, id := range inOrder(t.agents) {
		t.spend(id, t.agents[id], at)
	}
	clear(t.agents)
}

// Span is the time that was counted.
func (t *Tally) Span() (from, to time.Time) {
	from, to = t.first, t.last
	if from.Before(t.from) {
		from = t.from
	}
	if !t.to.IsZero() && to.After(t.to) {
		to = t.to
	}
	return from, to
}

// Figures are what was counted up to a moment; the zero moment is the last record.
func (t *Tally) Figures(at time.Time) Figures {
	if at.IsZero() {
		at = t.last
	}
	for _, id := range inOrder(t.agents) {
		t.spend(id, t.agents[id], at)
	}
	f := Figures{Total: t.total.figures(), Agents: len(t.came), Decisions: t.done}
	for _, id := range t.order {
		f.Queues = append(f.Queues, t.queues[id].figures())
	}
	return f
}

func (c *count) figures() QueueFigures {
	q := c.QueueFigures
	if n := len(c.waits); n > 0 {
		sorted := slices.Sorted(slices.Values(c.waits))
		var sum time.Duration
		for _, w := range sorted {
			sum += w
		}
		q.Mean = sum / time.Duration(n)
		q.P90 = sorted[(n*9+9)/10-1]
	}
	return q
}
