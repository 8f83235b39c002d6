package rtp

import (
	"bytes"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Two peers talk across the end of a life: what is sent to each goes on with the next
// number of the same stream, a timestamp later by the time between, and nothing that
// was sent meanwhile is missing in the recording.
func TestATalkGoesOnInTheNextLife(t *testing.T) {
	for _, s := range []Suite{noSuite, GCM128, CM80} {
		t.Run(s.String(), func(t *testing.T) {
			h := newHolder(t)
			m := h.life(nil)
			talker := func(beside *Leg, st Stream) *peer {
				if s == noSuite {
					return newPeer(t, m, beside, st)
				}
				return shielded(t, m, beside, st, keysFor(s))
			}
			a := talker(nil, alaw())
			b := talker(a.leg, ulaw())
			Bridge(a.leg, b.leg)
			a.leg.Watch(true)
			a.leg.Tap(7, 0)
			b.leg.Tap(7, 1)
			a.sync()
			seq, ts, ssrc, last := uint16(0), uint32(0), uint32(0), time.Time{}
			check := func(payload byte) {
				t.Helper()
				k := b.hear()
				if !last.IsZero() && (k.SSRC != ssrc || k.SequenceNumber != seq+1) {
					t.Fatalf("%x %d after %x %d", k.SSRC, k.SequenceNumber, ssrc, seq)
				}
				if late := time.Duration(k.Timestamp-ts) * time.Second / clockRate; !last.IsZero() && (late < 20*time.Millisecond || late > time.Since(last)+time.Second) {
					t.Fatalf("timestamp later by %v, after %v", late, time.Since(last))
				}
				if k.Payload[5] != toPCMU[frame(payload)[5]] {
					t.Fatalf("heard % x, not %d", k.Payload[:8], payload)
				}
				seq, ts, ssrc, last = k.SequenceNumber, k.Timestamp, k.SSRC, time.Now()
			}
			said := byte(0)
			for life := range 4 {
				for range 5 {
					a.say(8, frame(said))
					check(said)
					said++
					b.say(0, frame(said))
					a.hear()
				}
				a.connected(true)
				b.connected(true)
				for len(a.told) > 0 {
					<-a.told
				}
				agreed := a.leg.streamOf()
				m.Leave()
				for range 3 { // too old to be passed on when somebody is there again
					a.say(8, frame(said))
					said++
				}
				time.Sleep(2 * fresh)
				m = h.life(nil)
				a.again(m, nil)
				b.again(m, nil)
				m.Resumed()
				a.leg.Set(agreed) // as a call does that does not know whether the last life had come to it
				if r := a.sync(); int(r.Received) != 8*(life+1) || r.Lost != 0 || r.Duplicate != 0 || r.Unproven != 0 {
					t.Fatalf("life %d: %+v", life, r)
				}
			}
			a.say(8, frame(said))
			check(said)
			said++
			a.sync()
			next, others := byte(0), 0
			m.Taps()[0].Read(func(r TapRecord) {
				switch {
				case r.Kind != TapPacket:
					if r.Kind == TapStop {
						t.Error("the tap was ended")
					}
				case r.Channel == 1:
					others++
				case !bytes.Equal(r.Payload, frame(next)):
					t.Fatalf("recorded % x where %d should be", r.Payload[:8], next)
				default:
					next++
				}
			})
			if next != said || others != 20 {
				t.Errorf("recorded %d of %d, and %d of 20 of the other", next, said, others)
			}
			select {
			case e := <-a.told:
				t.Errorf("told because of the gap: %T", e)
			default:
			}
		})
	}
}

// Sockets are stored before a leg has them, the one for its peer too, and let go when
// it has ended; then its port can be had again.
func TestSocketsAreStoredBeforeTheyAreBound(t *testing.T) {
	h := newHolder(t)
	m := h.life(func(o *Options) { o.MinPort, o.MaxPort, o.Quarantine = 30000, 30001, time.Hour })
	for range 3 { // the same port, for there is only one
		p := newPeer(t, m, nil, alaw())
		p.leg.Hear(p.leg)
		p.sync()
		if n := len(h.sockets(p.leg)); n != 2 {
			t.Errorf("%d sockets are stored, not 2", n)
		}
		p.say(8, frame(1))
		p.hear()
		p.connected(true)
		h.ofPeer(p.leg)
		if _, err := p.conn.WriteToUDPAddrPort([]byte("no report"), next(p.leg.Addr())); err != nil {
			t.Fatal(err)
		}
		until(t, "RTCP is read too", func() bool { return p.sync().Malformed == 1 })
		closed := make(chan struct{})
		p.leg.Close(func(Report) { close(closed) })
		<-closed
		if _, ok := m.memory.Get(p.leg.Key()); ok {
			t.Error("a leg that has ended is kept")
		}
		until(t, "its sockets are let go", func() bool { used, _ := m.Ports(); return used == 0 && len(h.sockets(p.leg)) == 0 })
		p.say(8, frame(2)) // to nobody, and not to the next leg
	}
	if n := h.count(); n > stockFull {
		t.Errorf("%d sockets are stored, of no leg", n)
	}
	_ = m.Close()
	if h.count() != 0 {
		t.Errorf("still stored: %v", h.held)
	}
}

// What belongs to no leg any more ends with the first life that knows. Sockets that no
// leg had yet are the next life's.
func TestSocketsOfNoLegAreLetGo(t *testing.T) {
	h := newHolder(t)
	m := h.life(func(o *Options) { o.MinPort, o.MaxPort, o.Quarantine = 30000, 30001, time.Hour })
	p := newPeer(t, m, nil, alaw())
	p.sync()
	m.Leave()
	stored := h.count()
	m = h.life(func(o *Options) { o.MinPort, o.MaxPort, o.Quarantine = 30000, 30001, time.Hour })
	m.Resumed()
	if _, err := m.Resume(p.leg.Key(), LegOptions{}); err == nil {
		t.Error("a leg that nobody had asked for is there")
	}
	until(t, "its sockets are let go", func() bool { used, _ := m.Ports(); return used == 0 })
	if n := h.count(); n != stored-2 {
		t.Errorf("%d sockets stored, %d in the life before", n, stored)
	}
	q := newPeer(t, m, nil, alaw())
	q.leg.Hear(q.leg)
	q.sync()
	q.say(8, frame(1))
	q.hear()
}

// What comes between Open and Resume is told to whoever resumes.
func TestEventsWaitForWhoResumes(t *testing.T) {
	h := newHolder(t)
	m := h.life(nil)
	p := newPeer(t, m, nil, alaw())
	list := &Playlist{Name: "gone", Token: 7, Sounds: []*Sound{NewSound("gone", ramp(80000, 0))}}
	p.leg.Hear(list)
	p.say(8, frame(1))
	p.sync()
	if e, ok := (<-p.told).(Latched); !ok {
		t.Fatalf("%#v", e)
	}
	m.Leave()
	m = h.life(nil)
	back := m.back[p.leg.Key()]
	done := make(chan struct{})
	back.leg.post(func(*shard) { back.leg.tell(BridgeUp{}); close(done) })
	<-done
	if r := h.record(p.leg); !r.Plays || r.List != "gone" {
		t.Errorf("the record has forgotten the list: %+v", r)
	}
	p.again(m, nil)
	m.Resumed()
	for _, want := range []MediaEvent{BridgeUp{}, PlaybackEnded{Token: 7}} {
		if got := <-p.told; got != want {
			t.Errorf("%#v, want %#v", got, want)
		}
	}
}

// What a leg hears is not begun anew by being asked for again, and is if it hears nothing.
func TestStillHears(t *testing.T) {
	m := open(t, nil)
	p := newPeer(t, m, nil, alaw())
	q := newPeer(t, m, p.leg, alaw())
	heard := func() (from *Leg, since int64) {
		done := make(chan struct{})
		p.leg.post(func(*shard) { from, since = p.leg.hears, p.leg.since; close(done) })
		<-done
		return from, since
	}
	p.leg.Still(q.leg)
	from, since := heard()
	if from != q.leg {
		t.Fatal("nothing is heard")
	}
	time.Sleep(2 * time.Millisecond)
	p.leg.Still(q.leg)
	p.leg.Still(music())
	if from, again := heard(); from != q.leg || again != since {
		t.Error("begun anew")
	}
}

// A process may have been killed while it gave a leg's peer a socket of its own, or when
// it had taken that back.
func TestSecondSocketAtAnyMoment(t *testing.T) {
	for name, moment := range map[string]func(t *testing.T, h *holder, p *peer){
		"bound": func(t *testing.T, h *holder, p *peer) {
			nobody := make([]byte, unix.SizeofSockaddrInet4) // AF_UNSPEC
			if _, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(h.ofPeer(p.leg)), uintptr(unsafe.Pointer(&nobody[0])), uintptr(len(nobody))); errno != 0 {
				t.Fatal(errno)
			}
		},
		"connected": func(*testing.T, *holder, *peer) {},
		"of another": func(t *testing.T, h *holder, p *peer) {
			if err := aimSocket(h.ofPeer(p.leg), netip.AddrPortFrom(loopback, 9)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHolder(t)
			m := h.life(nil)
			p := newPeer(t, m, nil, alaw())
			p.leg.Hear(p.leg)
			p.sync()
			p.say(8, frame(1))
			p.hear()
			p.connected(true)
			m.Leave()
			moment(t, h, p)
			m = h.life(nil)
			p.again(m, nil)
			m.Resumed()
			p.say(8, frame(2))
			p.hear()
			p.say(8, frame(3))
			p.hear()
			p.connected(true)
			until(t, "there is one of its peer", func() bool { return len(h.sockets(p.leg)) == 3 })
			if at, _ := peerOf(h.ofPeer(p.leg)); at != p.addr() {
				t.Errorf("the peer's socket is connected to %s", at)
			}
		})
	}
}

// bound is a socket at an address, until the end of the test.
func bound(t *testing.T, at netip.AddrPort) int32 {
	t.Helper()
	fd, err := newSocket(at.Addr())
	if err == nil {
		t.Cleanup(func() { closeSockets(fd) })
		err = bindSocket(fd, at)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}
