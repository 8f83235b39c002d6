package main

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/cmd/foyer/config"
	"foyer/cmd/foyer/keeper"
	"foyer/ledger"
	"foyer/recorder"
	"foyer/rtp"
	"foyer/sip"
)

// exchange is the switch put together: it knows every part and none of them
// knows it. Its fields are set before serving and never replaced, but for the
// plan, which a reload swaps whole.
type exchange struct {
	log        *zap.Logger
	plan       atomic.Pointer[plan]
	journal    *journal
	board      *board
	calls      *callTable
	homes      *homeLines
	accounts   accounts
	edge       *sip.Edge
	registrar  *sip.Registrar
	media      *rtp.Media
	ringback   *rtp.Sound
	recordings *recorder.Store
	reserve    *reserve
	cdrs       *ledger.Store
	metrics    *metrics
	toll       *toll
	draining   atomic.Bool
	upgrading  atomic.Bool   // another program has been found good, or is being looked at
	reloading  sync.Mutex    // held by whoever reloads the configuration
	rehour     chan struct{} // asks hours to look at once
	promised   []acd.Event   // callbacks of the last life, to be asked for anew
	faults     [confinedParts]atomic.Uint64
	running
	tuning
}

// tuning is what no configuration sets. Its zero value is how a switch serves;
// tests shorten the times they would have to wait for.
type tuning struct {
	session sip.SessionPolicy
	t1      time.Duration
	onStep  func(c *call, msg any)                    // sees every message a call takes, before it does
	onPart  func(p confinedPart)                      // is called before whatever confined runs; a test breaks it there
	read    func(path string) (*config.Config, error) // reads the configuration again; nil: readApart
	stall   time.Duration                             // how long the board may do without listening; 0: stallAfter
	minute  time.Duration                             // how often the hours of callbacks are looked at; 0: a minute
	least   int                                       // bytes that must have been journalled for a checkpoint; 0: leastJournalled
	keeper  *keeper.Client                            // has kept what must outlive us; nil: nobody does
	plan    *plan                                     // of the configuration; nil: it is made
}

// carry hands a decision of the floor to the goroutine that can carry it out.
// It runs on the board: nothing here may wait. When the handing over breaks, the call
// that the decision was about ends, and no other.
func (ex *exchange) carry(a acd.Action) {
	if ex.confined(aDecision, ex.log, func() { ex.hand(a) }) {
		return
	}
	if id := acd.About(a); id != "" {
		ex.calls.post(id, ordered{by: acd.Switch, cause: acd.CausePanic})
	}
}

func (ex *exchange) hand(a acd.Action) {
	ex.metrics.acted(a)
	switch a := a.(type) {
	case acd.Offer:
		if a.Number != "" {
			ex.callbackFor(a.Call, a.Queue, a.Number)
		}
	case acd.Dial:
		ex.callbackFor(a.Call, a.Queue, a.Number)
	case acd.CallbackOver:
		ex.log.Info("callback over", zap.String("call", string(a.Call)), zap.String("queue", string(a.Queue)), zap.String("cause", a.Cause.String()))
	case acd.Prove:
		if ex.calls.card(a.Call) == nil {
			ex.log.Error("the floor had a call that is gone", zap.String("call", string(a.Call)))
			// Not from here: the board must not wait for its own ring.
			ex.wait.Go(func() {
				ex.board.post(acd.Event{Kind: acd.Gone, Call: a.Call, By: acd.Switch, Cause: acd.CauseLost})
			})
		}
	case acd.Moved:
		ex.log.Info("agent moved", zap.String("agent", string(a.Agent)), zap.String("from", a.From.String()),
			zap.String("to", a.To.String()), zap.String("reason", a.Reason), zap.String("cause", a.Cause.String()),
			zap.String("by", a.By.String()), zap.String("call", string(a.Call)))
	case acd.Overdue:
		ex.log.Warn("agent overdue", zap.String("agent", string(a.Agent)), zap.String("state", a.State.String()),
			zap.String("reason", a.Reason), zap.Duration("for", a.For))
	}
	if id := acd.About(a); id != "" {
		ex.calls.post(id, a)
	}
}

// phoneChanged turns the registrar's news into events of the floor.
func (ex *exchange) phoneChanged(e sip.RegEvent) {
	ex.metrics.registered(e)
	ex.homes.note(e.User, func(h *homeLine) { h.registered(time.Now(), e) })
	if e.Kind == sip.RegRejected {
		return
	}
	if e.Kind != sip.RegRefreshed {
		ex.log.Info("registration", zap.String("agent", e.User), zap.String("event", e.Kind.String()),
			zap.String("contact", e.Binding.Contact), zap.Stringer("source", e.Binding.Source),
			zap.String("transport", e.Binding.Transport), zap.Bool("reachable", e.Reachable))
	}
	kind := acd.Unreachable
	if e.Reachable {
		kind = acd.Reachable
	}
	// A phone that registers anew may be that of an agent whose link was lost, also
	// where nobody had noticed the loss.
	if ex.calls.reachableChanged(e.User, e.Reachable) || e.Kind == sip.RegAdded && e.Reachable {
		ev := acd.Event{Kind: kind, Agent: acd.AgentID(e.User)}
		if e.Kind == sip.RegRegained && ex.calls.hangs(ev.Agent) {
			ex.wait.Go(func() { ex.reachableAgain(ev) })
			return
		}
		ex.board.post(ev)
	}
}

// phoneAsked notes what came of asking a phone whether it is there.
func (ex *exchange) phoneAsked(a sip.Asked) {
	ex.homes.note(a.User, func(h *homeLine) { h.asked(a) })
}

// keep stores CDRs and counts what they tell.
func (ex *exchange) keep(rows []ledger.CDR) {
	rows = slices.DeleteFunc(rows, ex.finished)
	ex.cdrs.Put(rows...)
	for i := range rows {
		ex.forget(acd.CallID(rows[i].ID))
	}
	for i := range rows {
		if !rows[i].Again {
			ex.metrics.counted(&rows[i])
		}
	}
}

// finished says that a row which only guesses how a call ended, because the
// journal broke off, has nothing to add to the row there is.
func (ex *exchange) finished(row ledger.CDR) bool {
	if row.Cause != acd.CauseRestart.String() {
		return false
	}
	_, err := ex.cdrs.Get(context.Background(), row.ID)
	return err == nil
}

// callTable finds the goroutine of a call, and remembers what was last told of
// each agent's reachability so that refreshes make no events.
type callTable struct {
	mu        sync.Mutex
	calls     map[acd.CallID]*call // guarded by mu
	reachable map[string]bool      // guarded by mu
	hanging   map[acd.AgentID]bool // agents whose talk hangs by a lost link; guarded by mu
	idle      chan struct{}        // closed and replaced when the last call goes; guarded by mu
}

func newCallTable() *callTable {
	return &callTable{calls: map[acd.CallID]*call{}, reachable: map[string]bool{}, hanging: map[acd.AgentID]bool{}, idle: make(chan struct{})}
}

func (t *callTable) add(c *call) {
	t.mu.Lock()
	t.calls[c.id] = c
	t.mu.Unlock()
}

func (t *callTable) remove(c *call) {
	t.mu.Lock()
	delete(t.calls, c.id)
	if len(t.calls) == 0 {
		close(t.idle)
		t.idle = make(chan struct{})
	}
	t.mu.Unlock()
}

// post leaves msg in the mailbox of a call; one that is gone needs no more telling.
func (t *callTable) post(id acd.CallID, msg any) bool {
	t.mu.Lock()
	c := t.calls[id]
	t.mu.Unlock()
	return c != nil && c.box.post(msg)
}

// card returns what the console may know of a live call.
func (t *callTable) card(id acd.CallID) *card {
	t.mu.Lock()
	c := t.calls[id]
	t.mu.Unlock()
	if c == nil {
		return nil
	}
	return c.card.Load()
}

// has says whether a call is up.
func (t *callTable) has(id acd.CallID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls[id] != nil
}

// talksWith finds the call that an agent talks in; nil if there is none.
func (t *callTable) talksWith(agent acd.AgentID) *call {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.calls {
		if k := c.card.Load(); k != nil && k.agent == agent {
			return c
		}
	}
	return nil
}

// elsewhere are the calls that are up and no longer the floor's.
func (t *callTable) elsewhere() map[acd.CallID]*card {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := map[acd.CallID]*card{}
	for id, c := range t.calls {
		if k := c.card.Load(); k != nil && k.elsewhere != "" {
			found[id] = k
		}
	}
	return found
}

// postAll leaves msg with every call.
func (t *callTable) postAll(msg any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.calls {
		c.box.post(msg)
	}
}

// empty waits until no call is up or ctx ends, and says whether none is.
func (t *callTable) empty(ctx context.Context) bool {
	for {
		t.mu.Lock()
		n, idle := len(t.calls), t.idle
		t.mu.Unlock()
		if n == 0 {
			return true
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return false
		}
	}
}

func (t *callTable) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.calls)
}

func (t *callTable) byTrunk() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := map[string]int{}
	for _, c := range t.calls {
		if c.trunk != "" {
			n[c.trunk]++
		}
	}
	return n
}

func (t *callTable) reachableChanged(user string, reachable bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reachable[user] == reachable {
		return false
	}
	t.reachable[user] = reachable
	return true
}

func (t *callTable) isReachable(user string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reachable[user]
}

// newCallID makes an id that sorts by time and cannot be guessed: 48 bits of
// milliseconds, 64 of chance, in Crockford's base 32 without look-alikes.
func newCallID(now time.Time) acd.CallID {
	var b [14]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	rand.Read(b[6:]) // never fails (crypto/rand)
	return acd.CallID(crockford.EncodeToString(b[:]))
}

// bornAt is when a call id was made; false for what is no call id.
func bornAt(id acd.CallID) (time.Time, bool) {
	b, err := crockford.DecodeString(string(id))
	if err != nil || len(b) != 14 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b) >> 16)), true
}

var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
