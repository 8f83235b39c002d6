package acd

import (
	"iter"
	"slices"
	"time"
)

// Explanation says why a call went to whom it went, in sentences and as a table.
type Explanation struct {
	Call     CallID           `json:"call"`
	Lang     string           `json:"lang"`     // "fr" or "en"
	Sentence string           `json:"sentence"` // the whole story, several sentences
	Offers   []ExplainedOffer `json:"offers"`
	Rows     []Row            `json:"rows"`
}

// ExplainedOffer is one offer and what became of it.
type ExplainedOffer struct {
	Offer    OfferID       `json:"offer"`
	At       time.Time     `json:"at"`
	Queue    QueueID       `json:"queue"`
	Agent    AgentID       `json:"agent"`
	Waited   time.Duration `json:"waited"`
	Position int           `json:"position"`
	// Result is answered, dropped (answered and lost before the bridge),
	// withdrawn, declined, busy, no_answer, unreachable or failed; "" while ringing.
	Result   string        `json:"result,omitempty"`
	Cause    Cause         `json:"cause,omitempty"`
	After    time.Duration `json:"after"` // from the offer to its result
	Sentence string        `json:"sentence"`
	Match    *Match        `json:"match"`
}

// Row is an agent who was considered for an offer: a line of the table.
type Row struct {
	Offer OfferID       `json:"offer"`
	Agent AgentID       `json:"agent"`
	Won   bool          `json:"won,omitempty"`
	Idle  time.Duration `json:"idle,omitempty"`
	Level int           `json:"level,omitempty"`
	// Failed is the first filter the agent did not pass, as in Candidate; Why says
	// it in words. Both are empty for an eligible agent.
	Failed string `json:"failed,omitempty"`
	Why    string `json:"why,omitempty"`
}

// Explain replays records, from a Started on, and tells the story of one call,
// in the language "fr" or else English, with times of day in zone (nil is UTC).
// False when the call does not occur in them.
func Explain(records iter.Seq[Record], id CallID, lang string, zone *time.Location) (Explanation, bool) {
	t := NewTelling(id)
	Replay(records, t.Observe)
	return t.Explain(lang, zone), t.known()
}

// Telling gathers what happened to one call while records go by.
type Telling struct {
	call     CallID
	arrived  time.Time
	first    QueueID
	rejected Cause
	chapters []chapter
	offers   []ExplainedOffer
	agent    AgentID // who talked last
	gone     bool
	by       Party
	cause    Cause
	ended    time.Time
}

// chapter is a turn of the story: an offer, a move or a refusal.
type chapter struct {
	at    time.Time
	offer int // index of an offer, -1 if none
	moved Queued
	turn  Cause // of a refusal
}

// NewTelling is the story of a call before its first word.
func NewTelling(id CallID) *Telling { return &Telling{call: id} }

func (t *Telling) known() bool { return !t.arrived.IsZero() }

// Observe takes one record and what the floor decided on it. It fits Replay.
func (t *Telling) Observe(r Record, done []Action) {
	ev := &r.Event
	if ev.Kind == Started && t.known() && !t.gone {
		t.end(r.At, Switch, CauseRestart)
	}
	if ev.Call == t.call {
		t.event(r.At, ev)
	}
	for _, a := range done {
		t.action(r.At, a)
	}
}

func (t *Telling) event(at time.Time, ev *Event) {
	switch ev.Kind {
	case Arrived, Rejected:
		if !t.known() {
			t.arrived, t.first = at, ev.Queue
			if ev.Kind == Rejected {
				t.rejected = ev.Cause
				t.end(at, Switch, ev.Cause)
			}
		}
	case Failed:
		t.result(at, ev.Offer, wordOfMiss(ev.Cause), ev.Cause)
	case Gone:
		t.end(at, ev.By, ev.Cause)
	}
}

func (t *Telling) end(at time.Time, by Party, cause Cause) {
	if !t.gone {
		t.gone, t.by, t.cause, t.ended = true, by, cause, at
	}
}

func (t *Telling) action(at time.Time, a Action) {
	switch a := a.(type) {
	case Queued:
		if a.Call == t.call {
			t.queued(at, a)
		}
	case Offer:
		if a.Call == t.call {
			t.chapters = append(t.chapters, chapter{at: at, offer: len(t.offers)})
			t.offers = append(t.offers, ExplainedOffer{
				Offer: a.Offer, At: at, Queue: a.Queue, Agent: a.Agent, Match: a.Match,
				Waited: a.Match.Waited, Position: a.Match.Position,
			})
		}
	case Withdraw:
		if a.Call == t.call {
			t.result(at, a.Offer, wordOfMiss(a.Cause), a.Cause)
		}
	case Connect:
		if a.Call == t.call {
			t.agent = a.Agent
			t.result(at, a.Offer, "answered", CauseUnknown)
		}
	case Refuse:
		if a.Call == t.call {
			t.chapters = append(t.chapters, chapter{at: at, offer: -1, turn: a.Cause})
			t.end(at, Switch, a.Cause)
		}
	}
}

func (t *Telling) queued(at time.Time, q Queued) {
	switch {
	case q.From != "":
		t.chapters = append(t.chapters, chapter{at: at, offer: -1, moved: q})
	case len(t.offers) > 0: // back in line: the agent was lost before the bridge
		o := &t.offers[len(t.offers)-1]
		o.Result, o.After = "dropped", at.Sub(o.At)
		t.agent = ""
	}
}

// result notes what became of an offer. The first word on it stands.
func (t *Telling) result(at time.Time, n OfferID, word string, cause Cause) {
	i := slices.IndexFunc(t.offers, func(o ExplainedOffer) bool { return o.Offer == n })
	if i < 0 || t.offers[i].Result != "" {
		return
	}
	o := &t.offers[i]
	o.Result, o.Cause, o.After = word, cause, at.Sub(o.At)
}

func wordOfMiss(c Cause) string {
	switch c {
	case CauseDeclined, CauseBusy, CauseNoAnswer, CauseUnreachable:
		return c.String()
	case CauseFailed, CauseUnknown, CauseBadOffer, CauseNoAck, CausePortsFull:
		return CauseFailed.String()
	}
	return "withdrawn"
}
