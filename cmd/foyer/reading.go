package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"foyer/cmd/foyer/config"
)

// readCmd reads a configuration for a switch that runs, and is no command for people.
type readCmd struct{}

func (readCmd) Run(c *cli) error {
	cfg, err := config.Load(c.Config)
	return config.Pass(os.Stdout, cfg, err)
}

// politeness is the niceness of a reader: a third of the weight of the switch's threads.
// With more of it a reload would take for ever on a machine that is busy.
const politeness = 5

// readApart reads a configuration in a process of its own. Ten thousand agents take a
// second of a processor and 400 MB that the collector has to look through: in the
// switch's own process every call would wait for it, here it takes what is left over.
func readApart(path string) (*config.Config, error) {
	var out, errs bytes.Buffer
	reader := exec.Command(ownProgram, "read", "-c", path)
	reader.Stdout, reader.Stderr = &out, &errs
	if err := reader.Start(); err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, reader.Process.Pid, politeness)
	if err := reader.Wait(); err != nil {
		return nil, fmt.Errorf("read the configuration: %w: %s", err, bytes.TrimSpace(errs.Bytes()))
	}
	return config.Receive(&out)
}

// aside lets Go use one processor more until done is called: what takes a tenth of a
// second in one piece must not stand before the messages of calls.
func aside() (done func()) {
	n := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(n + 1)
	return func() { runtime.GOMAXPROCS(n) }
}
