package acd

import (
	"cmp"
	"time"
)

// AgentState is what an agent is doing. Its zero value is the safe one: nothing is
// offered. An agent with several contacts at once is in the state of the one that
// binds them most: talking before being rung, being rung before wrapping up.
type AgentState uint8

const (
	Off        AgentState = iota // no phone of theirs is reachable
	Registered                   // a phone is reachable, but they are not logged in
	NotReady                     // logged in and paused, for a reason
	Ready                        // free for the next call
	Reserved                     // chosen for a call; their phone has not rung yet
	Offered                      // their phone rings
	Talking                      // with a caller
	OnHold                       // with a caller, one of whom has put the other on hold
	Consulting                   // with a caller on hold, while asking somebody else; or asked so
	WrapUp                       // finishing the work after a call

	agentStates = 10
)

// agentMoves is every legal move. From not ready to not ready is a new reason.
var agentMoves = [][]AgentState{
	Off:        {Registered, NotReady, Ready},
	Registered: {Off, NotReady, Ready},
	NotReady:   {Off, Registered, NotReady, Ready, Reserved}, // by a colleague's call
	Ready:      {Off, Registered, NotReady, Reserved},
	Reserved:   {Off, Registered, NotReady, Ready, Offered, Talking, Consulting, WrapUp},
	Offered:    {Off, Registered, NotReady, Ready, Reserved, Talking, Consulting, WrapUp},
	Talking:    {Off, Registered, NotReady, Ready, Reserved, Offered, OnHold, Consulting, WrapUp},
	OnHold:     {Off, Registered, NotReady, Ready, Reserved, Offered, Talking, Consulting, WrapUp},
	Consulting: {Off, Registered, NotReady, Ready, Reserved, Offered, Talking, OnHold, WrapUp},
	WrapUp:     {Off, Registered, NotReady, Ready, Reserved, Offered, Talking},
}

// ReasonMissed is the reason of an agent whom the floor has paused because they
// let calls ring out.
const ReasonMissed = "missed"

// ReasonLogin is that of an agent who has logged in and not yet asked for calls.
const ReasonLogin = "login"

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
	id    AgentID
	cfg   *AgentCfg
	rank  int // place in the configuration
	seats []*seat

	state     AgentState
	since     time.Time // in this state, or not ready for this reason
	cause     why       // of this state
	want      intent
	pause     why // goes with wantsPause
	reachable bool
	leaving   bool        // no longer configured; gone when their call is
	moved     bool        // to be seated anew by a reconfiguration
	room      [media]bool // may be given one more contact of this kind
	isFresh   bool        // has got room since the last match
	touched   bool        // changed since the last audit

	idle  time.Time      // see the glossary
	hands []*reservation // contacts in hand: rung for, talking, wrapping up
	about CallID         // the contact of this state
	// awaited are calls that wait for this agent alone, as long as they are at work.
	awaited []*call
	due     timer
	// missed counts offers rung out in a row; failures those that failed before
	// the phone rang, and holds until backoff.
	missed, failures int
	backoff          time.Time
	// forgiven counts how often the agent was made ready: exclusions of an older
	// count for missed calls no longer hold.
	forgiven uint32

	// Since login: contacts handled, answered and lost before the bridge, and the
	// time with callers.
	handled, dumped int
	talked          time.Duration

	spent [agentStates]time.Duration // in each state, this one not counted yet
	born  time.Time

	mark int // in an image that is being made
}

// why goes with a change of state.
type why struct {
	reason string
	cause  Cause
	by     Party
	call   CallID
}

// atEase says whether an agent has nothing in hand, so that their intent takes
// effect at once.
func (a *agent) atEase() bool { return len(a.hands) == 0 }

// atWork says whether an agent in this state adds to what a queue can serve.
func (s AgentState) atWork() bool { return s >= Ready }

// move is the only function that changes an agent's state.
func (f *Floor) move(a *agent, to AgentState, w why) {
	from := a.state
	if !allowed(agentMoves, from, to) {
		f.illegal("agent %s: %s -> %s", a.id, from, to)
		return
	}
	f.touch(a)
	f.spend(a)
	code := ""
	if from == WrapUp {
		code = w.reason
	}
	a.state, a.since, a.cause = to, f.now, w
	if to != NotReady {
		a.cause.reason = ""
	}
	for _, s := range a.seats {
		f.recount(s, from, to, w.cause)
	}
	f.emit(Moved{
		Agent: a.id, From: from, To: to, Reason: cmp.Or(a.cause.reason, code),
		Cause: w.cause, By: w.by, Call: w.call, Since: f.now,
	})
}

// spend counts the time an agent has been in a state that ends now.
func (f *Floor) spend(a *agent) {
	d := f.now.Sub(a.since)
	a.spent[a.state] += d
	f.spent[a.state] += d
	if a.state == NotReady {
		f.paused[a.cause.reason] += d
	}
}

// rest puts an agent into the state that their contacts, their intent and their
// phone make, and is the only caller of move. w tells why, as far as known.
func (f *Floor) rest(a *agent, w why) {
	to, r := a.bound()
	switch {
	case r != nil:
		w.call, w.reason = r.call.id, ""
	case a.leaving, !a.want.present():
		if to = Off; a.reachable && !a.leaving {
			to = Registered
		}
	case !a.reachable:
		to, w.cause, w.by = Off, CauseUnreachable, Switch
	case a.want == wantsCalls:
		to = Ready
	default:
		to = NotReady
		if w.reason == "" || a.state == WrapUp {
			w.reason = a.pause.reason
			w.cause = cmp.Or(w.cause, a.pause.cause)
			w.by = cmp.Or(w.by, a.pause.by)
		}
	}
	about := CallID("")
	if r != nil {
		about = r.call.id
	}
	if to != a.state || to == NotReady && w.reason != a.cause.reason {
		f.move(a, to, w)
	}
	a.about = about
	for len(a.awaited) > 0 && (!a.state.atWork() || a.want != wantsCalls) {
		f.unprefer(a.awaited[len(a.awaited)-1])
	}
	f.list(a)
	f.due.set(&a.due, f.agentNext(a))
	if a.leaving && a.atEase() {
		f.dismiss(a)
	}
}

// bound is the state that the contacts in hand put an agent in, and which of them
// does; no contact if there is none.
func (a *agent) bound() (state AgentState, most *reservation) {
	rank := 0
	for _, r := range a.hands {
		s, n := r.binds()
		if n *= 2; r.kind == Voice {
			n++ // of two alike the call: the other can wait
		}
		if n > rank {
			state, most, rank = s, r, n
		}
	}
	return state, most
}

// agentNext is when something is due in an agent's state; zero if nothing is. What
// is in hand has deadlines of its own.
func (f *Floor) agentNext(a *agent) time.Time {
	switch {
	case a.backoff.After(f.now):
		return a.backoff
	case a.state == NotReady:
		if most := f.limits[a.cause.reason]; most > 0 && !a.since.Add(most).Before(f.now) {
			return a.since.Add(most)
		}
	}
	return time.Time{}
}

// expire: the back-off is over, or a pause is longer than its reason allows.
func (a *agent) expire(f *Floor) {
	if a.state == NotReady {
		if most := f.limits[a.cause.reason]; most > 0 && !f.now.Before(a.since.Add(most)) {
			f.emit(Overdue{Agent: a.id, State: NotReady, Reason: a.cause.reason, For: f.now.Sub(a.since)})
		}
		return
	}
	f.list(a)
}

// overdue says whether an agent is paused for longer than the reason allows.
func (f *Floor) overdue(a *agent, now time.Time) bool {
	most := f.limits[a.cause.reason]
	return a.state == NotReady && most > 0 && now.Sub(a.since) >= most
}

// takes says whether an agent may be given one more contact of a kind.
func (f *Floor) takes(a *agent, m Medium) bool {
	if a.want != wantsCalls || !a.reachable || a.leaving || a.backoff.After(f.now) {
		return false
	}
	n := 0
	for _, r := range a.hands {
		if r.kind == m {
			n++
		}
		if !beside[m][r.kind] {
			return false
		}
	}
	return n < a.cfg.Capacity.of(m)
}

// list keeps an agent's seats in the ready rows of their lines while they have
// room for the contacts of that line.
func (f *Floor) list(a *agent) {
	room := false
	for m := range media {
		a.room[m] = f.takes(a, Medium(m))
		room = room || a.room[m]
	}
	if room && !a.isFresh {
		a.isFresh = true
		f.freshAgents = append(f.freshAgents, a)
	}
	for _, s := range a.seats {
		if should := s.ring >= 0 && a.room[s.line.cfg.Medium]; should != s.listed {
			f.seatListed(s, should)
		}
	}
}

// seatListed puts a seat into the ready row of its line, or takes it out.
func (f *Floor) seatListed(s *seat, listed bool) {
	s.listed = listed
	n := 1
	if listed {
		s.line.ready[s.ring].add(s)
	} else {
		s.line.ready[s.ring].remove(s)
		n = -1
	}
	if s.round == f.round { // a match is taking them
		s.line.fresh += n
	}
}

// rekey changes something that ready rows are ordered by: the agent leaves them
// meanwhile.
func (f *Floor) rekey(a *agent, change func()) {
	for _, s := range a.seats {
		if s.listed {
			f.seatListed(s, false)
		}
	}
	change()
	f.list(a)
}

// idleSince starts the idle clock.
func (f *Floor) idleSince(a *agent, at time.Time) {
	f.rekey(a, func() { a.idle = at })
}
