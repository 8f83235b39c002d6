package main

import (
	"time"

	"foyer/acd"
)

// card is a call as the console sees it: a copy that is never changed.
type card struct {
	client, did, from, trunk, recording string
	agent                               acd.AgentID // who talks
	started, answered                   time.Time
	held, leaving                       bool

	// Of a call that is up and no longer the floor's: diverted or voicemail, and since when.
	elsewhere string
	queue     acd.QueueID
	since     time.Time
}

// show publishes the call's card anew.
func (c *call) show() {
	k := &card{
		client: string(c.facts.Client), did: c.facts.DID, from: c.facts.From, trunk: c.facts.Trunk,
		recording: c.rec.id, started: c.begun, answered: c.connected,
		held:    c.caller.held || c.agent != nil && c.agent.held,
		leaving: c.phase >= leaving,
		queue:   c.dest.queue,
	}
	if c.phase == talking {
		k.agent = c.agent.agent
	}
	switch c.phase {
	case diverted:
		k.elsewhere = "diverted"
	case messaging:
		k.elsewhere = "voicemail"
	}
	if was := c.card.Load(); was != nil && was.elsewhere == k.elsewhere {
		k.since = was.since
	} else {
		k.since = time.Now()
	}
	c.card.Store(k)
}
