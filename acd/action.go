package acd

import "time"

// Action is something the floor has decided and the switch must carry out.
// Carrying one out twice is harmless.
type Action interface{ about() CallID }

// About is the call whose owner must carry an action out; "" when it is for others.
func About(a Action) CallID { return a.about() }

// Offer: ring Agent for Call. Match says why this agent. Several offers of one
// call may be out at once; the first to be answered has it.
type Offer struct {
	Call    CallID
	Agent   AgentID
	Queue   QueueID
	Offer   OfferID
	Timeout time.Duration // informative: the floor itself ends the offer
	Match   *Match
	Number  string  // of a callback: the customer, who is called when the agent has answered
	Rejoin  bool    // the agent had this call and lost the line
	Asker   AgentID // who asks Agent in the middle of their talk, or gives the caller to them
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

// Dial: call the customer of a callback at Number, for Agent, who has answered
// or is kept free for it. CallerBack or CallerMissed must follow, with its Offer. A
// Withdraw of that offer ends the dialling too.
type Dial struct {
	Call  CallID
	Agent AgentID
	Queue QueueID
	Offer OfferID
	// Timeout is how long the customer's phone may ring.
	Timeout time.Duration
	Number  string
	// Waiting: the agent is on the line already.
	Waiting bool
}

// Refuse: no agent will take Call; say so to the caller and end it.
type Refuse struct {
	Call  CallID
	Queue QueueID
	Cause Cause
}

// Divert: Call leaves the floor for a number outside or a voicemail box.
type Divert struct {
	Call  CallID
	Queue QueueID
	To    Target
	Cause Cause
}

// Comfort: the agent of Call is lost; let the caller hear so, and music.
type Comfort struct {
	Call  CallID
	Agent AgentID
	Offer OfferID
}

// Rejoin: the agent of Call is back; bridge them again.
type Rejoin struct {
	Call  CallID
	Agent AgentID
	Offer OfferID
}

// Part: the talk of Call with Agent is over, the call is not: hang the agent up
// and let the caller hear the queue. After a transfer, what comes next says more.
type Part struct {
	Call  CallID
	Agent AgentID
	Offer OfferID
	Cause Cause
	By    Party  // of a transfer
	To    string // of a transfer: the agent, queue or number that gets the caller
}

// Consulted: To has answered the Agent of Call, who wants to ask them something:
// let these two talk. Offer is To's.
type Consulted struct {
	Call  CallID
	Agent AgentID
	To    AgentID
	Offer OfferID
}

// NotReached: nothing comes of what the agent of a talk wanted. They still have the
// caller. To or Queue is whom they wanted.
type NotReached struct {
	Call  CallID
	Agent AgentID
	Offer OfferID
	To    AgentID
	Queue QueueID
	Cause Cause
}

// Hangup: end Call, by order of somebody who frees the agent.
type Hangup struct {
	Call  CallID
	Cause Cause
	By    Party
}

// Prove: show that Call still lives, or say that it is Gone. The floor asks when
// it has heard nothing of a talk for long.
type Prove struct {
	Call CallID
}

// Announce: tell the caller their place and what they still have to wait.
type Announce struct {
	Call     CallID
	Queue    QueueID
	Position int           // 1 is next; 0: say nothing of it
	Low      time.Duration // the band of the wait; High is 0 when none is told
	High     time.Duration
}

// OfferCallback: ask the caller of Call whether they want to be called back.
type OfferCallback struct {
	Call  CallID
	Queue QueueID
}

// CallbackKept: Call will be called back as Callback. It needs the line no more.
type CallbackKept struct {
	Call     CallID
	Callback CallID // an older one where the number had one already
	Queue    QueueID
	Number   string
	Position int // among those who wait; 1 is next
}

// CallbackOver: nothing more becomes of a callback.
type CallbackOver struct {
	Call   CallID
	Queue  QueueID
	Number string
	Cause  Cause // how it ended
	Made   bool  // its customer was on the line: the call's own last word follows
}

// Moved: an agent went from one state to another. For boards, metrics and CDRs.
type Moved struct {
	Agent  AgentID
	From   AgentState
	To     AgentState
	Reason string // of NotReady; of leaving a wrap-up, its code
	Cause  Cause
	By     Party
	Call   CallID // the call it was about, if one
	Since  time.Time
}

// Overdue: an agent has been in a state longer than is allowed. They stay in it:
// what an agent wants is never changed by a clock.
type Overdue struct {
	Agent  AgentID
	State  AgentState
	Reason string
	For    time.Duration
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

func (a Offer) about() CallID         { return a.Call }
func (a Withdraw) about() CallID      { return a.Call }
func (a Connect) about() CallID       { return a.Call }
func (a Dial) about() CallID          { return a.Call }
func (a Refuse) about() CallID        { return a.Call }
func (a Divert) about() CallID        { return a.Call }
func (a Comfort) about() CallID       { return a.Call }
func (a Rejoin) about() CallID        { return a.Call }
func (a Part) about() CallID          { return a.Call }
func (a Consulted) about() CallID     { return a.Call }
func (a NotReached) about() CallID    { return a.Call }
func (a Hangup) about() CallID        { return a.Call }
func (a Prove) about() CallID         { return a.Call }
func (a Announce) about() CallID      { return a.Call }
func (a OfferCallback) about() CallID { return a.Call }
func (a CallbackKept) about() CallID  { return a.Call }
func (a CallbackOver) about() CallID  { return a.Call }
func (Moved) about() CallID           { return "" }
func (Overdue) about() CallID         { return "" }
func (a Queued) about() CallID        { return a.Call }
func (Settled) about() CallID         { return "" }
