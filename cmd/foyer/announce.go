package main

import (
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/rtp"
)

// What a caller is told while they wait, and the one key they may press.

// say plays prompts over the music of a waiting caller.
func (c *call) say(token uint64, ids ...string) {
	c.caller.media.Interject(c.ex.plan.Load().voice(c.client).Say(ids...), token)
}

// announce tells the caller their place and how long they may still have to wait.
func (c *call) announce(a acd.Announce) {
	if c.phase != waiting || c.caller.owed {
		return
	}
	voice := c.ex.plan.Load().voice(c.client)
	var sounds []*rtp.Sound
	if a.Position > 0 {
		sounds = append(sounds, voice.Position(a.Position)...)
	}
	if a.High > 0 {
		sounds = append(sounds, voice.Wait(a.Low, a.High)...)
	}
	if len(sounds) > 0 {
		c.caller.media.Interject(sounds, 0)
	}
}

// offerCallback asks the caller whether they want to be called back, if they can be.
func (c *call) offerCallback() {
	if c.phase != waiting || c.caller.owed {
		return
	}
	plan := c.ex.plan.Load()
	b := plan.queues[c.dest.queue].callback
	if b == nil {
		return // no longer, by the latest configuration
	}
	if _, err := plan.wouldDial(time.Now(), dialer{client: c.dest.client}, c.facts.From); err != nil {
		c.log.Debug("no callback offered", zap.Error(err))
		return
	}
	c.mayAsk = true
	c.say(0, b.Prompt)
}

// pressed takes a key of the caller, or of whoever they are put through to.
func (c *call) pressed(who acd.Party, digit byte) {
	switch {
	case who != acd.Caller:
	case c.phase == waiting && c.mayAsk && c.ex.plan.Load().asksForCallback(c.dest.queue, digit):
		c.mayAsk = false
		c.ex.board.post(acd.Event{
			Kind: acd.CallbackAsked, Call: newCallID(time.Now()), Origin: c.id, Queue: c.dest.queue,
			Number: c.facts.From, By: acd.Caller, Facts: c.callbackFacts(),
		})
	case c.phase == messaging && digit == '#':
		c.messageLeft()
	}
}

// callbackFacts is what the CDR of a callback knows from the call it was asked in.
func (c *call) callbackFacts() *acd.Facts {
	f := c.facts
	return &acd.Facts{Client: f.Client, DID: f.DID, From: f.From, Trunk: f.Trunk}
}

// callbackKept tells a caller that they will be called back, and lets them go.
func (c *call) callbackKept(k acd.CallbackKept) {
	if c.phase != waiting {
		return
	}
	c.phase, c.cause, c.by = leaving, acd.CauseCallback, acd.Caller
	c.log.Info("callback promised", zap.String("callback", string(k.Callback)), zap.Int("position", k.Position))
	c.sayLast("callback-taken")
}
