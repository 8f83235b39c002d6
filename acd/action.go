package acd

import "time"

// Action is something the floor has decided and the switch must carry out.
// Carrying one out twice is harmless.
type Action interface{ action() }

// Offer: ring Agent for Call. Match says why this agent.
type Offer struct {
	Call    CallID
	Agent   AgentID
	Queue   QueueID
	Offer   OfferID
	Timeout time.Duration // informative: the floor itself ends the offer
	Match   *Match
}

// Withdraw: stop ringing Agent for Call. Cause is CauseAbandoned, CauseNoAnswer,
// CauseElsewhere …; an answer that crosses it is hung up.
type Withdraw struct {
	Call  CallID
	Agent AgentID
	Offer OfferID
	Cause Cause
}

// Connect: this offer won; bridge Call and Agent now.
type Connect struct {
	Call  CallID
	Agent AgentID
	Offer OfferID
}

// Refuse: no agent will take Call; say so to the caller and end it.
type Refuse struct {
	Call  CallID
	Queue QueueID
	Cause Cause
}

// Moved: an agent went from one state to another. For boards, metrics and CDRs.
type Moved struct {
	Agent  AgentID
	From   AgentState
	To     AgentState
	Reason string // of NotReady
	Cause  Cause
	By     Party
	Call   CallID // the call it was about, if one
	Since  time.Time
}

// Queued: Call entered Queue (first, or by overflow from From).
type Queued struct {
	Call  CallID
	Queue QueueID
	From  QueueID
}

// Settled: the floor is done with Call. Bridged calls settle when they end.
type Settled struct {
	Call  CallID
	Cause Cause
	By    Party
}

func (Offer) action()    {}
func (Withdraw) action() {}
func (Connect) action()  {}
func (Refuse) action()   {}
func (Moved) action()    {}
func (Queued) action()   {}
func (Settled) action()  {}
