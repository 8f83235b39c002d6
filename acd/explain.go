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
	Rejoin   bool          `json:"rejoin,omitempty"` // the agent had the call and lost the line
	Number   string        `json:"number,omitempty"` // of a callback
	Asker    AgentID       `json:"asker,omitempty"`  // who called this agent in the middle of their talk
	// Result is answered, dropped (answered and lost before the bridge),
	// withdrawn, declined, busy, no_answer, unreachable or failed; "" while ringing.
	Result   string        `json:"result,omitempty"`
	Cause    Cause         `json:"cause,omitempty"`
	After    time.Duration `json:"after"` // from the offer to its result
	Sentence string        `json:"sentence"`
	Match    *Match        `json:"match"`

	beside int    // agents who were being rung for the call already
	rules  *Queue // as configured at that moment; nil when not known
}

// Row is an agent who was considered for an offer: a line of the table.
type Row struct {
	Offer OfferID       `json:"offer"`
	Agent AgentID       `json:"agent"`
	Won   bool          `json:"won,omitempty"`
	Idle  time.Duration `json:"idle,omitempty"`
	Level int           `json:"level,omitempty"`
	Tier  int           `json:"tier,omitempty"` // as in Candidate, like the next two
	Step  int           `json:"step,omitempty"`
	Rank  int64         `json:"rank,omitempty"`
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
	config   *Config // in force
	arrived  time.Time
	first    QueueID
	named    AgentID // whom the caller asked for
	origin   CallID  // of a callback: the call it was asked in
	number   string  // of a callback
	rejected Cause
	chapters []chapter
	offers   []ExplainedOffer
	dialled  OfferID // whose agent waits while the customer is being called
	agent    AgentID // who talks, or talked last
	talked   bool
	gone     bool
	by       Party
	cause    Cause
	ended    time.Time
}

// chapter is a turn of the story: an offer, or something else the floor did.
type chapter struct {
	at    time.Time
	offer int    // index of an offer, -1 if none
	did   Action // of the turns that are told
}

// NewTelling is the story of a call before its first word.
func NewTelling(id CallID) *Telling { return &Telling{call: id} }

// On says on what floor the first record is taken.
func (t *Telling) On(f *Floor) *Telling {
	t.config = f.config
	return t
}

func (t *Telling) known() bool { return !t.arrived.IsZero() }

// Observe takes one record and what the floor decided on it. It fits Replay.
func (t *Telling) Observe(r Record, done []Action) {
	ev := &r.Event
	if ev.Config != nil {
		t.config = ev.Config
	}
	if ev.Kind == Started && t.known() && !t.gone {
		t.end(r.At, Switch, CauseRestart)
	}
	if ev.Call == t.call {
		t.event(r.At, ev)
	}
	for i := range done {
		t.action(r.At, done[i])
	}
	// A talk that ends leaves its call's Gone behind; what is over without one
	// (refused, diverted, kept as a callback) has been told by then.
	if ev.Kind == Gone && ev.Call == t.call {
		t.end(r.At, ev.By, ev.Cause)
	}
}

func (t *Telling) event(at time.Time, ev *Event) {
	switch ev.Kind {
	case Arrived, Rejected, CallbackAsked:
		if t.known() {
			return
		}
		t.arrived, t.first, t.named = at, ev.Queue, ev.Agent
		t.origin, t.number = ev.Origin, ev.Number
		if ev.Kind == Rejected {
			t.rejected = ev.Cause
			t.end(at, Switch, ev.Cause)
		}
	case Failed:
		t.result(at, ev.Offer, wordOfMiss(ev.Cause), ev.Cause)
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
			t.offered(at, a)
		}
	case Withdraw:
		if a.Call == t.call {
			t.withdrawn(at, a)
		}
	case Connect:
		if a.Call == t.call {
			t.agent, t.talked, t.dialled = a.Agent, true, 0
			t.result(at, a.Offer, "answered", CauseUnknown)
		}
	case Dial:
		if a.Call == t.call {
			t.dialled = a.Offer
			t.result(at, a.Offer, "answered", CauseUnknown)
			t.turn(at, a)
		}
	case Comfort:
		if a.Call == t.call {
			t.turn(at, a)
		}
	case Rejoin:
		if a.Call == t.call {
			t.turn(at, a)
		}
	case Part:
		if a.Call == t.call {
			t.agent = ""
			t.turn(at, a)
		}
	case Consulted:
		if a.Call == t.call {
			t.result(at, a.Offer, "answered", CauseUnknown)
		}
	case NotReached:
		if a.Call == t.call && !t.rangAside(at, a) {
			t.turn(at, a)
		}
	case OfferCallback:
		if a.Call == t.call {
			t.turn(at, a)
		}
	default:
		t.last(at, a)
	}
}

// last takes the actions after which the floor has no more to do with a call.
func (t *Telling) last(at time.Time, a Action) {
	switch a := a.(type) {
	case Refuse:
		if a.Call == t.call {
			t.turn(at, a)
			t.end(at, Switch, a.Cause)
		}
	case Divert:
		if a.Call == t.call {
			if a.Cause != CauseTransferred { // its Part has told that
				t.turn(at, a)
			}
			t.end(at, Switch, a.Cause)
		}
	case CallbackKept:
		if a.Call == t.call && t.call != "" {
			t.turn(at, a)
			t.end(at, Caller, CauseCallback)
		}
	case CallbackOver:
		if a.Call == t.call && !a.Made {
			t.turn(at, a)
			t.end(at, Switch, a.Cause)
		}
	}
}

func (t *Telling) turn(at time.Time, a Action) {
	t.chapters = append(t.chapters, chapter{at: at, offer: -1, did: a})
}

func (t *Telling) offered(at time.Time, a Offer) {
	t.chapters = append(t.chapters, chapter{at: at, offer: len(t.offers)})
	o := ExplainedOffer{
		Offer: a.Offer, At: at, Queue: a.Queue, Agent: a.Agent, Match: a.Match, Number: a.Number, Rejoin: a.Rejoin, Asker: a.Asker,
		Waited: a.Match.Waited, Position: a.Match.Position, rules: t.rulesOf(a.Queue),
	}
	for i := range t.offers {
		if t.offers[i].Result == "" {
			o.beside++
		}
	}
	t.offers = append(t.offers, o)
}

// rulesOf is a queue as it is configured now.
func (t *Telling) rulesOf(id QueueID) *Queue {
	if t.config != nil {
		for i := range t.config.Queues {
			if t.config.Queues[i].ID == id {
				return &t.config.Queues[i]
			}
		}
	}
	return nil
}

func (t *Telling) withdrawn(at time.Time, a Withdraw) {
	if a.Offer == t.dialled {
		t.dialled = 0
		t.turn(at, a) // the customer of a callback was not to be had
		return
	}
	t.result(at, a.Offer, wordOfMiss(a.Cause), a.Cause)
}

func (t *Telling) queued(at time.Time, q Queued) {
	last := len(t.chapters) - 1
	switch {
	case last >= 0 && isTransfer(t.chapters[last].did) && t.chapters[last].at.Equal(at):
		return // told by it
	case q.From != "":
		t.turn(at, q)
	case last >= 0 && isPart(t.chapters[last].did):
		t.turn(at, q) // the line of the agent did not come back
	default: // back in line: the agent was lost before the bridge
		for i := range t.offers {
			if o := &t.offers[i]; o.Result == "answered" && (o.Agent == t.agent || o.Offer == t.dialled) {
				o.Result, o.After = "dropped", at.Sub(o.At)
			}
		}
		t.agent, t.dialled, t.talked = "", 0, false
	}
}

func isPart(a Action) bool { _, is := a.(Part); return is }

func isTransfer(a Action) bool { p, is := a.(Part); return is && p.Cause == CauseTransferred }

// rangAside says whether an offer has told already that somebody was not reached.
func (t *Telling) rangAside(at time.Time, a NotReached) bool {
	return slices.ContainsFunc(t.offers, func(o ExplainedOffer) bool {
		return o.Asker == a.Agent && o.Agent == a.To && o.Result != "" && o.At.Add(o.After).Equal(at)
	})
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
