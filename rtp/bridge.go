package rtp

// relay passes a packet of one leg to all that hear it.
func (s *shard) relay(from *Leg, p *packet) {
	old := s.now-p.at > s.stale
	for _, l := range from.hearers {
		if !old && p.at >= l.since {
			s.pass(l, p)
		}
	}
}

// pass sends a relayed packet to one leg's peer, under that leg's own numbers,
// payload types and law.
func (s *shard) pass(l *Leg, p *packet) {
	if !l.audible || l.presser != nil {
		l.out.cut() // what follows the silence is a new stretch
		return
	}
	pt, span := l.terms.pt, uint32(len(p.buf)-p.payload)
	switch {
	case p.event && l.terms.eventPT != 0:
		pt = l.terms.eventPT
		span = 0
		if e, ok := readEvent(p.buf[p.payload:]); ok {
			span = uint32(e.duration)
		}
	case p.codec.Wide() && p.codec == l.stream.Wide:
		pt = l.stream.WidePT
		if p.codec == Opus {
			span = opusSpan
		}
	case p.codec.Wide():
		l.out.cut() // nothing that has been agreed on with who would hear it
		return
	case p.event, p.codec == NoCodec, l.terms.codec == NoCodec:
		l.out.leaveOut(p)
		return
	}
	if !p.event {
		l.turnTo(p.codec)
	}
	seq, ts, marker, ok := l.out.carry(s.now, p, span)
	if !ok {
		return
	}
	packet := p.buf[p.payload-headerSize:]
	if !p.event && !p.codec.Wide() && p.codec != l.terms.codec {
		packet = s.translated(p, l.terms.codec)
	}
	writeHeader(packet, pt, marker, seq, ts, l.out.ssrc)
	s.send(l, packet, len(packet)-headerSize)
	if !l.up {
		l.up = true
		s.change(l)
		l.tell(BridgeUp{})
	}
}

// opusSpan is how long a packet of Opus is taken to last where one stretch follows
// another at once, in clock units: 20 ms, as nearly all of them do.
const opusSpan = 20 * clockRate / 1000 * fastClock

// translated is the packet in the other law, in the shard's own buffer: the
// original may have to go to somebody else as it is.
func (s *shard) translated(p *packet, to Codec) []byte {
	payload := p.buf[p.payload:]
	n := headerSize + len(payload)
	if n > len(s.other) {
		n = len(s.other)
	}
	translate(s.other[headerSize:n], payload[:n-headerSize], to)
	return s.other[:n]
}

// pace puts a leg that sends by the clock into the wheel, and takes out one that
// does not.
func (s *shard) pace(l *Leg) {
	switch due := l.player.active() || l.presser != nil; {
	case due && !l.beat.on:
		s.wheel.add(l, s.wheel.lightest(s.tick))
	case !due:
		s.wheel.remove(l)
	}
}

// strike sends what is due from a leg by the clock: a packet of a key, or of the
// list it hears.
func (s *shard) strike(l *Leg) {
	step := uint64(l.terms.ticks)
	if l.presser != nil {
		step = uint64(keyStep / tick)
		s.press(l)
	} else if l.player.active() {
		s.play(l, int(step)*tickUnits)
	}
	if l.closed || !l.player.active() && l.presser == nil {
		s.settle(l)
		return
	}
	s.wheel.add(l, s.tick+step)
}

func (s *shard) press(l *Leg) {
	e, first, ok := l.presser.step()
	if first {
		l.presser.after = l.out.seq
		s.change(l)
	}
	if !l.presser.busy() {
		l.presser = nil
		s.change(l)
	}
	if !ok || !l.audible || l.terms.eventPT == 0 {
		l.out.cut()
		return
	}
	seq, ts := l.out.event(s.now, first, uint32(e.duration))
	packet := s.out[:headerSize+eventSize]
	writeHeader(packet, l.terms.eventPT, first, seq, ts, l.out.ssrc)
	e.write(packet[headerSize:])
	s.send(l, packet, eventSize)
	if e.end {
		l.out.cut()
	}
}

// play sends n bytes of the leg's list. It waits for the first negotiation, and for
// another while the peer takes no G.711; after
// that the list goes on by the clock whether or not the peer may hear it, so that
// a prompt ends on hold too.
func (s *shard) play(l *Leg, n int) {
	if l.terms.codec == NoCodec {
		return
	}
	if late := s.tick - l.beat.due; late > 0 {
		for left := int(late) * tickUnits; left > 0 && l.player.active(); {
			if left -= l.player.skip(left); left > 0 {
				s.played(l)
			}
		}
		l.out.cut()
	}
	if l.kept != nil && l.kept.began == 0 {
		l.kept.began = s.mono + s.now
		s.change(l)
	}
	packet, got := s.out[:headerSize+n], 0
	for got < n && l.player.active() {
		if got += l.player.fill(packet[headerSize+got:], l.terms.codec); got < n {
			s.played(l)
		}
	}
	for i := headerSize + got; i < len(packet); i++ {
		packet[i] = silence(l.terms.codec)
	}
	if l.audible && got > 0 {
		l.turnTo(l.terms.codec)
		seq, ts, marker := l.out.step(s.now, uint32(n))
		writeHeader(packet, l.terms.pt, marker, seq, ts, l.out.ssrc)
		s.send(l, packet, n)
	} else {
		l.out.cut()
	}
}

// played tells that what was heard has come to its end.
func (s *shard) played(l *Leg) {
	s.change(l)
	l.tell(PlaybackEnded{Token: l.player.drop()})
}
