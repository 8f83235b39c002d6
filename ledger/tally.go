package ledger

import (
	"slices"
	"time"

	"foyer/acd"
)

// Tally counts the journal by quarters of an hour. It is fed like Fold: every
// record in journal order, with what the floor answered. It is pure and belongs to
// one goroutine.
//
// It remembers the calls that are up, the agents who are logged in, and the rows of
// this quarter and of the calls that are up; nothing else, so it does not grow with
// the history. A row is handed out when its quarter is over, and again whenever a
// call of it ends later: the newest one holds.
type Tally struct {
	schedule Schedule
	life     Instant // of the switch whose records these are
	start    Instant // of the quarter that is being counted; zero before the first record
	now      Instant // of the newest record: the switch was up then
	covered  Instant // shifts are counted up to here
	shifts   map[acd.AgentID][]Shift

	queues map[acd.QueueID]rules
	calls  map[acd.CallID]*contact
	agents map[acd.AgentID]*worker
	rows   map[rowKey]*row
	late   []*row // of quarters that are over, changed by this record
}

type rowKey struct {
	start      Instant
	subject    Subject
	id, client string
}

// row is an Interval that may still change.
type row struct {
	Interval
	users  int // calls, offers and agents that may still change it
	listed bool
}

// NewTally is a Tally before the first record; without a schedule if that is nil.
func NewTally(s Schedule) *Tally {
	t := &Tally{schedule: s}
	t.clear()
	return t
}

// SetSchedule puts another schedule in the place of the one before, from now on.
func (t *Tally) SetSchedule(s Schedule) { t.schedule = s }

func (t *Tally) clear() {
	t.queues = map[acd.QueueID]rules{}
	t.calls = map[acd.CallID]*contact{}
	t.agents = map[acd.AgentID]*worker{}
	t.rows = map[rowKey]*row{}
	t.late = nil
}

// Apply takes one record and returns the rows that are complete, or complete but
// for calls that are still up, in order.
//
// A life that ends without a word, by Started in mid-journal, ended at its last
// record: nobody knows what an agent did after it.
func (t *Tally) Apply(now time.Time, ev acd.Event, done []acd.Action) []Interval {
	at := At(now)
	var out []Interval
	switch {
	case ev.Kind == acd.Started:
		out = t.end()
		t.begin(at)
	case t.start == 0:
		t.begin(at)
	case ev.Cause == acd.CauseRestart:
		at = t.now // told later, by the next life
	}
	at = max(at, t.now)
	out = append(out, t.advance(at)...)
	t.now = at
	t.before(ev)
	for _, a := range done {
		t.act(a)
	}
	if ev.Kind == acd.Bridged {
		t.bridged(ev)
	}
	return append(out, t.changed()...)
}

// Next is when the present quarter ends; false before the first record. Whoever feeds the Tally should see to it
// that there is a record then, or nobody learns of a quarter in which agents only
// sat idle.
func (t *Tally) Next() (at time.Time, counting bool) {
	return (t.start + quarter).Time(), t.start != 0
}

// Pending are the rows that Apply has not handed out in their present form, as they
// stand at the newest record: what to store before the process ends.
func (t *Tally) Pending() []Interval {
	t.cut(t.now)
	return t.sorted(func(*row) bool { return true })
}

func (t *Tally) begin(at Instant) {
	t.life, t.now, t.covered = at, at, at
	t.open(quarterOf(at))
}

// end closes the books of a life at its last moment.
func (t *Tally) end() []Interval {
	for _, id := range sortedKeys(t.calls) {
		t.leave(t.calls[id], cutOff)
	}
	out := t.Pending()
	t.clear()
	return out
}

func (t *Tally) open(start Instant) {
	t.start = start
	t.shifts = nil
	if t.schedule == nil {
		return
	}
	for _, s := range t.schedule.Shifts(start, start+quarter) {
		if t.shifts == nil {
			t.shifts = map[acd.AgentID][]Shift{}
		}
		t.shifts[s.Agent] = append(t.shifts[s.Agent], s)
	}
}

// advance closes every quarter that is over at a moment.
func (t *Tally) advance(at Instant) []Interval {
	var out []Interval
	for at >= t.start+quarter {
		end := t.start + quarter
		t.cut(end)
		closing := t.start
		out = append(out, t.sorted(func(r *row) bool { return r.Start == closing })...)
		for key, r := range t.rows {
			if r.Start == closing && r.users == 0 {
				delete(t.rows, key)
			}
		}
		t.open(end)
	}
	return out
}

// cut counts everybody's time up to a moment of this quarter.
func (t *Tally) cut(at Instant) {
	for _, id := range sortedKeys(t.agents) {
		t.credit(id, t.agents[id], at)
	}
	for _, id := range sortedKeys(t.shifts) {
		for _, s := range t.shifts[id] {
			if d := overlap(t.covered, at, s.From, s.To); d > 0 {
				t.agentRow(id, "").Agent.Scheduled += d
			}
		}
	}
	t.covered = max(t.covered, at)
}

func (t *Tally) row(k rowKey) *row {
	r := t.rows[k]
	if r == nil {
		r = &row{Interval: Interval{Start: k.start, Life: t.life, Subject: k.subject, ID: k.id, Client: k.client}}
		if k.subject == OfQueue {
			r.Queue = &QueueCounts{}
		} else {
			r.Agent = &AgentCounts{}
		}
		t.rows[k] = r
	}
	return r
}

func (t *Tally) agentRow(id acd.AgentID, client string) *row {
	return t.row(rowKey{t.start, OfAgent, string(id), client})
}

// touch notes that a row has changed.
func (t *Tally) touch(r *row) {
	if r.Start < t.start && !r.listed {
		r.listed = true
		t.late = append(t.late, r)
	}
}

// release notes that somebody has no more to say about a row.
func (t *Tally) release(r *row) {
	r.users--
	t.touch(r)
}

// changed hands out the rows of quarters past that this record has changed.
func (t *Tally) changed() []Interval {
	if len(t.late) == 0 {
		return nil
	}
	out := make([]Interval, 0, len(t.late))
	for _, r := range t.late {
		r.listed = false
		out = append(out, r.copied())
		if r.users == 0 {
			delete(t.rows, rowKey{r.Start, r.Subject, r.ID, r.Client})
		}
	}
	t.late = t.late[:0]
	slices.SortFunc(out, func(a, b Interval) int { return a.compare(&b) })
	return out
}

// sorted copies the rows of interest.
func (t *Tally) sorted(of func(*row) bool) []Interval {
	var out []Interval
	for _, r := range t.rows {
		if of(r) {
			out = append(out, r.copied())
		}
	}
	slices.SortFunc(out, func(a, b Interval) int { return a.compare(&b) })
	return out
}

// copied is the row as it stands, sharing nothing with it.
func (r *row) copied() Interval {
	i := r.Interval
	if i.Queue != nil {
		q := QueueCounts{}
		q.Add(i.Queue)
		i.Queue = &q
	} else {
		a := *i.Agent
		i.Agent = &a
	}
	return i
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
