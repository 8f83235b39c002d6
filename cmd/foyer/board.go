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
	// newsPause is how long an event that nobody waits for may wait for others to
	// share its page.
	newsPause = 20 * time.Millisecond
)

// posted is an event on the ring, with the moment it was posted: what happened
// is told with its own time, however long it waited.
type posted struct {
	at int64 // unix nanoseconds
	ev acd.Event
}

// news tells of something the floor does not act on: only the CDR waits for it.
func news(k acd.Kind) bool {
	switch k {
	case acd.Alerting, acd.Bridged, acd.Held, acd.Resumed, acd.Rejected, acd.Closed:
		return true
	}
	return false
}

// board is the one goroutine that owns the floor. It takes events from the
// lock-free ring in their one order, writes them to the journal, lets the floor
// decide, and hands the decisions to whoever carries them out. Nothing else
// touches the floor: readers ask for a snapshot.
type board struct {
	ring    *ring.Ring[posted]
	floor   *acd.Floor
	fold    *ledger.Fold
	tally   *ledger.Tally
	hash    *acd.Hash
	journal *journal
	// checkpoints writes what is to spare the next start a long replay; nil: nothing does.
	checkpoints *checkpoints

	carry   func(acd.Action)         // carries out one action; must not block
	cdr     func([]ledger.CDR)       // keeps finished CDRs
	counted func(...ledger.Interval) // keeps what was counted
	log     *zap.Logger

	clock clock
	asks  chan func()
	last  time.Time // of the newest event taken
	seq   uint64    // its number

	snapMu sync.Mutex
	snap   acd.Snapshot

	events   atomic.Uint64 // taken from the ring
	failures atomic.Uint64 // events whose journal write failed
	deaf     atomic.Bool   // the newest journal write failed

	stalled    atomic.Bool   // it does not listen (watch.go)
	stalls     atomic.Uint64 // times it was found not to
	violations atomic.Uint64 // invariants of the floor that were found broken, and repaired
}

func newBoard(j *journal, log *zap.Logger) *board {
	b := &board{
		ring:    ring.New[posted](ringSize),
		fold:    ledger.NewFold(),
		tally:   ledger.NewTally(nil),
		counted: func(...ledger.Interval) {},
		hash:    acd.NewHash(),
		journal: j,
		log:     log,
		asks:    make(chan func()),
		clock:   newClock(time.Now()),
	}
	b.setFloor(acd.NewFloor())
	return b
}

// setFloor puts a floor in the place of the one there was.
func (b *board) setFloor(f *acd.Floor) {
	b.floor = f
	b.floor.OnViolation = func(what string) {
		b.violations.Add(1)
		b.log.Error("floor: an invariant was broken", zap.String("what", what))
	}
}

// post puts an event on the ring. It waits only when the ring is full.
func (b *board) post(ev acd.Event) { b.ring.Post(posted{b.clock.now().UnixNano(), ev}) }

// run is the board's goroutine. It ends when ctx does and the ring is empty.
func (b *board) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	batch := make([]posted, 0, pageEvents)
	for {
		var urgent bool
		if batch, urgent = b.gather(batch); urgent {
			b.take(batch)
			batch = batch[:0]
			continue
		}
		timer.Reset(b.sleep(batch))
		select {
		case <-b.ring.Ready():
			continue
		case <-timer.C:
			if !b.now().Before(b.nextTick()) {
				batch = append(batch, posted{b.now().UnixNano(), acd.Event{Kind: acd.Tick}})
			}
			b.take(batch)
		case ask := <-b.asks:
			b.empty(batch)
			ask()
		case <-ctx.Done():
			b.empty(batch)
			return
		}
		batch = batch[:0]
	}
}

// gather adds what is on the ring to batch, and says whether it should be taken
// now: something in it is waited for, or it is full.
func (b *board) gather(batch []posted) ([]posted, bool) {
	urgent := false
	for len(batch) < pageEvents {
		p, ok := b.ring.Take()
		if !ok {
			return batch, urgent
		}
		batch = append(batch, p)
		urgent = urgent || !news(p.ev.Kind)
	}
	return batch, true
}

// empty takes batch and all that is on the ring.
func (b *board) empty(batch []posted) {
	for {
		var more bool
		batch, more = b.gather(batch)
		b.take(batch)
		if !more && b.ring.Len() == 0 {
			return
		}
		batch = batch[:0]
	}
}

// sleep is the time to the next tick, or until the news that wait in
// batch have waited enough.
func (b *board) sleep(batch []posted) time.Duration {
	until := b.nextTick().Sub(b.now())
	if len(batch) > 0 {
		until = min(until, time.Until(time.Unix(0, batch[0].at))+newsPause)
	}
	return max(until, 0)
}

// nextTick is when the floor or the count must hear that time has passed: the count
// at the end of every quarter of an hour, so that the journal says of a quiet switch
// that it was up.
func (b *board) nextTick() time.Time {
	next := b.now().Add(time.Hour)
	if at, counting := b.tally.Next(); counting && at.Before(next) {
		next = at
	}
	if at, ok := b.floor.Deadline(); ok && at.Before(next) {
		next = at
	}
	return next
}

// now is wall time that never goes back, without the monotonic reading that a
// journal could not keep: a replay must see exactly the times the floor saw.
func (b *board) now() time.Time { return b.noBefore(b.clock.now().UnixNano()) }

func (b *board) noBefore(at int64) time.Time {
	t := time.Unix(0, at).UTC()
	if t.Before(b.last) {
		return b.last
	}
	return t
}

// take journals a batch, then lets the floor decide on each event and carries
// the decisions out.
func (b *board) take(batch []posted) {
	if len(batch) == 0 {
		return
	}
	records := make([]acd.Record, len(batch))
	for i, p := range batch {
		b.last = b.noBefore(p.at)
		b.seq++
		records[i] = acd.Record{Seq: b.seq, At: b.last, Event: p.ev}
	}
	err := b.journal.append(page{Decided: b.hash.Sum(), Records: records})
	b.deaf.Store(err != nil)
	if err != nil {
		// The switch goes on: a caller is worth more than a line of journal.
		b.failures.Add(uint64(len(batch)))
		b.log.Error("events not journalled", zap.Int("events", len(batch)), zap.Error(err))
	}
	for _, r := range records {
		actions := b.floor.Step(r.At, r.Event)
		b.hash.Add(r, actions)
		if done := b.fold.Apply(r.At, r.Event, actions); len(done) > 0 {
			b.cdr(done)
		}
		if rows := b.tally.Apply(r.At, r.Event, actions); len(rows) > 0 {
			b.counted(rows...)
		}
		for _, a := range actions {
			b.carry(a)
		}
	}
	b.events.Add(uint64(len(batch)))
	if err == nil {
		b.checkpoints.consider(b)
	}
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
