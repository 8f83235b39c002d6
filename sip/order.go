package sip

import "time"

// A phone that is rung while the end of its last call is still on the way to it says
// that it is busy, or shows its user two calls. On the open internet an INVITE does
// overtake a CANCEL; and who decides on a call to be ended and one to begin may have
// both carried out by different goroutines. So a call to a phone waits until the
// phone has answered for the end of the call before it.

// toldWithin is how long an INVITE waits for that.
const toldWithin = 500 * time.Millisecond

// place is one phone: its contact, by one flow.
type place struct {
	flow
	contact string
}

// ending is the last thing said on a leg to a phone.
type ending struct {
	told  chan struct{} // closed when the phone has answered for it, or the leg is over
	known bool          // it is closed
}

// acknowledged notes that the phone knows that the call is over. The caller holds
// the leg's mu.
func (e *ending) acknowledged() {
	if e.told != nil && !e.known {
		e.known = true
		close(e.told)
	}
}

// afterLast waits until the phone has been told that the call before this one is
// over. A leg that is hung up meanwhile waits too, for the sake of who waits for it.
func (l *Leg) afterLast() {
	last := l.last
	if l.last = nil; last == nil {
		return
	}
	last.mu.Lock()
	talks := last.phase == up && l.e.o.Now().Sub(last.ackSince) > toldWithin
	last.mu.Unlock()
	if talks {
		return // an agent may have several calls; one just answered may have been withdrawn
	}
	limit := time.NewTimer(toldWithin)
	defer limit.Stop()
	select {
	case <-last.end.told:
	case <-limit.C:
	}
}
