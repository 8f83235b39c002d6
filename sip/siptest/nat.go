package siptest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// NATKind is how a router treats packets from outside, in the classic words of
// RFC 3489 section 5. The zero value is the usual home router.
type NATKind uint8

// The four classic kinds. All but Symmetric use one public port per inner socket
// whoever it talks to.
const (
	PortRestricted    NATKind = iota // only addresses and ports that were written to may answer
	FullCone                         // anybody may come in who knows the port
	AddressRestricted                // any port of an address that was written to may answer
	Symmetric                        // another public port for every destination, which alone may answer
)

func (k NATKind) String() string {
	return [...]string{"port restricted", "full cone", "address restricted", "symmetric"}[k]
}

// NATRules are how a router translates. What is sent to its own public address
// from inside is lost: home routers rarely know the hairpin.
type NATRules struct {
	Kind    NATKind
	Timeout time.Duration // of a mapping since the last outgoing packet; 0 means 30 s
	// Real makes the public ports sockets of this machine: its phones talk to
	// everybody on the machine's networks too, and not only to the Net's endpoints.
	Real bool
	// Rewrite, if set, is the router's application layer gateway: it returns what
	// is passed on instead of Data. It runs under the network's lock.
	Rewrite func(*Passing) []byte
	// Left, if set, is shown what really leaves a Real router, from which inner
	// socket, and how long the sending took: on a busy machine that may be much. It
	// runs under the network's lock.
	Left func(inside netip.AddrPort, data []byte, took time.Duration)
}

// Passing is one packet on its way through a router.
type Passing struct {
	Out  bool // from inside to outside
	Data []byte
	Peer netip.AddrPort // outside

	nat *NAT
}

// Public is the address that an inner socket has outside, towards the peer of this
// packet; it is mapped if it was not yet.
func (p *Passing) Public(inside netip.AddrPort) netip.AddrPort {
	m := p.nat.mapped(inside, p.Peer, time.Now())
	if m == nil {
		return inside
	}
	return netip.AddrPortFrom(p.nat.public, m.port)
}

// Inside is the inner socket behind a public address of the router.
func (p *Passing) Inside(public netip.AddrPort) (netip.AddrPort, bool) {
	m := p.nat.in[public.Port()]
	if m == nil || public.Addr() != p.nat.public {
		return netip.AddrPort{}, false
	}
	return m.key.inside, true
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
	lan    func(from, to netip.AddrPort, data []byte) // takes what is for nobody opened with Listen
}

type natKey struct{ inside, to netip.AddrPort } // to is zero unless symmetric

type mapping struct {
	nat     *NAT
	key     natKey
	port    uint16
	last    time.Time
	written map[netip.AddrPort]bool
	hosts   map[netip.Addr]bool
	socket  *net.UDPConn // of a Real router
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

// Lan connects a network of its own to the router's inside: take gets, under the
// network's lock, every packet for an inner address that is no endpoint's, and
// what that network sends comes in by Send.
func (r *NAT) Lan(take func(from, to netip.AddrPort, data []byte)) {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	r.lan = take
}

// Send passes on a packet from inside.
func (r *NAT) Send(from, to netip.AddrPort, data []byte) {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	r.net.send(from, r, to, data)
}

// Forget drops the mappings of these inner sockets, or without any named all at
// once, as a router does that restarts: what they send next comes from new ports.
func (r *NAT) Forget(inside ...netip.AddrPort) {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	for _, m := range r.in {
		if len(inside) == 0 {
			r.drop(m)
		}
		for _, a := range inside {
			if m.key.inside == a {
				r.drop(m)
			}
		}
	}
}

// Renumber gives the router another public address, as a line gets that was cut.
func (r *NAT) Renumber(public string) error {
	addr, err := netip.ParseAddr(public)
	if err != nil {
		return fmt.Errorf("nat address: %w", err)
	}
	r.Forget()
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	if r.net.nats[addr] != nil {
		return fmt.Errorf("nat %s: address in use", addr)
	}
	delete(r.net.nats, r.public)
	r.public, r.net.nats[addr] = addr, r
	return nil
}

// Close takes the router off the network and closes its sockets.
func (r *NAT) Close() {
	r.Forget()
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	delete(r.net.nats, r.public)
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
	if r.rules.Kind == Symmetric {
		return natKey{inside, to}
	}
	return natKey{inside: inside}
}

// mapped finds or makes the mapping of an inner socket. One that has timed out is
// replaced by one with another port, which is how phones behind real routers get
// lost. Nil: no port is to be had.
func (r *NAT) mapped(inside, to netip.AddrPort, now time.Time) *mapping {
	k := r.key(inside, to)
	m := r.out[k]
	if m != nil && now.Sub(m.last) > r.rules.Timeout {
		r.drop(m)
		m = nil
	}
	if m != nil {
		return m
	}
	m = &mapping{nat: r, key: k, last: now, written: map[netip.AddrPort]bool{}, hosts: map[netip.Addr]bool{}}
	if !r.place(m) {
		return nil
	}
	r.out[k], r.in[m.port] = m, m
	return m
}

// place gives a mapping its public port.
func (r *NAT) place(m *mapping) bool {
	for range 1000 {
		r.next = max(r.next+1, 40000)
		m.port = r.next
		if r.in[m.port] != nil {
			continue
		}
		if !r.rules.Real {
			return true
		}
		var err error
		m.socket, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.public, m.port)))
		if err == nil {
			go r.net.hear(r, m)
			return true
		}
	}
	return false
}

func (r *NAT) drop(m *mapping) {
	delete(r.out, m.key)
	delete(r.in, m.port)
	if m.socket != nil {
		m.socket.Close()
	}
}

// outbound translates the source of a packet, making or refreshing the mapping.
func (r *NAT) outbound(inside, to netip.AddrPort, now time.Time) *mapping {
	m := r.mapped(inside, to, now)
	if m != nil {
		m.last = now
		m.written[to] = true
		m.hosts[to.Addr()] = true
	}
	return m
}

// inbound finds the inner socket a packet from outside belongs to.
func (r *NAT) inbound(from, to netip.AddrPort, now time.Time) (netip.AddrPort, bool) {
	m := r.in[to.Port()]
	if m == nil || now.Sub(m.last) > r.rules.Timeout {
		return netip.AddrPort{}, false
	}
	switch r.rules.Kind {
	case FullCone:
	case AddressRestricted:
		if !m.hosts[from.Addr()] {
			return netip.AddrPort{}, false
		}
	default:
		if !m.written[from] {
			return netip.AddrPort{}, false
		}
	}
	return m.key.inside, true
}

// hear takes what comes to a public port of a Real router until it is closed.
func (n *Net) hear(r *NAT, m *mapping) {
	buf := make([]byte, 65536)
	for {
		size, from, err := m.socket.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier send; the socket lives
		}
		data := append([]byte(nil), buf[:size]...)
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		n.mu.Lock()
		if r.in[m.port] == m {
			n.travel(packet{from: from, to: netip.AddrPortFrom(r.public, m.port), data: data},
				alias{from, anyPort(from)}, alias{m.key.inside, anyPort(netip.AddrPortFrom(r.public, 0))})
		}
		n.mu.Unlock()
	}
}
