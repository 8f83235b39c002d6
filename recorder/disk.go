package recorder

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// disk is what the writer asks of the file system, so that tests can let it fail.
type disk interface {
	create(path string) (fd int, err error) // for appending; locked while open
	write(fd int, b []byte) (int, error)
	truncate(fd int, size int64) error
	sync(fds []int) error // brings all of them to the disk
	close(fd int) error
}

// linux is the real one. The lock dies with the process: who can take it knows
// that nobody writes any more.
type linux struct{}

func (linux) create(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o640)
	if err != nil {
		return -1, err
	}
	// Waits for who looks at this moment whether the file is locked (written): for
	// less than a millisecond. Nobody else can have a lock on a file that is new.
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(fd, unix.LOCK_EX)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("lock: %w", err)
	}
	return fd, nil
}

func (linux) write(fd int, b []byte) (n int, err error) {
	for {
		if n, err = unix.Write(fd, b); err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

func (linux) truncate(fd int, size int64) error { return unix.Ftruncate(fd, size) }
func (linux) close(fd int) error                { return unix.Close(fd) }

// syncSingly is up to how many files are synced one by one. Of two hundred, that
// costs eight times the processor of syncing the whole file system once.
const syncSingly = 4

func (linux) sync(fds []int) (err error) {
	if len(fds) > syncSingly {
		return unix.Syncfs(fds[0])
	}
	for _, fd := range fds {
		err = errors.Join(err, unix.Fdatasync(fd))
	}
	return err
}
