package rtp

import (
	"syscall"
	"time"
)

// readRTP serves a leg whose socket has something: one packet, and more only
// while they are not its peer's, so that a flood from elsewhere does not keep
// the peer's own packets waiting behind it.
func (s *shard) readRTP(l *Leg, fd int32) {
	for range batchMax {
		errno := s.in.one(fd, l.port)
		if !s.took(l, errno, s.in, 0) || !l.has(fd) {
			return
		}
	}
}

// took deals with what reading a leg's packet into place i gave, and says whether
// there may be one of the peer behind it.
func (s *shard) took(l *Leg, errno syscall.Errno, in *inbox, i int) (more bool) {
	if errno == syscall.ECONNREFUSED {
		l.unreachable++ // told here instead of at the next send
		return true
	}
	return errno == 0 && !s.arrive(l, in, i)
}

// has tells whether a socket still is one of the leg's for RTP: a packet that moves
// the leg closes one.
func (l *Leg) has(fd int32) bool { return fd == l.fd || fd == l.open }

// drain reads all that waits in a leg's socket, a bounded number of batches.
func (s *shard) drain(l *Leg, fd int32) {
	for range passMax {
		n := s.in.many(fd, l.port)
		for i := range n {
			s.arrive(l, s.in, i)
		}
		if n < batchMax || !l.has(fd) {
			return
		}
	}
}

// arrive deals with the packet in place i of an inbox, and tells whether it was the
// peer's.
func (s *shard) arrive(l *Leg, in *inbox, i int) bool {
	s.box, s.place = in, i
	mine := s.judge(l, in, i)
	in.done(i) // also if it was not recorded, as it is not going to be
	return mine
}

// judge finds out whose a packet is, counts it and passes it on.
func (s *shard) judge(l *Leg, in *inbox, i int) bool {
	data, wall := in.packet(i)
	if wall == 0 {
		wall = s.wall
	}
	from := &in.from[i]
	if l.shield != nil {
		return s.arriveShielded(l, from, data, wall)
	}
	if l.terms.mux && isRTCP(data) {
		s.control(l, from, data, wall)
		return true
	}
	stranger := l.known && !from.same(&l.peer)
	if stranger && (l.stream.Latch == Exact || s.now-l.heard <= int64(rivalMemory)) {
		l.refused++
		return false
	}
	var p packet
	if !s.read(l, &p, data, wall) {
		if !l.keepHello(from, data) {
			l.malformed++
		}
		return l.known && !stranger
	}
	if (!l.known || stranger) && !s.believe(l, from, &p) {
		return false
	}
	s.take(l, &p)
	return true
}

// read reads a packet that came at wall, and tells whether it is sound.
func (s *shard) read(l *Leg, p *packet, data []byte, wall int64) bool {
	if !p.parse(data) {
		return false
	}
	p.wall, p.at = wall, min(s.now-(s.wall-wall), s.now)
	p.codec, p.event = l.understands(p.pt)
	return true
}

// believe asks the latch about a packet from a source that is not known as the peer.
func (s *shard) believe(l *Leg, from *sockaddr, p *packet) bool {
	switch l.latch.step(p.at, sighting{
		from: from.addrPort(), ssrc: p.ssrc, seq: p.seq,
		ours: p.pt == l.terms.pt || p.codec.Wide() || p.event, goesOn: l.in.goesOn(p.ssrc, p.seq), idle: p.at - l.heard,
	}) {
	case accept:
		return true
	case lock:
		s.change(l)
		s.disconnect(l)
		s.aim(l)
		s.settle(l)
		l.tell(Latched{Remote: l.latch.peer})
		return true
	case contested:
		l.tell(Contested{Claimants: l.latch.rivals(p.at)})
		return false
	case wait:
		return false
	default:
		l.refused++
		return false
	}
}

// take uses a packet of the peer.
func (s *shard) take(l *Leg, p *packet) {
	l.heard, l.silent = p.at, false
	size := len(p.buf) - p.payload
	l.in.packets++
	l.in.bytes += uint64(size)
	t := &s.totals[l.role]
	t.PacketsIn++
	t.BytesIn += uint64(size)
	place := l.in.place(p.ssrc, p.seq)
	if place == repeat {
		return
	}
	switch {
	case p.event:
		e, ok := readEvent(p.buf[p.payload:])
		if !ok {
			l.malformed++
			return
		}
		if d, ok := l.keypad.step(p.at, stamp{p.ssrc, p.ts}, e); ok {
			s.change(l)
			l.tell(d)
		}
	case p.codec.Wide(): // neither recorded nor listened to for keys: both are for G.711
		l.spoke = p.codec
		l.in.time(l.in.slow(p.codec, p.ts), uint32(p.wall/(1e9/clockRate)))
	case p.codec != NoCodec:
		l.in.time(l.in.slow(p.codec, p.ts), uint32(p.wall/(1e9/clockRate)))
		if l.recording != 0 && p.wall >= l.tapSince && p.wall <= l.tapUntil {
			s.copy(l, p)
		}
		if l.ear != nil {
			if d, ok := l.ear.listen(p, place); ok {
				l.tell(d)
			}
		}
	case p.pt == comfortNoise:
	default:
		l.unknown++
	}
	if l.cell != nil {
		l.noteHeard()
		s.box.done(s.place)
	}
	if len(l.hearers) > 0 && l.terms.receive {
		s.relay(l, p)
	}
}

// copy gives a packet to the recorder.
func (s *shard) copy(l *Leg, p *packet) {
	r := TapRecord{
		Kind: TapPacket, Recording: l.recording, Channel: l.channel, Codec: p.codec,
		Seq: p.seq, Timestamp: p.ts, SSRC: p.ssrc, At: p.wall, Payload: p.buf[p.payload:],
	}
	if s.recalling && s.tap.endsWith(&r) {
		return
	}
	s.tap.put(&r)
}

// visit is the slow work of a leg, ten times a second.
func (s *shard) visit(l *Leg) {
	switch {
	case l.open != noSocket && !l.own:
		s.trust(l)
	case l.known && l.open == noSocket && !l.single:
		s.connect(l)
	}
	if l.lazy {
		s.drain(l, l.fd)
	}
	if d, ok := l.keypad.expire(s.now); ok {
		s.change(l)
		l.tell(d)
	}
	if l.ear != nil && s.now-l.heard > int64(keyTimeout) {
		if d, ok := l.ear.expire(); ok {
			l.tell(d)
		}
	}
	if l.watched {
		s.overhear(l)
	}
	if l.shield != nil {
		s.pursue(l)
	}
	if s.now-l.sampled >= int64(time.Second) {
		l.sampled = s.now
		l.in.sample()
		s.count(l)
		if l.kept != nil && s.now-l.kept.written > int64(refreshEvery) {
			s.change(l)
		}
	}
	if s.now >= l.control.due {
		s.sendReport(l)
	}
}

// quietAfter is when a leg is told to be quiet, where the media timeout is not
// shorter: longer than any pause of a phone that saves packets.
const quietAfter = 5 * time.Second

// overhear tells how long nothing has come from a watched leg.
func (s *shard) overhear(l *Leg) {
	quiet := time.Duration(s.now - max(l.heard, l.watching))
	switch after := min(quietAfter, s.timeout*3/4); {
	case quiet <= after:
		if l.quiet {
			l.quiet = false
			s.change(l)
			l.tell(Heard{})
		}
		l.silent = false
	case !l.quiet:
		l.quiet = true
		s.change(l)
		l.tell(Quiet{For: quiet})
	case !l.silent && quiet > s.timeout:
		l.silent = true
		s.change(l)
		l.tell(Silent{For: quiet})
	}
}

// count brings what is derived, not counted, into the totals.
func (s *shard) count(l *Leg) {
	t := &s.totals[l.role]
	if n := l.in.lost(); n > l.lostTold {
		t.Lost += n - l.lostTold
		l.lostTold = n
	}
	t.Late += l.in.late - l.lateTold
	l.lateTold = l.in.late
}

// report is what the leg has measured so far.
func (l *Leg) report() Report {
	sent, bytes := l.sent()
	r := Report{
		Codec: l.stream.Codec, Received: l.in.packets, Sent: sent,
		BytesIn: l.in.bytes, BytesOut: bytes,
		Lost: l.in.lost(), Late: l.in.late, Duplicate: l.in.duplicate, Reordered: l.in.reordered,
		Refused: l.refused, Malformed: l.malformed, Unknown: l.unknown, SendFails: l.sendFails, Unreachable: l.unreachable, Unproven: l.unproven,
		Jitter: l.in.jitterP95(), RTT: l.control.roundTrip, RemoteLoss: l.control.remoteLoss,
		MOS:    l.in.mos(l.control.roundTrip, l.stream.ptime()),
		OneWay: sent > 0 && l.in.packets == 0,
	}
	if l.spoke != NoCodec {
		r.Codec, r.MOS = l.spoke, 0
	}
	if l.shield != nil && l.shield.tx != nil {
		r.Guard, r.Suite = l.stream.Guard, l.shield.keys.Suite
	}
	if e := l.in.expected(); e > 0 {
		r.LossRatio = float64(r.Lost) / float64(e)
	}
	return r
}
