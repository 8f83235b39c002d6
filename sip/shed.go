package sip

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// FloodPolicy says how much the edge looks at before it sheds. What is shed costs
// neither parsing nor memory nor an answer; over a connection it is not lost but
// waits, so that only its sender is slowed.
//
// All rates are messages a second; for a moment twice as many may come.
type FloodPolicy struct {
	Source    int // from an address (IPv6: a /64) that is no trunk's, outside the flows of registered phones; 0: 20
	Phone     int // by the flow of a registered phone; 0: 50
	Trunk     int // from an address of a trunk; 0: 5,000
	Strangers int // from all sources of the first kind together; 0: 1,000
	Total     int // from everybody together; 0: 10,000

	// Allow is exempt from Source, Phone and Strangers, and no stranger: it is answered.
	Allow []netip.Prefix
	// Hosts are the names of the switch. An INVITE of a stranger whose From has none
	// of them is not answered. Addresses among them do not count: those a scanner
	// knows.
	Hosts []string
	// Shed counts what was not looked at, by reason. It must not block; nil: nobody counts.
	Shed func(reason string)
}

func (p FloodPolicy) orDefault() FloodPolicy {
	for _, r := range []struct {
		rate  *int
		usual int
	}{{&p.Source, 20}, {&p.Phone, 50}, {&p.Trunk, 5000}, {&p.Strangers, 1000}, {&p.Total, 10000}} {
		if *r.rate <= 0 {
			*r.rate = r.usual
		}
	}
	p.Hosts = slices.DeleteFunc(slices.Clone(p.Hosts), func(h string) bool {
		_, err := netip.ParseAddr(h)
		return err == nil
	})
	if p.Shed == nil {
		p.Shed = func(string) {}
	}
	return p
}

// weight orders messages by what losing one costs. Under load the lesser go first.
type weight uint8

const (
	asking     weight = iota // a stranger's OPTIONS, or anything else strangers have no business to send
	signingIn                // a REGISTER or INVITE from a flow we do not know
	refreshing               // a REGISTER by a known flow, or one that answers a challenge of ours
	calling                  // an INVITE of a trunk or a registered phone
	talking                  // inside a dialog, and every answer to us
)

// reserves is the share of the total that a weight must leave to those above it.
// The last is never shed for load, only if its own source is too fast.
var reserves = [...]float64{asking: 3. / 4, signingIn: 1. / 2, refreshing: 1. / 4, calling: 1. / 8, talking: 0}

// standing is what a flow is to us.
type standing uint8

const (
	foreign    standing = iota // a stranger
	friend                     // in FloodPolicy.Allow
	registered                 // the flow of a registered phone
	ofTrunk                    // an address of a trunk, or one that calls of ours went to
)

// shed is why a message was not looked at: the label of its metric.
type shed string

const (
	shedBanned  shed = "banned"   // the source is banned
	shedScanner shed = "scanner"  // it says, or shows, that it is a scanner
	shedSilence shed = "stranger" // strangers are not answered to this
	shedSource  shed = "source"   // its source, or flow, sends too much
	shedCrowd   shed = "crowd"    // all strangers together send too much
	shedLoad    shed = "load"     // everybody together does, and it is not important enough
)

// gate sheds. Any goroutine may call its methods; none holds a lock for longer
// than a look at one bucket, and none allocates.
type gate struct {
	policy                  FloodPolicy
	seed                    maphash.Seed
	sources, phones, trunks *buckets
	strangers, total        *reservoir
	log                     *zap.Logger

	shedAll    atomic.Uint64
	shedLogged atomic.Uint64 // shedAll when it was last logged
	loggedAt   atomic.Int64  // Unix milliseconds
}

func newGate(p FloodPolicy, now time.Time, log *zap.Logger) *gate {
	p = p.orDefault()
	return &gate{
		policy: p, seed: maphash.MakeSeed(), log: log,
		sources: newBuckets(upTo(p.Source), now), phones: newBuckets(upTo(p.Phone), now), trunks: newBuckets(upTo(p.Trunk), now),
		strangers: newReservoir(upTo(p.Strangers), now), total: newReservoir(upTo(p.Total), now),
	}
}

// allows reports whether an address is in FloodPolicy.Allow.
func (g *gate) allows(source netip.Addr) bool { return anyHolds(g.policy.Allow, source) }

// fromSource takes what a message costs, in thousandths, from the bucket of its
// source. wait is when to try again.
func (g *gate) fromSource(s standing, from flow, cost uint32, now time.Time) (wait time.Duration, ok bool) {
	switch s {
	case foreign:
		return g.sources.take(g.addrKey(banKey(from.remote.Addr())), cost, now)
	case registered:
		if g.allows(from.remote.Addr()) {
			return 0, true // a proxy before many phones
		}
		return g.phones.take(g.flowKey(from), cost, now)
	case ofTrunk:
		return g.trunks.take(g.addrKey(from.remote.Addr()), cost, now)
	}
	return 0, true
}

// fromAll takes what a message costs from what all strangers have together, and
// what everybody has. Its own source must have granted it: a loud one does not
// drain what others share.
func (g *gate) fromAll(s standing, c weight, cost uint32, now time.Time) (why shed) {
	switch {
	case s == foreign && c <= signingIn && !g.strangers.take(cost, 0, now):
		return shedCrowd
	case !g.total.take(cost, reserves[c], now) && c < talking:
		return shedLoad
	}
	return ""
}

func (g *gate) addrKey(a netip.Addr) uint64 {
	b := a.As16()
	return maphash.Bytes(g.seed, b[:])
}

func (g *gate) flowKey(f flow) uint64 {
	var b [19]byte
	addr := f.remote.Addr().As16()
	copy(b[:], addr[:])
	b[16], b[17], b[18] = byte(f.remote.Port()>>8), byte(f.remote.Port()), f.transport[0]
	return maphash.Bytes(g.seed, b[:])
}

// note counts what was shed and tells of it, at most once a second whatever
// comes.
func (g *gate) note(why shed, source netip.Addr, now time.Time) {
	g.policy.Shed(string(why))
	all := g.shedAll.Add(1)
	last := g.loggedAt.Load()
	if now.UnixMilli()-last < 1000 || !g.loggedAt.CompareAndSwap(last, now.UnixMilli()) {
		return
	}
	g.log.Info("messages shed before they were read",
		zap.Uint64("since_last", all-g.shedLogged.Swap(all)), zap.String("latest", string(why)), zap.Stringer("from", source))
}

var (
	errBanned  = errors.New("source is banned")
	errShed    = errors.New("shed")
	errTooFast = errors.New("source sends faster than it may")
)

// standing is what a flow is to the edge.
func (e *Edge) standing(f flow) standing {
	addr := f.remote.Addr()
	switch {
	case e.trunks.of(addr, "") != nil || e.trunks.calledAt(addr) || e.hosts.gave(addr):
		return ofTrunk
	case e.o.Registrar != nil && e.o.Registrar.holds(f):
		return registered
	case e.gate.allows(addr):
		return friend
	}
	return foreign
}

// passDatagram says whether a datagram is shed. Its source is asked first: that
// costs the least.
func (e *Edge) passDatagram(f flow, data []byte) error {
	now, s := e.o.Now(), e.standing(f)
	why := shedSource
	if _, ok := e.gate.fromSource(s, f, whole, now); ok {
		var c weight
		look := e.glanceAt(data, s, f)
		if c, why = look.weigh(s, e.gate.policy.Hosts); why == "" {
			why = e.gate.fromAll(s, c, whole, now)
		}
	}
	if why == "" {
		return nil
	}
	e.gate.note(why, f.remote.Addr(), now)
	return errShed
}

const (
	// Over a connection whoever is too fast waits, at most so long: its reader is its
	// own goroutine, and TCP tells the sender to be slow.
	longestWait = 3 * time.Second
	// waitAgain is the pause when everybody together is too fast.
	waitAgain = 100 * time.Millisecond
)

// passStream says whether a message of a connection is not looked at, and holds a
// connection back that is too fast. errTooFast gives it up.
func (e *Edge) passStream(f flow, msg []byte) error {
	s := e.standing(f)
	look := e.glanceAt(msg, s, f)
	c, why := look.weigh(s, e.gate.policy.Hosts)
	if why != "" {
		e.gate.note(why, f.remote.Addr(), e.o.Now())
		return errShed
	}
	slow, err := e.hold(s, c, f)
	if slow != "" {
		e.gate.note(slow, f.remote.Addr(), e.o.Now())
	}
	return err
}

// hold waits until a message of a connection is granted, and says why if it had to.
func (e *Edge) hold(s standing, c weight, f flow) (slow shed, err error) {
	paid := false
	for waited := time.Duration(0); ; {
		now := e.o.Now()
		wait, why := waitAgain, shedSource
		if !paid {
			wait, paid = e.gate.fromSource(s, f, whole, now)
		}
		if paid {
			if wait, why = waitAgain, e.gate.fromAll(s, c, whole, now); why == "" {
				return slow, nil
			}
		}
		if waited += wait; waited > longestWait {
			return why, errTooFast
		}
		slow = why
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-e.stopped.Done():
			t.Stop()
			return slow, errTooFast
		}
	}
}
