package config

import (
	"regexp"
	"slices"
)

func (k *checker) checkQueue(q *Queue) {
	switch Target(q.ID) {
	case Hangup, Wait, Voicemail:
		k.errorf(k.at[&q.ID], "a queue cannot be called %q: the word has a meaning as a target", q.ID)
	}
	k.refer(&q.Client, "client", "clients", k.clients)
	k.refer(&q.Calendar, "calendar", "calendars", k.calendars)
	k.checkRing(q)
	k.checkWrapUp(q)
	k.checkOverflow(q)
	k.checkRelax(q)
	k.checkDoors(q)
	k.checkAnnounce(q)
	k.checkCallback(q)
}

// checkRing: who is rung, how many at once.
func (k *checker) checkRing(q *Queue) {
	r := &q.Ring
	if at, given := k.at[&r.AtOnce]; given && q.Strategy != RingAll && q.Strategy != RingProgressive {
		k.errorf(at, "queues[%s].ring.at_once is for the strategies ring_all and ring_progressive: %s rings one agent at a time", q.ID, q.Strategy)
	}
	at, given := k.at[&r.NextAfter]
	switch {
	case given && q.Strategy != RingProgressive:
		k.errorf(at, "queues[%s].ring.next_after is for the strategy ring_progressive, not %s", q.ID, q.Strategy)
	case given && r.NextAfter >= r.Timeout:
		k.warnf(at, "queues[%s].ring.next_after is %s, but a phone rings for %s only: agents are rung one after the other", q.ID, r.NextAfter, r.Timeout)
	}
	if (q.Strategy == SkillThenIdle || q.Strategy == WeightedRandom) && len(q.Require) == 0 {
		k.warnf(k.at[&q.Strategy], "strategy %s goes by the skills that queue %q requires, and it requires none", q.Strategy, q.ID)
	}
}

func (k *checker) checkWrapUp(q *Queue) {
	w := &q.WrapUp
	if w.Mode != WrapExtendable {
		k.errorf(k.at[&w.ExtendBy], "queues[%s].wrapup.extend_by is for mode extendable, not %s", q.ID, w.Mode)
		k.errorf(k.at[&w.MaxExtensions], "queues[%s].wrapup.max_extensions is for mode extendable, not %s", q.ID, w.Mode)
	}
	if w.Mode == WrapExtendable && w.Seconds == 0 {
		at, given := k.at[&w.Mode]
		if !given {
			at = k.at[&w.ExtendBy]
		}
		k.errorf(at, "queues[%s].wrapup has no \"seconds\": there is no wrap-up to extend", q.ID)
	}
	if w.Mode == WrapCoded && len(w.Codes) == 0 {
		k.errorf(k.at[&w.Mode], "queues[%s].wrapup.mode is coded, but there is no code to give: define some in reasons.wrapup", q.ID)
	}
	at, given := k.at[&w.Codes]
	if given && w.Mode == WrapFixed && w.Seconds == 0 {
		k.warnf(at, "queues[%s].wrapup.codes are never given: without \"seconds\" there is no wrap-up", q.ID)
	}
	for i := range w.Codes {
		k.refer(&w.Codes[i], "wrap-up code", "reasons.wrapup", k.codes)
		if given && slices.Contains(w.Codes[:i], w.Codes[i]) {
			k.errorf(k.at[&w.Codes[i]], "wrap-up code %q stands twice", w.Codes[i])
		}
		if given && q.Callback == nil && k.appoints(w.Codes[i]) {
			k.errorf(k.at[&w.Codes[i]], "wrap-up code %q requires callback_at, but queues[%s] calls nobody back: give it a callback section", w.Codes[i], q.ID)
		}
	}
}

// appoints says whether a wrap-up code asks for when to call back.
func (k *checker) appoints(code string) bool {
	return slices.ContainsFunc(k.c.Reasons.WrapUp, func(c WrapUpCode) bool {
		return c.ID == code && slices.Contains(c.Requires, "callback_at")
	})
}

// e164 is + and a country code, at most 15 digits (ITU-T E.164 section 6).
var e164 = regexp.MustCompile(`^\+[1-9][0-9]{5,14}$`)

func (k *checker) checkNumbers() {
	clientOf := map[string]string{}
	for _, q := range k.c.Queues {
		clientOf[q.ID] = q.Client
	}
	first := map[string]place{}
	for i := range k.c.DIDs {
		d := &k.c.DIDs[i]
		at := k.at[&d.Number]
		switch was, again := first[d.Number]; {
		case d.Number == "":
			continue
		case again:
			k.errorf(at, "number %s is already defined at %s:%d", d.Number, was.file, was.line)
		case !e164.MatchString(d.Number):
			k.errorf(at, "number %q must be E.164: a plus sign, the country code and the number, such as +33170000001", d.Number)
		}
		first[d.Number] = at
		k.refer(&d.Client, "client", "clients", k.clients)
		if d.To != Echo {
			k.refer(&d.To, "queue", "queues", k.queues)
		}
		if of := clientOf[d.To]; k.clients[of] && k.clients[d.Client] && d.Client != of {
			k.warnf(k.at[&d.Client], "number %s is of client %q, but its queue %q is of client %q", d.Number, d.Client, d.To, of)
		}
		k.prompt(&d.Greeting)
		k.checkWanted(d)
	}
}

// checkWanted: the agent a number names must serve its queue, and be waited for.
func (k *checker) checkWanted(d *DID) {
	if d.Agent == "" {
		return
	}
	at := k.at[&d.Agent]
	i := slices.IndexFunc(k.c.Agents, func(a Agent) bool { return a.ID == d.Agent })
	if i < 0 {
		known := map[string]bool{}
		for _, a := range k.c.Agents {
			known[a.ID] = true
		}
		k.refer(&d.Agent, "agent", "agents", known)
		return
	}
	if k.queues[d.To] && !slices.ContainsFunc(k.c.Agents[i].Queues, func(q Assignment) bool { return q.ID == d.To }) {
		k.errorf(at, "agent %q does not serve queue %q, to which number %s leads", d.Agent, d.To, d.Number)
	}
	for q := range k.c.Queues {
		if k.c.Queues[q].ID == d.To && k.c.Queues[q].Prefer == 0 {
			k.errorf(at, "nobody waits for agent %q: queue %q has no \"prefer\"", d.Agent, d.To)
		}
	}
}
