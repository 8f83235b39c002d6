package acd

import (
	"maps"
	"time"
)

// Snapshot is a copy of the floor for readers. Agents are in order of id, queues
// as configured, calls in order of arrival.
type Snapshot struct {
	At     time.Time   `json:"at"`
	Queues []QueueView `json:"queues"`
	Agents []AgentView `json:"agents"`
	Calls  []CallView  `json:"calls"`

	// Spent is the time all agents have been in each state since the floor started,
	// those no longer configured included; Paused is what of it was not ready, by reason.
	Spent  [agentStates]time.Duration `json:"-"`
	Paused map[string]time.Duration   `json:"-"`
}

// QueueView is one queue. The counters run since the floor started, and
// Offered = Answered + Abandoned + Overflowed + Refused + Callbacks + those waiting,
// ringing or answered and not yet bridged. A callback counts as offered when its
// customer is on the line; a call that lost its agent in the talk counts anew.
type QueueView struct {
	ID         QueueID       `json:"id"`
	Client     ClientID      `json:"client"`
	Waiting    int           `json:"waiting"`
	OldestWait time.Duration `json:"-"`         // since arrival, of those waiting
	Ready      int           `json:"ready"`     // agents free for its calls
	LoggedIn   int           `json:"logged_in"` // agents logged in with a phone that answers
	Removed    bool          `json:"removed,omitempty"`

	Strategy Strategy `json:"strategy"`
	Later    int      `json:"later"`    // callbacks whose time has not come
	Callable bool     `json:"callable"` // its customers may be called back now
	// Wait is what a caller who comes now must expect; false in Known when nobody serves
	// the queue. CalibrationError says how well such bands have held (wait.go).
	Wait             Estimate `json:"-"`
	Known            bool     `json:"-"`
	Told             int64    `json:"-"` // callers the error is of
	CalibrationError float64  `json:"-"`

	Offered        uint64 `json:"offered"` // calls that entered, overflow included
	Answered       uint64 `json:"answered"`
	AnsweredWithin uint64 `json:"answered_within"` // of the answered, within the queue's target time since arrival
	Abandoned      uint64 `json:"abandoned"`
	ShortAbandoned uint64 `json:"short_abandoned"` // of the abandoned
	Overflowed     uint64 `json:"overflowed"`      // to another queue, or refused after the longest wait
	Refused        uint64 `json:"refused"`         // ended by the switch or an operator before an answer
	Callbacks      uint64 `json:"callbacks"`       // became a promise to call back

	Handled    uint64        `json:"-"` // contacts an agent is done with, wrap-up included
	HandleTime time.Duration `json:"-"` // spent on those
}

// AgentView is one agent.
type AgentView struct {
	ID        AgentID    `json:"id"`
	State     AgentState `json:"state"`
	Reason    string     `json:"reason,omitempty"` // of NotReady
	Since     time.Time  `json:"since"`
	Idle      time.Time  `json:"idle"` // start of the idle clock
	Reachable bool       `json:"reachable"`
	Call      CallID     `json:"call,omitempty"` // offered, talking or wrapping up
	Missed    int        `json:"missed,omitempty"`
	// Next is what the agent will be when nothing is left in hand: ready, not ready
	// for NextReason, or registered (logged out).
	Next       AgentState    `json:"next"`
	NextReason string        `json:"next_reason,omitempty"`
	Overdue    bool          `json:"overdue,omitempty"`    // paused longer than the reason allows, or wrapping up
	LinkLost   time.Time     `json:"link_lost,omitzero"`   // in the middle of a talk
	Until      time.Time     `json:"until,omitzero"`       // when being rung or wrapping up ends
	Wrap       WrapMode      `json:"wrap,omitempty"`       // how this wrap-up ends
	Extensions int           `json:"extensions,omitempty"` // still to be had for it
	Handled    int           `json:"handled"`              // contacts since login
	Dumped     int           `json:"dumped,omitempty"`     // answered and dropped before both talked
	Talked     time.Duration `json:"-"`                    // since login
	InHand     []CallID      `json:"in_hand,omitempty"`    // every contact
	// Spent is the time in each state since the agent was configured, this one included.
	Spent [agentStates]time.Duration `json:"-"`
}

// CallView is one call.
type CallView struct {
	ID       CallID    `json:"id"`
	Queue    QueueID   `json:"queue"`
	State    CallState `json:"state"`
	Since    time.Time `json:"since"` // in this state
	Agent    AgentID   `json:"agent,omitempty"`
	Entered  time.Time `json:"entered"`  // its queue
	Arrived  time.Time `json:"arrived"`  // its first queue
	Turn     time.Time `json:"turn"`     // the moment its place counts from
	Position int       `json:"position"` // in its queue: 1 is next; 0 when not waiting
	Ringing  []AgentID `json:"ringing,omitempty"`
	Relaxed  int       `json:"relaxed,omitempty"`  // steps of relaxation
	Wanted   AgentID   `json:"wanted,omitempty"`   // the one agent it waits for
	Callback string    `json:"callback,omitempty"` // the number to be called
	Attempts int       `json:"attempts,omitempty"` // of calling it, made
	Due      time.Time `json:"due,omitzero"`       // of a callback: not before
	Present  bool      `json:"present,omitempty"`  // the customer of a callback is on the line
	Facts    *Facts    `json:"-"`                  // of a callback: those it was asked for with
}

// Snapshot copies the floor as it is at now. Ten thousand agents take about a
// millisecond.
func (f *Floor) Snapshot(now time.Time) Snapshot {
	s := Snapshot{
		At:     now,
		Queues: make([]QueueView, 0, len(f.order)),
		Agents: make([]AgentView, 0, len(f.roster)),
		Calls:  make([]CallView, 0, len(f.calls)),
		Spent:  f.spent, Paused: maps.Clone(f.paused),
	}
	position := make(map[*call]int, len(f.calls))
	later := make(map[*line]*QueueView, len(f.order))
	for _, l := range f.order {
		s.Queues = append(s.Queues, l.view(now))
		later[l] = &s.Queues[len(s.Queues)-1]
		for i, c := range l.waiting.all() {
			position[c] = i + 1
		}
	}
	for _, a := range f.roster {
		s.Agents = append(s.Agents, f.agentView(a, now))
		spell := max(now.Sub(a.since), 0)
		s.Spent[a.state] += spell
		if a.state == NotReady {
			s.Paused[a.cause.reason] += spell
		}
	}
	for c := f.first; c != nil; c = c.younger {
		s.Calls = append(s.Calls, c.view(position[c]))
		if q := later[c.line]; q != nil && c.state == CallLater {
			q.Later++
		}
	}
	return s
}

// Agent is one agent as they are at now; false for one the floor does not know.
func (f *Floor) Agent(id AgentID, now time.Time) (AgentView, bool) {
	a := f.agents[id]
	if a == nil {
		return AgentView{}, false
	}
	return f.agentView(a, now), true
}

// Call is one call; false for one the floor does not have.
func (f *Floor) Call(id CallID) (CallView, bool) {
	c := f.calls[id]
	if c == nil {
		return CallView{}, false
	}
	return c.view(c.position()), true
}

// Promised is the callback that a number has in a queue; false if it has none.
func (f *Floor) Promised(q QueueID, number string) (CallView, bool) {
	c := f.promised[placeKey(q, number)]
	if c == nil {
		return CallView{}, false
	}
	return c.view(c.position()), true
}

// WrapView is the work after a call that an agent has not finished.
type WrapView struct {
	Call       CallID
	Queue      QueueID
	Mode       WrapMode
	From       string // the caller's number; "" where it is not known
	Until      time.Time
	Extensions int // still to be had
}

// Wrapping is the wrap-up of a call that an agent is in, or whichever they are in
// if no call is named.
func (f *Floor) Wrapping(id AgentID, of CallID) (WrapView, bool) {
	a := f.agents[id]
	if a == nil {
		return WrapView{}, false
	}
	r := a.wrapping(of)
	if r == nil {
		return WrapView{}, false
	}
	q := &r.line.cfg
	return WrapView{Call: r.call.id, Queue: q.ID, Mode: q.WrapMode, From: r.call.from, Until: r.until, Extensions: r.extensions()}, true
}

func (c *call) view(position int) CallView {
	v := CallView{
		ID: c.id, Queue: c.line.cfg.ID, State: c.state, Since: c.since, Relaxed: c.relaxed,
		Entered: c.entered, Arrived: c.arrived, Turn: c.turn, Position: position,
	}
	if c.prefer != nil {
		v.Wanted = c.prefer.id
	}
	for _, r := range c.rings {
		v.Ringing = append(v.Ringing, r.agent.id)
	}
	switch {
	case c.talk != nil:
		v.Agent = c.talk.agent.id
	case len(c.rings) > 0:
		v.Agent = c.rings[0].agent.id
	}
	if b := c.back; b != nil {
		v.Callback, v.Attempts, v.Due, v.Present, v.Facts = b.number, b.attempts, b.notBefore, b.present, b.facts
	}
	return v
}

func (l *line) view(now time.Time) QueueView {
	v := QueueView{
		ID: l.cfg.ID, Client: l.cfg.Client, Waiting: l.waiting.len(),
		Ready: l.in[Ready], LoggedIn: l.present(), Removed: l.removed,
		Offered: l.stats.Offered, Answered: l.stats.Answered, AnsweredWithin: l.stats.AnsweredWithin,
		Abandoned: l.stats.Abandoned, ShortAbandoned: l.stats.ShortAbandoned,
		Overflowed: l.stats.Overflowed, Refused: l.stats.Refused,
	}
	v.Strategy, v.Callable, v.Callbacks = l.cfg.Strategy, !l.shut, l.stats.Callbacks
	v.Handled, v.HandleTime = l.stats.Handled, l.stats.HandleTime
	v.Wait, v.Known = l.expected(l.waiting.len())
	v.Told, v.CalibrationError = l.tempo.told, l.tempo.calibrationError()
	for _, c := range l.waiting.all() {
		v.OldestWait = max(v.OldestWait, now.Sub(c.arrived))
	}
	return v
}

func (f *Floor) agentView(a *agent, now time.Time) AgentView {
	v := AgentView{
		ID: a.id, State: a.state, Reason: a.cause.reason, Since: a.since, Idle: a.idle,
		Reachable: a.reachable, Call: a.about, Missed: a.missed, Spent: a.spent,
		Overdue: f.overdue(a, now), Handled: a.handled, Dumped: a.dumped, Talked: a.talked,
	}
	v.Spent[a.state] += max(now.Sub(a.since), 0)
	switch a.want {
	case wantsCalls:
		v.Next = Ready
	case wantsPause:
		v.Next, v.NextReason = NotReady, a.pause.reason
	default:
		v.Next = Registered
	}
	_, most := a.bound()
	for _, r := range a.hands {
		v.InHand = append(v.InHand, r.call.id)
		if r.stage == talking && !r.lost.IsZero() {
			v.LinkLost = r.lost
		}
		if r != most || r.stage == talking {
			continue
		}
		v.Until = r.until
		if r.stage == wrapping {
			v.Wrap, v.Extensions = r.line.cfg.WrapMode, r.extensions()
			v.Overdue = v.Overdue || now.After(r.until)
		}
	}
	return v
}
