package sip

import (
	"bytes"
	"net/netip"

	"github.com/emiago/sipgo/sip"
)

// shortest is fewer bytes than any SIP message has: a request line with a
// one-letter method and a Via, From, To, Call-ID and CSeq of next to nothing.
const shortest = 64

// filter looks at raw bytes before the parser does. What it drops costs neither
// parsing, nor memory, nor an answer. An error of it would end the whole UDP
// socket, so datagrams are dropped by returning none. A message of a connection
// has been through the same when it was read (stream.take).
func (e *Edge) filter(from sip.TransportReadProps, data []byte) ([]byte, error) {
	if _, stream := from.RemoteAddr.(insideAddr); stream {
		return data, nil
	}
	remote, ok := addrPort(from.RemoteAddr)
	if data = plausible(data); len(data) == 0 || ok && e.pass(flow{"udp", remote}, data) != nil {
		return nil, nil
	}
	data, _ = e.heard("udp", addrs{from.LocalAddr, from.RemoteAddr}, data)
	return data, nil
}

// pass says why a message is not looked at, nil if it is.
func (e *Edge) pass(f flow, msg []byte) error {
	if e.ignored(f.remote, f.transport) {
		if e.gate != nil {
			e.gate.note(shedBanned, f.remote.Addr(), e.o.Now())
		}
		return errBanned
	}
	switch {
	case e.gate == nil:
		return nil
	case f.transport == "udp":
		return e.passDatagram(f, msg)
	}
	return e.passStream(f, msg)
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
