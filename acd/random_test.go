package acd

import (
	"cmp"
	"flag"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// dumbMatch is the matching rule told as plainly as possible, without an index:
// every waiting call in turn, and for each the best of all agents; then, for the
// calls that may ring several, in turn, whoever is left.
func dumbMatch(f *Floor) []string {
	taken := map[*agent][]grant{}
	offers := map[*call]OfferID{}
	turns := map[*seat]uint64{} // of the seats offered a call just now
	var made []string
	take := func(c *call) bool {
		best := dumbChoice(f, c, offers[c], taken, turns)
		if best == nil {
			return false
		}
		taken[best] = append(taken[best], grant{c, c.line.cfg.Medium})
		offers[c]++
		turns[best.seatIn(c.line)] = f.offers + uint64(len(made)) + 1
		made = append(made, fmt.Sprintf("%s to %s", c.id, best.id))
		return true
	}
	for _, c := range dumbTurns(f, CallWaiting) {
		take(c)
	}
	several := dumbTurns(f, CallRinging, CallWaiting)
	for _, c := range several {
		if c.state == CallWaiting && offers[c] == 0 || c.line.cfg.Strategy < RingAll {
			continue
		}
		most := 1 << 30
		switch q := c.line.cfg; {
		case c.back != nil && !c.back.present && q.Callback.CallerFirst, len(c.rings) > 0 && (c.rings[0].again || c.rings[0].kept):
			most = 1
		case q.Strategy == RingProgressively && c.state == CallWaiting:
			most = max(q.AtOnce, 1)
		case q.Strategy == RingProgressively:
			most = max(q.AtOnce, 1) + c.waves
		case q.AtOnce > 0:
			most = q.AtOnce
		}
		for len(c.rings)+int(offers[c]) < most && take(c) {
		}
	}
	return made
}

// grant is an agent given a call by the match that is being made.
type grant struct {
	call *call
	kind Medium
}

// dumbTurns lists the calls in some states in their turn.
func dumbTurns(f *Floor, states ...CallState) []*call {
	var calls []*call
	for c := f.first; c != nil; c = c.younger {
		if slices.Contains(states, c.state) {
			calls = append(calls, c)
		}
	}
	turn := func(c *call) time.Time {
		if c.state == CallRinging {
			return c.key // its head starts are those of the moment it began to ring
		}
		at := c.turn.Add(-c.priority).Add(-time.Duration(c.line.cfg.Priority) * time.Second)
		if c.ahead {
			at = at.Add(-aheadBy)
		}
		return at
	}
	slices.SortFunc(calls, func(a, b *call) int {
		return cmp.Or(turn(a).Compare(turn(b)), cmp.Compare(a.number, b.number))
	})
	return calls
}

func dumbChoice(f *Floor, c *call, made OfferID, taken map[*agent][]grant, turns map[*seat]uint64) *agent {
	for relaxed := 0; relaxed <= c.relaxed; relaxed++ {
		var may []*agent
		for _, a := range f.roster {
			if mayTake(f, c, a, relaxed, taken[a]) && (relaxed == 0 || !qualifies(f, c, a, relaxed-1)) {
				may = append(may, a)
			}
		}
		if len(may) == 0 {
			continue
		}
		if c.line.cfg.Strategy == WeightedRandom && c.prefer == nil {
			return slices.MaxFunc(may, func(a, b *agent) int {
				s, t := a.seatIn(c.line), b.seatIn(c.line)
				lot := func(s *seat) uint64 { return lotOf(c.id, c.offer+made+1, s.agent.id, s.level) }
				return cmp.Or(cmp.Compare(t.tier, s.tier), cmp.Compare(lot(s), lot(t)))
			})
		}
		return slices.MinFunc(may, func(a, b *agent) int { return dumbOrder(c.line, a, b, turns) })
	}
	return nil
}

func dumbOrder(l *line, a, b *agent, turns map[*seat]uint64) int {
	level := func(a *agent) int {
		least := 0
		for i, skill := range l.cfg.Require {
			if has := a.cfg.Skills[skill]; i == 0 || has < least {
				least = has
			}
		}
		return least
	}
	n := cmp.Compare(max(1, a.cfg.Tiers[l.cfg.ID]), max(1, b.cfg.Tiers[l.cfg.ID]))
	if n == 0 {
		switch l.cfg.Strategy {
		case FewestCalls:
			n = cmp.Compare(a.handled, b.handled)
		case LeastTalk:
			n = cmp.Compare(a.talked, b.talked)
		case RoundRobin:
			s, t := a.seatIn(l), b.seatIn(l)
			n = cmp.Compare(max(s.turn, turns[s]), max(t.turn, turns[t]))
		case TopDown:
			n = cmp.Compare(a.rank, b.rank)
		case SkillThenIdle:
			n = cmp.Compare(level(b), level(a))
		}
	}
	return cmp.Or(n, a.idle.Compare(b.idle), cmp.Compare(a.id, b.id))
}

func mayTake(f *Floor, c *call, a *agent, relaxed int, taken []grant) bool {
	if a.want != wantsCalls || !a.reachable || a.leaving || f.now.Before(a.backoff) ||
		c.prefer != nil && c.prefer != a || !qualifies(f, c, a, relaxed) {
		return false
	}
	want, room, n := c.line.cfg.Medium, 0, 0
	switch k := a.cfg.Capacity; {
	case want == Voice && (k == nil || k.Voice > 0):
		room = 1
	case k != nil && want == Chat:
		room = int(k.Chat)
	case k != nil && want == Mail:
		room = int(k.Mail)
	}
	for _, r := range a.hands {
		if r.stage == ringing && r.call == c {
			return false
		}
		taken = append(taken[:len(taken):len(taken)], grant{nil, r.kind})
	}
	for _, g := range taken {
		in := g.kind
		if g.call == c {
			return false
		}
		if in == want {
			n++
		}
		// Beside a mail anything; beside a chat only another; beside a call nothing.
		if in == Voice || in == Chat && want != Chat {
			return false
		}
	}
	if n >= room {
		return false
	}
	for _, x := range c.excluded {
		again := x.cause == CauseNoAnswer && x.forgiven != a.forgiven
		if x.agent == a && !again && (x.until.IsZero() || f.now.Before(x.until)) {
			return false
		}
	}
	return true
}

// qualifies says whether an agent has what a queue asks after some steps of relaxation.
func qualifies(f *Floor, c *call, a *agent, relaxed int) bool {
	q := c.line.cfg
	seated := a.seatIn(c.line) != nil && !a.seatIn(c.line).guest
	need, tier := map[string]int{}, q.MaxTier
	for _, skill := range q.Require {
		need[skill] = max(1, q.MinLevel[skill])
	}
	for _, x := range q.Relax[:relaxed] {
		if x.Widen != "" && slices.Contains(a.cfg.Queues, x.Widen) && a.seatIn(c.line) != nil {
			return true
		}
		if _, asked := need[x.Skill]; asked {
			need[x.Skill] = x.Level
		}
		tier = max(tier, x.Tier)
	}
	for skill, level := range need {
		seated = seated && a.cfg.Skills[skill] >= level
	}
	return seated && (q.MaxTier == 0 || max(1, a.cfg.Tiers[q.ID]) <= tier)
}

// stepAndCompare is Step, with the dumb matcher looking over its shoulder.
func stepAndCompare(t *rapid.T, f *Floor, now time.Time, ev Event) []Action {
	f.begin(now)
	f.apply(&ev)
	f.expire()
	want := dumbMatch(f)
	before := len(f.out)
	f.match()
	f.audit()
	var got []string
	for _, a := range f.out[before:] {
		switch o := a.(type) {
		case Offer:
			got = append(got, fmt.Sprintf("%s to %s", o.Call, o.Agent))
			checkMatch(t, o)
		case Dial:
			got = append(got, fmt.Sprintf("%s to %s", o.Call, o.Agent))
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("on %+v: offered %q; the plain rule offers %q", ev, got, want)
	}
	out := f.out
	f.out = nil
	return out
}

// checkMatch: the reasons of an offer must agree with it.
func checkMatch(t *rapid.T, o Offer) {
	m := o.Match
	eligible, excluded := 0, 0
	for _, c := range m.Candidates {
		if c.Failed == "" {
			eligible++
		} else {
			excluded++
		}
	}
	if m.Winner != o.Agent || m.Call != o.Call || m.Offer != o.Offer || m.Candidates[0].Agent != o.Agent ||
		eligible != m.Eligible || excluded != m.Excluded {
		t.Fatalf("the reasons of %+v do not fit: %+v", o, m)
	}
}

// world draws what happens on a small floor. What it knows of the floor it
// learns from the actions, like the switch.
type world struct {
	cfg     *Config // the last one
	t       *rapid.T
	f       *Floor
	now     time.Time
	dice    *rand.Rand
	live    []CallID
	rung    []Offer
	talks   []Offer
	dialled []CallID
	calls   int
	events  []Record
	alone   bool     // without the dumb matcher
	done    []Action // in the last step
}

var (
	someQueues  = []QueueID{"q1", "q2", "q3"}
	someAgents  = []AgentID{"a1", "a2", "a3", "a4", "a5"}
	someNumbers = []string{"+33600000001", "+33600000002", "+33600000003", "anonymous"}
)

// newWorld starts a day that a few drawn numbers decide: rapid shrinks a failure
// to its shortest beginning, and the numbers replay it.
func newWorld(t *rapid.T) *world {
	seed := rapid.SliceOfN(rapid.Uint64(), 4, 4).Draw(t, "seed")
	w := &world{t: t, f: NewFloor(), now: day, dice: rand.New(rand.NewPCG(seed[0]^bits.RotateLeft64(seed[1], 17), seed[2]^bits.RotateLeft64(seed[3], 31)))}
	w.f.OnViolation = func(what string) { t.Fatalf("illegal: %s", what) }
	w.step(Event{Kind: Started, Config: w.config()})
	return w
}

func (w *world) number(below int) int { return w.dice.IntN(below) }

func (w *world) config() *Config {
	cfg := &Config{PauseEndsIdle: w.one(2), Reasons: []Reason{{ID: "lunch", Max: 40 * time.Second}}}
	for _, id := range someQueues {
		if w.one(8) && len(w.events) > 0 {
			continue // removed
		}
		q := w.queue(id)
		cfg.Queues = append(cfg.Queues, q)
	}
	for _, id := range someAgents {
		if w.one(8) && len(w.events) > 0 {
			continue
		}
		cfg.Agents = append(cfg.Agents, w.agent(id))
	}
	w.cfg = cfg
	return cfg
}

func (w *world) agent(id AgentID) AgentCfg {
	a := AgentCfg{ID: id, Skills: map[string]int{"fr": w.number(4)}, ReadyOnRegister: !w.one(4), Tiers: map[QueueID]int{}}
	for _, q := range someQueues {
		if w.one(2) {
			a.Queues = append(a.Queues, q)
		}
		if w.one(3) {
			a.Tiers[q] = 1 + w.number(3)
		}
	}
	if w.one(3) {
		a.Capacity = &Capacity{Voice: uint8(w.number(3)), Chat: uint8(w.number(4)), Mail: uint8(w.number(3))}
	}
	return a
}

// edited is the last configuration with one thing changed, as most reloads are.
func (w *world) edited() *Config {
	cfg := *w.cfg
	cfg.Agents, cfg.Queues = slices.Clone(cfg.Agents), slices.Clone(cfg.Queues)
	i := w.number(len(someAgents))
	switch what := w.number(4); {
	case what == 0 && len(cfg.Queues) > 0:
		i %= len(cfg.Queues)
		cfg.Queues[i] = w.queue(cfg.Queues[i].ID)
	case len(cfg.Agents) == 0:
	case what == 1:
		i %= len(cfg.Agents)
		cfg.Agents = slices.Delete(cfg.Agents, i, i+1)
	case what == 2:
		i %= len(cfg.Agents)
		cfg.Agents[0], cfg.Agents[i] = cfg.Agents[i], cfg.Agents[0]
	default:
		i %= len(cfg.Agents)
		cfg.Agents[i] = w.agent(cfg.Agents[i].ID)
	}
	w.cfg = &cfg
	return &cfg
}

// one is true for one case in n.
func (w *world) one(n int) bool { return w.number(n) == 0 }

func (w *world) queue(id QueueID) Queue {
	q := Queue{
		ID: id, RingTimeout: 15 * time.Second, MaxOffers: 1 + w.number(2), OnNoAnswer: NoAnswer(w.number(2)),
		Strategy: Strategy(w.number(9)), Priority: 20 * w.number(2), ShortAbandon: 5 * time.Second, Within: 20 * time.Second,
	}
	if w.one(5) {
		q.Medium = Medium(1 + w.number(2))
	}
	if w.one(2) {
		q.WrapUp, q.WrapMode, q.ExtendBy, q.MaxExtend = 20*time.Second, WrapMode(w.number(4)), 15*time.Second, w.number(3)
	}
	if w.one(2) {
		q.Require, q.MinLevel = []string{"fr"}, map[string]int{"fr": 1 + w.number(3)}
	}
	if w.one(3) {
		q.MaxTier = 1 + w.number(2)
	}
	if w.one(2) {
		for i := range 1 + w.number(3) {
			x := Relax{After: time.Duration(10*(i+1)) * time.Second}
			switch w.number(3) {
			case 0:
				x.Skill, x.Level = "fr", w.number(3)
			case 1:
				x.Tier = 1 + w.number(3)
			case 2:
				x.Widen = someQueues[w.number(3)]
			}
			q.Relax = append(q.Relax, x)
		}
	}
	if w.one(2) {
		q.AtOnce, q.NextAfter = w.number(3), 3*time.Second
	}
	if w.one(3) {
		q.MaxWaiting, q.Full = 1+w.number(4), w.door()
	}
	if w.one(3) {
		q.NoneReady = w.door()
	}
	q.Empty = w.door()
	if w.one(3) {
		q.Closed = w.door()
	}
	if w.one(2) {
		q.Overflow = []Overflow{{After: 20 * time.Second, Offer: true}, {After: 25 * time.Second, To: w.target()}, {After: time.Minute}}
	}
	if w.one(3) {
		q.Prefer, q.LastAgent = 15*time.Second, Sticky{Within: time.Minute, Wait: 12 * time.Second}
	}
	if w.one(3) {
		q.Return = time.Minute
	}
	if w.one(2) {
		q.Announce = Announcing{Position: true, Wait: true, First: 5 * time.Second, Every: 20 * time.Second, MaxError: 0.3}
	}
	if !w.one(3) {
		q.Callback = Callback{CallerFirst: w.one(2), Attempts: 1 + w.number(2), Retry: 20 * time.Second, DialFor: 10 * time.Second}
	}
	q.Rejoin = 10 * time.Second
	return q
}

func (w *world) door() Door { return Door{Rule: DoorRule(w.number(3)), To: w.target()} }

func (w *world) target() Target {
	switch w.number(4) {
	case 0:
		return Target{Number: "+33170000009"}
	case 1:
		return Target{Voicemail: true}
	}
	return Target{Queue: someQueues[w.number(3)]}
}

func (w *world) step(ev Event) {
	w.events = append(w.events, Record{Seq: uint64(len(w.events)), At: w.now, Event: ev})
	done := []Action(nil)
	if w.alone {
		done = w.f.Step(w.now, ev)
	} else {
		done = stepAndCompare(w.t, w.f, w.now, ev)
	}
	w.done = done
	for _, a := range done {
		switch a := a.(type) {
		case Offer:
			w.rung = append(w.rung, a)
		case Dial:
			w.rung = append(w.rung, Offer{Call: a.Call, Agent: a.Agent, Offer: a.Offer})
			w.dialled = append(w.dialled, a.Call)
		case CallbackKept:
			if !slices.Contains(w.live, a.Callback) {
				w.live = append(w.live, a.Callback)
			}
		case Connect:
			w.talks = append(w.talks, Offer{Call: a.Call, Agent: a.Agent, Offer: a.Offer})
		case Settled:
			w.live = slices.DeleteFunc(w.live, func(c CallID) bool { return c == a.Call })
		}
	}
	if bad := w.f.Check(w.now); bad != nil && !w.alone {
		w.t.Fatalf("after %v: %q", ev.Kind, bad)
	}
}

// next draws one event, now and then at the very moment of the next deadline.
func (w *world) next() {
	w.now = w.now.Add(time.Duration(w.number(8)*w.number(5)) * time.Second)
	agent := someAgents[w.number(len(someAgents))]
	ev := Event{Agent: agent, By: Agent}
	switch w.number(30) {
	case 28, 29:
		ev = w.aboutATransfer()
	case 0:
		if w.one(2) {
			cfg := w.edited
			if w.one(2) {
				cfg = w.config
			}
			ev = Event{Kind: Reconfigured, Config: cfg()}
		}
	case 1:
		ev.Kind = Login
	case 2:
		if w.one(2) {
			ev.Kind = Logout
		}
	case 3, 4, 5:
		ev.Kind = MakeReady
	case 6:
		ev.Kind, ev.Reason = Pause, []string{"lunch", "training"}[w.number(2)]
	case 7:
		ev.Kind = Unreachable
	case 8, 9:
		ev.Kind = Reachable
	case 10:
		ev.Kind, ev.Reason = WrapUpDone, []string{"", "solved"}[w.number(2)]
	case 11:
		ev.Kind = []Kind{Extend, Release}[w.number(2)]
	case 12, 13, 14, 15, 16:
		w.calls++
		id := CallID(fmt.Sprintf("c%d", w.calls))
		w.live = append(w.live, id)
		ev = Event{Kind: Arrived, Call: id, Queue: someQueues[w.number(3)], Priority: 10 * w.number(2)}
		if w.one(2) {
			ev.Facts = &Facts{From: someNumbers[w.number(len(someNumbers))]}
		}
		if w.one(4) {
			ev.Agent = agent
		}
		if w.one(4) {
			ev.Since = w.now.Add(-time.Duration(w.number(5)) * time.Millisecond)
		}
		if w.one(8) {
			ev.Cause = CauseClosed
		}
	case 17, 18:
		if len(w.live) > 0 {
			ev = Event{Kind: Gone, Call: w.live[w.number(len(w.live))], By: Caller}
		}
	case 19, 20, 21, 22:
		ev = w.aboutAnOffer()
	case 23, 24:
		ev = w.aboutATalk()
	case 25, 26:
		ev = w.aboutACallback()
	case 27:
		if at, ok := w.f.Deadline(); ok && at.After(w.now) {
			w.now = at
		}
		ev = Event{Kind: Tick}
	}
	if ev.Kind == 0 {
		ev = Event{Kind: Tick}
	}
	w.step(ev)
}

// aboutAnOffer is news of any offer ever made, mostly the last ones.
func (w *world) aboutAnOffer() Event {
	if len(w.rung) == 0 {
		return Event{Kind: Tick}
	}
	back := min(w.number(3), len(w.rung)-1)
	o := w.rung[len(w.rung)-1-back]
	ev := Event{Kind: Answered, Call: o.Call, Agent: o.Agent, Offer: o.Offer}
	switch w.number(6) {
	case 0:
		ev.Kind = Alerting
	case 1, 2:
		ev.Kind = Failed
		ev.Cause = []Cause{CauseDeclined, CauseBusy, CauseUnreachable, CauseNoAnswer, CauseFailed}[w.number(5)]
	}
	return ev
}

// aboutATalk is news of a talk: bridged, held, its link lost and found.
func (w *world) aboutATalk() Event {
	if len(w.talks) == 0 {
		return Event{Kind: Tick}
	}
	o := w.talks[len(w.talks)-1-min(w.number(3), len(w.talks)-1)]
	ev := Event{Call: o.Call, Agent: o.Agent, Offer: o.Offer, By: Party(1 + w.number(2))}
	ev.Kind = []Kind{Bridged, Bridged, Held, Resumed, LinkLost, LinkLost, LinkBack}[w.number(7)]
	if ev.Kind == Held && w.one(3) {
		ev.Reason = "consult"
	}
	return ev
}

// aboutATransfer is an agent who asks somebody, or gives a caller away.
func (w *world) aboutATransfer() Event {
	if len(w.talks) == 0 {
		return Event{Kind: Tick}
	}
	o := w.talks[len(w.talks)-1-min(w.number(3), len(w.talks)-1)]
	ev := Event{Call: o.Call, Agent: o.Agent, Offer: o.Offer, By: Agent}
	ev.Kind = []Kind{Consult, Consult, Transfer, Transfer, Transfer, ConsultOver}[w.number(6)]
	switch {
	case ev.Kind == ConsultOver:
	case w.one(6):
		ev.Number = "+33170000009"
	case w.one(3):
		ev.Queue = someQueues[w.number(3)]
	default:
		ev.To = someAgents[w.number(len(someAgents))]
	}
	if ev.Queue != "" && w.one(4) {
		ev.By = Switch
	}
	return ev
}

// aboutACallback is somebody who wants one, or what became of one.
func (w *world) aboutACallback() Event {
	var origin CallID
	if len(w.live) > 0 {
		origin = w.live[w.number(len(w.live))]
	}
	switch w.number(6) {
	case 0, 1:
		w.calls++
		ev := Event{Kind: CallbackAsked, Call: CallID(fmt.Sprintf("b%d", w.calls)), Origin: origin, Number: someNumbers[w.number(len(someNumbers))]}
		if w.one(3) {
			ev.Origin, ev.Queue, ev.Since = "", someQueues[w.number(3)], w.now.Add(-time.Minute)
		}
		return ev
	case 2:
		return Event{Kind: []Kind{CallbacksOpen, CallbacksOpen, CallbacksShut}[w.number(3)], Queue: someQueues[w.number(3)]}
	}
	if len(w.dialled) == 0 {
		return Event{Kind: Tick}
	}
	c := w.dialled[len(w.dialled)-1-min(w.number(2), len(w.dialled)-1)]
	return Event{Kind: []Kind{CallerBack, CallerBack, CallerMissed}[w.number(3)], Call: c, Cause: CauseNoAnswer}
}

func TestRandomFloorsKeepEveryInvariant(t *testing.T) {
	runs, steps := "100000", 40 // a million of them: make soak
	if testing.Short() {
		runs = "2000"
	}
	setRapidChecks(t, runs)
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, steps).Draw(t, "steps") {
			w.next()
		}
	})
}

// setRapidChecks asks for a number of runs, unless the command line already has.
func setRapidChecks(t *testing.T, runs string) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	if before != f.DefValue {
		return
	}
	if err := f.Value.Set(runs); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(before) })
}

// Days of up to 800 events. Whatever happens, everybody is back to rest once every caller has gone and
// time has passed: nobody is left reserved, rung or wrapping up, nothing is due.
func TestRandomFloorsComeToRest(t *testing.T) {
	setRapidChecks(t, "300")
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 800).Draw(t, "steps") {
			w.next()
		}
		for _, c := range slices.Clone(w.live) {
			w.step(Event{Kind: Gone, Call: c, By: Caller})
		}
		for _, a := range someAgents { // some wrap-ups end only by the agent, with a code
			for range 10 {
				w.step(Event{Kind: WrapUpDone, Agent: a, Reason: "solved"})
			}
		}
		w.now = w.now.Add(time.Hour)
		w.step(Event{Kind: Tick})
		v := w.f.Snapshot(w.now)
		if len(v.Calls) != 0 {
			t.Fatalf("calls left: %+v", v.Calls)
		}
		for _, a := range v.Agents {
			if a.State > Ready || a.Call != "" {
				t.Fatalf("agent left in a call: %+v", a)
			}
		}
		if at, ok := w.f.Deadline(); ok {
			t.Fatalf("still waiting for %s", at)
		}
	})
}

func TestReplayDecidesTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.next()
		}
		journal := throughJSON(t, w.events)
		var first, second [][]Action
		_, hash := Replay(slices.Values(journal), func(_ Record, done []Action) { first = append(first, done) })
		g, again := Replay(slices.Values(journal), func(_ Record, done []Action) { second = append(second, done) })
		if hash != again || !reflect.DeepEqual(first, second) {
			t.Fatalf("a second run decides otherwise: %016x, %016x", hash, again)
		}
		if !reflect.DeepEqual(g.Snapshot(w.now), w.f.Snapshot(w.now)) {
			t.Fatal("the replay ends on another floor than the one it was recorded from")
		}
	})
}
