package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/cmd/foyer/config"
	"foyer/console"
)

// reload reads the configuration again and serves by it from now on: all of it, or
// nothing when anything is wrong. Calls that are up go on, agents keep their state
// and callers their place (acd.Reconfigured). With dry it only says what would change.
//
// Errors: *config.Problems for a file that cannot be used, *mustRestart for a change
// that needs the switch to be started anew. Any goroutine may call it.
func (ex *exchange) reload(ctx context.Context, dry bool) ([]config.Change, error) {
	ex.reloading.Lock()
	defer ex.reloading.Unlock()
	defer aside()()
	now := ex.plan.Load()
	cfg, err := ex.read(now.cfg.Files[0])
	if err != nil {
		return nil, err
	}
	changes := config.Diff(now.cfg, cfg)
	if fixed := slices.DeleteFunc(slices.Clone(changes), func(c config.Change) bool { return !c.Restart }); len(fixed) > 0 {
		return changes, &mustRestart{fixed}
	}
	next, err := newPlan(cfg)
	if err != nil || dry {
		return changes, err
	}
	if ex.draining.Load() {
		return changes, fmt.Errorf("%w: the switch is draining; what is new counts when it is started again", console.ErrUnavailable)
	}
	ex.takeOver(ctx, next)
	ex.keepConfig()
	return changes, nil
}

// apart is aside for what is no reload: one of them at a time.
func (ex *exchange) apart(f func()) {
	ex.reloading.Lock()
	defer ex.reloading.Unlock()
	defer aside()()
	f()
}

// takeOver puts a plan in the place of the one before. The floor comes first, so
// that it knows an agent before their phone can register, and a queue before a call
// is led to it.
func (ex *exchange) takeOver(ctx context.Context, next *plan) {
	ex.board.post(acd.Event{Kind: acd.Reconfigured, Config: &next.floor})
	ex.plan.Store(next)
	ex.board.ask(ctx, func() { ex.board.tally.SetSchedule(shiftsOf(next.cfg)) })
	ex.serveAccounts()
	ex.edge.SetTrunks(next.sipTrunks)
	select {
	case ex.rehour <- struct{}{}:
	default: // somebody has asked already
	}
}

// mustRestart is a reload that would change what is fixed while the switch runs.
type mustRestart struct{ changes []config.Change }

func (m *mustRestart) Error() string {
	paths := make([]string, len(m.changes))
	for i, c := range m.changes {
		paths[i] = c.Path
	}
	return "the switch must be restarted for " + strings.Join(paths, ", ")
}

// Reload answers the console, and notes how it went.
func (d *desk) Reload(ctx context.Context, by string, dry bool) ([]console.ConfigChange, error) {
	changes, err := d.ex.reload(ctx, dry)
	if !dry {
		d.ex.reloaded(by, changes, err)
	}
	seen := make([]console.ConfigChange, len(changes))
	for i, c := range changes {
		seen[i] = console.ConfigChange{Path: c.Path, Kind: string(c.Kind), Was: c.Was, Is: c.Is, Restart: c.Restart}
	}
	var bad *config.Problems
	var fixed *mustRestart
	switch {
	case errors.As(err, &bad):
		refused := &console.BadConfig{Why: bad.Summary()}
		for _, p := range bad.List {
			refused.Problems = append(refused.Problems, p.String())
		}
		return nil, refused
	case errors.As(err, &fixed):
		return nil, &console.BadConfig{Why: fixed.Error(), Hint: "Restart it when it suits you, or put these back and reload the rest."}
	case err != nil && !errors.Is(err, console.ErrUnavailable):
		return nil, &console.BadConfig{Why: err.Error()} // a sound that cannot be read
	}
	return seen, err
}

// changesLogged is how many changes of one reload stand in the log one by one.
const changesLogged = 100

// reloaded tells the log and the metrics of a reload.
func (ex *exchange) reloaded(by string, changes []config.Change, err error) {
	ex.metrics.reloaded(ex.plan.Load().cfg.Sum, time.Now(), err)
	log := ex.log.With(zap.String("by", by))
	if err != nil {
		log.Error("configuration not reloaded: the one before still counts", zap.Error(err))
		return
	}
	log.Info("configuration reloaded", zap.Int("changes", len(changes)))
	for i, c := range changes {
		if i == changesLogged {
			log.Info("configuration changed", zap.Int("and_more", len(changes)-i))
			break
		}
		log.Info("configuration changed", zap.String("at", c.Path), zap.String("kind", string(c.Kind)), zap.String("was", c.Was), zap.String("is", c.Is))
	}
}
