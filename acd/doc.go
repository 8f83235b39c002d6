// Package acd decides who takes which call. It is a pure machine: it is told
// what happened and when ([Floor.Step]), and answers with what must be done.
// It has no clock, no I/O, no goroutine and no lock, so the same events at the
// same times give the same decisions, for ever: a journal of events is at once
// the audit trail, the crash recovery, and the explanation of every decision.
//
// # How an event is handled
//
// Step does three things, always in this order: it applies the event, it does
// what has become due by now, and it brings waiting callers and free agents
// together. When it returns, no waiting call is left that some ready agent may
// take. Each of the three touches only what the event concerns.
//
// # Glossary
//
//	agent       a person who takes calls, on whatever phones they have
//	back-off    a pause in offering anything to an agent whose phone fails time after time
//	call        a customer's call, from its arrival to its end, whoever it talks to
//	caller      who rang in
//	calendar    when a queue is open: weekly hours, public holidays, exceptions by date
//	cause       why a call, an offer or a state ended
//	client      the company whose customers call; queues and numbers belong to one
//	consult     an agent's call to somebody else while their caller holds
//	DID         the number a caller dialled, which leads to a queue
//	empty       of a queue: no agent of it is logged in with a reachable phone
//	estimate    how long a caller will still wait, as a band: half wait at most so long, nine in ten so long
//	exclusion   an agent whom one call is not offered to again, for a time or for good
//	floor       all agents, queues and calls together
//	head start  seconds of waiting that a call is credited with: its priority
//	idle        how long an agent has handled nothing: since the end of the last call handled
//	            (wrap-up included) or since login; a pause or a missed offer does not change it
//	intent      what an agent has last asked for: to be ready, paused or logged out; it wins
//	            over whatever the floor would do by itself
//	level       how well an agent has a skill, 1 to 5
//	line        a queue at work: who waits in it, who serves it
//	match       the reasons for one offer: who was considered, who was left out and why
//	missed      of an offer: it rang out
//	offer       the ringing of one agent for one call; numbered from 1 for each call
//	overflow    the move of a call that has waited long enough to another queue, or its refusal
//	pace        how fast a queue is served: agents, handle time, and how soon callers leave
//	party       who caused something: caller, agent, supervisor, the switch, the carrier
//	pause       being logged in and not ready, for a reason
//	reachable   of an agent: a phone of theirs answers, as the switch itself has found out
//	seat        an agent's place in one queue
//	settled     of a call: the floor has nothing more to do with it
//	transfer    an agent's giving their caller to another agent, a queue or a number; they wrap up, the call goes on
//	wait        the time since a call arrived, in whatever queues it has been
//	wrap-up     an agent's work after a call, before the next
package acd
