package sip

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
)

var errNoConnection = errors.New("connection of the flow is gone")

// outgoing are the peers we open connections to: trunks. A phone cannot be called
// back; it is behind a home router, and the address its connection came from
// leads nowhere once that is closed.
type outgoing struct {
	mu    sync.Mutex
	peers map[flow]*peer
}

// peer is one address of a trunk that we may connect to, now and again when its
// connection is gone.
type peer struct {
	name  string         // that its certificate must be for
	roots *x509.CertPool // that must have signed it; nil: the machine's
	busy  chan struct{}  // closed when the attempt under way ends; nil: none is
}

func newOutgoing() *outgoing { return &outgoing{peers: make(map[flow]*peer)} }

// mayCall lets a trunk be called by a flow.
func (o *outgoing) mayCall(f flow, t *Trunk) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.peers[f]
	if p == nil {
		p = &peer{}
		o.peers[f] = p
	}
	p.name, p.roots = t.Host, t.Roots
}

// begin makes the caller the one who connects to a peer. If another does so
// already, busy is closed when that has ended.
func (o *outgoing) begin(f flow) (p peer, busy chan struct{}, known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := o.peers[f]
	if found == nil {
		return peer{}, nil, false
	}
	busy = found.busy
	if busy == nil {
		found.busy = make(chan struct{})
	}
	return *found, busy, true
}

func (o *outgoing) end(f flow) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.peers[f].busy)
	o.peers[f].busy = nil
}

// reach makes sure that the connection of a flow stands. One that is gone is
// opened anew if its peer is a trunk that we called.
func (e *Edge) reach(ctx context.Context, f flow) error {
	if e.connected(f.transport, f.remote) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.timing.unanswered)
	defer cancel()
	defer context.AfterFunc(e.stopped, cancel)()
	for {
		p, busy, known := e.outgoing.begin(f)
		switch {
		case !known:
			return errNoConnection
		case busy == nil:
			return e.connect(ctx, f, p)
		}
		select {
		case <-busy: // connected, or ours to try
		case <-ctx.Done():
			return fmt.Errorf("connect: %w", ctx.Err())
		}
	}
}

// connect opens the connection to a trunk; the caller has begun it.
func (e *Edge) connect(ctx context.Context, f flow, p peer) error {
	defer e.outgoing.end(f)
	if e.connected(f.transport, f.remote) {
		return nil // by whoever had begun before
	}
	var dialer net.Dialer
	if own := e.bound(f).Addr(); own.IsValid() && !own.IsUnspecified() {
		dialer.LocalAddr = &net.TCPAddr{IP: own.AsSlice()} // what the carrier knows us by
	}
	c, err := dialer.DialContext(ctx, "tcp", f.remote.String())
	if err != nil {
		return err
	}
	watchOver(c)
	if f.transport == "tls" {
		t := tls.Client(c, e.asClient(p))
		if err := t.HandshakeContext(ctx); err != nil {
			_ = c.Close()
			return fmt.Errorf("TLS with %s: %w", p.name, err)
		}
		c = t
	}
	s := e.newStream(c, f, &lines{})
	e.adopt(s)
	if !e.start("serving a connection", s.serve) {
		s.end()
		return errNoConnection
	}
	return nil
}

// asClient is how we speak TLS to a trunk: its certificate must be for the name of
// its host (RFC 5922 section 7), not for the address that name led to. If it asks
// who we are, we show the certificate we serve with.
func (e *Edge) asClient(p peer) *tls.Config {
	c := &tls.Config{ServerName: p.name, RootCAs: p.roots, MinVersion: tls.VersionTLS12}
	if own := e.o.TLSConfig; own != nil && own.GetCertificate != nil {
		c.GetClientCertificate = func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := own.GetCertificate(&tls.ClientHelloInfo{})
			if err != nil || asked.SupportsCertificate(pair) != nil {
				return &tls.Certificate{}, nil
			}
			return pair, nil
		}
	}
	return c
}
