package acd

import (
	"cmp"
	"time"
)

// AgentState is what an agent is doing. Its zero value is the safe one: nothing is offered.
type AgentState uint8

const (
	Off      AgentState = iota // not logged in, or no phone reachable
	NotReady                   // logged in and paused, for a reason
	Ready                      // free for the next call
	Offered                    // being rung for a call
	Talking                    // with a caller
	WrapUp                     // finishing the work after a call
)

// agentMoves is every legal move. From not ready to not ready is a new reason.
var agentMoves = [][]AgentState{
	Off:      {NotReady, Ready},
	NotReady: {Off, NotReady, Ready},
	Ready:    {Off, NotReady, Offered},
	Offered:  {Off, NotReady, Ready, Talking},
	Talking:  {Off, NotReady, Ready, WrapUp},
	WrapUp:   {Off, NotReady, Ready},
}

// ReasonMissed is the reason of an agent whom the floor has paused because they
// let calls ring out.
const ReasonMissed = "missed"

// reasonLogin is the reason of an agent who has logged in and not yet asked for calls.
const reasonLogin = "login"

// intent is what an agent has last asked for. It is a register: the last one
// written holds, and the floor returns to it whenever the agent is not on a call.
type intent uint8

const (
	wantsNothing intent = iota // has not been here in this life of the switch
	wantsOff
	wantsPause
	wantsCalls
)

func (i intent) present() bool { return i >= wantsPause }

// agent is a person at work.
type agent struct {
	id     AgentID
	ready  bool // becomes ready with the first registration
	skills map[string]int
	seats  []*seat

	state     AgentState
	since     time.Time // in this state, or not ready for this reason
	cause     why       // of this state
	want      intent
	pause     why // goes with wantsPause
	reachable bool
	leaving   bool // no longer configured; gone when their call is
	listed    bool // stands in the ready rows of their lines
	isFresh   bool // listed since the last match

	idle   time.Time // see the glossary
	call   *call     // offered or talking
	about  CallID    // the call of this state, wrap-up included
	rings  time.Time // when the offer ends
	wraps  time.Time // when the wrap-up ends
	due    timer
	missed int // offers rung out in a row
	// failures counts offers in a row that failed before the phone rang; holds
	// until backoff.
	failures int
	backoff  time.Time
	// forgiven counts how often the agent was made ready: exclusions of an older
	// count for missed calls no longer hold.
	forgiven uint32

	spent [WrapUp + 1]time.Duration // in each state, this one not counted yet
	born  time.Time
}

// why goes with a change of state.
type why struct {
	reason string
	cause  Cause
	by     Party
	call   CallID
}

func byIdle(a, b *agent) int {
	if c := a.idle.Compare(b.idle); c != 0 {
		return c
	}
	return cmp.Compare(a.id, b.id)
}

// move is the only function that changes an agent's state.
func (f *Floor) move(a *agent, to AgentState, w why) {
	from := a.state
	if !allowed(agentMoves, from, to) {
		f.illegal("agent %s: %s -> %s", a.id, from, to)
		return
	}
	a.spent[from] += f.now.Sub(a.since)
	a.state, a.since, a.cause = to, f.now, w
	if to != NotReady {
		a.cause.reason = ""
	}
	f.list(a)
	for _, s := range a.seats {
		f.recount(s, from, to, w.cause)
	}
	switch to {
	case Offered, Talking, WrapUp:
		a.about = w.call
	default:
		a.about = ""
	}
	f.due.set(&a.due, a.nextDue(f.now))
	f.emit(Moved{
		Agent: a.id, From: from, To: to, Reason: a.cause.reason,
		Cause: w.cause, By: w.by, Call: w.call, Since: f.now,
	})
}

// nextDue is when an agent's state ends by itself; zero if it does not.
func (a *agent) nextDue(now time.Time) time.Time {
	switch {
	case a.state == Offered:
		return a.rings
	case a.state == WrapUp:
		return a.wraps
	case a.state == Ready && a.backoff.After(now):
		return a.backoff
	}
	return time.Time{}
}

// list keeps a ready agent in the ready rows of their lines, unless backing off.
func (f *Floor) list(a *agent) {
	should := a.state == Ready && !a.backoff.After(f.now)
	if should && !a.isFresh {
		a.isFresh = true
		f.freshAgents = append(f.freshAgents, a)
	}
	if should == a.listed {
		return
	}
	a.listed = should
	for _, s := range a.seats {
		if s.lacks != "" {
			continue
		}
		if should {
			s.line.ready.add(a)
		} else {
			s.line.ready.remove(a)
		}
	}
}

// idleSince starts the idle clock. The ready rows are ordered by it, so it only
// moves while the agent stands in none.
func (f *Floor) idleSince(a *agent, at time.Time) {
	if a.listed {
		f.illegal("agent %s: idle clock moved while ready", a.id)
		return
	}
	a.idle = at
}

// rest puts an agent who is on no call where their intent and their phone say.
func (f *Floor) rest(a *agent, w why) {
	a.call = nil
	to := NotReady
	switch {
	case a.leaving || !a.want.present():
		to = Off
	case !a.reachable:
		to, w.cause, w.by = Off, CauseUnreachable, Switch
	case a.want == wantsCalls:
		to = Ready
	case w.reason == "":
		w.reason = a.pause.reason
		w.cause = cmp.Or(w.cause, a.pause.cause)
		w.by = cmp.Or(w.by, a.pause.by)
	}
	if to == a.state && (to != NotReady || w.reason == a.cause.reason) {
		return
	}
	f.move(a, to, w)
	if a.leaving && to == Off {
		f.dismiss(a)
	}
}

// agentDue: the offer has rung out, the wrap-up is over, or the back-off is.
func (f *Floor) agentDue(a *agent) {
	switch a.state {
	case Offered:
		f.rangOut(a)
	case WrapUp:
		f.endWrapUp(a, Switch)
	case Ready:
		f.list(a)
	}
}
