package sip

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// A process that was killed leaves the records of its legs. The next one takes them
// over before it reads its sockets: what came meanwhile is still in them. To the
// peers nothing has happened but silence, so whatever they wait for is sent again as
// a repetition of what it was, by the same branch and with the same tags, and what
// may have been said already is never said again with another content.

var (
	errServes = errors.New("the edge serves already")
	errTwice  = errors.New("the leg is there already")
	errClosed = errors.New("the edge is closed")
)

// takenUp is an INVITE that a caller sent to the process before, and that goes through
// the library once more to get a transaction.
type takenUp struct {
	leg  *Leg
	flow flow
	done chan struct{} // closed when its leg has the transaction
}

// rebuilding is how long the library may take for that; it takes microseconds.
const rebuilding = 5 * time.Second

// Standing is what the owner of a resumed leg has to know. That the leg is Up, or
// that Acked is set, may be news to it: the process may have died before the event
// was carried on. A leg of which there is no record any more is over.
type Standing struct {
	Phase  Phase
	Server bool
	Owner  string // of the Dial
	Sent   []byte // last description we sent
	Heard  []byte // last description they sent
	Early  bool   // a description was agreed on before the answer
	Acked  bool   // server legs that are up: the ACK has come
	// Referral is the Token of the Referred that was accepted and has had no final
	// Report; 0: there is none.
	Referral uint64
}

// Standing tells how the leg stands.
func (l *Leg) Standing() Standing {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Standing{Phase: l.phase, Server: l.server, Owner: l.owner, Sent: l.sdp, Heard: l.heard, Early: l.agreedEarly}
	s.Acked = l.server && l.phase == Up && (l.unacked == nil || !l.unacked.initial)
	if l.referral != nil {
		s.Referral = l.referral.token
	}
	return s
}

// Resume takes over a leg that the process before has kept, before Serve. Nothing is
// sent and no event comes before Serve: methods that answer an INVITE, and Hangup,
// wait for it. The error says that the record is none, and had better be deleted by
// its key.
//
// Legs go on as they were: requests inside the dialog both ways, the session timer
// at its own time, a 200 without its ACK, an INVITE of ours, a BYE. An INVITE that
// came by a connection is lost with it: its leg is Over, with Cancelled to be told. A
// leg to a phone by a connection is not: it waits 32 s for the phone to be heard by
// another, with what it has to say, and goes on from there.
//
// What was told in the last moments of the process before may be told again.
func (e *Edge) Resume(record []byte) (*Leg, error) {
	var r legRecord
	if err := legRecords.Read(record, &r); err != nil {
		return nil, fmt.Errorf("resume: %w: %w", errRecord, err)
	}
	if r.Version != recordVersion || r.Phase >= Over || r.CallID == "" || r.Tag == "" || r.Server && r.Theirs == "" {
		return nil, fmt.Errorf("resume: %w: version %d, phase %d", errRecord, r.Version, r.Phase)
	}
	l, err := e.legOf(&r)
	if err != nil {
		return nil, fmt.Errorf("resume %s: %w", r.CallID, err)
	}
	if err := e.resume(l); err != nil {
		return nil, fmt.Errorf("resume %s: %w", r.CallID, err)
	}
	l.last = nil // it has been waited for
	if t, known := e.trunks.named(l.trunk); known && l.phase != Leaving {
		l.free = t.take()
	}
	if l.phase == Opening && l.server && l.dialog.flow.transport != "udp" {
		l.lose()
	}
	return l, nil
}

// resume enters a leg among those that Serve will put to work.
func (e *Edge) resume(l *Leg) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.served != nil || e.closed {
		return errServes
	}
	if e.legs.find(l.id, l.tag) != nil || !e.legs.add(l) {
		return errTwice
	}
	e.resumed = append(e.resumed, l)
	return nil
}

// takeUp puts resumed legs to work and then lets messages be sent and read.
func (e *Edge) takeUp() {
	e.mu.Lock()
	legs := e.resumed
	e.resumed = nil
	e.mu.Unlock()
	for _, l := range legs {
		if !l.rebuild() {
			l.lose()
		}
	}
	for _, l := range legs {
		e.asleep.add(l.left.invite, l.left.offer)
	}
	close(e.ready)
	for _, l := range legs {
		e.guard("going on with a call", l.goOn)
	}
}

// asleep are the branches of requests that the process before has sent and this one
// has not sent again yet. The library has no transaction for them, and for a moment one
// that an answer would break: what comes is dropped, and comes again.
type asleep struct {
	any      atomic.Int32
	branches sync.Map
}

func (a *asleep) add(requests ...*sip.Request) {
	for _, req := range requests {
		if req != nil {
			a.branches.Store(branchOf(req), nil)
			a.any.Add(1)
		}
	}
}

func (a *asleep) wake(req *sip.Request) {
	if a.any.Load() == 0 {
		return
	}
	if _, was := a.branches.LoadAndDelete(branchOf(req)); was {
		a.any.Add(-1)
	}
}

func (a *asleep) has(res *sip.Response) bool {
	if a.any.Load() == 0 {
		return false
	}
	via := res.Via()
	if via == nil {
		return false
	}
	branch, _ := via.Params.Get("branch")
	_, is := a.branches.Load(branch)
	return is
}

// open waits until the edge serves. It reports whether it does.
func (e *Edge) open() bool {
	select {
	case <-e.ready:
		return true
	default:
	}
	select {
	case <-e.ready:
		return true
	case <-e.stopped.Done():
		return false
	}
}

// rebuild gives a leg whose INVITE waits for its answer a transaction. It reports
// whether there is one, where there must be.
func (l *Leg) rebuild() bool {
	l.mu.Lock()
	waits, f, invite := l.server && l.phase == Opening, l.dialog.flow, l.invite
	l.mu.Unlock()
	if !waits {
		return true
	}
	e := l.e
	conn := e.connectionOf(f)
	if conn == nil {
		return false
	}
	// Where the library has not heard from it would open a socket to answer.
	e.tpl.Pool("udp").Add(f.remote.String(), conn)
	a := &takenUp{l, f, make(chan struct{})}
	if !e.intake.handAgain(a, invite) {
		return false
	}
	patience := time.NewTimer(rebuilding)
	defer patience.Stop()
	select {
	case <-a.done:
		return true
	case <-patience.C:
		e.o.Log.Error("an INVITE was not taken up again", zap.String("call_id", l.id))
		return false
	}
}

// invitedAgain is invited for an INVITE that the process before had in hand: it is
// the same leg's, and the same response is the last.
func (e *Edge) invitedAgain(req *sip.Request, tx *sip.ServerTx, a *takenUp) {
	l := a.leg
	l.mu.Lock()
	l.asServer = &asked{req, tx}
	res := e.trying(req)
	if r := l.left.rang; r != nil {
		l.left.rang = nil
		res = l.provisional(r.Code, r.SDP)
		if r.RSeq > 0 {
			demandPrack(res, r.RSeq)
			l.awaitPrack(&unpracked{res: res, rseq: r.RSeq, sdp: len(r.SDP) > 0, wait: e.timing.t1})
		} else {
			l.rang = res
			l.keepRinging()
		}
	}
	if l.left.cancelled {
		l.turnAway(&refusal{code: sip.StatusRequestTerminated})
		l.post(Cancelled{})
	} else {
		_ = e.tell(req, tx, res) // its failure is seen by Wait
	}
	l.mu.Unlock()
	l.mayBeCancelled(req, tx)
	close(a.done)
	l.Wait()
	absorbAck(tx)
}

// goOn does what a resumed leg has been waiting to do.
func (l *Leg) goOn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.phase == Over:
		return
	case !l.server && l.phase <= GivingUp:
		l.e.start("dialling again", func() { l.dial(l.redial) })
		return
	case l.adrift != nil:
		l.drift = time.AfterFunc(l.e.timing.give, func() { l.e.start("giving a phone up", l.stranded) })
	}
	now := l.e.o.Now()
	switch l.phase {
	case Leaving:
		l.sayGoodbye()
	case Up:
		if u := l.unacked; u != nil {
			u.wait, u.waited = l.e.timing.t1, max(now.Sub(u.since), 0)
			l.sayAgain(u)
			l.repeatAfter(u)
		}
		if l.ours != nil {
			l.e.by(l.left.offer, l.dialog.flow)
			l.offerOut(l.ours, l.left.offer)
		} else if s := &l.session; s.by == we && s.refresh.IsZero() {
			s.refresh = now // it waited for its turn
		}
		l.schedule()
	}
}

// redial returns the INVITE of a leg that was ringing: the same, by the same branch,
// so that the phone takes it for a copy and repeats what it last said. It waits for a
// phone whose connection is gone.
func (l *Leg) redial() *sip.Request {
	l.mu.Lock()
	adrift := l.adrift
	l.mu.Unlock()
	if adrift != nil {
		patience := time.NewTimer(l.e.timing.give)
		defer patience.Stop()
		select {
		case <-adrift:
		case <-patience.C:
			l.unreachable(sip.StatusServiceUnavailable)
			return nil
		case <-l.e.stopped.Done():
			return nil
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	inv := l.left.invite
	l.e.by(inv, l.dialog.flow)
	return inv
}

// takeBack cancels an INVITE that was given up in the process before, or while
// nobody could be told. What comes of it goes to unmatched.
func (l *Leg) takeBack(inv *sip.Request) {
	if l.left != nil && l.left.invite == inv {
		l.e.legs.forget(inv)
		l.cancel(inv)
	}
}

// ashore says what a leg had to say when the peer's connection was gone. The caller
// holds mu.
func (l *Leg) ashore() {
	if l.adrift == nil {
		return
	}
	close(l.adrift)
	l.adrift = nil
	switch l.phase {
	case Leaving:
		l.sayGoodbye()
	case Up:
		if l.unacked != nil {
			l.sayAgain(l.unacked)
		}
		l.turn()
	}
}

// stranded stops waiting for a phone to be heard by another connection. What there
// is to say is said into the void, and fails.
func (l *Leg) stranded() {
	defer l.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.adrift == nil {
		return
	}
	l.adrift = nil
	if l.phase == Leaving {
		l.move(Over)
	}
	l.turn()
}

// askedAgain answers a copy of an INVITE that the process before has answered.
func (l *Leg) askedAgain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u := l.unacked; u != nil && u.tx == nil && u.initial {
		l.sayAgain(u)
	}
}

// repeats answers a copy of a request inside the dialog that the process before has
// answered, and reports whether it is one. Within a process that is done by the
// request's transaction.
func (l *Leg) repeats(req *sip.Request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u := l.unacked; u != nil && u.tx == nil && isTo(u.res, req) {
		l.sayAgain(u)
		return true
	}
	if l.left == nil || !isTo(l.left.said, req) {
		return false
	}
	if conn := l.e.connectionOf(l.dialog.flow); conn != nil {
		if err := conn.WriteMsg(l.left.said); err != nil {
			l.e.o.Log.Debug("response not repeated", zap.Error(err))
		}
	}
	return true
}

// isTo reports whether a response is to a request.
func isTo(res *sip.Response, req *sip.Request) bool {
	return res != nil && res.CSeq().SeqNo == req.CSeq().SeqNo && res.CSeq().MethodName == req.Method
}

// connectionOf is what a flow is written to; nil if it is gone.
func (e *Edge) connectionOf(f flow) sip.Connection {
	if f.transport == "udp" {
		own := e.listening(f).name
		if c, err := e.tpl.GetConnection("udp", own.String()); err == nil {
			return c
		}
	} else if s := e.streamTo(f); s != nil {
		return s
	}
	return nil
}
