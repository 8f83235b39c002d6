package sip

import (
	"errors"
	"net"
	"time"
)

// Pause leaves what comes by UDP in its sockets, where the next process finds it, or
// goes on reading. What has been read is acted on.
func (e *Edge) Pause(on bool) {
	var until time.Time
	if on {
		until = time.Unix(1, 0)
	}
	for _, c := range e.o.packets() {
		_ = c.SetReadDeadline(until)
	}
}

// retryRead is the pause after an error of a socket that is not closed.
const retryRead = 10 * time.Millisecond

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
