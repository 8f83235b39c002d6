package acd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What the tables allow, told once more as plainly as possible: the pairs of
// states that follow each other in a working day.
func TestTablesOfLegalMoves(t *testing.T) {
	agents := map[string]string{
		"off":        "registered not_ready ready",
		"registered": "off not_ready ready",
		"not_ready":  "off registered not_ready ready reserved",
		"ready":      "off registered not_ready reserved",
		"reserved":   "off registered not_ready ready offered talking consulting wrap_up",
		"offered":    "off registered not_ready ready reserved talking consulting wrap_up",
		"talking":    "off registered not_ready ready reserved offered held consulting wrap_up",
		"held":       "off registered not_ready ready reserved offered talking consulting wrap_up",
		"consulting": "off registered not_ready ready reserved offered talking held wrap_up",
		"wrap_up":    "off registered not_ready ready reserved offered talking",
	}
	for from := Off; from <= WrapUp; from++ {
		for to := Off; to <= WrapUp; to++ {
			if legal := slices.Contains(strings.Fields(agents[from.String()]), to.String()); allowed(agentMoves, from, to) != legal {
				t.Errorf("agent %s > %s: allowed %v", from, to, !legal)
			}
		}
	}
	calls := strings.Fields(`over>waiting over>later waiting>ringing waiting>later waiting>over
		ringing>waiting ringing>talking ringing>later ringing>over
		talking>waiting talking>ringing talking>later talking>over later>waiting later>over`)
	for from := CallOver; from <= CallLater; from++ {
		for to := CallOver; to <= CallLater; to++ {
			if move := from.String() + ">" + to.String(); allowed(callMoves, from, to) != slices.Contains(calls, move) {
				t.Errorf("call %s: allowed %v", move, allowed(callMoves, from, to))
			}
		}
	}
	if allowed(agentMoves, AgentState(200), Off) {
		t.Error("a state nobody knows may move")
	}
}

// A fault of ours is reported and not acted on; the floor goes on.
func TestIllegalMoveIsReportedAndNotMade(t *testing.T) {
	var said []string
	f := NewFloor()
	f.OnViolation = func(what string) { said = append(said, what) }
	f.Step(day, Event{Kind: Started, Config: &Config{Queues: []Queue{{ID: "sales"}}, Agents: []AgentCfg{{ID: "ana", Queues: []QueueID{"sales"}}}}})
	f.Step(day, Event{Kind: Arrived, Call: "c1", Queue: "sales"})
	f.move(f.agents["ana"], Talking, why{})
	f.moveCall(f.calls["c1"], CallTalking)
	if want := []string{"agent ana: off -> talking", "call c1: waiting -> talking"}; !slices.Equal(said, want) {
		t.Errorf("reported %q, want %q", said, want)
	}
	if f.agents["ana"].state != Off || f.calls["c1"].state != CallWaiting || f.Violations != 2 {
		t.Errorf("the move was made: %+v", f.Snapshot(day))
	}
	if bad := f.Check(day); !slices.Equal(bad, []string{"2 illegal moves"}) {
		t.Errorf("Check says %q", bad)
	}
	if done := f.Step(day, Event{Kind: Reachable, Agent: "ana"}); len(done) != 1 {
		t.Errorf("%v", done)
	}
}

// Check must find what is wrong, or the random days prove nothing.
func TestCheckFindsFaults(t *testing.T) {
	for name, harm := range map[string]func(f *Floor){
		"call without its agent":      func(f *Floor) { f.calls["c1"].rings = nil },
		"agent without their call":    func(f *Floor) { f.agents["ana"].hands = nil },
		"offer without a deadline":    func(f *Floor) { f.due.unset(&f.agents["ana"].hands[0].due) },
		"talk nobody knows of":        func(f *Floor) { f.agents["bo"].hands = f.agents["ana"].hands },
		"relaxation miscounted":       func(f *Floor) { f.lines["sales"].relaxed[0]++ },
		"strength miscounted":         func(f *Floor) { f.lines["help"].strength++ },
		"room that is not there":      func(f *Floor) { f.agents["ana"].room[Voice] = true },
		"ready and not reachable":     func(f *Floor) { f.agents["bo"].reachable = false },
		"ready and logged out":        func(f *Floor) { f.agents["bo"].want = wantsOff },
		"miscounted agents":           func(f *Floor) { f.lines["sales"].in[Ready]++ },
		"miscounted calls":            func(f *Floor) { f.lines["sales"].stats.Offered++ },
		"time lost":                   func(f *Floor) { f.agents["bo"].spent[Off] += time.Second },
		"ready and not in the row":    func(f *Floor) { f.lines["help"].ready[0].clear() },
		"waiting and not in the row":  func(f *Floor) { f.lines["sales"].waiting.clear() },
		"call not known":              func(f *Floor) { delete(f.calls, "c2") },
		"call left beside an agent":   func(f *Floor) { f.lines["sales"].ready[0].add(f.agents["bo"].seats[0]) },
		"deadline out of its place":   func(f *Floor) { f.due.heap[0].place = 7 },
		"deadline that passed unseen": func(f *Floor) { f.due.heap[0].at = day.Add(-time.Hour) },
	} {
		s := runScript(t, "queue sales\nqueue help\nagent ana sales\nagent bo help\n0s ready ana\n1s ready bo\n2s arrive c1 sales\n3s arrive c2 sales")
		harm(s.floor)
		if s.floor.Check(day.Add(3*time.Second)) == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

// Ten thousand agents do not make a book of every offer, and the counts are exact.
func TestReasonsAreBounded(t *testing.T) {
	cfg := &Config{Queues: []Queue{{ID: "sales", Require: []string{"fr"}}}}
	for i := range 500 {
		cfg.Agents = append(cfg.Agents, AgentCfg{
			ID: AgentID(fmt.Sprintf("a%03d", i)), Queues: []QueueID{"sales"},
			Skills: map[string]int{"fr": i % 2}, ReadyOnRegister: true,
		})
	}
	f := NewFloor()
	f.Step(day, Event{Kind: Started, Config: cfg})
	for i := range cfg.Agents {
		f.Step(day.Add(time.Duration(i)*time.Second), Event{Kind: Reachable, Agent: cfg.Agents[i].ID})
	}
	done := f.Step(day.Add(time.Hour), Event{Kind: Arrived, Call: "c1", Queue: "sales"})
	m := done[1].(Offer).Match
	if m.Eligible != 250 || m.Excluded != 250 || len(m.Candidates) != 2*mostListed {
		t.Fatalf("%d eligible, %d excluded, %d listed", m.Eligible, m.Excluded, len(m.Candidates))
	}
	if m.Winner != "a001" || m.Candidates[1].Agent != "a003" || m.Candidates[mostListed].Failed != "skill:fr" {
		t.Errorf("%+v", m.Candidates)
	}
}

// Time that runs backwards, as wall clocks do, ends no offer early and no state
// with a negative length.
func TestClockPutBack(t *testing.T) {
	f := NewFloor()
	at := day
	f.Step(at, Event{Kind: Started, Config: &Config{Queues: []Queue{{ID: "sales", RingTimeout: 10 * time.Second}},
		Agents: []AgentCfg{{ID: "ana", Queues: []QueueID{"sales"}, ReadyOnRegister: true}}}})
	f.Step(at, Event{Kind: Reachable, Agent: "ana"})
	f.Step(at.Add(time.Minute), Event{Kind: Arrived, Call: "c1", Queue: "sales"})
	if done := f.Step(at, Event{Kind: Tick}); done != nil {
		t.Errorf("an earlier tick did %v", done)
	}
	if deadline, ok := f.Deadline(); !ok || !deadline.Equal(at.Add(70*time.Second)) {
		t.Errorf("deadline %v, %v", deadline, ok)
	}
	if bad := f.Check(at.Add(time.Minute)); bad != nil {
		t.Error(bad)
	}
}

func TestStepDropsTheMonotonicClock(t *testing.T) {
	now := time.Now()
	f := NewFloor()
	f.Step(now, Event{Kind: Started, Config: &Config{Queues: []Queue{{ID: "sales"}}}})
	f.Step(now, Event{Kind: Arrived, Call: "c1", Queue: "sales"})
	if got := f.Snapshot(now).Calls[0].Arrived; got != now.Round(0) {
		t.Errorf("kept %v", got)
	}
}

func TestRowAgreesWithASortedSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := row[int]{compare: func(a, b int) int { return a - b }}
		var model []int
		for range rapid.IntRange(0, 400).Draw(t, "steps") {
			v := rapid.IntRange(0, 300).Draw(t, "value")
			switch i, there := slices.BinarySearch(model, v); {
			case rapid.IntRange(0, 2).Draw(t, "what") > 0:
				r.add(v)
				if !there {
					model = slices.Insert(model, i, v)
				}
			case len(model) > 0 && rapid.Bool().Draw(t, "front"):
				r.remove(model[0])
				model = model[1:]
			default:
				r.remove(v)
				if there {
					model = slices.Delete(model, i, i+1)
				}
			}
			if !slices.Equal(r.all(), model) || r.len() != len(model) {
				t.Fatalf("%v, want %v", r.all(), model)
			}
		}
		r.clear()
		if r.len() != 0 {
			t.Fatal("not cleared")
		}
	})
}

func TestDeadlinesComeInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d deadlines
		timers := make([]timer, 20)
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			i := rapid.IntRange(0, len(timers)-1).Draw(t, "timer")
			at := time.Time{}
			if n := rapid.IntRange(0, 9).Draw(t, "at"); n > 0 {
				at = day.Add(time.Duration(n) * time.Second)
			}
			d.set(&timers[i], at)
			if at.IsZero() != (timers[i].place == 0) {
				t.Fatalf("timer set to %v stands in place %d", at, timers[i].place)
			}
		}
		set := 0
		for i := range timers {
			if timers[i].place > 0 {
				set++
			}
		}
		var last *timer
		for n := d.next(); n != nil; n = d.next() {
			if last != nil && (n.at.Before(last.at) || n.at.Equal(last.at) && n.order < last.order) {
				t.Fatal("out of order")
			}
			last = n
			d.unset(n)
			set--
		}
		if set != 0 {
			t.Fatalf("%d timers lost", set)
		}
	})
}
