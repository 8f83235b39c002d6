package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/ledger"
)

// resumption is what a start finds of the last life.
type resumption struct {
	life    uint64    // the place of its Started event
	goesOn  bool      // the calls in memory are its own
	books   time.Time // they have all that happened before it
	from    uint64    // the first page to be replayed
	resumed bool      // which follows a checkpoint

	events, bytes int  // replayed
	whole         bool // none of them broke
}

// recover puts the board where the last life left it: at its newest checkpoint, and then
// through the journal from there on. So every call that life saw has its CDR and is
// counted, also those the kill cut short: the Started event of this life closes them.
func (ex *exchange) recover() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	begun := time.Now()
	r, err := ex.resume(ctx)
	if err != nil || r.life == 0 {
		return err
	}
	if err := ex.replay(ctx, r); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	ex.board.clock.notBefore(ex.board.last)
	if err := ex.cdrs.Flush(ctx); err != nil {
		return fmt.Errorf("call records: %w", err)
	}
	ex.replayed = r.events
	ex.log.Info("the last life is replayed", zap.Int("events", r.events), zap.Bool("from_a_checkpoint", r.resumed), zap.Duration("took", time.Since(begun)))
	if r.goesOn && r.whole {
		ex.continued = true
		ex.journal.life, ex.journal.grown = r.life, r.bytes
		return nil
	}
	ex.confined(aReplay, ex.log, func() { ex.promised = promisedIn(ex.board.floor, ex.board.last) })
	ex.board.setFloor(acd.NewFloor())
	ex.board.hash = acd.NewHash()
	ex.board.checkpoints.size.Store(0)
	if open := ex.board.fold.Open(); len(open) > 0 {
		ex.log.Warn("the last life ended with calls up", zap.Int("calls", len(open)))
	}
	return nil
}

// resume finds the last life, and where to begin with it.
func (ex *exchange) resume(ctx context.Context) (*resumption, error) {
	r := &resumption{whole: true}
	started, err := ex.journal.lastLife(ctx)
	if err != nil {
		return r, err
	}
	all, err := ex.journal.checkpointsFrom(ctx, started+1)
	if err != nil {
		return r, err
	}
	if r.life = started; started == 0 { // its page may have expired
		r.life, err = ex.journal.lifeOf(ctx, all)
	}
	if err != nil || r.life == 0 {
		return r, err
	}
	r.from, r.goesOn = r.life, ex.sameLife(r.life)
	if r.books, err = ex.booksUntil(ctx); err != nil {
		return r, fmt.Errorf("call records: %w", err)
	}
	return r, ex.fromCheckpoint(ctx, r, all, started == 0)
}

// lifeOf is the life that the newest readable checkpoint is of; 0 if there is none.
func (j *journal) lifeOf(ctx context.Context, all []checkpointAt) (uint64, error) {
	for i := len(all) - 1; i >= 0; i-- {
		c, _, err := j.checkpoint(ctx, all[i].place)
		if errors.Is(err, errCheckpoint) {
			continue
		}
		if err != nil {
			return 0, err
		}
		return c.Life, nil
	}
	return 0, nil
}

// fromCheckpoint puts the board to the newest checkpoint that can be used. After the end
// of the machine that is none that is newer than what is certain of the books, unless
// there is nothing else to begin with.
func (ex *exchange) fromCheckpoint(ctx context.Context, r *resumption, all []checkpointAt, must bool) error {
	take := func(place uint64, newest time.Time) (bool, error) {
		c, size, err := ex.journal.checkpoint(ctx, place)
		if err == nil && (c.Life != r.life || !newest.IsZero() && c.At.After(newest)) {
			return false, nil
		}
		if err == nil && !ex.confined(aReplay, ex.log, func() { err = c.thaw(ex.board, shiftsOf(ex.plan.Load().cfg)) }) {
			err = errCheckpoint
		}
		switch {
		case errors.Is(err, errCheckpoint), errors.Is(err, acd.ErrImage), errors.Is(err, ledger.ErrImage):
			ex.log.Warn("a checkpoint is passed over", zap.Uint64("place", place), zap.Error(err))
			return false, nil
		case err != nil:
			return false, err
		}
		r.from, r.resumed = c.Page+1, true
		ex.board.checkpoints.size.Store(int64(size))
		return true, nil
	}
	if r.goesOn || !r.books.IsZero() {
		newest := r.books
		if r.goesOn {
			newest = time.Time{}
		}
		for i := len(all) - 1; i >= 0; i-- {
			if done, err := take(all[i].place, newest); done || err != nil {
				return err
			}
		}
	}
	for i := 0; must && i < len(all); i++ {
		if done, err := take(all[i].place, time.Time{}); done || err != nil {
			return err
		}
	}
	return nil
}

// replay runs what follows through the floor and the books.
func (ex *exchange) replay(ctx context.Context, r *resumption) error {
	missing := r.books
	if !r.goesOn {
		missing = time.Time{} // the end of a machine may have taken more with it
	}
	b := ex.board
	return ex.journal.read(ctx, r.from, func(p page) error {
		r.events += len(p.Records)
		r.bytes += p.size
		for _, rec := range p.Records {
			b.last, b.seq = rec.At, rec.Seq
			// An event that has killed the last life must not kill every next one.
			r.whole = r.whole && ex.confined(aReplay, ex.log, func() {
				actions := b.floor.Step(rec.At, rec.Event)
				b.hash.Add(rec, actions)
				rows, counts := b.fold.Apply(rec.At, rec.Event, actions), b.tally.Apply(rec.At, rec.Event, actions)
				if !rec.At.Before(missing) {
					ex.cdrs.Put(rows...)
					ex.cdrs.PutIntervals(counts...)
				}
			})
		}
		return nil
	})
}

// booksUntil is a moment before which the books have everything: rows are written in
// the order in which they come, so none is missing that came a minute before the
// newest call there began.
func (ex *exchange) booksUntil(ctx context.Context) (time.Time, error) {
	rows, err := ex.cdrs.List(ctx, ledger.Query{Limit: 1})
	if err != nil || len(rows) == 0 {
		return time.Time{}, err
	}
	return rows[0].Started.Time().Add(-time.Minute), nil
}
