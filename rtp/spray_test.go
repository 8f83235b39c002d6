package rtp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sprayed is how many ports the attacker sends to, how long, and the calls that are
// up meanwhile. The long form, FOYER_SPRAY_SECONDS=60, is every port there is.
func sprayed() (ports int, span time.Duration, calls int) {
	if n, err := strconv.Atoi(os.Getenv("FOYER_SPRAY_SECONDS")); err == nil && n > 0 {
		return 65535, time.Duration(n) * time.Second, 200
	}
	return 2000, time.Second, 20
}

// An attacker who sees nothing sends plausible RTP to every port of the range while
// calls are up, from addresses of its own. Nothing of it reaches anybody (injected),
// and nothing of the calls reaches it (bled), neither from legs that talk nor from
// those whose peer has not been heard yet.
func TestSpray(t *testing.T) {
	ports, span, calls := sprayed()
	for _, c := range []struct {
		name  string
		latch Latch
		guard Guard
	}{{"plain, by the SDP", Exact, Plain}, {"plain, behind a router", Near, Plain}, {"SRTP", Exact, SDES}, {"SRTP, behind a router", Near, SDES}} {
		t.Run(c.name, func(t *testing.T) {
			lo := uint16(20000)
			m := open(t, func(o *Options) { o.MinPort, o.MaxPort = lo, uint16(min(int(lo)+ports, 59999)) })
			var peers []*peer
			for i := range calls * 2 {
				var beside *Leg
				if i%2 == 1 {
					beside = peers[i-1].leg
				}
				st := alaw()
				st.Latch, st.SignalIP = c.latch, loopback
				var p *peer
				if c.guard == SDES {
					p = shielded(t, m, beside, st, keysFor(suites[i%len(suites)].suite))
				} else {
					p = newPeer(t, m, beside, st)
				}
				peers = append(peers, p)
				if i%2 == 1 {
					Bridge(peers[i-1].leg, p.leg)
				}
			}
			// The first half talks from the start, the second only afterwards.
			talking := peers[:calls]
			for i, p := range talking {
				p.say(8, marked(i, 0))
			}
			var injected, bled atomic.Int64
			attack := newAttacker(t, lo, ports, &bled)
			end := time.Now().Add(span)
			for round := 1; time.Now().Before(end); round++ {
				attack.round(round)
				for i, p := range talking {
					p.say(8, marked(i, round))
				}
				time.Sleep(5 * time.Millisecond)
			}
			sent := attack.close()
			for i, p := range peers {
				for {
					k, ok := p.listen(20 * time.Millisecond)
					if !ok {
						break
					}
					if k.Payload[0] != 'v' || int(binary.BigEndian.Uint16(k.Payload[1:])) != i^1 {
						injected.Add(1)
					}
				}
			}
			refused := uint64(0)
			for _, p := range peers {
				r := p.sync()
				refused += r.Refused + r.Unproven
				if r.Refused+r.Unproven == 0 {
					t.Errorf("the spray did not reach %s", p.leg.Addr())
				}
			}
			t.Logf("%-24s %d ports, %d calls, %d packets sprayed, %d at legs: bled %d, injected %d",
				c.name, ports, calls, sent, refused, bled.Load(), injected.Load())
			if bled.Load() != 0 || injected.Load() != 0 {
				t.Errorf("bled %d, injected %d", bled.Load(), injected.Load())
			}
		})
	}
}

// marked is a voice that says whose it is.
func marked(peer, n int) []byte {
	b := frame(byte(n))
	b[0] = 'v'
	binary.BigEndian.PutUint16(b[1:], uint16(peer))
	return b
}

// attacker has a few sockets on another address of this machine.
type attacker struct {
	fds  []int
	to   []sockaddr
	sent int
	bled *atomic.Int64
}

func newAttacker(t *testing.T, lo uint16, ports int, bled *atomic.Int64) *attacker {
	t.Helper()
	a := &attacker{bled: bled}
	for i := range 8 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 66, 0, byte(i)}}); err != nil {
			t.Fatal(fmt.Errorf("attacker's address: %w", err))
		}
		a.fds = append(a.fds, fd)
	}
	for port := 0; port < ports; port++ {
		p := (int(lo) + port) % 65536
		if p != 0 {
			a.to = append(a.to, newSockaddr(netip.AddrPortFrom(here(), uint16(p)), loopback))
		}
	}
	return a
}

// round sends one packet to every port, and collects what comes back.
func (a *attacker) round(n int) {
	b := make([]byte, headerSize+160)
	copy(b[headerSize:], "attack")
	for i := range a.to {
		// A stream like a phone's, of one SSRC for each target.
		writeHeader(b, 8, false, uint16(n), uint32(n)*160, uint32(i))
		send(int32(a.fds[(i+n)%len(a.fds)]), b, &a.to[i])
		a.sent++
	}
	a.collect()
}

func (a *attacker) collect() {
	b := make([]byte, 2000)
	for _, fd := range a.fds {
		for {
			n, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
			if err == unix.EINTR || err == unix.ECONNREFUSED {
				continue
			}
			if err != nil || n <= 0 {
				break
			}
			a.bled.Add(1)
		}
	}
}

func (a *attacker) close() (sent int) {
	a.collect()
	for _, fd := range a.fds {
		_ = unix.Close(fd)
	}
	return a.sent
}
