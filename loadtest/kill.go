package loadtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"time"
)

// Switching is the process that switches the calls. Another one of the keeper's waits.
func (s *Switch) Switching() (int, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.Dir, "data", "admin.sock"))
		},
	}, Timeout: 5 * time.Second}
	res, err := client.Get("http://admin/api/v1/upgrade")
	if err != nil {
		return 0, fmt.Errorf("switch: %w", err)
	}
	defer res.Body.Close()
	var itself struct{ PID int }
	if err := json.NewDecoder(res.Body).Decode(&itself); err != nil || itself.PID == 0 {
		return 0, fmt.Errorf("switch: it does not say which process it is: %w", err)
	}
	return itself.PID, nil
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
