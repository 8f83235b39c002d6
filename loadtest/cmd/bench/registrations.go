package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"foyer/loadtest"
)

// transactionsEnd is how long a finished transaction is remembered, and a little.
const transactionsEnd = 36 * time.Second

// registrations lets all agents register at once, half by UDP and half by TLS, as
// after an outage, and measures what one registration costs, beside Kamailio.
func (b *bench) registrations(ctx context.Context) (err error) {
	agents, rounds := 10000, 4
	if b.short {
		agents, rounds = 500, 2
	}
	sw, err := b.registrar(ctx, agents, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sw.Stop(context.WithoutCancel(ctx))) }()
	r := &registering{b: b, sw: sw, each: agents / 2}
	defer r.close()
	if err := r.outage(ctx); err != nil {
		return err
	}
	return r.refreshes(ctx, rounds)
}

// registrar starts a switch with so many agents.
func (b *bench) registrar(ctx context.Context, agents int, secure bool) (*loadtest.Switch, error) {
	b.systems++
	setup := loadtest.Setup{Agents: agents, Secure: secure, Probe: 5 * time.Minute, Dir: filepath.Join(b.dir, fmt.Sprint(b.systems)),
		IP: fmt.Sprintf("127.%d.%d.1", 20+os.Getpid()%200, b.systems)}
	if err := os.Mkdir(setup.Dir, 0o700); err != nil {
		return nil, err
	}
	return loadtest.StartSwitch(ctx, b.bin, setup)
}

// registering is a switch and the phones that register with it.
type registering struct {
	b        *bench
	sw       *loadtest.Switch
	each     int // phones by each transport
	udp, tls []*loadtest.Registrant
}

func (r *registering) close() {
	loadtest.CloseRegistrants(r.udp)
	loadtest.CloseRegistrants(r.tls)
}

// phones makes the registrants of one transport.
func (r *registering) phones(transport string, crew []loadtest.Agent) ([]*loadtest.Registrant, error) {
	port := r.sw.SIPPort
	if transport == "tls" {
		port = r.sw.TLSPort
	}
	return loadtest.Registrants(crew, transport, net.JoinHostPort(r.sw.IP, fmt.Sprint(port)), r.sw.Realm, r.sw.CA())
}

// outage is everybody coming back at once, and what is left of that afterwards.
func (r *registering) outage(ctx context.Context) error {
	crew := r.sw.Crew()
	var memory [3]footprint
	var err error
	if memory[0], err = r.footprint(ctx); err != nil {
		return err
	}
	begun := time.Now()
	if r.udp, err = r.phones("udp", crew[:r.each]); err != nil {
		return err
	}
	if err := loadtest.RegisterAll(ctx, r.udp, 64); err != nil {
		return err
	}
	took := time.Since(begun)
	pause(ctx, transactionsEnd)
	if memory[1], err = r.footprint(ctx); err != nil {
		return err
	}
	begun = time.Now()
	if r.tls, err = r.phones("tls", crew[r.each:]); err != nil {
		return err
	}
	if err := loadtest.RegisterAll(ctx, r.tls, 64); err != nil {
		return err
	}
	took += time.Since(begun)
	pause(ctx, transactionsEnd)
	if memory[2], err = r.footprint(ctx); err != nil {
		return err
	}
	t := &r.b.table
	t.add("registrations/all", fmt.Sprintf("%d agents register, half by UDP and half by TLS", 2*r.each), "s", fmt.Sprintf("%.1f", took.Seconds()))
	t.add("registrations/udp/memory", "memory of an agent by UDP", "KB", fmt.Sprintf("%.1f", memory[1].per(memory[0], r.each)))
	t.add("registrations/tls/memory", "memory of an agent by TLS", "KB", fmt.Sprintf("%.1f", memory[2].per(memory[1], r.each)))
	return nil
}

// refreshes measures one registration: a REGISTER that is challenged and one that
// answers, by each transport, and that nothing is left of many.
func (r *registering) refreshes(ctx context.Context, rounds int) error {
	before, err := r.footprint(ctx)
	if err != nil {
		return err
	}
	udp := registered{phones: r.udp, usage: r.sw.Usage}
	if err := r.b.inTurns(ctx, r.b.window, &udp, r.sw.Crew()[:r.each]); err != nil {
		return err
	}
	secure := registered{phones: r.tls, usage: r.sw.Usage}
	for range rounds {
		if err := secure.again(ctx); err != nil {
			return err
		}
	}
	r.b.table.add("registrations/tls", "CPU of a registration by tls", "us", secure.each())
	pause(ctx, transactionsEnd)
	after, err := r.footprint(ctx)
	if err != nil {
		return err
	}
	r.b.table.add("registrations/growth", fmt.Sprintf("growth by %d registrations", udp.n+secure.n), "KB", fmt.Sprintf("%d", (after.memory-before.memory)/1024))
	r.b.table.add("registrations/goroutines", "goroutines before / after them", "", fmt.Sprintf("%.0f / %.0f", before.goroutines, after.goroutines))
	if after.goroutines > before.goroutines+float64(r.each)/20 { // some are being asked whether they are there
		r.b.fault("registrations: %.0f goroutines, %.0f before", after.goroutines, before.goroutines)
	}
	return nil
}

// footprint is what a switch holds after its garbage has been collected.
type footprint struct {
	memory     int64 // bytes of heap and stacks
	goroutines float64
}

func (f footprint) per(before footprint, n int) float64 {
	return float64(f.memory-before.memory) / float64(n) / 1024
}

func (r *registering) footprint(ctx context.Context) (footprint, error) {
	socket := filepath.Join(r.sw.Dir, "data", "admin.sock")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	for range 2 { // what was pooled goes with the second
		res, err := client.Get("http://admin/debug/pprof/heap?gc=1")
		if err != nil {
			return footprint{}, err
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	m, err := r.sw.Readings(ctx)
	if err != nil {
		return footprint{}, err
	}
	return footprint{int64(m["go_memstats_heap_alloc_bytes"] + m["go_memstats_stack_inuse_bytes"]), m["go_goroutines"]}, nil
}

// refreshing measures one registration by UDP alone, in turns with Kamailio where
// that is installed, so that whatever else the machine does befalls both.
func (b *bench) refreshing(ctx context.Context) (err error) {
	agents := 2000
	if b.short {
		agents = 500
	}
	sw, err := b.registrar(ctx, agents, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sw.Stop(context.WithoutCancel(ctx))) }()
	phones, err := loadtest.Registrants(sw.Crew(), "udp", net.JoinHostPort(sw.IP, fmt.Sprint(sw.SIPPort)), sw.Realm, "")
	if err != nil {
		return err
	}
	defer loadtest.CloseRegistrants(phones)
	return b.inTurns(ctx, b.window, &registered{phones: phones, usage: sw.Usage}, sw.Crew())
}

// registered are phones and the registrar they are registered with.
type registered struct {
	phones []*loadtest.Registrant
	usage  func() (loadtest.Usage, error)

	n          int
	cpu, clock time.Duration
}

// again lets every phone register once more, and adds up what that costs.
func (r *registered) again(ctx context.Context) error {
	start, err := r.usage()
	if err != nil {
		return err
	}
	if err := loadtest.RegisterAll(ctx, r.phones, 64); err != nil {
		return err
	}
	end, err := r.usage()
	if err != nil {
		return err
	}
	_, used := end.Since(start)
	r.n += len(r.phones)
	r.cpu += used
	r.clock += end.At.Sub(start.At)
	return nil
}

// each is the CPU of one registration, and how many there were in a second.
func (r *registered) each() string {
	return fmt.Sprintf("%.0f (%.0f/s)", r.cpu.Seconds()*1e6/float64(r.n), float64(r.n)/r.clock.Seconds())
}

// inTurns lets all phones register with us and then with Kamailio, again and again
// for so long.
func (b *bench) inTurns(ctx context.Context, long time.Duration, ours *registered, crew []loadtest.Agent) error {
	all := []*registered{ours}
	if _, err := exec.LookPath("kamailio"); err == nil {
		b.systems++
		ip := fmt.Sprintf("127.%d.%d.1", 20+os.Getpid()%200, b.systems)
		k, err := b.startKamailio(ip, 5060, kamailioRegistrar)
		if err != nil {
			return err
		}
		defer k.stop()
		phones, err := loadtest.Registrants(crew, "udp", ip+":5060", "lo.test", "")
		if err != nil {
			return err
		}
		defer loadtest.CloseRegistrants(phones)
		all = append(all, &registered{phones: phones, usage: func() (loadtest.Usage, error) { return loadtest.UsageOf(k.cmd.Process.Pid) }})
	} else {
		say("kamailio is not installed: left out")
	}
	for _, r := range all { // who is new costs more
		if err := r.again(ctx); err != nil {
			return err
		}
		r.n, r.cpu, r.clock = 0, 0, 0
	}
	for until := time.Now().Add(long); time.Now().Before(until); {
		for _, r := range all {
			if err := r.again(ctx); err != nil {
				return err
			}
		}
	}
	row := b.table.add("registrations/udp", "CPU of a registration by udp", "us", ours.each())
	if len(all) > 1 {
		row.beside = "Kamailio " + all[1].each()
	}
	return nil
}
