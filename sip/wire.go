package sip

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/emiago/sipgo/sip"
)

const (
	// firstByte is how long a new connection may say nothing. Afterwards it may
	// be idle as long as it likes: a registered phone mostly is.
	firstByte = 30 * time.Second
	// slowestWrite is how long a peer may leave its receive window shut.
	slowestWrite = 2 * time.Second
	// retryRead and retryAccept are the pauses after an error of a socket that
	// is not closed.
	retryRead   = 10 * time.Millisecond
	retryAccept = 5 * time.Millisecond
	rarestRetry = time.Second
)

// datagrams is a UDP socket that survives errors: the library stops serving at
// the first one, whatever it is.
type datagrams struct {
	net.PacketConn
	sent func(transport string, local, remote net.Addr, b []byte)
}

func (d datagrams) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := d.PacketConn.ReadFrom(b)
		if err == nil || errors.Is(err, net.ErrClosed) {
			return n, from, err
		}
		time.Sleep(retryRead)
	}
}

func (d datagrams) WriteTo(b []byte, to net.Addr) (int, error) {
	n, err := d.PacketConn.WriteTo(b, to)
	if err == nil {
		d.sent("udp", d.LocalAddr(), to, b)
	}
	return n, err
}

// connections is a listener that survives errors of Accept, such as too many
// open files, and watches the connections it hands out.
type connections struct {
	net.Listener
	ears
}

// ears is who hears what goes over a connection.
type ears struct {
	sent  func(transport string, local, remote net.Addr, b []byte)
	heard func(transport string, ends addrs, msg []byte) (good []byte, isSIP bool)
	lost  func(transport string, ends addrs, head []byte, r *refusal)
	whole time.Duration // how long a message may take to come
}

func (l connections) Accept() (net.Conn, error) {
	for wait := retryAccept; ; wait = min(2*wait, rarestRetry) {
		c, err := l.Listener.Accept()
		switch {
		case err == nil:
			// Fails only on a connection that is gone, which reading will tell.
			_ = c.SetReadDeadline(time.Now().Add(firstByte))
			return &connection{Conn: c, ears: l.ears}, nil
		case errors.Is(err, net.ErrClosed):
			return nil, err
		}
		time.Sleep(wait)
	}
}

// connection is one TCP connection. The library reads it from one goroutine and
// writes a whole message at a time. It reads nothing but whole messages that
// have been vetted, one after the other.
type connection struct {
	net.Conn
	ears
	spoken bool
	frame  framer
	ready  []byte // vetted, and not read yet
	hasty  bool   // a deadline runs for the rest of a message
	err    error  // after what is ready
}

func (c *connection) Read(b []byte) (int, error) {
	for len(c.ready) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		n, err := c.Conn.Read(b)
		c.err = err
		if n > 0 && !c.spoken {
			c.spoken = true
			_ = c.SetReadDeadline(time.Time{})
		}
		c.frame.add(b[:n])
		c.gather()
	}
	n := copy(b, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

// gather takes the messages that are whole.
func (c *connection) gather() {
	ends := addrs{c.LocalAddr(), c.RemoteAddr()}
	for {
		msg, r := c.frame.next()
		if r != nil {
			c.lost("tcp", ends, msg, r)
			c.err = io.EOF // there is nothing to go on with
			return
		}
		if msg == nil {
			break
		}
		if !bytes.Equal(msg, ping) {
			var isSIP bool
			if msg, isSIP = c.heard("tcp", ends, msg); !isSIP {
				c.err = io.EOF
				return
			}
		}
		c.ready = append(c.ready, msg...)
	}
	// Who sends a message bit by bit holds its memory no longer than a
	// transaction would wait for it.
	switch begun := c.frame.begun(); {
	case begun && !c.hasty:
		_ = c.SetReadDeadline(time.Now().Add(c.whole))
		c.hasty = true
	case !begun && c.hasty:
		_ = c.SetReadDeadline(time.Time{})
		c.hasty = false
	}
}

func (c *connection) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err == nil {
		c.sent("tcp", c.LocalAddr(), c.RemoteAddr(), b)
	}
	return n, err
}

var errNoConnection = errors.New("connection of the flow is gone")

// answerOnly is the TCP transport of a switch that never calls back: a phone is
// behind a home router, and the address its connection came from leads nowhere
// once that connection is closed. Connections to trunks are ours (connect.go).
func answerOnly() *sip.TransportTCP {
	refuse := func(context.Context, string, string, syscall.RawConn) error { return errNoConnection }
	return &sip.TransportTCP{
		WriteTimeout: slowestWrite,
		DialerCreate: func(net.Addr) net.Dialer { return net.Dialer{ControlContext: refuse} },
	}
}
