package keeper

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A process that was killed is not gone before each of its threads has come back from
// the kernel, and one that waits for a disk may take a second. Who talks should not wait
// for that: the threads that serve them are dead at once. So the switch holds a robust
// futex (futex(2), set_robust_list(2)) in memory that it shares with its keeper: the
// kernel marks it, and wakes the keeper, when the thread that holds it dies, which it
// does only with all others. Then the next switch is let in. It touches no file before
// the one before is gone altogether, which a lock in the data directory tells.

const (
	aliveName = "alive" // what the memory is kept under
	aliveSize = 4096

	futexWait      = 0
	futexWaiters   = 0x80000000
	futexOwnerDied = 0x40000000
)

// robustList is struct robust_list_head, and the one entry of the list.
type robustList struct {
	next    uintptr
	offset  int64
	pending uintptr
	entry   uintptr // the entry: only a pointer to the next, which is the head
}

// aliveMemory is the memory with the futex in it.
func aliveMemory(fd int) ([]byte, error) {
	b, err := unix.Mmap(fd, 0, aliveSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("sign of life: %w", err)
	}
	return b, nil
}

func futexIn(b []byte) *uint32 { return (*uint32)(unsafe.Pointer(&b[0])) }

// newAlive makes the memory and keeps it for every switch.
func newAlive(s *store) (*uint32, error) {
	fd, err := unix.MemfdCreate("foyer-alive", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("sign of life: %w", err)
	}
	if err := unix.Ftruncate(fd, aliveSize); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("sign of life: %w", err)
	}
	b, err := aliveMemory(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(&message{names: []string{aliveName}}, []int{fd})
	return futexIn(b), nil
}

// ShowLife lets the keeper see at once that this process was killed. The calling
// goroutine must be locked to the main thread, and stay there; Leave ends it. Without a
// keeper of ours it does nothing.
func (c *Client) ShowLife() error {
	fds := c.Inherited(aliveName)
	if len(fds) != 1 {
		return nil
	}
	defer unix.Close(fds[0])
	if unix.Gettid() != os.Getpid() {
		return fmt.Errorf("sign of life: thread %d is not the main one", unix.Gettid())
	}
	b, err := aliveMemory(fds[0])
	if err != nil {
		return err
	}
	own, err := unix.Mmap(-1, 0, aliveSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return fmt.Errorf("sign of life: %w", err)
	}
	l, futex := (*robustList)(unsafe.Pointer(&own[0])), futexIn(b)
	entry := uintptr(unsafe.Pointer(&l.entry))
	l.next, l.entry = entry, uintptr(unsafe.Pointer(l))
	l.offset = int64(uintptr(unsafe.Pointer(futex))) - int64(entry)
	if _, _, errno := unix.RawSyscall(unix.SYS_SET_ROBUST_LIST, uintptr(unsafe.Pointer(l)), unsafe.Offsetof(l.entry), 0); errno != 0 {
		return fmt.Errorf("sign of life: %w", errno)
	}
	atomic.StoreUint32(futex, uint32(os.Getpid())|futexWaiters)
	c.alive = futex
	return nil
}

// Leave says that the end of this process is no crash.
func (c *Client) Leave() {
	if c != nil && c.alive != nil {
		atomic.StoreUint32(c.alive, 0)
	}
}

// attend waits for the death of a switch, or until it says no more whether it lives.
func (k *keeper) attend(pid int) {
	lives := uint32(pid) | futexWaiters
	for {
		switch v := atomic.LoadUint32(k.alive); {
		case v == lives:
			_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(k.alive)), futexWait, uintptr(lives), 0, 0, 0)
		case v&futexOwnerDied != 0:
			k.dying <- pid
			return
		default:
			return
		}
	}
}
