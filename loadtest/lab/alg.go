package lab

import (
	"bytes"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"

	"foyer/sip/siptest"
)

// ALG is a router's "SIP helper", which writes public addresses where the phone
// wrote its own. The zero value rewrites nothing; the good ones rewrite all and
// put it back on the way in.
type ALG struct {
	Via, Contact, SDP bool // what is rewritten
	Back              bool // and put back in what comes in
	Length            bool // Content-Length is made right again
	PortOff           int  // added to every port that is written
	Longest           int  // bytes of a message that goes out; what is longer is cut; 0: nothing is
}

// goodALG does all that such a helper can do right.
func goodALG() *ALG {
	return &ALG{Via: true, Contact: true, SDP: true, Back: true, Length: true}
}

var (
	hostPort   = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+:\d+`)
	connection = regexp.MustCompile(`(?m)^(c=IN IP4 )(\d+\.\d+\.\d+\.\d+)`)
	origin     = regexp.MustCompile(`(?m)^(o=.* IN IP4 )(\d+\.\d+\.\d+\.\d+)`)
	media      = regexp.MustCompile(`(?m)^(m=audio )(\d+)`)
	length     = regexp.MustCompile(`(?im)^(Content-Length: *)\d+`)
)

// Rewrite is the Rewrite of siptest.NATRules.
func (a *ALG) Rewrite(p *siptest.Passing) []byte {
	head, body, isSIP := bytes.Cut(p.Data, []byte("\r\n\r\n"))
	if !isSIP || !bytes.Contains(head, []byte("SIP/2.0")) {
		return p.Data
	}
	head = a.headers(head, p)
	if a.SDP && p.Out && len(body) > 0 {
		body = a.description(body, p)
		if a.Length {
			head = length.ReplaceAll(head, fmt.Appendf(nil, "${1}%d", len(body)))
		}
	}
	out := append(append(head, "\r\n\r\n"...), body...)
	if a.Longest > 0 && p.Out && len(out) > a.Longest {
		out = out[:a.Longest]
	}
	return out
}

// headers writes public addresses into the headers that go out, and private ones
// into the start line and headers that come in.
func (a *ALG) headers(head []byte, p *siptest.Passing) []byte {
	lines := bytes.Split(head, []byte("\r\n"))
	for i, line := range lines {
		via := bytes.HasPrefix(line, []byte("Via:"))
		contact := bytes.HasPrefix(line, []byte("Contact:"))
		switch {
		case p.Out && (via && a.Via || contact && a.Contact):
			lines[i] = hostPort.ReplaceAllFunc(line, func(at []byte) []byte { return a.public(at, p) })
		case !p.Out && a.Back && (via || contact || i == 0):
			lines[i] = hostPort.ReplaceAllFunc(line, func(at []byte) []byte { return inside(at, p) })
		}
	}
	return bytes.Join(lines, []byte("\r\n"))
}

// public is what is written for an address of the phone's.
func (a *ALG) public(at []byte, p *siptest.Passing) []byte {
	addr, err := netip.ParseAddrPort(string(at))
	if err != nil || !addr.Addr().IsPrivate() {
		return at
	}
	out := p.Public(addr)
	return fmt.Appendf(nil, "%s:%d", out.Addr(), int(out.Port())+a.PortOff)
}

func inside(at []byte, p *siptest.Passing) []byte {
	addr, err := netip.ParseAddrPort(string(at))
	if err != nil {
		return at
	}
	if in, ok := p.Inside(addr); ok {
		return []byte(in.String())
	}
	return at
}

// description writes the public address of the phone's media socket.
func (a *ALG) description(sdp []byte, p *siptest.Passing) []byte {
	c, m := connection.FindSubmatch(sdp), media.FindSubmatch(sdp)
	if c == nil || m == nil {
		return sdp
	}
	port, err := strconv.Atoi(string(m[2]))
	host, badHost := netip.ParseAddr(string(c[2]))
	if err != nil || badHost != nil || !host.IsPrivate() || port == 0 {
		return sdp
	}
	out := p.Public(netip.AddrPortFrom(host, uint16(port)))
	sdp = connection.ReplaceAll(sdp, []byte("${1}"+out.Addr().String()))
	sdp = origin.ReplaceAll(sdp, []byte("${1}"+out.Addr().String()))
	return media.ReplaceAll(sdp, fmt.Appendf(nil, "${1}%d", int(out.Port())+a.PortOff))
}
