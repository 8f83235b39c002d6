package sip

import (
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Replaces names a dialog of ours that a call wants to take the place of (RFC 3891),
// as whoever sends it sees us: To is our tag.
type Replaces struct {
	CallID, To, From string
	EarlyOnly        bool // only as long as it has not been answered
}

// parseReplaces reads a Replaces value; nil when it is none. Both tags must be
// there (RFC 3891 section 6.1).
func parseReplaces(value string) *Replaces {
	r := &Replaces{}
	first := true
	for part := range eachElement(value, ';') {
		name, v, _ := strings.Cut(part, "=")
		name, v = strings.TrimSpace(name), strings.TrimSpace(v)
		switch {
		case first:
			r.CallID, first = part, false
		case strings.EqualFold(name, "to-tag"):
			r.To = v
		case strings.EqualFold(name, "from-tag"):
			r.From = v
		case strings.EqualFold(name, "early-only"):
			r.EarlyOnly = true
		}
	}
	if r.CallID == "" || r.To == "" || r.From == "" {
		return nil
	}
	return r
}

// Names reports whether r is this leg's dialog. In a Refer-To the tags are as the
// sender sees them, and some phones write them the other way round.
func (r *Replaces) Names(l *Leg) bool {
	theirs := l.theirs.Load()
	return r.CallID == l.id && theirs != nil &&
		(r.To == l.tag && r.From == *theirs || r.From == l.tag && r.To == *theirs)
}

// replaced finds the leg that an INVITE wants to take the place of (RFC 3891 section
// 3); nil, if it wants nothing of the kind. An agent's other phone may take over
// what the agent's own phone has, and nobody else may.
func (e *Edge) replaced(req *sip.Request, user string) (*Leg, *refusal) {
	headers := req.GetHeaders("replaces")
	if len(headers) == 0 {
		return nil, nil
	}
	r := parseReplaces(headers[0].Value())
	if len(headers) > 1 || r == nil {
		return nil, &refusal{code: sip.StatusBadRequest, reason: "Bad Replaces"}
	}
	l := e.legs.find(r.CallID, r.To)
	if l == nil {
		return nil, &refusal{code: sip.StatusCallTransactionDoesNotExists}
	}
	theirs := l.theirs.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case theirs == nil || *theirs != r.From || l.phase == opening || l.phase == giving:
		// What still rings is not to be taken over: an agent's phones all ring.
		return nil, &refusal{code: sip.StatusCallTransactionDoesNotExists}
	case user == "" || l.user != user:
		return nil, &refusal{code: sip.StatusForbidden}
	case l.phase != up:
		return nil, &refusal{code: sip.StatusGlobalDecline}
	case r.EarlyOnly:
		return nil, &refusal{code: sip.StatusBusyHere}
	}
	return l, nil
}

// Instead returns, on a server leg, the leg whose place its INVITE wants; nil for an
// ordinary call. It has been seen to be up, and the same agent's.
func (l *Leg) Instead() *Leg {
	if l.instead == nil && l.left != nil {
		name := strings.TrimPrefix(l.left.instead, LegPrefix)
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			return l.e.legs.find(name[:i], name[i+1:])
		}
	}
	return l.instead
}
