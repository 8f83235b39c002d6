package main

import (
	"strings"
	"testing"
	"time"

	"foyer/acd"
	"foyer/ledger"
	"foyer/sip/siptest"
)

// consultAnswered has ana ask somebody, who answers: the two hear each other, and the
// caller music.
func (x *transferring) consultAnswered(whom string) (second, far *siptest.Call, p *person) {
	x.t.Helper()
	x.holds()
	second = x.asks(whom)
	p = x.bo
	if strings.HasPrefix(whom, "0") {
		p = x.carrier.person
	}
	far = p.rings()
	x.ana.expect(second, "180")
	far.Answer(p.voice.offer())
	p.expect(far, "ACK")
	p.voice.talkTo(x.t, far.RemoteSDP())
	x.ana.expect(second, "200 INVITE")
	x.ana.voice.talkTo(x.t, second.RemoteSDP())
	p.hears(anaTone)
	x.ana.hears(p.voice.tone)
	x.cara.hearsMusic(anaTone, p.voice.tone)
	if state := x.agentState("ana"); state != acd.Consulting {
		x.t.Errorf("ana is %s", state)
	}
	return second, far, p
}

// A consultation that leads to nothing leaves everything as it was.
func TestConsultationIsOver(t *testing.T) {
	t.Parallel()
	for _, whom := range []string{"bo", "ventes", "0612345678"} {
		for _, who := range []string{"ana", "them"} {
			t.Run(whom+" by "+who, func(t *testing.T) {
				t.Parallel()
				x := newTransferring(t)
				second, far, p := x.consultAnswered(whom)
				if strings.HasSuffix(t.Name(), "ana") {
					second.Bye()
					p.expect(far, "BYE")
				} else {
					far.Bye()
					x.ana.expect(second, "BYE")
				}
				x.resumes()
				x.until("bo is ready", func() bool { return x.agentState("bo") == acd.Ready })
				if state := x.agentState("ana"); state != acd.Talking {
					t.Errorf("ana is %s", state)
				}
				x.out.Bye()
				x.whole(x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup))
			})
		}
	}
}

func TestConsultationFails(t *testing.T) {
	t.Parallel()
	x := newTransferring(t)
	x.holds()
	for _, f := range []struct {
		whom string
		fail func()
		code string
	}{
		{"bo", func() { x.bo.rings().Reject(486) }, "486"},
		{"bo", func() { x.bo.rings().Reject(603) }, "603"},
		{"bo", func() { x.bo.expect(x.bo.rings(), "CANCEL") }, "408"},
		{"0612345678", func() { x.carrier.rings().Reject(404) }, "404"},
		{"ana", func() {}, "486"},
		{"someone", func() {}, "404"},
		{"+33899123456", func() {}, "403"},
		{"accueil", func() {}, "480"}, // ana is its only agent
	} {
		second := x.asks(f.whom)
		f.fail()
		x.ana.expect(second, f.code+" INVITE")
	}
	second := x.asks("bo")
	in := x.bo.rings()
	x.ana.expect(second, "180")
	second.Cancel()
	x.bo.expect(in, "CANCEL")
	x.ana.expect(second, "487")
	x.resumes()
	x.out.Bye()
	x.whole(x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup))
}

func TestCallerHangsUpDuringAConsultation(t *testing.T) {
	t.Parallel()
	x := newTransferring(t)
	second, far, p := x.consultAnswered("bo")
	x.out.Bye()
	p.expect(far, "BYE")
	x.ana.expect(second, "BYE")
	x.ana.expect(x.atAna, "BYE")
	x.whole(x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup))
}

// Without a caller an agent has nobody to consult about.
func TestAgentCallsWithoutACaller(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	s.agent("bo", boTone)
	c, err := ana.Invite(s.ctx, "sip:bo@lo.test", ana.voice.offer())
	if err != nil {
		t.Fatal(err)
	}
	ana.expect(c, "403 INVITE")
}

// Ana's other phone takes her talk over; nobody else's may.
func TestTalkMovesToAnotherPhone(t *testing.T) {
	t.Parallel()
	x := newTransferring(t)
	local, remote := x.atAna.Tags()
	replaces := siptest.H("Replaces", x.atAna.ID()+";to-tag="+remote+";from-tag="+local)
	stolen, err := x.bo.Invite(x.ctx, "sip:ana@lo.test", x.bo.voice.offer(), replaces)
	if err != nil {
		t.Fatal(err)
	}
	x.bo.expect(stolen, "403 INVITE")
	other := x.person("127.0.0.1", 1100, siptest.Options{User: "ana", Password: "pw-ana", Domain: "lo.test"})
	if res, err := other.Register(x.ctx, time.Minute); err != nil || res.Status != 200 {
		t.Fatal(res, err)
	}
	early, _ := other.Invite(x.ctx, "sip:ana@lo.test", other.voice.offer(), siptest.H("Replaces", replaces.Value+";early-only"))
	other.expect(early, "486 INVITE")
	none, _ := other.Invite(x.ctx, "sip:ana@lo.test", other.voice.offer(), siptest.H("Replaces", "x;to-tag=1;from-tag=2"))
	other.expect(none, "481 INVITE")
	bad, _ := other.Invite(x.ctx, "sip:ana@lo.test", other.voice.offer(), siptest.H("Replaces", "x;to-tag=1"))
	other.expect(bad, "400 INVITE")
	moved, err := other.Invite(x.ctx, "sip:ana@lo.test", other.voice.offer(), replaces, siptest.H("Require", "replaces"))
	if err != nil {
		t.Fatal(err)
	}
	other.expect(moved, "200 INVITE")
	other.voice.talkTo(t, moved.RemoteSDP())
	x.ana.expect(x.atAna, "BYE")
	x.cara.hears(1100)
	other.hears(callerTone)
	moved.Bye()
	x.whole(x.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup))
}

// Ana asks bo, and then gives the caller to cy all the same: bo is let go.
func TestBlindTransferFromAConsultation(t *testing.T) {
	t.Parallel()
	x := newTransferring(t, with("{id: bo,", "{id: cy, name: Cy, sip: {password: pw-cy}, queues: [ventes]}\n  - {id: bo,"))
	cy := x.person("127.0.0.1", 1100, siptest.Options{User: "cy", Password: "pw-cy", Domain: "lo.test"})
	if res, err := cy.Register(x.ctx, time.Minute); err != nil || res.Status != 200 {
		t.Fatal(res, err)
	}
	x.ex.board.post(acd.Event{Kind: acd.Login, Agent: "cy", By: acd.Agent})
	second, atBo, _ := x.consultAnswered("bo")
	x.refers("sip:cy@lo.test")
	x.bo.expect(atBo, "BYE")
	x.ana.expect(second, "BYE")
	cy.picksUp(cy.rings())
	if code := x.ana.told(x.atAna); code != "200" {
		t.Errorf("ana was told %s", code)
	}
	x.cara.hears(1100)
	x.until("bo is ready", func() bool { return x.agentState("bo") == acd.Ready })
	x.out.Bye()
	c := x.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
	x.whole(c)
	x.wantSegments(c, "consult:ana:over:bo hold:ana:transferred:cy talk:cy")
}
