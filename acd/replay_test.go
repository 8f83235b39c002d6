package acd

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"
)

// throughJSON is what a journal gives back.
func throughJSON(t interface{ Fatal(...any) }, records []Record) []Record {
	text, err := json.Marshal(records)
	if err != nil {
		t.Fatal(err)
	}
	var back []Record
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func TestRecordsSurviveJSON(t *testing.T) {
	in := []Record{
		{Seq: 1, At: day, Event: Event{Kind: Started, Config: &Config{
			Queues: []Queue{{
				ID: "sales", Client: "boutik", Require: []string{"fr"}, MinLevel: map[string]int{"fr": 2}, Priority: 5,
				RingTimeout: 15 * time.Second, MaxOffers: 2, OnNoAnswer: StayReady, WrapUp: time.Minute,
				Overflow: []Overflow{{After: time.Minute, To: Target{Queue: "help"}}, {After: time.Hour}}, Empty: Door{Rule: Send, To: Target{Number: "+33170000009"}},
				Within: 20 * time.Second, ShortAbandon: 5 * time.Second,
			}},
			Agents: []AgentCfg{{ID: "ana", Skills: map[string]int{"fr": 5}, Queues: []QueueID{"sales"}, ReadyOnRegister: true}},
		}}},
		{Seq: 2, At: day.Add(time.Nanosecond), Event: Event{Kind: Failed, Call: "c", Agent: "ana", Queue: "sales", Offer: 3, By: Agent,
			Cause: CauseBusy, Reason: "Busy Here", Code: 486, Priority: 7}},
		{Seq: 3, At: day, Event: Event{Kind: Closed, Call: "c", Facts: &Facts{Code: 200, AgentLeg: &Quality{Packets: 5, MOS: 4.1}}}},
	}
	if back := throughJSON(t, in); !reflect.DeepEqual(in, back) {
		t.Errorf("%+v\nbecame\n%+v", in, back)
	}
	text, err := json.Marshal(in[1])
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"n":2,"t":"2026-03-02T09:00:00.000000001Z","e":{"k":"failed","c":"c","a":"ana","q":"sales","o":3,"by":"agent","why":"busy","r":"Busy Here","sc":486,"p":7}}`
	if string(text) != want {
		t.Errorf("a record reads\n%s, want\n%s", text, want)
	}
}

func TestReplaySkipsWhatCameBeforeTheStart(t *testing.T) {
	records := []Record{
		{Seq: 7, At: day, Event: Event{Kind: Arrived, Call: "c", Queue: "sales"}},
		{Seq: 8, At: day, Event: Event{Kind: Started, Config: &Config{}}},
	}
	_, all := Replay(slices.Values(records), nil)
	_, tail := Replay(slices.Values(records[1:]), nil)
	if all != tail {
		t.Error("a record before the first start counts")
	}
}

// The hash must tell any two histories apart that differ in one word.
func TestHashSeesEveryDifference(t *testing.T) {
	offer := func(m Match) Action { return Offer{Call: "c", Agent: "a", Queue: "q", Offer: 1, Match: &m} }
	histories := [][]Action{
		nil,
		{Withdraw{Call: "c", Agent: "a", Offer: 1, Cause: CauseNoAnswer}},
		{Withdraw{Call: "c", Agent: "a", Offer: 1, Cause: CauseElsewhere}},
		{Withdraw{Call: "c", Agent: "a", Offer: 2, Cause: CauseElsewhere}},
		{Withdraw{Call: "ca", Agent: "", Offer: 1, Cause: CauseElsewhere}},
		{Connect{Call: "c", Agent: "a", Offer: 1}},
		{Connect{Call: "c", Agent: "a", Offer: 1}, Connect{Call: "c", Agent: "a", Offer: 1}},
		{Refuse{Call: "c", Queue: "q", Cause: CauseMaxWait}},
		{Moved{Agent: "a", From: Off, To: Ready}},
		{Moved{Agent: "a", From: Ready, To: Off}},
		{Moved{Agent: "a", From: Off, To: NotReady, Reason: "lunch"}},
		{Moved{Agent: "a", From: Off, To: NotReady, By: Supervisor}},
		{Queued{Call: "c", Queue: "q"}},
		{Queued{Call: "c", Queue: "q", From: "p"}},
		{Settled{Call: "c", Cause: CauseHangup, By: Caller}},
		{Settled{Call: "c", Cause: CauseHangup, By: Agent}},
		{offer(Match{})},
		{offer(Match{Position: 2})},
		{offer(Match{Eligible: 2})},
		{offer(Match{Candidates: []Candidate{{Agent: "a"}, {Agent: "b"}}})},
		{offer(Match{Candidates: []Candidate{{Agent: "b"}, {Agent: "a"}}})},
		{offer(Match{Candidates: []Candidate{{Agent: "a", Failed: "off"}}})},
		{offer(Match{Candidates: []Candidate{{Agent: "a", Idle: 1}}})},
	}
	seen := map[uint64]int{}
	for i, done := range histories {
		h := NewHash()
		h.Add(Record{Seq: 1, At: day}, done)
		if j, twice := seen[h.Sum()]; twice {
			t.Errorf("histories %d and %d hash the same", i, j)
		}
		seen[h.Sum()] = i
	}
}
