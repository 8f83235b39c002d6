package acd

import (
	"fmt"
	"slices"
	"time"
)

// Floor is the pure machine: agents, queues and calls. Step, Deadline, Snapshot
// and Check belong to one goroutine.
type Floor struct {
	// OnViolation, if set, is told of a move the tables do not allow, or of agents
	// and calls that do not fit each other: a fault of this package, never of an
	// event. An illegal move has not been made; what did not fit has been repaired
	// (audit.go); the floor goes on. Violations counts them.
	OnViolation func(what string)
	Violations  uint64

	now    time.Time
	agents map[AgentID]*agent
	roster []*agent // every agent, by id
	listed []*agent // as configured
	lines  map[QueueID]*line
	order  []*line // every line, as configured; those removed since come last
	calls  map[CallID]*call
	first  *call // the calls in the order they arrived
	last   *call
	tally  uint64 // calls arrived, to tell apart those of the same moment
	offers uint64 // offers made
	due    deadlines

	// config is the last one given. From it: the limit of each pause, and how long what
	// is remembered of calls that are over must be kept.
	config                   *Config
	limits                   map[string]time.Duration
	pauseEndsIdle            bool
	stickiest, longestReturn time.Duration

	spent  [agentStates]time.Duration // by all agents, also those no longer configured; the states they are in not counted yet
	paused map[string]time.Duration   // of it, by reason of not ready

	promised map[string]*call  // callbacks, by placeKey
	talked   recent[AgentID]   // who talked last, by caller
	left     recent[time.Time] // the turn of who left, by placeKey

	// What this step has made new; see match.go and audit.go.
	freshAgents   []*agent
	freshCalls    []*call
	growing       []*call
	touchedAgents []*agent
	touchedCalls  []*call
	walk          []cursor
	round         uint64
	out           []Action
	frozen        int // bytes of the last image
}

// NewFloor is a floor before its Started event: nobody there, nothing served.
func NewFloor() *Floor {
	f := &Floor{}
	f.reset()
	return f
}

func (f *Floor) reset() {
	*f = Floor{
		OnViolation: f.OnViolation, Violations: f.Violations, now: f.now, round: f.round, out: f.out, frozen: f.frozen,
		agents: map[AgentID]*agent{}, lines: map[QueueID]*line{}, calls: map[CallID]*call{}, promised: map[string]*call{},
		paused: map[string]time.Duration{},
	}
}

// Step applies one event that happened at now, does what is due by now, matches
// callers and agents, and returns what must be carried out, in order. Events may
// come late or twice or about things long gone: those change nothing. Time does
// not run backwards: an earlier now counts as the latest one seen.
//
// The event's Config and Facts are kept and must not be changed afterwards.
func (f *Floor) Step(now time.Time, ev Event) []Action {
	f.begin(now)
	f.apply(&ev)
	f.expire()
	f.match()
	for n := 1; !f.audit() && n < auditRounds; n++ {
		f.match() // whom the repair has left waiting
	}
	out := f.out
	f.out = nil
	return out
}

// begin takes the time without its monotonic part, which a journal cannot keep.
func (f *Floor) begin(now time.Time) {
	if now = now.Round(0); now.After(f.now) {
		f.now = now
	}
}

// Deadline is when the floor must be given a Tick unless something else happens
// before; false when it waits for nothing.
func (f *Floor) Deadline() (time.Time, bool) {
	if t := f.due.next(); t != nil {
		return t.at, true
	}
	return time.Time{}, false
}

func (f *Floor) apply(ev *Event) {
	switch ev.Kind {
	case Started:
		f.start(ev)
	case Reconfigured:
		f.reconfigure(ev.Config)
	case Arrived:
		f.arrive(ev)
	case Gone:
		f.gone(ev)
	case Alerting:
		f.alerting(ev)
	case Answered:
		f.answered(ev)
	case Failed:
		f.failed(ev)
	case Bridged:
		f.bridged(ev)
	case Held, Resumed:
		f.hold(ev)
	case Consult:
		f.consult(ev)
	case ConsultOver:
		f.consultOver(ev)
	case Transfer:
		f.transfer(ev)
	case LinkLost:
		f.linkLost(ev)
	case LinkBack:
		f.linkBack(ev)
	case CallbackAsked:
		f.callbackAsked(ev)
	case CallerBack:
		f.callerBack(ev)
	case CallerMissed:
		if r := f.dialling(f.calls[ev.Call]); r != nil && (ev.Offer == 0 || ev.Offer == r.id) {
			f.callerMissed(r, ev.Cause)
		}
	case CallbacksOpen, CallbacksShut:
		f.callbacks(f.lines[ev.Queue], ev.Kind == CallbacksOpen)
	case Reachable, Unreachable, Login, Logout, MakeReady, Pause, WrapUpDone, Extend, Release:
		if a := f.agents[ev.Agent]; a != nil {
			f.applyTo(a, ev)
		}
	}
	// Rejected, Closed, Tick and Continued are for the journal and the CDR: no queue saw
	// the call, it is over, or nobody becomes free by it.
}

func (f *Floor) applyTo(a *agent, ev *Event) {
	switch ev.Kind {
	case Reachable:
		f.reachable(a)
	case Unreachable:
		f.unreachable(a)
	case Login:
		f.login(a, ev.By)
	case Logout:
		f.logout(a, ev.By)
	case MakeReady:
		f.makeReady(a, ev.By)
	case Pause:
		f.pause(a, ev)
	case WrapUpDone:
		f.wrapUpDone(a, ev)
	case Extend:
		f.extend(a, ev)
	case Release:
		f.freeByOrder(a, ev.By)
	}
}

// expire does all that is due by now, in the order it became due.
func (f *Floor) expire() {
	for t := f.due.next(); t != nil && !t.at.After(f.now); t = f.due.next() {
		f.due.unset(t)
		t.of.expire(f)
	}
}

func (f *Floor) start(ev *Event) {
	f.reset()
	f.reconfigure(ev.Config)
}

func (f *Floor) emit(a Action) { f.out = append(f.out, a) }

// illegal reports a move that no table allows.
func (f *Floor) illegal(format string, args ...any) {
	f.Violations++
	if f.OnViolation != nil {
		f.OnViolation(fmt.Sprintf(format, args...))
	}
}

// append and unlink keep the list of calls in order of arrival.
func (f *Floor) append(c *call) {
	f.calls[c.id] = c
	c.older = f.last
	if f.last != nil {
		f.last.younger = c
	} else {
		f.first = c
	}
	f.last = c
}

func (f *Floor) unlink(c *call) {
	delete(f.calls, c.id)
	if c.older != nil {
		c.older.younger = c.younger
	} else {
		f.first = c.younger
	}
	if c.younger != nil {
		c.younger.older = c.older
	} else {
		f.last = c.older
	}
	c.older, c.younger = nil, nil
}

// allowed looks a move up in a table of legal ones.
func allowed[S ~uint8](table [][]S, from, to S) bool {
	return int(from) < len(table) && slices.Contains(table[from], to)
}
