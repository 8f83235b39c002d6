package acd

import (
	"slices"
	"time"
)

// What an agent, or a supervisor for them, asks for. During an offer, a talk or
// the wrap-up it says what comes next; otherwise it takes effect at once.

// enterFloor notes that an agent who was not here now is: the idle clock starts.
func (f *Floor) enterFloor(a *agent) {
	if !a.want.present() {
		f.rekey(a, func() { a.idle, a.handled, a.talked, a.dumped = f.now, 0, 0, 0 })
	}
}

func (f *Floor) login(a *agent, by Party) {
	if a.want.present() {
		return
	}
	f.enterFloor(a)
	if a.want = wantsPause; a.cfg.ReadyOnRegister {
		a.want = wantsCalls
	}
	a.pause = why{reason: ReasonLogin, by: by}
	f.rest(a, why{by: by})
}

func (f *Floor) logout(a *agent, by Party) {
	a.want = wantsOff
	f.rest(a, why{by: by})
}

// makeReady is the one action that undoes a pause for missed calls: the agent
// may be offered again even the calls they missed. It also ends a wrap-up.
func (f *Floor) makeReady(a *agent, by Party) {
	f.enterFloor(a)
	a.want = wantsCalls
	a.missed, a.failures, a.backoff = 0, 0, time.Time{}
	a.forgiven++
	if r := a.wrapping(""); r != nil && r.line.cfg.WrapMode != WrapCoded {
		f.endWrapUp(r, by, "")
	}
	// Even where nothing moves, calls that left them out may look again.
	f.rest(a, why{by: by})
}

func (f *Floor) pause(a *agent, ev *Event) {
	f.enterFloor(a)
	a.want = wantsPause
	a.pause = why{reason: ev.Reason, by: ev.By, cause: ev.Cause}
	if a.state == Ready && f.pauseEndsIdle {
		f.idleSince(a, f.now)
	}
	f.rest(a, why{reason: ev.Reason, by: ev.By, cause: ev.Cause})
}

// reachable: a phone of the agent's answers. Whoever was here before comes back
// as they were; who comes for the first time is ready if so configured. Nobody
// who has logged out is logged in by a phone.
//
// Who has lost the line in a talk is rung for it again, also when the switch had
// not yet noticed the loss and now finds another phone.
func (f *Floor) reachable(a *agent) {
	known := a.reachable
	if r := a.lostTalk(); r != nil {
		a.reachable = true
		f.ringBack(r)
	}
	if known {
		return
	}
	a.reachable = true
	a.failures, a.backoff = 0, time.Time{}
	if a.want == wantsNothing && a.cfg.ReadyOnRegister {
		f.enterFloor(a)
		a.want = wantsCalls
	}
	f.rest(a, why{by: Switch})
}

// unreachable: no phone of the agent's answers any more. A talk goes on, because
// only its own media and signalling know whether it still lives; an offer has failed.
func (f *Floor) unreachable(a *agent) {
	if !a.reachable {
		return
	}
	a.reachable = false
	for _, r := range slices.Clone(a.hands) {
		if r.stage == ringing {
			f.emit(Withdraw{Call: r.call.id, Agent: a.id, Offer: r.id, Cause: CauseUnreachable})
			if r == r.call.aside {
				f.asideFailed(r, CauseUnreachable, Switch)
			} else {
				f.miss(r, CauseUnreachable, Switch)
			}
		}
	}
	f.rest(a, why{cause: CauseUnreachable, by: Switch})
}
