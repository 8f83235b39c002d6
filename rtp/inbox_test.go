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
		for by, name := range []string{"many", "one", "own"} {
			for recorded := range 3 {
				t.Run(fmt.Sprint(s, " ", name, " ", recorded), func(t *testing.T) { killedAfterReading(t, s, uint64(by), recorded) })
			}
		}
	}
}

func killedAfterReading(t *testing.T, s Suite, by uint64, recorded int) {
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
	tap, in := tapIn(memory[:tapPage+tapSize]), inboxIn(memory[tapPage+tapSize:])
	say()
	say()
	say()
	fd, peer := h.held[socketName(a.leg.port)][2], newSockaddr(a.addr(), loopback)
	read := 1
	before := in.messages[0].header.Controllen
	switch by {
	case byMany:
		read = in.many(int32(fd), a.leg.port)
	case byOne:
		in.one(int32(fd), a.leg.port)
	case byOwn:
		in.own(int32(fd), a.leg.port, &peer)
	}
	if want := map[bool]int{true: 3, false: 1}[by == byMany]; read != want {
		t.Fatalf("%d packets read, want %d", read, want)
	}
	if recorded == 1 {
		_, at := in.packet(0)
		tap.put(&TapRecord{Kind: TapPacket, Recording: 7, Codec: PCMA, Seq: a.seq - 3, SSRC: a.ssrc, At: at, Payload: said[2]})
	}
	if n := in.messages[0].length; recorded == 2 {
		copy(in.blank[n-3:n], in.data[0][n-3:]) // the kernel has written what stood there before
	}
	if by != byMany { // killed right after the system call, before it has given anything back
		in.messages[0].length = 0
	}
	if by == byOwn {
		in.messages[0].header.Controllen, in.from[0] = before, sockaddr{}
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
