package acd

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What users of other systems complain about in public, row by row, and what proves
// that it cannot happen here: scripts (by the name of their file) and tests (package
// and name, "." being this one). A proof that is gone fails the row.
var complaints = []struct {
	row    int
	about  string
	proofs []string
}{
	{1, "ring-all: two agents answer in the same moment and both get the call",
		[]string{"ring-all.txt", ".TestComplaint01RingAllTwoAnswerAtOnce", "sip.TestAnswerCrossingCancel", "cmd/foyer.TestTwoAgentsFreeForOneCaller"}},
	{2, "a member of two queues is rung by both",
		[]string{"agent-of-two-queues.txt", "two-queues-one-order.txt", ".TestRandomFloorsKeepEveryInvariant"}},
	{3, "a burst of calls all try the same first agent",
		[]string{"burst.txt", "many-free-at-once.txt", ".TestComplaint03BurstFindsAsManyAgents"}},
	{4, "agents stay reserved",
		[]string{"no-answer.txt", ".TestRandomFloorsComeToRest", ".TestComplaint04NoReservationOutlivesItsDeadline"}},
	{5, "a member is answered hours after the hang-up",
		[]string{"lost-bye.txt", ".TestRandomFloorsComeToRest", "loadtest/interop.TestBooksBalance"}},
	{6, "the caller leaves while the agent's leg is being made, and the agent answers silence",
		[]string{"abandon-before-the-offer-was-carried-out.txt", "abandon-crossing-the-answer.txt", "abandon-while-ringing.txt",
			"sip.TestHangupBeforeInviteLeft", "cmd/foyer.TestCallerLeavesWhileAgentRings"}},
	{7, "ring-all calls one contact twice and another never",
		[]string{".TestComplaint07EachOfThoseChosenIsRungOnce"}},
	{8, "top-down: the last agent is away and distribution halts for good",
		[]string{"strategy-top-down-last-one-away.txt", ".TestNobodyWaitsBesideAFreeAgent"}},
	{9, "everything freezes and no log says why",
		[]string{".TestAuditFindsTellsAndRepairs", ".TestCheckFindsFaults", "cmd/foyer.TestStallIsTold"}},
	{10, "an agent who becomes unavailable during an offer is rung in a tight loop",
		[]string{"failing-phone-backs-off.txt", "unreachable-phone.txt", ".TestComplaint10FailingPhoneIsNotRungInALoop"}},
	{11, "the agent answers during an announcement and hears nothing until it ends",
		[]string{".TestComplaint11AnswerConnectsWhateverIsPlaying", "rtp.TestOneStreamFromMusicToAgentToMusic"}},
	{12, "the eighth by score is served before the head",
		[]string{"preferred-agent-passed.txt", ".TestComplaint12NobodyIsPassedOverWithoutAReason"}},
	{13, "no fairness across queues, and its fix stops all offers",
		[]string{"two-queues-one-order.txt", "priority-of-a-call.txt", ".TestNobodyWaitsBesideAFreeAgent", ".TestNoCallStarves"}},
	{14, "an agent who answers and hangs before the bridge drops the whole round",
		[]string{"dumped.txt", "agent-drops-before-the-bridge.txt", "cmd/foyer.TestHangsUpRightAfterAnswering"}},
	{15, "a queue of more weight that cannot use the agent blocks the other",
		[]string{"ineligible-pair-blocks-nobody.txt", "relax-passes-by.txt"}},
	{16, "the oldest idle agent is not chosen",
		[]string{"longest-idle.txt", "idle-pause-keeps-it.txt", "idle-pause-ends-it.txt"}},
	{17, "who rejects is rung again at once for the same call",
		[]string{"declined.txt", "busy.txt", "no-answer.txt", "cmd/foyer.TestDecliningAgentIsNotRungAgain"}},
	{18, "calls handled are counted twice under load",
		[]string{"strategy-fewest-calls.txt", ".TestComplaint18CountersAreARecount"}},
	{19, "a lost BYE leaves the agent in a call for ever",
		[]string{"lost-bye.txt", "release-while-talking.txt", "cmd/foyer.TestLostByeIsFoundByTheMedia", "cmd/foyer.TestSessionTimerNobodyRefreshes"}},
	{20, "wrap-up of all ends when that of the last one does",
		[]string{"wrap-up.txt", ".TestComplaint20EachWrapUpHasItsOwnClock"}},
	{21, "wrap-up is ended by another queue, a transfer or a reload",
		[]string{"wrap-up-of-an-agent-of-two-queues.txt", "wrap-up-survives-a-reload.txt", "transfer-after-a-consult.txt", "wrap-up-per-queue.txt"}},
	{22, "an agent without a phone is still available and the caller waits a full ring time",
		[]string{"lost-while-ready.txt", "lost-while-offered.txt", "sip.TestDeadPhone", "sip.TestConnectionOfPhoneIsGone", "cmd/foyer.TestVanishedPhone"}},
	{23, "the next state asked for in a call is lost",
		[]string{"intent-during-a-call.txt", "intent-last-one-wins.txt", "cmd/foyer.TestWhatIsAskedDuringACallHoldsAfterIt"}},
	{24, "automation makes an agent available who has logged off",
		[]string{"logged-out-agent-is-left-alone.txt"}},
	{25, "missed calls log an agent out for ever, and a REGISTER in an offer breaks it",
		[]string{"no-answer-twice.txt", "registration-refresh.txt", "sip.TestRefreshDisturbsNothing", "cmd/foyer.TestRegisteringAgainChangesNothing"}},
	{26, "what happened while the service was down is never put right",
		[]string{"ready-on-register.txt", "all-paused.txt", "sip.TestRegisterRegainsAPhone"}},
	{27, "calls come for a minute after going inactive",
		[]string{"all-paused.txt", "one-paused.txt", "pause-while-ringing.txt", ".TestComplaint27APauseHoldsFromTheStepItIsAskedIn"}},
	{28, "deadlocks of queue locks",
		[]string{"acd/ring.TestPromises", "root.TestArrowsKeepTheFloorPure"}},
	{29, "every event scans all queues and members; reloads flood",
		[]string{".TestStepAllocatesLittleOnAnyFloor", ".BenchmarkStep", ".BenchmarkReconfigure"}},
	{30, "a reader of many queues holds the switch up",
		[]string{".TestComplaint30ASnapshotIsACopy"}},
	{31, "nobody can take over the state",
		[]string{".TestReplayDecidesTheSame", ".TestComplaint31AnotherTakesOver", "cmd/foyer.TestJournalReplaysToTheSameDecisions"}},
	{32, "a watchdog holds a lock and blocks all calls",
		[]string{"root.TestArrowsKeepTheFloorPure", "rtp.TestWatchTellsASilenceOnce", "cmd/foyer.TestSilentAgentEndsTheCall"}},
	{33, "the SIP library leaks",
		[]string{"sip.TestEndedLegIsNotKept", "sip.TestCallsOnBadNetwork", "cmd/foyer.TestTwoHundredCallsAtOnce", "loadtest/interop.TestBooksBalance"}},
	{58, "callbacks jump ahead, are more than the agents, and come twice",
		[]string{"callback-keeps-its-place.txt", "callback-asked-twice.txt", "callback-customer-calls-in.txt", ".TestComplaint58NoMoreCallbacksThanAgents"}},
	{59, "the estimated wait is not explained",
		[]string{"announce.txt", "announce-never-longer.txt", ".TestComplaint59TheFormulaOfTheWait", ".TestComplaint59BandsThatDoNotHoldAreNotTold"}},
}

func TestComplaints(t *testing.T) {
	tests := map[string]map[string]bool{} // by package
	rows := map[int]bool{}
	for _, c := range complaints {
		rows[c.row] = true
		t.Run(fmt.Sprintf("%02d_%s", c.row, c.about), func(t *testing.T) {
			if len(c.proofs) == 0 {
				t.Error("nothing proves it")
			}
			for _, proof := range c.proofs {
				if strings.HasSuffix(proof, ".txt") {
					text, err := os.ReadFile(filepath.Join("testdata", proof))
					if err != nil {
						t.Error(err)
						continue
					}
					if got := runScript(t, string(text)).text(); got != string(text) {
						t.Errorf("%s decides otherwise:\n%s", proof, difference(string(text), got))
					}
					continue
				}
				dir, name, _ := strings.Cut(proof, ".")
				if tests[dir] == nil {
					tests[dir] = testsIn(t, dir)
				}
				if !tests[dir][name] {
					t.Errorf("there is no test %s in %q", name, dir)
				}
			}
		})
	}
	for _, row := range append(slices.Collect(rowsFrom(1, 33)), 58, 59) {
		if !rows[row] {
			t.Errorf("row %d is missing", row)
		}
	}
}

func rowsFrom(first, last int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for n := first; n <= last && yield(n); n++ {
		}
	}
}

// testsIn is every test and benchmark of a package of the repository.
func testsIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	path := filepath.Join("..", dir)
	switch dir {
	case "":
		path = "."
	case "root":
		path = ".."
	}
	files, err := filepath.Glob(filepath.Join(path, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", path, err)
	}
	found := map[string]bool{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if fn, is := d.(*ast.FuncDecl); is && fn.Recv == nil {
				found[fn.Name.Name] = true
			}
		}
	}
	return found
}

// plainFloor is agents 1 to n, ready, in one queue.
func plainFloor(t interface{ Errorf(string, ...any) }, n int, q Queue) *Floor {
	f := NewFloor()
	f.OnViolation = func(what string) { t.Errorf("illegal: %s", what) }
	q.ID = "sales"
	cfg := &Config{Queues: []Queue{q}}
	for i := range n {
		cfg.Agents = append(cfg.Agents, AgentCfg{ID: agentNumber(i), Queues: []QueueID{"sales"}, ReadyOnRegister: true})
	}
	f.Step(day, Event{Kind: Started, Config: cfg})
	for i := range n {
		f.Step(day, Event{Kind: Reachable, Agent: agentNumber(i)})
	}
	return f
}

func agentNumber(i int) AgentID { return AgentID(fmt.Sprintf("a%03d", i+1)) }

// of lists the actions of one kind.
func of[A Action](done []Action) (list []A) {
	for _, a := range done {
		if x, is := a.(A); is {
			list = append(list, x)
		}
	}
	return list
}

// Row 1. Among some agents who are all rung two answer in the same millisecond, the
// caller sometimes leaving in it too: one of them has the call, or none when the
// caller was first, and whoever answered besides is told to hang up.
func TestComplaint01RingAllTwoAnswerAtOnce(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 1))
	for run := range 10_000 {
		n := 2 + dice.IntN(8)
		f := plainFloor(t, n, Queue{Strategy: RingAll, RingTimeout: 15 * time.Second, MaxOffers: 1})
		now := day.Add(time.Second)
		offers := of[Offer](f.Step(now, Event{Kind: Arrived, Call: "c1", Queue: "sales"}))
		dice.Shuffle(n, func(i, j int) { offers[i], offers[j] = offers[j], offers[i] })
		now = now.Add(time.Duration(dice.IntN(14_000)) * time.Millisecond)
		events := []Event{answer(offers[0]), answer(offers[1])}
		leaves := dice.IntN(4) == 0
		if leaves {
			events = append(events, Event{Kind: Gone, Call: "c1", By: Caller})
		}
		dice.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		connected, toldOff := map[AgentID]int{}, map[AgentID]int{}
		for _, ev := range events {
			done := f.Step(now, ev)
			for _, c := range of[Connect](done) {
				connected[c.Agent]++
			}
			for _, w := range of[Withdraw](done) {
				toldOff[w.Agent]++
			}
		}
		want := 1
		if events[0].Kind == Gone {
			want = 0
		}
		if len(connected) != want {
			t.Fatalf("run %d: connected %v", run, connected)
		}
		for _, o := range offers {
			if connected[o.Agent]+min(toldOff[o.Agent], 1) != 1 {
				t.Fatalf("run %d: %s: connected %d times, told to stop %d times", run, o.Agent, connected[o.Agent], toldOff[o.Agent])
			}
		}
		if bad := f.Check(now); bad != nil {
			t.Fatalf("run %d: %q", run, bad)
		}
	}
}

func answer(o Offer) Event {
	return Event{Kind: Answered, Call: o.Call, Agent: o.Agent, Offer: o.Offer}
}

// Row 3. k callers wait when k agents are put into the queue at once: one pass makes k
// offers, each of another call to another agent.
func TestComplaint03BurstFindsAsManyAgents(t *testing.T) {
	for _, strategy := range []Strategy{LongestIdle, FewestCalls, LeastTalk, RoundRobin, TopDown, SkillThenIdle, WeightedRandom, RingAll, RingProgressively} {
		for _, k := range []int{1, 2, 7, 100} {
			f := NewFloor()
			cfg := Config{Queues: []Queue{{ID: "sales", Strategy: strategy, RingTimeout: 15 * time.Second}}}
			for i := range k {
				cfg.Agents = append(cfg.Agents, AgentCfg{ID: agentNumber(i), ReadyOnRegister: true})
			}
			f.Step(day, Event{Kind: Started, Config: &cfg})
			for i := range k {
				f.Step(day, Event{Kind: Reachable, Agent: agentNumber(i)})
				f.Step(day, Event{Kind: Arrived, Call: CallID(fmt.Sprint("c", i)), Queue: "sales"})
			}
			after := Config{Queues: cfg.Queues, Agents: slices.Clone(cfg.Agents)}
			for i := range after.Agents {
				after.Agents[i].Queues = []QueueID{"sales"}
			}
			calls, agents := map[CallID]bool{}, map[AgentID]bool{}
			offers := of[Offer](f.Step(day.Add(time.Second), Event{Kind: Reconfigured, Config: &after}))
			for _, o := range offers {
				calls[o.Call], agents[o.Agent] = true, true
			}
			if len(offers) != k || len(calls) != k || len(agents) != k {
				t.Errorf("%s: %d offers of %d calls to %d agents, want %d", strategy, len(offers), len(calls), len(agents), k)
			}
		}
	}
}

// Row 4. However little the switch reports, an agent is reserved no longer than a
// call of their queue rings.
func TestComplaint04NoReservationOutlivesItsDeadline(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			w.next()
			for _, a := range w.f.roster {
				for _, r := range a.hands {
					most := 15 * time.Second
					if r.call.back != nil { // the customer is called first
						most += dialDefault + dialGrace
					}
					if r.stage == ringing && w.now.Sub(r.since) > most {
						t.Fatalf("%s has been rung for %s for %s", a.id, r.call.id, w.now.Sub(r.since))
					}
				}
			}
		}
	})
}

// Row 7. Those chosen, and those rung, are the same, each once, each under a number of
// its own.
func TestComplaint07EachOfThoseChosenIsRungOnce(t *testing.T) {
	for _, n := range []int{1, 2, 10, 200} {
		f := plainFloor(t, n, Queue{Strategy: RingAll, RingTimeout: 15 * time.Second})
		agents, numbers := map[AgentID]bool{}, map[OfferID]bool{}
		offers := of[Offer](f.Step(day.Add(time.Second), Event{Kind: Arrived, Call: "c1", Queue: "sales"}))
		for _, o := range offers {
			agents[o.Agent], numbers[o.Offer] = true, true
			if o.Match.Winner != o.Agent {
				t.Errorf("chosen %s, rung %s", o.Match.Winner, o.Agent)
			}
		}
		if len(offers) != n || len(agents) != n || len(numbers) != n {
			t.Errorf("%d offers to %d agents under %d numbers, want %d", len(offers), len(agents), len(numbers), n)
		}
	}
}

// Row 10. A phone that fails at once, with ten calls waiting for it: in a minute it is
// tried a few times, not in a loop; and none of the calls twice in ten seconds.
func TestComplaint10FailingPhoneIsNotRungInALoop(t *testing.T) {
	for _, cause := range []Cause{CauseUnreachable, CauseFailed, CauseBusy, CauseDeclined} {
		f := plainFloor(t, 1, Queue{RingTimeout: 15 * time.Second, MaxOffers: 1})
		now, total := day, 0
		last := map[CallID]time.Time{}
		pending := []Event{}
		for i := range 10 {
			pending = append(pending, Event{Kind: Arrived, Call: CallID(fmt.Sprint("c", i)), Queue: "sales"})
		}
		for now.Before(day.Add(time.Minute)) {
			ev := Event{Kind: Tick}
			if len(pending) > 0 {
				ev, pending = pending[0], pending[1:]
			}
			for _, o := range of[Offer](f.Step(now, ev)) {
				if before, again := last[o.Call]; again && now.Sub(before) < unreachableFor {
					t.Fatalf("%s: %s offered again after %s", cause, o.Call, now.Sub(before))
				}
				last[o.Call] = now
				total++
				pending = append(pending, Event{Kind: Failed, Call: o.Call, Agent: o.Agent, Offer: o.Offer, Cause: cause})
			}
			now = now.Add(100 * time.Millisecond)
		}
		if total > 20 {
			t.Errorf("%s: %d offers in a minute", cause, total)
		}
	}
}

// Row 11. Whatever a caller is being told, the step in which an agent answers connects.
func TestComplaint11AnswerConnectsWhateverIsPlaying(t *testing.T) {
	q := Queue{RingTimeout: 15 * time.Second, Announce: Announcing{Position: true, Wait: true, First: time.Second, Every: time.Second}}
	f := plainFloor(t, 1, q)
	f.Step(day, Event{Kind: Pause, Agent: agentNumber(0), By: Agent})
	f.Step(day, Event{Kind: Arrived, Call: "c1", Queue: "sales"})
	told := of[Announce](f.Step(day.Add(time.Second), Event{Kind: Tick}))
	offers := of[Offer](f.Step(day.Add(time.Second), Event{Kind: MakeReady, Agent: agentNumber(0), By: Agent}))
	if len(told) != 1 || len(offers) != 1 {
		t.Fatalf("told %v, offered %v", told, offers)
	}
	if done := f.Step(day.Add(time.Second+time.Millisecond), answer(offers[0])); len(of[Connect](done)) != 1 {
		t.Errorf("not connected: %v", done)
	}
}

// Row 12. Who is served before others of their queue who stood before them has a
// reason for each of them written into the decision.
func TestComplaint12NobodyIsPassedOverWithoutAReason(t *testing.T) {
	passed := 0
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			before := len(w.rung)
			w.next()
			for _, o := range w.rung[before:] {
				if o.Match == nil || o.Match.Position == 0 {
					continue // the customer of a callback is called, or others ring already
				}
				passed += len(o.Match.Passed)
				if want := min(o.Match.Position-1, mostPassed); len(o.Match.Passed) != want {
					t.Fatalf("%s was number %d; passed over with a reason: %v", o.Call, o.Match.Position, o.Match.Passed)
				}
			}
		}
	})
	if passed == 0 {
		t.Error("nobody was ever passed over: this has tested nothing")
	}
}

// Row 18. What is counted of an agent and a queue is what one finds by going through
// the decisions again.
func TestComplaint18CountersAreARecount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			w.next()
		}
		// A queue or an agent that goes takes its counts with it: up to then.
		n := 1 + slices.IndexFunc(w.events[1:], func(r Record) bool { return r.Event.Kind == Reconfigured })
		if n == 0 {
			n = len(w.events)
		}
		c := newRecount(w.events[:n])
		v := c.f.Snapshot(w.events[n-1].At)
		for _, a := range v.Agents {
			if a.Handled != c.handled[a.ID] || a.Talked != c.talked[a.ID] || a.Dumped != c.dumped[a.ID] {
				t.Fatalf("%s: handled %d, talked %s, dumped %d; recounted %d, %s, %d", a.ID, a.Handled, a.Talked, a.Dumped,
					c.handled[a.ID], c.talked[a.ID], c.dumped[a.ID])
			}
		}
		var abandoned, taken uint64
		for _, q := range v.Queues {
			abandoned += q.Abandoned
			taken += q.Callbacks
		}
		if abandoned != c.abandoned || taken != c.taken {
			t.Fatalf("%d abandoned, %d to be called back; recounted %d, %d", abandoned, taken, c.abandoned, c.taken)
		}
	})
}

// recount follows the decisions of a day like an accountant who knows none of the
// floor's insides.
type recount struct {
	f               *Floor
	talks           map[CallID]Connect
	since           map[CallID]time.Time
	handled, dumped map[AgentID]int
	talked          map[AgentID]time.Duration
	here            map[AgentID]bool // logged in
	abandoned       uint64
	taken           uint64
}

func newRecount(events []Record) *recount {
	c := &recount{f: NewFloor(), talks: map[CallID]Connect{}, since: map[CallID]time.Time{}, handled: map[AgentID]int{},
		dumped: map[AgentID]int{}, talked: map[AgentID]time.Duration{}, here: map[AgentID]bool{}}
	for _, r := range events {
		c.arrives(r.Event.Agent, r.Event.Kind)
		call := c.f.calls[r.Event.Call]
		promise := call != nil && call.back != nil && !call.back.present
		for _, a := range c.f.Step(r.At, r.Event) {
			if s, is := a.(Settled); is && s.Cause == CauseAbandoned && !promise {
				c.abandoned++
			}
			c.action(r.At, r.Event, a)
		}
	}
	return c
}

// arrives begins an agent's counts anew as they log in.
func (c *recount) arrives(id AgentID, kind Kind) {
	a := c.f.agents[id]
	if a == nil {
		return
	}
	enters := kind == Login || kind == MakeReady || kind == Pause || kind == Reachable && !a.reachable && a.cfg.ReadyOnRegister && a.want == wantsNothing
	switch {
	case kind == Logout:
		c.here[id] = false
	case enters && !c.here[id]:
		c.here[id] = true
		c.handled[id], c.dumped[id], c.talked[id] = 0, 0, 0
	}
}

func (c *recount) action(at time.Time, ev Event, a Action) {
	switch a := a.(type) {
	case Connect:
		c.talks[a.Call] = a
		if c.since[a.Call].IsZero() {
			c.since[a.Call] = at
		}
	case Dial:
		if a.Waiting { // the agent is on the line, and works
			c.since[a.Call] = at
		}
	case Withdraw:
		if _, talks := c.talks[a.Call]; !talks {
			if ev.Kind == Failed && !c.since[a.Call].IsZero() {
				c.dumped[a.Agent]++
			}
			if a.Cause != CauseElsewhere {
				delete(c.since, a.Call)
			}
		}
	case Part:
		c.end(a.Call, at)
	case Queued: // back in the line without a Part: dropped before the bridge
		if t, was := c.talks[a.Call]; was && a.From == "" {
			c.dumped[t.Agent]++
			delete(c.talks, a.Call)
			delete(c.since, a.Call)
		}
	case Settled:
		if a.Cause == CauseCallback {
			c.taken++
		}
		c.end(a.Call, at)
		delete(c.since, a.Call)
	}
}

func (c *recount) end(id CallID, at time.Time) {
	if t, was := c.talks[id]; was {
		c.handled[t.Agent]++
		c.talked[t.Agent] += at.Sub(c.since[id])
		delete(c.talks, id)
		delete(c.since, id)
	}
}

// Row 20. Twenty agents hang up one after the other, in any order: each is free again
// when their own wrap-up is over, and not at anybody else's.
func TestComplaint20EachWrapUpHasItsOwnClock(t *testing.T) {
	const n, wrap = 20, 30 * time.Second
	dice := rand.New(rand.NewPCG(20, 20))
	f := plainFloor(t, n, Queue{RingTimeout: 15 * time.Second, WrapUp: wrap})
	var talks []Offer
	for i := range n {
		for _, o := range of[Offer](f.Step(day, Event{Kind: Arrived, Call: CallID(fmt.Sprint("c", i)), Queue: "sales"})) {
			f.Step(day, answer(o))
			talks = append(talks, o)
		}
	}
	dice.Shuffle(n, func(i, j int) { talks[i], talks[j] = talks[j], talks[i] })
	now := day
	due := map[AgentID]time.Time{}
	for _, o := range talks {
		now = now.Add(time.Duration(1+dice.IntN(1000)) * time.Millisecond)
		f.Step(now, Event{Kind: Gone, Call: o.Call, By: Caller, Cause: CauseHangup})
		due[o.Agent] = now.Add(wrap)
	}
	for len(due) > 0 {
		at, ok := f.Deadline()
		if !ok {
			t.Fatalf("nothing is due, and %v still wrap up", slices.Collect(maps.Keys(due)))
		}
		for _, m := range of[Moved](f.Step(at, Event{Kind: Tick})) {
			if m.To == Ready && !due[m.Agent].Equal(at) {
				t.Errorf("%s is free at %s, should be at %s", m.Agent, at, due[m.Agent])
			}
			delete(due, m.Agent)
		}
	}
}

// Row 27. Between the step of a pause and the step that undoes it nothing is offered.
func TestComplaint27APauseHoldsFromTheStepItIsAskedIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		away := map[AgentID]bool{}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			before := len(w.rung)
			w.next()
			switch ev := w.events[len(w.events)-1].Event; ev.Kind {
			case Pause, Logout:
				away[ev.Agent] = true
			case MakeReady, Login, Reconfigured:
				delete(away, ev.Agent)
				if ev.Kind == Reconfigured {
					clear(away)
				}
			}
			for _, o := range w.rung[before:] {
				// Who was kept free before, for a customer being called, is rung when they answer.
				known := slices.ContainsFunc(w.rung[:before], func(x Offer) bool { return x.Call == o.Call && x.Offer == o.Offer })
				if away[o.Agent] && !o.Rejoin && !known {
					t.Fatalf("%s is offered %s while away", o.Agent, o.Call)
				}
			}
		}
	})
}

// Row 30. A reader's picture shares nothing with the floor: what happens later does
// not show in it.
func TestComplaint30ASnapshotIsACopy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		steps := rapid.IntRange(1, 40).Draw(t, "steps")
		for range steps {
			w.next()
		}
		v := w.f.Snapshot(w.now)
		before := fmt.Sprintf("%+v", v)
		for range steps {
			w.next()
		}
		if after := fmt.Sprintf("%+v", v); after != before {
			t.Fatalf("the picture has changed:\n%s\n%s", before, after)
		}
	})
}

// Row 31. At any moment another floor, which has read nothing but the journal, goes on
// in the place of the first: it offers nothing a second time, breaks no invariant, and
// decides on all that follows as the first one would have.
func TestComplaint31AnotherTakesOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(0, 60).Draw(t, "before") {
			w.next()
		}
		first, taken := w.f, len(w.events)
		w.f, _ = Replay(slices.Values(throughJSON(t, w.events)), nil)
		w.f.OnViolation = first.OnViolation
		if _, due := first.Deadline(); due {
			w.step(Event{Kind: Tick})
		}
		for range rapid.IntRange(1, 60).Draw(t, "after") {
			w.next()
		}
		second, _ := Replay(slices.Values(throughJSON(t, w.events[:taken])), nil)
		for _, r := range w.events[taken:] {
			if want, got := first.Step(r.At, r.Event), second.Step(r.At, r.Event); !reflect.DeepEqual(want, got) {
				t.Fatalf("on %v the first decides\n%+v\nand who took over\n%+v", r.Event.Kind, want, got)
			}
		}
	})
}

// Row 58. Many promises, few agents, and customers who may or may not pick up: never
// are more customers being called, or talked to, than there are agents, and each has
// an agent to itself.
func TestComplaint58NoMoreCallbacksThanAgents(t *testing.T) {
	for _, callerFirst := range []bool{false, true} {
		const agents, promises = 3, 40
		q := Queue{RingTimeout: 15 * time.Second, MaxOffers: 99, Callback: Callback{CallerFirst: callerFirst, Attempts: 3, Retry: 30 * time.Second, DialFor: 20 * time.Second}}
		f := plainFloor(t, agents, q)
		dice := rand.New(rand.NewPCG(58, 58))
		now, most, made := day, 0, 0
		dialled := map[CallID]AgentID{}
		var pending []Event
		for i := range promises {
			pending = append(pending, Event{Kind: CallbackAsked, Call: CallID(fmt.Sprint("b", i)), Queue: "sales", Number: fmt.Sprint("+33", i%30), Since: day})
		}
		for range 5000 {
			ev := Event{Kind: Tick}
			if len(pending) > 0 {
				i := dice.IntN(len(pending))
				ev = pending[i]
				pending = slices.Delete(pending, i, i+1)
			}
			for _, a := range f.Step(now, ev) {
				switch a := a.(type) {
				case Offer:
					pending = append(pending, answer(a))
				case Dial:
					dialled[a.Call] = a.Agent
					made++
					kind := []Kind{CallerBack, CallerMissed}[dice.IntN(2)]
					pending = append(pending, Event{Kind: kind, Call: a.Call, Offer: a.Offer, Cause: CauseNoAnswer})
				case Connect:
					pending = append(pending, Event{Kind: Gone, Call: a.Call, By: Caller, Cause: CauseHangup})
				case Withdraw:
					if dialled[a.Call] == a.Agent {
						delete(dialled, a.Call)
					}
				case Settled:
					delete(dialled, a.Call)
				}
			}
			most = max(most, len(dialled))
			if each := slices.Collect(maps.Values(dialled)); len(slices.Compact(slices.Sorted(slices.Values(each)))) != len(each) {
				t.Fatalf("an agent has two callbacks: %v", dialled)
			}
			if bad := f.Check(now); bad != nil {
				t.Fatal(bad)
			}
			now = now.Add(time.Duration(dice.IntN(2000)) * time.Millisecond)
		}
		if most != agents || made < 30 {
			t.Errorf("caller first %v: %d at once with %d agents, %d calls made", callerFirst, most, agents, made)
		}
		if len(f.promised) > 0 {
			t.Errorf("%d promises were never kept", len(f.promised))
		}
	}
}

// Row 59. The formula that docs/floor.md gives, and its values.
func TestComplaint59TheFormulaOfTheWait(t *testing.T) {
	const second = float64(time.Second)
	for _, c := range []struct {
		agents           float64
		handle, patience time.Duration
		ahead            int
		mean, p50, p90   float64
	}{
		{10, 180 * time.Second, 0, 0, 18.0, 12.48, 41.45},
		{10, 180 * time.Second, 0, 4, 90.0, 84.08, 143.88},
		{10, 180 * time.Second, 90 * time.Second, 4, 67.107, 0, 0},
		{10, 180 * time.Second, 0, 9, 180, 0, 255.71},
		{10, 180 * time.Second, 90 * time.Second, 9, 105.141, 0, 0},
		{50, 240 * time.Second, 0, 4, 24.0, 0, 38.37},
		{3, 300 * time.Second, 0, 2, 300, 0, 532.23},
		{3, 300 * time.Second, 90 * time.Second, 2, 178.403, 0, 0},
	} {
		e, ok := Pace{c.agents, c.handle, c.patience}.Wait(c.ahead)
		sum := 0.0
		for j := range c.ahead + 1 {
			rate := c.agents / c.handle.Seconds()
			if c.patience > 0 {
				rate += float64(j) / c.patience.Seconds()
			}
			sum += 1 / rate
		}
		near := func(got time.Duration, want float64) bool {
			return want == 0 || float64(got)/second-want < 0.006 && want-float64(got)/second < 0.006
		}
		if !ok || !near(e.Mean, c.mean) || !near(e.Mean, sum) || !near(e.P50, c.p50) || !near(e.P90, c.p90) {
			t.Errorf("%+v: %+v, the sum is %.3f s", c, e, sum)
		}
	}
}

// Row 59. As long as the share of those served inside the band they were told is near
// what it should be, bands are told; when it is not, only the place is.
func TestComplaint59BandsThatDoNotHoldAreNotTold(t *testing.T) {
	q := Queue{RingTimeout: 15 * time.Second, Announce: Announcing{Position: true, Wait: true, First: time.Second, MaxError: 0.2}}
	f := plainFloor(t, 1, q)
	now := day
	step := func(ev Event) []Action {
		now = now.Add(time.Second)
		return f.Step(now, ev)
	}
	bands := 0
	for n := range 2 * fewTold {
		talking := CallID(fmt.Sprint("x", n))
		o := of[Offer](step(Event{Kind: Arrived, Call: talking, Queue: "sales"}))
		step(answer(o[0]))
		waiting := CallID(fmt.Sprint("c", n))
		step(Event{Kind: Arrived, Call: waiting, Queue: "sales"})
		for _, w := range of[Announce](step(Event{Kind: Tick})) {
			if w.High > 0 {
				bands++
			} else if w.Position != 1 {
				t.Fatalf("told nothing at all: %+v", w)
			}
		}
		// They wait twenty minutes, whatever the band said: it hardly ever holds. The
		// agent has spent them on the other call, but thirty seconds of them only talking.
		now = now.Add(20 * time.Minute)
		o = of[Offer](step(Event{Kind: Gone, Call: talking, By: Caller}))
		f.lines["sales"].tempo.handling = time.Duration(f.lines["sales"].tempo.contacts) * 30 * time.Second
		step(answer(o[0]))
		step(Event{Kind: Gone, Call: waiting, By: Caller})
	}
	if bands != fewTold {
		t.Errorf("%d callers were told a band; that it does not hold is known after %d", bands, fewTold)
	}
}
