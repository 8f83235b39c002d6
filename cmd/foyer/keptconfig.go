package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
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

// readAhead is what a switch that waits to be let in has read meanwhile.
type readAhead struct {
	inode uint64 // of the memory it was read from
	cfg   *config.Config
	plan  *plan
}

// keptConfig is the configuration of the last life, and the plan that was made of it
// if there was time. Both are nil if there is none, or another program than this one
// has left it.
func (r *readAhead) keptConfig(kept *keeper.Client, path string) (*config.Config, *plan) {
	fds := kept.Inherited(keptName)
	defer closeAll(fds)
	for _, fd := range fds {
		if r.inode != 0 && inodeOf(fd) == r.inode {
			return r.cfg, r.plan
		}
	}
	for _, fd := range fds {
		if cfg := readKeptConfig(fd, path); cfg != nil {
			return cfg, nil
		}
	}
	return nil, nil
}

// read reads what is kept as it is now, unless it has.
func (r *readAhead) read(kept *keeper.Client, path string) {
	for _, fd := range kept.Look(keptName) {
		inode := inodeOf(fd)
		if inode == r.inode && inode != 0 {
			return
		}
		cfg := readKeptConfig(fd, path)
		if cfg == nil {
			continue
		}
		if p, err := newPlan(cfg); err == nil {
			*r = readAhead{inode, cfg, p}
			return
		}
	}
	*r = readAhead{}
}

// readKeptConfig is nil for a configuration that is not meant for us. It leaves the
// descriptor where it is: others read by it too.
func readKeptConfig(fd int, path string) *config.Config {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(own), keptName)
	defer f.Close()
	r := io.NewSectionReader(f, 0, math.MaxInt64)
	head := make([]byte, len(keptHead(path)))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != keptHead(path) {
		return nil
	}
	cfg, err := config.Receive(r)
	if err != nil {
		return nil
	}
	return cfg
}

// inodeOf tells memories apart; 0 is of none.
func inodeOf(fd int) uint64 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Ino
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
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
