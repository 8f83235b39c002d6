package whatif

import (
	"strconv"
	"time"

	"foyer/acd"
)

// Day is what a recorded day says of the world outside the switch.
type Day struct {
	begin, end time.Time
	script     []beat // what happened whatever the floor decided, in order
	callers    map[acd.CallID]*caller
	agents     map[acd.AgentID]*habits
	anyone     habits // of all agents together: for those who had no offers
	queues     map[acd.QueueID]*custom
	all        custom
}

// beat is an event that happens at its time in every version of the day.
type beat struct {
	at time.Time
	ev acd.Event
}

// caller is what is known of one contact.
type caller struct {
	queue   acd.QueueID
	arrived time.Time
	waited  time.Duration // until an answer, or until they left or were sent away
	left    bool          // they gave up after waited
	talk    time.Duration // all their talks together; 0: there was none
	during  []during      // what happened in the talk
	by      acd.Party     // who ended the talk, and why
	cause   acd.Cause
	after   wrap
	offers  []tried
	dials   []dialled
	asks    *asking // wants to be called back
}

// during is an event so long after the beginning of a talk.
type during struct {
	after  time.Duration
	kind   acd.Kind
	by     acd.Party
	reason string
}

// tried is an offer and what became of it.
type tried struct {
	agent   acd.AgentID
	alerted time.Duration // until the phone rang; negative: it did not
	after   time.Duration // until the result
	result  acd.Kind      // Answered or Failed; 0: it rang out
	cause   acd.Cause
	code    int
	cut     bool // it was taken back after that time, so the result is not known
}

// wrap is the work after a call: how long, and whether the agent ended it.
type wrap struct {
	length time.Duration
	agent  bool
	code   string
	cut    bool // the switch stopped in the middle of it
}

// dialled is what became of calling a customer back.
type dialled struct {
	after  time.Duration
	missed acd.Cause // CauseUnknown: they were there
}

// asking is a wish to be called back, so long after arrival.
type asking struct {
	after time.Duration
	ev    acd.Event
}

// habits is how an agent takes offers, and how long they stay away after a missed one.
type habits struct {
	offers []tried
	back   []time.Duration // of each missed offer that paused them
}

// notBack stands where something else ended such a pause, and will again.
const notBack = time.Duration(-1)

// custom is what is usual in a queue.
type custom struct {
	patience patience
	talks    []time.Duration
	wraps    []wrap
}

// Calls is how many calls and callbacks the day had.
func (d *Day) Calls() int { return len(d.callers) }

// Span is the time of the first and the last record.
func (d *Day) Span() (from, to time.Time) { return d.begin, d.end }

// fewLeavers is how many callers must have left a queue before its own patience
// is better than that of the whole day.
const fewLeavers = 20

func (d *Day) customs(q acd.QueueID) *custom {
	if c := d.queues[q]; c != nil {
		return c
	}
	return &d.all
}

// patienceOf is how long after arrival a caller gives up.
func (d *Day) patienceOf(id acd.CallID, c *caller) time.Duration {
	if c.left {
		return c.waited
	}
	return d.patienceIn(c.queue).beyond(c.waited, lot(string(id), "patience"))
}

func (d *Day) patienceIn(q acd.QueueID) *patience {
	if p := &d.customs(q).patience; len(p.steps) >= fewLeavers {
		return p
	}
	return &d.all.patience
}

// defaultTalk is a talk on a day that had none.
const defaultTalk = 3 * time.Minute

func (d *Day) talkOf(id acd.CallID, c *caller) time.Duration {
	if c.talk > 0 {
		return c.talk
	}
	n := lot(string(id), "talk")
	if t, ok := pick(d.customs(c.queue).talks, n); ok {
		return t
	}
	if t, ok := pick(d.all.talks, n); ok {
		return t
	}
	return defaultTalk
}

func (d *Day) wrapOf(id acd.CallID, c *caller) wrap {
	if c.after.length > 0 {
		return c.after
	}
	w, _ := pick(d.customs(c.queue).wraps, lot(string(id), "wrap"))
	return w
}

// outcomeOf is what becomes of the nth offer of a call to an agent: what did, or
// else what became of one of the agent's offers.
func (d *Day) outcomeOf(id acd.CallID, c *caller, agent acd.AgentID, nth int) tried {
	seen, known := 0, tried{alerted: -1}
	for _, o := range c.offers {
		if o.agent != agent {
			continue
		}
		if seen++; seen == nth && !o.cut {
			return o
		} else if seen == nth {
			known = o
		}
	}
	n := lot(string(id), string(agent), strconv.Itoa(nth))
	if h := d.agents[agent]; h != nil {
		if o, ok := h.taken(n, known); ok {
			return o
		}
	}
	if o, ok := d.anyone.taken(n, known); ok {
		return o
	}
	return tried{alerted: time.Second, after: 4 * time.Second, result: acd.Answered} // a day without offers
}

// taken draws one of the offers, of those that took longer than what is known of
// this one.
func (h *habits) taken(lot uint64, known tried) (tried, bool) {
	for i := range h.offers {
		o := h.offers[(lot+uint64(i))%uint64(len(h.offers))]
		if known.cut && o.result != 0 && o.after <= known.after {
			continue
		}
		if known.alerted >= 0 {
			o.alerted = known.alerted
		}
		return o, true
	}
	return tried{alerted: known.alerted}, known.cut
}

// backAfter is how long an agent stays away who was paused for their nth missed call.
func (d *Day) backAfter(agent acd.AgentID, nth int) time.Duration {
	if h := d.agents[agent]; h != nil && nth <= len(h.back) {
		return h.back[nth-1]
	}
	n := lot(string(agent), "back", strconv.Itoa(nth))
	if b, ok := pick(d.anyone.back, n); ok {
		return b
	}
	return 5 * time.Minute
}
