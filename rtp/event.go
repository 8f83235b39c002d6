package rtp

import (
	"net/netip"
	"time"
)

// MediaEvent is something that happened on a leg and that its call wants to
// know. Events go to LegOptions.Sink on the shard's own thread.
type MediaEvent interface{ mediaEvent() }

type (
	// PlaybackEnded says that a Playlist which does not loop, or an announcement of
	// Interject, has been played to its end. One replaced before its end says nothing.
	PlaybackEnded struct{ Token uint64 }

	// Digit is one key press of the peer (RFC 4733, or the tones themselves where
	// Stream.Inband asks for them), told once, when the key was let go.
	Digit struct {
		Digit  byte // one of 0123456789*#ABCD
		Length time.Duration
	}

	// Silent says that a watched leg has sent nothing for this long. It is told
	// once for each silence.
	Silent struct{ For time.Duration }

	// Quiet says that a watched leg has sent nothing for a few seconds, so that
	// somebody may look whether its peer is still there; Heard that it sends again.
	Quiet struct{ For time.Duration }
	Heard struct{}

	// Latched says where the peer's media turned out to come from.
	Latched struct{ Remote netip.AddrPort }

	// Contested says that several sources claim to be the peer and none was
	// believed: the line has to be looked at, or the SDP negotiated again.
	Contested struct{ Claimants int }

	// BridgeUp says that the first packet was relayed to this leg's peer after
	// Hear was called with another leg.
	BridgeUp struct{}

	// Broken says that a fault of our own has ended this leg; its sockets are
	// closed and it carries nothing any more. No other leg is touched.
	Broken struct{ Err error }
)

func (PlaybackEnded) mediaEvent() {}
func (Digit) mediaEvent()         {}
func (Silent) mediaEvent()        {}
func (Quiet) mediaEvent()         {}
func (Heard) mediaEvent()         {}
func (Latched) mediaEvent()       {}
func (Contested) mediaEvent()     {}
func (BridgeUp) mediaEvent()      {}
func (Broken) mediaEvent()        {}
