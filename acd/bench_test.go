package acd

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// size is how large a floor is.
type size struct{ agents, queues, waiting int }

var (
	smallFloor  = size{1_000, 50, 500}
	usualFloor  = size{10_000, 200, 2_000}
	largeFloor  = size{100_000, 2_000, 20_000}
	hugestFloor = size{300_000, 5_000, 50_000}
)

func (s size) String() string {
	return fmt.Sprintf("agents=%d/queues=%d/waiting=%d", s.agents, s.queues, s.waiting)
}

// crowd is a floor in full swing: agents who serve three queues each, and callers.
type crowd struct {
	f       *Floor
	cfg     *Config
	now     time.Time
	size    size
	dice    *rand.Rand
	calls   int
	talking []Offer
	rung    []Offer
	waiting []CallID // arrived; those who are no longer waiting are found out when one is asked for
	paused  []AgentID
}

// plainQueues is a floor of the usual kind. mixedQueues has all the kinds: of ten
// queues one rings two agents at once, one rings more and more, two relax what they
// ask, one draws lots, and the others order by calls handled, by turn, or as usual.
func plainQueues(int, *Queue) {}

func mixedQueues(i int, q *Queue) {
	q.WrapUp = 20 * time.Second
	switch i % 10 {
	case 1:
		q.Strategy, q.AtOnce = RingAll, 2
	case 2:
		q.Strategy, q.NextAfter = RingProgressively, 5*time.Second
	case 3, 4:
		q.MinLevel = map[string]int{"fr": 4}
		q.Relax = []Relax{{After: 20 * time.Second, Skill: "fr", Level: 2}, {After: 40 * time.Second, Skill: "fr"}}
	case 5:
		q.Strategy = WeightedRandom
	case 6:
		q.Strategy = FewestCalls
	case 7:
		q.Strategy = RoundRobin
	}
}

func announced30(i int, q *Queue) {
	mixedQueues(i, q)
	q.Announce = Announcing{Position: true, Wait: true, First: 5 * time.Second, Every: 30 * time.Second}
}

func newCrowd(tb testing.TB, s size, kind func(int, *Queue)) *crowd {
	c := &crowd{f: NewFloor(), now: day, size: s, cfg: &Config{}, dice: rand.New(rand.NewPCG(1, 2))}
	for i := range s.queues {
		q := Queue{
			ID: QueueID("queue-" + strconv.Itoa(i)), Require: []string{"fr"}, RingTimeout: 15 * time.Second,
			Priority: i % 3 * 10, MaxOffers: 1, Within: 20 * time.Second,
		}
		kind(i, &q)
		c.cfg.Queues = append(c.cfg.Queues, q)
	}
	for a := range s.agents {
		made := AgentCfg{ID: AgentID("agent-" + strconv.Itoa(a)), Skills: map[string]int{"fr": 1 + a%5}, ReadyOnRegister: true}
		for i := range 3 {
			made.Queues = append(made.Queues, QueueID("queue-"+strconv.Itoa((a*7+i*61)%s.queues)))
		}
		c.cfg.Agents = append(c.cfg.Agents, made)
	}
	c.step(Event{Kind: Started, Config: c.cfg})
	for _, a := range c.cfg.Agents {
		c.step(Event{Kind: Reachable, Agent: a.ID})
	}
	for len(c.f.calls)-len(c.talking)-len(c.rung) < s.waiting {
		c.arrive()
		c.pickUp()
	}
	if s.agents <= usualFloor.agents { // it goes over the floor once for each queue
		if bad := c.f.Check(c.now); bad != nil {
			tb.Fatal(bad)
		}
	}
	return c
}

// step takes a millisecond of the day, and says how long it took of ours.
func (c *crowd) step(ev Event) time.Duration {
	c.now = c.now.Add(time.Millisecond)
	begun := time.Now()
	done := c.f.Step(c.now, ev)
	took := time.Since(begun)
	for _, a := range done {
		if o, ok := a.(Offer); ok {
			o.Match = nil
			c.rung = append(c.rung, o)
		}
	}
	return took
}

func (c *crowd) arrive() time.Duration {
	c.calls++
	id := CallID("call-" + strconv.Itoa(c.calls))
	c.waiting = append(c.waiting, id)
	return c.step(Event{Kind: Arrived, Call: id, Queue: c.cfg.Queues[c.calls*31%c.size.queues].ID})
}

// pickUp has one of those who are rung answer, the others who have been by now too
// late being told so.
func (c *crowd) pickUp() (took time.Duration) {
	for len(c.rung) > 0 {
		o := c.rung[len(c.rung)-1]
		c.rung = c.rung[:len(c.rung)-1]
		if call := c.f.calls[o.Call]; call == nil || call.state != CallRinging {
			continue
		}
		took = c.step(Event{Kind: Answered, Call: o.Call, Agent: o.Agent, Offer: o.Offer})
		c.talking = append(c.talking, o)
	}
	return took
}

func take[T any](dice *rand.Rand, list *[]T) T {
	i, last := dice.IntN(len(*list)), len(*list)-1
	v := (*list)[i]
	(*list)[i] = (*list)[last]
	*list = (*list)[:last]
	return v
}

// hangUp ends a talk: an agent is free, and the next caller is offered to them.
func (c *crowd) hangUp() time.Duration {
	for len(c.talking) > 0 {
		o := take(c.dice, &c.talking)
		if call := c.f.calls[o.Call]; call != nil && call.talk != nil {
			return c.step(Event{Kind: Gone, Call: o.Call, By: Caller, Cause: CauseHangup})
		}
	}
	return 0
}

// abandon lets somebody leave who may stand anywhere in their line.
func (c *crowd) abandon() time.Duration {
	for len(c.waiting) > 0 {
		id := take(c.dice, &c.waiting)
		if call := c.f.calls[id]; call != nil && call.state == CallWaiting {
			return c.step(Event{Kind: Gone, Call: id, By: Caller})
		}
	}
	return 0
}

// pause sends somebody for a coffee, and brings another one back.
func (c *crowd) pause() (took [2]time.Duration) {
	id := c.cfg.Agents[c.dice.IntN(c.size.agents)].ID
	c.paused = append(c.paused, id)
	took[0] = c.step(Event{Kind: Pause, Agent: id, Reason: "coffee", By: Agent})
	if len(c.paused) > c.size.agents/20 {
		took[1] = c.step(Event{Kind: MakeReady, Agent: take(c.dice, &c.paused), By: Agent})
	}
	return took
}

// life is what happens in the time in which one talk ends.
func (c *crowd) life(round int, took []time.Duration) []time.Duration {
	took = append(took, c.hangUp(), c.pickUp(), c.arrive())
	if round%4 == 0 {
		took = append(took, c.abandon(), c.arrive())
	}
	if round%8 == 0 {
		both := c.pause()
		took = append(took, both[:]...)
	}
	return append(took, c.step(Event{Kind: Tick}))
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure runs rounds of a life and reports what an event takes.
func measure(b *testing.B, s size, kind func(int, *Queue), round func(c *crowd, n int, took []time.Duration) []time.Duration) {
	before := heap()
	c := newCrowd(b, s, kind)
	held := heap() - before
	var took []time.Duration
	for n := range 2000 { // warm
		took = round(c, n, took)
	}
	took = took[:0]
	b.ReportAllocs()
	b.ResetTimer()
	spent := processorTime()
	for n := range b.N {
		took = round(c, n, took)
	}
	spent = processorTime() - spent
	b.StopTimer()
	took = slices.DeleteFunc(took, func(d time.Duration) bool { return d == 0 })
	slices.Sort(took)
	at := func(share float64) float64 {
		return float64(took[int(share*float64(len(took)-1))].Nanoseconds()) / 1000
	}
	b.ReportMetric(at(0.5), "p50-us")
	b.ReportMetric(at(0.99), "p99-us")
	b.ReportMetric(at(0.999), "p999-us")
	b.ReportMetric(float64(spent.Nanoseconds())/1000/float64(len(took)), "cpu-us/event")
	b.ReportMetric(float64(held)/(1<<20), "MB-heap")
	runtime.KeepAlive(c)
}

// BenchmarkStep is a call's life on a busy floor: somebody hangs up, the agent is
// offered the next of those who wait and picks up, another caller arrives.
func BenchmarkStep(b *testing.B) {
	for _, s := range []size{smallFloor, usualFloor, largeFloor, hugestFloor} {
		b.Run(s.String(), func(b *testing.B) {
			measure(b, s, plainQueues, func(c *crowd, _ int, took []time.Duration) []time.Duration {
				return append(took, c.hangUp(), c.pickUp(), c.arrive())
			})
		})
	}
	// Nobody waits, half of the agents are free.
	quiet := size{10_000, 200, 0}
	b.Run("quiet/"+quiet.String(), func(b *testing.B) {
		measure(b, quiet, plainQueues, func(c *crowd, _ int, took []time.Duration) []time.Duration {
			for len(c.talking) < quiet.agents/2 {
				c.arrive()
				c.pickUp()
			}
			return append(took, c.arrive(), c.pickUp(), c.hangUp())
		})
	})
}

// BenchmarkLife adds what else happens: callers leave from the middle of a line,
// agents pause and come back, wrap up, several are rung for one call, demands
// relax; and those who wait are told their place.
func BenchmarkLife(b *testing.B) {
	for _, s := range []size{smallFloor, usualFloor, largeFloor, hugestFloor} {
		for name, kind := range map[string]func(int, *Queue){"silent": mixedQueues, "announced": announced30} {
			b.Run(name+"/"+s.String(), func(b *testing.B) { measure(b, s, kind, (*crowd).life) })
		}
	}
}

func BenchmarkSnapshot(b *testing.B) {
	for _, s := range []size{smallFloor, usualFloor} {
		b.Run(s.String(), func(b *testing.B) {
			c := newCrowd(b, s, plainQueues)
			for b.Loop() {
				c.f.Snapshot(c.now)
			}
		})
	}
}

// BenchmarkReconfigure is the reload itself, and what routing takes before and
// after it: nobody may feel a reload of ten thousand agents but by its own length.
func BenchmarkReconfigure(b *testing.B) {
	for _, s := range []size{smallFloor, usualFloor, largeFloor} {
		b.Run(s.String(), func(b *testing.B) {
			c := newCrowd(b, s, mixedQueues)
			var reload, before, after []time.Duration
			var spent time.Duration // of the processor, in reloads
			for b.Loop() {
				for n := range 200 {
					before = c.life(n, before)
				}
				c.cfg = changed(c.cfg)
				begun := processorTime()
				reload = append(reload, c.step(Event{Kind: Reconfigured, Config: c.cfg}))
				spent += processorTime() - begun
				for n := range 200 {
					after = c.life(n, after)
				}
			}
			b.ReportMetric(float64(spent.Microseconds())/float64(len(reload)), "reload-cpu-us")
			slices.Sort(reload)
			b.ReportMetric(float64(reload[len(reload)/2].Microseconds()), "reload-p50-us")
			for name, took := range map[string][]time.Duration{"before": before, "reload": reload, "after": after} {
				took = slices.DeleteFunc(took, func(d time.Duration) bool { return d == 0 })
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, name+"-p99-us")
			}
		})
	}
}

// changed is a configuration in which one agent in a hundred has learned something.
func changed(cfg *Config) *Config {
	next := *cfg
	next.Agents = slices.Clone(cfg.Agents)
	for i := 0; i < len(next.Agents); i += 100 {
		a := &next.Agents[i]
		a.Skills = map[string]int{"fr": 1 + a.Skills["fr"]%5}
	}
	return &next
}

// An event must not get dearer with the size of the floor: the time of a step is
// the machine's business, so what is counted here is memory, which is not.
func TestStepAllocatesLittleOnAnyFloor(t *testing.T) {
	if testing.Short() {
		t.Skip("builds large floors")
	}
	for _, s := range []size{{1_000, 200, 500}, {10_000, 200, 500}} {
		c := newCrowd(t, s, plainQueues)
		n := testing.AllocsPerRun(200, func() {
			c.hangUp()
			c.pickUp()
			c.arrive()
		})
		if n > 60 {
			t.Errorf("%s: %.0f allocations for a call's whole life", s, n)
		} else {
			t.Logf("%s: %.0f allocations for a call's whole life", s, n)
		}
	}
}
