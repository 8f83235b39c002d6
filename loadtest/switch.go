package loadtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Build compiles the switch into dir and returns the path of the program. It must
// run inside the module.
func Build(ctx context.Context, dir string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "foyer")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, "./cmd/foyer")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the switch: %w\n%s", err, out)
	}
	return bin, nil
}

// moduleRoot is the nearest directory above that has a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("find the module: no go.mod above the working directory")
		}
		dir = up
	}
}

// Switch is a switch running as a child process.
type Switch struct {
	Setup
	Config string // path of the configuration
	// Tolerance is how far the times in Audit's books may differ; 0 is 500 ms.
	Tolerance time.Duration
	bin       string
	cmd       *exec.Cmd
	log       *os.File
	ended     chan struct{} // closed when the process has ended
	err       error         // why; read after ended
}

// StartSwitch writes the configuration, starts the program and waits until it
// says it is ready. Its log is DIR/foyer.log. Stop must follow.
func StartSwitch(ctx context.Context, bin string, setup Setup) (*Switch, error) {
	setup, err := setup.complete()
	if err != nil {
		return nil, err
	}
	if bin, err = filepath.Abs(bin); err != nil { // it runs in a directory of its own
		return nil, fmt.Errorf("start switch: %w", err)
	}
	s := &Switch{Setup: setup, bin: bin, Config: filepath.Join(setup.Dir, "foyer.yaml"), ended: make(chan struct{})}
	if err := os.WriteFile(s.Config, []byte(setup.YAML()), 0o600); err != nil {
		return nil, fmt.Errorf("start switch: %w", err)
	}
	if err := setup.certify(); err != nil {
		return nil, fmt.Errorf("start switch: %w", err)
	}
	if s.log, err = os.Create(filepath.Join(setup.Dir, "foyer.log")); err != nil {
		return nil, fmt.Errorf("start switch: %w", err)
	}
	args := []string{"serve"}
	if !s.Kept {
		args = append(args, "--alone")
	}
	s.cmd = exec.Command(bin, append(args, "-c", s.Config)...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = setup.Dir, s.log, s.log
	// The switch must not outlive a generator that was killed.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := s.cmd.Start(); err != nil {
		s.log.Close()
		return nil, fmt.Errorf("start switch: %w", err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	if err := s.untilReady(ctx); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	return s, nil
}

func (s *Switch) untilReady(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	for {
		if _, err := s.get(ctx, "/readyz"); err == nil {
			return nil
		}
		t := time.NewTimer(25 * time.Millisecond)
		select {
		case <-t.C:
		case <-s.ended:
			return fmt.Errorf("start switch: it ended: %v\n%s", s.err, s.Tail())
		case <-ctx.Done():
			return fmt.Errorf("start switch: not ready: %w\n%s", context.Cause(ctx), s.Tail())
		}
	}
}

func (s *Switch) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:%d%s", s.Desk, s.HTTPPort, path), nil)
	if err != nil {
		return nil, fmt.Errorf("ask switch: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask switch: %w", err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		return nil, fmt.Errorf("ask switch: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask switch: %s: %s", path, res.Status)
	}
	return b.Bytes(), nil
}

// Tail returns the last lines of the switch's log.
func (s *Switch) Tail() string {
	raw, err := os.ReadFile(filepath.Join(s.Dir, "foyer.log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// PID is the switch's process, or its keeper's.
func (s *Switch) PID() int { return s.cmd.Process.Pid }

// Usage reads what the switch has used so far, and its keeper.
func (s *Switch) Usage() (Usage, error) { return UsageOf(s.PID()) }

// Readings reads the switch's metrics.
func (s *Switch) Readings(ctx context.Context) (Readings, error) {
	raw, err := s.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	return ReadReadings(bytes.NewReader(raw))
}

// AtRest waits until no call, leg or port is in use, at most as long as ctx, and
// returns the last readings either way.
func (s *Switch) AtRest(ctx context.Context) (Readings, error) {
	for {
		r, err := s.Readings(ctx)
		if err != nil {
			return nil, err
		}
		if r["foyer_calls_active"] == 0 && r["foyer_sip_legs"] == 0 && r["foyer_rtp_ports_used"] == 0 && r["foyer_recordings_active"] == 0 {
			return r, nil
		}
		t := time.NewTimer(100 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
			return r, nil
		}
	}
}

// Command runs the same program with the same configuration, e.g. "cdr",
// "export", and returns what it prints.
func (s *Switch) Command(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.bin, append(args, "-c", s.Config)...)
	cmd.Dir = s.Dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("foyer %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.Bytes(), nil
}

// CDRs returns every CDR of the switch.
func (s *Switch) CDRs(ctx context.Context) ([]CDR, error) {
	raw, err := s.Command(ctx, "cdr", "export", "--format", "ndjson")
	if err != nil {
		return nil, err
	}
	return ReadCDRs(bytes.NewReader(raw))
}

// Recordings returns every recording of the switch.
func (s *Switch) Recordings(ctx context.Context) ([]Recording, error) {
	raw, err := s.Command(ctx, "recording", "list", "-o", "json")
	if err != nil {
		return nil, err
	}
	return ReadRecordings(bytes.NewReader(raw))
}

// Stop asks the switch to end, as an operator would, and kills it after 15 s. It
// returns an error if the switch did not end well.
func (s *Switch) Stop(ctx context.Context) error {
	defer s.log.Close()
	s.cmd.Process.Signal(syscall.SIGTERM)
	t := time.NewTimer(15 * time.Second)
	defer t.Stop()
	select {
	case <-s.ended:
	case <-t.C:
		s.cmd.Process.Kill()
		<-s.ended
		return fmt.Errorf("stop switch: still there after 15 s\n%s", s.Tail())
	case <-ctx.Done():
		s.cmd.Process.Kill()
		<-s.ended
		return fmt.Errorf("stop switch: %w", context.Cause(ctx))
	}
	if s.err != nil {
		return fmt.Errorf("stop switch: %w\n%s", s.err, s.Tail())
	}
	return nil
}

// booksClose is how long after the last call its CDR and recording may take to
// be there for another process to read.
const booksClose = 3 * time.Second

// Audit asks the switch for its side of a run and verifies it. Call it when the
// switch is at rest; before are the readings from before the first call.
func (s *Switch) Audit(ctx context.Context, calls []Call, before Readings) ([]string, error) {
	after, err := s.AtRest(ctx)
	if err != nil {
		return nil, err
	}
	b := Books{Calls: calls, Recorded: s.Record, Tolerance: s.Tolerance, Before: before, After: after}
	for until := time.Now().Add(booksClose); ; pause(ctx, 100*time.Millisecond) {
		if b.CDRs, err = s.CDRs(ctx); err != nil {
			return nil, err
		}
		if b.Recordings, err = s.Recordings(ctx); err != nil {
			return nil, err
		}
		if faults := Verify(b); len(faults) == 0 || time.Now().After(until) {
			return faults, nil
		}
	}
}
