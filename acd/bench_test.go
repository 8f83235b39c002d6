package acd

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"
)

// crowd is a floor in full swing: agents in 200 queues, each in three of them,
// and as many callers waiting as asked for.
type crowd struct {
	f       *Floor
	now     time.Time
	calls   int
	talking []Offer
	rung    []Offer
}

const crowdQueues = 200

func newCrowd(tb testing.TB, agents, waiting int) *crowd {
	c := &crowd{f: NewFloor(), now: day}
	cfg := &Config{}
	for q := range crowdQueues {
		cfg.Queues = append(cfg.Queues, Queue{
			ID: QueueID("queue-" + strconv.Itoa(q)), Require: []string{"fr"}, RingTimeout: 15 * time.Second,
			Priority: q % 3 * 10, MaxOffers: 1, Within: 20 * time.Second,
		})
	}
	for a := range agents {
		made := AgentCfg{ID: AgentID("agent-" + strconv.Itoa(a)), Skills: map[string]int{"fr": 1 + a%5}, ReadyOnRegister: true}
		for i := range 3 {
			made.Queues = append(made.Queues, QueueID("queue-"+strconv.Itoa((a*7+i*61)%crowdQueues)))
		}
		cfg.Agents = append(cfg.Agents, made)
	}
	c.step(Event{Kind: Started, Config: cfg})
	for _, a := range cfg.Agents {
		c.step(Event{Kind: Reachable, Agent: a.ID})
	}
	for c.waiting() < waiting {
		c.arrive()
		c.pickUp()
	}
	if bad := c.f.Check(c.now); bad != nil {
		tb.Fatal(bad)
	}
	return c
}

// waiting is how many wait, roughly: those who arrived and do not talk.
func (c *crowd) waiting() int { return len(c.f.calls) - len(c.talking) - len(c.rung) }

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
	q := c.calls * 31 % crowdQueues
	return c.step(Event{Kind: Arrived, Call: CallID("call-" + strconv.Itoa(c.calls)), Queue: QueueID("queue-" + strconv.Itoa(q))})
}

func (c *crowd) pickUp() (took time.Duration) {
	for _, o := range c.rung {
		took = c.step(Event{Kind: Answered, Call: o.Call, Agent: o.Agent, Offer: o.Offer})
		c.talking = append(c.talking, o)
	}
	c.rung = c.rung[:0]
	return took
}

// hangUp ends a talk: an agent is free, and the next caller is offered to them.
func (c *crowd) hangUp() time.Duration {
	i := c.calls * 131 % len(c.talking)
	o := c.talking[i]
	c.talking[i] = c.talking[len(c.talking)-1]
	c.talking = c.talking[:len(c.talking)-1]
	return c.step(Event{Kind: Gone, Call: o.Call, By: Caller, Cause: CauseHangup})
}

// BenchmarkStep is a call's life on a busy floor: somebody hangs up, the agent
// is offered the next of 2,000 callers and picks up, another caller arrives.
func BenchmarkStep(b *testing.B) {
	for _, agents := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("agents=%d/busy", agents), func(b *testing.B) {
			c := newCrowd(b, agents, 2000)
			var took []time.Duration
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				took = append(took, c.hangUp(), c.pickUp(), c.arrive())
			}
			report(b, took)
		})
		b.Run(fmt.Sprintf("agents=%d/quiet", agents), func(b *testing.B) {
			c := newCrowd(b, agents, 0)
			for len(c.talking) < agents/2 {
				c.arrive()
				c.pickUp()
			}
			var took []time.Duration
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				took = append(took, c.arrive(), c.pickUp(), c.hangUp())
			}
			report(b, took)
		})
	}
}

func report(b *testing.B, took []time.Duration) {
	b.StopTimer()
	slices.Sort(took)
	for name, share := range map[string]float64{"p50": 0.5, "p99": 0.99} {
		b.ReportMetric(float64(took[int(share*float64(len(took)-1))].Nanoseconds())/1000, name+"-us/event")
	}
}

func BenchmarkSnapshot(b *testing.B) {
	for _, agents := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			c := newCrowd(b, agents, 2000)
			for b.Loop() {
				c.f.Snapshot(c.now)
			}
		})
	}
}

func BenchmarkReconfigure(b *testing.B) {
	c := newCrowd(b, 10_000, 2000)
	cfg := &Config{}
	for _, l := range c.f.order {
		cfg.Queues = append(cfg.Queues, l.cfg)
	}
	for _, a := range c.f.roster {
		cfg.Agents = append(cfg.Agents, *a.cfg)
	}
	for b.Loop() {
		c.step(Event{Kind: Reconfigured, Config: cfg})
	}
}

// An event must not get dearer with the size of the floor: the time of a step is
// the machine's business, so what is counted here is memory, which is not.
func TestStepAllocatesLittleOnAnyFloor(t *testing.T) {
	if testing.Short() {
		t.Skip("builds large floors")
	}
	for _, agents := range []int{1_000, 10_000} {
		c := newCrowd(t, agents, 500)
		n := testing.AllocsPerRun(200, func() {
			c.hangUp()
			c.pickUp()
			c.arrive()
		})
		if n > 60 {
			t.Errorf("%d agents: %.0f allocations for a call's whole life", agents, n)
		} else {
			t.Logf("%d agents: %.0f allocations for a call's whole life", agents, n)
		}
	}
}
