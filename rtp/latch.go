package rtp

import (
	"net/netip"
	"time"
)

// The rule of learning a peer's media address (Latch Near). An address on the
// open internet can be forged and ports can be guessed; what a stranger cannot
// do without seeing the call is to send from the phone's own network, as one
// stream, while the phone is silent.
//
// A router forgets: after a hold, a restart, a night's disconnection the phone's
// packets come from another port, and it does not know. So a locked leg moves when
// its peer has fallen silent and a source from the phone's network either goes on
// with the peer's very stream, whose SSRC and number nobody can guess, or sends
// just after the phone has negotiated anew. It has to earn it as at the beginning.
const (
	learnWindow  = 5 * time.Second        // after Set, nothing is learned any more
	learnPackets = 5                      // packets of one SSRC, numbered as a stream is
	learnReach   = 16                     // from one number to the next of a stream on a line that loses and reorders
	learnSpan    = 60 * time.Millisecond  // from the first to the last of them
	rivalPackets = 2                      // such packets that make a claimant a rival
	rivalMemory  = 300 * time.Millisecond // a claimant silent this long has given up
	claimants    = 8                      // watched at a time
)

// sighting is what the latch looks at in a packet.
type sighting struct {
	from netip.AddrPort
	ssrc uint32
	seq  uint16
	ours bool // a payload type that was negotiated

	// Of a source that is not the peer, once there is one.
	goesOn bool  // with the peer's stream: its SSRC, and a number it may have come to
	idle   int64 // ns since the peer was heard
}

type verdict uint8

const (
	refuse    verdict = iota // not from the peer: count and forget
	accept                   // from the peer
	lock                     // from the peer, and from now on from there alone
	wait                     // may be the peer, not believed yet: do not use the packet
	contested                // as wait, and for the first time there is a rival
)

// latch decides from which address a leg takes RTP, and so where it sends it.
// It is pure: now is the shard's clock in ns, and only set and step change it.
// RTCP never comes here: it never moves RTP.
type latch struct {
	rule   Latch
	remote netip.AddrPort // of the SDP
	signal netip.Addr
	armed  int64                // ns; when it last became possible to learn
	peer   netip.AddrPort       // locked onto; invalid while learning
	alarm  bool                 // contested has been told
	list   *[claimants]claimant // while learning
}

// claimant is a source that may turn out to be the peer.
type claimant struct {
	from  netip.AddrPort
	exact bool // from the very IP of the SIP flow, not only its network
	ssrc  uint32
	seq   uint16
	count int
	first int64
	last  int64
}

// set applies a negotiation. Only another remote address unlocks: a session refresh
// gives nobody a chance to take over the stream of a phone that sends.
func (l *latch) set(s *Stream, now int64) (changed bool) {
	l.signal = s.SignalIP.Unmap()
	remote := unmap(s.Remote)
	if remote == l.remote && s.Latch == l.rule {
		if s.Send && s.Receive {
			l.armed = now // not while one holds the other, and rightly is silent
		}
		return false
	}
	*l = latch{rule: s.Latch, remote: remote, signal: l.signal, armed: now}
	return true
}

// step judges one packet that arrived at now.
func (l *latch) step(now int64, p sighting) verdict {
	switch {
	case l.peer.IsValid():
		if p.from == l.peer {
			return accept
		}
		if !l.mayMove(now, p) {
			return refuse
		}
	case !l.remote.IsValid():
		return refuse
	case p.from == l.remote && p.ours:
		l.lock(now, p.from)
		return lock
	case l.rule == Exact, !p.ours, !l.learning(now), !near(l.signal, p.from.Addr()):
		return refuse
	}
	return l.claim(now, p)
}

// prove takes a source whose packet was made with the peer's key, or whose check
// knew its password. It needs no learning and no SDP, and holds until another does.
func (l *latch) prove(from netip.AddrPort) { l.peer, l.list = from, nil }

func (l *latch) learning(now int64) bool { return now-l.armed <= int64(learnWindow) }

// claim counts a packet for its claimant and believes it when it has earned it
// and has no rival. Claimants from the IP of the SIP flow come before those from
// its neighbourhood, which are believed only when nobody sends from that IP.
func (l *latch) claim(now int64, p sighting) verdict {
	if l.list == nil {
		l.list = new([claimants]claimant)
	}
	c := l.claimant(now, p.from)
	switch step := int16(p.seq - c.seq); {
	case c.count == 0 || c.ssrc != p.ssrc || step < -learnReach || step > learnReach:
		c.ssrc, c.seq, c.count, c.first = p.ssrc, p.seq, 1, now
	case step == 0: // repeated
	default:
		c.count++
		c.seq += uint16(max(step, 0))
	}
	c.last = now
	if c.count < learnPackets || c.last-c.first < int64(learnSpan) {
		return wait
	}
	if l.rival(now, c) {
		if l.alarm {
			return wait
		}
		l.alarm = true
		return contested
	}
	l.lock(now, c.from)
	return lock
}

func (l *latch) lock(now int64, peer netip.AddrPort) {
	l.peer, l.list, l.alarm = peer, nil, false
	l.armed = now - 2*int64(learnWindow) // closed until the phone negotiates anew
}

// mayMove tells whether a locked leg may count a packet of another source.
func (l *latch) mayMove(now int64, p sighting) bool {
	return l.rule == Near && p.ours && p.idle > int64(rivalMemory) && (p.goesOn || l.learning(now)) && near(l.signal, p.from.Addr())
}

// claimant finds the entry of a source, or gives it the one worth least: a free
// one, else one that never got beyond one packet, else the one silent longest.
func (l *latch) claimant(now int64, from netip.AddrPort) *claimant {
	worst := &l.list[0]
	for i := range l.list {
		c := &l.list[i]
		if c.from == from {
			if now-c.last > int64(rivalMemory) {
				c.count = 0
			}
			return c
		}
		if worth(c) < worth(worst) || worth(c) == worth(worst) && c.last < worst.last {
			worst = c
		}
	}
	*worst = claimant{from: from, exact: from.Addr() == l.signal}
	return worst
}

func worth(c *claimant) int { return min(c.count, rivalPackets) }

func (l *latch) rival(now int64, than *claimant) bool {
	for i := range l.list {
		c := &l.list[i]
		alive := c.count >= rivalPackets && now-c.last <= int64(rivalMemory)
		if c != than && alive && (c.exact || !than.exact) {
			return true
		}
	}
	return false
}

// rivals counts the claimants that have been heard lately.
func (l *latch) rivals(now int64) (n int) {
	if l.list == nil {
		return 0
	}
	for i := range l.list {
		if l.list[i].count >= rivalPackets && now-l.list[i].last <= int64(rivalMemory) {
			n++
		}
	}
	return n
}

// target is where RTP may be sent now. A trunk is sent to from the start. Towards
// a home, before the lock, nothing goes out except to an SDP address that is
// public or the SIP flow's own: a private address means somebody else here, and
// a learned one might be an attacker's.
func (l *latch) target() netip.AddrPort {
	a := l.remote.Addr()
	switch {
	case l.peer.IsValid():
		return l.peer
	case !l.remote.IsValid():
		return netip.AddrPort{}
	case l.rule == Exact, a == l.signal, a.IsLoopback(), isPublic(a):
		return l.remote
	default:
		return netip.AddrPort{}
	}
}

// near tells whether ip is signal, or in its /24 or /64.
func near(signal, ip netip.Addr) bool {
	if !signal.IsValid() || signal.Is4() != ip.Is4() {
		return false
	}
	bits := 64
	if signal.Is4() {
		bits = 24
	}
	network, err := signal.Prefix(bits)
	return err == nil && network.Contains(ip)
}

// shared is the address space between a carrier and its customers (RFC 6598).
var shared = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10)

func isPublic(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
