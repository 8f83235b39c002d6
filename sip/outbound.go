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
	transport := t.transport()
	switch {
	case !known:
		return nil, fmt.Errorf("no trunk %q", d.Trunk)
	case !isHost(t.Host):
		return nil, fmt.Errorf("trunk %s: no host to call (%q)", t.ID, t.Host)
	case !l.e.serves(transport):
		return nil, fmt.Errorf("trunk %s: transport %s is not served", t.ID, transport)
	case !isE164(d.Number):
		return nil, errors.New("not an E.164 number")
	case d.Hops < 0:
		return nil, errors.New("it has been passed on too often")
	}
	for _, by := range d.Diverted {
		if !isE164(by.User) || tokenOnly(by.Reason) != by.Reason {
			return nil, fmt.Errorf("diverted by %q (%q), which is not an E.164 number and a reason", by.User, by.Reason)
		}
	}
	if l.free, err = t.acquire(); err != nil {
		return nil, err
	}
	l.account = t.account()
	l.dialog.flow.transport = transport
	l.dialog.to = &sip.ToHeader{Address: numberURI(t.Trunk, d.Number, t.Host)}
	l.dialog.target = *l.dialog.to.Address.Clone()
	l.dialog.target.Port = int(t.Port)
	return func() *sip.Request { return l.numberInvite(d, t) }, nil
}

// numberInvite finds the trunk's host and builds the INVITE that goes to its first
// place.
func (l *Leg) numberInvite(d *Dial, t line) *sip.Request {
	e := l.e
	places, err := e.placesOf(e.stopped, t.host())
	if err != nil {
		e.o.Log.Warn("trunk not reached", zap.String("trunk", t.ID), zap.Error(err))
		l.unreachable(sip.StatusServiceUnavailable)
		return nil
	}
	at, routes := t.watch.called(e.o.Now(), places)
	if i := slices.Index(places, at); i > 0 {
		// Where we are registered we are known; another machine of the carrier may
		// have to be told who we are first.
		places = append([]netip.AddrPort{at}, slices.Delete(slices.Clone(places), i, i+1)...)
	}
	addrs := make([]netip.Addr, len(places))
	for i, p := range places {
		addrs[i] = p.Addr()
	}
	l.places.Store(&addrs)
	f := e.flowTo(t.Trunk, places[0])
	l.mu.Lock()
	l.ahead, l.dialog.routes = places[1:], routes
	if t.Registration.Expires > 0 {
		l.dialog.as = t.Username
	}
	l.mu.Unlock()
	inv := l.inviteBy(d, t, f)
	if f.transport == "udp" && len(inv.String()) > largestByUDP && e.reachByTCP(t, f.remote) {
		inv = l.inviteBy(d, t, flow{"tcp", f.remote})
	}
	return inv
}

// inviteBy builds the INVITE that goes to a trunk by a flow, and makes that the
// flow of the dialog.
func (l *Leg) inviteBy(d *Dial, t line, f flow) *sip.Request {
	e := l.e
	l.mu.Lock()
	l.dialog.flow = f
	l.mu.Unlock()
	own, _ := e.sentBy(f)
	domain := own
	if t.Username != "" {
		domain = t.Host // an account's addresses are in its carrier's domain
	}
	inv := l.firstInvite(d, domain)
	writeDiversions(inv, d.Diverted, t.Trunk, own)
	if d.Hops > 0 {
		hops := sip.MaxForwardsHeader(d.Hops)
		inv.ReplaceHeader(&hops)
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

// called notes where the trunk's host was found, and returns where we are registered
// and the routes of calls that begin there (RFC 3608 section 6.1); nowhere if we are
// not.
func (w *watch) called(now time.Time, places []netip.AddrPort) (at netip.AddrPort, routes []sip.Uri) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found(&w.places, places)
	if !w.enrol.up(now) {
		return netip.AddrPort{}, nil
	}
	return w.at, w.routes
}

// onward builds the INVITE for the next place of the trunk when one has not
// answered, or has answered 503 (RFC 3263 section 4.3); while is for how long that
// one wants to be left alone. Nil: there is none, or we gave up.
func (l *Leg) onward(inv *sip.Request, while time.Duration) *sip.Request {
	if !l.out() {
		return nil
	}
	e := l.e
	e.hosts.silent(l.Remote(), while)
	t, known := e.trunks.named(l.trunk)
	if known {
		t.watch.doubt(e.o.Now())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase != opening || len(l.ahead) == 0 {
		return nil
	}
	next := inv.Clone()
	f := flow{l.dialog.flow.transport, l.ahead[0]}
	l.ahead = l.ahead[1:]
	if f.transport != "udp" {
		e.outgoing.mayCall(f, &t.Trunk)
	}
	e.o.Log.Info("trunk's next address", zap.String("trunk", l.trunk), zap.Stringer("silent", l.dialog.flow.remote), zap.Stringer("next", f.remote))
	l.dialog.flow = f
	// The routes were those of the place before.
	drop(next, "Route")
	l.dialog.routes = nil
	drop(next, "Authorization")
	drop(next, "Proxy-Authorization")
	l.account.answered, l.account.last = 0, nil
	next.ReplaceHeader(l.dialog.contact(e))
	l.renumber(next)
	return next
}

// flowTo is how a place of a trunk is reached.
func (e *Edge) flowTo(t Trunk, at netip.AddrPort) flow {
	f := flow{t.transport(), at}
	if f.transport != "udp" {
		e.outgoing.mayCall(f, &t)
	}
	return f
}

// placesOf finds the places of a host that our socket can reach.
func (e *Edge) placesOf(ctx context.Context, h host) ([]netip.AddrPort, error) {
	places, err := e.hosts.find(ctx, h)
	if err != nil {
		return nil, err
	}
	if places = e.within(h.transport, places); len(places) == 0 {
		return nil, fmt.Errorf("%s has no address that our %s socket can reach", h.name, h.transport)
	}
	return places[:min(len(places), mostPlaces)], nil
}

// within leaves out the places that a socket cannot reach: those of the other IP
// version.
func (e *Edge) within(transport string, places []netip.AddrPort) []netip.AddrPort {
	return slices.DeleteFunc(places, func(p netip.AddrPort) bool {
		return !e.listening(flow{transport, p}).at.IsValid()
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
	return l.e.trunks.holds(l.trunk, from)
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

// moved are the numbers that a redirection names at addresses of the trunk. What it
// names elsewhere is none of our business: nobody may send us to a third party.
func (l *Leg) moved(res *sip.Response) (numbers []string) {
	if !l.out() || res.StatusCode/100 != 3 {
		return nil
	}
	t, _ := l.e.trunks.named(l.trunk)
	for _, h := range res.GetHeaders("contact") {
		c, ok := h.(*sip.ContactHeader)
		if !ok || c.Address.Wildcard || userOf(&c.Address) == "" || len(numbers) == mostPlaces {
			continue
		}
		addr, err := netip.ParseAddr(strings.Trim(c.Address.Host, "[]"))
		if err == nil && l.admits(addr) || err != nil && strings.EqualFold(c.Address.Host, t.Host) {
			numbers = append(numbers, userOf(&c.Address))
		}
	}
	return numbers
}
