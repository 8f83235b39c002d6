package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"foyer/loadtest"
)

// stage is a switch with a load on it.
type stage struct {
	b      *bench
	sw     *loadtest.Switch
	load   *loadtest.Running
	before loadtest.Readings
	idle   loadtest.Usage // agents registered, no call yet
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// open starts a switch and a load on it; calls arrive at once.
func (b *bench) open(ctx context.Context, setup loadtest.Setup, plan func(*loadtest.Plan)) (*stage, error) {
	b.systems++
	setup.Dir = filepath.Join(b.dir, fmt.Sprint(b.systems))
	if err := os.Mkdir(setup.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	setup.Kept = setup.Kept || b.kept
	// An address of its own keeps the bench apart from whatever else runs here.
	setup.IP = fmt.Sprintf("127.%d.%d.1", 20+os.Getpid()%200, b.systems)
	sw, err := loadtest.StartSwitch(ctx, b.bin, setup)
	if err != nil {
		return nil, err
	}
	s := &stage{b: b, sw: sw}
	if s.before, err = sw.Readings(ctx); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	p := sw.Plan()
	plan(&p)
	if s.load, err = loadtest.Start(ctx, p); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	if s.idle, err = s.settled(ctx); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	arriving, stop := context.WithCancel(ctx)
	s.stop = stop
	s.done.Go(func() { s.load.Arrive(arriving) })
	return s, nil
}

// settled waits until the switch has started what it starts, one that waits for its death
// among them, and returns what all of that has used.
func (s *stage) settled(ctx context.Context) (loadtest.Usage, error) {
	first := 500 * time.Millisecond
	if s.sw.Kept {
		first = 2 * time.Second // the one that waits is started a second after
	}
	pause(ctx, first)
	last, err := s.sw.Usage()
	for range 40 {
		pause(ctx, 250*time.Millisecond)
		now, again := s.sw.Usage()
		if err = errors.Join(err, again); err != nil || now.CPU-last.CPU <= 10*time.Millisecond {
			return now, err
		}
		last = now
	}
	return last, err
}

// until waits for a state of the load, at most so long.
func (s *stage) until(ctx context.Context, limit time.Duration, ok func(loadtest.Status) bool) error {
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	return s.load.Until(ctx, ok)
}

// end drains the load, audits the books and stops the switch.
func (s *stage) end(ctx context.Context, what string) (loadtest.Result, error) {
	s.stop()
	s.done.Wait()
	err := s.load.Drain(ctx)
	res := s.load.Result()
	s.load.Close()
	for text, n := range res.Errors {
		s.b.fault("%s: %d times: %s", what, n, text)
	}
	if res.Failed > 0 {
		s.b.fault("%s: %d calls failed", what, res.Failed)
	}
	// Three quarters of a million records take their time to be read.
	resting, stop := context.WithTimeout(ctx, 15*time.Second+time.Duration(len(res.Calls))*200*time.Microsecond)
	found, auditErr := s.sw.Audit(resting, res.Calls, s.before)
	stop()
	for i, f := range found {
		if i == 5 {
			s.b.fault("%s: and %d more", what, len(found)-i)
			break
		}
		s.b.fault("%s: %s", what, f)
	}
	say("%s: %d calls in the books, %d discrepancies", what, len(res.Calls), len(found))
	return res, errors.Join(err, auditErr, s.sw.Stop(ctx))
}

// close gives up after an error.
func (s *stage) close(ctx context.Context) error {
	if s.stop != nil {
		s.stop()
		s.done.Wait()
	}
	if s.load != nil {
		s.load.Close()
	}
	return s.sw.Stop(ctx)
}

// abandon closes the stage and keeps the error that led there.
func (s *stage) abandon(ctx context.Context, err error) error {
	return errors.Join(err, s.close(context.WithoutCancel(ctx)))
}

// measure lets the load run for the window and returns what the switch used and
// what the media did meanwhile.
func (s *stage) measure(ctx context.Context) (used time.Duration, cores float64, m loadtest.MediaTotals, err error) {
	before, err := s.sw.Usage()
	if err != nil {
		return 0, 0, m, err
	}
	mark, own := s.load.Mark(), ownCPU()
	pause(ctx, s.b.window)
	say("the generator itself used %.2f cores", (ownCPU()-own).Seconds()/s.b.window.Seconds())
	m, _ = s.load.Since(mark)
	after, err := s.sw.Usage()
	if err != nil {
		return 0, 0, m, err
	}
	cores, used = after.Since(before)
	return used, cores, m, nil
}

// ownCPU is what the generator has used so far: it shares the machine with what
// it measures.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
