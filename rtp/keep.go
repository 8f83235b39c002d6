package rtp

import (
	"iter"
	"strconv"
	"time"

	"go.uber.org/zap"
)

// Memory is where what a leg must still know after a `kill -9` is kept: shared
// memory that outlives the process. A value put is kept from the moment Put returns;
// a store into a cell from the moment it is made. Keys of SRTP are among the values,
// so it must never be written to a disk.
//
// Any goroutine may call it, and shards do: it must not wait.
type Memory interface {
	Put(key string, value []byte) error // copies the value
	Get(key string) ([]byte, bool)      // a copy
	Delete(key string)
	Under(prefix string) iter.Seq2[string, []byte] // copies of all whose key begins so
	NewCell() (int, *[8]uint64, error)             // all zero
	OldCell(n int) (*[8]uint64, error)             // of a process that is gone
	FreeCell(n int)
}

// Store keeps descriptors for the next process, as systemd's descriptor store does
// (FDSTORE=1). Shards do not call it, so it may wait a little.
type Store interface {
	StoreEach(names []string, fds []int) error // each under the name in its place
	Remove(names ...string) error              // all under them
	Inherited(name string) []int               // of the last process; once, to own
	Unclaimed() []string                       // names of which Inherited has not been called
}

// A leg that is kept has a record, which its shard writes when something in it has
// changed: at the end of its turn, and at the latest before a packet leaves under the
// change. What changes with each packet stands in the leg's cell, stored before the
// packet is encrypted and sent. Numbers are therefore never reserved ahead: the next
// process goes on with the next one, and none is used twice.
//
// These are plain stores. A process that is killed has made those of its program up to
// some point, and none is left in a register across the system call that sends. A kill
// between two of one packet leaves parts of a packet that was never sent, which costs
// nothing: a number that goes on from the newest of the old words or of the new is
// unused in either case.
const (
	cellSent     = iota // newest index sent, 48 bits; above, which of the keys it is under, 15 bits; top bit: one was sent
	cellTime            // timestamp, 32 bits; span, 16 bits
	cellAt              // when, ns of the machine's monotonic clock
	cellOut             // packets sent and bytes of payload, 32 bits each
	cellReports         // newest SRTCP index, 32 bits; bytes received, 32 bits
	cellHeard           // SSRC last received, 32 bits; newest extended number of it, 32 bits: shielded, 4 bits of them say which of the keys
	cellWindow          // which of the 64 packets up to that number came
	cellReceived        // packets received and expected, of all sources, 32 bits each
)

const (
	sentBegun = 1 << 63
	sentIndex = 1<<48 - 1
	keySent   = 1<<15 - 1 // which of the keys, counted from the first
	keyHeard  = 1<<4 - 1
	heardTurn = 1<<28 - 1 // a number and what is kept of its ROC: two months of packets
)

// refreshEvery is how old the figures in a record may be: those that no other change
// has written with it.
const refreshEvery = 30 * time.Second

// keeping is how a leg is kept.
type keeping struct {
	memory  Memory
	key     string
	cell    int
	number  int         // of the shard
	written int64       // when the record was, on the shard's clock
	began   int64       // when the list began to be heard, ns of the monotonic clock; 0: not yet
	back    *resumption // until somebody wants the leg of the last process
}

// keyPrefix begins the keys of all that media keeps.
const keyPrefix = "media/"

func recordKey(port uint16) string { return keyPrefix + strconv.Itoa(int(port)) }

// Key is what the leg's record is kept under, for Media.Resume; "" if it is not kept.
func (l *Leg) Key() string {
	if l.kept == nil {
		return ""
	}
	return l.kept.key
}

// keep makes a new leg one that is kept, from now on. Its shard does not know it yet.
func (m *Media) keep(l *Leg) error {
	if m.memory == nil {
		return nil
	}
	n, cell, err := m.memory.NewCell()
	if err != nil {
		return err
	}
	l.cell, l.kept = cell, &keeping{memory: m.memory, key: recordKey(l.port), cell: n, number: l.shard.number}
	if err := l.kept.put(l.shard.record(l)); err != nil {
		m.memory.FreeCell(n)
		l.cell, l.kept = nil, nil
		return err
	}
	return nil
}

func (k *keeping) put(r *record) error {
	return records.Lend(r, func(b []byte) error { return k.memory.Put(k.key, b) })
}

// change notes that something in a leg's record has.
func (s *shard) change(l *Leg) {
	if l.kept == nil || l.changed {
		return
	}
	l.changed = true
	s.changed = append(s.changed, l)
}

// write brings a leg's record up to date.
func (s *shard) write(l *Leg) {
	l.changed = false
	if l.closed || l.kept == nil {
		return
	}
	l.kept.written = s.now
	if err := l.kept.put(s.record(l)); err != nil {
		s.log.Error("media leg not kept", zap.Stringer("port", l.local), zap.Error(err))
	}
}

// writeAll does that for all that have changed.
func (s *shard) writeAll() {
	for i, l := range s.changed {
		if l.changed {
			s.write(l)
		}
		s.changed[i] = nil
	}
	s.changed = s.changed[:0]
}

// forget ends the keeping of a leg that ends.
func (l *Leg) forget() {
	if l.kept == nil {
		return
	}
	l.kept.memory.Delete(l.kept.key)
	l.cell = nil
	l.kept.memory.FreeCell(l.kept.cell)
}

// noteSent stores how the packet that is about to be sent is numbered: the newest
// number with all that stands beside it in its word.
func (l *Leg) noteSent(s *shard, index uint64) {
	c, o := l.cell, &l.out
	c[cellTime] = uint64(o.ts)<<32 | uint64(o.span)&0xFFFF
	c[cellAt] = uint64(s.mono + o.at)
	c[cellOut] = uint64(o.packets+1)<<32 | uint64(uint32(o.bytes))
	c[cellSent] = sentBegun | index
}

// noteHeard stores where the peer's stream is.
func (l *Leg) noteHeard() {
	c, r := l.cell, &l.in
	number := uint64(r.highest)
	if l.shield != nil {
		number = l.shield.number()
	}
	c[cellHeard] = uint64(r.ssrc)<<32 | number
	c[cellWindow] = r.window
	c[cellReceived] = (r.pastReceived+r.received)<<32 | uint64(uint32(r.pastExpected+r.expectedNow()))
	c[cellReports] = c[cellReports]&^(1<<32-1) | uint64(uint32(r.bytes))
}

// noteReport stores the number of the SRTCP packet that is about to be sent.
func (l *Leg) noteReport(index uint32) {
	l.cell[cellReports] = uint64(index)<<32 | l.cell[cellReports]&(1<<32-1)
}

// source is one SSRC of a peer under a key, and the newest index of it.
type source struct {
	ssrc   uint32
	index  uint64
	window uint64 // bit n: index-n came
	proven bool   // here too
}

// number is the newest of the peer's stream as a cell has it.
func (c *shield) number() uint64 { return uint64(c.theirs)&keyHeard<<28 | c.index&heardTurn }

// leave notes an SSRC that another has come after.
func (c *shield) leave(s source) {
	for i := range c.past {
		if c.past[i].ssrc == s.ssrc {
			c.past[i] = s
			return
		}
	}
	c.past = append(c.past, s)
}

// recall makes rx expect a packet of an SSRC where the last process left it, and tells
// whether it is none that that one has had already: of the 64 before the newest it is
// known which came, and none that is older is taken.
func (c *shield) recall(ssrc uint32, seq uint16) bool {
	for i := range c.before {
		b := &c.before[i]
		if b.ssrc != ssrc {
			continue
		}
		index := extend(b.index, seq)
		if back := b.index - index; index <= b.index && (back >= 64 || b.window>>back&1 != 0) {
			return false
		}
		if !b.proven {
			c.rx.SetROC(ssrc, uint32(index>>16)) // a guess until one has proven itself
		}
	}
	return true
}

// prove ends what recall does for an SSRC once rx knows itself what is old.
func (c *shield) prove(ssrc uint32, newest uint64) {
	for i := range c.before {
		if b := &c.before[i]; b.ssrc == ssrc {
			if b.proven = true; newest > b.index+replayWindow {
				c.before = append(c.before[:i], c.before[i+1:]...)
			}
			return
		}
	}
}
