package rtp

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	pion "github.com/pion/rtp"

	"foyer/terse"
	"foyer/terse/tersetest"
)

// next gives the peers' legs another life.
func (h *holder) next(m *Media, list *Playlist, peers ...*peer) *Media {
	h.t.Helper()
	m.Leave()
	m = h.life(nil)
	for _, p := range peers {
		p.again(m, list)
	}
	m.Resumed()
	return m
}

// numbered is a sound whose every 20 ms tell which they are.
func numbered(n int) *Sound {
	var b []byte
	for i := range n {
		b = append(b, bytes.Repeat([]byte{byte(i)}, 160)...)
	}
	return NewSound("numbered", b)
}

func TestAListGoesOnWhereItWas(t *testing.T) {
	h := newHolder(t)
	m := h.life(nil)
	p := newPeer(t, m, nil, alaw())
	list := &Playlist{Name: "notice", Sounds: []*Sound{numbered(50)}, Token: 5}
	p.leg.Hear(list)
	last := byte(0)
	hear := func(n int) {
		t.Helper()
		for range n {
			k := p.hear()
			if step := int8(k.Payload[0] - last); step < 0 || step > 3 {
				t.Fatalf("piece %d after %d", k.Payload[0], last)
			}
			last = k.Payload[159]
		}
	}
	hear(10)
	m.Leave()
	for { // what was sent until then
		k, ok := p.listen(50 * time.Millisecond)
		if !ok {
			break
		}
		last = k.Payload[159]
	}
	time.Sleep(300 * time.Millisecond) // of silence, which is not skipped
	m = h.life(nil)
	p.again(m, list)
	m.Resumed()
	hear(10)
	if e := await[PlaybackEnded](p); e.Token != 5 {
		t.Errorf("token %d", e.Token)
	}
	p.leg.Hear(list)
	p.sync()
	h.next(m, nil, p) // there is no such list any more
	if e := await[PlaybackEnded](p); e.Token != 5 {
		t.Errorf("token %d", e.Token)
	}
	if r := p.sync(); r.Sent < 50 {
		t.Errorf("sent %d", r.Sent)
	}
}

// A key that is being pressed is pressed once, however long the pause in it; so is one
// that waits its turn.
func TestAKeyIsPressedAcrossLives(t *testing.T) {
	h := newHolder(t)
	m := h.life(nil)
	p := newPeer(t, m, nil, alaw())
	p.leg.SendDigit('5', 300*time.Millisecond)
	p.leg.SendDigit('6', 100*time.Millisecond)
	var pad keypad
	var got []Digit
	hear := func() bool {
		k, ok := p.listen(5 * time.Second)
		if !ok {
			t.Fatal("no more of the keys")
		}
		e, ok := readEvent(k.Payload)
		if !ok || k.PayloadType != 101 {
			t.Fatalf("heard % x", k.Payload)
		}
		if d, ok := pad.step(time.Now().UnixNano(), stamp{k.SSRC, k.Timestamp}, e); ok {
			got = append(got, d)
		}
		return len(got) < 2
	}
	for range 3 {
		hear()
	}
	h.next(m, nil, p)
	for hear() {
	}
	if got[0].Digit != '5' || got[1].Digit != '6' || got[0].Length != 300*time.Millisecond || got[1].Length != 100*time.Millisecond {
		t.Errorf("%+v", got)
	}
	until(t, "no key is left", func() bool { return h.record(p.leg).Keys == nil })
}

// The end of a key comes three times; told once, it is not told by the next life.
func TestAKeyIsToldOnce(t *testing.T) {
	h := newHolder(t)
	m := h.life(nil)
	p := newPeer(t, m, nil, alaw())
	end := func() {
		p.write(pion.Packet{Header: pion.Header{Version: 2, PayloadType: 101, SequenceNumber: p.seq, Timestamp: 8000, SSRC: p.ssrc}, Payload: []byte{5, 0x8A, 3, 32}})
		p.seq++
	}
	end()
	if d := await[Digit](p); d.Digit != '5' {
		t.Errorf("%c", d.Digit)
	}
	p.sync()
	h.next(m, nil, p)
	end()
	end()
	p.say(8, frame(1))
	until(t, "they are there", func() bool { return p.sync().Received == 4 })
	for len(p.told) > 0 {
		if d, is := (<-p.told).(Digit); is {
			t.Errorf("told again: %+v", d)
		}
	}
}

// The time without a process is nobody's silence, and what was told of one before is
// taken back when the peer is heard.
func TestAGapIsNoSilence(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: not in make check")
	}
	h := newHolder(t)
	hasty := func(o *Options) { o.MediaTimeout = 2 * time.Second }
	m := h.life(hasty)
	p, q := newPeer(t, m, nil, alaw()), newPeer(t, m, nil, alaw())
	p.say(8, frame(1))
	p.leg.Watch(true)
	await[Quiet](p)
	q.say(8, frame(1))
	q.leg.Watch(true)
	await[Latched](q)
	q.sync()
	m.Leave()
	time.Sleep(2500 * time.Millisecond) // longer than the timeout
	m = h.life(hasty)
	p.again(m, nil)
	q.again(m, nil)
	m.Resumed()
	began := time.Now()
	visited := make(chan bool)
	until(t, "the legs have been visited", func() bool {
		q.leg.post(func(s *shard) { visited <- s.now > int64(3*visitEvery*tick) })
		return <-visited
	})
	if len(q.told) > 0 && time.Since(began) < time.Second {
		t.Errorf("told: %T", <-q.told)
	}
	p.say(8, frame(2))
	await[Heard](p)
	select {
	case e := <-p.told:
		t.Errorf("told: %T", e)
	default:
	}
}

// A phone behind a router keeps its lock; somebody else is refused at once.
func TestALockHoldsInTheNextLife(t *testing.T) {
	h := newHolder(t)
	m := h.life(nil)
	st := alaw()
	st.Remote, st.Latch, st.SignalIP = ap("10.9.8.7:4000"), Near, loopback
	p := newPeer(t, m, nil, st)
	p.leg.Hear(p.leg)
	until(t, "it is believed", func() bool {
		p.say(8, frame(0))
		time.Sleep(20 * time.Millisecond) // the pace of speech: the rule is about time
		return p.sync().Received > 0
	})
	h.next(m, nil, p)
	stranger := bound(t, netip.AddrPortFrom(loopback, 0))
	to := newSockaddr(p.leg.Addr(), loopback)
	send(stranger, marshal(t, pion.Packet{Header: pion.Header{Version: 2, PayloadType: 8, SSRC: 3}, Payload: frame(9)}), &to)
	p.say(8, frame(7))
	for k := p.hear(); k.Payload[0] != 7; k = p.hear() {
		if k.Payload[0] == 9 {
			t.Fatal("the stranger is heard")
		}
	}
	until(t, "the stranger is refused", func() bool { return p.sync().Refused == 1 })
}

// What the last life has heard is not heard again, wherever it comes from.
func TestReplaysAreRefusedByTheNextLife(t *testing.T) {
	for _, s := range []Suite{GCM128, CM80} {
		h := newHolder(t)
		m := h.life(nil)
		p := shielded(t, m, nil, alaw(), keysFor(s))
		p.leg.Tap(1, 0)
		var raw [][]byte
		say := func() {
			raw = append(raw, p.seal(marshal(t, pion.Packet{Header: pion.Header{Version: 2, PayloadType: 8, SequenceNumber: p.seq, Timestamp: p.ts, SSRC: p.ssrc}, Payload: frame(0)})))
			p.seq++
			p.ts += 160
			p.throw(raw[len(raw)-1])
		}
		for range 150 {
			say()
		}
		until(t, "all are heard", func() bool { return p.sync().Received == 150 })
		h.next(m, nil, p)
		for _, old := range raw[:150] {
			p.throw(old)
		}
		say()
		for _, old := range raw[:150] {
			p.throw(old)
		}
		until(t, "all are judged", func() bool { return p.sync().Unproven == 300 })
		if r := p.sync(); r.Received != 151 {
			t.Errorf("received %d", r.Received)
		}
	}
}

// The certificate whose fingerprint phones were told is the next life's too.
func TestTheCertificateStays(t *testing.T) {
	h := newHolder(t)
	m := h.life(nil)
	was := m.Fingerprint()
	m.Leave()
	if m = h.life(nil); m.Fingerprint() != was {
		t.Error("another certificate")
	}
}

// A leg on every address of the machine is connected to its peer by the one that the
// peer reaches, again and again.
func TestALegOnAllAddressesIsKept(t *testing.T) {
	h := newHolder(t)
	all := func(o *Options) { o.Addr, o.Public = netip.IPv4Unspecified(), loopback }
	m := h.life(all)
	p := newPeer(t, m, nil, alaw())
	p.leg.Hear(p.leg)
	p.sync()
	for range 3 {
		for range 5 {
			p.say(8, frame(1))
			if _, ok := p.listen(5 * time.Second); !ok {
				t.Fatal("nothing heard")
			}
		}
		p.connected(true)
		p.say(8, frame(1))
		p.hear()
		m.Leave()
		m = h.life(all)
		p.again(m, nil)
		m.Resumed()
		p.sync()
		p.connected(true)
	}
	if r := p.sync(); r.Received != 18 || r.Lost != 0 {
		t.Errorf("%+v", r)
	}
}

func TestRecordsAreWhole(t *testing.T) {
	tersetest.RoundTrip(t, records)
	tersetest.RoundTrip(t, terse.New[KeptSession]())
}

// A record may hold what this release does not know. One of another version is not
// guessed at.
func TestRecordsOfOtherReleases(t *testing.T) {
	type later struct {
		record
		Later struct{ A []int }
	}
	one := later{record{Version: recordVersion, Port: 20000, SSRC: 7}, struct{ A []int }{[]int{1}}}
	r, err := readRecord(terse.New[later]().Append(nil, &one))
	if err != nil || r.SSRC != 7 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := readRecord(records.Append(nil, &record{Version: recordVersion + 1})); err == nil {
		t.Error("another version is read")
	}
}

// No key is to be seen where a record is printed by mistake, and all of them are in it.
func TestARecordHasTheKeys(t *testing.T) {
	h := newHolder(t)
	m := h.life(nil)
	k := keysFor(GCM256)
	k.MKI = "\x01\x02"
	p := shielded(t, m, nil, alaw(), k)
	p.sync()
	p.sync() // written at the end of the turn before
	r := h.record(p.leg)
	if s := r.Shield; s == nil || Secret(s.Ours) != k.Ours || Secret(s.Theirs) != k.Theirs || string(s.MKI) != k.MKI || s.Suite != GCM256 {
		t.Errorf("%+v", r)
	}
}

// Another range of ports or address in the configuration takes nothing from the calls
// that are up: they keep theirs to their end, and then nobody gets them.
func TestLegsOutliveAnotherConfiguration(t *testing.T) {
	h := newHolder(t)
	m := h.life(func(o *Options) { o.MinPort, o.MaxPort = 20000, 39999 })
	p := newPeer(t, m, nil, alaw())
	p.leg.Hear(p.leg)
	p.sync()
	was := p.leg.Addr()
	m.Leave()
	m = h.life(func(o *Options) { o.Addr, o.Public, o.MinPort, o.MaxPort = loopback, loopback, 40000, 59999 })
	p.again(m, nil)
	m.Resumed()
	p.say(8, frame(1))
	p.hear()
	if p.leg.Addr() != was {
		t.Errorf("%s has become %s", was, p.leg.Addr())
	}
	closed := make(chan struct{})
	p.leg.Close(func(Report) { close(closed) })
	<-closed
	until(t, "the port is nobody's", func() bool {
		used, _ := m.Ports()
		return used == 0 && len(h.sockets(p.leg)) == 0
	})
}
