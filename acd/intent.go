package acd

import "time"

// What an agent, or a supervisor for them, asks for. During an offer, a talk or
// the wrap-up it says what comes next; otherwise it takes effect at once.

// atEase says whether an agent's intent takes effect at once.
func (a *agent) atEase() bool { return a.state <= Ready }

// enterFloor notes that an agent who was not here now is: the idle clock starts.
func (f *Floor) enterFloor(a *agent) {
	if !a.want.present() {
		f.idleSince(a, f.now)
	}
}

func (f *Floor) login(a *agent, by Party) {
	if a.want.present() {
		return
	}
	f.enterFloor(a)
	if a.want = wantsPause; a.ready {
		a.want = wantsCalls
	}
	a.pause = why{reason: reasonLogin, by: by}
	if a.atEase() {
		f.rest(a, why{by: by})
	}
}

func (f *Floor) logout(a *agent, by Party) {
	a.want = wantsOff
	if a.atEase() {
		f.rest(a, why{by: by})
	}
}

// makeReady is the one action that undoes a pause for missed calls: the agent
// may be offered again even the calls they missed. It also ends a wrap-up.
func (f *Floor) makeReady(a *agent, by Party) {
	f.enterFloor(a)
	a.want = wantsCalls
	a.missed, a.failures, a.backoff = 0, 0, time.Time{}
	a.forgiven++
	switch {
	case a.state == WrapUp:
		f.endWrapUp(a, by)
	case a.state == Ready:
		// Ready already: nothing to move, but calls that left them out may look again.
		f.due.set(&a.due, a.nextDue(f.now))
		f.list(a)
	case a.atEase():
		f.rest(a, why{by: by})
	}
}

func (f *Floor) pause(a *agent, ev *Event) {
	f.enterFloor(a)
	a.want = wantsPause
	a.pause = why{reason: ev.Reason, by: ev.By, cause: ev.Cause}
	if a.atEase() {
		f.rest(a, why{reason: ev.Reason, by: ev.By, cause: ev.Cause})
	}
}

// reachable: a phone of the agent's answers. Whoever was here before comes back
// as they were; who comes for the first time is ready if so configured. Nobody
// who has logged out is logged in by a phone.
func (f *Floor) reachable(a *agent) {
	if a.reachable {
		return
	}
	a.reachable = true
	a.failures, a.backoff = 0, time.Time{}
	if a.want == wantsNothing && a.ready {
		f.enterFloor(a)
		a.want = wantsCalls
	}
	if a.state == Off {
		f.rest(a, why{by: Switch})
	}
}

// unreachable: no phone of the agent's answers any more. A talk goes on, because
// only its own media and signalling know whether it still lives; an offer has failed.
func (f *Floor) unreachable(a *agent) {
	if !a.reachable {
		return
	}
	a.reachable = false
	switch a.state {
	case NotReady, Ready:
		f.rest(a, why{cause: CauseUnreachable, by: Switch})
	case Offered:
		c := a.call
		f.emit(Withdraw{Call: c.id, Agent: a.id, Offer: c.offer, Cause: CauseUnreachable})
		f.miss(c, CauseUnreachable, Switch)
	}
}
