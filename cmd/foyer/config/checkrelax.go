package config

import "slices"

// asked is what a queue asks of an agent at one moment of a call's wait.
type asked struct {
	level map[string]int
	tier  int // highest; 0: any
}

func askedBy(q *Queue) asked {
	a := asked{level: map[string]int{}, tier: q.MaxTier}
	for _, skill := range q.Require {
		a.level[skill] = max(1, q.MinLevel[skill])
	}
	return a
}

// checkRelax: every step must ask less than the one before.
func (k *checker) checkRelax(q *Queue) {
	left := k.leftAfter(q)
	now := askedBy(q)
	for i := range q.Relax {
		x := &q.Relax[i]
		at := k.at[&x.After]
		switch {
		case i > 0 && x.After > 0 && x.After < q.Relax[i-1].After:
			k.errorf(at, "relax steps must be in order of \"after\"; %s is earlier than %s", x.After, q.Relax[i-1].After)
		case left != nil && x.After >= left.After:
			k.warnf(at, "this relax step is never reached: the caller has left queue %q after %s", q.ID, left.After)
		}
		k.checkStep(q, i, &now)
	}
}

// leftAfter is the overflow step that takes every caller away, if there is one.
func (k *checker) leftAfter(q *Queue) *Overflow {
	if i := slices.IndexFunc(q.Overflow, func(o Overflow) bool { return k.leaves(&o) }); i >= 0 {
		return &q.Overflow[i]
	}
	return nil
}

func (k *checker) checkStep(q *Queue, i int, now *asked) {
	x := &q.Relax[i]
	_, skill := k.at[&x.Skill]
	level, leveled := k.at[&x.Level]
	_, drop := k.at[&x.Drop]
	tier, tiered := k.at[&x.MaxTier]
	switch has := notOne(skill || leveled, drop, tiered); {
	case has != "":
		k.errorf(k.at[x], "queues[%s].relax[%d] needs one of \"skill\" with \"level\", \"drop\" and \"max_tier\"; it has %s", q.ID, i+1, has)
	case skill != leveled:
		k.errorf(k.at[x], "queues[%s].relax[%d] needs both \"skill\" and \"level\"; to ask nothing of a skill any more, write drop: SKILL", q.ID, i+1)
	case skill:
		if has := k.relaxes(q, &x.Skill, now); has > 0 && x.Level >= has {
			k.errorf(level, "queue %q asks for skill %q at level %d by then: level %d would not relax it", q.ID, x.Skill, has, x.Level)
		}
		now.level[x.Skill] = x.Level
	case drop:
		k.relaxes(q, &x.Drop, now)
		now.level[x.Drop] = 0
	case now.tier == 0:
		k.errorf(tier, "queues[%s].relax[%d].max_tier lets nobody in: without queues[%s].max_tier agents of every tier are taken from the start", q.ID, i+1, q.ID)
	case x.MaxTier > 0 && x.MaxTier <= now.tier:
		k.errorf(tier, "queue %q takes agents up to tier %d by then: max_tier %d would not relax it", q.ID, now.tier, x.MaxTier)
	default:
		now.tier = x.MaxTier
	}
}

// relaxes is the level that is asked of a skill so far; 0 if none can be relaxed.
func (k *checker) relaxes(q *Queue, skill *string, now *asked) int {
	switch level := now.level[*skill]; {
	case *skill == "":
	case !slices.Contains(q.Require, *skill):
		k.errorf(k.at[skill], "relax of queue %q names skill %q, which it does not require%s", q.ID, *skill, meant(*skill, q.Require))
	case level == 0:
		k.errorf(k.at[skill], "queue %q does not ask for skill %q any more by then", q.ID, *skill)
	default:
		return level
	}
	return 0
}

// askedAtLast is what a queue asks after all of its steps.
func askedAtLast(q *Queue) asked {
	a := askedBy(q)
	for _, x := range q.Relax {
		switch {
		case x.Skill != "":
			a.level[x.Skill] = x.Level
		case x.Drop != "":
			a.level[x.Drop] = 0
		case x.MaxTier > 0:
			a.tier = x.MaxTier
		}
	}
	return a
}
