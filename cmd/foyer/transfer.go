package main

import (
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/console"
	"foyer/sip"
)

// A caller is given away by the agent's phone (REFER) or by order. The floor decides
// whether it can be; until somebody has the caller, the agent still has them.

// transfer is one that is under way.
type transfer struct {
	goal goal
	by   acd.Party
	leg  *sip.Leg // whose REFER asks for it; nil for an order
	asks sip.Referred
	left bool         // the agent has hung up meanwhile
	done chan<- error // of an order: how it went; never blocks
	was  *consult     // whom it goes to has been asked already
}

// orderedTransfer is an operator's or a program's word to give the caller away.
type orderedTransfer struct {
	goal goal
	done chan<- error
}

// referred takes the REFER of a leg of the agent who talks.
func (c *call) referred(leg *sip.Leg, ev sip.Referred) {
	if c.phase != talking || c.transfer != nil || c.agent.lost {
		leg.DeclineReferral(ev, sip.Reject{Code: 491})
		return
	}
	c.followed = false
	t := &transfer{by: acd.Agent, leg: leg, asks: ev}
	if r := ev.To.Replaces; r != nil {
		k := c.consult
		if k == nil || !r.Names(k.leg) && !(leg == k.leg && r.Names(c.agent.leg)) {
			c.refuseReferral(leg, ev, sip.Reject{Code: 481})
			return
		}
		t.goal, t.was = k.goal, k
	} else {
		plan := c.ex.plan.Load()
		if !plan.ours(ev.To.Host, leg.Local().Addr()) {
			leg.DeclineReferral(ev, sip.Reject{Code: 403, Reason: "Only Inside And To Numbers"})
			return
		}
		var err error
		if t.goal, err = plan.goal(time.Now(), ev.To.User); err == nil && t.goal.code != "" {
			err = errFeature
		}
		if err != nil {
			c.log.Info("transfer refused", zap.String("agent", string(c.agent.agent)), zap.String("to", ev.To.User), zap.Error(err))
			leg.DeclineReferral(ev, rejectForGoal(err))
			return
		}
	}
	if leg.AcceptReferral(ev) != nil {
		return
	}
	if t.was == nil && c.consult != nil {
		c.consultOver() // they go to somebody else than who was asked
	}
	c.give(t)
}

// refuseReferral says in the REFER's own subscription that it cannot be: what it
// asked for was tried and failed, while the REFER itself was right.
func (c *call) refuseReferral(leg *sip.Leg, ev sip.Referred, why sip.Reject) {
	if leg.AcceptReferral(ev) == nil {
		leg.Report(ev, why.Code, why.Reason)
	}
}

// give begins a transfer.
func (c *call) give(t *transfer) {
	c.transfer = t
	c.log.Info("transfer", zap.String("agent", string(c.agent.agent)), zap.Stringer("to", &t.goal), zap.String("by", t.by.String()), zap.Bool("attended", t.was != nil))
	switch k := t.was; {
	case k != nil && k.offer != nil:
		c.tellFloor(acd.Transfer, t.by, &goal{agent: k.offer.agent})
	case t.goal.way.number == "":
		c.tellFloor(acd.Transfer, t.by, &t.goal)
	case k != nil:
		c.giveOut()
	default:
		c.closeConsult(sip.Reject{Code: 480})
		if err := c.callAside(t.goal.way.number, c.callerShown()); err != nil {
			c.notReached(rejectForGoal(err).Code, cause(err))
			return
		}
		c.tellFloor(acd.Consult, t.by, &t.goal)
	}
}

// callerShown is whom a number sees that a caller is given to.
func (c *call) callerShown() sip.Caller {
	if c.back {
		return sip.Caller{}
	}
	return c.caller.leg.Caller()
}

// giveOut gives the caller to the number outside, if it has answered.
func (c *call) giveOut() {
	if c.transfer != nil && c.out != nil && c.out.taken {
		c.tellFloor(acd.Transfer, c.transfer.by, &goal{way: way{number: c.out.way.number}})
	}
}

// asideAnswered: the number that the agent wanted has answered.
func (c *call) asideAnswered() {
	if c.transfer != nil {
		c.giveOut()
		return
	}
	c.askedAnswered()
}

// asideLost: the number that the agent wanted does not answer, or has hung up.
func (c *call) asideLost(code int, why string) {
	c.dropOut(sip.Reason{Q850: 16})
	c.tellFloor(acd.ConsultOver, acd.Switch, nil)
	c.notReached(code, why)
}

// floorNotReached: the floor says that nothing comes of a transfer or consultation.
func (c *call) floorNotReached(m acd.NotReached) {
	if c.phase == talking && c.agent.id == m.Offer && !c.follow() {
		c.notReached(codeForMiss(m.Cause), m.Cause.String())
	}
}

// follow asks whom the phone of whoever was asked has named instead, once.
func (c *call) follow() bool {
	g := c.redirect
	c.redirect = nil
	if g == nil || c.followed || c.transfer == nil && c.consult == nil {
		return false
	}
	c.followed = true
	c.log.Info("redirection followed", zap.Stringer("to", g))
	if k := c.consult; k != nil {
		k.goal, k.offer = *g, nil
	}
	if t := c.transfer; t != nil {
		t.goal, t.was = *g, nil
		c.give(t)
	} else {
		c.tellFloor(acd.Consult, acd.Agent, g)
	}
	return true
}

// notReached gives the caller back to the agent who wanted to give them away, or to
// the queue if that agent has gone.
func (c *call) notReached(code int, why string) {
	t := c.transfer
	if k := c.consult; k != nil {
		c.closeConsult(sip.Reject{Code: code})
	}
	if t == nil {
		return
	}
	c.transfer, c.refused = nil, time.Now()
	c.log.Info("transfer failed", zap.Stringer("to", &t.goal), zap.Int("code", code), zap.String("why", why))
	if t.leg != nil {
		t.leg.Report(t.asks, code, "")
	}
	t.tell(&console.StateConflict{State: "talking", Why: "The transfer to " + t.goal.String() + " failed: " + why + ". The agent still has the caller."})
	if t.left {
		c.fallBack()
	}
}

// fallBack sends a caller whose agent has gone to the head of the queue they came by.
func (c *call) fallBack() { c.tellFloor(acd.Transfer, acd.Switch, &goal{queue: c.dest.queue}) }

// reflex is how soon a telephone hangs up that does so by itself when a transfer has
// failed, as baresip 1.0 does. Nobody's thumb is as fast, and no user wants it.
const reflex = 500 * time.Millisecond

// byReflex says whether the agent's phone has hung up for no other reason than that a
// transfer has failed.
func (c *call) byReflex() bool { return time.Since(c.refused) < reflex }

var errCallOver = &console.StateConflict{State: "over", Why: "The call was over before the transfer was."}

// abandonTransfer ends a transfer whose call is over, or whose agent is lost.
func (c *call) abandonTransfer() {
	t := c.transfer
	if t == nil {
		return
	}
	c.transfer = nil
	t.tell(errCallOver)
	if t.leg != nil {
		t.leg.Report(t.asks, 487, "")
	}
}

func (t *transfer) tell(err error) {
	if t.done != nil {
		t.done <- err
		t.done = nil
	}
}

// codeForMiss is what a phone is told whose transfer or call was not taken.
func codeForMiss(cause acd.Cause) int {
	switch cause {
	case acd.CauseBusy, acd.CauseFull:
		return 486
	case acd.CauseDeclined:
		return 603
	case acd.CauseNoAnswer:
		return 408
	case acd.CauseFailed, acd.CauseLinkLost:
		return 500
	}
	return 480
}

// agentLeft: the agent hangs up with a transfer under way, as many phones do once
// their REFER is accepted. The caller hears music; the agent's part is over when
// the transfer is.
func (c *call) agentLeft() {
	c.transfer.left = true
	c.agent.media.Watch(false)
	c.caller.media.Watch(false)
	c.caller.media.Hear(nil)
	c.playMusic(&c.caller)
}

// given: the caller is somebody else's now.
func (c *call) given(p acd.Part) {
	t := c.transfer
	c.transfer = nil
	if t != nil {
		t.tell(nil)
		if t.leg != nil {
			t.leg.Report(t.asks, 200, "")
		}
	}
	c.closeConsult(sip.Reject{Code: 480})
	if c.out != nil && c.out.way.number != p.To {
		c.dropOut(sip.Reason{Q850: 16})
	}
	c.log.Info("caller given away", zap.String("agent", string(p.Agent)), zap.String("to", p.To), zap.String("by", p.By.String()))
}

// putThrough joins the caller and a number outside that has answered the agent. What
// was recorded before is recorded on: it is the caller's call still.
func (c *call) putThrough(d acd.Divert) {
	c.phase, c.cause, c.by, c.out.aside = diverted, d.Cause, acd.Agent, false
	c.joinOutside()
	if c.rec.handle != 0 {
		c.ex.recordings.Join(c.rec.handle, d.To.Number)
		c.out.media.Tap(c.rec.handle, agentChannel)
	}
}

// transferBy takes an order.
func (c *call) transferBy(m orderedTransfer) {
	c.followed = false
	t := &transfer{goal: m.goal, by: acd.Supervisor, done: m.done}
	switch {
	case c.phase != talking:
		t.tell(&console.StateConflict{State: "not talking", Why: "Only a caller who talks with an agent can be transferred."})
	case c.transfer != nil || c.agent.lost:
		t.tell(&console.StateConflict{State: "talking", Why: "Another transfer of this caller is under way."})
	default:
		if c.consult != nil {
			c.consultOver()
		}
		c.give(t)
	}
}
