package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"foyer/loadtest"
)

// queue measures calls through the queue without media: the way to the agent, the
// highest clean rate, the CPU of a whole call.
func (b *bench) queue(ctx context.Context) error {
	best, at, perCall := 0.0, []string{}, []string{}
	for _, rate := range b.rates {
		res, cpu, err := b.queueAt(ctx, rate)
		if err != nil {
			return fmt.Errorf("%v calls/s: %w", rate, err)
		}
		say("%v calls/s: %d answered of %d, offer %v, %.2f ms CPU a call", rate, res.Answered, res.Started, res.Offer, cpu)
		if rate == 20 {
			b.table.add("offer", "INVITE to INVITE at the agent, p50 / p99", "ms", ms(res.Offer.P50)+" / "+ms(res.Offer.P99))
		}
		at = append(at, fmt.Sprintf("%.0f", rate))
		perCall = append(perCall, fmt.Sprintf("%.2f", cpu))
		if !clean(res) {
			break
		}
		best = rate
	}
	b.table.add("rate", "highest rate run clean", "calls/s", fmt.Sprintf("%.0f", best))
	b.table.add("percall", "CPU of a whole call, no media, at "+strings.Join(at, " / ")+" calls/s", "ms", strings.Join(perCall, " / "))
	return nil
}

// clean is what a carrier would accept: every call answered, none slower than a
// second to its agent at the 99th percentile, nothing repeated on a wire that
// loses nothing.
func clean(r loadtest.Result) bool {
	return r.Answered == r.Started && r.Offer.P99 < time.Second && r.Wait.P99 < time.Second && r.Resent == 0
}

func (b *bench) queueAt(ctx context.Context, rate float64) (loadtest.Result, float64, error) {
	const talk = 400 * time.Millisecond
	agents := max(20, int(rate))
	length := min(b.window, 10*time.Second)
	s, err := b.open(ctx, loadtest.Setup{Agents: agents}, func(p *loadtest.Plan) {
		p.Rate, p.Talk, p.Seed = rate, loadtest.Fixed(talk), 1
		p.Calls = int(rate * length.Seconds())
		p.AgentHangs = 0.5
	})
	if err != nil {
		return loadtest.Result{}, 0, err
	}
	s.done.Wait()
	_ = s.until(ctx, 10*time.Second, func(t loadtest.Status) bool { return t.Active == 0 })
	after, err := s.sw.Usage()
	if err != nil {
		return loadtest.Result{}, 0, s.abandon(ctx, err)
	}
	res, err := s.end(ctx, fmt.Sprintf("%v calls/s", rate))
	_, used := after.Since(s.idle)
	return res, used.Seconds() * 1000 / float64(max(res.Started, 1)), err
}
