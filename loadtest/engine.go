package loadtest

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	tick      = 5 * time.Millisecond
	phases    = 4 // ticks in one packet time
	lateAfter = 60 * time.Millisecond
	atOnce    = 4 // packets read of a leg by one call
)

// MediaTotals are what all legs sent and heard, in packets, since the engine
// started or within a window.
type MediaTotals struct {
	Sent       uint64
	Received   uint64 // marked, of the right call, each counted once
	Lost       uint64 // missing between the first and the last of a leg
	Late       uint64 // more than 60 ms on the way
	Repeated   uint64
	Misrouted  uint64 // of another call, or one's own voice
	Unmarked   uint64 // music and announcements
	SendFailed uint64
	Legs       int // open now
	Deaf       int // legs closed that were connected for more than a second and heard nothing of the other end
	// Slipped is how late the generator's own tick was at worst: above a few
	// packet times its figures are not to be trusted.
	Slipped  time.Duration
	DelayP50 time.Duration // from the sender's send to the arrival at the receiver's socket
	DelayP99 time.Duration
	DelayMax time.Duration
	// Gaps are, for each Brace and each end that heard the other then, the longest pause in
	// the gapWindow that followed, from packet to packet: without a disturbance 20 ms, or
	// a little more by the ticks of whoever relays and of us.
	Gaps           uint64
	GapP50, GapP99 time.Duration
	GapMax         time.Duration
}

// gapWindow is long enough for an upgrade to be prepared and to happen in it.
const gapWindow = 1500 * time.Millisecond

// engine is the media of all phones: one locked thread that on a 5 ms tick sends
// for a quarter of the legs and reads what has arrived for another quarter. It
// does not ask to be woken by packets: on loopback that would be done by whoever
// sends them, and be measured as his work, which over a real network it is not.
// When a packet came is the kernel's to say. add, connect, remove and totals may
// be called from any goroutine and take effect on the next tick.
type engine struct {
	mu     sync.Mutex
	posted []func()
	closed bool

	done chan struct{}

	// The thread's own.
	muted  bool
	phase  [phases][]*leg
	sums   MediaTotals
	delays *spread
	gaps   spread
	inbox  [atOnce]letter
	msgs   [atOnce]message
}

// letter is where one packet is read into.
type letter struct {
	buf     [2048]byte
	control [64]byte
	iov     unix.Iovec
}

// message is struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// startEngine starts the media thread. It raises GOMAXPROCS to at least four: the
// thread sleeps in the kernel without the scheduler knowing, and keeps its
// processor meanwhile.
func startEngine() *engine {
	if runtime.GOMAXPROCS(0) < 4 {
		runtime.GOMAXPROCS(4)
	}
	e := &engine{done: make(chan struct{}), delays: &spread{}}
	e.aimRead()
	go e.loop()
	return e
}

func (e *engine) post(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.posted = append(e.posted, f)
	}
}

// add hands a leg to the engine, which listens from the next tick on and sends
// once connect told it where to.
func (e *engine) add(l *leg) { e.post(func() { e.take(l) }) }

// connect lets a leg send to an address, or stop sending with nil.
func (e *engine) connect(l *leg, to *net.UDPAddr) {
	e.post(func() {
		if l.fd < 0 {
			return
		}
		l.sending = to != nil && to.IP.To4() != nil
		if l.sending {
			l.aim(to)
		}
	})
}

// remove closes a leg's socket. Packets still on their way to it do not count.
func (e *engine) remove(l *leg) { e.post(func() { e.drop(l) }) }

// totals returns everything counted so far, and the delays apart so that a later
// call can be compared with it.
func (e *engine) totals() (MediaTotals, *spread) {
	type answer struct {
		t MediaTotals
		d *spread
	}
	got := make(chan answer, 1)
	e.post(func() {
		t := e.sums
		for i := range e.phase {
			for _, l := range e.phase[i] {
				t.Lost += l.heard.lost()
			}
			t.Legs += len(e.phase[i])
		}
		t.Gaps, t.GapP50, t.GapP99, t.GapMax = e.gaps.n, e.gaps.quantile(0.5), e.gaps.quantile(0.99), e.gaps.longest()
		d := *e.delays
		got <- answer{t, &d}
	})
	select {
	case a := <-got:
		return a.t, a.d
	case <-e.done:
		d := *e.delays
		return e.sums, &d
	}
}

// close ends the thread and closes every leg.
func (e *engine) close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	<-e.done
}

func (e *engine) loop() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(e.done)
	began := time.Now()
	for n := int64(1); ; n++ {
		if e.apply() {
			return
		}
		e.send(int(n % phases))
		e.receive(int((n + 2) % phases))
		ahead := time.Duration(n)*tick - time.Since(began)
		if ahead > 0 {
			rest(ahead)
			continue
		}
		e.sums.Slipped = max(e.sums.Slipped, -ahead)
		if behind := int64(-ahead / tick); behind > phases {
			n += behind // the missed ticks are lost, not sent in a burst
		}
	}
}

// rest sleeps without telling the scheduler, which would otherwise hand the
// processor over and back on every tick. A signal may end it early.
func rest(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, 0, uintptr(unsafe.Pointer(&t)), 0, 0, 0)
}

// apply runs what was posted; true when the engine is to end.
func (e *engine) apply() bool {
	e.mu.Lock()
	run, closed := e.posted, e.closed
	e.posted = nil
	e.mu.Unlock()
	for _, f := range run {
		f()
	}
	if closed {
		for i := range e.phase {
			for len(e.phase[i]) > 0 {
				e.drop(e.phase[i][0])
			}
		}
	}
	return closed
}

// take puts a leg into the phase with the fewest, so that the load is even.
func (e *engine) take(l *leg) {
	for i := range e.phase {
		if len(e.phase[i]) < len(e.phase[l.phase]) {
			l.phase = i
		}
	}
	l.place = len(e.phase[l.phase])
	e.phase[l.phase] = append(e.phase[l.phase], l)
	l.prepare(rand.Uint32())
}

func (e *engine) drop(l *leg) {
	if l.fd < 0 {
		return
	}
	e.read(l)
	unix.Close(l.fd)
	l.fd = -1
	same := e.phase[l.phase]
	last := same[len(same)-1]
	same[l.place], last.place = last, l.place
	e.phase[l.phase] = same[:len(same)-1]
	e.sums.Lost += l.heard.lost()
	if l.seq > 50 && !l.heard.any && !l.unmarked {
		e.sums.Deaf++
	}
}

// mute lets nobody send, as if all had pressed the button.
func (e *engine) mute(on bool) { e.post(func() { e.muted = on }) }

func (e *engine) send(phase int) {
	if e.muted {
		return
	}
	for _, l := range e.phase[phase] {
		if !l.sending {
			continue
		}
		l.next(time.Now().UnixNano())
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(l.fd), uintptr(unsafe.Pointer(&l.packet[0])),
			packetSize, 0, uintptr(unsafe.Pointer(&l.to)), unix.SizeofSockaddrInet4)
		if errno != 0 {
			e.sums.SendFailed++
			continue
		}
		e.sums.Sent++
	}
}

// receive reads what has come for the legs of a phase.
func (e *engine) receive(phase int) {
	for _, l := range e.phase[phase] {
		e.read(l)
	}
}

// aimRead points the message headers at their buffers.
func (e *engine) aimRead() {
	for i := range e.msgs {
		at, h := &e.inbox[i], &e.msgs[i].header
		at.iov.Base = &at.buf[0]
		at.iov.SetLen(len(at.buf))
		h.Iov = &at.iov
		h.SetIovlen(1)
		h.Control = &at.control[0]
	}
}

// read takes everything that waits in a leg's socket.
func (e *engine) read(l *leg) {
	for {
		for i := range e.msgs {
			e.msgs[i].header.SetControllen(len(e.inbox[i].control))
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(l.fd), uintptr(unsafe.Pointer(&e.msgs[0])),
			atOnce, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
		case unix.ECONNREFUSED:
			continue // an earlier send met a closed port; the socket is fine
		default:
			return
		}
		for i := range int(n) {
			e.count(l, i)
		}
		if n < atOnce {
			return
		}
	}
}

// count takes the packet in place i into the account.
func (e *engine) count(l *leg, i int) {
	what, m := l.hear(e.inbox[i].buf[:e.msgs[i].length])
	switch what {
	case fresh:
		e.sums.Received++
		at := e.arrived(i)
		if l.marked != 0 {
			e.pause(l, at)
		}
		l.last = at
		delay := time.Duration(at - m.Sent)
		e.delays.add(delay)
		if delay > lateAfter {
			e.sums.Late++
		}
	case repeated:
		e.sums.Repeated++
	case stranger:
		e.sums.Misrouted++
	case unmarked:
		e.sums.Unmarked++
	}
}

// brace begins a gapWindow for every end that hears the other.
func (e *engine) brace(now time.Time) {
	e.post(func() {
		for i := range e.phase {
			for _, l := range e.phase[i] {
				if at := now.UnixNano(); l.last != 0 && at-l.last < int64(heardLately) {
					l.marked, l.worst = at, 0
				}
			}
		}
	})
}

// heardLately is how old the newest packet of who is heard may be.
const heardLately = 60 * time.Millisecond

// pause looks at the time between two packets of a window.
func (e *engine) pause(l *leg, at int64) {
	l.worst = max(l.worst, time.Duration(at-l.last))
	if at-l.marked > int64(gapWindow) {
		e.gaps.add(l.worst)
		l.marked = 0
	}
}

// arrived is the kernel's receive time of the packet in place i, ns since 1970.
func (e *engine) arrived(i int) int64 {
	control := &e.inbox[i].control
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	if e.msgs[i].header.Controllen < unix.SizeofCmsghdr+16 || h.Level != unix.SOL_SOCKET || h.Type != unix.SO_TIMESTAMPNS {
		return time.Now().UnixNano()
	}
	b := control[unix.SizeofCmsghdr:]
	return int64(binary.NativeEndian.Uint64(b))*1e9 + int64(binary.NativeEndian.Uint64(b[8:]))
}

// portBytes views the port of a raw address as the network-order bytes it is.
func portBytes(a *unix.RawSockaddrInet4) []byte {
	return (*[2]byte)(unsafe.Pointer(&a.Port))[:]
}

// window returns what happened between two readings of totals.
func window(now, before MediaTotals, delays *spread) MediaTotals {
	w := now
	w.Sent -= before.Sent
	w.Received -= before.Received
	w.Lost -= min(before.Lost, now.Lost)
	w.Late -= before.Late
	w.Repeated -= before.Repeated
	w.Misrouted -= before.Misrouted
	w.Unmarked -= before.Unmarked
	w.SendFailed -= before.SendFailed
	w.Deaf -= before.Deaf
	w.DelayP50, w.DelayP99, w.DelayMax = delays.quantile(0.5), delays.quantile(0.99), delays.longest()
	return w
}
