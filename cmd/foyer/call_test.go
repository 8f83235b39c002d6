package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/acd"
	"foyer/ledger"
	"foyer/sip/siptest"
)

// Tones of the people on stage: no two are harmonics of each other.
const (
	callerTone = 440
	anaTone    = 1000
	boTone     = 1620
)

const carrierHost = "127.0.0.2"

func TestCallIsQueuedRungBridgedAndRecorded(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	caller := s.caller(carrierHost, callerTone)

	out, in := s.connected(caller, ana)
	caller.hears(anaTone)
	ana.hears(callerTone)
	if got := in.Invite().Caller(); got != "+33612345678" {
		t.Errorf("the agent sees %q calling", got)
	}
	in.Bye()
	caller.expect(out, "BYE")

	c := s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
	if c.Agent != "ana" || c.Queue != "accueil" || c.Client != "essai" || c.SIPCode != 200 || c.Codec != "PCMA" {
		t.Errorf("CDR: %s", asJSON(c))
	}
	left, right := s.recorded(c.RecordingID)
	if p := power(left, callerTone); p < 0.8 {
		t.Errorf("left channel holds %.2f of the caller's tone", p)
	}
	if p := power(right, anaTone); p < 0.8 {
		t.Errorf("right channel holds %.2f of the agent's tone", p)
	}
	if p := power(left, anaTone); p > 0.01 {
		t.Errorf("left channel holds %.2f of the agent's tone", p)
	}
	length := time.Duration(len(left)) * time.Second / 8000
	if off := length - c.RecordedFor.Length(); off < -20*time.Millisecond || off > 20*time.Millisecond {
		t.Errorf("recording is %v long, the bridge lasted %v", length, c.RecordedFor.Length())
	}
	// The talk begins with the answer: whatever the bridge takes comes on top.
	if off := c.TalkedFor.Length() - length; off < -20*time.Millisecond || off > 100*time.Millisecond {
		t.Errorf("recording is %v long, the talk %v", length, c.TalkedFor.Length())
	}
}

func TestCallerWaitsWithMusicUntilAnAgentComes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	caller.voice.talkTo(t, out.RemoteSDP())
	caller.hearsMusic(callerTone)

	ana := s.agent("ana", anaTone)
	ana.picksUp(ana.rings())
	caller.hears(anaTone)

	// One stream for the caller from beginning to end: one SSRC, no step in
	// sequence, though music and agent are different sources (RFC 3550).
	packets := caller.voice.packets()
	for i, p := range packets[1:] {
		if p.SSRC != packets[0].SSRC || p.SequenceNumber != packets[i].SequenceNumber+1 {
			t.Fatalf("packet %d: SSRC %x seq %d after SSRC %x seq %d", i+1, p.SSRC, p.SequenceNumber, packets[i].SSRC, packets[i].SequenceNumber)
		}
	}
	out.Bye()
	s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
}

func TestCallerLeavesWhileWaiting(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	out.Bye()
	caller.expect(out, "200 BYE")
	s.wantEnd(ledger.ShortAbandoned, acd.Caller, acd.CauseAbandoned)
}

func TestCallerLeavesWhileAgentRings(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	in := ana.rings()
	out.Bye()
	cancel := ana.expect(in, "CANCEL")
	if !strings.Contains(cancel.Get("Reason"), "cause=") {
		t.Errorf("CANCEL without a Reason:\n%s", cancel)
	}
	s.wantEnd(ledger.ShortAbandoned, acd.Caller, acd.CauseAbandoned)
	s.until("ana ready again", func() bool { return s.agentState("ana") == acd.Ready })
}

func TestCallerCancelsEarlyMedia(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	caller := s.caller("127.0.0.3", callerTone)
	out := caller.call("+33170000001")
	caller.expect(out, "183")
	in := ana.rings()
	out.Cancel()
	caller.expect(out, "487 INVITE")
	ana.expect(in, "CANCEL")
	if c := s.wantEnd(ledger.ShortAbandoned, acd.Caller, acd.CauseAbandoned); c.SIPCode != 487 {
		t.Errorf("SIP code %d", c.SIPCode)
	}
}

func TestEarlyMediaIsAnsweredWithTheAgent(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	caller := s.caller("127.0.0.3", callerTone)
	out := caller.call("+33170000001")
	progress := caller.expect(out, "183")
	caller.voice.talkTo(t, progress.Body)
	caller.hearsMusic(callerTone)
	ana := s.agent("ana", anaTone)
	in := ana.rings()
	ana.picksUp(in)
	caller.expect(out, "200 INVITE")
	caller.hears(anaTone)
	in.Bye()
	caller.expect(out, "BYE")
	s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
}

func TestAnswerCrossingTheCallersHangup(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	in := ana.rings()
	out.Bye()
	in.Answer(ana.voice.offer()) // whatever arrives first, no leg may stay up
	caller.expect(out, "200 BYE")
	if err := in.Ended(s.ctx); err != nil {
		t.Fatalf("the agent's leg stays up: %v\n%s", err, ana.Wire().Ladder())
	}
	s.until("ana ready again", func() bool { return s.agentState("ana") == acd.Ready })
}

func TestDecliningAgentIsNotRungAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	ana.rings().Reject(603)
	bo := s.agent("bo", boTone)
	in := bo.rings()
	bo.picksUp(in)
	caller.voice.talkTo(t, out.RemoteSDP())
	caller.hears(boTone)
	in.Bye()
	c := s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
	if got := offersOf(c); got != "ana declined, bo answered" {
		t.Errorf("offers: %s", got)
	}
}

func offersOf(c ledger.CDR) string {
	var list []string
	for _, seg := range c.Segments {
		if seg.Kind == ledger.Offering {
			list = append(list, seg.Agent+" "+seg.Result)
		}
	}
	return strings.Join(list, ", ")
}

func TestUnansweredAgentIsPausedAndTheNextRung(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	bo := s.agent("bo", boTone)
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	in := ana.rings() // idle longest
	ana.expect(in, "CANCEL")
	in2 := bo.rings()
	bo.picksUp(in2)
	if got := s.agentState("ana"); got != acd.NotReady {
		t.Errorf("ana is %s after a missed call", got)
	}
	in2.Bye()
	c := s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
	if got := offersOf(c); got != "ana no_answer, bo answered" {
		t.Errorf("offers: %s", got)
	}
	s.set("ana", "ready")
	if got := s.agentState("ana"); got != acd.Ready {
		t.Errorf("ana is %s after one action", got)
	}
}

func TestAgentHoldsAndResumes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	caller := s.caller(carrierHost, callerTone)
	out, in := s.connected(caller, ana)
	caller.hears(anaTone)

	hold := siptest.Audio(ana.voice.conn.LocalAddr())
	hold.Direction, hold.Version = "sendonly", 2
	in.Reinvite(hold.String())
	answer := ana.expect(in, "200 INVITE")
	if d, _ := siptest.ParseSDP(answer.Body); d.Direction != "recvonly" {
		t.Errorf("sendonly is answered %q (RFC 3264 section 6.1)", d.Direction)
	}
	caller.hearsMusic(anaTone, callerTone)

	resume := siptest.Audio(ana.voice.conn.LocalAddr())
	resume.Version = 3
	in.Reinvite(resume.String())
	ana.expect(in, "200 INVITE")
	caller.hears(anaTone)
	ana.hears(callerTone)
	out.Bye()
	if c := s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup); !held(c) {
		t.Errorf("no hold in %s", asJSON(c))
	}
}

func TestCallersAddressChanges(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	caller := s.caller(carrierHost, callerTone)
	out, _ := s.connected(caller, ana)
	caller.hears(anaTone)
	moved := newVoice(t, carrierHost, callerTone)
	caller.voice = moved
	d := siptest.Audio(moved.conn.LocalAddr())
	d.Version = 2
	out.Reinvite(d.String())
	caller.expect(out, "200 INVITE")
	moved.talkTo(t, out.RemoteSDP())
	caller.hears(anaTone)
	ana.hears(callerTone)
	out.Bye()
	s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
}

func TestDelayedOffer(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	caller := s.caller(carrierHost, callerTone)
	caller.Manual(true, "ACK")
	out, err := caller.Invite(s.ctx, "sip:+33170000001@"+s.server, "")
	if err != nil {
		t.Fatal(err)
	}
	caller.expect(out, "200 INVITE")
	out.Ack(caller.voice.offer())
	caller.voice.talkTo(t, out.RemoteSDP())
	in := ana.rings()
	ana.picksUp(in)
	caller.hears(anaTone)
	ana.hears(callerTone)
	in.Bye()
	s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
}

func TestTurnedAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, number string
		want         string
		outcome      ledger.Outcome
		cause        acd.Cause
		code         int
	}{
		{"unknown number", "+33199999999", "404 INVITE", ledger.Refused, acd.CauseNumberUnknown, 404},
		{"closed queue, after its announcement", "+33170000002", "480 INVITE", ledger.Refused, acd.CauseClosed, 480},
		{"nobody logged in", "+33170000005", "BYE", ledger.Refused, acd.CauseNoAgents, 200},
		{"waited too long", "+33170000004", "BYE", ledger.Overflowed, acd.CauseMaxWait, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			caller := s.caller(carrierHost, callerTone)
			out := caller.call(c.number)
			caller.expect(out, c.want)
			if got := s.wantEnd(c.outcome, acd.Switch, c.cause); got.SIPCode != c.code {
				t.Errorf("SIP code %d, want %d", got.SIPCode, c.code)
			}
		})
	}
}

// A queue may turn a caller away whom it would have to keep waiting.
func TestDoors(t *testing.T) {
	t.Parallel()
	s := newStage(t, with("id: accueil, client: essai,", "id: accueil, client: essai, full: {max: 1, prompt: connecting},"),
		with("empty: {to: hangup}", "none_ready: {to: hangup, prompt: connecting}"))
	_, kept := s.waits(callerTone)
	s.until("the first caller waits", func() bool {
		return slices.ContainsFunc(s.ex.board.snapshot(s.ctx).Queues, func(q acd.QueueView) bool { return q.Waiting == 1 })
	})
	for number, cause := range map[string]acd.Cause{"+33170000001": acd.CauseFull, "+33170000005": acd.CauseNoneReady} {
		next := s.caller(carrierHost, callerTone)
		next.expect(next.call(number), "BYE")
		s.until("the record of who was refused", func() bool {
			rows, err := s.ex.cdrs.List(s.ctx, ledger.Query{Limit: 10})
			return err == nil && slices.ContainsFunc(rows, func(c ledger.CDR) bool {
				return c.Cause == cause.String() && c.Outcome == ledger.Refused && c.DID == number
			})
		})
	}
	kept.Bye()
	s.cdrs(3)
}

// What a door's prompt says is said before the caller goes where it leads.
func TestDoorToVoicemail(t *testing.T) {
	slow(t)
	t.Parallel()
	s := newStage(t, with("empty: {to: hangup}", "empty: {to: voicemail, prompt: connecting}"))
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000005")
	caller.expect(out, "200 INVITE")
	caller.voice.talkTo(t, out.RemoteSDP())
	caller.hearsPrompt("connecting")
	caller.hearsPrompt("voicemail")
	s.until("the message is recorded", func() bool { return s.ex.recordings.Stats().Active == 1 })
	out.Bye()
	if c := s.wantEnd(ledger.LeftMessage, acd.Caller, acd.CauseHangup); c.Queue != "nobody" {
		t.Errorf("%s", asJSON(c))
	}
}

func TestOverflowKeepsTheCaller(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone) // serves accueil, not patient
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000003")
	caller.expect(out, "200 INVITE")
	in := ana.rings()
	ana.picksUp(in)
	in.Bye()
	c := s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
	if c.Queue != "accueil" || c.QueuedFor.Length() < time.Second {
		t.Errorf("CDR after overflow: %s", asJSON(c))
	}
}

func TestNoCommonCodec(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	caller := s.caller(carrierHost, callerTone)
	d := siptest.Audio(caller.voice.conn.LocalAddr())
	d.Payloads = []int{18}
	out, err := caller.Invite(s.ctx, "sip:+33170000001@"+s.server, d.String())
	if err != nil {
		t.Fatal(err)
	}
	caller.expect(out, "488 INVITE")
	s.wantEnd(ledger.Broken, acd.Switch, acd.CauseBadOffer)
}

func TestEveryMediaPortTaken(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoPairs)
	caller := s.caller(carrierHost, callerTone)
	var calls []*siptest.Call
	for range 2 {
		c := caller.call("+33170000001")
		caller.expect(c, "200 INVITE")
		calls = append(calls, c)
	}
	third := caller.call("+33170000001")
	full := caller.expect(third, "503 INVITE")
	if full.Get("Retry-After") == "" {
		t.Errorf("503 without Retry-After:\n%s", full)
	}
	// The agent's leg finds no port either: the offer fails, the caller stays.
	s.agent("ana", anaTone)
	s.until("the offer has failed", func() bool { return s.agentState("ana") == acd.Ready })
	for _, c := range calls {
		c.Bye()
		caller.expect(c, "200 BYE")
	}
	s.cdrs(3)
	if c := s.rowOf(third); c.Cause != acd.CausePortsFull.String() || c.SIPCode != 503 {
		t.Errorf("CDR of the call that found no port: %s", asJSON(c))
	}
}

// twoPairs leaves the switch two media ports.
func twoPairs(st *staging) {
	st.yaml = regexp.MustCompile(`ports: (\d+)00-\d+`).ReplaceAllString(st.yaml, "ports: ${1}00-${1}03")
}

func TestTrunkLimit(t *testing.T) {
	t.Parallel()
	s := newStage(t, with("max_calls: 20", "max_calls: 1"))
	caller := s.caller(carrierHost, callerTone)
	first := caller.call("+33170000001")
	caller.expect(first, "200 INVITE")
	second := caller.call("+33170000001")
	busy := caller.expect(second, "503 INVITE")
	if busy.Get("Retry-After") == "" {
		t.Errorf("503 without Retry-After:\n%s", busy)
	}
	first.Bye()
	caller.expect(first, "200 BYE")
	third := caller.call("+33170000001")
	caller.expect(third, "200 INVITE")
	third.Bye()
	caller.expect(third, "200 BYE")
}

func TestSilentAgentEndsTheCall(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	caller := s.caller(carrierHost, callerTone)
	out, _ := s.connected(caller, ana)
	caller.hears(anaTone)
	ana.voice.silence(true)
	caller.expect(out, "BYE")
	s.wantEnd(ledger.Answered, acd.Agent, acd.CauseMediaTimeout)
}

func TestSecondPhoneOfAnAgentStopsRinging(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	desk := s.agent("ana", anaTone)
	kitchen := s.agent("ana", anaTone)
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	atDesk, inKitchen := desk.rings(), kitchen.rings()
	kitchen.picksUp(inKitchen)
	cancel := desk.expect(atDesk, "CANCEL")
	if !strings.Contains(cancel.Get("Reason"), "cause=200") {
		t.Errorf("the other phone would show a missed call: Reason %q", cancel.Get("Reason"))
	}
	inKitchen.Bye()
	s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
}

func TestWithheldNumberStaysWithheld(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001", siptest.H("Privacy", "id"), siptest.H("P-Asserted-Identity", "<sip:+33699999999@carrier.test>"))
	caller.expect(out, "200 INVITE")
	in := ana.rings()
	if raw := in.Invite().String(); strings.Contains(raw, "699999999") || strings.Contains(raw, "612345678") {
		t.Errorf("the agent's phone learns a withheld number:\n%s", raw)
	}
	in.Reject(603)
	out.Bye()
	if c := s.cdr(); c.From != "anonymous" {
		t.Errorf("CDR from %q", c.From)
	}
}

func TestJournalReplaysToTheSameDecisions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStage(t, dir)
	ana := s.agent("ana", anaTone)
	caller := s.caller(carrierHost, callerTone)
	for range 3 {
		out, in := s.connected(caller, ana)
		in.Bye()
		ana.expect(in, "200 BYE")
		caller.expect(out, "BYE")
		s.cdr()
	}
	id := s.cdr().ID
	s.strike()

	j, err := openJournal(s.cfg.Site.DataDir, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	v, err := j.verify(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if v.lives != 1 || v.events < 12 || v.decisions < 12 {
		t.Errorf("replayed %+v", v)
	}
	d := &desk{ex: &exchange{journal: j}, cfg: s.cfg}
	x, err := d.Explain(s.ctx, id, "en")
	if err != nil || len(x.Offers) != 1 || x.Offers[0].Agent != "ana" || !strings.Contains(x.Text, "ana") {
		t.Errorf("explanation %s, %v", asJSON(x), err)
	}
	lines, err := d.Trace(s.ctx, id)
	if err != nil || len(lines) < 10 {
		t.Errorf("%d messages on the ladder, %v", len(lines), err)
	}
}

func TestDrainRefusesNewCallsAndEndsTheRest(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	done := make(chan struct{})
	go func() { s.ex.drain(500 * time.Millisecond); close(done) }()
	s.until("draining", s.ex.draining.Load)
	late := caller.call("+33170000001")
	caller.expect(late, "503 INVITE")
	caller.expect(out, "BYE")
	<-done
	s.wantEnd(ledger.Refused, acd.Switch, acd.CauseDraining)
}
