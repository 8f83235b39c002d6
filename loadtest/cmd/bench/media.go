package main

import (
	"context"
	"fmt"
	"time"

	"foyer/loadtest"
)

// media measures recorded calls at rest: CPU, memory, loss and forwarding delay.
func (b *bench) media(ctx context.Context) error {
	for _, n := range b.calls {
		if err := b.mediaAt(ctx, n); err != nil {
			return fmt.Errorf("%d calls: %w", n, err)
		}
	}
	return nil
}

func (b *bench) mediaAt(ctx context.Context, n int) error {
	what := fmt.Sprintf("%d recorded calls", n)
	say("%s: starting", what)
	s, err := b.open(ctx, loadtest.Setup{Agents: n, Record: true}, func(p *loadtest.Plan) {
		p.Concurrent, p.Ramp, p.Media = n, 40, true
		p.Talk = loadtest.Fixed(2 * time.Hour)
		p.Settle = 30 * time.Second
	})
	if err != nil {
		return err
	}
	if err := s.until(ctx, time.Duration(n/20+20)*time.Second, func(t loadtest.Status) bool { return t.Talking == n }); err != nil {
		return s.abandon(ctx, err)
	}
	pause(ctx, 2*time.Second)
	used, _, m, err := s.measure(ctx)
	if err != nil {
		return s.abandon(ctx, err)
	}
	full, err := s.sw.Usage()
	if err != nil {
		return s.abandon(ctx, err)
	}
	res, err := s.end(ctx, what)
	perCall := used.Seconds() * 1000 / b.window.Seconds() / float64(n)
	memory := (full.RSS - s.idle.RSS) / int64(n)
	key := fmt.Sprintf("media/%d", n)
	b.table.add(key, fmt.Sprintf("%d recorded calls: CPU a call", n), "ms/s", fmt.Sprintf("%.2f", perCall))
	b.table.add("memory", fmt.Sprintf("%d recorded calls: memory a call", n), "", kb(memory))
	b.table.add("lost", fmt.Sprintf("%d recorded calls: packets lost", n), fmt.Sprintf("of %d", m.Received+m.Lost), fmt.Sprint(m.Lost))
	b.table.add("delay", fmt.Sprintf("%d recorded calls: forwarding p50 / p99", n), "ms", ms(m.DelayP50)+" / "+ms(m.DelayP99))
	if m.Misrouted > 0 || m.Deaf > 0 {
		b.fault("%s: %d packets misrouted, %d deaf legs", what, m.Misrouted, m.Deaf)
	}
	if m.Slipped > 60*time.Millisecond {
		say("%s: the generator itself was up to %v late", what, m.Slipped.Round(time.Millisecond))
	}
	say("%s: offer %v; post dial %v", what, res.Offer, res.PostDial)
	return err
}
