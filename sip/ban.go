package sip

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// BanPolicy: after Failures failed authentications within Window a source is ignored for Duration.
type BanPolicy struct {
	Failures int            // 0: nobody is banned
	Window   time.Duration  // 0: ten minutes
	Duration time.Duration  // 0: one hour
	Allow    []netip.Prefix // exempt, though never from authentication
}

const (
	banWatched = 4096 // sources whose failures are remembered at one time
	banWays    = 4    // places a source may be remembered at
	banKept    = 4096 // bans in force at one time
)

// bans remembers who failed to authenticate and whom we therefore ignore. Its
// memory is fixed: when sources fail faster than it can remember, the one whose
// last failure is oldest is forgotten. Any goroutine may call any method.
type bans struct {
	policy BanPolicy

	// inForce is replaced, never changed, so that the read filter looks at it
	// without a lock. Bans are rare: each costs its source several round trips
	// with nonces that only its own address can use.
	inForce atomic.Pointer[map[netip.Addr]time.Time]

	mu       sync.Mutex
	watched  []suspect   // banWatched, in sets of banWays
	failures []time.Time // policy.Failures for each suspect: a ring of its last ones
}

// suspect is a source that failed to authenticate.
type suspect struct {
	source netip.Addr
	next   int // place in its ring for the next failure
	last   time.Time
}

func newBans(p BanPolicy) *bans {
	if p.Window <= 0 {
		p.Window = 10 * time.Minute
	}
	if p.Duration <= 0 {
		p.Duration = time.Hour
	}
	b := &bans{policy: p}
	b.inForce.Store(&map[netip.Addr]time.Time{})
	if p.Failures > 0 {
		b.watched = make([]suspect, banWatched)
		b.failures = make([]time.Time, banWatched*p.Failures)
	}
	return b
}

// banKey is what is banned when a source misbehaves: its IPv4 address, or the
// /64 of its IPv6 address, which one subscriber holds whole.
func banKey(source netip.Addr) netip.Addr {
	source = source.Unmap().WithZone("")
	if source.Is4() {
		return source
	}
	if p, err := source.Prefix(64); err == nil {
		return p.Addr()
	}
	return source
}

// until returns when the last ban of a source ends or ended, ok if there was one.
func (b *bans) until(source netip.Addr) (end time.Time, ok bool) {
	inForce := *b.inForce.Load()
	if len(inForce) == 0 {
		return end, false
	}
	end, ok = inForce[banKey(source)]
	return end, ok
}

// count returns how many bans are in force at now.
func (b *bans) count(now time.Time) int {
	n := 0
	for _, until := range *b.inForce.Load() {
		if now.Before(until) {
			n++
		}
	}
	return n
}

// fail notes a failed authentication and reports whether it begins a ban.
func (b *bans) fail(source netip.Addr, now time.Time) (begins bool) {
	if b.policy.Failures <= 0 || !source.IsValid() || b.exempt(source) {
		return false
	}
	key := banKey(source)
	b.mu.Lock()
	defer b.mu.Unlock()
	if until, ok := (*b.inForce.Load())[key]; ok && now.Before(until) {
		return false
	}
	at := b.suspect(key)
	s := &b.watched[at]
	ring := b.failures[at*b.policy.Failures : (at+1)*b.policy.Failures]
	ring[s.next] = now
	s.next = (s.next + 1) % len(ring)
	s.last = now
	// The place to be written next holds the oldest of the last Failures.
	oldest := ring[s.next]
	if oldest.IsZero() || now.Sub(oldest) > b.policy.Window {
		return false
	}
	*s = suspect{}
	b.ban(key, now)
	return true
}

func (b *bans) exempt(source netip.Addr) bool { return anyHolds(b.policy.Allow, source) }

// anyHolds reports whether an address is in one of the prefixes.
func anyHolds(prefixes []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// suspect returns the place of a source among the watched, a fresh one if it
// has none.
func (b *bans) suspect(key netip.Addr) int {
	set := int(spread(key)%(banWatched/banWays)) * banWays
	oldest := set
	for i := set; i < set+banWays; i++ {
		if b.watched[i].source == key {
			return i
		}
		if b.watched[i].last.Before(b.watched[oldest].last) {
			oldest = i
		}
	}
	b.watched[oldest] = suspect{source: key}
	clear(b.failures[oldest*b.policy.Failures : (oldest+1)*b.policy.Failures])
	return oldest
}

// ban puts a ban in force and drops those that have ended.
func (b *bans) ban(key netip.Addr, now time.Time) {
	inForce := maps.Clone(*b.inForce.Load())
	var soonest netip.Addr
	for source, until := range inForce {
		if !now.Before(until) {
			delete(inForce, source)
		} else if !soonest.IsValid() || until.Before(inForce[soonest]) {
			soonest = source
		}
	}
	if len(inForce) >= banKept {
		delete(inForce, soonest)
	}
	inForce[key] = now.Add(b.policy.Duration)
	b.inForce.Store(&inForce)
}

// spread maps an address to a number; FNV-1a over its 16 bytes.
func spread(a netip.Addr) uint32 {
	h := uint32(2166136261)
	for _, c := range a.As16() {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}
