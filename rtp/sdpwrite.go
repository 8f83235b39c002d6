package rtp

import (
	"net/netip"
	"strconv"
)

// write makes the text of o with the present version.
func (s *Session) write(o ours) []byte {
	b := make([]byte, 0, 400)
	b = append(b, "v=0\r\no=- "...)
	b = strconv.AppendUint(b, s.id, 10)
	b = append(b, ' ')
	b = strconv.AppendUint(b, s.version, 10)
	b = append(b, ' ')
	b = appendAddr(b, s.local.Addr())
	b = append(b, "\r\ns=-\r\nc="...)
	b = appendAddr(b, s.local.Addr())
	b = append(b, "\r\nt=0 0\r\n"...)
	if o.bundle != "" {
		b = append(b, "a=group:BUNDLE "...)
		b = append(b, o.bundle...)
		b = append(b, "\r\n"...)
	}
	if o.ice {
		b = append(b, "a=ice-lite\r\n"...)
	}
	for i, l := range o.lines {
		if i == o.audio {
			b = s.appendAudio(b, o)
			continue
		}
		// Refused, but present: RFC 3264 section 6.
		b = append(b, "m="...)
		b = append(b, l.media...)
		b = append(b, " 0 "...)
		b = append(b, l.proto...)
		b = append(b, ' ')
		b = append(b, l.format...)
		b = append(b, "\r\n"...)
		b = appendMid(b, l)
	}
	return b
}

func appendMid(b []byte, l line) []byte {
	if l.mid == "" {
		return b
	}
	b = append(b, "a=mid:"...)
	b = append(b, l.mid...)
	return append(b, "\r\n"...)
}

func (s *Session) appendAudio(b []byte, o ours) []byte {
	b = append(b, "m=audio "...)
	b = strconv.AppendUint(b, uint64(s.local.Port()), 10)
	b = append(b, ' ')
	b = append(b, o.lines[o.audio].proto...)
	for _, f := range o.formats {
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(f.pt), 10)
	}
	if o.event != 0 {
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(o.event), 10)
	}
	b = append(b, "\r\n"...)
	for _, f := range o.formats {
		b = appendMap(b, f.pt, f.codec.encoding())
		if f.codec == o.wide.Codec && o.wide.Fmtp != "" {
			b = append(b, "a=fmtp:"...)
			b = strconv.AppendUint(b, uint64(f.pt), 10)
			b = append(b, ' ')
			b = append(b, o.wide.Fmtp...)
			b = append(b, "\r\n"...)
		}
	}
	if o.event != 0 {
		b = appendMap(b, o.event, "telephone-event/8000")
		// The sixteen keys of RFC 4733 section 3.2, and no tones.
		b = append(b, "a=fmtp:"...)
		b = strconv.AppendUint(b, uint64(o.event), 10)
		b = append(b, " 0-15\r\n"...)
	}
	ptime := uint64(20)
	if o.wide.Ptime != 0 {
		ptime = uint64(o.wide.Ptime)
	}
	b = append(b, "a=ptime:"...)
	b = strconv.AppendUint(b, ptime, 10)
	b = append(b, "\r\na=maxptime:"...)
	b = strconv.AppendUint(b, max(ptime, 60), 10)
	b = append(b, "\r\na="...)
	b = append(b, o.dir.String()...)
	b = append(b, "\r\n"...)
	if o.mux {
		b = append(b, "a=rtcp-mux\r\n"...)
	}
	return s.appendGuard(appendMid(b, o.lines[o.audio]), o)
}

// appendGuard writes what protects the stream.
func (s *Session) appendGuard(b []byte, o ours) []byte {
	for _, c := range o.keys {
		b = c.append(b)
	}
	if o.setup != "" {
		b = append(b, "a=fingerprint:"...)
		b = append(b, s.protection.Fingerprint...)
		b = append(b, "\r\na=setup:"...)
		b = append(b, o.setup...)
		b = append(b, "\r\n"...)
	}
	if !o.ice {
		return b
	}
	b = append(b, "a=ice-ufrag:"...)
	b = append(b, s.ice.name...)
	b = append(b, "\r\na=ice-pwd:"...)
	b = append(b, string(s.ice.password)...)
	b = append(b, "\r\n"...)
	b = candidate(b, 1, s.local)
	if !o.mux {
		b = candidate(b, 2, netip.AddrPortFrom(s.local.Addr(), s.local.Port()+1))
	}
	return b
}

func appendMap(b []byte, pt uint8, encoding string) []byte {
	b = append(b, "a=rtpmap:"...)
	b = strconv.AppendUint(b, uint64(pt), 10)
	b = append(b, ' ')
	b = append(b, encoding...)
	return append(b, "\r\n"...)
}

func appendAddr(b []byte, a netip.Addr) []byte {
	if a.Is4() {
		return a.AppendTo(append(b, "IN IP4 "...))
	}
	return a.AppendTo(append(b, "IN IP6 "...))
}
