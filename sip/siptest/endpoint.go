package siptest

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// queueLength is how many packets an endpoint holds for a reader that is busy;
// more are dropped, as a socket buffer does.
const queueLength = 4096

// Endpoint is one socket of a Net. It is a net.PacketConn.
type Endpoint struct {
	net    *Net
	at     netip.AddrPort
	nat    *NAT // nil in the open
	queue  chan packet
	closed chan struct{}

	mu       sync.Mutex
	shut     bool
	deadline time.Time
	moved    chan struct{} // closed and replaced when the deadline changes
}

func newEndpoint(n *Net, at netip.AddrPort, nat *NAT) *Endpoint {
	return &Endpoint{net: n, at: at, nat: nat,
		queue: make(chan packet, queueLength), closed: make(chan struct{}), moved: make(chan struct{})}
}

func (e *Endpoint) push(p packet) bool {
	select {
	case e.queue <- p:
		return true
	default:
		return false
	}
}

// ReadFrom waits for the next packet.
func (e *Endpoint) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		e.mu.Lock()
		deadline, moved, shut := e.deadline, e.moved, e.shut
		e.mu.Unlock()
		if shut {
			return 0, nil, e.err("read", net.ErrClosed)
		}
		var expired <-chan time.Time
		if !deadline.IsZero() {
			wait := time.Until(deadline)
			if wait <= 0 {
				return 0, nil, e.err("read", os.ErrDeadlineExceeded)
			}
			timer := time.NewTimer(wait)
			defer timer.Stop()
			expired = timer.C
		}
		select {
		case p := <-e.queue:
			return copy(b, p.data), udpAddr(p.from), nil
		case <-e.closed:
		case <-expired:
		case <-moved:
		}
	}
}

// WriteTo sends one packet. It never blocks.
func (e *Endpoint) WriteTo(b []byte, addr net.Addr) (int, error) {
	u, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, e.err("write", fmt.Errorf("address %v is not UDP", addr))
	}
	select {
	case <-e.closed:
		return 0, e.err("write", net.ErrClosed)
	default:
	}
	to := u.AddrPort()
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	e.net.send(e.at, e.nat, to, append([]byte(nil), b...))
	return len(b), nil
}

func (e *Endpoint) err(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: e.LocalAddr(), Err: err}
}

// Close ends the socket; a waiting reader returns net.ErrClosed.
func (e *Endpoint) Close() error {
	e.mu.Lock()
	if e.shut {
		e.mu.Unlock()
		return e.err("close", net.ErrClosed)
	}
	e.shut = true
	close(e.closed)
	e.mu.Unlock()
	e.net.mu.Lock()
	delete(e.net.ends, e.at)
	e.net.mu.Unlock()
	return nil
}

// LocalAddr is the endpoint's own address, the private one behind a NAT.
func (e *Endpoint) LocalAddr() net.Addr { return udpAddr(e.at) }

// SetDeadline sets the read deadline: writes never wait.
func (e *Endpoint) SetDeadline(t time.Time) error { return e.SetReadDeadline(t) }

// SetReadDeadline lets waiting and future reads fail from then on; the zero time
// lets them wait for ever.
func (e *Endpoint) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deadline = t
	close(e.moved)
	e.moved = make(chan struct{})
	return nil
}

// SetWriteDeadline does nothing: writes never wait.
func (e *Endpoint) SetWriteDeadline(time.Time) error { return nil }
