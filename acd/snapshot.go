package acd

import "time"

// Snapshot is a copy of the floor for readers. Agents are in order of id, queues
// as configured, calls in order of arrival.
type Snapshot struct {
	At     time.Time   `json:"at"`
	Queues []QueueView `json:"queues"`
	Agents []AgentView `json:"agents"`
	Calls  []CallView  `json:"calls"`
}

// QueueView is one queue. The counters run since the floor started, and
// Offered = Answered + Abandoned + Overflowed + Refused + those waiting, ringing
// or answered and not yet bridged.
type QueueView struct {
	ID         QueueID       `json:"id"`
	Client     ClientID      `json:"client"`
	Waiting    int           `json:"waiting"`
	OldestWait time.Duration `json:"-"`         // since arrival, of those waiting
	Ready      int           `json:"ready"`     // agents free for its calls
	LoggedIn   int           `json:"logged_in"` // agents logged in with a phone that answers
	Removed    bool          `json:"removed,omitempty"`

	Offered        uint64 `json:"offered"` // calls that entered, overflow included
	Answered       uint64 `json:"answered"`
	AnsweredWithin uint64 `json:"answered_within"` // of the answered, within the queue's target time since arrival
	Abandoned      uint64 `json:"abandoned"`
	ShortAbandoned uint64 `json:"short_abandoned"` // of the abandoned
	Overflowed     uint64 `json:"overflowed"`      // to another queue, or refused after the longest wait
	Refused        uint64 `json:"refused"`         // ended by the switch or an operator before an answer
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
	// Spent is the time in each state since the agent was configured, this one included.
	Spent [WrapUp + 1]time.Duration `json:"-"`
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
	Position int       `json:"position"` // in its queue: 1 is next; 0 when not waiting
}

// Snapshot copies the floor as it is at now. Ten thousand agents take about a
// millisecond.
func (f *Floor) Snapshot(now time.Time) Snapshot {
	s := Snapshot{
		At:     now,
		Queues: make([]QueueView, 0, len(f.order)),
		Agents: make([]AgentView, 0, len(f.roster)),
		Calls:  make([]CallView, 0, len(f.calls)),
	}
	position := make(map[*call]int, len(f.calls))
	for _, l := range f.order {
		s.Queues = append(s.Queues, l.view(now))
		for i, c := range l.waiting.all() {
			position[c] = i + 1
		}
	}
	for _, a := range f.roster {
		s.Agents = append(s.Agents, a.view(now))
	}
	for c := f.first; c != nil; c = c.younger {
		v := CallView{
			ID: c.id, Queue: c.line.cfg.ID, State: c.state, Since: c.since,
			Entered: c.entered, Arrived: c.arrived, Position: position[c],
		}
		if c.agent != nil {
			v.Agent = c.agent.id
		}
		s.Calls = append(s.Calls, v)
	}
	return s
}

func (l *line) view(now time.Time) QueueView {
	v := QueueView{
		ID: l.cfg.ID, Client: l.cfg.Client, Waiting: l.waiting.len(),
		Ready: l.in[Ready], LoggedIn: l.present(), Removed: l.removed,
		Offered: l.stats.Offered, Answered: l.stats.Answered, AnsweredWithin: l.stats.AnsweredWithin,
		Abandoned: l.stats.Abandoned, ShortAbandoned: l.stats.ShortAbandoned,
		Overflowed: l.stats.Overflowed, Refused: l.stats.Refused,
	}
	for _, c := range l.waiting.all() {
		v.OldestWait = max(v.OldestWait, now.Sub(c.arrived))
	}
	return v
}

func (a *agent) view(now time.Time) AgentView {
	v := AgentView{
		ID: a.id, State: a.state, Reason: a.cause.reason, Since: a.since, Idle: a.idle,
		Reachable: a.reachable, Call: a.about, Missed: a.missed, Spent: a.spent,
	}
	v.Spent[a.state] += max(now.Sub(a.since), 0)
	return v
}
