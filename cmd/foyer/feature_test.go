package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/acd"
	"foyer/console"
	"foyer/rtp"
	"foyer/sip/siptest"
)

const someReasons = `reasons:
  pause: [{id: repas}, {id: missed}, {id: formation}]
  wrapup: [{id: resolu}, {id: rappel}]
feature_codes: {pause: "*45", wrapup: "#7", logout: off}
`

// stageYAML is the configuration of a stage that is not opened.
func stageYAML(t *testing.T) string {
	return fmt.Sprintf(stageConfig, t.TempDir(), 5060, 8080, "20000-20999")
}

func TestFeatureCodes(t *testing.T) {
	p := planOf(t, stageYAML(t)+someReasons)
	for dialled, want := range map[string]featureOf{
		"*1": {do: "login"}, "*3": {do: "ready"}, "*6": {do: "extend"}, "*9": {do: "echo"},
		"*45": {do: "pause"}, "*451": {"pause", 1}, "*4512": {"pause", 12},
		"#7": {do: "wrapup"}, "#72": {"wrapup", 2},
		"*2": {}, "*4": {}, "*450": {}, "*4501": {}, "*45-1": {}, "*45*": {}, "*45+1": {}, "*7": {}, "*": {}, "off": {}, "off1": {}, "": {}, "*99": {},
	} {
		got, ok := p.feature(dialled)
		if got != want || ok != (want != featureOf{}) {
			t.Errorf("%s is %+v, %v; want %+v", dialled, got, ok, want)
		}
	}
	if ids := p.pauseReasons(); !slices.Equal(ids, []string{"repas", "formation"}) {
		t.Errorf("reasons to dial: %v", ids)
	}
}

func TestSaidOfState(t *testing.T) {
	voice := map[string]*rtp.Sound{"pause-repas": {}}
	for _, x := range []struct {
		do         string
		state      acd.AgentState
		reason     string
		next       acd.AgentState
		want       string
		nextReason string
	}{
		{"ready", acd.Ready, "", acd.Ready, "state-ready", ""},
		{"pause", acd.NotReady, "repas", acd.NotReady, "state-paused pause-repas", ""},
		{"pause", acd.NotReady, "phone", acd.NotReady, "state-paused", ""},
		{"login", acd.NotReady, acd.ReasonLogin, acd.NotReady, "state-logged-in", ""},
		{"logout", acd.Registered, "", acd.Registered, "state-logged-out", ""},
		{"logout", acd.Talking, "", acd.Registered, "part-after part-then-logged-out", ""},
		{"pause", acd.OnHold, "", acd.NotReady, "part-after part-then-paused", "repas"},
		{"ready", acd.Offered, "", acd.Ready, "part-after part-then-ready", ""},
		{"ready", acd.WrapUp, "", acd.Ready, "state-wrap-up part-after part-then-ready", ""},
		{"extend", acd.WrapUp, "", acd.Ready, "state-extended", ""},
	} {
		got := saidOfState(x.do, console.AgentState{State: x.state.String(), Reason: x.reason, Next: x.next.String(), NextReason: x.nextReason}, voice)
		if strings.Join(got, " ") != x.want {
			t.Errorf("%s, then %s: %v, want %s", x.do, x.state, got, x.want)
		}
	}
}

func TestEchoWords(t *testing.T) {
	ms := time.Millisecond
	for _, x := range []struct {
		name string
		r    rtp.Report
		want string
	}{
		{"nothing came", rtp.Report{Sent: 500}, "echo-deaf"},
		{"clean", rtp.Report{Received: 500, Jitter: 3 * ms, RTT: 40 * ms}, "line-good loss-good jitter-good delay-good goodbye"},
		{"no round trip", rtp.Report{Received: 500}, "line-good loss-good jitter-good goodbye"},
		{"1 % lost", rtp.Report{Received: 495, Lost: 5, RTT: 20 * ms}, "line-middling loss-middling jitter-good delay-good goodbye"},
		{"late counts as lost", rtp.Report{Received: 500, Late: 20, RTT: 20 * ms}, "line-bad loss-bad jitter-good delay-good goodbye"},
		{"lost on the way to them", rtp.Report{Received: 500, RemoteLoss: 0.05, RTT: 20 * ms}, "line-bad loss-bad jitter-good delay-good goodbye"},
		{"uneven", rtp.Report{Received: 500, Jitter: 25 * ms, RTT: 160 * ms}, "line-middling loss-good jitter-middling delay-middling goodbye"},
		{"far and uneven", rtp.Report{Received: 500, Jitter: 90 * ms, RTT: 400 * ms}, "line-bad loss-good jitter-bad delay-bad goodbye"},
	} {
		if got := strings.Join(measureOf(x.r).words(), " "); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

// asks calls a feature code, and hears the switch.
func (p *person) asks(code string) *siptest.Call {
	p.s.t.Helper()
	c := p.call(code)
	p.expect(c, "200 INVITE")
	p.voice.mu.Lock()
	p.voice.got = nil
	p.voice.mu.Unlock()
	p.voice.talkTo(p.s.t, c.RemoteSDP())
	return c
}

// hearsThat dials a code and hears prompts; who has understood need not hear the rest.
func (p *person) hearsThat(code string, prompts ...string) {
	p.s.t.Helper()
	c := p.asks(code)
	for _, id := range prompts {
		p.hearsPrompt(id)
	}
	c.Bye()
}

// An agent's day by telephone alone.
func TestAgentDialsTheirDay(t *testing.T) {
	slow(t)
	t.Parallel()
	s := newStage(t, with("wrapup: {seconds: 0}", "wrapup: {mode: coded, seconds: 60}"), with("observability:", `reasons:
  pause: [{id: repas}, {id: formation}]
  wrapup: [{id: resolu}, {id: rappel}]
observability:`))
	ana := s.agent("ana", 500)
	is := func(state acd.AgentState, reason string) {
		t.Helper()
		s.until(fmt.Sprintf("ana is %s (%s)", state, reason), func() bool {
			a, _ := s.view("ana")
			return a.State == state && a.Reason == reason
		})
	}
	ana.hearsThat("*2", "state-logged-out")
	is(acd.Registered, "")
	ana.hearsThat("*1", "state-ready") // ready_on_register
	is(acd.Ready, "")
	ana.hearsThat("*42", "state-paused")
	is(acd.NotReady, "formation")
	ana.hearsThat("*5", "nothing-to-wrap-up")
	ana.hearsThat("*6", "nothing-to-wrap-up")
	ana.hearsThat("*77", "code-unknown")

	// Asked for the reason, she first presses a number that stands for none.
	c := ana.asks("*4")
	ana.hearsPrompt("choose-reason")
	ana.voice.press(101, 7)
	ana.hearsPrompt("choice-unknown")
	ana.voice.press(101, 1)
	ana.hearsPrompt("state-paused")
	ana.expect(c, "BYE")
	is(acd.NotReady, "repas")
	ana.hearsThat("*3", "state-ready")

	// A call, and the code for what came of it. What she dials in it holds after it.
	cara := s.caller("127.0.0.2", 1300)
	out, _ := s.connected(cara, ana)
	second := s.person("127.0.0.1", 900, siptest.Options{User: "ana", Password: "pw-ana", Domain: "lo.test"})
	second.joins()
	second.hearsThat("*41", "part-after", "part-then-paused")
	out.Bye()
	is(acd.WrapUp, "")
	second.hearsThat("*5", "choose-code")
	is(acd.WrapUp, "")
	second.hearsThat("*52", "state-paused")
	is(acd.NotReady, "repas")
	if row := s.cdr(); !strings.Contains(asJSON(row), "rappel") && row.WrappedUpIn == 0 {
		t.Errorf("no wrap-up in %s", asJSON(row))
	}
}

// joins registers a second phone of somebody who is busy with the first.
func (p *person) joins() {
	p.s.t.Helper()
	if res, err := p.Register(p.s.ctx, time.Minute); err != nil || res.Status != 200 {
		p.s.t.Fatalf("REGISTER: %v, %v", res, err)
	}
}

func (s *stage) view(id acd.AgentID) (a acd.AgentView, ok bool) {
	s.ex.board.ask(s.ctx, func() { a, ok = s.ex.board.floor.Agent(id, s.ex.board.now()) })
	return a, ok
}

// Whoever calls the echo test hears themselves and what their line is worth: an agent
// by the code, anybody by a number. It leaves no call record.
func TestEchoTest(t *testing.T) {
	slow(t)
	t.Parallel()
	s := newStage(t, with("dids:\n", "dids:\n  - {number: \"+33170000009\", to: echo}\n"))
	for _, x := range []struct {
		who     *person
		dialled string
		tone    float64
	}{
		{s.agent("ana", 500), "*9", 500},
		{s.caller("127.0.0.2", 1300), "+33170000009", 1300},
	} {
		c := x.who.asks(x.dialled)
		x.who.hearsPrompt("echo-test")
		x.who.hears(x.tone)
		x.who.voice.press(101, 5)
		// What it is worth depends on how busy this machine is.
		x.who.hearsAnyOf("line-good", "line-middling", "line-bad")
		c.Bye()
	}
	mute := s.agent("bo", 700)
	mute.voice.silence(true)
	c := mute.asks("*9")
	mute.hearsPrompt("echo-test")
	told, pressed := mute.heard("echo-deaf"), time.Now()
	s.within(20*time.Second, "bo is told that nothing comes from him", func() bool {
		if time.Since(pressed) > time.Second { // the first ones come before the echo has begun
			c.Info("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n")
			pressed = time.Now()
		}
		return told()
	})
	c.Bye()
}

// Whoever hangs up in the middle of it leaves nothing behind; strike looks.
func TestErrandIsHungUp(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", 500)
	for i := range 5 {
		c := ana.asks("*9")
		time.Sleep(time.Duration(i) * 100 * time.Millisecond)
		c.Bye()
		ana.expect(c, "200 BYE")
	}
	s.until("legs gone", func() bool { return s.ex.edge.Legs() == 0 })
}
