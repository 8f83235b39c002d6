package main

import (
	"hash/fnv"
	"net/netip"
	"sync"
	"time"

	"foyer/sip"
)

// homeLine is what has been noted of one agent's line since the switch started: less
// than a kilobyte, whatever happens on the line. It is a pure machine; doctor.go
// judges it. What their calls measured is in the call records.
type homeLine struct {
	paths [4]path // of their phones, the longest unheard is replaced

	askedAt    time.Time     // the last probe
	answeredAt time.Time     // and the last one answered
	trip       time.Duration // how long that answer took
	slow       int           // answers in a row that took slowAnswer or longer

	seenAt    time.Time // the last REGISTER that was accepted
	goneAt    time.Time // the last phone went or expired
	refusedAt time.Time // the last REGISTER that was refused
	refused   int       // in a row

	signs    [signKinds]time.Time // when each was seen last
	survived time.Duration        // the longest silence after which a phone was still there
	forgot   time.Duration        // the shortest after which its router had forgotten it

	turns [24]turn // what befell the registrations, the oldest overwritten
	at    int      // where the next goes
}

// path is where one phone is reached by UDP or a connection, and when it was heard.
type path struct {
	phone   uint64 // a hash of what makes it the same phone
	source  netip.AddrPort
	udp     bool
	heardAt time.Time
	// missedAfter is after how long a silence a probe went unanswered; 0: none did.
	missedAfter time.Duration
}

// turn is something that befell a registration.
type turn struct {
	at   int64 // unix seconds
	what turnKind
}

type turnKind uint8

const (
	turnNone      turnKind = iota
	turnLost               // the phone did not answer, or its connection broke
	turnForgotten          // it came back by another port of the same router
	turnRoamed             // or from another address
)

// Signs are kept apart, for each is believed for a time of its own. The last is not
// the registrar's but of a description of sound (see sdpRewritten).
const (
	signKinds = 5
	signSDP   = 4
)

// slowAnswer is a round trip of signalling that is heard as a delay.
const slowAnswer = 300 * time.Millisecond

// registered takes what the registrar tells.
func (h *homeLine) registered(now time.Time, e sip.RegEvent) {
	h.sign(now, e.Signs)
	b := &e.Binding
	switch e.Kind {
	case sip.RegRejected:
		h.refused++
		h.refusedAt = now
	case sip.RegLost:
		h.turned(now, turnLost)
	case sip.RegRemoved, sip.RegExpired:
		h.goneAt = now
	default:
		h.seenAt, h.refused = now, 0
		h.came(now, b)
	}
}

// came notes by which way a phone has registered.
func (h *homeLine) came(now time.Time, b *sip.Binding) {
	p := h.path(b)
	if p.source.IsValid() && p.udp && b.Transport == "udp" {
		silence := now.Sub(p.heardAt)
		if p.missedAfter > 0 {
			silence = min(silence, p.missedAfter)
		}
		switch {
		case p.source == b.Source:
			if p.missedAfter == 0 {
				h.survived = max(h.survived, silence)
			}
		case p.source.Addr() == b.Source.Addr():
			if h.forgot == 0 || silence < h.forgot {
				h.forgot = silence
			}
			h.turned(now, turnForgotten)
		default:
			h.turned(now, turnRoamed)
		}
	}
	p.source, p.udp, p.heardAt, p.missedAfter = b.Source, b.Transport == "udp", now, 0
}

// asked takes what came of a probe.
func (h *homeLine) asked(a sip.Asked) {
	h.sign(a.Sent, a.Signs)
	h.askedAt = a.Sent
	p := h.path(&a.Binding)
	silence := a.Sent.Sub(p.heardAt)
	known := p.source == a.Source
	if !a.Answered {
		if known && p.missedAfter == 0 {
			p.missedAfter = silence
		}
		return
	}
	if known && p.udp {
		h.survived = max(h.survived, silence)
	}
	h.answeredAt, h.trip = a.Sent.Add(a.RTT), a.RTT
	p.heardAt, p.missedAfter = h.answeredAt, 0
	if h.slow++; a.RTT < slowAnswer {
		h.slow = 0
	}
}

// path finds the way to a phone, or takes the place of the one longest unheard.
func (h *homeLine) path(b *sip.Binding) *path {
	id := b.Instance
	if id == "" {
		id = b.Contact
	}
	f := fnv.New64a()
	_, _ = f.Write([]byte(id)) // never fails
	phone, oldest := f.Sum64(), &h.paths[0]
	for i := range h.paths {
		p := &h.paths[i]
		if p.phone == phone {
			return p
		}
		if p.heardAt.Before(oldest.heardAt) {
			oldest = p
		}
	}
	*oldest = path{phone: phone}
	return oldest
}

func (h *homeLine) sign(now time.Time, s sip.Signs) {
	for i := range signSDP {
		if s&(1<<i) != 0 {
			h.signs[i] = now
		}
	}
}

func (h *homeLine) turned(now time.Time, what turnKind) {
	h.turns[h.at] = turn{now.Unix(), what}
	h.at = (h.at + 1) % len(h.turns)
}

// count is how often something has befallen the registrations since a moment.
func (h *homeLine) count(since time.Time, what turnKind) int {
	n := 0
	for _, t := range h.turns {
		if t.what == what && t.at > since.Unix() {
			n++
		}
	}
	return n
}

// homeLines are the lines of all agents. Any goroutine may call its methods.
type homeLines struct {
	mu    sync.Mutex
	began time.Time
	lines map[string]*homeLine // guarded by mu
}

func newHomeLines() *homeLines {
	return &homeLines{began: time.Now(), lines: map[string]*homeLine{}}
}

// note lets f write into the line of an agent.
func (l *homeLines) note(agent string, f func(h *homeLine)) {
	if agent == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.lines[agent]
	if h == nil {
		h = &homeLine{}
		l.lines[agent] = h
	}
	f(h)
}

// of is a copy of what has been noted.
func (l *homeLines) of(agent string) homeLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.lines[agent]; h != nil {
		return *h
	}
	return homeLine{}
}

// suspected counts the lines on which something rewrites SIP.
func (l *homeLines) suspected(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, h := range l.lines {
		if seen, _ := h.rewritten(now); seen {
			n++
		}
	}
	return n
}
