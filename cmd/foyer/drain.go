package main

import (
	"context"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
)

// drain refuses new calls and lets those that are up end by themselves, for so long.
func (ex *exchange) drain(patience time.Duration) {
	ex.draining.Store(true)
	// No callback is begun any more; those promised are made by the next life.
	for _, q := range ex.plan.Load().cfg.Queues {
		ex.board.post(acd.Event{Kind: acd.CallbacksShut, Queue: acd.QueueID(q.ID), By: acd.Switch})
	}
	ex.calls.postAll(retire{})
	n := ex.calls.count()
	ex.log.Info("draining", zap.Int("calls", n), zap.Duration("patience", patience))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if ex.calls.empty(ctx) {
		return
	}
	ex.log.Warn("calls still up are ended", zap.Int("calls", ex.calls.count()))
	ex.calls.postAll(ordered{by: acd.Switch, cause: acd.CauseDraining})
	last, done := context.WithTimeout(context.Background(), 5*time.Second)
	defer done()
	if !ex.calls.empty(last) {
		ex.log.Error("calls did not end", zap.Int("calls", ex.calls.count()))
	}
}

// shut stops what runs and closes what is open, in the order that loses
// nothing: the wires, the floor, the recordings, the books. It may be called on
// an exchange that was only half opened.
func (ex *exchange) shut() {
	for _, s := range ex.servers {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		_ = s.Shutdown(ctx)
		cancel()
	}
	if ex.stopEdge != nil {
		ex.settleLegs(2 * time.Second)
		ex.stopEdge()
	}
	if ex.edge != nil {
		ex.edge.Close()
	}
	if ex.stopBoard != nil {
		ex.wait.Wait()
		ex.board.post(acd.Event{Kind: acd.Tick}) // the journal's word that the switch was up until now
		ex.stopBoard()
		<-ex.boardDone
		ex.cdrs.PutIntervals(ex.board.tally.Pending()...)
		ex.stopTaps()
		<-ex.tapsDone
	}
	if ex.media != nil {
		ex.media.Close()
	}
	if ex.cdrs != nil {
		ex.cdrs.Close()
	}
	if ex.journal != nil {
		ex.journal.close()
	}
	if ex.sockets != nil {
		ex.sockets.close()
	}
	if ex.lock != nil {
		ex.lock.Close()
	}
	_ = ex.log.Sync()
}

// settleLegs gives the last BYEs time for their answers.
func (ex *exchange) settleLegs(patience time.Duration) {
	until := time.Now().Add(patience)
	for ex.edge.Legs() > 0 && time.Now().Before(until) {
		time.Sleep(10 * time.Millisecond)
	}
}
