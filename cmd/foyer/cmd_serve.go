package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"go.uber.org/zap/zapcore"

	"foyer/cmd/foyer/keeper"
	"foyer/rtp/sound"
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
		return serve(c.Config, s.Drain, kept, &readAhead{})
	}
	log := logTo(os.Stderr, zapcore.InfoLevel, "").Named("keeper")
	code, err := keeper.Run(keeper.Options{
		Program: ownProgram,
		Args:    []string{os.Args[0], switchCommand, "-c", c.Config, "--drain", s.Drain.String()},
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

// switchCommand is the switch as the keeper starts it, and no command for people.
const switchCommand = "switch"

// serveKept reads its arguments itself: the grammar of all commands takes 2 ms, and
// calls may be waiting.
func serveKept(args []string) error {
	flags := flag.NewFlagSet("foyer "+switchCommand, flag.ContinueOnError)
	file := flags.String("c", "", "the configuration")
	patience := flags.Duration("drain", 0, "how long SIGTERM lets calls go on")
	if err := flags.Parse(args); err != nil {
		return err
	}
	kept, err := keeper.FromEnvironment()
	if err != nil {
		return err
	}
	ahead := &readAhead{}
	err = kept.Await(func() {
		ahead.read(kept, *file)
		sound.Ringback()
	})
	if errors.Is(err, keeper.ErrGone) {
		return nil // the keeper has ended, and needs no switch any more
	}
	if err := kept.ShowLife(); err != nil {
		fmt.Fprintln(os.Stderr, "foyer:", err) // its death will be noticed a little later
	}
	return serve(*file, *patience, kept, ahead)
}

// The switch shows its keeper that it lives by its main thread (keeper.ShowLife).
func init() {
	if len(os.Args) > 1 && os.Args[1] == switchCommand {
		runtime.LockOSThread()
	}
}
