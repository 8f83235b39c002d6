package sip

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// Options says what an Edge serves. Sockets are opened by the caller and closed
// by the Edge.
type Options struct {
	UserAgent string
	UDP       net.PacketConn // nil: not served
	TCP       net.Listener   // nil: not served, and no trunk is called by TCP
	TLS       net.Listener   // of plain TCP, on which the edge speaks TLS; nil: not served
	// UDP6, TCP6 and TLS6 are of the other IP version, where one socket does not
	// serve both.
	UDP6       net.PacketConn
	TCP6, TLS6 net.Listener
	TLSConfig  *tls.Config // of TLS; its GetConfigForClient is not used
	// Web says that WebSockets come by an HTTP server of the caller's (WebSocket).
	Web bool
	// PerSource is how many connections an address may have by which no phone has
	// registered; 0: 8, negative: any number. Trunks and whom no ban can meet may
	// have any number too.
	PerSource int
	// StreamPing is how long a connection is silent before we send a keep-alive;
	// 0: 30 s.
	StreamPing time.Duration
	// Host is what our Contact and Via carry when the socket listens on a wildcard
	// address, and with TLS: the name of the certificate.
	Host      string
	Trunks    []Trunk
	Registrar *Registrar            // nil: no agents
	Log       *zap.Logger           // nil: silent
	Trace     func(Traced)          // every message in and out, redacted; may be nil; must not block
	Traces    func(msg []byte) bool // whether a message is worth it, before it is copied; nil: each is
	Count     Counters              // may be nil
	Session   SessionPolicy
	// Flood says how much is looked at before messages are shed, and that strangers
	// are not answered. nil: nothing is shed, everybody is answered.
	Flood *FloodPolicy
	Now   func() time.Time // nil: time.Now
	// Look sees the Call-ID of every message before anything is done with it, and from
	// where it came; false: it is dropped without an answer. nil: all are looked at.
	Look func(callID string, from netip.AddrPort) bool
	// Keep is where legs are kept for the next process (Resume). nil: they are not.
	Keep Keep

	// Unanswered is how long a phone may leave an INVITE without any response
	// before it counts as unreachable; 0: 4 s, in which it is sent four times.
	Unanswered time.Duration

	// T1 is RFC 3261's estimate of a round trip, on which repeating a 200 and
	// giving up on an ACK or a BYE hang; 0: 500 ms.
	T1 time.Duration

	// Invite is called for every new call from a trunk, on a goroutine of its
	// own. The leg's transaction lives until it gets a final response; a leg
	// left without one when Invite returns is answered 500.
	Invite func(*Leg)
	// AgentInvite is the same for an INVITE an authenticated agent sends. nil: refused with 403.
	AgentInvite func(*Leg, string)
	// Resolver finds the hosts of trunks. nil: the machine's.
	Resolver Resolver
	// Draining refuses new calls (503, Retry-After) and answers OPTIONS 503 when true. nil: never.
	Draining func() bool
}

// timing is T1 and what hangs on it (RFC 3261 section 17.1.1.1). The library's
// transactions have their own.
type timing struct {
	t1, t2, give time.Duration // give: 64*T1
	unanswered   time.Duration
}

// Edge terminates SIP: transports, sanity, trunk and agent checks, legs. Any
// goroutine may call any method.
type Edge struct {
	o        Options
	tpl      *sip.TransportLayer
	txl      *sip.TransactionLayer
	tls      *tls.Config
	door     *door
	intake   *intake
	sockets  []socket
	sheets   sync.Pool // of *bytes.Buffer, in which messages are written
	trunks   *trunks
	hosts    *hosts
	outgoing *outgoing
	legs     *legs
	timing   timing
	gate     *gate // nil: nothing is shed
	counting bool
	secret   [32]byte
	parser   *sip.Parser

	nameless, userAgent, server, allow, supports sip.Header

	ready   chan struct{} // closed when what was resumed is in its place and sockets are read
	stop    context.CancelFunc
	stopped context.Context
	running sync.WaitGroup // goroutines that carry a request, a call being dialled or a timer
	faults  atomic.Uint64  // confined by guard

	mu      sync.Mutex
	closed  bool // no goroutine joins running any more
	served  chan struct{}
	resumed []*Leg // until Serve
	asleep  asleep
}

// NewEdge makes an edge. It answers nothing before Serve.
func NewEdge(o Options) (*Edge, error) {
	if len(o.packets()) == 0 && len(o.listeners()) == 0 && !o.Web {
		return nil, errors.New("edge: no socket to serve")
	}
	if (o.TLS != nil || o.TLS6 != nil) && o.TLSConfig == nil {
		return nil, errors.New("edge: TLS without a certificate")
	}
	e := &Edge{
		o: o.orDefault(), trunks: newTrunks(o.Trunks), outgoing: newOutgoing(), intake: newIntake(), legs: newLegs(), counting: o.Count != nil,
		ready:     make(chan struct{}),
		nameless:  sip.NewHeader("", ""),
		userAgent: sip.NewHeader("User-Agent", printable(o.UserAgent)),
		server:    sip.NewHeader("Server", printable(o.UserAgent)),
		allow:     sip.NewHeader("Allow", allowed),
		supports:  sip.NewHeader("Supported", supported),
	}
	var err error
	if e.secret, err = secretIn(o.Keep, tagsKey); err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	e.sheets.New = func() any { return new(bytes.Buffer) }
	e.door = newDoor(e, max(e.o.PerSource, 0))
	if o.TLSConfig != nil {
		e.tls = patient(o.TLSConfig)
	}
	e.hosts = newHosts(e.o.Resolver, e.o.Now)
	e.timing = timing{t1: e.o.T1, t2: 8 * e.o.T1, give: 64 * e.o.T1, unanswered: e.o.Unanswered}
	if e.o.Flood != nil {
		e.gate = newGate(*e.o.Flood, e.o.Now(), e.o.Log)
	}
	e.stopped, e.stop = context.WithCancel(context.Background())
	if err := e.bind(); err != nil {
		return nil, err
	}
	log := slog.New(libraryLog{log: e.o.Log, unparsed: e.unparsed})
	e.parser = sip.NewParser(sip.WithHeadersParsers(headerParsers()))
	e.tpl = sip.NewTransportLayer(nowhere(), e.parser, nil,
		sip.WithTransportLayerLogger(log),
		sip.WithTransportLayerReadFilter(e.filter))
	// Before the transaction layer, which registers itself: what it gets has been
	// through arrived.
	e.tpl.OnMessage(e.arrived)
	e.txl = sip.NewTransactionLayer(e.tpl,
		sip.WithTransactionLayerLogger(log),
		sip.WithTransactionLayerUnhandledResponseHandler(e.unmatched),
		sip.WithTransactionLayerTerminateOnConnClose())
	e.txl.OnRequest(e.dispatch)
	if e.o.Registrar != nil {
		e.o.Registrar.attach(e, e.o.Count.AuthFailure)
	}
	return e, nil
}

func (o Options) orDefault() Options {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Count == nil {
		o.Count = countNothing{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Unanswered <= 0 {
		o.Unanswered = 4 * time.Second
	}
	if o.T1 <= 0 {
		o.T1 = 500 * time.Millisecond
	}
	if o.PerSource == 0 {
		o.PerSource = perSource
	}
	if o.StreamPing <= 0 {
		o.StreamPing = pingEvery
	}
	o.Session = o.Session.orDefault()
	return o
}

// unparsed counts a datagram that was none. What came by the intake is counted
// there, by its transport.
func (e *Edge) unparsed() {
	if !e.intake.reading.Load() {
		e.o.Count.ParseError("udp")
	}
}

// Serve serves until ctx ends, Close is called or a socket fails, and returns
// when sockets and connections are closed and every goroutine has ended. Legs
// that are still there then are lost without a word to their peers: drain first,
// unless they are kept (Options.Keep) for the next process to resume.
// It may be called once.
func (e *Edge) Serve(ctx context.Context) error {
	e.mu.Lock()
	if e.served != nil || e.closed {
		e.mu.Unlock()
		return errors.New("edge: served already")
	}
	done := make(chan struct{})
	e.served = done
	e.mu.Unlock()
	defer close(done)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 8)
	var serving sync.WaitGroup
	for _, c := range e.o.packets() {
		r := e.read(datagrams{c, e.sent})
		<-r.begun // the library can write to it
		serving.Go(func() {
			err := r.serve()
			ended <- fmt.Errorf("edge: UDP socket ended: %w", errors.Join(err, net.ErrClosed))
		})
	}
	serving.Go(func() { _ = e.library(e.intake) })
	e.takeUp()
	for _, l := range e.o.listeners() {
		serving.Go(func() {
			ended <- fmt.Errorf("edge: %s socket ended: %w", l.transport, e.door.accept(l, l.transport))
		})
	}
	if e.o.Registrar != nil {
		serving.Go(func() { e.o.Registrar.run(ctx, e.guard) })
	}
	e.watchTrunks()
	var err error
	select {
	case <-ctx.Done():
	case <-e.stopped.Done():
	case err = <-ended:
	}
	e.leaveTrunks()
	cancel()
	e.shut()
	serving.Wait()
	e.running.Wait()
	// Whoever sent a request after the sockets had gone has had the library open
	// another in their place.
	_ = e.tpl.Close()
	return err
}

// shut loses the legs and closes everything.
func (e *Edge) shut() {
	e.stop()
	for _, l := range e.legs.all() {
		l.lose()
	}
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	for _, l := range e.legs.all() { // what came in between
		l.lose()
	}
	for _, c := range e.o.packets() {
		_ = c.Close()
	}
	for _, l := range e.o.listeners() {
		_ = l.Close()
	}
	e.door.close()
	_ = e.intake.Close()
	_ = e.tpl.Close()
	e.txl.Close()
}

// Close ends Serve and waits for it; an edge that never served closes its
// sockets.
func (e *Edge) Close() error {
	e.stop()
	e.mu.Lock()
	served := e.served
	e.mu.Unlock()
	if served == nil {
		e.shut()
		return nil
	}
	<-served
	return nil
}

// Legs returns the number of legs that have not ended: not answered yet, up, or
// waiting for the answer to their BYE.
func (e *Edge) Legs() int { return e.legs.count() }

// Faults returns how many faults of ours were confined to the message, leg,
// connection or socket they happened at.
func (e *Edge) Faults() uint64 { return e.faults.Load() }

// Connections returns how many connections others have opened, by transport.
func (e *Edge) Connections() map[string]int { return e.door.inside() }

// SetTrunks replaces the trunks (configuration reload). Calls that are up stay.
func (e *Edge) SetTrunks(list []Trunk) {
	e.trunks.set(list)
	e.mu.Lock()
	serving := e.served != nil && !e.closed
	e.mu.Unlock()
	if serving {
		e.watchTrunks()
	}
}

// TrunkCalls returns the number of calls up on each trunk.
func (e *Edge) TrunkCalls() map[string]int { return e.trunks.inUse() }

// enter lets a goroutine begin that Serve will wait for.
func (e *Edge) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.running.Add(1)
	}
	return !e.closed
}

// start runs f on a goroutine that Serve waits for, if the edge is not closed.
func (e *Edge) start(doing string, f func()) bool {
	if !e.enter() {
		return false
	}
	go func() {
		defer e.running.Done()
		e.guard(doing, f)
	}()
	return true
}

func (e *Edge) draining() bool { return e.o.Draining != nil && e.o.Draining() }

// connected reports whether the connection of a flow stands. A datagram flow
// always does.
func (e *Edge) connected(transport string, remote netip.AddrPort) bool {
	f := flow{transport, remote}
	if transport == "udp" {
		return e.bound(f).IsValid()
	}
	return e.streamTo(f) != nil
}

// exempt reports whether an address is spared limits by source.
func (e *Edge) exempt(a netip.Addr) bool {
	if e.trunks.of(a, "") != nil {
		return true
	}
	return e.o.Registrar != nil && e.o.Registrar.bans.exempt(a)
}

// request starts a client transaction on the flow that the transport and the
// destination of req name. Via and User-Agent are added if they are missing.
func (e *Edge) request(ctx context.Context, req *sip.Request) (sip.ClientTransaction, error) {
	tx, err := e.send(ctx, req)
	if err != nil {
		return nil, err // a nil *sip.ClientTx would be no nil interface
	}
	return tx, nil
}

func (e *Edge) send(ctx context.Context, req *sip.Request) (*sip.ClientTx, error) {
	remote, err := netip.ParseAddrPort(req.Destination())
	if err != nil {
		return nil, fmt.Errorf("destination of %s: %w", req.Method, err)
	}
	if !e.open() {
		return nil, fmt.Errorf("%s to %s: %w", req.Method, remote, errClosed)
	}
	f := flow{sip.NetworkToLower(req.Transport()), remote}
	if err := e.reach(ctx, f); err != nil {
		return nil, fmt.Errorf("%s to %s: %w", req.Method, remote, err)
	}
	if req.Via() == nil {
		req.PrependHeader(e.via(f))
		if req.Contact() == nil {
			req.AppendHeader(e.contact(f))
		}
		if e.o.UserAgent != "" {
			req.AppendHeader(e.userAgent)
		}
		e.by(req, f)
	}
	tx, err := e.txl.Request(ctx, req)
	e.asleep.wake(req)
	return tx, err
}
