package siptest

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Default timers of RFC 3261 section 17.1.1.1; T1 can be changed per wire.
const (
	defaultT1 = 500 * time.Millisecond
	timerT2   = 4 * time.Second
	// keepReplies is how long an answered request is remembered, to repeat the
	// answer when the request is repeated (Timer J).
	keepReplies = 32 * time.Second
)

// WireOptions are what all phones of one socket share.
type WireOptions struct {
	T1    time.Duration // first retransmission; 0 means 500 ms
	Quiet bool          // keep no trace: for load
}

// Wire is one socket (UDP, a Net endpoint, or a connection) and the phones
// behind it. One goroutine reads it and one runs the callbacks, in the order of
// what happened and never under the wire's lock: a callback may send, but must
// not block or Close. All methods of Wire, Phone and Call may be called from any
// goroutine.
type Wire struct {
	pc     net.PacketConn // nil on a stream
	stream net.Conn       // nil on packets
	local  string         // host:port of the socket
	quiet  bool
	t1     time.Duration
	wake   chan struct{} // callbacks are waiting
	done   chan struct{} // closed when the reader has ended
	idle   chan struct{} // closed when the callbacks have ended

	mu       sync.Mutex
	closed   bool
	phones   map[string]*Phone // by user
	only     *Phone            // the single phone of this wire, if it is one
	calls    map[dialogID]*Call
	pending  map[string]*clientTx // by branch and method
	answered map[string]*serverTx // by branch, sender and method
	aging    []*serverTx          // the same, oldest first
	trace    []*Entry
	traced   chan struct{} // closed and replaced when the trace grows; nil until somebody waits
	after    []func()      // callbacks to run
	stats    WireStats
}

// WireStats count what a healthy network makes rare.
type WireStats struct {
	In, Out     int // messages
	Resent      int // requests and answers this side repeated
	Repeated    int // requests the other side repeated
	Stray       int // messages that belong to nobody here
	Unparsable  int
	SendFailed  int
	TimedOut    int // requests without a final answer
	Unacked     int // answers to INVITE never acknowledged
	LastFailure string
}

type dialogID struct{ callID, localTag string }

// NewWire starts reading a packet socket. Close ends it.
func NewWire(pc net.PacketConn, o WireOptions) *Wire {
	w := packetWire(pc, o)
	go w.read()
	return w
}

// NewStreamWire starts reading a TCP connection (or any stream).
func NewStreamWire(c net.Conn, o WireOptions) *Wire {
	w := streamWire(c, o)
	go w.read()
	return w
}

func packetWire(pc net.PacketConn, o WireOptions) *Wire {
	w := newWire(o)
	w.pc, w.local = pc, pc.LocalAddr().String()
	return w
}

func streamWire(c net.Conn, o WireOptions) *Wire {
	w := newWire(o)
	w.stream, w.local = c, c.LocalAddr().String()
	return w
}

func newWire(o WireOptions) *Wire {
	if o.T1 == 0 {
		o.T1 = defaultT1
	}
	w := &Wire{
		quiet: o.Quiet, t1: o.T1, wake: make(chan struct{}, 1), done: make(chan struct{}), idle: make(chan struct{}),
		phones: map[string]*Phone{}, calls: map[dialogID]*Call{},
		pending: map[string]*clientTx{}, answered: map[string]*serverTx{},
	}
	go w.callBack()
	return w
}

// callBack runs callbacks until the wire is closed.
func (w *Wire) callBack() {
	defer close(w.idle)
	for {
		select {
		case <-w.wake:
		case <-w.done:
			return
		}
		w.mu.Lock()
		run := w.after
		w.after = nil
		w.mu.Unlock()
		for _, f := range run {
			f()
		}
	}
}

// Close closes the socket, stops every timer and waits for the reader. Calls in
// progress get no BYE: that is how a phone looks whose cable was pulled.
func (w *Wire) Close() error {
	var err error
	w.do(func() {
		if w.closed {
			return
		}
		w.closed = true
		for _, tx := range w.pending {
			tx.stop()
		}
		for _, tx := range w.answered {
			tx.stop()
		}
		for _, p := range w.phones {
			close(p.gone)
		}
		if w.pc != nil {
			err = w.pc.Close()
		} else {
			err = w.stream.Close()
		}
	})
	<-w.done
	<-w.idle
	return err
}

// LocalAddr is the socket's own address.
func (w *Wire) LocalAddr() net.Addr {
	if w.pc != nil {
		return w.pc.LocalAddr()
	}
	return w.stream.LocalAddr()
}

// Stats returns the counters so far.
func (w *Wire) Stats() WireStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}

// Calls returns how many dialogs are not yet over.
func (w *Wire) Calls() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.calls)
}

// do runs f under the lock.
func (w *Wire) do(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// later queues a callback; it is called under the lock.
func (w *Wire) later(f func()) {
	w.after = append(w.after, f)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Wire) reliable() bool { return w.stream != nil }

// transport is what Via calls the wire.
func (w *Wire) transport() string {
	switch c := w.stream.(type) {
	case nil:
		return "UDP"
	case *tls.Conn:
		return "TLS"
	case *webSocket:
		if c.secure {
			return "WSS"
		}
		return "WS"
	}
	return "TCP"
}

// write sends one message; it is called under the lock. A failed send is
// counted, not returned: retransmission or a timeout follows as on a real wire.
func (w *Wire) write(m *Message, to net.Addr) {
	raw := m.Bytes()
	w.note(&Entry{Out: true, Peer: to, Raw: raw, Msg: m})
	w.writeRaw(raw, to)
}

func (w *Wire) writeRaw(raw []byte, to net.Addr) {
	w.stats.Out++
	var err error
	if w.pc != nil {
		_, err = w.pc.WriteTo(raw, to)
	} else {
		_, err = w.stream.Write(raw)
	}
	if err != nil {
		w.stats.SendFailed++
		w.stats.LastFailure = err.Error()
	}
}

// read reads until the socket is closed.
func (w *Wire) read() {
	defer close(w.done)
	if w.pc != nil {
		w.readPackets()
	} else {
		w.readStream()
	}
}

func (w *Wire) readPackets() {
	buf := make([]byte, 65536)
	for {
		n, from, err := w.pc.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			// An ICMP error of an earlier send surfaces here; the socket lives.
			if w.isClosed() {
				return
			}
			continue
		}
		raw := buf[:n]
		if len(strings.TrimSpace(string(raw[:min(n, 4)]))) == 0 {
			continue // keep-alive, RFC 5626 section 4.4.1
		}
		m, err := Parse(raw)
		w.arrive(m, err, Entry{Peer: from, Raw: raw})
	}
}

func (w *Wire) readStream() {
	r := bufio.NewReaderSize(w.stream, 8192)
	for {
		m, raw, err := readFramed(r)
		if err != nil && m == nil && raw == nil {
			return
		}
		w.arrive(m, err, Entry{Peer: w.stream.RemoteAddr(), Raw: raw})
	}
}

// readFramed reads one message of a stream, delimited by Content-Length (RFC
// 3261 section 18.3), skipping keep-alive line ends before it.
func readFramed(r *bufio.Reader) (*Message, []byte, error) {
	var head []byte
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return nil, nil, err
		}
		if len(head) == 0 && len(line) <= 2 {
			continue
		}
		head = append(head, line...)
		if len(line) <= 2 {
			break
		}
	}
	m, _, err := parse(head)
	if err != nil {
		return nil, head, err
	}
	size, err := strconv.Atoi(m.Get("Content-Length"))
	if err != nil || size < 0 {
		return nil, head, fmt.Errorf("content length %q on a stream", m.Get("Content-Length"))
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, nil, err
	}
	m.Body = string(body)
	return m, append(head, body...), nil
}

func (w *Wire) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

func (w *Wire) arrive(m *Message, err error, e Entry) {
	w.do(func() {
		if w.closed {
			return
		}
		w.stats.In++
		if !w.quiet {
			e.Raw = append([]byte(nil), e.Raw...)
			e.Msg, e.Err = m, err
			w.note(&e)
		}
		switch {
		case err != nil:
			w.stats.Unparsable++
		case m.IsRequest():
			w.request(m, e.Peer)
		default:
			w.response(m)
		}
	})
}

// token makes a random identifier for tags, branches and Call-IDs.
func token() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
