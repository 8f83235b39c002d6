package main

import (
	"testing"

	"foyer/acd"
	"foyer/ledger"
	"foyer/sip/siptest"
)

// A carrier that demands to acknowledge early media hears the queue's music before the
// answer costs anything, moves its media meanwhile, and is answered without another
// description; the agent's phone demands the same of us.
func TestReliableEarlyMediaBothWays(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	caller := s.caller("127.0.0.3", callerTone)
	reliably := siptest.H("Require", "100rel")
	out := caller.call("+33170000001", reliably)
	early := caller.expect(out, "183")
	if early.Get("RSeq") == "" || early.Body == "" {
		t.Fatalf("%s", early)
	}
	out.Send("PRACK", "", siptest.H("RAck", early.Get("RSeq")+" "+early.Get("CSeq")))
	caller.expect(out, "200 PRACK")
	caller.voice.talkTo(t, early.Body)
	caller.hearsMusic(anaTone)
	out.Update(caller.described(2, "").String())
	caller.expect(out, "200 UPDATE")

	ana := s.agent("ana", anaTone)
	in, err := ana.WaitCall(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	in.Ring(183, ana.voice.offer(), reliably, siptest.H("RSeq", "9"))
	if m := ana.expect(in, "PRACK"); m.Get("RAck") != "9 1 INVITE" {
		t.Errorf("RAck: %s", m.Get("RAck"))
	}
	in.Answer("") // everything is agreed on
	if ack := ana.expect(in, "ACK"); ack.Get("CSeq") != "1 ACK" {
		t.Errorf("ACK numbered %s", ack.Get("CSeq"))
	}
	ana.voice.talkTo(t, in.RemoteSDP())
	if m := caller.expect(out, "200 INVITE"); m.Body != "" {
		t.Errorf("answered with another description: %s", m)
	}
	caller.hears(anaTone)
	ana.hears(callerTone)
	out.Bye()
	s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
}

// A caller who demands PRACK and is answered at once needs none.
func TestDemandForPrackAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana, caller := s.agent("ana", anaTone), s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001", siptest.H("Require", "100rel"))
	caller.expect(out, "200 INVITE")
	caller.voice.talkTo(t, out.RemoteSDP())
	ana.picksUp(ana.rings())
	caller.hears(anaTone)
	out.Bye()
	s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
}
