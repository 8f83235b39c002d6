package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"go.uber.org/zap"
)

// stallAfter is how long the board may do without listening before it counts as
// stalled. A journal that does not answer holds it up for less (journalPatience).
const stallAfter = 5 * time.Second

// clockStep is how far the machine's clock may be set before it is told of.
const clockStep = 2 * time.Second

// watchBoard asks the board again and again whether it listens. A switch in which
// everything stands still must say so, and say what everybody was doing: the log
// names a file with every goroutine's stack. It ends with ctx.
func (ex *exchange) watchBoard(ctx context.Context) {
	after := ex.stall
	if after == 0 {
		after = stallAfter
	}
	told := false
	for stalled := false; ctx.Err() == nil; {
		if off := ex.board.clock.off(); !told && off.Abs() > clockStep {
			told = true
			ex.log.Warn("the machine's clock was set: times in call records keep the old one until the next start", zap.Duration("by", off))
		}
		ex.confined(theWatch, ex.log, func() { stalled = ex.askBoard(ctx, after, stalled) })
		select {
		case <-ctx.Done():
		case <-time.After(after / 5):
		}
	}
}

// askBoard asks the board once, and says whether it stands still.
func (ex *exchange) askBoard(ctx context.Context, after time.Duration, stalled bool) bool {
	asking, stop := context.WithTimeout(ctx, after)
	listens := ex.board.ask(asking, func() {})
	stop()
	if ctx.Err() != nil {
		return stalled
	}
	switch {
	case !listens && !stalled:
		ex.board.stalls.Add(1)
		file, err := ex.picture(time.Now())
		ex.log.Error("the floor stands still: no call is distributed", zap.Duration("for", after),
			zap.Int("events_waiting", ex.board.ring.Len()), zap.String("goroutines_in", file), zap.Error(err))
	case listens && stalled:
		ex.log.Warn("the floor goes on")
	}
	ex.board.stalled.Store(!listens)
	return !listens
}

// picture writes what every goroutine is doing into a file of the data directory.
func (ex *exchange) picture(now time.Time) (string, error) {
	name := filepath.Join(ex.plan.Load().cfg.Site.DataDir, "stall-"+now.UTC().Format("20060102-150405")+".txt")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return "", err
	}
	err = pprof.Lookup("goroutine").WriteTo(f, 2)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return "", fmt.Errorf("picture of the goroutines: %w", err)
	}
	return name, nil
}
