package main

import (
	"os"
	"strconv"
	"time"

	"go.uber.org/zap/zapcore"

	"foyer/cmd/foyer/keeper"
)

// serveCmd keeps a switch running: this process starts itself again as `foyer
// switch`, holds what must outlive that one, and starts the next when it dies.
type serveCmd struct {
	Drain time.Duration `help:"How long SIGTERM lets calls go on before they are ended." default:"30s"`
	Alone bool          `help:"Serve in this process, with nobody to start it again. Under systemd, which does that itself and keeps the sockets (FileDescriptorStoreMax=)."`
}

// ownProgram is the program that runs, also when its file has been replaced.
const ownProgram = "/proc/self/exe"

func (s *serveCmd) Run(c *cli) error {
	if s.Alone || systemdKeeps() {
		kept, err := keeper.FromEnvironment()
		if err != nil {
			return err
		}
		return serve(c, s.Drain, kept)
	}
	log := logTo(os.Stderr, zapcore.InfoLevel, "").Named("keeper")
	code, err := keeper.Run(keeper.Options{
		Program: ownProgram,
		Args:    []string{os.Args[0], "switch", "-c", c.Config, "--drain", s.Drain.String()},
		Log:     log,
	})
	_ = log.Sync()
	if err == nil && code != 0 {
		return exitCode(code)
	}
	return err
}

// systemdKeeps says whether systemd has a descriptor store for us (254 or later).
func systemdKeeps() bool {
	n, err := strconv.Atoi(os.Getenv("FDSTORE"))
	return err == nil && n > 0 && os.Getenv("NOTIFY_SOCKET") != ""
}

// switchCmd is the switch as the keeper starts it, and no command for people.
type switchCmd struct {
	Drain time.Duration `default:"30s"`
}

func (s *switchCmd) Run(c *cli) error {
	kept, err := keeper.FromEnvironment()
	if err != nil {
		return err
	}
	return serve(c, s.Drain, kept)
}
