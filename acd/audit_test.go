package acd

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// scene is a floor to be damaged: Ana talks with c1, Bo is rung for c2, Cy wraps up
// c3, Di is free for help, and w1 waits there for somebody who speaks French.
type scene struct {
	t       *testing.T
	f       *Floor
	now     time.Time
	found   []string
	ana, bo *agent
	cy, di  *agent
	c1, c2  *call
	w1      *call
}

func newScene(t *testing.T) *scene {
	s := &scene{t: t, f: NewFloor(), now: day}
	sales := Queue{ID: "sales", RingTimeout: 15 * time.Second, MaxOffers: 1, WrapUp: time.Minute}
	help := Queue{ID: "help", RingTimeout: 15 * time.Second, MaxOffers: 1, Require: []string{"fr"}}
	cfg := &Config{Queues: []Queue{sales, help}}
	for _, id := range []AgentID{"ana", "bo", "cy"} {
		cfg.Agents = append(cfg.Agents, AgentCfg{ID: id, Queues: []QueueID{"sales"}, ReadyOnRegister: true})
	}
	cfg.Agents = append(cfg.Agents, AgentCfg{ID: "di", Queues: []QueueID{"help"}, ReadyOnRegister: true})
	s.step(Event{Kind: Started, Config: cfg})
	for _, a := range cfg.Agents {
		s.step(Event{Kind: Reachable, Agent: a.ID})
	}
	s.step(Event{Kind: Arrived, Call: "c1", Queue: "sales"})
	s.step(Event{Kind: Answered, Call: "c1", Agent: "ana", Offer: 1})
	s.step(Event{Kind: Bridged, Call: "c1", Agent: "ana", Offer: 1})
	s.step(Event{Kind: Arrived, Call: "c2", Queue: "sales"})
	s.step(Event{Kind: Arrived, Call: "c3", Queue: "sales"})
	s.step(Event{Kind: Answered, Call: "c3", Agent: "cy", Offer: 1})
	s.step(Event{Kind: Gone, Call: "c3", By: Caller, Cause: CauseHangup})
	s.step(Event{Kind: Arrived, Call: "w1", Queue: "help"})
	s.f.OnViolation = func(what string) { s.found = append(s.found, what) }
	s.ana, s.bo, s.cy, s.di = s.f.agents["ana"], s.f.agents["bo"], s.f.agents["cy"], s.f.agents["di"]
	s.c1, s.c2, s.w1 = s.f.calls["c1"], s.f.calls["c2"], s.f.calls["w1"]
	if bad := s.f.Check(s.now); bad != nil || s.ana.state != Talking || s.bo.state != Reserved || s.cy.state != WrapUp || s.w1.state != CallWaiting {
		t.Fatalf("not the floor that was meant: %q", bad)
	}
	return s
}

func (s *scene) step(ev Event) []Action {
	s.now = s.now.Add(time.Second)
	return s.f.Step(s.now, ev)
}

// Each way of breaking the floor between two steps, and what the next step that
// comes near it must make of it.
var damages = []struct {
	name   string
	damage func(s *scene)
	touch  func(s *scene)
	says   string   // part of what is reported
	again  []CallID // calls that must have gone back to waiting, in front, or to a phone
}{
	{"a talk that its call has forgotten", func(s *scene) { s.c1.talk = nil }, touchC1, "talking, talking with an agent: false", []CallID{"c1"}},
	{"a talk that its agent has forgotten", func(s *scene) { s.ana.hands = nil }, touchC1, "agent ana does not know of it", []CallID{"c1"}},
	{"the same, seen from the agent", func(s *scene) { s.ana.hands = nil }, touchAna, "is talking with nothing in hand", []CallID{"c1"}},
	{"a ringing that its call has forgotten", func(s *scene) { s.c2.rings = nil }, touchC2, "ringing with 0 agents rung", []CallID{"c2"}},
	{"the same, seen from the agent", func(s *scene) { s.c2.rings = nil }, touchBo, "call c2 does not know of it", []CallID{"c2"}},
	{"a talk without a deadline", func(s *scene) { s.f.due.unset(&s.c1.talk.due) }, touchC1, "no deadline", nil},
	{"the same, seen from the agent", func(s *scene) { s.f.due.unset(&s.c1.talk.due) }, touchAna, "without a deadline", nil},
	{"a wrap-up without a deadline", func(s *scene) { s.f.due.unset(&s.cy.hands[0].due) }, touchCy, "without a deadline", nil},
	{"a call that says it waits while it talks", func(s *scene) { s.c1.state = CallWaiting }, touchC1, "waiting, talking with an agent: true", []CallID{"c1"}},
	{"a call that says it talks while it rings", func(s *scene) { s.c2.state = CallTalking }, touchC2, "talking with 1 agents rung", []CallID{"c2"}},
	{"a call that is over and talks", func(s *scene) { s.c1.state = CallOver; s.f.unlink(s.c1); s.c1.line.calls-- }, touchC1, "over, and still with an agent", nil},
	{"a call that nobody finds by its id", func(s *scene) { delete(s.f.calls, "c1") }, touchC1, "not known by its id", nil},
	{"a call that has left the row of those who wait", func(s *scene) { s.w1.line.waiting.remove(s.w1) }, touchW1, "waiting, among those who wait: false", nil},
	{"a call in the row of those who wait while it talks", func(s *scene) { s.c1.line.waiting.add(s.c1) }, touchC1, "talking, among those who wait: true", nil},
	{"two calls at once", func(s *scene) { twoCalls(s) }, touchAna, "2 calls at once", []CallID{"c2"}},
	{"another agent's call", func(s *scene) { s.di.hands = append(s.di.hands, s.c1.talk) }, touchDi, "not theirs", nil},
	{"a contact that has ended", func(s *scene) { s.c1.talk.stage = ended }, touchAna, "not theirs", []CallID{"c1"}},
	{"an agent who says they talk", func(s *scene) { s.di.state = Talking; recounted(s) }, touchDi, "is talking with nothing in hand", nil},
	{"an agent who says they are ready and talks", func(s *scene) { s.ana.state = Ready; recounted(s) }, touchAna, "is ready, what they have in hand says talking", nil},
	{"an agent who says they are paused and talks", func(s *scene) { s.ana.state = NotReady; recounted(s) }, touchAna, "is not_ready, what they have in hand says talking", nil},
	{"ready without a phone", func(s *scene) { s.di.reachable = false }, touchDi, "not to be reached", nil},
	{"ready against their will", func(s *scene) { s.di.want = wantsPause }, touchDi, "not willing", nil},
	{"since tomorrow", func(s *scene) { s.di.since = s.now.Add(24 * time.Hour) }, touchDi, "the times in the states before", nil},
	{"minutes of the day lost", func(s *scene) { s.di.spent[Off] -= time.Minute }, touchDi, "the times in the states before", nil},
	{"free, and on no list", func(s *scene) { s.di.room[Voice] = false }, touchDi, "to be had", nil},
	{"busy, and on a list", func(s *scene) {
		seat := s.ana.seats[0]
		s.ana.room[Voice], seat.listed = true, true
		seat.line.ready[0].add(seat)
	}, touchAna, "to be had", nil},
}

func touchC1(s *scene)  { s.f.touchCall(s.c1) }
func touchC2(s *scene)  { s.f.touchCall(s.c2) }
func touchW1(s *scene)  { s.f.touchCall(s.w1) }
func touchAna(s *scene) { s.f.touch(s.ana) }
func touchBo(s *scene)  { s.f.touch(s.bo) }
func touchCy(s *scene)  { s.f.touch(s.cy) }
func touchDi(s *scene)  { s.f.touch(s.di) }

// twoCalls gives Ana the call that Bo is rung for as well.
func twoCalls(s *scene) {
	r := s.c2.rings[0]
	s.bo.hands = nil
	r.agent = s.ana
	s.ana.hands = append(s.ana.hands, r)
	s.f.touch(s.bo)
}

// recounted makes the counts of agents by state those of the damaged floor, so that
// only the damage itself is found.
func recounted(s *scene) {
	for _, l := range s.f.order {
		l.in, l.strength = [agentStates]int{}, 0
		for _, seat := range l.seats {
			if seat.counted() {
				l.in[seat.agent.state]++
				if seat.agent.state.atWork() {
					l.strength += seat.share
				}
			}
		}
	}
}

func TestAuditFindsTellsAndRepairs(t *testing.T) {
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			s := newScene(t)
			d.damage(s)
			d.touch(s)
			done := s.step(Event{Kind: Tick})
			about := slices.DeleteFunc(slices.Clone(s.found), func(w string) bool { return !strings.Contains(w, d.says) })
			if len(about) != 1 {
				t.Fatalf("%q reported %d times in %q", d.says, len(about), s.found)
			}
			if !strings.Contains(about[0], " since ") || !strings.Contains(about[0], "with [") {
				t.Errorf("no picture of those who take part: %s", about[0])
			}
			if s.f.Violations != uint64(len(s.found)) {
				t.Errorf("%d told, %d counted", len(s.found), s.f.Violations)
			}
			for _, id := range d.again {
				s.waitsAgain(id, done)
			}
			s.soundFromNowOn()
		})
	}
}

// waitsAgain: the call is waiting, before all others, or rings at somebody free.
func (s *scene) waitsAgain(id CallID, done []Action) {
	s.t.Helper()
	c := s.f.calls[id]
	if c == nil || c.state != CallWaiting && c.state != CallRinging {
		s.t.Fatalf("%s is lost: %+v", id, c)
	}
	offered := slices.ContainsFunc(done, func(a Action) bool { o, is := a.(Offer); return is && o.Call == id })
	if free := c.line.free(0); c.state == CallWaiting && free > 0 || offered != (c.state == CallRinging) {
		s.t.Errorf("%s is %s, %d agents are free; offered in the same step: %v", id, c.state, free, offered)
	}
}

// soundFromNowOn: nothing is left to find, in this state and all through the rest of
// the day, but that something was found.
func (s *scene) soundFromNowOn() {
	s.t.Helper()
	told := len(s.found)
	check := func(when string) {
		s.t.Helper()
		bad := slices.DeleteFunc(s.f.Check(s.now), func(w string) bool { return strings.HasSuffix(w, "illegal moves") })
		if len(bad) > 0 || len(s.found) > told {
			s.t.Fatalf("%s: %q, told %q", when, bad, s.found)
		}
	}
	check("after the repair")
	for _, a := range []AgentID{"ana", "bo", "cy", "di"} {
		s.step(Event{Kind: MakeReady, Agent: a, By: Agent})
		check("as " + string(a) + " gets ready")
	}
	s.now = s.now.Add(15 * time.Minute)
	s.step(Event{Kind: Tick})
	check("when every deadline has passed")
	for _, c := range []CallID{"c1", "c2", "w1"} {
		s.step(Event{Kind: Gone, Call: c, By: Caller})
		check("as " + string(c) + " ends")
	}
	s.now = s.now.Add(time.Hour)
	s.step(Event{Kind: Tick})
	for _, a := range s.f.roster {
		if a.state > Ready {
			s.t.Errorf("%s is left %s", a.id, a.state)
		}
	}
}
