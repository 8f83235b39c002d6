package rtp

import "time"

// Report is what a leg measured. "Received" is from the peer to us; figures of
// the way back are those the peer reported in RTCP.
//
// Of a leg that has outlived a process Received, Sent, Lost and the bytes are exact to
// the packet that was on its way in the kill. Bytes are counted modulo 4 GiB from then
// on. The others, and the seconds that Jitter and so MOS are made of, are those of the
// last record, at most 30 s before the kill.
type Report struct {
	Codec       Codec  // the wideband one if the peer has spoken any, else as agreed
	Received    uint64 // RTP packets accepted, each once
	Sent        uint64
	BytesIn     uint64 // payload only
	BytesOut    uint64
	Lost        uint64
	Late        uint64 // came, but more than 60 ms after their turn
	Duplicate   uint64
	Reordered   uint64
	Refused     uint64 // from an address we do not accept
	Malformed   uint64 // not RTP, or RTP that contradicts itself
	Unknown     uint64 // of a payload type nobody negotiated
	SendFails   uint64 // the kernel would not take our packet
	Unreachable uint64 // the peer's host said that nobody listens there
	Unproven    uint64 // came to a protected stream and was not made with the peer's key

	Guard Guard // what protected the stream in the end
	Suite Suite // of Guard

	LossRatio  float64       // Lost of all expected, 0 to 1
	Jitter     time.Duration // p95 of the RFC 3550 jitter, sampled each second
	RTT        time.Duration // from RTCP, 0 unknown
	RemoteLoss float64       // what the peer reported in RR, 0 to 1
	MOS        float64       // E-model of what was received, 1 to 4.5; 0 when nothing was, or a wideband codec, which it has no figures for
	OneWay     bool          // we sent, nothing ever came
}

// Totals sums the traffic of all legs of one role, past and present.
type Totals struct {
	PacketsIn, PacketsOut, BytesIn, BytesOut, Lost, Late uint64

	SRTP SRTPErrors
	ICE  ICEFailures
}

func (t *Totals) add(o Totals) {
	t.PacketsIn += o.PacketsIn
	t.PacketsOut += o.PacketsOut
	t.BytesIn += o.BytesIn
	t.BytesOut += o.BytesOut
	t.Lost += o.Lost
	t.Late += o.Late
	t.SRTP.Add(o.SRTP)
	t.ICE.Add(o.ICE)
}
