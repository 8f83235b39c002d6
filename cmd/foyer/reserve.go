package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

const (
	reserveFile  = "reserve"
	reserveEvery = 500 * time.Millisecond
	reserveShare = 50       // of the disk: the reserve is at most one part in so many
	reserveSlack = 64 << 20 // bytes of room below which it is let go; a quarter of it if that is less
)

// reserve is room in the data directory that nobody uses until the disk is full: a
// file that is removed then, so that the journal and the call records go on. The
// journal would not survive meeting a full disk itself, so the room is let go
// somewhat before; and recordings, which would have it used up within a minute, are
// suspended while there is no reserve, if they are on the same disk.
type reserve struct {
	path    string
	size    int64
	suspend func(error) // recordings; nil: they are on another disk
	log     *zap.Logger
	room    func(string) (free, total int64, err error) // tests

	gone atomic.Bool // let go
}

// errReserve is why recordings are suspended.
var errReserve = fmt.Errorf("what room is left is for the journal: %w", unix.ENOSPC)

func newReserve(dataDir string, size int64, log *zap.Logger) *reserve {
	return &reserve{path: filepath.Join(dataDir, reserveFile), size: size, log: log, room: roomOf}
}

func roomOf(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
}

// sameDisk tells whether two directories are on one file system.
func sameDisk(a, b string) bool {
	var x, y unix.Stat_t
	return unix.Stat(a, &x) == nil && unix.Stat(b, &y) == nil && x.Dev == y.Dev
}

// keep looks after the reserve until ctx ends. It stays on the disk then.
func (v *reserve) keep(ctx context.Context) {
	if v.size == 0 {
		return
	}
	every := time.NewTicker(reserveEvery)
	defer every.Stop()
	for {
		v.look()
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

// look lets the reserve go, or takes it back, as the room demands.
func (v *reserve) look() {
	free, total, err := v.room(filepath.Dir(v.path))
	if err != nil {
		return // the recorder has its own alarm of a disk that is not there
	}
	size := min(v.size, total/reserveShare)
	slack := min(reserveSlack, size/4)
	st, err := os.Stat(v.path)
	held := err == nil && st.Size() > 0
	switch {
	case held && free < slack:
		v.letGo(free)
	case held:
		v.back()
	case free >= 2*size+2*slack:
		v.take(size)
	case free < size+slack && !v.gone.Load(): // the disk was full before we came
		v.letGo(free)
	}
}

func (v *reserve) letGo(free int64) {
	if err := os.Remove(v.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		v.log.Error("the reserve of room cannot be let go", zap.String("file", v.path), zap.Error(err))
		return
	}
	v.gone.Store(true)
	if v.suspend != nil {
		v.suspend(errReserve)
	}
	v.log.Error("the disk is full: the reserve is let go for the journal and the call records",
		zap.String("dir", filepath.Dir(v.path)), zap.Int64("free_bytes", free), zap.Bool("recordings_suspended", v.suspend != nil))
}

func (v *reserve) take(size int64) {
	if err := allocate(v.path, size); err != nil {
		if !v.gone.Swap(true) {
			v.log.Warn("no room can be kept for the journal on this file system", zap.Error(err))
		}
		v.resume() // there is room now
		return
	}
	v.back()
}

// back says that the reserve is there.
func (v *reserve) back() {
	if v.gone.Swap(false) {
		v.log.Info("there is room again: the reserve is back", zap.String("file", v.path))
		v.resume()
	}
}

func (v *reserve) resume() {
	if v.suspend != nil {
		v.suspend(nil)
	}
}

// allocate makes a file whose blocks are there without being written.
func allocate(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	err = errors.Join(err, f.Close())
	if err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("reserve of %d bytes: %w", size, err)
	}
	return nil
}
