package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.uber.org/zap"

	"foyer/cmd/foyer/config"
	"foyer/cmd/foyer/keeper"
	"foyer/sip"
)

// sockets are what the switch listens on. They are opened before anything else
// is promised, so that a port in use is the first thing an operator hears of.
type sockets struct {
	udp, udp6           net.PacketConn
	tcp, tcp6           net.Listener
	tls, tls6           net.Listener
	http, https         net.Listener
	metrics, admin      net.Listener
	sipCert, secureCert *sip.Certificate // of SIP, and of HTTPS; nil where nothing needs one
	keeping
}

// openSockets opens what the configuration says, or takes it over from the last life.
func openSockets(cfg *config.Config, log *zap.Logger, kept *keeper.Client) (*sockets, error) {
	s := sockets{keeping: keeping{kept, log.Named("sockets")}}
	l := &cfg.Listen
	err := s.openCertificates(l, log)
	if err == nil {
		err = s.openAll(l)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return &s, nil
}

// openCertificates reads what TLS is spoken with.
func (s *sockets) openCertificates(l *config.Listen, log *zap.Logger) error {
	for _, c := range []struct {
		key  string
		of   config.KeyPair
		used bool
		into **sip.Certificate
	}{
		{"sip_tls", l.CertificateOfSIP(), l.SIPTLS.IsValid(), &s.sipCert},
		{"https", l.CertificateOfHTTPS(), l.HTTPS.Addr.IsValid(), &s.secureCert},
	} {
		if !c.used {
			continue
		}
		cert, err := sip.OpenCertificate(c.of.Cert, c.of.Key, log.Named("tls"), nil)
		if err != nil {
			return fmt.Errorf("listen.%s: %w", c.key, err)
		}
		*c.into = cert
	}
	return nil
}

func (s *sockets) openAll(l *config.Listen) error {
	for _, udp := range []struct {
		name string
		addr netip.AddrPort
		into *net.PacketConn
	}{{"sip_udp", l.SIPUDP.AddrPort, &s.udp}, {"sip_udp6", l.SIPUDP.Other, &s.udp6}} {
		if !udp.addr.IsValid() {
			s.forget(udp.name)
			continue
		}
		c, err := s.listenUDP(udp.name, family("udp", udp.addr, l.SIPUDP), udp.addr)
		if err != nil {
			return unopened("sip_udp", udp.addr.String(), err)
		}
		*udp.into = c
	}
	one := func(a netip.AddrPort) config.Addresses { return config.Addresses{AddrPort: a} }
	for _, tcp := range []struct {
		key         string
		addrs       config.Addresses
		into, other *net.Listener
	}{
		{"sip_tcp", l.SIPTCP, &s.tcp, &s.tcp6}, {"sip_tls", l.SIPTLS, &s.tls, &s.tls6},
		{"http", one(l.HTTP), &s.http, nil}, {"https", one(l.HTTPS.Addr), &s.https, nil}, {"metrics", one(l.Metrics), &s.metrics, nil},
	} {
		for i, into := range []*net.Listener{tcp.into, tcp.other} {
			addr := [...]netip.AddrPort{tcp.addrs.AddrPort, tcp.addrs.Other}[i]
			name := tcp.key + [...]string{"", "6"}[i]
			if !addr.IsValid() {
				s.forget(name)
				continue
			}
			c, err := s.listenTCP(name, family("tcp", addr, tcp.addrs), addr)
			if err != nil {
				return unopened(tcp.key, addr.String(), err)
			}
			*into = c
		}
	}
	return s.openAdmin(l.AdminSocket)
}

// whole is an address as it is opened: every one of the machine is written without
// any, so that a machine without IPv6 still has its IPv4.
func whole(a netip.AddrPort) netip.AddrPort {
	if a.Addr() == netip.IPv6Unspecified() {
		return netip.AddrPortFrom(netip.Addr{}, a.Port())
	}
	return a
}

// family is the network of one of two sockets. An IPv6 wildcard beside a socket of
// IPv4 leaves that version alone.
func family(network string, a netip.AddrPort, of config.Addresses) string {
	if of.Other.IsValid() && a.Addr().Is6() {
		return network + "6"
	}
	return network
}

func unopened(key, addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen.%s: %s is in use by another program; stop it or choose another port", key, addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("listen.%s: this machine has no address %s; use one of its own, or 0.0.0.0", key, addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listen.%s: no permission to listen on %s; ports below 1024 need CAP_NET_BIND_SERVICE", key, addr)
	}
	return fmt.Errorf("listen.%s: %w", key, err)
}

func (s *sockets) openAdmin(path string) error {
	_ = os.Remove(path) // ours: the data directory is locked
	l, err := net.Listen("unix", path)
	if err != nil {
		return unopened("admin_socket", path, err)
	}
	s.admin = l
	if err := os.Chmod(path, 0o600); err != nil {
		return unopened("admin_socket", path, err)
	}
	return nil
}

func (s *sockets) close() {
	for _, c := range []io.Closer{s.udp, s.udp6, s.tcp, s.tcp6, s.tls, s.tls6, s.http, s.https, s.metrics, s.admin} {
		if c != nil {
			c.Close()
		}
	}
}

// tlsOfSIP is how SIP speaks TLS, nil if it does not.
func (s *sockets) tlsOfSIP() *tls.Config {
	if s.sipCert == nil {
		return nil
	}
	return s.sipCert.Config()
}

// lockPatience is how long a switch that was let in waits for the one before to be gone:
// that may be in the middle of a write to a disk that is stalled.
const lockPatience = time.Minute

// lockDir makes sure that one switch alone writes to a data directory. It waits so long
// at most for another's end.
func lockDir(dir string, patience time.Duration) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("site.data_dir: %w", err)
	}
	for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !time.Now().Before(until) {
			f.Close()
			return nil, fmt.Errorf("site.data_dir: %s is in use by another foyer", dir)
		}
	}
}
