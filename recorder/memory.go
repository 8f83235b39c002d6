package recorder

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Shelf keeps small records where they outlive the process, though not the
// machine. Put returns when the record would survive; it does not wait for a disk.
type Shelf interface {
	Put(key string, value []byte) error
	Delete(key string)
}

const (
	memoryPage  = 4096
	memoryMagic = 0x3163657272796f66
	liveSize    = 512
	maxLives    = 1 << 14
	maxChunks   = maxMemory / chunkSize
)

// MemorySize is how many bytes Options.Memory has. Only what recordings in
// progress need of them is ever touched.
const MemorySize = memoryPage + maxLives*liveSize + maxChunks*chunkSize

// memory is where the chunks and the state of recordings in progress lie. In
// memory that outlives the process (Options.Memory) every store into them
// survives a kill: a process that is killed has made its stores in the order of
// its program, up to some point. Without, they are on the heap.
type memory struct {
	b      []byte // nil: on the heap
	head   *memoryHead
	chunks sync.Pool // those on the heap, or what points to the others

	mu          sync.Mutex
	spareChunks []uint32 // freed, the last one first to be used again
	spareLives  []uint32
}

// memoryHead is the first page.
type memoryHead struct {
	magic   uint64
	handles uint64 // given out by all lives
	chunks  uint32 // slots ever used
	lives   uint32
}

// live is the state of a recording that a next life needs. It holds no pointer. The
// next life may be another release, so fields are added at its end alone, where the
// older one left zero; whatever else changes here takes another memoryMagic, and ends
// the recordings in progress with the upgrade (TestMemoryLayout).
type live struct {
	handle     uint64 // 0: the slot is free
	open       [channels]int
	begun      [channels]bool
	forced     bool // ended by Run, not by its call
	ended      bool // End was called
	done       bool // the last chunk is written
	overflowed bool // a tap has been full meanwhile
	which      uint8
	sealing    uint32          // the number of the last chunk that may have been sealed
	startAt    int64           // first start, unix ns
	stopAt     int64           // last stop
	lastAt     int64           // last packet
	starts     [channels]int64 // the last mark taken, so that none is taken twice
	stops      [channels]int64
	order      uint64          // of the last chunk begun
	lost       [channels]int64 // ns of audio dropped
	missing    [channels]sequence
	gap        gap
	places     [2]place // which of them counts is in which
}

// place is how far a recording is written.
type place struct {
	size   int64  // bytes of whole chunks
	order  uint64 // of the last chunk in memory that is among them
	number uint32 // of the next chunk
	chain  [32]byte
}

// slot is what stands before the records of a chunk in memory.
type slot struct {
	handle uint64 // the recording's; 0: free
	order  uint64 // among the recording's chunks
	first  int64
	last   int64
	length uint32 // with the head
}

// The head of a frame is where the slot's is, and a live has its place.
const (
	_ = uint(headSize - unsafe.Sizeof(slot{}))
	_ = uint(liveSize - unsafe.Sizeof(live{}))
)

var errNoMemory = errors.New("recordings: no memory left")

func newMemory(b []byte) (*memory, error) {
	m := &memory{b: b}
	if b == nil {
		m.chunks.New = func() any { return &chunk{b: make([]byte, headSize, chunkSize), place: -1} }
		m.head = &memoryHead{}
		return m, nil
	}
	m.chunks.New = func() any { return new(chunk) }
	if len(b) != MemorySize {
		return nil, fmt.Errorf("memory of recordings: %d bytes, want %d", len(b), MemorySize)
	}
	m.head = (*memoryHead)(unsafe.Pointer(&b[0]))
	if m.head.magic != memoryMagic || m.head.chunks > maxChunks || m.head.lives > maxLives {
		clear(b[:memoryPage])
		m.head.magic = memoryMagic
	}
	return m, nil
}

func (m *memory) chunkAt(n uint32) []byte {
	at := memoryPage + maxLives*liveSize + int(n)*chunkSize
	return m.b[at : at+headSize : at+chunkSize]
}

func (m *memory) liveAt(n uint32) *live {
	return (*live)(unsafe.Pointer(&m.b[memoryPage+int(n)*liveSize]))
}

// newHandle is one that no life has given out.
func (m *memory) newHandle() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.head.handles++
	return m.head.handles
}

// newLive gives the state of a recording and its place, -1 when it will not outlive
// the process.
func (m *memory) newLive(handle uint64) (*live, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.take(&m.spareLives, &m.head.lives, maxLives)
	if err != nil {
		return &live{handle: handle}, -1
	}
	l := m.liveAt(n)
	*l = live{}
	l.handle = handle
	return l, int(n)
}

func (m *memory) freeLive(l *live, place int) {
	if place < 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l.handle = 0
	m.spareLives = append(m.spareLives, uint32(place))
}

// take finds a free slot: one used before, else the next one.
func (m *memory) take(spare *[]uint32, used *uint32, limit uint32) (uint32, error) {
	if n := len(*spare); n > 0 {
		last := (*spare)[n-1]
		*spare = (*spare)[:n-1]
		return last, nil
	}
	if m.b == nil || *used == limit {
		return 0, errNoMemory
	}
	*used++
	return *used - 1, nil
}

// newChunk gives an empty chunk of a recording.
func (m *memory) newChunk(handle, order uint64) (*chunk, error) {
	if m.b == nil {
		c := m.chunks.Get().(*chunk)
		c.reset(handle, order)
		return c, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.take(&m.spareChunks, &m.head.chunks, maxChunks)
	if err != nil {
		return nil, err
	}
	c := m.chunks.Get().(*chunk)
	c.b, c.place = m.chunkAt(n), int(n)
	c.reset(handle, order)
	return c, nil
}

func (m *memory) freeChunk(c *chunk) {
	if c.place < 0 {
		m.chunks.Put(c)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c.slot().handle = 0
	m.spareChunks = append(m.spareChunks, uint32(c.place))
	c.b = nil
	m.chunks.Put(c)
}

// trim gives the memory behind the last chunk in use back to the machine, after a
// disk has made many pile up.
func (m *memory) trim() {
	const few = 1024
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.b == nil || m.head.chunks <= few || len(m.spareChunks) < int(m.head.chunks)/2 {
		return
	}
	used := m.head.chunks
	for used > 0 && m.slotAt(used-1).handle == 0 {
		used--
	}
	if used == m.head.chunks {
		return
	}
	m.head.chunks = used
	m.spareChunks = slices.DeleteFunc(m.spareChunks, func(n uint32) bool { return n >= used })
	first := memoryPage + maxLives*liveSize + int(used)*chunkSize
	first = (first + memoryPage - 1) / memoryPage * memoryPage
	_ = unix.Madvise(m.b[first:], unix.MADV_REMOVE) // what is no shared memory keeps it
}

func (m *memory) slotAt(n uint32) *slot { return (*slot)(unsafe.Pointer(&m.chunkAt(n)[0])) }

// left gives the chunks that a life before has left, by recording, and frees the
// slots of those that keep does not want.
func (m *memory) left(keep func(handle uint64) bool) map[uint64][]*chunk {
	found := map[uint64][]*chunk{}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.b == nil {
		return found
	}
	for n := range m.head.chunks {
		c := &chunk{b: m.chunkAt(n), place: int(n)}
		h := c.slot()
		if h.handle == 0 || !keep(h.handle) || h.length < headSize || h.length > chunkSize {
			h.handle = 0
			m.spareChunks = append(m.spareChunks, n)
			continue
		}
		c.b, c.first, c.last = c.b[:h.length], h.first, h.last
		found[h.handle] = append(found[h.handle], c)
	}
	for n := range m.head.lives {
		if l := m.liveAt(n); l.handle == 0 || !keep(l.handle) {
			l.handle = 0
			m.spareLives = append(m.spareLives, n)
		}
	}
	return found
}
