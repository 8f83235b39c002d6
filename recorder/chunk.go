package recorder

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"time"

	"foyer/rtp"
)

// A chunk on disk, little-endian:
//
//	 0  4  magic "FYR" and the version of the format
//	 4  1  kind: head, audio, end, resumption
//	 5  1  flags
//	 6  2  zero
//	 8 12  recording
//	20  4  number, from 0
//	24  8  time of the first record, unix ns
//	32  8  time of the last record, unix ns
//	40  4  audio lost so far, ms
//	44  4  length of the payload as stored
//	48 32  SHA-256 of the chunk before, zero for the first
//	80     payload, sealed or not
//	     4  CRC32C of all that
//
// The payload of an audio chunk is a sequence of records. Each chunk names its
// streams anew, so that it can be understood without the others.
const (
	magic     = "FYR\x01"
	headSize  = 80
	crcSize   = 4
	tagSize   = 16      // of AES-GCM
	chunkSize = 4608    // in memory: about 250 ms of two parties
	maxFrame  = 1 << 16 // nothing we write comes near it
)

type kind uint8

const (
	headChunk   kind = 1 + iota // who and what; the wrapped key
	audioChunk                  // records
	endChunk                    // nothing comes after this
	resumeChunk                 // a new life of the switch goes on; numbers may be left out before it, chunks not
)

const (
	sealedFlag uint8 = 1 << iota
	cutFlag          // of endChunk: the recording was ended before its call
)

// recID identifies a recording: 48 bits of unix milliseconds, 48 random ones. As
// text it sorts by time and tells in which directory to look.
type recID [12]byte

func (id recID) String() string { return hex.EncodeToString(id[:]) }

func (id recID) time() time.Time {
	var b [8]byte
	copy(b[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b[:]))).UTC()
}

// parseID refuses everything that is not exactly an id: it becomes a path.
func parseID(s string) (id recID, ok bool) {
	if len(s) != hex.EncodedLen(len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err == nil && id.String() == s
}

// head is what stands before a chunk's payload.
type head struct {
	kind   kind
	flags  uint8
	id     recID
	number uint32
	first  int64
	last   int64
	lost   uint32
	length uint32
	prev   [sha256.Size]byte
}

func (h *head) put(b []byte) {
	copy(b, magic)
	b[4], b[5], b[6], b[7] = byte(h.kind), h.flags, 0, 0
	copy(b[8:], h.id[:])
	binary.LittleEndian.PutUint32(b[20:], h.number)
	binary.LittleEndian.PutUint64(b[24:], uint64(h.first))
	binary.LittleEndian.PutUint64(b[32:], uint64(h.last))
	binary.LittleEndian.PutUint32(b[40:], h.lost)
	binary.LittleEndian.PutUint32(b[44:], h.length)
	copy(b[48:headSize], h.prev[:])
}

// castagnoli is filled once; the polynomial has an instruction of its own.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is a chunk as read.
type frame struct {
	head
	payload []byte
	raw     []byte // the whole
}

// parseFrame reads the chunk at the beginning of b. Not ok: there is none, or it
// is damaged or incomplete.
func parseFrame(b []byte) (f frame, ok bool) {
	if len(b) < headSize+crcSize || !bytes.HasPrefix(b, []byte(magic)) {
		return f, false
	}
	length := binary.LittleEndian.Uint32(b[44:])
	if length > maxFrame-headSize-crcSize || int(length) > len(b)-headSize-crcSize {
		return f, false
	}
	end := headSize + int(length)
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return f, false
	}
	f.kind, f.flags = kind(b[4]), b[5]
	copy(f.id[:], b[8:])
	f.number = binary.LittleEndian.Uint32(b[20:])
	f.first = int64(binary.LittleEndian.Uint64(b[24:]))
	f.last = int64(binary.LittleEndian.Uint64(b[32:]))
	f.lost = binary.LittleEndian.Uint32(b[40:])
	f.length = length
	copy(f.prev[:], b[48:])
	f.payload, f.raw = b[headSize:end:end], b[:end+crcSize]
	return f, true
}

// Records of an audio chunk begin with one of these.
const (
	streamRecord byte = 1 + iota // index, channel, codec, ssrc
	packetRecord                 // index, length 2, sequence 2, offset 4, timestamp 4, payload
	startRecord                  // channel, time 8
	stopRecord                   // channel, time 8
	gapRecord                    // 0, from 8, to 8, packets 4
	joinRecord                   // length, time 8, agent
)

const (
	streamSize = 8
	packetSize = 14 // and the payload
	markSize   = 10
	gapSize    = 22
	joinSize   = 10 // and the name
)

var errRecords = errors.New("records of the chunk cannot be understood")

// packets hands every packet of an audio chunk to f, in order of arrival. What f
// gets is valid only during f.
func packets(payload []byte, first int64, f func(*rtp.TapRecord)) error {
	var streams [256]rtp.TapRecord
	for b := payload; len(b) > 0; {
		size := recordSize(b)
		if size == 0 || size > len(b) {
			return errRecords
		}
		switch b[0] {
		case streamRecord:
			streams[b[1]] = rtp.TapRecord{Channel: b[2], Codec: rtp.Codec(b[3]), SSRC: binary.LittleEndian.Uint32(b[4:])}
		case packetRecord:
			t := streams[b[1]]
			if t.Codec == rtp.NoCodec {
				return errRecords
			}
			t.Kind = rtp.TapPacket
			t.Seq = binary.LittleEndian.Uint16(b[4:])
			t.At = first + int64(int32(binary.LittleEndian.Uint32(b[6:])))*int64(time.Microsecond)
			t.Timestamp = binary.LittleEndian.Uint32(b[10:])
			t.Payload = b[packetSize:size:size]
			f(&t)
		}
		b = b[size:]
	}
	return nil
}

// recordSize is the length of the record at the beginning of b, 0 if unknown.
func recordSize(b []byte) int {
	switch {
	case b[0] == streamRecord:
		return streamSize
	case b[0] == packetRecord && len(b) >= packetSize:
		return packetSize + int(binary.LittleEndian.Uint16(b[2:]))
	case b[0] == startRecord, b[0] == stopRecord:
		return markSize
	case b[0] == gapRecord:
		return gapSize
	case b[0] == joinRecord && len(b) >= joinSize:
		return joinSize + int(b[1])
	}
	return 0
}
