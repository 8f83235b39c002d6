package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"foyer/cmd/foyer/keeper"
)

// keeping lets listening sockets outlive the switch: the kernel goes on taking
// packets and connections into them, and the next life finds them there. Each is kept
// under the key of the configuration that opens it.
type keeping struct {
	keeper *keeper.Client
	log    *zap.Logger
}

// listenUDP takes over the socket of that name from the last life, if it is bound to
// addr, or opens one.
func (k *keeping) listenUDP(name, network string, addr netip.AddrPort) (*net.UDPConn, error) {
	if f := k.takeOver(name, network, addr, unix.SOCK_DGRAM); f != nil {
		defer f.Close()
		c, err := net.FilePacketConn(f)
		if err != nil {
			return nil, err
		}
		return c.(*net.UDPConn), nil
	}
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(whole(addr)))
	if err != nil {
		return nil, err
	}
	// A burst of a few thousand messages must not be lost while the edge is busy, nor
	// while there is none.
	_ = c.SetReadBuffer(4 << 20)
	k.keep(name, c)
	return c, nil
}

// listenTCP is the same for a socket of connections.
func (k *keeping) listenTCP(name, network string, addr netip.AddrPort) (net.Listener, error) {
	if f := k.takeOver(name, network, addr, unix.SOCK_STREAM); f != nil {
		defer f.Close()
		return net.FileListener(f)
	}
	l, err := net.ListenTCP(network, net.TCPAddrFromAddrPort(whole(addr)))
	if err != nil {
		return nil, err
	}
	k.keep(name, l)
	return l, nil
}

// takeOver is the socket that the last life left under a name, nil if there is none
// or it is another than we would open now.
func (k *keeping) takeOver(name, network string, addr netip.AddrPort, kind int) *os.File {
	fds := k.keeper.Inherited(name)
	if len(fds) == 1 && bound(fds[0], network, addr, kind) {
		return os.NewFile(uintptr(fds[0]), name)
	}
	k.drop(name, fds)
	return nil
}

// forget lets go of a socket that nothing asks for any more.
func (k *keeping) forget(name string) { k.drop(name, k.keeper.Inherited(name)) }

func (k *keeping) drop(name string, fds []int) {
	if len(fds) == 0 {
		return
	}
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
	if err := k.keeper.Remove(name); err != nil {
		k.log.Warn("a socket stays with the keeper", zap.String("socket", name), zap.Error(err))
	}
}

func (k *keeping) keep(name string, socket syscall.Conn) {
	raw, err := socket.SyscallConn()
	if err == nil {
		fault := raw.Control(func(fd uintptr) { err = k.keeper.Store(name, int(fd)) })
		if err == nil {
			err = fault
		}
	}
	if err != nil {
		k.log.Warn("a socket will not outlive the switch", zap.String("socket", name), zap.Error(err))
	}
}

// bound says whether a socket is what package net would open for these words.
func bound(fd int, network string, addr netip.AddrPort, kind int) bool {
	if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || got != kind {
		return false
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	six := strings.HasSuffix(network, "6")
	switch at := name.(type) {
	case *unix.SockaddrInet4:
		got := netip.AddrFrom4(at.Addr)
		// Where the machine has no IPv6, every address is every one of IPv4.
		every := got.IsUnspecified() && addr.Addr().IsUnspecified() && !six
		return at.Port == int(addr.Port()) && (got == addr.Addr() || every)
	case *unix.SockaddrInet6:
		got := netip.AddrFrom16(at.Addr)
		if !got.IsUnspecified() {
			return at.Port == int(addr.Port()) && got == addr.Addr().WithZone("")
		}
		only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		return err == nil && at.Port == int(addr.Port()) && addr.Addr().IsUnspecified() && (only == 1) == six
	}
	return false
}

// tellKeeper says something of the switch; a keeper that is gone is told of elsewhere.
func (ex *exchange) tellKeeper(what string, tell func() error) {
	if err := tell(); err != nil {
		ex.log.Warn("the keeper was not told", zap.String("what", what), zap.Error(err))
	}
}

// stopping says that this is an end, not a crash: the next life reads the
// configuration anew.
func (ex *exchange) stopping() error {
	return errors.Join(ex.keeper.Remove(keptName), ex.keeper.Stopping())
}

// forgetUnclaimed lets go of what nobody has taken over: a later release may have
// left what we know nothing of.
func (ex *exchange) forgetUnclaimed() {
	for _, name := range ex.keeper.Unclaimed() {
		ex.log.Warn("the last life left what nobody wants", zap.String("name", name))
		ex.sockets.forget(name)
	}
}

// watchKeeper tells when there is nobody any more to start the next life. The calls
// go on: what was kept there, this process has too. It ends with ctx.
func (ex *exchange) watchKeeper(ctx context.Context) {
	if ex.keeper.Gone(ctx) {
		ex.log.Error("the keeper is gone: calls go on, but nobody starts this switch again and what it keeps dies with it; end it with SIGTERM when it suits you, and start foyer serve anew",
			zap.Int("pid", os.Getpid()))
	}
}
