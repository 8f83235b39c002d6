package loadtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Switching is the process that switches the calls: the keeper's child.
func (s *Switch) Switching() (int, error) {
	var children []string
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.PID()))
	for _, of := range threads {
		raw, err := os.ReadFile(of)
		if err != nil {
			continue // the thread has ended
		}
		children = append(children, strings.Fields(string(raw))...)
	}
	if err != nil || len(children) != 1 {
		return 0, fmt.Errorf("switch: the keeper has %d children", len(children))
	}
	return strconv.Atoi(children[0])
}

// Kill kills the switch as a crash would, and waits until the next one is ready.
func (s *Switch) Kill(ctx context.Context) error {
	pid, err := s.Switching()
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill switch: %w", err)
	}
	for { // until it is another process
		if next, err := s.Switching(); err == nil && next != pid {
			break
		}
		pause(ctx, time.Millisecond)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return s.untilReady(ctx)
}
