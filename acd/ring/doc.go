// Package ring is the lock-free queue at the centre of the switch: every event
// of every call and every agent passes through it, from many goroutines to the
// one that owns the floor. It is memory and atomics alone, knows nothing of
// telephony, and allocates only when it is made.
//
// Because all events leave it in one order, that order is the history of the
// switch: what is journalled, replayed and explained.
package ring
