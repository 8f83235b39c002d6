package rtp

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// FuzzExchange: two sessions of ours always agree, on the same codec and numbers
// and on mirrored directions, whatever was said before; and a peer's answer
// binds us to nothing that we did not offer.
func FuzzExchange(f *testing.F) {
	f.Add(uint16(0), peerSDP("m=audio 4000 RTP/AVP 8 101", "a=rtpmap:101 telephone-event/8000"))
	f.Add(uint16(0xFFFF), peerSDP("m=audio 4000 RTP/AVP 0 8", "a=sendonly", "a=rtcp-mux", "a=rtcp:9 IN IP4 1.2.3.4"))
	f.Add(uint16(0b11110), peerSDP("m=audio 4000 RTP/AVP 111 9 101", "a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1", "a=rtpmap:101 telephone-event/8000"))
	f.Add(uint16(0b110), peerSDP("m=audio 4000 RTP/AVP 8 107 96", "a=rtpmap:107 telephone-event/8000", "a=rtpmap:96 opus/48000/2", "a=ptime:60"))
	f.Add(uint16(0b1010), []byte("v=0\nc=IN IP4 0.0.0.0\nm=audio 9 RTP/AVPF 97\na=rtpmap:97 PCMU/8000/1"))
	f.Fuzz(func(t *testing.T, choices uint16, answer []byte) {
		choose := func() bool { choices >>= 1; return choices&1 != 0 }
		a, b := NewSession(sdpLocal, 1), NewSession(netip.MustParseAddrPort("192.0.2.10:30000"), 2)
		if choose() {
			a.Speak([]Codec{PCMU, PCMA}, choose())
		}
		if choose() {
			a.Widen(Wideband{Codec: Opus, First: choose(), Fmtp: "stereo=0"})
		}
		prefer := [...]Codec{NoCodec, PCMA, PCMU}[choices%3]
		offer := a.Offer(prefer)
		offered, err := readSDP(offer)
		if err != nil {
			t.Fatalf("our offer: %v\n%s", err, offer)
		}
		if st, err := a.Accept(answer); err == nil {
			m := &offered.media[0]
			if codec, _ := m.meaning(st.PT); st.Codec == NoCodec && st.Wide == NoCodec || codec != NoCodec && st.Codec != NoCodec && codec != st.Codec {
				t.Fatalf("offered\n%s\nagreed to %+v", offer, st)
			}
			if st.Wide != NoCodec && (st.Wide != a.wide.Codec || st.WidePT == staticPCMA || st.WidePT == staticPCMU) {
				t.Fatalf("offered\n%s\nagreed to %+v", offer, st)
			}
			if st.Remote.IsValid() && (st.Remote.Addr().IsMulticast() || st.Remote.Addr().IsUnspecified() || st.Remote.Addr().Zone() != "") {
				t.Fatalf("media to %s", st.Remote)
			}
		}
		for range 3 {
			a.Hold(choose())
			b.Hold(choose())
			from, to := a, b
			if choose() {
				from, to = b, a
				b.Widen(Wideband{Codec: Opus})
			}
			everyNumberOnce(t, from.Offer(prefer))
			text, theirs, err := to.Answer(from.Offer(prefer), NoCodec)
			if err != nil {
				t.Fatalf("our offer refused by ourselves: %v\n%s", err, from.Last())
			}
			ours, err := from.Accept(text)
			if err != nil {
				t.Fatalf("our answer refused by ourselves: %v\n%s\n%s", err, from.Last(), text)
			}
			if ours.Codec != theirs.Codec || ours.PT != theirs.PT || ours.EventPT != theirs.EventPT || ours.Wide != theirs.Wide || ours.WidePT != theirs.WidePT || ours.Mux != theirs.Mux ||
				ours.Send != theirs.Receive || ours.Receive != theirs.Send {
				t.Fatalf("agreed to %+v here, %+v there:\n%s\n%s", ours, theirs, from.Last(), text)
			}
		}
	})
}

// everyNumberOnce wants an offer to name no payload type twice.
func everyNumberOnce(t *testing.T, offer []byte) {
	_, line, _ := strings.Cut(string(offer), "m=audio ")
	line, _, _ = strings.Cut(line, "\r\n")
	numbers := strings.Fields(line)[2:]
	slices.Sort(numbers)
	if len(slices.Compact(slices.Clone(numbers))) != len(numbers) {
		t.Fatalf("a number twice:\n%s", offer)
	}
}

// FuzzControl: RTCP changes figures, and those within reason; it never moves RTP,
// and from anybody but the peer it does nothing.
func FuzzControl(f *testing.F) {
	seed := func(packets ...rtcp.Packet) {
		b, err := rtcp.Marshal(packets)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, true, uint64(100))
		f.Add(b, false, uint64(0))
	}
	report := rtcp.ReceptionReport{SSRC: 7, TotalLost: 9, LastSenderReport: 1, Delay: 2}
	seed(&rtcp.SenderReport{SSRC: 9, NTPTime: 1 << 40, Reports: []rtcp.ReceptionReport{report}})
	seed(&rtcp.ReceiverReport{SSRC: 9, Reports: []rtcp.ReceptionReport{report, report}}, &rtcp.Goodbye{Sources: []uint32{9}})
	f.Fuzz(func(t *testing.T, data []byte, peer bool, sent uint64) {
		local := netip.MustParseAddr("192.0.2.9")
		at := netip.MustParseAddrPort("198.51.100.7:4000")
		l := &Leg{known: true, control: newControl(), target: newSockaddr(at, local)}
		l.out.ssrc, l.out.packets = 7, sent
		from := newSockaddr(netip.AddrPortFrom(at.Addr(), 4001), local)
		if !peer {
			from = newSockaddr(netip.MustParseAddrPort("203.0.113.1:4001"), local)
		}
		s := &shard{wall: time.Unix(1e9, 0).UnixNano()}
		target, before := l.target, l.control
		for range 2 {
			s.control(l, &from, data, s.wall)
		}
		if l.target != target || l.latch.remote.IsValid() || l.peer.valid() {
			t.Fatalf("RTCP moved RTP: % x", data)
		}
		c := &l.control
		if !peer && (*c != before || l.refused == 0) {
			t.Fatalf("a stranger was heard: % x", data)
		}
		if math.IsNaN(c.remoteLoss) || c.remoteLoss < 0 || c.remoteLoss > 1 || c.roundTrip < 0 || c.roundTrip > roundTripMax {
			t.Fatalf("loss %g, round trip %s of % x", c.remoteLoss, c.roundTrip, data)
		}
		if _, err := rtcp.Unmarshal(data); err != nil && peer && l.malformed == 0 {
			t.Fatalf("not counted: % x", data)
		}
	})
}
