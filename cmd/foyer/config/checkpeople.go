package config

import "slices"

func (k *checker) checkAgent(a *Agent) {
	for i := range a.Queues {
		k.checkAssignment(a, i)
	}
	if c := a.Capacity; c != nil && c.Voice == 0 {
		k.warnf(k.at[&c.Voice], "agent %q is given no calls: capacity.voice is 0", a.ID)
	}
	if k.literal[&a.SIP.Password] && !k.c.Demo {
		k.errorf(k.at[&a.SIP.Password], "password must not be literal; use ${cred:sip_%s} or ${file:…}", a.ID)
	}
}

func (k *checker) checkAssignment(a *Agent, i int) {
	s := &a.Queues[i]
	k.refer(&s.ID, "queue", "queues", k.queues)
	if slices.ContainsFunc(a.Queues[:i], func(o Assignment) bool { return o.ID == s.ID }) {
		k.errorf(k.at[&s.ID], "queue %q stands twice in agents[%s].queues", s.ID, a.ID)
	}
	if q := k.queueOf[s.ID]; q != nil {
		if most := askedAtLast(q).tier; most > 0 && s.Tier > most {
			at, given := k.at[&s.Tier]
			if !given {
				at = k.at[&s.ID]
			}
			k.warnf(at, "agent %q is of tier %d in queue %q and never offered its calls: it takes agents up to tier %d", a.ID, s.Tier, q.ID, most)
		}
	}
}

// checkSkills: a queue whose skills no agent of it has would ring nobody.
func (k *checker) checkSkills() {
	k.namedSkills()
	of := map[string][]*Agent{}
	for i := range k.c.Agents {
		for _, q := range k.c.Agents[i].Queues {
			of[q.ID] = append(of[q.ID], &k.c.Agents[i])
		}
	}
	for i := range k.c.Queues {
		q := &k.c.Queues[i]
		if len(of[q.ID]) == 0 && len(q.Require) == 0 {
			k.warnf(k.at[&q.ID], "queue %q has no agent", q.ID)
		}
		for j := range q.Require {
			k.checkRequired(q, &q.Require[j], of)
		}
		for skill := range q.MinLevel {
			if !slices.Contains(q.Require, skill) {
				k.errorf(k.at[entry{&q.MinLevel, skill}], "min_level of queue %q names skill %q, which it does not require", q.ID, skill)
			}
		}
	}
}

// checkRequired: somebody must have the skill. When only a later step of the queue
// makes do with less, its callers wait for that.
func (k *checker) checkRequired(q *Queue, skill *string, of map[string][]*Agent) {
	say, end := k.errorf, ""
	best := bestLevel(of[q.ID], *skill)
	widened := slices.ContainsFunc(q.Overflow, func(o Overflow) bool {
		return slices.ContainsFunc(o.WidenTo, func(id string) bool { return len(of[id]) > 0 })
	})
	if widened || len(of[q.ID]) > 0 && best >= askedAtLast(q).level[*skill] {
		say, end = k.warnf, "; its callers wait until it relaxes or widens"
	}
	if least := max(1, q.MinLevel[*skill]); best == 0 {
		say(k.at[skill], "queue %q needs skill %q, but no agent assigned to it has it%s", q.ID, *skill, end)
	} else if best < least {
		say(k.at[entry{&q.MinLevel, *skill}], "queue %q needs skill %q at level %d, but no agent assigned to it has more than %d%s", q.ID, *skill, least, best, end)
	}
}

func bestLevel(agents []*Agent, skill string) int {
	best := 0
	for _, a := range agents {
		best = max(best, a.Skills[skill])
	}
	return best
}

// namedSkills holds every skill against the list of skills, if there is one.
func (k *checker) namedSkills() {
	defined := map[string]bool{}
	for i := range k.c.Skills {
		if defined[k.c.Skills[i]] {
			k.errorf(k.at[&k.c.Skills[i]], "skill %q stands twice", k.c.Skills[i])
		}
		defined[k.c.Skills[i]] = true
	}
	if _, given := k.at[&k.c.Skills]; !given {
		return
	}
	for i := range k.c.Queues {
		for j := range k.c.Queues[i].Require {
			k.refer(&k.c.Queues[i].Require[j], "skill", "skills", defined)
		}
	}
	for i := range k.c.Agents {
		a := &k.c.Agents[i]
		for name := range a.Skills {
			skill := name
			k.at[&skill] = k.at[entry{&a.Skills, name}]
			k.refer(&skill, "skill", "skills", defined)
		}
	}
}
