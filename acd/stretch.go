package acd

import (
	"cmp"
	"slices"
	"time"
)

// Stretch is a time in which an agent did one thing, and for a time of being
// ready, why no call came to them.
type Stretch struct {
	From   time.Time  `json:"from"`
	To     time.Time  `json:"to"`
	Doing  Doing      `json:"doing"`
	Reason string     `json:"reason,omitempty"` // of a pause
	By     Party      `json:"by,omitempty"`     // who brought it about
	Cause  Cause      `json:"cause,omitempty"`
	Call   CallID     `json:"call,omitempty"`  // of an offer, a talk, a wrap-up
	Queue  QueueID    `json:"queue,omitempty"` // of an offer
	Result string     `json:"result,omitempty"`
	Given  []Given    `json:"given,omitempty"`  // calls that went to others meanwhile
	Waited []Unserved `json:"waited,omitempty"` // calls that waited meanwhile and could not have this agent
	Why    string     `json:"why"`              // in words

	passed map[CallID]string // of the calls that waited: why, by call
}

// Given counts calls that another agent was offered, and why they came before.
type Given struct {
	Agent AgentID  `json:"agent"`
	Why   string   `json:"why"`                // a word: wanted, step, tier, order, idle, id, lot; or a filter as in Candidate
	Order Strategy `json:"strategy,omitempty"` // of the queue: what "order" means
	Calls int      `json:"calls"`
}

// Unserved counts calls that waited, by the filter that this agent did not pass.
type Unserved struct {
	Why   string `json:"why"`
	Calls int    `json:"calls"`
}

// Doing is what an agent does in a stretch.
type Doing uint8

const (
	Away    Doing = iota // not logged in
	Lost                 // logged in, and no phone of theirs answers
	Paused               // not ready
	Waiting              // ready for calls
	Rung                 // being offered one
	InCall
	After // wrapping up
)

var doingWords = []string{
	Away: "away", Lost: "unreachable", Paused: "not_ready", Waiting: "ready", Rung: "offered", InCall: "in_call", After: "wrap_up",
}

// String is what the agent does as one word, as in "not_ready".
func (d Doing) String() string { return wordOf(doingWords, d) }

// MarshalText writes it as its word.
func (d Doing) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

const (
	mostStretches = 2000 // told of one question; longer than any shift
	mostUnserved  = 500  // calls that waited in one stretch, remembered by id
)

// Question asks what an agent did in some time.
type Question struct {
	Agent AgentID
	From  time.Time
	To    time.Time
}

// AgentTelling gathers what an agent did, and what kept calls from them, while
// records go by. It runs a floor of its own, so that it can look at who waits.
// What it remembers is bounded by the question, not by the journal.
type AgentTelling struct {
	Question
	floor     *Floor
	known     bool
	stretches []Stretch
	cut       bool // there were more stretches than are told
	open      bool // the last stretch goes on
	now       time.Time
}

// NewAgentTelling is the answer to a question before the first record.
func NewAgentTelling(q Question) *AgentTelling {
	return &AgentTelling{Question: q, floor: NewFloor()}
}

// On says on what floor the first record is taken; that floor is the telling's then.
func (t *AgentTelling) On(f *Floor) *AgentTelling {
	t.floor = f
	return t
}

// Take replays one record; the first must be a Started, or of another floor the next
// one (On). False when nothing after
// it can matter any more.
func (t *AgentTelling) Take(r Record) bool {
	if r.At.After(t.To) {
		return false
	}
	if !r.At.Before(t.From) { // up to here nothing has changed
		t.stand(t.From)
	}
	done := t.floor.Step(r.At, r.Event)
	t.now = r.At
	if r.At.Before(t.From) {
		return true
	}
	if ev := &r.Event; ev.Kind == Failed && ev.Agent == t.Agent {
		t.result(ev.Call, wordOfMiss(ev.Cause))
	}
	for _, a := range done {
		t.action(r.At, a)
	}
	t.stand(r.At)
	t.unserved()
	return true
}

func (t *AgentTelling) me() *agent { return t.floor.agents[t.Agent] }

// doing is what an agent's state means for who asks after calls.
func (a *agent) doing() Doing {
	switch a.state {
	case NotReady:
		return Paused
	case Ready:
		return Waiting
	case Reserved, Offered:
		return Rung
	case Talking, OnHold, Consulting:
		return InCall
	case WrapUp:
		return After
	}
	if a.want.present() && !a.leaving {
		return Lost
	}
	return Away
}

// stand begins a stretch when the agent does something else than in the last one.
func (t *AgentTelling) stand(at time.Time) {
	next := Stretch{From: at, Doing: Away}
	if a := t.me(); a != nil {
		t.known = true
		next.Doing, next.Reason, next.By, next.Cause = a.doing(), a.cause.reason, a.cause.by, a.cause.cause
		if next.Doing == Paused {
			next.By = a.pause.by
		}
		if next.Doing >= Rung {
			next.Call = a.about
		}
		if c := t.floor.calls[next.Call]; c != nil {
			next.Queue = c.line.cfg.ID
		}
	}
	if n := len(t.stretches); n > 0 && t.open {
		last := &t.stretches[n-1]
		if last.Doing == next.Doing && last.Reason == next.Reason && last.Call == next.Call {
			return
		}
		last.close(at)
	}
	if t.open = len(t.stretches) < mostStretches; !t.open {
		t.cut = true
		return
	}
	t.stretches = append(t.stretches, next)
}

// close ends a stretch; one that took no time at all still tells of an offer.
func (s *Stretch) close(at time.Time) {
	s.To = at
	for _, why := range s.passed {
		i := slices.IndexFunc(s.Waited, func(u Unserved) bool { return u.Why == why })
		if i < 0 {
			s.Waited = append(s.Waited, Unserved{Why: why})
			i = len(s.Waited) - 1
		}
		s.Waited[i].Calls++
	}
	s.passed = nil
	slices.SortFunc(s.Waited, func(a, b Unserved) int { return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Why, b.Why)) })
	slices.SortFunc(s.Given, func(a, b Given) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Why, b.Why), cmp.Compare(a.Agent, b.Agent))
	})
}

// last is the stretch that goes on; nil if none does.
func (t *AgentTelling) last() *Stretch {
	if !t.open || len(t.stretches) == 0 {
		return nil
	}
	return &t.stretches[len(t.stretches)-1]
}

func (t *AgentTelling) action(at time.Time, a Action) {
	switch a := a.(type) {
	case Moved:
		if a.Agent == t.Agent && a.To == Reserved { // what follows in this step is past them
			t.offered(at, a)
		}
	case Offer:
		t.given(a)
	case Withdraw:
		if a.Agent == t.Agent {
			t.result(a.Call, wordOfMiss(a.Cause))
		}
	case Connect:
		if a.Agent == t.Agent {
			t.result(a.Call, "answered")
		}
	}
}

func (t *AgentTelling) offered(at time.Time, a Moved) {
	if last := t.last(); last != nil && last.Call != a.Call {
		last.close(at)
		if t.open = len(t.stretches) < mostStretches; t.open {
			s := Stretch{From: at, Doing: Rung, Call: a.Call, By: a.By}
			if c := t.floor.calls[a.Call]; c != nil {
				s.Queue = c.line.cfg.ID
			}
			t.stretches = append(t.stretches, s)
		}
	}
}

// result notes what became of an offer to the agent. The first word stands.
func (t *AgentTelling) result(call CallID, word string) {
	for i := len(t.stretches) - 1; i >= 0; i-- {
		s := &t.stretches[i]
		if s.Doing == Rung && s.Call == call {
			s.Result = cmp.Or(s.Result, word)
			return
		}
	}
}

// given notes a call of one of the agent's queues that another was offered.
func (t *AgentTelling) given(o Offer) {
	last, me := t.last(), t.me()
	if last == nil || last.Doing != Waiting || me == nil || o.Agent == t.Agent || o.Match == nil {
		return
	}
	l := t.floor.lines[o.Queue]
	if l == nil || me.seatIn(l) == nil {
		return
	}
	g := Given{Agent: o.Agent, Order: o.Match.Strategy, Calls: 1}
	rule, beaten := o.Match.Behind(t.Agent)
	switch {
	case o.Rejoin:
		g.Why = "rejoin"
	case beaten:
		g.Why = ruleWords[rule]
	default:
		i := slices.IndexFunc(o.Match.Candidates, func(c Candidate) bool { return c.Agent == t.Agent })
		if i >= 0 {
			g.Why = o.Match.Candidates[i].Failed
		} else {
			g.Why = "further" // behind all that the match lists
		}
	}
	for i := range last.Given {
		if x := &last.Given[i]; x.Agent == g.Agent && x.Why == g.Why && x.Order == g.Order {
			x.Calls++
			return
		}
	}
	last.Given = append(last.Given, g)
}

var ruleWords = []string{
	ByNothing: "rejoin", ByWanting: "wanted", ByStep: "step", ByTier: "tier_first", ByOrder: "order", ByIdle: "idle", ByID: "id", ByLot: "lot",
}

// unserved looks at who waits in the queues of an agent who is ready: each of them
// cannot have this agent, or would be offered to them.
func (t *AgentTelling) unserved() {
	last, me := t.last(), t.me()
	if last == nil || last.Doing != Waiting || me == nil {
		return
	}
	for _, s := range me.seats {
		all := s.line.waiting.all()
		for _, c := range all[:min(len(all), mostWalked)] {
			if _, seen := last.passed[c.id]; seen || len(last.passed) >= mostUnserved {
				continue
			}
			why := t.floor.filter(c, s)
			if why == "unwanted" {
				why = "waits:" + string(c.prefer.id)
			}
			if why == "" {
				continue
			}
			if last.passed == nil {
				last.passed = map[CallID]string{}
			}
			last.passed[c.id] = why
		}
	}
}
