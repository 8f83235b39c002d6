package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"foyer/loadtest"
)

// gauge is something of the switch that may not grow while the load stays the same.
type gauge struct {
	name, metric string
	share, slack float64 // of its mean, plus: how much the trend may rise in all
	unit         float64 // for print
}

// The heap is what the collector aims at, which follows what is alive; the heap in
// use swings with every collection. Ports and legs swing with the calls.
var soaked = []gauge{
	{"goroutines", "go_goroutines", 0.05, 50, 1},
	{"heap after collection, MB", "go_memstats_next_gc_bytes", 0.10, 8 << 20, 1 << 20},
	{"open files", "process_open_fds", 0.05, 20, 1},
	{"RTP ports in use", "foyer_rtp_ports_used", 0.10, 60, 1},
	{"SIP legs", "foyer_sip_legs", 0.10, 60, 1},
}

// warmUp is the part of a soak before judgement begins, but at least a minute and a
// half where the soak is long enough: 32 s are the longest that SIP remembers.
func warmUp(length time.Duration) time.Duration {
	return max(length/4, min(90*time.Second, length/2))
}

// soak runs the same load for long and judges by the trend of each gauge, once the
// switch is warm, whether anything grows. It runs only when it is named.
func (b *bench) soak(ctx context.Context) error {
	rate := 200.0
	if b.rated {
		rate = b.rates[0]
	}
	what := fmt.Sprintf("%v calls/s for %v", rate, b.window)
	say("%s: starting", what)
	s, err := b.open(ctx, loadtest.Setup{Agents: max(20, int(rate))}, func(p *loadtest.Plan) {
		p.Rate, p.Talk, p.Seed = rate, loadtest.Fixed(400*time.Millisecond), 1
		p.AgentHangs, p.Duration = 0.5, b.window
		p.Settle = time.Minute
	})
	if err != nil {
		return err
	}
	times, samples, err := s.sample(ctx, b.window)
	if err != nil {
		return s.abandon(ctx, err)
	}
	res, err := s.end(ctx, what)
	b.table.add("", what+": answered of started", "calls", fmt.Sprintf("%d of %d", res.Answered, res.Started))
	for i, g := range soaked {
		from, to, ok := g.judge(times, samples[i])
		b.table.add("", what+": "+g.name+", begin and end of the trend", "", fmt.Sprintf("%.0f -> %.0f", from/g.unit, to/g.unit))
		if !ok {
			b.fault("%s: %s grew from %.1f to %.1f", what, g.name, from/g.unit, to/g.unit)
		}
	}
	return err
}

// sample reads the gauges a hundred times in a window, every five seconds at most,
// from the end of the warm-up on. Times are in seconds.
func (s *stage) sample(ctx context.Context, window time.Duration) (times []float64, samples [][]float64, err error) {
	samples = make([][]float64, len(soaked))
	every := max(min(window/100, 5*time.Second), time.Second)
	begun := time.Now()
	// The load ends with the window: its last moments are no steady state.
	for told := begun; time.Since(begun) < window-2*every && ctx.Err() == nil; pause(ctx, every) {
		r, err := s.sw.Readings(ctx)
		if err != nil {
			return nil, nil, err
		}
		if time.Since(told) > 30*time.Second {
			told = time.Now()
			say("%s  %v", s.load.Status(), line(r))
		}
		if at := time.Since(begun); at >= warmUp(window) {
			times = append(times, at.Seconds())
			for i, g := range soaked {
				samples[i] = append(samples[i], r[g.metric])
			}
		}
	}
	return times, samples, ctx.Err()
}

// line writes the gauges of one moment.
func line(r loadtest.Readings) (text string) {
	for _, g := range soaked {
		text += fmt.Sprintf(" %s %.0f", g.name, r[g.metric]/g.unit)
	}
	return text
}

// judge fits a straight line and returns where it begins and ends, and whether it
// rises by no more than it may.
func (g gauge) judge(times, values []float64) (from, to float64, ok bool) {
	if len(times) < 3 {
		return 0, 0, false
	}
	mean, slope := trend(times, values)
	half := (times[len(times)-1] - times[0]) / 2
	from, to = mean-slope*half, mean+slope*half
	return from, to, to-from <= g.share*math.Abs(mean)+g.slack
}

// trend is the mean and the slope of the line of least squares.
func trend(times, values []float64) (mean, slope float64) {
	n := float64(len(times))
	var middle float64
	for i := range times {
		middle += times[i] / n
		mean += values[i] / n
	}
	var up, across float64
	for i := range times {
		d := times[i] - middle
		up += d * (values[i] - mean)
		across += d * d
	}
	return mean, up / across
}
