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
