package main

import (
	"context"
	"fmt"
	"time"

	"foyer/loadtest"
)

// waiting measures a full queue on music, and how soon a freed agent gets the
// next caller.
func (b *bench) waiting(ctx context.Context) error {
	callers, crew := 1000, 200
	if b.short {
		callers, crew = 100, 20
	}
	if err := b.waitingForOne(ctx, callers); err != nil {
		return fmt.Errorf("one agent: %w", err)
	}
	if err := b.waitingForMany(ctx, callers, crew); err != nil {
		return fmt.Errorf("%d agents: %w", crew, err)
	}
	return nil
}

func (b *bench) waitingForOne(ctx context.Context, callers int) error {
	what := fmt.Sprintf("%d waiting on music for one agent", callers)
	say("%s: starting", what)
	s, err := b.open(ctx, loadtest.Setup{Agents: 1}, func(p *loadtest.Plan) {
		p.Concurrent, p.Ramp, p.Media = callers+1, 100, true
		p.Talk, p.AgentHangs = loadtest.Fixed(400*time.Millisecond), 1
		p.Settle = 30 * time.Second
	})
	if err != nil {
		return err
	}
	limit := time.Duration(callers/40+20) * time.Second
	if err := s.until(ctx, limit, func(t loadtest.Status) bool { return t.Waiting >= callers }); err != nil {
		return s.abandon(ctx, err)
	}
	pause(ctx, time.Second)
	_, cores, _, err := s.measure(ctx)
	if err != nil {
		return s.abandon(ctx, err)
	}
	s.load.Mute(true)
	pause(ctx, time.Second)
	_, listening, _, err := s.measure(ctx)
	if err != nil {
		return s.abandon(ctx, err)
	}
	full, err := s.sw.Usage()
	if err != nil {
		return s.abandon(ctx, err)
	}
	res, err := s.end(ctx, what)
	b.table.add("waiting", fmt.Sprintf("%d waiting on music, sending RTP", callers), "cores", fmt.Sprintf("%.3f", cores))
	b.table.add("waiting", fmt.Sprintf("%d waiting on music, silent", callers), "cores", fmt.Sprintf("%.3f", listening))
	b.table.add("waiting/memory", fmt.Sprintf("%d waiting: memory", callers), "", fmt.Sprintf("%d MB", full.RSS>>20))
	b.table.add("freed/one", "agent's BYE to the next INVITE, p50 / p99", "ms", freed(res))
	return err
}

func freed(r loadtest.Result) string {
	if r.Freed.N == 0 {
		return "nobody"
	}
	return fmt.Sprintf("%s / %s (n=%d)", ms(r.Freed.P50), ms(r.Freed.P99), r.Freed.N)
}

// waitingForMany lets all agents hang up in one moment, three times.
func (b *bench) waitingForMany(ctx context.Context, callers, crew int) error {
	what := fmt.Sprintf("%d waiting on music, %d agents freed at once", callers, crew)
	say("%s: starting", what)
	s, err := b.open(ctx, loadtest.Setup{Agents: crew}, func(p *loadtest.Plan) {
		p.Concurrent, p.Ramp, p.Media = callers+crew, 100, true
		p.Talk = loadtest.Fixed(2 * time.Hour)
		p.Settle = 30 * time.Second
	})
	if err != nil {
		return err
	}
	over := 0 // calls that agents have ended; before these are gone the agents only seem to be talking
	full := func(t loadtest.Status) bool {
		return t.Answered == over && t.Talking == crew && t.Waiting >= callers
	}
	for range 3 {
		if err := s.until(ctx, time.Duration(callers/40+30)*time.Second, full); err != nil {
			return s.abandon(ctx, err)
		}
		pause(ctx, time.Second)
		if n := s.load.HangUpAgents(); n != crew {
			b.fault("%s: only %d were talking", what, n)
		}
		over += crew
	}
	if err := s.until(ctx, 30*time.Second, full); err != nil {
		return s.abandon(ctx, err)
	}
	res, err := s.end(ctx, what)
	b.table.add("freed/all", fmt.Sprintf("%d agents' BYE at once to their next INVITE, p50 / p99", crew), "ms", freed(res))
	return err
}
