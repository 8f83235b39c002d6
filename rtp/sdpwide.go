package rtp

import "slices"

// Wideband is a codec beyond G.711 as one side has it, to be listed for the other.
// The switch does not code it: what each side says of it is meant for the other.
type Wideband struct {
	Codec Codec
	Fmtp  string // its parameters (a=fmtp), as they were written; "": none
	Ptime int    // a=ptime, ms; 0: not said
	First bool   // before G.711, so that the peer speaks it; else the peer may only be sent it
}

// Limits of what is passed on of a peer's description.
const (
	longestFmtp  = 256 // bytes
	longestPtime = 120 // ms, the most a packet of Opus can hold (RFC 7587 section 6.1)
)

// Widen makes our next offer or answer list a codec besides G.711; the zero value
// none, which is how a session begins. As any format of an answer may be sent at any
// moment (RFC 3264 sections 5.1 and 7), G.711 stays there to be played or passed on.
// An answer lists it only if the offer does.
func (s *Session) Widen(w Wideband) { s.wide = w }

// Shown is what the peer has said of a wideband codec, whether we took it or not. ok
// says that its last offer, or an answer since, had it.
func (s *Session) Shown(c Codec) (w Wideband, ok bool) {
	i := slices.IndexFunc(s.shown, func(w Wideband) bool { return w.Codec == c })
	if i < 0 {
		return w, false
	}
	return s.shown[i], true
}

// Expect is the wideband codec that our last description lists, and its number:
// whoever has it may send that from now on.
func (s *Session) Expect() (Codec, uint8) {
	for _, f := range s.said.formats {
		if f.codec.Wide() {
			return f.codec, f.pt
		}
	}
	return NoCodec, 0
}

// widened puts a wideband format in its place among ours.
func (s *Session) widened(formats []format, w format) []format {
	if w.pt == 0 {
		return formats // every number is taken
	}
	if s.wide.First {
		return append([]format{w}, formats...)
	}
	return append(formats, w)
}

// see notes what the peer has shown.
func (s *Session) see(theirs *section) {
	if !s.offerer {
		s.shown = nil // an offer lists all that the peer has
	}
	for _, f := range theirs.wides {
		w := Wideband{Codec: f.codec, Fmtp: theirs.fmtp(f.pt), Ptime: min(theirs.ptime, longestPtime)}
		s.shown = slices.DeleteFunc(s.shown, func(w Wideband) bool { return w.Codec == f.codec })
		s.shown = append(s.shown, w)
	}
}

// fmtp is the parameters of a payload type, if they can be passed on.
func (m *section) fmtp(pt uint8) string {
	i := slices.IndexFunc(m.fmtps, func(f rtpmap) bool { return f.pt == pt })
	if i < 0 || len(m.fmtps[i].encoding) > longestFmtp {
		return ""
	}
	for _, c := range []byte(m.fmtps[i].encoding) {
		if c < ' ' || c > '~' {
			return ""
		}
	}
	return m.fmtps[i].encoding
}

// learnWide keeps the numbers the peer uses for wideband codecs. A number that now
// means one of them means nothing else any more.
func (n *numbers) learnWide(theirs *section) {
	for _, f := range theirs.wides {
		switch f.codec {
		case G722:
			n.g722 = f.pt
			if n.opus == f.pt {
				n.opus = 0
			}
		case Opus:
			n.opus = f.pt
			if n.g722 == f.pt {
				n.g722 = 0
			}
		}
		if n.event == f.pt && theirs.event != f.pt {
			n.event = 0
		}
	}
	for _, wide := range [...]*uint8{&n.g722, &n.opus} {
		if *wide != 0 && (*wide == n.pcma || *wide == n.pcmu || *wide == n.event) {
			*wide = 0
		}
	}
}

// forWide is the number of a wideband codec in an offer that has event for
// telephone-event: the one in use, else the usual one, else the first that is free.
func (n *numbers) forWide(c Codec, event uint8) uint8 {
	number := n.opus
	if c == G722 {
		number = n.g722
		if number == 0 && n.taken[0]&(1<<staticG722) == 0 {
			number = staticG722
		}
	}
	if number == 0 {
		number = n.free(usualOpus, event)
	}
	return number
}
