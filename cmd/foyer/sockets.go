package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"foyer/cmd/foyer/config"
)

// sockets are what the switch listens on. They are opened before anything else
// is promised, so that a port in use is the first thing an operator hears of.
type sockets struct {
	udp         net.PacketConn
	tcp         net.Listener
	http, admin net.Listener
	metrics     net.Listener
}

func openSockets(cfg *config.Config) (*sockets, error) {
	var s sockets
	var err error
	fail := func(key, addr string, err error) (*sockets, error) {
		s.close()
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("listen.%s: %s is in use by another program; stop it or choose another port", key, addr)
		}
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			return nil, fmt.Errorf("listen.%s: this machine has no address %s; use one of its own, or 0.0.0.0", key, addr)
		}
		if errors.Is(err, syscall.EACCES) {
			return nil, fmt.Errorf("listen.%s: no permission to listen on %s; ports below 1024 need CAP_NET_BIND_SERVICE", key, addr)
		}
		return nil, fmt.Errorf("listen.%s: %w", key, err)
	}
	l := cfg.Listen
	if l.SIPUDP.IsValid() {
		udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(l.SIPUDP))
		if err != nil {
			return fail("sip_udp", l.SIPUDP.String(), err)
		}
		// A burst of a few thousand messages must not be lost while the edge is busy.
		_ = udp.SetReadBuffer(4 << 20)
		s.udp = udp
	}
	for _, tcp := range []struct {
		key  string
		addr netip.AddrPort
		into *net.Listener
	}{{"sip_tcp", l.SIPTCP, &s.tcp}, {"http", l.HTTP, &s.http}, {"metrics", l.Metrics, &s.metrics}} {
		if !tcp.addr.IsValid() {
			continue
		}
		if *tcp.into, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(tcp.addr)); err != nil {
			*tcp.into = nil
			return fail(tcp.key, tcp.addr.String(), err)
		}
	}
	_ = os.Remove(l.AdminSocket) // ours: the data directory is locked
	if s.admin, err = net.Listen("unix", l.AdminSocket); err != nil {
		return fail("admin_socket", l.AdminSocket, err)
	}
	if err := os.Chmod(l.AdminSocket, 0o600); err != nil {
		return fail("admin_socket", l.AdminSocket, err)
	}
	return &s, nil
}

func (s *sockets) close() {
	for _, c := range []io.Closer{s.udp, s.tcp, s.http, s.metrics, s.admin} {
		if c != nil {
			c.Close()
		}
	}
}

// lockDir makes sure that one switch alone writes to a data directory.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("site.data_dir: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("site.data_dir: %s is in use by another foyer", dir)
	}
	return f, nil
}
