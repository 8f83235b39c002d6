package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// keepingPairs is how often a switch is measured without and with its calls kept.
const keepingPairs = 6

// keeping measures what it costs that calls outlive the switch: the same load on one
// without a keeper and on one with, in turns, so that whatever else the machine does
// meets both.
func (b *bench) keeping(ctx context.Context) error {
	was := b.kept
	defer func() { b.kept = was }()
	for _, rate := range b.rates {
		var ratios, more []float64
		var p50s, p99s []time.Duration
		for range keepingPairs {
			b.kept = false
			plain, without, err := b.queueAt(ctx, rate)
			if err != nil {
				return err
			}
			b.kept = true
			kept, with, err := b.queueAt(ctx, rate)
			if err != nil {
				return err
			}
			say("%v calls/s: %.2f ms CPU a call, kept %.2f; offer %v, kept %v", rate, without, with, plain.Offer, kept.Offer)
			ratios, more = append(ratios, with/without), append(more, 1000*(with-without))
			p50s, p99s = append(p50s, kept.Offer.P50-plain.Offer.P50), append(p99s, kept.Offer.P99-plain.Offer.P99)
		}
		t, at := &b.table, fmt.Sprintf("%v calls/s without media, kept and not, median of %d pairs", rate, keepingPairs)
		t.add("", at+": CPU a call", "ratio", fmt.Sprintf("%.2f (%.2f to %.2f)", median(ratios), slices.Min(ratios), slices.Max(ratios)))
		t.add("", at+": CPU a call, more", "us", fmt.Sprintf("%.0f", median(more)))
		t.add("", at+": INVITE to INVITE at the agent, more at p50 / p99", "ms", ms(median(p50s))+" / "+ms(median(p99s)))
	}
	return nil
}

func median[T float64 | time.Duration](list []T) T {
	slices.Sort(list)
	return list[len(list)/2]
}
