package loadtest

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Books are both sides' accounts of a run: the generator's calls, and what the
// switch says about them.
type Books struct {
	Calls      []Call
	CDRs       []CDR
	Recordings []Recording
	// Recorded means that every answered call must have a recording.
	Recorded bool
	// Tolerance is how far talk and recorded time may differ; 0 is 500 ms.
	Tolerance     time.Duration
	Before, After Readings // at rest; nil skips the comparison
}

// atRest are the gauges that must return to where they were, with how much they
// may differ: the runtime keeps a few goroutines.
var atRest = []struct {
	name  string
	slack float64
}{
	{"foyer_rtp_ports_used", 0},
	{"foyer_calls_active", 0},
	{"foyer_sip_legs", 0},
	{"foyer_recordings_active", 0},
	{"go_goroutines", 30},
}

// Verify compares the accounts and returns every discrepancy in a sentence, in a
// stable order; none means that every call is accounted for.
func Verify(b Books) []string {
	if b.Tolerance == 0 {
		b.Tolerance = 500 * time.Millisecond
	}
	v := &audit{Books: b, rows: map[uint32][]*CDR{}, kept: map[string][]*Recording{}}
	v.index()
	v.calls()
	v.recordings()
	v.readings()
	return v.found
}

type audit struct {
	Books
	rows  map[uint32][]*CDR       // by the caller's call number
	kept  map[string][]*Recording // by CDR id
	found []string
}

func (v *audit) say(format string, args ...any) {
	v.found = append(v.found, fmt.Sprintf(format, args...))
}

func (v *audit) index() {
	known := map[uint32]bool{}
	for i := range v.Calls {
		known[v.Calls[i].Number] = true
	}
	ids := map[string]int{}
	for i := range v.CDRs {
		c := &v.CDRs[i]
		if ids[c.ID]++; ids[c.ID] == 2 {
			v.say("CDR %s exists more than once", c.ID)
		}
		n, ok := callOf(c.From)
		if !ok || !known[n] {
			v.say("CDR %s: caller %q never called", c.ID, c.From)
			continue
		}
		v.rows[n] = append(v.rows[n], c)
	}
	for i := range v.Recordings {
		r := &v.Recordings[i]
		v.kept[r.CallID] = append(v.kept[r.CallID], r)
		if ids[r.CallID] == 0 {
			v.say("recording %s: its call %s has no CDR", r.ID, r.CallID)
		}
	}
}

// calls looks for the one CDR of each call.
func (v *audit) calls() {
	for i := range v.Calls {
		c := &v.Calls[i]
		rows := v.rows[c.Number]
		switch {
		case len(rows) == 0 && c.Outcome == Failed && c.Ringing.IsZero():
			// The switch may never have heard of it.
		case len(rows) == 0:
			v.say("call %d (%s, %s): no CDR", c.Number, c.Caller, c.Outcome)
		case len(rows) > 1:
			v.say("call %d (%s): %d CDRs", c.Number, c.Caller, len(rows))
		default:
			v.compare(c, rows[0])
		}
	}
}

func (v *audit) compare(c *Call, row *CDR) {
	talk := c.Talk()
	if talk < v.Tolerance && c.Outcome == Answered && row.Outcome != string(Answered) {
		return // hung up while the answer was on its way: either is true
	}
	if !agrees(c.Outcome, row.Outcome) {
		v.say("call %d: %s, the CDR says %s", c.Number, c.Outcome, row.Outcome)
		return
	}
	if c.Outcome != Answered {
		return
	}
	if row.Agent != c.Agent {
		v.say("call %d: answered by %s, the CDR says %q", c.Number, c.Agent, row.Agent)
	}
	if d := row.TalkS + row.HoldS - talk.Seconds(); math.Abs(d) > v.Tolerance.Seconds() {
		v.say("call %d: talked %.3f s, the CDR says %.3f", c.Number, talk.Seconds(), row.TalkS+row.HoldS)
	}
	if (c.EndedBy == "caller" || c.EndedBy == "agent") && row.EndedBy != c.EndedBy {
		v.say("call %d: ended by %s, the CDR says %s", c.Number, c.EndedBy, row.EndedBy)
	}
}

// agrees tells whether the switch's word for an outcome fits what was seen from
// outside, where less is known.
func agrees(seen Outcome, row string) bool {
	switch seen {
	case Answered:
		return row == "answered"
	case Abandoned:
		return row == "abandoned" || row == "short_abandon"
	case Refused:
		return slices.Contains([]string{"rejected", "overflow", "failed"}, row)
	}
	return true
}

func (v *audit) recordings() {
	for i := range v.CDRs {
		row := &v.CDRs[i]
		kept := v.kept[row.ID]
		if row.RecordingID != "" && len(kept) == 0 {
			v.say("CDR %s: its recording %s is not in the list", row.ID, row.RecordingID)
		}
		if !v.Recorded || row.Outcome != string(Answered) {
			continue
		}
		if len(kept) != 1 {
			v.say("CDR %s: %d recordings, want one", row.ID, len(kept))
			continue
		}
		r := kept[0]
		if r.ID != row.RecordingID {
			v.say("CDR %s: names recording %q, the list has %s", row.ID, row.RecordingID, r.ID)
		}
		if r.State != "complete" {
			v.say("recording %s: %s at rest", r.ID, r.State)
		}
		if d := r.DurationS - row.TalkS - row.HoldS; math.Abs(d) > v.Tolerance.Seconds() {
			v.say("recording %s: %.3f s long, the call %.3f", r.ID, r.DurationS, row.TalkS+row.HoldS)
		}
	}
}

func (v *audit) readings() {
	if v.Before == nil || v.After == nil {
		return
	}
	for _, g := range atRest {
		before, after := v.Before[g.name], v.After[g.name]
		if after > before+g.slack {
			v.say("%s: %v before, %v after", g.name, before, after)
		}
	}
}
