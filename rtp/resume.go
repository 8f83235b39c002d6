package rtp

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// fresh is the age up to which a packet that waited while no process was there is
// still passed on: a phone has no use for older ones. The recorder gets all of them.
const fresh = 60 * time.Millisecond

// ErrNotKept says that there is nothing under the key: the leg had ended, or had not
// begun.
var ErrNotKept = errors.New("media leg not kept")

// resumption is a leg of the last process that goes on before it is known whose it is.
type resumption struct {
	leg    *Leg
	record *record
	err    error        // why there is no leg
	untold []MediaEvent // until somebody listens

	seconds []int32 // sockets on its port besides the first
}

// takeUp lets every leg that the last process has left go on at once, each as it was:
// what has waited in their sockets is copied to the recorder, and what of it is fresh
// passed on. Whose they are is found out while they do.
func (m *Media) takeUp() {
	m.back = map[string]*resumption{}
	var keys []string
	var values [][]byte
	ports := map[uint16]bool{}
	for key, value := range m.memory.Under(keyPrefix) {
		if port, err := strconv.ParseUint(key[len(keyPrefix):], 10, 16); err == nil {
			keys, values = append(keys, key), append(values, value)
			ports[uint16(port)] = true
		}
	}
	m.ports.claimAll(ports)
	back := make([]*resumption, len(keys))
	var next atomic.Int64
	var reviving sync.WaitGroup
	for range min(runtime.NumCPU(), len(keys)) {
		reviving.Go(func() {
			for n := next.Add(1) - 1; n < int64(len(keys)); n = next.Add(1) - 1 {
				back[n] = m.revive(keys[n], values[n], ports)
			}
		})
	}
	reviving.Wait()
	byPort := make(map[uint16]*resumption, len(back))
	for n, r := range back {
		if m.back[keys[n]] = r; r.err != nil {
			m.memory.Delete(keys[n])
		} else {
			byPort[r.record.Port] = r
			delete(m.left, r.record.Port)
		}
	}
	for i, s := range m.shards {
		s.post(func() { s.takeUp(byPort, i) })
	}
}

// revive makes a leg out of its record: its ports, peer, keys and numbers, whom it
// hears, which recording it is copied to, whether it is watched.
func (m *Media) revive(key string, value []byte, claimed map[uint16]bool) (back *resumption) {
	back = &resumption{}
	defer func() {
		if fault := recover(); fault != nil { // a record that cannot be taken up must not end every next life
			back.err = fmt.Errorf("%v", fault)
		}
	}()
	r, err := readRecord(value)
	if err == nil && (r.Role >= roles || key != recordKey(r.Port) || !claimed[r.Port]) {
		err = fmt.Errorf("role %d, port %d: not of this switch", r.Role, r.Port)
	}
	if err != nil {
		back.err = err
		return back
	}
	k, ok := sortSockets(r.Port, m.left[r.Port])
	if !ok {
		m.ports.release(r.Port, time.Now())
		back.err = errors.New("its sockets are gone")
		return back
	}
	cell, err := m.memory.OldCell(r.Cell)
	if err != nil {
		m.ports.release(r.Port, time.Now())
		back.err = err
		return back
	}
	back.seconds = k.seconds
	shard := r.Shard % len(m.shards) // legs that hear each other stay together
	back.record, back.leg = r, &Leg{
		port: r.Port, shard: m.shards[shard], role: r.Role, cell: cell,
		fd: k.rtp, rtcp: k.rtcp, open: noSocket,
		kept:  &keeping{memory: m.memory, key: key, cell: r.Cell, number: shard, back: back},
		local: k.local, addr: netip.AddrPortFrom(r.Public, r.Port),
		stream: r.Stream, control: control{cname: r.CNAME},
	}
	back.leg.shard.load.Add(1)
	return back
}

// Resume gives the caller a leg of the last process by its Key, which has gone on since
// Open. It is called before Resumed. Role and Beside of the options are ignored, for they
// are in the record. Set may then be called with what the call knows of its SDP: it
// changes nothing if the last process had come to it. A recording's handle must mean the
// same recording as in the last process.
//
// No event comes of the time without a process. A list that the leg was hearing goes on
// where its last packet was; an announcement over it, and a list that Playlist does not
// know and that does not loop, count as played. A handshake of DTLS that had not ended
// is lost, and has to be asked for by a new offer.
//
// It fails with ErrNotKept, or says what was missing; then there is nothing under the
// key any more.
func (m *Media) Resume(key string, o LegOptions) (*Leg, error) {
	m.resume.Lock()
	r := m.back[key]
	delete(m.back, key)
	m.resume.Unlock()
	switch {
	case r == nil || m.closed.Load():
		return nil, ErrNotKept
	case r.err != nil:
		return nil, fmt.Errorf("resume %s: %w", key, r.err)
	}
	var list *Playlist
	if o.Playlist != nil && r.record.List != "" {
		list = o.Playlist(r.record.List)
	}
	s := r.leg.shard
	s.post(func() { s.claimed(r, o.Sink, list) })
	return r.leg, nil
}

// claimed tells a leg whose it is, and its owner what has come since it goes on.
func (s *shard) claimed(r *resumption, sink func(MediaEvent), list *Playlist) {
	l := r.leg
	l.sink, l.kept.back = sink, nil
	for _, e := range r.untold {
		l.tell(e)
	}
	if l.closed {
		return
	}
	s.current = l
	s.restorePlayer(l, r.record, list)
	s.settle(l)
	s.pace(l)
	s.change(l)
}

// Resumed says that Resume has been called for every leg that somebody wants. The others
// end, and the sockets of legs that had ended.
func (m *Media) Resumed() {
	if m.memory == nil {
		return
	}
	m.resume.Lock()
	unwanted, left := m.back, m.left
	m.back, m.left = nil, nil
	m.resume.Unlock()
	for _, r := range unwanted {
		if r.leg != nil {
			r.leg.Close(nil)
		}
	}
	claimed := make(map[uint16]bool, len(left))
	for port := range left {
		claimed[port] = true
	}
	m.ports.claimAll(claimed)
	for port, fds := range left {
		if !claimed[port] {
			port = 0
		}
		m.giveBack(port, fds...)
	}
}

// sockets are those of a port.
type sockets struct {
	rtp, rtcp int32
	local     netip.AddrPort
	seconds   []int32 // of RTP too: of the peer, about to be, or of one that has moved
}

// sortSockets finds out which of a port's sockets is which. It fails if one of the
// first two is missing.
func sortSockets(port uint16, fds []int32) (sockets, bool) {
	k := sockets{rtp: noSocket, rtcp: noSocket}
	for _, fd := range fds {
		at, _ := plainAddr(unix.Getsockname(int(fd)))
		_, connected := peerOf(fd)
		switch {
		case at.Port() == port+1 && k.rtcp == noSocket:
			k.rtcp = fd
		case at.Port() == port && !connected && k.rtp == noSocket:
			k.rtp, k.local = fd, at
		default:
			k.seconds = append(k.seconds, fd)
		}
	}
	return k, k.rtp != noSocket && k.rtcp != noSocket
}

// takeUp makes the legs of a shard what they were, all of them before the first packet.
func (s *shard) takeUp(byPort map[uint16]*resumption, number int) {
	each := func(f func(r *resumption)) {
		for _, r := range byPort {
			if r.leg.kept.number == number && !r.leg.closed {
				s.current = r.leg
				s.safely(func() { f(r) })
			}
		}
	}
	if s.stop {
		each(func(r *resumption) {
			r.leg.closed, r.leg.last = true, new(Report)
			closeSockets(append(r.leg.sockets(), r.seconds...)...)
		})
		return
	}
	each(s.restore)
	each(func(r *resumption) {
		if other := byPort[r.record.Hears]; other != nil {
			s.listen(r.leg, other.leg)
		}
	})
	// What the last process was serving may be the end of the tap, and what it read
	// besides a group it served before the rest of the group.
	for _, b := range [...]*inbox{s.in, s.mail} {
		for i := range batchMax {
			r := byPort[b.ports[i]]
			if r != nil && r.leg.kept.number == number && !r.leg.closed && b.pending(i) {
				s.current = r.leg
				s.safely(func() { s.recall(r.leg, b, i) })
			}
		}
		b.clear()
	}
	each(func(r *resumption) {
		l := r.leg
		s.settle(l)
		s.pace(l)
		if l.open != noSocket {
			s.drain(l, l.open)
		}
		s.drain(l, l.fd)
	})
	s.current = nil
}

// restore makes a leg what it was.
func (s *shard) restore(r *resumption) {
	l, k, c := r.leg, r.record, r.leg.cell
	now := s.now
	l.terms = l.stream.terms()
	if l.stream.Inband && l.stream.EventPT == 0 {
		l.ear = newEar()
	}
	l.latch.set(&l.stream, now)
	l.latch.armed, l.latch.peer = k.Armed-s.mono, k.Peer
	l.out = k.outflow(c, s.mono)
	if l.stream.Wide == Opus {
		l.other = newFastOutflow()
	}
	l.in = k.reception(c)
	l.heard, l.watching = now, now // while nobody listened nobody was silent
	l.watched, l.quiet, l.silent = k.Watched, k.Quiet, k.Silent
	l.recording, l.channel, l.tapSince, l.tapUntil = k.Recording, k.Channel, k.TapSince, math.MaxInt64
	l.since, l.up = now-int64(fresh), k.Bridged
	l.count(k)
	if t := k.Told; t != nil {
		l.keypad.done, l.keypad.start = true, stamp{t.SSRC, t.Timestamp}
	}
	if k.Shield != nil {
		s.restoreShield(l, k)
	}
	s.join(l)
	s.rejoinPeer(l, r.seconds)
	if k.Reports.IsValid() {
		l.control.target, l.control.learned = newSockaddr(k.Reports, l.local.Addr()), true
	}
	s.aim(l)
	l.presser = k.presser(&l.out)
	s.change(l)
}

// recall takes a packet that the last process had read and not recorded.
func (s *shard) recall(l *Leg, b *inbox, i int) {
	s.recalling = true
	defer func() { s.recalling = false }()
	m, lengths := &b.messages[i], 1
	switch {
	case b.batch != 0:
	case b.sizes[i] > 0:
		m.length = uint32(b.sizes[i])
	case l.shield != nil:
		m.length, lengths = b.written(i), 4
	default:
		m.length = min((b.written(i)+3)&^3, packetMax)
	}
	s.box, s.place = b, i
	for range lengths {
		had := l.unproven
		if s.judge(l, b, i); l.unproven == had || m.length >= packetMax {
			break
		}
		m.length++
	}
	b.done(i)
}

// outflow is the stream we send: the next packet has the next number.
func (k *record) outflow(c *[8]uint64, mono int64) outflow {
	o := newOutflow()
	if k.Renew {
		return o
	}
	o.ssrc = k.SSRC
	if c[cellSent]&sentBegun == 0 {
		return o
	}
	o.seq, o.ts, o.span = uint16(c[cellSent]), uint32(c[cellTime]>>32), uint32(c[cellTime]&0xFFFF)
	o.at = int64(c[cellAt]) - mono
	o.packets, o.bytes = c[cellOut]>>32, c[cellOut]&(1<<32-1)
	return o
}

// reception is the stream we receive. Its source goes on as if nothing had been, its
// jitter begins anew.
func (k *record) reception(c *[8]uint64) (r reception) {
	got, expected := c[cellReceived]>>32, c[cellReceived]&(1<<32-1)
	if got == 0 {
		return r
	}
	r.ssrc, r.heard = uint32(c[cellHeard]>>32), true
	r.highest = uint32(c[cellHeard])
	if k.Shield != nil {
		r.highest = 1<<16 | r.highest&0xFFFF // the rest of the word is its ROC
	}
	r.first, r.window, r.received = r.highest, c[cellWindow], 1
	r.pastReceived, r.pastExpected = got-1, max(expected, 1)-1
	r.receivedBefore, r.expectedBefore = got, expected
	r.packets, r.bytes = got, c[cellReports]&(1<<32-1)
	f := &k.Figures
	r.late, r.duplicate, r.reordered = f.Late, f.Duplicate, f.Reordered
	r.packets += f.Duplicate
	for _, b := range f.Jitter {
		if int(b[0]) < len(r.buckets) {
			r.buckets[b[0]] = b[1]
			r.samples += uint32(b[1])
		}
	}
	return r
}

// count goes on with the figures. Totals have had those of the past.
func (l *Leg) count(k *record) {
	f := &k.Figures
	l.refused, l.malformed, l.unknown = f.Refused, f.Malformed, f.Unknown
	l.sendFails, l.unreachable, l.unproven = f.SendFails, f.Unreachable, f.Unproven
	l.control.roundTrip, l.control.remoteLoss = f.RTT, f.RemoteLoss
	l.lostTold, l.lateTold = l.in.lost(), l.in.late
}

// rejoinPeer goes on with the socket of a leg's peer, whatever the last process was about
// to do with it: one that is connected to nobody yet becomes it, and what is left of a
// peer that has moved is closed.
func (s *shard) rejoinPeer(l *Leg, seconds []int32) {
	for _, fd := range seconds {
		peer := l.latch.peer
		at, connected := peerOf(fd)
		if !connected && peer.IsValid() && l.open == noSocket {
			_ = errors.Join(share(l.fd, 0), share(fd, 0))
			if aimSocket(fd, peer) == nil {
				at = peer
			}
		}
		if peer.IsValid() && unmap(at) == peer && l.open == noSocket {
			s.part(l, fd)
		} else {
			s.drop(fd)
		}
	}
}

// restorePlayer goes on with the list where the last packet of it left it. What can
// not be gone on with has ended.
func (s *shard) restorePlayer(l *Leg, k *record, list *Playlist) {
	switch {
	case k.Plays && list != nil:
		l.player.under.list = list
		if k.Began != 0 {
			played := max(int64(l.cell[cellAt])+int64(l.out.span)*(1e9/clockRate)-k.Began, 0)
			l.player.under.skip(int(played / (1e9 / clockRate)))
			l.kept.began = s.mono + s.now - played
		}
	case k.Plays && !k.Loops:
		l.tell(PlaybackEnded{Token: k.Token})
	}
	if k.Over != nil {
		l.tell(PlaybackEnded{Token: *k.Over})
	}
}

// presser goes on with the key that was being pressed, under its own timestamp, so
// that the peer takes it for the one it is; or begins it, if nothing of it was sent.
func (k *record) presser(o *outflow) *presser {
	if k.Keys == nil {
		return nil
	}
	p := &presser{}
	if now := (press{byte(k.Keys.Now[0]), k.Keys.Now[1]}); k.Keys.Active {
		if o.seq == k.Keys.After {
			p.queue = append(p.queue, now)
		} else {
			p.active, p.now, p.sent, p.after = true, now, int(o.span), k.Keys.After
		}
	}
	for _, one := range k.Keys.Queue {
		p.queue = append(p.queue, press{byte(one[0]), one[1]})
	}
	return p
}

// restoreShield takes the keys into use again, each direction where it was.
func (s *shard) restoreShield(l *Leg, r *record) {
	k := r.Shield
	c := new(shield)
	l.shield = c
	if l.stream.DTLS != nil && l.stream.Guard == DTLS {
		c.association = &association{terms: *l.stream.DTLS, settled: k.Settled}
	}
	if i := k.ICE; i != nil {
		terms := Checks{OurName: i.OurName, TheirName: i.TheirName, OurPassword: i.OurPassword, TheirSecret: i.TheirPassword}
		c.checks, l.stream.ICE = &checks{terms: terms, chosen: i.Chosen}, &terms
		for n, from := range i.Proven {
			if n < len(c.checks.proven) {
				c.checks.proven[n] = newSockaddr(from, l.local.Addr())
			}
		}
	}
	keys := Keys{Suite: k.Suite, Ours: k.Ours, Theirs: k.Theirs, MKI: k.MKI}
	if keys.Suite == noSuite || int(keys.Suite) > len(suites) {
		return
	}
	if err := c.rekey(keys); err != nil {
		s.log.Error("media leg without keys", zap.Stringer("port", l.local), zap.Error(err))
		return
	}
	if l.stream.Guard == SDES {
		l.stream.Keys = &keys
	}
	c.ours, c.theirs = k.Turns[0], k.Turns[1]
	c.goOn(l, r)
}

// goOn takes the numbers up from the cell. Those of other keys than the present ones
// mean nothing: no packet had left under these.
func (c *shield) goOn(l *Leg, k *record) {
	sent, heard := l.cell[cellSent], l.cell[cellHeard]
	if sent&sentBegun != 0 && !k.Renew && uint16(sent>>48)&keySent == c.ours&keySent {
		c.sent[0] = once{begun: true, newest: sent & sentIndex, used: math.MaxUint64}
	}
	if c.reported = uint32(l.cell[cellReports] >> 32); c.reported > 0 {
		c.tx.SetIndex(l.out.ssrc, c.reported)
	}
	if l.in.heard && uint16(heard>>28)&keyHeard == c.theirs&keyHeard {
		c.ssrc, c.index = l.in.ssrc, heard&heardTurn
		c.before = append(c.before, source{ssrc: c.ssrc, index: c.index, window: l.in.window})
	}
	for _, one := range k.Shield.Sources {
		if len(c.before) == 0 || one.SSRC != c.ssrc {
			c.before = append(c.before, source{ssrc: one.SSRC, index: one.Index, window: math.MaxUint64})
		}
	}
	for _, b := range c.before {
		c.rx.SetROC(b.ssrc, uint32(b.index>>16))
	}
	c.sources = len(c.before)
}

// abandon ends a leg here and leaves it to the next process.
func (s *shard) abandon(l *Leg) {
	last := l.report()
	l.last, l.closed = &last, true
	s.unprotect(l)
	l.cell = nil
	closeSockets(l.sockets()...)
}

// monotonic is the machine's clock that nobody sets, ns.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return t.Nano()
}
