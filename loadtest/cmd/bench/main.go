// Bench measures the switch of this repository with real SIP and RTP on the
// loopback interface and prints one table, beside rtpengine and Kamailio where
// they are installed and beside figures of other systems measured before.
//
//	go run ./loadtest/cmd/bench            about ten minutes
//	go run ./loadtest/cmd/bench -short     about three minutes, small numbers
//	go run ./loadtest/cmd/bench -only media,queue -calls 200,1000
//	go run ./loadtest/cmd/bench -only soak -rates 200 -seconds 3600
//	go run ./loadtest/cmd/bench -only nat
//	go run ./loadtest/cmd/bench -only keeping -rates 100,200 -seconds 4
//	go run ./loadtest/cmd/bench -only refreshes   half a minute, beside Kamailio
//
// It exits 1 when a call was lost, a book did not balance or a scenario failed;
// slow is not an error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"foyer/loadtest"
)

// bench is one run of everything.
type bench struct {
	bin     string
	dir     string
	short   bool
	window  time.Duration
	calls   []int
	only    []string
	rates   []float64
	rated   bool // rates were asked for
	kept    bool // every switch has a keeper
	table   table
	faults  []string
	systems int // switches started, to give each its own directory
}

func main() {
	b := &bench{}
	flag.BoolVar(&b.short, "short", false, "small numbers, about three minutes")
	calls := flag.String("calls", "", "recorded calls to measure at, comma separated (default 50,200,500; -short 20)")
	seconds := flag.Int("seconds", 0, "length of each measurement (default 10; -short 3)")
	rates := flag.String("rates", "", "calls a second to try, comma separated (default 20 to 400; -short 20,50)")
	only := flag.String("only", "", "comma separated: media, queue, waiting, reload, registrations, flood, peers; and by name alone: refreshes, soak, nat, survive, keeping")
	flag.BoolVar(&b.kept, "kept", false, "every switch has a keeper, and keeps its calls: what that costs")
	flag.StringVar(&b.bin, "foyer", "", "the program to measure instead of building one")
	flag.Parse()
	if err := errors.Join(b.settle(*calls, *seconds, *only), b.setRates(*rates)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := b.run(ctx)
	b.table.print(os.Stdout)
	for _, f := range b.faults {
		fmt.Println("FAULT:", f)
	}
	if err != nil {
		fmt.Println("ERROR:", err)
	}
	if err != nil || len(b.faults) > 0 {
		os.Exit(1)
	}
}

// setRates reads -rates.
func (b *bench) setRates(rates string) error {
	b.rates = []float64{20, 50, 100, 200, 300, 400}
	if b.short {
		b.rates = []float64{20, 50}
	}
	if rates == "" {
		return nil
	}
	b.rates, b.rated = nil, true
	for _, r := range strings.Split(rates, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(r), 64)
		if err != nil || v <= 0 || v > 2000 {
			return fmt.Errorf("-rates %q: numbers above 0, up to 2000", rates)
		}
		b.rates = append(b.rates, v)
	}
	return nil
}

func (b *bench) settle(calls string, seconds int, only string) error {
	if calls == "" {
		calls = "50,200,500"
		if b.short {
			calls = "20"
		}
	}
	for _, c := range strings.Split(calls, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(c))
		if err != nil || n < 1 || n > 2000 {
			return fmt.Errorf("-calls %q: numbers from 1 to 2000", calls)
		}
		b.calls = append(b.calls, n)
	}
	if seconds == 0 {
		seconds = 10
		if b.short {
			seconds = 3
		}
	}
	if seconds > 3600 {
		return fmt.Errorf("-seconds %d: at most an hour", seconds)
	}
	b.window = time.Duration(seconds) * time.Second
	for _, o := range strings.Split(only, ",") {
		if o = strings.TrimSpace(o); o != "" {
			b.only = append(b.only, o)
		}
	}
	return nil
}

func (b *bench) wants(what string) bool { return len(b.only) == 0 || slices.Contains(b.only, what) }

func (b *bench) run(ctx context.Context) error {
	// The media thread keeps a processor while it sleeps.
	runtime.GOMAXPROCS(max(4, runtime.NumCPU()))
	if err := raiseFiles(); err != nil {
		return err
	}
	var err error
	if b.dir, err = os.MkdirTemp("", "foyer-bench-"); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer os.RemoveAll(b.dir)
	if b.bin == "" {
		say("building the switch")
		if b.bin, err = loadtest.Build(ctx, b.dir); err != nil {
			return err
		}
	}
	var errs []error
	for _, part := range []struct {
		name string
		run  func(context.Context) error
		long bool // runs only when it is named
	}{
		{"media", b.media, false}, {"queue", b.queue, false}, {"waiting", b.waiting, false}, {"reload", b.reload, false},
		{"registrations", b.registrations, false}, {"flood", b.flood, false}, {"peers", b.peers, false},
		{"refreshes", b.refreshing, true}, {"soak", b.soak, true}, {"nat", b.nat, true}, {"survive", b.survive, true}, {"keeping", b.keeping, true},
	} {
		if !b.wants(part.name) || part.long && len(b.only) == 0 || ctx.Err() != nil {
			continue
		}
		if err := part.run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", part.name, err))
		}
	}
	return errors.Join(errs...)
}

// raiseFiles allows as many open files as the system lets us.
func raiseFiles() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("read limit of open files: %w", err)
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("raise limit of open files: %w", err)
	}
	return nil
}

// say writes a line of progress where it does not disturb the table.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}

func (b *bench) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}
