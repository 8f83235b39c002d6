package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"foyer/acd"
)

// lifeKey is where the memory of calls says which life of the journal its calls are
// in: the place of its Started event.
const lifeKey = "life"

// sameLife says whether the memory of calls is of the life that begins at this place of
// the journal, so that the floor goes on instead of beginning anew.
func (ex *exchange) sameLife(from uint64) bool {
	if ex.memory == nil {
		return false
	}
	was, ok := ex.memory.Get(lifeKey)
	return ok && string(was) == strconv.FormatUint(from, 10)
}

// beginLife posts the first events of a life: Started, and the promises of the one
// before; or that the same life goes on, with what the configuration says now.
func (ex *exchange) beginLife() {
	floor := ex.plan.Load().floor
	if ex.continued {
		ex.board.post(acd.Event{Kind: acd.Continued})
		ex.board.post(acd.Event{Kind: acd.Reconfigured, Config: &floor})
		return
	}
	ex.board.post(acd.Event{Kind: acd.Started, Config: &floor})
	for _, ev := range ex.promised {
		ex.board.post(ev)
	}
}

// markLife notes which life of the journal the calls to come are in.
func (ex *exchange) markLife() error {
	if ex.memory == nil || ex.continued {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ex.board.ask(ctx, func() {}) // Started is in the journal
	from, err := ex.journal.lastLife(ctx)
	if err == nil {
		err = ex.memory.Put(lifeKey, strconv.AppendUint(nil, from, 10))
	}
	if err != nil {
		return fmt.Errorf("memory of calls: %w", err)
	}
	return nil
}
