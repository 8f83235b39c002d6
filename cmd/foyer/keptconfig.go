package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"foyer/cmd/foyer/config"
	"foyer/cmd/foyer/keeper"
)

// The configuration a switch serves by is kept in memory beside its sockets. The next
// life of a switch that was killed serves by the same one: reading ten thousand agents
// anew would take it a second, and what somebody is writing into the file meanwhile
// counts when they reload it, and not because of a crash. A switch that ends of its
// own will takes it back, so that a restart reads the file.

// keptName is what the configuration is kept under.
const keptName = "config"

// keptConfig is the configuration of the last life, nil if there is none, or another
// program than this one has left it.
func keptConfig(kept *keeper.Client, path string) *config.Config {
	for _, fd := range kept.Inherited(keptName) {
		f := os.NewFile(uintptr(fd), keptName)
		defer f.Close()
		head := make([]byte, len(keptHead(path)))
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			continue
		}
		if _, err := io.ReadFull(f, head); err != nil || string(head) != keptHead(path) {
			continue
		}
		if cfg, err := config.Receive(f); err == nil {
			return cfg
		}
	}
	return nil
}

// keptHead says of what file and by which program a configuration was read.
func keptHead(path string) string { return headFor(path, version, ownProgram) }

func headFor(path, version, program string) string {
	of, err := os.Stat(program)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s %s %d %d\n", path, version, of.Size(), of.ModTime().UnixNano())
}

// keepConfig keeps a configuration in the place of the one before.
func keepConfig(kept *keeper.Client, path string, cfg *config.Config) error {
	if !kept.Kept() {
		return nil
	}
	var b bytes.Buffer
	err := config.Pass(&b, cfg, nil)
	if err == nil {
		err = kept.Remove(keptName)
	}
	if err == nil {
		err = addConfig(kept, keptHead(path), b.Bytes())
	}
	if err != nil {
		return fmt.Errorf("keep the configuration: %w", err)
	}
	return nil
}

// addConfig keeps a configuration beside those there are; its head says whose it is.
func addConfig(kept *keeper.Client, head string, body []byte) error {
	fd, err := unix.MemfdCreate("foyer-config", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), keptName)
	defer f.Close()
	if _, err := io.WriteString(f, head); err != nil {
		return err
	}
	if _, err := f.Write(body); err != nil {
		return err
	}
	return kept.Store(keptName, fd)
}

// keepConfig keeps what the switch serves by.
func (ex *exchange) keepConfig() {
	cfg := ex.plan.Load().cfg
	if err := keepConfig(ex.keeper, cfg.Files[0], cfg); err != nil {
		ex.log.Warn("after a crash the configuration will be read anew", zap.Error(err))
	}
}
