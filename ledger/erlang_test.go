package ledger

import (
	"container/heap"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// near says whether a figure agrees with one printed to so many decimals.
func near(got, want float64, decimals int) bool {
	return math.Abs(got-want) <= math.Pow10(-decimals)/2*1.000001
}

// Rows with a source: 1 is the worked "Erlang-C formula" example (360 calls a
// half hour, 4 minutes, 55 agents, 15 s), 2 is from the Call Centre Helper, 3 and
// 4 say that 28 agents pass and 27 fail, and the one of 48 a minute is Garnett,
// Mandelbaum and Reiman's. The one of 20 an hour is 1/3 and 60 s by hand.
func TestErlangC(t *testing.T) {
	for _, c := range []struct {
		calls                                float64
		per, aht                             time.Duration
		n                                    int
		within                               float64 // seconds
		erlangs, occupancy, waiting, asa, sl float64 // sl 0: not given
	}{
		{360, 30 * time.Minute, 240 * time.Second, 55, 15, 48.000, 0.87273, 0.23870, 8.184, 0.84588},
		{100, 30 * time.Minute, 180 * time.Second, 14, 20, 10.000, 0.71429, 0.17413, 7.836, 0.88835},
		{250, time.Hour, 330 * time.Second, 27, 30, 22.917, 0.84877, 0.31573, 25.516, 0.78218},
		{250, time.Hour, 330 * time.Second, 28, 30, 22.917, 0.81845, 0.22724, 14.752, 0.85685},
		{360, time.Hour, 180 * time.Second, 21, 20, 18.000, 0.85714, 0.39587, 23.752, 0.71635},
		{360, time.Hour, 180 * time.Second, 23, 20, 18.000, 0.78261, 0.19069, 6.865, 0.89059},
		{60, time.Hour, 300 * time.Second, 6, 20, 5.000, 0.83333, 0.58752, 176.255, 0.45037},
		{60, time.Hour, 300 * time.Second, 7, 20, 5.000, 0.71429, 0.32415, 48.622, 0.71631},
		{60, time.Hour, 300 * time.Second, 8, 20, 5.000, 0.62500, 0.16727, 16.727, 0.86305},
		{100, time.Hour, 300 * time.Second, 12, 20, 8.333, 0.69444, 0.17597, 14.398, 0.86219},
		{500, time.Hour, 180 * time.Second, 28, 20, 25.000, 0.89286, 0.45730, 27.438, 0.67233},
		{500, time.Hour, 180 * time.Second, 29, 20, 25.000, 0.86207, 0.34104, 15.347, 0.78133},
		{500, time.Hour, 180 * time.Second, 30, 20, 25.000, 0.83333, 0.24989, 8.996, 0.85662},
		{1000, time.Hour, 240 * time.Second, 72, 20, 66.667, 0.92593, 0.41449, 18.652, 0.73424},
		{1000, time.Hour, 240 * time.Second, 75, 20, 66.667, 0.88889, 0.23185, 6.677, 0.88422},
		{20, time.Hour, 180 * time.Second, 2, 20, 1.000, 0.5, 1. / 3, 60, 0.70172},
		{48, time.Minute, 60 * time.Second, 50, 20, 48.000, 0.960, 0.69446, 20.834, 0},
	} {
		w := Work{Calls: c.calls, Per: c.per, Handle: c.aht}
		f, err := ErlangC(w, c.n, time.Duration(c.within)*time.Second)
		if err != nil {
			t.Errorf("%+v: %v", w, err)
			continue
		}
		if !near(w.Erlangs(), c.erlangs, 3) || !near(f.Occupancy, c.occupancy, 5) || !near(f.Waiting, c.waiting, 5) ||
			!near(f.ASA.Seconds(), c.asa, 3) || c.sl != 0 && !near(f.OfOffered, c.sl, 5) {
			t.Errorf("%+v, %d agents: %.3f erlangs, %+v; want %+v", w, c.n, w.Erlangs(), f, c)
		}
		if f.MeanWait != f.ASA || f.OfAnswered != f.OfOffered || f.Abandoned != 0 {
			t.Errorf("%+v, %d agents: somebody left: %+v", w, c.n, f)
		}
		if little := c.calls / c.per.Seconds() * f.MeanWait.Seconds(); !near(f.Queue, little, 6) {
			t.Errorf("%+v, %d agents: %v waiting, by Little's law %v", w, c.n, f.Queue, little)
		}
	}
}

func TestErlangCByHand(t *testing.T) {
	f, err := ErlangC(Work{Calls: 20, Per: time.Hour, Handle: 3 * time.Minute}, 2, 0)
	if err != nil || math.Abs(f.Waiting-1./3) > 1e-15 || (f.ASA-time.Minute).Abs() > 1 || math.Abs(f.OfOffered-2./3) > 1e-15 {
		t.Errorf("%+v, %v: want a third waiting and 60 s", f, err)
	}
}

// goldenA is the table of Erlang A. Its first row is in Garnett, Mandelbaum and
// Reiman's (3.1 % abandon, 3.7 s).
var goldenA = []struct {
	calls, aht, patience                           float64
	n                                              int
	within                                         float64
	waiting, abandoned, wait, occ, offered, answer float64
}{
	{2880, 60, 120, 50, 20, 0.46777, 0.03091, 3.709, 0.93032, 0.94302, 0.97310},
	{720, 240, 120, 55, 15, 0.15012, 0.01697, 2.036, 0.85792, 0.93461, 0.95074},
	{720, 240, 120, 48, 20, 0.43713, 0.06729, 8.075, 0.93271, 0.78767, 0.84449},
	{200, 180, 90, 14, 20, 0.12062, 0.02592, 2.332, 0.69577, 0.93762, 0.96256},
	{200, 180, 90, 10, 20, 0.46557, 0.14601, 13.141, 0.85399, 0.67471, 0.79007},
	{200, 180, 90, 9, 20, 0.57576, 0.20110, 18.099, 0.88766, 0.56964, 0.71304},
	{500, 180, 120, 26, 20, 0.40716, 0.06898, 8.277, 0.89521, 0.78625, 0.84450},
	{1000, 240, 180, 65, 20, 0.55764, 0.06576, 11.838, 0.95819, 0.70734, 0.75713},
	{60, 300, 60, 6, 20, 0.27999, 0.14911, 8.946, 0.70908, 0.77550, 0.91140},
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func TestErlangA(t *testing.T) {
	for _, c := range goldenA {
		f, err := ErlangA(Work{c.calls, time.Hour, seconds(c.aht), seconds(c.patience)}, c.n, seconds(c.within))
		if err != nil || !near(f.Waiting, c.waiting, 5) || !near(f.Abandoned, c.abandoned, 5) || !near(f.MeanWait.Seconds(), c.wait, 3) ||
			!near(f.Occupancy, c.occ, 5) || !near(f.OfOffered, c.offered, 5) || !near(f.OfAnswered, c.answer, 5) {
			t.Errorf("%+v, %v; want %+v", f, err, c)
		}
	}
}

// free is when each agent will be free, soonest first.
type free []float64

func (f free) Len() int           { return len(f) }
func (f free) Less(i, j int) bool { return f[i] < f[j] }
func (f free) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *free) Push(x any)        { *f = append(*f, x.(float64)) }
func (f *free) Pop() any          { panic("an agent left") }

// Callers who arrive, wait in order and leave when they have had enough, one by
// one: the same as the formulas say, to what 300,000 callers can show. That is
// thousands of handle times in a small group; in a large one chance would show more.
func TestErlangAIsWhatHappens(t *testing.T) {
	for _, c := range goldenA {
		if c.n > 14 {
			continue
		}
		const callers = 300_000
		dice := rand.New(rand.NewPCG(1917, uint64(c.calls)))
		agents := make(free, c.n)
		now, waited, left, inTime := 0.0, 0, 0, 0
		all, ofAnswered, busy := 0.0, 0.0, 0.0
		for range callers {
			now += dice.ExpFloat64() * 3600 / c.calls
			wait := max(agents[0]-now, 0)
			if wait > 0 {
				waited++
			}
			if patience := dice.ExpFloat64() * c.patience; patience < wait {
				left++
				all += patience
				continue
			}
			all += wait
			ofAnswered += wait
			if wait <= c.within {
				inTime++
			}
			talk := dice.ExpFloat64() * c.aht
			busy += talk
			agents[0] = now + wait + talk
			heap.Fix(&agents, 0)
		}
		f, err := ErlangA(Work{c.calls, time.Hour, seconds(c.aht), seconds(c.patience)}, c.n, seconds(c.within))
		if err != nil {
			t.Fatal(err)
		}
		answered := float64(callers - left)
		for _, x := range []struct {
			what               string
			got, forecast, off float64
		}{
			{"waiting", float64(waited) / callers, f.Waiting, 0.01},
			{"abandoned", float64(left) / callers, f.Abandoned, 0.005},
			{"mean wait", all / callers, f.MeanWait.Seconds(), 0.05 * f.MeanWait.Seconds()},
			{"ASA", ofAnswered / answered, f.ASA.Seconds(), 0.05 * f.ASA.Seconds()},
			{"occupancy", busy / now / float64(c.n), f.Occupancy, 0.005},
			{"of offered", float64(inTime) / callers, f.OfOffered, 0.01},
			{"of answered", float64(inTime) / answered, f.OfAnswered, 0.01},
		} {
			if math.Abs(x.got-x.forecast) > x.off {
				t.Errorf("%+v: %s %.5f, forecast %.5f", c, x.what, x.got, x.forecast)
			}
		}
	}
}

// someWork is work of any group from one agent to thousands, and agents from far
// too few to plenty. Scales are sampled, since numbers drawn are small for choice.
func someWork(t *rapid.T) (w Work, agents int, within time.Duration) {
	erlangs := rapid.SampledFrom([]float64{0.1, 1, 10, 100, 1000, 3000}).Draw(t, "scale") * rapid.Float64Range(1, 3).Draw(t, "erlangs")
	w = Work{
		Per:      rapid.SampledFrom([]time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour}).Draw(t, "per"),
		Handle:   time.Duration(rapid.Int64Range(int64(10*time.Second), int64(20*time.Minute)).Draw(t, "handle")),
		Patience: time.Duration(rapid.SampledFrom([]float64{0.05, 0.3, 1, 5, 30}).Draw(t, "patience") * float64(time.Minute)),
	}
	w.Calls = erlangs * w.Per.Seconds() / w.Handle.Seconds()
	agents = max(1, int(erlangs*rapid.SampledFrom([]float64{0, 0.2, 0.7, 0.9, 0.99, 1, 1.01, 1.1, 1.5}).Draw(t, "of the erlangs")))
	return w, agents, time.Duration(rapid.SampledFrom([]float64{0, 1, 10, 20, 60, 600}).Draw(t, "within") * float64(time.Second))
}

func TestErlangABalances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, agents, within := someWork(t)
		f := forecast(t, ErlangA, w, agents, within)
		for _, p := range []float64{f.Waiting, f.Abandoned, f.Occupancy, f.OfOffered, f.OfAnswered} {
			if !(p >= 0 && p <= 1+1e-9) {
				t.Fatalf("a share is %v: %+v", p, f)
			}
		}
		// Given all the time in the world, everybody is either answered or gone.
		ever := forecast(t, ErlangA, w, agents, 1<<62)
		if off := ever.OfOffered + ever.Abandoned - 1; math.Abs(off) > 1e-9 || math.Abs(ever.OfAnswered-1) > 1e-9 {
			t.Fatalf("answered and abandoned are not all, off by %v: %+v", off, ever)
		}
		// What the agents do is what was answered.
		if off := f.Occupancy - w.Erlangs()*(1-f.Abandoned)/float64(agents); math.Abs(off) > 1e-9 {
			t.Fatalf("occupancy is off by %v: %+v", off, f)
		}
		if off := f.OfOffered - f.OfAnswered*(1-f.Abandoned); math.Abs(off) > 1e-9 {
			t.Fatalf("the two service levels differ by %v: %+v", off, f)
		}
		if at0 := forecast(t, ErlangA, w, agents, 0); math.Abs(at0.OfOffered+at0.Waiting-1) > 1e-9 {
			t.Fatalf("answered at once or waiting are not all: %+v", at0)
		}
		more := forecast(t, ErlangA, w, agents+1, within)
		if more.OfOffered < f.OfOffered-1e-9 || more.Occupancy > f.Occupancy+1e-9 || more.Abandoned > f.Abandoned+1e-9 || more.Waiting > f.Waiting+1e-9 {
			t.Fatalf("one more agent makes it worse: %+v, %+v before", more, f)
		}
	})
}

func TestErlangCBalances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, _, within := someWork(t)
		agents := int(w.Erlangs()) + rapid.IntRange(1, 300).Draw(t, "spare")
		f := forecast(t, ErlangC, w, agents, within)
		for _, p := range []float64{f.Waiting, f.Occupancy, f.OfOffered} {
			if !(p >= 0 && p <= 1) {
				t.Fatalf("a share is %v: %+v", p, f)
			}
		}
		more := forecast(t, ErlangC, w, agents+1, within)
		if more.OfOffered < f.OfOffered-1e-12 || more.Occupancy > f.Occupancy || more.Waiting > f.Waiting || more.ASA > f.ASA {
			t.Fatalf("one more agent makes it worse: %+v, %+v before", more, f)
		}
	})
}

// Callers of ever more patience are Erlang C's in the end, and never wait longer.
func TestErlangATendsToErlangC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, _, within := someWork(t)
		agents := 1 + int(w.Erlangs()*rapid.SampledFrom([]float64{1.1, 1.3, 2}).Draw(t, "of the erlangs"))
		c := forecast(t, ErlangC, w, agents, within)
		off := math.Inf(1)
		for w.Patience = time.Minute; w.Patience < 100_000*time.Hour && w.Calls/w.Per.Seconds()*w.Patience.Seconds() < mostPatient; w.Patience *= 10 {
			a := forecast(t, ErlangA, w, agents, within)
			next := math.Abs(a.OfOffered-c.OfOffered) + math.Abs(a.Waiting-c.Waiting) + math.Abs(a.Occupancy-c.Occupancy)
			if a.MeanWait > c.MeanWait+1 || next > off+1e-9 {
				t.Fatalf("patience %v: off by %v, by %v before: %+v, Erlang C %+v", w.Patience, next, off, a, c)
			}
			off = next
		}
		if off > 1e-3 {
			t.Fatalf("still off by %v", off)
		}
	})
}

func forecast(t *rapid.T, m Model, w Work, agents int, within time.Duration) Forecast {
	f, err := m(w, agents, within)
	if err != nil {
		t.Fatalf("%+v, %d agents: %v", w, agents, err)
	}
	return f
}

func TestForecastsOfNonsense(t *testing.T) {
	good := Work{Calls: 100, Per: time.Hour, Handle: time.Minute, Patience: time.Minute}
	for _, c := range []struct {
		change func(w *Work, agents *int, within *time.Duration)
		say    string
	}{
		{func(w *Work, _ *int, _ *time.Duration) { w.Calls = 0 }, "calls"},
		{func(w *Work, _ *int, _ *time.Duration) { w.Calls = math.NaN() }, "calls"},
		{func(w *Work, _ *int, _ *time.Duration) { w.Calls = math.Inf(1) }, "calls"},
		{func(w *Work, _ *int, _ *time.Duration) { w.Per = 0 }, "period"},
		{func(w *Work, _ *int, _ *time.Duration) { w.Handle = -1 }, "handle time"},
		{func(w *Work, _ *int, _ *time.Duration) { w.Patience = -1 }, "patience"},
		{func(_ *Work, n *int, _ *time.Duration) { *n = 0 }, "agents"},
		{func(_ *Work, n *int, _ *time.Duration) { *n = MostAgents + 1 }, "agents"},
		{func(_ *Work, _ *int, d *time.Duration) { *d = -1 }, "within"},
	} {
		w, agents, within := good, 5, 20*time.Second
		c.change(&w, &agents, &within)
		for name, m := range map[string]Model{"A": ErlangA, "C": ErlangC} {
			if f, err := m(w, agents, within); err == nil || !strings.Contains(err.Error(), c.say) || f != (Forecast{}) {
				t.Errorf("Erlang %s of %+v, %d, %v: %+v, %v; want a word on %s", name, w, agents, within, f, err, c.say)
			}
		}
	}
	endless := good
	for _, endless.Patience = range []time.Duration{0, 1 << 62} {
		if _, err := ErlangA(endless, 5, 0); err == nil || !strings.Contains(err.Error(), "use Erlang C") && !strings.Contains(err.Error(), "Erlang C is for") {
			t.Errorf("patience %v: %v", endless.Patience, err)
		}
	}
	// 60 calls of a minute an hour are one erlang: too much for one agent, by a hair.
	if _, err := ErlangC(Work{Calls: 60, Per: time.Hour, Handle: time.Minute}, 1, 0); !errors.Is(err, ErrOverloaded) {
		t.Errorf("one agent for one erlang: %v", err)
	}
}

// Where a float64 would overflow if one let it.
func TestErlangAFarFromOrdinary(t *testing.T) {
	for _, c := range []struct {
		w      Work
		agents int
		within time.Duration
		lost   float64 // share abandoned: what the agents cannot do, when callers are many
	}{
		{Work{50_000, time.Hour, 4 * time.Minute, 10 * time.Minute}, 1, time.Hour, 1 - 1/3333.33},
		{Work{50_000, time.Hour, 4 * time.Minute, time.Hour}, 3000, time.Hour, 0.1},
		{Work{50_000, time.Hour, 4 * time.Minute, time.Second}, 5000, time.Hour, 0},
		{Work{1, time.Hour, time.Second, time.Nanosecond}, 5000, 0, 0},
	} {
		f, err := ErlangA(c.w, c.agents, c.within)
		if err != nil || math.Abs(f.Abandoned-c.lost) > 1e-4 || math.IsNaN(f.OfOffered+f.OfAnswered+f.Occupancy+f.Waiting) {
			t.Errorf("%+v, %d agents: %+v, %v", c.w, c.agents, f, err)
		}
	}
}
