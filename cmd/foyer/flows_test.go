package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"foyer/acd"
	"foyer/ledger"
	"foyer/sip"
	"foyer/sip/siptest"
)

// described is a person's description with another direction and the next version.
func (p *person) described(version uint64, direction string) siptest.SDP {
	d := siptest.Audio(p.voice.conn.LocalAddr())
	d.Version, d.Direction = version, direction
	return d
}

func directionOf(t *testing.T, m *siptest.Message) string {
	t.Helper()
	d, err := siptest.ParseSDP(m.Body)
	if err != nil {
		t.Fatalf("%v in\n%s", err, m)
	}
	return d.Direction
}

// conversation is a stage with caller and agent who hear each other.
func conversation(t *testing.T, opts ...stageOption) (s *stage, caller, ana *person, out, in *siptest.Call) {
	t.Helper()
	s = newStage(t, opts...)
	ana = s.agent("ana", anaTone)
	caller = s.caller(carrierHost, callerTone)
	out, in = s.connected(caller, ana)
	caller.hears(anaTone)
	ana.hears(callerTone)
	return s, caller, ana, out, in
}

// moves gives a person a new voice at a new address.
func (p *person) moves() {
	p.s.t.Helper()
	host, _, _ := strings.Cut(p.voice.conn.LocalAddr().String(), ":")
	p.voice.silence(true)
	p.voice = newVoice(p.s.t, host, p.voice.tone)
}

func TestUpdateFromEitherSide(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"caller", "agent"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			s, caller, ana, out, in := conversation(t)
			leg, p := out, caller
			if who == "agent" {
				leg, p = in, ana
			}
			leg.Update("") // a session refresh, no more
			if res := p.expect(leg, "200 UPDATE"); res.Body != "" {
				t.Errorf("an UPDATE without an offer is answered with a description:\n%s", res)
			}
			p.moves()
			leg.Update(p.described(2, "").String())
			p.voice.talkTo(t, p.expect(leg, "200 UPDATE").Body)
			caller.hears(anaTone)
			ana.hears(callerTone)
			in.Bye()
			s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
		})
	}
}

func TestReinviteAsksForOurOffer(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"caller", "agent"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			s, caller, ana, out, in := conversation(t)
			leg, p := out, caller
			if who == "agent" {
				leg, p = in, ana
			}
			p.Manual(true, "ACK")
			leg.Reinvite("")
			res := p.expect(leg, "200 INVITE")
			if res.Body == "" {
				t.Fatalf("no offer in\n%s", res)
			}
			p.moves()
			leg.Ack(p.described(2, "").String())
			p.voice.talkTo(t, res.Body)
			caller.hears(anaTone)
			ana.hears(callerTone)

			// The same, and the answer puts the other on hold.
			leg.Reinvite("")
			p.expect(leg, "200 INVITE")
			leg.Ack(p.described(3, "sendonly").String())
			s.until("held", func() bool { return s.held(in) })
			leg.Reinvite("")
			p.expect(leg, "200 INVITE")
			leg.Ack(p.described(4, "").String())
			caller.hears(anaTone)
			ana.hears(callerTone)
			out.Bye()
			if c := s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup); !held(c) {
				t.Errorf("no hold in %s", asJSON(c))
			}
		})
	}
}

// held says whether the console shows an agent's call as held.
func (s *stage) held(in *siptest.Call) bool {
	k := s.ex.calls.card(acd.CallID(in.Invite().Get("X-Foyer-Call")))
	return k != nil && k.held
}

func TestHoldIsAnsweredWithTheRightDirection(t *testing.T) {
	t.Parallel()
	// RFC 3264 section 6.1; a zero address is the hold of RFC 2543.
	for _, c := range []struct{ who, offer, want string }{
		{"caller", "sendonly", "recvonly"},
		{"caller", "inactive", "inactive"},
		{"caller", "0.0.0.0", "recvonly"},
		{"agent", "inactive", "inactive"},
		{"agent", "0.0.0.0", "recvonly"},
	} {
		t.Run(c.who+" "+c.offer, func(t *testing.T) {
			t.Parallel()
			s, caller, ana, out, in := conversation(t)
			leg, p := out, caller
			if c.who == "agent" {
				leg, p = in, ana
			}
			hold := p.described(2, c.offer)
			if c.offer == "0.0.0.0" {
				hold.Direction, hold.Addr = "", "0.0.0.0"
			}
			if c.offer == "inactive" {
				p.voice.silence(true)
			}
			leg.Reinvite(hold.String())
			if got := directionOf(t, p.expect(leg, "200 INVITE")); got != c.want {
				t.Errorf("%s is answered %s, want %s", c.offer, got, c.want)
			}
			s.until("held", func() bool { return s.held(in) })
			switch {
			case c.who == "agent":
				caller.hearsMusic(anaTone, callerTone)
			case c.offer == "0.0.0.0":
				ana.hearsOn(5)
			case c.offer == "sendonly":
				ana.hearsOn(10)
				ana.hears(callerTone) // the carrier's own music
			case c.offer == "inactive":
				ana.hearsMusic(anaTone, callerTone)
			}
			p.voice.silence(false)
			leg.Reinvite(p.described(3, "").String())
			if got := directionOf(t, p.expect(leg, "200 INVITE")); got != "sendrecv" {
				t.Errorf("resumed with %s", got)
			}
			caller.hears(anaTone)
			ana.hears(callerTone)
			out.Bye()
			if c := s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup); !held(c) || c.TalkedFor == 0 {
				t.Errorf("hold %v, talk %v", c.HeldFor, c.TalkedFor)
			}
		})
	}
}

func TestCallerWhoHoldsWhileWaiting(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	caller.voice.talkTo(t, out.RemoteSDP())
	caller.voice.silence(true)
	out.Reinvite(caller.described(2, "inactive").String())
	caller.expect(out, "200 INVITE")
	ana := s.agent("ana", anaTone)
	in := ana.rings()
	ana.picksUp(in)
	s.until("held", func() bool { return s.held(in) })
	ana.hearsMusic(anaTone, callerTone)
	caller.voice.silence(false)
	out.Reinvite(caller.described(3, "").String())
	caller.expect(out, "200 INVITE")
	caller.hears(anaTone)
	ana.hears(callerTone)
	out.Bye()
	if c := s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup); !held(c) {
		t.Errorf("the hold before the answer is in no CDR: %s", asJSON(c))
	}
}

func TestUnusableOfferLeavesTheCallAsItWas(t *testing.T) {
	t.Parallel()
	s, caller, ana, out, in := conversation(t)
	bad := caller.described(2, "")
	bad.Payloads = []int{18}
	out.Reinvite(bad.String())
	caller.expect(out, "488 INVITE")
	in.Update(strings.Replace(ana.described(2, "").String(), "m=audio", "m=video", 1))
	ana.expect(in, "488 UPDATE")
	caller.hears(anaTone)
	ana.hears(callerTone)
	out.Bye()
	s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
}

// brief makes sessions last a few seconds.
func brief(st *staging) {
	st.session = sip.SessionPolicy{Expires: 3 * time.Second, Min: 2 * time.Second}
	hasty(st)
}

// hearsOn waits until so many more packets have come, 50 a second: a clock that
// a stalled test does not outrun.
func (p *person) hearsOn(n int) {
	p.s.t.Helper()
	from := len(p.voice.packets())
	p.s.until(fmt.Sprintf("%d packets more", n), func() bool { return len(p.voice.packets()) >= from+n })
}

func TestSessionTimerNobodyRefreshes(t *testing.T) {
	t.Parallel()
	s := newStage(t, brief)
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001", siptest.H("Supported", "timer"), siptest.H("Session-Expires", "2;refresher=uac"))
	res := caller.expect(out, "200 INVITE")
	if got := res.Get("Session-Expires"); got != "2;refresher=uac" || !res.Has("Require", "timer") {
		t.Errorf("Session-Expires %q, Require %q", got, res.Get("Require"))
	}
	bye := caller.expect(out, "BYE")
	if bye.Get("Reason") == "" {
		t.Errorf("BYE without a Reason:\n%s", bye)
	}
	s.wantEnd(ledger.Broken, acd.Carrier, acd.CauseSessionTimer)
}

func TestSessionTimerCallerRefreshes(t *testing.T) {
	t.Parallel()
	s := newStage(t, brief)
	caller := s.caller(carrierHost, callerTone)
	timer := []siptest.Header{siptest.H("Supported", "timer"), siptest.H("Session-Expires", "3;refresher=uac")}
	out := caller.call("+33170000001", timer...)
	caller.expect(out, "200 INVITE")
	caller.voice.talkTo(t, out.RemoteSDP())
	// It would end after 2 s; refreshed twice it lasts longer than that.
	caller.hearsOn(40)
	out.Reinvite(caller.described(1, "").String(), timer...)
	caller.expect(out, "200 INVITE")
	caller.hearsOn(60)
	out.Update("", timer...)
	caller.expect(out, "200 UPDATE")
	caller.hearsOn(60)
	out.Bye()
	caller.expect(out, "200 BYE")
	if c := s.wantEnd(ledger.ShortAbandoned, acd.Caller, acd.CauseAbandoned); c.Duration.Length() < 3*time.Second {
		t.Errorf("the call lasted %v s", c.Duration)
	}
}

func TestSessionTimerWeRefresh(t *testing.T) {
	t.Parallel()
	s := newStage(t, brief)
	ana := s.agent("ana", anaTone)
	caller := s.caller(carrierHost, callerTone)
	// The carrier knows no UPDATE, as those of the French interconnect: re-INVITE.
	out := caller.call("+33170000001", siptest.H("Supported", "timer"), siptest.H("Allow", ""), siptest.H("Allow", "INVITE, ACK, CANCEL, BYE"))
	res := caller.expect(out, "200 INVITE")
	if got := res.Get("Session-Expires"); got != "3;refresher=uas" {
		t.Errorf("Session-Expires %q", got)
	}
	caller.voice.talkTo(t, out.RemoteSDP())
	in := ana.rings()
	in.Answer(ana.voice.offer(), siptest.H("Session-Expires", "3;refresher=uac"), siptest.H("Require", "timer"))
	ana.expect(in, "ACK")
	ana.voice.talkTo(t, in.RemoteSDP())
	for range 2 {
		again := caller.expect(out, "INVITE")
		if again.Body == "" {
			t.Errorf("a refresh by INVITE without our description:\n%s", again)
		}
		ana.expect(in, "UPDATE")
	}
	caller.hears(anaTone)
	ana.hears(callerTone)
	in.Bye()
	s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
}

func TestAnswerToOurRefreshMovesTheMedia(t *testing.T) {
	t.Parallel()
	s := newStage(t, brief)
	ana := s.agent("ana", anaTone)
	caller := s.caller(carrierHost, callerTone)
	caller.Manual(true, "INVITE")
	out := caller.call("+33170000001", siptest.H("Supported", "timer"), siptest.H("Allow", "INVITE, ACK, CANCEL, BYE"))
	caller.expect(out, "200 INVITE")
	caller.voice.talkTo(t, out.RemoteSDP())
	in := ana.rings()
	ana.picksUp(in)
	again := caller.expect(out, "INVITE")
	caller.moves()
	if err := out.Respond(again, 200, caller.described(2, "").String()); err != nil {
		t.Fatal(err)
	}
	caller.expect(out, "ACK")
	caller.voice.talkTo(t, again.Body)
	caller.hears(anaTone)
	ana.hears(callerTone)
	in.Bye()
	s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
}

func TestSessionTimerAgentDoesNotRefresh(t *testing.T) {
	t.Parallel()
	s := newStage(t, brief)
	ana := s.agent("ana", anaTone)
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	caller.voice.talkTo(t, out.RemoteSDP())
	in := ana.rings()
	in.Answer(ana.voice.offer(), siptest.H("Session-Expires", "3;refresher=uas"), siptest.H("Require", "timer"))
	ana.expect(in, "ACK")
	ana.voice.talkTo(t, in.RemoteSDP())
	ana.expect(in, "BYE")
	caller.expect(out, "BYE")
	s.wantEnd(ledger.Answered, acd.Agent, acd.CauseSessionTimer)
}

func TestSessionTooBrief(t *testing.T) {
	t.Parallel()
	s := newStage(t, brief)
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001", siptest.H("Supported", "timer"), siptest.H("Session-Expires", "1"))
	if res := caller.expect(out, "422 INVITE"); res.Get("Min-SE") != "2" {
		t.Errorf("422 without our Min-SE:\n%s", res)
	}

	// An agent's phone may find ours too brief.
	ana := s.agent("ana", anaTone)
	out = caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	caller.voice.talkTo(t, out.RemoteSDP())
	ana.rings().Reject(422, siptest.H("Min-SE", "7"))
	in := ana.rings()
	if got := in.Invite().Get("Session-Expires"); !strings.HasPrefix(got, "7") {
		t.Errorf("asked again for %q", got)
	}
	ana.picksUp(in)
	caller.hears(anaTone)
	in.Bye()
	if c := s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup); offersOf(c) != "ana answered" {
		t.Errorf("offers: %s", offersOf(c))
	}
}

func TestLostACK(t *testing.T) {
	t.Parallel()
	s := newStage(t, hasty)
	caller := s.caller(carrierHost, callerTone)
	caller.Manual(true, "ACK")
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	caller.expect(out, "BYE")
	s.wantEnd(ledger.Broken, acd.Carrier, acd.CauseNoAck)
	if caller.Wire().Count("200 INVITE", false) < 3 {
		t.Errorf("the 200 was not repeated:\n%s", caller.Wire().Ladder())
	}
}

func TestLostByeIsFoundByTheMedia(t *testing.T) {
	t.Parallel()
	s, caller, ana, out, _ := conversation(t, hasty)
	ana.Close() // the cable is pulled
	ana.voice.silence(true)
	caller.expect(out, "BYE")
	s.wantEnd(ledger.Answered, acd.Agent, acd.CauseMediaTimeout)
}

func TestCancelBeforeThePhoneHasSaidAnything(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	caller := s.caller("127.0.0.3", callerTone)
	out := caller.call("+33170000001")
	caller.expect(out, "183")
	in, err := ana.WaitCall(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	out.Cancel()
	caller.expect(out, "487 INVITE")
	s.wantEnd(ledger.ShortAbandoned, acd.Caller, acd.CauseAbandoned)
	if n := ana.Wire().Count("CANCEL", false); n != 0 {
		t.Errorf("%d CANCEL before any provisional response (RFC 3261 section 9.1)", n)
	}
	in.Ring(180, "")
	ana.expect(in, "CANCEL")
	s.until("no leg is left", func() bool { return s.ex.edge.Legs() == 0 })
}

func TestCancelAtOnce(t *testing.T) {
	t.Parallel()
	for _, host := range []string{carrierHost, "127.0.0.3"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.agent("ana", anaTone)
			caller := s.caller(host, callerTone)
			var calls []*siptest.Call
			for range 10 {
				out := caller.call("+33170000001")
				out.CancelNow()
				calls = append(calls, out)
			}
			for _, out := range calls {
				caller.expect(out, "200 CANCEL")
				for caller.expect(out, "xxx INVITE").Status < 200 {
				}
				if out.State() == siptest.Talking {
					out.Bye() // it crossed our 200
				}
			}
			s.until("every call over", func() bool { return s.ex.calls.count() == 0 })
			rows := s.cdrs(len(calls))
			for _, c := range rows {
				if c.EndedBy != "caller" || c.Cause != "abandoned" {
					t.Errorf("cancelled at once: %s", asJSON(c))
				}
			}
			s.until("ana ready again", func() bool { return s.agentState("ana") == acd.Ready })
		})
	}
}

// cdrs waits for the records of so many calls.
func (s *stage) cdrs(n int) (rows []ledger.CDR) {
	s.t.Helper()
	s.until(fmt.Sprintf("%d CDRs", n), func() bool {
		var err error
		if rows, err = s.ex.cdrs.List(s.ctx, ledger.Query{Limit: 1000}); err != nil {
			s.t.Fatal(err)
		}
		return len(rows) >= n
	})
	if len(rows) != n {
		s.t.Fatalf("%d CDRs, want %d", len(rows), n)
	}
	return rows
}

func TestAnswerCrossesTheCancel(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	ana.Manual(true, "CANCEL") // it does not see the CANCEL before it answers
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	in := ana.rings()
	out.Bye()
	cancel := ana.expect(in, "CANCEL")
	in.Answer(ana.voice.offer())
	if err := in.Respond(cancel, 200, ""); err != nil {
		t.Fatal(err)
	}
	ana.expect(in, "ACK")
	ana.expect(in, "BYE")
	s.wantEnd(ledger.ShortAbandoned, acd.Caller, acd.CauseAbandoned)
	s.until("ana ready again", func() bool { return s.agentState("ana") == acd.Ready })
}

func TestEarlyCallerCancelsAsTheAgentAnswers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	caller := s.caller("127.0.0.3", callerTone)
	for range 5 {
		out := caller.call("+33170000001")
		caller.expect(out, "183")
		in := ana.rings()
		in.Answer(ana.voice.offer())
		out.Cancel() // not sent when the 200 was faster
		m := caller.expect(out, "xxx INVITE")
		for m.Status < 200 {
			m = caller.expect(out, "xxx INVITE")
		}
		if m.Status == 200 {
			out.Bye()
			caller.expect(out, "200 BYE")
		}
		ana.expect(in, "BYE")
		c := s.rowOf(out)
		if c.EndedBy != "caller" || c.SIPCode != m.Status {
			t.Errorf("the caller got %d; CDR %s\n%s", m.Status, asJSON(c), caller.Wire().Ladder())
		}
		s.until("ana ready again", func() bool { return s.agentState("ana") == acd.Ready })
	}
}

// again sends a message of this phone's trace once more, as the network would.
func (p *person) again(method string) {
	p.s.t.Helper()
	for _, e := range p.Wire().Trace() {
		if e.Out && e.Msg != nil && e.Msg.Method == method {
			if err := p.Wire().SendRaw(e.Raw, e.Peer); err != nil {
				p.s.t.Fatal(err)
			}
			return
		}
	}
	p.s.t.Fatalf("no %s was sent", method)
}

// answers waits until so many of these answers have come, copies included.
func (p *person) answers(what string, n int) {
	p.s.t.Helper()
	p.s.until(fmt.Sprintf("%d times %s", n, what), func() bool { return p.Wire().Count(what, false) >= n })
}

func TestRetransmissionsChangeNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001")
	caller.again("INVITE")
	caller.expect(out, "200 INVITE")
	caller.again("INVITE")
	caller.voice.talkTo(t, out.RemoteSDP())
	in := ana.rings()
	ana.picksUp(in)
	caller.again("INVITE")
	caller.hears(anaTone)
	out.Bye()
	caller.expect(out, "200 BYE")
	caller.again("BYE")
	caller.answers("200 BYE", 2)
	s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
	caller.again("INVITE")
	caller.again("BYE")
	caller.answers("200 BYE", 3)
	if n := ana.Wire().Count("INVITE", false); n != 1 {
		t.Errorf("the agent was rung %d times", n)
	}
	s.cdrs(1)

	early := s.caller("127.0.0.3", callerTone)
	out = early.call("+33170000001")
	early.expect(out, "183")
	out.Cancel()
	early.expect(out, "487 INVITE")
	early.again("CANCEL")
	early.answers("200 CANCEL", 2)
	s.cdrs(2)
}
