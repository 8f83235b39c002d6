package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unsafe"

	"foyer/acd"
	"foyer/console"
	"foyer/sip"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// at is a phone of ana's behind a router.
func at(port uint16) sip.Binding {
	return sip.Binding{
		User: "ana", Contact: "sip:ana@192.168.1.10:5060", Transport: "udp", UserAgent: "Linphone/5.1", Reachable: true,
		Source: netip.AddrPortFrom(netip.MustParseAddr("203.0.113.7"), port),
	}
}

// well is a line with nothing wrong about it.
func well() *lineFacts {
	f := &lineFacts{account: true, phones: []sip.Binding{at(40000)}, began: noon.Add(-3 * time.Hour)}
	f.phones[0].Transport = "tls"
	f.seenAt, f.answeredAt, f.trip = noon.Add(-40*time.Second), noon.Add(-12*time.Second), 38*time.Millisecond
	for i := range 5 {
		f.calls = append(f.calls, callFacts{noon.Add(-time.Duration(i) * time.Hour), acd.Quality{Packets: 5000, Lost: 5, JitterMS: 4, RTTMS: 35, Codec: "PCMA"}})
	}
	return f
}

// Each ailment by itself, and what the doctor finds: its names, gravest first.
func TestDoctorFinds(t *testing.T) {
	all := func(f *lineFacts, change func(q *acd.Quality)) {
		for i := range f.calls {
			change(&f.calls[i].quality)
		}
	}
	times := func(f *lineFacts, n int, every time.Duration, what turnKind) {
		for i := range n {
			f.turned(noon.Add(-time.Duration(i)*every), what)
		}
	}
	for _, x := range []struct {
		name string
		ill  func(f *lineFacts)
		want string
	}{
		{"well", func(f *lineFacts) {}, ""},
		{"by UDP", func(f *lineFacts) { f.phones[0].Transport = "udp" }, "info open"},
		{"no calls yet", func(f *lineFacts) { f.calls = nil }, ""},
		{"no account", func(f *lineFacts) { f.phones, f.account = nil, false }, "error no_account"},
		{"never seen", func(f *lineFacts) { f.phones, f.seenAt = nil, time.Time{} }, "error never_seen"},
		{"gone", func(f *lineFacts) { f.phones, f.goneAt = nil, noon.Add(-time.Hour) }, "error gone"},
		{"wrong password", func(f *lineFacts) { f.phones, f.refused, f.refusedAt = nil, 3, noon.Add(-time.Minute/2) }, "error refused"},
		{"wrong password of a second phone", func(f *lineFacts) { f.refused, f.refusedAt = 3, noon }, ""},
		{"wrong password yesterday", func(f *lineFacts) { f.phones, f.refused, f.refusedAt = nil, 3, noon.Add(-aDay) }, "error gone"},
		{"silent", func(f *lineFacts) { f.phones[0].Reachable = false }, "error silent"},
		{"one phone of two answers", func(f *lineFacts) {
			dead := at(40001)
			dead.Reachable = false
			f.phones = append(f.phones, dead)
		}, "info several"},
		{"a gateway, for sure", func(f *lineFacts) { f.signs[1] = noon.Add(-time.Minute) }, "error alg"},
		{"a gateway that has been switched off", func(f *lineFacts) { f.signs[1] = noon.Add(-2 * time.Hour) }, ""},
		{"a gateway, perhaps", func(f *lineFacts) { f.signs[2] = noon.Add(-2 * time.Hour) }, "warning alg_suspected"},
		{"a gateway in the sound's description", func(f *lineFacts) { f.signs[signSDP] = noon }, "warning alg_suspected"},
		{"all signs at once", func(f *lineFacts) { f.signs[signSDP], f.signs[0] = noon, noon }, "error alg"},
		{"the router forgets", func(f *lineFacts) { times(f, 3, time.Minute, turnForgotten); f.forgot = 40 * time.Second }, "warning mapping"},
		{"the phone was restarted once", func(f *lineFacts) { times(f, 1, time.Minute, turnForgotten); f.forgot = 40 * time.Second }, ""},
		{"after hours it may forget", func(f *lineFacts) { times(f, 3, time.Minute, turnForgotten); f.forgot = time.Hour }, ""},
		{"lost and found", func(f *lineFacts) { times(f, 4, 5*time.Minute, turnLost) }, "warning flapping"},
		{"lost twice", func(f *lineFacts) { times(f, 2, 5*time.Minute, turnLost) }, ""},
		{"lost this morning", func(f *lineFacts) { f.turned(noon.Add(-3*time.Hour), turnLost); times(f, 2, time.Minute, turnLost) }, ""},
		{"between networks", func(f *lineFacts) { times(f, 3, 5*time.Minute, turnRoamed) }, "warning roaming"},
		{"not heard once", func(f *lineFacts) { f.calls[2].quality = acd.Quality{} }, "error one_way_up"},
		{"hears nothing", func(f *lineFacts) { f.calls[0].quality.RemoteLossRatio = 0.98 }, "error one_way_down"},
		{"never heard", func(f *lineFacts) { all(f, func(q *acd.Quality) { *q = acd.Quality{} }) }, "error one_way_up"},
		{"loses what is said", func(f *lineFacts) { all(f, func(q *acd.Quality) { q.Lost = 300 }) }, "warning loss_up"},
		{"loses a little", func(f *lineFacts) { all(f, func(q *acd.Quality) { q.Lost = 80 }) }, "info loss_up"},
		{"loses what is heard", func(f *lineFacts) { all(f, func(q *acd.Quality) { q.RemoteLossRatio = 0.05 }) }, "warning loss_down"},
		{"uneven", func(f *lineFacts) { all(f, func(q *acd.Quality) { q.JitterMS = 60 }) }, "warning jitter"},
		{"uneven once", func(f *lineFacts) { f.calls[0].quality.JitterMS = 90 }, ""},
		{"far", func(f *lineFacts) { all(f, func(q *acd.Quality) { q.RTTMS = 400 }) }, "warning delay"},
		{"slow to answer", func(f *lineFacts) { f.slow, f.trip = 3, 700*time.Millisecond }, "warning slow"},
		{"everything", func(f *lineFacts) {
			f.phones[0].Transport, f.signs[3] = "udp", noon
			times(f, 3, time.Minute, turnForgotten)
			f.forgot, f.survived = 40*time.Second, 25*time.Second
			all(f, func(q *acd.Quality) { q.Lost = q.Packets / 20 })
			f.calls[0].quality = acd.Quality{}
		}, "error alg, error one_way_up, warning mapping, warning loss_up, info open"},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := well()
			x.ill(f)
			var got []string
			for _, d := range examine(noon, f) {
				got = append(got, d.severity.String()+" "+d.key())
				for _, lang := range []string{"fr", "en"} {
					for _, s := range []string{d.words(lang, "*9").say, d.words(lang, "").cure} {
						if s == "" || strings.ContainsAny(s, "{}") || strings.Contains(s, "()") {
							t.Errorf("%s in %s: %q", d.key(), lang, s)
						}
					}
				}
			}
			if s := strings.Join(got, ", "); s != x.want {
				t.Errorf("found %q, want %q", s, x.want)
			}
		})
	}
}

// What is found is said in both languages, with the figures of the finding.
func TestDoctorSpeaksBothLanguages(t *testing.T) {
	fr, en := remarks("fr"), remarks("en")
	for id, r := range fr {
		if en[id].say == "" || en[id].cure == "" || r.say == "" || r.cure == "" {
			t.Errorf("%s is not said in both languages", id)
		}
	}
	if len(fr) != len(en) {
		t.Errorf("%d remarks in French, %d in English", len(fr), len(en))
	}
	loss := finding{id: "loss", ratio: 0.0423, of: 5, up: true}
	mapping := finding{id: "mapping", n: 3, span: 40 * time.Second, span2: 25 * time.Second}
	oneWay := finding{id: "one_way", n: 1, of: 5, up: true}
	f, away := well(), well()
	away.phones = nil
	for _, x := range []struct{ got, want string }{
		{loss.words("fr", "").say, "4,2 % de ce que dit l'agent se perd en route (5 derniers appels)."},
		{mapping.words("en", "").cure, "Move the phone to TCP or TLS, or set registrar.keepalive.udp_options below 25 s."},
		{oneWay.words("en", "*9").cure, ", then do the echo test (*9)."},
		{f.summary(noon, "fr", nil), "Le téléphone (Linphone/5.1, par TLS depuis 203.0.113.7:40000) a répondu il y a 12 s, en 38 ms. Rien à corriger."},
		{away.summary(noon, "en", []finding{{severity: failure}}), "No phone is registered."},
		{spanIn(3*time.Hour, "fr"), "3 h"},
		{spanIn(75*time.Hour, "fr"), "3 jours"},
		{spanIn(90*time.Second, "en"), "90 s"},
		{spanIn(5*time.Minute, "en"), "5 min"},
	} {
		if !strings.HasSuffix(x.got, x.want) {
			t.Errorf("said %q, want %q", x.got, x.want)
		}
	}
}

// A day on a line, as the registrar tells it: what is remembered of the router.
func TestHomeLineRemembers(t *testing.T) {
	type step struct {
		after time.Duration
		what  string // reg, roam, lost, ok, miss
		port  uint16 // of reg
	}
	s := time.Second
	for _, x := range []struct {
		name  string
		steps []step
		want  string // survived, forgot, and how often: forgotten, lost, roamed
	}{
		{"a good router", []step{{0, "reg", 40000}, {25 * s, "ok", 0}, {25 * s, "ok", 0}, {10 * s, "reg", 40000}}, "25s 0s 0 0 0"},
		{"one that forgets after 20 s", []step{
			{0, "reg", 40000}, {25 * s, "miss", 0}, {4 * s, "miss", 0}, {0, "lost", 0}, {26 * s, "reg", 40001},
			{25 * s, "miss", 0}, {30 * s, "reg", 40002},
		}, "0s 25s 2 1 0"},
		{"one that forgets between 25 and 55 s", []step{
			{0, "reg", 40000}, {25 * s, "ok", 0}, {55 * s, "reg", 40001}, {25 * s, "ok", 0}, {60 * s, "reg", 40002},
		}, "25s 55s 2 0 0"},
		{"another network", []step{{0, "reg", 40000}, {30 * s, "roam", 0}, {30 * s, "reg", 40000}}, "0s 0s 0 0 2"},
		{"a probe was lost, the way was not", []step{{0, "reg", 40000}, {25 * s, "miss", 0}, {4 * s, "ok", 0}, {25 * s, "reg", 40000}}, "29s 0s 0 0 0"},
	} {
		var h homeLine
		now, phone := noon, at(40000)
		for _, st := range x.steps {
			now = now.Add(st.after)
			switch st.what {
			case "reg":
				phone = at(st.port)
				h.registered(now, sip.RegEvent{Kind: sip.RegRefreshed, Binding: phone})
			case "roam":
				phone.Source = netip.MustParseAddrPort("198.51.100.4:5060")
				h.registered(now, sip.RegEvent{Kind: sip.RegRefreshed, Binding: phone})
			case "lost":
				h.registered(now, sip.RegEvent{Kind: sip.RegLost, Binding: phone})
			default:
				h.asked(sip.Asked{Binding: phone, Sent: now, Answered: st.what == "ok"})
			}
		}
		got := fmt.Sprint(h.survived, h.forgot, h.count(noon.Add(-s), turnForgotten), h.count(noon.Add(-s), turnLost), h.count(noon.Add(-s), turnRoamed))
		if got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

func TestHomeLineIsBounded(t *testing.T) {
	if n := unsafe.Sizeof(homeLine{}); n >= 1024 {
		t.Errorf("a line takes %d bytes", n)
	}
	b := at(1)
	var h homeLine
	if n := testing.AllocsPerRun(100, func() { h.registered(noon, sip.RegEvent{Binding: b}) }); n > 1 {
		t.Errorf("%.0f allocations for each registration", n)
	}
}

func TestSDPRewritten(t *testing.T) {
	const form = "v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n%s"
	source := netip.MustParseAddr("203.0.113.7")
	for _, x := range []struct {
		name, origin, connection, more string
		want                           bool
	}{
		{"a phone behind a router", "192.168.1.10", "192.168.1.10", "", false},
		{"a phone that asked a STUN server", "203.0.113.7", "203.0.113.7", "", false},
		{"a gateway", "192.168.1.10", "203.0.113.7", "", true},
		{"a phone with ICE", "192.168.1.10", "203.0.113.7", "a=candidate:1 1 UDP 1 192.168.1.10 4000 typ host\r\n", false},
		{"a relay of the phone's own", "192.168.1.10", "198.51.100.1", "", false},
		{"a name as origin", "pc.home", "203.0.113.7", "", false},
	} {
		if got := sdpRewritten(fmt.Appendf(nil, form, x.origin, x.connection, x.more), source); got != x.want {
			t.Errorf("%s: %v", x.name, got)
		}
	}
	if sdpRewritten(nil, source) {
		t.Error("found in nothing")
	}
}

// The whole way: a phone, a call in which nothing comes from it, and what is said.
func TestDoctorOfAWholeSwitch(t *testing.T) {
	t.Parallel()
	s := newStage(t, with("media_timeout: 2s", "media_timeout: 30s"))
	if r := s.doctor("bo", "en"); r.Healthy || r.Findings[0].ID != "never_seen" {
		t.Errorf("%s", asJSON(r))
	}
	ana := s.agent("ana", 500)
	if r := s.doctor("ana", "fr"); !r.Healthy || len(r.Findings) != 1 || r.Findings[0].ID != "open" || !strings.Contains(r.Summary, "UDP") {
		t.Errorf("%s", asJSON(r))
	}
	ana.voice.silence(true)
	out, _ := s.connected(s.caller("127.0.0.2", 1300), ana)
	time.Sleep(shortestTalk + 200*time.Millisecond) // a shorter one does not count
	out.Bye()
	s.cdr()
	r := s.doctor("ana", "en")
	if r.Healthy || r.Findings[0].ID != "one_way_up" || r.Line.Calls != 1 {
		t.Fatalf("%s", asJSON(r))
	}
	var text strings.Builder
	printLine(&text, r)
	want := "1. [error] In 1 of the last 1 calls nothing came from the phone: the caller could not hear the\n   agent.\n   → Switch off"
	if !strings.Contains(text.String(), want) {
		t.Errorf("printed:\n%s", text.String())
	}
}

func (s *stage) doctor(agent, lang string) console.LineReport {
	s.t.Helper()
	r, err := (&desk{ex: s.ex, cfg: s.cfg}).Doctor(s.ctx, agent, lang)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}
