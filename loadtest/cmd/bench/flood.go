package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"foyer/loadtest"
	"foyer/sip/siptest"
)

// floodCrew is how many agents, beside those who talk, register again and again
// while the flood lasts.
const floodCrew = 20

// calm is what the switch used without a flood.
type calm struct{ used time.Duration }

// renewals are registrations of agents during a flood.
type renewals struct{ asked, done atomic.Int64 }

// flood measures recorded calls at rest and then under floods from 100,000
// addresses, with agents that register all the while.
func (b *bench) flood(ctx context.Context) error {
	n := 200
	rates := []int{10_000, 50_000}
	if b.short {
		n, rates = 20, []int{5_000}
	}
	what := fmt.Sprintf("%d recorded calls", n)
	say("flood: %s: starting", what)
	// Agents are at 127.0.0.3, and nobody else is known: the flood comes from strangers.
	s, err := b.open(ctx, loadtest.Setup{Agents: n + floodCrew, Record: true, Allow: "127.0.0.3/32"}, func(p *loadtest.Plan) {
		p.Agents = p.Agents[:n]
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
	phones, err := s.extras(n)
	if err != nil {
		return s.abandon(ctx, err)
	}
	var rest calm
	for _, rate := range append([]int{0}, rates...) {
		if err := s.floodAt(ctx, &rest, rate, phones); err != nil {
			return s.abandon(ctx, err)
		}
	}
	for _, p := range phones {
		p.Close()
	}
	_, err = s.end(ctx, what+" and floods")
	return err
}

// extras are the phones of the agents who do not talk, each at an address of its
// own that the switch is told nothing of: they are strangers until they have
// registered.
func (s *stage) extras(from int) ([]*siptest.Phone, error) {
	var phones []*siptest.Phone
	for i, a := range s.sw.Crew()[from:] {
		pc, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.3.%d:0", 1+i))
		if err != nil {
			return nil, fmt.Errorf("phone of %s: %w", a.User, err)
		}
		p, err := siptest.NewPhone(pc, siptest.Options{User: a.User, Password: a.Password, Domain: s.sw.Realm,
			Server: fmt.Sprintf("%s:%d", s.sw.IP, s.sw.SIPPort), Outbound: true, Forgetful: true})
		if err != nil {
			return nil, fmt.Errorf("phone of %s: %w", a.User, err)
		}
		phones = append(phones, p)
	}
	return phones, nil
}

// floodAt measures for one window under a flood of a rate, 0 being none, which is
// what the others are held against.
func (s *stage) floodAt(ctx context.Context, rest *calm, rate int, phones []*siptest.Phone) error {
	before, err := s.sw.Usage()
	if err != nil {
		return err
	}
	shed, err := s.sw.Readings(ctx)
	if err != nil {
		return err
	}
	var f *loadtest.Flood
	if rate > 0 {
		f, err = loadtest.StartFlood(loadtest.FloodPlan{Server: fmt.Sprintf("%s:%d", s.sw.IP, s.sw.SIPPort), Rate: rate, Sources: 100_000})
		if err != nil {
			return err
		}
	}
	renewing, stop := context.WithCancel(ctx)
	var all renewals
	var wait sync.WaitGroup
	for _, p := range phones {
		wait.Go(func() { all.renew(renewing, p) })
	}
	began := time.Now()
	used, cores, m, err := s.measure(ctx)
	stop()
	wait.Wait()
	sent := uint64(0)
	if f != nil {
		sent, _ = f.Stop()
	}
	if err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	after, err := s.sw.Usage()
	if err != nil {
		return err
	}
	now, err := s.sw.Readings(ctx)
	if err != nil {
		return err
	}
	b, name := s.b, fmt.Sprintf("flood of %d/s", rate)
	dropped := now["foyer_sip_shed_total"] - shed["foyer_sip_shed_total"]
	if rate == 0 {
		name, rest.used = "no flood", used
	} else {
		b.table.add("flood/sent", name+": sent, shed", "a second", fmt.Sprintf("%.0f, %.0f", float64(sent)/took, dropped/took))
		b.table.add("flood/each", name+": CPU of a message shed", "us", fmt.Sprintf("%.1f", float64((used-rest.used).Microseconds())/max(dropped, 1)))
	}
	b.table.add("flood/lost", name+": RTP lost", fmt.Sprintf("of %d", m.Received+m.Lost), fmt.Sprint(m.Lost))
	b.table.add("flood/delay", name+": forwarding p50 / p99", "ms", ms(m.DelayP50)+" / "+ms(m.DelayP99))
	b.table.add("flood/register", name+": agents registered again", fmt.Sprintf("of %d", all.asked.Load()), fmt.Sprint(all.done.Load()))
	b.table.add("flood/memory", name+": growth of memory", "", kb(after.RSS-before.RSS))
	b.table.add("flood/cpu", name+": CPU of the switch", "cores", fmt.Sprintf("%.2f", cores))
	if asked, done := all.asked.Load(), all.done.Load(); float64(done) < 0.999*float64(asked) {
		b.fault("%s: %d of %d registrations", name, done, asked)
	}
	if m.Slipped > 60*time.Millisecond {
		say("%s: the generator itself was up to %v late", name, m.Slipped.Round(time.Millisecond))
	}
	return nil
}

// renew registers a phone twice a second, each with a challenge.
func (r *renewals) renew(ctx context.Context, p *siptest.Phone) {
	for ctx.Err() == nil {
		r.asked.Add(1)
		asking, stop := context.WithTimeout(context.WithoutCancel(ctx), 32*time.Second)
		if res, err := p.Register(asking, time.Minute); err == nil && res.Status == 200 {
			r.done.Add(1)
		}
		stop()
		pause(ctx, 500*time.Millisecond)
	}
}
