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
// next read.
//
// In memory that outlives the process it also says whose socket was read and what of
// it is not recorded yet, so that a kill between the two loses nothing (leftover). What
// the kernel has written of a single packet is known but for its length, which it only
// returns: that is found by what stood there before.
type inbox struct {
	port uint64 // of the leg whose packets are in it, 0: none that are not recorded
	next uint64 // place of the first packet that is not
	by   uint64 // how they were read

	messages [batchMax]message
	from     [batchMax]sockaddr
	vectors  [batchMax]unix.Iovec
	control  [batchMax][controls]byte
	data     [batchMax][packetMax]byte
	nameless unix.Msghdr // place 0, for a socket that takes packets of one peer alone

	kept  bool // in memory that outlives the process
	dirty int  // bytes of data[0] that are not blank
	blank [packetMax]byte
}

// How an inbox was read.
const (
	byMany uint64 = iota
	byOne
	byOwn
)

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
	b.nameless.Iov, b.nameless.Control = b.messages[0].header.Iov, b.messages[0].header.Control
	b.nameless.SetIovlen(1)
	b.nameless.Name = nil
}

// clear forgets what an inbox that is kept has of a life before.
func (b *inbox) clear() {
	if !b.kept {
		return
	}
	b.port = 0
	for i := range b.blank {
		b.blank[i] = byte(rand.Uint32())
	}
	b.data[0], b.dirty = b.blank, 0
}

// begin says that packets for a leg are about to be read; port 0: none to be recorded.
// It comes after the lengths have been made those of nothing, and next is stored last:
// until then what the inbox says is that the packets before are done.
func (b *inbox) begin(port uint16, by uint64) {
	if b.dirty > 0 {
		copy(b.data[0][:b.dirty], b.blank[:])
		b.dirty = 0
	}
	b.by = by
	b.port = uint64(port)
	b.next = 0
}

// done says that the packet in the place that is served is recorded.
func (b *inbox) done(place int) { b.next = uint64(place) + 1 }

// leftover is how many packets the last life had read and, from b.next on, not recorded;
// those of single reads are as after a read of this life. own is the peer of a socket
// that takes packets of one alone.
func (b *inbox) leftover(own *sockaddr) int {
	m, h := &b.messages[0], &b.messages[0].header
	switch b.by {
	case byMany:
		n := 0
		for n < batchMax && b.messages[n].length > 0 && b.messages[n].length <= packetMax {
			n++
		}
		return n
	case byOwn:
		h = &b.nameless
		b.from[0] = *own
	}
	if b.port == 0 || b.next > 0 || h.Controllen == controls {
		return 0 // the kernel had put nothing there
	}
	n := packetMax
	for n > 0 && b.data[0][n-1] == b.blank[n-1] {
		n--
	}
	// Its last bytes may have been the same by chance. Packets of our media are
	// multiples of four bytes long, but for what SRTP adds (unlock tries).
	m.length, m.header.Flags, m.header.Controllen = uint32(n), h.Flags, h.Controllen
	return 1
}

func (b *inbox) ready(i int) {
	h := &b.messages[i].header
	h.Namelen = unix.SizeofSockaddrInet6
	h.SetControllen(controls)
}

// one reads a packet into place 0. port is that of the leg, 0 for what is not recorded.
func (b *inbox) one(fd int32, port uint16) syscall.Errno {
	b.ready(0)
	b.begin(port, byOne)
	m := &b.messages[0]
	n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.header)), unix.MSG_DONTWAIT)
	b.came(n, errno)
	return errno
}

// own reads a packet of the one peer a socket takes packets of into place 0. That
// the kernel need not write whose it is saves it 6 % of the reading.
func (b *inbox) own(fd int32, port uint16, peer *sockaddr) syscall.Errno {
	h, m := &b.nameless, &b.messages[0]
	h.SetControllen(controls)
	b.begin(port, byOwn)
	n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(h)), unix.MSG_DONTWAIT)
	b.came(n, errno)
	m.header.Flags, m.header.Controllen = h.Flags, h.Controllen
	b.from[0] = *peer
	return errno
}

func (b *inbox) came(n uintptr, errno syscall.Errno) {
	if errno != 0 {
		n = 0
	}
	b.messages[0].length = uint32(n)
	if b.kept {
		b.dirty = int(min(n, packetMax))
	}
}

// many reads up to batchMax packets and tells how many.
func (b *inbox) many(fd int32, port uint16) int {
	for i := range b.messages {
		b.ready(i)
		b.messages[i].length = 0
	}
	b.begin(port, byMany)
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(&b.messages[0])), batchMax, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	if b.kept {
		b.dirty = packetMax
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
