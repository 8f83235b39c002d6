package rtp

import "net/netip"

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
