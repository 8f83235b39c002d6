package rtp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	pion "github.com/pion/rtp"
)

// keysFor are fresh keys of a suite, as SDP would agree on them.
func keysFor(s Suite) *Keys { return &Keys{Suite: s, Ours: newKey(s), Theirs: newKey(s)} }

// shielded is a peer that speaks SRTP with a leg of its own.
func shielded(t testing.TB, m *Media, beside *Leg, st Stream, k *Keys) *peer {
	t.Helper()
	st.Guard, st.Keys = SDES, k
	p := newPeer(t, m, beside, st)
	p.rekey(k)
	return p
}

func (p *peer) rekey(k *Keys) {
	p.t.Helper()
	var err error
	if p.tx, err = newContext(k.Suite, k.Theirs, k.MKI); err != nil {
		p.t.Fatal(err)
	}
	if p.rx, err = newContext(k.Suite, k.Ours, ""); err != nil {
		p.t.Fatal(err)
	}
}

// Every suite on one leg, plain RTP and the other law on the other: both hear each
// other, keys pass, the recorder gets plain audio, and on the wire nothing of it is
// to be seen.
func TestSRTPIsRelayedToRTPAndBack(t *testing.T) {
	for _, s := range suites {
		for _, mki := range []string{"", "\x07", "\x00\x00\x00\x01"} {
			t.Run(fmt.Sprintf("%s mki %x", s.name, mki), func(t *testing.T) {
				m := open(t, nil)
				k := keysFor(s.suite)
				k.MKI = mki
				a := shielded(t, m, nil, alaw(), k)
				b := newPeer(t, m, a.leg, ulaw())
				Bridge(a.leg, b.leg)
				a.leg.Tap(7, 1)
				a.sync()
				for i := range 5 {
					a.say(8, frame(byte(i)))
					if k := b.hear(); k.Payload[3] != toPCMU[frame(byte(i))[3]] || len(k.Payload) != 160 {
						t.Fatalf("packet %d: % x", i, k.Payload[:8])
					}
					b.say(0, frame(byte(i)))
					if k := a.hear(); k.Payload[3] != toPCMA[frame(byte(i))[3]] || len(k.Payload) != 160 {
						t.Fatalf("packet %d back: % x", i, k.Payload[:8])
					}
				}
				a.say(101, []byte{5, 0x0A, 0, 160})
				if k := b.hear(); k.PayloadType != 96 || !bytes.Equal(k.Payload, []byte{5, 0x0A, 0, 160}) {
					t.Errorf("key: type %d, % x", k.PayloadType, k.Payload)
				}
				a.sync()
				recorded := 0
				m.Taps()[0].Read(func(r TapRecord) {
					if r.Kind == TapPacket {
						if !bytes.Equal(r.Payload, frame(byte(recorded))) {
							t.Errorf("recorded % x", r.Payload[:8])
						}
						recorded++
					}
				})
				r := a.sync()
				if recorded != 5 || r.Unproven != 0 || r.Guard != SDES || r.Suite != s.suite || r.Received != 6 {
					t.Errorf("recorded %d, report %+v", recorded, r)
				}
			})
		}
	}
}

func TestNothingPassesInTheClear(t *testing.T) {
	m := open(t, nil)
	a := shielded(t, m, nil, alaw(), keysFor(GCM128))
	b := newPeer(t, m, a.leg, alaw())
	Bridge(a.leg, b.leg)
	a.sync()
	b.say(8, frame(1))
	raw := make([]byte, 2000)
	_ = a.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := a.conn.Read(raw)
	if err != nil || n != headerSize+160+16 {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if bytes.Contains(raw[:n], frame(1)[:16]) {
		t.Error("the audio is to be read in the packet")
	}
	tx := a.tx
	a.tx = nil // a peer that sends in the clear is not our peer
	a.say(8, frame(2))
	a.tx = tx
	a.say(8, frame(3))
	if k := b.hear(); !bytes.Equal(k.Payload, frame(3)) {
		t.Errorf("heard % x", k.Payload[:4])
	}
	if r := a.sync(); r.Unproven != 1 {
		t.Errorf("unproven: %d", r.Unproven)
	}
}

// Wherever the peer turns up next, it is followed as soon as it proves itself, and
// as often as it likes. Nobody else is: neither with packets of the peer that were
// heard before, nor with an old one that was held back.
func TestALegFollowsItsPeerByProof(t *testing.T) {
	m := open(t, nil)
	for _, rule := range []Latch{Exact, Near} {
		st := alaw()
		st.Latch = rule
		a := shielded(t, m, nil, st, keysFor(CM80))
		b := newPeer(t, m, a.leg, alaw())
		Bridge(a.leg, b.leg)
		a.sync()
		heard := func(what string, payload []byte) {
			t.Helper()
			if k := b.hear(); !bytes.Equal(k.Payload, payload) {
				t.Fatalf("%s: heard % x", what, k.Payload[:4])
			}
		}
		thief, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer thief.Close()
		steal := func(packet []byte) {
			if _, err := thief.WriteToUDPAddrPort(packet, a.leg.Addr()); err != nil {
				t.Fatal(err)
			}
			a.sync()
		}
		a.say(8, frame(5))
		heard("at first", frame(5))
		for move := range 4 {
			held := a.seal(marshal(t, pion.Packet{Header: pion.Header{Version: 2, PayloadType: 8, SequenceNumber: a.seq, Timestamp: a.ts, SSRC: a.ssrc}, Payload: frame(9)}))
			a.seq, a.ts = a.seq+1, a.ts+160
			known := a.seal(marshal(t, pion.Packet{Header: pion.Header{Version: 2, PayloadType: 8, SequenceNumber: a.seq, Timestamp: a.ts, SSRC: a.ssrc}, Payload: frame(8)}))
			a.seq, a.ts = a.seq+1, a.ts+160
			a.throw(known)
			heard("before it moves", frame(8))
			if move%2 == 1 {
				until(t, "the leg has a socket for its peer", func() bool { a.sync(); return a.owns() })
			}
			steal(known) // a copy
			steal(held)  // the peer's own, but overtaken: used and not followed
			heard("held back", frame(9))
			b.say(8, frame(byte(move)))
			if k := a.hear(); !bytes.Equal(k.Payload, frame(byte(move))) {
				t.Fatalf("the peer hears % x", k.Payload[:4])
			}
			conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			a.conn = conn
			a.say(8, frame(7))
			heard("from elsewhere", frame(7))
			b.say(8, frame(6))
			if k := a.hear(); !bytes.Equal(k.Payload, frame(6)) {
				t.Fatalf("at its new place the peer hears % x", k.Payload[:4])
			}
		}
		_ = thief.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := thief.Read(make([]byte, 2000)); err == nil {
			t.Errorf("%d bytes went to a thief", n)
		}
		if r := a.sync(); r.Unproven != 4 {
			t.Errorf("rule %d: unproven %d, want the 4 copies", rule, r.Unproven)
		}
	}
}

// owns tells whether the leg has a socket of its peer's own.
func (p *peer) owns() (own bool) {
	done := make(chan struct{})
	p.leg.post(func(*shard) { own = p.leg.own; close(done) })
	<-done
	return own
}

func marshal(t testing.TB, k pion.Packet) []byte {
	b, err := k.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A million packets that are not the peer's (a tenth in make check), at the shard
// itself: counted, and the next good one is heard.
func TestAMillionForgedPacketsAreCounted(t *testing.T) {
	for _, s := range []Suite{CM80, GCM128} {
		m := open(t, nil)
		a := shielded(t, m, nil, alaw(), keysFor(s))
		b := newPeer(t, m, a.leg, alaw())
		Bridge(a.leg, b.leg)
		a.sync()
		a.say(8, frame(1))
		b.hear()
		good := a.seal(marshal(t, pion.Packet{Header: pion.Header{Version: 2, PayloadType: 8, SequenceNumber: a.seq, SSRC: a.ssrc}, Payload: frame(2)}))
		const each = 50_000
		all := uint64(1_000_000)
		if testing.Short() {
			all /= 10
		}
		for batch := range all / each {
			done := make(chan struct{})
			a.leg.post(func(sh *shard) {
				defer close(done)
				rnd := rand.New(rand.NewPCG(1, batch))
				at := sh.in.from[0]
				for i := range each {
					p := append([]byte(nil), good...)
					switch i % 4 {
					case 0: // the right stream, one bit wrong
						p[2+rnd.IntN(len(p)-2)] ^= 1 << rnd.IntN(8)
					case 1: // another SSRC
						p[8+rnd.IntN(4)] ^= byte(1 + rnd.IntN(255))
					case 2: // cut
						p = p[:rnd.IntN(len(p))]
					case 3: // noise
						for j := range p {
							p[j] = byte(rnd.Uint32())
						}
						p[0], p[1] = 0x80, 8
					}
					sh.arriveShielded(a.leg, &at, p, sh.wall)
				}
			})
			<-done // the machine may be busy
		}
		r := a.sync()
		if r.Received != 1 || r.Unproven+r.Malformed != all {
			t.Errorf("%s: received %d, unproven %d, malformed %d", s, r.Received, r.Unproven, r.Malformed)
		}
		a.throw(good)
		if k := b.hear(); !bytes.Equal(k.Payload, frame(2)) {
			t.Errorf("%s: afterwards heard % x", s, k.Payload[:4])
		}
		n := m.shards[0].totals[TrunkLeg].SRTP
		a.sync()
		if n[SRTPForged] < all*7/10 || n[SRTPMalformed] == 0 {
			t.Errorf("%s: counted %v", s, n)
		}
	}
}

// A new key of the peer is taken into use while packets under the old one are still
// on their way, and ends the old one. Ours goes on under its own.
func TestNewKeysInTheMiddleOfACall(t *testing.T) {
	for _, s := range suites {
		m := open(t, nil)
		k := keysFor(s.suite)
		a := shielded(t, m, nil, alaw(), k)
		b := newPeer(t, m, a.leg, alaw())
		Bridge(a.leg, b.leg)
		a.sync()
		hears := func(what string, payload []byte) {
			t.Helper()
			if k := b.hear(); !bytes.Equal(k.Payload, payload) {
				t.Fatalf("%s: %s: heard % x", s.name, what, k.Payload[:4])
			}
		}
		a.say(8, frame(1))
		hears("first key", frame(1))
		old := a.tx
		k2 := &Keys{Suite: s.suite, Ours: k.Ours, Theirs: newKey(s.suite)}
		st := alaw()
		st.Remote, st.Send, st.Receive, st.Guard, st.Keys = a.addr(), true, true, SDES, k2
		a.leg.Set(st)
		a.sync()
		a.say(8, frame(2))
		hears("on its way", frame(2))
		fresh, err := newContext(s.suite, k2.Theirs, "")
		if err != nil {
			t.Fatal(err)
		}
		a.tx = fresh
		a.say(8, frame(3))
		hears("second key", frame(3))
		a.tx = old
		a.say(8, frame(4))
		a.sync()
		a.tx = fresh
		a.say(8, frame(5))
		hears("after the first key has ended", frame(5))
		b.say(8, frame(6))
		if k := a.hear(); !bytes.Equal(k.Payload, frame(6)) {
			t.Errorf("%s: our key was to stay", s.name)
		}
		a.leg.Set(st) // a session refresh
		a.sync()
		a.say(8, frame(7))
		hears("after a refresh", frame(7))
		b.say(8, frame(8))
		a.hear() // would fail to decrypt
		if r := a.sync(); r.Unproven != 1 {
			t.Errorf("%s: unproven %d", s.name, r.Unproven)
		}
	}
}

// Past the turn of the numbers, in both directions, with loss.
func TestSRTPPastTheTurnOfTheNumbers(t *testing.T) {
	m := open(t, nil)
	a := shielded(t, m, nil, alaw(), keysFor(GCM256))
	b := newPeer(t, m, a.leg, alaw())
	Bridge(a.leg, b.leg)
	a.sync()
	a.leg.post(func(*shard) { a.leg.out.seq = 65000 })
	a.seq = 65000
	for i := range 1200 {
		if i%7 == 3 {
			a.seq, b.seq = a.seq+1, b.seq+1 // lost
			continue
		}
		a.say(8, frame(byte(i)))
		if k := b.hear(); k.Payload[0] != byte(i) {
			t.Fatalf("packet %d", i)
		}
		b.say(8, frame(byte(i)))
		if k := a.hear(); k.Payload[0] != byte(i) {
			t.Fatalf("packet %d back", i)
		}
	}
	if r := a.sync(); r.Unproven != 0 {
		t.Errorf("unproven: %d", r.Unproven)
	}
}

// A number is used once under one key, whatever order a source's packets come in.
func TestNoNumberIsUsedTwice(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	for range 200 {
		var o once
		used := map[uint16]bool{}
		at := uint16(rnd.Uint32())
		for range 500 {
			at += uint16(rnd.IntN(3))
			seq := at - uint16(rnd.IntN(90))
			if o.first(seq) {
				if used[seq] {
					t.Fatalf("%d twice", seq)
				}
				used[seq] = true
			} else if !used[seq] && int16(uint16(o.newest)-seq) < 64 {
				t.Fatalf("%d refused though it was free", seq)
			}
		}
	}
}

// A packet that is left out shifts the numbers of those behind it. One that was
// overtaken would then come to a number that is used.
func TestALateOneAfterOneLeftOutIsNotSentUnderAUsedNumber(t *testing.T) {
	m := open(t, nil)
	a := newPeer(t, m, nil, alaw())
	b := shielded(t, m, a.leg, alaw(), keysFor(GCM128))
	Bridge(a.leg, b.leg)
	a.sync()
	at := func(seq uint16, pt uint8) {
		a.write(pion.Packet{Header: pion.Header{Version: 2, PayloadType: pt, SequenceNumber: 100 + seq, Timestamp: uint32(seq) * 160, SSRC: 1}, Payload: frame(byte(seq))})
	}
	at(0, 8)
	b.hear()
	at(2, 77) // left out
	at(1, 8)  // would be sent as number 0 once more
	at(3, 8)
	if k := b.hear(); k.Payload[0] != 3 {
		t.Errorf("heard %d", k.Payload[0])
	}
	if r := b.sync(); r.SendFails != 1 {
		t.Errorf("%d packets were held back", r.SendFails)
	}
}
