package sip

import (
	"net"
	"net/netip"
	"sync"

	"github.com/emiago/sipgo/sip"
)

// flow is the path to a phone: one transport to one address and port. With TCP
// it is one connection.
type flow struct {
	transport string // udp, tcp
	remote    netip.AddrPort
}

// flowName is what a nonce is bound to.
func flowName(req *sip.Request) string { return req.Transport() + " " + req.Source() }

// flowOf returns the flow a request came by.
func flowOf(req *sip.Request) (flow, bool) {
	remote, err := netip.ParseAddrPort(req.Source())
	return flow{sip.NetworkToLower(req.Transport()), unmap(remote)}, err == nil
}

// closeWatch is a listener that says when a connection it accepted has closed,
// whoever closed it. The SIP library keeps that to itself, and a phone whose
// connection is gone can be reached again only when it comes back.
type closeWatch struct {
	net.Listener
	closed func(remote netip.AddrPort)
}

func (l closeWatch) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	remote, ok := addrPort(c.RemoteAddr())
	if !ok {
		return c, nil
	}
	return &watchedConn{Conn: c, closed: sync.OnceFunc(func() { l.closed(remote) })}, nil
}

type watchedConn struct {
	net.Conn
	closed func()
}

func (c *watchedConn) Close() error {
	err := c.Conn.Close()
	c.closed()
	return err
}

// addrPort turns the address of a connection into one that compares: IPv4 is
// IPv4 even when it came by an IPv6 socket.
func addrPort(a net.Addr) (netip.AddrPort, bool) {
	switch a := a.(type) {
	case *net.TCPAddr:
		return unmap(a.AddrPort()), true
	case *net.UDPAddr:
		return unmap(a.AddrPort()), true
	}
	p, err := netip.ParseAddrPort(a.String())
	return unmap(p), err == nil
}

func unmap(p netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
