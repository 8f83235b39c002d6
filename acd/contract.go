package acd

// CONTRACT STUB, replaced by the owner of acd. Signatures stay.

import "time"

type AgentState uint8

const (
	Off AgentState = iota // not logged in, or no phone reachable
	NotReady
	Ready
	Offered
	Talking
	WrapUp
)

// Floor is the pure machine. Step is called from one goroutine only.
type Floor struct{}

func NewFloor() *Floor                                 { panic("stub") }
func (f *Floor) Step(now time.Time, ev Event) []Action { panic("stub") }
func (f *Floor) Deadline() (time.Time, bool)           { panic("stub") }
func (f *Floor) Snapshot(now time.Time) Snapshot       { panic("stub") }

// Snapshot is a copy for readers.
type Snapshot struct {
	At     time.Time
	Queues []QueueView
	Agents []AgentView
	Calls  []CallView
}
type QueueView struct {
	ID                                                                       QueueID       `json:"id"`
	Client                                                                   ClientID      `json:"client"`
	Waiting                                                                  int           `json:"waiting"`
	OldestWait                                                               time.Duration `json:"-"`
	Ready, LoggedIn                                                          int
	Offered, Answered, Abandoned, ShortAbandoned, Overflowed, AnsweredWithin uint64 // since Started
}
type AgentView struct {
	ID        AgentID
	State     AgentState
	Reason    string
	Since     time.Time
	Reachable bool
	Call      CallID
	Missed    int
}
type CallView struct {
	ID       CallID
	Queue    QueueID
	State    CallState
	Agent    AgentID
	Entered  time.Time
	Position int // 1 is next; 0 when not waiting
}
type CallState uint8

const (
	Gone_ CallState = iota
	Waiting
	Ringing
	Talking_
)

// Match is why an agent was chosen: kept with the offer, printed by explain.
type Match struct {
	Call       CallID        `json:"call"`
	Queue      QueueID       `json:"queue"`
	Offer      OfferID       `json:"offer"`
	Winner     AgentID       `json:"winner"`
	Waited     time.Duration `json:"waited"`
	Position   int           `json:"position"`
	Candidates []Candidate   `json:"candidates"` // in order of preference; the excluded last
}
type Candidate struct {
	Agent  AgentID       `json:"agent"`
	Idle   time.Duration `json:"idle,omitempty"`
	Level  int           `json:"level,omitempty"`
	Failed string        `json:"failed,omitempty"` // first filter that excluded the agent; empty: eligible
}

// Hours
type Calendar struct{}
