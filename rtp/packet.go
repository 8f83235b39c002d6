package rtp

import "encoding/binary"

const headerSize = 12 // bytes of an RTP header without CSRC and extension

// packet is one RTP packet as read (RFC 3550 section 5.1). The payload starts at
// least headerSize bytes into buf, so the header of the packet we send is written
// in front of it, in place: CSRC list, extension and padding of the source are
// left behind, for they mean nothing to another peer.
type packet struct {
	buf     []byte // ends where the payload ends
	payload int    // where it starts
	marker  bool
	pt      uint8
	seq     uint16
	ts      uint32
	ssrc    uint32

	codec Codec // of an audio payload
	event bool  // a telephone-event
	at    int64 // arrival on the shard's clock, ns
	wall  int64 // arrival, unix ns
}

// parse reads the header and tells whether this is sound RTP.
func (p *packet) parse(b []byte) bool {
	if len(b) < headerSize || b[0]>>6 != 2 {
		return false
	}
	start, end := headerSize+4*int(b[0]&0x0F), len(b)
	if b[0]&0x10 != 0 {
		if end < start+4 {
			return false
		}
		start += 4 + 4*int(binary.BigEndian.Uint16(b[start+2:]))
	}
	if b[0]&0x20 != 0 {
		pad := int(b[end-1])
		if pad == 0 {
			return false
		}
		end -= pad
	}
	if start > end {
		return false
	}
	p.buf, p.payload = b[:end], start
	p.marker, p.pt = b[1]&0x80 != 0, b[1]&0x7F
	p.seq = binary.BigEndian.Uint16(b[2:])
	p.ts = binary.BigEndian.Uint32(b[4:])
	p.ssrc = binary.BigEndian.Uint32(b[8:])
	return true
}

// writeHeader makes the header of a packet of ours.
func writeHeader(b []byte, pt uint8, marker bool, seq uint16, ts, ssrc uint32) {
	_ = b[headerSize-1]
	b[0], b[1] = 2<<6, pt
	if marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	binary.BigEndian.PutUint32(b[8:], ssrc)
}

// isRTCP tells RTCP from RTP on a shared port (RFC 5761 section 4).
func isRTCP(b []byte) bool { return len(b) >= 2 && b[0]>>6 == 2 && b[1] >= 192 && b[1] <= 223 }
