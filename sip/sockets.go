package sip

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/emiago/sipgo/sip"
)

// packets are the UDP sockets.
func (o *Options) packets() []net.PacketConn {
	return slices.DeleteFunc([]net.PacketConn{o.UDP, o.UDP6}, func(c net.PacketConn) bool { return c == nil })
}

// entrance is a socket at which connections come in.
type entrance struct {
	net.Listener
	transport string
}

func (o *Options) listeners() []entrance {
	all := []entrance{{o.TCP, "tcp"}, {o.TCP6, "tcp"}, {o.TLS, "tls"}, {o.TLS6, "tls"}}
	return slices.DeleteFunc(all, func(e entrance) bool { return e.Listener == nil })
}

// bind notes the addresses of the sockets.
func (e *Edge) bind() error {
	for _, c := range e.o.packets() {
		at, ok := addrPort(c.LocalAddr())
		host, port, err := sip.ParseAddr(c.LocalAddr().String())
		if !ok || err != nil {
			return fmt.Errorf("edge: address of the UDP socket: %v", c.LocalAddr())
		}
		e.sockets = append(e.sockets, socket{"udp", at, sip.Addr{IP: net.ParseIP(host), Port: port}})
	}
	for _, l := range e.o.listeners() {
		at, ok := addrPort(l.Addr())
		if !ok {
			return fmt.Errorf("edge: address of the %s socket: %v", l.transport, l.Addr())
		}
		e.sockets = append(e.sockets, socket{transport: l.transport, at: at})
	}
	return nil
}

// serves reports whether a transport has a socket, and so may call a trunk.
func (e *Edge) serves(transport string) bool {
	return slices.ContainsFunc(e.sockets, func(s socket) bool { return s.transport == transport })
}

// sentBy is where we say that we are: the number of the socket, or the
// configured host if it listens on all of them. With TLS it is the host, if there
// is one: that is what our certificate is for.
func (e *Edge) sentBy(f flow) (host string, port int) {
	at := e.bound(f)
	if e.o.Host != "" && (secure(f.transport) || at.IsValid() && at.Addr().IsUnspecified()) {
		return e.o.Host, int(e.local(f).Port())
	}
	at = e.local(f)
	host = at.Addr().String()
	if at.Addr().Is6() {
		host = "[" + host + "]"
	}
	return host, int(at.Port())
}

// socket is one that we listen on.
type socket struct {
	transport string
	at        netip.AddrPort
	name      sip.Addr // as the library spells it
}

// reaches reports whether peers of an address can be at a socket.
func (s *socket) reaches(a netip.Addr) bool {
	own := s.at.Addr()
	return own.Is6() && own.IsUnspecified() || a.Is4() == own.Is4()
}

// listening returns our socket that a flow belongs to, the zero one if it has
// none: browsers come by an HTTP server.
func (e *Edge) listening(f flow) socket {
	for _, s := range e.sockets {
		if s.transport == f.transport && s.reaches(f.remote.Addr()) {
			return s
		}
	}
	return socket{}
}

// bound is the address that the socket of a flow was opened with.
func (e *Edge) bound(f flow) netip.AddrPort { return e.listening(f).at }

// local is our own address on a flow, never a wildcard. Its port is one that we
// listen on, also where we have called from another.
func (e *Edge) local(f flow) netip.AddrPort {
	at := e.bound(f)
	if at.IsValid() && !at.Addr().IsUnspecified() {
		return at
	}
	if f.transport != "udp" {
		if s := e.streamTo(f); s != nil {
			own, _ := addrPort(s.LocalAddr())
			if at.IsValid() {
				return netip.AddrPortFrom(own.Addr(), at.Port())
			}
			return own
		}
	}
	// Connecting a datagram socket sends nothing: it asks the kernel which of
	// our addresses it would use.
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(f.remote))
	if err != nil {
		return at
	}
	defer c.Close()
	own, _ := addrPort(c.LocalAddr())
	return netip.AddrPortFrom(own.Addr(), at.Port())
}
