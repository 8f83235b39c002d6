package sip

import (
	"bytes"
	"net/netip"

	"github.com/emiago/sipgo/sip"
)

// shortest is fewer bytes than any SIP message has: a request line with a
// one-letter method and a Via, From, To, Call-ID and CSeq of next to nothing.
const shortest = 64

// filter looks at raw bytes before the parser does: a datagram, or a whole message
// of a connection. What it drops costs neither parsing, nor memory, nor an answer.
// An error of it would end the whole UDP socket, so messages are dropped by
// returning none; a connection that brought one ends.
func (e *Edge) filter(from sip.TransportReadProps, data []byte) ([]byte, error) {
	transport := "udp"
	s, stream := from.RemoteAddr.(insideAddr)
	remote, ok := addrPort(from.RemoteAddr)
	if stream {
		transport, remote, ok = s.flow.transport, s.flow.remote, true
	}
	if ok && e.ignored(remote, transport) {
		return nil, nil
	}
	if stream {
		return data, nil // our connection has cut it into messages and vetted them
	}
	if data = plausible(data); len(data) > 0 {
		data, _ = e.heard("udp", addrs{from.LocalAddr, from.RemoteAddr}, data)
	}
	return data, nil
}

func (e *Edge) ignored(remote netip.AddrPort, transport string) bool {
	return e.o.Registrar != nil && e.o.Registrar.Ignored(remote, transport)
}

// plausible returns the message in a datagram, nil if there cannot be one: a
// keep-alive (RFC 5626 section 4.4.1), STUN, a scanner's probe. A message may
// follow empty lines (RFC 3261 section 7.5).
func plausible(data []byte) []byte {
	for len(data) > 0 && (data[0] == '\r' || data[0] == '\n') {
		data = data[1:]
	}
	if len(data) < shortest {
		return nil
	}
	line, _, found := bytes.Cut(data, []byte("\r\n"))
	if !found {
		return nil
	}
	if bytes.HasPrefix(line, []byte("SIP/2.0 ")) {
		return data
	}
	i := bytes.LastIndex(line, []byte(" SIP/"))
	if i < len("X x:") {
		return nil
	}
	return data
}
