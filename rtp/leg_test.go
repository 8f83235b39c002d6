package rtp

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	pion "github.com/pion/rtp"
)

func TestStrangersAreRefused(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, alaw(), alaw())
	stranger, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(a.leg.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Close() }()
	for i := range 200 {
		k, err := (&pion.Packet{Header: pion.Header{Version: 2, PayloadType: 8, SequenceNumber: uint16(i), SSRC: a.ssrc}, Payload: frame(9)}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stranger.Write(k); err != nil {
			t.Fatal(err)
		}
	}
	a.say(8, frame(1))
	if k := b.hear(); k.Payload[0] != 1 {
		t.Errorf("heard the stranger: % x", k.Payload[:4])
	}
	if r := a.sync(); r.Refused != 200 || r.Received != 1 {
		t.Errorf("refused %d, received %d", r.Refused, r.Received)
	}
}

func TestRubbishIsCounted(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, alaw(), alaw())
	a.say(8, frame(0))
	b.hear()
	for _, b := range [][]byte{{}, {0x80}, make([]byte, 12), {0xBF, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 4000)} {
		if _, err := a.conn.WriteToUDPAddrPort(b, a.leg.Addr()); err != nil {
			t.Fatal(err)
		}
		if _, err := a.conn.WriteToUDPAddrPort(b, next(a.leg.Addr())); err != nil {
			t.Fatal(err)
		}
	}
	a.say(8, frame(1))
	if k := b.hear(); k.Payload[0] != 1 {
		t.Errorf("heard % x", k.Payload[:4])
	}
	if r := a.sync(); r.Malformed < 5 || r.Received != 2 {
		t.Errorf("malformed %d, received %d", r.Malformed, r.Received)
	}
}

func next(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), a.Port()+1) }

// A phone behind a router: its SDP address is nobody here, its packets come from
// the SIP flow's IP. Not one packet may leave before the lock.
func TestPhoneBehindARouter(t *testing.T) {
	m := open(t, nil)
	st := alaw()
	st.Remote, st.Latch, st.SignalIP = ap("10.9.8.7:4000"), Near, loopback
	p := newPeer(t, m, nil, st)
	p.leg.Hear(&Playlist{Sounds: []*Sound{NewSound("", ramp(8000, 0))}, Loop: true})
	for range 4 {
		p.say(8, frame(0))
		time.Sleep(20 * time.Millisecond) // the pace of speech: the rule is about time
	}
	if r := p.sync(); r.Sent != 0 || r.Received != 0 {
		t.Fatalf("before the lock: sent %d, received %d", r.Sent, r.Received)
	}
	p.say(8, frame(0))
	if e := await[Latched](p); e.Remote != p.addr() {
		t.Errorf("latched to %s, want %s", e.Remote, p.addr())
	}
	p.hear()
	if r := p.sync(); r.Received < 1 || r.Refused != 0 {
		t.Errorf("after the lock: received %d, refused %d", r.Received, r.Refused)
	}
}

// The router gives the phone's media another port, and the phone goes on as if
// nothing had happened: it is heard again, and sent to where it is now.
func TestPhoneGetsAnotherPort(t *testing.T) {
	m := open(t, nil)
	st := alaw()
	st.Remote, st.Latch, st.SignalIP = ap("10.9.8.7:4000"), Near, loopback
	p := newPeer(t, m, nil, st)
	p.leg.Hear(&Playlist{Sounds: []*Sound{NewSound("", ramp(8000, 0))}, Loop: true})
	speak := func() {
		t.Helper()
		for range 8 {
			p.say(8, frame(0))
			time.Sleep(20 * time.Millisecond) // the pace of speech: the rule is about time
		}
	}
	speak()
	await[Latched](p)
	p.hear()
	again, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = p.conn.Close()
	p.conn = again
	t.Cleanup(func() { _ = again.Close() })
	for moved := false; !moved; { // refused while the old port may only have paused
		speak()
		select {
		case e := <-p.told:
			l, is := e.(Latched)
			if moved = is; is && l.Remote != p.addr() {
				t.Errorf("latched to %s, want %s", l.Remote, p.addr())
			}
		default:
			if p.seq > 500 && p.seq < 60000 {
				t.Fatal("the phone is never heard again")
			}
		}
	}
	p.hear()
}

func TestWatchTellsASilenceOnce(t *testing.T) {
	m := open(t, func(o *Options) { o.MediaTimeout = 250 * time.Millisecond })
	p := newPeer(t, m, nil, alaw())
	p.leg.Watch(true)
	if e := await[Silent](p); e.For < 250*time.Millisecond {
		t.Errorf("silent for %s", e.For)
	}
	p.say(8, frame(0))
	if e := await[Silent](p); e.For < 250*time.Millisecond { // a new silence
		t.Errorf("silent for %s", e.For)
	}
	p.leg.Watch(false)
	p.say(8, frame(0))
	p.sync()
	select {
	case e := <-p.told:
		if _, silent := e.(Silent); silent {
			t.Error("told though nobody watches")
		}
	case <-time.After(500 * time.Millisecond):
	}
}

func TestDigitsBothWays(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, alaw(), alaw())
	a.leg.SendDigit('5', 60*time.Millisecond)
	a.leg.SendDigit('#', 60*time.Millisecond)
	var k keypad
	var got []Digit
	for len(got) < 2 {
		p := a.hear()
		e, ok := readEvent(p.Payload)
		if !ok || p.PayloadType != 101 {
			t.Fatalf("type %d, % x", p.PayloadType, p.Payload)
		}
		if d, ok := k.step(0, stamp{p.SSRC, p.Timestamp}, e); ok {
			got = append(got, d)
		}
	}
	want := []Digit{{'5', 60 * time.Millisecond}, {'#', 60 * time.Millisecond}}
	if got[0] != want[0] || got[1] != want[1] {
		t.Errorf("pressed %v, heard %v", want, got)
	}
	for _, end := range []byte{0, 0x80, 0x80, 0x80} {
		b.write(pion.Packet{Header: pion.Header{Version: 2, PayloadType: 101, SequenceNumber: b.seq, Timestamp: 100, SSRC: b.ssrc}, Payload: []byte{9, end, 1, 0x90}})
		b.seq++
	}
	if d := await[Digit](b); d != (Digit{'9', 50 * time.Millisecond}) {
		t.Errorf("heard %v", d)
	}
}

// A caller who waits with music presses keys, and his packets meet with all that
// happens to packets: each press is told once.
func TestWaitingCallerPresses(t *testing.T) {
	const start, end = 0, 0x80
	type in struct {
		seq uint16
		ts  uint32
		key byte
		end byte
	}
	m := open(t, nil)
	for _, c := range []struct {
		name string
		in   []in
		want string
	}{
		{"as it should be", []in{{1, 800, 1, start}, {2, 800, 1, start}, {3, 800, 1, end}, {4, 800, 1, end}, {5, 800, 1, end}}, "1"},
		{"every packet twice", []in{{1, 800, 1, start}, {1, 800, 1, start}, {2, 800, 1, end}, {2, 800, 1, end}, {3, 800, 1, end}, {3, 800, 1, end}}, "1"},
		{"all but one of the ends lost", []in{{5, 800, 1, end}}, "1"},
		{"all ends lost", []in{{1, 800, 1, start}, {2, 800, 1, start}}, "1"},
		{"the end before the beginning", []in{{3, 800, 1, end}, {1, 800, 1, start}, {2, 800, 1, start}, {4, 800, 1, end}, {5, 800, 1, end}}, "1"},
		{"two keys into each other", []in{{1, 800, 1, start}, {5, 2400, 2, start}, {3, 800, 1, end}, {4, 800, 1, end}, {6, 2400, 2, end}, {7, 2400, 2, end}}, "12"},
		{"the same key twice, all but one end lost", []in{{5, 800, 1, end}, {10, 2400, 1, end}}, "11"},
		{"star and hash", []in{{1, 800, 10, end}, {2, 800, 10, end}, {3, 2400, 11, start}, {4, 2400, 11, end}}, "*#"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPeer(t, m, nil, alaw())
			p.leg.Hear(&Playlist{Sounds: []*Sound{NewSound("music", ramp(160, 0))}, Loop: true})
			p.hear()
			// The last key shows that there was nothing more before it.
			for _, k := range append(c.in, in{40, 16000, 9, end}) {
				p.write(pion.Packet{
					Header:  pion.Header{Version: 2, PayloadType: 101, SequenceNumber: k.seq, Timestamp: k.ts, SSRC: p.ssrc},
					Payload: []byte{k.key, k.end, 1, 0x90},
				})
			}
			var got []byte
			for len(got) == 0 || got[len(got)-1] != '9' {
				got = append(got, await[Digit](p).Digit)
			}
			if string(got) != c.want+"9" {
				t.Errorf("heard %s, want %s9", got, c.want)
			}
			p.leg.Close(nil)
		})
	}
}

// The end of a key that was lost is told by the silence after it, though the
// caller waits and his packets are read at leisure.
func TestWaitingCallerPressesWithoutAnEnd(t *testing.T) {
	m := open(t, nil)
	p := newPeer(t, m, nil, alaw())
	p.leg.Hear(&Playlist{Sounds: []*Sound{NewSound("music", ramp(160, 0))}, Loop: true})
	p.hear()
	p.write(pion.Packet{Header: pion.Header{Version: 2, PayloadType: 101, SequenceNumber: 1, Timestamp: 800, SSRC: p.ssrc}, Payload: []byte{1, 0, 1, 0x90}})
	if d := await[Digit](p); d.Digit != '1' {
		t.Errorf("heard %c", d.Digit)
	}
}

func TestTapMarksAndPackets(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, alaw(), ulaw())
	a.say(8, frame(0))
	b.hear()
	a.leg.Tap(7, 1)
	a.sync()
	for i := range byte(3) {
		a.say(8, frame(i+1))
		b.hear()
		a.leg.Tap(7, 1) // said again: no mark, and nothing is missed
	}
	a.say(101, []byte{1, 0x80, 1, 0}) // a key is not recorded
	b.hear()
	a.say(8, frame(4)) // in the socket when the tap ends
	a.leg.Tap(0, 0)
	a.sync()
	var kinds []TapKind
	var payloads []byte
	deadline := time.Now().Add(5 * time.Second)
	for len(kinds) < 6 && time.Now().Before(deadline) {
		select {
		case <-m.Taps()[0].Wake():
		case <-time.After(time.Until(deadline)):
		}
		m.Taps()[0].Read(func(r TapRecord) {
			if r.Recording != 7 || r.Channel != 1 || r.Codec != PCMA || time.Since(time.Unix(0, r.At)).Abs() > time.Minute {
				t.Errorf("record %+v", r)
			}
			kinds = append(kinds, r.Kind)
			if r.Kind == TapPacket {
				payloads = append(payloads, r.Payload[0])
			}
		})
	}
	if len(kinds) != 6 || kinds[0] != TapStart || kinds[5] != TapStop || string(payloads) != "\x01\x02\x03\x04" {
		t.Errorf("kinds %v, payloads %v", kinds, payloads)
	}
}

func TestCloseReportsAndFreesThePorts(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, alaw(), alaw())
	a.say(8, frame(0))
	b.hear()
	done := make(chan Report, 2)
	a.leg.Close(func(r Report) { done <- r })
	a.leg.Close(func(r Report) { done <- r }) // twice is harmless
	for range 2 {
		if r := <-done; r.Received != 1 || r.Codec != PCMA || r.OneWay || r.MOS < 4 {
			t.Errorf("report %+v", r)
		}
	}
	b.leg.Close(func(r Report) { done <- r })
	if r := <-done; r.Sent != 1 || !r.OneWay {
		t.Errorf("report of the other: %+v", r)
	}
	if used, _ := m.Ports(); used != 0 {
		t.Errorf("%d ports in use", used)
	}
	a.leg.Hear(b.leg) // all of it harmless now
	a.leg.Set(alaw())
	a.leg.Tap(1, 0)
	Bridge(a.leg, b.leg)
	if r := a.sync(); r.Received != 1 {
		t.Errorf("last report %+v", r)
	}
}

func TestMediaCloseEndsEverything(t *testing.T) {
	procs := runtime.GOMAXPROCS(0)
	m := open(t, func(o *Options) { o.Shards = 2 })
	if got := runtime.GOMAXPROCS(0); got != procs+2 {
		t.Errorf("GOMAXPROCS %d with two shards, was %d", got, procs)
	}
	a, b := bridged(t, m, alaw(), alaw())
	a.say(8, frame(0))
	b.hear()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if used, _ := m.Ports(); used != 0 {
		t.Errorf("%d ports in use", used)
	}
	if got := runtime.GOMAXPROCS(0); got != procs {
		t.Errorf("GOMAXPROCS %d, was %d", got, procs)
	}
	if r := a.sync(); r.Received != 1 {
		t.Errorf("report after the end: %+v", r)
	}
	if tt := m.Totals(); tt[0].PacketsIn != 1 || tt[0].PacketsOut != 1 {
		t.Errorf("totals %+v", tt[0])
	}
	again := make(chan Report, 1)
	a.leg.Close(func(Report) { b.leg.Close(func(r Report) { again <- r }) }) // asks from within an answer
	if r := <-again; r.Sent != 1 {
		t.Errorf("report of the other after the end: %+v", r)
	}
	if _, err := m.NewLeg(LegOptions{}); err == nil {
		t.Error("a leg was made after the end")
	}
}

func TestAFaultEndsOneLegAlone(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, alaw(), alaw())
	bad := newPeer(t, m, nil, alaw())
	bad.leg.post(func(*shard) {
		bad.leg.sink = func(e MediaEvent) {
			if _, ok := e.(Latched); ok {
				panic("a fault")
			}
			bad.told <- e
		}
	})
	bad.sync()
	bad.say(8, frame(0))
	if e := await[Broken](bad); e.Err == nil {
		t.Error("no error told")
	}
	a.say(8, frame(1))
	if k := b.hear(); k.Payload[0] != 1 {
		t.Errorf("heard % x", k.Payload[:4])
	}
	if used, _ := m.Ports(); used != 2 {
		t.Errorf("%d ports in use", used)
	}
}

func TestOpenRefusesNonsense(t *testing.T) {
	for _, o := range []Options{
		{MinPort: 20000, MaxPort: 20100},
		{Addr: loopback, MinPort: 20000, MaxPort: 20000},
	} {
		if m, err := Open(o); err == nil {
			_ = m.Close()
			t.Errorf("%+v was taken", o)
		}
	}
	m := open(t, func(o *Options) { o.Addr = netip.MustParseAddr("192.0.2.1") })
	if _, err := m.NewLeg(LegOptions{}); err == nil || errors.Is(err, ErrPortsFull) {
		t.Errorf("an address that is not ours: %v", err)
	}
}

// With many legs the shard goes by the tick; everything must still arrive.
func TestManyLegs(t *testing.T) {
	m := open(t, nil)
	c := newCrowd(t, 2*manyHot)
	c.join(t, m)
	for i := 0; i < len(c.legs); i += 2 {
		Bridge(c.legs[i], c.legs[i+1])
	}
	c.start()
	a, b := bridged(t, m, alaw(), alaw())
	for i := range byte(20) {
		a.say(8, frame(i))
		if k := b.hear(); k.Payload[0] != i {
			t.Fatalf("packet %d: heard % x", i, k.Payload[:4])
		}
	}
	c.close()
	done := make(chan Report, 1)
	for i, l := range c.legs {
		l.Report(func(r Report) { done <- r })
		if r := <-done; r.Received != c.sent[i] || r.Lost != 0 {
			t.Errorf("leg %d: received %d of %d, lost %d", i, r.Received, c.sent[i], r.Lost)
		}
	}
}

// A waiting caller is read seldom, and nothing of him is lost or late by it.
func TestWaitingCallerIsReadLazily(t *testing.T) {
	m := open(t, nil)
	p := newPeer(t, m, nil, alaw())
	p.leg.Hear(&Playlist{Sounds: []*Sound{NewSound("", ramp(8000, 0))}, Loop: true})
	lazy := make(chan bool, 1)
	p.leg.post(func(*shard) { lazy <- p.leg.lazy })
	if !<-lazy {
		t.Fatal("read at once")
	}
	for range 10 {
		p.say(8, frame(0))
		p.hear()
	}
	p.leg.Hear(nil)
	deadline := time.Now().Add(5 * time.Second)
	for r := p.sync(); r.Received != 10; r = p.sync() {
		if time.Now().After(deadline) {
			t.Fatalf("received %d of 10", r.Received)
		}
	}
	if r := p.sync(); r.Late != 0 || r.Lost != 0 {
		t.Errorf("late %d, lost %d", r.Late, r.Lost)
	}
}
