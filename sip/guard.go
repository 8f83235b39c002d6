package sip

import (
	"bytes"
	"errors"
	"net/netip"

	"github.com/emiago/sipgo/sip"
)

// shortest is fewer bytes than any SIP message has: a request line with a
// one-letter method and a Via, From, To, Call-ID and CSeq of next to nothing.
const shortest = 64

var errBanned = errors.New("source is banned")

// filter looks at raw bytes before the parser does. What it drops costs neither
// parsing, nor memory, nor an answer. An error of it would end the whole UDP
// socket, so datagrams are dropped by returning none; on TCP it ends the
// connection.
func (e *Edge) filter(from sip.TransportReadProps, data []byte) ([]byte, error) {
	stream := from.Transport != "UDP"
	if !stream {
		if data = plausible(data); len(data) == 0 {
			return nil, nil
		}
	}
	if err := e.pass(from, data, stream); err != nil {
		if stream {
			return nil, err
		}
		return nil, nil
	}
	if !stream && e.o.Trace != nil {
		e.trace(false, "udp", addrs{from.LocalAddr, from.RemoteAddr}, data)
	}
	return data, nil // of a stream any piece of a message; its parser has its own limits
}

// pass says why what was read is not looked at, nil if it is.
func (e *Edge) pass(from sip.TransportReadProps, data []byte, stream bool) error {
	remote, ok := addrPort(from.RemoteAddr)
	if !ok {
		return nil
	}
	if e.ignored(remote, from.Transport) {
		if e.gate != nil {
			e.gate.note(shedBanned, remote.Addr(), e.o.Now())
		}
		return errBanned
	}
	if e.gate == nil {
		return nil
	}
	f := flow{sip.NetworkToLower(from.Transport), remote}
	s := e.standing(f)
	if stream {
		return e.passStream(s, f, data)
	}
	return e.passDatagram(s, f, from.RemoteAddr, data)
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
