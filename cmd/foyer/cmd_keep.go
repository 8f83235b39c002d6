package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"foyer/console"
	"foyer/recorder"
)

// keepArgs name a recording and why something is done to it.
type keepArgs struct {
	ID     string `arg:"" help:"The recording, as listed."`
	Reason string `help:"Why: it stays in the audit trail and with the recording." required:""`
}

type (
	recordingErase   struct{ keepArgs }
	recordingHold    struct{ keepArgs }
	recordingRelease struct{ keepArgs }
)

func (r *recordingErase) Run(c *cli) error {
	return r.order(c, "recording.erase", func(dir string, w recorder.Word) error { return recorder.Erase(dir, r.ID, w) })
}

func (r *recordingHold) Run(c *cli) error {
	return r.order(c, "recording.hold", func(dir string, w recorder.Word) error { return recorder.Hold(dir, r.ID, w) })
}

func (r *recordingRelease) Run(c *cli) error {
	return r.order(c, "recording.release", func(dir string, _ recorder.Word) error { return recorder.Release(dir, r.ID) })
}

// order carries out an order about one recording. The audit line comes first: no
// line, no deed.
func (k *keepArgs) order(c *cli, action string, do func(string, recorder.Word) error) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	dir := cfg.Recording.Store.Dir
	info, err := recorder.Find(dir, k.ID)
	if err != nil {
		return recordingError(k.ID, err)
	}
	return withBooks(c, func(ctx context.Context, db *sql.DB) error {
		entry := console.AuditEntry{Actor: whoRuns(), Action: action, Object: k.ID, Call: info.CallID, Detail: k.Reason, Remote: "command line"}
		if _, err := console.AppendAudit(ctx, db, entry); err != nil {
			return fmt.Errorf("it could not be traced, so nothing was done: %w", err)
		}
		err := do(dir, recorder.Word{By: whoRuns(), At: time.Now(), Reason: k.Reason})
		if err != nil {
			entry.Detail = "not done: " + err.Error()
			_, traced := console.AppendAudit(ctx, db, entry)
			return errors.Join(err, traced)
		}
		fmt.Fprintln(os.Stderr, k.ID, action)
		return nil
	})
}

type recordingPurge struct {
	DryRun bool `help:"Only say what would be deleted."`
}

// Run deletes what is older than its policy allows, as a running switch does once a day.
func (r *recordingPurge) Run(c *cli) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	due, err := expired(cfg, time.Now())
	if err != nil {
		return err
	}
	if r.DryRun {
		for _, e := range due {
			fmt.Printf("%s  %s  %s\n", e.info.ID, e.info.Started.In(cfg.Site.Timezone).Format(time.DateTime), e.reason)
		}
		return nil
	}
	return withBooks(c, func(ctx context.Context, db *sql.DB) error {
		for _, e := range due {
			if err := e.expire(ctx, db, cfg.Recording.Store.Dir, whoRuns(), "command line"); err != nil {
				return err
			}
			fmt.Printf("%s  %s\n", e.info.ID, e.reason)
		}
		return nil
	})
}
