package rtp

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// The scene of the tables: a phone at home. Its SDP names its private address,
// its SIP comes from 192.0.2.7.
func atHome() Stream {
	return Stream{Remote: ap("10.0.0.5:4000"), SignalIP: netip.MustParseAddr("192.0.2.7"), Latch: Near, Codec: PCMA, PT: 8}
}

type sight struct {
	ms   int
	from string
	ssrc uint32
	seq  uint16
	pt   uint8
	want verdict
}

// stream is n packets of one source, 20 ms apart; the last is expected to bring
// end, the others wait.
func stream(from string, ms, n int, end verdict) (list []sight) {
	for i := range n {
		list = append(list, sight{ms + 20*i, from, 7, uint16(65534 + i), 8, wait})
	}
	list[n-1].want = end
	return list
}

func join(lists ...[]sight) (all []sight) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func TestLatch(t *testing.T) {
	exact := Stream{Remote: ap("198.51.100.9:5000"), Latch: Exact, Codec: PCMA, PT: 8}
	for _, c := range []struct {
		name   string
		stream Stream
		see    []sight
		peer   string // "": not locked
	}{
		{"a trunk is the address of its SDP", exact, []sight{
			{0, "198.51.100.9:5001", 1, 1, 8, refuse},
			{0, "198.51.100.8:5000", 1, 1, 8, refuse},
			{0, "198.51.100.9:5000", 1, 1, 8, lock},
			{9, "198.51.100.9:5000", 1, 2, 8, accept},
			{9, "198.51.100.9:5001", 1, 3, 8, refuse},
		}, "198.51.100.9:5000"},
		{"a trunk has no learning window", exact, []sight{{60000, "198.51.100.9:5000", 1, 1, 8, lock}}, "198.51.100.9:5000"},
		{"five packets from the SIP flow's IP", atHome(), stream("192.0.2.7:1024", 0, 5, lock), "192.0.2.7:1024"},
		{"the same from its /24", atHome(), stream("192.0.2.99:1024", 0, 5, lock), "192.0.2.99:1024"},
		{"not from beyond", atHome(), []sight{{0, "192.0.3.7:1024", 1, 1, 8, refuse}}, ""},
		{"four are not enough", atHome(), stream("192.0.2.7:1024", 0, 4, wait), ""},
		{"five at once are not enough", atHome(), []sight{
			{0, "192.0.2.7:9", 1, 1, 8, wait}, {1, "192.0.2.7:9", 1, 2, 8, wait}, {2, "192.0.2.7:9", 1, 3, 8, wait},
			{3, "192.0.2.7:9", 1, 4, 8, wait}, {4, "192.0.2.7:9", 1, 5, 8, wait}, {59, "192.0.2.7:9", 1, 6, 8, wait},
			{60, "192.0.2.7:9", 1, 7, 8, lock},
		}, "192.0.2.7:9"},
		{"a jump begins the count again", atHome(), join(stream("192.0.2.7:9", 0, 4, wait), []sight{{100, "192.0.2.7:9", 7, 18, 8, wait}}), ""},
		{"a line that loses and reorders", atHome(), []sight{
			{0, "192.0.2.7:9", 1, 10, 8, wait}, {20, "192.0.2.7:9", 1, 13, 8, wait}, {30, "192.0.2.7:9", 1, 11, 8, wait},
			{50, "192.0.2.7:9", 1, 20, 8, wait}, {70, "192.0.2.7:9", 1, 15, 8, lock},
		}, "192.0.2.7:9"},
		{"the same packet over and over", atHome(), []sight{
			{0, "192.0.2.7:9", 1, 10, 8, wait}, {20, "192.0.2.7:9", 1, 10, 8, wait}, {40, "192.0.2.7:9", 1, 10, 8, wait},
			{60, "192.0.2.7:9", 1, 10, 8, wait}, {80, "192.0.2.7:9", 1, 10, 8, wait}, {99, "192.0.2.7:9", 1, 10, 8, wait},
		}, ""},
		{"another SSRC begins it again", atHome(), []sight{
			{0, "192.0.2.7:9", 1, 1, 8, wait}, {20, "192.0.2.7:9", 1, 2, 8, wait}, {40, "192.0.2.7:9", 1, 3, 8, wait},
			{60, "192.0.2.7:9", 2, 4, 8, wait}, {80, "192.0.2.7:9", 2, 5, 8, wait},
		}, ""},
		{"a payload type nobody negotiated", atHome(), []sight{{0, "192.0.2.7:9", 1, 1, 96, refuse}, {0, "10.0.0.5:4000", 1, 1, 96, refuse}}, ""},
		{"the window closes", atHome(), []sight{{5001, "192.0.2.7:9", 1, 1, 8, refuse}}, ""},
		{"but not for the SDP address", atHome(), []sight{{9000, "10.0.0.5:4000", 1, 1, 8, lock}}, "10.0.0.5:4000"},
		{"the SDP address wins at once", atHome(), join(stream("192.0.2.7:9", 0, 4, wait), []sight{
			{70, "10.0.0.5:4000", 1, 1, 8, lock}, {80, "192.0.2.7:9", 7, 2, 8, refuse},
		}), "10.0.0.5:4000"},
		{"locked is locked", atHome(), join(stream("192.0.2.7:1024", 0, 5, lock), []sight{
			{100, "192.0.2.7:1025", 7, 3, 8, refuse}, {110, "192.0.2.7:1024", 9, 40, 8, accept},
		}), "192.0.2.7:1024"},
		{"the SIP flow's IP comes before its neighbours", atHome(), join(
			stream("192.0.2.99:9", 0, 2, wait), stream("192.0.2.7:9", 10, 5, lock)), "192.0.2.7:9"},
		{"a neighbour has to stand alone", atHome(), join(
			stream("192.0.2.7:9", 0, 2, wait), stream("192.0.2.99:9", 10, 5, contested)), ""},
		{"two at the same IP: neither", atHome(), join(
			stream("192.0.2.7:8", 0, 4, wait), stream("192.0.2.7:9", 10, 5, contested)), ""},
		{"one stray packet is no rival", atHome(), join(
			[]sight{{0, "192.0.2.7:8", 3, 9, 8, wait}}, stream("192.0.2.7:9", 10, 5, lock)), "192.0.2.7:9"},
		{"a rival that gave up is none", atHome(), join(
			stream("192.0.2.7:8", 0, 4, wait), stream("192.0.2.7:9", 400, 5, lock)), "192.0.2.7:9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l latch
			l.set(&c.stream, 0)
			for _, s := range c.see {
				got := l.step(int64(s.ms)*int64(time.Millisecond), sighting{from: ap(s.from), ssrc: s.ssrc, seq: s.seq, ours: s.pt == c.stream.PT})
				if got != s.want {
					t.Fatalf("%d ms, %s seq %d: verdict %d, want %d", s.ms, s.from, s.seq, got, s.want)
				}
			}
			peer := ""
			if l.peer.IsValid() {
				peer = l.peer.String()
			}
			if peer != c.peer {
				t.Errorf("locked onto %q, want %q", peer, c.peer)
			}
		})
	}
}

func TestLatchTarget(t *testing.T) {
	signal := netip.MustParseAddr("192.0.2.7")
	for _, c := range []struct {
		name   string
		remote string
		rule   Latch
		want   bool
	}{
		{"a trunk in a private network", "10.0.0.5:4000", Exact, true},
		{"a home's private address", "10.0.0.5:4000", Near, false},
		{"a carrier's shared address", "100.64.1.1:4000", Near, false},
		{"link local", "169.254.1.1:4000", Near, false},
		{"a public address", "203.0.113.5:4000", Near, true},
		{"the SIP flow's own", "192.0.2.7:4000", Near, true},
		{"loopback", "127.0.0.1:4000", Near, true},
		{"a private v6 address", "[fd00::1]:4000", Near, false},
		{"a public v6 address", "[2001:db9::1]:4000", Near, true},
		{"a mapped private address", "[::ffff:10.0.0.5]:4000", Near, false},
	} {
		var l latch
		l.set(&Stream{Remote: ap(c.remote), SignalIP: signal, Latch: c.rule}, 0)
		if got := l.target().IsValid(); got != c.want {
			t.Errorf("%s: sent to before the lock %v, want %v", c.name, got, c.want)
		}
	}
}

func TestLatchOpensAgainOnlyForAnotherRemote(t *testing.T) {
	var l latch
	st := atHome()
	l.set(&st, 0)
	for _, s := range stream("192.0.2.7:1024", 0, 5, lock) {
		l.step(int64(s.ms)*int64(time.Millisecond), sighting{from: ap(s.from), ssrc: s.ssrc, seq: s.seq, ours: true})
	}
	if l.set(&st, 1e9) || !l.peer.IsValid() {
		t.Error("a refresh opened the latch")
	}
	st.Remote = ap("10.0.0.5:4002")
	if !l.set(&st, 2e9) || l.peer.IsValid() {
		t.Error("another address did not open the latch")
	}
}

// A router gives the phone another port in the middle of a call. Who is believed
// then, by what the phone did last and how long it has been silent.
func TestLatchFollowsTheRouter(t *testing.T) {
	const locked, silent = "192.0.2.7:1024", 301 * time.Millisecond
	held := atHome()
	held.Receive = true
	talking := held
	talking.Send = true
	for _, c := range []struct {
		name   string
		again  *Stream // negotiated once more at 10 s
		from   string
		goesOn bool
		idle   time.Duration
		at     time.Duration
		moves  bool
	}{
		{"the same stream from another port", nil, "192.0.2.7:1025", true, silent, 20 * time.Second, true},
		{"or from its neighbourhood", nil, "192.0.2.99:9", true, silent, 20 * time.Second, true},
		{"not from beyond", nil, "192.0.3.7:9", true, silent, 20 * time.Second, false},
		{"not while the phone sends", nil, "192.0.2.7:1025", true, 300 * time.Millisecond, 20 * time.Second, false},
		{"another stream", nil, "192.0.2.7:1025", false, silent, 20 * time.Second, false},
		{"another stream right after the first lock", nil, "192.0.2.7:1025", false, silent, time.Second, false},
		{"another stream after a re-INVITE", &talking, "192.0.2.7:1025", false, silent, 11 * time.Second, true},
		{"too long after it", &talking, "192.0.2.7:1025", false, silent, 16 * time.Second, false},
		{"while the phone still sends by the old port", &talking, "192.0.2.7:1025", false, 20 * time.Millisecond, 11 * time.Second, false},
		{"after one that holds", &held, "192.0.2.7:1025", false, silent, 11 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l latch
			st := talking
			l.set(&st, 0)
			for _, s := range stream(locked, 0, 5, lock) {
				l.step(int64(s.ms)*int64(time.Millisecond), sighting{from: ap(s.from), ssrc: s.ssrc, seq: s.seq, ours: true})
			}
			if c.again != nil && l.set(c.again, int64(10*time.Second)) {
				t.Fatal("a negotiation of the same address unlocked")
			}
			var last verdict
			for _, s := range stream(c.from, 0, 5, lock) {
				last = l.step(int64(c.at)+int64(s.ms)*int64(time.Millisecond), sighting{from: ap(s.from), ssrc: s.ssrc, seq: s.seq,
					ours: true, goesOn: c.goesOn, idle: int64(c.idle)})
				if last != s.want && c.moves {
					t.Fatalf("packet %d: verdict %d, want %d", s.seq, last, s.want)
				}
			}
			if moved := l.peer == ap(c.from); moved != c.moves || !c.moves && (last != refuse || l.peer != ap(locked)) {
				t.Errorf("moved: %v, want %v; last verdict %d, peer %s", moved, c.moves, last, l.peer)
			}
		})
	}
}

// An attacker who cannot send from the phone's network is never believed, and
// one who can spoof single packets from it does not keep the phone out.
func TestLatchUnderSpray(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l latch
		st := atHome()
		l.set(&st, 0)
		phone := ap("192.0.2.7:61000")
		spoofed := rapid.Bool().Draw(t, "from the phone's own IP")
		per := rapid.IntRange(0, 6).Draw(t, "packets between two of the phone's")
		sprayed := 0
		for i := range 20 {
			now := int64(i) * 20e6
			for range per {
				ip := netip.AddrFrom4([4]byte{198, 18, byte(i), 1})
				if spoofed {
					ip = st.SignalIP
				}
				sprayed++
				port := uint16(1024 + sprayed*7919%50000)
				v := l.step(now, sighting{from: netip.AddrPortFrom(ip, port), ssrc: rapid.Uint32().Draw(t, "ssrc"), seq: rapid.Uint16().Draw(t, "seq"), ours: true})
				if v == lock || v == accept {
					t.Fatalf("believed the attacker at port %d", port)
				}
			}
			if v := l.step(now+1e6, sighting{from: phone, ssrc: 7, seq: uint16(i), ours: true}); i >= 5 && v != accept {
				t.Fatalf("packet %d of the phone: verdict %d", i, v)
			}
		}
	})
}
