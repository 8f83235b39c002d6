package acd

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Explain tells what was observed, in "fr" or else English, with times of day in
// zone (nil is UTC).
func (t *Telling) Explain(lang string, zone *time.Location) Explanation {
	g := newTongue(lang, zone)
	e := Explanation{Call: t.call, Lang: g.lang()}
	story := []string{t.beginning(g)}
	for i := 0; i < len(t.chapters); {
		ch := &t.chapters[i]
		if ch.offer < 0 {
			story = append(story, t.happened(g, ch))
			i++
			continue
		}
		n := t.atOnce(i)
		for _, o := range t.offers[ch.offer : ch.offer+n] {
			o.Sentence = t.wasOffered(g, &o)
			e.Offers = append(e.Offers, o)
			e.Rows = append(e.Rows, rows(g, &o)...)
			if n == 1 {
				story = append(story, o.Sentence)
			}
		}
		if n > 1 {
			story = append(story, t.rangSeveral(g, t.offers[ch.offer:ch.offer+n]))
		}
		i += n
	}
	if end := t.ending(g); end != "" {
		story = append(story, end)
	}
	e.Sentence = strings.Join(story, " ")
	return e
}

// atOnce is how many offers were made at the moment of chapter i, which is one.
func (t *Telling) atOnce(i int) int {
	n := 1
	for _, ch := range t.chapters[i+1:] {
		if ch.offer < 0 || !ch.at.Equal(t.chapters[i].at) {
			break
		}
		n++
	}
	return n
}

func (t *Telling) beginning(g tongue) string {
	switch {
	case !t.known():
		return g.say("Nothing is known of call %s.", "On ne sait rien de l'appel %s.", t.call)
	case t.rejected != CauseUnknown:
		return g.say("Call %s came at %s and entered no queue: %s.", "L'appel %s est arrivé à %s et n'est entré dans aucune file : %s.",
			t.call, g.clock(t.arrived), g.cause(t.rejected))
	case t.origin != "":
		return g.say("Callback %s to %s was asked for at %s in call %s.", "Le rappel %s au %s a été demandé à %s pendant l'appel %s.",
			t.call, t.number, g.clock(t.arrived), t.origin)
	case t.number != "":
		return g.say("Callback %s to %s was asked for at %s.", "Le rappel %s au %s a été demandé à %s.", t.call, t.number, g.clock(t.arrived))
	case t.named != "":
		return g.say("Call %s came at %s for %s and asked for %s.", "L'appel %s est arrivé à %s pour %s et demandait %s.",
			t.call, g.clock(t.arrived), t.first, t.named)
	}
	return g.say("Call %s came at %s for %s.", "L'appel %s est arrivé à %s pour %s.", t.call, g.clock(t.arrived), t.first)
}

// happened tells of a turn that is no offer.
func (t *Telling) happened(g tongue, ch *chapter) string {
	after := span(ch.at.Sub(t.arrived))
	switch a := ch.did.(type) {
	case Queued:
		return t.wasQueued(g, ch.at, a)
	case Refuse:
		return g.say("After %s it was refused: %s.", "Après %s il a été refusé : %s.", after, g.cause(a.Cause))
	case Divert:
		if a.To.Voicemail {
			return g.say("After %s it was sent to the voicemail %s: %s.", "Après %s il a été envoyé sur la messagerie %s : %s.", after, g.of(string(a.Queue)), g.cause(a.Cause))
		}
		return g.say("After %s it was sent on to %s: %s.", "Après %s il a été renvoyé vers le %s : %s.", after, a.To.Number, g.cause(a.Cause))
	case Comfort:
		return g.say("After %s the line %s was lost; the caller was put on hold.", "Après %s la ligne %s a été perdue ; l'appelant a été mis en attente.", after, g.of(string(a.Agent)))
	case Rejoin:
		return g.say("After %s %s was back on the line.", "Après %s %s était de retour en ligne.", after, a.Agent)
	case Part:
		if a.Cause == CauseTransferred {
			return g.gave(after, a)
		}
		return g.say("After %s the talk with %s was cut: %s.", "Après %s la conversation avec %s a été coupée : %s.", after, a.Agent, g.cause(a.Cause))
	case NotReached:
		return g.say("After %s %s wanted to reach %s, in vain: %s.", "Après %s %s a voulu joindre %s, en vain : %s.",
			after, a.Agent, cmp.Or(string(a.To), string(a.Queue)), g.cause(a.Cause))
	case OfferCallback:
		return g.say("After %s the caller was asked whether to be called back.", "Après %s on a proposé à l'appelant d'être rappelé.", after)
	}
	return t.ofCallback(g, ch, after)
}

// gave tells of a transfer, and who made it.
func (g tongue) gave(after string, p Part) string {
	switch p.By {
	case Supervisor:
		return g.say("After %s a supervisor moved the caller from %s to %s.", "Après %s un superviseur a transféré l'appelant de %s à %s.", after, p.Agent, p.To)
	case Switch:
		return g.say("After %s %s had hung up and the caller went back to %s.", "Après %s %s avait raccroché et l'appelant est revenu à %s.", after, p.Agent, p.To)
	}
	return g.say("After %s %s gave the caller to %s.", "Après %s %s a transféré l'appelant à %s.", after, p.Agent, p.To)
}

// ofCallback tells what became of a promise to call back.
func (t *Telling) ofCallback(g tongue, ch *chapter, after string) string {
	switch a := ch.did.(type) {
	case CallbackKept:
		place := ""
		if a.Position > 0 {
			place = g.say(", number %d in the line", ", numéro %d dans la file", a.Position)
		}
		return g.say("After %s the caller hung up to be called back on %s%s (callback %s).", "Après %s l'appelant a raccroché pour être rappelé au %s%s (rappel %s).",
			after, a.Number, place, a.Callback)
	case Dial:
		if a.Waiting {
			return g.say("With %s on the line, %s was called.", "Avec %s en ligne, le %s a été appelé.", a.Agent, a.Number)
		}
		return g.say("After %s %s was kept free for it and %s was called.", "Après %s %s lui a été réservé et le %s a été appelé.", after, a.Agent, a.Number)
	case Withdraw:
		return g.say("After %s the customer was not to be had: %s.", "Après %s le client n'a pu être joint : %s.", after, g.cause(a.Cause))
	case CallbackOver:
		if a.Cause == CauseElsewhere {
			return g.say("After %s it was needless: the customer had called again.", "Après %s il était inutile : le client avait rappelé de lui-même.", after)
		}
		return g.say("After %s it was given up: %s.", "Après %s il a été abandonné : %s.", after, g.cause(a.Cause))
	}
	return ""
}

func (t *Telling) wasQueued(g tongue, at time.Time, q Queued) string {
	switch {
	case q.From == "":
		return g.say("The caller went to the head %s.", "L'appelant est passé en tête %s.", g.of(string(q.Queue)))
	case at.Equal(t.arrived):
		return g.say("It went on at once from %s to %s%s.", "Il est passé aussitôt de la file %s à %s%s.", q.From, q.Queue, t.whyNotKept(g, q.From))
	}
	return g.say("After %s it moved from %s to %s.", "Après %s il est passé de la file %s à %s.", span(at.Sub(t.arrived)), q.From, q.Queue)
}

// whyNotKept names the doors by which a queue may have sent a call on.
func (t *Telling) whyNotKept(g tongue, id QueueID) string {
	q := t.rulesOf(id)
	if q == nil {
		return ""
	}
	var doors []string
	for _, d := range []struct {
		door  Door
		cause Cause
	}{{q.Empty, CauseNoAgents}, {q.Full, CauseFull}, {q.NoneReady, CauseNoneReady}} {
		if d.door.Rule == Send && d.door.To.Queue != "" && (d.cause != CauseFull || q.MaxWaiting > 0) {
			doors = append(doors, g.cause(d.cause))
		}
	}
	if len(doors) == 0 {
		return ""
	}
	return g.say(": ", " : ") + strings.Join(doors, g.say(" or ", " ou "))
}

// wasOffered tells of one offer: why this agent, and what came of it.
func (t *Telling) wasOffered(g tongue, o *ExplainedOffer) string {
	after := span(o.At.Sub(t.arrived))
	switch {
	case o.Asker != "":
		return g.say("After %s %s called %s about it: %s.", "Après %s %s a appelé %s à son sujet : %s.", after, o.Asker, o.Agent, g.result(o))
	case o.Rejoin:
		return g.say("%s had another phone and was rung for it again: %s.", "%s avait un autre téléphone et y a été de nouveau sollicité : %s.", o.Agent, g.result(o))
	case o.beside > 0:
		return g.say("After %s %s was rung too, beside %s: %s.", "Après %s %s a été sollicité aussi, avec %s : %s.",
			after, o.Agent, g.others(o.beside), g.result(o)) + g.passed(o.Match)
	case o.Position == 0 && o.Number == "" && t.number != "":
		return g.say("The customer was on the line, and %s was rung: %s.", "Le client était en ligne, et %s a été sollicité : %s.", o.Agent, g.result(o))
	}
	return g.say("After %s it was offered to %s, %s%s: %s.", "Après %s il a été proposé à %s, %s%s : %s.",
		after, o.Agent, t.choice(g, o), t.aside(g, o), g.result(o)) + g.passed(o.Match)
}

func (g tongue) others(n int) string {
	if n == 1 {
		return g.say("one other", "un autre")
	}
	return g.say("%d others", "%d autres", n)
}

// rangSeveral tells of offers made at one moment.
func (t *Telling) rangSeveral(g tongue, offers []ExplainedOffer) string {
	const most = 6
	var names, results []string
	lost := 0
	for i := range offers {
		o := &offers[i]
		if i < most {
			names = append(names, string(o.Agent))
		}
		switch {
		case o.Result == "withdrawn" && o.Cause == CauseElsewhere:
			lost++
		case len(results) < most:
			results = append(results, g.say("%s %s", "%s, %s", o.Agent, g.result(o)))
		}
	}
	if more := len(offers) - most; more > 0 {
		names = append(names, g.others(more))
	}
	if lost > 0 {
		results = append(results, g.say("the rest taken back, for another agent had it", "les autres repris, car un autre agent l'avait pris"))
	}
	first := &offers[0]
	text := g.say("After %s it rang at %d agents together, %s%s: %s.", "Après %s il a sonné chez %d agents ensemble, %s%s : %s.",
		span(first.At.Sub(t.arrived)), len(offers), g.list(names), t.aside(g, first), strings.Join(results, "; "))
	return text + g.passed(first.Match)
}

// aside is what goes with a choice in brackets: what the queue no longer asked,
// and who could not take the call.
func (t *Telling) aside(g tongue, o *ExplainedOffer) string {
	text := ""
	if less := g.less(o); less != "" {
		text = g.say(", the queue asking less by then (%s)", ", la file demandant alors moins (%s)", less)
	}
	if m := o.Match; m.Excluded > 0 && m.Wanted == "" {
		if names := g.leftOut(m); names != "" {
			text += g.say(" (%d could not: %s)", " (%d ne pouvaient pas : %s)", m.Excluded, names)
		}
	}
	return text
}

// less lists the steps of relaxation a call had taken.
func (g tongue) less(o *ExplainedOffer) string {
	if o.rules == nil {
		return ""
	}
	var steps []string
	for _, x := range o.rules.Relax[:min(o.Match.Relaxed, len(o.rules.Relax))] {
		switch {
		case x.Widen != "":
			steps = append(steps, g.say("also agents of %s", "aussi les agents de %s", x.Widen))
		case x.Skill != "" && x.Level == 0:
			steps = append(steps, g.say("no %s", "sans %s", x.Skill))
		case x.Skill != "":
			steps = append(steps, g.say("%s from level %d", "%s dès le niveau %d", x.Skill, x.Level))
		case x.Tier > 0:
			steps = append(steps, g.say("up to tier %d", "jusqu'au rang %d", x.Tier))
		}
	}
	return strings.Join(steps, ", ")
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
	if len(names) > 0 && m.Excluded > len(names) {
		text += g.say("; and others", "; et d'autres")
	}
	return text
}

// passed tells of the calls that stood before this one and could not have its agent.
func (g tongue) passed(m *Match) string {
	if len(m.Passed) == 0 {
		return ""
	}
	var calls []string
	for _, p := range m.Passed {
		calls = append(calls, fmt.Sprintf("%s (%s)", p.Call, g.filter(&Candidate{Failed: p.Why})))
	}
	return " " + g.say("Calls that stood before it could not have %s: %s.", "Des appels placés avant lui ne pouvaient pas avoir %s : %s.", m.Winner, strings.Join(calls, ", "))
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
	switch {
	case !t.known() || t.rejected != CauseUnknown:
		return ""
	case !t.gone && t.agent != "":
		return g.say("It is talking with %s.", "Il est en conversation avec %s.", t.agent)
	case !t.gone:
		return g.say("It is still waiting.", "Il attend toujours.")
	case t.toldOut():
		return ""
	case t.agent != "":
		return g.say("It ended at %s, by %s: %s.", "Il s'est terminé à %s, par %s : %s.", g.clock(t.ended), g.party(t.by), g.cause(t.cause))
	case t.talked:
		return g.say("It ended at %s while waiting again, by %s: %s.", "Il s'est terminé à %s alors qu'il attendait de nouveau, par %s : %s.",
			g.clock(t.ended), g.party(t.by), g.cause(t.cause))
	}
	return g.say("It ended unanswered at %s, after %s, by %s: %s.", "Il s'est terminé sans réponse à %s, après %s, par %s : %s.",
		g.clock(t.ended), span(t.ended.Sub(t.arrived)), g.party(t.by), g.cause(t.cause))
}

// toldOut says whether the last turn already told how the call ended.
func (t *Telling) toldOut() bool {
	if len(t.chapters) == 0 {
		return false
	}
	switch t.chapters[len(t.chapters)-1].did.(type) {
	case Refuse, Divert, CallbackKept, CallbackOver:
		return true
	case Part:
		return t.cause == CauseTransferred
	}
	return false
}

func rows(g tongue, o *ExplainedOffer) []Row {
	list := make([]Row, 0, len(o.Match.Candidates))
	for i := range o.Match.Candidates {
		c := &o.Match.Candidates[i]
		list = append(list, Row{
			Offer: o.Offer, Agent: c.Agent, Won: c.Agent == o.Agent,
			Idle: c.Idle, Level: c.Level, Tier: c.Tier, Step: c.Step, Rank: c.Rank, Failed: c.Failed, Why: g.filter(c),
		})
	}
	return list
}
