package acd

import (
	"maps"
	"testing"
	"time"
)

// bench is a floor on which ana serves one queue, and time that a test turns.
type bench struct {
	*Floor
	now time.Time
}

func newBench(q Queue) *bench {
	b := &bench{NewFloor(), day}
	q.ID = "sales"
	b.after(0, Event{Kind: Started, Config: &Config{
		Queues: []Queue{q}, Agents: []AgentCfg{{ID: "ana", Queues: []QueueID{"sales"}, ReadyOnRegister: true}},
	}})
	return b
}

func (b *bench) after(d time.Duration, ev Event) {
	b.now = b.now.Add(d)
	b.Step(b.now, ev)
}

// talks brings a call to ana and lets both talk for a minute.
func (b *bench) talks(id CallID) {
	b.after(0, Event{Kind: Arrived, Call: id, Queue: "sales"})
	c, _ := b.Call(id)
	b.after(5*time.Second, Event{Kind: Answered, Call: id, Agent: c.Agent, Offer: 1})
	b.after(0, Event{Kind: Bridged, Call: id, Agent: c.Agent, Offer: 1})
	b.after(time.Minute, Event{Kind: Gone, Call: id, By: Caller})
}

func TestSnapshotAddsUpAgentsTime(t *testing.T) {
	b := newBench(Queue{WrapUp: 30 * time.Second})
	b.after(time.Minute, Event{Kind: Reachable, Agent: "ana"}) // a minute off
	b.after(10*time.Second, Event{Kind: Pause, Agent: "ana", Reason: "lunch"})
	b.after(20*time.Second, Event{Kind: Pause, Agent: "ana", Reason: "training"})
	b.after(40*time.Second, Event{Kind: MakeReady, Agent: "ana"})
	b.talks("c1")
	b.after(30*time.Second, Event{Kind: Tick})
	b.after(0, Event{Kind: Pause, Agent: "ana", Reason: "lunch"})
	b.now = b.now.Add(7 * time.Second) // not counted by any move yet

	want := map[AgentState]time.Duration{
		Off: time.Minute, Ready: 10 * time.Second, Reserved: 5 * time.Second, Talking: time.Minute,
		WrapUp: 30 * time.Second, NotReady: 67 * time.Second,
	}
	for range 2 { // looking changes nothing
		s := b.Snapshot(b.now)
		for state := Off; state <= WrapUp; state++ {
			if s.Spent[state] != want[state] || s.Agents[0].Spent[state] != want[state] {
				t.Errorf("%s for %v, of ana %v; want %v", state, s.Spent[state], s.Agents[0].Spent[state], want[state])
			}
		}
		if paused := map[string]time.Duration{"lunch": 27 * time.Second, "training": 40 * time.Second}; !maps.Equal(s.Paused, paused) {
			t.Errorf("paused %v, want %v", s.Paused, paused)
		}
		if q := s.Queues[0]; q.Handled != 1 || q.HandleTime != 90*time.Second {
			t.Errorf("%d contacts in %v", q.Handled, q.HandleTime)
		}
	}
	// Who leaves takes no time away: the sum never shrinks.
	b.after(0, Event{Kind: Reconfigured, Config: &Config{Queues: []Queue{{ID: "sales"}}}})
	if s := b.Snapshot(b.now); len(s.Agents) != 0 || s.Spent[NotReady] != 67*time.Second || s.Paused["lunch"] != 27*time.Second {
		t.Errorf("without ana: %d agents, %v, %v", len(s.Agents), s.Spent, s.Paused)
	}
}

func TestWrappingSaysWhatMayBeAskedOfIt(t *testing.T) {
	b := newBench(Queue{WrapMode: WrapExtendable, WrapUp: 30 * time.Second, ExtendBy: time.Minute, MaxExtend: 2})
	b.after(0, Event{Kind: Reachable, Agent: "ana"})
	if _, ok := b.Wrapping("ana", ""); ok {
		t.Error("a wrap-up before the first call")
	}
	b.talks("c1")
	end := b.now.Add(30 * time.Second)
	for left := 2; left >= 0; left-- {
		w, ok := b.Wrapping("ana", "")
		if want := (WrapView{Call: "c1", Queue: "sales", Mode: WrapExtendable, Until: end, Extensions: left}); !ok || w != want {
			t.Errorf("%+v, want %+v", w, want)
		}
		if a, _ := b.Agent("ana", b.now); a.Extensions != left || !a.Until.Equal(end) {
			t.Errorf("%d extensions until %v, want %d until %v", a.Extensions, a.Until, left, end)
		}
		if left > 0 {
			end = end.Add(time.Minute)
		}
		b.after(0, Event{Kind: Extend, Agent: "ana"})
	}
	if w, _ := b.Wrapping("ana", "c1"); !w.Until.Equal(end) {
		t.Errorf("an extension too many: until %v, want %v", w.Until, end)
	}
	for _, x := range []struct {
		agent AgentID
		call  CallID
	}{{"ana", "c2"}, {"bo", ""}} {
		if w, ok := b.Wrapping(x.agent, x.call); ok {
			t.Errorf("%s wraps up %s: %+v", x.agent, x.call, w)
		}
	}
	b.after(0, Event{Kind: WrapUpDone, Agent: "ana"})
	if _, ok := b.Wrapping("ana", ""); ok {
		t.Error("a wrap-up after its end")
	}
	if _, ok := b.Agent("bo", b.now); ok {
		t.Error("an agent nobody configured")
	}
	if _, ok := b.Call("c1"); ok {
		t.Error("a call that is over")
	}
}

func TestPromisedFindsTheCallback(t *testing.T) {
	b := newBench(Queue{Callback: Callback{Attempts: 2}})
	if _, ok := b.Promised("sales", "+33612345678"); ok {
		t.Error("nobody has asked yet")
	}
	b.after(0, Event{Kind: CallbackAsked, Call: "b1", Queue: "sales", Number: "+33612345678"})
	b.after(time.Second, Event{Kind: CallbackAsked, Call: "b2", Queue: "sales", Number: "+33612345678"}) // has one
	c, ok := b.Promised("sales", "+33612345678")
	if !ok || c.ID != "b1" || c.Position != 1 || c.State != CallWaiting || c.Present {
		t.Errorf("%+v", c)
	}
	b.after(0, Event{Kind: Reachable, Agent: "ana"})
	b.after(0, Event{Kind: Answered, Call: "b1", Agent: "ana", Offer: 1})
	if c, _ := b.Promised("sales", "+33612345678"); c.State != CallTalking || c.Present {
		t.Errorf("being called: %+v", c)
	}
	b.after(0, Event{Kind: CallerBack, Call: "b1"})
	if c, _ := b.Call("b1"); !c.Present || c.Agent != "ana" {
		t.Errorf("on the line: %+v", c)
	}
}
