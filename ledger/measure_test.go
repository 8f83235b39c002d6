package ledger

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"foyer/acd"

	"pgregory.net/rapid"
)

func TestEveryStateIsSomeActivity(t *testing.T) {
	for word, want := range map[string]activity{
		"off": away, "registered": away, "not_ready": paused, "ready": idle, "reserved": rung, "offered": rung,
		"talking": talking, "consulting": talking, "held": holding, "on_hold": holding, "wrap_up": wrapping,
		"dancing": paused, "": paused, "17": paused,
	} {
		if got := activityCalled(word); got != want {
			t.Errorf("%q counts as %d, want %d", word, got, want)
		}
	}
	if activityOf(acd.AgentState(0)) != away {
		t.Error("the zero state is at work")
	}
}

func TestFates(t *testing.T) {
	for _, tt := range []struct {
		by    acd.Party
		cause acd.Cause
		want  fate
	}{
		{acd.Caller, acd.CauseAbandoned, abandoned},
		{acd.Carrier, acd.CauseSessionTimer, abandoned},
		{acd.Nobody, acd.CauseAbandoned, abandoned},
		{acd.Nobody, acd.CauseNoAck, refused},
		{acd.Switch, acd.CauseMaxWait, overflowed},
		{acd.Switch, acd.CauseNoAgents, refused},
		{acd.Supervisor, acd.CauseAdmin, refused},
	} {
		if got := fateOf(tt.by, tt.cause); got != tt.want {
			t.Errorf("ended by %s, %s: %d, want %d", tt.by, tt.cause, got, tt.want)
		}
	}
}

// callback is the cause whose word is "callback", if this floor knows one already.
func callback() (acd.Cause, bool) {
	for c := range acd.Cause(255) {
		if c.String() == causeCallback {
			return c, true
		}
	}
	return 0, false
}

func TestACallbackIsNeitherAnsweredNorAbandoned(t *testing.T) {
	cause, known := callback()
	if !known { // until the floor has callbacks, its word is read from a settled stay
		tally := NewTally(nil)
		runTally(tally, []rec{started(), arrived(0, "sales")})
		tally.leave(tally.calls["c1"], calledBack)
		delete(tally.calls, "c1")
		wantQueue(t, tally, QueueCounts{Offered: 1, Callbacks: 1, Within: 20_000, Short: 5_000, Waits: Waits{0: 1}})
		return
	}
	tally := NewTally(nil)
	runTally(tally, []rec{started(), arrived(0, "sales"),
		{30_000, acd.Event{Kind: acd.Tick}, do(acd.Settled{Call: "c1", Cause: cause, By: acd.Caller})}})
	wantQueue(t, tally, QueueCounts{Offered: 1, Callbacks: 1, WaitAll: 30_000, WaitMost: 30_000,
		Within: 20_000, Short: 5_000, Waits: Waits{classOf(30_000): 1}})
}

func runTally(tally *Tally, script []rec) (out []Interval) {
	for _, r := range script {
		out = append(out, tally.Apply(day().Add(time.Duration(r.ms)*time.Millisecond), r.ev, r.done)...)
	}
	return out
}

func wantQueue(t *testing.T, tally *Tally, want QueueCounts) {
	t.Helper()
	rows := tally.Pending()
	if len(rows) != 1 || rows[0].Subject != OfQueue || rows[0].ID != "sales" || rows[0].Client != "acme" || !reflect.DeepEqual(*rows[0].Queue, want) {
		t.Errorf("rows %s", asJSON(rows))
	}
}

func asJSON(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// The edge rules of the service level, one call each.
func TestEdgesOfTheServiceLevel(t *testing.T) {
	bridged := func(ms int64) rec {
		return rec{ms, acd.Event{Kind: acd.Bridged, Call: "c1", Agent: "ana", Offer: 1}, nil}
	}
	over := func(ms int64, by acd.Party, why acd.Cause) rec {
		return gone(ms, by, why, acd.Settled{Call: "c1", Cause: why, By: by})
	}
	transfer := rec{18_000, acd.Event{Kind: acd.Tick}, do(acd.Queued{Call: "c1", Queue: "help", From: "sales"}, ring("ana", "help", 1))}
	tests := []struct {
		name   string
		script []rec
		want   string // queue: offered answered within abandoned within later short overflowed
	}{
		{"answered at the target is within", []rec{arrived(0, "sales", ring("ana", "sales", 1)), answered(20_000, "ana", 1), bridged(20_050)}, "sales 1 1 1 0 0 0 0 0"},
		{"a millisecond later is not", []rec{arrived(0, "sales", ring("ana", "sales", 1)), answered(20_001, "ana", 1), bridged(20_050)}, "sales 1 1 0 0 0 0 0 0"},
		{"hung up before the bridge, yet answered", []rec{arrived(0, "sales", ring("ana", "sales", 1)), answered(1000, "ana", 1), over(1001, acd.Caller, acd.CauseHangup)}, "sales 1 1 1 0 0 0 0 0"},
		{"a short abandon", []rec{arrived(0, "sales"), over(4999, acd.Caller, acd.CauseAbandoned)}, "sales 1 0 0 1 1 0 1 0"},
		{"no longer short", []rec{arrived(0, "sales"), over(5000, acd.Caller, acd.CauseAbandoned)}, "sales 1 0 0 1 1 0 0 0"},
		{"abandoned late", []rec{arrived(0, "sales"), over(20_001, acd.Caller, acd.CauseAbandoned)}, "sales 1 0 0 1 0 1 0 0"},
		{"a transfer starts a new clock", []rec{arrived(0, "sales"), transfer, answered(27_000, "ana", 1), bridged(27_001)}, "help 1 1 1 0 0 0 0 0 | sales 1 0 0 0 0 0 0 1"},
		{"and can be abandoned short of it", []rec{arrived(0, "sales"), transfer, over(20_000, acd.Caller, acd.CauseAbandoned)}, "help 1 0 0 1 1 0 1 0 | sales 1 0 0 0 0 0 0 1"},
		{"dropped by the agent, the caller keeps the clock", []rec{arrived(0, "sales", ring("ana", "sales", 1)), answered(1000, "ana", 1),
			{2000, acd.Event{Kind: acd.Failed, Call: "c1", Agent: "ana", Offer: 1}, do(acd.Queued{Call: "c1", Queue: "sales"}, ring("ana", "sales", 2))},
			answered(21_000, "ana", 2), {21_100, acd.Event{Kind: acd.Bridged, Call: "c1", Agent: "ana", Offer: 2}, nil}}, "sales 1 1 0 0 0 0 0 0"},
		{"hung up by a supervisor is no abandon", []rec{arrived(0, "sales"), over(9000, acd.Supervisor, acd.CauseAdmin)}, "sales 1 0 0 0 0 0 0 0"},
		{"late and repeated news change nothing", []rec{arrived(0, "sales", ring("ana", "sales", 1)), answered(1000, "ana", 1), bridged(1001), bridged(1002), over(9000, acd.Caller, acd.CauseHangup), over(9001, acd.Caller, acd.CauseHangup), bridged(9002)}, "sales 1 1 1 0 0 0 0 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tally := NewTally(nil)
			runTally(tally, append([]rec{started()}, tt.script...))
			var got string
			for _, r := range tally.Pending() {
				if q := r.Queue; q != nil {
					if got != "" {
						got += " | "
					}
					got += fmt.Sprint(r.ID, " ", q.Offered, " ", q.Answered, " ", q.AnsweredWithin, " ", q.Abandoned, " ",
						q.AbandonedWithin, " ", q.AbandonedLater, " ", q.ShortAbandoned, " ", q.Overflowed)
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A call that is up when its quarter ends is handed out twice: as it stood, and whole.
func TestARowIsHandedOutAgainWhenItsCallEnds(t *testing.T) {
	tally := NewTally(nil)
	minutes := func(m int64) int64 { return m * 60_000 }
	out := runTally(tally, []rec{started(), arrived(minutes(14), "sales", ring("ana", "sales", 1)), answered(minutes(16), "ana", 1),
		{minutes(16) + 10, acd.Event{Kind: acd.Bridged, Call: "c1", Agent: "ana", Offer: 1}, nil}})
	var seen []int
	for _, r := range out {
		if r.Subject == OfQueue {
			seen = append(seen, r.Queue.Offered, r.Queue.Answered)
		}
	}
	if !slices.Equal(seen, []int{1, 0, 1, 1}) {
		t.Errorf("handed out %s", asJSON(out))
	}
}

// A life that was cut off ends at its last record; the next one's counts are its own.
func TestTwoLivesInAQuarter(t *testing.T) {
	tally := NewTally(nil)
	ready := rec{0, acd.Event{Kind: acd.MakeReady, Agent: "ana"}, do(acd.Moved{Agent: "ana", From: acd.Off, To: acd.Ready})}
	again := started()
	again.ms = 400_000
	ready2 := ready
	ready2.ms = 400_000
	out := runTally(tally, []rec{started(), ready, arrived(1000, "sales"), {61_000, acd.Event{Kind: acd.Tick}, nil}, again, ready2,
		{430_000, acd.Event{Kind: acd.Tick}, nil}})
	out = append(out, tally.Pending()...)
	if len(out) != 3 || out[0].Agent.Idle != 61_000 || out[1].Queue.Failed != 1 || out[2].Agent.Idle != 30_000 ||
		out[0].Start != out[2].Start || out[0].Life == out[2].Life {
		t.Errorf("rows %s", asJSON(out))
	}
}

func TestWaitsAreOffByAThirtySecondAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(0, 24*3600_000), 1, 200).Draw(t, "waits")
		half := rapid.IntRange(0, len(all)).Draw(t, "split")
		var a, b Waits
		for i, m := range all {
			if i < half {
				a.count(Millis(m))
			} else {
				b.count(Millis(m))
			}
		}
		a.add(b)
		slices.Sort(all)
		for _, q := range []float64{0, 0.5, 0.9, 1} {
			rank := max(int(q*float64(len(all))+0.5), 1)
			exact, got := float64(all[rank-1]), float64(a.Quantile(q))
			if math.Abs(got-exact) > exact/32+0.5 {
				t.Fatalf("quantile %v is %v, the sorted list says %v", q, got, exact)
			}
		}
		raw, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var back Waits
		if err := json.Unmarshal(raw, &back); err != nil || !reflect.DeepEqual(a, back) {
			t.Fatalf("%s came back as %v, %v", raw, back, err)
		}
	})
	if (Waits(nil)).Quantile(0.5) != 0 {
		t.Error("no waits have a median")
	}
	if got := classOf(math.MaxInt64); got != mostClass {
		t.Errorf("the last class is %d, not %d", got, mostClass)
	}
	for _, bad := range []string{`{"-1":1}`, `{"5":-1}`, `{"99999":1}`, `[1]`} {
		var w Waits
		if err := json.Unmarshal([]byte(bad), &w); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

// Shifts are on the wall clock: the day summer time begins has its nine o'clock too.
func TestWeeklyShifts(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	var week [7][]Hours
	week[time.Sunday] = []Hours{{1 * time.Hour, 4 * time.Hour}, {9 * time.Hour, 24 * time.Hour}}
	w := &Weekly{Zone: paris, Agents: map[acd.AgentID][7][]Hours{"bo": week, "ana": week}}
	at := func(text string) Instant {
		m, err := time.ParseInLocation("2006-01-02 15:04", text, paris)
		if err != nil {
			t.Fatal(err)
		}
		return At(m)
	}
	for _, tt := range []struct {
		name, from, to string
		want           []Millis // lengths of ana's, in hours
	}{
		{"a day as any other", "2026-03-22 00:00", "2026-03-23 00:00", []Millis{3, 15}},
		{"the day has 23 hours", "2026-03-29 00:00", "2026-03-30 00:00", []Millis{2, 15}},
		{"the day has 25 hours", "2026-10-25 00:00", "2026-10-26 00:00", []Millis{4, 15}},
		{"a quarter in the evening", "2026-03-22 23:45", "2026-03-23 00:00", []Millis{15}},
		{"a quarter before", "2026-03-22 08:45", "2026-03-22 09:00", nil},
		{"a Monday", "2026-03-23 00:00", "2026-03-24 00:00", nil},
		{"nothing", "2026-03-22 09:00", "2026-03-22 09:00", nil},
	} {
		var got []Millis
		all := w.Shifts(at(tt.from), at(tt.to))
		for _, s := range all {
			if s.Agent == "ana" {
				got = append(got, Span(s.From, s.To)/3600_000)
			}
		}
		if !slices.Equal(got, tt.want) || len(all) != 2*len(got) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if (*Weekly)(nil).Shifts(0, 1) != nil {
		t.Error("no schedule has shifts")
	}
}
