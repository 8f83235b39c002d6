package recorder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// disk is what the writer asks of the file system, so that tests can let it fail.
type disk interface {
	mkdir(path string) error                            // and its parents; it may be there
	create(path string) (fd int, err error)             // for appending; locked while open
	reopen(path string) (fd int, size int64, err error) // what a life before has created
	link(path, name string) error
	put(path string, text []byte) error // a small file
	rename(path, name string) error
	remove(path string) error
	read(fd int, b []byte, at int64) (int, error)
	write(fd int, b []byte) (int, error)
	truncate(fd int, size int64) error
	sync(fds []int) (failed []int, err error) // brings all of them to the disk; which it could not, by index
	close(fd int) error
	room(path string) (free, total uint64, err error) // bytes, of the file system
}

const lockWait = 2 * time.Second

// linux is the real one. The lock dies with the process: who can take it knows
// that nobody writes any more.
type linux struct{}

func (linux) create(path string) (int, error) { return open(path, unix.O_CREAT|unix.O_EXCL) }

func (linux) reopen(path string) (int, int64, error) {
	fd, err := open(path, 0)
	if err != nil {
		return -1, 0, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return -1, 0, err
	}
	return fd, st.Size, nil
}

func open(path string, flags int) (int, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_APPEND|unix.O_CLOEXEC|flags, 0o640)
	if err != nil {
		return -1, err
	}
	// Waits for who looks at this moment whether the file is locked (written): that
	// takes less than a millisecond. Whoever keeps it longer is another switch.
	for until := time.Now().Add(lockWait); ; time.Sleep(time.Millisecond) {
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EINTR && (err != unix.EWOULDBLOCK || time.Now().After(until)) {
			break
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("lock: %w", err)
	}
	return fd, nil
}

func (linux) mkdir(path string) error {
	err := os.Mkdir(path, 0o750)
	if errors.Is(err, fs.ErrNotExist) {
		return os.MkdirAll(path, 0o750)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (linux) link(path, name string) error       { return os.Link(path, name) }
func (linux) put(path string, text []byte) error { return os.WriteFile(path, text, 0o640) }
func (linux) rename(path, name string) error     { return os.Rename(path, name) }
func (linux) remove(path string) error           { return os.Remove(path) }

// read fills b from a place of the file.
func (linux) read(fd int, b []byte, at int64) (n int, err error) {
	for n < len(b) {
		m, err := unix.Pread(fd, b[n:], at+int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return n, err
		}
		if m == 0 {
			return n, io.EOF
		}
		n += m
	}
	return n, nil
}

func (linux) write(fd int, b []byte) (n int, err error) {
	for {
		if n, err = unix.Write(fd, b); err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

func (linux) truncate(fd int, size int64) error { return unix.Ftruncate(fd, size) }
func (linux) room(path string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, 0, err
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}

func (linux) close(fd int) error { return unix.Close(fd) }

// syncSingly is up to how many files are synced one by one. Of two hundred, that
// costs eight times the processor of syncing the whole file system once.
const syncSingly = 4

func (linux) sync(fds []int) (failed []int, err error) {
	if len(fds) > syncSingly {
		if err = unix.Syncfs(fds[0]); err == nil {
			return nil, nil
		}
		// Of some file: each tells of itself, once.
	}
	for i, fd := range fds {
		if e := unix.Fdatasync(fd); e != nil {
			failed, err = append(failed, i), errors.Join(err, e)
		}
	}
	return failed, err
}
