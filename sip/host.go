package sip

import (
	"context"
	"fmt"
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
)

// hosts turns the names of trunks' hosts into addresses and remembers both what
// it found and which address was silent. Whoever needs a name first looks it up,
// others wait for the same answer; when the name server fails, the addresses it
// gave last are used on. Any goroutine may call any method.
type hosts struct {
	look func(context.Context, string) ([]netip.Addr, error)
	now  func() time.Time

	mu    sync.Mutex
	known map[string]*known
	quiet map[netip.Addr]time.Time     // until when
	noTCP map[netip.AddrPort]time.Time // until when
}

// known is what is known of a name.
type known struct {
	addrs []netip.Addr
	err   error
	until time.Time
	busy  chan struct{} // closed when the look-up under way ends; nil: none is
}

func newHosts(look func(context.Context, string) ([]netip.Addr, error), now func() time.Time) *hosts {
	return &hosts{look: look, now: now, known: make(map[string]*known), quiet: make(map[netip.Addr]time.Time), noTCP: make(map[netip.AddrPort]time.Time)}
}

// lookUp asks the machine's resolver.
func lookUp(ctx context.Context, name string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
}

// find returns the addresses of a host, at least one, those that answer first.
// It waits for a name server, no longer than lookUpLimit.
func (h *hosts) find(ctx context.Context, name string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpLimit)
	defer cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.known[name]
	if k == nil {
		k = &known{}
		h.known[name] = k
	}
	for !h.now().Before(k.until) {
		if busy := k.busy; busy != nil {
			h.mu.Unlock()
			select {
			case <-busy:
				h.mu.Lock()
			case <-ctx.Done():
				h.mu.Lock()
				return nil, fmt.Errorf("look up %s: %w", name, ctx.Err())
			}
			continue
		}
		h.ask(ctx, name, k)
	}
	if len(k.addrs) == 0 {
		return nil, fmt.Errorf("look up %s: %w", name, k.err)
	}
	return h.answering(k.addrs), nil
}

// ask looks a name up. The caller holds mu, which is let go meanwhile.
func (h *hosts) ask(ctx context.Context, name string, k *known) {
	k.busy = make(chan struct{})
	var addrs []netip.Addr
	err := fmt.Errorf("no answer")
	func() {
		h.mu.Unlock()
		defer h.mu.Lock()
		addrs, err = h.look(ctx, name)
	}()
	close(k.busy)
	k.busy, k.err = nil, err
	k.until = h.now().Add(lookUpAgain)
	if err == nil && len(addrs) > 0 {
		k.addrs, k.until = nil, h.now().Add(freshFor)
		for _, a := range addrs {
			k.addrs = append(k.addrs, a.Unmap())
		}
	} else if err == nil {
		k.err = fmt.Errorf("no address")
	}
}

// answering puts those addresses first that were not silent lately. The caller
// holds mu.
func (h *hosts) answering(addrs []netip.Addr) []netip.Addr {
	now := h.now()
	sorted := slices.Clone(addrs)
	slices.SortStableFunc(sorted, func(a, b netip.Addr) int {
		return h.silence(a, now) - h.silence(b, now)
	})
	return sorted
}

func (h *hosts) silence(a netip.Addr, now time.Time) int {
	if now.Before(h.quiet[a]) {
		return 1
	}
	return 0
}

// silent notes that an address of a host did not answer.
func (h *hosts) silent(a netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.quiet[a] = h.now().Add(quietFor)
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
		if slices.Contains(k.addrs, a) {
			return true
		}
	}
	return false
}
