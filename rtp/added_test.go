package rtp

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	pion "github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"golang.org/x/sys/unix"
)

// BenchmarkAdded is what SRTP adds to a relayed packet, beside what the library's
// own decrypting and encrypting take: one iteration is a second of calls in the
// clear, a second of as many protected calls, and the library alone, of one leg
// after itself (hot) and of as many legs as there are (cold). The peers' packets are
// made beforehand, so that both kinds of peers do the same.
//
//	go test ./rtp -run xxx -bench Added -benchtime 10x
func BenchmarkAdded(b *testing.B) {
	for _, calls := range []int{200, 500} {
		for _, suite := range []Suite{CM80, GCM128} {
			b.Run(fmt.Sprint(calls, "/", suite), func(b *testing.B) { added(b, calls, suite) })
		}
	}
}

func added(b *testing.B, calls int, suite Suite) {
	plain, protected := newTalk(b, calls, noSuite, nil), newTalk(b, calls, suite, nil)
	hot, cold := newLibrary(b, 1, suite), newLibrary(b, 2*calls, suite)
	for range b.N {
		plain.second(b)
		protected.second(b)
		hot.second(b)
		cold.second(b)
	}
	more := protected.each() - plain.each()
	b.ReportMetric(0, "ns/op") // says nothing here
	b.ReportMetric(plain.each(), "us/plain")
	b.ReportMetric(protected.each(), "us/srtp")
	b.ReportMetric(hot.each(), "us/library-hot")
	b.ReportMetric(cold.each(), "us/library-cold")
	b.ReportMetric(more/hot.each(), "added/hot")
	b.ReportMetric(more/cold.each(), "added/cold")
	plain.end(b)
	protected.end(b)
}

// cost is processor time by the packet, in microseconds, once for each second.
type cost []float64

func (c *cost) add(cpu time.Duration, packets uint64) {
	*c = append(*c, float64(cpu.Nanoseconds())/1e3/float64(packets))
}

// each is the median: a machine that does other work has bad seconds.
func (c *cost) each() float64 {
	slices.Sort(*c)
	return ((*c)[(len(*c)-1)/2] + (*c)[len(*c)/2]) / 2
}

// talk is calls that are bridged and tapped, whose peers speak when they are told.
type talk struct {
	cost
	m      *Media
	c      *crowd
	stop   chan struct{}
	reader sync.WaitGroup
}

func newTalk(b *testing.B, calls int, suite Suite, change func(*Options)) *talk {
	t := &talk{m: open(b, change), c: newCrowd(b, 2*calls), stop: make(chan struct{})}
	t.m.Resumed()
	t.c.suite = suite
	t.c.join(b, t.m)
	for i := 0; i < len(t.c.legs); i += 2 {
		Bridge(t.c.legs[i], t.c.legs[i+1])
		t.c.legs[i].Tap(uint64(i+1), 0)
		t.c.legs[i+1].Tap(uint64(i+1), 1)
	}
	t.reader.Go(func() {
		for {
			select {
			case <-t.m.Taps()[0].Wake():
				t.m.Taps()[0].Read(func(TapRecord) {})
			case <-t.stop:
				return
			}
		}
	})
	return t
}

// second lets everybody speak for a second, and a little before that is not counted.
func (t *talk) second(b *testing.B) {
	const before, beats = 60, 200
	packets := t.c.speech(b, before+beats)
	t.c.speak(packets[:before])
	cpu, n := t.m.spent(), t.m.sum()
	t.c.speak(packets[before:])
	t.add(t.m.spent()-cpu, t.m.sum()-n)
}

func (t *talk) end(b *testing.B) {
	t.c.close()
	close(t.stop)
	t.reader.Wait()
	report(b, t.m, t.c)
}

// speech is the packets of so many beats, each beat a quarter of the peers.
func (c *crowd) speech(t testing.TB, beats int) [][][]byte {
	data, h := make([]byte, headerSize+160), new(pion.Header)
	all := make([][][]byte, beats)
	for beat := range all {
		for i := beat % 4; i < len(c.fds); i += 4 {
			c.sent[i]++
			writeHeader(data, 8, false, uint16(c.sent[i]), uint32(c.sent[i])*160, uint32(i))
			packet := append(make([]byte, 0, packetMax/8), data...)
			if c.suite != noSuite {
				var err error
				if packet, err = c.sealers[i].EncryptRTP(packet[:0], data, h); err != nil {
					t.Fatal(err)
				}
			}
			all[beat] = append(all[beat], packet)
		}
	}
	return all
}

// speak sends them, beat by beat, and takes what comes.
func (c *crowd) speak(packets [][][]byte) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	base := time.Now()
	for beat, quarter := range packets {
		for k, packet := range quarter {
			i := beat%4 + 4*k
			send(int32(c.fds[i]), packet, &c.targets[i])
		}
		c.collect()
		if left := time.Until(base.Add(time.Duration(beat+1) * tick)); left > 0 {
			t := unix.NsecToTimespec(int64(left))
			_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
		}
	}
}

// library is pion/srtp alone: what comes is decrypted where it is, and encrypted
// with another key.
type library struct {
	cost
	peers, rx, tx []*srtp.Context
	seq           uint16
	in            [][]byte
}

func newLibrary(b *testing.B, legs int, suite Suite) *library {
	l := &library{in: make([][]byte, max(legs, 400)/4)}
	for range legs {
		k := keysFor(suite)
		for _, d := range []struct {
			to  *[]*srtp.Context
			key Secret
		}{{&l.peers, k.Theirs}, {&l.rx, k.Theirs}, {&l.tx, k.Ours}} {
			c, err := newContext(suite, d.key, "")
			if err != nil {
				b.Fatal(err)
			}
			*d.to = append(*d.to, c)
		}
	}
	return l
}

// second takes a packet of each leg each 20 ms for a second: a quarter of the legs,
// then a pause to the next tick. If there is but one leg, it takes as many packets
// after each other.
func (l *library) second(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	plain, out, h := make([]byte, headerSize+160), make([]byte, packetMax), new(pion.Header)
	base, spent, packets := time.Now(), time.Duration(0), 0
	for beat := range 200 {
		leg := func(i int) int { return (beat%4 + 4*i) % len(l.rx) }
		for i := range l.in {
			if len(l.rx) == 1 || beat%4 == 0 && i == 0 {
				l.seq++
			}
			var err error
			writeHeader(plain, 8, false, l.seq, 0, 5)
			if l.in[i], err = l.peers[leg(i)].EncryptRTP(l.in[i][:0], plain, h); err != nil {
				b.Fatal(err)
			}
		}
		before := threadTime()
		for i, data := range l.in {
			clear, err := l.rx[leg(i)].DecryptRTP(data, data, h)
			if err != nil {
				b.Fatal(err)
			}
			if _, err = l.tx[leg(i)].EncryptRTP(out[:0], clear, h); err != nil {
				b.Fatal(err)
			}
		}
		spent, packets = spent+threadTime()-before, packets+len(l.in)
		if left := time.Until(base.Add(time.Duration(beat+1) * tick)); len(l.rx) > 1 && left > 0 {
			t := unix.NsecToTimespec(int64(left))
			_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
		}
	}
	l.add(spent, uint64(packets))
}

// threadTime is the processor time of this thread so far.
func threadTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano())
}
