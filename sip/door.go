package sip

import (
	"container/list"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

const (
	// handshakeLimit is how long TLS or a WebSocket may take to begin.
	handshakeLimit = 5 * time.Second
	// mostHalfOpen is how many connections may be in that state at once. One
	// more, and the one that has taken longest goes.
	mostHalfOpen = 200
	// perSource is how many connections an address may have by which no phone
	// has registered.
	perSource = 8
	// unheardLimit is how long a peer's machine may leave what we sent unconfirmed.
	unheardLimit = 30 * time.Second
	// retryAccept is the pause after an error of a listener that is not closed,
	// such as too many open files; it doubles up to rarestRetry.
	retryAccept = 5 * time.Millisecond
	rarestRetry = time.Second
)

// door is where connections come in. It counts who is inside, so that no source
// takes all there is, and gives each connection a goroutine of its own from the
// first byte on: a silent, slow or broken one holds up nobody.
type door struct {
	e     *Edge
	limit int // of connections per source; 0: none

	mu       sync.Mutex
	closed   bool
	guests   map[netip.Addr]map[*guest]struct{} // by source, as bans are
	halfOpen list.List                          // of *guest in their handshake, oldest first
}

// guest is a connection that somebody opened towards us.
type guest struct {
	conn  net.Conn // as accepted
	flow  flow
	place *list.Element // in halfOpen; nil: its handshake is over
}

func newDoor(e *Edge, limit int) *door {
	return &door{e: e, limit: limit, guests: make(map[netip.Addr]map[*guest]struct{})}
}

// accept lets connections in until the listener is closed.
func (d *door) accept(l net.Listener, transport string) error {
	for wait := retryAccept; ; {
		c, err := l.Accept()
		switch {
		case err == nil:
			wait = retryAccept
			if !d.e.guard("taking a connection", func() { d.enter(c, transport) }) {
				_ = c.Close()
			}
			continue
		case errors.Is(err, net.ErrClosed):
			return err
		}
		d.e.o.Log.Warn("no connection accepted", zap.String("transport", transport), zap.Error(err))
		select {
		case <-time.After(wait):
		case <-d.e.stopped.Done():
			return net.ErrClosed
		}
		wait = min(2*wait, rarestRetry)
	}
}

// enter takes a new connection, or closes it.
func (d *door) enter(c net.Conn, transport string) {
	remote, ok := addrPort(c.RemoteAddr())
	if !ok {
		_ = c.Close()
		return
	}
	g := &guest{conn: c, flow: flow{transport, remote}}
	if d.e.ignored(remote, transport) || !d.join(g, transport == "tls") {
		_ = c.Close()
		return
	}
	watchOver(c)
	if !d.e.start("serving a connection", func() {
		defer d.forget(g) // also one whose handling broke
		d.welcome(g)
	}) {
		d.forget(g)
	}
}

// welcome shakes hands and serves the connection until it ends.
func (d *door) welcome(g *guest) {
	c := g.conn
	if g.flow.transport == "tls" {
		t := tls.Server(g.conn, d.e.tls)
		err := shake(t)
		d.shaken(g)
		if err != nil {
			d.e.o.Log.Debug("no TLS connection", zap.Stringer("source", g.flow.remote), zap.Error(err))
			return
		}
		c = t
	}
	s := d.e.newStream(c, g.flow, &lines{})
	s.guest = g
	s.serve()
}

// shake is the server's side of a TLS handshake. The peer has to begin it soon: one
// that waits for us to do so never will.
func shake(t *tls.Conn) error {
	_ = t.SetDeadline(time.Now().Add(firstByte))
	err := t.Handshake()
	_ = t.SetDeadline(time.Time{})
	return err
}

// patient is a TLS configuration that gives a peer which has begun a handshake
// the time to end it.
func patient(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return nil, hello.Conn.SetDeadline(time.Now().Add(handshakeLimit - firstByte))
	}
	return c
}

// join counts a connection in and reports whether it may stay.
func (d *door) join(g *guest, shaking bool) bool {
	from := banKey(g.flow.remote.Addr())
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || !d.room(from, g.flow.remote.Addr()) {
		return false
	}
	if d.guests[from] == nil {
		d.guests[from] = make(map[*guest]struct{})
	}
	d.guests[from][g] = struct{}{}
	if shaking {
		if d.halfOpen.Len() >= mostHalfOpen {
			oldest, _ := d.halfOpen.Remove(d.halfOpen.Front()).(*guest)
			oldest.place = nil
			_ = oldest.conn.Close()
		}
		g.place = d.halfOpen.PushBack(g)
	}
	return true
}

// admits reports whether a source may have one more connection.
func (d *door) admits(addr netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.closed && d.room(banKey(addr), addr)
}

// room reports whether a source may have one more connection. Those of phones
// that have registered do not count: a whole office may share an address. The
// caller holds mu.
func (d *door) room(from, addr netip.Addr) bool {
	if d.limit == 0 || len(d.guests[from]) < d.limit || d.e.exempt(addr) {
		return true
	}
	strangers := 0
	for g := range d.guests[from] {
		if !d.e.known(g.flow) {
			strangers++
		}
	}
	return strangers < d.limit
}

// shaken notes that a handshake is over.
func (d *door) shaken(g *guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g.place != nil {
		d.halfOpen.Remove(g.place)
		g.place = nil
	}
}

// forget closes a connection and counts it out, if that has not been done.
func (d *door) forget(g *guest) {
	_ = g.conn.Close()
	d.leave(g)
}

// leave counts a connection out.
func (d *door) leave(g *guest) {
	d.shaken(g)
	from := banKey(g.flow.remote.Addr())
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.guests[from], g)
	if len(d.guests[from]) == 0 {
		delete(d.guests, from)
	}
}

// inside returns how many connections there are of each transport.
func (d *door) inside() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := make(map[string]int)
	for _, of := range d.guests {
		for g := range of {
			n[g.flow.transport]++
		}
	}
	return n
}

// close ends every connection that came in.
func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, of := range d.guests {
		for g := range of {
			_ = g.conn.Close()
		}
	}
}

// watchOver lets the kernel find out that a peer is gone without a word: within a
// minute when it is silent, in half of one when something was sent to it.
func watchOver(c net.Conn) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3})
	if socket, err := t.SyscallConn(); err == nil {
		_ = socket.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unheardLimit/time.Millisecond))
		})
	}
}
