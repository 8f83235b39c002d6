package rtp

import (
	"net"

	"github.com/pion/stun/v4"
)

// checks are the ICE side of a leg (RFC 8445, lite). The peer, which knows the
// password, checks the way from each of its addresses to ours and names the one it
// has chosen; we answer, and send where it says. A consent check (RFC 7675) is one
// like any other.
type checks struct {
	terms  Checks
	proven [8]sockaddr // sources of checks with the right password, the latest first
	chosen bool
}

// ICEFailure says why a check was not answered with success.
type ICEFailure uint8

const (
	ICEMalformed  ICEFailure = iota // no STUN request, or one of which a needed part is missing
	ICEName                         // for somebody else
	ICEPassword                     // by somebody who does not know the password
	ICERole                         // by a peer that leaves the choice to us
	ICEUnanswered                   // the leg ended and no way had been found
	iceFailures
)

func (f ICEFailure) String() string {
	return [...]string{"malformed", "username", "integrity", "role", "unanswered"}[f]
}

// ICEFailures is how often each happened.
type ICEFailures [iceFailures]uint64

// Add sums them.
func (f *ICEFailures) Add(o ICEFailures) {
	for i, n := range o {
		f[i] += n
	}
}

// meet takes the credentials of a negotiation. After a restart the way that was
// chosen stays in use until another is (RFC 8445 section 9).
func (s *shard) meet(c *shield, terms *Checks) {
	switch {
	case terms == nil:
		c.checks = nil
	case c.checks == nil:
		c.checks = &checks{terms: *terms}
	case c.checks.terms != *terms:
		c.checks.terms, c.checks.chosen = *terms, false
	}
}

// checked tells whether the leg's peer is found by its checks.
func (l *Leg) checked() bool { return l.shield != nil && l.shield.checks != nil }

// vouched tells whether a source has shown that it knows the password.
func (c *checks) vouched(from *sockaddr) bool {
	for i := range c.proven {
		if c.proven[i].valid() && c.proven[i].same(from) {
			return true
		}
	}
	return false
}

func (c *checks) vouch(from *sockaddr) {
	at := len(c.proven) - 1
	for i := range c.proven {
		if c.proven[i].valid() && c.proven[i].same(from) {
			at = i
			break
		}
	}
	copy(c.proven[1:at+1], c.proven[:at])
	c.proven[0] = *from
}

// check answers a connectivity check that came to one of the leg's sockets.
func (s *shard) check(l *Leg, fd int32, from *sockaddr, data []byte) {
	c := l.shield.checks
	if c == nil {
		l.refused++
		return
	}
	m := &s.stun
	m.Raw = append(m.Raw[:0], data...)
	if err := m.Decode(); err != nil || m.Type != stun.BindingRequest {
		if m.Type.Class != stun.ClassIndication { // a keep-alive (RFC 8445 section 11)
			s.unchecked(l, ICEMalformed)
		}
		return
	}
	why, ok := c.judge(m)
	if !ok {
		s.unchecked(l, why)
		if why == ICERole {
			s.replyCheck(l, fd, from, stun.CodeRoleConflict)
		}
		return
	}
	if !s.replyCheck(l, fd, from, 0) {
		return
	}
	if !c.vouched(from) {
		s.change(l)
	}
	c.vouch(from)
	// RFC 8445 section 7.3.2: the peer has chosen. The socket of RTCP is not asked
	// where RTP goes.
	if m.Contains(stun.AttrUseCandidate) && fd != l.rtcp {
		if !c.chosen {
			s.change(l)
		}
		c.chosen = true
		s.moveTo(l, from)
	}
}

// judge reads a request: for us, by one who knows the password, in the role that a
// full agent has towards a lite one.
func (c *checks) judge(m *stun.Message) (ICEFailure, bool) {
	name, err := m.Get(stun.AttrUsername)
	if err != nil || !m.Contains(stun.AttrMessageIntegrity) || !m.Contains(stun.AttrFingerprint) {
		return ICEMalformed, false
	}
	if string(name) != c.terms.OurName+":"+c.terms.TheirName {
		return ICEName, false
	}
	if stun.Fingerprint.Check(m) != nil {
		return ICEMalformed, false
	}
	if stun.NewShortTermIntegrity(string(c.terms.OurPassword)).Check(m) != nil {
		return ICEPassword, false
	}
	if m.Contains(stun.AttrICEControlled) {
		return ICERole, false
	}
	return 0, true
}

func (s *shard) unchecked(l *Leg, why ICEFailure) {
	l.unproven++
	s.totals[l.role].ICE[why]++
}

// replyCheck answers the request in s.stun, with success or an error code.
func (s *shard) replyCheck(l *Leg, fd int32, from *sockaddr, code stun.ErrorCode) bool {
	at := from.addrPort()
	kind, says := stun.BindingSuccess, stun.Setter(&stun.XORMappedAddress{IP: net.IP(at.Addr().AsSlice()), Port: int(at.Port())})
	if code != 0 {
		kind, says = stun.BindingError, code
	}
	reply, err := stun.Build(stun.NewTransactionIDSetter(s.stun.TransactionID), kind, says,
		stun.NewShortTermIntegrity(string(l.shield.checks.terms.OurPassword)), stun.Fingerprint)
	if err != nil || send(fd, reply.Raw, from) != 0 {
		l.sendFails++
		return false
	}
	return true
}
