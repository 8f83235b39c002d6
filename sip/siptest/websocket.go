package siptest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// DialWebSocket opens a WebSocket for SIP (RFC 7118) to a ws:// or wss:// URL, for
// NewStreamPhone. Each Write is one message.
func DialWebSocket(ctx context.Context, url string, c *tls.Config) (net.Conn, error) {
	d := ws.Dialer{Protocols: []string{"sip"}, TLSConfig: c}
	conn, br, hs, err := d.Dial(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("web socket %s: %w", url, err)
	}
	if hs.Protocol != "sip" {
		conn.Close()
		return nil, fmt.Errorf("web socket %s: subprotocol %q", url, hs.Protocol)
	}
	w := &webSocket{Conn: conn, in: conn, secure: strings.HasPrefix(url, "wss:")}
	if br != nil {
		w.in = br
	}
	return w, nil
}

type webSocket struct {
	net.Conn
	in      io.Reader // what came with the handshake, then the connection
	secure  bool
	left    []byte // of the message being read
	writing sync.Mutex
}

func (w *webSocket) Read(b []byte) (int, error) {
	for len(w.left) == 0 {
		data, err := wsutil.ReadServerText(struct {
			io.Reader
			io.Writer
		}{w.in, control{w}})
		if err != nil {
			return 0, err
		}
		w.left = data
	}
	n := copy(b, w.left)
	w.left = w.left[n:]
	return n, nil
}

func (w *webSocket) Write(b []byte) (int, error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	return len(b), wsutil.WriteClientText(w.Conn, b)
}

// control writes the answers to pings, which the reader gives.
type control struct{ w *webSocket }

func (c control) Write(b []byte) (int, error) {
	c.w.writing.Lock()
	defer c.w.writing.Unlock()
	return c.w.Conn.Write(b)
}
