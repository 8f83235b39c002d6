package keeper

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Await keeps a switch that was started ahead of its time waiting until it is let in;
// one that was not is let in at once. It calls prepare before it waits, and whenever
// what is kept has changed: Look shows it. It fails with ErrGone when the switch is
// not needed, or there is no keeper any more.
func (c *Client) Await(prepare func()) error {
	fds := c.Inherited(standbyName)
	if len(fds) != 1 {
		name("foyer")
		return nil
	}
	fd := fds[0]
	defer unix.Close(fd)
	name("foyer-standby")
	prepare()
	_ = unix.Sendto(fd, []byte(wordPrepared), unix.MSG_NOSIGNAL, nil) // it may have been let in, and the line closed
	text, control := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(maxRights*4))
	for {
		n, cn, _, _, err := unix.Recvmsg(fd, text, control, unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR, err == unix.ECONNRESET: // told once: our word was not read before the line was closed
			continue
		case err != nil || n == 0:
			return ErrGone
		case string(text[:n]) == wordGo:
			name("foyer")
			c.letIn = true
			return nil
		}
		_, rights := opened(control[:cn])
		c.changed(string(text[:n]), rights)
		if !more(fd) {
			prepare()
		}
	}
}

// LetIn says whether this process was started ahead of its time, and let in.
func (c *Client) LetIn() bool { return c != nil && c.letIn }

// more says whether something can be read at once.
func more(fd int) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n == 1 && err == nil
}

// name is what ps(1) and top(1) call the process.
func name(s string) { _ = os.WriteFile("/proc/self/comm", []byte(s), 0) }

// changed follows what the keeper keeps.
func (c *Client) changed(text string, fds []int) {
	m := parse(text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.remove {
		for _, name := range m.names {
			closeAll(c.inherited[name])
			delete(c.inherited, name)
		}
	}
	if !m.keep || m.each && len(m.names) != len(fds) {
		closeAll(fds)
		return
	}
	for i, fd := range fds {
		name := m.under(i)
		c.inherited[name] = append(c.inherited[name], fd)
	}
}

// Look gives the descriptors under a name without taking them over.
func (c *Client) Look(name string) []int {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]int(nil), c.inherited[name]...)
}

// preparing is how long a switch waits for its keeper to start another program ahead.
const preparing = readyTime + 5*time.Second

// Prepare stores a program and waits until it has been started and can be let in, by
// HandOver. It fails with what is wrong with that program: nothing has changed then.
// systemd starts nothing ahead, and is not waited for. One goroutine at a time.
func (c *Client) Prepare(program int) error {
	b := make([]byte, maxMessage)
	ours := c != nil && c.conn != nil && c.keeper != 0
	for old := error(nil); ours && old == nil; { // what was said of a program before
		_ = c.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, old = c.conn.Read(b)
	}
	if err := c.Store(ProgramName, program); err != nil || !ours {
		return err
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(preparing))
	n, err := c.conn.Read(b)
	if err != nil {
		return fmt.Errorf("the keeper does not answer: %w", err)
	}
	if why, refused := strings.CutPrefix(string(b[:n]), wordRefused); refused {
		return fmt.Errorf("it cannot be used: %s", why)
	}
	return nil
}

// ErrNoKeeper says that there is no keeper of ours: systemd starts its own program
// again when this one ends, whatever was stored.
var ErrNoKeeper = errors.New("no keeper that could start another program")

// HandOver lets the program of Prepare take over. It does not return when that
// goes well: this process is stopped wherever it is, and does not run again.
func (c *Client) HandOver() error {
	if c == nil || c.conn == nil || c.keeper == 0 {
		return ErrNoKeeper
	}
	if err := c.tell(keyHandOver+"=1", nil); err != nil {
		return err
	}
	time.Sleep(patience)
	_ = c.tell(keyHandOver+"=0", nil)
	return errors.New("the keeper has not let the other program in")
}

// dial connects to who keeps our descriptors, under a name of our own that it can
// answer to (unix(7), "Autobind").
func dial(address string) (*net.UnixConn, error) {
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var fault error
		err := raw.Control(func(fd uintptr) { fault = unix.Bind(int(fd), &unix.SockaddrUnix{}) })
		return errors.Join(err, fault)
	}}
	conn, err := d.Dial("unixgram", address)
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	return conn.(*net.UnixConn), nil
}
