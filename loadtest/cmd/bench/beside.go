package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// peers measures what Debian offers for parts of the job, with the same generator
// in the same run: rtpengine for the media alone, Kamailio for the signalling
// alone. What is not installed is left out.
func (b *bench) peers(ctx context.Context) error {
	if _, err := exec.LookPath("rtpengine"); err == nil {
		for _, n := range b.calls {
			if err := b.relays(ctx, n); err != nil {
				return err
			}
		}
	} else {
		say("rtpengine is not installed (package rtpengine-daemon): left out")
	}
	if _, err := exec.LookPath("kamailio"); err != nil {
		say("kamailio is not installed: left out")
		return nil
	}
	for _, rate := range []float64{20, 100} {
		if b.short && rate > 50 {
			break
		}
		cpu, res, err := b.proxy(ctx, rate)
		if err != nil {
			return fmt.Errorf("kamailio: %w", err)
		}
		say("kamailio at %v calls/s: %d answered of %d, %.2f ms CPU a call, %v, %v", rate, res.Answered, res.Started, cpu, res.Offer, res.Errors)
		if rate == 20 {
			b.beside("INVITE to INVITE at the agent", fmt.Sprintf("Kamailio, proxy only %s / %s", ms(res.Offer.P50), ms(res.Offer.P99)), "offer")
		}
		b.beside("CPU of a whole call", fmt.Sprintf("Kamailio, proxy only %.2f", cpu), "percall")
	}
	return nil
}

func (b *bench) relays(ctx context.Context, n int) error {
	var cpu, memory, lost, delay []string
	for _, mode := range []struct {
		name   string
		record bool
	}{{"relay", false}, {"pcap", true}} {
		say("rtpengine, %d calls, %s", n, mode.name)
		c, mem, m, err := b.relay(ctx, n, mode.record)
		if err != nil {
			return fmt.Errorf("rtpengine, %d calls, %s: %w", n, mode.name, err)
		}
		cpu = append(cpu, fmt.Sprintf("%s %.2f", mode.name, c))
		memory = append(memory, mode.name+" "+kb(mem))
		lost = append(lost, fmt.Sprintf("%s %d", mode.name, m.Lost))
		delay = append(delay, fmt.Sprintf("%s %s / %s", mode.name, ms(m.DelayP50), ms(m.DelayP99)))
	}
	prefix := fmt.Sprintf("%d recorded calls: ", n)
	b.beside(prefix+"CPU a call", "rtpengine "+strings.Join(cpu, ", "), fmt.Sprintf("media/%d", n))
	b.beside(prefix+"memory a call", "rtpengine "+strings.Join(memory, ", "), "memory")
	b.beside(prefix+"packets lost", "rtpengine "+strings.Join(lost, ", "), "lost")
	b.beside(prefix+"forwarding p50 / p99", "rtpengine "+strings.Join(delay, ", "), "delay")
	return nil
}

// beside puts a figure next to ours, or on a line of its own if ours was not
// measured.
func (b *bench) beside(figure, text, key string) {
	for i := range b.table.rows {
		if strings.HasPrefix(b.table.rows[i].figure, figure) {
			b.table.rows[i].beside = text
			return
		}
	}
	b.table.add(key, figure, "", "").beside = text
}
