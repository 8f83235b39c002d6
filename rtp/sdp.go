package rtp

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// What can be wrong with a peer's description. Each is a reason to answer 488;
// the session stays as it was.
var (
	ErrBadSDP    = errors.New("malformed SDP")
	ErrNoAudio   = errors.New("no audio stream in SDP")
	ErrTransport = errors.New("no audio in SDP that is protected as it must be")
	ErrAddress   = errors.New("unusable media address in SDP")
	ErrNoCodec   = errors.New("no codec in SDP that we speak")
	ErrNoOffer   = errors.New("SDP answer to no offer of ours")
)

// Session is the SDP side of one leg: what we described last, in which version,
// and what was agreed (RFC 3264). It is pure, but for the keys it draws, and
// belongs to one goroutine. A method that fails changes nothing.
type Session struct {
	local   netip.AddrPort
	id      uint64
	version uint64
	held    bool    // we want the peer silent
	codecs  []Codec // what we speak, in our order of preference
	silent  bool    // no telephone-event
	wide    Wideband
	shown   []Wideband // what the peer has listed of the kind

	protection Protection
	keys       *Keys // agreed, where they are in the SDP
	ice        iceSide
	client     bool // of the DTLS handshake that was agreed on

	said    ours   // our last description
	last    []byte // said, as written
	agreed  ours   // our side of the last completed exchange; no lines: none yet
	offerer bool   // said is an offer
	open    bool   // and its answer has not come
	codec   Codec  // agreed
	numbers numbers
	remote  netip.AddrPort // where the peer last could be reached
}

// ours is a description of ours before it is written.
type ours struct {
	lines   []line // every m= line of the session, in order
	audio   int    // the one that is served; the others are refused with port 0
	formats []format
	wide    Wideband // one of formats
	event   uint8    // telephone-event, 0: none
	dir     direction
	mux     bool
	guard   Guard
	keys    []cryptoLine // SDES: the choice of an offer, the one of an answer
	setup   string       // DTLS: a=setup
	ice     bool
	bundle  string // mid of the one stream in the peer's bundle (RFC 9143), "": none
}

// line is what of an m= line must be repeated even when it is refused.
type line struct{ media, proto, format, mid string }

type format struct {
	codec Codec
	pt    uint8
}

// numbers are the payload types of the session. RFC 3264 section 8.3.2: a number
// once bound to a format never means another, so offers of ours keep to what the
// peer has used.
type numbers struct {
	pcma, pcmu, event uint8
	g722, opus        uint8     // 0: not bound
	taken             [2]uint64 // bit set of all the peer has bound
}

const (
	usualEvent = 101 // what most phones and carriers use for telephone-event
	usualOpus  = 107 // what many use for Opus
	maxLines   = 64  // m= lines of a description; more is not a phone call
)

// NewSession starts the SDP of a leg that receives on local. id is the session id
// of the o= line; 62 bits of it are used (RFC 3264 section 5).
func NewSession(local netip.AddrPort, id uint64) *Session {
	return &Session{
		local:   netip.AddrPortFrom(local.Addr().Unmap().WithZone(""), local.Port()),
		id:      id & (1<<62 - 1),
		version: 1,
		codecs:  []Codec{PCMA, PCMU},
		numbers: numbers{pcma: staticPCMA, pcmu: staticPCMU},
	}
}

// Speak says which codecs this side speaks, in order of preference, and whether
// telephone-event too. Before it is called: PCMA, PCMU and telephone-event.
func (s *Session) Speak(codecs []Codec, events bool) {
	s.codecs, s.silent = codecs, !events
}

// understood takes out of a peer's description what we do not speak. Of the wideband
// codecs it leaves the one that Widen has named.
func (s *Session) understood(d *description) {
	for i := range d.media {
		m := &d.media[i]
		for _, f := range m.formats {
			if f.codec.Wide() {
				m.wides = append(m.wides, f)
			}
			if f.codec == s.wide.Codec {
				m.wide = f
			}
		}
		m.formats = slices.DeleteFunc(m.formats, func(f format) bool { return !slices.Contains(s.codecs, f.codec) })
		if s.silent {
			m.event = 0
		}
	}
}

// ourFormats are the codecs of an offer of ours with this number for
// telephone-event, of the laws of G.711 prefer first if we speak it.
func (s *Session) ourFormats(prefer Codec, event uint8) []format {
	formats := make([]format, 0, len(s.codecs))
	for _, c := range s.codecs {
		pt := s.numbers.pcma
		if c == PCMU {
			pt = s.numbers.pcmu
		}
		formats = append(formats, format{c, pt})
	}
	for i, f := range formats {
		if f.codec == prefer {
			formats[0], formats[i] = formats[i], formats[0]
		}
	}
	if w := s.wide.Codec; w != NoCodec {
		return s.widened(formats, format{w, s.numbers.forWide(w, event)})
	}
	return formats
}

// Hold makes our next offer or answer ask the peer to be silent (on) or to talk
// again. What the peer wants is left alone.
func (s *Session) Hold(on bool) { s.held = on }

// Offer makes our offer: what we speak, prefer first (NoCodec: in our order). The
// result must not be changed.
func (s *Session) Offer(prefer Codec) []byte {
	o := ours{
		lines: []line{{media: "audio", proto: s.protection.profile()}},
		wide:  s.wide,
		dir:   s.wish(),
	}
	if !s.silent {
		o.event = s.numbers.forEvent()
	}
	o.formats = s.ourFormats(prefer, o.event)
	if len(s.agreed.lines) > 0 {
		// RFC 3264 section 8: the lines of the session stay, in their order.
		o.lines, o.audio, o.mux = s.agreed.lines, s.agreed.audio, s.agreed.mux
	}
	s.secure(&o)
	s.offerer, s.open = true, true
	return s.describe(o)
}

// Answer reads the peer's offer and makes our answer, with the direction RFC 3264
// section 6.1 demands. The codec in use stays when it is still offered; else
// prefer is taken, else the peer's first. The answer must not be changed.
func (s *Session) Answer(offer []byte, prefer Codec) (answer []byte, st Stream, err error) {
	d, err := readSDP(offer)
	if err != nil {
		return nil, st, fmt.Errorf("read offer: %w", err)
	}
	s.understood(d)
	if s.protection.ICE {
		d.foundByChecks(s.local.Addr())
	}
	inUse := -1
	if len(s.agreed.lines) > 0 {
		inUse = s.agreed.audio
	}
	i, err := d.serve(inUse, s.local.Addr(), s.protection.takes())
	if err != nil {
		return nil, st, fmt.Errorf("read offer: %w", err)
	}
	theirs := &d.media[i]
	chosen := theirs.pick(s.codec, prefer)
	o := ours{
		lines: d.lines(),
		audio: i,
		event: theirs.event,
		dir:   s.wish() & theirs.dir.mirror(),
		mux:   theirs.mux,
	}
	if chosen.codec != NoCodec {
		o.formats = []format{chosen}
	}
	if theirs.wide.codec != NoCodec {
		o.formats, o.wide = s.widened(o.formats, theirs.wide), s.wide
	}
	s.reply(&o, theirs)
	if theirs.addr.IsUnspecified() && !o.ice {
		o.dir &^= sendonly // hold in the manner of RFC 2543
	}
	if slices.Contains(d.bundle, theirs.mid) {
		o.bundle = theirs.mid
	}
	if o.ice {
		s.meetICE(theirs)
	}
	s.offerer, s.open = false, false
	answer = s.describe(o)
	s.agreed = o
	return answer, s.settle(theirs, chosen), nil
}

// Accept reads the peer's answer to our Offer. It may come more than once, early
// and final.
func (s *Session) Accept(answer []byte) (st Stream, err error) {
	if !s.offerer {
		return st, ErrNoOffer
	}
	d, err := readSDP(answer)
	if err != nil {
		return st, fmt.Errorf("read answer: %w", err)
	}
	s.understood(d)
	// The answer has our lines in our order (RFC 3264 section 6).
	i := s.said.audio
	if i >= len(d.media) {
		return st, fmt.Errorf("read answer: %w", ErrNoAudio)
	}
	if s.said.ice {
		d.foundByChecks(s.local.Addr())
	}
	theirs := &d.media[i]
	if err := theirs.usable(s.local.Addr(), Among(Plain, SDES, DTLS)); err != nil {
		return st, fmt.Errorf("read answer: %w", err)
	}
	agreed, ok := s.agrees(theirs)
	if !ok {
		return st, fmt.Errorf("read answer: %w", ErrTransport)
	}
	s.open = false
	s.agreed = agreed
	return s.settle(theirs, theirs.pick(NoCodec, NoCodec)), nil
}

// Repeated says that our last description went to the peer once more, unchanged,
// as the offer of a session refresh: Accept then reads its answer.
func (s *Session) Repeated() { s.offerer, s.open = s.last != nil, s.last != nil }

// Refused takes back an Offer that the peer has refused: the session is what was
// agreed before (RFC 3264 section 8), and Last says so again.
func (s *Session) Refused() {
	if s.open && len(s.agreed.lines) > 0 {
		s.describe(s.agreed)
	}
	s.offerer, s.open = false, false
}

// Last returns our last description unchanged (same o= version), for session
// refresh; nil when there was none.
func (s *Session) Last() []byte { return s.last }

func (s *Session) wish() direction {
	if s.held {
		return sendonly
	}
	return sendrecv
}

// describe writes o. The version grows by one when, and only when, something is
// different from what we said last (RFC 3264 section 8).
func (s *Session) describe(o ours) []byte {
	s.said = o
	text := s.write(o)
	if s.last != nil && !bytes.Equal(text, s.last) {
		s.version++
		text = s.write(o)
	}
	s.last = text
	return text
}

// settle notes what is agreed and says what it means for the media.
func (s *Session) settle(theirs *section, f format) Stream {
	if f.codec != NoCodec {
		s.codec = f.codec
	}
	s.numbers.learn(theirs, f)
	s.see(theirs)
	if !theirs.addr.IsUnspecified() {
		s.remote = netip.AddrPortFrom(theirs.addr, theirs.port)
	}
	both := s.agreed.dir & theirs.dir.mirror()
	st := Stream{
		Remote:  s.remote,
		Mux:     s.agreed.mux,
		Codec:   f.codec,
		PT:      f.pt,
		Wide:    theirs.wide.codec,
		WidePT:  theirs.wide.pt,
		EventPT: theirs.event,
		Ptime:   theirs.packet(),
		Send:    both&sendonly != 0 && (!theirs.addr.IsUnspecified() || s.agreed.ice && theirs.ufrag != ""),
		Receive: both&recvonly != 0,
	}
	if st.Wide != NoCodec {
		st.Expect, st.ExpectPT = s.Expect()
	}
	switch {
	case !s.remote.IsValid():
	case st.Mux:
		st.RemoteRTCP = s.remote
	case theirs.rtcpPort != 0 && theirs.rtcpAddr.IsValid():
		st.RemoteRTCP = netip.AddrPortFrom(theirs.rtcpAddr, theirs.rtcpPort)
	case theirs.rtcpPort != 0:
		st.RemoteRTCP = netip.AddrPortFrom(s.remote.Addr(), theirs.rtcpPort)
	case s.remote.Port() < 65535:
		st.RemoteRTCP = netip.AddrPortFrom(s.remote.Addr(), s.remote.Port()+1)
	}
	s.shield(&st, theirs)
	return st
}

// learn keeps the numbers the peer uses. A peer that binds a number twice, one
// after the other, is followed; a description of ours never has it twice.
func (n *numbers) learn(theirs *section, f format) {
	switch f.codec {
	case PCMA:
		n.pcma = f.pt
		if n.pcmu == f.pt {
			n.pcmu = staticPCMU
		}
	case PCMU:
		n.pcmu = f.pt
		if n.pcma == f.pt {
			n.pcma = staticPCMA
		}
	}
	if theirs.event != 0 {
		n.event = theirs.event
	}
	n.learnWide(theirs)
	if n.event == n.pcma || n.event == n.pcmu {
		n.event = 0
	}
	for i := range n.taken {
		n.taken[i] |= theirs.bound[i]
	}
}

// forEvent is the number for telephone-event in an offer: the one in use, else
// the usual one, else the first the peer has not bound to something else.
func (n *numbers) forEvent() uint8 {
	if n.event != 0 {
		return n.event
	}
	return n.free(usualEvent, 0)
}

// free is the first number from first on, or else from 96, that the peer has not
// bound to something else and that is not ours; 0 if there is none.
func (n *numbers) free(first, ours uint8) uint8 {
	for _, first := range [...]uint8{first, 96} {
		for pt := first; pt <= 127; pt++ {
			if pt != ours && n.taken[pt/64]&(1<<(pt%64)) == 0 {
				return pt
			}
		}
	}
	return 0
}

// packet is the packet length the peer wants (a=ptime, a=maxptime), 20 ms when it
// does not say, within the 10 to 60 ms we make.
func (m *section) packet() time.Duration {
	ms := m.ptime
	if ms == 0 {
		ms = 20
	}
	if m.maxptime != 0 {
		ms = min(ms, m.maxptime)
	}
	return time.Duration(max(10, min(ms, 60))) * time.Millisecond
}
