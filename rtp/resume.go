package rtp

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
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

// resumption is a leg of the last process before its shard has it.
type resumption struct {
	leg    *Leg
	record *record
	list   *Playlist
}

// Resume takes up a leg of the last process by its Key: its ports, peer, keys and
// numbers, whom it hears, which recording it is copied to, whether it is watched. Role
// and Beside of the options are ignored, for they are in the record. It is called after
// Open and before Resumed; nothing is read or sent before that. Set may then be called
// with what the call knows of its SDP: it changes nothing if the last process had come
// to it. A recording's handle must mean the same recording as in the last process.
//
// No event comes of the time without a process. A list that the leg was hearing goes on
// where its last packet was; an announcement over it, and a list that Playlist does not
// know and that does not loop, count as played. A handshake of DTLS that had not ended
// is lost, and has to be asked for by a new offer.
//
// It fails with ErrNotKept, or says what was missing; then there is nothing under the
// key any more.
func (m *Media) Resume(key string, o LegOptions) (*Leg, error) {
	if m.memory == nil || m.closed.Load() {
		return nil, ErrNotKept
	}
	value, ok := m.memory.Get(key)
	if !ok {
		return nil, ErrNotKept
	}
	m.resume.Lock()
	defer m.resume.Unlock()
	r, err := m.revive(key, value, o)
	if err != nil {
		m.memory.Delete(key)
		return nil, fmt.Errorf("resume %s: %w", key, err)
	}
	m.resumed = append(m.resumed, r)
	return r.leg, nil
}

func (m *Media) revive(key string, value []byte, o LegOptions) (*resumption, error) {
	r, err := readRecord(value)
	if err != nil {
		return nil, err
	}
	if r.Role >= roles || key != recordKey(r.Port) || !m.ports.claim(r.Port) {
		return nil, fmt.Errorf("role %d, port %d: not of this switch", r.Role, r.Port)
	}
	k, local, ok := sortSockets(r.Port, m.store.Inherited(socketName(r.Port)))
	if !ok {
		m.remove(r.Port)
		k.close()
		m.ports.release(r.Port, time.Now())
		return nil, errors.New("its sockets are gone")
	}
	cell, err := m.memory.OldCell(r.Cell)
	if err != nil {
		m.park(k, local)
		return nil, err
	}
	shard := r.Shard % len(m.shards) // legs that hear each other stay together
	l := &Leg{
		port: r.Port, shard: m.shards[shard], role: r.Role, sink: o.Sink, cell: cell,
		fd: k.rtp, rtcp: k.rtcp, spare: k.peer, open: noSocket,
		kept:  &keeping{memory: m.memory, key: key, cell: r.Cell, number: shard},
		local: local, addr: netip.AddrPortFrom(r.Public, r.Port),
		stream: r.Stream, control: control{cname: r.CNAME},
	}
	l.shard.load.Add(1)
	back := &resumption{leg: l, record: r}
	if o.Playlist != nil && r.List != "" {
		back.list = o.Playlist(r.List)
	}
	return back, nil
}

// Resumed lets all legs go on that Resume was called for: what has waited in their
// sockets is copied to the recorder, and what of it is fresh passed on. What else the
// last process has left ends here: the sockets of legs that nobody asked for rest.
func (m *Media) Resumed() {
	if m.memory == nil {
		return
	}
	m.resume.Lock()
	back := m.resumed
	m.resumed = nil
	m.resume.Unlock()
	byPort := make(map[uint16]*resumption, len(back))
	for _, r := range back {
		byPort[r.record.Port] = r
	}
	for i, s := range m.shards {
		s.post(func() { s.takeUp(back, byPort, i) })
	}
	for _, name := range m.store.Unclaimed() {
		if port := portNamed(name); port != 0 {
			m.adopt(port)
		}
	}
}

// adopt takes the sockets of a port that no leg has.
func (m *Media) adopt(port uint16) {
	m.memory.Delete(recordKey(port))
	k, local, ok := sortSockets(port, m.store.Inherited(socketName(port)))
	if claimed := m.ports.claim(port); !ok || !claimed {
		m.remove(port)
		k.close()
		if claimed {
			m.ports.release(port, time.Now())
		}
		return
	}
	m.park(k, local)
}

// park lets sockets rest for the next leg, if it can use them.
func (m *Media) park(k sockets, local netip.AddrPort) {
	port := local.Port()
	if local.Addr() == m.addr && k.rest(local) == nil && m.ports.park(port, k, time.Now()) {
		return
	}
	m.remove(port)
	k.close()
	m.ports.release(port, time.Now())
}

// takeUp makes the legs of a shard what they were, all of them before the first packet.
func (s *shard) takeUp(back []*resumption, byPort map[uint16]*resumption, number int) {
	if s.stop {
		for _, r := range back {
			if l := r.leg; l.kept.number == number {
				l.closed, l.last = true, new(Report)
				l.sockets().close()
			}
		}
		return
	}
	each := func(f func(r *resumption)) {
		for _, r := range back {
			if r.leg.kept.number == number && !r.leg.closed {
				s.current = r.leg
				s.safely(func() { f(r) })
			}
		}
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
	s.rejoinPeer(l)
	if k.Reports.IsValid() {
		l.control.target, l.control.learned = newSockaddr(k.Reports, l.local.Addr()), true
	}
	s.aim(l)
	s.restorePlayer(r)
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

// rejoinPeer finds out whether the second socket had been given to the peer.
func (s *shard) rejoinPeer(l *Leg) {
	if at, _ := peerOf(l.spare); !l.latch.peer.IsValid() || unmap(at) != l.latch.peer {
		if err := detach(l.spare, l.local); err != nil { // it was being given, or taken back
			s.log.Warn("media leg stays unconnected", zap.Error(err))
			l.single = true
		}
		return
	}
	l.open, l.fd, l.spare = l.fd, l.spare, noSocket
	_ = unix.SetsockoptInt(int(l.fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) // in case the kill was before that
	s.watch(l, unix.EPOLL_CTL_MOD, l.open, readyOpen)
	s.watch(l, unix.EPOLL_CTL_ADD, l.fd, readyRTP)
}

// restorePlayer goes on with the list where the last packet of it left it. What can
// not be gone on with has ended.
func (s *shard) restorePlayer(r *resumption) {
	l, k := r.leg, r.record
	switch list := r.list; {
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
		terms := Checks{OurName: i.OurName, TheirName: i.TheirName, OurPassword: Secret(i.OurPassword), TheirSecret: Secret(i.TheirPassword)}
		c.checks, l.stream.ICE = &checks{terms: terms, chosen: i.Chosen}, &terms
		for n, from := range i.Proven {
			if n < len(c.checks.proven) {
				c.checks.proven[n] = newSockaddr(from, l.local.Addr())
			}
		}
	}
	keys := Keys{Suite: k.Suite, Ours: Secret(k.Ours), Theirs: Secret(k.Theirs), MKI: string(k.MKI)}
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
	l.sockets().close()
}

// monotonic is the machine's clock that nobody sets, ns.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return t.Nano()
}
