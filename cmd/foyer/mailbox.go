package main

import "sync"

// mailboxLimit is far beyond what a call can be sent in its life; reaching it
// means a peer floods one dialog, and that call alone pays.
const mailboxLimit = 4096

// mailbox is where everything that concerns one call waits for the goroutine
// that owns the call: what peers did, what the media found, what the floor
// decided. Posting never blocks, so that the board, the media shards and the
// signalling are never held up by a call; past mailboxLimit post returns false.
type mailbox struct {
	mu     sync.Mutex
	queue  []any
	closed bool
	ready  chan struct{}
}

func newMailbox() *mailbox { return &mailbox{ready: make(chan struct{}, 1)} }

func (m *mailbox) post(msg any) bool {
	m.mu.Lock()
	ok := !m.closed && len(m.queue) < mailboxLimit
	if ok {
		m.queue = append(m.queue, msg)
	}
	m.mu.Unlock()
	if ok {
		select {
		case m.ready <- struct{}{}:
		default:
		}
	}
	return ok
}

// take returns what has come, oldest first, into spare's memory.
func (m *mailbox) take(spare []any) []any {
	m.mu.Lock()
	got := m.queue
	m.queue = spare[:0]
	m.mu.Unlock()
	return got
}

// close makes later posts fail, for the call is over, and returns what came too late.
func (m *mailbox) close() []any {
	m.mu.Lock()
	defer m.mu.Unlock()
	late := m.queue
	m.closed, m.queue = true, nil
	return late
}
