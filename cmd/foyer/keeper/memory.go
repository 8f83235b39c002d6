package keeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Memory is what a switch must still know after it was killed: shared memory
// without a file, held by the keeper, in which every store of the switch stays
// when the switch does not. So nothing waits for a disk, nothing has to be
// written ahead, and keys that pass through it are never at rest anywhere. It
// does not outlive the machine: neither do the calls.
//
// It holds records, each a value under a key, and cells, a few machine words each
// for what changes with every packet. Records are appended to one of two halves,
// and the live ones copied to the other when the first is mostly stale.
//
// Any goroutine may call its methods. One process at a time uses it.
type Memory struct {
	fd    int
	bytes []byte
	head  *header

	mu      sync.Mutex
	half    int              // records go here
	end     int              // of the records of half
	places  map[string]place // where in half
	live    int              // bytes of them
	cells   []bool           // in use
	nextTry int              // where a free cell is looked for
	merges  int
}

// Cell is a piece of memory for what changes often. A store into it needs no call.
type Cell = [8]uint64

// header is the first page.
type header struct {
	magic   uint64
	version uint64
	half    uint64 // the half that counts: 0 or 1
}

type place struct{ at, size int }

const (
	magic         = 0x666f796572206d65
	memoryVersion = 2

	headerSize = 4096
	cellCount  = 1 << 16
	cellSize   = int(unsafe.Sizeof(Cell{}))
	halfSize   = 256 << 20 // of address space; memory is only taken when written
	memorySize = headerSize + cellCount*cellSize + 2*halfSize

	recordHead = 16      // length of all and sum, 4 bytes each; length of the key, 2; kind, 2; 4 spare
	mergeFloor = 1 << 20 // bytes of records below which nothing is tidied
	deleted    = 1
)

// ErrFull says that memory has no room for a record or a cell.
var ErrFull = errors.New("memory of calls: full")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// NewMemory makes an empty memory.
func NewMemory() (*Memory, error) {
	fd, err := unix.MemfdCreate("foyer-calls", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memory of calls: %w", err)
	}
	if err := unix.Ftruncate(fd, int64(memorySize)); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("memory of calls: %w", err)
	}
	m, err := mapped(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	m.head.version = memoryVersion
	atomic.StoreUint64(&m.head.magic, magic)
	return m, nil
}

// OpenMemory takes over the memory behind a descriptor from a process that is gone.
func OpenMemory(fd int) (*Memory, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("memory of calls: %w", err)
	}
	if st.Size != int64(memorySize) {
		return nil, fmt.Errorf("memory of calls: %d bytes, want %d", st.Size, memorySize)
	}
	m, err := mapped(fd)
	if err != nil {
		return nil, err
	}
	if m.head.magic != magic || m.head.version != memoryVersion || m.head.half > 1 {
		_ = unix.Munmap(m.bytes)
		return nil, errors.New("memory of calls: made by another release")
	}
	m.half = int(m.head.half)
	m.read()
	return m, nil
}

func mapped(fd int) (*Memory, error) {
	b, err := unix.Mmap(fd, 0, memorySize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("memory of calls: %w", err)
	}
	_ = unix.Madvise(b, unix.MADV_DONTDUMP) // no keys in a core dump
	return &Memory{
		fd: fd, bytes: b, head: (*header)(unsafe.Pointer(&b[0])),
		places: map[string]place{}, cells: make([]bool, cellCount),
	}, nil
}

// FD is the descriptor to be kept.
func (m *Memory) FD() int { return m.fd }

// memoryName is what the memory of calls is kept under.
const memoryName = "calls"

// Memory is the memory of calls: what the last life left there, or a new one that the
// keeper has. nil where nothing is kept. What the last life left and this release
// cannot read is let go of; the error says so, and the memory is a new one.
func (c *Client) Memory() (m *Memory, unread error) {
	if !c.Kept() {
		return nil, nil
	}
	fds := c.Inherited(memoryName)
	if len(fds) == 1 {
		if m, unread = OpenMemory(fds[0]); unread == nil {
			return m, nil
		}
	}
	c.discard(memoryName, fds)
	m, err := NewMemory()
	if err != nil {
		return nil, errors.Join(unread, err)
	}
	if err := c.Store(memoryName, m.FD()); err != nil {
		return nil, errors.Join(unread, err, m.Close())
	}
	return m, unread
}

// Shared is size bytes of memory that outlive the process, all zero when new, mapped
// at a page. nil where nothing is kept.
func (c *Client) Shared(name string, size int) ([]byte, error) {
	if !c.Kept() {
		return nil, nil
	}
	fds := c.Inherited(name)
	var st unix.Stat_t
	if len(fds) != 1 || unix.Fstat(fds[0], &st) != nil || st.Size != int64(size) {
		c.discard(name, fds)
		fd, err := unix.MemfdCreate("foyer-"+name, unix.MFD_CLOEXEC)
		if err != nil {
			return nil, fmt.Errorf("shared memory: %w", err)
		}
		fds = []int{fd}
		if err = unix.Ftruncate(fd, int64(size)); err == nil {
			err = c.Store(name, fd)
		}
		if err != nil {
			_ = unix.Close(fd)
			return nil, fmt.Errorf("shared memory: %w", err)
		}
	}
	defer unix.Close(fds[0]) // the mapping stays
	b, err := unix.Mmap(fds[0], 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("shared memory: %w", err)
	}
	_ = unix.Madvise(b, unix.MADV_DONTDUMP)
	return b, nil
}

// discard lets go of what was inherited under a name and cannot be used.
func (c *Client) discard(name string, fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
	if len(fds) > 0 {
		_ = c.Remove(name)
	}
}

// Close lets go of the memory. Cells must not be used any more.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bytes == nil {
		return nil
	}
	err := unix.Munmap(m.bytes)
	m.bytes = nil
	return errors.Join(err, unix.Close(m.fd))
}

// room is where the records of a half lie.
func (m *Memory) room(half int) []byte {
	at := headerSize + cellCount*cellSize + half*halfSize
	return m.bytes[at : at+halfSize]
}

// read finds the records that were written. What was being written is not among them.
func (m *Memory) read() {
	room := m.room(m.half)
	for m.end+recordHead <= len(room) {
		b := room[m.end:]
		size := int(binary.LittleEndian.Uint32(b))
		if size < recordHead || size > len(b) || binary.LittleEndian.Uint32(b[4:]) != sum(b[:size]) {
			return
		}
		key := string(b[recordHead : recordHead+int(binary.LittleEndian.Uint16(b[8:]))])
		m.forget(key)
		if binary.LittleEndian.Uint16(b[10:]) != deleted {
			m.places[key] = place{m.end, size}
			m.live += size
		}
		m.end += aligned(size)
	}
}

func (m *Memory) forget(key string) {
	if p, ok := m.places[key]; ok {
		m.live -= p.size
		delete(m.places, key)
	}
}

// sum is over all of a record but its first eight bytes.
func sum(record []byte) uint32 { return crc32.Checksum(record[8:], castagnoli) }

func aligned(n int) int { return (n + 7) &^ 7 }

// Put keeps value under key, in place of what was there. When it returns nil the
// value outlives the process. It fails with ErrFull, and then the old value stays.
func (m *Memory) Put(key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.append(key, value, 0)
	if err != nil {
		return err
	}
	m.forget(key)
	m.places[key] = p
	m.live += p.size
	return nil
}

// Delete forgets what is under key.
func (m *Memory) Delete(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.places[key]; !ok {
		return
	}
	m.forget(key)
	if _, err := m.append(key, nil, deleted); err != nil {
		m.merge() // leaves it out
	}
}

// append writes a record. It counts once its length is there, which is stored last.
func (m *Memory) append(key string, value []byte, kind uint16) (place, error) {
	size := recordHead + len(key) + len(value)
	if len(key) == 0 || len(key) > 1<<16-1 || len(value) > 1<<30 {
		return place{}, fmt.Errorf("memory of calls: a record of %d bytes under a key of %d", len(value), len(key))
	}
	if m.end > mergeFloor && m.end > 4*m.live || m.end+aligned(size)+recordHead > halfSize {
		m.merge()
	}
	if m.end+aligned(size)+recordHead > halfSize {
		return place{}, ErrFull
	}
	p := place{m.end, size}
	b := m.room(m.half)[m.end:]
	binary.LittleEndian.PutUint16(b[8:], uint16(len(key)))
	binary.LittleEndian.PutUint16(b[10:], kind)
	binary.LittleEndian.PutUint32(b[12:], 0)
	copy(b[recordHead:], key)
	copy(b[recordHead+len(key):], value)
	commit(b, size)
	m.end += aligned(size)
	return p, nil
}

// commit ends the records behind this one, then lets it count.
func commit(b []byte, size int) {
	atomic.StoreUint64((*uint64)(unsafe.Pointer(&b[aligned(size)])), 0)
	binary.LittleEndian.PutUint32(b[4:], sum(b[:size]))
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&b[0])), uint32(size))
}

// merge copies the live records to the other half, and lets that one count.
func (m *Memory) merge() {
	from, to := m.room(m.half), m.room(1-m.half)
	end := 0
	for key, p := range m.places {
		copy(to[end+4:], from[p.at+4:p.at+p.size])
		commit(to[end:], p.size)
		m.places[key] = place{end, p.size}
		end += aligned(p.size)
	}
	if len(m.places) == 0 {
		atomic.StoreUint64((*uint64)(unsafe.Pointer(&to[0])), 0)
	}
	m.half, m.end = 1-m.half, end
	atomic.StoreUint64(&m.head.half, uint64(m.half))
	m.merges++
}

// Under gives every record whose key begins with prefix, in no order. The values are
// copies. Records may be put and deleted meanwhile; whether those are given is open.
func (m *Memory) Under(prefix string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		m.mu.Lock()
		keys := make([]string, 0, len(m.places))
		for key := range m.places {
			if strings.HasPrefix(key, prefix) {
				keys = append(keys, key)
			}
		}
		m.mu.Unlock()
		for _, key := range keys {
			if value, ok := m.Get(key); ok && !yield(key, value) {
				return
			}
		}
	}
}

// Get gives a copy of what is under key.
func (m *Memory) Get(key string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.places[key]
	if !ok {
		return nil, false
	}
	record := m.room(m.half)[p.at : p.at+p.size]
	return append([]byte(nil), record[recordHead+len(key):]...), true
}

// NewCell gives an empty cell and its number, to be noted in a record.
func (m *Memory) NewCell() (int, *Cell, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range m.cells {
		n := m.nextTry
		m.nextTry = (m.nextTry + 1) % cellCount
		if !m.cells[n] {
			m.cells[n] = true
			c := m.cell(n)
			*c = Cell{}
			return n, c, nil
		}
	}
	return 0, nil, ErrFull
}

// OldCell takes over the cell that a record names. It fails for what is no cell, or
// is in use.
func (m *Memory) OldCell(n int) (*Cell, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n < 0 || n >= cellCount || m.cells[n] {
		return nil, fmt.Errorf("memory of calls: no cell %d", n)
	}
	m.cells[n] = true
	return m.cell(n), nil
}

// FreeCell gives a cell back.
func (m *Memory) FreeCell(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cells[n] = false
}

func (m *Memory) cell(n int) *Cell {
	return (*Cell)(unsafe.Pointer(&m.bytes[headerSize+n*cellSize]))
}

// Stats are figures for metrics.
type Stats struct {
	Records, Live, Written int // bytes but for Records
	Cells                  int
	Merges                 int
}

// Stats tells how full the memory is.
func (m *Memory) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Stats{Records: len(m.places), Live: m.live, Written: m.end, Merges: m.merges}
	for _, used := range m.cells {
		if used {
			s.Cells++
		}
	}
	return s
}
