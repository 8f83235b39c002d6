package siptest

import (
	"container/heap"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Link is how one direction between two hosts mistreats packets. The zero value
// delivers at once and in order.
type Link struct {
	Loss      float64       // share of packets lost, 0 to 1
	Delay     time.Duration // every packet takes at least this long
	Jitter    time.Duration // plus an even random share of this; may reorder
	Reorder   float64       // share of packets held back by ReorderBy more
	ReorderBy time.Duration // 0 means 20 ms
	Duplicate float64       // share of packets delivered twice
}

// Counts are what a Net did so far, in packets.
type Counts struct{ Sent, Delivered, Lost, Duplicated, NoRoute, Filtered int }

// Net is a packet network in memory. Its endpoints are net.PacketConn with
// *net.UDPAddr addresses. The n-th packet of a flow (source, destination) has
// the same fate in every run with the same seed; behind a router the flow is that
// of the inner socket, and of a host outside the Net all ports are one. Delays use time.AfterFunc, so
// the network works in a testing/synctest bubble. All methods may be called
// from any goroutine.
type Net struct {
	seed uint64

	mu       sync.Mutex
	ends     map[netip.AddrPort]*Endpoint
	nats     map[netip.Addr]*NAT        // by public address
	links    map[[2]netip.AddrPort]Link // port 0: any
	flows    map[[2]netip.AddrPort]*rand.Rand
	pending  schedule
	order    uint64
	timer    *time.Timer
	nextPort uint16
	counts   Counts
}

// NewNet makes an empty network.
func NewNet(seed uint64) *Net {
	return &Net{
		seed: seed, nextPort: 30000,
		ends: map[netip.AddrPort]*Endpoint{}, nats: map[netip.Addr]*NAT{},
		links: map[[2]netip.AddrPort]Link{}, flows: map[[2]netip.AddrPort]*rand.Rand{},
	}
}

// Listen opens an endpoint, e.g. "10.0.0.1:5060"; port 0 picks a free one.
func (n *Net) Listen(addr string) (*Endpoint, error) { return n.listen(addr, nil) }

func (n *Net) listen(addr string, behind *NAT) (*Endpoint, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen in memory: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for at.Port() == 0 || (n.taken(at) && addr[len(addr)-2:] == ":0") {
		n.nextPort++
		at = netip.AddrPortFrom(at.Addr(), n.nextPort)
	}
	if n.taken(at) {
		return nil, fmt.Errorf("listen in memory on %s: address in use", at)
	}
	e := newEndpoint(n, at, behind)
	n.ends[at] = e
	return e, nil
}

func (n *Net) taken(at netip.AddrPort) bool { _, ok := n.ends[at]; return ok }

// Impair sets the link from one end to another: "10.0.0.1:5060" is a socket, an
// address without port a whole host, "" anybody. A phone behind a router is known
// by its inner socket and by the router's public address. The most exact entry
// wins, and the source counts before the destination.
func (n *Net) Impair(from, to string, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[[2]netip.AddrPort{end(from), end(to)}] = l
}

func end(s string) netip.AddrPort {
	if at, err := netip.ParseAddrPort(s); err == nil {
		return at
	}
	host, _ := netip.ParseAddr(s)
	return netip.AddrPortFrom(host, 0)
}

// Counts returns what happened so far.
func (n *Net) Counts() Counts {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counts
}

// alias is what one end of a flow is known by, the most exact first.
type alias [2]netip.AddrPort

func anyPort(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), 0) }

func (n *Net) link(from, to alias) Link {
	none := netip.AddrPort{}
	for _, f := range [...]netip.AddrPort{from[0], from[1], none} {
		for _, t := range [...]netip.AddrPort{to[0], to[1], none} {
			if l, ok := n.links[[2]netip.AddrPort{f, t}]; ok {
				return l
			}
		}
	}
	return Link{}
}

// lasting is the name of an end that is the same in every run.
func (n *Net) lasting(a alias) netip.AddrPort {
	if n.ends[a[0]] != nil {
		return a[0]
	}
	return a[1] // its port is the kernel's choice
}

// dice returns the random source of one flow, so that its packets' fate does
// not depend on what other flows do meanwhile.
func (n *Net) dice(from, to netip.AddrPort) *rand.Rand {
	k := [2]netip.AddrPort{from, to}
	r := n.flows[k]
	if r == nil {
		h := fnv.New64a()
		h.Write([]byte(from.String() + ">" + to.String()))
		r = rand.New(rand.NewPCG(n.seed, h.Sum64()))
		n.flows[k] = r
	}
	return r
}

// send takes one packet from inside a router, or from somebody in the open; data
// is the network's from now on. The caller holds the lock, as for all below.
func (n *Net) send(from netip.AddrPort, nat *NAT, to netip.AddrPort, data []byte) {
	p := packet{from: from, to: to, data: data}
	source, sink := alias{from, anyPort(from)}, alias{to, anyPort(to)}
	if nat != nil {
		if to.Addr() == nat.public {
			n.counts.Sent++
			n.counts.Filtered++ // no hairpin
			return
		}
		m := nat.outbound(from, to, time.Now())
		if m == nil {
			n.counts.NoRoute++
			return
		}
		p.from, p.by = netip.AddrPortFrom(nat.public, m.port), m
		source[1] = anyPort(p.from)
		if f := nat.rules.Rewrite; f != nil {
			p.data = f(&Passing{Out: true, Data: data, Peer: to, nat: nat})
		}
	}
	n.travel(p, source, sink)
}

// travel lets a packet have the fate that the link has for it.
func (n *Net) travel(p packet, source, sink alias) {
	n.counts.Sent++
	l, r := n.link(source, sink), n.dice(n.lasting(source), n.lasting(sink))
	// Every packet rolls all its dice: a changed share of one mishap leaves the
	// others where they were.
	lost, again, late, share := r.Float64(), r.Float64(), r.Float64(), r.Float64()
	if lost < l.Loss {
		n.counts.Lost++
		return
	}
	delay := l.Delay + time.Duration(share*float64(l.Jitter))
	if late < l.Reorder {
		if l.ReorderBy == 0 {
			l.ReorderBy = 20 * time.Millisecond
		}
		delay += l.ReorderBy
	}
	n.post(p, delay)
	if again < l.Duplicate {
		n.counts.Duplicated++
		n.post(p, delay)
	}
}

func (n *Net) post(p packet, delay time.Duration) {
	if delay <= 0 && len(n.pending) == 0 {
		n.deliver(p)
		return
	}
	n.order++
	p.due, p.order = time.Now().Add(delay), n.order
	heap.Push(&n.pending, p)
	n.rearm()
}

// rearm lets the one timer fire when the next packet is due. One timer, and not
// one per packet, keeps packets with the same delay in order.
func (n *Net) rearm() {
	if len(n.pending) == 0 {
		return
	}
	wait := time.Until(n.pending[0].due)
	if n.timer == nil {
		n.timer = time.AfterFunc(wait, n.fire)
		return
	}
	n.timer.Reset(wait)
}

func (n *Net) fire() {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	for len(n.pending) > 0 && !n.pending[0].due.After(now) {
		n.deliver(heap.Pop(&n.pending).(packet))
	}
	n.rearm()
}

// deliver hands a packet to the endpoint at its destination, through the NAT
// that owns the destination address if there is one, or to the world outside.
func (n *Net) deliver(p packet) {
	to, nat := p.to, n.nats[p.to.Addr()]
	if nat != nil {
		inside, ok := nat.inbound(p.from, to, time.Now())
		if !ok {
			n.counts.Filtered++
			return
		}
		to = inside
		if f := nat.rules.Rewrite; f != nil {
			p.data = f(&Passing{Data: p.data, Peer: p.from, nat: nat})
		}
	}
	e := n.ends[to]
	switch {
	case e != nil && (e.nat == nil || e.nat == nat):
		if !e.push(p) {
			n.counts.Lost++
			return
		}
	case nat != nil && nat.lan != nil:
		nat.lan(p.from, to, p.data)
	case nat == nil && p.by != nil && p.by.socket != nil:
		begun := time.Now()
		if _, err := p.by.socket.WriteToUDPAddrPort(p.data, to); err != nil {
			n.counts.NoRoute++ // the mapping has been dropped meanwhile, or nobody listens
			return
		}
		if f := p.by.nat.rules.Left; f != nil {
			f(p.by.key.inside, p.data, time.Since(begun))
		}
	default:
		n.counts.NoRoute++
		return
	}
	n.counts.Delivered++
}

type packet struct {
	from, to netip.AddrPort
	data     []byte
	by       *mapping // through which it left a router
	due      time.Time
	order    uint64
}

// schedule is a heap of packets on their way, by due time and then by age.
type schedule []packet

func (s schedule) Len() int { return len(s) }
func (s schedule) Less(i, j int) bool {
	if !s[i].due.Equal(s[j].due) {
		return s[i].due.Before(s[j].due)
	}
	return s[i].order < s[j].order
}
func (s schedule) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any)   { *s = append(*s, x.(packet)) }
func (s *schedule) Pop() any {
	old := *s
	last := old[len(old)-1]
	*s = old[:len(old)-1]
	return last
}

func udpAddr(a netip.AddrPort) *net.UDPAddr { return net.UDPAddrFromAddrPort(a) }
