package sip

import (
	"net"
	"time"
)

const (
	// crowded is how many addresses the library may remember of a UDP socket. It
	// adds one for every source of a datagram that reaches its parser and takes none
	// away while it reads, about 160 bytes each.
	crowded = 1 << 16
	// crowdLook is after how many datagrams we look.
	crowdLook = 1 << 10
)

// serve serves a UDP socket and bounds what the library remembers of its
// sources: that belongs to one reading of the socket and goes with it.
func (r *reading) serve() error {
	for {
		err := <-r.ended
		if r.next == nil {
			return err
		}
		r = r.next
	}
}

// reading is a UDP socket as the library reads it until it remembers too many
// sources. Then the next reading takes over: it stands ready before this one
// ends, so our own address is never missing from what the library knows, and it
// reads only when this one has stopped, so messages stay in order. Lost are the
// addresses alone, which every message brings anew.
type reading struct {
	net.PacketConn
	e     *Edge
	reads int
	begun chan struct{} // closed when it reads
	ended chan error
	next  *reading // may be read once ended has told
}

func (e *Edge) read(conn net.PacketConn) *reading {
	r := &reading{PacketConn: conn, e: e, begun: make(chan struct{}), ended: make(chan error, 1)}
	go func() { r.ended <- e.library(r) }()
	return r
}

// readAgain is the pause after which a socket is read again.
const readAgain = 10 * time.Millisecond

// library lets the library read a socket. Should it break over a message, that one is
// lost, and the reading goes on.
func (e *Edge) library(conn net.PacketConn) (err error) {
	for !e.guard("the library at a socket", func() { err = e.tpl.ServeUDP(conn) }) {
		select {
		case <-time.After(readAgain):
		case <-e.stopped.Done():
			return net.ErrClosed
		}
	}
	return err
}

func (r *reading) ReadFrom(b []byte) (int, net.Addr, error) {
	if r.reads == 0 {
		close(r.begun)
		r.e.open()
	}
	if r.reads++; r.reads%crowdLook == 0 && r.e.tpl.Pool("udp").Size() > crowded {
		r.next = r.e.read(r.PacketConn)
		<-r.next.begun
		return 0, nil, net.ErrClosed
	}
	return r.PacketConn.ReadFrom(b)
}
