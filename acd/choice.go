package acd

import (
	"cmp"
	"time"
)

// Why an agent was first, in the terms of the queue's strategy: what a match
// says of itself, and nothing else.

// Rule is the first thing in which the winner of a match stood before another
// agent who could have taken the call.
type Rule uint8

const (
	ByNothing Rule = iota // there was no other
	ByWanting             // the call waited for the winner alone
	ByStep                // the winner qualifies after fewer steps of relaxation
	ByTier
	ByOrder // what the strategy orders by
	ByIdle
	ByID  // nothing but the order of their ids
	ByLot // chance
)

// before is the first thing in which candidate a stands before b under a
// strategy; false when b stands before a.
func before(s Strategy, a, b *Candidate) (Rule, bool) {
	by := []struct {
		rule Rule
		n    int
	}{
		{ByStep, cmp.Compare(a.Step, b.Step)},
		{ByTier, cmp.Compare(max(a.Tier, 1), max(b.Tier, 1))},
		{ByOrder, 0},
		{ByIdle, cmp.Compare(b.Idle, a.Idle)},
		{ByID, cmp.Compare(a.Agent, b.Agent)},
	}
	switch s {
	case FewestCalls, LeastTalk, RoundRobin, TopDown:
		by[2].n = cmp.Compare(a.Rank, b.Rank)
	case SkillThenIdle:
		by[2].n = cmp.Compare(b.Level, a.Level)
	case WeightedRandom:
		by[2] = struct {
			rule Rule
			n    int
		}{ByLot, -1}
	}
	for _, x := range by {
		if x.n != 0 {
			return x.rule, x.n < 0
		}
	}
	return ByNothing, true
}

// Behind says by what rule the winner of a match stood before an agent who could
// have taken the call too. False when the match does not list that agent so.
func (m *Match) Behind(id AgentID) (Rule, bool) {
	if m.Wanted != "" {
		return ByWanting, id != m.Winner
	}
	for i := range m.Candidates {
		if c := &m.Candidates[i]; c.Agent == id && c.Failed == "" && id != m.Winner {
			rule, _ := before(m.Strategy, &m.Candidates[0], c)
			return rule, true
		}
	}
	return ByNothing, false
}

// pool is the eligible whom only the strategy told apart from the winner: those
// of the same step and tier. other is the first of the rest; nil if there is none.
func (m *Match) pool() (n int, second, other *Candidate) {
	w := &m.Candidates[0]
	listed := 0
	for i := range m.Candidates {
		c := &m.Candidates[i]
		if c.Failed != "" {
			break
		}
		listed++
		switch {
		case c.Step != w.Step || c.Tier != w.Tier:
			if other == nil {
				other = c
			}
		case i == 0:
			n++
		default:
			if second == nil {
				second = c
			}
			n++
		}
	}
	if other == nil && m.Eligible > listed {
		n = m.Eligible // the list is cut
	}
	return n, second, other
}

// choice says why an agent was offered the call before the others who could have
// taken it, as goes after the agent's name.
func (t *Telling) choice(g tongue, o *ExplainedOffer) string {
	m := o.Match
	if m.Wanted != "" {
		if m.Wanted == t.named {
			return g.say("whom the caller had asked for", "que l'appelant avait demandé")
		}
		return g.say("who had the caller last", "qui avait eu cet appelant en dernier")
	}
	if m.Eligible <= 1 || len(m.Candidates) == 0 {
		return g.say("the only agent free for it", "seul agent libre pour cet appel")
	}
	n, second, other := m.pool()
	w := &m.Candidates[0]
	byTier := other != nil && other.Step == w.Step
	switch {
	case n == 1 && byTier:
		return g.say("the only one of tier %d of the %d agents free for it", "seul du rang %d parmi les %d agents libres pour cet appel", max(w.Tier, 1), m.Eligible)
	case n == 1:
		return g.say("the only one of the %d agents free for it who has what the queue asks first", "seul des %d agents libres pour cet appel à répondre à la première demande de la file", m.Eligible)
	}
	agents := g.say("of the %d agents free for it", "des %d agents libres pour cet appel", n)
	switch {
	case byTier:
		agents = g.say("of the %d agents of tier %d free for it", "des %d agents du rang %d libres pour cet appel", n, max(w.Tier, 1))
	case other != nil:
		agents = g.say("of the %d agents free for it who have what the queue asks first", "des %d agents libres qui répondent à la première demande de la file", n)
	}
	return g.first(m, agents) + g.tie(m, second)
}

// first says in what a winner was first of some agents.
func (g tongue) first(m *Match, agents string) string {
	w := &m.Candidates[0]
	switch m.Strategy {
	case FewestCalls:
		return g.say("who has handled the fewest calls, %d, %s", "celui qui a traité le moins d'appels (%d) %s", w.Rank, agents)
	case LeastTalk:
		return g.say("who has talked least, %s, %s", "celui qui a parlé le moins (%s) %s", span(time.Duration(w.Rank)), agents)
	case RoundRobin:
		return g.say("next in turn %s", "le suivant au tour de rôle %s", agents)
	case TopDown:
		return g.say("listed first %s", "le premier de la liste %s", agents)
	case SkillThenIdle:
		return g.say("who has the highest level, %d, %s", "celui qui a le niveau le plus élevé (%d) %s", w.Level, agents)
	case WeightedRandom:
		if w.Level > 0 {
			return g.say("drawn by chance in proportion to level (%d) %s", "tiré au sort en proportion du niveau (%d), l'un %s", w.Level, agents)
		}
		return g.say("drawn by chance %s", "tiré au sort, l'un %s", agents)
	}
	return g.say("idle longest, for %s, %s", "le plus longtemps en attente, depuis %s, %s", span(w.Idle), agents)
}

// tie says what decided between the winner and one who was level with them by
// the strategy; "" when the strategy decided.
func (g tongue) tie(m *Match, second *Candidate) string {
	if second == nil || m.Strategy == LongestIdle || m.Strategy >= WeightedRandom {
		return ""
	}
	w := &m.Candidates[0]
	switch rule, _ := before(m.Strategy, w, second); rule {
	case ByIdle:
		return g.say(", level with %s but idle longer, for %s", ", à égalité avec %s mais en attente depuis plus longtemps, %s", second.Agent, span(w.Idle))
	case ByID:
		return g.say(", level with %s in everything but the order of names", ", à égalité avec %s en tout sauf l'ordre des noms", second.Agent)
	}
	return ""
}
