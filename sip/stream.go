package sip

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// stream is one connection, whoever opened it: TCP, TLS or a WebSocket. It is the
// library's connection too, by the address of its other end. One goroutine reads
// it; any may write, a whole message at a time. It stands until its peer, its
// silence or we end it, whatever the library counts as references to it.
type stream struct {
	e     *Edge
	conn  net.Conn // what messages go through
	raw   net.Conn // the socket below TLS
	flow  flow
	cut   framing
	guest *guest // who opened it towards us; nil: we opened it
	read  chan bool

	patience patience // the reader's own
	ended    sync.Once
	writing  sync.Mutex
}

var _ sip.Connection = (*stream)(nil)

func (e *Edge) newStream(c net.Conn, f flow, cut framing) *stream {
	s := &stream{e: e, conn: c, raw: below(c), flow: f, cut: cut, read: make(chan bool, 1)}
	s.patience.begin(time.Now(), e.o.StreamPing, min(wholeMessage, e.timing.give))
	s.patience.silent = f.transport == "tcp" // on all others it has spoken to shake hands
	return s
}

// below is the socket that a TLS connection lies on. Closing that one waits for
// nobody; TLS would say goodbye first, to a peer that may not be reading.
func below(c net.Conn) net.Conn {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn()
	}
	return c
}

// serve reads the connection until it ends.
func (s *stream) serve() {
	defer s.end()
	s.e.adopt(s)
	for {
		if s.empty() != nil {
			return
		}
		// Fails only on a connection that is gone, which reading will tell.
		_ = s.conn.SetReadDeadline(s.patience.deadline())
		n, err := s.conn.Read(s.cut.room())
		s.cut.add(n)
		if err != nil && (!errors.Is(err, os.ErrDeadlineExceeded) || !s.wait(time.Now())) {
			return
		}
	}
}

var (
	errHungUp = errors.New("the peer said goodbye")
	errNoise  = errors.New("the peer does not speak SIP")
)

// empty deals with every message that has come whole. An error ends the
// connection.
func (s *stream) empty() error {
	for {
		what, data, err := s.cut.next()
		if err != nil {
			var r *refusal
			if errors.As(err, &r) {
				s.lastWord(data, r)
			}
			return err
		}
		switch what {
		case nothing:
			s.patience.spoke(time.Now(), s.cut.partial())
			return nil
		case message:
			if !s.take(data) {
				return errNoise
			}
			s.patience.heard(time.Now())
		case ping:
			if err := s.write(data); err != nil {
				return err
			}
			s.patience.keptAlive(time.Now(), false)
		case pong:
			s.patience.keptAlive(time.Now(), true)
		case closing:
			_ = s.write(data)
			return errHungUp
		}
	}
}

// take hands over one message if the library may have it, and reports whether there
// was anything to it. On a connection that brings noise nothing better will come.
func (s *stream) take(msg []byte) bool {
	switch err := s.e.pass(s.flow, msg); err {
	case nil:
	case errShed:
		return true // not looked at, and not answered
	default:
		return false
	}
	good, isSIP := s.e.heard(s.flow.transport, s.ends(), msg)
	if good != nil && !s.e.intake.hand(s, good) {
		s.e.o.Count.ParseError(s.flow.transport)
		return false
	}
	return isSIP
}

func (s *stream) ends() addrs { return addrs{s.conn.LocalAddr(), s.conn.RemoteAddr()} }

// lastWord answers a message whose end cannot be found, and leaves time for that:
// nothing after it can be read.
func (s *stream) lastWord(head []byte, r *refusal) {
	s.e.lost(s.flow.transport, s.ends(), head, r)
	_ = s.raw.SetReadDeadline(time.Now().Add(lastWordLimit))
	for n, err := 1, error(nil); err == nil && n > 0; {
		n, err = s.conn.Read(make([]byte, roomToRead))
	}
}

// wait decides what silence means. It reports whether the connection stays.
func (s *stream) wait(now time.Time) bool {
	kept := s.e.keeps(s)
	if kept {
		s.cut.trust()
	}
	switch s.patience.expired(now, kept) {
	case leave:
		return false
	case ask:
		return s.write(s.cut.ping()) == nil
	}
	return true
}

// end takes the connection away from everybody.
func (s *stream) end() {
	s.ended.Do(func() {
		_ = s.raw.Close()
		s.e.letGo(s)
	})
}

// LocalAddr is our end of the connection.
func (s *stream) LocalAddr() net.Addr { return s.conn.LocalAddr() }

// WriteMsg sends one message.
func (s *stream) WriteMsg(msg sip.Message) error {
	b, _ := s.e.sheets.Get().(*bytes.Buffer)
	defer s.e.sheets.Put(b)
	b.Reset()
	msg.StringWrite(b)
	if err := s.write(s.cut.wrap(b.Bytes())); err != nil {
		return err
	}
	s.e.sent(s.flow.transport, s.conn.LocalAddr(), s.conn.RemoteAddr(), b.Bytes())
	return nil
}

// write sends bytes, all of them or none that anybody could understand: after an
// error the connection is closed, and its reader ends. So a peer that does not
// read holds up those who write to it once.
func (s *stream) write(b []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(slowestWrite))
	_, err := s.conn.Write(b)
	if err != nil {
		// What it has not read goes too, or the kernel would keep that for it.
		if t, ok := s.raw.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		_ = s.raw.Close()
	}
	return err
}

// Ref and TryClose are how the library counts who uses a connection. It may not
// close ours.
func (s *stream) Ref(int) int            { return 1 }
func (s *stream) TryClose() (int, error) { return 1, nil }

// Close ends the connection; its reader does the rest.
func (s *stream) Close() error { return s.raw.Close() }

// adopt gives the library a connection to write to. One that was there for the
// same address is dead, or it could not have been opened again.
func (e *Edge) adopt(s *stream) {
	if old := e.streamTo(s.flow); old != nil && old != s {
		old.end()
	}
	e.tpl.Pool(s.flow.transport).Add(s.flow.remote.String(), s)
}

// streamTo returns the connection of a flow, nil if there is none.
func (e *Edge) streamTo(f flow) *stream {
	c, err := e.tpl.GetConnection(f.transport, f.remote.String())
	if err != nil {
		return nil
	}
	s, _ := c.(*stream)
	return s
}

// letGo takes a connection that has ended away: from the library, with the
// transactions that wait for it, and from the phones registered by it.
func (e *Edge) letGo(s *stream) {
	_ = e.tpl.Pool(s.flow.transport).CloseAndDelete(s, s.flow.remote.String())
	e.txl.OnConnectionClose(s)
	if s.guest != nil {
		e.door.leave(s.guest)
	}
	if r := e.o.Registrar; r != nil && (r.kept == nil || e.stopped.Err() == nil) {
		r.flowClosed(s.flow) // if it is we who close, the next process waits for the phone
	}
}

// keeps reports whether a connection may be idle: one that we opened, a
// carrier's, a registered phone's, or one that carries a call.
func (e *Edge) keeps(s *stream) bool {
	if s.guest == nil || e.known(s.flow) {
		return true
	}
	for _, l := range e.legs.all() {
		if l.Transport() == s.flow.transport && l.Remote() == s.flow.remote {
			return true
		}
	}
	return false
}

// known reports whether whoever is at the other end of a flow has proven it, or
// calls from a trunk's address.
func (e *Edge) known(f flow) bool {
	if e.trunks.of(f.remote.Addr(), "") != nil {
		return true
	}
	return e.o.Registrar != nil && e.o.Registrar.holds(f)
}
