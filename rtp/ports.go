package rtp

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// ErrPortsFull says that every port of the range is in use.
var ErrPortsFull = errors.New("media ports: all in use")

// portPool hands out the even ports of a range, in an order nobody can guess.
// A port given back rests before it is given again, so that packets of the last
// call do not reach the next one; the rest is cut short, the longest rested
// first, only when the pool would be empty otherwise. A port which somebody
// else on the machine holds rests in the same way.
//
// Any goroutine may call it.
type portPool struct {
	rest   time.Duration
	lo, hi uint16

	mu      sync.Mutex
	rnd     *rand.Rand
	free    []uint16
	resting []restingPort // oldest first
	used    int
	limit   int
}

type restingPort struct {
	port  uint16
	until time.Time
}

// newPortPool holds the pairs whose even and odd port both lie within lo and hi.
func newPortPool(lo, hi uint16, rest time.Duration, rnd *rand.Rand) *portPool {
	p := &portPool{rest: rest, lo: lo, hi: hi, rnd: rnd}
	for port := int(lo) + int(lo)%2; port+1 <= int(hi); port += 2 {
		p.free = append(p.free, uint16(port))
	}
	p.limit = len(p.free)
	return p
}

// take gives a port, or ErrPortsFull.
func (p *portPool) take(now time.Time) (uint16, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.resting) > 0 && !p.resting[0].until.After(now) {
		p.wake()
	}
	if len(p.free) == 0 && len(p.resting) > 0 {
		p.wake()
	}
	if len(p.free) == 0 {
		return 0, ErrPortsFull
	}
	p.used++
	i, last := p.rnd.IntN(len(p.free)), len(p.free)-1
	port := p.free[i]
	p.free[i] = p.free[last]
	p.free = p.free[:last]
	return port, nil
}

// wake ends the rest of the port that has rested longest.
func (p *portPool) wake() {
	p.free = append(p.free, p.resting[0].port)
	p.resting = p.resting[1:]
}

// has tells whether a port is of the range. One that is not may be a leg's that was made
// when the range was another; it does not come back to the pool.
func (p *portPool) has(port uint16) bool { return port >= p.lo && port < p.hi }

// claimAll takes certain ports, and leaves of them those that were free.
func (p *portPool) claimAll(ports map[uint16]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var outside int
	for port := range ports {
		if !p.has(port) {
			outside++
		}
	}
	found := make(map[uint16]bool, len(ports))
	left := p.free[:0]
	for _, port := range p.free {
		if ports[port] {
			found[port] = true
		} else {
			left = append(left, port)
		}
	}
	p.free = left
	p.used += outside + len(found)
	for port := range ports {
		if p.has(port) && !found[port] {
			delete(ports, port)
		}
	}
}

// release takes a port back: after a call, or because its sockets could not be
// bound. It rests either way.
func (p *portPool) release(port uint16, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	if p.has(port) {
		p.resting = append(p.resting, restingPort{port, now.Add(p.rest)})
	}
}

// count tells how many ports are given out, and how many there are.
func (p *portPool) count() (used, limit int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used, p.limit
}
