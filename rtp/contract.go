// Package rtp: CONTRACT STUB. Signatures stay; owners replace the bodies.
package rtp

import (
	"net/netip"
	"time"

	"go.uber.org/zap"
)

// ---------------------------------------------------------------- media.go, shard.go, leg.go, ports.go …

type Options struct {
	Addr         netip.Addr // bound
	Public       netip.Addr // written in SDP; zero: Addr
	MinPort      uint16     // inclusive; RTP on even ports, RTCP on the odd one above
	MaxPort      uint16
	Shards       int           // 0: half the processors, at least 1
	Quarantine   time.Duration // a released port rests this long, 0: 60 s (shortened only when the pool would otherwise be exhausted)
	MediaTimeout time.Duration // a leg told to watch is reported silent after this long; 0: 30 s
	Log          *zap.Logger
}

// Media owns the port pool and the shards.
type Media struct{}

func Open(o Options) (*Media, error)      { panic("stub") }
func (m *Media) Close() error             { panic("stub") } // ends shards; legs still open are closed
func (m *Media) Taps() []*Tap             { panic("stub") } // one per shard
func (m *Media) Ports() (used, limit int) { panic("stub") }

// Totals sums all legs, past and present, by role (0 trunk, 1 agent, …) for metrics.
func (m *Media) Totals() []Totals { panic("stub") }

type Totals struct{ PacketsIn, PacketsOut, BytesIn, BytesOut, Lost, Late uint64 }

type Role uint8

const (
	TrunkLeg Role = iota
	AgentLeg
)

// ErrPortsFull: every port of listen.rtp.ports is in use.
var ErrPortsFull error

type LegOptions struct {
	Role   Role
	Beside *Leg             // same shard as this leg: two legs that will be bridged must share one
	Sink   func(MediaEvent) // called on the shard: must not block
}

// Leg is one RTP and RTCP socket pair. Its methods may be called from any one
// goroutine (the call's); they post to the shard and return.
type Leg struct{}

func (m *Media) NewLeg(o LegOptions) (*Leg, error) { panic("stub") }
func (l *Leg) Addr() netip.AddrPort                { panic("stub") } // public address for SDP
// Set applies what SDP negotiated. A changed Remote re-arms latching.
func (l *Leg) Set(s Stream) { panic("stub") }

// Hear decides what is sent to this leg's peer from now on: nil for nothing.
func (l *Leg) Hear(s Source) { panic("stub") }

// Watch arms (or disarms) the media timeout: only while talking, never on hold or waiting.
func (l *Leg) Watch(on bool) { panic("stub") }

// Tap copies what this leg receives into the shard's Tap under (recording, channel); 0 ends it.
// A TapStart / TapStop mark goes into the tap with the time.
func (l *Leg) Tap(recording uint64, channel uint8) { panic("stub") }

// SendDigit sends an RFC 4733 event (translated PT per leg).
func (l *Leg) SendDigit(d byte, length time.Duration) { panic("stub") }

// Close releases the sockets and ports; done (may be nil) gets the leg's last Report, on the shard.
func (l *Leg) Close(done func(Report)) { panic("stub") }

// Report asks the shard for the figures so far; answered through the callback on the shard.
func (l *Leg) Report(done func(Report)) { panic("stub") }

// Bridge is Hear both ways with SSRC and timestamp continuity, and the codec translated where they differ.
func Bridge(a, b *Leg) { panic("stub") }

// Source is what a leg can hear: a *Leg (relay of what that leg receives) or a *Playlist.
type Source interface{ source() }

func (*Leg) source()      {}
func (*Playlist) source() {}

// Playlist plays Sounds one after another; the last one loops when Loop.
type Playlist struct {
	Sounds []*Sound
	Loop   bool
	Token  uint64 // PlaybackEnded carries it
}

// Sound is audio at 8 kHz held in both G.711 laws, shared by all legs.
type Sound struct {
	Name string
	alaw []byte
	ulaw []byte
}

func NewSound(name string, alaw []byte) *Sound { panic("stub") } // mu-law made by table
func (s *Sound) Duration() time.Duration       { panic("stub") }

type MediaEvent interface{ mediaEvent() }
type (
	PlaybackEnded struct{ Token uint64 }
	Digit         struct {
		Digit  byte
		Length time.Duration
	} // one per key press, RFC 4733, deduplicated
	Silent   struct{ For time.Duration }     // media timeout
	Latched  struct{ Remote netip.AddrPort } // the peer's media turned out to come from here
	BridgeUp struct{}                        // first packet relayed to this leg's peer after Hear(*Leg)
)

func (PlaybackEnded) mediaEvent() {}
func (Digit) mediaEvent()         {}
func (Silent) mediaEvent()        {}
func (Latched) mediaEvent()       {}
func (BridgeUp) mediaEvent()      {}

// Report is what a leg measured.
type Report struct {
	Codec                                     Codec
	Received, Sent, BytesIn, BytesOut         uint64
	Lost, Late, Duplicate, Reordered, Refused uint64 // Refused: from an address we do not accept
	LossRatio                                 float64
	Jitter                                    time.Duration // p95
	RTT                                       time.Duration // from RTCP, 0 unknown
	RemoteLoss                                float64       // what the peer reported in RR, 0 to 1
	MOS                                       float64       // E-model of what was received, ACD formula section "Voice quality"
	OneWay                                    bool          // we sent, nothing ever came
}

type Codec uint8

const (
	NoCodec Codec = iota
	PCMA
	PCMU
)

// Stream is what SDP negotiation decided for a leg.
type Stream struct {
	Remote     netip.AddrPort // where to send RTP
	RemoteRTCP netip.AddrPort
	Mux        bool // rtcp-mux (RFC 5761)
	Codec      Codec
	PT         uint8         // payload type of Codec
	EventPT    uint8         // telephone-event payload type, 0: none
	Ptime      time.Duration // 20 ms unless asked otherwise
	Send       bool          // we may send (the peer receives)
	Receive    bool          // the peer may send
	Latch      Latch
	SignalIP   netip.Addr // the IP the SIP flow uses, for Latch Near
}

// Latch is the rule of accepting a peer's media address (SIP.md, "Media latching").
type Latch uint8

const (
	Exact Latch = iota // trunks: the SDP address and nothing else
	Near               // agents behind NAT: candidates from the SIP flow's IP (or its /24, /64), one SSRC, 5 consecutive packets over 60 ms, within 5 s; SDP match wins at once
)

// ---------------------------------------------------------------- sdp.go: offer/answer of one leg (RFC 3264), a pure machine

// Session is the SDP side of a leg: our o= line and its version, what was agreed.
type Session struct{}

func NewSession(local netip.AddrPort, id uint64) *Session { panic("stub") }

// Offer makes our offer: codecs in order of preference, with telephone-event/8000.
func (s *Session) Offer(prefer Codec) []byte { panic("stub") }

// Answer reads the peer's offer and makes our answer, with the direction RFC 3264 section 6.1 demands.
// prefer: the codec to take when the peer has both; NoCodec: the peer's first.
func (s *Session) Answer(offer []byte, prefer Codec) (answer []byte, st Stream, err error) {
	panic("stub")
}

// Accept reads the peer's answer to our Offer.
func (s *Session) Accept(answer []byte) (Stream, error) { panic("stub") }

// Last returns our last description unchanged (same o= version), for session refresh.
func (s *Session) Last() []byte { panic("stub") }

// ---------------------------------------------------------------- tap.go

// Tap carries packets from one shard to the recorder: lock-free, one producer
// (the shard), one consumer (the recorder). When full the packet is dropped and
// counted, never waited for.
type Tap struct{}

// Read hands every record waiting to f, oldest first, and returns how many. The
// payload is valid only during f.
func (t *Tap) Read(f func(TapRecord)) int { panic("stub") }

// Wake receives when something was written to a tap that had been read empty.
func (t *Tap) Wake() <-chan struct{} { panic("stub") }
func (t *Tap) Dropped() uint64       { panic("stub") }

type TapRecord struct {
	Kind      TapKind
	Recording uint64
	Channel   uint8
	Codec     Codec
	Seq       uint16
	Timestamp uint32
	SSRC      uint32
	At        int64 // unix ns of arrival (TapPacket) or of the mark
	Payload   []byte
}
type TapKind uint8

const (
	TapPacket TapKind = iota
	TapStart
	TapStop
)
