package rtp

import (
	"crypto/tls"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	pion "github.com/pion/rtp"
	"github.com/pion/stun/v4"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

const (
	// A shard goes by the tick when more legs than this are hot, and serves each
	// packet at once again when fewer than the second number are.
	manyHot = 30
	fewHot  = 20

	eventMax  = 256 // readiness events taken from epoll at a time
	warmBatch = 16  // legs whose memory is fetched, and whose packets are read, together
	passMax   = 64  // times a turn asks epoll again before it does the rest of its work
	wakeEvery = 4   // ticks between two wakes of the recorder, when many legs are up

	// niceness puts a shard's thread before whatever else the machine does: a
	// packet 100 ms late is lost. Without the right to do so it stays at 0.
	niceness = -10

	// stale is the age at which a packet is no longer relayed. After the process
	// was stopped the sockets hold seconds of audio: the recorder gets all of it,
	// the peer only what it can still play.
	stale = 200 * time.Millisecond
)

// What an epoll event is about; it stands beside the leg's index.
const (
	readyRTP int32 = iota
	readyRTCP
	readyOpen // the socket for strangers
	readyWake
)

// shard is one thread that carries the media of its legs: it owns their sockets
// and all their state. The goroutine is locked to the thread and started by
// Open; it ends by Media.Close. Others reach it by post, which never waits for
// it: what was posted runs in order, within a tick.
//
// It works by turns: what was posted, packets that have come, what is due by the
// clock, the tap; then it rests until there is more. With many legs it rests to
// the next tick by a raw system call and keeps its Go processor meanwhile, which
// is why Open asks for one more processor for each shard. With few it waits in
// epoll for a packet and gives the processor back.
//
// What it costs, by BenchmarkRelay and BenchmarkMusic: processor time of the
// shard's thread for each packet sent, receiving and tapping included, peers on
// loopback sockets of their own, on 2 cores which the peers and other work shared
// (hence the spread; a plain recvmsg and sendto of 1,000 sockets by one thread,
// with nothing in between, took 4.2 to 6.8 there).
//
//	10 calls bridged, at once      19 to 23 microseconds
//	50 calls, by the tick          7.8 to 9.7
//	200 calls                      5.6 to 8.8, so 0.56 to 0.88 ms/s for a call
//	500 calls                      5.8 to 8.1
//	1,000 calls                    6.2 to 7.7, so 0.62 to 0.77 ms/s for a call
//	1,000 callers hearing music    4.3 to 6.8, so 0.22 to 0.34 cores
//
// The kernel has 85 % of it, sendto alone 55 to 60 %. What was tried, side by
// side and in turns: a connected socket for the peer saves 6 to 13 %
// (connect.go), and not asking it whose its packets are another 5 %; a leg's hot
// fields side by side 5 to 8 %; fetching the memory of sixteen legs together, before
// the system calls of any (warm), 12 % with 1,000 legs, 7 % with 200, 9 % of music; a tick of 10 ms nothing; edge-triggered epoll with
// recvmmsg nothing, as recvmmsg for one packet costs 0.65 microseconds more than
// recvmsg. Epoll itself costs 0.55 of 8.5 microseconds a packet. Reading the legs
// of steady peers when their next packet should have come, without epoll, saved
// nothing to be seen of a whole switch with 200 calls; with 700 it saved 7 %, but
// packets waited three times as long (median 9.8 instead of 3 ms) and some were
// lost. Sending through io_uring, 16 to 250 packets at a time, took as long by the
// clock as sendto. The kernel's time stamps cost 6 to 8 %, and are what makes
// jitter, lateness and recordings true.
type shard struct {
	number   int
	log      *zap.Logger
	timeout  time.Duration // of Watch
	stale    int64         // ns; older packets are not relayed
	tap      *Tap
	ports    *portPool
	stock    *stock          // nil: sockets are not kept
	beside   *sync.WaitGroup // of the goroutines a shard starts
	identity tls.Certificate
	load     atomic.Int32 // legs given to it
	faults   atomic.Uint64

	mu        sync.Mutex
	posted    []func()
	ended     bool
	finishing bool          // somebody carries out what was posted after the end
	told      [roles]Totals // copy of totals for other goroutines
	resting   atomic.Bool   // in epoll, to be woken by the eventfd

	// All below belongs to the shard's goroutine.
	epoll, wake int
	base        time.Time
	mono        int64 // base by the machine's monotonic clock
	now         int64 // ns since base
	wall        int64 // unix ns of the same moment
	tick        uint64
	running     []func() // posted, being carried out
	done        int      // of running
	events      [eventMax]unix.EpollEvent
	ready, next int                      // events taken, events served
	fetched     int                      // events of which a packet has been read
	mail        *inbox                   // those packets, the first of their group in place 0
	failed      [warmBatch]syscall.Errno // what the kernel said instead
	in          *inbox
	sealed      [warmBatch]sealed
	waiting     int                                  // of sealed
	spare       [packetMax]byte                      // one that could not be decrypted in place
	header      pion.Header                          // of the one that is decrypted or encrypted
	stun        stun.Message                         // the check that is answered
	out         [headerSize + 60*clockRate/1000]byte // a packet of our own making
	other       [packetMax]byte                      // a packet in the other law
	box         *inbox                               // of the packet that is served
	place       int                                  // there
	recalling   bool                                 // it was read by the last process
	current     *Leg                                 // whose work is being done
	legs        []*Leg
	vacant      []int32
	visits      [visitEvery][]*Leg
	wheel       wheel
	hot         int   // legs in epoll
	warmed      int64 // what warming read: without a use it would not be done
	busy        bool
	stop        bool
	leave       bool   // legs are left to the next process
	changed     []*Leg // whose records are to be written
	totals      [roles]Totals
}

func newShard(o *Options, ports *portPool, stock *stock) (*shard, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("media shard: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(epoll)
		return nil, fmt.Errorf("media shard: %w", err)
	}
	s := &shard{
		log: o.Log, timeout: o.MediaTimeout, stale: int64(stale), tap: newTap(tapSize), ports: ports, stock: stock,
		epoll: epoll, wake: wake, base: time.Now(), mono: monotonic(), mail: newInbox(), in: newInbox(),
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Pad: readyWake}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wake, &event); err != nil {
		s.release()
		return nil, fmt.Errorf("media shard: %w", err)
	}
	return s, nil
}

// keepTap puts the tap, and what has been read for it, into memory that outlives the process. Before run.
func (s *shard) keepTap(number int, memory func(int) ([]byte, error)) error {
	b, err := memory(number)
	if err == nil && len(b) != TapMemory {
		err = fmt.Errorf("%d bytes, want %d", len(b), TapMemory)
	}
	if err != nil {
		s.release()
		return fmt.Errorf("memory of tap %d: %w", number, err)
	}
	s.tap = tapIn(b[:tapPage+tapKept])
	if s.stock != nil {
		s.mail, s.in = inboxIn(b[tapPage+tapKept:]), inboxIn(b[tapPage+tapKept+inboxMemory:])
	}
	return nil
}

func (s *shard) release() {
	_ = unix.Close(s.epoll)
	_ = unix.Close(s.wake)
}

// run is the shard's goroutine.
func (s *shard) run() {
	runtime.LockOSThread() // for good: the thread ends with the goroutine, and its priority with it
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, niceness)
	s.clock()
	s.tick = uint64(s.now) / uint64(tick)
	for !s.stop {
		s.turn()
	}
	s.writeAll()
	for _, l := range s.legs {
		if l != nil {
			s.current = l
			s.safely(func() {
				if s.leave {
					s.abandon(l)
				} else {
					s.end(l)
				}
			})
		}
	}
	s.tap.flush(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.release()
	s.told = s.totals
	s.posted = append(s.running[s.done:], s.posted...)
	s.finish()
}

// turn is one round of work. A panic ends the leg it happened in and the turn;
// whatever was not reached is taken up by the next one.
func (s *shard) turn() {
	defer s.rescue()
	s.clock()
	s.obey()
	s.receive()
	s.advance()
	s.writeAll()
	s.tap.flush(!s.busy || s.tick%wakeEvery == 0)
	s.rest()
}

func (s *shard) clock() {
	t := time.Now()
	s.wall, s.now = t.UnixNano(), int64(t.Sub(s.base))
}

// receive serves every socket that has something, one packet of each at a time
// so that a flood on one port delays nobody else. What a group of legs got is read
// first, then judged, then, if it is protected, sent: the kernel's code and ours push
// each other out of the cache, once a group instead of twice a packet.
func (s *shard) receive() {
	for range passMax {
		for s.next < s.ready {
			if s.next >= s.fetched {
				s.flush()
				group := s.events[s.next:min(s.next+warmBatch, s.ready)]
				s.warm(group)
				s.fetch(group)
			}
			e, place := &s.events[s.next], s.next%warmBatch
			s.next++
			s.serve(e, place)
		}
		s.flush()
		s.current = nil
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(s.epoll),
			uintptr(unsafe.Pointer(&s.events[0])), eventMax, 0, 0, 0)
		if errno != 0 || n == 0 {
			s.next, s.fetched, s.ready = 0, 0, 0
			return
		}
		s.next, s.fetched, s.ready = 0, 0, int(n)
	}
}

// fetch reads a packet of each leg of a group.
func (s *shard) fetch(group []unix.EpollEvent) {
	if len(s.legs) > 0 { // else it has what the last process left, which is still to be taken up
		s.mail.begin(0)
	}
	for i := range group {
		e := &group[i]
		if e.Pad != readyRTP {
			continue // there may be no leg at all
		}
		if l := s.legs[e.Fd]; l != nil {
			s.failed[i] = s.mail.read(i, l)
		}
	}
	s.fetched = s.next + len(group)
}

// sealed is a packet of a protected leg that waits to be sent. Its number is used even
// if it never is, because the process is killed.
type sealed struct {
	leg     *Leg
	packet  []byte // in room
	payload int    // bytes of it before it was sealed
	fast    bool   // of the stream in the clock of Opus
	room    [packetMax + 64]byte
}

// flush sends what waits.
func (s *shard) flush() {
	n := s.waiting
	s.waiting = 0
	for i := range n {
		if p := &s.sealed[i]; !p.leg.closed {
			if p.leg.changed { // since then
				s.write(p.leg)
			}
			s.transmit(p.leg, p.leg.flow(p.fast), p.packet, p.payload)
		}
	}
}

// warm reads what serving these events will touch first: of the legs, of those who
// hear them, and of their keys. Each of a thousand legs is out of the cache by its next packet, and
// the processor fetches many at a time only when no system call stands in between.
func (s *shard) warm(events []unix.EpollEvent) {
	var n int64
	for i := range events {
		if e := &events[i]; e.Pad == readyRTP {
			if l := s.legs[e.Fd]; l != nil {
				n += int64(l.fd) + int64(l.peer[0]) + l.heard + int64(l.in.packets)
				if c := l.shield; c != nil && c.rx != nil {
					roc, _ := c.rx.ROC(c.ssrc)
					n += int64(roc)
				}
			}
		}
	}
	for i := range events {
		if e := &events[i]; e.Pad == readyRTP {
			l := s.legs[e.Fd]
			if l == nil {
				continue
			}
			if l.cell != nil {
				n += int64(l.cell[0])
			}
			if len(l.hearers) > 0 {
				h := l.hearers[0]
				n += int64(h.fd) + int64(h.out.packets)
				if h.cell != nil {
					n += int64(h.cell[0])
				}
				if c := h.shield; c != nil && c.tx != nil {
					roc, _ := c.tx.ROC(h.out.ssrc)
					n += int64(roc)
				}
			}
		}
	}
	s.warmed += n
}

// warmDue is warm for legs that are due by the clock.
func (s *shard) warmDue(legs []*Leg) {
	var n int64
	for _, l := range legs {
		n += int64(l.fd) + int64(l.out.packets) + int64(l.player.under.at) + int64(l.beat.place) + int64(l.index)
	}
	s.warmed += n
}

// warmVisited is warm for legs that are visited.
func (s *shard) warmVisited(legs []*Leg) {
	var n int64
	for _, l := range legs {
		n += int64(l.fd) + l.heard + int64(l.in.packets) + l.sampled + l.control.due
	}
	s.warmed += n
}

// serve serves one event. A packet that has been read for it is at its place in the
// mail.
func (s *shard) serve(e *unix.EpollEvent, place int) {
	if e.Pad == readyWake {
		var count [8]byte
		_, _ = unix.Read(s.wake, count[:])
		return
	}
	l := s.legs[e.Fd]
	if l == nil {
		return
	}
	s.current = l
	switch e.Pad {
	case readyRTP:
		if s.mail.isFor(l, place) && s.took(l, s.failed[place], s.mail, place) {
			s.readRTP(l, l.fd)
		}
	case readyOpen:
		if l.open != noSocket {
			s.readRTP(l, l.open)
		}
	case readyRTCP:
		s.readRTCP(l)
	}
}

// advance does what is due by the clock up to now.
func (s *shard) advance() {
	current := uint64(s.now) / uint64(tick)
	for current > s.tick+catchUp {
		s.tick += wheelSize // every leg keeps its slot, and sees how late it is
	}
	for s.tick < current {
		s.tick++
		for i, l := range s.visits[s.tick%visitEvery] {
			if i%warmBatch == 0 {
				due := s.visits[s.tick%visitEvery][i:]
				s.warmVisited(due[:min(warmBatch, len(due))])
			}
			s.current = l
			s.visit(l)
		}
		for n := 0; ; n++ {
			if n%warmBatch == 0 {
				s.warmDue(s.wheel.next(s.tick, warmBatch))
			}
			l := s.wheel.pop(s.tick)
			if l == nil {
				break
			}
			s.current = l
			s.strike(l)
		}
		s.current = nil
		if s.tick%visitEvery == 0 {
			s.mu.Lock()
			s.told = s.totals
			s.mu.Unlock()
		}
	}
}

// rest sleeps until there is something to do.
func (s *shard) rest() {
	if s.ready > 0 || s.stop {
		return
	}
	if work := s.hot + s.wheel.count; s.busy {
		s.busy = work >= fewHot
	} else {
		s.busy = work > manyHot
	}
	if s.busy {
		s.sleep()
		return
	}
	s.resting.Store(true)
	defer s.resting.Store(false)
	s.mu.Lock()
	posted := len(s.posted)
	s.mu.Unlock()
	if posted > 0 {
		return
	}
	n, err := unix.EpollWait(s.epoll, s.events[:], s.idle())
	if err != nil || n < 0 {
		n = 0 // interrupted: the next turn looks again
	}
	s.next, s.fetched, s.ready = 0, 0, n
}

// sleep rests until the next tick begins. The runtime interrupts it by a signal
// when it wants the processor; the turn that follows finds nothing to do, and
// lets the runtime have it.
func (s *shard) sleep() {
	left := int64(s.tick+1)*int64(tick) - int64(time.Since(s.base))
	if left <= 0 {
		return
	}
	t := unix.NsecToTimespec(left)
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

// idle is how long epoll may wait, in ms: to the next tick somebody is due at.
func (s *shard) idle() int {
	for t := s.tick + 1; t <= s.tick+visitEvery; t++ {
		inReach := t <= s.tick+wheelSize
		if len(s.visits[t%visitEvery]) > 0 || inReach && len(s.wheel.slots[t%wheelSize]) > 0 {
			left := time.Duration(t)*tick - time.Since(s.base)
			return int(max(left+time.Millisecond-1, 0) / time.Millisecond)
		}
	}
	return -1
}

// watch puts a socket into epoll (EPOLL_CTL_ADD), takes it out (DEL), or says
// what it is now (MOD).
func (s *shard) watch(l *Leg, op int, fd, kind int32) {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: l.index, Pad: kind}
	if err := unix.EpollCtl(s.epoll, op, int(fd), &event); err != nil {
		s.log.Error("media socket", zap.Stringer("port", l.local), zap.Error(err))
	}
}

// unwatch takes a socket out of epoll, if it is in: one that is stored elsewhere too
// does not leave by being closed.
func (s *shard) unwatch(fd int32) {
	if fd != noSocket {
		_ = unix.EpollCtl(s.epoll, unix.EPOLL_CTL_DEL, int(fd), nil)
	}
}

// send gives a packet to the kernel for a leg's peer, or, if it is sealed while a
// group is judged, after that.
func (s *shard) send(l *Leg, packet []byte, payload int) {
	if l.changed {
		s.write(l)
	}
	if l.shield == nil {
		if l.cell != nil {
			l.noteSent(s, uint64(l.out.seq))
		}
		s.transmit(l, &l.out, packet, payload)
		return
	}
	if s.waiting == len(s.sealed) {
		s.flush()
	}
	p := &s.sealed[s.waiting]
	p.leg, p.payload, p.fast = l, payload, l.out.fast
	if p.packet = s.seal(l, p.room[:0], packet); p.packet == nil {
		l.sendFails++
		return
	}
	if s.waiting++; s.next >= s.fetched {
		s.flush()
	}
}

// transmit gives a packet of one of a leg's streams to the kernel.
func (s *shard) transmit(l *Leg, o *outflow, packet []byte, payload int) {
	to := &l.target
	if l.open != noSocket {
		to = nil // connected
	}
	errno := send(l.fd, packet, to)
	if errno == syscall.ECONNREFUSED {
		// The peer's host answered an earlier packet that nobody listens. That
		// is told instead of sending this one, and is no reason to stop.
		l.unreachable++
		errno = send(l.fd, packet, to)
	}
	if errno != 0 {
		l.sendFails++
		return
	}
	o.packets++
	o.bytes += uint64(payload)
	t := &s.totals[l.role]
	t.PacketsOut++
	t.BytesOut += uint64(payload)
}
