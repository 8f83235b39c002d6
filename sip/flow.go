package sip

import (
	"net"
	"net/netip"

	"github.com/emiago/sipgo/sip"
)

// flow is the path to a phone: one transport to one address and port. On all but
// UDP it is one connection.
type flow struct {
	transport string // udp, tcp, tls, ws, wss
	remote    netip.AddrPort
}

// flowName is what a nonce is bound to.
func flowName(req *sip.Request) string { return req.Transport() + " " + req.Source() }

// flowOf returns the flow a request came by.
func flowOf(req *sip.Request) (flow, bool) {
	if a := arrivalOf(req); a != nil && a.from.transport != "" {
		return a.from, true
	}
	remote, err := netip.ParseAddrPort(req.Source())
	return flow{sip.NetworkToLower(req.Transport()), unmap(remote)}, err == nil
}

// secure reports whether nobody between us and the next hop can read a transport:
// what sips promises (RFC 3261 section 26.2.2).
func secure(transport string) bool { return transport == "tls" || transport == "wss" }

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
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}
