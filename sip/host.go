package sip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// isHost reports whether a trunk's host can stand in a URI.
func isHost(s string) bool {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-."
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Zone() == ""
	}
	return s != "" && len(s) <= 253 && strings.Trim(s, plain) == ""
}

const (
	// lookUpLimit is how long a caller waits for a name server.
	lookUpLimit = 2 * time.Second
	// freshFor is how long an answer of it counts. The resolver does not say how
	// long it may; carriers that move a service say minutes.
	freshFor = time.Minute
	// lookUpAgain is when a name server that failed is asked again.
	lookUpAgain = 10 * time.Second
	// quietFor is how long an address that did not answer comes last.
	quietFor = time.Minute
	// noTCPFor is how long an address that did not accept TCP is called by UDP.
	noTCPFor = 10 * time.Minute
	// quietAtMost bounds how long a 503 can ask us to keep away: a carrier that
	// says a day by mistake would be lost for a day.
	quietAtMost = 10 * time.Minute
	// mostPlaces bounds what a name may make of one call.
	mostPlaces = 8
)

// Resolver asks name servers, as *net.Resolver does.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// host is what a trunk's host is called and how it is reached.
type host struct {
	name      string
	port      uint16 // 0: what SRV says, or the transport's own
	transport string
}

// ownPort is the port of a transport where nothing names another (RFC 3261
// section 19.1.2).
func (h host) ownPort() uint16 {
	if h.transport == "tls" {
		return 5061
	}
	return 5060
}

// service is what SRV records of the transport stand under (RFC 3263 section 4.1).
func (h host) service() (service, proto string) {
	switch h.transport {
	case "tls":
		return "sips", "tcp"
	case "tcp":
		return "sip", "tcp"
	}
	return "sip", "udp"
}

// hosts turns the hosts of trunks into addresses and ports (RFC 3263 section 4.2)
// and remembers both what it found and which place was silent. Whoever needs a
// host first looks it up, others wait for the same answer; when the name server
// fails, the places it gave last are used on. Any goroutine may call any method.
type hosts struct {
	resolver Resolver
	now      func() time.Time
	chance   func(n int) int // in [0, n)

	mu    sync.Mutex
	known map[host]*known
	quiet map[netip.AddrPort]quiet
	noTCP map[netip.AddrPort]time.Time // until when
}

// quiet is a place that calls had better not go to.
type quiet struct {
	until time.Time
	asked bool // by a Retry-After, which answers to other requests do not take back
}

// known is what is known of a host.
type known struct {
	servers []server
	err     error
	until   time.Time
	busy    chan struct{} // closed when the look-up under way ends; nil: none is
}

// server is one SRV record with its addresses. A host without records is one
// server.
type server struct {
	priority, weight uint16
	places           []netip.AddrPort
}

func newHosts(r Resolver, now func() time.Time) *hosts {
	return &hosts{resolver: r, now: now, chance: rand.IntN, known: make(map[host]*known),
		quiet: make(map[netip.AddrPort]quiet), noTCP: make(map[netip.AddrPort]time.Time)}
}

// find returns the places of a host, at least one, in the order they are to be
// tried. It waits for a name server, no longer than lookUpLimit.
func (h *hosts) find(ctx context.Context, at host) ([]netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(at.name); err == nil {
		port := at.port
		if port == 0 {
			port = at.ownPort()
		}
		return []netip.AddrPort{netip.AddrPortFrom(addr.Unmap(), port)}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpLimit)
	defer cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.known[at]
	if k == nil {
		k = &known{}
		h.known[at] = k
	}
	for !h.now().Before(k.until) {
		if busy := k.busy; busy != nil {
			h.mu.Unlock()
			select {
			case <-busy:
				h.mu.Lock()
			case <-ctx.Done():
				h.mu.Lock()
				return nil, fmt.Errorf("look up %s: %w", at.name, ctx.Err())
			}
			continue
		}
		h.ask(ctx, at, k)
	}
	if len(k.servers) == 0 {
		return nil, fmt.Errorf("look up %s: %w", at.name, k.err)
	}
	return h.answering(inTurn(k.servers, h.chance)), nil
}

// ask looks a host up. The caller holds mu, which is let go meanwhile.
func (h *hosts) ask(ctx context.Context, at host, k *known) {
	k.busy = make(chan struct{})
	var servers []server
	err := errors.New("no answer")
	func() {
		h.mu.Unlock()
		defer h.mu.Lock()
		servers, err = h.look(ctx, at)
	}()
	close(k.busy)
	k.busy, k.err = nil, err
	k.until = h.now().Add(lookUpAgain)
	if err == nil {
		k.servers, k.until = servers, h.now().Add(freshFor)
	}
}

// look asks for SRV records where the host names no port, and for addresses.
func (h *hosts) look(ctx context.Context, at host) ([]server, error) {
	if at.port == 0 {
		service, proto := at.service()
		_, records, err := h.resolver.LookupSRV(ctx, service, proto, at.name)
		switch {
		case err != nil && !absent(err):
			return nil, err
		case err == nil && len(records) > 0:
			return h.serversOf(ctx, records)
		}
		at.port = at.ownPort()
	}
	places, err := h.placesOf(ctx, at.name, at.port)
	return []server{{places: places}}, err
}

// absent reports that a name server answered, and that there is no such record.
func absent(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// serversOf looks up the targets of SRV records. One that cannot be found is left
// out.
func (h *hosts) serversOf(ctx context.Context, records []*net.SRV) ([]server, error) {
	var servers []server
	last := errors.New("its SRV record says that the service is not provided")
	for _, r := range records {
		if r.Target == "." || r.Target == "" {
			continue // RFC 2782: decidedly not available
		}
		places, err := h.placesOf(ctx, strings.TrimSuffix(r.Target, "."), r.Port)
		if err != nil {
			last = err
			continue
		}
		servers = append(servers, server{r.Priority, r.Weight, places})
		if len(servers) == mostPlaces {
			break
		}
	}
	if len(servers) == 0 {
		return nil, last
	}
	return servers, nil
}

func (h *hosts) placesOf(ctx context.Context, name string, port uint16) ([]netip.AddrPort, error) {
	addrs, err := h.resolver.LookupNetIP(ctx, "ip", name)
	if err == nil && len(addrs) == 0 {
		err = fmt.Errorf("%s has no address", name)
	}
	var places []netip.AddrPort
	for _, a := range addrs[:min(len(addrs), mostPlaces)] {
		places = append(places, netip.AddrPortFrom(a.Unmap(), port))
	}
	return places, err
}

// inTurn puts servers into the order of RFC 2782: by priority, and by chance
// according to weight among those of one priority.
func inTurn(servers []server, chance func(int) int) (places []netip.AddrPort) {
	left := slices.Clone(servers)
	// Weightless ones first, so that they have a small chance too.
	slices.SortStableFunc(left, func(a, b server) int {
		if a.priority != b.priority {
			return int(a.priority) - int(b.priority)
		}
		return min(int(a.weight), 1) - min(int(b.weight), 1)
	})
	for len(left) > 0 {
		same, sum := 0, 0
		for same < len(left) && left[same].priority == left[0].priority {
			sum += int(left[same].weight)
			same++
		}
		drawn, running := chance(sum+1), 0
		for i, s := range left[:same] {
			if running += int(s.weight); running >= drawn {
				places = append(places, s.places...)
				left = slices.Delete(left, i, i+1)
				break
			}
		}
	}
	return places
}

// answering puts those places first that were not silent lately, and drops
// repetitions. The caller holds mu.
func (h *hosts) answering(places []netip.AddrPort) []netip.AddrPort {
	now := h.now()
	var sorted, silent []netip.AddrPort
	for _, p := range places {
		switch {
		case slices.Contains(sorted, p) || slices.Contains(silent, p):
		case now.Before(h.quiet[p].until):
			silent = append(silent, p)
		default:
			sorted = append(sorted, p)
		}
	}
	return append(sorted, silent...)
}

// anyOf reports whether one of some places was not silent lately.
func (h *hosts) anyOf(places []netip.AddrPort) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	return slices.ContainsFunc(places, func(p netip.AddrPort) bool { return !now.Before(h.quiet[p].until) })
}

// silent notes that a place of a host did not answer, or has asked to be left
// alone for a while; 0: it did not say for how long.
func (h *hosts) silent(p netip.AddrPort, while time.Duration) {
	asked := while > 0
	if !asked {
		while = quietFor
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.quiet[p] = quiet{h.now().Add(min(while, quietAtMost)), asked}
}

// heard notes that a place answers.
func (h *hosts) heard(p netip.AddrPort) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if q := h.quiet[p]; !q.asked || !h.now().Before(q.until) {
		delete(h.quiet, p)
	}
}

// refusedTCP notes that a trunk called by UDP did not accept TCP.
func (h *hosts) refusedTCP(at netip.AddrPort) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noTCP[at] = h.now().Add(noTCPFor)
}

func (h *hosts) refusesTCP(at netip.AddrPort) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now().Before(h.noTCP[at])
}

// gave reports whether a host's name led to an address.
func (h *hosts) gave(a netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range h.known {
		for _, s := range k.servers {
			if slices.ContainsFunc(s.places, func(p netip.AddrPort) bool { return p.Addr() == a }) {
				return true
			}
		}
	}
	return false
}
