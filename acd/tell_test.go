package acd

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Every strategy says in its own terms why an agent was first.
func TestExplainEveryStrategy(t *testing.T) {
	const four = "agent ana sales fr:3\nagent bo sales fr:5\nagent cy sales fr:1\nagent di sales fr:2\n" +
		"0s ready ana\n1s ready bo\n2s ready cy\n3s ready di\n"
	const oneCall = "5s arrive c0 sales\n6s answer c0 ana\n6s bridge c0 ana\n36s gone c0\n"
	for _, c := range []struct{ name, script, en, fr string }{
		{"longest idle", "queue sales\n" + four + "40s arrive c1 sales",
			"offered to ana, idle longest, for 40 s, of the 4 agents free for it: ",
			"proposé à ana, le plus longtemps en attente, depuis 40 s, des 4 agents libres pour cet appel : "},
		{"fewest calls", "queue sales strategy=fewest_calls\n" + four + oneCall + "40s arrive c1 sales",
			"offered to bo, who has handled the fewest calls, 0, of the 4 agents free for it, level with cy but idle longer, for 39 s: ",
			"proposé à bo, celui qui a traité le moins d'appels (0) des 4 agents libres pour cet appel, à égalité avec cy mais en attente depuis plus longtemps, 39 s : "},
		{"least talk", "queue sales strategy=least_talk\nagent ana sales\nagent bo sales\n0s ready ana\n0s arrive c0 sales\n1s answer c0 ana\n1s bridge c0 ana\n31s gone c0\n" +
			"32s pause ana x\n32s ready bo\n33s arrive c2 sales\n34s answer c2 bo\n34s bridge c2 bo\n44s gone c2\n45s ready ana\n50s arrive c1 sales",
			"offered to bo, who has talked least, 10 s, of the 2 agents free for it: ",
			"proposé à bo, celui qui a parlé le moins (10 s) des 2 agents libres pour cet appel : "},
		{"round robin", "queue sales strategy=round_robin\n" + four + oneCall + "40s arrive c1 sales",
			"offered to bo, next in turn of the 4 agents free for it, level with cy but idle longer, for 39 s: ",
			"proposé à bo, le suivant au tour de rôle des 4 agents libres pour cet appel, à égalité avec cy mais en attente depuis plus longtemps, 39 s : "},
		{"top down", "queue sales strategy=top_down\n" + four + "40s arrive c1 sales",
			"offered to ana, listed first of the 4 agents free for it: ",
			"proposé à ana, le premier de la liste des 4 agents libres pour cet appel : "},
		{"skill, then idle", "queue sales require=fr strategy=skill_then_idle\n" + four + "40s arrive c1 sales",
			"offered to bo, who has the highest level, 5, of the 4 agents free for it: ",
			"proposé à bo, celui qui a le niveau le plus élevé (5) des 4 agents libres pour cet appel : "},
		{"weighted random", "queue sales require=fr strategy=weighted_random\n" + four + "40s arrive c1 sales",
			"drawn by chance in proportion to level (3) of the 4 agents free for it: ",
			"tiré au sort en proportion du niveau (3), l'un des 4 agents libres pour cet appel : "},
		{"first tier", "queue sales\nagent ana sales@2\nagent bo sales\nagent cy sales\n0s ready ana\n1s ready bo\n2s ready cy\n9s arrive c1 sales",
			"offered to bo, idle longest, for 8 s, of the 2 agents of tier 1 free for it: ",
			"proposé à bo, le plus longtemps en attente, depuis 8 s, des 2 agents du rang 1 libres pour cet appel : "},
		{"alone in the first tier", "queue sales\nagent ana sales@2\nagent bo sales\n0s ready ana\n1s ready bo\n9s arrive c1 sales",
			"offered to bo, the only one of tier 1 of the 2 agents free for it: ",
			"proposé à bo, seul du rang 1 parmi les 2 agents libres pour cet appel : "},
		{"named", "queue sales prefer=20s\nagent ana sales\nagent bo sales\n0s ready ana\n1s ready bo\n9s arrive c1 sales for=bo",
			"Call c1 came at 10:00:09 for sales and asked for bo. After 0 s it was offered to bo, whom the caller had asked for: ",
			"L'appel c1 est arrivé à 10:00:09 pour sales et demandait bo. Après 0 s il a été proposé à bo, que l'appelant avait demandé : "},
		{"had last", "queue sales last-agent=10m:20s\nagent ana sales\nagent bo sales\n0s ready bo\n0s arrive c0 sales from=+33612\n1s answer c0 bo\n1s bridge c0 bo\n5s gone c0\n6s ready ana\n" +
			"9s arrive c1 sales from=+33612",
			"offered to bo, who had the caller last: ",
			"proposé à bo, qui avait eu cet appelant en dernier : "},
		{"relaxed", "queue sales require=fr:4 relax=10s:fr:2,20s:widen:help max-tier=1\nqueue help\nagent ana sales fr:1\nagent bo help\n0s arrive c1 sales\n30s ready ana\n31s ready bo",
			"offered to bo, the only agent free for it, the queue asking less by then (fr from level 2, also agents of help) (1 could not: ana, fr at level 1 is too little): ",
			"proposé à bo, seul agent libre pour cet appel, la file demandant alors moins (fr dès le niveau 2, aussi les agents de help) (1 ne pouvaient pas : ana, fr au niveau 1 ne suffit pas) : "},
		{"before relaxing", "queue sales require=fr:4 relax=10s:fr:2\nagent ana sales fr:3\nagent bo sales fr:5\n0s arrive c0 sales\n0s arrive c1 sales\n15s ready ana\n16s fail c0 ana declined\n16s fail c1 ana declined\n" +
			"17s ready bo\n18s answer c0 bo\n18s bridge c0 bo\n19s gone c0",
			"After 19 s it was offered to bo", "Après 19 s il a été proposé à bo"},
		{"stood before", "queue sales require=de\nqueue help\nagent ana help sales\nagent bo help\n0s ready bo\n1s arrive c0 help\n1s fail c0 bo declined\n2s arrive c1 help\n",
			"bo, the only agent free for it (1 could not: ana, logged out): the phone is ringing. Calls that stood before it could not have bo: c0 (has declined this call).",
			"bo, seul agent libre pour cet appel (1 ne pouvaient pas : ana, déconnecté) : le téléphone sonne. Des appels placés avant lui ne pouvaient pas avoir bo : c0 (a refusé cet appel)."},
	} {
		for lang, want := range map[string]string{"en": c.en, "fr": c.fr} {
			if got := story(t, c.script, lang).Sentence; !strings.Contains(got, want) {
				t.Errorf("%s: %s\nwant %s", c.name, got, want)
			}
		}
	}
}

// Turns of a call that are no simple offer.
func TestExplainEveryTurn(t *testing.T) {
	const three = "agent ana sales\nagent bo sales\nagent cy sales\n0s ready ana\n1s ready bo\n2s ready cy\n"
	const back = "agent ana sales\n0s callback b1 - +33612345678 sales\n"
	for _, c := range []struct{ name, script, en, fr string }{
		{"rung together", "queue sales strategy=ring_all\n" + three + "9s arrive c1 sales\n11s fail c1 ana declined\n13s answer c1 bo",
			"After 0 s it rang at 3 agents together, ana, bo and cy: ana declined after 2 s; bo answered after 4 s; the rest taken back, for another agent had it. It is talking with bo.",
			"Après 0 s il a sonné chez 3 agents ensemble, ana, bo et cy : ana, refusé après 2 s; bo, décroché après 4 s; les autres repris, car un autre agent l'avait pris. Il est en conversation avec bo."},
		{"rung one after the other", "queue sales strategy=ring_progressive next=3s\n" + three + "9s arrive c1 sales\n12s tick\n13s answer c1 bo",
			"After 0 s it was offered to ana, idle longest, for 9 s, of the 3 agents free for it: taken back after 4 s, another agent had it. " +
				"After 3 s bo was rung too, beside one other: answered after 1 s. It is talking with bo.",
			"Après 3 s bo a été sollicité aussi, avec un autre : décroché après 1 s. Il est en conversation avec bo."},
		{"full, refused", "queue sales max-waiting=1\nagent ana sales\n0s ready ana\n0s pause ana x\n1s arrive c0 sales\n2s arrive c1 sales",
			"After 0 s it was refused: the waiting line was full.", "Après 0 s il a été refusé : la file d'attente était pleine."},
		{"none ready, number", "queue sales none-ready=number:+33170000009\nagent ana sales\n0s login ana\n1s arrive c1 sales",
			"After 0 s it was sent on to +33170000009: nobody was ready.", "Après 0 s il a été renvoyé vers le +33170000009 : personne n'était prêt."},
		{"voicemail", "queue sales overflow=30s:voicemail\nagent ana sales\n1s arrive c1 sales\n31s tick\n32s gone c1",
			"After 30 s it was sent to the voicemail of sales: the longest wait was reached.", "Après 30 s il a été envoyé sur la messagerie de sales : l'attente maximale était atteinte."},
		{"empty, another queue", "queue sales empty=to:help\nqueue help\nagent ana help\n1s arrive c1 sales",
			"It went on at once from sales to help: nobody was logged in. It is still waiting.", "Il est passé aussitôt de la file sales à help : personne n'était connecté. Il attend toujours."},
		{"link back", "queue sales\nagent ana sales\n0s ready ana\n0s arrive c1 sales\n1s answer c1 ana\n1s bridge c1 ana\n31s link-lost c1 ana\n35s link-back c1 ana",
			"After 31 s the line of ana was lost; the caller was put on hold. After 35 s ana was back on the line. It is talking with ana.",
			"Après 31 s la ligne d'ana a été perdue ; l'appelant a été mis en attente. Après 35 s ana était de retour en ligne. Il est en conversation avec ana."},
		{"another phone", "queue sales\nagent ana sales\n0s ready ana\n0s arrive c1 sales\n1s answer c1 ana\n1s bridge c1 ana\n31s link-lost c1 ana\n35s register ana\n37s answer c1 ana",
			"After 35 s the talk with ana was cut: the agent's line was lost. ana had another phone and was rung for it again: answered after 2 s. It is talking with ana.",
			"ana avait un autre téléphone et y a été de nouveau sollicité : décroché après 2 s. Il est en conversation avec ana."},
		{"head of the queue", "queue sales rejoin=10s\nagent ana sales\nagent bo sales\n0s ready ana\n0s arrive c1 sales\n1s answer c1 ana\n1s bridge c1 ana\n31s link-lost c1 ana\n41s tick\n50s gone c1",
			"After 41 s the talk with ana was cut: the agent's line was lost. The caller went to the head of sales. It ended at 10:00:50 while waiting again, by the caller: no cause known.",
			"L'appelant est passé en tête de sales. Il s'est terminé à 10:00:50 alors qu'il attendait de nouveau, par l'appelant : cause inconnue."},
		{"kept as a callback", "queue sales callback=agent:2:60s overflow=20s:callback\nagent ana sales\n0s arrive c1 sales\n20s tick\n25s callback b1 c1 +33612345678\n26s gone c1",
			"After 20 s the caller was asked whether to be called back. After 25 s the caller hung up to be called back on +33612345678, number 1 in the line (callback b1).",
			"Après 20 s on a proposé à l'appelant d'être rappelé. Après 25 s l'appelant a raccroché pour être rappelé au +33612345678, numéro 1 dans la file (rappel b1)."},
	} {
		for lang, want := range map[string]string{"en": c.en, "fr": c.fr} {
			if got := story(t, c.script, lang).Sentence; !strings.HasSuffix(got, want) {
				t.Errorf("%s: %s\nwant %s", c.name, got, want)
			}
		}
	}
	for _, c := range []struct{ name, script, en, fr string }{
		{"agent first", "queue sales callback=agent:2:60s\n" + back + "10s ready ana\n12s answer b1 ana\n15s back b1\n60s gone b1 agent hangup",
			"After 10 s it was offered to ana, the only agent free for it: answered after 2 s. " +
				"With ana on the line, +33612345678 was called. It ended at 10:01:00, by the agent: hung up.",
			"Après 10 s il a été proposé à ana, seul agent libre pour cet appel : décroché après 2 s. " +
				"Avec ana en ligne, le +33612345678 a été appelé. Il s'est terminé à 10:01:00, par l'agent : raccroché."},
		{"caller first", "queue sales callback=caller:2:60s\n" + back + "10s ready ana\n15s back b1\n17s answer b1 ana",
			"After 10 s ana was kept free for it and +33612345678 was called. The customer was on the line, and ana was rung: answered after 2 s. It is talking with ana.",
			"Après 10 s ana lui a été réservé et le +33612345678 a été appelé. Le client était en ligne, et ana a été sollicité : décroché après 2 s. Il est en conversation avec ana."},
		{"given up", "queue sales callback=caller:1:60s\n" + back + "10s ready ana\n15s missed b1 busy",
			"After 15 s the customer was not to be had: the phone was busy. After 15 s it was given up: the phone was busy.",
			"Après 15 s le client n'a pu être joint : le téléphone était occupé. Après 15 s il a été abandonné : le téléphone était occupé."},
		{"needless", "queue sales callback=caller:1:60s\n" + back + "10s arrive c2 sales from=+33612345678",
			"After 10 s it was needless: the customer had called again.", "Après 10 s il était inutile : le client avait rappelé de lui-même."},
	} {
		for lang, want := range map[string]string{"en": c.en, "fr": c.fr} {
			records := throughJSON(t, runScript(t, c.script).events)
			e, known := Explain(slices.Values(records), "b1", lang, time.FixedZone("", 3600))
			if !known || !strings.HasSuffix(e.Sentence, want) {
				t.Errorf("%s: %s\nwant %s", c.name, e.Sentence, want)
			}
		}
	}
}
