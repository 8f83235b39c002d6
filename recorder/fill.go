package recorder

import (
	"encoding/binary"
	"math"
	"time"
	"unsafe"

	"foyer/rtp"
)

// chunk is one being filled, or waiting to be written. What a next life needs of it
// is in its memory too (slot), and true after every method.
type chunk struct {
	b       []byte    // the slot, as long as the head of a frame, then records
	place   int       // in memory that outlives the process, -1 on the heap
	settled bool      // lost is decided: a frame has been made of it
	since   time.Time // when its first record was taken
	first   int64     // time of the first record, unix ns
	last    int64     // the latest time of a record
	lost    uint32
	streams [8]stream
	named   int // of streams
}

type stream struct {
	channel uint8
	codec   rtp.Codec
	ssrc    uint32
}

func (c *chunk) reset(handle, order uint64) {
	c.b = c.b[:headSize]
	c.settled, c.named, c.first, c.last = false, 0, 0, 0
	h := c.slot()
	h.length, h.order = headSize, order
	h.handle = handle
}

func (c *chunk) slot() *slot { return (*slot)(unsafe.Pointer(&c.b[0])) }

// grown makes the records appended so far count.
func (c *chunk) grown() {
	h := c.slot()
	h.first, h.last = c.first, c.last
	h.length = uint32(len(c.b))
}

// newChunk is one that is not kept in memory for others: a head, or an end.
func newChunk(payload []byte) *chunk {
	return &chunk{b: append(make([]byte, headSize, headSize+len(payload)), payload...), place: -1}
}

// free is the room left for records, the seal and the checksum set aside.
func (c *chunk) free() int { return cap(c.b) - tagSize - crcSize - len(c.b) }

// reaches tells whether a time can be written as an offset to the chunk's first.
func (c *chunk) reaches(at int64) bool {
	d := (at - c.first) / int64(time.Microsecond)
	return d >= math.MinInt32 && d <= math.MaxInt32
}

// index is the stream's place in the chunk's table, naming it first when needed.
func (c *chunk) index(s stream) uint8 {
	for i := range c.named {
		if c.streams[i] == s {
			return uint8(i)
		}
	}
	c.streams[c.named] = s
	c.b = append(c.b, streamRecord, byte(c.named), s.channel, byte(s.codec))
	c.b = binary.LittleEndian.AppendUint32(c.b, s.ssrc)
	c.named++
	return uint8(c.named - 1)
}

func (c *chunk) packet(t *rtp.TapRecord) {
	i := c.index(stream{t.Channel, t.Codec, t.SSRC})
	c.b = append(c.b, packetRecord, i)
	c.b = binary.LittleEndian.AppendUint16(c.b, uint16(len(t.Payload)))
	c.b = binary.LittleEndian.AppendUint16(c.b, t.Seq)
	c.b = binary.LittleEndian.AppendUint32(c.b, uint32((t.At-c.first)/int64(time.Microsecond)))
	c.b = binary.LittleEndian.AppendUint32(c.b, t.Timestamp)
	c.b = append(c.b, t.Payload...)
	c.last = max(c.last, t.At)
	c.grown()
}

func (c *chunk) mark(what byte, arg byte, at int64) {
	c.b = append(c.b, what, arg)
	c.b = binary.LittleEndian.AppendUint64(c.b, uint64(at))
	c.last = max(c.last, at)
	c.grown()
}

func (c *chunk) join(agent string, at int64) {
	c.b = append(c.b, joinRecord, byte(len(agent)))
	c.b = binary.LittleEndian.AppendUint64(c.b, uint64(at))
	c.b = append(c.b, agent...)
	c.last = max(c.last, at)
	c.grown()
}

func (c *chunk) gap(from, to int64, packets uint32) {
	c.b = append(c.b, gapRecord, 0)
	c.b = binary.LittleEndian.AppendUint64(c.b, uint64(from))
	c.b = binary.LittleEndian.AppendUint64(c.b, uint64(to))
	c.b = binary.LittleEndian.AppendUint32(c.b, packets)
	c.grown()
}

// taker puts what comes out of one tap into the recordings. It belongs to the
// tap's reader, and remembers where it found a recording: a call has a hundred
// packets a second, and handles are given in order, so those in progress seldom
// share a place. BenchmarkPacket: 40 ns, where a look into the store's map and a
// deferred unlock for each packet made it 54.
type taker struct {
	s     *Store
	found [places]*recording // by handle
	in    *recording         // whose packet is being taken
}

// breakOff ends the recording over whose packet the taking broke, and no other.
func (k *taker) breakOff() {
	if r := k.in; r != nil {
		k.in = nil
		r.mu.Unlock() // take, which was in the middle of it, held the lock
		r.breakOff()
	}
}

const places = 1 << 12

func (k *taker) find(handle uint64) *recording {
	place := &k.found[handle%places]
	if r := *place; r != nil && r.handle == handle {
		return r
	}
	r, _ := k.s.recordings.Load(handle)
	*place = r
	return r
}

func (k *taker) take(t rtp.TapRecord) {
	r := k.find(t.Recording)
	if r == nil {
		return
	}
	k.in = r
	more := r.take(k.s, &t)
	k.in = nil
	if !more || t.Kind == rtp.TapStop {
		k.found[t.Recording%places] = nil // not kept in memory for the sake of being found
	}
}

// take says whether the recording may take more.
func (r *recording) take(s *Store, t *rtp.TapRecord) bool {
	if t.Channel >= channels {
		return true
	}
	r.mu.Lock()
	switch {
	case r.shut:
		r.mu.Unlock()
		return false
	case t.Kind == rtp.TapPacket:
		r.packet(s, t)
	case t.Kind == rtp.TapStart:
		r.start(s, t)
	case t.Kind == rtp.TapStop:
		r.stop(s, t)
	}
	r.mu.Unlock()
	return true
}

func (r *recording) start(s *Store, t *rtp.TapRecord) {
	if t.Kind == rtp.TapStart && t.At == r.starts[t.Channel] {
		return // the process was killed between taking it and saying so
	}
	r.starts[t.Channel] = t.At
	r.open[t.Channel]++
	r.begun[t.Channel] = true
	if r.startAt == 0 {
		r.startAt = t.At
	}
	r.marked = time.Now()
	if c := r.room(s, t.At, markSize); c != nil {
		c.mark(startRecord, t.Channel, t.At)
	}
}

// stop ends one of a channel's sources. When an agent hands over to another, the
// second may start before the first has stopped.
func (r *recording) stop(s *Store, t *rtp.TapRecord) {
	if r.open[t.Channel] == 0 || t.At == r.stops[t.Channel] {
		return
	}
	r.stops[t.Channel] = t.At
	r.open[t.Channel]--
	r.stopAt = max(r.stopAt, t.At)
	r.marked = time.Now()
	if c := r.room(s, t.At, markSize); c != nil {
		c.mark(stopRecord, t.Channel, t.At)
	}
}

func (r *recording) packet(s *Store, t *rtp.TapRecord) {
	if !r.begun[t.Channel] { // a full tap has lost the mark of the beginning: this is the beginning
		r.start(s, t)
	}
	if r.open[t.Channel] == 0 || t.Codec == rtp.NoCodec || len(t.Payload) == 0 {
		return
	}
	r.lastAt = max(r.lastAt, t.At)
	r.missing[t.Channel].see(t)
	c := r.room(s, t.At, streamSize+packetSize+len(t.Payload))
	if c == nil {
		r.drop(s, t)
		return
	}
	c.packet(t)
}

// room gives a chunk with n bytes free for a record of the time at, or nil when
// too much waits to be written already.
func (r *recording) room(s *Store, at int64, n int) *chunk {
	if c := r.fill; c != nil {
		if c.free() >= n && c.named < len(c.streams) && c.reaches(at) {
			return c
		}
		r.full = append(r.full, c)
		r.fill = nil
	}
	if len(r.full) >= maxWaiting || n > chunkSize-headSize-gapSize-tagSize-crcSize {
		return nil
	}
	c := s.newChunk(r)
	if c == nil {
		return nil
	}
	c.since, c.first, c.last = time.Now(), at, at
	if r.gap.packets > 0 {
		c.gap(r.gap.from, r.gap.to, r.gap.packets)
		r.gap = gap{}
	}
	r.fill = c
	return c
}

// drop counts a packet for which there was no room.
func (r *recording) drop(s *Store, t *rtp.TapRecord) {
	s.dropped.Add(1)
	if r.gap.packets == 0 {
		r.gap.from = t.At
	}
	r.gap.to = t.At
	r.gap.packets++
	r.lost[t.Channel] += int64(len(t.Payload)) * int64(time.Second) / sampleRate
}

// gap is a stretch of packets that were dropped.
type gap struct {
	from, to int64
	packets  uint32
}

// sequence counts the packets missing from a channel.
type sequence struct {
	known   bool
	ssrc    uint32
	next    uint16
	samples int64 // of a packet
	missing int64
}

const dropout = 3000 // a longer jump is a new beginning, RFC 3550 appendix A.1

func (q *sequence) see(t *rtp.TapRecord) {
	ahead := int16(t.Seq - q.next)
	switch {
	case !q.known || q.ssrc != t.SSRC || ahead > dropout || ahead < -dropout:
		q.known, q.ssrc = true, t.SSRC
	case ahead < 0: // late, or twice
		q.missing = max(0, q.missing-1)
		return
	default:
		q.missing += int64(ahead)
	}
	q.next = t.Seq + 1
	q.samples = int64(len(t.Payload))
}

func (q *sequence) lost() int64 { return q.missing * q.samples * int64(time.Second) / sampleRate }
