package main

import (
	"slices"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/rtp"
	"foyer/sip"
)

// An agent at home may lose the line in the middle of a talk. This file finds out
// and does what the floor decides; acd/link.go decides.

// probed comes when a phone that went quiet has had time to answer a probe.
type probed struct{ offer *offer }

// probeTime is how long a probe takes to find out that a phone is gone: 3 s for
// the first OPTIONS, half a second, 3 s for the second (sip/probe.go).
const probeTime = 7 * time.Second

// backWait is how long an agent whose lost phone has come back is given to be heard
// in the talk, before the phone is rung for it.
const backWait = time.Second

// phoneMoved: an agent's phone is reached elsewhere than before, and may be heard
// from there.
func (c *call) phoneMoved(p *phone) {
	p.binding.Transport, p.binding.Source = p.leg.Transport(), p.leg.Remote()
	if o := p.offer; o.taken == p && !o.closed {
		c.apply(&o.side, o.stream, rtp.Near)
	}
}

// agentQuiet: nothing comes from the agent's phone. Whether that is a muted phone
// or a dead line is found out by asking the phone, if there is a way left to ask it.
func (c *call) agentQuiet() {
	o := c.agent
	if c.phase != talking || o == nil || o.taken == nil || o.lost {
		return
	}
	o.quiet = true
	if !c.there(o) {
		c.linkLost(o)
		return
	}
	c.ex.registrar.ReportUnreachable(o.taken.binding)
	time.AfterFunc(probeTime, func() { c.box.post(probed{o}) })
}

// agentHeard: the agent's phone sends again.
func (c *call) agentHeard() {
	o := c.agent
	if o == nil {
		return
	}
	o.quiet = false
	if o.lost && !o.dead {
		o.lost = false
		c.ex.calls.hang(o.agent, false)
		c.ex.board.post(acd.Event{Kind: acd.LinkBack, Call: c.id, Agent: o.agent, Offer: o.id})
	}
}

func (c *call) probed(p probed) {
	o := p.offer
	if c.phase == talking && c.agent == o && o.quiet && !c.there(o) {
		c.linkLost(o)
	}
}

// there says whether the phone in the talk can be reached, as far as is known.
func (c *call) there(o *offer) bool {
	return slices.ContainsFunc(reachable(c.ex.registrar.Bindings(string(o.agent))), func(b sip.Binding) bool {
		return b.Source == o.taken.binding.Source
	})
}

// linkLost tells the floor that an agent's link is gone.
func (c *call) linkLost(o *offer) {
	if o.lost {
		return
	}
	o.lost = true
	c.ex.calls.hang(o.agent, !o.dead)
	c.log.Warn("agent's link lost in the talk", zap.String("agent", string(o.agent)))
	c.ex.board.post(acd.Event{Kind: acd.LinkLost, Call: c.id, Agent: o.agent, Offer: o.id})
}

// comfort lets a caller who lost their agent hear so.
func (c *call) comfort() {
	if c.phase != talking || c.agent == nil {
		return
	}
	c.caller.media.Hear(c.playlist("agent-lost"))
	c.caller.media.Watch(false)
}

// rejoin lets both talk on.
func (c *call) rejoin() {
	if c.phase == talking && c.agent != nil {
		c.rewire()
	}
}

// part ends the talk with an agent, and not the call: the caller hears music again.
func (c *call) part(p acd.Part) {
	o := c.agent
	if c.phase != talking || o == nil || o.id != p.Offer {
		return
	}
	why := sip.Reason{SIP: 480, Text: "Link lost"}
	if p.Cause == acd.CauseTransferred {
		why = sip.Reason{Q850: 16, Text: "Transferred"}
		c.given(p)
	} else {
		c.closeConsult(sip.Reject{Code: 480})
		c.abandonTransfer()
		c.dropOut(sip.Reason{Q850: 16})
	}
	c.ex.calls.hang(o.agent, false)
	c.caller.media.Hear(nil)
	if c.rec.handle != 0 {
		o.media.Tap(0, agentChannel)
	}
	c.agent = nil
	c.phase = waiting
	c.caller.held = false // said anew to who comes next
	o.closed = true
	o.hangUp(why)
	o.media.Close(nil)
	c.caller.media.Watch(false)
	c.playMusic(&c.caller)
	c.log.Info("caller waits again", zap.String("agent", string(o.agent)), zap.String("cause", p.Cause.String()))
}

// reachableAgain tells the floor that a phone is back, when the talk it was lost in
// has had time to be heard again: a phone that only lost its line still has the
// call, and need not ring.
func (ex *exchange) reachableAgain(back acd.Event) {
	<-time.After(backWait)
	if ex.calls.isReachable(string(back.Agent)) {
		ex.board.post(back)
	}
}

// hang notes whether an agent's talk hangs by a lost link and may yet go on.
func (t *callTable) hang(agent acd.AgentID, on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if on {
		t.hanging[agent] = true
	} else {
		delete(t.hanging, agent)
	}
}

func (t *callTable) hangs(agent acd.AgentID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hanging[agent]
}
