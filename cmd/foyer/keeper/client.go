package keeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Client is the switch's side: it has descriptors kept, by the keeper or by
// systemd's descriptor store, which speak the same. Under neither, and nil, it keeps
// nothing and every call succeeds.
//
// What Store has returned nil for outlives the process, whatever happens to it next.
// Any goroutine may call its methods; each is one system call, and waits a second at
// most for a keeper that does not listen.
type Client struct {
	conn   *net.UnixConn // nil: nobody keeps anything
	keeper int           // the process of our keeper; 0 for systemd, and for none
	gone   atomic.Bool   // it has ended
	letIn  bool          // after Await
	alive  *uint32       // the futex, after ShowLife

	mu        sync.Mutex
	inherited map[string][]int
}

// ErrGone says that there is no keeper any more.
var ErrGone = errors.New("the keeper is gone")

// keeperVariable tells a switch which process keeps it, so that it can watch that.
const keeperVariable = "FOYER_KEEPER"

// patience is how long a message waits for a keeper that is busy.
const patience = time.Second

// FromEnvironment takes what the process was started with: NOTIFY_SOCKET, LISTEN_FDS,
// LISTEN_FDNAMES and LISTEN_PID (sd_notify(3), sd_listen_fds(3)). It must be called
// once and before descriptors are opened; it takes the variables out of the
// environment, so that no child of ours believes them meant for it.
func FromEnvironment() (*Client, error) {
	defer func() {
		for _, name := range []string{"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "FDSTORE", keeperVariable} {
			_ = os.Unsetenv(name)
		}
	}()
	c := &Client{inherited: map[string][]int{}}
	if err := c.inherit(); err != nil {
		return nil, err
	}
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return c, nil
	}
	conn, err := dial(address)
	if err != nil {
		return nil, err
	}
	c.conn = conn
	c.keeper, _ = strconv.Atoi(os.Getenv(keeperVariable))
	return c, nil
}

// firstInherited is the number of the first descriptor handed over (SD_LISTEN_FDS_START).
const firstInherited = 3

func (c *Client) inherit() error {
	if pid := os.Getenv("LISTEN_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return nil // meant for another process
	}
	count := os.Getenv("LISTEN_FDS")
	if count == "" {
		return nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 {
		return fmt.Errorf("LISTEN_FDS: %q is no number of descriptors", count)
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for i := range n {
		fd, name := firstInherited+i, "unknown" // as systemd calls what has no name
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return fmt.Errorf("LISTEN_FDS: descriptor %d, %s: %w", fd, name, err)
		}
		c.inherited[name] = append(c.inherited[name], fd)
	}
	return nil
}

// Inherited gives the descriptors of the last life under a name, in the order they
// were stored, to the caller, who owns them from now on: a second call gives nothing.
// They are still kept; Remove ends that.
func (c *Client) Inherited(name string) []int {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fds := c.inherited[name]
	delete(c.inherited, name)
	return fds
}

// Unclaimed is the names of what was inherited and nobody has asked for, in no order.
func (c *Client) Unclaimed() (names []string) {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.inherited {
		names = append(names, name)
	}
	return names
}

// Store has copies of descriptors kept until Remove, whatever becomes of ours. A name
// is up to 255 printable characters of ASCII without spaces and colons; keep it short,
// for all of them must fit into one variable of 120 KiB. More descriptors under the
// same name are added.
func (c *Client) Store(name string, fds ...int) error {
	if !validName(name) {
		return fmt.Errorf("keep %q: no valid name", name)
	}
	for len(fds) > 0 {
		n := min(len(fds), maxRights)
		if err := c.tell(keepText(name), unix.UnixRights(fds[:n]...)); err != nil {
			return fmt.Errorf("keep %s: %w", name, err)
		}
		fds = fds[n:]
	}
	return nil
}

// StoreEach is Store for many descriptors, each under the name in its place. A keeper
// of ours is told of them by one message, systemd by one for each.
func (c *Client) StoreEach(names []string, fds []int) error {
	for n := 0; len(fds) > 0; names, fds = names[n:], fds[n:] {
		n = c.atOnce(names)
		if err := c.tell(keepText(names[:n]...), unix.UnixRights(fds[:n]...)); err != nil {
			return fmt.Errorf("keep %d descriptors: %w", len(fds), err)
		}
	}
	return nil
}

// Remove ends the keeping of all descriptors under names.
func (c *Client) Remove(names ...string) error {
	for n := 0; len(names) > 0; names = names[n:] {
		n = c.atOnce(names)
		if err := c.tell(removeText(names[:n]...), nil); err != nil {
			return err
		}
	}
	return nil
}

// atOnce is how many of the names go into one message to whoever keeps us.
func (c *Client) atOnce(names []string) (n int) {
	if c == nil || c.keeper == 0 {
		return 1
	}
	return few(names)
}

// few is how many of the names fit into one message.
func few(names []string) (n int) {
	for room := maxMessage / 2; n < min(len(names), maxRights); n++ {
		if room -= len(names[n]) + 1; room < 0 && n > 0 {
			return n
		}
	}
	return n
}

// namesWord is a word of our own for what systemd would need many messages for: names
// with colons between them, one for each descriptor that comes along.
const namesWord = "FDNAMES"

func keepText(names ...string) string { return "FDSTORE=1\nFDPOLL=0\n" + nameLine(names) }

func removeText(names ...string) string { return "FDSTOREREMOVE=1\n" + nameLine(names) }

func nameLine(names []string) string {
	if len(names) == 1 {
		return "FDNAME=" + names[0]
	}
	return namesWord + "=" + strings.Join(names, ":")
}

// Ready says that the switch serves.
func (c *Client) Ready() error { return c.tell("READY=1", nil) }

// Stopping says that the switch is about to end, of its own will.
func (c *Client) Stopping() error { return c.tell("STOPPING=1", nil) }

// Status says in one line what the switch does; `systemctl status` shows it.
func (c *Client) Status(line string) error {
	return c.tell("STATUS="+strings.ReplaceAll(line, "\n", " "), nil)
}

func (c *Client) tell(text string, rights []byte) error {
	if c == nil || c.conn == nil {
		return nil
	}
	return send(c.conn, text, rights, nil, patience)
}

// Kept says whether somebody keeps what is stored.
func (c *Client) Kept() bool { return c != nil && c.conn != nil && !c.gone.Load() }

// Close ends the conversation; what is stored stays.
func (c *Client) Close() error {
	if c == nil || c.conn == nil {
		return nil
	}
	return c.conn.Close()
}

// Gone waits for the end of the keeper that has started us, or of ctx, and reports
// whether the keeper has ended. That of systemd is not to be expected.
func (c *Client) Gone(ctx context.Context) bool {
	if c == nil || c.keeper == 0 {
		<-ctx.Done()
		return false
	}
	fd, err := unix.PidfdOpen(c.keeper, unix.PIDFD_NONBLOCK)
	switch {
	case errors.Is(err, unix.ESRCH):
		c.gone.Store(true)
		return true
	case err != nil: // Linux before 5.10
		<-ctx.Done()
		return false
	}
	process := os.NewFile(uintptr(fd), "keeper") // readable once the process has ended
	defer process.Close()
	defer context.AfterFunc(ctx, func() { _ = process.SetReadDeadline(time.Unix(1, 0)) })()
	raw, err := process.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Read(func(fd uintptr) bool { // false waits
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n == 1 && err == nil
	})
	c.gone.Store(err == nil)
	return err == nil
}
