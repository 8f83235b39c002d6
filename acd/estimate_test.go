package acd

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestEstimates(t *testing.T) {
	ten := Pace{Agents: 10, Handle: 180 * time.Second}
	fifty := Pace{Agents: 50, Handle: 240 * time.Second}
	three := Pace{Agents: 3, Handle: 300 * time.Second}
	hasty := func(p Pace) Pace { p.Patience = 90 * time.Second; return p }
	for _, c := range []struct {
		pace           Pace
		ahead          int
		mean, p50, p90 float64 // seconds; a zero is not given
	}{
		{ten, 0, 18, 12.48, 41.45},
		{ten, 4, 90, 84.08, 143.88},
		{hasty(ten), 4, 67.107, 0, 0},
		{ten, 9, 180, 0, 255.71},
		{hasty(ten), 9, 105.141, 0, 0},
		{fifty, 4, 24, 0, 38.37},
		{three, 2, 300, 0, 532.23},
		{hasty(three), 2, 178.403, 0, 0},
	} {
		e, ok := c.pace.Wait(c.ahead)
		if !ok {
			t.Fatalf("%+v, %d ahead: no estimate", c.pace, c.ahead)
		}
		check := func(what string, got time.Duration, want, digit float64) {
			if want != 0 && math.Abs(got.Seconds()-want) > digit/2+1e-9 {
				t.Errorf("%+v, %d ahead: %s %v, want %v s", c.pace, c.ahead, what, got, want)
			}
		}
		check("mean", e.Mean, c.mean, 0.001)
		check("P50", e.P50, c.p50, 0.01)
		check("P90", e.P90, c.p90, 0.01)
	}
}

// One caller alone in front of the agents waits an exponential time, by hand:
// half within ln 2 of the mean, nine in ten within ln 10.
func TestEstimateOfTheFirstInLineIsExponential(t *testing.T) {
	for _, patience := range []time.Duration{0, time.Second, time.Hour} {
		e, ok := Pace{Agents: 4, Handle: 400 * time.Second, Patience: patience}.Wait(0)
		if want := (Estimate{100 * time.Second, 69315 * time.Millisecond, 230259 * time.Millisecond}); !ok || e != want {
			t.Errorf("patience %v: %v, want %v", patience, e, want)
		}
	}
}

func TestNoEstimateWithoutAgentsOrHandleTime(t *testing.T) {
	for _, p := range []Pace{
		{},
		{Handle: time.Minute},
		{Agents: -1, Handle: time.Minute},
		{Agents: math.NaN(), Handle: time.Minute},
		{Agents: math.Inf(1), Handle: time.Minute},
		{Agents: 5},
		{Agents: 5, Handle: -time.Minute},
	} {
		if e, ok := p.Wait(3); ok || e != (Estimate{}) {
			t.Errorf("%+v: %v", p, e)
		}
	}
}

func TestEstimateOfTheImpossible(t *testing.T) {
	p := Pace{Agents: 10, Handle: 180 * time.Second}
	none, _ := p.Wait(0)
	if e, ok := p.Wait(-7); !ok || e != none {
		t.Errorf("-7 ahead: %v, want as with none ahead", e)
	}
	p.Patience = -time.Second // as if nobody ever left
	if e, ok := p.Wait(0); !ok || e != none {
		t.Errorf("negative patience: %v", e)
	}
	e, ok := Pace{Agents: 1e-9, Handle: 1000 * time.Hour}.Wait(5000)
	if !ok || e.Mean != math.MaxInt64 || e.P90 != math.MaxInt64 {
		t.Errorf("longer than a Duration: %v", e)
	}
}

// departures solves dp/dt for the number of callers still ahead, step by step
// with the method of Runge and Kutta, and returns the probability that a caller
// with q ahead still waits at each of the times, which are in order.
func departures(rates []float64, times ...float64) []float64 {
	n := len(rates)
	p, sum, tmp := make([]float64, n), make([]float64, n), make([]float64, n)
	slope := make([]float64, n)
	p[n-1] = 1
	change := func(of []float64) {
		for j := range of {
			slope[j] = -rates[j] * of[j]
			if j+1 < n {
				slope[j] += rates[j+1] * of[j+1]
			}
		}
	}
	var out []float64
	now := 0.0
	for _, until := range times {
		steps := math.Ceil((until - now) * rates[n-1] / 0.1)
		h := (until - now) / steps
		for range int(steps) {
			copy(tmp, p)
			copy(sum, p)
			for i, share := range []float64{1. / 6, 1. / 3, 1. / 3, 1. / 6} {
				change(tmp)
				next := []float64{h / 2, h / 2, h, 0}[i]
				for j := range p {
					sum[j] += h * share * slope[j]
					tmp[j] = p[j] + next*slope[j]
				}
			}
			p, sum = sum, p
		}
		now = until
		total := 0.0
		for _, x := range p {
			total += x
		}
		out = append(out, total)
	}
	return out
}

// Half of the callers still wait at P50 and a tenth at P90, by an account that
// shares nothing with the estimate: caller after caller leaves the line.
func TestEstimatesAreExact(t *testing.T) {
	for _, c := range []struct {
		agents   float64
		patience time.Duration
		ahead    int
	}{
		{10, 0, 1}, {10, 0, 40}, {10, 0, 400},
		{10, 90 * time.Second, 1}, {10, 90 * time.Second, 4}, {10, 90 * time.Second, 33}, {10, 90 * time.Second, 400},
		{200, 90 * time.Second, 30}, {200, 90 * time.Second, 100}, {200, 90 * time.Second, 101}, {200, 90 * time.Second, 600},
		{0.5, 20 * time.Second, 2}, {0.5, 20 * time.Second, 60}, {2000, 10 * time.Hour, 300}, {31.7, 3 * time.Minute, 57},
	} {
		pace := Pace{Agents: c.agents, Handle: 3 * time.Minute, Patience: c.patience}
		e, ok := pace.Wait(c.ahead)
		rates := make([]float64, c.ahead+1)
		mean := 0.0
		for j := range rates {
			rates[j] = c.agents / 180
			if c.patience > 0 {
				rates[j] += float64(j) / c.patience.Seconds()
			}
			mean += 1 / rates[j]
		}
		// What the rounding to the millisecond may hide, plus the error of the steps.
		slack := 0.0005*rates[0] + 2e-6
		still := departures(rates, e.P50.Seconds(), e.P90.Seconds())
		if !ok || math.Abs(still[0]-0.5) > slack || math.Abs(still[1]-0.1) > slack || math.Abs(e.Mean.Seconds()-mean) > 0.00051 {
			t.Errorf("%+v, %d ahead: %v, mean %.4f s; still waiting %.7f at P50, %.7f at P90", pace, c.ahead, e, mean, still[0], still[1])
		}
	}
}

// With thousands ahead the Poisson sum is the other account of the same.
func TestEstimateOfALongLine(t *testing.T) {
	const ahead = 5000
	e, _ := Pace{Agents: 100, Handle: 100 * time.Second}.Wait(ahead) // one a second
	for _, c := range []struct{ at, want float64 }{{e.P50.Seconds(), 0.5}, {e.P90.Seconds(), 0.1}} {
		still := 0.0
		for k := range ahead + 1 {
			l, _ := math.Lgamma(float64(k + 1))
			still += math.Exp(float64(k)*math.Log(c.at) - c.at - l)
		}
		if math.Abs(still-c.want) > 1e-5 {
			t.Errorf("still waiting %.8f at %.3f s, want %v", still, c.at, c.want)
		}
	}
	if e.Mean != 5001*time.Second {
		t.Errorf("mean %v", e.Mean)
	}
}

// Whatever the queue: the band is in order, more callers ahead never make a wait
// shorter, more agents or less patience never longer.
func TestEstimatesAreInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Pace{
			Agents:   math.Exp(rapid.Float64Range(math.Log(0.01), math.Log(20_000)).Draw(t, "agents")),
			Handle:   time.Duration(rapid.Int64Range(int64(time.Second), int64(2*time.Hour)).Draw(t, "handle")),
			Patience: time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "patience")),
		}
		if p.Patience > 0 && rapid.Bool().Draw(t, "hasty") {
			p.Patience = p.Patience>>rapid.IntRange(0, 46).Draw(t, "haste") + 1
		}
		ahead := rapid.IntRange(0, 20_000).Draw(t, "ahead")
		e := wait(t, p, ahead)
		if !(0 <= e.P50 && e.P50 <= e.P90) || e.Mean < 0 || e.Mean > e.P90 {
			t.Fatalf("out of order: %v", e)
		}
		if more := wait(t, p, ahead+1); longer(e, more) {
			t.Fatalf("%v with one more ahead, %v before", more, e)
		}
		helped := p
		helped.Agents *= 1.01
		if less := wait(t, helped, ahead); longer(less, e) {
			t.Fatalf("%v with more agents, %v before", less, e)
		}
		p.Patience = 0
		if most := wait(t, p, ahead); longer(e, most) {
			t.Fatalf("%v when nobody leaves, %v when callers do", most, e)
		}
	})
}

// longer says whether a is longer than b, but for a last digit rounded otherwise.
func longer(a, b Estimate) bool {
	const digit = time.Millisecond
	return a.Mean-b.Mean > digit || a.P50-b.P50 > digit || a.P90-b.P90 > digit
}

func wait(t *rapid.T, p Pace, ahead int) Estimate {
	e, ok := p.Wait(ahead)
	if !ok {
		t.Fatalf("%+v: no estimate", p)
	}
	return e
}

// As patience grows without end, the estimate becomes the one in which nobody leaves.
func TestEndlessPatience(t *testing.T) {
	for _, ahead := range []int{1, 31, 32, 33, 500, 5000} {
		p := Pace{Agents: 50, Handle: 4 * time.Minute}
		want, _ := p.Wait(ahead)
		p.Patience = 1 << 62 // 146 years; of 5000 callers, some leave even so
		got, _ := p.Wait(ahead)
		short := want.Mean / 200_000
		if want.Mean-got.Mean > short || want.P50-got.P50 > short || want.P90-got.P90 > short || got.Mean > want.Mean {
			t.Errorf("%d ahead: %v, want %v", ahead, got, want)
		}
	}
}

func TestEstimateAllocatesNothing(t *testing.T) {
	p := Pace{Agents: 50, Handle: 4 * time.Minute, Patience: 2 * time.Minute}
	if n := testing.AllocsPerRun(100, func() { p.Wait(5000) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEstimate(b *testing.B) {
	for _, c := range []struct {
		name     string
		agents   float64
		patience time.Duration
		ahead    int
	}{
		{"5 ahead", 10, 0, 5}, {"5 ahead, some leave", 10, 2 * time.Minute, 5},
		{"5000 ahead", 50, 0, 5000}, {"5000 ahead, some leave", 50, 2 * time.Minute, 5000},
		{"5000 ahead of 2500, some leave", 2500, 2 * time.Minute, 5000},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			p := Pace{c.agents, 4 * time.Minute, c.patience}
			for b.Loop() {
				p.Wait(c.ahead)
			}
		})
	}
}
