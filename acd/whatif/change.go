package whatif

import (
	"fmt"
	"slices"
	"strconv"

	"foyer/acd"
)

// Change is what is otherwise than on the recorded day. The zero Change is nothing.
type Change struct {
	Config *acd.Config // instead of what was configured
	// Add agents with Skills in Queues; in every queue they qualify for when it is
	// empty. They are at work as long as anybody of the recorded day is, without a
	// pause, and take offers as the day's agents did.
	Add    int
	Skills map[string]int
	Queues []acd.QueueID
	// Remove agents of the recorded day.
	Remove []acd.AgentID
	// Strategy of each queue; of "" for all others.
	Strategy map[acd.QueueID]acd.Strategy
}

// None says whether nothing is changed.
func (c *Change) None() bool {
	return c.Config == nil && c.Add == 0 && len(c.Remove) == 0 && len(c.Strategy) == 0
}

// added is the id of an agent who was not there.
func added(n int) acd.AgentID { return acd.AgentID("added-" + strconv.Itoa(n+1)) }

// to is a configuration with the change made.
func (c *Change) to(cfg *acd.Config) *acd.Config {
	if c.Config != nil {
		cfg = c.Config
	}
	out := *cfg
	out.Queues = slices.Clone(cfg.Queues)
	for i := range out.Queues {
		q := &out.Queues[i]
		if s, ok := c.Strategy[q.ID]; ok {
			q.Strategy = s
		} else if s, ok := c.Strategy[""]; ok {
			q.Strategy = s
		}
	}
	out.Agents = slices.DeleteFunc(slices.Clone(cfg.Agents), func(a acd.AgentCfg) bool { return slices.Contains(c.Remove, a.ID) })
	for n := range c.Add {
		a := acd.AgentCfg{ID: added(n), Skills: c.Skills, Queues: c.Queues}
		if len(a.Queues) == 0 {
			a.Queues = c.fits(out.Queues)
		}
		out.Agents = append(out.Agents, a)
	}
	return &out
}

// fits is the queues that the added agents qualify for.
func (c *Change) fits(queues []acd.Queue) []acd.QueueID {
	var in []acd.QueueID
	for i := range queues {
		q := &queues[i]
		if !slices.ContainsFunc(q.Require, func(s string) bool { return c.Skills[s] < max(q.MinLevel[s], 1) }) {
			in = append(in, q.ID)
		}
	}
	return in
}

// Check says what of the change does not fit the day.
func (d *Day) Check(c Change) error {
	var queues []acd.QueueID
	agents := map[acd.AgentID]bool{}
	for i := range d.script {
		if cfg := d.script[i].ev.Config; cfg != nil {
			if c.Config != nil {
				cfg = c.Config
			}
			for j := range cfg.Queues {
				queues = append(queues, cfg.Queues[j].ID)
			}
			for j := range cfg.Agents {
				agents[cfg.Agents[j].ID] = true
			}
			if c.Add > 0 && len(c.Queues) == 0 && len(c.fits(cfg.Queues)) == 0 {
				return fmt.Errorf("the added agents qualify for no queue; give them skills that a queue asks, or name queues")
			}
		}
	}
	slices.Sort(queues)
	queues = slices.Compact(queues)
	if err := d.served(queues, c.Config != nil); err != nil {
		return err
	}
	known := func(q acd.QueueID) error {
		if q != "" && !slices.Contains(queues, q) {
			return fmt.Errorf("queue %s was not there on that day; there were %s", q, list(queues))
		}
		return nil
	}
	for _, q := range c.Queues {
		if err := known(q); err != nil {
			return err
		}
	}
	for _, q := range inOrder(c.Strategy) {
		if err := known(q); err != nil {
			return err
		}
	}
	for _, a := range c.Remove {
		if !agents[a] {
			return fmt.Errorf("agent %s was not there on that day", a)
		}
	}
	return nil
}

// served says which callers a configuration has no queue for.
func (d *Day) served(queues []acd.QueueID, other bool) error {
	lost := map[acd.QueueID]int{}
	for i := range d.script {
		if ev := &d.script[i].ev; other && ev.Kind == acd.Arrived && !slices.Contains(queues, ev.Queue) {
			lost[ev.Queue]++
		}
	}
	for _, q := range inOrder(lost) {
		return fmt.Errorf("the other configuration has no queue %s, for which %d calls came", q, lost[q])
	}
	return nil
}

func list(ids []acd.QueueID) string {
	text := ""
	for i, id := range ids {
		if i > 0 {
			text += ", "
		}
		text += string(id)
	}
	return text
}
