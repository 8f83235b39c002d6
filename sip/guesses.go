package sip

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// GuessPolicy says how the guessing of one account's password is slowed, whoever
// guesses. After so many failures each source waits before its next attempt at
// this account is looked at: a second, then two, four and so on. A source that has
// not failed yet is looked at at once, and a flow that a phone of the account is
// registered by always is, so that nobody can lock an agent out.
type GuessPolicy struct {
	After   int           // failures that are free; 0: 5
	Longest time.Duration // the wait grows to this; 0: a minute
	Alarm   int           // failures of all in one hour that are told of; 0: 100
}

// guessWindow is how long an account must have been left alone for its failures
// to be forgotten.
const guessWindow = 10 * time.Minute

// guesses remembers failures by account, existing or not, and how long each
// source must wait. Its memory is fixed; what is oldest is forgotten first. Any
// goroutine may call any method.
type guesses struct {
	policy GuessPolicy
	seed   maphash.Seed

	mu       sync.Mutex
	accounts marks // failures, and when the last was
	waits    marks // by account and source: until when
	known    marks // sources that somebody has proven a password from, and when last
	hour     time.Time
	failed   int // since hour
}

func newGuesses(p GuessPolicy) *guesses {
	if p.After <= 0 {
		p.After = 5
	}
	if p.Longest <= 0 {
		p.Longest = time.Minute
	}
	if p.Alarm <= 0 {
		p.Alarm = 100
	}
	return &guesses{policy: p, seed: maphash.MakeSeed(), accounts: make(marks, 1<<13), waits: make(marks, 1<<14), known: make(marks, 1<<14)}
}

// waiting reports whether a source has to wait before it may try again.
func (g *guesses) waiting(user string, source netip.Addr, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.waits.find(g.key(user, source))
	return m != nil && now.Before(m.at)
}

// fail notes a wrong password, and reports whether it is the one in this hour
// that is to be told of.
func (g *guesses) fail(user string, source netip.Addr, now time.Time) (alarm bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.accounts.place(g.key(user, netip.Addr{}))
	if now.Sub(a.at) > guessWindow {
		a.count = 0
	}
	a.count, a.at = a.count+1, now
	if over := a.count - g.policy.After; over >= 0 {
		wait := g.policy.Longest
		if over < 20 {
			wait = min(wait, time.Second<<over)
		}
		g.waits.place(g.key(user, source)).at = now.Add(wait)
	}
	if now.Sub(g.hour) >= time.Hour {
		g.hour, g.failed = now, 0
	}
	g.failed++
	return g.failed == g.policy.Alarm
}

// right notes that a source got a password right, and forgets what it got wrong
// before.
func (g *guesses) right(user string, source netip.Addr, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := g.waits.find(g.key(user, source)); m != nil {
		*m = mark{}
	}
	g.known.place(g.key("", source)).at = now
}

// met reports whether somebody has proven a password from a source: a home that an
// agent works from.
func (g *guesses) met(source netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.known.find(g.key("", source)) != nil
}

// key is a user and a source; an invalid one stands for any.
func (g *guesses) key(user string, source netip.Addr) uint64 {
	var h maphash.Hash
	h.SetSeed(g.seed)
	if source.IsValid() {
		b := banKey(source).As16()
		_, _ = h.Write(b[:])
	}
	_, _ = h.WriteString(user)
	return h.Sum64() | 1 // never that of a free place
}

// marks is a table of fixed size in sets of markWays.
type marks []mark

const markWays = 4

type mark struct {
	key   uint64 // 0: free
	count int
	at    time.Time
}

func (t marks) set(key uint64) []mark {
	return t[key>>1%uint64(len(t)/markWays)*markWays:][:markWays]
}

func (t marks) find(key uint64) *mark {
	set := t.set(key)
	for i := range set {
		if set[i].key == key {
			return &set[i]
		}
	}
	return nil
}

// place finds the mark of a key, or makes it in place of the oldest.
func (t marks) place(key uint64) *mark {
	if m := t.find(key); m != nil {
		return m
	}
	set := t.set(key)
	oldest := &set[0]
	for i := range set {
		if set[i].at.Before(oldest.at) {
			oldest = &set[i]
		}
	}
	*oldest = mark{key: key}
	return oldest
}
