package rtp

import (
	"encoding/binary"
	"errors"
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

// noSocket stands where there is none.
const noSocket int32 = -1

// newSocket makes a non-blocking UDP socket for an address of the family of local,
// whose packets carry the time the kernel received them.
func newSocket(local netip.Addr) (int32, error) {
	family := unix.AF_INET
	if local.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		if err = prepareSocket(fd, family); err != nil {
			_ = unix.Close(fd)
		}
	}
	if err != nil {
		return noSocket, fmt.Errorf("media socket: %w", err)
	}
	return int32(fd), nil
}

func bindSocket(fd int32, addr netip.AddrPort) error {
	if err := unix.Bind(int(fd), unixAddr(addr)); err != nil {
		return fmt.Errorf("media socket %s: %w", addr, err)
	}
	return nil
}

// connectSocket makes fd a second socket on the port of open that takes and sends
// the packets of one peer alone. What others send goes on to open. The port is
// shared only while the second socket is bound, so nobody else can join it.
func connectSocket(fd, open int32, local, peer netip.AddrPort) error {
	if err := errors.Join(share(open, 1), share(fd, 1)); err != nil {
		return fmt.Errorf("media socket %s: share: %w", local, err)
	}
	defer func() { _ = errors.Join(share(open, 0), share(fd, 0)) }()
	if err := bindSocket(fd, local); err != nil {
		return err
	}
	return aimSocket(fd, peer)
}

func share(fd int32, on int) error {
	return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, on)
}

// aimSocket connects a socket to a peer.
func aimSocket(fd int32, peer netip.AddrPort) error {
	if err := unix.Connect(int(fd), unixAddr(peer)); err != nil {
		return fmt.Errorf("media socket: connect to %s: %w", peer, err)
	}
	return nil
}

// peerOf is what a socket is connected to.
func peerOf(fd int32) (netip.AddrPort, bool) { return plainAddr(unix.Getpeername(int(fd))) }

func plainAddr(a unix.Sockaddr, err error) (netip.AddrPort, bool) {
	if err != nil {
		return netip.AddrPort{}, false
	}
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), true
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)), true
	}
	return netip.AddrPort{}, false
}

func closeSockets(fds ...int32) {
	for _, fd := range fds {
		if fd == noSocket {
			continue
		}
		_ = unix.Close(int(fd)) // UDP: nothing to flush, nothing to do about an error
	}
}

func unixAddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func prepareSocket(fd, family int) error {
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
