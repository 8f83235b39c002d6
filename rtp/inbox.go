package rtp

import (
	"encoding/binary"
	"math/rand/v2"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	packetMax = 1600 // bytes read of a packet; longer ones are malformed for us
	batchMax  = 16   // packets read by one recvmmsg
	controls  = 64   // bytes of control messages: one time stamp needs 32
)

// message is struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// inbox is where the kernel puts what a shard reads. Nothing in it survives the
// next read, or the next group of reads.
//
// In memory that outlives the process it also says whose packets they are and which of
// them are not recorded yet, so that a kill between reading and recording loses none
// (pending). What the kernel has written of a packet that was read by itself is known
// but for its length, which it only returns: after a kill before that is noted it is
// found by what stood there before (written).
type inbox struct {
	next  uint64           // place of the first packet that may not be recorded
	end   uint64           // behind the last place that is made ready for one
	batch uint64           // 1: the kernel has written the lengths
	ports [batchMax]uint16 // of the legs, 0: nothing to be recorded
	sizes [batchMax]uint16 // of packets read by themselves, 0: not known

	messages [batchMax]message
	from     [batchMax]sockaddr
	vectors  [batchMax]unix.Iovec
	control  [batchMax][controls]byte
	data     [batchMax][packetMax]byte

	kept  bool          // in memory that outlives the process
	dirty [batchMax]int // bytes of the data that are not blank
	blank [packetMax]byte
}

// inboxMemory is what an inbox takes of memory that outlives the process, bytes.
const inboxMemory = 1 << 15

func newInbox() *inbox {
	b := new(inbox)
	b.point()
	return b
}

// inboxIn is the inbox in memory that is all zero, or that a life before has left: then
// it still says what was not recorded, and is to be cleared.
func inboxIn(memory []byte) *inbox {
	_ = memory[unsafe.Sizeof(inbox{})-1]
	b := (*inbox)(unsafe.Pointer(&memory[0]))
	b.point()
	b.kept = true
	return b
}

// point makes the message headers point to where this process has the inbox.
func (b *inbox) point() {
	for i := range b.messages {
		h := &b.messages[i].header
		b.vectors[i].Base = &b.data[i][0]
		b.vectors[i].SetLen(packetMax)
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
		h.Name = &b.from[i][0]
		h.Control = &b.control[i][0]
	}
}

// clear forgets what an inbox that is kept has of a life before.
func (b *inbox) clear() {
	if !b.kept {
		return
	}
	b.begin(0)
	for i := range b.blank {
		b.blank[i] = byte(rand.Uint32())
	}
	for i := range b.data {
		b.data[i], b.dirty[i] = b.blank, 0
	}
}

// begin says that packets are about to be read, and that those before are done.
func (b *inbox) begin(batch uint64) {
	b.end = 0 // first: until there is an end, no place has anything
	b.next, b.batch = 0, batch
	b.ports = [batchMax]uint16{}
}

// ready makes place i one in which nothing is, to read a packet for the leg of a port
// into; port 0: one not to be recorded. A place counts once all of that is so.
func (b *inbox) ready(i int, port uint16) {
	h := &b.messages[i].header
	h.Namelen = unix.SizeofSockaddrInet6
	h.SetControllen(controls)
	b.ports[i], b.sizes[i] = port, 0
	b.end = uint64(i) + 1
}

// done says that the packet in place i is recorded, or is not going to be.
func (b *inbox) done(i int) { b.next = uint64(i) + 1 }

// isFor tells whether a packet for a leg was asked for at place i.
func (b *inbox) isFor(l *Leg, i int) bool { return b.ports[i] == l.port }

// pending tells whether the last life had read a packet into place i, of which it is
// not known that it was recorded.
func (b *inbox) pending(i int) bool {
	return b.next <= uint64(i) && uint64(i) < b.end && b.ports[i] != 0 &&
		b.messages[i].header.Controllen != controls // else the kernel had put nothing there
}

// written is how much the kernel wrote into place i, read by itself. Its last bytes may
// have been the same by chance: packets of our media are multiples of four bytes long,
// but for what SRTP adds (recall tries).
func (b *inbox) written(i int) uint32 {
	n := packetMax
	for n > 0 && b.data[i][n-1] == b.blank[n-1] {
		n--
	}
	return uint32(n)
}

// one reads a packet into place 0. port is that of the leg, 0 for what is not recorded.
func (b *inbox) one(fd int32, port uint16) syscall.Errno {
	b.begin(0)
	b.wipe(0)
	b.ready(0, port)
	return b.receive(0, fd)
}

// read reads a packet of a leg into place i of a group that has begun. Of a socket that
// takes packets of one peer alone the kernel need not write whose it is, which saves it
// 6 % of the reading.
func (b *inbox) read(i int, l *Leg) syscall.Errno {
	b.wipe(i)
	if !l.own {
		b.ready(i, l.port)
		return b.receive(i, l.fd)
	}
	h := &b.messages[i].header
	h.Name, b.from[i] = nil, l.peer
	b.ready(i, l.port)
	h.Namelen = 0
	errno := b.receive(i, l.fd)
	h.Name = &b.from[i][0]
	return errno
}

// wipe makes what lies in place i blank again, before it is ready.
func (b *inbox) wipe(i int) {
	if n := b.dirty[i]; n > 0 {
		copy(b.data[i][:n], b.blank[:])
		b.dirty[i] = 0
	}
}

func (b *inbox) receive(i int, fd int32) syscall.Errno {
	m := &b.messages[i]
	n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.header)), unix.MSG_DONTWAIT)
	if errno != 0 {
		return errno
	}
	m.length, b.sizes[i] = uint32(n), uint16(n)
	if b.kept {
		b.dirty[i] = int(n)
	}
	return 0
}

// many reads up to batchMax packets and tells how many.
func (b *inbox) many(fd int32, port uint16) int {
	b.begin(1)
	for i := range b.messages {
		b.ready(i, port)
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(&b.messages[0])), batchMax, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	if b.kept {
		for i := range n {
			b.dirty[i] = packetMax
		}
	}
	return int(n)
}

// packet gives what lies in place i: its bytes and the kernel's time of
// arrival (unix ns, 0 when it gave none). A packet cut off comes back empty.
func (b *inbox) packet(i int) (data []byte, at int64) {
	m := &b.messages[i]
	data = b.data[i][:m.length]
	if m.header.Flags&unix.MSG_TRUNC != 0 {
		data = data[:0]
	}
	// struct cmsghdr (length, level, type), then struct timespec.
	c := &b.control[i]
	if m.header.Controllen >= 32 && binary.NativeEndian.Uint32(c[8:]) == unix.SOL_SOCKET &&
		binary.NativeEndian.Uint32(c[12:]) == unix.SO_TIMESTAMPNS {
		at = int64(binary.NativeEndian.Uint64(c[16:]))*1e9 + int64(binary.NativeEndian.Uint64(c[24:]))
	}
	return data, at
}
