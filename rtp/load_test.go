package rtp

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	pion "github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"golang.org/x/sys/unix"
)

// crowd is many peers driven by one thread: each on a socket of its own, each
// sending 20 ms packets, so that what a shard spends is not hidden by what its
// peers spend.
type crowd struct {
	fds     []int
	addrs   []netip.AddrPort
	legs    []*Leg
	targets []sockaddr
	epoll   int

	sent, got []uint64
	suite     Suite // of SRTP, none for plain RTP
	sealers   []*srtp.Context
	stop      chan struct{}
	done      sync.WaitGroup
}

func newCrowd(t testing.TB, n int) *crowd {
	t.Helper()
	c := &crowd{stop: make(chan struct{}), sent: make([]uint64, n), got: make([]uint64, n)}
	var err error
	if c.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Skipf("no descriptor for peer %d: %v", i, err)
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		sa, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			t.Fatal(err)
		}
		c.fds = append(c.fds, fd)
		c.addrs = append(c.addrs, netip.AddrPortFrom(loopback, uint16(sa.(*unix.SockaddrInet4).Port)))
	}
	return c
}

// join makes a leg for every peer; each two neighbours share a shard.
func (c *crowd) join(t testing.TB, m *Media) {
	t.Helper()
	for i := range c.fds {
		var beside *Leg
		if i%2 == 1 {
			beside = c.legs[i-1]
		}
		l, err := m.NewLeg(LegOptions{Role: Role(i % 2), Beside: beside})
		if err != nil {
			t.Fatal(err)
		}
		st := alaw()
		st.Remote, st.Send, st.Receive = c.addrs[i], true, true
		if c.suite != noSuite {
			st.Guard, st.Keys = SDES, keysFor(c.suite)
			tx, err := newContext(c.suite, st.Keys.Theirs, "")
			if err != nil {
				t.Fatal(err)
			}
			c.sealers = append(c.sealers, tx)
		}
		l.Set(st)
		c.legs = append(c.legs, l)
		c.targets = append(c.targets, newSockaddr(l.Addr(), loopback))
	}
}

// start lets everybody talk until close.
func (c *crowd) start() {
	c.done.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		data, sealed, h := make([]byte, headerSize+160), make([]byte, packetMax), new(pion.Header)
		base := time.Now()
		for beat := 0; ; beat++ {
			select {
			case <-c.stop:
				c.collect()
				return
			default:
			}
			for i := beat % 4; i < len(c.fds); i += 4 {
				c.sent[i]++
				writeHeader(data, 8, false, uint16(c.sent[i]), uint32(c.sent[i])*160, uint32(i))
				packet := data
				if c.suite != noSuite {
					packet, _ = c.sealers[i].EncryptRTP(sealed[:0], data, h)
				}
				send(int32(c.fds[i]), packet, &c.targets[i])
			}
			c.collect()
			if left := time.Until(base.Add(time.Duration(beat+1) * tick)); left > 0 {
				t := unix.NsecToTimespec(int64(left))
				_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
			}
		}
	})
}

func (c *crowd) collect() {
	var events [256]unix.EpollEvent
	var buf [packetMax]byte
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(c.epoll), uintptr(unsafe.Pointer(&events[0])), 256, 0, 0, 0)
		if errno != 0 || n == 0 {
			return
		}
		for i := range events[:n] {
			k := events[i].Fd
			_, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(c.fds[k]), uintptr(unsafe.Pointer(&buf[0])), packetMax, unix.MSG_DONTWAIT, 0, 0)
			if errno == 0 {
				c.got[k]++
			}
		}
	}
}

func (c *crowd) close() {
	close(c.stop)
	c.done.Wait()
	for _, fd := range c.fds {
		_ = unix.Close(fd)
	}
	_ = unix.Close(c.epoll)
}

// spent is the processor time of the shards' threads so far.
func (m *Media) spent() (cpu time.Duration) {
	for _, s := range m.shards {
		done := make(chan time.Duration)
		s.post(func() {
			done <- threadTime()
		})
		cpu += <-done
	}
	return cpu
}

// BenchmarkRelay is the cost of calls: two legs bridged and tapped, 50 packets a
// second each way. One iteration is one second of them. ms/s/call is comparable
// to the CPU of a whole switch.
func BenchmarkRelay(b *testing.B) {
	for _, calls := range []int{10, 50, 200, 500, 1000} {
		b.Run(fmt.Sprint(calls), func(b *testing.B) { relay(b, calls, noSuite, nil) })
	}
}

func relay(b *testing.B, calls int, suite Suite, change func(*Options)) {
	t := newTalk(b, calls, suite, change)
	t.c.start()
	time.Sleep(500 * time.Millisecond)
	measure(b, t.m, calls)
	t.end(b)
}

// BenchmarkCrypto is what SRTP alone costs a relayed packet of 20 ms, the way in and
// the way out: of one leg after itself, and of 400 legs in turn, whose keys have to
// come from memory each time. No socket, no shard's work.
func BenchmarkCrypto(b *testing.B) {
	for _, legs := range []int{1, 400} {
		for _, su := range suites {
			b.Run(fmt.Sprint(legs, "/", su.name), func(b *testing.B) { encrypt(b, legs, su.suite) })
		}
	}
}

func encrypt(b *testing.B, n int, suite Suite) {
	s, legs, peers := &shard{in: newInbox()}, make([]*Leg, n), make([]*srtp.Context, n)
	for i := range legs {
		k, err := keysFor(suite), error(nil)
		legs[i] = &Leg{shield: new(shield)}
		if err := legs[i].shield.rekey(*k); err != nil {
			b.Fatal(err)
		}
		if peers[i], err = newContext(suite, k.Theirs, ""); err != nil {
			b.Fatal(err)
		}
	}
	const batch = 800
	in := make([][]byte, batch)
	for i := range in {
		in[i] = make([]byte, 0, 256)
	}
	plain, seq := make([]byte, headerSize+160), uint16(0)
	var unlocking, sealing time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += batch {
		b.StopTimer()
		for i := range in {
			seq++
			writeHeader(plain, 8, false, seq, 0, 5)
			in[i], _ = peers[i%n].EncryptRTP(in[i][:0], plain, &s.header)
		}
		b.StartTimer()
		start := time.Now()
		for i := range in {
			if in[i], _ = s.unlock(legs[i%n], in[i]); in[i] == nil {
				b.Fatal("not decrypted")
			}
		}
		middle := time.Now()
		for i := range in {
			if s.seal(legs[i%n], s.sealed[0].room[:0], in[i]) == nil {
				b.Fatal("not encrypted")
			}
		}
		unlocking, sealing = unlocking+middle.Sub(start), sealing+time.Since(middle)
	}
	packets := float64((b.N + batch - 1) / batch * batch)
	b.ReportMetric(float64(unlocking.Nanoseconds())/packets, "ns/in")
	b.ReportMetric(float64(sealing.Nanoseconds())/packets, "ns/out")
}

// BenchmarkMusic is the cost of callers waiting: each hears music and sends.
func BenchmarkMusic(b *testing.B) {
	for _, legs := range []int{200, 1000} {
		b.Run(fmt.Sprint(legs), func(b *testing.B) {
			m := open(b, nil)
			c := newCrowd(b, legs)
			c.join(b, m)
			list := &Playlist{Sounds: []*Sound{NewSound("music", make([]byte, 80000))}, Loop: true}
			for _, l := range c.legs {
				l.Hear(list)
			}
			c.start()
			time.Sleep(500 * time.Millisecond)
			measure(b, m, legs)
			c.close()
			report(b, m, c)
		})
	}
}

func measure(b *testing.B, m *Media, calls int) {
	before, packets, start := m.spent(), m.sum(), time.Now()
	b.ResetTimer()
	time.Sleep(time.Duration(b.N) * time.Second)
	b.StopTimer()
	spent, passed, wall := m.spent()-before, m.sum()-packets, time.Since(start)
	b.ReportMetric(float64(spent.Nanoseconds())/1e3/float64(passed), "us/packet")
	b.ReportMetric(spent.Seconds()*1e3/wall.Seconds()/float64(calls), "ms/s/call")
	b.ReportMetric(spent.Seconds()/wall.Seconds(), "cores")
}

// sum is the packets sent by all legs.
func (m *Media) sum() (n uint64) {
	time.Sleep(2 * visitEvery * tick) // totals are told each 100 ms
	for _, t := range m.Totals() {
		n += t.PacketsOut
	}
	return n
}

// report adds what went wrong, and ends the media.
func report(b *testing.B, m *Media, c *crowd) {
	var lost uint64
	done := make(chan Report, len(c.legs))
	for _, l := range c.legs {
		l.Report(func(r Report) { done <- r })
	}
	for range c.legs {
		lost += (<-done).Lost
	}
	var sent, got uint64
	for i := range c.sent {
		sent, got = sent+c.sent[i], got+c.got[i]
	}
	b.ReportMetric(float64(sent)-float64(got), "unheard")
	b.ReportMetric(float64(lost), "lost")
	b.ReportMetric(float64(m.Taps()[0].Dropped()), "dropped")
	_ = m.Close()
}
