package siptest

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Payload types a phone of ours offers.
const (
	PCMU           = 0
	PCMA           = 8
	TelephoneEvent = 101 // RFC 4733
)

// SDP is the part of a session description a test cares about: one audio
// stream.
type SDP struct {
	Addr      string         // connection address, a literal
	Port      int            // 0 refuses the stream
	Payloads  []int          // in order of preference; empty means PCMA, PCMU, TelephoneEvent
	Maps      map[int]string // rtpmap of other payload types, "opus/48000/2"; what is not named is telephone-event
	Direction string         // sendrecv, sendonly, recvonly, inactive; "" is sendrecv and is not written
	Session   uint64         // o= session id; 0 writes 1
	Version   uint64         // o= version; 0 writes 1
	Extra     []string
}

// Audio describes the ordinary offer of a phone: PCMA, PCMU and telephone
// events at one address.
func Audio(addr net.Addr) SDP {
	u := addr.(*net.UDPAddr)
	return SDP{Addr: u.IP.String(), Port: u.Port}
}

// String writes the description. Extra lines are added to the media section.
func (s SDP) String() string {
	payloads := s.Payloads
	if len(payloads) == 0 {
		payloads = []int{PCMA, PCMU, TelephoneEvent}
	}
	family := "IP4"
	if strings.Contains(s.Addr, ":") {
		family = "IP6"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=- %d %d IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\nm=audio %d RTP/AVP",
		max(s.Session, 1), max(s.Version, 1), family, s.Addr, family, s.Addr, s.Port)
	for _, p := range payloads {
		b.WriteString(" " + strconv.Itoa(p))
	}
	b.WriteString("\r\n")
	for _, p := range payloads {
		switch named := s.Maps[p]; {
		case named != "":
			fmt.Fprintf(&b, "a=rtpmap:%d %s\r\n", p, named)
		case p == PCMU:
			b.WriteString("a=rtpmap:0 PCMU/8000\r\n")
		case p == PCMA:
			b.WriteString("a=rtpmap:8 PCMA/8000\r\n")
		default:
			fmt.Fprintf(&b, "a=rtpmap:%d telephone-event/8000\r\na=fmtp:%d 0-16\r\n", p, p)
		}
	}
	b.WriteString("a=ptime:20\r\n")
	if s.Direction != "" {
		b.WriteString("a=" + s.Direction + "\r\n")
	}
	for _, line := range s.Extra {
		b.WriteString(line + "\r\n")
	}
	return b.String()
}

// ParseSDP reads the first audio stream of a description. The direction is
// sendrecv when none is written; an address of 0.0.0.0 is returned as it is.
func ParseSDP(body string) (SDP, error) {
	s := SDP{Direction: "sendrecv"}
	sessionAddr, media := "", false
	for _, line := range strings.Split(body, "\n") {
		line = strings.TrimRight(line, "\r")
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "o=") && len(f) == 6:
			s.Session, _ = strconv.ParseUint(f[1], 10, 64)
			s.Version, _ = strconv.ParseUint(f[2], 10, 64)
		case strings.HasPrefix(line, "c=") && len(f) == 3:
			if media {
				s.Addr = f[2]
			} else {
				sessionAddr = f[2]
			}
		case strings.HasPrefix(line, "m="):
			if media {
				return s.orAddr(sessionAddr), nil
			}
			if f[0] != "m=audio" || len(f) < 4 {
				continue
			}
			port, err := strconv.Atoi(f[1])
			if err != nil {
				return s, fmt.Errorf("media line %q: bad port", line)
			}
			media, s.Port = true, port
			for _, p := range f[3:] {
				if n, err := strconv.Atoi(p); err == nil {
					s.Payloads = append(s.Payloads, n)
				}
			}
		case strings.HasPrefix(line, "a="):
			s.attribute(line[2:])
		}
	}
	if !media {
		return s, fmt.Errorf("description of %d bytes: no audio stream", len(body))
	}
	return s.orAddr(sessionAddr), nil
}

func (s *SDP) attribute(a string) {
	switch a {
	case "sendrecv", "sendonly", "recvonly", "inactive":
		s.Direction = a
	}
}

func (s SDP) orAddr(addr string) SDP {
	if s.Addr == "" {
		s.Addr = addr
	}
	return s
}

// Target returns where the other side wants its RTP, nil if nowhere.
func (s SDP) Target() *net.UDPAddr {
	ip := net.ParseIP(s.Addr)
	if ip == nil || ip.IsUnspecified() || s.Port == 0 {
		return nil
	}
	return &net.UDPAddr{IP: ip, Port: s.Port}
}

// answerDirection is what RFC 3264 section 6.1 demands of an answer to an offer
// of this direction.
func answerDirection(offer string) string {
	switch offer {
	case "sendonly":
		return "recvonly"
	case "recvonly":
		return "sendonly"
	case "inactive":
		return "inactive"
	}
	return "sendrecv"
}
