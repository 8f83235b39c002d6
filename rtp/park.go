package rtp

import (
	"fmt"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Media that is kept opens the sockets of a port once and gives them to whoever
// stores them once, not for each call: between two calls a port rests with its
// sockets open, and deaf, so that whoever goes on sending to it fills no memory.
// The second socket of RTP, for the packets of one peer (connect.go), is made with
// the others and connected to itself, where nobody sends from, until there is a
// peer: so nothing has to be stored by a shard, which must not wait, and what the
// peer sends while nobody reads waits in a socket that is stored already.

// sockets are the descriptors of one port, as they are kept.
type sockets struct {
	rtp, rtcp int32
	peer      int32 // of RTP too: for the packets of one peer alone, once there is one
}

// socketName is what the sockets of a port are stored under.
func socketName(port uint16) string { return "m" + strconv.Itoa(int(port)) }

// portNamed is the port of such a name, 0 of another.
func portNamed(name string) uint16 {
	port, err := strconv.ParseUint(name[min(1, len(name)):], 10, 16)
	if err != nil || name != socketName(uint16(port)) {
		return 0
	}
	return uint16(port)
}

// openSockets binds those of a port.
func openSockets(at netip.AddrPort) (sockets, error) {
	k := sockets{noSocket, noSocket, noSocket}
	var err error
	if k.rtp, err = openSocket(at, false); err == nil {
		if k.rtcp, err = openSocket(netip.AddrPortFrom(at.Addr(), at.Port()+1), false); err == nil {
			if k.peer, err = connectSocket(k.rtp, at, at); err == nil {
				err = deafen(k.peer)
			}
		}
	}
	if err != nil {
		k.close()
	}
	return k, err
}

func (k sockets) close() { closeSockets(k.rtp, k.rtcp, k.peer) }

// rest makes the sockets deaf.
func (k sockets) rest(at netip.AddrPort) error {
	for _, fd := range [...]int32{k.rtp, k.rtcp} {
		if err := deafen(fd); err != nil {
			return err
		}
	}
	return detach(k.peer, at)
}

// rouse empties the sockets and lets packets in. That of a peer waits for one.
func (k sockets) rouse() error {
	if err := hearken(k.rtp); err != nil {
		return err
	}
	return hearken(k.rtcp)
}

// dropAll is a filter that no packet passes.
var dropAll = unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}

func deafen(fd int32) error {
	filter := dropAll
	if err := unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &filter}); err != nil {
		return fmt.Errorf("media socket: filter: %w", err)
	}
	return nil
}

// hearken ends that, for packets that come from now on.
func hearken(fd int32) error {
	var nothing [1]byte
	for err := error(nil); err != unix.EAGAIN; {
		_, _, err = unix.Recvfrom(int(fd), nothing[:], unix.MSG_DONTWAIT)
	}
	if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil && err != unix.ENOENT {
		return fmt.Errorf("media socket: filter: %w", err)
	}
	return nil
}

// attach gives a deaf socket to a peer. As when it is bound for one, packets of
// others may come in before it is connected.
func attach(fd int32, local, peer netip.AddrPort) error {
	if err := hearken(fd); err != nil {
		return err
	}
	if local.Addr().IsUnspecified() {
		// The kernel chose our address when the socket was connected to itself, and
		// chooses again only after this: connect(2), AF_UNSPEC.
		var nobody [unix.SizeofSockaddrInet6]byte
		_, _, _ = unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&nobody)), uintptr(len(nobody)))
	}
	if err := unix.Connect(int(fd), unixAddr(peer)); err != nil {
		_ = detach(fd, local)
		return fmt.Errorf("media socket %s: connect to %s: %w", local, peer, err)
	}
	return nil
}

// detach takes the socket of a peer back.
func detach(fd int32, local netip.AddrPort) error {
	if err := deafen(fd); err != nil {
		return err
	}
	if err := unix.Connect(int(fd), unixAddr(local)); err != nil {
		return fmt.Errorf("media socket %s: connect to itself: %w", local, err)
	}
	return nil
}

// sortSockets finds out which of a port's descriptors is which, and to what address that
// of RTP is bound. It closes what is none of them.
func sortSockets(port uint16, fds []int) (k sockets, local netip.AddrPort, ok bool) {
	k = sockets{noSocket, noSocket, noSocket}
	for _, fd := range fds {
		at, _ := plainAddr(unix.Getsockname(fd))
		place := &k.rtp
		if _, connected := peerOf(int32(fd)); connected {
			place = &k.peer
		} else if at.Port() == port+1 {
			place = &k.rtcp
		} else if k.rtp != noSocket {
			place = &k.peer // was just being connected anew
		}
		if *place != noSocket || at.Port()&^1 != port {
			closeSockets(int32(fd))
			continue
		}
		if *place = int32(fd); place == &k.rtp {
			local = at
		}
	}
	return k, local, k.rtp != noSocket && k.rtcp != noSocket && k.peer != noSocket
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
