package sip

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// RegistrarOptions says whose phones are served and how.
type RegistrarOptions struct {
	Realm                  string
	Default                Algorithm // of the challenge to an unknown user; "": SHA-256
	Accounts               []Account
	ExpiresUDP, ExpiresTCP time.Duration // what we grant, whatever is asked (an ask of 0 removes): 60 s, 300 s
	ExpiresTLS, ExpiresWSS time.Duration // the same, 300 s each; ws is as wss
	MaxContacts            int           // per account, 0: 5; the oldest goes
	Probe                  time.Duration // between OPTIONS probes of a binding; 0: 25 s, negative: never
	Ban                    BanPolicy
	Guess                  GuessPolicy
	Changed                func(RegEvent) // must not block; nil: nobody listens
	Asked                  func(Asked)    // the same, after every probe; on a goroutine of its own
	Log                    *zap.Logger    // nil: silent
	Now                    func() time.Time
	Keep                   Keep // where bindings are kept for the next process (Resume); nil: they are not
}

// Registrar authenticates agents' phones and knows where they are.
//
// Any goroutine may call any method, also from within Changed. Events reach
// Changed one at a time, in the order in which they happened, on the goroutine
// of a caller or of the edge. None of the methods waits for the network.
type Registrar struct {
	realm        string
	scheme       string // how every challenge begins
	fallback     Algorithm
	nobody       Account                  // what an unknown user is verified against
	grants       map[string]time.Duration // by transport
	every        time.Duration
	changed      func(RegEvent)
	asked        func(Asked)
	log          *zap.Logger
	now          func() time.Time
	kept         Keep // nil: nothing is
	accounts     atomic.Pointer[map[string]Account]
	nonces       *nonces
	bans         *bans
	guesses      *guesses
	alarms       atomic.Uint64
	wake         chan struct{} // a nudge for run
	flows        flows         // set once, by attach
	authFailures func(reason string)
	bansBegun    atomic.Uint64

	mu         sync.RWMutex
	places     *bindings
	outbox     []RegEvent // events not yet handed to changed
	delivering bool       // somebody is emptying the outbox
	challenged map[string]firstSight
}

// NewRegistrar makes a registrar. It probes phones and lets bindings expire
// once it belongs to an Edge that serves.
func NewRegistrar(o RegistrarOptions) *Registrar {
	if o.Default == "" {
		o.Default = SHA256
	}
	if o.MaxContacts <= 0 {
		o.MaxContacts = 5
	}
	switch {
	case o.Probe == 0:
		o.Probe = probeEvery
	case o.Probe < 0:
		o.Probe = 0
	}
	if o.Changed == nil {
		o.Changed = func(RegEvent) {}
	}
	if o.Asked == nil {
		o.Asked = func(Asked) {}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	nonces, err := newNonces(o.Keep)
	if err != nil {
		o.Log.Error("phones would have to authenticate anew after a restart", zap.Error(err))
	}
	r := &Registrar{
		realm:    o.Realm,
		scheme:   `Digest realm="` + quote(o.Realm) + `", nonce="`,
		fallback: o.Default,
		nobody:   nobody(o.Default),
		grants: map[string]time.Duration{
			"udp": orElse(o.ExpiresUDP, 60*time.Second),
			"tcp": orElse(o.ExpiresTCP, 300*time.Second),
			"tls": orElse(o.ExpiresTLS, 300*time.Second),
			"ws":  orElse(o.ExpiresWSS, 300*time.Second),
			"wss": orElse(o.ExpiresWSS, 300*time.Second),
		},
		every:        o.Probe,
		changed:      o.Changed,
		asked:        o.Asked,
		log:          o.Log,
		now:          o.Now,
		nonces:       nonces,
		kept:         o.Keep,
		bans:         newBans(o.Ban),
		guesses:      newGuesses(o.Guess),
		wake:         make(chan struct{}, 1),
		authFailures: func(string) {},
		places:       newBindings(o.MaxContacts, o.Probe),
		challenged:   make(map[string]firstSight),
	}
	r.places.keeps = o.Keep != nil
	r.SetAccounts(o.Accounts)
	return r
}

func orElse(d, fallback time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return fallback
}

// grant is how long a binding lives. Over UDP it is short, because a home router
// forgets a silent flow within a minute; a connection stands or falls visibly.
func (r *Registrar) grant(transport string) time.Duration { return r.grants[transport] }

// SetAccounts replaces the accounts (configuration reload). Phones of accounts
// that are gone are forgotten; a changed password counts from the next REGISTER.
func (r *Registrar) SetAccounts(list []Account) {
	accounts := make(map[string]Account, len(list))
	for _, a := range list {
		a.HA1 = strings.ToLower(a.HA1)
		if a.Algorithm == "" {
			a.Algorithm = r.fallback
		}
		accounts[a.User] = a
	}
	r.accounts.Store(&accounts)
	r.change(func(time.Time) []RegEvent {
		return r.places.retain(func(user string) bool {
			_, ok := accounts[user]
			return ok
		})
	})
}

// account returns the account of a user, for an unknown one an account that no
// password opens.
func (r *Registrar) account(user string) (a Account, known bool) {
	a, known = (*r.accounts.Load())[user]
	if !known {
		return r.nobody, false
	}
	return a, true
}

// Bindings returns the phones of a user, reachable ones first, freshest first.
func (r *Registrar) Bindings(user string) []Binding {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.places.of(r.now(), user)
}

// All returns every binding, in the order of users.
func (r *Registrar) All() []Binding {
	r.mu.RLock()
	defer r.mu.RUnlock()
	now := r.now()
	users := make([]string, 0, len(r.places.users))
	for user := range r.places.users {
		users = append(users, user)
	}
	slices.Sort(users)
	list := make([]Binding, 0, len(r.places.due))
	for _, user := range users {
		list = append(list, r.places.of(now, user)...)
	}
	return list
}

// Banned reports whether requests from a source are to be ignored. It takes no
// lock: the edge asks for every datagram.
func (r *Registrar) Banned(source netip.Addr) bool {
	until, ok := r.bans.until(source)
	return ok && r.now().Before(until)
}

// Ignored is Banned for one flow: a phone that has proven its password keeps
// its flow even if its neighbour behind the same router guesses passwords.
func (r *Registrar) Ignored(source netip.AddrPort, transport string) bool {
	if !r.Banned(source.Addr()) {
		return false
	}
	return !r.holds(flow{strings.ToLower(transport), unmap(source)})
}

// holds reports whether a phone is registered by a flow.
func (r *Registrar) holds(f flow) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.places.flows[f] != nil
}

// BannedNow returns how many sources are being ignored.
func (r *Registrar) BannedNow() int { return r.bans.count(r.now()) }

// BansBegun returns how many bans there have been.
func (r *Registrar) BansBegun() uint64 { return r.bansBegun.Load() }

// Alarms returns how many hours had too many wrong passwords.
func (r *Registrar) Alarms() uint64 { return r.alarms.Load() }

// ReportUnreachable says that a call to a phone got no answer at all. The phone
// counts as lost until it answers the probe that is sent at once.
func (r *Registrar) ReportUnreachable(b Binding) {
	r.change(func(now time.Time) []RegEvent {
		if p := r.places.find(b); p != nil {
			return r.places.doubt(now, p)
		}
		return nil
	})
}

// flowClosed says that the connection of a flow is gone. Whoever closes it may
// hold locks of the library, so what came of it is told by run.
func (r *Registrar) flowClosed(f flow) {
	r.note(func(time.Time) []RegEvent { return r.places.closed(f) })
	r.nudge()
}

// attach connects the registrar with the edge it belongs to, before the edge
// serves. authFailures counts refusals by reason and may be nil.
func (r *Registrar) attach(f flows, authFailures func(reason string)) {
	r.flows = f
	if authFailures != nil {
		r.authFailures = authFailures
	}
}

// roundAgain is the pause after a round that broke.
const roundAgain = 100 * time.Millisecond

// run expires bindings and probes phones until ctx ends and the last probe has
// come back. The edge calls it once, while it serves; guard confines what breaks in
// it to the round or the probe.
func (r *Registrar) run(ctx context.Context, guard func(doing string, f func()) (whole bool)) {
	var asking sync.WaitGroup
	defer asking.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var probes []probe
		var due time.Time
		var more bool
		whole := guard("the registrar's clock", func() {
			r.change(func(now time.Time) (events []RegEvent) {
				probes, events = r.places.step(now)
				due, more = r.places.deadline()
				return events
			})
		})
		for _, p := range probes {
			asking.Go(func() { guard("probing a phone", func() { r.probe(ctx, p) }) })
		}
		switch {
		case !whole:
			timer.Reset(roundAgain)
		case more:
			timer.Reset(due.Sub(r.now()))
		default:
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.wake:
		}
	}
}

// probe asks one phone whether it is there and notes the outcome.
func (r *Registrar) probe(ctx context.Context, p probe) {
	a := Asked{Binding: p.Binding, Sent: r.now()}
	err := r.ask(ctx, &a)
	if ctx.Err() != nil {
		return // we are closing; that says nothing about the phone
	}
	a.Answered, a.RTT = err == nil, r.now().Sub(a.Sent)
	defer r.asked(a)
	r.change(func(now time.Time) []RegEvent {
		if err == nil {
			return r.places.answered(p, a.RTT)
		}
		return r.places.unanswered(now, p, err == errFlowGone)
	})
}

// change runs one step of the bindings and hands on what happened.
func (r *Registrar) change(step func(now time.Time) []RegEvent) {
	if r.note(step) {
		r.nudge()
	}
	r.deliver()
}

// note runs one step of the bindings and puts what happened into the outbox. It
// reports whether something is now due earlier than before.
func (r *Registrar) note(step func(now time.Time) []RegEvent) (earlier bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, had := r.places.deadline()
	r.outbox = append(r.outbox, step(r.now())...)
	r.keep()
	after, has := r.places.deadline()
	return has && (!had || after.Before(before))
}

// nudge makes run look again at what is to be done.
func (r *Registrar) nudge() {
	select {
	case r.wake <- struct{}{}:
	default: // it has not yet followed the last nudge
	}
}

// deliver empties the outbox. Whoever finds it being emptied leaves: his events
// will be taken along, in order. To move a call may be to wait for whoever writes
// to its peer: that, and what came after it, is left to a goroutine of its own,
// for the caller may be the one that reads the socket.
func (r *Registrar) deliver() { r.empty(r.flows == nil) }

func (r *Registrar) empty(mayWait bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.delivering {
		return
	}
	r.delivering = true
	defer func() { r.delivering = false }()
	for len(r.outbox) > 0 {
		if !mayWait && slices.ContainsFunc(r.outbox, RegEvent.moves) {
			r.flows.start("following a phone", func() { r.empty(true) })
			return
		}
		events := r.outbox
		r.outbox = nil
		r.hand(events)
	}
}

// hand moves the calls of phones that have moved, and calls changed, without the lock.
// Should changed panic, the lock is taken back and the events after that one wait for
// the next delivery.
func (r *Registrar) hand(events []RegEvent) {
	r.mu.Unlock()
	handed := 0
	defer func() {
		r.mu.Lock()
		r.outbox = append(events[handed:], r.outbox...)
	}()
	for _, e := range events {
		handed++
		if e.moves() && r.flows != nil {
			r.flows.moved(e.User, e.before, flow{e.Binding.Transport, e.Binding.Source})
		}
		r.changed(e)
	}
}

// reject tells of a REGISTER that was refused.
func (r *Registrar) reject(user string, b Binding) {
	a, _ := r.account(user)
	user = a.User // "" if there is no such account, and else no piece of the message
	b.User = user
	r.mu.Lock()
	reachable := slices.ContainsFunc(r.places.users[user], func(p *phone) bool { return p.Reachable })
	r.outbox = append(r.outbox, RegEvent{Kind: RegRejected, User: user, Binding: b, Reachable: reachable})
	r.mu.Unlock()
	r.deliver()
}

// phase is when a new phone is first probed: anywhere in the interval, so that
// ten thousand phones that register together are not probed together.
func (r *Registrar) phase() time.Duration {
	if r.every <= 0 {
		return 0
	}
	return rand.N(r.every)
}
