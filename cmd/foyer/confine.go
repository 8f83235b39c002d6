package main

import (
	"runtime/debug"

	"go.uber.org/zap"
)

// confinedPart is what a broken invariant of ours is confined to, for its metric.
type confinedPart uint8

// What is missing here is missing on purpose. The board (board.go) is not confined: a
// floor that broke in the middle of a step has decided half of something, for every
// call and agent at once, and going on would be guessing. The process ends, and the
// next life has what the journal has; should the same event break its replay, the
// replay ends there (recover).
const (
	aCall     confinedPart = iota // ends, with cause panic
	anErrand                      // ends
	aDecision                     // is not carried out: the call it is about ends, with cause panic
	theHours                      // of callbacks: the round is left out
	theToll                       // likewise
	theWatch                      // likewise
	aScrape                       // has only some of the figures
	aReplay                       // of the last life's journal: ends there
	confinedParts
)

func (p confinedPart) String() string {
	return [...]string{"call", "errand", "decision", "hours", "toll", "watch", "metrics", "replay"}[p]
}

// confined runs f and confines a broken invariant of ours to it: it is logged with its
// stack and counted, and everybody else goes on. It reports whether f came to its end.
func (ex *exchange) confined(part confinedPart, log *zap.Logger, f func()) (whole bool) {
	defer func() {
		if p := recover(); p != nil {
			ex.faults[part].Add(1)
			log.Error("broken: "+part.String(), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			whole = false
		}
	}()
	if ex.onPart != nil {
		ex.onPart(part)
	}
	f()
	return true
}
