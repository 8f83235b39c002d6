package main

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/acd"
	"foyer/console"
	"foyer/ledger"
	"foyer/sip/siptest"
)

// waits is a caller in the first queue. The floor is waited for: it has a call a
// moment after its caller has the 200, and what a test does next could come before.
func (s *stage) waits(tone float64) (*person, *siptest.Call) {
	s.t.Helper()
	cara, out := s.rang("+33170000001", tone)
	s.until("the call is on the floor", func() (there bool) {
		s.ex.board.ask(s.ctx, func() {
			there = len(s.ex.board.floor.Snapshot(s.ex.board.now()).Calls) >= s.ex.calls.count()
		})
		return there
	})
	return cara, out
}

func TestWhatAnAgentsPhoneMaySay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		does   func(s *stage, in *siptest.Call)
		offers string
	}{
		{"486", func(_ *stage, in *siptest.Call) { in.Reject(486) }, "ana busy, bo answered"},
		{"600", func(_ *stage, in *siptest.Call) { in.Reject(600) }, "ana busy, bo answered"},
		{"480", func(_ *stage, in *siptest.Call) { in.Reject(480) }, "ana declined, bo answered"},
		{"404", func(_ *stage, in *siptest.Call) { in.Reject(404) }, "ana unreachable, bo answered"},
		{"408", func(_ *stage, in *siptest.Call) { in.Reject(408) }, "ana unreachable, bo answered"},
		{"500", func(_ *stage, in *siptest.Call) { in.Reject(500) }, "ana failed, bo answered"},
		{"answer without a description", func(s *stage, in *siptest.Call) {
			in.Answer("")
			hungUpOn(s, in)
		}, "ana failed, bo answered"},
		{"answer with an unusable description", func(s *stage, in *siptest.Call) {
			in.Answer("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18\r\n")
			hungUpOn(s, in)
		}, "ana failed, bo answered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			ana := s.agent("ana", anaTone)
			bo := s.agent("bo", boTone)
			caller, _ := s.waits(callerTone)
			c.does(s, ana.rings())
			in := bo.rings()
			bo.picksUp(in)
			caller.hears(boTone)
			in.Bye()
			if got := offersOf(s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)); got != c.offers {
				t.Errorf("offers: %s, want %s", got, c.offers)
			}
		})
	}
}

// hungUpOn waits until the switch has acknowledged an answer and hung up on it.
func hungUpOn(s *stage, in *siptest.Call) {
	s.t.Helper()
	for _, what := range []string{"ACK", "BYE"} {
		if _, err := in.WaitFor(s.ctx, what); err != nil {
			s.t.Fatal(err)
		}
	}
}

func TestRedirectionByAPhoneIsNotFollowed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	lure := s.person("127.0.0.1", 700, siptest.Options{User: "premium"})
	ana := s.agent("ana", anaTone)
	bo := s.agent("bo", boTone)
	s.waits(callerTone)
	ana.rings().Reject(302, siptest.H("Contact", "<"+lure.ContactURI()+">"))
	in := bo.rings()
	bo.picksUp(in)
	in.Bye()
	s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
	if n := lure.Wire().Count("INVITE", false); n != 0 {
		t.Errorf("the switch followed a redirection: toll fraud\n%s", lure.Wire().Ladder())
	}
}

func TestVanishedPhone(t *testing.T) {
	t.Parallel()
	s := newStage(t, hasty, with("ring: {timeout: 3s}", "ring: {timeout: 20s}"))
	ana := s.agent("ana", anaTone)
	bo := s.agent("bo", boTone)
	ana.Close() // no BYE, no unregistration: a cable pulled
	began := time.Now()
	s.waits(callerTone)
	in := bo.rings()
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the next agent rang after %v", took)
	}
	if got := s.agentState("ana"); got != acd.Off {
		t.Errorf("ana, whose phone is gone, is %s", got)
	}
	bo.picksUp(in)
	in.Bye()
	if got := offersOf(s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)); got != "ana unreachable, bo answered" {
		t.Errorf("offers: %s", got)
	}
}

func TestHangsUpRightAfterAnswering(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	_, out := s.waits(callerTone)
	in := ana.rings()
	in.Answer(ana.voice.offer())
	in.Bye() // before or after the floor's word: the caller is never left with nobody and no music
	ana.expect(in, "200 BYE")
	bo := s.agent("bo", boTone)
	s.until("ana free", func() bool { return s.agentState("ana") == acd.Ready })
	if s.ex.calls.count() > 0 && out.State() == siptest.Talking {
		if k := s.onlyCall(); k != nil && k.answered.IsZero() {
			bo.picksUp(bo.rings())
		}
	}
	out.Bye()
	s.cdr()
}

// onlyCall is the card of the only call that is up.
func (s *stage) onlyCall() *card {
	var id acd.CallID
	s.ex.board.ask(s.ctx, func() {
		for _, c := range s.ex.board.floor.Snapshot(s.ex.board.now()).Calls {
			id = c.ID
		}
	})
	return s.ex.calls.card(id)
}

func (s *stage) set(agent, state string) {
	s.t.Helper()
	if _, err := (&desk{ex: s.ex, cfg: s.cfg}).SetAgent(s.ctx, agent, console.AgentOrder{Do: state, By: "test"}); err != nil {
		s.t.Fatal(err)
	}
}

// invited counts the INVITEs a person's phone has got.
func (p *person) invited() int { return p.Wire().Count("INVITE", false) }

func TestTwoAgentsFreeForOneCaller(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	people := []*person{s.agent("ana", anaTone), s.agent("bo", boTone)}
	for _, id := range []string{"ana", "bo"} {
		s.set(id, "pause")
	}
	caller, out := s.waits(callerTone)
	done := make(chan struct{})
	for _, id := range []string{"ana", "bo"} {
		go func() { s.set(id, "ready"); done <- struct{}{} }()
	}
	<-done
	<-done
	s.until("somebody rings", func() bool { return people[0].invited()+people[1].invited() > 0 })
	winner := people[0]
	if winner.invited() == 0 {
		winner = people[1]
	}
	in := winner.rings()
	winner.picksUp(in)
	caller.hears(winner.voice.tone)
	out.Bye()
	c := s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
	if n := people[0].invited() + people[1].invited(); n != 1 || offersOf(c) != winner.User()+" answered" {
		t.Errorf("%d phones rang; offers %s", n, offersOf(c))
	}
}

func TestOneAgentForTwoCallers(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first, out1 := s.waits(callerTone)
	second, out2 := s.waits(620)
	ana := s.agent("ana", anaTone)
	in := ana.rings()
	ana.picksUp(in)
	first.hears(anaTone)
	ana.hears(callerTone)
	second.hearsMusic(anaTone)
	if ana.invited() != 1 {
		t.Errorf("one agent was rung %d times at once", ana.invited())
	}
	out1.Bye()
	ana.expect(in, "BYE")
	in2 := ana.rings()
	ana.picksUp(in2)
	second.hears(anaTone)
	ana.hears(620)
	out2.Bye()
	for _, c := range s.cdrs(2) {
		if c.Outcome != ledger.Answered || offersOf(c) != "ana answered" {
			t.Errorf("CDR: %s", asJSON(c))
		}
	}
}

// connectedAgent is a registered agent whose phone uses TCP.
func (s *stage) connectedAgent(id string, tone float64) (*person, net.Conn) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.server)
	if err != nil {
		s.t.Fatal(err)
	}
	phone, err := siptest.NewStreamPhone(conn, siptest.Options{User: id, Password: "pw-" + id, Domain: "lo.test"})
	if err != nil {
		s.t.Fatal(err)
	}
	p := s.enter(phone, "127.0.0.1", tone)
	p.register()
	return p, conn
}

func TestAgentsConnectionDropsWhileIdle(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, conn := s.connectedAgent("ana", anaTone)
	conn.Close()
	s.until("ana off", func() bool { return s.agentState("ana") == acd.Off })
	caller, out := s.waits(callerTone)
	caller.hearsMusic(callerTone)
	ana, _ := s.connectedAgent("ana", anaTone)
	ana.picksUp(ana.rings())
	caller.hears(anaTone)
	out.Bye()
	s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
}

func TestAgentsConnectionDropsWhileRinging(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana, conn := s.connectedAgent("ana", anaTone)
	_, out := s.waits(callerTone)
	ana.rings()
	bo := s.agent("bo", boTone)
	conn.Close()
	bo.picksUp(bo.rings())
	out.Bye()
	if got := offersOf(s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)); got != "ana unreachable, bo answered" {
		t.Errorf("offers: %s", got)
	}
}

func TestAgentsConnectionDropsWhileTalking(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana, conn := s.connectedAgent("ana", anaTone)
	caller, out := s.waits(callerTone)
	ana.picksUp(ana.rings())
	caller.hears(anaTone)
	conn.Close()
	s.until("the registrar has noticed", func() bool { return len(reachable(s.ex.registrar.Bindings("ana"))) == 0 })
	caller.hearsOn(25) // the voices have their own way
	caller.hears(anaTone)
	ana.hears(callerTone)
	if got := s.agentState("ana"); got != acd.Talking {
		t.Errorf("ana is %s", got)
	}
	out.Bye()
	s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
	if got := s.agentState("ana"); got != acd.Off {
		t.Errorf("ana is %s after the call, without a phone", got)
	}
}

// A page that was closed: with its connection and its sound gone, there is nobody to
// ask whether it is still there.
func TestAgentsConnectionDropsAndSoundStops(t *testing.T) {
	slow(t)
	t.Parallel()
	s := newStage(t, with("media_timeout: 2s", "media_timeout: 40s"))
	ana, conn := s.connectedAgent("ana", anaTone)
	caller, out := s.waits(callerTone)
	ana.picksUp(ana.rings())
	caller.hears(anaTone)
	conn.Close()
	ana.voice.silence(true)
	// 5 s of silence; a probe would take probeTime more.
	s.until("the link counts as lost", func() bool {
		return slices.ContainsFunc(s.agents(), func(a acd.AgentView) bool { return a.ID == "ana" && !a.LinkLost.IsZero() })
	})
	caller.hearsPrompt("agent-lost")
	out.Bye()
	s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
}

func TestRegisteringAgainChangesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	caller, out := s.waits(callerTone)
	again := func() {
		t.Helper()
		if res, err := ana.Register(s.ctx, time.Minute); err != nil || res.Status != 200 {
			t.Fatalf("REGISTER: %v %v", res, err)
		}
	}
	in := ana.rings()
	again()
	if got := s.agentState("ana"); got != acd.Offered {
		t.Errorf("ana is %s", got)
	}
	ana.picksUp(in)
	again()
	caller.hears(anaTone)
	if got := s.agentState("ana"); got != acd.Talking {
		t.Errorf("ana is %s", got)
	}
	out.Bye()
	if got := offersOf(s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)); got != "ana answered" {
		t.Errorf("offers: %s", got)
	}
}

func TestUnregisteringWhileRinging(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	bo := s.agent("bo", boTone)
	_, out := s.waits(callerTone)
	in := ana.rings()
	if _, err := ana.Unregister(s.ctx); err != nil {
		t.Fatal(err)
	}
	ana.expect(in, "CANCEL")
	bo.picksUp(bo.rings())
	out.Bye()
	if got := offersOf(s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)); got != "ana unreachable, bo answered" {
		t.Errorf("offers: %s", got)
	}
}

func TestWrapUpKeepsTheAgent(t *testing.T) {
	t.Parallel()
	s := newStage(t, with("wrapup: {seconds: 0}", "wrapup: {seconds: 1}"))
	ana := s.agent("ana", anaTone)
	_, _ = s.waits(callerTone)
	in := ana.rings()
	ana.picksUp(in)
	_, out2 := s.waits(620)
	in.Bye()
	ana.expect(in, "200 BYE")
	in2 := ana.rings()
	ana.picksUp(in2)
	out2.Bye()
	ana.expect(in2, "BYE")
	s.until("both CDRs with their wrap-up", func() bool {
		rows, err := s.ex.cdrs.List(s.ctx, ledger.Query{Limit: 10})
		return err == nil && len(rows) == 2 && rows[0].WrappedUpIn > 0 && rows[1].WrappedUpIn > 0
	})
	rows := s.cdrs(2) // newest first
	first, second := rows[1], rows[0]
	if w := first.WrappedUpIn.Length(); w < time.Second || w > 1500*time.Millisecond {
		t.Errorf("the wrap-up lasted %v", w)
	}
	for _, seg := range second.Segments {
		if seg.Kind == ledger.Offering && ledger.Span(first.Ended, seg.Start).Length() < time.Second {
			t.Errorf("ana was rung %v after a call with 1 s of wrap-up", ledger.Span(first.Ended, seg.Start).Length())
		}
	}
}

func TestWhatIsAskedDuringACallHoldsAfterIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		asks  []string
		after acd.AgentState
	}{
		{[]string{"pause"}, acd.NotReady},
		{[]string{"logout"}, acd.Registered},
		{[]string{"pause", "ready"}, acd.Ready},
		{[]string{"logout", "login", "pause"}, acd.NotReady},
	} {
		t.Run(strings.Join(c.asks, " "), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			ana := s.agent("ana", anaTone)
			_, out := s.waits(callerTone)
			ana.picksUp(ana.rings())
			for _, ask := range c.asks {
				s.set("ana", ask)
				if got := s.agentState("ana"); got != acd.Talking {
					t.Errorf("ana is %s during the call after %s", got, ask)
				}
			}
			out.Bye()
			s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
			if got := s.agentState("ana"); got != c.after {
				t.Errorf("ana is %s after the call, want %s", got, c.after)
			}
		})
	}
}

func TestSupervisorHangsUp(t *testing.T) {
	t.Parallel()
	s, caller, ana, out, in := conversation(t)
	id := in.Invite().Get("X-Foyer-Call")
	if err := (&desk{ex: s.ex, cfg: s.cfg}).Hangup(s.ctx, id, "test"); err != nil {
		t.Fatal(err)
	}
	caller.expect(out, "BYE")
	ana.expect(in, "BYE")
	s.wantEnd(ledger.Answered, acd.Supervisor, acd.CauseAdmin)
}
