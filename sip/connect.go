package sip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// outgoing are the TCP connections we open, to trunks. The library gets them as
// it gets those we accept: outgoing is a listener whose Accept returns what
// connect has dialled. So they are traced, counted and closed in the same way.
type outgoing struct {
	made   chan made
	taken  chan struct{} // of the connection Accept returned last; Accept's own
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	peers map[netip.AddrPort]chan struct{} // whom we may call; closed when the attempt under way ends, nil: none is
}

type made struct {
	net.Conn
	taken chan struct{} // closed when the library has it
}

func newOutgoing() *outgoing {
	return &outgoing{made: make(chan made), closed: make(chan struct{}), peers: make(map[netip.AddrPort]chan struct{})}
}

// Accept returns the next connection that was made. That it is called again
// shows that the library has put the one before into its pool.
func (o *outgoing) Accept() (net.Conn, error) {
	if o.taken != nil {
		close(o.taken)
		o.taken = nil
	}
	select {
	case m := <-o.made:
		o.taken = m.taken
		return m.Conn, nil
	case <-o.closed:
		return nil, net.ErrClosed
	}
}

// Close lets Accept fail.
func (o *outgoing) Close() error {
	o.once.Do(func() { close(o.closed) })
	return nil
}

// Addr is no address: nothing listens.
func (o *outgoing) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero} }

// mayCall lets a peer be called, now and again when its connection is gone.
func (o *outgoing) mayCall(remote netip.AddrPort) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.peers[remote]; !known {
		o.peers[remote] = nil
	}
}

// begin makes the caller the one who connects to a peer. If another does so
// already, busy is closed when that has ended.
func (o *outgoing) begin(remote netip.AddrPort) (busy chan struct{}, known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	busy, known = o.peers[remote]
	if known && busy == nil {
		o.peers[remote] = make(chan struct{})
	}
	return busy, known
}

func (o *outgoing) end(remote netip.AddrPort) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.peers[remote])
	o.peers[remote] = nil
}

// reach makes sure that the connection of a flow stands. One that is gone is
// opened anew if its peer is a trunk that we called.
func (e *Edge) reach(ctx context.Context, f flow) error {
	if e.connected(f.transport, f.remote) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.timing.unanswered)
	defer cancel()
	defer context.AfterFunc(e.stopped, cancel)()
	for {
		busy, known := e.outgoing.begin(f.remote)
		switch {
		case !known:
			return errNoConnection
		case busy == nil:
			return e.connect(ctx, f.remote)
		}
		select {
		case <-busy: // connected, or ours to try
		case <-ctx.Done():
			return fmt.Errorf("connect: %w", ctx.Err())
		}
	}
}

// connect opens the connection to a trunk; the caller has begun it.
func (e *Edge) connect(ctx context.Context, remote netip.AddrPort) error {
	defer e.outgoing.end(remote)
	if e.connected("tcp", remote) {
		return nil // by whoever had begun before
	}
	var dialer net.Dialer
	if own := e.tcpBound.Addr(); !own.IsUnspecified() {
		dialer.LocalAddr = &net.TCPAddr{IP: own.AsSlice()} // what the carrier knows us by
	}
	c, err := dialer.DialContext(ctx, "tcp", remote.String())
	if err != nil {
		return err
	}
	m := made{&connection{Conn: c, spoken: true, ears: e.ears()}, make(chan struct{})}
	select {
	case e.outgoing.made <- m:
	case <-ctx.Done():
		_ = c.Close()
		return fmt.Errorf("connect: %w", ctx.Err())
	}
	<-m.taken
	return nil
}
