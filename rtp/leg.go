package rtp

import (
	"math"
	"net/netip"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Role says whose leg it is; figures are summed by it.
type Role uint8

const (
	TrunkLeg Role = iota
	AgentLeg

	roles = 4 // room in the tables
)

// LegOptions describe a leg when it is made.
type LegOptions struct {
	Role   Role
	Beside *Leg             // same shard as this leg: two legs that will be bridged must share one
	Sink   func(MediaEvent) // called on the shard: must not block

	// Playlist gives Resume the one that the leg was hearing, by its Name; nil if there
	// is none of that name any more.
	Playlist func(name string) *Playlist
}

// Leg is one RTP and RTCP socket pair, and the one stream we send from it. Its
// methods may be called from any one goroutine (the call's); they post to the
// shard and return. After Close they do nothing. All but the fixed fields belongs
// to the shard.
//
// The fields stand in the order of use: those that every packet touches come
// first, in as few cache lines as possible, for with a thousand calls each line
// has to be fetched from memory again.
type Leg struct {
	// What a packet to the peer touches, and one from the peer too.
	fd      int32 // RTP: connected to the peer, once open is another
	open    int32 // gets what strangers send once fd is connected, else noSocket
	terms   terms
	role    Role   // fixed
	known   bool   // peer is set
	audible bool   // the peer may and can be sent to
	up      bool   // BridgeUp has been told
	quiet   bool   // Quiet has been told for this silence
	silent  bool   // Silent has been told for it
	lazy    bool   // not in epoll: read when visited
	own     bool   // fd gives the peer's packets alone
	port    uint16 // of RTP; fixed
	changed bool   // the record does not say yet what the leg is
	channel uint8
	since   int64      // hears or player began: packets older are not relayed
	presser *presser   // while keys are to be pressed
	shield  *shield    // nil: the stream is not protected
	hearers []*Leg     // who hears this leg's peer
	hearer  [1]*Leg    // where hearers begins: nearly always there is one
	cell    *[8]uint64 // nil: not kept
	out     outflow

	// What a packet from the peer touches besides.
	peer      sockaddr // accepted without asking the latch, once it has locked
	heard     int64    // last packet accepted
	recording uint64
	tapSince  int64 // unix ns
	tapUntil  int64
	in        reception

	// What a packet by the clock touches besides.
	player player
	beat   beat
	target sockaddr // where RTP goes; not valid: nowhere

	// The rest is touched when visited, or less.
	shard       *shard   // fixed
	rtcp        int32    // the RTCP socket
	kept        *keeping // nil: not kept
	index       int32    // in shard.legs
	visits      int      // slot in shard.visits
	closed      bool
	single      bool // fd could not be connected
	watched     bool
	watching    int64
	sampled     int64 // last jitter sample
	lostTold    uint64
	lateTold    uint64
	refused     uint64
	malformed   uint64
	unknown     uint64
	sendFails   uint64
	unreachable uint64
	unproven    uint64
	other       *outflow // in the clock that is not sent now; nil before the peer may get Opus
	spoke       Codec    // the wideband codec that has come, NoCodec: none
	early       *earlyHello
	keypad      keypad
	ear         *ear // nil: keys are not looked for in the audio
	hears       *Leg // whom this leg's peer hears
	stream      Stream
	latch       latch
	control     control // RTCP
	sink        func(MediaEvent)
	addr        netip.AddrPort // as written in SDP; fixed
	local       netip.AddrPort // as bound; fixed
	last        *Report        // when closed
}

// Addr is the public address for SDP.
func (l *Leg) Addr() netip.AddrPort { return l.addr }

// post has f carried out on the shard, unless the leg is closed by then.
func (l *Leg) post(f func(s *shard)) {
	l.shard.post(func() {
		if !l.closed {
			l.shard.current = l
			f(l.shard)
		}
	})
}

// Set applies what SDP negotiated. A changed Remote re-arms latching.
func (l *Leg) Set(st Stream) {
	l.post(func(s *shard) {
		l.stream, l.terms = st, st.terms()
		if st.Wide == Opus && l.other == nil {
			l.other = newFastOutflow()
		}
		s.change(l)
		s.protect(l, &st)
		switch inband := st.Inband && st.EventPT == 0; {
		case !inband:
			l.ear = nil
		case l.ear == nil:
			l.ear = newEar()
		}
		chosen := l.latch.peer
		switch changed := l.latch.set(&st, s.now); {
		case changed && chosen.IsValid() && l.checked():
			l.latch.prove(chosen) // a way that was checked outlives what SDP says of it
		case changed:
			l.known = false
			s.disconnect(l)
		}
		s.aim(l)
		s.settle(l)
		s.recallHello(l)
	})
}

// Hear decides what is sent to this leg's peer from now on: nil for nothing, the leg
// itself for an echo.
func (l *Leg) Hear(source Source) {
	l.post(func(s *shard) { s.hear(l, source) })
}

// Still is Hear for a peer who hears nothing, as a Hear that a kill may have kept from
// being carried out.
func (l *Leg) Still(source Source) {
	l.post(func(s *shard) {
		if l.hears == nil && !l.player.active() {
			s.hear(l, source)
		}
	})
}

// Bridge is Hear both ways with SSRC and timestamp continuity. Where the laws of
// G.711 differ they are translated; of a wideband codec only what both sides have
// negotiated is passed on.
func Bridge(a, b *Leg) {
	a.post(func(s *shard) {
		s.hear(a, b)
		if !b.closed && b.shard == s {
			s.hear(b, a)
		}
	})
}

// Watch arms (or disarms) the media timeout: only while talking, never on hold
// or waiting.
func (l *Leg) Watch(on bool) {
	l.post(func(s *shard) {
		l.watched, l.quiet, l.silent, l.watching = on, false, false, s.now
		s.change(l)
	})
}

// Tap copies what this leg receives into the shard's Tap under (recording,
// channel); 0 ends it. A TapStart / TapStop mark goes into the tap with the time of
// this call, and what is copied came after or before it by the kernel's clock,
// however late the shard gets to it. Keys the peer presses are not copied.
func (l *Leg) Tap(recording uint64, channel uint8) {
	at := time.Now().UnixNano()
	l.post(func(s *shard) {
		if l.recording == recording && l.channel == channel {
			return // said again, after a kill
		}
		s.clock()
		at = min(at, s.wall)
		if l.recording != 0 {
			l.tapUntil = at
			s.drain(l, l.fd) // what came until then belongs to the time before
		}
		s.tapTo(l, recording, channel, at)
	})
}

// SendDigit presses a key for the peer (RFC 4733), 40 ms to 8 s long, 100 ms when
// length is 0. Nothing else is sent meanwhile. A peer that did not negotiate
// telephone-event gets nothing.
func (l *Leg) SendDigit(d byte, length time.Duration) {
	l.post(func(s *shard) {
		if l.terms.eventPT == 0 {
			return
		}
		if l.presser == nil {
			l.presser = new(presser)
		}
		l.presser.add(d, length)
		s.change(l)
		s.pace(l)
	})
}

// Report asks the shard for the figures so far; answered through the callback on
// the shard. A closed leg answers with its last.
func (l *Leg) Report(done func(Report)) {
	l.shard.post(func() {
		if l.closed {
			done(*l.last)
			return
		}
		l.shard.current = l
		done(l.report())
	})
}

// Close releases the sockets and ports; done (may be nil) gets the leg's last
// Report, on the shard.
func (l *Leg) Close(done func(Report)) {
	l.shard.post(func() {
		l.shard.end(l)
		if done != nil {
			done(*l.last)
		}
	})
}

// tell gives an event to the call.
func (l *Leg) tell(e MediaEvent) {
	if l.kept != nil && l.kept.back != nil {
		l.kept.back.untold = append(l.kept.back.untold, e)
		return
	}
	if l.sink != nil {
		l.sink(e)
	}
}

// join takes a new leg into the shard.
func (s *shard) join(l *Leg) {
	if n := len(s.vacant); n > 0 {
		l.index = s.vacant[n-1]
		s.vacant = s.vacant[:n-1]
		s.legs[l.index] = l
	} else {
		l.index = int32(len(s.legs))
		s.legs = append(s.legs, l)
	}
	for i := range s.visits {
		if len(s.visits[i]) < len(s.visits[l.visits]) {
			l.visits = i
		}
	}
	s.visits[l.visits] = append(s.visits[l.visits], l)
	l.hearers = l.hearer[:0]
	l.sampled = s.now
	l.control.schedule(s.now, true)
	s.watch(l, unix.EPOLL_CTL_ADD, l.fd, readyRTP)
	s.watch(l, unix.EPOLL_CTL_ADD, l.rtcp, readyRTCP)
	s.hot++
}

// end takes a leg out of the shard, says goodbye to its peer and frees its ports.
func (s *shard) end(l *Leg) {
	if l.closed {
		return
	}
	s.drain(l, l.fd)
	s.tapTo(l, 0, 0, s.wall)
	s.hear(l, nil)
	for len(l.hearers) > 0 {
		s.hear(l.hearers[0], nil)
	}
	s.bye(l)
	if l.checked() && !l.shield.checks.chosen {
		s.totals[l.role].ICE[ICEUnanswered]++
	}
	s.count(l)
	last := l.report()
	l.last = &last
	s.unprotect(l)
	l.closed = true
	s.wheel.remove(l)
	if !l.lazy {
		s.hot--
	}
	list := s.visits[l.visits]
	for i := range list {
		if list[i] == l {
			list[i] = list[len(list)-1]
			s.visits[l.visits] = list[:len(list)-1]
			break
		}
	}
	s.legs[l.index] = nil
	s.vacant = append(s.vacant, l.index)
	l.forget()
	s.giveBack(l)
	s.load.Add(-1)
}

// giveBack closes the sockets of a leg and returns its port.
func (s *shard) giveBack(l *Leg) {
	port := l.local.Port()
	if s.stock == nil {
		closeSockets(l.sockets()...)
		s.ports.release(port, time.Now())
		return
	}
	for _, fd := range l.sockets() {
		s.unwatch(fd)
	}
	s.stock.drop(port, l.sockets()...)
}

// sockets are those of a leg; one may be noSocket.
func (l *Leg) sockets() []int32 { return []int32{l.fd, l.open, l.rtcp} }

// tapTo ends the tap of a leg and begins another.
func (s *shard) tapTo(l *Leg, recording uint64, channel uint8, at int64) {
	if l.recording == recording && l.channel == channel {
		return
	}
	mark := TapRecord{Kind: TapStop, Recording: l.recording, Channel: l.channel, Codec: l.stream.Codec, At: at}
	if l.recording != 0 {
		s.tap.put(&mark)
	}
	l.recording, l.channel, l.tapSince, l.tapUntil = recording, channel, at, math.MaxInt64
	s.change(l)
	if recording != 0 {
		mark.Kind, mark.Recording, mark.Channel = TapStart, recording, channel
		s.tap.put(&mark)
	}
}

// aim works out where the leg's packets go.
func (s *shard) aim(l *Leg) {
	target := l.latch.target()
	if l.checked() && !l.latch.peer.IsValid() {
		target = netip.AddrPort{} // whoever is there has not asked for it (RFC 8445 section 12.1)
	}
	l.target = newSockaddr(target, l.local.Addr())
	l.audible = l.terms.send && l.stream.settled() && l.target.valid() && (l.shield == nil || l.shield.tx != nil)
	if l.latch.peer.IsValid() {
		l.peer, l.known = newSockaddr(l.latch.peer, l.local.Addr()), true
	}
	l.control.aim(l, target)
}

// settle decides how the leg is read. A caller who hears music and is heard by
// nobody need not be served at once: his packets wait in the socket, with the
// time they came, and are read a batch at a time when the leg is visited.
func (s *shard) settle(l *Leg) {
	lazy := l.player.active() && len(l.hearers) == 0 && (l.known || l.stream.Latch == Exact) && (l.shield == nil || l.shield.rx != nil)
	if lazy == l.lazy || l.closed {
		return
	}
	l.lazy = lazy
	if lazy {
		s.hot--
		s.watch(l, unix.EPOLL_CTL_DEL, l.fd, readyRTP)
	} else {
		s.hot++
		s.watch(l, unix.EPOLL_CTL_ADD, l.fd, readyRTP)
	}
}

// hear changes what the leg's peer hears.
func (s *shard) hear(l *Leg, source Source) {
	if from := l.hears; from != nil {
		for i, h := range from.hearers {
			if h == l {
				from.hearers = append(from.hearers[:i], from.hearers[i+1:]...)
				break
			}
		}
		l.hears = nil
		s.settle(from)
	}
	l.player = player{}
	l.out.cut()
	l.since, l.up = s.now, false
	if s.change(l); l.kept != nil {
		l.kept.began = 0
	}
	switch source := source.(type) {
	case *Leg:
		s.listen(l, source)
	case *Playlist:
		if source != nil {
			l.player.under.list = source
		}
	}
	s.pace(l)
	s.settle(l)
}

func (s *shard) listen(l, from *Leg) {
	if from == nil || from.closed {
		return
	}
	if from.shard != s {
		s.log.Error("bridge between shards: the second leg must be made Beside the first",
			zap.Stringer("leg", l.local), zap.Stringer("other", from.local))
		return
	}
	l.hears = from
	from.hearers = append(from.hearers, l)
	s.settle(from)
}
