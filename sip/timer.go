package sip

import "time"

// SessionPolicy is RFC 4028 in both roles.
type SessionPolicy struct {
	Expires time.Duration // what we ask and grant, 1800 s by default
	Min     time.Duration // Min-SE, 90 s
}

func (p SessionPolicy) orDefault() SessionPolicy {
	if p.Expires <= 0 {
		p.Expires = 30 * time.Minute
	}
	if p.Min <= 0 {
		p.Min = 90 * time.Second
	}
	p.Expires = max(p.Expires, p.Min)
	return p
}

// refresher is who keeps a session alive.
type refresher uint8

const (
	neither refresher = iota // no session timer
	we
	they
)

// sessionAsk is what a request or a 2xx says about the session timer, seen from
// the one who sent it: uac and uas are still theirs.
type sessionAsk struct {
	supported bool          // Supported: timer
	expires   time.Duration // 0: no Session-Expires
	min       time.Duration // Min-SE, 0: none
	refresher string        // uac, uas or ""
}

// session is the timer agreed on for a dialog.
type session struct {
	expires time.Duration
	by      refresher
	require bool // they must refresh: our 2xx says Require: timer
}

// grant decides on the session timer as the one who answers a request (RFC 4028
// section 9). tooBrief asks to refuse with 422 and our Min-SE.
func (p SessionPolicy) grant(ask sessionAsk) (s session, tooBrief bool) {
	if ask.expires == 0 {
		if !ask.supported {
			return session{}, false // without their support nor their wish: no timer
		}
		// They can but did not ask: we do, and keep the work ourselves.
		return session{expires: max(p.Expires, ask.min), by: we}, false
	}
	if ask.expires < p.Min && ask.supported {
		return session{}, true
	}
	// We may shorten what is asked, but not below its Min-SE, and never prolong it.
	s.expires = min(ask.expires, max(p.Expires, ask.min, p.Min))
	switch {
	case !ask.supported:
		s.by = we // a proxy of theirs asked; they cannot (RFC 4028 table 2)
	case ask.refresher == "uas":
		s.by = we
	default:
		s.by, s.require = they, true
	}
	return s, false
}

// accepted reads the session timer from the 2xx to a request of ours that asked
// for one (RFC 4028 section 7.2).
func accepted(answer sessionAsk) session {
	switch {
	case answer.expires == 0:
		return session{} // they do not know it
	case answer.refresher == "uas":
		return session{expires: answer.expires, by: they}
	}
	return session{expires: answer.expires, by: we}
}

// sessionTimer is the clock of one dialog's session. It is a pure machine: now
// is an argument, what has to be done is returned.
type sessionTimer struct {
	session
	refresh time.Time // when we refresh; zero: not our turn, or it is on its way
	last    time.Time // when we give up
}

// sessionDo is what a session timer wants done.
type sessionDo uint8

const (
	doNothing sessionDo = iota
	doRefresh           // send a re-INVITE or UPDATE
	doExpire            // send BYE: nobody refreshed
)

// agreed starts the timer, or starts it anew after a refresh by either side. It
// ends before the session does by a third of it, but not more than 32 s (RFC
// 4028 section 10).
func (t *sessionTimer) agreed(now time.Time, s session) {
	*t = sessionTimer{session: s}
	if s.by == neither {
		return
	}
	t.last = now.Add(s.expires - min(32*time.Second, s.expires/3))
	if s.by == we {
		t.refresh = now.Add(s.expires / 2)
	}
}

// stop ends the timer with its dialog.
func (t *sessionTimer) stop() { *t = sessionTimer{} }

// failed says that our refresh was refused for a passing reason. It is tried
// again at half of what is left.
func (t *sessionTimer) failed(now time.Time) {
	if left := t.last.Sub(now); t.by == we && left > time.Second {
		t.refresh = now.Add(left / 2)
	}
}

// Step says what has to be done at now.
func (t *sessionTimer) Step(now time.Time) sessionDo {
	switch {
	case t.by == neither:
		return doNothing
	case !now.Before(t.last):
		t.stop()
		return doExpire
	case !t.refresh.IsZero() && !now.Before(t.refresh):
		t.refresh = time.Time{}
		return doRefresh
	}
	return doNothing
}

// Deadline returns when Step has something to do next.
func (t *sessionTimer) Deadline() (time.Time, bool) {
	switch {
	case t.by == neither:
		return time.Time{}, false
	case !t.refresh.IsZero():
		return t.refresh, true
	}
	return t.last, true
}
