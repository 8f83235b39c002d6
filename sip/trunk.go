package sip

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/emiago/sipgo/sip"
)

// Trunk is a carrier's line, known by its source address.
type Trunk struct {
	ID       string
	Allow    []netip.Prefix
	MaxCalls int // both ways together; 0: no limit. Beyond it callers get 503 with Retry-After, and Dial fails

	// Host is where calls to numbers go, a name or an address, IPv6 without
	// brackets. "": the trunk only brings calls.
	Host      string
	Port      uint16         // 0: 5060, with tls 5061
	Transport string         // udp, tcp or tls; "" is udp
	Roots     *x509.CertPool // with tls: who must have signed the carrier's certificate; nil: whom the machine trusts
	// Username and Password answer the carrier's challenge of an INVITE of ours.
	// "": a challenge is a refusal.
	Username, Password string
}

// port is where the trunk is called.
func (t *Trunk) port() uint16 {
	switch {
	case t.Port != 0:
		return t.Port
	case t.Transport == "tls":
		return uint16(sip.DefaultTlsPort)
	}
	return uint16(sip.DefaultUdpPort)
}

// TrunkFull says that every channel of a trunk carries a call.
type TrunkFull struct {
	Trunk string
	Max   int
}

func (e *TrunkFull) Error() string {
	return fmt.Sprintf("trunk %s: all %d channels in use", e.Trunk, e.Max)
}

// trunks finds the trunk behind a source address and counts its calls. Any
// goroutine may call any method.
type trunks struct {
	changing sync.Mutex // one set at a time, so that no counter is forgotten
	lines    atomic.Pointer[[]line]
}

// line is a trunk and the channels in use on it. The counter outlives a reload
// of the configuration: calls that are up go on counting.
type line struct {
	Trunk
	host  netip.Addr // Host, if it is an address
	calls *atomic.Int64
}

func newTrunks(list []Trunk) *trunks {
	t := &trunks{}
	t.set(list)
	return t
}

// set replaces the trunks. A trunk that keeps its id keeps its count.
func (t *trunks) set(list []Trunk) {
	t.changing.Lock()
	defer t.changing.Unlock()
	counts := make(map[string]*atomic.Int64)
	if old := t.lines.Load(); old != nil {
		for _, l := range *old {
			counts[l.ID] = l.calls
		}
	}
	lines := make([]line, len(list))
	for i, trunk := range list {
		calls := counts[trunk.ID]
		if calls == nil {
			calls = new(atomic.Int64)
		}
		lines[i] = line{Trunk: trunk, calls: calls}
		if host, err := netip.ParseAddr(trunk.Host); err == nil {
			lines[i].host = host.Unmap()
		}
	}
	t.lines.Store(&lines)
}

// of returns the trunk that a source address belongs to, the narrowest prefix
// first when several hold it.
func (t *trunks) of(source netip.Addr) (line, bool) {
	source = source.Unmap()
	var found line
	best := -1
	for _, l := range *t.lines.Load() {
		for _, p := range l.Allow {
			if p.Bits() > best && p.Contains(source) {
				found, best = l, p.Bits()
			}
		}
	}
	return found, best >= 0
}

// named returns the trunk with an id.
func (t *trunks) named(id string) (line, bool) {
	for _, l := range *t.lines.Load() {
		if l.ID == id {
			return l, true
		}
	}
	return line{}, false
}

// calledAt reports whether an address is the host of a trunk.
func (t *trunks) calledAt(a netip.Addr) bool {
	return slices.ContainsFunc(*t.lines.Load(), func(l line) bool { return l.host == a })
}

// inUse returns the number of calls up on each trunk.
func (t *trunks) inUse() map[string]int {
	lines := *t.lines.Load()
	calls := make(map[string]int, len(lines))
	for _, l := range lines {
		calls[l.ID] = int(l.calls.Load())
	}
	return calls
}

// acquire takes a channel of the trunk for one call. The error is a *TrunkFull
// when there is none; otherwise release gives the channel back and may be
// called more than once.
func (l line) acquire() (release func(), err error) {
	for {
		n := l.calls.Load()
		if l.MaxCalls > 0 && n >= int64(l.MaxCalls) {
			return nil, &TrunkFull{Trunk: l.ID, Max: l.MaxCalls}
		}
		if l.calls.CompareAndSwap(n, n+1) {
			break
		}
	}
	var given atomic.Bool
	return func() {
		if given.CompareAndSwap(false, true) {
			l.calls.Add(-1)
		}
	}, nil
}
