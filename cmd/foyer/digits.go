package main

import (
	"time"

	"foyer/acd"
	"foyer/rtp"
	"foyer/sip"
)

// Key presses travel as events in the sound (RFC 4733), which the bridge relays
// between two sides that take them, or as INFO requests. What one side sends in a
// way that the other does not take is pressed again for it in its own.

// infoDigit is how long a digit that came by INFO lasts when its sender does not
// say.
const infoDigit = 160 * time.Millisecond

// pressByInfo passes on a key that a side has sent by INFO.
func (c *call) pressByInfo(to *side, ev sip.Info) {
	length := ev.Length
	if length == 0 {
		length = infoDigit
	}
	switch {
	case to.stream.EventPT != 0:
		to.media.SendDigit(ev.Digit, length)
	case c.ex.plan.Load().infoDigits:
		to.leg.Info(ev.Digit, length)
	}
}

// pressByEvent passes on a key that a side has sent as an event to one that takes
// none.
func (c *call) pressByEvent(to *side, ev rtp.Digit) {
	if to.stream.EventPT == 0 && c.ex.plan.Load().infoDigits {
		to.leg.Info(ev.Digit, ev.Length)
	}
}

// opposite is whom a party of a call talks with, nil if it is nobody yet.
func (c *call) opposite(party acd.Party) *side {
	joined := c.phase == talking || c.phase == diverted && c.out != nil && (c.out.taken || c.out.early)
	switch {
	case !joined:
		return nil
	case party != acd.Caller:
		return &c.caller
	case c.phase == talking:
		return &c.agent.side
	}
	return &c.out.side
}
