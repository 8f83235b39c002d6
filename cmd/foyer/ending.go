package main

import (
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/rtp"
	"foyer/sip"
)

// end ends the call now, whatever its phase.
func (c *call) end(by acd.Party, cause acd.Cause) {
	if cause == acd.CauseDraining && c.back && !c.answered {
		c.postpone()
		return
	}
	switch c.phase {
	case closing, over:
	case leaving:
		// The caller did not wait for the end of the announcement: the refusal
		// stays the cause, for it is why nobody answered.
		c.finish(c.by, c.cause)
	default:
		c.finish(by, cause)
	}
}

// finish hangs up every leg and says so to the floor; the call's last word
// follows when its media has been measured.
func (c *call) finish(by acd.Party, cause acd.Cause) {
	c.by, c.cause = by, cause
	queued := c.told && c.dest.cause == acd.CauseUnknown
	c.saveAs(closing)
	for id := range c.offers {
		c.withdraw(id, acd.CauseAbandoned)
	}
	c.stopRecording()
	c.abandonTransfer()
	c.closeConsult(sip.Reject{Code: 487})
	if c.agent != nil {
		c.ex.calls.hang(c.agent.agent, false)
		c.agent.hangUp(reasonFor(cause, by))
	}
	c.dropOut(reasonFor(cause, by))
	c.closeCallerLeg()
	if !c.told {
		c.tellRejected(c.code)
	}
	if queued {
		c.ex.board.post(acd.Event{Kind: acd.Gone, Call: c.id, By: by, Cause: cause, Code: c.code})
	}
	c.hangUpMedia()
}

// closeCallerLeg ends the caller's leg with a final response or a BYE.
func (c *call) closeCallerLeg() {
	switch {
	case c.caller.leg == nil: // the customer of a callback was never reached
	case c.answered:
		c.code = 200
		c.caller.leg.Hangup(reasonFor(c.cause, c.by))
	case c.code == 0:
		r := rejectFor(c.cause)
		c.code = r.Code
		c.caller.leg.Reject(r)
	}
}

// hangUpMedia releases the ports and asks what was measured.
func (c *call) hangUpMedia() {
	c.phase = closing
	c.measures = 0
	if m := c.caller.media; m != nil {
		c.measures++
		m.Close(func(r rtp.Report) { c.box.post(measured{party: acd.Caller, report: r}) })
	}
	if c.agent != nil {
		c.measures++
		c.agent.media.Close(func(r rtp.Report) { c.box.post(measured{party: acd.Agent, report: r}) })
	}
	if c.measures == 0 {
		c.lastWord()
	}
}

func (c *call) measured(m measured) {
	q := qualityOf(m.report)
	if m.party == acd.Caller {
		c.facts.CallerLeg, c.facts.Codec = q, q.Codec
	} else {
		c.facts.AgentLeg = q
	}
	c.ex.metrics.legClosed(m.party, m.report)
	if c.measures--; c.measures == 0 && c.phase == closing {
		c.lastWord()
	}
}

// lastWord closes the books of the call: after it nothing more will be known.
func (c *call) lastWord() {
	c.phase = over
	c.ex.dialOver(c.passage)
	c.facts.Code, c.facts.Q850 = c.code, q850Of(c.cause)
	c.facts.Recording, c.facts.RecordedMS = c.rec.id, c.rec.length.Milliseconds()
	facts := c.facts
	c.ex.board.post(acd.Event{Kind: acd.Closed, Call: c.id, By: c.by, Cause: c.cause, Code: c.code, Facts: &facts})
	c.ex.journal.diary.note(endEntry, string(c.id))
	c.log.Info("call ended", zap.String("by", c.by.String()), zap.String("cause", c.cause.String()),
		zap.Int("code", c.code), zap.Duration("lasted", time.Since(c.begun).Round(time.Millisecond)))
}

// guard confines a broken invariant to this call: it is logged with its stack,
// the call ends with CausePanic, and every other call goes on.
func (c *call) guard(step func()) {
	if c.survives(step) || c.phase == over {
		return
	}
	if c.phase < closing && c.survives(func() { c.end(acd.Switch, acd.CausePanic) }) {
		return
	}
	c.letGo()
}

// survives runs step and says whether it came to its end.
func (c *call) survives(step func()) (whole bool) { return c.ex.confined(aCall, c.log, step) }

// letGo is for a call whose clean-up broke as well: whatever can still be given
// back is, one thing at a time, and the books are closed.
func (c *call) letGo() {
	phase := c.phase
	offers := make([]*offer, 0, len(c.offers)+1)
	for _, o := range c.offers {
		offers = append(offers, o)
	}
	if c.agent != nil {
		offers = append(offers, c.agent)
	}
	for _, o := range offers {
		c.survives(func() { o.hangUp(sip.Reason{SIP: 500}) })
		c.survives(func() { o.media.Close(nil) })
	}
	c.survives(c.stopRecording)
	c.survives(func() { c.closeConsult(sip.Reject{Code: 500}) })
	c.survives(func() { c.dropOut(sip.Reason{SIP: 500}) })
	if c.caller.leg != nil {
		c.survives(func() { c.caller.leg.Hangup(sip.Reason{SIP: 500}) })
	}
	c.survives(func() { c.caller.media.Close(nil) })
	c.survives(func() {
		if !c.told {
			c.tellRejected(c.code)
		}
		if phase < closing {
			c.by, c.cause = acd.Switch, acd.CausePanic
			c.ex.board.post(acd.Event{Kind: acd.Gone, Call: c.id, By: c.by, Cause: c.cause, Code: c.code})
		}
		c.lastWord()
	})
	c.phase = over
}
