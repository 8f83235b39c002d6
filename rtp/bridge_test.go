package rtp

import (
	"bytes"
	"testing"
	"time"

	pion "github.com/pion/rtp"
)

func frame(b byte) []byte {
	f := make([]byte, 160)
	for i := range f {
		f[i] = b + byte(i)
	}
	return f
}

func TestBridgeTranslatesBetweenTheLaws(t *testing.T) {
	m := open(t, nil)
	a := newPeer(t, m, nil, alaw())
	b := newPeer(t, m, a.leg, ulaw())
	Bridge(a.leg, b.leg)
	a.sync()
	a.say(8, frame(3))
	got := b.hear()
	if got.PayloadType != 0 || !got.Marker {
		t.Errorf("first packet: type %d, marker %v", got.PayloadType, got.Marker)
	}
	for i, c := range frame(3) {
		if got.Payload[i] != toPCMU[c] {
			t.Fatalf("byte %d: %#x became %#x", i, c, got.Payload[i])
		}
	}
	await[BridgeUp](b)
	b.say(0, frame(9))
	back := a.hear()
	if back.PayloadType != 8 || back.Payload[5] != toPCMA[frame(9)[5]] {
		t.Errorf("back: type %d, payload % x", back.PayloadType, back.Payload[:8])
	}
	if a.say(0, frame(1)); !bytes.Equal(b.hear().Payload, frame(1)) {
		t.Error("mu-law from a peer of A-law was translated although it was right already")
	}
}

func TestBridgeShowsTheGapsOfTheSource(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, alaw(), alaw())
	first := say(a, b, 0)
	for _, step := range []uint16{1, 2, 5, 4, 9} {
		got := say(a, b, step)
		if got.SequenceNumber-first.SequenceNumber != step || got.Timestamp-first.Timestamp != uint32(step)*160 {
			t.Errorf("packet %d came as +%d, timestamp +%d", step, got.SequenceNumber-first.SequenceNumber, got.Timestamp-first.Timestamp)
		}
		if got.SSRC != first.SSRC || got.Marker {
			t.Errorf("packet %d: SSRC %x, marker %v", step, got.SSRC, got.Marker)
		}
	}
	r := a.sync()
	if r.Lost != 4 || r.Reordered != 1 || r.Received != 6 {
		t.Errorf("counted lost %d, reordered %d, received %d", r.Lost, r.Reordered, r.Received)
	}
}

// say sends the packet that many steps after a's first and returns what b hears.
func say(a, b *peer, step uint16) pion.Packet {
	a.t.Helper()
	a.write(pion.Packet{Header: pion.Header{
		Version: 2, PayloadType: 8, SequenceNumber: a.seq + step, Timestamp: a.ts + 160*uint32(step), SSRC: a.ssrc,
	}, Payload: frame(byte(step))})
	k := b.hear()
	if !bytes.Equal(k.Payload, frame(byte(step))) {
		a.t.Fatalf("packet %d: payload % x", step, k.Payload[:4])
	}
	return k
}

func bridged(t *testing.T, m *Media, sa, sb Stream) (a, b *peer) {
	a = newPeer(t, m, nil, sa)
	b = newPeer(t, m, a.leg, sb)
	Bridge(a.leg, b.leg)
	a.sync()
	return a, b
}

// A caller waits with music, talks, and waits again: one SSRC, no sequence
// number missing or twice, and timestamps that follow the clock.
func TestOneStreamFromMusicToAgentToMusic(t *testing.T) {
	m := open(t, nil)
	caller := newPeer(t, m, nil, alaw())
	agent := newPeer(t, m, caller.leg, ulaw())
	music := &Playlist{Sounds: []*Sound{NewSound("music", bytes.Repeat([]byte{0x55}, 8000))}, Loop: true}
	began := time.Now()
	var all []pion.Packet
	var at []time.Duration
	listen := func(n int, each func()) {
		for range n {
			if each != nil {
				each()
			}
			all = append(all, caller.hear())
			at = append(at, time.Since(began))
		}
	}
	caller.leg.Hear(music)
	listen(10, nil)
	Bridge(caller.leg, agent.leg)
	caller.sync()
	for { // music that was on its way
		k, ok := caller.listen(50 * time.Millisecond)
		if !ok {
			break
		}
		all, at = append(all, k), append(at, time.Since(began))
	}
	switched := len(all)
	listen(10, func() { agent.say(0, frame(7)) })
	caller.leg.Hear(music)
	listen(10, nil)

	for i := 1; i < len(all); i++ {
		k, before := all[i], all[i-1]
		if k.SSRC != before.SSRC || k.SequenceNumber != before.SequenceNumber+1 {
			t.Fatalf("packet %d: SSRC %x after %x, seq %d after %d", i, k.SSRC, before.SSRC, k.SequenceNumber, before.SequenceNumber)
		}
		change := i == switched || i == switched+10
		if k.Marker != change {
			t.Errorf("packet %d: marker %v", i, k.Marker)
		}
		ahead := samples(k.Timestamp-before.Timestamp) - (at[i] - at[i-1])
		if !change && k.Timestamp-before.Timestamp != 160 {
			t.Errorf("packet %d: timestamp +%d", i, k.Timestamp-before.Timestamp)
		}
		if change && (ahead > 30*time.Millisecond || k.Timestamp-before.Timestamp < 160) {
			t.Errorf("packet %d: timestamp +%d after %s", i, k.Timestamp-before.Timestamp, at[i]-at[i-1])
		}
	}
}

// When an agent has answered, whatever was playing is over: the next packet the
// caller gets is the agent's first word. Packets are counted, not timed.
func TestAfterTheMusicComesTheAgent(t *testing.T) {
	for _, c := range []struct {
		name   string
		agent  Stream
		ptime  time.Duration
		voice  byte // what the caller hears of the agent's first byte
		others int  // peers talking besides: with many the shard goes by the tick
		sounds []*Sound
	}{
		{"music", alaw(), 0, 3, 0, []*Sound{tune(8000)}},
		{"the greeting", alaw(), 0, 3, 0, []*Sound{tune(64000), tune(8000)}},
		{"the other law", ulaw(), 0, toPCMA[3], 0, []*Sound{tune(8000)}},
		{"long packets", alaw(), 60 * time.Millisecond, 3, 0, []*Sound{tune(8000)}},
		{"by the tick", alaw(), 0, 3, 2 * manyHot, []*Sound{tune(8000)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := open(t, nil)
			if c.others > 0 {
				others := newCrowd(t, c.others)
				others.join(t, m)
				for i := 0; i < len(others.legs); i += 2 {
					Bridge(others.legs[i], others.legs[i+1])
				}
				others.start()
				t.Cleanup(others.close)
			}
			st := alaw()
			st.Ptime = c.ptime
			caller := newPeer(t, m, nil, st)
			agent := newPeer(t, m, caller.leg, c.agent)
			caller.leg.Hear(&Playlist{Sounds: c.sounds, Loop: true})
			first := caller.hear()
			agent.say(c.agent.PT, frame(7)) // before the caller may hear him
			agent.sync()
			Bridge(caller.leg, agent.leg)
			played := uint16(caller.sync().Sent)
			agent.say(c.agent.PT, frame(3))
			for n := uint16(1); n < played; n++ {
				if k := caller.hear(); k.SequenceNumber != first.SequenceNumber+n || k.Payload[0] != 0x55 {
					t.Fatalf("packet %d of the music: number +%d, % x", n, k.SequenceNumber-first.SequenceNumber, k.Payload[:4])
				}
			}
			k := caller.hear()
			if k.SequenceNumber != first.SequenceNumber+played || k.Payload[0] != c.voice || !k.Marker {
				t.Errorf("after %d packets of music: number +%d, % x, marker %v", played, k.SequenceNumber-first.SequenceNumber, k.Payload[:4], k.Marker)
			}
			await[BridgeUp](caller)
		})
	}
}

// tune is a sound of n bytes that no voice of these tests has.
func tune(n int) *Sound { return NewSound("tune", bytes.Repeat([]byte{0x55}, n)) }

func TestEventsAreTranslatedOrLeftOut(t *testing.T) {
	m := open(t, nil)
	deaf := alaw()
	deaf.EventPT = 0
	a, b := bridged(t, m, alaw(), ulaw()) // events 101 and 96
	c := newPeer(t, m, a.leg, deaf)
	c.leg.Hear(a.leg)
	c.sync()

	a.say(8, frame(0))
	b1, c1 := b.hear(), c.hear()
	key := []byte{5, 0x0A, 0, 160}
	a.say(101, key)
	k := b.hear()
	if k.PayloadType != 96 || !bytes.Equal(k.Payload, key) || k.SequenceNumber != b1.SequenceNumber+1 {
		t.Errorf("event arrived as type %d, % x, seq +%d", k.PayloadType, k.Payload, k.SequenceNumber-b1.SequenceNumber)
	}
	a.say(77, frame(1)) // nobody knows what this is
	a.say(8, frame(2))
	if k = c.hear(); !bytes.Equal(k.Payload, frame(2)) || k.SequenceNumber != c1.SequenceNumber+1 {
		t.Errorf("the peer without events: % x, seq +%d", k.Payload[:4], k.SequenceNumber-c1.SequenceNumber)
	}
	if k = b.hear(); k.Payload[0] != toPCMU[2] || k.SequenceNumber != b1.SequenceNumber+2 {
		t.Errorf("after the unknown type: % x, seq +%d", k.Payload[:4], k.SequenceNumber-b1.SequenceNumber)
	}
	if r := a.sync(); r.Unknown != 1 || r.Lost != 0 {
		t.Errorf("unknown %d, lost %d", r.Unknown, r.Lost)
	}
}

// A phone that does not send silence says what it sounds like instead. That is not
// passed on and no fault, and what follows it comes at its own time.
func TestComfortNoiseIsTolerated(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, alaw(), alaw())
	a.say(8, frame(1))
	first := b.hear()
	a.say(comfortNoise, []byte{70})
	a.ts += 100 * 160
	a.say(8, frame(2))
	k := b.hear()
	if k.SequenceNumber != first.SequenceNumber+1 || k.Timestamp-first.Timestamp != 102*160 || !bytes.Equal(k.Payload, frame(2)) {
		t.Errorf("after the pause: number +%d, timestamp +%d", k.SequenceNumber-first.SequenceNumber, k.Timestamp-first.Timestamp)
	}
	if r := a.sync(); r.Unknown != 0 || r.Lost != 0 {
		t.Errorf("unknown %d, lost %d", r.Unknown, r.Lost)
	}
}

func TestHeaderExtrasStayBehind(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, alaw(), alaw())
	k := pion.Packet{Header: pion.Header{
		Version: 2, PayloadType: 8, SequenceNumber: 1, SSRC: 4, CSRC: []uint32{1, 2},
		Extension: true, ExtensionProfile: 0xBEDE,
	}, Payload: frame(1)}
	if err := k.SetExtension(3, []byte{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	a.write(k)
	if got := b.hear(); got.Extension || len(got.CSRC) > 0 || !bytes.Equal(got.Payload, frame(1)) {
		t.Errorf("%+v", got.Header)
	}
}

func TestNobodyHearsWhoMayNotSpeak(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, alaw(), alaw())
	hold := alaw()
	hold.Remote, hold.Send, hold.Receive = b.addr(), false, false
	b.leg.Set(hold)
	b.sync()
	a.say(8, frame(0))
	a.sync()
	hold.Send = true
	b.leg.Set(hold)
	b.sync()
	a.say(8, frame(1))
	if k := b.hear(); !bytes.Equal(k.Payload, frame(1)) || !k.Marker {
		t.Errorf("after hold: % x marker %v", k.Payload[:4], k.Marker)
	}
	b.say(8, frame(2)) // Receive is still off
	b.sync()
	hold.Receive = true
	b.leg.Set(hold)
	b.sync()
	b.say(8, frame(3))
	if k := a.hear(); !bytes.Equal(k.Payload, frame(3)) {
		t.Errorf("heard % x", k.Payload[:4])
	}
}
