package rtp

import (
	"bytes"
	"fmt"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	pion "github.com/pion/rtp"
)

// withOpus and withG722 are what a peer agreed on who lists the codec besides.
func withOpus(st Stream, pt uint8) Stream { st.Wide, st.WidePT = Opus, pt; return st }
func withG722(st Stream) Stream           { st.Wide, st.WidePT = G722, staticG722; return st }

// code sends one packet of a codec that we do not read, step clock units long.
func (p *peer) code(pt uint8, step uint32, payload string) {
	p.t.Helper()
	p.write(pion.Packet{Header: pion.Header{Version: 2, PayloadType: pt, SequenceNumber: p.seq, Timestamp: p.ts, SSRC: p.ssrc}, Payload: []byte(payload)})
	p.seq++
	p.ts += step
}

// Opus goes through as it is, in a stream of its own because of its clock; what is
// heard before, between and after in G.711 is one stream.
func TestOpusIsPassedOnUntouched(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, withOpus(alaw(), 111), withOpus(ulaw(), 107))
	music := &Playlist{Sounds: []*Sound{tune(8000)}, Loop: true}
	type stream struct{ last *pion.Packet }
	var narrow, wide stream
	check := func(what string, s *stream, k pion.Packet, pt uint8, payload []byte, marker bool) {
		t.Helper()
		if k.PayloadType != pt || !bytes.Equal(k.Payload, payload) || k.Marker != marker {
			t.Fatalf("%s: type %d, marker %v, payload %q", what, k.PayloadType, k.Marker, k.Payload)
		}
		if s.last != nil && (k.SSRC != s.last.SSRC || k.SequenceNumber != s.last.SequenceNumber+1) {
			t.Errorf("%s: SSRC %x after %x, number %d after %d", what, k.SSRC, s.last.SSRC, k.SequenceNumber, s.last.SequenceNumber)
		}
		s.last = &k
	}
	law := func(f []byte) []byte {
		out := make([]byte, len(f))
		translate(out, f, PCMU)
		return out
	}
	for round := range 3 {
		began := time.Now()
		a.say(8, frame(1))
		check("G.711", &narrow, b.hear(), 0, law(frame(1)), true)
		for i := range 4 {
			said := fmt.Sprintf("opus %d %s", i, strings.Repeat("x", 37*i))
			a.code(111, 960, said)
			was := wide.last
			k := b.hear()
			check("Opus", &wide, k, 107, []byte(said), i == 0)
			if i > 0 && k.Timestamp-was.Timestamp != 960 {
				t.Errorf("timestamp +%d", k.Timestamp-was.Timestamp)
			}
		}
		b.leg.Hear(music)
		k := b.hear()
		before := narrow.last.Timestamp
		check("music", &narrow, k, 0, law(bytes.Repeat([]byte{0x55}, 160)), true)
		if ahead := samples(k.Timestamp-before) - time.Since(began); ahead > time.Second || k.Timestamp-before < 160 {
			t.Errorf("round %d: the music's timestamp is +%d", round, k.Timestamp-before)
		}
		b.leg.Hear(a.leg)
		for {
			b.sync()
			k, ok := b.listen(30 * time.Millisecond) // music that was on its way
			if !ok {
				break
			}
			narrow.last = &k
		}
	}
	if narrow.last.SSRC == wide.last.SSRC {
		t.Error("two clocks in one stream")
	}
	r := a.sync()
	if r.Codec != Opus || r.MOS != 0 || r.Received != 15 || r.Unknown != 0 || r.Lost != 0 {
		t.Errorf("report %+v", r)
	}
	if r := b.sync(); r.Sent < 18 || r.Codec != PCMU {
		t.Errorf("report of the other leg %+v", r)
	}
}

// What is negotiated in a talk, and refused or agreed to, costs it no packet.
func TestOffersInATalkLoseNothing(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, alaw(), alaw())
	a.say(8, frame(0))
	before := b.hear()
	for i := range byte(12) {
		for _, p := range []*peer{a, b} {
			st := alaw()
			if i%3 != 0 {
				st = withOpus(st, 111)
			}
			st.Remote, st.Send, st.Receive = p.addr(), true, true
			p.leg.Set(st)
		}
		a.say(8, frame(i))
		k := b.hear()
		if k.SSRC != before.SSRC || k.SequenceNumber != before.SequenceNumber+1 || k.Timestamp != before.Timestamp+160 || k.Marker {
			t.Fatalf("%+v after %+v", k.Header, before.Header)
		}
		before = k
	}
}

// The clock of G.722 is that of G.711, and so they share a stream.
func TestG722IsPassedOnUntouched(t *testing.T) {
	m := open(t, nil)
	a, b := bridged(t, m, withG722(alaw()), withG722(ulaw()))
	a.say(8, frame(1))
	first := b.hear()
	a.code(9, 160, "g722")
	k := b.hear()
	if k.PayloadType != 9 || string(k.Payload) != "g722" || k.SSRC != first.SSRC || k.Marker ||
		k.SequenceNumber != first.SequenceNumber+1 || k.Timestamp != first.Timestamp+160 {
		t.Errorf("%+v after %+v, %q", k.Header, first.Header, k.Payload)
	}
	a.say(0, frame(2))
	if k := b.hear(); k.PayloadType != 0 || !bytes.Equal(k.Payload, frame(2)) || k.Timestamp != first.Timestamp+320 {
		t.Errorf("after it: type %d, timestamp +%d", k.PayloadType, k.Timestamp-first.Timestamp)
	}
}

// Nobody is sent what they have not agreed to hear.
func TestWidebandNobodyAgreedOnIsDropped(t *testing.T) {
	m := open(t, nil)
	for _, c := range []struct {
		name   string
		hearer Stream
	}{
		{"nothing but G.711", alaw()},
		{"another codec", withG722(alaw())},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := bridged(t, m, withOpus(alaw(), 111), c.hearer)
			a.say(8, frame(1))
			first := b.hear()
			for range 5 {
				a.code(111, 960, "opus")
			}
			a.say(8, frame(2))
			k := b.hear()
			if k.PayloadType != 8 || !bytes.Equal(k.Payload, frame(2)) || !k.Marker || k.SequenceNumber != first.SequenceNumber+1 || k.SSRC != first.SSRC {
				t.Errorf("after the Opus: type %d, number +%d, % x", k.PayloadType, k.SequenceNumber-first.SequenceNumber, k.Payload[:4])
			}
			if span := samples(k.Timestamp - first.Timestamp); span < 20*time.Millisecond || span > 10*time.Second {
				t.Errorf("and %s later", span)
			}
		})
	}
}

// Whoever has an offer may send what it lists before its answer has come; it is sent
// nothing of the kind until then.
func TestOfferedIsHeardAtOnce(t *testing.T) {
	m := open(t, nil)
	offered := alaw()
	offered.Expect, offered.ExpectPT = Opus, 111
	a, b := bridged(t, m, offered, withOpus(alaw(), 107))
	a.code(111, 960, "early")
	if k := b.hear(); k.PayloadType != 107 || string(k.Payload) != "early" {
		t.Errorf("type %d, %q", k.PayloadType, k.Payload)
	}
	b.code(107, 960, "too early")
	b.say(8, frame(1))
	if k := a.hear(); k.PayloadType != 8 || !bytes.Equal(k.Payload, frame(1)) {
		t.Errorf("type %d, %q", k.PayloadType, k.Payload)
	}
}

// A peer that has agreed to Opus alone is played nothing until it takes G.711.
func TestMusicWaitsForG711(t *testing.T) {
	m := open(t, nil)
	only := Stream{Wide: Opus, WidePT: 111}
	a, b := bridged(t, m, only, withOpus(alaw(), 107))
	a.code(111, 960, "to b")
	b.hear()
	b.code(107, 960, "to a")
	if k := a.hear(); k.PayloadType != 111 || string(k.Payload) != "to a" {
		t.Fatalf("type %d, %q", k.PayloadType, k.Payload)
	}
	b.say(8, frame(1))
	b.sync()
	a.leg.Hear(&Playlist{Sounds: []*Sound{tune(8000)}, Loop: true})
	if k, ok := a.listen(100 * time.Millisecond); ok {
		t.Fatalf("it is sent type %d", k.PayloadType)
	}
	st := alaw()
	st.Remote, st.Send, st.Receive = a.addr(), true, true
	a.leg.Set(st)
	if k := a.hear(); k.PayloadType != 8 || k.Payload[0] != 0x55 {
		t.Errorf("type %d, % x", k.PayloadType, k.Payload[:4])
	}
}

// Under SRTP each clock counts its own numbers, and the recorder gets G.711 alone.
func TestWidebandUnderSRTP(t *testing.T) {
	m := open(t, nil)
	a := shielded(t, m, nil, withOpus(alaw(), 111), keysFor(GCM128))
	b := shielded(t, m, a.leg, withOpus(alaw(), 107), keysFor(CM80))
	Bridge(a.leg, b.leg)
	a.leg.Tap(7, 1)
	a.sync()
	for i := range 10 {
		said := fmt.Sprint("opus ", i)
		a.code(111, 960, said)
		if k := b.hear(); k.PayloadType != 107 || string(k.Payload) != said {
			t.Fatalf("type %d, %q", k.PayloadType, k.Payload)
		}
		a.say(8, frame(byte(i)))
		if k := b.hear(); k.PayloadType != 8 || !bytes.Equal(k.Payload, frame(byte(i))) {
			t.Fatalf("type %d", k.PayloadType)
		}
	}
	if r := b.sync(); r.SendFails != 0 || r.Sent != 20 {
		t.Errorf("sent %d, failed %d", r.Sent, r.SendFails)
	}
	recorded := 0
	m.Taps()[0].Read(func(r TapRecord) {
		if r.Kind == TapPacket {
			recorded++
			if r.Codec != PCMA {
				t.Errorf("recorded %s", r.Codec)
			}
		}
	})
	if recorded != 10 {
		t.Errorf("recorded %d packets, want 10", recorded)
	}
}

// Reports are in the clock of what they report on (RFC 3550 section 6.4.1).
func TestReportsInTheClockOfOpus(t *testing.T) {
	m := open(t, nil)
	side, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = side.Close() }()
	st := withOpus(alaw(), 107)
	st.RemoteRTCP = side.LocalAddr().(*net.UDPAddr).AddrPort()
	a, b := bridged(t, m, withOpus(alaw(), 111), st)
	a.say(8, frame(1))
	narrow := b.hear()
	a.code(111, 960, "opus")
	wide := b.hear()
	var at [2]*rtcp.SenderReport
	for i := range at {
		if i > 0 {
			time.Sleep(50 * time.Millisecond) // what is measured is time
		}
		b.hasten()
		sr, ok := listenRTCP(t, side)[0].(*rtcp.SenderReport)
		if !ok || sr.SSRC != wide.SSRC || sr.PacketCount != 1 {
			t.Fatalf("%+v, want the source %x", sr, wide.SSRC)
		}
		at[i] = sr
	}
	passed := float64(at[1].NTPTime-at[0].NTPTime) / (1 << 32) * 48000
	if units := float64(at[1].RTPTime - at[0].RTPTime); math.Abs(units-passed) > 48 {
		t.Errorf("%.0f units for what is %.0f", units, passed)
	}
	b.leg.Close(nil)
	list := listenRTCP(t, side)
	bye, ok := list[len(list)-1].(*rtcp.Goodbye)
	if !ok || len(bye.Sources) != 2 || bye.Sources[0] != wide.SSRC || bye.Sources[1] != narrow.SSRC {
		t.Errorf("goodbye of %+v", list[len(list)-1])
	}
}

// Jitter of Opus is time too, also where its timestamps begin anew at zero.
func TestReceptionOfOpus(t *testing.T) {
	var r reception
	for i := range 400 {
		ts := uint32(i)*960 - 200*960
		r.time(r.slow(Opus, ts), uint32(i*160+i%2*80))
	}
	if got := float64(r.jitter) / 16; math.Abs(got-80) > 2 || r.late != 0 {
		t.Errorf("jitter %.1f units, %d late; want 80, none", got, r.late)
	}
	r.time(r.slow(PCMA, 7), 9) // another clock is another origin
	if r.jitter != 0 || r.late != 0 {
		t.Errorf("jitter %d, %d late", r.jitter, r.late)
	}
}

const opusLines = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=ptime:40"

func TestWidebandInSDP(t *testing.T) {
	s := NewSession(sdpLocal, 7)
	offer := peerSDP("m=audio 4000 RTP/AVP 111 9 8 101", opusLines, "a=rtpmap:101 telephone-event/8000")
	// It is not taken unless it is wanted, and known from then on.
	answer, st := answerTo(t, s, offer, NoCodec)
	if st.Codec != PCMA || st.Wide != NoCodec || !strings.Contains(answer, "RTP/AVP 8 101\r\n") {
		t.Fatalf("%+v\n%s", st, answer)
	}
	opus, has := s.Shown(Opus)
	if want := (Wideband{Codec: Opus, Fmtp: "minptime=10;useinbandfec=1", Ptime: 40}); !has || opus != want {
		t.Errorf("shown %+v, want %+v", opus, want)
	}
	if _, has := s.Shown(G722); !has {
		t.Error("G.722 was not seen")
	}

	// Our offer has the peer's number, and what the far side says.
	s.Widen(Wideband{Codec: Opus, Fmtp: "stereo=1", Ptime: 60, First: true})
	text := string(s.Offer(PCMA))
	checkWithPion(t, []byte(text))
	for _, line := range []string{"m=audio 20000 RTP/AVP 111 8 0 101", "a=rtpmap:111 opus/48000/2", "a=fmtp:111 stereo=1", "a=ptime:60"} {
		if !strings.Contains(text, "\r\n"+line+"\r\n") {
			t.Errorf("our offer lacks %q:\n%s", line, text)
		}
	}
	for _, c := range []struct {
		name       string
		lines      []string
		codec, are Codec
		pt         uint8
	}{
		{"both", []string{"m=audio 4000 RTP/AVP 111 8", "a=rtpmap:111 opus/48000/2"}, PCMA, Opus, 111},
		{"G.711 alone", []string{"m=audio 4000 RTP/AVP 0"}, PCMU, NoCodec, 0},
		{"Opus alone", []string{"m=audio 4000 RTP/AVP 111", "a=rtpmap:111 OPUS/48000/2"}, NoCodec, Opus, 111},
		{"Opus under another number", []string{"m=audio 4000 RTP/AVP 8 98", "a=rtpmap:98 opus/48000/2"}, PCMA, Opus, 98},
		{"mono is written with two channels too", []string{"m=audio 4000 RTP/AVP 8 111", "a=rtpmap:111 opus/48000"}, PCMA, NoCodec, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.Offer(PCMA)
			st, err := s.Accept(peerSDP(c.lines...))
			if err != nil || st.Codec != c.codec || st.Wide != c.are || st.WidePT != c.pt {
				t.Errorf("%+v, %v", st, err)
			}
			// What they send has our number.
			if st.Expect != c.are || c.are == Opus && st.ExpectPT != 111 {
				t.Errorf("expected is %s by %d", st.Expect, st.ExpectPT)
			}
		})
	}

	// A hold of the peer's is answered with both, in our order, whatever its own is.
	s.Widen(Wideband{Codec: Opus})
	answer, st = answerTo(t, s, peerSDP("m=audio 4000 RTP/AVP 111 8", "a=rtpmap:111 opus/48000/2", "a=sendonly"), NoCodec)
	if !strings.Contains(answer, "RTP/AVP 8 111\r\n") || st.Wide != Opus || st.Send {
		t.Errorf("%+v\n%s", st, answer)
	}
	if _, st = answerTo(t, s, peerSDP("m=audio 4000 RTP/AVP 8"), NoCodec); st.Wide != NoCodec {
		t.Errorf("Opus is agreed on with a peer that has it no more: %+v", st)
	}
	if _, has := s.Shown(Opus); has {
		t.Error("and known of it")
	}
}

func TestWidebandNumbers(t *testing.T) {
	for _, c := range []struct {
		name, offer, want string // of the offer we make afterwards, with Opus
	}{
		{"the usual one", "m=audio 4000 RTP/AVP 8", "8 0 107 101"},
		{"the peer's", "m=audio 4000 RTP/AVP 8 96|a=rtpmap:96 opus/48000/2", "8 0 96 101"},
		{"the usual one is something else", "m=audio 4000 RTP/AVP 8 107|a=rtpmap:107 speex/8000", "8 0 108 101"},
		{"the usual one is for events", "m=audio 4000 RTP/AVP 8 107|a=rtpmap:107 telephone-event/8000", "8 0 108 107"},
		{"a static number is nobody's to give", "m=audio 4000 RTP/AVP 8 0|a=rtpmap:0 opus/48000/2", "8 0 107 101"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewSession(sdpLocal, 7)
			answerTo(t, s, peerSDP(strings.Split(c.offer, "|")...), NoCodec)
			s.Widen(Wideband{Codec: Opus})
			if text := string(s.Offer(PCMA)); !strings.Contains(text, "RTP/AVP "+c.want+"\r\n") {
				t.Errorf("want %s:\n%s", c.want, text)
			}
		})
	}
	s := NewSession(sdpLocal, 7)
	s.Widen(Wideband{Codec: G722, First: true})
	if text := string(s.Offer(PCMA)); !strings.Contains(text, "RTP/AVP 9 8 0 101\r\na=rtpmap:9 G722/8000\r\n") {
		t.Errorf("G.722:\n%s", text)
	}
}

// What is passed on of a description can say nothing but what it is.
func TestFmtpIsPassedOnOrNot(t *testing.T) {
	for said, want := range map[string]string{
		"minptime=10; useinbandfec=1":      "minptime=10; useinbandfec=1",
		"x\rm=audio 9 RTP/AVP 0":           "",
		"name=\x00":                        "",
		"é":                                "",
		strings.Repeat("x", longestFmtp):   strings.Repeat("x", longestFmtp),
		strings.Repeat("x", longestFmtp+1): "",
	} {
		s := NewSession(sdpLocal, 7)
		answerTo(t, s, peerSDP("m=audio 4000 RTP/AVP 111 8", "a=rtpmap:111 opus/48000/2", "a=fmtp:111 "+said), NoCodec)
		if w, has := s.Shown(Opus); !has || w.Fmtp != want {
			t.Errorf("%.40q is passed on as %.40q", said, w.Fmtp)
		}
	}
}

func TestRefusedWideningTakesNothing(t *testing.T) {
	s := NewSession(sdpLocal, 7)
	before, _ := answerTo(t, s, peerSDP("m=audio 4000 RTP/AVP 8 111", "a=rtpmap:111 opus/48000/2"), NoCodec)
	s.Widen(Wideband{Codec: Opus, First: true})
	s.Offer(PCMA)
	s.Refused()
	s.Widen(Wideband{})
	after := string(s.Last())
	_, before, _ = strings.Cut(before, "\r\ns=")
	if _, after, _ := strings.Cut(after, "\r\ns="); after != before {
		t.Errorf("%s\nafter\n%s", after, before)
	}
}
