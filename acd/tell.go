package acd

import (
	"fmt"
	"strings"
	"time"
)

// tongue is the language a story is told in, and the zone of its clock.
type tongue struct {
	french bool
	zone   *time.Location
}

// say picks the sentence of the language; both take the same arguments.
func (g tongue) say(english, french string, args ...any) string {
	if g.french {
		return fmt.Sprintf(french, args...)
	}
	return fmt.Sprintf(english, args...)
}

func (g tongue) clock(t time.Time) string { return t.In(g.zone).Format("15:04:05") }

// span writes a duration as people say it: 8 s, 2 min 05 s, 1 h 04 min.
func span(d time.Duration) string {
	switch s := int(d.Round(time.Second) / time.Second); {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	default:
		return fmt.Sprintf("%d h %02d min", s/3600, s/60%60)
	}
}

// Explain tells what was observed, in "fr" or else English, with times of day in
// zone (nil is UTC).
func (t *Telling) Explain(lang string, zone *time.Location) Explanation {
	g := tongue{french: strings.HasPrefix(lang, "fr"), zone: zone}
	if zone == nil {
		g.zone = time.UTC
	}
	e := Explanation{Call: t.call, Lang: g.say("en", "fr")}
	story := []string{t.beginning(g)}
	for _, ch := range t.chapters {
		switch {
		case ch.offer >= 0:
			o := t.offers[ch.offer]
			o.Sentence = t.offered(g, &o)
			e.Offers = append(e.Offers, o)
			e.Rows = append(e.Rows, rows(g, &o)...)
			story = append(story, o.Sentence)
		case ch.moved.Queue != "":
			story = append(story, g.say("After %s it moved from %s to %s.", "Après %s il est passé de %s à %s.",
				span(ch.at.Sub(t.arrived)), ch.moved.From, ch.moved.Queue))
		default:
			story = append(story, g.say("After %s it was refused: %s.", "Après %s il a été refusé : %s.",
				span(ch.at.Sub(t.arrived)), g.cause(ch.turn)))
		}
	}
	if end := t.ending(g); end != "" {
		story = append(story, end)
	}
	e.Sentence = strings.Join(story, " ")
	return e
}

func (t *Telling) beginning(g tongue) string {
	switch {
	case !t.known():
		return g.say("Nothing is known of call %s.", "On ne sait rien de l'appel %s.", t.call)
	case t.rejected != CauseUnknown:
		return g.say("Call %s came at %s and entered no queue: %s.", "L'appel %s est arrivé à %s et n'est entré dans aucune file : %s.",
			t.call, g.clock(t.arrived), g.cause(t.rejected))
	}
	return g.say("Call %s came at %s for %s.", "L'appel %s est arrivé à %s pour %s.", t.call, g.clock(t.arrived), t.first)
}

// offered tells of one offer: why this agent, and what came of it.
func (t *Telling) offered(g tongue, o *ExplainedOffer) string {
	m := o.Match
	idle := span(0)
	if len(m.Candidates) > 0 {
		idle = span(m.Candidates[0].Idle)
	}
	choice := g.say("the only agent free for it", "seul agent libre pour cet appel")
	if m.Eligible > 1 {
		choice = g.say("idle longest, for %s, of the %d agents free for it", "le plus longtemps en attente, depuis %s, des %d agents libres pour cet appel", idle, m.Eligible)
	}
	others := ""
	if m.Excluded > 0 {
		others = g.say(" (%d could not: %s)", " (%d ne pouvaient pas : %s)", m.Excluded, g.leftOut(m))
	}
	return g.say("After %s it was offered to %s, %s%s: %s.", "Après %s il a été proposé à %s, %s%s : %s.",
		span(o.Waited), o.Agent, choice, others, g.result(o))
}

// leftOut names the first few who could not take the call.
func (g tongue) leftOut(m *Match) string {
	const most = 4
	var names []string
	for i := range m.Candidates {
		c := &m.Candidates[i]
		if c.Failed == "" {
			continue
		}
		if len(names) == most {
			break
		}
		names = append(names, fmt.Sprintf("%s, %s", c.Agent, g.filter(c)))
	}
	text := strings.Join(names, "; ")
	if m.Excluded > len(names) {
		text += g.say("; and others", "; et d'autres")
	}
	return text
}

func (g tongue) result(o *ExplainedOffer) string {
	after := span(o.After)
	switch o.Result {
	case "":
		return g.say("the phone is ringing", "le téléphone sonne")
	case "answered":
		return g.say("answered after %s", "décroché après %s", after)
	case "dropped":
		return g.say("answered, and lost before both heard each other", "décroché, puis perdu avant la mise en relation")
	case "no_answer":
		return g.say("not answered in %s", "sans réponse en %s", after)
	case "declined":
		return g.say("declined after %s", "refusé après %s", after)
	case "busy":
		return g.say("the phone was busy", "le téléphone était occupé")
	case "unreachable":
		return g.say("the phone could not be reached", "le téléphone était injoignable")
	case "withdrawn":
		return g.say("taken back after %s, %s", "repris après %s, %s", after, g.cause(o.Cause))
	}
	return g.say("the phone failed", "le téléphone a échoué")
}

func (t *Telling) ending(g tongue) string {
	last := len(t.chapters) - 1
	switch {
	case !t.known() || t.rejected != CauseUnknown:
		return ""
	case !t.gone && t.agent != "":
		return g.say("It is talking with %s.", "Il est en conversation avec %s.", t.agent)
	case !t.gone:
		return g.say("It is still waiting.", "Il attend toujours.")
	case last >= 0 && t.chapters[last].turn != CauseUnknown:
		return ""
	case t.agent != "":
		return g.say("It ended at %s, by %s: %s.", "Il s'est terminé à %s, par %s : %s.", g.clock(t.ended), g.party(t.by), g.cause(t.cause))
	}
	return g.say("It ended unanswered at %s, after %s, by %s: %s.", "Il s'est terminé sans réponse à %s, après %s, par %s : %s.",
		g.clock(t.ended), span(t.ended.Sub(t.arrived)), g.party(t.by), g.cause(t.cause))
}

func rows(g tongue, o *ExplainedOffer) []Row {
	list := make([]Row, 0, len(o.Match.Candidates))
	for i := range o.Match.Candidates {
		c := &o.Match.Candidates[i]
		list = append(list, Row{
			Offer: o.Offer, Agent: c.Agent, Won: c.Agent == o.Agent,
			Idle: c.Idle, Level: c.Level, Failed: c.Failed, Why: g.filter(c),
		})
	}
	return list
}

// filter says in words why an agent could not take a call; "" if they could.
func (g tongue) filter(c *Candidate) string {
	what, detail, _ := strings.Cut(c.Failed, ":")
	switch what {
	case "":
		return ""
	case "skill":
		if c.Level > 0 {
			return g.say("%s at level %d is too little", "%s au niveau %d ne suffit pas", detail, c.Level)
		}
		return g.say("lacks %s", "n'a pas la compétence %s", detail)
	case "off":
		return g.say("not logged in", "non connecté")
	case "unreachable":
		return g.say("phone unreachable", "téléphone injoignable")
	case "paused":
		if detail == "" {
			return g.say("paused", "en pause")
		}
		return g.say("paused (%s)", "en pause (%s)", detail)
	case "offered":
		return g.say("being rung", "déjà sollicité")
	case "talking":
		return g.say("talking", "en conversation")
	case "wrap_up":
		return g.say("wrapping up", "en post-appel")
	case "declined":
		return g.say("has declined this call", "a refusé cet appel")
	case "busy":
		return g.say("was busy for this call", "était occupé pour cet appel")
	case "no_answer":
		return g.say("has let this call ring", "a laissé sonner cet appel")
	case "back_off":
		return g.say("phone failing, left alone for a moment", "téléphone défaillant, laissé en paix un moment")
	}
	return g.say("phone failed for this call", "téléphone en échec pour cet appel")
}

func (g tongue) party(p Party) string {
	switch p {
	case Caller:
		return g.say("the caller", "l'appelant")
	case Agent:
		return g.say("the agent", "l'agent")
	case Supervisor:
		return g.say("a supervisor", "un superviseur")
	case Carrier:
		return g.say("the carrier", "l'opérateur")
	}
	return g.say("the switch", "le commutateur")
}

func (g tongue) cause(c Cause) string {
	english, french := "no cause known", "cause inconnue"
	switch c {
	case CauseHangup:
		english, french = "hung up", "raccroché"
	case CauseAbandoned:
		english, french = "the caller left", "l'appelant a raccroché"
	case CauseNoAgents:
		english, french = "nobody was logged in", "personne n'était connecté"
	case CauseClosed:
		english, french = "the queue was closed", "la file était fermée"
	case CauseMaxWait:
		english, french = "the longest wait was reached", "l'attente maximale était atteinte"
	case CauseNumberUnknown:
		english, french = "the number leads nowhere", "le numéro ne mène nulle part"
	case CauseTrunkFull:
		english, french = "the trunk was full", "le faisceau était plein"
	case CausePortsFull:
		english, french = "no media port was free", "aucun port média n'était libre"
	case CauseDraining, CauseRestart:
		english, french = "the switch was stopping", "le commutateur s'arrêtait"
	case CauseMediaTimeout:
		english, french = "no sound came any more", "plus aucun son n'arrivait"
	case CauseSessionTimer:
		english, french = "the session was not refreshed", "la session n'a pas été rafraîchie"
	case CauseNoAck:
		english, french = "our answer was never acknowledged", "notre réponse n'a jamais été acquittée"
	case CauseBadOffer:
		english, french = "no common codec", "aucun codec commun"
	case CausePanic:
		english, french = "a fault of the switch", "une erreur du commutateur"
	case CauseAdmin:
		english, french = "ended by order", "terminé sur ordre"
	case CauseUnreachable:
		english, french = "the phone was lost", "le téléphone était perdu"
	case CauseElsewhere:
		english, french = "another agent had it", "un autre agent l'avait pris"
	case CauseDeclined, CauseBusy, CauseNoAnswer, CauseFailed:
		english, french = "the phone did not take it", "le téléphone ne l'a pas pris"
	}
	if g.french {
		return french
	}
	return english
}
