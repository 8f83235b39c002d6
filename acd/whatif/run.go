package whatif

import (
	"container/heap"
	"time"

	"foyer/acd"
)

// run is one playing of a day. Its clock is the time of the next event: of the
// script, of what people do because of decisions, or of the floor's own deadline.
type run struct {
	day    *Day
	change Change
	floor  *acd.Floor
	see    func(acd.Record, []acd.Action)
	seq    uint64
	now    time.Time
	due    agenda
	plans  int
	config *acd.Config
	calls  map[acd.CallID]*playing
	agents map[acd.AgentID]*player
	joined bool // the added agents are at work
}

// playing is a contact on the floor.
type playing struct {
	*caller
	id       acd.CallID
	begun    time.Time // of the talk; zero while there is none
	talked   time.Duration
	turn     int // counts talks and waits: what was planned for an older one is void
	offers   map[acd.AgentID]int
	rung     map[acd.OfferID]bool
	dials    int
	callback bool
}

func newPlaying(id acd.CallID, c *caller) *playing {
	return &playing{caller: c, id: id, offers: map[acd.AgentID]int{}, rung: map[acd.OfferID]bool{}}
}

// player is an agent on the floor.
type player struct {
	state  acd.AgentState
	reason string
	missed int
}

// Run plays the day with a change. Each event and what the floor decided on it is
// shown to see.
func (d *Day) Run(c Change, see func(acd.Record, []acd.Action)) {
	r := &run{
		day: d, change: c, floor: acd.NewFloor(), see: see,
		calls: map[acd.CallID]*playing{}, agents: map[acd.AgentID]*player{},
	}
	next := 0
	for {
		at, from := d.end.Add(1), -1
		if next < len(d.script) {
			at, from = d.script[next].at, 0
		}
		if len(r.due) > 0 && r.due[0].at.Before(at) {
			at, from = r.due[0].at, 1
		}
		if t, ok := r.floor.Deadline(); ok && t.Before(at) {
			at, from = t, 2
		}
		if from < 0 || at.After(d.end) {
			return
		}
		switch from {
		case 0:
			b := &d.script[next]
			next++
			r.happens(b.at, b.ev)
		case 1:
			p := heap.Pop(&r.due).(plan)
			if p.still == nil || p.still() {
				r.step(p.at, p.ev)
			}
		case 2:
			r.step(at, acd.Event{Kind: acd.Tick})
		}
	}
}

// happens plays an event of the script.
func (r *run) happens(at time.Time, ev acd.Event) {
	switch ev.Kind {
	case acd.Started:
		clear(r.calls)
		clear(r.agents)
		r.due, r.joined = nil, false
		ev.Config = r.change.to(ev.Config)
	case acd.Reconfigured:
		if r.change.Config != nil {
			return
		}
		ev.Config = r.change.to(ev.Config)
	case acd.Arrived, acd.CallbackAsked:
		r.arrive(at, ev)
		return
	}
	r.step(at, ev)
	r.join(at)
}

// join lets the added agents work while others do.
func (r *run) join(at time.Time) {
	if r.change.Add == 0 {
		return
	}
	working := false
	for _, p := range r.agents { // a question of whether, so the order does not matter
		working = working || p.state >= acd.NotReady
	}
	if working == r.joined {
		return
	}
	r.joined = working
	for n := range r.change.Add {
		kinds := []acd.Kind{acd.Logout, acd.Unreachable}
		if working {
			kinds = []acd.Kind{acd.Reachable, acd.MakeReady}
		}
		for _, k := range kinds {
			r.step(at, acd.Event{Kind: k, Agent: added(n), By: acd.Agent})
		}
	}
}

// step gives the floor an event, and lets people act on what it decides.
func (r *run) step(at time.Time, ev acd.Event) {
	if at.Before(r.now) {
		at = r.now
	}
	r.now = at
	r.seq++
	if ev.Config != nil {
		r.config = ev.Config
	}
	done := r.floor.Step(at, ev)
	r.see(acd.Record{Seq: r.seq, At: at, Event: ev}, done)
	for _, a := range done {
		r.react(a)
	}
}

func (r *run) arrive(at time.Time, ev acd.Event) {
	c := r.day.callers[ev.Call]
	if c == nil || r.calls[ev.Call] != nil {
		return
	}
	p := newPlaying(ev.Call, c)
	p.callback = ev.Kind == acd.CallbackAsked
	r.calls[ev.Call] = p
	r.step(at, ev)
	if r.calls[ev.Call] != p || p.callback {
		return
	}
	r.leaves(p, r.day.patienceOf(p.id, c))
	if a := c.asks; a != nil {
		turn := p.turn
		r.plan(a.after, a.ev, func() bool {
			if r.calls[p.id] != p || p.turn != turn {
				return false
			}
			if c := r.day.callers[a.ev.Call]; c != nil {
				r.calls[a.ev.Call] = newPlaying(a.ev.Call, c)
			}
			return true
		})
	}
}

// leaves plans that a caller gives up.
func (r *run) leaves(p *playing, after time.Duration) {
	if after >= never {
		return
	}
	turn := p.turn
	r.plan(after, acd.Event{Kind: acd.Gone, Call: p.id, By: acd.Caller, Cause: acd.CauseAbandoned}, func() bool {
		return r.calls[p.id] == p && p.turn == turn
	})
}

// react is what people do about a decision.
func (r *run) react(a acd.Action) {
	switch a := a.(type) {
	case acd.Offer:
		r.offered(a)
	case acd.Withdraw:
		if p := r.calls[a.Call]; p != nil {
			delete(p.rung, a.Offer)
		}
	case acd.Connect:
		if p := r.calls[a.Call]; p != nil {
			r.talk(p, a)
		}
	case acd.Part:
		if p := r.calls[a.Call]; p != nil {
			p.talked += r.now.Sub(p.begun)
			p.begun = time.Time{}
			p.turn++
			r.leaves(p, r.day.patienceIn(p.queue).beyond(0, lot(string(p.id), "again")))
		}
	case acd.Dial:
		r.dialled(a)
	case acd.Settled:
		delete(r.calls, a.Call)
	case acd.Moved:
		r.moved(a)
	}
}

func (r *run) offered(a acd.Offer) {
	p := r.calls[a.Call]
	if p == nil {
		return
	}
	p.offers[a.Agent]++
	p.rung[a.Offer] = true
	still := func() bool { return r.calls[p.id] == p && p.rung[a.Offer] }
	o := r.day.outcomeOf(p.id, p.caller, a.Agent, p.offers[a.Agent])
	if o.alerted >= 0 && (o.result == 0 || o.alerted <= o.after) {
		r.plan(o.alerted, acd.Event{Kind: acd.Alerting, Call: a.Call, Agent: a.Agent, Offer: a.Offer}, still)
	}
	if o.result != 0 {
		r.plan(o.after, acd.Event{Kind: o.result, Call: a.Call, Agent: a.Agent, Offer: a.Offer, Cause: o.cause, Code: o.code}, still)
	}
}

// talk plans what happens in a talk, and its end.
func (r *run) talk(p *playing, a acd.Connect) {
	p.begun = r.now
	p.turn++
	turn := p.turn
	still := func() bool { return r.calls[p.id] == p && p.turn == turn }
	r.plan(0, acd.Event{Kind: acd.Bridged, Call: a.Call, Agent: a.Agent, Offer: a.Offer}, still)
	for _, d := range p.during {
		if after := d.after - p.talked; after >= 0 {
			r.plan(after, acd.Event{Kind: d.kind, Call: a.Call, Agent: a.Agent, Offer: a.Offer, By: d.by, Reason: d.reason}, still)
		}
	}
	end := acd.Event{Kind: acd.Gone, Call: a.Call, By: p.by, Cause: p.cause}
	if end.By == acd.Nobody {
		end.By, end.Cause = acd.Caller, acd.CauseHangup
	}
	r.plan(max(r.day.talkOf(p.id, p.caller)-p.talked, time.Millisecond), end, still)
}

func (r *run) dialled(a acd.Dial) {
	p := r.calls[a.Call]
	if p == nil {
		return
	}
	d := dialled{after: 8 * time.Second} // nobody of that day knows whether they are in
	if p.dials < len(p.caller.dials) {
		d = p.caller.dials[p.dials]
	}
	p.dials++
	ev := acd.Event{Kind: acd.CallerBack, Call: a.Call}
	if d.missed != acd.CauseUnknown {
		ev.Kind, ev.Cause = acd.CallerMissed, d.missed
	}
	r.plan(d.after, ev, nil)
}

func (r *run) moved(a acd.Moved) {
	p := r.agents[a.Agent]
	if p == nil {
		p = &player{}
		r.agents[a.Agent] = p
	}
	p.state, p.reason = a.To, a.Reason
	switch {
	case a.To == acd.WrapUp:
		r.wrapUp(a)
	case a.To == acd.NotReady && a.Reason == acd.ReasonMissed:
		p.missed++
		nth := p.missed
		after := r.day.backAfter(a.Agent, nth)
		if after == notBack {
			return
		}
		r.plan(after, acd.Event{Kind: acd.MakeReady, Agent: a.Agent, By: acd.Agent}, func() bool {
			return r.agents[a.Agent] == p && p.missed == nth && p.state == acd.NotReady && p.reason == acd.ReasonMissed
		})
	}
}

// wrapUp plans the end of the work after a call, if the agent and not the clock
// ends it, and asks for as much more time as it took.
func (r *run) wrapUp(a acd.Moved) {
	c := r.day.callers[a.Call]
	if c == nil {
		return
	}
	w := r.day.wrapOf(a.Call, c)
	var q acd.Queue
	for i := range r.config.Queues {
		if r.config.Queues[i].ID == c.queue {
			q = r.config.Queues[i]
		}
	}
	if q.WrapMode == acd.WrapExtendable && q.ExtendBy > 0 {
		for n := 0; n < q.MaxExtend && q.WrapUp+time.Duration(n)*q.ExtendBy < w.length; n++ {
			r.plan(0, acd.Event{Kind: acd.Extend, Agent: a.Agent, Call: a.Call, By: acd.Agent}, nil)
		}
	}
	if w.length == 0 && q.WrapMode >= acd.WrapManual {
		w.length = max(q.WrapUp, 30*time.Second)
	}
	if w.agent || q.WrapMode >= acd.WrapManual {
		if w.code == "" {
			w.code = "done"
		}
		r.plan(w.length, acd.Event{Kind: acd.WrapUpDone, Agent: a.Agent, Call: a.Call, By: acd.Agent, Reason: w.code}, nil)
	}
}
