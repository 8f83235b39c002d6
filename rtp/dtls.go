package rtp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v5/deadline"
	"go.uber.org/zap"
)

const (
	handshakeTime = 30 * time.Second       // of one handshake, lost packets included
	handshakeStep = 400 * time.Millisecond // first repeat of a flight; then twice as long each time
	maxHandshakes = 4                      // of one leg at a time
	reserved      = 2                      // of them for the address the peer is most likely at
	stalled       = 3 * time.Second        // a handshake this old gives its place to a new one
	handshakeRoom = 16                     // packets waiting for a handshake; more are lost, as on the way
	againAfter    = int64(time.Second)     // a handshake we begin is tried again
)

// association is what a leg's DTLS is for: keys from whoever has the certificate
// that the peer's SDP promised (RFC 5763). Everybody can send a ClientHello. So each
// source that may be the peer has a handshake of its own, a failed one is forgotten,
// and the first to prove itself ends the others. Only sources that ICE vouches for
// share one: they are the same peer's, who may go over from one to another in the
// midst of it (RFC 8842 section 6). Belongs to the shard.
type association struct {
	terms   Handshake
	tries   []*handshake
	done    *handshake // whose keys are in force
	settled bool       // keys are in force; no handshake is begun any more
	begun   int64      // when we last began one
}

// handshake is one attempt. Its goroutine is started by the shard and stands beside
// it, as the arithmetic of a handshake takes longer than a packet may wait; it ends
// by end, which the shard calls, at the latest when the leg closes. It gets its
// packets from the shard and gives the shard what it has to send.
type handshake struct {
	leg    *Leg
	from   sockaddr // where the peer was last heard; belongs to the shard
	name   net.Addr // what the library knows the peer by, wherever it is
	born   int64
	in     chan []byte
	wait   *deadline.Deadline
	ended  chan struct{}
	cancel context.CancelFunc
}

// errPrint: who shook hands is not who the SDP promised.
var errPrint = errors.New("certificate does not fit the fingerprint")

// associate applies a negotiation. What is agreed stays in force unless the peer
// comes with another certificate or asks for another association (RFC 8842).
func (s *shard) associate(l *Leg, terms Handshake) {
	c := l.shield
	if a := c.association; a != nil && a.terms.Prints == terms.Prints && a.terms.Restart == terms.Restart {
		return
	}
	c.abandon()
	c.association = &association{terms: terms}
	s.change(l)
}

// abandon ends every handshake. Keys that are in force stay.
func (c *shield) abandon() {
	if c.association == nil {
		return
	}
	for _, h := range c.association.tries {
		h.end()
	}
	c.association = nil
}

// earlyHello is a handshake packet that was here before the answer it belongs to:
// it would be repeated only after a second.
type earlyHello struct {
	from sockaddr
	data []byte
}

func (l *Leg) keepHello(from *sockaddr, data []byte) bool {
	if l.stream.Codec != NoCodec || !isHandshake(data) {
		return false
	}
	l.early = &earlyHello{*from, append([]byte(nil), data...)}
	return true
}

// recallHello hands it over once a negotiation says whose it may be.
func (s *shard) recallHello(l *Leg) {
	e := l.early
	l.early = nil
	if e != nil && l.shield != nil {
		s.handOver(l, &e.from, e.data)
	}
}

// handOver gives a DTLS packet to its handshake, and begins one for a ClientHello
// from where the peer may be.
func (s *shard) handOver(l *Leg, from *sockaddr, data []byte) {
	a := l.shield.association
	if a == nil {
		s.unproven(l, DTLSStray)
		return
	}
	h := a.of(l, from)
	if h == nil && a.mayBegin(l, from, data) {
		h = s.shake(l, from)
	}
	if h == nil {
		if !a.settled { // afterwards it may be the peer, repeating itself
			s.unproven(l, DTLSStray)
		}
		return
	}
	h.from = *from
	select {
	case h.in <- append([]byte(nil), data...):
	default:
	}
}

// of is the handshake that what comes from a source belongs to, nil if there is none.
func (a *association) of(l *Leg, from *sockaddr) *handshake {
	vouched := l.checked() && l.shield.checks.vouched(from)
	for _, h := range a.tries {
		if vouched || h.from.same(from) {
			return h
		}
	}
	return nil
}

// mayBegin tells whether a packet is a ClientHello (a handshake record, RFC 6347
// section 4.1, whose message is of type 1) that we wait for from there.
func (a *association) mayBegin(l *Leg, from *sockaddr, data []byte) bool {
	hello := len(data) > 13 && data[0] == 22 && data[13] == 1
	if !hello || a.settled || a.terms.Active {
		return false
	}
	at, room := from.addrPort(), maxHandshakes
	switch c := l.shield.checks; {
	case c != nil:
		if !c.vouched(from) {
			return false
		}
	case at == l.latch.remote:
	case l.stream.Latch == Near && at.Addr() == l.latch.signal:
	case l.stream.Latch == Near && near(l.latch.signal, at.Addr()):
		room -= reserved // neighbours must not fill the room of the phone itself
	default:
		return false
	}
	return len(a.tries) < room || a.giveWay(l.shard.now)
}

// giveWay ends the oldest handshake if it has stalled.
func (a *association) giveWay(now int64) bool {
	oldest := a.tries[0]
	if now-oldest.born < int64(stalled) {
		return false
	}
	a.drop(oldest)
	oldest.end()
	return true
}

// pursue begins the handshake where that is ours to do. Called when the leg is visited.
func (s *shard) pursue(l *Leg) {
	a := l.shield.association
	if a == nil || a.settled || !a.terms.Active || len(a.tries) > 0 || !l.target.valid() {
		return
	}
	if a.begun == 0 || s.now-a.begun > againAfter {
		a.begun = s.now
		s.shake(l, &l.target)
	}
}

func (s *shard) shake(l *Leg, from *sockaddr) *handshake {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	h := &handshake{
		leg: l, from: *from, name: net.UDPAddrFromAddrPort(from.addrPort()), born: s.now, cancel: cancel,
		in: make(chan []byte, handshakeRoom), ended: make(chan struct{}), wait: deadline.New(),
	}
	a := l.shield.association
	a.tries = append(a.tries, h)
	terms, guarded := a.terms, l.shield.checks != nil
	s.beside.Go(func() { h.run(ctx, s.identity, terms, guarded) })
	return h
}

// end is called by the shard, once.
func (h *handshake) end() {
	close(h.ended)
	h.cancel()
}

// run is the goroutine of a handshake. When it has succeeded it stays, to repeat its
// last flight should that have been lost, until it is ended.
func (h *handshake) run(ctx context.Context, identity tls.Certificate, terms Handshake, guarded bool) {
	conn, keys, err := h.safely(ctx, identity, terms, guarded)
	h.leg.post(func(s *shard) { s.shook(h, keys, err) })
	<-h.ended
	if conn != nil {
		_ = conn.Close() // says nothing to the peer: see WriteTo
	}
}

// safely is agree; a panic, ours or the library's over what a peer has sent, is a
// handshake that failed.
func (h *handshake) safely(ctx context.Context, identity tls.Certificate, terms Handshake, guarded bool) (conn *dtls.Conn, keys Keys, err error) {
	defer h.confine(&err)
	return h.agree(ctx, identity, terms, guarded)
}

// confine is to be deferred.
func (h *handshake) confine(err *error) {
	if p := recover(); p != nil {
		s := h.leg.shard
		s.faults.Add(1)
		s.log.Error("DTLS handshake ended by a fault", zap.Stringer("port", h.leg.local), zap.Any("panic", p), zap.Stack("stack"))
		*err = errFault
	}
}

var errFault = errors.New("handshake: a fault of ours")

func (h *handshake) agree(ctx context.Context, identity tls.Certificate, terms Handshake, guarded bool) (*dtls.Conn, Keys, error) {
	both := []dtls.Option{
		dtls.WithCertificates(identity),
		dtls.WithSRTPProtectionProfiles(
			dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM,
			dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AES128_CM_HMAC_SHA1_32),
		dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) (err error) {
			defer h.confine(&err) // called on a goroutine of the library's
			if len(raw) == 0 || !fits(raw[0], terms.Prints) {
				return errPrint
			}
			return nil
		}),
		dtls.WithFlightInterval(handshakeStep),
		dtls.WithLoggerFactory(&logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}),
	}
	conn, err := h.open(both, terms.Active, guarded)
	if err != nil {
		return nil, Keys{}, err
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return conn, Keys{}, fmt.Errorf("handshake: %w", err)
	}
	keys, err := keysOf(conn, terms.Active)
	return conn, keys, err
}

func (h *handshake) open(both []dtls.Option, active, guarded bool) (*dtls.Conn, error) {
	if active {
		// The fingerprint is checked instead of a chain of signatures.
		options := []dtls.ClientOption{dtls.WithInsecureSkipVerify(true)}
		for _, o := range both {
			options = append(options, o)
		}
		return dtls.ClientWithOptions(h, h.name, options...)
	}
	// Where ICE has shown that the source is there the cookie shows nothing new.
	options := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert), dtls.WithInsecureSkipVerifyHello(guarded)}
	for _, o := range both {
		options = append(options, o)
	}
	return dtls.ServerWithOptions(h, h.name, options...)
}

// keysOf derives the keys of SRTP from a handshake (RFC 5764 section 4.2).
func keysOf(conn *dtls.Conn, client bool) (k Keys, err error) {
	profile, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return k, errors.New("no SRTP profile agreed")
	}
	state, ok := conn.ConnectionState()
	if !ok {
		return k, errors.New("handshake without a state")
	}
	c := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := c.ExtractSessionKeysFromDTLS(&state, client); err != nil {
		return k, fmt.Errorf("keys: %w", err)
	}
	for _, s := range suites {
		if s.profile == c.Profile {
			k.Suite = s.suite
		}
	}
	k.Ours = Secret(c.Keys.LocalMasterKey) + Secret(c.Keys.LocalMasterSalt)
	k.Theirs = Secret(c.Keys.RemoteMasterKey) + Secret(c.Keys.RemoteMasterSalt)
	return k, nil
}

// shook takes the outcome of a handshake.
func (s *shard) shook(h *handshake, keys Keys, err error) {
	l := h.leg
	a := (*association)(nil)
	if l.shield != nil {
		a = l.shield.association
	}
	if a == nil || !a.drop(h) {
		return // ended meanwhile
	}
	if err != nil {
		why := DTLSFailed
		if errors.Is(err, errPrint) {
			why = DTLSPrint
		}
		s.unproven(l, why)
		h.end()
		return
	}
	for _, other := range a.tries {
		other.end()
	}
	a.tries, a.done, a.settled = []*handshake{h}, h, true
	s.rekey(l, keys)
	if !l.checked() {
		s.moveTo(l, &h.from)
	}
	s.aim(l)
	s.settle(l)
	if a.terms.Active {
		s.proven(l) // the last flight was the peer's
	}
}

// drop takes a handshake out of the list, and tells whether it was in it.
func (a *association) drop(h *handshake) bool {
	for i, one := range a.tries {
		if one == h {
			a.tries = append(a.tries[:i], a.tries[i+1:]...)
			return true
		}
	}
	return false
}

// proven ends the goroutine of the handshake: the peer has the keys.
func (s *shard) proven(l *Leg) {
	if a := l.shield.association; a != nil && a.settled && a.done != nil {
		a.drop(a.done)
		a.done.end()
		a.done = nil
	}
}

// A handshake is the net.PacketConn of its DTLS connection.

func (h *handshake) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case data := <-h.in:
		return copy(b, data), h.name, nil
	case <-h.wait.Done():
		return 0, nil, os.ErrDeadlineExceeded
	case <-h.ended:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo has the shard send. What is said after the end (an alert that the
// connection closes, which browsers take for the end of the call) stays here.
func (h *handshake) WriteTo(b []byte, _ net.Addr) (int, error) {
	select {
	case <-h.ended:
		return 0, net.ErrClosed
	default:
	}
	data := append([]byte(nil), b...)
	h.leg.post(func(*shard) {
		if send(h.leg.unconnected(), data, &h.from) != 0 {
			h.leg.sendFails++
		}
	})
	return len(b), nil
}

func (h *handshake) Close() error                       { return nil }
func (h *handshake) LocalAddr() net.Addr                { return net.UDPAddrFromAddrPort(h.leg.local) }
func (h *handshake) SetDeadline(t time.Time) error      { h.wait.Set(t); return nil }
func (h *handshake) SetReadDeadline(t time.Time) error  { h.wait.Set(t); return nil }
func (h *handshake) SetWriteDeadline(t time.Time) error { return nil }
