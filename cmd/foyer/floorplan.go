package main

import (
	"cmp"
	"encoding"
	"fmt"
	"slices"
	"time"

	"foyer/acd"
	"foyer/cmd/foyer/config"
	"foyer/sip"
)

// This file writes the configuration in the floor's terms.

func (p *plan) addQueues() {
	p.floor.PauseEndsIdle = p.cfg.Floor.PauseEndsIdle
	for _, r := range p.cfg.Reasons.Pause {
		p.floor.Reasons = append(p.floor.Reasons, acd.Reason{ID: r.ID, Max: r.Max})
	}
	for i := range p.cfg.Queues {
		q := &p.cfg.Queues[i]
		made := queueOf(q)
		p.floor.Queues = append(p.floor.Queues, made)
		known := queue{
			label: q.Label.In(p.cfg.Site.Locale), client: made.Client, number: p.firstNumber(q.ID),
			within: q.ServiceLevel.Within, callback: q.Callback,
			prompts: map[acd.Cause]string{
				acd.CauseClosed: q.Closed.Prompt, acd.CauseNoAgents: q.Empty.Prompt, acd.CauseNoneReady: q.NoneReady.Prompt,
			},
		}
		if q.Full != nil {
			known.prompts[acd.CauseFull] = q.Full.Prompt
		}
		p.queues[made.ID] = known
	}
}

// firstNumber is the number of ours that people know a queue by.
func (p *plan) firstNumber(queue string) string {
	for _, d := range p.cfg.DIDs {
		if d.To == queue {
			return d.Number
		}
	}
	return ""
}

// callable says whether customers of a queue may be called back now.
func (p *plan) callable(now time.Time, id acd.QueueID) bool {
	b := p.queues[id].callback
	return b == nil || p.routes.Within(now, b.Hours)
}

// asksForCallback says whether a key is the one that asks a queue for a callback.
func (p *plan) asksForCallback(id acd.QueueID, digit byte) bool {
	b := p.queues[id].callback
	return b != nil && b.Digit == string(digit)
}

func queueOf(q *config.Queue) acd.Queue {
	made := acd.Queue{
		ID: acd.QueueID(q.ID), Client: acd.ClientID(q.Client), Medium: word[acd.Medium](q.Medium),
		Require: q.Require, MinLevel: q.MinLevel, MaxTier: q.MaxTier, Relax: relaxOf(q),
		Strategy: word[acd.Strategy](string(q.Strategy)), AtOnce: q.Ring.AtOnce, NextAfter: q.Ring.NextAfter,
		Priority: q.Priority, RingTimeout: q.Ring.Timeout, MaxOffers: q.Ring.MaxOffers,
		WrapMode: word[acd.WrapMode](string(q.WrapUp.Mode)), WrapUp: q.WrapUp.Duration(),
		ExtendBy: time.Duration(q.WrapUp.ExtendBy) * time.Second, MaxExtend: q.WrapUp.MaxExtensions,
		Overflow: overflowOf(q), NoneReady: doorOf(q.NoneReady.To), Empty: doorOf(q.Empty.To), Closed: doorOf(q.Closed.To),
		Within: q.ServiceLevel.Within, ShortAbandon: q.ServiceLevel.ShortAbandon,
		Prefer: q.Prefer, Return: q.Return, Rejoin: q.Rejoin,
	}
	if q.Ring.OnNoAnswer == config.Ready {
		made.OnNoAnswer = acd.StayReady
	}
	if full := q.Full; full != nil {
		made.MaxWaiting, made.Full = full.Max, doorOf(full.To)
	}
	if last := q.LastAgent; last != nil {
		made.LastAgent = acd.Sticky{Within: last.Within, Wait: last.Wait}
	}
	if a := q.Announce; a != nil {
		made.Announce = acd.Announcing{Position: a.Position, Wait: a.EstimatedWait, First: a.First, Every: a.Every, MaxError: a.MaxError}
	}
	if b := q.Callback; b != nil {
		made.Callback = acd.Callback{CallerFirst: b.Mode == "caller_first", Attempts: b.Attempts, Retry: b.Retry, DialFor: b.DialFor}
	}
	return made
}

// word reads a word that the configuration and the floor write alike.
func word[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](text string) T {
	var t T
	if err := P(&t).UnmarshalText([]byte(text)); err != nil {
		// Both lists are ours: a test holds them against each other.
		panic(fmt.Sprintf("the floor does not know %q: %s", text, err))
	}
	return t
}

// relaxOf is all that makes more agents fit for a call that waits: to ask less of
// them, and to ask other queues for theirs.
func relaxOf(q *config.Queue) []acd.Relax {
	var steps []acd.Relax
	for _, x := range q.Relax {
		// Of Skill and Drop one is given, and a level only with Skill.
		steps = append(steps, acd.Relax{After: x.After, Skill: x.Skill + x.Drop, Level: x.Level, Tier: x.MaxTier})
	}
	for _, o := range q.Overflow {
		for _, id := range o.WidenTo {
			steps = append(steps, acd.Relax{After: o.After, Widen: acd.QueueID(id)})
		}
	}
	slices.SortStableFunc(steps, func(a, b acd.Relax) int { return cmp.Compare(a.After, b.After) })
	return steps
}

func overflowOf(q *config.Queue) []acd.Overflow {
	var steps []acd.Overflow
	for _, o := range q.Overflow {
		if len(o.WidenTo) == 0 {
			steps = append(steps, acd.Overflow{After: o.After, To: targetOf(o.To), Offer: o.Offer != ""})
		}
	}
	return steps
}

// targetOf is where a call goes; the zero Target when it goes nowhere.
func targetOf(t config.Target) acd.Target {
	if number, ok := t.Number(); ok {
		return acd.Target{Number: number}
	}
	if id, ok := t.Queue(); ok {
		return acd.Target{Queue: acd.QueueID(id)}
	}
	return acd.Target{Voicemail: t == config.Voicemail}
}

func doorOf(t config.Target) acd.Door {
	switch t {
	case config.Wait:
		return acd.Door{}
	case config.Hangup:
		return acd.Door{Rule: acd.Deny}
	}
	return acd.Door{Rule: acd.Send, To: targetOf(t)}
}

func (p *plan) addAgents() {
	clientOf := map[string]string{}
	for _, q := range p.cfg.Queues {
		clientOf[q.ID] = q.Client
	}
	for i := range p.cfg.Agents {
		a := &p.cfg.Agents[i]
		made := agentOf(a)
		seen := agent{name: a.Name, skills: a.Skills, queues: []string{}, clients: []string{}}
		for _, q := range a.Queues {
			seen.queues = append(seen.queues, q.ID)
			if c := clientOf[q.ID]; !slices.Contains(seen.clients, c) {
				seen.clients = append(seen.clients, c)
			}
		}
		p.floor.Agents = append(p.floor.Agents, made)
		p.agents[made.ID] = seen
		if !a.SIP.Password.Given() {
			continue // has one by `foyer agent provision`, or none yet
		}
		alg := algorithm(a.SIP.Digest)
		p.accounts = append(p.accounts, sip.Account{
			User: a.ID, Algorithm: alg,
			HA1: sip.HA1(alg, a.ID, p.cfg.Registrar.Realm, a.SIP.Password.Reveal()),
		})
	}
}

func agentOf(a *config.Agent) acd.AgentCfg {
	made := acd.AgentCfg{ID: acd.AgentID(a.ID), Skills: a.Skills, ReadyOnRegister: a.ReadyOnRegister}
	for _, q := range a.Queues {
		made.Queues = append(made.Queues, acd.QueueID(q.ID))
		if q.Tier == 1 {
			continue // what the floor assumes
		}
		if made.Tiers == nil {
			made.Tiers = map[acd.QueueID]int{}
		}
		made.Tiers[acd.QueueID(q.ID)] = q.Tier
	}
	if c := a.Capacity; c != nil {
		made.Capacity = &acd.Capacity{Voice: uint8(c.Voice)}
	}
	return made
}

func algorithm(d config.Digest) sip.Algorithm {
	if d == config.MD5 {
		return sip.MD5
	}
	return sip.SHA256
}

func (p *plan) addNumbers() {
	p.routes = acd.Routes{Location: p.cfg.Site.Timezone, Calendars: map[string]acd.Calendar{}}
	for _, c := range p.cfg.Calendars {
		p.routes.Calendars[c.ID] = calendarOf(c)
	}
	for _, q := range p.cfg.Queues {
		p.routes.SetQueue(acd.QueueID(q.ID), q.Calendar, targetOf(q.Closed.To))
	}
	for _, d := range p.cfg.DIDs {
		p.routes.SetNumber(d.Number, acd.QueueID(d.To))
		p.dids[d.Number] = did{
			client: acd.ClientID(d.Client), agent: acd.AgentID(d.Agent), greeting: d.Greeting, notice: d.RecordingNotice,
			echo: d.To == config.Echo && p.queueConfig(config.Echo) == nil,
		}
	}
}

// calendarOf writes a configured calendar in the floor's terms.
func calendarOf(c config.Calendar) acd.Calendar {
	made := acd.Calendar{Holidays: acd.Holidays{Country: c.Holidays.Country, Region: c.Holidays.Region}}
	for day, hours := range c.Weekly {
		made.Weekly[day] = spansOf(hours)
	}
	for _, x := range c.Exceptions {
		made.Exceptions = append(made.Exceptions, acd.Exception{Date: acd.Date(x.Date), Hours: spansOf(x.Hours)})
	}
	return made
}

func spansOf(hours []config.Span) []acd.Span {
	var spans []acd.Span
	for _, h := range hours {
		spans = append(spans, acd.Span(h))
	}
	return spans
}
