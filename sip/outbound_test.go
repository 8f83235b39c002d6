package sip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"foyer/sip/siptest"
)

const mobile = "+33612345678"

// playOut runs a test on a stage whose carrier also takes calls, at 10.0.0.2 or
// 10.0.0.8; a second trunk leads to 10.0.0.4, where nobody is.
func playOut(t *testing.T, change func(*Options), test func(*stage)) {
	t.Helper()
	play(t, func(o *Options) {
		o.Trunks = []Trunk{
			{ID: "carrier", Allow: prefixes("10.0.0.2/32", "10.0.0.8/32"), MaxCalls: 3, Host: "10.0.0.2", Forwarded: ByDiversion},
			{ID: "dead", Allow: prefixes("10.0.0.4/32"), Host: "10.0.0.4", Port: 5070},
			{ID: "mute", Allow: prefixes("10.0.0.5/32")},
		}
		if change != nil {
			change(o)
		}
	}, test)
}

// divertedBy is a caller passed on by a number of ours.
func divertedBy(number string) []Diversion {
	return []Diversion{{User: number, Reason: "unconditional"}}
}

// calls dials a number by the carrier.
func (s *stage) dialsOut(change ...func(*Dial)) *diary {
	s.t.Helper()
	return s.dials(append([]func(*Dial){func(d *Dial) {
		d.To, d.Trunk, d.Number = Binding{}, "carrier", mobile
		d.Caller = Caller{User: "+33170000001", Display: "Boutik"}
	}}, change...)...)
}

// reaches dials a number and returns the carrier's end.
func (s *stage) reaches(change ...func(*Dial)) (*siptest.Call, *diary) {
	s.t.Helper()
	d := s.dialsOut(change...)
	return s.taken(), d
}

// taken waits for the next call the carrier gets.
func (s *stage) taken() *siptest.Call {
	s.t.Helper()
	c, err := s.carrier.WaitCall(s.patience())
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// speaks makes a call to a number that is up.
func (s *stage) speaks(extra ...siptest.Header) (*siptest.Call, *diary) {
	s.t.Helper()
	c, d := s.reaches()
	c.Answer(offerA, extra...)
	expect[Answered](d)
	return c, d
}

func TestCallToNumber(t *testing.T) {
	playOut(t, nil, func(s *stage) {
		c, d := s.reaches()
		inv := c.Invite()
		for name, want := range map[string]string{
			"Contact": "<sip:foyer@10.0.0.1:5060>", "To": "<sip:+33612345678@10.0.0.2;user=phone>",
			"P-Asserted-Identity": `"Boutik" <sip:+33170000001@10.0.0.1;user=phone>`, "Privacy": "", "Diversion": "",
			"Session-Expires": "1800", "Content-Type": "application/sdp", "Max-Forwards": "70",
		} {
			if got := inv.Get(name); got != want {
				s.t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if !strings.HasPrefix(inv.Get("From"), `"Boutik" <sip:+33170000001@10.0.0.1;user=phone>;tag=`) ||
			inv.URI != "sip:+33612345678@10.0.0.2;user=phone" || inv.Body != ourSDP {
			s.t.Errorf("INVITE: %s", inv)
		}
		if d.leg.Trunk() != "carrier" || d.leg.Remote().String() != "10.0.0.2:5060" || s.edge.TrunkCalls()["carrier"] != 1 {
			s.t.Errorf("by %s to %s, %v", d.leg.Trunk(), d.leg.Remote(), s.edge.TrunkCalls())
		}
		c.Trying()
		c.Ring(183, offerA)
		if p := expect[Progress](d); p.Code != 183 || string(p.SDP) != offerA {
			s.t.Errorf("%+v", p)
		}
		c.Ring(180, "")
		if p := expect[Progress](d); p.Code != 180 || p.SDP != nil {
			s.t.Errorf("%+v", p)
		}
		c.Answer(offerA)
		if a := expect[Answered](d); string(a.SDP) != offerA {
			s.t.Errorf("answer %q", a.SDP)
		}
		if ack := s.saw(c, "ACK"); ack.Tag("To") == "" {
			s.t.Errorf("ACK: %s", ack)
		}

		c.Reinvite(offerB) // hold
		o := expect[Reoffered](d)
		d.leg.Accept(o, []byte(newSDP))
		if m := s.saw(c, "200 INVITE"); string(o.SDP) != offerB || m.Body != newSDP {
			s.t.Errorf("hold %q answered %q", o.SDP, m.Body)
		}
		time.Sleep(time.Second)
		if err := d.leg.Reoffer([]byte(ourSDP)); err != nil {
			s.t.Fatal(err)
		}
		s.saw(c, "INVITE") // the first
		s.saw(c, "INVITE")
		if r := expect[Reanswered](d); r.Code != 200 {
			s.t.Errorf("%+v", r)
		}
		c.Bye()
		expect[Ended](d)
		s.saw(c, "200 BYE")
		d.silent()
	})
}

func TestWeHangUpOnNumber(t *testing.T) {
	playOut(t, nil, func(s *stage) {
		c, d := s.speaks()
		d.leg.Hangup(Reason{Q850: 16})
		if bye := s.saw(c, "BYE"); bye.URI != "sip:carrier@10.0.0.2:5060" || bye.Get("Reason") != "Q.850;cause=16" {
			s.t.Errorf("BYE: %s", bye)
		}
		s.settles()
		d.silent()
	})
}

func TestSessionOfNumberIsRefreshed(t *testing.T) {
	playOut(t, nil, func(s *stage) {
		c, d := s.speaks(siptest.H("Session-Expires", "90;refresher=uac"), siptest.H("Require", "timer"))
		s.saw(c, "UPDATE")
		d.leg.Hangup(Reason{})
	})
}

func TestWhoCallsANumber(t *testing.T) {
	const anonymous = `"Anonymous" <sip:anonymous@anonymous.invalid>`
	for _, x := range []struct {
		name          string
		account       string
		change        func(*Dial)
		from, privacy string
		asserted, div string
	}{
		{"a number of ours", "", func(*Dial) {}, `"Boutik" <sip:+33170000001@10.0.0.1;user=phone>`, "",
			`"Boutik" <sip:+33170000001@10.0.0.1;user=phone>`, ""},
		{"a caller passed on", "", func(d *Dial) { d.Caller, d.Diverted = Caller{User: "+441632960001"}, divertedBy("+33170000001") },
			"<sip:+441632960001@10.0.0.1;user=phone>", "", "<sip:+441632960001@10.0.0.1;user=phone>",
			"<sip:+33170000001@10.0.0.1;user=phone>;reason=unconditional;counter=1;privacy=off"},
		{"a private caller passed on", "", func(d *Dial) {
			d.Caller, d.Diverted = Caller{User: "+441632960001", Display: "Ada", Private: true}, divertedBy("+33170000001")
		}, anonymous, "id", `"Ada" <sip:+441632960001@10.0.0.1;user=phone>`,
			"<sip:+33170000001@10.0.0.1;user=phone>;reason=unconditional;counter=1;privacy=off"},
		{"nobody", "", func(d *Dial) { d.Caller = Caller{} }, anonymous, "id", "", ""},
		{"a name", "", func(d *Dial) { d.Caller = Caller{User: "desk;user=phone"} }, "<sip:desk%3Buser=phone@10.0.0.1>", "",
			"<sip:desk%3Buser=phone@10.0.0.1>", ""},
		{"by an account", "33123", func(d *Dial) { d.Caller.Display = "" }, "<sip:+33170000001@10.0.0.2;user=phone>", "",
			"<sip:+33170000001@10.0.0.2;user=phone>", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			playOut(t, func(o *Options) { o.Trunks[0].Username = x.account }, func(s *stage) {
				c, d := s.reaches(x.change)
				inv := c.Invite()
				from, _, _ := strings.Cut(inv.Get("From"), ";tag=")
				if from != x.from || inv.Get("Privacy") != x.privacy || inv.Get("P-Asserted-Identity") != x.asserted || inv.Get("Diversion") != x.div {
					s.t.Errorf("INVITE: %s", inv)
				}
				d.leg.Hangup(Reason{})
				c.Reject(487)
			})
		})
	}
}

func TestNumberRefused(t *testing.T) {
	for code, elsewhere := range map[int]bool{302: false, 401: false, 404: false, 407: false, 408: false, 480: false, 486: false,
		500: true, 503: true, 504: true, 600: false, 603: false} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			playOut(t, nil, func(s *stage) {
				c, d := s.reaches()
				c.Reject(code)
				if r := expect[Refused](d); r.Code != code || r.Unreachable || r.Elsewhere() != elsewhere {
					s.t.Errorf("%+v, elsewhere %v", r, r.Elsewhere())
				}
				s.saw(c, "ACK")
				if s.edge.Legs() != 0 || s.edge.TrunkCalls()["carrier"] != 0 {
					s.t.Error("leg or channel left")
				}
			})
		})
	}
}

// A trunk that says nothing, and the next one that does.
func TestNextTrunk(t *testing.T) {
	playOut(t, nil, func(s *stage) {
		begun := time.Now()
		dead := s.dialsOut(func(d *Dial) { d.Trunk = "dead" })
		if r := expect[Refused](dead); r.Code != 408 || !r.Elsewhere() || time.Since(begun) != 4*time.Second {
			s.t.Errorf("%+v after %v", r, time.Since(begun))
		}
		if n := s.edge.TrunkCalls()["dead"]; n != 0 {
			s.t.Errorf("%d channels in use", n)
		}
		c, d := s.reaches()
		if c.ID() == dead.leg.SIPCallID() {
			s.t.Error("one Call-ID for two trunks")
		}
		c.Answer(offerA)
		expect[Answered](d)
		d.leg.Hangup(Reason{})
		dead.silent()
	})
}

func TestNumberCancelled(t *testing.T) {
	playOut(t, nil, func(s *stage) {
		c, d := s.reaches()
		d.leg.Hangup(Reason{SIP: 487, Text: "Caller hung up"})
		time.Sleep(time.Second)
		if s.carrier.Wire().Count("CANCEL", false) != 0 {
			s.t.Error("CANCEL before any response")
		}
		c.Ring(180, "")
		if m := s.saw(c, "CANCEL"); m.URI != c.Invite().URI || m.Get("Via") != c.Invite().Get("Via") {
			s.t.Errorf("CANCEL: %s", m)
		}
		s.settles()
		d.silent()
	})
}

func TestAnswerOfNumberCrossesCancel(t *testing.T) {
	playOut(t, nil, func(s *stage) {
		s.carrier.Manual(true, "CANCEL")
		c, d := s.reaches()
		c.Ring(180, "")
		expect[Progress](d)
		d.leg.Hangup(Reason{SIP: 487})
		s.saw(c, "CANCEL")
		c.Answer(offerA)
		s.saw(c, "ACK")
		s.saw(c, "BYE")
		s.settles()
		d.silent()
	})
}

// Calls both ways share the channels of a trunk.
func TestTrunkIsFullBothWays(t *testing.T) {
	playOut(t, nil, func(s *stage) {
		in, _ := s.arrives(offerA)
		out, d := s.speaks()
		ringing, r := s.reaches()
		_, err := s.edge.Dial(Dial{Trunk: "carrier", Number: mobile, SDP: []byte(ourSDP)}, nil)
		var full *TrunkFull
		if !errors.As(err, &full) || full.Trunk != "carrier" || full.Max != 3 {
			s.t.Errorf("fourth call: %v", err)
		}
		fourth, err := s.carrier.Invite(s.patience(), number, offerA)
		if err != nil {
			s.t.Fatal(err)
		}
		s.saw(fourth, "503 INVITE")
		ringing.Reject(486)
		expect[Refused](r)
		if n := s.edge.TrunkCalls()["carrier"]; n != 2 {
			s.t.Errorf("%d channels in use", n)
		}
		in.Cancel()
		out.Bye()
		expect[Ended](d)
	})
}

func TestDialsThatMakeNoCall(t *testing.T) {
	playOut(t, func(o *Options) {
		o.Trunks = append(o.Trunks, Trunk{ID: "tcp", Host: "10.0.0.2", Transport: "tcp"}, Trunk{ID: "odd", Host: "a b"})
	}, func(s *stage) {
		for _, d := range []Dial{
			{Trunk: "carrier", Number: ""},
			{Trunk: "carrier", Number: "+"},
			{Trunk: "carrier", Number: "0170000001"},
			{Trunk: "carrier", Number: "+033170000001"},
			{Trunk: "carrier", Number: "+33 170000001"},
			{Trunk: "carrier", Number: "+3317000000112345"},
			{Trunk: "carrier", Number: "+33170000001;phone-context=+1"},
			{Trunk: "carrier", Number: "+33170000001@10.0.0.66"},
			{Trunk: "carrier", Number: "+٣٣١٧٠٠٠٠٠٠١"},
			{Trunk: "carrier", Number: "+33170000001\r\nX: y"},
			{Trunk: "carrier", Number: "112"},
			{Trunk: "carrier", Number: mobile, Diverted: divertedBy("x>\r\nX: y")},
			{Trunk: "carrier", Number: mobile, Diverted: []Diversion{{User: mobile, Reason: "a b"}}},
			{Trunk: "carrier", Number: mobile, Hops: -1},
			{Trunk: "carrier", Number: mobile, Headers: []Header{{"X", "a\r\nY: b"}}},
			{Trunk: "nowhere", Number: mobile},
			{Trunk: "mute", Number: mobile},
			{Trunk: "odd", Number: mobile},
			{Trunk: "tcp", Number: mobile},
		} {
			d.SDP = []byte(ourSDP)
			if _, err := s.edge.Dial(d, nil); err == nil {
				s.t.Errorf("dialled %+v", d)
			}
		}
		if _, err := s.edge.Dial(Dial{Trunk: "carrier", Number: mobile}, nil); err == nil {
			s.t.Error("dialled without an offer")
		}
		s.settles()
		if n := s.carrier.Wire().Count("INVITE", false); n != 0 {
			s.t.Errorf("%d INVITE", n)
		}
	})
}

// Whoever knows the tags of a trunk's call cannot speak in it from elsewhere.
func TestStrangerInsideTrunkCall(t *testing.T) {
	playOut(t, nil, func(s *stage) {
		stranger := s.newPhone("10.0.0.66:5060", siptest.Options{User: "stranger", Passive: true})
		other := s.newPhone("10.0.0.8:5060", siptest.Options{User: "other", Passive: true})
		defer stranger.Close()
		defer other.Close()
		in, a := s.talks()
		out, b := s.speaks()
		for i, c := range []*siptest.Call{in, out} {
			bye := func(from *siptest.Phone, method string) *siptest.Message {
				ours, theirs := c.Tags()
				s.raw(from, method+" sip:foyer@10.0.0.1:5060 SIP/2.0",
					"Via: SIP/2.0/UDP 10.0.0.66:5060;branch=z9hG4bK-s"+fmt.Sprint(i)+method+from.User(), "Max-Forwards: 70",
					"From: <sip:carrier@lo.test>;tag="+ours, "To: <sip:x@lo.test>;tag="+theirs, "Call-ID: "+c.ID(),
					"CSeq: 4711 "+method, "Content-Length: 0", "")
				m, err := from.Wire().WaitMessage(s.patience(), func(m *siptest.Message) bool {
					_, of := m.CSeq()
					return !m.IsRequest() && m.Get("Call-ID") == c.ID() && of == method
				})
				if err != nil {
					s.t.Fatal(err)
				}
				return m
			}
			for _, method := range []string{"BYE", "INFO", "UPDATE"} {
				if m := bye(stranger, method); m.Status != 481 {
					s.t.Errorf("stranger's %s: %s", method, m)
				}
			}
			if s.edge.Legs() != 2-i {
				s.t.Fatal("a stranger hung up")
			}
			if m := bye(other, "BYE"); m.Status != 200 {
				s.t.Errorf("BYE from the trunk's other address: %s", m)
			}
			expect[Ended]([]*diary{a, b}[i])
		}
	})
}

// Nor can he answer it, even if he has seen the INVITE.
func TestStrangerAnswersTrunkCall(t *testing.T) {
	playOut(t, nil, func(s *stage) {
		stranger := s.newPhone("10.0.0.66:5060", siptest.Options{User: "stranger", Passive: true})
		defer stranger.Close()
		c, d := s.reaches()
		inv := c.Invite()
		for _, status := range []string{"183 Session Progress", "200 OK", "486 Busy Here"} {
			s.raw(stranger, "SIP/2.0 "+status, "Via: "+inv.Get("Via"), "From: "+inv.Get("From"), "To: "+inv.Get("To")+";tag=evil",
				"Call-ID: "+c.ID(), "CSeq: "+inv.Get("CSeq"), "Contact: <sip:evil@10.0.0.66:5060>", "Content-Length: 0", "")
		}
		synctest.Wait()
		d.silent()
		if n := len(stranger.Wire().Trace()); n != 3 {
			s.t.Errorf("the stranger was answered:\n%s", stranger.Wire().Ladder())
		}
		c.Answer(offerA)
		expect[Answered](d)
		s.raw(stranger, "SIP/2.0 200 OK", "Via: "+inv.Get("Via"), "From: "+inv.Get("From"), "To: "+inv.Get("To")+";tag=evil",
			"Call-ID: "+c.ID(), "CSeq: "+inv.Get("CSeq"), "Contact: <sip:evil@10.0.0.66:5060>", "Content-Length: 0", "")
		synctest.Wait()
		if n := len(stranger.Wire().Trace()); n != 4 {
			s.t.Errorf("the stranger was answered:\n%s", stranger.Wire().Ladder())
		}
		c.Bye()
		expect[Ended](d)
	})
}

// A carrier may answer on another machine than the one that was called: the
// dialog goes on there, if it is the carrier's.
func TestTrunkAnswersElsewhere(t *testing.T) {
	for _, x := range []struct {
		name  string
		extra []siptest.Header
		at    string // who gets ACK and BYE
	}{
		{"contact", []siptest.Header{siptest.H("Contact", "<sip:x@10.0.0.8:5090>")}, "10.0.0.8:5090"},
		{"route", []siptest.Header{siptest.H("Contact", "<sip:x@192.168.7.7>"), siptest.H("Record-Route", "<sip:10.0.0.8:5090;lr>")}, "10.0.0.8:5090"},
		{"contact of a stranger", []siptest.Header{siptest.H("Contact", "<sip:x@10.0.0.66:5090>")}, "10.0.0.2:5060"},
		{"contact by name", []siptest.Header{siptest.H("Contact", "<sip:x@carrier.test>")}, "10.0.0.2:5060"},
	} {
		t.Run(x.name, func(t *testing.T) {
			playOut(t, nil, func(s *stage) {
				phones := map[string]*siptest.Phone{"10.0.0.2:5060": s.carrier}
				for _, at := range []string{"10.0.0.8:5090", "10.0.0.66:5090"} {
					phones[at] = s.newPhone(at, siptest.Options{User: "x"})
					defer phones[at].Close()
				}
				_, d := s.speaks(x.extra...)
				synctest.Wait()
				d.leg.Hangup(Reason{})
				s.settles()
				for at, p := range phones {
					want := 0
					if at == x.at {
						want = 1
					}
					if a, b := p.Wire().Count("ACK", false), p.Wire().Count("BYE", false); a != want || b != want {
						s.t.Errorf("%s got %d ACK and %d BYE", at, a, b)
					}
				}
			})
		})
	}
}

// Where a carrier's requests come from is not where it takes ours.
func TestTrunkAsksFromElsewhere(t *testing.T) {
	playOut(t, nil, func(s *stage) {
		other := s.newPhone("10.0.0.8:7000", siptest.Options{User: "other", Passive: true})
		defer other.Close()
		c, d := s.speaks()
		ours, theirs := c.Tags()
		s.raw(other, "INFO sip:foyer@10.0.0.1:5060 SIP/2.0", "Via: SIP/2.0/UDP 10.0.0.8:7000;branch=z9hG4bK-other", "Max-Forwards: 70",
			"From: <sip:carrier@lo.test>;tag="+ours, "To: <sip:x@lo.test>;tag="+theirs, "Call-ID: "+c.ID(),
			"CSeq: 7 INFO", "Content-Type: application/dtmf", "Content-Length: 1", "", "5")
		if i := expect[Info](d); i.Digit != '5' {
			s.t.Errorf("%+v", i)
		}
		d.leg.Hangup(Reason{})
		s.saw(c, "BYE")
	})
}

func TestTrunkByTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := openHouse(t, func(o *Options) {
		o.Trunks[0].Host, o.Trunks[0].Port, o.Trunks[0].Transport = "127.0.0.2", uint16(l.Addr().(*net.TCPAddr).Port), "tcp"
		o.Trunks = append(o.Trunks, Trunk{ID: "shut", Host: "127.0.0.2", Port: 1, Transport: "tcp"})
	})
	accept := func() *siptest.Phone {
		t.Helper()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if from, _ := netip.ParseAddrPort(c.RemoteAddr().String()); from.Addr() != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("called from %s", from)
		}
		p, err := siptest.NewStreamPhone(c, siptest.Options{User: "carrier"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	dial := func(trunk string) *diary {
		t.Helper()
		d := newDiary(t)
		var err error
		if d.leg, err = h.edge.Dial(Dial{Trunk: trunk, Number: mobile, SDP: []byte(ourSDP)}, d.sink); err != nil {
			t.Fatal(err)
		}
		return d
	}
	// Several at once share one connection.
	const calls = 8
	var diaries []*diary
	for range calls {
		diaries = append(diaries, dial("carrier"))
	}
	carrier := accept()
	for range calls {
		c, err := carrier.WaitCall(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		if via := c.Invite().Get("Via"); !strings.HasPrefix(via, "SIP/2.0/TCP "+h.edge.o.TCP.Addr().String()) {
			t.Errorf("Via %s", via)
		}
		c.Answer(offerA)
	}
	for _, d := range diaries {
		expect[Answered](d)
	}
	// It closes; hanging up opens another.
	carrier.Close()
	until(t, "the connection is known to be gone", func() bool { return !h.edge.connected("tcp", diaries[0].leg.Remote()) })
	for _, d := range diaries {
		d.leg.Hangup(Reason{})
	}
	again := accept()
	until(t, "all BYE came", func() bool { return again.Wire().Count("BYE", false) == calls })
	until(t, "no legs", func() bool { return h.edge.Legs() == 0 })
	if n := h.edge.TrunkCalls()["carrier"]; n != 0 {
		t.Errorf("%d channels in use", n)
	}
	if r := expect[Refused](dial("shut")); r.Code != 503 || !r.Elsewhere() {
		t.Errorf("%+v", r)
	}
}

// An INVITE too long for one packet goes by TCP, if the carrier takes that; by UDP
// in fragments if not.
func TestLongInvite(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	byUDP, err := siptest.NewPhone(pc, siptest.Options{User: "carrier"})
	if err != nil {
		t.Fatal(err)
	}
	defer byUDP.Close()
	at := netip.MustParseAddrPort(pc.LocalAddr().String())
	h := openHouse(t, func(o *Options) { o.Trunks[0].Host, o.Trunks[0].Port = "127.0.0.2", at.Port() })
	dial := func(sdp string) *diary {
		t.Helper()
		d := newDiary(t)
		var err error
		if d.leg, err = h.edge.Dial(Dial{Trunk: "carrier", Number: mobile, SDP: []byte(sdp)}, d.sink); err != nil {
			t.Fatal(err)
		}
		return d
	}
	talk := func(p *siptest.Phone, d *diary, transport string) {
		t.Helper()
		in, err := p.WaitCall(soon(t))
		if err != nil {
			t.Fatalf("by %s: %v; %+v", transport, err, d.told)
		}
		if via := in.Invite().Get("Via"); !strings.HasPrefix(via, "SIP/2.0/"+transport+" ") {
			t.Errorf("Via %s", via)
		}
		in.Answer(offerA)
		expect[Answered](d)
		d.leg.Hangup(Reason{})
		if err := in.Ended(soon(t)); err != nil {
			t.Error(err)
		}
	}
	long := ourSDP + strings.Repeat("a=x-long:0123456789\r\n", 60)
	talk(byUDP, dial(ourSDP), "UDP")
	talk(byUDP, dial(long), "UDP") // nobody accepts TCP, which is known from here on
	if !h.edge.hosts.refusesTCP(at) {
		t.Error("TCP will be tried again")
	}
	h.edge.hosts.noTCP = map[netip.AddrPort]time.Time{}
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		t.Skipf("the TCP port beside %s is another's: %v", at, err)
	}
	defer l.Close()
	d := dial(long)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	byTCP, err := siptest.NewStreamPhone(c, siptest.Options{User: "carrier"})
	if err != nil {
		t.Fatal(err)
	}
	defer byTCP.Close()
	talk(byTCP, d, "TCP")
	talk(byUDP, dial(ourSDP), "UDP")
	until(t, "no legs", func() bool { return h.edge.Legs() == 0 })
}
