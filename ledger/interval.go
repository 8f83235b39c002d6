package ledger

import (
	"cmp"
	"time"
)

// Quarter is the length of the intervals that are counted and stored. Every zone
// of today is a whole number of quarters from UTC, so quarters are the same all
// over the world, whatever summer time does; half hours and days are made of them
// when a report is read, on the wall clock of its zone.
const Quarter = 15 * time.Minute

const quarter = Instant(Quarter / time.Millisecond)

func quarterOf(at Instant) Instant {
	into := at % quarter
	if into < 0 {
		into += quarter
	}
	return at - into
}

// Subject is what an Interval is about.
type Subject string

const (
	OfQueue Subject = "queue"
	OfAgent Subject = "agent"
)

// Interval is what was counted of one queue, or of one agent's work for one
// client, in one quarter of an hour and one life of the switch. Everything in it
// adds up: over time, over clients, over lives.
//
// What an agent does for nobody in particular, being idle or paused, has no client.
type Interval struct {
	Start   Instant
	Life    Instant // when the switch that counted it started
	Subject Subject
	ID      string // of the queue or the agent
	Client  string
	Queue   *QueueCounts // of a queue
	Agent   *AgentCounts // of an agent
}

func (i *Interval) compare(o *Interval) int {
	return cmp.Or(cmp.Compare(i.Start, o.Start), cmp.Compare(i.Subject, o.Subject),
		cmp.Compare(i.ID, o.ID), cmp.Compare(i.Client, o.Client), cmp.Compare(i.Life, o.Life))
}

// QueueCounts is a queue's part of an Interval. A call counts in the quarter it
// entered the queue in, whatever becomes of it and when. A call that comes to a
// queue twice, or to two queues, is counted at each entry.
//
// Offered = Answered + Abandoned + Overflowed + Refused + Callbacks + Failed, once
// none of its calls is up any more.
type QueueCounts struct {
	Offered int `json:"offered"` // calls that entered
	Calls
	Overflowed int `json:"overflowed"` // left for another queue, or told that the wait was too long
	Refused    int `json:"refused"`    // ended by the switch or an operator before an answer
	Callbacks  int `json:"callbacks"`  // accepted to be called back: neither answered nor abandoned
	Failed     int `json:"failed"`     // cut off when the switch died
	Handled    int `json:"handled"`    // answered, and callbacks that were made

	WaitAnswered Millis `json:"wait_answered_s"` // of the answered, added up
	WaitAll      Millis `json:"wait_all_s"`      // of all
	WaitMost     Millis `json:"wait_max_s"`
	Waits        Waits  `json:"waits,omitempty"`

	// Of the agents who handled these calls.
	Talked    Millis `json:"talk_s"`
	Held      Millis `json:"hold_s"`
	WrappedUp Millis `json:"wrapup_s"`

	Within Millis `json:"within_s"` // T and s as they were, in the newest of what was added
	Short  Millis `json:"short_s"`
}

// Add counts o in.
func (q *QueueCounts) Add(o *QueueCounts) {
	q.Offered += o.Offered
	q.Answered += o.Answered
	q.AnsweredWithin += o.AnsweredWithin
	q.Abandoned += o.Abandoned
	q.AbandonedWithin += o.AbandonedWithin
	q.AbandonedLater += o.AbandonedLater
	q.ShortAbandoned += o.ShortAbandoned
	q.Overflowed += o.Overflowed
	q.Refused += o.Refused
	q.Callbacks += o.Callbacks
	q.Failed += o.Failed
	q.Handled += o.Handled
	q.WaitAnswered += o.WaitAnswered
	q.WaitAll += o.WaitAll
	q.WaitMost = max(q.WaitMost, o.WaitMost)
	q.Waits.add(o.Waits)
	q.Talked += o.Talked
	q.Held += o.Held
	q.WrappedUp += o.WrappedUp
	q.Within = cmp.Or(o.Within, q.Within)
	q.Short = cmp.Or(o.Short, q.Short)
}

// AgentCounts is an agent's part of an Interval. Times are those spent in this very
// quarter; offers count in the quarter the agent was rung in, and handled calls in
// that of their answer.
type AgentCounts struct {
	Offers      int `json:"offers" table:"OFFERS"`
	Accepted    int `json:"accepted"`    // answered
	Declined    int `json:"declined"`    // said no, or the phone was busy
	Missed      int `json:"missed"`      // rang out
	Unreachable int `json:"unreachable"` // the phone could not be rung
	Withdrawn   int `json:"withdrawn"`   // the caller left, or another agent was quicker
	Handled     int `json:"handled" table:"HANDLED"`

	Paused    Millis `json:"paused_s" table:"PAUSED"`
	Idle      Millis `json:"idle_s" table:"IDLE"`
	Rung      Millis `json:"offered_s" table:"RUNG"` // being rung
	Talked    Millis `json:"talk_s"`
	Held      Millis `json:"hold_s"`
	WrappedUp Millis `json:"wrapup_s"`

	Scheduled Millis `json:"scheduled_s"` // in a shift, while the switch ran
	Adhered   Millis `json:"adhered_s"`   // of that, at work: idle, rung or handling
}

// Add counts o in.
func (a *AgentCounts) Add(o *AgentCounts) {
	a.Offers += o.Offers
	a.Accepted += o.Accepted
	a.Declined += o.Declined
	a.Missed += o.Missed
	a.Unreachable += o.Unreachable
	a.Withdrawn += o.Withdrawn
	a.Handled += o.Handled
	a.Paused += o.Paused
	a.Idle += o.Idle
	a.Rung += o.Rung
	a.Talked += o.Talked
	a.Held += o.Held
	a.WrappedUp += o.WrappedUp
	a.Scheduled += o.Scheduled
	a.Adhered += o.Adhered
}

// Handling is the time with callers and after them.
func (a *AgentCounts) Handling() Millis { return a.Talked + a.Held + a.WrappedUp }

// LoggedIn is the whole session: the parts of it, added up.
func (a *AgentCounts) LoggedIn() Millis { return a.Paused + a.Idle + a.Rung + a.Handling() }
