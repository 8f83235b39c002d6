package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	pionrtp "github.com/pion/rtp"

	"foyer/acd"
	"foyer/ledger"
	"foyer/sip/siptest"
)

// coded is speech in a codec that the switch cannot read: each packet says whose it
// is and which.
type coded struct {
	who     string
	payload uint8
	step    uint32 // of the timestamp
	packet  pionrtp.Packet
	n       int
}

func (c *coded) next() pionrtp.Packet {
	c.n++
	c.packet.Version, c.packet.PayloadType, c.packet.SSRC = 2, c.payload, 0xc0ded
	c.packet.SequenceNumber++
	c.packet.Timestamp += c.step
	c.packet.Payload = fmt.Appendf(nil, "%s %d %s", c.who, c.n, strings.Repeat("~", c.n%40))
	return c.packet
}

// codec is a wideband codec of these tests, as one phone numbers it.
type codec struct {
	name    string // in the CDR
	rtpmap  string
	fmtp    string
	payload int
	step    uint32 // clock units in 20 ms
}

func opus(payload int, fmtp string) codec {
	return codec{"opus", "opus/48000/2", fmtp, payload, 960}
}

func g722() codec { return codec{"G722", "G722/8000", "", 9, 160} }

// lists is a description with these payload types, among them the codec's.
func (p *person) lists(version uint64, c codec, payloads ...int) siptest.SDP {
	d := siptest.Audio(p.voice.conn.LocalAddr())
	d.Version, d.Payloads, d.Maps = version, payloads, map[int]string{c.payload: c.rtpmap}
	if c.fmtp != "" && slices.Contains(payloads, c.payload) {
		d.Extra = []string{fmt.Sprintf("a=fmtp:%d %s", c.payload, c.fmtp)}
	}
	return d
}

// codes has a person speak a codec from now on, the zero value G.711.
func (p *person) codes(c codec) {
	p.voice.mu.Lock()
	defer p.voice.mu.Unlock()
	p.voice.wide = nil
	if c.name != "" {
		p.voice.wide = &coded{who: p.User(), payload: uint8(c.payload), step: c.step}
	}
}

// hearsCoded waits until a person has heard n packets in a row of another's speech
// under their own payload type, untouched.
func (p *person) hearsCoded(n int, from *person, c codec) {
	p.s.t.Helper()
	before := len(p.voice.packets())
	var heard []pionrtp.Packet
	p.s.until(fmt.Sprintf("%s hears %s in %s", p.User(), from.User(), c.name), func() bool {
		heard = slices.DeleteFunc(p.voice.packets()[before:], func(k pionrtp.Packet) bool { return int(k.PayloadType) != c.payload })
		return len(heard) >= n
	})
	last := 0
	for i, k := range heard {
		var who, pad string
		var number int
		fmt.Sscanf(string(k.Payload), "%s %d %s", &who, &number, &pad)
		if who != from.User() || string(k.Payload) != fmt.Sprintf("%s %d %s", who, number, strings.Repeat("~", number%40)) {
			p.s.t.Fatalf("%s hears %q", p.User(), k.Payload)
		}
		if i > 0 {
			steps, was := number-last, heard[i-1]
			if k.SequenceNumber-was.SequenceNumber != uint16(steps) || k.Timestamp-was.Timestamp != uint32(steps)*c.step || k.SSRC != was.SSRC {
				p.s.t.Errorf("%s: %d packets later the number is %d, the timestamp %d later, SSRC %x after %x", p.User(), steps,
					k.SequenceNumber-was.SequenceNumber, k.Timestamp-was.Timestamp, k.SSRC, was.SSRC)
			}
		}
		last = number
	}
}

// neverGot wants no packet of a payload type to have come so far.
func (p *person) neverGot(payload int, why string) {
	p.s.t.Helper()
	for _, k := range p.voice.packets() {
		if int(k.PayloadType) == payload {
			p.s.t.Fatalf("%s has got %q %s", p.User(), k.Payload, why)
		}
	}
}

// offered waits for a re-INVITE of the switch that offers these payload types.
func (p *person) offered(c *siptest.Call, payloads ...int) *siptest.Message {
	p.s.t.Helper()
	for {
		m := p.expect(c, "INVITE")
		if m.Tag("To") == "" {
			continue // the one that began the call
		}
		d, err := siptest.ParseSDP(m.Body)
		if err != nil || !slices.Equal(d.Payloads, payloads) {
			p.s.t.Fatalf("%s is offered %v, want %v: %v\n%s", p.User(), d.Payloads, payloads, err, m.Body)
		}
		return m
	}
}

// answered answers a re-INVITE of the switch.
func (p *person) answered(c *siptest.Call, m *siptest.Message, code int, sdp siptest.SDP) {
	p.s.t.Helper()
	body := ""
	if code == 200 {
		body = sdp.String()
	}
	if err := c.Respond(m, code, body); err != nil {
		p.s.t.Fatal(err)
	}
	p.expect(c, "ACK")
}

// reinvites is how many re-INVITEs a person's phone has got in a call.
func (p *person) reinvites(c *siptest.Call) (n int) {
	for _, e := range c.Events() {
		if e.Name == "INVITE" && e.Msg.Tag("To") != "" {
			n++
		}
	}
	return n
}

// widening is a talk of a caller who has offered a wideband codec.
type widening struct {
	*stage
	cara, ana *person
	out, in   *siptest.Call
	caras     codec // as her phone numbers it
	anas      codec
}

// wide lets the carrier's callers talk in wideband, and nobody be recorded.
func wide(st *staging) {
	with("observability:", "media: {wideband: [opus, g722]}\nobservability:")(st)
	with("max_calls: 20}\n", "max_calls: 20, wideband: true}\n")(st)
	with("percent: 100", "percent: 0")(st)
}

func newWidening(t *testing.T, caras, anas codec, opts ...stageOption) *widening {
	t.Helper()
	s := newStage(t, append([]stageOption{wide}, opts...)...)
	x := &widening{stage: s, ana: s.agent("ana", anaTone), cara: s.caller(carrierHost, callerTone), caras: caras, anas: anas}
	x.cara.Manual(true, "INVITE")
	x.ana.Manual(true, "INVITE")
	var err error
	x.out, err = x.cara.Invite(s.ctx, "sip:+33170000001@"+s.server, x.cara.lists(1, caras, caras.payload, 8, 101).String())
	if err != nil {
		t.Fatal(err)
	}
	res := x.cara.expect(x.out, "200 INVITE")
	if d, err := siptest.ParseSDP(res.Body); err != nil || !slices.Equal(d.Payloads, []int{8, 101}) {
		t.Fatalf("the caller, who is to hear music, is answered %v, %v", d.Payloads, err)
	}
	x.cara.voice.talkTo(t, res.Body)
	x.in = x.ana.rings()
	x.ana.picksUp(x.in)
	x.inG711()
	return x
}

// inG711 wants both to hear each other's tone.
func (x *widening) inG711() {
	x.t.Helper()
	x.cara.hears(anaTone)
	x.ana.hears(callerTone)
}

// wantLine wants a line in an offer.
func (x *widening) wantLine(m *siptest.Message, line string) {
	x.t.Helper()
	if !strings.Contains(m.Body, "\r\n"+line+"\r\n") {
		x.t.Errorf("the offer lacks %q:\n%s", line, m.Body)
	}
}

// widen brings the talk into the codec, in the three steps that it takes.
func (x *widening) widen() {
	x.t.Helper()
	m := x.ana.offered(x.in, 8, 0, x.anas.payload, 101)
	x.ana.answered(x.in, m, 200, x.ana.lists(2, x.anas, 8, x.anas.payload, 101))
	if x.caras.fmtp != "" {
		x.wantLine(m, fmt.Sprintf("a=fmtp:%d %s", x.anas.payload, x.caras.fmtp))
	}
	m = x.cara.offered(x.out, x.caras.payload, 8, 0, 101)
	if x.anas.fmtp != "" {
		x.wantLine(m, fmt.Sprintf("a=fmtp:%d %s", x.caras.payload, x.anas.fmtp))
	}
	x.cara.neverGot(x.caras.payload, "before it was agreed on")
	x.cara.codes(x.caras) // as soon as she has answered, if not before
	x.cara.answered(x.out, m, 200, x.cara.lists(2, x.caras, x.caras.payload, 8, 101))
	x.ana.hearsCoded(5, x.cara, x.anas)
	x.cara.hears(anaTone) // who speaks G.711 still
	m = x.ana.offered(x.in, x.anas.payload, 8, 0, 101)
	x.ana.codes(x.anas)
	x.ana.answered(x.in, m, 200, x.ana.lists(3, x.anas, x.anas.payload, 8, 101))
	x.inWideband()
}

func (x *widening) inWideband() {
	x.t.Helper()
	x.cara.hearsCoded(20, x.ana, x.caras)
	x.ana.hearsCoded(20, x.cara, x.anas)
}

func TestTalkMovesToWideband(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ caras, anas codec }{
		{opus(111, "minptime=10;useinbandfec=1"), opus(107, "stereo=0; sprop-stereo=0")},
		{opus(107, ""), opus(107, "")},
		{g722(), g722()},
	} {
		t.Run(fmt.Sprint(c.caras.name, c.caras.payload), func(t *testing.T) {
			t.Parallel()
			x := newWidening(t, c.caras, c.anas)
			x.widen()
			caras, anas := x.cara.reinvites(x.out), x.ana.reinvites(x.in)

			// Hold: music in G.711 at once, and nobody but who holds is asked anything.
			d := x.ana.lists(4, x.anas, x.anas.payload, 8, 101)
			d.Direction = "sendonly"
			x.in.Reinvite(d.String())
			res := x.ana.expect(x.in, "200 INVITE")
			if got := directionOf(t, res); got != "recvonly" {
				t.Errorf("hold is answered %s", got)
			}
			if d, err := siptest.ParseSDP(res.Body); err != nil || !slices.Equal(d.Payloads, []int{x.anas.payload, 8, 101}) {
				t.Errorf("hold is answered with %v, %v", d.Payloads, err)
			}
			x.cara.hearsMusic(anaTone)
			x.in.Reinvite(x.ana.lists(5, x.anas, x.anas.payload, 8, 101).String())
			x.ana.expect(x.in, "200 INVITE")
			x.inWideband()
			if x.cara.reinvites(x.out) != caras || x.ana.reinvites(x.in) != anas {
				t.Errorf("the hold took re-INVITEs of ours")
			}

			// Keys travel as ever, and each side may speak G.711 when it likes.
			x.cara.voice.press(101, 5)
			x.until("the key", func() bool { codes, ends := x.ana.voice.keys(101); return ends >= 3 && codes[0] == 5 })
			x.ana.codes(codec{})
			x.cara.hears(anaTone)
			x.ana.codes(x.anas)
			x.inWideband()

			x.out.Bye()
			row := x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
			if row.Codec != x.caras.name || row.Quality == nil || row.Quality.Agent.Codec != x.anas.name || row.MOSMin != 0 || row.RecordingID != "" {
				t.Errorf("CDR: %s", asJSON(row))
			}
		})
	}
}

// atLast answers a re-INVITE of the switch after a while in which both are heard.
func (x *widening) atLast(p *person, c *siptest.Call, m *siptest.Message, code int, sdp siptest.SDP) {
	x.t.Helper()
	x.cara.hearsOn(10)
	x.ana.hearsOn(10)
	p.answered(c, m, code, sdp)
}

// Whoever refuses leaves both where they were: in G.711, without a gap.
func TestWidebandRefused(t *testing.T) {
	t.Parallel()
	caras, anas := opus(111, ""), opus(107, "")
	for name, play := range map[string]func(x *widening){
		"by the agent's phone": func(x *widening) {
			x.atLast(x.ana, x.in, x.ana.offered(x.in, 8, 0, 107, 101), 488, siptest.SDP{})
		},
		"by an agent's phone without it": func(x *widening) {
			x.atLast(x.ana, x.in, x.ana.offered(x.in, 8, 0, 107, 101), 200, x.ana.lists(2, anas, 8, 101))
		},
		"by the caller": func(x *widening) {
			x.atLast(x.ana, x.in, x.ana.offered(x.in, 8, 0, 107, 101), 200, x.ana.lists(2, anas, 8, 107, 101))
			x.atLast(x.cara, x.out, x.cara.offered(x.out, 111, 8, 0, 101), 488, siptest.SDP{})
		},
		"by a caller who has it no more": func(x *widening) {
			x.atLast(x.ana, x.in, x.ana.offered(x.in, 8, 0, 107, 101), 200, x.ana.lists(2, anas, 8, 107, 101))
			x.atLast(x.cara, x.out, x.cara.offered(x.out, 111, 8, 0, 101), 200, x.cara.lists(2, caras, 8, 101))
		},
		"by the agent's phone at last": func(x *widening) {
			x.atLast(x.ana, x.in, x.ana.offered(x.in, 8, 0, 107, 101), 200, x.ana.lists(2, anas, 8, 107, 101))
			m := x.cara.offered(x.out, 111, 8, 0, 101)
			x.cara.codes(caras)
			x.atLast(x.cara, x.out, m, 200, x.cara.lists(2, caras, 111, 8, 101))
			x.atLast(x.ana, x.in, x.ana.offered(x.in, 107, 8, 0, 101), 488, siptest.SDP{})
			x.ana.hearsCoded(5, x.cara, anas) // which her phone has agreed to hear
			m = x.cara.offered(x.out, 8, 0, 101)
			x.cara.codes(codec{})
			x.atLast(x.cara, x.out, m, 200, x.cara.lists(3, caras, 8, 101))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newWidening(t, caras, anas)
			first := x.cara.voice.packets()[0]
			play(x)
			x.inG711()
			x.cara.hearsOn(20)
			asked := x.cara.reinvites(x.out) + x.ana.reinvites(x.in)
			x.cara.neverGot(111, "although nobody agreed on it")
			for _, k := range x.cara.voice.packets() {
				if k.SSRC != first.SSRC || k.PayloadType != siptest.PCMA {
					t.Fatalf("the caller has got %+v", k.Header)
				}
			}
			if now := x.cara.reinvites(x.out) + x.ana.reinvites(x.in); now != asked {
				t.Errorf("%d re-INVITEs after the refusal", now-asked)
			}
			x.out.Bye()
			x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
		})
	}
}

// Where it is not allowed, or the talk needs G.711, nobody is asked.
func TestWidebandIsNotTried(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]stageOption{
		"in a talk that is recorded":            {with("percent: 0", "percent: 100")},
		"on a trunk without":                    {with("wideband: true}", "wideband: false}")},
		"in a codec that is not allowed":        {with("wideband: [opus, g722]", "wideband: [g722]")},
		"in a talk listened to for key presses": {with("wideband: true}", "wideband: true, dtmf: inband}"), with("wideband: [opus, g722]", "wideband: [opus, g722], codecs: [PCMA]")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, append([]stageOption{wide}, opts...)...)
			ana, cara := s.agent("ana", anaTone), s.caller(carrierHost, callerTone)
			out, err := cara.Invite(s.ctx, "sip:+33170000001@"+s.server, cara.lists(1, opus(111, ""), 111, 8, 101).String())
			if err != nil {
				t.Fatal(err)
			}
			cara.voice.talkTo(t, cara.expect(out, "200 INVITE").Body)
			in := ana.rings()
			ana.picksUp(in)
			cara.hears(anaTone)
			ana.hears(callerTone)
			cara.hearsOn(20)
			if cara.reinvites(out)+ana.reinvites(in) > 0 {
				t.Error("somebody has got a re-INVITE")
			}
			out.Bye()
			if row := s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup); row.Codec != "PCMA" || row.MOSMin == 0 {
				t.Errorf("CDR: %s", asJSON(row))
			}
		})
	}
}

// Carriers often answer with one codec alone. Then no music may be sent until they
// have taken G.711 again.
func TestWidebandAlone(t *testing.T) {
	t.Parallel()
	caras, anas := opus(111, ""), opus(107, "")
	x := newWidening(t, caras, anas)
	x.ana.answered(x.in, x.ana.offered(x.in, 8, 0, 107, 101), 200, x.ana.lists(2, anas, 8, 107, 101))
	m := x.cara.offered(x.out, 111, 8, 0, 101)
	x.cara.codes(caras)
	x.cara.answered(x.out, m, 200, x.cara.lists(2, caras, 111, 101))
	m = x.ana.offered(x.in, 107, 8, 0, 101)
	x.ana.codes(anas)
	x.ana.answered(x.in, m, 200, x.ana.lists(3, anas, 107, 8, 101))
	x.inWideband()

	d := x.ana.lists(4, anas, 107, 8, 101)
	d.Direction = "sendonly"
	x.in.Reinvite(d.String())
	x.ana.expect(x.in, "200 INVITE")
	m = x.cara.offered(x.out, 8, 0, 101)
	x.cara.codes(codec{})
	x.cara.answered(x.out, m, 200, x.cara.lists(3, caras, 8, 101))
	x.cara.hearsMusic(anaTone)
	heard := x.cara.voice.packets()
	for _, k := range heard[len(heard)-10:] {
		if k.PayloadType != siptest.PCMA {
			t.Fatalf("payload type %d on hold", k.PayloadType)
		}
	}
	// So does the agent's phone, which holds still.
	d = x.ana.lists(5, anas, 8, 101)
	d.Direction = "sendonly"
	m = x.ana.offered(x.in, 8, 0, 101)
	x.ana.codes(codec{})
	x.ana.answered(x.in, m, 200, d)
	x.in.Reinvite(x.ana.lists(6, anas, 8, 107, 101).String())
	x.ana.expect(x.in, "200 INVITE")
	x.inG711()
	x.out.Bye()
	x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
}

// A hold that crosses an offer of ours is answered first. What we offer afterwards is
// newer than the answer.
func TestHoldCrossesWideband(t *testing.T) {
	t.Parallel()
	caras, anas := opus(111, ""), opus(107, "")
	x := newWidening(t, caras, anas)
	m := x.ana.offered(x.in, 8, 0, 107, 101)
	x.ana.answered(x.in, m, 491, siptest.SDP{})
	d := x.ana.lists(2, anas, 8, 107, 101)
	d.Direction = "sendonly"
	var held *siptest.Message
	for held == nil || held.Status == 491 { // while ours is not quite over
		x.in.Reinvite(d.String())
		held = x.ana.expect(x.in, "xxx INVITE")
	}
	x.cara.hearsMusic(anaTone)
	again := x.ana.offered(x.in, 8, 0, 107, 101)
	versions := make([]uint64, 0, 3)
	for _, m := range []*siptest.Message{m, held, again} {
		d, err := siptest.ParseSDP(m.Body)
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, d.Version)
	}
	if versions[0] >= versions[1] || versions[1] >= versions[2] {
		t.Errorf("versions of our descriptions, as they came: %v", versions)
	}
	d.Version = 3
	x.ana.answered(x.in, again, 200, d)
	x.cara.hearsMusic(anaTone)
	x.in.Reinvite(x.ana.lists(4, anas, 8, 107, 101).String())
	x.ana.expect(x.in, "200 INVITE")
	m = x.cara.offered(x.out, 111, 8, 0, 101)
	x.cara.codes(caras)
	x.cara.answered(x.out, m, 200, x.cara.lists(2, caras, 111, 8, 101))
	m = x.ana.offered(x.in, 107, 8, 0, 101)
	x.ana.codes(anas)
	x.ana.answered(x.in, m, 200, x.ana.lists(5, anas, 107, 8, 101))
	x.inWideband()
	x.in.Bye()
	x.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
}

// A caller who is given away speaks G.711 by the time somebody else has them, and may
// change again.
func TestWidebandEndsWithTheTransfer(t *testing.T) {
	t.Parallel()
	caras, anas := opus(111, ""), opus(107, "")
	x := newWidening(t, caras, anas)
	x.widen()
	bo := x.agent("bo", boTone)
	bo.Manual(true, "INVITE")
	x.in.Refer("sip:bo@lo.test")
	x.ana.expect(x.in, "202 REFER")
	m := x.cara.offered(x.out, 8, 0, 101)
	x.cara.codes(codec{})
	x.cara.answered(x.out, m, 200, x.cara.lists(3, caras, 8, 101))
	m = x.ana.offered(x.in, 8, 0, 101)
	x.ana.codes(codec{})
	x.ana.answered(x.in, m, 200, x.ana.lists(4, anas, 8, 101))
	at := bo.rings()
	at.Answer(bo.voice.offer())
	bo.expect(at, "ACK")
	bo.voice.talkTo(t, at.RemoteSDP())
	x.cara.hears(boTone)
	bo.hears(callerTone)
	x.ana.expect(x.in, "BYE")

	bos := opus(96, "")
	m = bo.offered(at, 8, 0, 107, 101)
	bo.answered(at, m, 200, bo.lists(2, bos, 8, 101)) // has it not
	x.cara.hearsOn(20)
	if n := x.cara.reinvites(x.out); n != 2 {
		t.Errorf("the caller has got %d re-INVITEs, want 2", n)
	}
	x.out.Bye()
	if row := x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup); row.Codec != "opus" {
		t.Errorf("CDR: %s", asJSON(row))
	}
}

// A phone that takes the talk over takes the codec too, if it offers it.
func TestWidebandMovesToAnotherPhone(t *testing.T) {
	t.Parallel()
	caras, anas := opus(111, ""), opus(107, "")
	x := newWidening(t, caras, anas)
	x.widen()
	other := x.person("127.0.0.1", boTone, siptest.Options{User: "ana", Password: "pw-ana", Domain: "lo.test"})
	other.Manual(true, "INVITE")
	if res, err := other.Register(x.ctx, 60e9); err != nil || res.Status != 200 {
		t.Fatalf("REGISTER: %v, %v", res, err)
	}
	local, remote := x.in.Tags()
	theirs := opus(98, "")
	at, err := other.Invite(x.ctx, "sip:ana@lo.test", other.lists(1, theirs, 98, 8, 101).String(),
		siptest.H("Replaces", fmt.Sprintf("%s;to-tag=%s;from-tag=%s", x.in.ID(), remote, local)))
	if err != nil {
		t.Fatal(err)
	}
	other.codes(theirs)
	res := other.expect(at, "200 INVITE")
	if d, err := siptest.ParseSDP(res.Body); err != nil || !slices.Equal(d.Payloads, []int{98, 8, 101}) {
		t.Errorf("answered with %v, %v", d.Payloads, err)
	}
	other.voice.talkTo(t, res.Body)
	other.hearsCoded(10, x.cara, theirs)
	x.cara.hearsCoded(10, other, caras)
	if n := x.cara.reinvites(x.out); n != 1 {
		t.Errorf("the caller has got %d re-INVITEs, want 1", n)
	}
	at.Bye()
	x.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
}
