package acd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// asked answers what ana did in some seconds of a script.
func asked(t *testing.T, text, lang string, from, to int) AgentExplanation {
	t.Helper()
	records := throughJSON(t, runScript(t, text).events)
	q := Question{Agent: "ana", From: day.Add(time.Duration(from) * time.Second), To: day.Add(time.Duration(to) * time.Second)}
	e, known := ExplainAgent(slices.Values(records), q, lang, time.FixedZone("", 3600))
	if !known {
		t.Fatal("ana is not in her own journal")
	}
	return e
}

const anasMorning = `
queue sales require=fr strategy=skill_then_idle wrapup=10s
queue help require=de
queue late
agent ana sales late fr:2
agent bo sales late fr:5
agent cy late
agent di help de:3
0s   ready bo
0s   ready cy
5s   ready ana
10s  arrive c1 sales
12s  answer c1 bo
12s  bridge c1 bo
14s  arrive c2 late
15s  answer c2 cy
15s  bridge c2 cy
20s  arrive c3 sales
22s  alert c3 ana
23s  fail c3 ana declined
30s  arrive c4 sales
33s  answer c4 ana
33s  bridge c4 ana
93s  gone c4
103s tick
110s pause ana lunch
130s lost ana
150s register ana
160s logout ana
`

func TestExplainAnAgent(t *testing.T) {
	e := asked(t, anasMorning, "en", 0, 180)
	var table []string
	for _, s := range e.Stretches {
		table = append(table, fmt.Sprintf("%3.0f-%3.0f %s %s", s.From.Sub(day).Seconds(), s.To.Sub(day).Seconds(), s.Doing, s.Why))
	}
	want := []string{
		"  0-  5 away not logged in",
		"  5- 20 ready ready; 2 calls went to others: 1 to who had been idle longer (cy 1); 1 to who has a higher level (bo 1)",
		" 20- 23 offered offered call c3 of sales: declined after 3 s",
		" 23- 30 ready ready; 1 call waited that this agent could not have (1, has declined this call)",
		" 30- 33 offered offered call c4 of sales: answered after 3 s",
		" 33- 93 in_call in call c4",
		" 93-103 wrap_up wrapping up call c4",
		"103-110 ready ready; 1 call waited that this agent could not have (1, has declined this call)",
		"110-130 not_ready not ready (lunch), by the agent",
		"130-150 unreachable logged in, but no phone answered",
		"150-160 not_ready not ready (lunch), by the agent",
		"160-180 away not logged in",
	}
	if !slices.Equal(table, want) {
		t.Errorf("the table is\n%s\nwant\n%s", strings.Join(table, "\n"), strings.Join(want, "\n"))
	}
	for lang, want := range map[string]string{
		"en": "Between 10:00:00 and 10:03:00 ana was offered 2 calls and answered 1. " +
			"Time: ready 29 s, in calls 1 min 00 s, wrapping up 10 s, being rung 6 s, not ready 30 s, unreachable 20 s and not logged in 25 s. " +
			"While ana was ready, 2 calls went to others: 1 to who had been idle longer (cy 1); 1 to who has a higher level (bo 1); " +
			"2 calls waited that this agent could not have (2, has declined this call).",
		"fr": "Entre 10:00:00 et 10:03:00, ana s'est vu proposer 2 appels et en a pris 1. " +
			"Temps : prêt 29 s, en conversation 1 min 00 s, en post-appel 10 s, sollicité 6 s, non prêt 30 s, injoignable 20 s et non connecté 25 s. " +
			"Quand ana était prêt, 2 appels sont allés à d'autres : 1 à qui attendait depuis plus longtemps (cy 1); 1 à qui a un niveau plus élevé (bo 1); " +
			"2 appels attendaient, que cet agent ne pouvait avoir (2, a refusé cet appel).",
	} {
		if got := asked(t, anasMorning, lang, 0, 180).Sentence; !strings.HasPrefix(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", lang, got, want)
		}
	}
}

// Why others were given a call, and why calls that waited could not have the agent.
func TestExplainWhatWentPastAnAgent(t *testing.T) {
	const two = "agent bo sales fr:5\nagent ana sales fr:2 de:1\n0s ready bo\n1s ready ana\n"
	for _, c := range []struct{ name, script, en, fr string }{
		{"nobody waited", "queue sales\n" + two, "ready; nobody waited", "prêt ; personne n'attendait"},
		{"fewer calls", "queue sales strategy=fewest_calls\n" + two + "2s arrive c1 sales", "1 to who had been idle longer (bo 1)", "1 à qui attendait depuis plus longtemps (bo 1)"},
		{"turn", "queue sales strategy=round_robin\n" + two + "2s arrive c1 sales", "to who had been idle longer", "depuis plus longtemps"},
		{"listed before", "queue sales strategy=top_down\n" + two + "2s arrive c1 sales", "1 to who is listed before (bo 1)", "1 à qui vient avant dans la liste (bo 1)"},
		{"tier", "queue sales\nagent bo sales\nagent ana sales@2\n0s ready ana\n1s ready bo\n2s arrive c1 sales", "1 to who is of an earlier tier (bo 1)", "1 à qui est d'un rang antérieur (bo 1)"},
		{"last agent", "queue sales prefer=9s\n" + two + "2s arrive c1 sales for=bo", "1 to the agent the call waited for (bo 1)", "1 à l'agent que l'appel attendait (bo 1)"},
		{"waits for another", "queue sales prefer=9s\n" + two + "2s arrive c0 sales for=bo\n3s arrive c1 sales for=bo",
			"1 call waited that this agent could not have (1, it waits for bo)", "1 appel attendait, que cet agent ne pouvait avoir (1, il attend bo)"},
		{"lacks a skill", "queue sales require=en\n" + two + "2s arrive c1 sales", "1 call waited that this agent could not have (1, lacks en)", "(1, n'a pas la compétence en)"},
		{"paused by the switch", "queue sales ring=15s\nagent ana sales\n0s ready ana\n1s arrive c1 sales\n16s tick\n20s arrive c2 sales",
			"not ready: paused by the switch, for a call was missed", "non prêt : mis en pause par le commutateur après un appel manqué"},
	} {
		for lang, want := range map[string]string{"en": c.en, "fr": c.fr} {
			e := asked(t, c.script, lang, 0, 60)
			if !slices.ContainsFunc(e.Stretches, func(s Stretch) bool { return strings.Contains(s.Why, want) }) {
				t.Errorf("%s: %+v\nwant %s", c.name, e.Stretches, want)
			}
		}
	}
}

// Whatever happens, the stretches follow one another without a gap.
func TestStretchesOfRandomDaysLeaveNoGap(t *testing.T) {
	setRapidChecks(t, "500")
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			w.next()
		}
		q := Question{Agent: "a1", From: day.Add(20 * time.Second), To: w.now.Add(30 * time.Second)}
		e, known := ExplainAgent(slices.Values(w.events), q, "en", nil)
		if !known {
			return
		}
		at := q.From
		for _, s := range e.Stretches {
			if !s.From.Equal(at) || s.To.Before(s.From) {
				t.Fatalf("a gap before %+v in %+v", s, e.Stretches)
			}
			at = s.To
		}
		if !at.Equal(q.To) {
			t.Fatalf("told up to %s, not %s", at, q.To)
		}
	})
}
