package sip

import (
	"errors"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// Leg is one side of a call on the signalling wire: as server, a carrier that
// rang us; as client, a phone we ring or a number we call by a trunk. Its methods are called from the one
// goroutine that owns the call; they send and return, never waiting for the
// peer. What the peer does arrives, in CSeq order, at the leg's sink. After
// Hangup or Reject nothing more arrives.
//
// Inside, requests of the peer come through box one at a time; timers and
// answers of the peer come on goroutines of their own. mu guards what follows
// it and is held while sending, so that numbers leave in order; it is never
// held while the sink is called.
type Leg struct {
	e        *Edge
	server   bool
	id       string // Call-ID
	tag      string // ours
	caller   Caller
	called   string
	to       string
	trunk    string // "": a phone's
	offer    []byte
	user     string // the agent whose phone it is; "": a trunk's
	owner    string
	instead  *Leg
	diverted []Diversion
	vouched  Vouched
	hops     int
	free     func()                       // gives the trunk's channel back
	final    chan struct{}                // server legs: closed when the INVITE has its final response
	first    uint32                       // server legs: CSeq of the INVITE
	branch   string                       // and its branch
	asking   *atomic.Pointer[Leg]         // server legs: this leg until its INVITE is answered
	theirs   atomic.Pointer[string]       // their tag; nil until it is known
	places   atomic.Pointer[[]netip.Addr] // a trunk's legs: addresses that are theirs whatever Allow says
	box      inbox
	place    place     // legs to phones: whose; else zero
	last     *Leg      // the one to the same phone before, until this one's INVITE leaves
	left     *leftover // of a leg that was resumed; else nil

	mu          sync.Mutex
	phase       phase
	dialog      dialog
	ringing     *time.Timer      // server legs: repeats our last provisional response
	rang        *sip.Response    // that response
	asServer    *asked           // server legs: the INVITE until it is answered
	quit        chan struct{}    // client legs: closed by Hangup before the answer
	end         ending           // legs to phones
	why         Reason           // what Hangup said then
	account     account          // calls out: answers a challenge of the INVITE
	ahead       []netip.AddrPort // calls out: places of the trunk that are left to try
	goodbye     *Reason          // their BYE came before the 2xx it belongs to
	unacked     *unacked
	ack         *sip.Request // of the last 2xx to an INVITE of ours, to be repeated
	ackSince    time.Time
	session     sessionTimer
	least       time.Duration     // Min-SE they told us
	alarm       *time.Timer       // of session
	sdp         []byte            // last description we sent
	heard       []byte            // last description they sent
	updates     bool              // they allow UPDATE
	pending     *pending          // re-INVITE or UPDATE of theirs that the call has not answered
	ours        *wanted           // a re-INVITE or UPDATE of ours that is out
	want        *wanted           // an offer or refresh of ours that waits for its turn
	truce       *time.Timer       // after glare: runs until it may be our turn again
	referral    *referral         // a REFER of theirs that has no final word
	refers      int               // REFERs taken
	notices     []*sip.Request    // NOTIFYs to be sent, the first of them under way
	told        chan struct{}     // closed when none is left
	reliably    bool              // server legs: the caller demands to acknowledge provisional responses
	unpracked   *unpracked        // one that waits for that
	overtaken   uint32            // the number of one that the answer has overtaken
	rseq        uint32            // server legs: of the next one
	rseqs       map[string]uint32 // client legs: of the last one, by the tag of its sender
	agreedEarly bool              // a description was agreed on before the answer
	tokens      uint64
	adrift      chan struct{} // the connection died with the process before; closed when the peer is heard by another
	drift       *time.Timer   // gives up waiting for that
	invite      []byte        // the INVITE until it is answered, to be kept
	reserved    uint32        // the CSeq number of ours up to which all may be used without keeping that
	heeded      uint32        // CSeq of the last request of theirs that changed what is kept; 0: none
	unkept      bool          // there is no record
	presses     []Info        // keys that wait to be pressed for the peer
	pressing    bool          // a goroutine presses them
	sink        func(LegEvent)
	events      []LegEvent // not yet handed to sink
	delivering  bool
}

// phase is how far a leg has come.
type phase uint8

const (
	opening phase = iota // INVITE without a final response
	giving               // client legs: we gave up and wait for what becomes of the INVITE
	up                   // answered
	leaving              // we have sent BYE and wait for its answer
	over
)

// moves lists the legal changes of phase.
var moves = [...][]phase{
	opening: {giving, up, over},
	giving:  {leaving, over},
	up:      {leaving, over},
	leaving: {over},
	over:    {},
}

// Phase is how far a leg has come, for the owner of one that was resumed.
type Phase = phase

// The phases of a leg.
const (
	Opening  = opening // not answered yet
	GivingUp = giving  // ours, and being cancelled
	Up       = up      // answered
	Leaving  = leaving // BYE is on its way
	Over     = over
)

func (p phase) String() string {
	return [...]string{"opening", "giving up", "up", "leaving", "over"}[p]
}

var errOver = errors.New("leg is not in a state for this")

// SIPCallID returns the Call-ID.
func (l *Leg) SIPCallID() string { return l.id }

// Caller returns who calls, on server legs.
func (l *Leg) Caller() Caller { return l.caller }

// Called returns, on server legs, the user part of the Request-URI, unescaped
// and without parameters.
func (l *Leg) Called() string { return l.called }

// To returns, on server legs, the user part of To: the number that was dialled,
// where the Request-URI names an account of ours.
func (l *Leg) To() string { return l.to }

// Diversions returns, on server legs, who passed the call on, the last one first.
func (l *Leg) Diversions() []Diversion { return l.diverted }

// Hops returns, on server legs, how many times the call may still be passed on.
func (l *Leg) Hops() int { return l.hops }

// Vouched returns, on server legs, what is claimed of the caller's number.
func (l *Leg) Vouched() Vouched { return l.vouched }

// Trunk returns the id of the trunk the call came from or goes by, "" for a
// call to a phone.
func (l *Leg) Trunk() string { return l.trunk }

// SDP returns the INVITE's body on server legs; nil when the offer is delayed.
func (l *Leg) SDP() []byte { return l.offer }

// Transport returns udp or tcp.
func (l *Leg) Transport() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dialog.flow.transport
}

// Remote returns where the peer's signalling really comes from.
func (l *Leg) Remote() netip.AddrPort {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dialog.flow.remote
}

// Local returns our address on that flow, never a wildcard.
func (l *Leg) Local() netip.AddrPort {
	l.mu.Lock()
	f := l.dialog.flow
	l.mu.Unlock()
	return l.e.local(f)
}

// Listen sets where the leg's events go; events that came before are delivered
// at once. The sink must not block.
func (l *Leg) Listen(sink func(LegEvent)) {
	l.mu.Lock()
	l.sink = sink
	l.mu.Unlock()
	l.deliver()
}

// post notes an event; the caller holds mu and calls deliver after letting go.
func (l *Leg) post(ev LegEvent) { l.events = append(l.events, ev) }

// deliver hands events to the sink. Whoever finds them being handed over leaves:
// his will be taken along, in order.
func (l *Leg) deliver() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.delivering && l.sink != nil && len(l.events) > 0 {
		events, sink := l.events, l.sink
		l.events = nil
		l.delivering = true
		l.mu.Unlock()
		for _, ev := range events {
			l.e.guard("sink of a leg", func() { sink(ev) })
		}
		l.mu.Lock()
		l.delivering = false
	}
}

// move changes the phase and does what belongs to the change. The caller holds
// mu. It reports whether the move was legal; if not, nothing happened.
func (l *Leg) move(to phase) bool {
	legal := false
	for _, p := range moves[l.phase] {
		legal = legal || p == to
	}
	if !legal {
		return false
	}
	from := l.phase
	l.phase = to
	if from == opening && l.server {
		close(l.final)
		l.asking.Store(nil)
		if l.ringing != nil {
			l.ringing.Stop()
			l.rang = nil
		}
		l.stopPrack()
		l.asServer = nil
	}
	if to == leaving || to == over {
		l.free()
		l.stopTimers()
		l.want = nil
		l.refusePending()
	}
	if to == over {
		l.end.acknowledged()
		l.e.legs.remove(l)
		l.leaveAck()
		l.unkeep()
	}
	if to == up || to == over {
		l.invite = nil
	}
	return true
}

func (l *Leg) stopTimers() {
	l.session.stop()
	if l.alarm != nil {
		l.alarm.Stop()
	}
	if l.truce != nil {
		l.truce.Stop()
	}
	if l.drift != nil && l.phase == over {
		l.drift.Stop()
	}
	l.acknowledged()
}

// lose ends a leg whose edge closes or whose handling broke: nothing is sent,
// and whoever owns it is told.
func (l *Leg) lose() {
	l.mu.Lock()
	was := l.phase
	if l.move(over) {
		switch {
		case was == up:
			l.post(Ended{Why: FlowLost})
		case was == opening && l.server:
			l.post(Cancelled{})
		case was == opening:
			l.post(Refused{Code: sip.StatusServiceUnavailable, Reason: "Service Unavailable", Unreachable: true})
		}
	}
	if l.quit != nil && was == opening {
		close(l.quit)
	}
	l.mu.Unlock()
	l.deliver()
}

// start runs f beside, for the leg, as edges do. Should it break, the leg ends, and
// whoever owns it is told: what it was to do next would never be done.
func (l *Leg) start(doing string, f func()) bool {
	return l.e.start(doing, func() {
		if !l.e.guard(doing, f) && !l.e.guard("ending a leg", l.breakOff) {
			l.lose()
		}
	})
}

func (l *Leg) breakOff() {
	defer l.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.phase == up:
		l.leave(Reason{SIP: sip.StatusInternalServerError, Text: "Internal error"})
		l.post(Ended{Why: Broken})
	case l.phase == opening && l.server:
		l.turnAway(&refusal{code: sip.StatusInternalServerError})
		l.post(Cancelled{Reason: Reason{SIP: sip.StatusInternalServerError, Text: "Internal error"}, Broken: true})
	}
}

// guard runs f and confines a broken invariant of ours to it. It reports
// whether f came through.
func (e *Edge) guard(doing string, f func()) (whole bool) {
	defer func() {
		if p := recover(); p != nil {
			e.faults.Add(1)
			e.o.Log.Error("broken: "+doing, zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			whole = false
		}
	}()
	f()
	return true
}
