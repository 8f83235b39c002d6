package acd

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// story runs a script, takes its events through the journal and explains c1.
func story(t *testing.T, text, lang string) Explanation {
	t.Helper()
	records := throughJSON(t, runScript(t, text).events)
	e, known := Explain(slices.Values(records), "c1", lang, time.FixedZone("", 3600))
	if !known {
		t.Fatal("the call is not in its own journal")
	}
	return e
}

const aBusyMorning = `
queue sales require=fr ring=15s overflow=60s:help
queue help
agent ana sales fr:5
agent bo sales fr:3
agent cy sales
agent di sales fr:2
agent ed sales fr:1 no-phone
agent flo sales fr:4
agent gus help
0s   ready ana
1s   ready bo
2s   pause di lunch
3s   arrive c0 sales
4s   answer c0 ana
10s  arrive c1 sales
25s  tick
40s  ready flo
41s  alert c1 flo
42s  fail c1 flo declined
70s  tick
80s  ready gus
83s  answer c1 gus
84s  bridge c1 gus
120s gone c1 agent hangup
`

func TestExplain(t *testing.T) {
	for lang, want := range map[string]string{
		"en": "Call c1 came at 10:00:10 for sales. " +
			"After 0 s it was offered to bo, the only agent free for it (5 could not: ana, talking; cy, lacks fr; di, paused (lunch); ed, not logged in; and others): not answered in 15 s. " +
			"After 30 s it was offered to flo, the only agent free for it (5 could not: bo, paused (missed); ana, talking; cy, lacks fr; di, paused (lunch); and others): declined after 2 s. " +
			"After 1 min 00 s it moved from sales to help. " +
			"After 1 min 10 s it was offered to gus, the only agent free for it: answered after 3 s. " +
			"It ended at 10:02:00, by the agent: hung up.",
		"fr": "L'appel c1 est arrivé à 10:00:10 pour sales. " +
			"Après 0 s il a été proposé à bo, seul agent libre pour cet appel (5 ne pouvaient pas : ana, en conversation; cy, n'a pas la compétence fr; di, en pause (lunch); ed, non connecté; et d'autres) : sans réponse en 15 s. " +
			"Après 30 s il a été proposé à flo, seul agent libre pour cet appel (5 ne pouvaient pas : bo, en pause (missed); ana, en conversation; cy, n'a pas la compétence fr; di, en pause (lunch); et d'autres) : refusé après 2 s. " +
			"Après 1 min 00 s il est passé de la file sales à help. " +
			"Après 1 min 10 s il a été proposé à gus, seul agent libre pour cet appel : décroché après 3 s. " +
			"Il s'est terminé à 10:02:00, par l'agent : raccroché.",
	} {
		if got := story(t, aBusyMorning, lang).Sentence; got != want {
			t.Errorf("%s:\n%s\nwant\n%s", lang, got, want)
		}
	}
}

func TestExplainTable(t *testing.T) {
	var table []string
	for _, r := range story(t, aBusyMorning, "en").Rows {
		table = append(table, fmt.Sprintf("%d %s won=%v %s level %d %s", r.Offer, r.Agent, r.Won, r.Idle, r.Level, r.Failed))
	}
	want := []string{
		"1 bo won=true 9s level 3 ", "1 ana won=false 0s level 5 talking", "1 cy won=false 0s level 0 skill:fr",
		"1 di won=false 0s level 2 paused:lunch", "1 ed won=false 0s level 1 off", "1 flo won=false 0s level 4 registered",
		"2 flo won=true 0s level 4 ", "2 bo won=false 0s level 3 paused:missed", "2 ana won=false 0s level 5 talking",
		"2 cy won=false 0s level 0 skill:fr", "2 di won=false 0s level 2 paused:lunch", "2 ed won=false 0s level 1 off",
		"3 gus won=true 0s level 0 ",
	}
	if !slices.Equal(table, want) {
		t.Errorf("the table is\n%s\nwant\n%s", strings.Join(table, "\n"), strings.Join(want, "\n"))
	}
}

func TestExplainEveryEnding(t *testing.T) {
	const head = "queue sales ring=15s overflow=100s:out\nagent ana sales\nagent bo sales\n"
	for _, c := range []struct{ name, script, want string }{
		{"waiting", "0s arrive c1 sales", "It is still waiting."},
		{"ringing", "0s arrive c1 sales\n1s ready ana", "the phone is ringing. It is still waiting."},
		{"talking", "0s arrive c1 sales\n1s ready ana\n2s answer c1 ana", "It is talking with ana."},
		{"abandoned", "0s arrive c1 sales\n9s gone c1", "It ended unanswered at 10:00:09, after 9 s, by the caller: no cause known."},
		{"abandoned, ringing", "0s ready ana\n0s arrive c1 sales\n9s gone c1 abandoned",
			"taken back after 9 s, the caller left. It ended unanswered at 10:00:09, after 9 s, by the caller: the caller left."},
		{"refused", "0s arrive c1 sales\n100s tick\n110s gone c1", "After 1 min 40 s it was refused: the longest wait was reached."},
		{"dropped", "0s ready ana\n0s arrive c1 sales\n5s answer c1 ana\n6s fail c1 ana declined",
			"answered, and lost before both heard each other. It is still waiting."},
		{"idle longest", "0s ready ana\n3s ready bo\n65s arrive c1 sales", "offered to ana, idle longest, for 1 min 05 s, of the 2 agents free for it: the phone is ringing"},
		{"busy, then lost", "0s ready ana\n0s arrive c1 sales\n1s fail c1 ana busy\n2s ready bo\n3s lost bo",
			"the phone was busy. After 2 s it was offered to bo, the only agent free for it (1 could not: ana, was busy for this call): the phone could not be reached."},
		{"restarted", "0s arrive c1 sales", "It is still waiting."},
	} {
		if got := story(t, head+c.script, "en").Sentence; !strings.HasSuffix(got, c.want) && !strings.Contains(got, c.want) {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestExplainAcrossARestart(t *testing.T) {
	cfg := &Config{Queues: []Queue{{ID: "sales"}}}
	records := []Record{
		{Seq: 1, At: day, Event: Event{Kind: Started, Config: cfg}},
		{Seq: 2, At: day, Event: Event{Kind: Arrived, Call: "c1", Queue: "sales"}},
		{Seq: 3, At: day.Add(time.Minute), Event: Event{Kind: Started, Config: cfg}},
		{Seq: 4, At: day.Add(time.Minute), Event: Event{Kind: Rejected, Call: "c2", Cause: CauseNumberUnknown}},
	}
	e, _ := Explain(slices.Values(records), "c1", "en", nil)
	if want := "Call c1 came at 09:00:00 for sales. It ended unanswered at 09:01:00, after 1 min 00 s, by the switch: the switch was stopping."; e.Sentence != want {
		t.Error(e.Sentence)
	}
	e, _ = Explain(slices.Values(records), "c2", "en", nil)
	if want := "Call c2 came at 09:01:00 and entered no queue: the number leads nowhere."; e.Sentence != want {
		t.Error(e.Sentence)
	}
	if e, known := Explain(slices.Values(records), "c3", "fr", nil); known || e.Sentence != "On ne sait rien de l'appel c3." {
		t.Error(e.Sentence)
	}
}

// Every cause, party and filter has words in both languages, and they differ.
func TestEveryWordIsTranslated(t *testing.T) {
	en, fr := tongue{zone: time.UTC}, tongue{french: true, zone: time.UTC}
	for c := CauseHangup; c <= CauseLost; c++ {
		if en.cause(c) == fr.cause(c) || en.cause(c) == en.cause(CauseUnknown) {
			t.Errorf("cause %s: %q, %q", c, en.cause(c), fr.cause(c))
		}
	}
	for p := Nobody; p <= Carrier; p++ {
		if en.party(p) == fr.party(p) {
			t.Errorf("party %s: %q, %q", p, en.party(p), fr.party(p))
		}
	}
	for _, failed := range []string{"skill:fr", "tier", "queue", "off", "registered", "unreachable", "paused", "paused:x", "reserved", "offered",
		"talking", "held", "consulting", "wrap_up", "declined", "busy", "no_answer", "failed", "back_off", "unwanted", "waits:bo"} {
		c := &Candidate{Failed: failed}
		if en.filter(c) == fr.filter(c) || en.filter(c) == "" {
			t.Errorf("filter %s: %q, %q", failed, en.filter(c), fr.filter(c))
		}
	}
}

func TestMatchSurvivesJSON(t *testing.T) {
	m := story(t, aBusyMorning, "en").Offers[0].Match
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var back Match
	if err := json.Unmarshal(text, &back); err != nil || fmt.Sprint(back) != fmt.Sprint(*m) {
		t.Errorf("%s became %+v, %v", text, back, err)
	}
}

const anAfternoonOfTransfers = `
queue sales wrapup=10s
queue help
agent ana sales
agent bo help
agent cy help
0s   ready ana
0s   ready bo
5s   arrive c1 sales
6s   answer c1 ana
7s   bridge c1 ana
10s  transfer c1 ana to=cy
20s  transfer c1 ana to=bo
24s  fail c1 bo declined
30s  consult c1 ana to=bo
34s  answer c1 bo
40s  transfer c1 ana to=bo
41s  bridge c1 bo
50s  transfer c1 bo queue=sales
52s  ready ana
`

func TestExplainTransfers(t *testing.T) {
	for lang, want := range map[string]string{
		"en": "Call c1 came at 10:00:05 for sales. After 0 s it was offered to ana, the only agent free for it: answered after 1 s. " +
			"After 5 s ana wanted to reach cy, in vain: the phone was lost. After 15 s ana called bo about it: declined after 4 s. " +
			"After 25 s ana called bo about it: answered after 4 s. After 35 s ana gave the caller to bo. " +
			"After 45 s bo gave the caller to sales. After 45 s it was offered to ana, the only agent free for it: the phone is ringing. It is still waiting.",
		"fr": "L'appel c1 est arrivé à 10:00:05 pour sales. Après 0 s il a été proposé à ana, seul agent libre pour cet appel : décroché après 1 s. " +
			"Après 5 s ana a voulu joindre cy, en vain : le téléphone était perdu. Après 15 s ana a appelé bo à son sujet : refusé après 4 s. " +
			"Après 25 s ana a appelé bo à son sujet : décroché après 4 s. Après 35 s ana a transféré l'appelant à bo. " +
			"Après 45 s bo a transféré l'appelant à sales. Après 45 s il a été proposé à ana, seul agent libre pour cet appel : le téléphone sonne. Il attend toujours.",
	} {
		if got := story(t, anAfternoonOfTransfers, lang).Sentence; got != want {
			t.Errorf("%s:\n%s\nwant\n%s", lang, got, want)
		}
	}
}
