package sip

import (
	"container/heap"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Binding is one phone of an account: where it said it is, and the flow its REGISTER really came by.
type Binding struct {
	User      string
	Contact   string         // URI as registered
	Transport string         // udp, tcp
	Source    netip.AddrPort // address and port the REGISTER came from: where requests go
	Instance  string         // +sip.instance, if any
	UserAgent string
	Expires   time.Time
	Reachable bool
	RTT       time.Duration // of the last probe
}

// RegEvent is a change of what phones an account has, or of whether they answer.
type RegEvent struct {
	Kind      RegKind
	User      string
	Binding   Binding
	Reachable bool  // any phone of the user reachable after this event
	Signs     Signs // of the REGISTER that it comes of

	before flow // by which a phone that has come by another was reached
}

// moves reports whether a phone has come by another flow than before.
func (e RegEvent) moves() bool { return e.before != flow{} }

// Asked is what came of asking a phone by OPTIONS whether it is there.
type Asked struct {
	Binding
	Sent     time.Time
	Answered bool
	RTT      time.Duration  // if it answered
	From     netip.AddrPort // where the answer came from
	Signs    Signs
}

type RegKind uint8

const (
	RegAdded RegKind = iota
	RegRefreshed
	RegRemoved  // by the phone, or pushed out by a newer one when the account has too many
	RegExpired  // not refreshed in time, or its account is gone
	RegLost     // probes unanswered or connection closed
	RegRegained // a lost phone answered or registered again
	RegRejected // REGISTER refused; User is empty when no such account exists
)

// phone is a binding with what only the registrar needs to know of it.
type phone struct {
	Binding
	regID  string // reg-id of RFC 5626
	callID string
	cseq   uint32
	seen   time.Time // of its last REGISTER

	probe probing

	key        string    // of its record; "": there is none
	keptExpiry time.Time // in its record

	place                  int    // in bindings.due
	flowBefore, flowBehind *phone // neighbours in the list of phones on the same flow
}

func (p *phone) flow() flow { return flow{p.Transport, p.Source} }

// registration is a REGISTER that has been authenticated and whose form is good.
type registration struct {
	user      string
	from      flow
	callID    string
	cseq      uint32
	userAgent string
	grant     time.Duration // how long the bindings will live
	removeAll bool          // Contact: *
	contacts  []contact
	phase     time.Duration // from now to the first probe of a new phone
	signs     Signs
}

// contact is one Contact of a REGISTER.
type contact struct {
	uri      string
	instance string
	regID    string
	remove   bool // expires=0
}

var (
	errStaleCSeq = errors.New("CSeq not above that of the binding")
	errTooMany   = errors.New("more contacts than an account may have")
)

// bindings is who can be reached where. It is a pure machine: the time is an
// argument, what happened is returned as events, and nobody else may use it at
// the same time.
type bindings struct {
	limit  int           // of phones per account
	every  time.Duration // between probes of a phone; 0: no probes
	users  map[string][]*phone
	flows  map[flow]*phone // first of the phones on a flow
	due    dueQueue
	tokens uint64 // of the last probe

	// What is to be kept outside, for whoever calls to carry out.
	keeps bool
	fresh []*phone // their records have changed
	gone  []string // keys of records that have become void
}

func newBindings(limit int, every time.Duration) *bindings {
	return &bindings{
		limit: limit, every: every,
		users: make(map[string][]*phone),
		flows: make(map[flow]*phone),
	}
}

// register applies a REGISTER, all of it or nothing (RFC 3261 section 10.3 step
// 7). The error is errStaleCSeq or errTooMany.
func (b *bindings) register(now time.Time, r registration) ([]RegEvent, error) {
	if len(r.contacts) > b.limit {
		return nil, errTooMany
	}
	for _, p := range b.users[r.user] {
		touched := r.removeAll || slices.ContainsFunc(r.contacts, p.is)
		if touched && p.callID == r.callID && r.cseq <= p.cseq {
			return nil, errStaleCSeq
		}
	}
	var events []RegEvent
	if r.removeAll {
		for _, p := range slices.Clone(b.users[r.user]) {
			events = append(events, b.drop(p, RegRemoved))
		}
	}
	for _, c := range r.contacts {
		i := slices.IndexFunc(b.users[r.user], func(p *phone) bool { return p.is(c) })
		switch {
		case i >= 0 && c.remove:
			events = append(events, b.drop(b.users[r.user][i], RegRemoved))
		case i >= 0:
			events = append(events, b.refresh(now, b.users[r.user][i], r, c))
		case !c.remove:
			events = append(events, b.add(now, r, c)...)
		}
	}
	return events, nil
}

// repeats reports whether a registration is the one that a phone on the same flow
// has come by not long ago (RFC 3261 section 17.2.2, Timer J).
func (b *bindings) repeats(now time.Time, r registration) bool {
	return slices.ContainsFunc(b.users[r.user], func(p *phone) bool {
		return p.flow() == r.from && p.callID == r.callID && p.cseq == r.cseq && now.Sub(p.seen) < remembered
	})
}

// is reports whether a contact means this phone: the same instance and reg-id,
// so that a phone that comes back by another connection takes its own place
// (RFC 5626 section 6), or else the same URI. Two instances with the same URI
// are two phones: behind home routers every second one is sip:ana@192.168.1.10.
func (p *phone) is(c contact) bool {
	if p.Instance != "" && c.instance != "" {
		return p.Instance == c.instance && p.regID == c.regID
	}
	return sameURI(p.Contact, c.uri)
}

func (b *bindings) add(now time.Time, r registration, c contact) (events []RegEvent) {
	if have := b.users[r.user]; len(have) >= b.limit {
		oldest := slices.MinFunc(have, func(a, c *phone) int { return a.seen.Compare(c.seen) })
		events = append(events, b.drop(oldest, RegRemoved))
	}
	p := &phone{}
	p.User, p.Reachable = r.user, true
	p.renew(now, r, c)
	if b.every > 0 {
		p.probe.next = now.Add(r.phase)
	}
	b.enter(p)
	b.changed(p)
	return append(events, b.event(RegAdded, p))
}

// enter puts a phone into its places.
func (b *bindings) enter(p *phone) {
	b.users[p.User] = append(b.users[p.User], p)
	b.join(p)
	heap.Push(&b.due, p)
}

// changed notes that a phone's record is not true any more.
func (b *bindings) changed(p *phone) {
	if b.keeps && !slices.Contains(b.fresh, p) {
		b.fresh = append(b.fresh, p)
	}
}

// refresh renews a binding. The rhythm of its probes goes on: a phone that
// refreshes often must not thereby escape them.
func (b *bindings) refresh(now time.Time, p *phone, r registration, c contact) RegEvent {
	kind := RegRefreshed
	if !p.Reachable {
		kind = RegRegained
	}
	was := p.identity()
	p.Reachable = true
	p.probe.unanswered = 0
	before := flow{}
	if p.flow() != r.from {
		before = p.flow()
		b.leave(p)
		p.probe.token = 0 // an answer still to come would speak of the old flow
		p.renew(now, r, c)
		b.join(p)
	} else {
		p.renew(now, r, c)
	}
	if p.identity() != was || p.Expires.Sub(p.keptExpiry) > r.grant/4 {
		b.changed(p) // a phone that refreshes often writes a fourth as often as it might expire
	}
	heap.Fix(&b.due, p.place)
	e := b.event(kind, p)
	e.before = before
	return e
}

func (p *phone) renew(now time.Time, r registration, c contact) {
	keep(&p.Contact, c.uri)
	keep(&p.Instance, c.instance)
	keep(&p.regID, c.regID)
	keep(&p.UserAgent, r.userAgent)
	keep(&p.callID, r.callID)
	p.Transport, p.Source = r.from.transport, r.from.remote
	p.cseq, p.seen, p.Expires = r.cseq, now, now.Add(r.grant)
}

// keep stores a string for long. Strings of a request are pieces of the whole
// message, which a copy lets go.
func keep(at *string, s string) {
	if *at != s {
		*at = strings.Clone(s)
	}
}

// drop takes a phone away.
func (b *bindings) drop(p *phone, why RegKind) RegEvent {
	left := slices.DeleteFunc(b.users[p.User], func(q *phone) bool { return q == p })
	if len(left) == 0 {
		delete(b.users, p.User)
	} else {
		b.users[p.User] = left
	}
	b.leave(p)
	heap.Remove(&b.due, p.place)
	p.Reachable = false
	b.fresh = slices.DeleteFunc(b.fresh, func(q *phone) bool { return q == p })
	if p.key != "" {
		b.gone = append(b.gone, p.key)
	}
	return b.event(why, p)
}

// retain drops the phones of users who are no more.
func (b *bindings) retain(known func(user string) bool) (events []RegEvent) {
	for _, p := range slices.Clone(b.due) {
		if !known(p.User) {
			events = append(events, b.drop(p, RegExpired))
		}
	}
	return events
}

// lose marks a phone that does not answer. It stays until it expires.
func (b *bindings) lose(p *phone) []RegEvent {
	if !p.Reachable {
		return nil
	}
	p.Reachable = false
	b.changed(p)
	return []RegEvent{b.event(RegLost, p)}
}

// closed says that the connection of a flow is gone, and with it every phone
// that was reached by it (RFC 5626 section 7): there is no other way to them.
func (b *bindings) closed(f flow) (events []RegEvent) {
	for b.flows[f] != nil {
		events = append(events, b.drop(b.flows[f], RegLost))
	}
	return events
}

// find returns the phone that a Binding handed out earlier speaks of, nil if it
// has gone or moved to another flow.
func (b *bindings) find(of Binding) *phone {
	for _, p := range b.users[of.User] {
		if p.Contact == of.Contact && p.flow() == (flow{of.Transport, of.Source}) {
			return p
		}
	}
	return nil
}

// of returns the phones of a user at now, reachable ones first, freshest first.
func (b *bindings) of(now time.Time, user string) []Binding {
	phones := b.users[user]
	if len(phones) > 1 {
		phones = slices.Clone(phones)
		slices.SortStableFunc(phones, func(p, q *phone) int {
			if p.Reachable != q.Reachable {
				if p.Reachable {
					return -1
				}
				return 1
			}
			return q.seen.Compare(p.seen)
		})
	}
	list := make([]Binding, 0, len(phones))
	for _, p := range phones {
		if now.Before(p.Expires) {
			list = append(list, p.Binding)
		}
	}
	return list
}

// on reports whether a phone of the user is registered by this flow.
func (b *bindings) on(now time.Time, user string, f flow) bool {
	return slices.ContainsFunc(b.users[user], func(p *phone) bool {
		return p.flow() == f && now.Before(p.Expires)
	})
}

func (b *bindings) event(kind RegKind, p *phone) RegEvent {
	reachable := slices.ContainsFunc(b.users[p.User], func(q *phone) bool { return q.Reachable })
	return RegEvent{Kind: kind, User: p.User, Binding: p.Binding, Reachable: reachable}
}

func (b *bindings) join(p *phone) {
	first := b.flows[p.flow()]
	p.flowBefore, p.flowBehind = nil, first
	if first != nil {
		first.flowBefore = p
	}
	b.flows[p.flow()] = p
}

func (b *bindings) leave(p *phone) {
	switch {
	case p.flowBefore != nil:
		p.flowBefore.flowBehind = p.flowBehind
	case p.flowBehind != nil:
		b.flows[p.flow()] = p.flowBehind
	default:
		delete(b.flows, p.flow())
	}
	if p.flowBehind != nil {
		p.flowBehind.flowBefore = p.flowBefore
	}
	p.flowBefore, p.flowBehind = nil, nil
}

// sameURI compares two URIs as RFC 3261 section 19.1.4 does, escapes and the
// order of headers apart: those must be written the same way.
func sameURI(one, other string) bool {
	if one == other {
		return true
	}
	a, oneOK := readURI(one)
	b, otherOK := readURI(other)
	if !oneOK || !otherOK {
		return false
	}
	if a.Scheme != b.Scheme || a.User != b.User || a.Password != b.Password ||
		!strings.EqualFold(a.Host, b.Host) || a.Port != b.Port || !a.Headers.Equals(b.Headers) {
		return false
	}
	return sameParams(a.UriParams, b.UriParams) && sameParams(b.UriParams, a.UriParams)
}

// sameParams reports whether what stands in a agrees with b: a parameter in
// both must be equal, and these five may not stand in one alone.
func sameParams(a, b sip.HeaderParams) bool {
	for _, p := range a {
		i := slices.IndexFunc(b, func(q sip.HeaderKV) bool { return strings.EqualFold(p.K, q.K) })
		if i >= 0 {
			if !strings.EqualFold(p.V, b[i].V) {
				return false
			}
			continue
		}
		switch strings.ToLower(p.K) {
		case "transport", "user", "ttl", "method", "maddr":
			return false
		}
	}
	return true
}
