package sip

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
)

// intake gives the library whole messages that came by connections. The library
// would read a connection with a large buffer of its own, take the first message
// apart in a way we cannot limit, and stop accepting at the first error; so it
// gets none. It reads the intake as one more UDP socket, and what arrives by it
// is told from datagrams by a source that is no address.
//
// Connections hand over one at a time, each waiting until its message has been
// read: in the order of the wire, without a copy, and no connection gets ahead
// by sending more.
type intake struct {
	parcels chan parcel
	closed  chan struct{}
	once    sync.Once
	held    parcel // what the library is reading; belongs to its goroutine
	reading atomic.Bool
}

// parcel is one message on its way from a connection to the library.
type parcel struct {
	from  *stream
	flow  flow
	again *takenUp // from no connection: what the process before had in hand
	data  []byte
	read  bool // the library understood it and handed it on
	told  chan bool
}

// inside is the source of what comes by the intake, as the library spells it.
const inside = "connection"

type insideAddr struct{ *stream }

func (insideAddr) Network() string { return "udp" }
func (insideAddr) String() string  { return inside }

func newIntake() *intake {
	return &intake{parcels: make(chan parcel), closed: make(chan struct{})}
}

// hand gives the library a message and reports whether it could read it. It
// waits while others are read, and fails when the edge closes.
func (i *intake) hand(from *stream, data []byte) bool {
	select {
	case i.parcels <- parcel{from: from, flow: from.flow, data: data, told: from.read}:
		return <-from.read
	case <-i.closed:
		return false
	}
}

// handAgain gives the library an INVITE that the process before had in hand.
func (i *intake) handAgain(a *takenUp, invite []byte) bool {
	told := make(chan bool, 1)
	select {
	case i.parcels <- parcel{flow: a.flow, again: a, data: invite, told: told}:
		return <-told
	case <-i.closed:
		return false
	}
}

// ReadFrom is called when the library is done with the message before.
func (i *intake) ReadFrom(b []byte) (int, net.Addr, error) {
	if i.held.told != nil {
		i.reading.Store(false)
		i.held.told <- i.held.read
		i.held = parcel{}
	}
	select {
	case i.held = <-i.parcels:
		i.reading.Store(true)
		return copy(b, i.held.data), insideAddr{i.held.from}, nil
	case <-i.closed:
		return 0, nil, net.ErrClosed
	}
}

// address gives a message of the intake the transport and the source it really
// came by, and returns what it is if the process before had it in hand. It runs on
// the goroutine that called ReadFrom.
func (i *intake) address(msg sip.Message) *takenUp {
	if msg.Source() != inside || i.held.told == nil {
		return nil
	}
	i.held.read = true
	msg.SetTransport(sip.NetworkToUpper(i.held.flow.transport))
	msg.SetSource(i.held.flow.remote.String())
	return i.held.again
}

// The rest makes a socket of it, to which nothing is ever written.

func (i *intake) WriteTo([]byte, net.Addr) (int, error) { return 0, net.ErrClosed }

// Close lets ReadFrom and hand fail.
func (i *intake) Close() error {
	i.once.Do(func() { close(i.closed) })
	return nil
}

// LocalAddr is no address of ours.
func (i *intake) LocalAddr() net.Addr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
}

func (i *intake) SetDeadline(time.Time) error      { return nil }
func (i *intake) SetReadDeadline(time.Time) error  { return nil }
func (i *intake) SetWriteDeadline(time.Time) error { return nil }
