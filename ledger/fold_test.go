package ledger

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"foyer/acd"

	"pgregory.net/rapid"
)

// day is when the scripts begin.
func day() time.Time { return time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC) }

// rec is one record of a journal: milliseconds after day, what happened, what the floor answered.
type rec struct {
	ms   int64
	ev   acd.Event
	done []acd.Action
}

func do(a ...acd.Action) []acd.Action { return a }

func run(f *Fold, script []rec) []CDR {
	var out []CDR
	for _, r := range script {
		out = append(out, f.Apply(day().Add(time.Duration(r.ms)*time.Millisecond), r.ev, r.done)...)
	}
	return out
}

func started() rec {
	return rec{0, acd.Event{Kind: acd.Started, Config: &acd.Config{Queues: []acd.Queue{
		{ID: "sales", Client: "acme", Within: 20 * time.Second, ShortAbandon: 5 * time.Second},
		{ID: "help", Client: "acme", Within: 10 * time.Second, ShortAbandon: 5 * time.Second},
	}}}, nil}
}

func arrived(ms int64, q acd.QueueID, more ...acd.Action) rec {
	return rec{ms, acd.Event{Kind: acd.Arrived, Call: "c1", Queue: q, Facts: &acd.Facts{
		Client: "acme", DID: "+33170000001", From: "+33612345678", To: "+33170000001",
		Trunk: "carrier", Transport: "udp", SIPCallID: "x@y",
	}}, append(do(acd.Queued{Call: "c1", Queue: q}), more...)}
}

func ring(agent acd.AgentID, q acd.QueueID, n acd.OfferID) acd.Action {
	return acd.Offer{Call: "c1", Agent: agent, Queue: q, Offer: n}
}

func answered(ms int64, agent acd.AgentID, n acd.OfferID) rec {
	return rec{ms, acd.Event{Kind: acd.Answered, Call: "c1", Agent: agent, Offer: n}, do(
		acd.Connect{Call: "c1", Agent: agent, Offer: n},
		acd.Moved{Agent: agent, From: acd.Offered, To: acd.Talking, Call: "c1"})}
}

func gone(ms int64, by acd.Party, why acd.Cause, more ...acd.Action) rec {
	return rec{ms, acd.Event{Kind: acd.Gone, Call: "c1", By: by, Cause: why}, more}
}

func closed(ms int64, code int) rec {
	return rec{ms, acd.Event{Kind: acd.Closed, Call: "c1", Facts: &acd.Facts{Code: code}}, nil}
}

// brief is the part of a CDR the scripts assert, in one line a CDR and one a segment.
func brief(c CDR) string {
	var b strings.Builder
	word := func(s ...string) { b.WriteString(strings.Join(s, " ")) }
	word(string(c.Outcome), "by", c.EndedBy, "cause", c.Cause, "queue", c.Queue+";",
		"queued", c.QueuedFor.String(), "ring", c.RungFor.String(), "talk", c.TalkedFor.String(),
		"hold", c.HeldFor.String(), "wrapup", c.WrappedUpIn.String(), "all", c.Duration.String())
	if c.ServiceLevelMet {
		word(" in-time")
	}
	for _, g := range c.Segments {
		word("\n ", string(g.Kind), Span(At(day()), g.Start).String()+"-"+Span(At(day()), g.End).String())
		for _, s := range []string{g.Queue, g.Agent, g.Result, g.Cause} {
			if s != "" {
				word(" ", s)
			}
		}
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(b.String(), "\n", " | ")), " ")
}

func TestFoldTellsACall(t *testing.T) {
	wrapping := acd.Moved{Agent: "ana", From: acd.Talking, To: acd.WrapUp, Call: "c1"}
	tests := []struct {
		name   string
		script []rec
		want   []string
	}{
		{"answered, the caller hangs up", []rec{
			started(), arrived(1000, "sales", ring("ana", "sales", 1)),
			{2000, acd.Event{Kind: acd.Alerting, Call: "c1", Agent: "ana", Offer: 1}, nil},
			answered(4250, "ana", 1),
			gone(64300, acd.Caller, acd.CauseHangup), closed(64320, 200),
		}, []string{"answered by caller cause hangup queue sales; queued 3.25 ring 3.25 talk 60.05 hold 0 wrapup 0 all 63.3 in-time" +
			" | queue 1-4.25 sales answered | offer 1-4.25 sales ana answered | talk 4.25-64.3 sales ana"}},
		{"the first agent lets it ring out, the second answers late", []rec{
			started(), arrived(0, "sales", ring("ana", "sales", 1)),
			{15000, acd.Event{Kind: acd.Tick}, do(
				acd.Withdraw{Call: "c1", Agent: "ana", Offer: 1, Cause: acd.CauseNoAnswer}, ring("bo", "sales", 2))},
			{15050, acd.Event{Kind: acd.Failed, Call: "c1", Agent: "ana", Offer: 1, Cause: acd.CauseFailed, Code: 487}, nil},
			answered(25000, "bo", 2),
			gone(30000, acd.Agent, acd.CauseHangup), closed(30001, 200),
		}, []string{"answered by agent cause hangup queue sales; queued 25 ring 10 talk 5 hold 0 wrapup 0 all 30" +
			" | queue 0-25 sales answered | offer 0-15 sales ana no_answer no_answer | offer 15-25 sales bo answered | talk 25-30 sales bo"}},
		{"declined, busy and unreachable are told apart", []rec{
			started(), arrived(0, "sales", ring("ana", "sales", 1)),
			{1000, acd.Event{Kind: acd.Failed, Call: "c1", Offer: 1, Cause: acd.CauseDeclined, Code: 603}, do(ring("bo", "sales", 2))},
			{2000, acd.Event{Kind: acd.Failed, Call: "c1", Offer: 2, Cause: acd.CauseBusy, Code: 486}, do(ring("cy", "sales", 3))},
			{3000, acd.Event{Kind: acd.Failed, Call: "c1", Offer: 3, Cause: acd.CauseUnreachable, Code: 408}, nil},
			gone(6000, acd.Caller, acd.CauseAbandoned), closed(6000, 487),
		}, []string{"abandoned by caller cause abandoned queue sales; queued 6 ring 0 talk 0 hold 0 wrapup 0 all 6" +
			" | queue 0-6 sales abandoned | offer 0-1 sales ana declined declined | offer 1-2 sales bo busy busy | offer 2-3 sales cy unreachable unreachable"}},
		{"abandoned while ringing, soon", []rec{
			started(), arrived(0, "sales", ring("ana", "sales", 1)),
			gone(4999, acd.Caller, acd.CauseAbandoned, acd.Withdraw{Call: "c1", Agent: "ana", Offer: 1, Cause: acd.CauseAbandoned}),
			closed(5000, 487),
		}, []string{"short_abandon by caller cause abandoned queue sales; queued 4.999 ring 0 talk 0 hold 0 wrapup 0 all 4.999" +
			" | queue 0-4.999 sales abandoned | offer 0-4.999 sales ana withdrawn abandoned"}},
		{"five seconds are no longer soon", []rec{
			started(), arrived(0, "sales"), gone(5000, acd.Caller, acd.CauseAbandoned), closed(5000, 487),
		}, []string{"abandoned by caller cause abandoned queue sales; queued 5 ring 0 talk 0 hold 0 wrapup 0 all 5 | queue 0-5 sales abandoned"}},
		{"overflow to another queue: the wait counts from arrival", []rec{
			started(), arrived(0, "sales"),
			{8000, acd.Event{Kind: acd.Tick}, do(acd.Queued{Call: "c1", Queue: "help", From: "sales"}, ring("ana", "help", 1))},
			answered(11000, "ana", 1), gone(20000, acd.Caller, acd.CauseHangup), closed(20000, 200),
		}, []string{"answered by caller cause hangup queue help; queued 11 ring 3 talk 9 hold 0 wrapup 0 all 20" +
			" | queue 0-8 sales overflow | queue 8-11 help answered | offer 8-11 help ana answered | talk 11-20 help ana"}},
		{"the longest wait is over: refused, with an announcement", []rec{
			started(), arrived(0, "sales"),
			{60000, acd.Event{Kind: acd.Tick}, do(acd.Refuse{Call: "c1", Queue: "sales", Cause: acd.CauseMaxWait}, acd.Settled{Call: "c1", Cause: acd.CauseMaxWait, By: acd.Switch})},
			gone(63000, acd.Switch, acd.CauseMaxWait), closed(63000, 480),
		}, []string{"overflow by switch cause max_wait queue sales; queued 63 ring 0 talk 0 hold 0 wrapup 0 all 63 | queue 0-63 sales overflow"}},
		{"refused and nobody says Gone", []rec{
			started(), arrived(0, "sales", acd.Refuse{Call: "c1", Queue: "sales", Cause: acd.CauseNoAgents}), closed(20, 480),
		}, []string{"rejected by switch cause no_agents queue sales; queued 0.02 ring 0 talk 0 hold 0 wrapup 0 all 0.02 | queue 0-0.02 sales refused"}},
		{"unknown number", []rec{
			started(), {10, acd.Event{Kind: acd.Rejected, Call: "c1", Cause: acd.CauseNumberUnknown, Code: 404, Facts: &acd.Facts{To: "+331"}}, nil}, closed(15, 404),
		}, []string{"rejected by switch cause number_unknown queue ; queued 0 ring 0 talk 0 hold 0 wrapup 0 all 0.005"}},
		{"held by both: talks again when both resume", []rec{
			started(), arrived(0, "sales", ring("ana", "sales", 1)), answered(1000, "ana", 1),
			{11000, acd.Event{Kind: acd.Held, Call: "c1", By: acd.Agent}, nil},
			{12000, acd.Event{Kind: acd.Held, Call: "c1", By: acd.Caller}, nil},
			{13000, acd.Event{Kind: acd.Resumed, Call: "c1", By: acd.Agent}, nil},
			{15000, acd.Event{Kind: acd.Resumed, Call: "c1", By: acd.Caller}, nil},
			gone(16500, acd.Agent, acd.CauseHangup), closed(16500, 200),
		}, []string{"answered by agent cause hangup queue sales; queued 1 ring 1 talk 11.5 hold 4 wrapup 0 all 16.5 in-time" +
			" | queue 0-1 sales answered | offer 0-1 sales ana answered | talk 1-11 sales ana | hold 11-15 sales ana | talk 15-16.5 sales ana"}},
		{"the wrap-up ends after the call's last word: the same CDR again", []rec{
			started(), arrived(0, "sales", ring("ana", "sales", 1)), answered(1000, "ana", 1),
			gone(11000, acd.Caller, acd.CauseHangup, wrapping), closed(11010, 200),
			{31000, acd.Event{Kind: acd.WrapUpDone, Agent: "ana"}, do(acd.Moved{Agent: "ana", From: acd.WrapUp, To: acd.Ready})},
		}, []string{
			"answered by caller cause hangup queue sales; queued 1 ring 1 talk 10 hold 0 wrapup 0 all 11 in-time" +
				" | queue 0-1 sales answered | offer 0-1 sales ana answered | talk 1-11 sales ana",
			"answered by caller cause hangup queue sales; queued 1 ring 1 talk 10 hold 0 wrapup 20 all 11 in-time" +
				" | queue 0-1 sales answered | offer 0-1 sales ana answered | talk 1-11 sales ana | wrapup 11-31 sales ana",
		}},
		{"the wrap-up ends before the last word: one CDR", []rec{
			started(), arrived(0, "sales", ring("ana", "sales", 1)), answered(1000, "ana", 1),
			gone(11000, acd.Caller, acd.CauseHangup, wrapping, acd.Moved{Agent: "ana", From: acd.WrapUp, To: acd.Ready}), closed(11010, 200),
		}, []string{"answered by caller cause hangup queue sales; queued 1 ring 1 talk 10 hold 0 wrapup 0 all 11 in-time" +
			" | queue 0-1 sales answered | offer 0-1 sales ana answered | talk 1-11 sales ana"}},
		{"the switch died during the talk: it ends where the journal ends", []rec{
			started(), arrived(0, "sales", ring("ana", "sales", 1)), answered(1000, "ana", 1),
			{21000, acd.Event{Kind: acd.Tick}, nil},
			{90000, acd.Event{Kind: acd.Started}, nil},
			gone(90001, acd.Caller, acd.CauseHangup), closed(90002, 200),
		}, []string{"failed by switch cause restart queue sales; queued 1 ring 1 talk 20 hold 0 wrapup 0 all 21 in-time" +
			" | queue 0-1 sales answered | offer 0-1 sales ana answered | talk 1-21 sales ana"}},
		{"the next life closes it by name", []rec{
			started(), arrived(0, "sales", ring("ana", "sales", 1)), {7000, acd.Event{Kind: acd.Tick}, nil},
			{90000, acd.Event{Kind: acd.Closed, Call: "c1", Cause: acd.CauseRestart}, nil},
			{90001, acd.Event{Kind: acd.Started}, nil},
		}, []string{"failed by switch cause restart queue sales; queued 7 ring 0 talk 0 hold 0 wrapup 0 all 7" +
			" | queue 0-7 sales failed | offer 0-7 sales ana withdrawn restart"}},
		{"the clock is put back an hour", []rec{
			started(), arrived(0, "sales", ring("ana", "sales", 1)), answered(1000, "ana", 1),
			gone(-3600000, acd.Caller, acd.CauseHangup), closed(-3599000, 200),
		}, []string{"answered by caller cause hangup queue sales; queued 1 ring 1 talk 0 hold 0 wrapup 0 all 1 in-time" +
			" | queue 0-1 sales answered | offer 0-1 sales ana answered | talk 1-1 sales ana"}},
		{"the agent's phone dies, the caller waits again", []rec{
			started(), arrived(0, "sales", ring("ana", "sales", 1)), answered(1000, "ana", 1),
			{5000, acd.Event{Kind: acd.Unreachable, Agent: "ana"}, do(ring("bo", "sales", 2))},
			answered(7000, "bo", 2), gone(9000, acd.Caller, acd.CauseHangup), closed(9000, 200),
		}, []string{"answered by caller cause hangup queue sales; queued 3 ring 1 talk 6 hold 0 wrapup 0 all 9 in-time" +
			" | queue 0-1 sales answered | offer 0-1 sales ana answered | talk 1-5 sales ana requeued" +
			" | queue 5-7 sales answered | offer 5-7 sales bo answered | talk 7-9 sales bo"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := NewFold()
			var got []string
			for _, c := range run(f, tt.script) {
				got = append(got, brief(c))
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			if open := f.Open(); len(open) != 0 {
				t.Errorf("still open: %v", open)
			}
		})
	}
}

func TestFoldTakesOverWhatWasMeasured(t *testing.T) {
	last := closed(9000, 200)
	last.ev.Facts = &acd.Facts{
		Code: 200, Q850: 16, Codec: "PCMA", Recording: "r1", RecordedMS: 7995,
		CallerLeg: &acd.Quality{Codec: "PCMA", Packets: 400, Lost: 4, LossRatio: 0.01, JitterMS: 3, MOS: 4.2},
		AgentLeg:  &acd.Quality{Codec: "PCMU", Packets: 400, LossRatio: math.NaN(), JitterMS: 9, MOS: 4.4},
	}
	out := run(NewFold(), []rec{started(), arrived(0, "sales", ring("ana", "sales", 1)), answered(1000, "ana", 1),
		gone(9000, acd.Caller, acd.CauseHangup), last})
	if len(out) != 1 {
		t.Fatalf("%d CDRs", len(out))
	}
	c := out[0]
	if c.MOSMin != 4.2 || c.LossRatio != 0.01 || c.JitterMS != 9 || c.RecordingID != "r1" || c.RecordedFor != 7995 ||
		c.SIPCode != 200 || c.Q850 != 16 || c.Codec != "PCMA" {
		t.Errorf("got %+v", c)
	}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"id":"c1"`, `"direction":"inbound"`, `"started":"2026-03-02T09:00:00.000Z"`, `"answered":"2026-03-02T09:00:01.000Z"`,
		`"queued_s":1,`, `"talk_s":8,`, `"agents":["ana"]`, `"recorded_s":7.995`, `"service_level_met":true`,
		`"quality":{"caller":{"codec":"PCMA"`, `"segments":[{"kind":"queue"`, `"sip_call_id":"x@y"`,
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("JSON lacks %s:\n%s", want, raw)
		}
	}
	var back CDR
	if err := json.Unmarshal(raw, &back); err != nil || !reflect.DeepEqual(back, c) {
		t.Errorf("round trip: %v\n%+v\n%+v", err, back, c)
	}
}

func TestOpenIsInOrderOfArrival(t *testing.T) {
	f := NewFold()
	for i, id := range []acd.CallID{"z", "b", "a"} {
		f.Apply(day().Add(time.Duration(i/2)*time.Second), acd.Event{Kind: acd.Arrived, Call: id}, nil)
	}
	if got := f.Open(); !reflect.DeepEqual(got, []acd.CallID{"b", "z", "a"}) {
		t.Errorf("got %v", got)
	}
}

// TestAnyJournal folds journals that no floor would write: whatever comes, in
// whatever order, a call that arrived has one id's worth of CDRs, every sum holds
// and nothing is left behind.
func TestAnyJournal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := NewFold()
		seen := map[string]int{}
		begun := map[acd.CallID]bool{}
		check := func(out []CDR) {
			for _, c := range out {
				if !begun[acd.CallID(c.ID)] {
					t.Fatalf("CDR %q of no call", c.ID)
				}
				seen[c.ID]++
				checkSums(t, c)
			}
		}
		at := day()
		for range rapid.IntRange(0, 60).Draw(t, "records") {
			at = at.Add(time.Duration(rapid.Int64Range(-2000, 8000).Draw(t, "ms")) * time.Millisecond)
			ev := anyEvent(t)
			if ev.Kind == acd.Arrived || ev.Kind == acd.Rejected {
				if begun[ev.Call] { // ids are never used twice
					ev.Kind = acd.Tick
				}
				begun[ev.Call] = true
			}
			check(f.Apply(at, ev, anyActions(t)))
		}
		check(f.Apply(at, acd.Event{Kind: acd.Started}, nil))
		for id := range begun {
			if seen[string(id)] == 0 {
				t.Fatalf("call %q has no CDR", id)
			}
		}
		if len(f.open) != 0 || len(f.wrapping) != 0 {
			t.Fatalf("left behind: %v %v", f.open, f.wrapping)
		}
	})
}

func checkSums(t *rapid.T, c CDR) {
	if c.Started == 0 || c.Ended < c.Started || c.Duration != Millis(c.Ended-c.Started) || c.Outcome == "" || c.EndedBy == "" {
		t.Fatalf("incomplete: %+v", c)
	}
	if c.Outcome == Answered && c.Answered == 0 {
		t.Fatalf("answered never: %+v", c)
	}
	next := c.Started
	for _, g := range c.Segments {
		if g.End < g.Start || g.Duration != Millis(g.End-g.Start) {
			t.Fatalf("segment %+v of %+v", g, c)
		}
		switch g.Kind {
		case InQueue, Talking, OnHold:
			if g.Start != next {
				t.Fatalf("a gap before %+v of %+v", g, c)
			}
			next = g.End
		}
	}
	if len(c.Segments) > 0 && (next != c.Ended || c.QueuedFor+c.TalkedFor+c.HeldFor != c.Duration) {
		t.Fatalf("the parts are not the whole: %+v", c)
	}
}

func anyEvent(t *rapid.T) acd.Event {
	return acd.Event{
		Kind:  acd.Kind(rapid.IntRange(1, int(acd.Tick)).Draw(t, "kind")),
		Call:  anyCall(t),
		Agent: anyAgent(t),
		Queue: anyQueue(t),
		Offer: acd.OfferID(rapid.IntRange(0, 3).Draw(t, "offer")),
		By:    acd.Party(rapid.IntRange(0, int(acd.Carrier)).Draw(t, "by")),
		Cause: acd.Cause(rapid.IntRange(0, int(acd.CauseFailed)).Draw(t, "cause")),
	}
}

func anyActions(t *rapid.T) []acd.Action {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) acd.Action {
		call, agent, queue := anyCall(t), anyAgent(t), anyQueue(t)
		n := acd.OfferID(rapid.IntRange(0, 3).Draw(t, "offer"))
		why := acd.Cause(rapid.IntRange(0, int(acd.CauseFailed)).Draw(t, "cause"))
		switch rapid.IntRange(0, 6).Draw(t, "action") {
		case 0:
			return acd.Offer{Call: call, Agent: agent, Queue: queue, Offer: n}
		case 1:
			return acd.Withdraw{Call: call, Agent: agent, Offer: n, Cause: why}
		case 2:
			return acd.Connect{Call: call, Agent: agent, Offer: n}
		case 3:
			return acd.Refuse{Call: call, Queue: queue, Cause: why}
		case 4:
			return acd.Queued{Call: call, Queue: queue}
		case 5:
			return acd.Settled{Call: call, Cause: why}
		}
		return acd.Moved{Agent: agent, To: acd.AgentState(rapid.IntRange(0, 5).Draw(t, "state")), Call: call}
	}), 0, 3).Draw(t, "actions")
}

func anyCall(t *rapid.T) acd.CallID {
	return rapid.SampledFrom([]acd.CallID{"c1", "c2", "c3"}).Draw(t, "call")
}

func anyAgent(t *rapid.T) acd.AgentID {
	return rapid.SampledFrom([]acd.AgentID{"ana", "bo"}).Draw(t, "agent")
}

func anyQueue(t *rapid.T) acd.QueueID {
	return rapid.SampledFrom([]acd.QueueID{"", "sales", "help"}).Draw(t, "queue")
}
