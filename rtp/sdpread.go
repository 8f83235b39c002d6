package rtp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// direction is who may send, seen from the side that wrote it (RFC 3264 section 5.1).
type direction uint8

const (
	inactive direction = 0
	sendonly direction = 1
	recvonly direction = 2
	sendrecv           = sendonly | recvonly
)

// mirror is the same, seen from the other side.
func (d direction) mirror() direction { return d&1<<1 | d>>1 }

func (d direction) String() string {
	return [...]string{"inactive", "sendonly", "recvonly", "sendrecv"}[d&sendrecv]
}

func directionOf(attribute string) (direction, bool) {
	for d := inactive; d <= sendrecv; d++ {
		if attribute == d.String() {
			return d, true
		}
	}
	return 0, false
}

// description is what a telephone needs of a peer's SDP (RFC 8866).
type description struct {
	media  []section
	bundle []string // mids of the streams that want to share one port (RFC 9143)
}

// section is one m= line and what belongs to it. Only those of audio are read
// beyond the line itself.
type section struct {
	line
	port     uint16
	addr     netip.Addr // invalid: see bad
	bad      error      // why the address cannot be used
	dir      direction
	formats  []format // of the codecs we know, in the peer's order; once understood, only PCMA and PCMU
	wide     format   // the wideband codec that both want, once understood
	wides    []format // all of the kind, once understood
	event    uint8    // telephone-event/8000, 0: none
	bound    [2]uint64
	ptime    int // ms, 0: not said
	maxptime int
	mux      bool
	rtcpPort uint16
	rtcpAddr netip.Addr

	cryptos   []cryptoLine // that we can serve, in the peer's order
	prints    []string     // a=fingerprint
	ownPrints bool         // prints are not the session's
	setup     string
	tlsID     string
	ufrag     string
	pwd       Secret
	lite      bool

	numbers string // the list of payload types
	maps    []rtpmap
	fmtps   []rtpmap
}

// rtpmap is what an attribute says of a payload type: its encoding, or its parameters.
type rtpmap struct {
	pt       uint8
	encoding string
}

// readSDP parses a peer's description. Errors are ErrBadSDP; what concerns one
// stream only is left to usable.
func readSDP(text []byte) (*description, error) {
	rest := string(text)
	d := &description{media: make([]section, 0, 2)}
	session := section{dir: sendrecv, bad: fmt.Errorf("%w: no c= line", ErrBadSDP)}
	at := &session
	for n := 0; rest != ""; n++ {
		var text string
		text, rest, _ = strings.Cut(rest, "\n")
		text = strings.TrimRight(text, "\r \t")
		switch {
		case n == 0 && text != "v=0":
			return nil, fmt.Errorf("%w: does not begin with v=0", ErrBadSDP)
		case text == "":
			continue
		case len(text) < 2 || text[1] != '=':
			return nil, fmt.Errorf("%w: line %d is not type=value", ErrBadSDP, n+1)
		}
		value := strings.TrimLeft(text[2:], " ")
		switch text[0] {
		case 'm':
			if len(d.media) == maxLines {
				return nil, fmt.Errorf("%w: more than %d m= lines", ErrBadSDP, maxLines)
			}
			m, err := readMedia(value)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n+1, err)
			}
			m.addr, m.bad, m.dir = session.addr, session.bad, session.dir
			m.prints, m.setup, m.tlsID = session.prints, session.setup, session.tlsID
			m.ufrag, m.pwd, m.lite = session.ufrag, session.pwd, session.lite
			d.media = append(d.media, m)
			at = &d.media[len(d.media)-1]
		case 'c':
			at.addr, at.bad = readConnection(value)
		case 'a':
			if group, ok := strings.CutPrefix(value, "group:BUNDLE "); ok && len(d.media) == 0 {
				d.bundle = strings.Fields(group)
			}
			at.attribute(value)
		}
	}
	if len(d.media) == 0 {
		return nil, fmt.Errorf("%w: no m= line", ErrNoAudio)
	}
	for i := range d.media {
		d.media[i].resolve()
	}
	return d, nil
}

// readMedia reads "audio 49170 RTP/AVP 8 0 101".
func readMedia(value string) (m section, err error) {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return m, fmt.Errorf("%w: unprintable m= line", ErrBadSDP)
		}
	}
	media, rest, _ := strings.Cut(value, " ")
	port, rest, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	proto, formats, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	formats = strings.TrimSpace(formats)
	if formats == "" {
		return m, fmt.Errorf("%w: m= line without formats", ErrBadSDP)
	}
	port, _, _ = strings.Cut(port, "/") // number of ports: only the first is used
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return m, fmt.Errorf("%w: port of m= line", ErrBadSDP)
	}
	first, _, _ := strings.Cut(formats, " ")
	m.line = line{media: media, proto: proto, format: first}
	m.port, m.numbers = uint16(number), formats
	return m, nil
}

// readConnection reads "IN IP4 192.0.2.1". Names are not resolved: a phone call
// does not wait for DNS. Multicast and scoped addresses are nobody's phone.
func readConnection(value string) (netip.Addr, error) {
	kind, rest, _ := strings.Cut(value, " ")
	family, text, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	if kind != "IN" || family != "IP4" && family != "IP6" {
		return netip.Addr{}, fmt.Errorf("%w: c= line %.60q", ErrBadSDP, value)
	}
	// Three colons before an IPv4 address mean two (RFC 5118 section 4.10).
	a, err := netip.ParseAddr(strings.Replace(strings.TrimSpace(text), ":::", "::", 1))
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("%w: %.60q is not an IP address", ErrAddress, text)
	case a.Zone() != "":
		return netip.Addr{}, fmt.Errorf("%w: %s has a scope", ErrAddress, a)
	}
	a = a.Unmap()
	if a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return netip.Addr{}, fmt.Errorf("%w: %s is not one host", ErrAddress, a)
	}
	return a, nil
}

// attribute reads one a= line. What cannot be read is as if it were not there.
func (m *section) attribute(value string) {
	name, rest, _ := strings.Cut(value, ":")
	rest = strings.TrimLeft(rest, " ")
	switch name {
	case "rtpmap":
		m.maps = m.mapped(m.maps, rest)
	case "fmtp":
		m.fmtps = m.mapped(m.fmtps, rest)
	case "ptime":
		m.ptime = milliseconds(rest)
	case "maxptime":
		m.maxptime = milliseconds(rest)
	case "rtcp-mux", "rtcp-mux-only":
		m.mux = true
	case "rtcp":
		m.readRTCP(rest)
	default:
		if d, ok := directionOf(name); ok {
			m.dir = d
			return
		}
		m.secrecy(name, rest)
	}
}

// mapped adds "97 opus/48000/2" to a list.
func (m *section) mapped(list []rtpmap, value string) []rtpmap {
	number, text, _ := strings.Cut(value, " ")
	if pt, err := strconv.ParseUint(number, 10, 7); err == nil && m.media == "audio" && len(list) < 128 {
		list = append(list, rtpmap{uint8(pt), strings.TrimSpace(text)})
	}
	return list
}

// readRTCP reads "53020" or "53020 IN IP4 192.0.2.4" (RFC 3605).
func (m *section) readRTCP(value string) {
	number, rest, more := strings.Cut(value, " ")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return
	}
	if more {
		a, err := readConnection(rest)
		if err != nil || a.IsUnspecified() {
			return
		}
		m.rtcpAddr = a
	}
	m.rtcpPort = uint16(port)
}

func milliseconds(s string) int {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

// resolve finds out which payload types are ours to use.
func (m *section) resolve() {
	if m.media != "audio" {
		return
	}
	if m.setup == "" {
		m.setup = "active" // RFC 4145 section 4
	}
	for rest := m.numbers; rest != ""; {
		var number string
		number, rest, _ = strings.Cut(rest, " ")
		n, err := strconv.ParseUint(number, 10, 7)
		if err != nil {
			continue
		}
		pt := uint8(n)
		if m.bound[pt/64]&(1<<(pt%64)) != 0 {
			continue
		}
		m.bound[pt/64] |= 1 << (pt % 64)
		switch codec, event := m.meaning(pt); {
		case codec != NoCodec:
			m.formats = append(m.formats, format{codec, pt})
		case event && m.event == 0 && pt != staticPCMU && pt != staticPCMA:
			m.event = pt
		}
	}
}

// meaning is what a payload type carries: what its rtpmap says, else its static
// binding (RFC 3551 table 4). A static number bound to something else is nothing
// we know.
func (m *section) meaning(pt uint8) (codec Codec, event bool) {
	for _, r := range m.maps {
		if r.pt != pt {
			continue
		}
		switch {
		case isEncoding(r.encoding, "PCMA/8000") && pt != staticPCMU:
			return PCMA, false
		case isEncoding(r.encoding, "PCMU/8000") && pt != staticPCMA:
			return PCMU, false
		case isEncoding(r.encoding, "G722/8000") && pt != staticPCMA && pt != staticPCMU:
			return G722, false
		case isEncoding(r.encoding, "opus/48000/2") && pt != staticPCMA && pt != staticPCMU:
			return Opus, false
		default:
			return NoCodec, isEncoding(r.encoding, "telephone-event/8000")
		}
	}
	switch pt {
	case staticPCMA:
		return PCMA, false
	case staticPCMU:
		return PCMU, false
	case staticG722:
		return G722, false
	}
	return NoCodec, false
}

// isEncoding compares without case; one channel may be said.
func isEncoding(s, encoding string) bool {
	return strings.EqualFold(strings.TrimSuffix(s, "/1"), encoding)
}
