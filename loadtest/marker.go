package loadtest

import (
	"encoding/binary"
)

// Codec is the payload type a phone of the load speaks.
type Codec uint8

// The two laws of G.711 by their static payload types.
const (
	PCMU Codec = 0
	PCMA Codec = 8
)

func (c Codec) String() string {
	if c == PCMU {
		return "PCMU"
	}
	return "PCMA"
}

// Side is the end of a call a packet was sent from.
type Side uint8

// The two ends of a call.
const (
	CallerSide Side = 0
	AgentSide  Side = 1
)

func (s Side) other() Side { return 1 - s }

const (
	markerSize  = 24
	markerBytes = 2 * markerSize // as written: one byte of payload for each half byte
	markerMagic = 0x4C54
	frameBytes  = 160 // 20 ms of G.711
)

// Marker is what every media packet says about itself. It travels as the first
// 48 bytes of the payload, half a byte in each, as the faintest samples the codec
// knows: the payload stays ordinary audio in which the marker is a whisper 42 dB
// under full scale, and a relay carries it through untouched. Translation between
// the two laws destroys it.
type Marker struct {
	Call uint32
	Side Side // that it was sent from
	Seq  uint32
	Sent int64 // ns since 1970
}

// Put writes the marker into the beginning of a payload.
func (m *Marker) Put(payload []byte, codec Codec) {
	var b [markerSize]byte
	binary.BigEndian.PutUint16(b[0:], markerMagic)
	b[2] = byte(m.Side)
	binary.BigEndian.PutUint32(b[4:], m.Call)
	binary.BigEndian.PutUint32(b[8:], m.Seq)
	binary.BigEndian.PutUint64(b[12:], uint64(m.Sent))
	binary.BigEndian.PutUint32(b[20:], sum(b[:20]))
	silence := codec.silence()
	_ = payload[markerBytes-1]
	for i, v := range b {
		payload[2*i] = silence ^ v>>4
		payload[2*i+1] = silence ^ v&15
	}
}

// Get reads a marker back, false if the payload carries none.
func (m *Marker) Get(payload []byte, codec Codec) bool {
	if len(payload) < markerBytes {
		return false
	}
	silence := codec.silence()
	var b [markerSize]byte
	for i := range b {
		high, low := payload[2*i]^silence, payload[2*i+1]^silence
		if high > 15 || low > 15 {
			return false
		}
		b[i] = high<<4 | low
	}
	if binary.BigEndian.Uint16(b[0:]) != markerMagic || binary.BigEndian.Uint32(b[20:]) != sum(b[:20]) {
		return false
	}
	m.Side = Side(b[2] & 1)
	m.Call = binary.BigEndian.Uint32(b[4:])
	m.Seq = binary.BigEndian.Uint32(b[8:])
	m.Sent = int64(binary.BigEndian.Uint64(b[12:]))
	return true
}

// silence is the code of the smallest positive sample; the codes that differ from
// it in the low four bits only are its fifteen nearest neighbours in both laws.
func (c Codec) silence() byte {
	if c == PCMU {
		return 0xFF
	}
	return 0xD5
}

// sum is FNV-1a: silence must not read as a marker by chance.
func sum(b []byte) uint32 {
	h := uint32(2166136261)
	for _, v := range b {
		h = (h ^ uint32(v)) * 16777619
	}
	return h
}
