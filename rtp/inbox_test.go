package rtp

import (
	"bytes"
	"fmt"
	"testing"
	"unsafe"
)

func TestInboxFitsItsMemory(t *testing.T) {
	if n := unsafe.Sizeof(inbox{}); n > inboxMemory {
		t.Fatalf("%d bytes", n)
	}
}

// A process is killed when it has read packets and has not recorded them (0), or one,
// and has not noted that (1), or when nothing shows that their ends were written (2):
// the next one has each of them once, whole.
func TestWhatWasReadIsNotLost(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: not in make check")
	}
	for _, s := range []Suite{noSuite, GCM128, CM80} {
		for by, name := range []string{"many", "one", "group", "own"} {
			for recorded := range 3 {
				t.Run(fmt.Sprint(s, " ", name, " ", recorded), func(t *testing.T) { killedAfterReading(t, s, by, recorded) })
			}
		}
	}
}

// How an inbox was read.
const (
	byMany = iota
	byOne
	byGroup
	byOwn
)

// inboxes are the one for groups and the other, as a life has left them.
func inboxes(memory []byte) (mail, in *inbox) {
	memory = memory[tapPage+tapKept:]
	return inboxIn(memory), inboxIn(memory[inboxMemory:])
}

func killedAfterReading(t *testing.T, s Suite, by, recorded int) {
	h := newHolder(t)
	m := h.life(nil)
	var a *peer
	if s == noSuite {
		a = newPeer(t, m, nil, alaw())
	} else {
		a = shielded(t, m, nil, alaw(), keysFor(s))
	}
	a.leg.Hear(a.leg)
	a.leg.Tap(7, 0)
	a.sync()
	var said [][]byte
	say := func() {
		said = append(said, frame(byte(len(said))))
		a.say(8, said[len(said)-1])
	}
	say()
	a.hear()
	a.connected(true)
	say()
	a.hear()
	m.Leave()

	// The end of that life: packets come, some of them are read, and nothing more is
	// done but what recorded says.
	memory := mapped(t, h.tap, TapMemory)
	tap := tapIn(memory[:tapPage+tapKept])
	mail, in := inboxes(memory)
	say()
	say()
	say()
	fd := h.ofPeer(a.leg)
	read, place := 1, 0
	switch by {
	case byMany:
		read = in.many(fd, a.leg.port)
	case byOne:
		in.one(fd, a.leg.port)
	default:
		in, place = mail, 5
		in.begin(0)
		in.read(place, &Leg{fd: fd, port: a.leg.port, own: by == byOwn, peer: newSockaddr(a.addr(), loopback)})
	}
	if want := map[bool]int{true: 3, false: 1}[by == byMany]; read != want {
		t.Fatalf("%d packets read, want %d", read, want)
	}
	if recorded == 1 {
		_, at := in.packet(place)
		tap.put(&TapRecord{Kind: TapPacket, Recording: 7, Codec: PCMA, Seq: a.seq - 3, SSRC: a.ssrc, At: at, Payload: said[2]})
	}
	if n := in.messages[place].length; recorded == 2 {
		copy(in.blank[n-3:n], in.data[place][n-3:]) // the kernel has written what stood there before
		in.blank[n-4] = ^in.data[place][n-4]        // but no more than that, as by chance it might
	}
	if by != byMany { // killed right after the system call, before it has given anything back
		in.sizes[place] = 0
	}

	m = h.life(nil)
	a.again(m, nil)
	m.Resumed()
	if r := a.sync(); r.Received != 5 || r.Lost != 0 {
		t.Errorf("received %d, lost %d", r.Received, r.Lost)
	}
	a.sync() // and what it put into the tap is to be read
	n := 0
	m.Taps()[0].Read(func(r TapRecord) {
		if r.Kind != TapPacket {
			return
		}
		if n >= len(said) || !bytes.Equal(r.Payload, said[n]) {
			t.Errorf("record %d: %d bytes, % x", n, len(r.Payload), r.Payload[:8])
		}
		n++
	})
	if n != len(said) {
		t.Errorf("%d packets recorded, %d said", n, len(said))
	}
}

// A process is killed when it has read a group of packets and has recorded and noted
// the first: when it has recorded the second and not noted that, or when that is so of
// one it read besides. The next one has each of them once.
func TestWhatAGroupHadReadIsNotLost(t *testing.T) {
	for name, besides := range map[string]bool{"in the group": false, "besides": true} {
		t.Run(name, func(t *testing.T) { killedInAGroup(t, besides) })
	}
}

func killedInAGroup(t *testing.T, besides bool) {
	h := newHolder(t)
	m := h.life(nil)
	first, second := shielded(t, m, nil, alaw(), keysFor(GCM128)), newPeer(t, m, nil, alaw())
	third, other := shielded(t, m, nil, alaw(), keysFor(CM80)), newPeer(t, m, nil, alaw())
	peers := []*peer{first, second, third, other}
	for i, p := range peers {
		p.leg.Tap(7, uint8(i))
		p.sync()
		p.say(8, frame(1))
		p.connected(true)
	}
	m.Leave()

	memory := mapped(t, h.tap, TapMemory)
	tap := tapIn(memory[:tapPage+tapKept])
	tap.Read(func(TapRecord) {})
	mail, in := inboxes(memory)
	leg := func(p *peer) *Leg {
		return &Leg{fd: h.ofPeer(p.leg), port: p.leg.port}
	}
	record := func(channel int, b *inbox, place int) {
		p := peers[channel]
		_, at := b.packet(place)
		tap.put(&TapRecord{Kind: TapPacket, Recording: 7, Channel: uint8(channel), Codec: PCMA, Seq: p.seq - 1, SSRC: p.ssrc, At: at, Payload: frame(2)})
	}
	mail.begin(0)
	for i, p := range peers[:3] {
		p.say(8, frame(2))
		if errno := mail.read(4*i, leg(p)); errno != 0 {
			t.Fatal(errno)
		}
	}
	record(0, mail, 0)
	mail.done(0)
	want := [4]int{1, 1, 1, 0}
	if besides {
		other.say(8, frame(2))
		if errno := in.one(leg(other).fd, other.leg.port); errno != 0 {
			t.Fatal(errno)
		}
		record(3, in, 0)
		want[3] = 1
	} else {
		record(1, mail, 4)
	}

	m = h.life(nil)
	for _, p := range peers {
		p.again(m, nil)
	}
	m.Resumed()
	for _, p := range peers {
		p.sync()
	}
	first.sync() // and what was put into the tap is to be read
	var got [4]int
	m.Taps()[0].Read(func(r TapRecord) {
		if r.Kind != TapPacket {
			return
		}
		got[r.Channel]++
		if !bytes.Equal(r.Payload, frame(2)) {
			t.Errorf("channel %d: % x", r.Channel, r.Payload[:8])
		}
	})
	if got != want {
		t.Errorf("recorded %v, want %v", got, want)
	}
}
