package rtp

import (
	"net/netip"
	"time"
)

// Codec is how audio is coded: one of the two laws of ITU-T G.711, which the switch
// makes and records itself, or a wideband codec, which it only passes on. NoCodec
// says that nothing has been negotiated yet.
type Codec uint8

const (
	NoCodec Codec = iota
	PCMA
	PCMU
	G722 // RFC 3551 section 4.5.2: its clock is 8000 Hz although it samples at 16000
	Opus // RFC 7587: its clock is 48000 Hz, whatever it samples at
)

// Wide says that a codec is passed on as it is or not at all.
func (c Codec) Wide() bool { return c >= G722 }

// clockRate is the RTP clock of all codecs but Opus, and of telephone-event, in Hz
// (RFC 3551 section 6, RFC 4733 section 2.3); fastClock is how many times as fast
// that of Opus is.
const (
	clockRate = 8000
	fastClock = 6
)

// Payload types that never change their meaning (RFC 3551 table 4). A peer to
// whom both laws were described may send either at any moment, so these are
// understood beside the negotiated number.
const (
	staticPCMU   = 0
	staticPCMA   = 8
	staticG722   = 9
	comfortNoise = 13 // how the silence sounds that a phone does not send (RFC 3389)
)

// String is the encoding name of RFC 3551.
func (c Codec) String() string {
	switch c {
	case PCMA:
		return "PCMA"
	case PCMU:
		return "PCMU"
	case G722:
		return "G722"
	case Opus:
		return "opus"
	default:
		return "none"
	}
}

// encoding is what a=rtpmap says of it.
func (c Codec) encoding() string {
	if c == Opus {
		return "opus/48000/2" // RFC 7587 section 7, also for one channel
	}
	return c.String() + "/8000"
}

// Stream is what SDP negotiation decided for a leg.
type Stream struct {
	Remote     netip.AddrPort // where to send RTP
	RemoteRTCP netip.AddrPort // where to send RTCP; invalid: the port above Remote's
	Mux        bool           // rtcp-mux (RFC 5761): RTCP shares the RTP port
	Codec      Codec          // PCMA or PCMU; NoCodec: the peer takes nothing but Wide
	PT         uint8          // payload type of Codec
	Wide       Codec          // may be passed on besides, in both directions; NoCodec: none
	WidePT     uint8          // payload type of Wide, as it is sent
	Expect     Codec          // wideband codec that may come, as soon as it is offered (RFC 3264 section 5.1)
	ExpectPT   uint8          // payload type of Expect
	EventPT    uint8          // telephone-event payload type, 0: none
	Ptime      time.Duration  // 20 ms unless asked otherwise
	Send       bool           // we may send (the peer receives)
	Receive    bool           // the peer may send
	Inband     bool           // keys are looked for in the peer's audio, if EventPT is 0
	Latch      Latch
	SignalIP   netip.Addr // the IP the SIP flow uses, for Latch Near
	Guard      Guard
	Keys       *Keys      // Guard SDES
	DTLS       *Handshake // Guard DTLS
	ICE        *Checks    // nil: the peer makes none
}

// Latch is the rule of accepting a peer's media address.
type Latch uint8

const (
	// Exact accepts the address and port of the SDP and nothing else: trunks.
	Exact Latch = iota
	// Near is for agents behind a home router, whose SDP names an address that
	// means nothing here. A candidate must come from the IP of the SIP flow, or
	// its /24 or /64, and send five consecutive packets of one SSRC over 60 ms
	// within 5 s. The SDP address itself wins at once.
	Near
)

// terms are the parts of a Stream that every packet is held against.
type terms struct {
	codec   Codec
	pt      uint8
	eventPT uint8
	send    bool
	receive bool
	mux     bool
	ticks   uint8 // of the packets we make ourselves
}

func (s *Stream) terms() terms {
	return terms{
		codec: s.Codec, pt: s.PT, eventPT: s.EventPT,
		send: s.Send, receive: s.Receive, mux: s.Mux, ticks: uint8(s.ptime() / tick),
	}
}

// settled says that something has been negotiated.
func (s *Stream) settled() bool { return s.Codec != NoCodec || s.Wide != NoCodec }

// understands tells what a payload type carries on a leg's stream.
func (l *Leg) understands(pt uint8) (codec Codec, event bool) {
	t := &l.terms
	switch {
	case pt == t.pt && t.codec != NoCodec:
		return t.codec, false
	case !l.stream.settled():
		return NoCodec, false
	case pt == l.stream.WidePT && l.stream.Wide != NoCodec:
		return l.stream.Wide, false
	case pt == l.stream.ExpectPT && l.stream.Expect != NoCodec:
		return l.stream.Expect, false
	case pt == t.eventPT && t.eventPT != 0:
		return NoCodec, true
	case pt == staticPCMU:
		return PCMU, false
	case pt == staticPCMA:
		return PCMA, false
	default:
		return NoCodec, false
	}
}

// ptime is the length of the packets we make ourselves: what the peer asked
// for, in whole ticks of the shard, 10 to 60 ms.
func (s *Stream) ptime() time.Duration {
	p := s.Ptime.Round(2 * tick)
	switch {
	case s.Ptime == 0:
		return 20 * time.Millisecond
	case p < 10*time.Millisecond:
		return 10 * time.Millisecond
	case p > 60*time.Millisecond:
		return 60 * time.Millisecond
	default:
		return p
	}
}

// rtcpRemote is where the peer expects RTCP (RFC 3605, else RFC 3550 section 11).
func (s *Stream) rtcpRemote() netip.AddrPort {
	switch {
	case s.Mux:
		return s.Remote
	case s.RemoteRTCP.IsValid():
		return s.RemoteRTCP
	case s.Remote.IsValid() && s.Remote.Port() < 65535:
		return netip.AddrPortFrom(s.Remote.Addr(), s.Remote.Port()+1)
	default:
		return netip.AddrPort{}
	}
}
