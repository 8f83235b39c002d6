package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/acd/ring"
	"foyer/ledger"
)

const (
	// ringSize holds a second of the busiest hour measured, many times over;
	// when it is full, whoever posts waits (acd/ring), and nothing is lost.
	ringSize = 1 << 14
	// pageEvents bounds how many events share one journal write.
	pageEvents = 64
)

// board is the one goroutine that owns the floor. It takes events from the
// lock-free ring in their one order, writes them to the journal, lets the floor
// decide, and hands the decisions to whoever carries them out. Nothing else
// touches the floor: readers ask for a snapshot.
type board struct {
	ring    *ring.Ring[acd.Event]
	floor   *acd.Floor
	fold    *ledger.Fold
	hash    *acd.Hash
	journal *journal
	carry   func(acd.Action)                 // carries out one action; must not block
	cdr     func(again bool, c []ledger.CDR) // keeps finished CDRs; again when a wrap-up only completes them
	log     *zap.Logger

	asks chan func()
	last time.Time

	snapMu sync.Mutex
	snap   acd.Snapshot

	events   atomic.Uint64 // taken from the ring
	failures atomic.Uint64 // events whose journal write failed

	violations atomic.Uint64 // moves of the floor that no table allows
}

func newBoard(j *journal, log *zap.Logger) *board {
	b := &board{
		ring:    ring.New[acd.Event](ringSize),
		floor:   acd.NewFloor(),
		fold:    ledger.NewFold(),
		hash:    acd.NewHash(),
		journal: j,
		log:     log,
		asks:    make(chan func()),
	}
	b.floor.OnViolation = func(what string) {
		b.violations.Add(1)
		log.Error("floor: a move no rule allows", zap.String("what", what))
	}
	return b
}

// post puts an event on the ring. It waits only when the ring is full.
func (b *board) post(ev acd.Event) { b.ring.Post(ev) }

// run is the board's goroutine. It ends when ctx does and the ring is empty.
func (b *board) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	batch := make([]acd.Event, 0, pageEvents)
	for {
		batch = b.gather(batch[:0])
		if len(batch) > 0 {
			b.take(batch)
			continue
		}
		timer.Reset(b.sleep())
		select {
		case <-b.ring.Ready():
		case ask := <-b.asks:
			b.empty(batch)
			ask()
		case <-timer.C:
			if at, ok := b.floor.Deadline(); ok && !b.now().Before(at) {
				b.take([]acd.Event{{Kind: acd.Tick}})
			}
		case <-ctx.Done():
			b.empty(batch)
			return
		}
	}
}

// empty takes all that is on the ring.
func (b *board) empty(batch []acd.Event) {
	for batch = b.gather(batch[:0]); len(batch) > 0; batch = b.gather(batch[:0]) {
		b.take(batch)
	}
}

func (b *board) gather(batch []acd.Event) []acd.Event {
	for len(batch) < pageEvents {
		ev, ok := b.ring.Take()
		if !ok {
			break
		}
		batch = append(batch, ev)
	}
	return batch
}

// sleep is the time to the floor's next deadline.
func (b *board) sleep() time.Duration {
	at, ok := b.floor.Deadline()
	if !ok {
		return time.Hour
	}
	return max(at.Sub(b.now()), 0)
}

// now is wall time that never goes back, without the monotonic reading that a
// journal could not keep: a replay must see exactly the times the floor saw.
func (b *board) now() time.Time {
	now := time.Unix(0, time.Now().UnixNano()).UTC()
	if now.Before(b.last) {
		return b.last
	}
	return now
}

// take journals a batch, then lets the floor decide on each event and carries
// the decisions out.
func (b *board) take(batch []acd.Event) {
	now := b.now()
	b.last = now
	records, err := b.journal.append(now, batch, b.hash.Sum())
	if err != nil {
		// The switch goes on: a caller is worth more than a line of journal.
		b.failures.Add(uint64(len(batch)))
		b.log.Error("events not journalled", zap.Int("events", len(batch)), zap.Error(err))
		records = make([]acd.Record, len(batch))
		for i, ev := range batch {
			records[i] = acd.Record{At: now, Event: ev}
		}
	}
	for _, r := range records {
		actions := b.floor.Step(r.At, r.Event)
		b.hash.Add(r, actions)
		if done := b.fold.Apply(r.At, r.Event, actions); len(done) > 0 {
			b.cdr(r.Event.Kind != acd.Closed && r.Event.Kind != acd.Started, done)
		}
		for _, a := range actions {
			b.carry(a)
		}
	}
	b.events.Add(uint64(len(batch)))
}

// snapshotAge is how old a view of the floor may be when many ask at once.
const snapshotAge = 200 * time.Millisecond

// snapshot returns a recent copy of the floor; the zero Snapshot once the board has ended.
func (b *board) snapshot(ctx context.Context) acd.Snapshot {
	b.snapMu.Lock()
	defer b.snapMu.Unlock()
	if time.Since(b.snap.At) < snapshotAge {
		return b.snap
	}
	b.ask(ctx, func() { b.snap = b.floor.Snapshot(b.now()) })
	return b.snap
}

// ask runs f on the board and waits for it; every event posted before it has been
// decided on by then. False when ctx ended first.
func (b *board) ask(ctx context.Context, f func()) bool {
	done := make(chan struct{})
	select {
	case b.asks <- func() { f(); close(done) }:
	case <-ctx.Done():
		return false
	}
	<-done
	return true
}
