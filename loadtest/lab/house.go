package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"foyer/sip/siptest"
)

// House is a network namespace of its own behind a router, for programs that open
// their own sockets: real telephones. Whatever they send leaves by a TUN device and
// through the router; there is no other way out. The switch must be at an address
// that is not loopback, for which each has its own. It needs root.
type House struct {
	tun    *os.File
	orders chan func()   // run on the thread that lives in the house
	gone   chan struct{} // closed when the reader has ended
}

const (
	ipHeader  = 20
	udpHeader = 8
	udp       = 17
)

// OpenHouse builds a house with one address, e.g. "192.168.1.30".
func OpenHouse(router *siptest.NAT, address string) (*House, error) {
	h := &House{orders: make(chan func()), gone: make(chan struct{})}
	moved := make(chan error, 1)
	go h.live(address, moved)
	if err := <-moved; err != nil {
		return nil, fmt.Errorf("house: %w", err)
	}
	router.Lan(h.deliver)
	go h.read(router)
	return h, nil
}

// live is the thread that lives in the house. It goes home in the end: a thread that
// dies may take children with it that it started before.
func (h *House) live(address string, moved chan<- error) {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		moved <- err
		return
	}
	defer home.Close()
	if err = h.moveIn(address); err == nil {
		moved <- nil
		for f := range h.orders {
			f()
		}
	}
	back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET)
	if err != nil {
		moved <- errors.Join(err, back)
	}
	if back == nil {
		runtime.UnlockOSThread()
	}
}

func (h *House) moveIn(address string) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("new network namespace: %w", err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open TUN device: %w", err)
	}
	var req struct {
		name  [unix.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(req.name[:], "home0")
	req.flags = unix.IFF_TUN | unix.IFF_NO_PI
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&req))); errno != 0 {
		return errors.Join(fmt.Errorf("make TUN device: %w", errno), unix.Close(fd))
	}
	h.tun = os.NewFile(uintptr(fd), "tun") // not before: a device without a name cannot be waited for
	for _, command := range []string{
		"ip addr add " + address + "/24 dev home0", "ip link set home0 up", "ip route add default dev home0",
	} {
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return errors.Join(fmt.Errorf("%s: %w: %s", command, err, out), h.tun.Close())
		}
	}
	return nil
}

// Start starts a program in the house.
func (h *House) Start(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	h.orders <- func() { started <- cmd.Start() }
	return <-started
}

// Close tears the house down; its programs must have ended.
func (h *House) Close() {
	close(h.orders)
	h.tun.Close()
	<-h.gone
}

// read passes on what leaves the house.
func (h *House) read(router *siptest.NAT) {
	defer close(h.gone)
	buf := make([]byte, 65536)
	for {
		n, err := h.tun.Read(buf)
		if err != nil {
			return
		}
		p := buf[:n]
		if n < ipHeader+udpHeader || p[0] != 4<<4|5 || p[9] != udp {
			continue // of a phone's other wishes nobody here knows anything
		}
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[12:16])), binary.BigEndian.Uint16(p[20:]))
		to := netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[16:20])), binary.BigEndian.Uint16(p[22:]))
		router.Send(from, to, append([]byte(nil), p[ipHeader+udpHeader:]...))
	}
}

// deliver lets a packet into the house.
func (h *House) deliver(from, to netip.AddrPort, data []byte) {
	p := make([]byte, ipHeader+udpHeader, ipHeader+udpHeader+len(data))
	p[0], p[8], p[9] = 4<<4|5, 64, udp
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)+len(data)))
	source, target := from.Addr().As4(), to.Addr().As4()
	copy(p[12:], source[:])
	copy(p[16:], target[:])
	sum := uint32(0)
	for i := 0; i < ipHeader; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum))
	binary.BigEndian.PutUint16(p[20:], from.Port())
	binary.BigEndian.PutUint16(p[22:], to.Port())
	binary.BigEndian.PutUint16(p[24:], uint16(udpHeader+len(data))) // and no checksum, which IPv4 allows
	_, _ = h.tun.Write(append(p, data...))                          // a house that is being torn down takes nothing
}
