package main

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"foyer/acd"
	"foyer/ledger"
	"foyer/sip/siptest"
)

const (
	outsideTone   = 700 // of the far end of the trunk
	outsideNumber = "+33612345678"
)

// transferring is a switch where ana serves accueil and bo ventes, with a carrier
// that takes calls, and ana in a talk with a caller.
type transferring struct {
	*stage
	carrier       *carrier
	cara, ana, bo *person
	out, atAna    *siptest.Call
	version       uint64 // of ana's description
}

func newTransferring(t *testing.T, opts ...stageOption) *transferring {
	t.Helper()
	opts = append([]stageOption{
		with("skills: {fr: 3}, queues: [accueil]", "skills: {fr: 3}, queues: [ventes]"),
		with("wrapup: {seconds: 0}}", "wrapup: {seconds: 1}}\n  - {id: ventes, client: essai, ring: {timeout: 3s}, wrapup: {seconds: 0}}"),
	}, opts...)
	s, c := withCarrier(t, opts...)
	x := &transferring{version: 1, stage: s, carrier: c, ana: s.agent("ana", anaTone), bo: s.agent("bo", boTone), cara: s.caller(carrierHost, callerTone)}
	x.out, x.atAna = s.connected(x.cara, x.ana)
	x.cara.hears(anaTone)
	x.ana.hears(callerTone)
	return x
}

// holds puts the caller on hold at ana's phone, as phones do before they transfer.
func (x *transferring) holds() {
	x.t.Helper()
	x.directs("sendonly")
	x.cara.hearsMusic(anaTone)
}

// directs offers ana's talk anew with another direction.
func (x *transferring) directs(direction string) {
	x.t.Helper()
	x.version++
	d := siptest.Audio(x.ana.voice.conn.LocalAddr())
	d.Direction, d.Version = direction, x.version
	x.atAna.Reinvite(d.String())
	x.ana.expect(x.atAna, "200 INVITE")
}

// resumes takes the caller off hold.
func (x *transferring) resumes() {
	x.t.Helper()
	x.directs("")
	x.ana.voice.talkTo(x.t, x.atAna.RemoteSDP())
	x.cara.hears(anaTone)
	x.ana.hears(callerTone)
}

// refers sends a REFER on ana's talk.
func (x *transferring) refers(to string) {
	x.t.Helper()
	x.atAna.Refer(to)
	x.ana.expect(x.atAna, "202 REFER")
}

// thinks lets ana be slower than a telephone that hangs up by reflex.
func (x *transferring) thinks() {
	heard := len(x.cara.voice.packets())
	x.until("some time has passed", func() bool { return len(x.cara.voice.packets()) > heard+int(reflex/(20*time.Millisecond)) })
}

// anaIsDone waits until ana has the caller no more. That she wraps up is in the record.
func (x *transferring) anaIsDone() {
	x.t.Helper()
	x.until("ana is done", func() bool {
		state := x.agentState("ana")
		return state == acd.WrapUp || state == acd.Ready
	})
}

// told waits for the final NOTIFY, and gives its code.
func (p *person) told(c *siptest.Call) string {
	p.s.t.Helper()
	for {
		m := p.expect(c, "NOTIFY")
		if strings.HasPrefix(m.Get("Subscription-State"), "terminated") {
			return strings.Fields(m.Body)[1]
		}
	}
}

// asks makes ana call somebody else from her phone.
func (x *transferring) asks(whom string) *siptest.Call {
	x.t.Helper()
	c, err := x.ana.Invite(x.ctx, "sip:"+whom+"@lo.test", x.ana.voice.offer())
	if err != nil {
		x.t.Fatal(err)
	}
	return c
}

// replacing is the Refer-To of an attended transfer: the dialog as ana's phone sees it.
func replacing(c *siptest.Call, user string) string {
	local, remote := c.Tags()
	return "sip:" + user + "@lo.test?Replaces=" + c.ID() + "%3Bto-tag%3D" + remote + "%3Bfrom-tag%3D" + local
}

// whole checks what every transfer must leave behind: one record, one recording that
// has the caller in it from the first word to the last.
func (x *transferring) whole(c ledger.CDR) {
	x.t.Helper()
	if c.RecordingID == "" {
		x.t.Fatalf("no recording: %s", asJSON(c))
	}
	left, right := x.recorded(c.RecordingID)
	seconds := float64(len(left)) / 8000
	// A machine that is very busy records late what was said.
	if lasted := float64(c.TalkedFor+c.HeldFor+c.DivertedFor) / 1000; seconds < 0.6*lasted-0.3 {
		x.t.Errorf("%.1f s recorded of %.1f s: %s", seconds, lasted, asJSON(c))
	}
	if p := power(left, callerTone); p < 0.6 {
		x.t.Errorf("the caller's channel is theirs for %.2f", p)
	}
	if power(right, anaTone) < 0.02 {
		x.t.Errorf("the recording has nothing of ana")
	}
}

// segments are the kinds of a record, in order, with whom they are about.
func segments(c ledger.CDR) string {
	var list []string
	for _, g := range c.Segments {
		word := string(g.Kind)
		for _, s := range []string{g.Agent, g.Result, g.To} {
			if s != "" && !(g.Kind == ledger.InQueue) {
				word += ":" + s
			}
		}
		list = append(list, word)
	}
	return strings.Join(list, " ")
}

func (x *transferring) wantSegments(c ledger.CDR, want string) {
	x.t.Helper()
	for _, w := range strings.Fields(want) {
		x.until("segment "+w+" in the record, which has "+segments(c), func() bool {
			c = x.cdr() // a wrap-up comes later
			return slices.Contains(strings.Fields(segments(c)), w)
		})
	}
}

func TestBlindTransferToAgent(t *testing.T) {
	t.Parallel()
	x := newTransferring(t)
	x.holds()
	x.refers("sip:bo@lo.test")
	atBo := x.bo.rings()
	if from := atBo.Invite().Get("From"); !strings.Contains(from, "33612345678") {
		t.Errorf("bo sees %s", from)
	}
	if state := x.agentState("ana"); state != acd.Consulting {
		t.Errorf("ana is %s while bo is rung", state)
	}
	x.bo.picksUp(atBo)
	if code := x.ana.told(x.atAna); code != "200" {
		t.Errorf("ana was told %s", code)
	}
	x.ana.expect(x.atAna, "BYE")
	x.cara.hears(boTone)
	x.bo.hears(callerTone)
	x.anaIsDone()
	x.out.Bye()
	c := x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
	x.whole(c)
	x.wantSegments(c, "hold:ana:transferred:bo offer:bo:answered talk:bo wrapup:ana")
	if c.TransferTo != "bo" || strings.Join(c.Agents, " ") != "ana bo" {
		t.Errorf("%s", asJSON(c))
	}
	_, right := x.recorded(c.RecordingID)
	if power(right, boTone) < 0.02 {
		t.Error("the recording has nothing of bo")
	}
}

// However it fails, ana still has the caller: told by NOTIFY, she takes them off hold.
func TestBlindTransferToAgentFails(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		name   string
		fail   func(x *transferring)
		code   string
		result string
	}{
		{"busy", func(x *transferring) { x.bo.rings().Reject(486) }, "486", "offer:bo:busy"},
		{"declined", func(x *transferring) { x.bo.rings().Reject(603) }, "603", "offer:bo:declined"},
		{"no answer", func(x *transferring) { x.bo.expect(x.bo.rings(), "CANCEL") }, "408", "offer:bo:no_answer"},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			x := newTransferring(t)
			x.holds()
			x.refers("sip:bo@lo.test")
			f.fail(x)
			if code := x.ana.told(x.atAna); code != f.code {
				t.Errorf("ana was told %s", code)
			}
			x.resumes()
			if state := x.agentState("ana"); state != acd.Talking {
				t.Errorf("ana is %s", state)
			}
			x.thinks()
			x.atAna.Bye()
			c := x.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
			x.whole(c)
			x.wantSegments(c, f.result+" talk:ana wrapup:ana")
			if c.TransferTo != "" {
				t.Errorf("transferred to %s", c.TransferTo)
			}
		})
	}
}

func TestBlindTransferNowhere(t *testing.T) {
	t.Parallel()
	x := newTransferring(t)
	x.holds()
	for to, code := range map[string]string{
		"sip:someone@lo.test":             "404",
		"sip:*45@lo.test":                 "404",
		"sip:shut@lo.test":                "480", // a queue that is closed now
		"sip:+33170000002@lo.test":        "480", // the number that leads to it
		"sip:+33899123456@lo.test":        "403", // no route
		"sip:112@lo.test":                 "484",
		"sip:bo@elsewhere.test":           "403",
		"tel:+33899123456":                "403",
		"sip:+33170000001@evil.test":      "403",
		"sip:0033899123456@" + x.server:   "403",
		"sip:%2B8816123456789@lo.test":    "403",
		"sip:+33612345678%0d%0a@lo.test":  "404",
		"sip:bo%00@lo.test":               "404",
		"sip:+33899123456;isub=1@lo.test": "403",
	} {
		x.atAna.Refer(to)
		if m := x.ana.expect(x.atAna, "xxx REFER"); strconv.Itoa(m.Status) != code {
			t.Errorf("%s: %d, want %s", to, m.Status, code)
		}
	}
	// Right in itself, but it comes to nothing: said in its own subscription.
	for to, code := range map[string]string{
		"sip:ana@lo.test": "486",
		"sip:nobody@lo.test?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2": "481",
	} {
		x.refers(to)
		if got := x.ana.told(x.atAna); got != code {
			t.Errorf("%s: told %s, want %s", to, got, code)
		}
	}
	x.resumes()
	x.out.Bye()
	x.whole(x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup))
}

func TestBlindTransferToQueue(t *testing.T) {
	t.Parallel()
	x := newTransferring(t)
	x.holds()
	x.refers("sip:ventes@lo.test")
	if code := x.ana.told(x.atAna); code != "200" {
		t.Errorf("ana was told %s", code)
	}
	x.ana.expect(x.atAna, "BYE")
	atBo := x.bo.rings()
	if q := atBo.Invite().Get("X-Foyer-Queue"); q != "ventes" {
		t.Errorf("rung for %s", q)
	}
	x.cara.hearsMusic(anaTone, boTone)
	x.bo.picksUp(atBo)
	x.cara.hears(boTone)
	x.out.Bye()
	c := x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
	x.whole(c)
	x.wantSegments(c, "hold:ana:transferred:ventes queue talk:bo wrapup:ana")
	if c.TransferTo != "ventes" || c.Queue != "ventes" {
		t.Errorf("%s", asJSON(c))
	}
}

func TestBlindTransferToNumber(t *testing.T) {
	t.Parallel()
	x := newTransferring(t)
	x.holds()
	x.refers("sip:0612345678@lo.test")
	far := x.carrier.rings()
	if who := far.Invite().URI; !strings.Contains(who, outsideNumber) {
		t.Errorf("called %s", who)
	}
	x.carrier.takes(far)
	if code := x.ana.told(x.atAna); code != "200" {
		t.Errorf("ana was told %s", code)
	}
	x.ana.expect(x.atAna, "BYE")
	x.cara.hears(outsideTone)
	x.carrier.hears(callerTone)
	x.anaIsDone()
	far.Bye()
	c := x.wantEnd(ledger.Answered, acd.Carrier, acd.CauseHangup)
	x.whole(c)
	x.wantSegments(c, "hold:ana:transferred:+33612345678 consult:ana:transferred:+33612345678 diverted:+33612345678 wrapup:ana")
	_, right := x.recorded(c.RecordingID)
	if power(right, outsideTone) < 0.02 {
		t.Error("the recording has nothing of the number outside")
	}
}

func TestBlindTransferToNumberFails(t *testing.T) {
	t.Parallel()
	x := newTransferring(t)
	x.holds()
	x.refers("sip:0612345678@lo.test")
	x.carrier.rings().Reject(486)
	if code := x.ana.told(x.atAna); code != "486" {
		t.Errorf("ana was told %s", code)
	}
	x.resumes()
	x.thinks()
	x.atAna.Bye()
	c := x.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
	x.whole(c)
	x.wantSegments(c, "consult:ana:over:+33612345678")
}

// Many phones hang up as soon as their REFER is accepted. Whoever is rung gets the
// caller all the same; if nobody takes them, they go to the head of their queue.
func TestAgentHangsUpBeforeTheTransferIsDone(t *testing.T) {
	t.Parallel()
	t.Run("and it is taken", func(t *testing.T) {
		t.Parallel()
		x := newTransferring(t)
		x.refers("sip:bo@lo.test")
		atBo := x.bo.rings()
		x.atAna.Bye()
		x.cara.hearsMusic(anaTone)
		x.bo.picksUp(atBo)
		x.cara.hears(boTone)
		x.out.Bye()
		x.whole(x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup))
	})
	t.Run("and it is not", func(t *testing.T) {
		t.Parallel()
		x := newTransferring(t, with("{id: bo,", "{id: cy, name: Cy, sip: {password: pw-cy}, skills: {fr: 1}, queues: [accueil], ready_on_register: true}\n  - {id: bo,"))
		cy := x.agent("cy", 1100)
		x.refers("sip:bo@lo.test")
		atBo := x.bo.rings()
		x.atAna.Bye()
		x.cara.hearsMusic(anaTone)
		atBo.Reject(486)
		atCy := cy.rings()
		cy.picksUp(atCy)
		x.cara.hears(1100)
		x.out.Bye()
		c := x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
		x.whole(c)
		x.wantSegments(c, "talk:ana:requeued talk:cy")
	})
	t.Run("by reflex, because it has failed", func(t *testing.T) {
		t.Parallel()
		x := newTransferring(t)
		x.refers("sip:bo@lo.test")
		x.bo.rings().Reject(486)
		x.ana.told(x.atAna)
		x.atAna.Bye()
		x.cara.hearsMusic(anaTone)
		x.until("the caller waits again", func() bool { return x.callState() == acd.CallWaiting })
		x.out.Bye()
		x.wantEnd(ledger.Answered, acd.Caller, acd.CauseAbandoned)
	})
	t.Run("to a number that does not answer", func(t *testing.T) {
		t.Parallel()
		x := newTransferring(t)
		x.refers("sip:0612345678@lo.test")
		far := x.carrier.rings()
		x.atAna.Bye()
		x.cara.hearsMusic(anaTone)
		far.Reject(404)
		x.until("the caller waits again", func() bool { return x.callState() == acd.CallWaiting })
		x.out.Bye()
		x.wantEnd(ledger.Answered, acd.Caller, acd.CauseAbandoned)
	})
}

func (s *stage) callState() (state acd.CallState) {
	s.ex.board.ask(s.ctx, func() {
		for _, c := range s.ex.board.floor.Snapshot(s.ex.board.now()).Calls {
			state = c.State
		}
	})
	return state
}

func TestCallerHangsUpDuringATransfer(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"bo", "0612345678"} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			x := newTransferring(t)
			x.holds()
			x.refers("sip:" + to + "@lo.test")
			far := x.bo
			if to != "bo" {
				far = x.carrier.person
			}
			in := far.rings()
			x.out.Bye()
			far.expect(in, "CANCEL")
			if code := x.ana.told(x.atAna); code != "487" {
				t.Errorf("ana was told %s", code)
			}
			x.ana.expect(x.atAna, "BYE")
			x.whole(x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup))
			x.until("bo is free", func() bool { return x.agentState("bo") == acd.Ready })
		})
	}
}

func TestAttendedTransfer(t *testing.T) {
	t.Parallel()
	for _, whom := range []string{"bo", "ventes", "0612345678"} {
		for _, on := range []string{"the talk", "the consultation"} {
			t.Run(whom+" on "+on, func(t *testing.T) {
				t.Parallel()
				x := newTransferring(t)
				second, far, p := x.consultAnswered(whom)
				on := x.atAna
				about := replacing(second, whom)
				if strings.HasSuffix(t.Name(), "consultation") {
					on, about = second, replacing(x.atAna, "anybody")
				}
				on.Refer(about)
				x.ana.expect(on, "202 REFER")
				if code := x.ana.told(on); code != "200" {
					t.Errorf("ana was told %s", code)
				}
				x.ana.expect(x.atAna, "BYE")
				x.ana.expect(second, "BYE")
				x.cara.hears(p.voice.tone)
				p.hears(callerTone)
				far.Bye()
				by := acd.Agent
				if p == x.carrier.person {
					by = acd.Carrier
				}
				c := x.wantEnd(ledger.Answered, by, acd.CauseHangup)
				x.whole(c)
				to := "bo"
				if p == x.carrier.person {
					to = outsideNumber
				}
				if c.TransferTo != to {
					t.Errorf("transferred to %q, want %q", c.TransferTo, to)
				}
				asked := map[string]string{"0612345678": outsideNumber}[whom]
				if asked == "" {
					asked = whom
				}
				x.wantSegments(c, "consult:ana:transferred:"+asked+" hold:ana:transferred:"+to)
			})
		}
	}
}

// Ana does not wait until bo answers: what she has asked for becomes a transfer, and
// her phone hangs its second call up.
func TestSemiAttendedTransfer(t *testing.T) {
	t.Parallel()
	x := newTransferring(t)
	x.holds()
	second := x.asks("bo")
	in := x.bo.rings()
	x.ana.expect(second, "180")
	x.refers(replacing(second, "bo"))
	second.Cancel()
	x.ana.expect(second, "487")
	x.bo.picksUp(in)
	if code := x.ana.told(x.atAna); code != "200" {
		t.Errorf("ana was told %s", code)
	}
	x.cara.hears(boTone)
	x.bo.hears(callerTone)
	x.out.Bye()
	x.whole(x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup))
}

// A carrier cannot have us call anybody.
func TestCarrierMayNotTransfer(t *testing.T) {
	t.Parallel()
	x := newTransferring(t)
	x.out.Refer("sip:+33612345678@lo.test")
	x.cara.expect(x.out, "403 REFER")
	x.out.Bye()
	x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
}

// A phone that sends a colleague's call elsewhere refuses it, or may do so inside.
func TestPhoneRedirects(t *testing.T) {
	t.Parallel()
	for _, f := range []struct{ policy, to, want string }{
		{"refuse", "sip:cy@lo.test", "603"},
		{"inside", "sip:cy@lo.test", "200"},
		{"inside", "sip:cy@elsewhere.test", "603"},
		{"inside", "sip:+33612345678@lo.test", "603"},
		{"inside", "sip:someone@lo.test", "603"},
	} {
		t.Run(f.policy+" "+f.to, func(t *testing.T) {
			t.Parallel()
			x := newTransferring(t, with("digest: md5,", "digest: md5, redirect: "+f.policy+","),
				with("{id: bo,", "{id: cy, name: Cy, sip: {password: pw-cy}, queues: [ventes], ready_on_register: true}\n  - {id: bo,"))
			cy := x.agent("cy", 1100)
			x.holds()
			x.refers("sip:bo@lo.test")
			x.bo.rings().Reject(302, siptest.H("Contact", "<"+f.to+">"))
			if f.want == "200" {
				cy.picksUp(cy.rings())
				x.cara.hears(1100)
			}
			if code := x.ana.told(x.atAna); code != f.want {
				t.Errorf("ana was told %s, want %s", code, f.want)
			}
			x.out.Bye()
			x.whole(x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup))
			for _, m := range x.carrier.Wire().Trace() {
				if m.Msg != nil && m.Msg.Method == "INVITE" && !m.Out {
					t.Error("a number outside was called")
				}
			}
		})
	}
}
