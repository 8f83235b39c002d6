package acd

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// AgentExplanation says what an agent did in some time, and why calls did not
// come to them while they were ready.
type AgentExplanation struct {
	Agent     AgentID   `json:"agent"`
	Lang      string    `json:"lang"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Sentence  string    `json:"sentence"`
	Stretches []Stretch `json:"stretches"`
}

// ExplainAgent replays records, from a Started on, and answers a question about
// an agent. False when the agent does not occur in them.
func ExplainAgent(records iter.Seq[Record], q Question, lang string, zone *time.Location) (AgentExplanation, bool) {
	t, begun := NewAgentTelling(q), false
	for r := range records {
		if begun = begun || r.Event.Kind == Started; begun && !t.Take(r) {
			break
		}
	}
	return t.Explain(lang, zone), t.Known()
}

// Known says whether the agent was on the floor at all in the time asked about.
func (t *AgentTelling) Known() bool { return t.known }

// Explain tells what was gathered, in "fr" or else English, with times of day in
// zone (nil is UTC). The telling is over with it.
func (t *AgentTelling) Explain(lang string, zone *time.Location) AgentExplanation {
	g := newTongue(lang, zone)
	if t.me() != nil { // in case the records end before the time asked about does
		t.stand(later(t.From, t.now))
	}
	if s := t.last(); s != nil {
		s.close(later(s.From, t.To))
		t.open = false
	}
	e := AgentExplanation{Agent: t.Agent, Lang: g.lang(), From: t.From, To: t.To, Stretches: []Stretch{}}
	for _, s := range t.stretches {
		if s.To.After(s.From) || s.Doing == Rung || len(s.Given) > 0 {
			s.Why = g.stretch(&s)
			e.Stretches = append(e.Stretches, s)
		}
	}
	e.Sentence = t.summary(g, e.Stretches)
	return e
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// stretch tells of one stretch.
func (g tongue) stretch(s *Stretch) string {
	switch s.Doing {
	case Lost:
		return g.say("logged in, but no phone answered", "connecté, mais aucun téléphone ne répondait")
	case Paused:
		return g.pause(s)
	case Waiting:
		return g.say("ready; ", "prêt ; ") + g.wentPast(s)
	case Rung:
		o := ExplainedOffer{Result: s.Result, Cause: s.Cause, After: s.To.Sub(s.From)}
		if s.Result == "withdrawn" {
			return g.say("offered call %s of %s: taken back", "appel %s de la file %s proposé : repris", s.Call, s.Queue)
		}
		return g.say("offered call %s of %s: %s", "appel %s de la file %s proposé : %s", s.Call, s.Queue, g.result(&o))
	case InCall:
		return g.say("in call %s", "en conversation, appel %s", s.Call)
	case After:
		return g.say("wrapping up call %s", "en post-appel, appel %s", s.Call)
	}
	return g.say("not logged in", "non connecté")
}

func (g tongue) pause(s *Stretch) string {
	switch {
	case s.Reason == ReasonMissed:
		return g.say("not ready: paused by the switch, for a call was missed", "non prêt : mis en pause par le commutateur après un appel manqué")
	case s.Reason == ReasonLogin:
		return g.say("not ready: logged in and not yet asked for calls", "non prêt : connecté, sans avoir encore demandé d'appels")
	case s.Reason == "":
		return g.say("not ready, by %s", "non prêt, par %s", g.party(s.By))
	}
	return g.say("not ready (%s), by %s", "non prêt (%s), par %s", s.Reason, g.party(s.By))
}

// wentPast tells why nothing came to an agent who was ready.
func (g tongue) wentPast(s *Stretch) string {
	var parts []string
	if len(s.Given) > 0 {
		n := 0
		for _, x := range s.Given {
			n += x.Calls
		}
		parts = append(parts, g.say("%s went to others: %s", g.many(n, "%s est allé à d'autres : %s", "%s sont allés à d'autres : %s"), g.calls(n), strings.Join(g.given(s.Given), "; ")))
	}
	if len(s.Waited) > 0 {
		parts = append(parts, g.unserved(s.Waited))
	}
	if len(parts) == 0 {
		return g.say("nobody waited", "personne n'attendait")
	}
	return strings.Join(parts, "; ")
}

// given groups what went to others by why.
func (g tongue) given(list []Given) []string {
	type group struct {
		why    string
		calls  int
		agents []string
	}
	var groups []group
	for i := range list {
		x := &list[i]
		why := g.whyGiven(x)
		k := slices.IndexFunc(groups, func(p group) bool { return p.why == why })
		if k < 0 {
			groups = append(groups, group{why: why})
			k = len(groups) - 1
		}
		groups[k].calls += x.Calls
		if len(groups[k].agents) < 4 {
			groups[k].agents = append(groups[k].agents, fmt.Sprintf("%s %d", x.Agent, x.Calls))
		}
	}
	var text []string
	for _, p := range groups {
		text = append(text, fmt.Sprintf("%d %s (%s)", p.calls, p.why, strings.Join(p.agents, ", ")))
	}
	return text
}

// whyGiven says what the others had before this agent.
func (g tongue) whyGiven(x *Given) string {
	switch x.Why {
	case "idle":
		return g.say("to who had been idle longer", "à qui attendait depuis plus longtemps")
	case "tier_first":
		return g.say("to who is of an earlier tier", "à qui est d'un rang antérieur")
	case "step":
		return g.say("to who has more of what the queue asks", "à qui répond mieux à la demande de la file")
	case "wanted":
		return g.say("to the agent the call waited for", "à l'agent que l'appel attendait")
	case "rejoin":
		return g.say("back to the agent who had them", "de nouveau à l'agent qui les avait")
	case "lot":
		return g.say("by chance, in proportion to level", "au sort, en proportion du niveau")
	case "id":
		return g.say("to who was level in all and comes first by name", "à qui était à égalité et vient avant par le nom")
	case "further":
		return g.say("to who stood further ahead", "à qui était mieux placé")
	case "order":
		return g.ordered(x.Order)
	}
	c := Candidate{Failed: x.Why}
	return g.say("that this agent could not take: %s", "que cet agent ne pouvait prendre : %s", g.filter(&c))
}

// ordered is what a strategy puts first.
func (g tongue) ordered(s Strategy) string {
	switch s {
	case FewestCalls:
		return g.say("to who had handled fewer calls", "à qui avait traité moins d'appels")
	case LeastTalk:
		return g.say("to who had talked less", "à qui avait parlé moins")
	case RoundRobin:
		return g.say("to whose turn it was", "à qui c'était le tour")
	case TopDown:
		return g.say("to who is listed before", "à qui vient avant dans la liste")
	}
	return g.say("to who has a higher level", "à qui a un niveau plus élevé")
}

// unserved tells of calls that waited and could not have the agent.
func (g tongue) unserved(list []Unserved) string {
	n := 0
	var reasons []string
	for _, u := range list {
		n += u.Calls
		c := Candidate{Failed: u.Why}
		reasons = append(reasons, fmt.Sprintf("%d, %s", u.Calls, g.filter(&c)))
	}
	return g.say("%s waited that this agent could not have (%s)", g.many(n, "%s attendait, que cet agent ne pouvait avoir (%s)", "%s attendaient, que cet agent ne pouvait avoir (%s)"), g.calls(n), strings.Join(reasons, "; "))
}

// summary is the answer in a few sentences.
func (t *AgentTelling) summary(g tongue, list []Stretch) string {
	if !t.known {
		return g.say("Nothing is known of agent %s between %s and %s.", "On ne sait rien de l'agent %s entre %s et %s.", t.Agent, g.clock(t.From), g.clock(t.To))
	}
	var spent [After + 1]time.Duration
	var all Stretch
	offers, answered := 0, 0
	for i := range list {
		s := &list[i]
		spent[s.Doing] += s.To.Sub(s.From)
		all.merge(s)
		if s.Doing == Rung {
			offers++
			if s.Result == "answered" {
				answered++
			}
		}
	}
	all.close(t.To)
	text := g.say("Between %s and %s %s was offered %s", "Entre %s et %s, %s s'est vu proposer %s", g.clock(t.From), g.clock(t.To), t.Agent, g.calls(offers))
	if offers > 0 {
		text += g.say(" and answered %d", " et en a pris %d", answered)
	}
	text += ". " + g.times(spent)
	if spent[Waiting] > 0 {
		text += " " + g.say("While %s was ready, %s.", "Quand %s était prêt, %s.", t.Agent, g.wentPast(&all))
	}
	if t.cut {
		text += " " + g.say("Only the first %d stretches are told.", "Seules les %d premières périodes sont racontées.", mostStretches)
	}
	return text
}

// merge adds what went past an agent in another stretch.
func (s *Stretch) merge(x *Stretch) {
	for _, g := range x.Given {
		if i := slices.IndexFunc(s.Given, func(y Given) bool { return y.Agent == g.Agent && y.Why == g.Why && y.Order == g.Order }); i >= 0 {
			s.Given[i].Calls += g.Calls
		} else {
			s.Given = append(s.Given, g)
		}
	}
	for _, u := range x.Waited {
		if i := slices.IndexFunc(s.Waited, func(y Unserved) bool { return y.Why == u.Why }); i >= 0 {
			s.Waited[i].Calls += u.Calls
		} else {
			s.Waited = append(s.Waited, u)
		}
	}
}

// times says how long an agent did what.
func (g tongue) times(spent [After + 1]time.Duration) string {
	words := [After + 1]string{
		Away: g.say("not logged in", "non connecté"), Lost: g.say("unreachable", "injoignable"), Paused: g.say("not ready", "non prêt"),
		Waiting: g.say("ready", "prêt"), Rung: g.say("being rung", "sollicité"), InCall: g.say("in calls", "en conversation"), After: g.say("wrapping up", "en post-appel"),
	}
	var parts []string
	for _, d := range []Doing{Waiting, InCall, After, Rung, Paused, Lost, Away} {
		if spent[d] > 0 {
			parts = append(parts, words[d]+" "+span(spent[d]))
		}
	}
	return g.say("Time: %s.", "Temps : %s.", g.list(parts))
}
