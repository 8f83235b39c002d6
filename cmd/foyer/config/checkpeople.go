package config

import "slices"

func (k *checker) checkAgent(a *Agent) {
	for i := range a.Queues {
		k.refer(&a.Queues[i], "queue", "queues", k.queues)
	}
	if k.literal[&a.SIP.Password] && !k.c.Demo {
		k.errorf(k.at[&a.SIP.Password], "password must not be literal; use ${cred:sip_%s} or ${file:…}", a.ID)
	}
}

// checkSkills: a queue whose skills no agent of it has would ring nobody.
func (k *checker) checkSkills() {
	k.namedSkills()
	of := map[string][]*Agent{}
	for i := range k.c.Agents {
		for _, q := range k.c.Agents[i].Queues {
			of[q] = append(of[q], &k.c.Agents[i])
		}
	}
	for i := range k.c.Queues {
		q := &k.c.Queues[i]
		if len(of[q.ID]) == 0 && len(q.Require) == 0 {
			k.warnf(k.at[&q.ID], "queue %q has no agent", q.ID)
		}
		for j := range q.Require {
			skill := q.Require[j]
			least := max(1, q.MinLevel[skill])
			if best := bestLevel(of[q.ID], skill); best == 0 {
				k.errorf(k.at[&q.Require[j]], "queue %q needs skill %q, but no agent assigned to it has it", q.ID, skill)
			} else if best < least {
				k.errorf(k.at[entry{&q.MinLevel, skill}], "queue %q needs skill %q at level %d, but no agent assigned to it has more than %d", q.ID, skill, least, best)
			}
		}
		for skill := range q.MinLevel {
			if !slices.Contains(q.Require, skill) {
				k.errorf(k.at[entry{&q.MinLevel, skill}], "min_level of queue %q names skill %q, which it does not require", q.ID, skill)
			}
		}
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
