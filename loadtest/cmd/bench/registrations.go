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
	b.systems++
	setup := loadtest.Setup{Agents: agents, Secure: true, Probe: 5 * time.Minute, Dir: filepath.Join(b.dir, fmt.Sprint(b.systems)),
		IP: fmt.Sprintf("127.%d.%d.1", 20+os.Getpid()%200, b.systems)}
	if err := os.Mkdir(setup.Dir, 0o700); err != nil {
		return err
	}
	sw, err := loadtest.StartSwitch(ctx, b.bin, setup)
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
	for _, of := range []struct {
		transport string
		phones    []*loadtest.Registrant
	}{{"udp", r.udp}, {"tls", r.tls}} {
		start, err := r.sw.Usage()
		if err != nil {
			return err
		}
		for range rounds {
			if err := loadtest.RegisterAll(ctx, of.phones, 64); err != nil {
				return err
			}
		}
		end, err := r.sw.Usage()
		if err != nil {
			return err
		}
		_, used := end.Since(start)
		n := rounds * len(of.phones)
		r.b.table.add("registrations/"+of.transport, "CPU of a registration by "+of.transport, "us",
			fmt.Sprintf("%.0f (%.0f/s)", used.Seconds()*1e6/float64(n), float64(n)/end.At.Sub(start.At).Seconds()))
	}
	pause(ctx, transactionsEnd)
	after, err := r.footprint(ctx)
	if err != nil {
		return err
	}
	r.b.table.add("registrations/growth", fmt.Sprintf("growth by %d registrations", 2*rounds*r.each), "KB", fmt.Sprintf("%d", (after.memory-before.memory)/1024))
	r.b.table.add("registrations/goroutines", "goroutines before / after them", "", fmt.Sprintf("%.0f / %.0f", before.goroutines, after.goroutines))
	if after.goroutines > before.goroutines+float64(r.each)/20 { // some are being asked whether they are there
		r.b.fault("registrations: %.0f goroutines, %.0f before", after.goroutines, before.goroutines)
	}
	return r.b.registrationsBeside(ctx, rounds, r.sw.Crew()[:r.each])
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

// registrationsBeside measures the same registrations by UDP at Kamailio.
func (b *bench) registrationsBeside(ctx context.Context, rounds int, crew []loadtest.Agent) error {
	if _, err := exec.LookPath("kamailio"); err != nil {
		say("kamailio is not installed: left out")
		return nil
	}
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
	if err := loadtest.RegisterAll(ctx, phones, 64); err != nil {
		return fmt.Errorf("kamailio: %w", err)
	}
	start, err := loadtest.UsageOf(k.cmd.Process.Pid)
	if err != nil {
		return err
	}
	for range rounds {
		if err := loadtest.RegisterAll(ctx, phones, 64); err != nil {
			return fmt.Errorf("kamailio: %w", err)
		}
	}
	end, err := loadtest.UsageOf(k.cmd.Process.Pid)
	if err != nil {
		return err
	}
	_, used := end.Since(start)
	n := rounds * len(phones)
	b.beside("CPU of a registration by udp", fmt.Sprintf("Kamailio %.0f (%.0f/s)", used.Seconds()*1e6/float64(n), float64(n)/end.At.Sub(start.At).Seconds()), "registrations/udp")
	return nil
}
