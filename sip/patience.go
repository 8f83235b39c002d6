package sip

import "time"

const (
	// firstByte is how long a new connection may say nothing at all.
	firstByte = 2 * time.Second
	// wholeMessage is how long a message may take from its first byte to its
	// last. Bytes that trickle in keep nothing open.
	wholeMessage = 10 * time.Second
	// strangerIdle is how long a connection may be idle by which no phone has
	// registered. Keep-alives do not count: anybody can send them.
	strangerIdle = 30 * time.Second
	// pongLimit is how long a peer that answers pings may take to answer one
	// (RFC 5626 section 4.4.1).
	pongLimit = 10 * time.Second
	// pingEvery is how long a flow is silent before we ask.
	pingEvery = 30 * time.Second
	// slowestWrite is how long a peer may leave its receive window shut.
	slowestWrite = 2 * time.Second
	// lastWordLimit is how long a peer that is being closed has for our answer.
	lastWordLimit = time.Second
)

// patience is how long a connection may be silent. It is a pure machine of the
// connection's reader: the owner reads until deadline, and asks expired when that
// has passed.
type patience struct {
	every  time.Duration // between pings of a silent flow
	whole  time.Duration // for a message from its first byte to its last
	opened time.Time
	last   time.Time // of the last thing heard that counts: a whole message, or a keep-alive of one we know
	begun  time.Time // of the message that has begun; zero: none has
	asked  time.Time // of the ping that is not answered; zero: none is out
	silent bool      // nothing has come at all
	polite bool      // it has answered a ping
	kept   bool      // when last asked, it was one we know
}

// step is what expired says is to be done.
type step uint8

const (
	stay step = iota
	leave
	ask
)

func (p *patience) begin(now time.Time, every, whole time.Duration) {
	*p = patience{every: every, whole: whole, opened: now, last: now, silent: true}
}

// spoke notes that bytes came, and whether they are a message not yet whole.
func (p *patience) spoke(now time.Time, partial bool) {
	p.silent = p.silent && !partial
	switch {
	case !partial:
		p.begun = time.Time{}
	case p.begun.IsZero():
		p.begun = now
	}
}

// heard notes a whole message.
func (p *patience) heard(now time.Time) {
	p.silent, p.begun, p.asked = false, time.Time{}, time.Time{}
	p.last = now
}

// keptAlive notes a ping of the peer, or the answer to ours.
func (p *patience) keptAlive(now time.Time, answer bool) {
	p.polite = p.polite || answer && !p.asked.IsZero()
	p.silent = false
	if p.kept {
		p.heard(now)
	}
}

// deadline is when the silence has lasted too long, as far as is known.
func (p *patience) deadline() time.Time {
	switch {
	case !p.begun.IsZero():
		return p.begun.Add(p.whole)
	case p.silent && !p.kept:
		return p.opened.Add(firstByte)
	case !p.kept:
		return p.last.Add(strangerIdle)
	case !p.asked.IsZero():
		return p.asked.Add(pongLimit)
	}
	return p.last.Add(p.every)
}

// expired says what is to be done when the deadline has passed. kept: the peer is
// one we know, or has a call.
func (p *patience) expired(now time.Time, kept bool) step {
	p.kept = kept
	switch {
	case now.Before(p.deadline()):
		return stay // longer than we knew
	case !p.begun.IsZero(), !kept:
		return leave
	case p.asked.IsZero():
		p.asked = now
		return ask
	case p.polite:
		return leave
	}
	// Many peers never answer pings. What they are asked for keeps routers open,
	// and the kernel tells when nothing gets through.
	p.asked, p.last = time.Time{}, now
	return stay
}
