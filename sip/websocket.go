package sip

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/zap"
)

var errTooLong = errors.New("message longer than we take")

// subprotocol is the name by which a WebSocket carries SIP (RFC 7118 section 4).
const subprotocol = "sip"

// frames is the framing of a WebSocket (RFC 6455): a message of SIP is one of
// its messages, in one frame or several (RFC 7118 section 5).
type frames struct {
	inflow
	text  []byte // of a message whose last frame has not come
	known bool
	state ws.State
}

func newFrames() *frames { return &frames{state: ws.StateServerSide} }

func (f *frames) wrap(msg []byte) []byte { return frame(ws.NewTextFrame(msg)) }
func (f *frames) ping() []byte           { return frame(ws.NewPingFrame(nil)) }
func (f *frames) trust()                 { f.known = true }
func (f *frames) partial() bool          { return len(f.rest()) > 0 || f.state.Fragmented() }

func frame(f ws.Frame) []byte {
	b := bytes.NewBuffer(make([]byte, 0, ws.MaxHeaderSize+len(f.Payload)))
	_ = ws.WriteFrame(b, f) // a buffer takes everything
	return b.Bytes()
}

func (f *frames) next() (piece, []byte, error) {
	for {
		r := bytes.NewReader(f.rest())
		h, err := ws.ReadHeader(r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nothing, nil, nil
		}
		if err == nil {
			err = ws.CheckHeader(h, f.state)
		}
		if err != nil {
			return nothing, nil, err
		}
		if h.Length > int64(f.limit()-len(f.text)) {
			return nothing, nil, errTooLong
		}
		if int64(r.Len()) < h.Length {
			return nothing, nil, nil
		}
		start := len(f.rest()) - r.Len()
		payload := f.rest()[start:][:h.Length]
		f.used += start + int(h.Length)
		ws.Cipher(payload, h.Mask, 0)
		if p, data := f.frame(h, payload); p != nothing {
			return p, data, nil
		}
	}
}

// limit is how long a message may be: before its sender has proven who it is, no
// longer than headers alone may be on other transports, for here nobody says
// beforehand where they end.
func (f *frames) limit() int {
	if f.known {
		return largestMessage
	}
	return largestHead
}

// frame takes one frame, whole and unmasked.
func (f *frames) frame(h ws.Header, payload []byte) (piece, []byte) {
	switch h.OpCode {
	case ws.OpPing:
		return ping, frame(ws.NewPongFrame(payload))
	case ws.OpPong:
		return pong, nil
	case ws.OpClose:
		code, _ := ws.ParseCloseFrameData(payload)
		if ws.CheckCloseFrameData(code, "") != nil {
			code = ws.StatusNormalClosure
		}
		return closing, frame(ws.NewCloseFrame(ws.NewCloseFrameBody(code, "")))
	}
	if !h.Fin || f.state.Fragmented() {
		f.text = append(f.text, payload...)
		payload = f.text
	}
	if !h.Fin {
		f.state = f.state.Set(ws.StateFragmented)
		return nothing, nil
	}
	f.state, f.text = f.state.Clear(ws.StateFragmented), nil
	return f.told(payload)
}

// told sorts a whole message: SIP, or a keep-alive as other transports have it,
// which some phones send here too.
func (f *frames) told(text []byte) (piece, []byte) {
	switch {
	case len(bytes.Trim(text, "\r\n")) > 0:
		return message, text
	case len(text) == len(endOfHead):
		return ping, f.wrap(emptyLine)
	}
	return pong, nil
}

// WebSocket takes phones in browsers. It belongs at the path of an HTTP server
// that they connect to; secure says that the server speaks TLS. Whoever wants a
// WebSocket for anything but SIP is refused.
//
// The page a phone runs in may be anybody's: it proves who it is by digest, not
// by a cookie that another page could borrow.
func (e *Edge) WebSocket(secure bool) http.Handler {
	transport := "ws"
	if secure {
		transport = "wss"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		offered := strings.Split(strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ","), ",")
		if !slices.ContainsFunc(offered, func(s string) bool { return strings.TrimSpace(s) == subprotocol }) {
			http.Error(w, `only the WebSocket subprotocol "sip" is served here`, http.StatusBadRequest)
			return
		}
		remote, ok := addrPort(netAddr(r.RemoteAddr))
		if !ok || e.stopped.Err() != nil || e.ignored(remote, transport) || !e.door.admits(remote.Addr()) {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		upgrade := ws.HTTPUpgrader{Timeout: handshakeLimit, Protocol: func(p string) bool { return p == subprotocol }}
		c, rw, _, err := upgrade.Upgrade(r, w)
		if err != nil {
			e.o.Log.Debug("no WebSocket", zap.Stringer("source", remote), zap.Error(err))
			if c != nil {
				_ = c.Close()
			}
			return
		}
		_ = c.SetDeadline(time.Time{}) // the server's
		early := make([]byte, rw.Reader.Buffered())
		_, _ = io.ReadFull(rw.Reader, early) // what came with the handshake already
		f := newFrames()
		f.buf = early
		g := &guest{conn: c, flow: flow{transport, remote}}
		s := e.newStream(c, g.flow, f)
		s.guest = g
		if !e.door.join(g, false) || !e.start("serving a connection", s.serve) {
			e.door.leave(g)
			_ = c.Close()
		}
	})
}

type netAddr string

func (netAddr) Network() string  { return "tcp" }
func (a netAddr) String() string { return string(a) }
