package interop

import (
	"bytes"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program under test conditions: its output is kept, and it is
// gone when the test is.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended

	mu  sync.Mutex
	out bytes.Buffer // guarded by mu
}

// Write collects the program's output.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// tool finds a program that make setup installs.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed; run `make setup`", name)
	}
	return path
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	cmd.WaitDelay = 2 * time.Second
	// A telephone must not outlive a test that was killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(p.done); cmd.Wait() }()
	t.Cleanup(p.stop)
	return p
}

// stop ends the program, by force if it does not heed.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
	}
}

// kill ends the program without a word to anybody.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// says waits until the program has printed a text.
func (p *process) says(text string) {
	p.t.Helper()
	until(p.t, text, func() bool { return strings.Contains(p.output(), text) }, p.output)
}

// patience is how long anything may take, on a machine busy with other tests.
const patience = 30 * time.Second

// until polls a condition that announces itself in no other way.
func until(t *testing.T, what string, ok func() bool, why func() string) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s\n%s", patience, what, why())
		}
	}
}
