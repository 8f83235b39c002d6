package ring

import "sync/atomic"

// line is the distance at which two words do not disturb each other: two cache
// lines of 64 bytes, because processors fetch them in pairs.
const line = 128

// Ring is a bounded first-in first-out queue from many producers to one
// consumer. Post and TryPost may be called from any goroutine; Take and the
// receiving end of Ready belong to one goroutine, the consumer. Len, Cap and
// Full may be called from anywhere.
//
// # Words and their writers
//
//	tail      the next position to be claimed. Producers, by compare-and-swap.
//	head      the next position to be taken. The consumer alone.
//	slot.seq  whose turn a slot is. Position p lives in slot p mod size.
//	            p         free, waiting for the producer that claims p
//	            p+1       filled, waiting for the consumer
//	            p+size    free again, for the next lap
//	          Written by the producer that claimed p (p to p+1), then by the
//	          consumer (p+1 to p+size). Nobody else, so a plain store is enough.
//	slot.val  written by that producer, then read and cleared by the consumer.
//	asleep    true while the consumer has found nothing and may be parked on
//	          Ready. The consumer sets it; one producer clears it.
//	waiting   how many producers are inside Post's slow path. Producers.
//
// # Invariant
//
// head <= tail <= head+size. A producer claims p only after it has read
// slot.seq == p, which the consumer wrote when it took p-size; so no claim runs
// more than a lap ahead of the consumer, and since the compare-and-swap gives p
// to one producer, a slot has one writer at any time.
//
// # Happens before
//
// Go's atomics behave as if executed in one total order, and an atomic write is
// synchronised before the atomic read that observes it (go.dev/ref/mem). The
// producer writes val, then seq = p+1; the consumer reads seq = p+1, then val:
// the write of val happens before its read. The consumer clears val, then
// writes seq = p+size; the next lap's producer reads that before it writes: the
// clearing happens before the new value. A producer that posts twice claims
// rising positions, and the consumer takes positions in order, so the events
// of one producer stay in order.
//
// # Nobody sleeps through his call
//
// The consumer writes asleep, then reads seq once more before it reports the
// ring empty; the producer writes seq, then reads asleep. In any total order of
// those four, at least one of them sees the other's write: either the consumer
// finds the event or the producer finds the sleeper, and leaves a token in
// Ready. The same holds the other way round: a producer counts itself in
// waiting, then tries once more before it parks; the consumer frees the slot,
// then reads waiting. A token that is already there wakes as well as a second
// one would, so it may be dropped. A producer that was woken and got its place
// passes the token on, because the consumer may have freed more places than it
// left tokens.
//
// # Full
//
// Full means that the consumer has not yet taken the event posted size
// positions ago. TryPost then returns false and nothing has happened. Post
// parks its goroutine on a channel until there is room: it burns no processor
// and loses nothing, and the pressure is passed to whoever posts. Which of
// several parked producers is next is not promised. The consumer itself must
// not Post, or it could wait for itself; it may TryPost.
type Ring[T any] struct {
	slots []slot[T]
	mask  uint64
	ready chan struct{} // one token: something was posted to a sleeping consumer
	room  chan struct{} // one token: there is room for a parked producer

	_    [line]byte
	tail atomic.Uint64
	_    [line - 8]byte
	head atomic.Uint64
	_    [line - 8]byte
	// asleep and waiting change only when somebody has nothing to do, so in a
	// busy ring their line stays shared and reading them is cheap.
	asleep  atomic.Bool
	waiting atomic.Int64
	full    atomic.Uint64
	_       [line]byte
}

type slot[T any] struct {
	seq atomic.Uint64
	val T
}

// New makes a ring for at least size events; Cap is the next power of two, and
// at least 2, because with a single slot "filled" and "free for the next lap"
// would be the same number.
func New[T any](size int) *Ring[T] {
	n := uint64(2)
	for n < uint64(max(size, 0)) {
		n <<= 1
	}
	r := &Ring[T]{
		slots: make([]slot[T], n),
		mask:  n - 1,
		ready: make(chan struct{}, 1),
		room:  make(chan struct{}, 1),
	}
	for p := range r.slots {
		r.slots[p].seq.Store(uint64(p))
	}
	return r
}

// TryPost appends v and reports true, or reports false when the ring is full.
// It never waits.
func (r *Ring[T]) TryPost(v T) bool {
	s, p := r.claim()
	if s == nil {
		return false
	}
	r.publish(s, p, v)
	return true
}

// claim reserves the next position, nil when the ring is full. It goes round
// again only when another producer has just succeeded.
func (r *Ring[T]) claim() (*slot[T], uint64) {
	for {
		p := r.tail.Load()
		s := &r.slots[p&r.mask]
		switch turn := int64(s.seq.Load() - p); {
		case turn == 0:
			if r.tail.CompareAndSwap(p, p+1) {
				return s, p
			}
		case turn < 0:
			// Not free, so nobody can have claimed p: it is still the tail.
			return nil, 0
		}
	}
}

func (r *Ring[T]) publish(s *slot[T], p uint64, v T) {
	s.val = v
	s.seq.Store(p + 1)
	if r.asleep.Load() && r.asleep.CompareAndSwap(true, false) {
		leave(r.ready)
	}
}

// Post appends v. When the ring is full it parks until the consumer makes room.
func (r *Ring[T]) Post(v T) {
	if s, p := r.claim(); s != nil {
		r.publish(s, p, v)
		return
	}
	r.full.Add(1)
	r.waiting.Add(1)
	s, p := r.claim()
	for s == nil {
		<-r.room
		s, p = r.claim()
	}
	r.publish(s, p, v)
	if r.waiting.Add(-1) > 0 {
		leave(r.room)
	}
}

// Take removes the oldest event, or reports false when there is none: then, and
// only then, the consumer may wait on Ready. An event whose producer has claimed
// its place but not yet filled it counts as not there.
func (r *Ring[T]) Take() (T, bool) {
	p := r.head.Load()
	s := &r.slots[p&r.mask]
	if s.seq.Load() != p+1 {
		if !r.asleep.Load() {
			r.asleep.Store(true)
		}
		if s.seq.Load() != p+1 {
			var none T
			return none, false
		}
		r.asleep.Store(false)
	}
	v := s.val
	var none T
	s.val = none // what v points to must not live as long as the lap
	r.head.Store(p + 1)
	s.seq.Store(p + r.mask + 1)
	if r.waiting.Load() > 0 {
		leave(r.room)
	}
	return v, true
}

// Ready receives after something was posted to a ring that Take had found
// empty. It may also receive when there is nothing to take any more, so the
// consumer calls Take, and waits again when that says no.
func (r *Ring[T]) Ready() <-chan struct{} { return r.ready }

// Len is how many events are claimed and not yet taken, at about this moment.
func (r *Ring[T]) Len() int {
	head := r.head.Load() // first: it only grows, and never past tail
	return int(min(r.tail.Load()-head, r.mask+1))
}

// Cap is how many events fit.
func (r *Ring[T]) Cap() int { return len(r.slots) }

// Full is how often Post found the ring full and had to wait.
func (r *Ring[T]) Full() uint64 { return r.full.Load() }

// leave puts a token unless one is there.
func leave(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
