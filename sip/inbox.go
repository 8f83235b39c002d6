package sip

import (
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// letter is one in-dialog request on its way to its leg. The goroutine that
// reads the socket puts it into the inbox in the order of the wire; it is ready
// when its transaction has come along, which the library hands over on a
// goroutine per message, in no order.
type letter struct {
	req   *sip.Request
	tx    *sip.ServerTx // nil for ACK
	ready bool
	gone  bool // nobody waits for it any more
}

// inbox brings the requests of a dialog back into order: one is opened after
// the other, each when it is ready and everything before it has been opened.
type inbox struct {
	open func(*letter) // set before use, must not panic; runs without the lock, one at a time

	mu       sync.Mutex
	queue    []*letter
	highest  uint32 // CSeq number of theirs, ACK and CANCEL apart
	numbered bool   // highest is known
	busy     bool
	timer    *time.Timer // runs while a ready letter waits behind one that is not
}

// missingPatience is how long a ready request waits for the transaction of one
// before it. It never comes only if the connection broke in between.
const missingPatience = time.Second

// begin sets the CSeq number the dialog began with.
func (b *inbox) begin(cseq uint32) {
	b.mu.Lock()
	b.highest, b.numbered = cseq, true
	b.mu.Unlock()
}

// take gives a request its place, nil when its number has been seen or passed:
// a retransmission, which its transaction absorbs, or a request out of order. A copy
// of one whose transaction is not there yet has its place: on a busy machine the
// library may make the transaction of the copy, and then it is the one.
func (b *inbox) take(req *sip.Request, cseq uint32) *letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := &letter{req: req, ready: req.IsAck()}
	if !req.IsAck() {
		if b.numbered && cseq <= b.highest {
			return b.waiting(req)
		}
		b.highest, b.numbered = cseq, true
	}
	b.queue = append(b.queue, m)
	return m
}

// waiting finds the letter of which a request is a copy, if its transaction has not
// come yet. The caller holds mu.
func (b *inbox) waiting(req *sip.Request) *letter {
	for _, m := range b.queue {
		if !m.ready && m.req.Method == req.Method && m.req.CSeq().SeqNo == req.CSeq().SeqNo && branchOf(m.req) == branchOf(req) {
			return m
		}
	}
	return nil
}

func branchOf(req *sip.Request) string {
	if via := req.Via(); via != nil {
		branch, _ := via.Params.Get("branch")
		return branch
	}
	return ""
}

// arrived says that the transaction of a letter is there, with the copy of its request
// that made it: any other the library may still be writing to. It reports whether
// the letter will be opened: not if its successors have stopped waiting for it.
func (b *inbox) arrived(m *letter, req *sip.Request, tx *sip.ServerTx) bool {
	b.mu.Lock()
	if m.gone {
		b.mu.Unlock()
		return false
	}
	if m.tx != nil { // of a copy
		b.mu.Unlock()
		tx.Terminate()
		return true
	}
	m.req, m.tx, m.ready = req, tx, true
	if !b.busy && len(b.queue) > 0 && !b.queue[0].ready && b.timer == nil {
		b.timer = time.AfterFunc(missingPatience, b.skip)
	}
	b.mu.Unlock()
	b.drain()
	return true
}

// skip gives up waiting for transactions that did not come.
func (b *inbox) skip() {
	b.mu.Lock()
	b.timer = nil
	for len(b.queue) > 0 && !b.queue[0].ready {
		b.queue[0].gone = true
		b.queue = b.queue[1:]
	}
	b.mu.Unlock()
	b.drain()
}

// drain opens what can be opened. Whoever finds it being done leaves.
func (b *inbox) drain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.busy && len(b.queue) > 0 && b.queue[0].ready {
		m := b.queue[0]
		b.queue[0] = nil
		b.queue = b.queue[1:]
		b.busy = true
		b.mu.Unlock()
		b.open(m)
		b.mu.Lock()
		b.busy = false
	}
	if b.timer != nil && (len(b.queue) == 0 || b.queue[0].ready) {
		b.timer.Stop()
		b.timer = nil
	}
}
