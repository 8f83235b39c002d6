package ledger

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/acd"

	"pgregory.net/rapid"
)

// told is one record and what the floor answered.
type told struct {
	at   time.Time
	ev   acd.Event
	done []acd.Action
}

// drive is a small floor driven by chance: what it knows of calls and offers it
// learns from the actions, like the switch.
type drive struct {
	f     *acd.Floor
	dice  *rand.Rand
	now   time.Time
	live  []acd.CallID
	rung  []acd.Offer
	talks []acd.Connect
	calls int
	told  []told
	steps bool // configurations change on the way
}

func newDrive(t *rapid.T) *drive {
	seed := rapid.SliceOfN(rapid.Uint64(), 2, 2).Draw(t, "seed")
	d := &drive{f: acd.NewFloor(), dice: rand.New(rand.NewPCG(seed[0], seed[1])), now: day().Add(7 * time.Minute)}
	d.steps = d.dice.IntN(2) == 0
	d.step(acd.Event{Kind: acd.Started, Config: d.config()})
	for _, a := range []acd.AgentID{"a1", "a2", "a3"} {
		d.step(acd.Event{Kind: acd.Reachable, Agent: a})
		d.step(acd.Event{Kind: acd.MakeReady, Agent: a, By: acd.Agent})
	}
	return d
}

func (d *drive) config() *acd.Config {
	cfg := &acd.Config{}
	for i, id := range []acd.QueueID{"q1", "q2", "q3"} {
		q := acd.Queue{
			ID: id, Client: []acd.ClientID{"acme", "bank", "acme"}[i], RingTimeout: 15 * time.Second, MaxOffers: 2,
			Strategy: acd.Strategy(d.dice.IntN(9)), WrapUp: time.Duration(d.dice.IntN(2)) * 90 * time.Second, Within: 20 * time.Second, ShortAbandon: 5 * time.Second,
		}
		if d.dice.IntN(2) == 0 {
			q.Overflow = append(overflowTo([]acd.QueueID{"q1", "q2", "q3"}[(i+1)%3], 40*time.Second), acd.Overflow{After: 3 * time.Minute})
		}
		cfg.Queues = append(cfg.Queues, q)
	}
	for _, id := range []acd.AgentID{"a1", "a2", "a3"} {
		a := acd.AgentCfg{ID: id, Queues: []acd.QueueID{"q1"}}
		if d.dice.IntN(3) > 0 {
			a.Queues = append(a.Queues, "q2")
		}
		if d.dice.IntN(2) > 0 {
			a.Queues = append(a.Queues, "q3")
		}
		cfg.Agents = append(cfg.Agents, a)
	}
	return cfg
}

func overflowTo(q acd.QueueID, after time.Duration) []acd.Overflow {
	return []acd.Overflow{{After: after, To: acd.Target{Queue: q}}}
}

func (d *drive) step(ev acd.Event) {
	done := d.f.Step(d.now, ev)
	d.told = append(d.told, told{d.now, ev, done})
	for _, a := range done {
		switch a := a.(type) {
		case acd.Offer:
			d.rung = append(d.rung, a)
		case acd.Connect:
			d.talks = append(d.talks, a)
		case acd.Settled:
			d.live = slices.DeleteFunc(d.live, func(c acd.CallID) bool { return c == a.Call })
		}
	}
}

func (d *drive) pass() {
	span := time.Duration(d.dice.IntN(20_000)) * time.Millisecond
	switch d.dice.IntN(12) {
	case 0:
		span *= 40 // several minutes
	case 1:
		span *= 200 // up to an hour
	}
	until := d.now.Add(span)
	if d.dice.IntN(10) == 0 { // to the very moment a quarter ends
		until = d.now.Truncate(Quarter).Add(Quarter)
	}
	// The floor has its deadlines met, as the board does.
	for range 50 {
		at, due := d.f.Deadline()
		if !due || at.After(until) {
			break
		}
		if at.After(d.now) {
			d.now = at
		}
		d.step(acd.Event{Kind: acd.Tick})
	}
	d.now = until
}

func (d *drive) next() {
	d.pass()
	ev := acd.Event{Agent: []acd.AgentID{"a1", "a2", "a3"}[d.dice.IntN(3)], By: acd.Agent}
	switch n := d.dice.IntN(40); {
	case n < 10:
		d.calls++
		id := acd.CallID(fmt.Sprintf("c%d", d.calls))
		d.live = append(d.live, id)
		ev = acd.Event{Kind: acd.Arrived, Call: id, Queue: []acd.QueueID{"q1", "q2", "q3"}[d.dice.IntN(3)]}
	case n < 20 && len(d.rung) > 0:
		o := d.rung[max(0, len(d.rung)-1-d.dice.IntN(3))]
		ev = acd.Event{Kind: acd.Answered, Call: o.Call, Agent: o.Agent, Offer: o.Offer}
		if d.dice.IntN(5) == 0 {
			ev.Kind, ev.Cause = acd.Failed, []acd.Cause{acd.CauseDeclined, acd.CauseBusy, acd.CauseUnreachable, acd.CauseFailed}[d.dice.IntN(4)]
		}
	case n < 26 && len(d.talks) > 0:
		o := d.talks[max(0, len(d.talks)-1-d.dice.IntN(2))]
		ev = acd.Event{Kind: acd.Bridged, Call: o.Call, Agent: o.Agent, Offer: o.Offer}
	case n < 29 && len(d.talks) > 0:
		o := d.talks[len(d.talks)-1]
		ev = acd.Event{Kind: acd.Held, Call: o.Call, By: acd.Party(1 + d.dice.IntN(2))}
		if d.dice.IntN(2) == 0 {
			ev.Kind = acd.Resumed
		}
	case n < 34 && len(d.live) > 0:
		ev = acd.Event{Kind: acd.Gone, Call: d.live[d.dice.IntN(len(d.live))], By: []acd.Party{acd.Caller, acd.Caller, acd.Agent, acd.Supervisor, acd.Nobody}[d.dice.IntN(5)]}
	case n == 34:
		ev.Kind, ev.Reason = acd.Pause, "lunch"
	case n == 35:
		ev.Kind = acd.Logout
	case n == 36 && d.steps && d.dice.IntN(3) == 0:
		ev = acd.Event{Kind: acd.Started, Config: d.config()}
	case n == 37 && d.steps:
		ev = acd.Event{Kind: acd.Reconfigured, Config: d.config()}
	case n == 38:
		ev.Kind = []acd.Kind{acd.Unreachable, acd.Reachable, acd.WrapUpDone}[d.dice.IntN(3)]
	default:
		ev.Kind = acd.MakeReady
	}
	d.step(ev)
}

// shifts of the driven day: a1 all the time, a2 a stretch that begins and ends
// within a quarter, a3 none.
type someShifts struct{}

func (someShifts) Shifts(from, to Instant) []Shift {
	var all []Shift
	for _, s := range []Shift{
		{"a1", At(day()), At(day()) + 400*3600_000},
		{"a2", At(day()) + 11*60_000 + 1, At(day()) + 37*60_000 + 17},
		{"a2", At(day()) + 50*60_000, At(day()) + 300*60_000},
	} {
		if s.From < to && s.To > from {
			all = append(all, s)
		}
	}
	return all
}

// tallied is the newest form of every row that a Tally hands out.
func tallied(told []told) map[string]Interval {
	tally := NewTally(someShifts{})
	rows := map[string]Interval{}
	keep := func(out []Interval) {
		for _, r := range out {
			rows[rowName(r)] = r
		}
	}
	for _, r := range told {
		keep(tally.Apply(r.at, r.ev, r.done))
	}
	keep(tally.Pending())
	return rows
}

func rowName(r Interval) string {
	return strings.Join([]string{r.Start.String(), r.Life.String(), string(r.Subject), r.ID, r.Client}, " ")
}

// TestTallyIsARecount drives floors by chance and holds what the Tally counted on
// the way against a recount that knows the whole journal and looks at every
// quarter, call and agent by itself.
func TestTallyIsARecount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDrive(t)
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			d.next()
		}
		got, want := tallied(d.told), recount(d.told)
		for _, name := range sortedKeys(want) {
			if a, b := asText(got[name]), asText(want[name]); a != b {
				t.Fatalf("%s\ncounted   %s\nrecounted %s", name, a, b)
			}
		}
		for _, name := range sortedKeys(got) {
			if _, there := want[name]; !there && asText(got[name]) != asText(empty(got[name])) {
				t.Fatalf("%s counted out of nothing: %s", name, asText(got[name]))
			}
		}
		if !d.steps {
			d.compareWithFloor(t, got)
		}
		again := tallied(d.told)
		if !reflect.DeepEqual(got, again) {
			t.Fatal("a second fold counts otherwise")
		}
	})
}

func empty(i Interval) Interval {
	if i.Queue != nil {
		i.Queue = &QueueCounts{}
	} else {
		i.Agent = &AgentCounts{}
	}
	return i
}

func asText(i Interval) string {
	if i.Queue != nil { // an empty histogram is no histogram
		q := *i.Queue
		if len(q.Waits) == 0 {
			q.Waits = nil
		}
		b, _ := json.Marshal(q)
		return string(b)
	}
	b, _ := json.Marshal(i.Agent)
	return string(b)
}

// compareWithFloor holds the sums against the counters that the floor itself keeps.
func (d *drive) compareWithFloor(t *rapid.T, rows map[string]Interval) {
	sums, spent := map[string]*QueueCounts{}, map[string]*AgentCounts{}
	for _, r := range rows {
		if r.Queue != nil {
			if sums[r.ID] == nil {
				sums[r.ID] = &QueueCounts{}
			}
			sums[r.ID].Add(r.Queue)
			continue
		}
		if spent[r.ID] == nil {
			spent[r.ID] = &AgentCounts{}
		}
		spent[r.ID].Add(r.Agent)
	}
	end := d.told[len(d.told)-1].at
	v := d.f.Snapshot(end)
	up := map[acd.QueueID]int{}
	for _, c := range v.Calls {
		up[c.Queue]++
	}
	for _, q := range v.Queues {
		s := cmp.Or(sums[string(q.ID)], &QueueCounts{})
		got := []int{s.Offered, s.Answered, s.Abandoned, s.ShortAbandoned, s.Overflowed, s.Refused}
		want := []int{int(q.Offered), int(q.Answered), int(q.Abandoned), int(q.ShortAbandoned), int(q.Overflowed), int(q.Refused)}
		// The floor counts short abandons from arrival, we from the queue.
		if got[3] = want[3]; !slices.Equal(got, want) {
			t.Fatalf("%s: counted %v, the floor says %v", q.ID, got, want)
		}
		ended := s.Answered + s.Abandoned + s.Overflowed + s.Refused + s.Callbacks + s.Failed
		if s.Offered < ended || s.Offered > ended+up[q.ID] || s.Abandoned != s.AbandonedWithin+s.AbandonedLater {
			t.Fatalf("%s does not add up: %+v, %d up", q.ID, s, up[q.ID])
		}
	}
	for _, a := range v.Agents {
		s := cmp.Or(spent[string(a.ID)], &AgentCounts{})
		var session time.Duration
		for state, d := range a.Spent {
			if activityOf(acd.AgentState(state)) != away {
				session += d
			}
		}
		if s.LoggedIn() != Millis(session.Milliseconds()) {
			t.Fatalf("%s was here for %v, %v counted", a.ID, session, s.LoggedIn().Length())
		}
	}
}

// recount counts a journal without remembering anything between two looks.
func recount(all []told) map[string]Interval {
	rows := map[string]Interval{}
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].ev.Kind != acd.Started {
			n++
		}
		(&book{told: all[:n], died: n < len(all), rows: rows}).recount()
		all = all[n:]
	}
	return rows
}

// book is the records of one life of the switch, being recounted.
type book struct {
	told []told
	died bool
	rows map[string]Interval
}

func (l *book) at(i int) Instant { return At(l.told[i].at) }
func (l *book) end() Instant     { return l.at(len(l.told) - 1) }

func (l *book) interval(at Instant, s Subject, id, client string) Interval {
	r := Interval{Start: at - at%900_000, Life: l.at(0), Subject: s, ID: id, Client: client}
	if had, there := l.rows[rowName(r)]; there {
		return had
	}
	r = empty(Interval{Start: r.Start, Life: r.Life, Subject: s, ID: id, Client: client, Queue: map[Subject]*QueueCounts{OfQueue: {}}[s]})
	l.rows[rowName(r)] = r
	return r
}

func clientOf(queue string) string {
	return map[string]string{"q1": "acme", "q2": "bank", "q3": "acme"}[queue]
}

func (l *book) queue(at Instant, id string) *QueueCounts {
	return l.interval(at, OfQueue, id, clientOf(id)).Queue
}

func (l *book) agent(at Instant, id acd.AgentID, client string) *AgentCounts {
	return l.interval(at, OfAgent, string(id), client).Agent
}

func (l *book) recount() {
	for i, r := range l.told {
		if r.ev.Kind == acd.Arrived {
			l.recountCall(r.ev.Call, i)
		}
		for _, a := range r.done {
			if o, ok := a.(acd.Offer); ok {
				l.recountOffer(o, i)
			}
		}
	}
	for _, id := range []acd.AgentID{"a1", "a2", "a3"} {
		l.recountAgent(id)
	}
}

// recountCall follows one call from its arrival.
func (l *book) recountCall(id acd.CallID, from int) {
	var queue string
	var entered, joined Instant
	var with acd.Connect
	counted, refusedFor := false, acd.CauseUnknown
	wait := func(until Instant) Millis {
		q := l.queue(entered, queue)
		w := Millis(until - entered)
		q.WaitAll += w
		q.WaitMost = max(q.WaitMost, w)
		q.Waits.count(w)
		return w
	}
	answer := func(now Instant) {
		counted = true
		w := wait(joined)
		q := l.queue(entered, queue)
		q.Answered, q.Handled, q.WaitAnswered = q.Answered+1, q.Handled+1, q.WaitAnswered+w
		if w <= 20_000 {
			q.AnsweredWithin++
		}
		l.agent(now, with.Agent, clientOf(queue)).Handled++
	}
	for i := from; i < len(l.told); i++ {
		now := l.at(i)
		for _, a := range l.told[i].done {
			switch a := a.(type) {
			case acd.Queued:
				if a.Call != id {
					continue
				}
				if joined = 0; string(a.Queue) == queue && !counted {
					continue
				}
				if queue != "" && !counted {
					wait(now)
					l.queue(entered, queue).Overflowed++
				}
				queue, entered, counted = string(a.Queue), now, false
				q := l.queue(now, queue)
				q.Offered++
				q.Within, q.Short = 20_000, 5_000
			case acd.Connect:
				if a.Call == id {
					joined, with = now, a
				}
			case acd.Refuse:
				if a.Call == id {
					refusedFor = a.Cause
				}
			case acd.Settled:
				switch {
				case a.Call != id || queue == "":
				case counted:
				case joined != 0:
					answer(now)
				case refusedFor == acd.CauseMaxWait:
					wait(now)
					l.queue(entered, queue).Overflowed++
				case refusedFor != acd.CauseUnknown, a.By == acd.Agent, a.By == acd.Supervisor, a.By == acd.Switch:
					wait(now)
					l.queue(entered, queue).Refused++
				default:
					w := wait(now)
					q := l.queue(entered, queue)
					q.Abandoned++
					if w <= 20_000 {
						q.AbandonedWithin++
					} else {
						q.AbandonedLater++
					}
					if w < 5_000 {
						q.ShortAbandoned++
					}
				}
				if a.Call == id {
					return
				}
			}
		}
		if ev := l.told[i].ev; ev.Kind == acd.Bridged && ev.Call == id && joined != 0 && !counted && ev.Agent == with.Agent && ev.Offer == with.Offer {
			answer(now)
		}
	}
	if l.died && queue != "" && !counted {
		wait(l.end())
		l.queue(entered, queue).Failed++
	}
}

// recountOffer looks for the first word on one offer.
func (l *book) recountOffer(o acd.Offer, from int) {
	c := l.agent(l.at(from), o.Agent, clientOf(string(o.Queue)))
	c.Offers++
	missed := func(why acd.Cause) {
		switch why {
		case acd.CauseDeclined, acd.CauseBusy:
			c.Declined++
		case acd.CauseNoAnswer:
			c.Missed++
		case acd.CauseUnreachable, acd.CauseFailed:
			c.Unreachable++
		default:
			c.Withdrawn++
		}
	}
	for i := from; i < len(l.told); i++ {
		if ev := l.told[i].ev; i > from && ev.Kind == acd.Failed && ev.Call == o.Call && ev.Agent == o.Agent && ev.Offer == o.Offer {
			missed(ev.Cause)
			return
		}
		for _, a := range l.told[i].done {
			switch a := a.(type) {
			case acd.Withdraw:
				if a.Call == o.Call && a.Agent == o.Agent && a.Offer == o.Offer {
					missed(a.Cause)
					return
				}
			case acd.Connect:
				if a.Call == o.Call && a.Agent == o.Agent && a.Offer == o.Offer {
					c.Accepted++
					return
				}
			}
		}
	}
	if l.died {
		c.Withdrawn++
	}
}

// recountAgent looks at every millisecond's worth of one agent's time, a stretch
// between two records at a time.
func (l *book) recountAgent(id acd.AgentID) {
	var state acd.AgentState
	var call acd.CallID
	for i := 0; i+1 < len(l.told); i++ {
		for _, a := range l.told[i].done {
			if m, ok := a.(acd.Moved); ok && m.Agent == id {
				state, call = m.To, m.Call
			}
		}
		for at := l.at(i); at < l.at(i+1); {
			until := min(l.at(i+1), at-at%900_000+900_000)
			l.recountStretch(id, state, call, i, at, until)
			at = until
		}
	}
	for at := l.at(0); at < l.end(); {
		until := min(l.end(), at-at%900_000+900_000)
		for _, s := range (someShifts{}).Shifts(at, until) {
			if s.Agent == id {
				l.agent(at, id, "").Scheduled += Millis(min(until, s.To) - max(at, s.From))
			}
		}
		at = until
	}
}

func (l *book) recountStretch(id acd.AgentID, state acd.AgentState, call acd.CallID, i int, at, until Instant) {
	d := Millis(until - at)
	queue, entered := l.whereWas(call, i)
	client := clientOf(queue)
	c := func() *AgentCounts { return l.agent(at, id, client) }
	var q *QueueCounts
	talks := state == acd.Talking || state == acd.OnHold || state == acd.Consulting
	if talks || state == acd.WrapUp {
		q = l.queue(entered, queue)
	}
	switch {
	case state == acd.Off, state == acd.Registered:
		return
	case state == acd.NotReady:
		l.agent(at, id, "").Paused += d
		return
	case state == acd.Ready:
		l.agent(at, id, "").Idle += d
	case state == acd.Reserved, state == acd.Offered:
		c().Rung += d
	case talks && l.held(call, id, i):
		c().Held += d
		q.Held += d
	case talks:
		c().Talked += d
		q.Talked += d
	case state == acd.WrapUp:
		c().WrappedUp += d
		q.WrappedUp += d
	}
	for _, s := range (someShifts{}).Shifts(at, until) {
		if s.Agent == id {
			l.agent(at, id, "").Adhered += Millis(min(until, s.To) - max(at, s.From))
		}
	}
}

// whereWas is the queue of a call after record i, and when it came there.
func (l *book) whereWas(call acd.CallID, i int) (queue string, entered Instant) {
	for j := range i + 1 {
		for _, a := range l.told[j].done {
			if a, ok := a.(acd.Queued); ok && a.Call == call && string(a.Queue) != queue {
				queue, entered = string(a.Queue), l.at(j)
			}
		}
	}
	return queue, entered
}

// held says whether a talk is on hold after record i.
func (l *book) held(call acd.CallID, id acd.AgentID, i int) bool {
	connected, holders := false, map[acd.Party]bool{}
	for j := range i + 1 {
		if ev := l.told[j].ev; ev.Call == call && connected {
			switch ev.Kind {
			case acd.Held:
				holders[ev.By] = true
			case acd.Resumed:
				delete(holders, ev.By)
			}
		}
		for _, a := range l.told[j].done {
			switch a := a.(type) {
			case acd.Connect:
				if a.Call == call {
					connected, holders = a.Agent == id, map[acd.Party]bool{}
				}
			case acd.Queued:
				if a.Call == call {
					connected, holders = false, map[acd.Party]bool{}
				}
			}
		}
	}
	return len(holders) > 0
}

// A Tally forgets what is over: after a day of calls it holds this quarter alone.
func TestTallyForgetsWhatIsOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDrive(t)
		tally := NewTally(nil)
		for range 300 {
			d.next()
		}
		for _, c := range slices.Clone(d.live) {
			d.step(acd.Event{Kind: acd.Gone, Call: c, By: acd.Caller})
		}
		d.now = d.now.Add(20 * time.Minute)
		d.step(acd.Event{Kind: acd.Tick})
		for _, a := range []acd.AgentID{"a1", "a2", "a3"} {
			d.step(acd.Event{Kind: acd.Logout, Agent: a})
		}
		d.now = d.now.Add(20 * time.Minute)
		d.step(acd.Event{Kind: acd.Tick})
		for _, r := range d.told {
			tally.Apply(r.at, r.ev, r.done)
		}
		if len(tally.calls) != 0 || len(tally.agents) != 0 || len(tally.rows) != 0 || len(tally.late) != 0 {
			t.Fatalf("kept: %d calls, %d agents, %d rows, %d late", len(tally.calls), len(tally.agents), len(tally.rows), len(tally.late))
		}
	})
}

// Journals that no floor would write end in balance too.
func TestTallyOfAnyJournal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tally := NewTally(someShifts{})
		rows := map[string]Interval{}
		at := day()
		for range rapid.IntRange(0, 60).Draw(t, "records") {
			at = at.Add(time.Duration(rapid.Int64Range(-2000, 400_000).Draw(t, "ms")) * time.Millisecond)
			for _, r := range tally.Apply(at, anyEvent(t), anyActions(t)) {
				rows[rowName(r)] = r
			}
		}
		for _, r := range tally.Apply(at, acd.Event{Kind: acd.Started}, nil) {
			rows[rowName(r)] = r
		}
		for name, r := range rows {
			switch {
			case r.Agent != nil && r.Agent.LoggedIn() > Millis(quarter):
				t.Fatalf("%s: %v in a quarter of an hour", name, r.Agent.LoggedIn().Length())
			case r.Agent != nil && r.Agent.Offers != r.Agent.Accepted+r.Agent.Declined+r.Agent.Missed+r.Agent.Unreachable+r.Agent.Withdrawn:
				t.Fatalf("%s: offers do not add up: %+v", name, r.Agent)
			}
			if q := r.Queue; q != nil && q.Offered < q.Answered+q.Abandoned+q.Overflowed+q.Refused+q.Callbacks+q.Failed {
				t.Fatalf("%s: more ends than calls: %+v", name, q)
			}
		}
		if len(tally.calls) != 0 || len(tally.rows) != 0 || len(tally.agents) != 0 {
			t.Fatalf("left behind: %+v", tally)
		}
	})
}

// BenchmarkTally is the cost of one answered call, from its arrival to the end.
func BenchmarkTally(b *testing.B) {
	tally := NewTally(nil)
	tally.Apply(day(), started().ev, nil)
	at := day()
	script := []rec{
		arrived(0, "sales", ring("ana", "sales", 1), acd.Moved{Agent: "ana", From: acd.Ready, To: acd.Offered, Call: "c1"}),
		answered(0, "ana", 1),
		{0, acd.Event{Kind: acd.Bridged, Call: "c1", Agent: "ana", Offer: 1}, nil},
		gone(0, acd.Caller, acd.CauseHangup, acd.Settled{Call: "c1", Cause: acd.CauseHangup, By: acd.Caller},
			acd.Moved{Agent: "ana", From: acd.Talking, To: acd.Ready, Call: "c1"}),
	}
	b.ReportAllocs()
	for b.Loop() {
		for i := range script {
			at = at.Add(20 * time.Millisecond)
			tally.Apply(at, script[i].ev, script[i].done)
		}
	}
}
