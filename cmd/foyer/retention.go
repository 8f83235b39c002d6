package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"foyer/cmd/foyer/config"
	"foyer/console"
	"foyer/recorder"
)

const (
	retainEvery = 24 * time.Hour
	retainFirst = 10 * time.Minute // after the start
)

// expiry is what a rule of retention demands of one recording.
type expiry struct {
	info   recorder.Info
	forget bool   // all that is known of it; else what was said
	reason string // for the tombstone and the audit trail
}

// expired lists what is older than its policy allows, and what was erased and is
// still there. Recordings under legal hold and those in progress stay, and those
// whose policy the configuration does not have: no rule says how long.
func expired(cfg *config.Config, now time.Time) ([]expiry, error) {
	rules := map[string]config.RetainRules{}
	for _, p := range cfg.RecordingPolicies {
		rules[p.ID] = p.Retain
	}
	list, err := recorder.List(cfg.Recording.Store.Dir, recorder.Filter{})
	if err != nil {
		return nil, err
	}
	var due []expiry
	for _, i := range list {
		rule, ok := rules[i.Policy]
		age := now.Sub(i.Started)
		switch {
		case i.Held != nil, i.State == "recording", !ok:
		case age > rule.Audio && age > rule.Metadata:
			due = append(due, expiry{i, true, fmt.Sprintf("policy %s keeps metadata for %s", i.Policy, inDays(rule.Metadata))})
		case age > rule.Audio && i.Erased == nil:
			due = append(due, expiry{i, false, fmt.Sprintf("policy %s keeps audio for %s", i.Policy, inDays(rule.Audio))})
		}
	}
	return due, nil
}

func inDays(d time.Duration) string { return fmt.Sprintf("%d days", int(d/(24*time.Hour))) }

// expire carries out one demand. The audit line comes first: no line, no erasure.
func (e expiry) expire(ctx context.Context, db *sql.DB, dir, by, remote string) error {
	line := console.AuditEntry{Actor: by, Action: "recording.expire", Object: e.info.ID, Call: e.info.CallID, Detail: e.reason, Remote: remote}
	if e.forget {
		line.Action = "recording.forget"
	}
	if _, err := console.AppendAudit(ctx, db, line); err != nil {
		return err
	}
	if e.forget {
		return recorder.Forget(dir, e.info.ID)
	}
	return recorder.Expire(dir, e.info.ID, recorder.Word{By: by, At: time.Now(), Reason: e.reason})
}

// retain deletes once a day what is older than its policy allows, until ctx ends.
func (ex *exchange) retain(ctx context.Context) {
	for next := time.NewTimer(retainFirst); ; next.Reset(retainEvery) {
		select {
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
			return
		}
		ex.retainNow(ctx, time.Now())
	}
}

func (ex *exchange) retainNow(ctx context.Context, now time.Time) {
	cfg := ex.plan.Load().cfg
	due, err := expired(cfg, now)
	if err != nil {
		ex.log.Error("recordings too old are not deleted", zap.Error(err))
		return
	}
	done := 0
	for _, e := range due {
		if ctx.Err() != nil {
			return
		}
		err := e.expire(ctx, ex.cdrs.DB(), cfg.Recording.Store.Dir, "retention", "")
		switch {
		case errors.Is(err, recorder.ErrHeld), errors.Is(err, recorder.ErrInProgress):
			// since it was listed
		case err != nil:
			ex.log.Error("recording too old is not deleted", zap.String("recording", e.info.ID), zap.Error(err))
		default:
			done++
		}
	}
	if done > 0 {
		ex.log.Info("recordings deleted by retention", zap.Int("recordings", done))
	}
}
