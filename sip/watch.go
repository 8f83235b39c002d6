package sip

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// watch is what is known of a trunk at this moment. A trunk that is pinged or
// registered has a goroutine that runs look, until end is called.
type watch struct {
	trunk  Trunk
	before *watch // the same trunk's before a reload: its registration ends before ours begins
	quit   context.Context
	end    context.CancelFunc
	ended  chan struct{} // closed when look has returned
	wake   chan struct{} // something is due sooner than was thought

	theirs atomic.Pointer[[]netip.Addr] // addresses of places and registrars

	mu         sync.Mutex
	begun      bool // there is a look
	pulse      pulse
	enrol      enrolment
	since      time.Time        // when the trunk last turned up or down; zero: neither is known
	told       bool             // it was up then
	places     []netip.AddrPort // of the host
	registrars []netip.AddrPort // of the registrar
	at         netip.AddrPort   // where we are registered
	routes     []sip.Uri        // Service-Route (RFC 3608) of our registration
	path       []string         // Path (RFC 3327): how the carrier reaches us
}

func newWatch(t Trunk, before *watch) *watch {
	w := &watch{trunk: t, before: before, ended: make(chan struct{}), wake: make(chan struct{}, 1)}
	w.quit, w.end = context.WithCancel(context.Background())
	if t.Host != "" {
		w.pulse.every = t.Ping
	}
	w.enrol.asks = t.Registration.Expires
	return w
}

// needed reports whether there is anything to be watched.
func (w *watch) needed() bool { return w.pulse.every > 0 || w.trunk.Registration.Expires > 0 }

// has reports whether an address is one of those that the trunk's host and registrar
// were found at. It is asked for every request of a stranger.
func (w *watch) has(addr netip.Addr) bool {
	theirs := w.theirs.Load()
	return theirs != nil && slices.Contains(*theirs, addr)
}

// found notes where the trunk's host or its registrar is. The caller holds mu.
func (w *watch) found(at *[]netip.AddrPort, places []netip.AddrPort) {
	*at = places
	var addrs []netip.Addr
	for _, p := range slices.Concat(w.places, w.registrars) {
		addrs = append(addrs, p.Addr())
	}
	w.theirs.Store(&addrs)
}

// TrunkState is what is known of a trunk.
type TrunkState struct {
	ID      string
	Watched bool // it is pinged or registered; if not, Up is an assumption
	Up      bool // calls are sent to it
	Why     string
	Since   time.Time // when it last went up or down; zero: it is not known yet

	Registered bool
	Until      time.Time      // the registration's end, if there is one
	At         netip.AddrPort // where it is registered
	Path       []string
	Places     []netip.AddrPort // of its host, in the order they would be tried; nil: not looked up yet

	Pinged bool
	RTT    time.Duration // of the last OPTIONS that was answered
	Code   int           // of the last OPTIONS, 0: not answered
	Missed int           // OPTIONS in a row
	Next   time.Time     // OPTIONS or REGISTER

	Calls int
}

// TrunkStates returns what is known of every trunk, in their order.
func (e *Edge) TrunkStates() []TrunkState {
	lines := e.trunks.all()
	list := make([]TrunkState, len(lines))
	for i, l := range lines {
		list[i] = l.watch.state(e.o.Now())
		list[i].Calls = int(l.calls.Load())
	}
	return list
}

// TrunkUp reports whether a trunk takes calls as far as is known: it is registered
// if it should be, answers if it is asked, and has an address that was not silent
// when a call was last sent there, and has not asked to be left alone.
func (e *Edge) TrunkUp(id string) bool {
	l, known := e.trunks.named(id)
	if !known {
		return false
	}
	s := l.watch.state(e.o.Now())
	return s.Up && (len(s.Places) == 0 || e.hosts.anyOf(s.Places))
}

func (w *watch) state(now time.Time) TrunkState {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := TrunkState{
		ID: w.trunk.ID, Watched: w.needed(), Since: w.since, Places: w.places, Path: w.path,
		Pinged: w.pulse.every > 0, RTT: w.pulse.rtt, Code: w.pulse.code, Missed: w.pulse.missed, Next: w.due(),
	}
	s.Up, s.Why = w.judge(now)
	if w.enrol.up(now) {
		s.Registered, s.Until, s.At = true, w.enrol.until, w.at
	}
	return s
}

// judge says whether the trunk takes calls, and why not. The caller holds mu.
func (w *watch) judge(now time.Time) (up bool, why string) {
	switch {
	case w.pulse.down:
		return false, w.pulse.why
	case w.enrol.asks == 0 || w.enrol.up(now):
		return true, ""
	case w.enrol.why == "":
		return false, "it is not registered yet"
	}
	return false, w.enrol.why
}

// due is when look has something to do next. The caller holds mu.
func (w *watch) due() time.Time {
	p, r := w.pulse.next, w.enrol.next
	if end := w.enrol.until; !end.IsZero() && end.Before(r) {
		r = end // it lapses
	}
	switch {
	case w.enrol.asks == 0:
		return p
	case w.pulse.every == 0 || r.Before(p):
		return r
	default:
		return p
	}
}

// watchTrunks begins the watches that are needed and not begun.
func (e *Edge) watchTrunks() {
	for _, l := range e.trunks.all() {
		if w := l.watch; w.needed() && w.begin() && !e.start("watching a trunk", func() { e.look(w) }) {
			close(w.ended)
		}
	}
}

// begin reports whether the watch had not begun; now it has.
func (w *watch) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.begun {
		return false
	}
	w.begun = true
	return true
}

// over waits until a watch that has begun has ended, or ctx has.
func (w *watch) over(ctx context.Context) {
	w.mu.Lock()
	begun := w.begun
	w.mu.Unlock()
	if !begun {
		return
	}
	select {
	case <-w.ended:
	case <-ctx.Done():
	}
}

// farewell is how long a carrier may take to answer that it has forgotten us.
const farewell = time.Second

// leaveTrunks ends every watch, which takes its registration back: a carrier that
// has been told sends the next call elsewhere at once.
func (e *Edge) leaveTrunks() {
	ctx, cancel := context.WithTimeout(e.stopped, 2*farewell)
	defer cancel()
	for _, l := range e.trunks.all() {
		l.watch.end()
	}
	for _, l := range e.trunks.all() {
		l.watch.over(ctx)
	}
}

// look pings a trunk and keeps it registered until its watch is told to end.
func (e *Edge) look(w *watch) {
	defer close(w.ended)
	ctx, cancel := context.WithCancel(w.quit)
	defer cancel()
	defer context.AfterFunc(e.stopped, cancel)()
	if w.before != nil {
		w.before.over(e.stopped)
		w.before = nil
	}
	r := &registering{e: e, w: w, account: w.trunk.account(), callID: sip.GenerateTagN(24), tag: sip.GenerateTagN(12)}
	for ctx.Err() == nil {
		now := e.o.Now()
		w.mu.Lock()
		ping := w.pulse.every > 0 && !now.Before(w.pulse.next)
		enrol := w.enrol.asks > 0 && !now.Before(w.enrol.next)
		due := w.due()
		w.mu.Unlock()
		switch {
		case enrol:
			r.refresh(ctx)
		case ping:
			e.pingTrunk(ctx, w)
		default:
			timer := time.NewTimer(due.Sub(now))
			select {
			case <-timer.C:
			case <-w.wake:
			case <-ctx.Done():
			}
			timer.Stop()
		}
		e.lapsed(w)
	}
	r.leave()
}

// turn carries out a change of what is known of a trunk, and tells of it if the
// trunk goes up or down by it.
func (e *Edge) turn(w *watch, change func(now time.Time)) {
	now := e.o.Now()
	w.mu.Lock()
	change(now)
	up, why := w.judge(now)
	turned := w.decided(now) && (w.since.IsZero() || up != w.told)
	if turned {
		w.since, w.told = now, up
	}
	at := w.at
	w.mu.Unlock()
	switch {
	case turned && up:
		e.o.Log.Info("trunk up", zap.String("trunk", w.trunk.ID), zap.Stringer("registered_at", at))
	case turned:
		e.o.Log.Warn("trunk down", zap.String("trunk", w.trunk.ID), zap.String("why", why))
	}
}

// decided reports whether enough has happened to say whether the trunk is up. The
// caller holds mu.
func (w *watch) decided(now time.Time) bool {
	return (w.pulse.every == 0 || w.pulse.down || w.pulse.code != 0) &&
		(w.enrol.asks == 0 || w.enrol.up(now) || w.enrol.why != "")
}

// lapsed notes that a registration has run out while it could not be refreshed.
func (e *Edge) lapsed(w *watch) {
	e.turn(w, func(now time.Time) {
		if !w.enrol.until.IsZero() && !w.enrol.up(now) {
			w.enrol.until = time.Time{}
		}
	})
}

// doubt lets a trunk be asked at once, of which a call got no answer.
func (w *watch) doubt(now time.Time) {
	w.mu.Lock()
	w.pulse.doubt(now)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
