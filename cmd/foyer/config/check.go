package config

import (
	"maps"
	"regexp"
	"slices"

	"foyer/rtp/sound"
)

// checker holds the parts of a configuration against each other, after each has
// been read by itself.
type checker struct {
	*reader
	c         *Config
	trunks    map[string]bool
	calendars map[string]bool
	codes     map[string]bool
	queues    map[string]bool
	queueOf   map[string]*Queue // by id; the first where it stands twice
	clients   map[string]bool
	policies  map[string]bool
	prompts   map[string]bool
}

func check(r *reader, c *Config) {
	k := &checker{reader: r, c: c}
	k.trunks = unique(r, "trunk", c.Trunks, func(t *Trunk) *string { return &t.ID })
	k.calendars = unique(r, "calendar", c.Calendars, func(x *Calendar) *string { return &x.ID })
	k.prompts = unique(r, "prompt", c.Prompts.Custom, func(x *CustomPrompt) *string { return &x.ID })
	for _, id := range sound.IDs() {
		k.prompts[id] = true
	}
	unique(r, "pause reason", c.Reasons.Pause, func(x *PauseReason) *string { return &x.ID })
	k.codes = unique(r, "wrap-up code", c.Reasons.WrapUp, func(x *WrapUpCode) *string { return &x.ID })
	k.clients = unique(r, "client", c.Clients, func(x *Client) *string { return &x.ID })
	k.queues = unique(r, "queue", c.Queues, func(x *Queue) *string { return &x.ID })
	k.queueOf = make(map[string]*Queue, len(c.Queues))
	for i := len(c.Queues) - 1; i >= 0; i-- {
		k.queueOf[c.Queues[i].ID] = &c.Queues[i]
	}
	k.policies = unique(r, "recording policy", c.RecordingPolicies, func(x *RecordingPolicy) *string { return &x.ID })
	unique(r, "agent", c.Agents, func(x *Agent) *string { return &x.ID })

	k.checkSite()
	k.checkDatabase()
	k.checkListen()
	k.checkFlood()
	k.checkTrunks()
	k.checkRoutes()
	k.checkMedia()
	k.checkFeatures()
	k.checkPrompts()
	k.checkSkills()
	for i := range c.Clients {
		k.refer(&c.Clients[i].Recording, "recording policy", "recording_policies", k.policies)
	}
	for i := range c.Queues {
		k.checkQueue(&c.Queues[i])
	}
	k.checkCircles()
	k.checkNumbers()
	k.checkPolicies()
	for i := range c.Agents {
		k.checkAgent(&c.Agents[i])
	}
}

// idForm is what an id looks like: it stands in URLs, file names, metric labels
// and, for an agent, in SIP addresses.
var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// unique checks the ids of a list and returns them.
func unique[T any](r *reader, noun string, items []T, id func(*T) *string) map[string]bool {
	ids := make(map[string]bool, len(items))
	first := make(map[string]place, len(items))
	for i := range items {
		name := id(&items[i])
		at := r.at[name]
		switch was, again := first[*name]; {
		case *name == "": // missing, which was said already
			continue
		case again:
			r.errorf(at, "%s %q is already defined at %s:%d", noun, *name, was.file, was.line)
		case !idForm.MatchString(*name):
			r.errorf(at, "id %q must be 1 to 64 letters (a to z), digits, '.', '_' or '-', and begin with a letter or digit", *name)
		}
		if !ids[*name] {
			ids[*name], first[*name] = true, at
		}
	}
	return ids
}

// refer complains of a reference to something that is not defined.
func (k *checker) refer(field *string, noun, section string, defined map[string]bool) {
	if *field == "" || defined[*field] {
		return
	}
	hint := meant(*field, slices.Sorted(maps.Keys(defined)))
	if hint == "" {
		hint = "; it should be in " + section
	}
	k.errorf(k.at[field], "%s %q is not defined%s", noun, *field, hint)
}
