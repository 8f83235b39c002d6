package rtp

import (
	"bytes"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/sdp/v3"
)

var sdpLocal = netip.MustParseAddrPort("192.0.2.9:20000")

// peerSDP writes a description of a peer at 198.51.100.7 from its media part.
func peerSDP(media ...string) []byte {
	head := "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n"
	return []byte(head + strings.Join(media, "\r\n") + "\r\n")
}

func answerTo(t *testing.T, s *Session, offer []byte, prefer Codec) (string, Stream) {
	t.Helper()
	answer, st, err := s.Answer(offer, prefer)
	if err != nil {
		t.Fatalf("Answer: %v\n%s", err, offer)
	}
	checkWithPion(t, answer)
	return string(answer), st
}

// checkWithPion reads our text with a parser that is not ours.
func checkWithPion(t testing.TB, text []byte) *sdp.SessionDescription {
	t.Helper()
	var d sdp.SessionDescription
	if err := d.Unmarshal(text); err != nil {
		t.Fatalf("another parser refuses our SDP: %v\n%s", err, text)
	}
	return &d
}

func TestAnswerTable(t *testing.T) {
	ms := time.Millisecond
	rtp := netip.MustParseAddrPort("198.51.100.7:4000")
	rtcp := netip.MustParseAddrPort("198.51.100.7:4001")
	plain := Stream{Remote: rtp, RemoteRTCP: rtcp, Codec: PCMA, PT: 8, Ptime: 20 * ms, Send: true, Receive: true}
	with := func(f func(*Stream)) Stream { s := plain; f(&s); return s }
	for _, c := range []struct {
		name   string
		offer  []string
		prefer Codec
		want   Stream
		lines  []string // that the answer must have
	}{
		{"static payload types without rtpmap", []string{"m=audio 4000 RTP/AVP 8 0"}, NoCodec, plain,
			[]string{"m=audio 20000 RTP/AVP 8", "a=rtpmap:8 PCMA/8000", "a=ptime:20", "a=sendrecv"}},
		{"the peer's first", []string{"m=audio 4000 RTP/AVP 0 8"}, NoCodec,
			with(func(s *Stream) { s.Codec, s.PT = PCMU, 0 }), []string{"m=audio 20000 RTP/AVP 0"}},
		{"our preference", []string{"m=audio 4000 RTP/AVP 0 8"}, PCMA, plain, []string{"m=audio 20000 RTP/AVP 8"}},
		{"a preference the peer lacks", []string{"m=audio 4000 RTP/AVP 0"}, PCMA,
			with(func(s *Stream) { s.Codec, s.PT = PCMU, 0 }), nil},
		{"the peer's numbers", []string{"m=audio 4000 RTP/AVP 107 97 96", "a=rtpmap:107 opus/48000/2", "a=rtpmap:97 pcma/8000/1", "a=rtpmap:96 Telephone-Event/8000"}, NoCodec,
			with(func(s *Stream) { s.PT, s.EventPT = 97, 96 }), []string{"m=audio 20000 RTP/AVP 97 96", "a=rtpmap:97 PCMA/8000", "a=rtpmap:96 telephone-event/8000", "a=fmtp:96 0-15"}},
		{"telephone-event of the right clock", []string{"m=audio 4000 RTP/AVP 100 8 101", "a=rtpmap:100 telephone-event/48000", "a=rtpmap:101 telephone-event/8000"}, NoCodec,
			with(func(s *Stream) { s.EventPT = 101 }), []string{"m=audio 20000 RTP/AVP 8 101"}},
		{"telephone-event of the wrong clock only", []string{"m=audio 4000 RTP/AVP 8 100", "a=rtpmap:100 telephone-event/16000"}, NoCodec, plain,
			[]string{"m=audio 20000 RTP/AVP 8"}},
		{"ptime 30", []string{"m=audio 4000 RTP/AVP 8", "a=ptime:30"}, NoCodec, with(func(s *Stream) { s.Ptime = 30 * ms }), []string{"a=ptime:20"}},
		{"ptime 5 and 200 are brought into range", []string{"m=audio 4000 RTP/AVP 8", "a=ptime:200"}, NoCodec, with(func(s *Stream) { s.Ptime = 60 * ms }), nil},
		{"maxptime caps", []string{"m=audio 4000 RTP/AVP 8", "a=maxptime:10"}, NoCodec, with(func(s *Stream) { s.Ptime = 10 * ms }), nil},
		{"ptime that is no number", []string{"m=audio 4000 RTP/AVP 8", "a=ptime:twenty"}, NoCodec, plain, nil},
		{"rtcp-mux", []string{"m=audio 4000 RTP/AVP 8", "a=rtcp-mux"}, NoCodec,
			with(func(s *Stream) { s.Mux, s.RemoteRTCP = true, rtp }), []string{"a=rtcp-mux"}},
		{"a=rtcp port", []string{"m=audio 4000 RTP/AVP 8", "a=rtcp:4711"}, NoCodec,
			with(func(s *Stream) { s.RemoteRTCP = netip.MustParseAddrPort("198.51.100.7:4711") }), nil},
		{"a=rtcp address", []string{"m=audio 4000 RTP/AVP 8", "a=rtcp:4711 IN IP4 198.51.100.8"}, NoCodec,
			with(func(s *Stream) { s.RemoteRTCP = netip.MustParseAddrPort("198.51.100.8:4711") }), nil},
		{"hold by sendonly", []string{"m=audio 4000 RTP/AVP 8", "a=sendonly"}, NoCodec, with(func(s *Stream) { s.Send = false }), []string{"a=recvonly"}},
		{"recvonly", []string{"m=audio 4000 RTP/AVP 8", "a=recvonly"}, NoCodec, with(func(s *Stream) { s.Receive = false }), []string{"a=sendonly"}},
		{"hold by inactive", []string{"m=audio 4000 RTP/AVP 8", "a=inactive"}, NoCodec, with(func(s *Stream) { s.Send, s.Receive = false, false }), []string{"a=inactive"}},
		{"session-level direction", []string{"a=sendonly", "m=audio 4000 RTP/AVP 8"}, NoCodec, with(func(s *Stream) { s.Send = false }), []string{"a=recvonly"}},
		{"media-level direction wins", []string{"a=inactive", "m=audio 4000 RTP/AVP 8", "a=sendrecv"}, NoCodec, plain, []string{"a=sendrecv"}},
		{"media-level address wins", []string{"m=audio 4000 RTP/AVP 8", "c=IN IP4 198.51.100.99"}, NoCodec,
			with(func(s *Stream) {
				s.Remote, s.RemoteRTCP = netip.MustParseAddrPort("198.51.100.99:4000"), netip.MustParseAddrPort("198.51.100.99:4001")
			}), nil},
		{"old hold before any address was known", []string{"m=audio 4000 RTP/AVP 8", "c=IN IP4 0.0.0.0"}, NoCodec,
			with(func(s *Stream) { s.Remote, s.RemoteRTCP, s.Send = netip.AddrPort{}, netip.AddrPort{}, false }), []string{"a=recvonly"}},
		{"video is refused in its place", []string{"m=video 4100 RTP/AVP 31 34", "m=audio 4000 RTP/AVP 8", "m=text 0 RTP/AVP 98"}, NoCodec, plain,
			[]string{"m=video 0 RTP/AVP 31", "m=audio 20000 RTP/AVP 8", "m=text 0 RTP/AVP 98"}},
		{"the secure twin is refused", []string{"m=audio 4100 RTP/SAVP 8", "m=audio 4000 RTP/AVP 8"}, NoCodec, plain,
			[]string{"m=audio 0 RTP/SAVP 8", "m=audio 20000 RTP/AVP 8"}},
		{"feedback profile", []string{"m=audio 4000 RTP/AVPF 8"}, NoCodec, plain, []string{"m=audio 20000 RTP/AVPF 8"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer, st := answerTo(t, NewSession(sdpLocal, 7), peerSDP(c.offer...), c.prefer)
			if st != c.want {
				t.Errorf("stream\n got %+v\nwant %+v", st, c.want)
			}
			last := -1
			for _, l := range c.lines {
				at := strings.Index(answer, "\r\n"+l+"\r\n")
				if at <= last {
					t.Errorf("answer lacks %q, or has it out of order:\n%s", l, answer)
				}
				last = at
			}
		})
	}
}

func TestRefusedOffers(t *testing.T) {
	long := strings.Repeat("m=audio 4000 RTP/AVP 8\r\n", maxLines+1)
	for _, c := range []struct {
		name  string
		offer string
		want  error
	}{
		{"empty", "", ErrNoAudio},
		{"not SDP", "hello", ErrBadSDP},
		{"no media", string(peerSDP()), ErrNoAudio},
		{"video only", string(peerSDP("m=video 4000 RTP/AVP 31")), ErrNoAudio},
		{"audio ended", string(peerSDP("m=audio 0 RTP/AVP 8")), ErrNoAudio},
		{"SDES only", string(peerSDP("m=audio 4000 RTP/SAVP 8")), ErrTransport},
		{"DTLS only", string(peerSDP("m=audio 4000 UDP/TLS/RTP/SAVPF 8")), ErrTransport},
		{"no codec of ours", string(peerSDP("m=audio 4000 RTP/AVP 9 18")), ErrNoCodec},
		{"static number bound to something else", string(peerSDP("m=audio 4000 RTP/AVP 8", "a=rtpmap:8 opus/48000/2")), ErrNoCodec},
		{"stereo A-law", string(peerSDP("m=audio 4000 RTP/AVP 97", "a=rtpmap:97 PCMA/8000/2")), ErrNoCodec},
		{"host name", string(peerSDP("m=audio 4000 RTP/AVP 8", "c=IN IP4 phone.example.org")), ErrAddress},
		{"scoped literal", string(peerSDP("m=audio 4000 RTP/AVP 8", "c=IN IP6 fe80::1%lo")), ErrAddress},
		{"multicast", string(peerSDP("m=audio 4000 RTP/AVP 8", "c=IN IP4 224.2.1.1")), ErrAddress},
		{"multicast with TTL", string(peerSDP("m=audio 4000 RTP/AVP 8", "c=IN IP4 224.2.1.1/127")), ErrAddress},
		{"the other family", string(peerSDP("m=audio 4000 RTP/AVP 8", "c=IN IP6 2001:db8::1")), ErrAddress},
		{"no address", "v=0\r\nm=audio 4000 RTP/AVP 8\r\n", ErrBadSDP},
		{"port too large", string(peerSDP("m=audio 70000 RTP/AVP 8")), ErrBadSDP},
		{"no formats", string(peerSDP("m=audio 4000 RTP/AVP")), ErrBadSDP},
		{"control character in m=", string(peerSDP("m=audio 4000 RTP/A\x00VP 8")), ErrBadSDP},
		{"endless", string(peerSDP()) + long, ErrBadSDP},
		{"nearest failure is told", string(peerSDP("m=video 1 RTP/AVP 31", "m=audio 4000 RTP/AVP 9", "m=audio 4002 RTP/SAVP 8")), ErrNoCodec},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewSession(sdpLocal, 7)
			before, _ := answerTo(t, s, peerSDP("m=audio 4000 RTP/AVP 0"), NoCodec)
			if _, _, err := s.Answer([]byte(c.offer), NoCodec); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if string(s.Last()) != before {
				t.Error("a refused offer changed the session")
			}
		})
	}
}

func TestVersionGrowsOnlyWithChange(t *testing.T) {
	s := NewSession(sdpLocal, 7)
	offer := peerSDP("m=audio 4000 RTP/AVP 8 0 101", "a=rtpmap:101 telephone-event/8000")
	first, _ := answerTo(t, s, offer, NoCodec)
	again, _ := answerTo(t, s, offer, NoCodec)
	if first != again || string(s.Last()) != first {
		t.Errorf("unchanged answer differs:\n%s\n%s", first, again)
	}
	held, _ := answerTo(t, s, peerSDP("m=audio 4000 RTP/AVP 8 0 101", "a=rtpmap:101 telephone-event/8000", "a=sendonly"), NoCodec)
	resumed, _ := answerTo(t, s, offer, NoCodec)
	for i, text := range []string{first, held, resumed} {
		d := checkWithPion(t, []byte(text))
		if d.Origin.SessionID != 7 || d.Origin.SessionVersion != uint64(1+i) {
			t.Errorf("description %d has o= %d %d", i, d.Origin.SessionID, d.Origin.SessionVersion)
		}
	}
	reoffer := s.Offer(PCMA)
	if string(s.Last()) != string(reoffer) {
		t.Error("Last is not our offer")
	}
	s.Refused()
	if got := checkWithPion(t, s.Last()).Origin.SessionVersion; got != 5 {
		t.Errorf("version %d after a refused offer", got)
	}
	if !strings.Contains(string(s.Last()), "RTP/AVP 8 101\r\n") {
		t.Errorf("a refused offer did not give back what was agreed:\n%s", s.Last())
	}
}

func TestCodecInUseStays(t *testing.T) {
	s := NewSession(sdpLocal, 7)
	answerTo(t, s, peerSDP("m=audio 4000 RTP/AVP 0 8"), NoCodec)
	if _, st := answerTo(t, s, peerSDP("m=audio 4000 RTP/AVP 8 0"), PCMA); st.Codec != PCMU {
		t.Errorf("codec changed to %v though PCMU was still offered", st.Codec)
	}
	if _, st := answerTo(t, s, peerSDP("m=audio 4000 RTP/AVP 8"), NoCodec); st.Codec != PCMA {
		t.Errorf("codec %v was not offered", st.Codec)
	}
}

func TestOldHoldKeepsTheAddress(t *testing.T) {
	s := NewSession(sdpLocal, 7)
	_, before := answerTo(t, s, peerSDP("m=audio 4000 RTP/AVP 8"), NoCodec)
	_, held := answerTo(t, s, peerSDP("m=audio 4000 RTP/AVP 8", "c=IN IP4 0.0.0.0"), NoCodec)
	if held.Remote != before.Remote || held.Send || !held.Receive {
		t.Errorf("held by 0.0.0.0: %+v", held)
	}
	if _, after := answerTo(t, s, peerSDP("m=audio 4000 RTP/AVP 8"), NoCodec); after != before {
		t.Errorf("resumed: %+v", after)
	}
}

func TestOurHold(t *testing.T) {
	s := NewSession(sdpLocal, 7)
	s.Offer(NoCodec)
	if _, err := s.Accept(peerSDP("m=audio 4000 RTP/AVP 8")); err != nil {
		t.Fatal(err)
	}
	s.Hold(true)
	if !strings.Contains(string(s.Offer(NoCodec)), "a=sendonly\r\n") {
		t.Error("held, but the offer does not say sendonly")
	}
	// A peer that answers sendrecv to sendonly is not to be heard all the same.
	st, err := s.Accept(peerSDP("m=audio 4000 RTP/AVP 8"))
	if err != nil || !st.Send || st.Receive {
		t.Errorf("our hold: %+v, %v", st, err)
	}
	for peer, ours := range map[string]string{"sendrecv": "sendonly", "sendonly": "inactive", "recvonly": "sendonly", "inactive": "inactive"} {
		answer, _ := answerTo(t, s, peerSDP("m=audio 4000 RTP/AVP 8", "a="+peer), NoCodec)
		if !strings.Contains(answer, "a="+ours+"\r\n") {
			t.Errorf("held, peer offers %s, answer is not %s:\n%s", peer, ours, answer)
		}
	}
	s.Hold(false)
	if answer, st := answerTo(t, s, peerSDP("m=audio 4000 RTP/AVP 8"), NoCodec); !st.Receive || !strings.Contains(answer, "a=sendrecv\r\n") {
		t.Errorf("resumed: %+v\n%s", st, answer)
	}
}

func TestOfferAndAccept(t *testing.T) {
	s := NewSession(sdpLocal, 7)
	if _, err := s.Accept(peerSDP("m=audio 4000 RTP/AVP 8")); !errors.Is(err, ErrNoOffer) {
		t.Errorf("answer without offer: %v", err)
	}
	offer := s.Offer(PCMU)
	d := checkWithPion(t, offer)
	if got := strings.Join(d.MediaDescriptions[0].MediaName.Formats, " "); got != "0 8 101" {
		t.Errorf("offered %s", got)
	}
	// Early and final answer to the same offer.
	for _, codec := range []Codec{PCMA, PCMU} {
		pt := map[Codec]int{PCMA: 8, PCMU: 0}[codec]
		st, err := s.Accept(peerSDP("m=audio 4000 RTP/AVP "+strconv.Itoa(pt)+" 101", "a=rtpmap:101 telephone-event/8000"))
		if err != nil || st.Codec != codec || st.EventPT != 101 || !st.Send || !st.Receive {
			t.Errorf("%v: %+v, %v", codec, st, err)
		}
	}
	for name, c := range map[string]struct {
		answer []byte
		want   error
	}{
		"refused":        {peerSDP("m=audio 0 RTP/AVP 8"), ErrNoAudio},
		"secure":         {peerSDP("m=audio 4000 RTP/SAVP 8"), ErrTransport},
		"other codec":    {peerSDP("m=audio 4000 RTP/AVP 18"), ErrNoCodec},
		"other media":    {peerSDP("m=video 4000 RTP/AVP 31"), ErrNoAudio},
		"empty":          {nil, ErrNoAudio},
		"events only":    {peerSDP("m=audio 4000 RTP/AVP 101", "a=rtpmap:101 telephone-event/8000"), ErrNoCodec},
		"host name":      {peerSDP("m=audio 4000 RTP/AVP 8", "c=IN IP4 x.example"), ErrAddress},
		"not a SDP line": {[]byte("v=0\r\nxx\r\n"), ErrBadSDP},
	} {
		if _, err := s.Accept(c.answer); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// Mux was not ours to offer: an answer cannot bring it in.
	if st, _ := s.Accept(peerSDP("m=audio 4000 RTP/AVP 8", "a=rtcp-mux")); st.Mux {
		t.Error("rtcp-mux agreed without an offer of it")
	}
}

func TestReofferKeepsLinesNumbersAndMux(t *testing.T) {
	s := NewSession(sdpLocal, 7)
	answerTo(t, s, peerSDP("m=video 4100 RTP/AVP 31", "m=audio 4000 RTP/AVP 101 96", "a=rtpmap:101 PCMA/8000", "a=rtpmap:96 telephone-event/8000", "a=rtcp-mux"), NoCodec)
	offer := string(s.Offer(PCMA))
	checkWithPion(t, []byte(offer))
	for _, want := range []string{"m=video 0 RTP/AVP 31\r\n", "m=audio 20000 RTP/AVP 101 0 96\r\n", "a=rtcp-mux\r\n"} {
		if !strings.Contains(offer, want) {
			t.Errorf("re-offer lacks %q:\n%s", want, offer)
		}
	}
	st, err := s.Accept(peerSDP("m=video 0 RTP/AVP 31", "m=audio 4000 RTP/AVP 101 96", "a=rtpmap:101 PCMA/8000", "a=rtpmap:96 telephone-event/8000"))
	if err != nil || st.Mux || st.PT != 101 || st.EventPT != 96 {
		t.Errorf("%+v, %v", st, err)
	}

	// 101 is the peer's for something else: our telephone-event goes elsewhere.
	s = NewSession(sdpLocal, 7)
	answerTo(t, s, peerSDP("m=audio 4000 RTP/AVP 8 101", "a=rtpmap:101 opus/48000/2"), NoCodec)
	if offer := string(s.Offer(PCMA)); !strings.Contains(offer, "RTP/AVP 8 0 102\r\n") {
		t.Errorf("telephone-event took a number that was bound:\n%s", offer)
	}
}

func TestIPv6Session(t *testing.T) {
	s := NewSession(netip.MustParseAddrPort("[2001:db8::9]:20000"), 7)
	answer, st := answerTo(t, s, []byte("v=0\no=- 1 1 IN IP6 ::1\ns=-\nc=IN IP6 2001:db8::5\nt=0 0\nm=audio 4000 RTP/AVP 8\n"), NoCodec)
	if !strings.Contains(answer, "c=IN IP6 2001:db8::9\r\n") || st.Remote != netip.MustParseAddrPort("[2001:db8::5]:4000") {
		t.Errorf("%+v\n%s", st, answer)
	}
	// Three colons are a slip that is understood (RFC 5118 section 4.10).
	_, st = answerTo(t, s, []byte("v=0\nc=IN IP6 2001:db8:::192.0.2.1\nm=audio 4000 RTP/AVP 8\n"), NoCodec)
	if st.Remote != netip.MustParseAddrPort("[2001:db8::c000:201]:4000") {
		t.Errorf("%+v", st)
	}
	// A mapped address is an IPv4 one.
	if _, _, err := s.Answer([]byte("v=0\nc=IN IP6 ::ffff:192.0.2.1\nm=audio 4000 RTP/AVP 8\n"), NoCodec); !errors.Is(err, ErrAddress) {
		t.Errorf("mapped IPv4 accepted on IPv6: %v", err)
	}
}

// FuzzSDP: whatever a peer sends, nothing panics, and what we answer can be read
// again and names only what was offered.
func FuzzSDP(f *testing.F) {
	f.Add(peerSDP("m=audio 4000 RTP/AVP 8 0 101", "a=rtpmap:101 telephone-event/8000", "a=sendonly"), peerSDP("m=audio 4000 RTP/AVP 0"))
	f.Add(peerSDP("m=video 1 RTP/AVP 31", "m=audio 4000 RTP/AVPF 97 96", "a=rtpmap:97 PCMU/8000", "a=rtpmap:96 telephone-event/8000", "a=rtcp:9 IN IP4 1.2.3.4"), peerSDP("m=audio 1 RTP/AVP 97", "a=rtpmap:97 PCMA/8000"))
	f.Add([]byte("v=0\nc=IN IP4 0.0.0.0\nm=audio 1/2 RTP/AVP 8\na=inactive\na=rtcp-mux"), []byte{})
	f.Fuzz(func(t *testing.T, offer, second []byte) {
		s := NewSession(sdpLocal, 1)
		for _, text := range [][]byte{offer, second} {
			answer, st, err := s.Answer(text, NoCodec)
			if err != nil {
				if answer != nil {
					t.Fatal("an answer beside an error")
				}
				continue
			}
			theirs, _ := readSDP(text)
			ours, err := readSDP(answer)
			if err != nil {
				t.Fatalf("our answer cannot be read: %v\n%s", err, answer)
			}
			if len(ours.media) != len(theirs.media) {
				t.Fatalf("%d m= lines answered with %d", len(theirs.media), len(ours.media))
			}
			served := 0
			for i := range ours.media {
				o, th := &ours.media[i], &theirs.media[i]
				if o.line.media != th.line.media || o.proto != th.proto {
					t.Fatalf("line %d: %+v answered by %+v", i, th.line, o.line)
				}
				if o.port == 0 {
					continue
				}
				served++
				if o.usable(sdpLocal.Addr(), Among(Plain)) != nil || len(o.formats) != 1 {
					t.Fatalf("unusable answer:\n%s", answer)
				}
				got := o.formats[0]
				if codec, _ := th.meaning(got.pt); codec != got.codec || got != (format{st.Codec, st.PT}) {
					t.Fatalf("answered %v as %v, stream %+v", got, codec, st)
				}
				if o.event != st.EventPT || o.event != 0 && th.event != o.event {
					t.Fatalf("telephone-event %d offered, %d answered", th.event, o.event)
				}
				if extra := o.dir &^ th.dir.mirror(); extra != 0 {
					t.Fatalf("%v answered with %v", th.dir, o.dir)
				}
			}
			if served != 1 {
				t.Fatalf("%d streams served", served)
			}
			reoffer, err := readSDP(s.Offer(PCMA))
			if err != nil || len(reoffer.media) != len(ours.media) {
				t.Fatalf("re-offer: %v", err)
			}
			m := reoffer.media[s.agreed.audio]
			if len(m.formats) != 2 || m.formats[0].pt == m.formats[1].pt || m.event == m.formats[0].pt || m.event == m.formats[1].pt {
				t.Fatalf("re-offer binds a number twice:\n%s", s.Last())
			}
		}
		_, _ = s.Accept(offer)
		s.Refused()
		if last := s.Last(); last != nil && bytes.Contains(last, []byte("\x00")) {
			t.Fatal("unclean text")
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	offer := peerSDP("m=audio 4000 RTP/AVP 107 8 0 101", "a=rtpmap:107 opus/48000/2", "a=rtpmap:8 PCMA/8000", "a=rtpmap:0 PCMU/8000", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", "a=ptime:20", "a=rtcp:4001", "a=sendrecv")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := NewSession(sdpLocal, 7).Answer(offer, NoCodec); err != nil {
			b.Fatal(err)
		}
	}
}

func TestSpeaksOnlyWhatItIsTold(t *testing.T) {
	s := NewSession(netip.MustParseAddrPort("192.0.2.1:4000"), 1)
	s.Speak([]Codec{PCMU}, false)
	if offer := string(s.Offer(PCMA)); strings.Contains(offer, "PCMA") || strings.Contains(offer, "telephone-event") || !strings.Contains(offer, "PCMU") {
		t.Errorf("offer of one who speaks mu-law only:\n%s", offer)
	}
	both := "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 5000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
	s = NewSession(netip.MustParseAddrPort("192.0.2.1:4000"), 1)
	s.Speak([]Codec{PCMU}, false)
	if _, st, err := s.Answer([]byte(both), PCMA); err != nil || st.Codec != PCMU || st.EventPT != 0 {
		t.Errorf("answered with %v, events as %d: %v", st.Codec, st.EventPT, err)
	}
	s = NewSession(netip.MustParseAddrPort("192.0.2.1:4000"), 1)
	s.Speak([]Codec{PCMU}, true)
	if _, _, err := s.Answer([]byte(strings.Replace(both, "AVP 8 0 101", "AVP 8 101", 1)), NoCodec); !errors.Is(err, ErrNoCodec) {
		t.Errorf("A-law alone, for one who does not speak it: %v", err)
	}
	s = NewSession(netip.MustParseAddrPort("192.0.2.1:4000"), 1)
	s.Speak([]Codec{PCMU, PCMA}, true)
	if offer := string(s.Offer(NoCodec)); !strings.Contains(offer, "RTP/AVP 0 8 101") {
		t.Errorf("offer in another order:\n%s", offer)
	}
}
