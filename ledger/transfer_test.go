package ledger

import (
	"strings"
	"testing"
	"time"

	"foyer/acd"
)

// aTransfer is a call that ana answers and consults bo about, gives to him, and that he
// gives to a queue, where cy takes it.
func aTransfer(t *testing.T) (CDR, map[string]Interval) {
	t.Helper()
	floor, fold, tally := acd.NewFloor(), NewFold(), NewTally(nil)
	now := day()
	rows := map[string]Interval{}
	var row CDR
	offers := map[acd.AgentID]acd.OfferID{}
	step := func(after time.Duration, ev acd.Event) {
		now = now.Add(after)
		switch ev.Kind {
		case acd.Started, acd.Reachable, acd.MakeReady:
		default:
			ev.Call = "c1"
		}
		if ev.Offer == 0 {
			ev.Offer = offers[ev.Agent]
		}
		done := floor.Step(now, ev)
		for _, a := range done {
			if o, ok := a.(acd.Offer); ok {
				offers[o.Agent] = o.Offer
			}
		}
		for _, c := range fold.Apply(now, ev, done) {
			row = c
		}
		for _, r := range tally.Apply(now, ev, done) {
			rows[string(r.Subject)+" "+r.ID] = r
		}
	}
	step(0, acd.Event{Kind: acd.Started, Config: &acd.Config{
		Queues: []acd.Queue{{ID: "sales", Client: "acme"}, {ID: "help", Client: "acme"}, {ID: "desk", Client: "acme"}},
		Agents: []acd.AgentCfg{{ID: "ana", Queues: []acd.QueueID{"sales"}}, {ID: "bo", Queues: []acd.QueueID{"desk"}}, {ID: "cy", Queues: []acd.QueueID{"help"}}},
	}})
	for _, a := range []acd.AgentID{"ana", "bo", "cy"} {
		step(0, acd.Event{Kind: acd.Reachable, Agent: a})
		step(0, acd.Event{Kind: acd.MakeReady, Agent: a, By: acd.Agent})
	}
	takes := func(a acd.AgentID) {
		step(time.Second, acd.Event{Kind: acd.Answered, Agent: a})
		step(0, acd.Event{Kind: acd.Bridged, Agent: a})
	}
	step(time.Second, acd.Event{Kind: acd.Arrived, Queue: "sales"})
	takes("ana")
	step(10*time.Second, acd.Event{Kind: acd.Held, Agent: "ana", By: acd.Agent})
	step(time.Second, acd.Event{Kind: acd.Consult, Agent: "ana", To: "bo", By: acd.Agent})
	step(2*time.Second, acd.Event{Kind: acd.Answered, Agent: "bo"})
	step(5*time.Second, acd.Event{Kind: acd.Transfer, Agent: "ana", To: "bo", By: acd.Agent})
	step(0, acd.Event{Kind: acd.Bridged, Agent: "bo"})
	step(20*time.Second, acd.Event{Kind: acd.Transfer, Agent: "bo", Queue: "help", By: acd.Agent})
	takes("cy")
	step(30*time.Second, acd.Event{Kind: acd.Gone, By: acd.Caller, Cause: acd.CauseHangup})
	step(0, acd.Event{Kind: acd.Closed, By: acd.Caller, Cause: acd.CauseHangup, Facts: &acd.Facts{}})
	for _, r := range tally.Pending() {
		rows[string(r.Subject)+" "+r.ID] = r
	}
	return row, rows
}

// The segments lie end to end, say who had the caller when, and who gave them to whom;
// what lies over them is in no sum.
func TestTransferInTheRecord(t *testing.T) {
	row, _ := aTransfer(t)
	var list []string
	for _, g := range row.Segments {
		word := string(g.Kind) + " " + strings.Join(strings.Fields(strings.Join([]string{g.Agent, g.Queue, g.Result, g.To}, " ")), " ")
		list = append(list, word+" "+g.Duration.Length().String())
	}
	want := `queue sales answered 1s
offer ana sales answered 1s
talk ana sales 10s
hold ana sales transferred bo 8s
consult ana sales transferred bo 7s
offer bo sales answered 2s
talk bo sales transferred help 20s
queue help answered 1s
offer cy help answered 1s
talk cy help 30s`
	if got := strings.Join(list, "\n"); got != want {
		t.Errorf("segments:\n%s\nwant\n%s", got, want)
	}
	if row.QueuedFor+row.TalkedFor+row.HeldFor != row.Duration || row.Duration.Length() != 70*time.Second {
		t.Errorf("%v queued, %v talked, %v held of %v", row.QueuedFor, row.TalkedFor, row.HeldFor, row.Duration)
	}
	if row.TransferTo != "help" || row.Agent != "cy" || strings.Join(row.Agents, " ") != "ana bo cy" || row.Queue != "help" || row.Outcome != Answered {
		t.Errorf("%+v", row)
	}
}

// Each agent has handled it, each queue that was asked has been offered it, and it was
// answered once in each.
func TestTransferInTheCounts(t *testing.T) {
	_, rows := aTransfer(t)
	for _, a := range []string{"ana", "bo", "cy"} {
		r := rows[string(OfAgent)+" "+a].Agent
		if r == nil || r.Handled != 1 || r.Offers != 1 || r.Accepted != 1 {
			t.Errorf("%s: %+v", a, r)
		}
	}
	for _, q := range []string{"sales", "help"} {
		r := rows[string(OfQueue)+" "+q].Queue
		if r == nil || r.Offered != 1 || r.Answered != 1 || r.Handled != 1 || r.Abandoned != 0 {
			t.Errorf("%s: %+v", q, r)
		}
	}
	if r := rows[string(OfQueue)+" desk"].Queue; r != nil && r.Offered != 0 {
		t.Errorf("bo was asked as himself, and his queue counts: %+v", r)
	}
}
