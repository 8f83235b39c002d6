package sip

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/netip"
	"sync"
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
	Host      string         // what our Contact and Via carry when the socket listens on a wildcard address
	Trunks    []Trunk
	Registrar *Registrar   // nil: no agents
	Log       *zap.Logger  // nil: silent
	Trace     func(Traced) // every message in and out, redacted; may be nil; must not block
	Count     Counters     // may be nil
	Session   SessionPolicy
	Now       func() time.Time // nil: time.Now

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
	trunks   *trunks
	hosts    *hosts
	outgoing *outgoing
	legs     *legs
	timing   timing
	counting bool
	seeds    [2]maphash.Seed

	udpBound, tcpBound                           netip.AddrPort
	udpAddr                                      sip.Addr
	nameless, userAgent, server, allow, supports sip.Header

	stop    context.CancelFunc
	stopped context.Context
	running sync.WaitGroup // goroutines that carry a request, a call being dialled or a timer

	mu     sync.Mutex
	closed bool // no goroutine joins running any more
	served chan struct{}
}

// NewEdge makes an edge. It answers nothing before Serve.
func NewEdge(o Options) (*Edge, error) {
	if o.UDP == nil && o.TCP == nil {
		return nil, errors.New("edge: neither a UDP nor a TCP socket to serve")
	}
	e := &Edge{
		o: o.orDefault(), trunks: newTrunks(o.Trunks), outgoing: newOutgoing(), legs: newLegs(), counting: o.Count != nil,
		seeds:     [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		nameless:  sip.NewHeader("", ""),
		userAgent: sip.NewHeader("User-Agent", printable(o.UserAgent)),
		server:    sip.NewHeader("Server", printable(o.UserAgent)),
		allow:     sip.NewHeader("Allow", allowed),
		supports:  sip.NewHeader("Supported", supported),
	}
	e.hosts = newHosts(e.o.Resolver, e.o.Now)
	e.timing = timing{t1: e.o.T1, t2: 8 * e.o.T1, give: 64 * e.o.T1, unanswered: e.o.Unanswered}
	e.stopped, e.stop = context.WithCancel(context.Background())
	if err := e.bind(); err != nil {
		return nil, err
	}
	log := slog.New(libraryLog{log: e.o.Log, unparsed: e.o.Count.ParseError})
	parser := sip.NewParser(sip.WithHeadersParsers(headerParsers()))
	e.tpl = sip.NewTransportLayer(net.DefaultResolver, parser, nil,
		sip.WithTransportLayerLogger(log),
		sip.WithTransportLayerReadFilter(e.filter),
		sip.WithTransportLayerTransports(sip.TransportsConfig{TCP: answerOnly()}))
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
	o.Session = o.Session.orDefault()
	return o
}

// bind notes the addresses of the sockets.
func (e *Edge) bind() error {
	if e.o.UDP != nil {
		at, ok := addrPort(e.o.UDP.LocalAddr())
		host, port, err := sip.ParseAddr(e.o.UDP.LocalAddr().String())
		if !ok || err != nil {
			return fmt.Errorf("edge: address of the UDP socket: %v", e.o.UDP.LocalAddr())
		}
		// As the library spells the name of its listener.
		e.udpBound, e.udpAddr = at, sip.Addr{IP: net.ParseIP(host), Port: port}
	}
	if e.o.TCP != nil {
		at, ok := addrPort(e.o.TCP.Addr())
		if !ok {
			return fmt.Errorf("edge: address of the TCP socket: %v", e.o.TCP.Addr())
		}
		e.tcpBound = at
	}
	return nil
}

// Serve serves until ctx ends, Close is called or a socket fails, and returns
// when sockets and connections are closed and every goroutine has ended. Legs
// that are still there then are lost without a word to their peers: drain first.
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
	ended := make(chan error, 2)
	var serving sync.WaitGroup
	if e.o.UDP != nil {
		serving.Go(func() {
			err := e.tpl.ServeUDP(datagrams{e.o.UDP, e.sent})
			ended <- fmt.Errorf("edge: UDP socket ended: %w", errors.Join(err, net.ErrClosed))
		})
	}
	if e.o.TCP != nil {
		serving.Go(func() {
			err := e.tpl.ServeTCP(connections{closeWatch{e.o.TCP, e.connectionClosed}, e.sent})
			ended <- fmt.Errorf("edge: TCP socket ended: %w", err)
		})
		serving.Go(func() { _ = e.tpl.ServeTCP(e.outgoing) })
	}
	if e.o.Registrar != nil {
		serving.Go(func() { e.o.Registrar.run(ctx) })
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
	if e.o.UDP != nil {
		_ = e.o.UDP.Close()
	}
	if e.o.TCP != nil {
		_ = e.o.TCP.Close()
	}
	_ = e.outgoing.Close()
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

func (e *Edge) connectionClosed(remote netip.AddrPort) {
	if e.o.Registrar != nil {
		e.o.Registrar.flowClosed("tcp", remote)
	}
}

// connected reports whether the connection of a flow stands. A datagram flow
// always does.
func (e *Edge) connected(transport string, remote netip.AddrPort) bool {
	if transport == "udp" {
		return e.o.UDP != nil
	}
	c, err := e.tpl.GetConnection(transport, remote.String())
	if err != nil {
		return false
	}
	_, _ = c.TryClose() // gives back the reference that getting it took
	return true
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
	return e.txl.Request(ctx, req)
}
