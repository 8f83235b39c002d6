package acd

import (
	"testing"
	"time"
)

// What was decided and not reported back is said again until it is, and nothing else.
func TestPendingIsWhatNobodyHasReported(t *testing.T) {
	f, now := NewFloor(), time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	step := func(ev Event) []Action {
		now = now.Add(time.Second)
		return f.Step(now, ev)
	}
	want := func(when string, kinds ...any) {
		t.Helper()
		got := f.Pending()
		if len(got) != len(kinds) {
			t.Fatalf("%s: pending %+v", when, got)
		}
		for i, a := range got {
			switch kinds[i].(type) {
			case Offer:
				if o, ok := a.(Offer); !ok || o.Call != "c1" || o.Agent != "ana" || o.Offer != 1 || o.Queue != "sales" || o.Timeout <= 0 {
					t.Errorf("%s: %+v", when, a)
				}
			case Connect:
				if c, ok := a.(Connect); !ok || c != (Connect{Call: "c1", Agent: "ana", Offer: 1}) {
					t.Errorf("%s: %+v", when, a)
				}
			}
		}
	}
	step(Event{Kind: Started, Config: &Config{
		Queues: []Queue{{ID: "sales", RingTimeout: 15 * time.Second}},
		Agents: []AgentCfg{{ID: "ana", Queues: []QueueID{"sales"}}},
	}})
	step(Event{Kind: Reachable, Agent: "ana"})
	step(Event{Kind: Login, Agent: "ana", By: Agent})
	step(Event{Kind: MakeReady, Agent: "ana", By: Agent})
	want("nobody has called")
	step(Event{Kind: Arrived, Call: "c1", Queue: "sales"})
	want("offered", Offer{})
	if bound, alerted := f.Bound("c1", 1); !bound || alerted {
		t.Errorf("offered: bound %v, alerted %v", bound, alerted)
	}
	step(Event{Kind: Alerting, Call: "c1", Agent: "ana", Offer: 1})
	want("rings", Offer{})
	if bound, alerted := f.Bound("c1", 1); !bound || !alerted {
		t.Errorf("rings: bound %v, alerted %v", bound, alerted)
	}
	step(Event{Kind: Continued})
	want("goes on after a death", Offer{})
	step(Event{Kind: Answered, Call: "c1", Agent: "ana", Offer: 1})
	want("answered", Connect{})
	if again := step(Event{Kind: Answered, Call: "c1", Agent: "ana", Offer: 1}); len(again) != 0 {
		t.Errorf("told twice of an answer the floor does %+v", again)
	}
	step(Event{Kind: Bridged, Call: "c1", Agent: "ana", Offer: 1})
	want("bridged")
	if bound, _ := f.Bound("c1", 1); !bound {
		t.Error("a talk is not bound")
	}
	step(Event{Kind: Gone, Call: "c1", By: Caller, Cause: CauseHangup})
	want("gone")
	if bound, _ := f.Bound("c1", 1); bound {
		t.Error("bound to a call that is gone")
	}
}
