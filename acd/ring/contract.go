// Package ring: CONTRACT STUB, replaced by its owner. Signatures stay.
package ring

// Ring is the bounded lock-free queue at the centre: many producers, one consumer.
type Ring[T any] struct{}

func New[T any](size int) *Ring[T] { panic("stub") }

// TryPost returns false when the ring is full.
func (r *Ring[T]) TryPost(v T) bool { panic("stub") }

// Post waits for room when full: nothing is lost.
func (r *Ring[T]) Post(v T) { panic("stub") }

// Take is for the one consumer; false when empty.
func (r *Ring[T]) Take() (T, bool) { panic("stub") }

// Ready receives after something was posted to a ring whose consumer found it empty.
func (r *Ring[T]) Ready() <-chan struct{} { panic("stub") }
func (r *Ring[T]) Len() int               { panic("stub") }
func (r *Ring[T]) Cap() int               { panic("stub") }

// Full counts how often Post had to wait.
func (r *Ring[T]) Full() uint64 { panic("stub") }
