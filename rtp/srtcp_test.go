package rtp

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func TestSRTCP(t *testing.T) {
	m := open(t, nil)
	k := keysFor(CM32)
	st := alaw()
	st.Mux = true
	a := shielded(t, m, nil, st, k)
	report := func() []byte {
		b, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: a.ssrc, Reports: []rtcp.ReceptionReport{{SSRC: 1}}}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	sealed, err := a.tx.EncryptRTCP(nil, report(), nil)
	if err != nil {
		t.Fatal(err)
	}
	a.say(8, frame(1))
	await[Latched](a)
	a.throw(report()) // in the clear
	a.throw(sealed)
	a.throw(sealed) // again
	until(t, "two reports are refused", func() bool { return a.sync().Unproven == 2 })
	a.leg.Hear(&Playlist{Sounds: []*Sound{NewSound("music", make([]byte, 8000))}, Loop: true})
	a.leg.post(func(s *shard) { a.leg.control.due = s.now })
	for {
		b := make([]byte, 2000)
		_ = a.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := a.conn.Read(b)
		if err != nil {
			t.Fatal("no report came")
		}
		if !isRTCP(b[:n]) {
			continue
		}
		clear, err := a.rx.DecryptRTCP(nil, b[:n], nil)
		if err != nil {
			t.Fatal(err)
		}
		if list, err := rtcp.Unmarshal(clear); err != nil || len(list) < 2 {
			t.Errorf("report %v, %v", list, err)
		}
		return
	}
}

// RTCP that proves itself moves where reports go and never where audio goes.
func TestSRTCPDoesNotMoveTheAudio(t *testing.T) {
	m := open(t, nil)
	a := shielded(t, m, nil, alaw(), keysFor(CM80))
	b := newPeer(t, m, a.leg, alaw())
	Bridge(a.leg, b.leg)
	a.say(8, frame(1))
	await[Latched](a)
	other, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	text, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: a.ssrc}})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := a.tx.EncryptRTCP(nil, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	to := a.leg.Addr()
	if _, err := other.WriteToUDPAddrPort(sealed, netip.AddrPortFrom(to.Addr(), to.Port()+1)); err != nil {
		t.Fatal(err)
	}
	a.sync()
	b.say(8, frame(4))
	if k := a.hear(); !bytes.Equal(k.Payload, frame(4)) {
		t.Errorf("the peer hears % x", k.Payload[:4])
	}
	_ = other.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, _ := other.Read(make([]byte, 2000)); n > 0 {
		t.Errorf("%d bytes of audio went where RTCP came from", n)
	}
}

// A peer that takes a new SSRC for each packet fills nobody's memory.
func TestAPeerHasSoManySourcesAndNoMore(t *testing.T) {
	m := open(t, nil)
	a := shielded(t, m, nil, alaw(), keysFor(CM80))
	a.sync()
	for i := range uint32(200) {
		a.ssrc = i
		a.say(8, frame(1))
	}
	until(t, "the rest is refused", func() bool { return a.sync().Unproven == 200-maxSources })
	a.ssrc = 3
	a.say(8, frame(1))
	until(t, "a known one is still heard", func() bool { return a.sync().Received == maxSources+1 })
}

// until polls what announces itself in no other way.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// What is decrypted and encrypted is not allocated.
func TestNoAllocationPerPacket(t *testing.T) {
	for _, su := range suites {
		k := keysFor(su.suite)
		l := &Leg{shield: new(shield)}
		if err := l.shield.rekey(*k); err != nil {
			t.Fatal(err)
		}
		peer, err := newContext(k.Suite, k.Theirs, "")
		if err != nil {
			t.Fatal(err)
		}
		s := &shard{in: newInbox()}
		plain := make([]byte, headerSize+160)
		in := make([]byte, packetMax)
		seq := uint16(0)
		n := testing.AllocsPerRun(1000, func() {
			seq++
			writeHeader(plain, 8, false, seq, 0, 5)
			sealed, err := peer.EncryptRTP(in[:0], plain, &s.header)
			if err != nil {
				t.Fatal(err)
			}
			clear, ok := s.unlock(l, sealed)
			if !ok || len(clear) != len(plain) {
				t.Fatal("not decrypted")
			}
			if s.seal(l, s.sealed[0].room[:0], plain) == nil {
				t.Fatal("not encrypted")
			}
		})
		// The race detector makes HMAC allocate, once.
		if n > 0 && (n > 1 || !underRace()) {
			t.Errorf("%s: %.2f allocations per packet", su.name, n)
		}
	}
}

func underRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func TestSecretsAreNotPrinted(t *testing.T) {
	k := keysFor(CM80)
	st := Stream{Keys: k, ICE: &Checks{OurPassword: "swordfish"}}
	for _, f := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(f, *k) + fmt.Sprintf(f, *st.ICE)
		if strings.Contains(text, string(k.Ours)) || strings.Contains(text, "swordfish") || !strings.Contains(text, "redacted") {
			t.Errorf("%s prints %q", f, text)
		}
	}
}
