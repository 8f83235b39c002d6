package siptest

import (
	"fmt"
	"net/netip"
	"time"
)

// NATRules are how a home router translates. The zero value is the usual one:
// one public port per inner socket whoever it talks to, and only those answer
// that were written to (RFC 4787: endpoint-independent mapping, address and
// port dependent filtering), forgotten after 30 s without an outgoing packet.
type NATRules struct {
	Timeout   time.Duration // since the last outgoing packet; 0 means 30 s
	Symmetric bool          // another public port for every destination
	Open      bool          // lets anybody in who knows the port
}

// NAT is a router with one public address on a Net. Its fields are guarded by
// the network's lock.
type NAT struct {
	net    *Net
	public netip.Addr
	rules  NATRules
	out    map[natKey]*mapping
	in     map[uint16]*mapping
	next   uint16
}

type natKey struct{ inside, to netip.AddrPort } // to is zero unless symmetric

type mapping struct {
	key     natKey
	port    uint16
	last    time.Time
	written map[netip.AddrPort]bool
}

// NAT puts a router at a public address. Endpoints behind it are opened with
// its Listen.
func (n *Net) NAT(public string, rules NATRules) (*NAT, error) {
	addr, err := netip.ParseAddr(public)
	if err != nil {
		return nil, fmt.Errorf("nat address: %w", err)
	}
	if rules.Timeout == 0 {
		rules.Timeout = 30 * time.Second
	}
	r := &NAT{net: n, public: addr, rules: rules, next: 40000,
		out: map[natKey]*mapping{}, in: map[uint16]*mapping{}}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.nats[addr] != nil {
		return nil, fmt.Errorf("nat %s: address in use", addr)
	}
	n.nats[addr] = r
	return r, nil
}

// Listen opens an endpoint behind the router, e.g. "192.168.1.20:5060". Private
// addresses are one space on a Net: give each home its own.
func (r *NAT) Listen(addr string) (*Endpoint, error) { return r.net.listen(addr, r) }

// Forget drops every mapping at once, as a router that restarts does.
func (r *NAT) Forget() {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	clear(r.out)
	clear(r.in)
}

// Public returns the public address an inner socket has now towards a
// destination, false if there is no mapping.
func (r *NAT) Public(inside, to netip.AddrPort) (netip.AddrPort, bool) {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	m := r.out[r.key(inside, to)]
	if m == nil || time.Since(m.last) > r.rules.Timeout {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(r.public, m.port), true
}

func (r *NAT) key(inside, to netip.AddrPort) natKey {
	if r.rules.Symmetric {
		return natKey{inside, to}
	}
	return natKey{inside: inside}
}

// outbound translates the source of a packet, making or refreshing the mapping.
// A mapping that has timed out is replaced by one with another port, which is
// how phones behind real routers get lost.
func (r *NAT) outbound(inside, to netip.AddrPort, now time.Time) netip.AddrPort {
	k := r.key(inside, to)
	m := r.out[k]
	if m != nil && now.Sub(m.last) > r.rules.Timeout {
		delete(r.in, m.port)
		m = nil
	}
	if m == nil {
		r.next++
		m = &mapping{key: k, port: r.next, written: map[netip.AddrPort]bool{}}
		r.out[k], r.in[m.port] = m, m
	}
	m.last = now
	m.written[to] = true
	return netip.AddrPortFrom(r.public, m.port)
}

// inbound finds the inner socket a packet from outside belongs to.
func (r *NAT) inbound(from, to netip.AddrPort, now time.Time) (netip.AddrPort, bool) {
	m := r.in[to.Port()]
	if m == nil || now.Sub(m.last) > r.rules.Timeout {
		return netip.AddrPort{}, false
	}
	if !r.rules.Open && !m.written[from] {
		return netip.AddrPort{}, false
	}
	return m.key.inside, true
}
