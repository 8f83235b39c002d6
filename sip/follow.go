package sip

// A phone moves: its router restarts and gives it another port, its line gets
// another address, its connection breaks and it makes a new one. What is said
// inside its calls has to go where it is now. That is known by the first request
// it sends from there, or by its REGISTER.

// reachedBy notes by which flow the peer has been heard. The caller holds mu, and
// delivers.
func (l *Leg) reachedBy(f flow) {
	if l.dialog.flow == f && l.adrift == nil {
		return
	}
	l.dialog.flow = f
	l.ashore()
	l.keep()
	if l.phase == up && l.trunk == "" { // a carrier has many addresses, and means nothing by that
		l.post(Moved{})
	}
}

// moved lets the calls of a phone follow it to the flow it has registered by.
func (e *Edge) moved(user string, from, to flow) {
	for _, l := range e.legs.all() {
		l.follow(user, from, to)
	}
}

func (l *Leg) follow(user string, from, to flow) {
	defer l.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	// Two phones may share a flow, and one of them move.
	if l.trunk != "" || l.dialog.flow != from || l.dialog.to.Address.User != escapeUser(user) {
		return
	}
	afloat := l.adrift == nil
	l.reachedBy(to)
	if l.phase == leaving && afloat {
		l.sayGoodbye() // the BYE has gone to where nobody is
	}
}
