package sip

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Trunk is a carrier's line, known by its source address, or by the address we
// have registered it at.
type Trunk struct {
	ID       string
	Allow    []netip.Prefix
	MaxCalls int // both ways together; 0: no limit. Beyond it callers get 503 with Retry-After, and Dial fails

	// Host is where calls to numbers go, a name or an address, IPv6 without
	// brackets. "": the trunk only brings calls.
	Host      string
	Port      uint16         // 0: what SRV records of the name say, or 5060, with tls 5061
	Transport string         // udp, tcp or tls; "" is udp
	Roots     *x509.CertPool // with tls: who must have signed the carrier's certificate; nil: whom the machine trusts
	// Username and Password answer the carrier's challenge of a request of ours.
	// "": a challenge is a refusal. Realm is the only one whose challenge is
	// answered; "": whatever realm the carrier's own answers name.
	Username, Password, Realm string

	Registration Registration
	Ping         time.Duration // between OPTIONS that see whether the carrier answers; 0: none

	Identity  Identity            // how the carrier wants to be told who calls
	Forwarded Forwarded           // how it wants to be told who passes a call on
	Spell     func(string) string // writes an E.164 number as the carrier wants it; nil: as it is
}

// Registration says that we register at a carrier, so that it sends us calls.
// The zero value says that we do not.
type Registration struct {
	Host    string // of the registrar, and the domain of the address that is registered
	Port    uint16 // 0: what SRV records of the name say, or 5060
	Expires time.Duration
}

// Identity is the header that carries the caller's identity to a carrier.
type Identity uint8

// The ways a carrier wants to be told who calls.
const (
	Asserted  Identity = iota // P-Asserted-Identity (RFC 3325 section 9.1): it trusts us
	Preferred                 // P-Preferred-Identity (section 9.2): it verifies what we say
	FromOnly                  // no header of its own: From alone
)

// Forwarded is what tells a carrier who passed a call on.
type Forwarded uint8

// The headers in which a diversion is written; both may be.
const (
	ByDiversion Forwarded = 1 << iota // RFC 5806
	ByHistory                         // History-Info, RFC 7044
)

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

// line is a trunk, the channels in use on it and what is known of it. The counter
// outlives a reload of the configuration: calls that are up go on counting. So
// does the rest if the trunk is still reached and registered in the same way.
type line struct {
	Trunk
	at    netip.Addr // Host, if it is an address
	calls *atomic.Int64
	watch *watch
}

func newTrunks(list []Trunk) *trunks {
	t := &trunks{}
	t.set(list)
	return t
}

// set replaces the trunks. A trunk that keeps its id keeps its count. Watches of
// trunks that are gone or reached in another way are told to end.
func (t *trunks) set(list []Trunk) {
	t.changing.Lock()
	defer t.changing.Unlock()
	old := make(map[string]line)
	for _, l := range t.all() {
		old[l.ID] = l
	}
	lines := make([]line, len(list))
	for i, trunk := range list {
		lines[i] = line{Trunk: trunk, calls: new(atomic.Int64), watch: newWatch(trunk, nil)}
		if addr, err := netip.ParseAddr(trunk.Host); err == nil {
			lines[i].at = addr.Unmap()
		}
		was, known := old[trunk.ID]
		if !known {
			continue
		}
		lines[i].calls = was.calls
		if reachedAlike(was.Trunk, trunk) {
			lines[i].watch = was.watch
			delete(old, trunk.ID)
		} else {
			lines[i].watch = newWatch(trunk, was.watch)
		}
	}
	t.lines.Store(&lines)
	for _, l := range old {
		l.watch.end()
	}
}

// reachedAlike reports whether what is known of one trunk is true of the other.
func reachedAlike(a, b Trunk) bool {
	return a.Host == b.Host && a.Port == b.Port && a.Transport == b.Transport && a.Registration == b.Registration &&
		a.Username == b.Username && a.Password == b.Password && a.Realm == b.Realm && a.Ping == b.Ping
}

func (t *trunks) all() []line {
	if lines := t.lines.Load(); lines != nil {
		return *lines
	}
	return nil
}

// of returns the trunk that a request comes from, nil if it comes from none: the one whose prefix holds its
// source, the narrowest first when several do, or one that we have registered
// there. Of several that are registered at one carrier it is the one whose
// account the request is addressed to.
func (t *trunks) of(source netip.Addr, account string) (found *line) {
	source = source.Unmap()
	best := -1
	lines := t.all()
	for i := range lines {
		for _, p := range lines[i].Allow {
			if p.Bits() > best && p.Contains(source) {
				found, best = &lines[i], p.Bits()
			}
		}
	}
	if found != nil {
		return found
	}
	for i := range lines {
		l := &lines[i]
		if l.Registration.Expires > 0 && l.watch.has(source) && (found == nil || l.Username == account) {
			found = l
		}
	}
	return found
}

// holds reports whether an address is one of a trunk's.
func (t *trunks) holds(id string, addr netip.Addr) bool {
	l, known := t.named(id)
	return known && (slices.ContainsFunc(l.Allow, func(p netip.Prefix) bool { return p.Contains(addr) }) ||
		l.watch.has(addr))
}

// named returns the trunk with an id.
func (t *trunks) named(id string) (line, bool) {
	for _, l := range t.all() {
		if l.ID == id {
			return l, true
		}
	}
	return line{}, false
}

// calledAt reports whether an address is the host of a trunk.
func (t *trunks) calledAt(a netip.Addr) bool {
	return slices.ContainsFunc(*t.lines.Load(), func(l line) bool { return l.at == a })
}

// inUse returns the number of calls up on each trunk.
func (t *trunks) inUse() map[string]int {
	lines := t.all()
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
	return l.release(), nil
}

// take is acquire for a call that was there before: the limit has been asked.
func (l line) take() (release func()) {
	l.calls.Add(1)
	return l.release()
}

func (l line) release() func() {
	var given atomic.Bool
	return func() {
		if given.CompareAndSwap(false, true) {
			l.calls.Add(-1)
		}
	}
}

// host is where calls by the trunk go.
func (t Trunk) host() host { return host{t.Host, t.Port, t.transport()} }

func (t Trunk) transport() string {
	if t.Transport == "" {
		return "udp"
	}
	return t.Transport
}

// spell writes a number as the carrier wants it.
func (t Trunk) spell(number string) string {
	if t.Spell == nil || !isE164(number) {
		return number
	}
	return t.Spell(number)
}
