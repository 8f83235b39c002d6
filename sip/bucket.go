package sip

import (
	"sync"
	"time"
)

// rate is how much somebody may send: so many messages a second in the long run,
// and a burst at once.
type rate struct{ perSecond, burst int }

// upTo is a rate with a burst of twice what a second allows: phones behind one
// router that come back together are a burst, not a flood.
func upTo(perSecond int) rate { return rate{perSecond, 2 * perSecond} }

// A message is counted in thousandths, so that slow rates refill smoothly.
const whole = 1000

// refilled is the level of a bucket after some milliseconds of rest.
func (r rate) refilled(level uint32, rest int64) uint32 {
	return uint32(min(int64(level)+rest*int64(r.perSecond), int64(r.burst)*whole))
}

const (
	bucketSlots = 1 << 16 // places, of 16 bytes
	bucketWays  = 4       // places a key may be at: one cache line
)

// buckets keeps a token bucket for each of the keys that were seen last, in 1 MB
// whatever comes. Nothing is allocated after newBuckets. When the four places of
// a key are taken, the fullest bucket makes room: a full one says no more than
// none at all, so spoofed sources push each other out before they push out
// somebody who is being held back. Any goroutine may call take.
type buckets struct {
	rate  rate
	begun time.Time

	mu    sync.Mutex
	slots [bucketSlots]bucket
}

type bucket struct {
	key   uint64 // 0: free
	level uint32 // thousandths of a message left at the moment at
	at    uint32 // milliseconds since begun; wraps after 49 days, when the bucket is full anyway
}

func newBuckets(r rate, now time.Time) *buckets { return &buckets{rate: r, begun: now} }

// take takes cost thousandths of a message off the bucket of a key. If there is
// not so much, nothing is taken, and wait is when there will be.
func (b *buckets) take(key uint64, cost uint32, now time.Time) (wait time.Duration, ok bool) {
	at := now.Sub(b.begun).Milliseconds()
	key |= 1 // never that of a free place
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.slot(key, at)
	cost = min(cost, uint32(b.rate.burst)*whole) // or it would wait for ever
	if s.level < cost {
		missing := int64(cost - s.level)
		return time.Duration(missing)*time.Millisecond/time.Duration(b.rate.perSecond) + time.Millisecond, false
	}
	s.level -= cost
	return 0, true
}

// slot returns the bucket of a key, filled up to the moment at. The caller holds mu.
func (b *buckets) slot(key uint64, at int64) *bucket {
	set := b.slots[key>>1%(bucketSlots/bucketWays)*bucketWays:][:bucketWays]
	var fullest *bucket
	best := int64(-1)
	for i := range set {
		s := &set[i]
		if s.key == key {
			s.level, s.at = b.rate.refilled(s.level, int64(uint32(at)-s.at)), uint32(at)
			return s
		}
		level := int64(b.rate.burst)*whole + 1 // better than any
		if s.key != 0 {
			level = int64(b.rate.refilled(s.level, int64(uint32(at)-s.at)))
		}
		if level > best {
			fullest, best = s, level
		}
	}
	*fullest = bucket{key: key, level: uint32(b.rate.burst) * whole, at: uint32(at)}
	return fullest
}

// reservoir is one bucket that all share, out of which the lesser classes of
// messages may not take the last. Any goroutine may call take.
type reservoir struct {
	rate rate

	mu    sync.Mutex
	level uint32
	at    time.Time
}

func newReservoir(r rate, now time.Time) *reservoir {
	return &reservoir{rate: r, level: uint32(r.burst) * whole, at: now}
}

// take takes cost, if the share reserve of the whole is left thereafter, and says
// whether it did.
func (r *reservoir) take(cost uint32, reserve float64, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rest := now.Sub(r.at).Milliseconds(); rest > 0 {
		r.level, r.at = r.rate.refilled(r.level, rest), r.at.Add(time.Duration(rest)*time.Millisecond)
	}
	keep := uint32(reserve * float64(r.rate.burst) * whole)
	if r.level < keep+cost {
		return false
	}
	r.level -= cost
	return true
}
