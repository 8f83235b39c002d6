package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"foyer/loadtest"
)

const (
	crowd       = 10_000 // agents configured besides those who take the calls
	crowdQueues = 200
	reloadEvery = 2 * time.Second
)

// reload measures what callers notice of reloads: the way to the agent on a floor of
// ten thousand others, without a reload and with one agent in a hundred changed every
// two seconds.
func (b *bench) reload(ctx context.Context) error {
	still, _, err := b.crowded(ctx, 0)
	if err != nil {
		return err
	}
	moving, reloads, err := b.crowded(ctx, reloadEvery)
	if err != nil {
		return err
	}
	say("%d agents: offer %v; with %d reloads %v", crowd, still.Offer, reloads, moving.Offer)
	row := b.table.add("", fmt.Sprintf("INVITE to INVITE, %d agents, p50 / p99", crowd), "ms", ms(still.Offer.P50)+" / "+ms(still.Offer.P99))
	row.beside = fmt.Sprintf("with %d reloads %s / %s", reloads, ms(moving.Offer.P50), ms(moving.Offer.P99))
	return nil
}

// crowded runs calls through a crowded floor, reloading its configuration every so
// often; 0: never.
func (b *bench) crowded(ctx context.Context, every time.Duration) (loadtest.Result, int, error) {
	const rate = 50
	file := filepath.Join(b.dir, "crowd.yaml")
	if err := os.WriteFile(file, []byte(crowdYAML(0)), 0o600); err != nil {
		return loadtest.Result{}, 0, fmt.Errorf("reload: %w", err)
	}
	s, err := b.open(ctx, loadtest.Setup{Agents: rate, ExtraYAML: "include: [" + file + "]\n"}, func(p *loadtest.Plan) {
		p.Rate, p.Talk, p.Seed, p.AgentHangs = rate, loadtest.Fixed(400*time.Millisecond), 1, 0.5
		p.Calls = int(rate * b.window.Seconds())
	})
	if err != nil {
		return loadtest.Result{}, 0, err
	}
	reloads := 0
	for end := time.Now().Add(b.window); time.Now().Before(end); {
		if every == 0 {
			pause(ctx, time.Until(end))
			break
		}
		pause(ctx, every)
		reloads++
		if err := os.WriteFile(file, []byte(crowdYAML(reloads)), 0o600); err != nil {
			return loadtest.Result{}, 0, s.abandon(ctx, fmt.Errorf("reload: %w", err))
		}
		if err := syscall.Kill(s.sw.PID(), syscall.SIGHUP); err != nil {
			return loadtest.Result{}, 0, s.abandon(ctx, fmt.Errorf("reload: %w", err))
		}
	}
	s.done.Wait()
	_ = s.until(ctx, 10*time.Second, func(t loadtest.Status) bool { return t.Active == 0 })
	res, err := s.end(ctx, fmt.Sprintf("%d agents, %d reloads", crowd, reloads))
	log, readErr := os.ReadFile(filepath.Join(s.sw.Dir, "foyer.log"))
	if done := strings.Count(string(log), `"configuration reloaded"`); readErr != nil || done != reloads {
		b.fault("%d of %d reloads were taken over", done, reloads)
	}
	return res, reloads, err
}

// crowdYAML is a fragment of a configuration: queues, and agents of whom no phone
// registers. In each lesson one agent in a hundred has learned something.
func crowdYAML(lesson int) string {
	var y strings.Builder
	y.WriteString("queues:\n")
	for q := range crowdQueues {
		fmt.Fprintf(&y, "  - {id: crowd%03d, client: essai, require: [fr]}\n", q)
	}
	y.WriteString("agents:\n")
	for i := range crowd {
		level := 1 + i%5
		if i%100 == lesson%100 {
			level = 1 + (i+1)%5
		}
		fmt.Fprintf(&y, "  - {id: crowd%05d, sip: {password: pw-crowd}, skills: {fr: %d}, queues: [crowd%03d, crowd%03d, crowd%03d]}\n",
			i, level, i%crowdQueues, (i+61)%crowdQueues, (i+122)%crowdQueues)
	}
	return y.String()
}
