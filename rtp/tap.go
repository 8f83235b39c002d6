package rtp

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"
)

// TapRecord is one packet of a tapped leg, or the mark of a tap's begin or end.
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

// TapKind tells a packet from a mark.
type TapKind uint8

const (
	TapPacket TapKind = iota
	TapStart
	TapStop
	tapSkip // the rest of the buffer is unused, go on at its beginning
)

const (
	tapSize   = 4 << 20  // bytes; 0.2 s of 1,000 recorded calls, 1 s of 200
	tapKept   = 16 << 20 // of one that outlives the process: nobody reads it while there is none
	tapHeader = 32       // bytes before each payload
	tapPage   = 4096     // bytes before the ring: tapHead
	tapMagic  = 0x3170617472796f66
)

// TapMemory is how many bytes of memory a tap takes, and behind it the packets that
// have been read for it.
const TapMemory = tapPage + tapKept + 2*inboxMemory

// Tap carries packets from one shard to the recorder: a ring of bytes, one
// producer (the shard), one consumer (the recorder), no lock.
//
// Positions count bytes since the beginning and never wrap; the place in the
// ring is the position modulo its size. Records are contiguous, multiples of
// eight bytes.
//
// Who writes what: the producer alone writes published, written, seen and
// dropped, and the bytes of positions [written, consumed+size); the consumer
// alone writes consumed and taken. Invariant: consumed <= taken <= published <=
// written <= consumed+size.
//
// Why a record is seen whole: its bytes are written before the store to
// published that covers it, and the consumer loads published before it reads
// them; Go's atomics order both sides (the store happens before the load that
// sees it). Why it is not overwritten while read: the consumer stores consumed
// after it has read, and the producer writes over a place only after a load of
// consumed that is past it.
//
// The producer publishes once for each tick, not for each packet, so the
// two sides do not fight for a cache line, and touches the wake channel only
// when the consumer has found the tap empty.
//
// Full: the record is dropped and counted; the producer never waits. The
// recorder sees the gap in the RTP sequence. Marks are records too, so a
// recorder must live with a lost one.
//
// When the consumer keeps up, the producer starts again at the beginning of
// the ring instead of walking through all of it: most of the ring is then never
// touched.
//
// In memory that outlives the process (Options.TapMemory) a tap goes on where a
// kill left it: every record whose bytes were followed by the store to written is
// read by the next life, published or not, and none that was taken. A process that
// is killed has made its stores in the order of its program, up to some point.
// The one record that was being taken may come again.
type Tap struct {
	*tapHead
	buf  []byte
	wake chan struct{}

	_       [64]byte
	hungry  atomic.Bool // the consumer found nothing: wants a wake
	_       [64]byte
	dropped atomic.Uint64
	seen    uint64 // producer's last look at consumed
}

// tapHead is what stands before the ring in its memory. The next life may be another
// release: whatever changes in the layout of this or of a record takes another
// tapMagic, and what the ring held at that upgrade is lost.
type tapHead struct {
	magic     uint64
	_         [56]byte
	consumed  atomic.Uint64
	taken     uint64 // consumer's own: the end of the last record handed on
	_         [48]byte
	published atomic.Uint64
	_         [56]byte
	written   uint64 // producer's own
	last      uint64 // and where the last record begins
}

// newTap makes a tap with a ring of so many bytes, a power of two.
func newTap(size int) *Tap { return tapIn(make([]byte, tapPage+size)) }

// tapIn makes a tap in memory that is all zero, or goes on with the one it holds.
// Of what is neither nothing is believed.
func tapIn(memory []byte) *Tap {
	t := &Tap{tapHead: (*tapHead)(unsafe.Pointer(&memory[0])), buf: memory[tapPage:], wake: make(chan struct{}, 1)}
	t.hungry.Store(true)
	size, left := uint64(len(t.buf)), t.written-t.taken
	if t.magic != tapMagic || t.taken > t.written || left > size || (t.taken|t.written)&7 != 0 {
		*t.tapHead = tapHead{}
		t.magic = tapMagic
	}
	t.consumed.Store(t.taken)
	t.published.Store(t.written)
	t.seen = t.taken
	return t
}

// OldTap is the tap that a shard of a life before has left in memory and that
// nobody writes to any more: for whoever has fewer shards now.
func OldTap(memory []byte) *Tap { return tapIn(memory[:min(len(memory), tapPage+tapKept)]) }

// endsWith tells whether the last record put, by this life or the one before, is the
// packet of r.
func (t *Tap) endsWith(r *TapRecord) bool {
	if t.last >= t.written {
		return false // was being put
	}
	b := t.buf[t.last&uint64(len(t.buf)-1):]
	return len(b) >= tapHeader && TapKind(b[28]) == r.Kind && b[29] == r.Channel &&
		binary.NativeEndian.Uint64(b[0:]) == r.Recording && binary.NativeEndian.Uint64(b[8:]) == uint64(r.At) &&
		binary.NativeEndian.Uint32(b[20:]) == r.SSRC && binary.NativeEndian.Uint16(b[24:]) == r.Seq
}

// Wake receives when something was written to a tap that had been read empty.
func (t *Tap) Wake() <-chan struct{} { return t.wake }

// Dropped counts the records lost because the tap was full.
func (t *Tap) Dropped() uint64 { return t.dropped.Load() }

// put writes one record; flush makes it visible. Shard only.
func (t *Tap) put(r *TapRecord) bool {
	size := uint64(len(t.buf))
	need := uint64(tapHeader+len(r.Payload)+7) &^ 7
	place := t.written & (size - 1)
	skip := uint64(0)
	if size-place < need {
		skip = size - place
	}
	if t.written+skip+need > t.seen+size {
		t.seen = t.consumed.Load()
		if t.written+skip+need > t.seen+size {
			t.dropped.Add(1)
			return false
		}
	}
	if skip > 0 {
		t.skip(skip)
		place = 0
	}
	b := t.buf[place : place+need]
	binary.NativeEndian.PutUint64(b[0:], r.Recording)
	binary.NativeEndian.PutUint64(b[8:], uint64(r.At))
	binary.NativeEndian.PutUint32(b[16:], r.Timestamp)
	binary.NativeEndian.PutUint32(b[20:], r.SSRC)
	binary.NativeEndian.PutUint16(b[24:], r.Seq)
	binary.NativeEndian.PutUint16(b[26:], uint16(len(r.Payload)))
	b[28], b[29], b[30] = byte(r.Kind), r.Channel, byte(r.Codec)
	copy(b[tapHeader:], r.Payload)
	t.last = t.written
	t.written += need
	return true
}

// skip leaves the rest of the ring unused. A rest too short for a header needs
// no mark: the consumer knows that no record fits there.
func (t *Tap) skip(rest uint64) {
	if rest >= tapHeader {
		place := t.written & uint64(len(t.buf)-1)
		t.buf[place+28] = byte(tapSkip)
	}
	t.written += rest
}

// flush publishes what put wrote and, if it may, wakes a consumer that found
// nothing. A wake held back is made up for by a later flush.
func (t *Tap) flush(wake bool) {
	fresh := t.written - t.published.Load()
	if fresh > 0 {
		t.published.Store(t.written)
	}
	if wake && t.hungry.Load() && t.consumed.Load() < t.written && t.hungry.CompareAndSwap(true, false) {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
	if fresh > 0 {
		t.rewind(fresh)
	}
}

// rewind starts again at the beginning of the ring when the consumer keeps up.
// The bytes skipped count as full until the consumer has passed them, so it is
// done only while what stays free holds 50 flushes like the last one, 250 ms; and twice
// as many if a kill may come before, and the consumer only with the next process.
func (t *Tap) rewind(fresh uint64) {
	size := uint64(len(t.buf))
	place, flushes := t.written&(size-1), uint64(50)
	if size == tapKept {
		flushes = 100
	}
	if place < min(size/4, rewindFrom) || fresh*flushes > place {
		return
	}
	if t.seen = t.consumed.Load(); fresh*flushes+t.written-t.seen <= place+fresh {
		t.skip(size - place)
	}
}

// rewindFrom is how much of a ring is used before that: less is touched anyway.
const rewindFrom = 1 << 20

// Read hands every record waiting to f, oldest first, and returns how many. The
// payload is valid only during f. One goroutine at a time. A record over which f
// panics is read; the next Read goes on behind it.
func (t *Tap) Read(f func(TapRecord)) int {
	n := t.read(f)
	// Ask for a wake first, then look again: a record published in between is
	// found here, one published later sees hungry.
	t.hungry.Store(true)
	return n + t.read(f)
}

func (t *Tap) read(f func(TapRecord)) int {
	size := uint64(len(t.buf))
	at, end, n := t.consumed.Load(), t.published.Load(), 0
	told := at
	defer func() { // also when f panics
		t.taken = at
		t.consumed.Store(at)
	}()
	for at < end {
		if at-told > size/64 {
			told = at
			t.consumed.Store(at) // give room before the end of a long read
		}
		place := at & (size - 1)
		if size-place < tapHeader || TapKind(t.buf[place+28]) == tapSkip {
			at += size - place
			t.taken = at
			continue
		}
		b := t.buf[place:]
		length := uint64(binary.NativeEndian.Uint16(b[26:]))
		n++
		at += (tapHeader + length + 7) &^ 7
		f(TapRecord{
			Kind:      TapKind(b[28]),
			Recording: binary.NativeEndian.Uint64(b[0:]),
			Channel:   b[29],
			Codec:     Codec(b[30]),
			Seq:       binary.NativeEndian.Uint16(b[24:]),
			Timestamp: binary.NativeEndian.Uint32(b[16:]),
			SSRC:      binary.NativeEndian.Uint32(b[20:]),
			At:        int64(binary.NativeEndian.Uint64(b[8:])),
			Payload:   b[tapHeader : tapHeader+length : tapHeader+length],
		})
		t.taken = at
	}
	return n
}
