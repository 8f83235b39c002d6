package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// out reports whether the leg is a call of ours by a trunk.
func (l *Leg) out() bool { return l.trunk != "" && !l.server }

// aimAtNumber takes a channel of the trunk for a call to a number.
func (l *Leg) aimAtNumber(d *Dial) (first func() *sip.Request, err error) {
	t, known := l.e.trunks.named(d.Trunk)
	transport := t.Transport
	if transport == "" {
		transport = "udp"
	}
	switch {
	case !known:
		return nil, fmt.Errorf("no trunk %q", d.Trunk)
	case !isHost(t.Host):
		return nil, fmt.Errorf("trunk %s: no host to call (%q)", t.ID, t.Host)
	case !l.e.serves(transport):
		return nil, fmt.Errorf("trunk %s: transport %s is not served", t.ID, transport)
	case !isE164(d.Number):
		return nil, errors.New("not an E.164 number")
	case d.Diverted != "" && !isE164(d.Diverted):
		return nil, fmt.Errorf("diverted by %q, which is not an E.164 number", d.Diverted)
	}
	if l.free, err = t.acquire(); err != nil {
		return nil, err
	}
	l.account = account{user: t.Username, password: t.Password}
	l.dialog.flow.transport = transport
	l.dialog.to = &sip.ToHeader{Address: numberURI(d.Number, t.Host)}
	l.dialog.target = *l.dialog.to.Address.Clone()
	l.dialog.target.Port = int(t.Port)
	return func() *sip.Request { return l.numberInvite(d, t) }, nil
}

// numberInvite finds the trunk's host and builds the INVITE that goes there.
func (l *Leg) numberInvite(d *Dial, t line) *sip.Request {
	e := l.e
	transport := l.Transport()
	addrs, err := e.hosts.find(e.stopped, t.Host)
	if err == nil {
		if addrs = e.within(transport, addrs); len(addrs) == 0 {
			err = fmt.Errorf("%s has no address that our %s socket can reach", t.Host, transport)
		}
	}
	if err != nil {
		e.o.Log.Warn("trunk not reached", zap.String("trunk", t.ID), zap.Error(err))
		l.unreachable(sip.StatusServiceUnavailable)
		return nil
	}
	l.places.Store(&addrs)
	f := flow{transport, netip.AddrPortFrom(addrs[0], t.port())}
	inv := l.inviteBy(d, t, f)
	if transport == "udp" && len(inv.String()) > largestByUDP && e.reachByTCP(t, f.remote) {
		inv = l.inviteBy(d, t, flow{"tcp", f.remote})
	}
	return inv
}

// inviteBy builds the INVITE that goes to a trunk by a flow, and makes that the
// flow of the dialog.
func (l *Leg) inviteBy(d *Dial, t line, f flow) *sip.Request {
	e := l.e
	if f.transport != "udp" {
		e.outgoing.mayCall(f, &t.Trunk)
	}
	l.mu.Lock()
	l.dialog.flow = f
	l.mu.Unlock()
	own, _ := e.sentBy(f)
	domain := own
	if t.Username != "" {
		domain = t.Host // an account's addresses are in its carrier's domain
	}
	inv := l.firstInvite(d, domain)
	if d.Diverted != "" {
		by := numberURI(d.Diverted, own)
		inv.AppendHeader(sip.NewHeader("Diversion", "<"+by.String()+">;reason=unconditional;counter=1;privacy=off"))
	}
	return inv
}

const (
	// largestByUDP is the longest request that goes by UDP where there is another
	// way: one more byte, and it might not fit into one packet (RFC 3261 section
	// 18.1.1).
	largestByUDP = 1300
	// tcpPatience is how long a carrier we are told to call by UDP may take to
	// accept TCP; the caller waits.
	tcpPatience = time.Second
)

// reachByTCP connects to a trunk that is called by UDP, for a call whose INVITE is
// too long for that. Where nobody accepts, UDP and its fragments are what is left
// (the same section), and for a while nobody is asked again.
func (e *Edge) reachByTCP(t line, at netip.AddrPort) bool {
	if !e.serves("tcp") || e.hosts.refusesTCP(at) {
		return false
	}
	f := flow{"tcp", at}
	e.outgoing.mayCall(f, &t.Trunk)
	ctx, cancel := context.WithTimeout(e.stopped, tcpPatience)
	defer cancel()
	err := e.reach(ctx, f)
	if err != nil {
		e.hosts.refusedTCP(at)
		e.o.Log.Info("no TCP for a long INVITE, sent by UDP in fragments", zap.String("trunk", t.ID), zap.Error(err))
	}
	return err == nil
}

// within leaves out the addresses that a socket cannot reach: those of the other
// IP version.
func (e *Edge) within(transport string, addrs []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(addrs, func(a netip.Addr) bool {
		return !e.listening(flow{transport, netip.AddrPortFrom(a, 0)}).at.IsValid()
	})
}

// admits reports whether an address may speak in the leg's dialog: one of its
// trunk, or that the call came from or went to. A phone's router may give it
// another at any time.
func (l *Leg) admits(from netip.Addr) bool {
	if l.trunk == "" {
		return true
	}
	from = from.Unmap()
	if places := l.places.Load(); places != nil && slices.Contains(*places, from) {
		return true
	}
	t, known := l.e.trunks.of(from)
	return known && t.ID == l.trunk
}

// strange reports whether a response to a request of ours inside a trunk's
// dialog comes from somewhere else.
func (e *Edge) strange(res *sip.Response) bool {
	id := res.CallID()
	if id == nil {
		return false
	}
	l := e.legs.find(string(*id), tagOf(res.From()))
	if l == nil || l.trunk == "" {
		return false
	}
	from, err := netip.ParseAddrPort(res.Source())
	return err != nil || !l.admits(from.Addr())
}

// retarget takes the Contact of a message that refreshes the target. The caller
// holds mu.
//
// A call out by UDP then goes where its route set or target says (RFC 3261
// section 12.2.1.1), as a carrier may answer on another machine than the one we
// called; but only to an address that may speak in the dialog, or else on to
// where it went before.
func (l *Leg) retarget(contact *sip.ContactHeader) {
	l.dialog.retarget(contact)
	if !l.out() || l.dialog.flow.transport != "udp" {
		return
	}
	hop := &l.dialog.target
	if len(l.dialog.routes) > 0 {
		hop = &l.dialog.routes[0]
	}
	addr, err := netip.ParseAddr(strings.Trim(hop.Host, "[]"))
	if err == nil && l.admits(addr) {
		l.dialog.flow.remote = netip.AddrPortFrom(addr.Unmap(), uint16(portOf(hop)))
	}
}
