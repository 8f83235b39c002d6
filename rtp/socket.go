package rtp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receiveBuffer is asked of the kernel for each media socket, in bytes. It is
// only filled when nobody reads: it holds half a minute of one call's audio, so
// that a stopped or restarting process loses none of it.
const receiveBuffer = 512 << 10

// expedited is the TOS byte of the expedited forwarding class (RFC 3246),
// which is where voice belongs (RFC 4594 section 4.1).
const expedited = 0xB8

// openSocket makes a non-blocking UDP socket bound to addr, whose packets carry
// the time the kernel received them.
func openSocket(addr netip.AddrPort, shared bool) (int32, error) {
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("media socket: %w", err)
	}
	if err = prepareSocket(fd, family, shared); err == nil {
		err = unix.Bind(fd, unixAddr(addr))
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("media socket %s: %w", addr, err)
	}
	return int32(fd), nil
}

// connectSocket makes a second socket on the port of open that takes and sends
// the packets of one peer alone. What others send goes on to open. The port is
// shared only while the second socket is bound, so nobody else can join it.
func connectSocket(open int32, local, peer netip.AddrPort) (int32, error) {
	share := func(fd int32, on int) error {
		return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, on)
	}
	if err := share(open, 1); err != nil {
		return -1, fmt.Errorf("media socket %s: share: %w", local, err)
	}
	defer func() { _ = share(open, 0) }()
	fd, err := openSocket(local, true)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(int(fd), unixAddr(peer)); err != nil {
		_ = unix.Close(int(fd))
		return -1, fmt.Errorf("media socket %s: connect to %s: %w", local, peer, err)
	}
	_ = share(fd, 0)
	return fd, nil
}

func unixAddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func prepareSocket(fd, family int, shared bool) error {
	if shared {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return err
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return err
	}
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, expedited)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, expedited)
}

// sockaddr is an address as the kernel writes it: sockaddr_in or sockaddr_in6.
// The packet path compares and passes these and never makes a netip value.
type sockaddr [unix.SizeofSockaddrInet6]byte

// newSockaddr writes a as a socket of the family of local wants it; the zero
// value when it cannot be reached from there.
func newSockaddr(a netip.AddrPort, local netip.Addr) sockaddr {
	var s sockaddr
	ip := a.Addr().Unmap()
	if !a.IsValid() || ip.IsUnspecified() || a.Port() == 0 || ip.Is4() != local.Is4() {
		return s
	}
	binary.BigEndian.PutUint16(s[2:], a.Port())
	if ip.Is4() {
		binary.NativeEndian.PutUint16(s[:], unix.AF_INET)
		b := ip.As4()
		copy(s[4:], b[:])
		return s
	}
	binary.NativeEndian.PutUint16(s[:], unix.AF_INET6)
	b := ip.As16()
	copy(s[8:], b[:])
	return s
}

func (s *sockaddr) valid() bool { return s[0]|s[1] != 0 }

func (s *sockaddr) is4() bool { return binary.NativeEndian.Uint16(s[:]) == unix.AF_INET }

func (s *sockaddr) addrPort() netip.AddrPort {
	port := binary.BigEndian.Uint16(s[2:])
	switch binary.NativeEndian.Uint16(s[:]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(s[4:8])), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(s[8:24])), port)
	default:
		return netip.AddrPort{}
	}
}

// same compares family, port and address; a flow label or scope does not count.
func (s *sockaddr) same(o *sockaddr) bool {
	if s.is4() {
		return binary.NativeEndian.Uint64(s[:]) == binary.NativeEndian.Uint64(o[:])
	}
	return [4]byte(s[:4]) == [4]byte(o[:4]) && [16]byte(s[8:24]) == [16]byte(o[8:24])
}

func (s *sockaddr) size() uintptr {
	if s.is4() {
		return unix.SizeofSockaddrInet4
	}
	return unix.SizeofSockaddrInet6
}

// send passes one packet to the kernel, for the address to or, when that is nil,
// for the one the socket is connected to. It does not block and does not go
// through Go's scheduler: the sockets are non-blocking, and a shard that gave
// its processor back for each packet would spend more on that than on sending.
func send(fd int32, packet []byte, to *sockaddr) syscall.Errno {
	size := uintptr(0)
	if to != nil {
		size = to.size()
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(packet))), uintptr(len(packet)),
		unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(to)), size)
	return errno
}

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
type inbox struct {
	messages [batchMax]message
	from     [batchMax]sockaddr
	vectors  [batchMax]unix.Iovec
	control  [batchMax][controls]byte
	data     [batchMax][packetMax]byte
}

func newInbox() *inbox {
	b := new(inbox)
	for i := range b.messages {
		h := &b.messages[i].header
		b.vectors[i].Base = &b.data[i][0]
		b.vectors[i].SetLen(packetMax)
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
		h.Name = &b.from[i][0]
		h.Control = &b.control[i][0]
	}
	return b
}

func (b *inbox) ready(i int) {
	h := &b.messages[i].header
	h.Namelen = unix.SizeofSockaddrInet6
	h.SetControllen(controls)
}

// one reads a packet into place 0.
func (b *inbox) one(fd int32) syscall.Errno {
	b.ready(0)
	return b.receive(0, fd)
}

// read reads a packet of a leg into place i. Of a socket that takes packets of one
// peer alone the kernel need not write whose it is, which saves it 6 % of the reading.
func (b *inbox) read(i int, l *Leg) syscall.Errno {
	b.ready(i)
	if !l.own {
		return b.receive(i, l.fd)
	}
	h := &b.messages[i].header
	h.Name, h.Namelen = nil, 0
	errno := b.receive(i, l.fd)
	h.Name = &b.from[i][0]
	b.from[i] = l.peer
	return errno
}

func (b *inbox) receive(i int, fd int32) syscall.Errno {
	m := &b.messages[i]
	n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.header)), unix.MSG_DONTWAIT)
	m.length = uint32(n)
	return errno
}

// many reads up to batchMax packets and tells how many.
func (b *inbox) many(fd int32) int {
	for i := range b.messages {
		b.ready(i)
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(&b.messages[0])), batchMax, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
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
