package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/acd"
	"foyer/ledger"
	"foyer/recorder"
	"foyer/sip/siptest"
)

// A carrier that also takes calls: its telephone answers for every number.
type carrier struct {
	*person
	addr string
}

// withCarrier is a switch whose trunk can be called, and the telephone at its end.
func withCarrier(t *testing.T, opts ...stageOption) (*stage, *carrier) {
	t.Helper()
	return openWithCarrier(t, t.TempDir(), opts...)
}

func openWithCarrier(t *testing.T, dir string, opts ...stageOption) (*stage, *carrier) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := pc.LocalAddr().String()
	opts = append(opts,
		with(`{id: carrier, auth:`, `{id: carrier, host: "`+addr+`", auth:`),
		with("clients: [", `outbound_routes: [{match: "+331*", trunks: [carrier]}, {match: "+336*", trunks: [carrier]}]`+"\nclients: ["))
	s := openStage(t, dir, opts...)
	phone, err := siptest.NewPhone(pc, siptest.Options{User: "+33612345678", Domain: "carrier.test", Server: s.server})
	if err != nil {
		t.Fatal(err)
	}
	return s, &carrier{person: s.enter(phone, "127.0.0.2", 700), addr: addr}
}

// hearsPrompt waits until a built-in French prompt has been heard, by its very bytes.
func (p *person) hearsPrompt(id string) {
	p.s.t.Helper()
	p.hearsAnyOf(id)
}

// hearsAnyOf waits until one of several prompts is heard.
func (p *person) hearsAnyOf(ids ...string) {
	p.s.t.Helper()
	p.s.until(p.User()+" hears the prompt "+strings.Join(ids, " or "), p.heard(ids...))
}

// heard says, whenever it is asked, whether one of several prompts has been heard.
func (p *person) heard(ids ...string) func() bool {
	p.s.t.Helper()
	// A busy machine may skip some of it: any twentieth of a second will do that is
	// not silent.
	var pieces [][]byte
	for _, id := range ids {
		spoken, err := os.ReadFile(filepath.Join("..", "..", "rtp", "sound", "prompts", "fr", id+".al"))
		if err != nil {
			p.s.t.Fatal(err)
		}
		for at := len(spoken) / 8; at+400 < len(spoken)*7/8; at += len(spoken) / 16 {
			if piece := spoken[at:][:400]; len(bytes.Trim(piece, string(piece[:1]))) > 350 {
				pieces = append(pieces, piece)
			}
		}
	}
	return func() bool {
		var heard []byte
		for _, packet := range p.voice.packets() {
			heard = append(heard, packet.Payload...)
		}
		return slices.ContainsFunc(pieces, func(piece []byte) bool { return bytes.Contains(heard, piece) })
	}
}

// rang is a caller who is answered, and hears it.
func (s *stage) rang(number string, tone float64) (*person, *siptest.Call) {
	s.t.Helper()
	cara := s.caller(carrierHost, tone)
	out := cara.call(number)
	cara.expect(out, "200 INVITE")
	cara.voice.talkTo(s.t, out.RemoteSDP())
	return cara, out
}

// takes answers a call of ours at the far end of the trunk.
func (c *carrier) takes(in *siptest.Call) {
	c.s.t.Helper()
	in.Answer(c.voice.offer())
	c.expect(in, "ACK")
	c.voice.talkTo(c.s.t, in.RemoteSDP())
}

const ringAll = "require: [fr], strategy: ring_all, ring: {timeout: 8s}"

func TestRingAllFirstAnswerWins(t *testing.T) {
	t.Parallel()
	s := newStage(t, with("require: [fr], ring: {timeout: 3s}", ringAll))
	ana, bo := s.agent("ana", 500), s.agent("bo", 900)
	cara, out := s.rang("+33170000001", 1300)
	atAna, atBo := ana.rings(), bo.rings()
	bo.picksUp(atBo)
	cancel := ana.expect(atAna, "CANCEL")
	if !strings.Contains(cancel.Get("Reason"), "completed elsewhere") {
		t.Errorf("Reason: %s", cancel.Get("Reason"))
	}
	cara.hears(900)
	bo.hears(1300)
	if state := s.agentState("ana"); state != acd.Ready {
		t.Errorf("ana is %s", state)
	}
	out.Bye()
	c := s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
	results := map[string]string{}
	for _, g := range c.Segments {
		if g.Kind == ledger.Offering {
			results[g.Agent] = g.Result
		}
	}
	if results["ana"] != "withdrawn" || results["bo"] != "answered" {
		t.Errorf("offers: %v", results)
	}
}

// Two agents pick up in the same moment: one has the call, the other hears at once
// that it is gone, and nobody sits before a dead line.
func TestRingAllTwoAnswersAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t, with("require: [fr], ring: {timeout: 3s}", ringAll))
	ana, bo := s.agent("ana", 500), s.agent("bo", 900)
	for range 10 {
		_, out := s.rang("+33170000001", 1300)
		atAna, atBo := ana.rings(), bo.rings()
		go atAna.Answer(ana.voice.offer())
		atBo.Answer(bo.voice.offer())
		var winners []acd.AgentID
		s.until("one of them talks and the other is free", func() bool {
			winners = winners[:0]
			free := 0
			for _, id := range []acd.AgentID{"ana", "bo"} {
				switch s.agentState(id) {
				case acd.Talking:
					winners = append(winners, id)
				case acd.Ready:
					free++
				}
			}
			return len(winners) == 1 && free == 1
		})
		loser, call := ana, atAna
		if winners[0] == "ana" {
			loser, call = bo, atBo
		}
		if err := call.Ended(s.ctx); err != nil {
			t.Fatalf("%s is left with a silent call: %v\n%s", loser.User(), err, loser.Wire().Ladder())
		}
		out.Bye()
		s.until("both free", func() bool { return s.agentState("ana") == acd.Ready && s.agentState("bo") == acd.Ready })
	}
}

func TestOverflowToANumber(t *testing.T) {
	t.Parallel()
	s, far := withCarrier(t, with(`overflow: [{after: 1s, to: hangup}]`, `overflow: [{after: 1s, to: "+33140000000"}]`))
	cara, out := s.rang("+33170000004", 1300)
	in := far.rings()
	if to := siptest.UserOf(in.Invite().URI); to != "+33140000000" {
		t.Errorf("INVITE for %s", to)
	}
	if by := in.Invite().Get("Diversion"); by != "" && !strings.Contains(by, "+33170000004") {
		t.Errorf("Diversion: %s", by)
	}
	far.takes(in)
	cara.hears(700)
	far.hears(1300)
	in.Bye()
	cara.expect(out, "BYE")
	c := s.wantEnd(ledger.Overflowed, acd.Carrier, acd.CauseHangup)
	if c.DivertedTo != "+33140000000" || c.DivertedFor == 0 || c.RecordingID != "" {
		t.Errorf("%s", asJSON(c))
	}
}

// The number is busy, and so is every way to it: the caller is told, not left alone.
func TestOverflowToANumberThatIsBusy(t *testing.T) {
	slow(t)
	t.Parallel()
	s, far := withCarrier(t, with(`overflow: [{after: 1s, to: hangup}]`, `overflow: [{after: 1s, to: "+33140000000"}]`))
	cara, out := s.rang("+33170000004", 1300)
	far.rings().Reject(486)
	cara.hearsPrompt("nobody")
	cara.expect(out, "BYE")
	s.wantEnd(ledger.Overflowed, acd.Switch, acd.CauseMaxWait)
}

func TestOverflowToVoicemail(t *testing.T) {
	slow(t)
	t.Parallel()
	s := newStage(t, with(`overflow: [{after: 1s, to: hangup}]`, `overflow: [{after: 1s, to: voicemail}]`))
	cara, out := s.rang("+33170000004", 1300)
	cara.hearsPrompt("voicemail")
	s.until("the message is recorded", func() bool { return s.ex.recordings.Stats().Active == 1 })
	time.Sleep(1500 * time.Millisecond) // the caller speaks
	cara.voice.press(101, 11)           // #
	cara.hearsPrompt("voicemail-thanks")
	cara.expect(out, "BYE")
	c := s.wantEnd(ledger.LeftMessage, acd.Switch, acd.CauseMaxWait)
	if c.RecordingID == "" || c.DivertedTo != "voicemail" {
		t.Fatalf("%s", asJSON(c))
	}
	left, _ := s.recorded(c.RecordingID)
	if len(left) < 8000 || power(left[4000:8000], 1300) < 0.8 {
		t.Errorf("the message is %d samples, %.2f of them the caller's", len(left), power(left, 1300))
	}
	i, err := recorder.Find(s.cfg.Recording.Store.Dir, c.RecordingID)
	if err != nil || i.Purpose != "voicemail" || i.Queue != "hasty" {
		t.Errorf("%+v, %v", i, err)
	}
}

// A carrier that sends key presses as tones in the audio: the same message, ended by
// such a key, and nothing taken for one before.
func TestKeysInTheAudio(t *testing.T) {
	slow(t)
	t.Parallel()
	s := newStage(t, with(`overflow: [{after: 1s, to: hangup}]`, `overflow: [{after: 1s, to: voicemail}]`),
		with(`{id: carrier, auth`, `{id: carrier, dtmf: inband, auth`))
	cara := s.caller("127.0.0.2", 1300)
	plain := siptest.Audio(cara.voice.conn.LocalAddr())
	plain.Payloads = []int{siptest.PCMA}
	out, err := cara.Invite(s.ctx, "sip:+33170000004@"+s.server, plain.String())
	if err != nil {
		t.Fatal(err)
	}
	cara.expect(out, "200 INVITE")
	cara.voice.talkTo(t, out.RemoteSDP())
	cara.hearsPrompt("voicemail")
	s.until("the message is recorded", func() bool { return s.ex.recordings.Stats().Active == 1 })
	time.Sleep(1500 * time.Millisecond) // the caller speaks
	cara.voice.dials(941, 1477)         // #
	cara.hearsPrompt("voicemail-thanks")
	cara.expect(out, "BYE")
	s.wantEnd(ledger.LeftMessage, acd.Switch, acd.CauseMaxWait)
}

// Who speaks to a closed queue's box has a call record like any other.
func TestClosedQueueTakesMessages(t *testing.T) {
	slow(t)
	t.Parallel()
	s := newStage(t, with("client: essai, calendar: never}", "client: essai, calendar: never, closed: {to: voicemail}}"))
	cara, out := s.rang("+33170000002", 1300)
	cara.hearsPrompt("voicemail")
	s.until("the message is recorded", func() bool { return s.ex.recordings.Stats().Active == 1 })
	out.Bye()
	c := s.wantEnd(ledger.LeftMessage, acd.Caller, acd.CauseHangup)
	if c.Queue != "shut" {
		t.Errorf("%s", asJSON(c))
	}
}

func TestCallerHearsPlaceAndWait(t *testing.T) {
	slow(t)
	t.Parallel()
	s := newStage(t, with("require: [fr], ring: {timeout: 3s}", "require: [fr], announce: {position: true, estimated_wait: true, first: 1s, every: 10s}"))
	ana := s.agent("ana", 500)
	first := s.caller("127.0.0.2", 1300)
	one := first.call("+33170000001")
	first.expect(one, "200 INVITE")
	ana.picksUp(ana.rings())
	cara := s.caller("127.0.0.2", 1100)
	two := cara.call("+33170000001")
	cara.expect(two, "200 INVITE")
	cara.voice.talkTo(t, two.RemoteSDP())
	cara.hearsPrompt("position-next")
	cara.hearsPrompt("part-between")
	two.Bye()
	one.Bye()
	s.until("both calls over", func() bool { return s.ex.calls.count() == 0 })
}

const callbackQueue = `require: [fr], overflow: [{after: 1s, offer: callback}], callback: {mode: MODE, attempts: 2, retry: 1m, dial_for: 10s}, ring: {timeout: 12s}`

func callbacks(mode string) stageOption {
	return with("require: [fr], ring: {timeout: 3s}", strings.Replace(callbackQueue, "MODE", mode, 1))
}

// asksForCallback lets a caller wait, be asked, and press 1.
func (s *stage) asksForCallback() {
	s.t.Helper()
	cara, out := s.rang("+33170000001", 1300)
	cara.hearsPrompt("callback-offer")
	cara.voice.press(101, 1)
	cara.hearsPrompt("callback-taken")
	cara.expect(out, "BYE")
	c := s.cdr()
	if c.Outcome != ledger.CalledBack || c.Callback == "" || c.EndedBy != "caller" {
		s.t.Fatalf("%s", asJSON(c))
	}
}

func TestCallbackAgentFirst(t *testing.T) {
	slow(t)
	t.Parallel()
	s, far := withCarrier(t, callbacks("agent_first"))
	s.asksForCallback()
	ana := s.agent("ana", 500)
	atAna := ana.rings()
	if from := siptest.UserOf(siptest.URIOf(atAna.Invite().Get("From"))); from != "+33612345678" {
		t.Errorf("ana's phone shows %s", from)
	}
	atAna.Answer(ana.voice.offer())
	ana.expect(atAna, "ACK")
	ana.voice.talkTo(t, atAna.RemoteSDP())
	ana.hearsPrompt("callback-agent")
	in := far.rings()
	if to := siptest.UserOf(in.Invite().URI); to != "+33612345678" {
		t.Errorf("the customer called is %s", to)
	}
	if from := siptest.UserOf(siptest.URIOf(in.Invite().Get("From"))); from != "+33170000001" {
		t.Errorf("the customer sees %s", from)
	}
	far.takes(in)
	ana.hears(700)
	far.hears(500)
	in.Bye()
	ana.expect(atAna, "BYE")
	c := s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
	if c.Direction != "outbound" || c.Origin == "" || c.To != "+33612345678" || c.RecordingID == "" {
		t.Errorf("%s", asJSON(c))
	}
	s.until("ana ready", func() bool { return s.agentState("ana") == acd.Ready })
}

func TestCallbackCallerFirst(t *testing.T) {
	slow(t)
	t.Parallel()
	s, far := withCarrier(t, callbacks("caller_first"))
	s.asksForCallback()
	ana := s.agent("ana", 500)
	in := far.rings()
	if state := s.agentState("ana"); state != acd.Reserved {
		t.Errorf("ana is %s while the customer is called", state)
	}
	far.takes(in)
	far.hearsPrompt("callback-hello")
	atAna := ana.rings()
	ana.picksUp(atAna)
	ana.hears(700)
	far.hears(500)
	atAna.Bye()
	far.expect(in, "BYE")
	s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
}

// The customer does not answer: the agent is free at once, the promise stands.
func TestCallbackCustomerDoesNotAnswer(t *testing.T) {
	slow(t)
	t.Parallel()
	s, far := withCarrier(t, callbacks("agent_first"))
	s.asksForCallback()
	ana := s.agent("ana", 500)
	atAna := ana.rings()
	atAna.Answer(ana.voice.offer())
	ana.expect(atAna, "ACK")
	far.rings().Reject(486)
	ana.expect(atAna, "BYE")
	s.until("ana ready", func() bool { return s.agentState("ana") == acd.Ready })
	var waiting []acd.CallView
	s.ex.board.ask(s.ctx, func() { waiting = s.ex.board.floor.Snapshot(s.ex.board.now()).Calls })
	if len(waiting) != 1 || waiting[0].State != acd.CallLater || waiting[0].Attempts != 1 {
		t.Errorf("on the floor: %+v", waiting)
	}
	s.ex.board.post(acd.Event{Kind: acd.Gone, Call: waiting[0].ID, By: acd.Supervisor, Cause: acd.CauseAdmin})
	s.wantEnd(ledger.CalledBack, acd.Switch, acd.CauseAdmin)
}

// A promise outlives the switch: the next life calls back, at the old place.
func TestCallbackIsMadeByTheNextLife(t *testing.T) {
	slow(t)
	t.Parallel()
	dir := t.TempDir()
	s, _ := openWithCarrier(t, dir, callbacks("agent_first"))
	s.asksForCallback()
	s.retires()
	s, far := openWithCarrier(t, dir, callbacks("agent_first"))
	ana := s.agent("ana", 500)
	atAna := ana.rings()
	atAna.Answer(ana.voice.offer())
	ana.expect(atAna, "ACK")
	in := far.rings()
	far.takes(in)
	ana.voice.talkTo(t, atAna.RemoteSDP())
	far.hears(500)
	in.Bye()
	ana.expect(atAna, "BYE")
	s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
}

// The switch stops while the customer's phone rings: the next life calls again.
func TestCallbackInFlightIsMadeByTheNextLife(t *testing.T) {
	slow(t)
	t.Parallel()
	dir := t.TempDir()
	s, far := openWithCarrier(t, dir, callbacks("agent_first"))
	s.asksForCallback()
	ana := s.agent("ana", 500)
	atAna := ana.rings()
	atAna.Answer(ana.voice.offer())
	ana.expect(atAna, "ACK")
	ringing := far.rings()
	s.retires()
	if err := ringing.Ended(s.ctx); err != nil {
		t.Errorf("the customer's phone still rings: %v", err)
	}
	s, far = openWithCarrier(t, dir, callbacks("agent_first"))
	ana = s.agent("ana", 500)
	atAna = ana.rings()
	atAna.Answer(ana.voice.offer())
	ana.expect(atAna, "ACK")
	far.takes(far.rings())
	ana.voice.talkTo(t, atAna.RemoteSDP())
	far.hears(500)
	atAna.Bye()
	s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
}

// A caller who is put through and whose BYE is lost does not stay up for ever.
func TestPutThroughAndNobodyThere(t *testing.T) {
	t.Parallel()
	s, far := withCarrier(t, with(`overflow: [{after: 1s, to: hangup}]`, `overflow: [{after: 1s, to: "+33140000000"}]`))
	cara, out := s.rang("+33170000004", 1300)
	in := far.rings()
	far.takes(in)
	cara.hears(700)
	cara.voice.silence(true)
	cara.expect(out, "BYE")
	far.expect(in, "BYE")
	s.wantEnd(ledger.Overflowed, acd.Carrier, acd.CauseMediaTimeout)
}

// A number names the agent its callers want: she is waited for while another is free.
func TestNumberNamesAnAgent(t *testing.T) {
	t.Parallel()
	s := newStage(t, with("require: [fr], ring: {timeout: 3s}", "require: [fr], prefer: 30s, ring: {timeout: 8s}"),
		with(`{number: "+33170000001", client: essai, to: accueil}`, `{number: "+33170000001", client: essai, to: accueil, agent: ana}`))
	ana := s.agent("ana", 500)
	_, one := s.rang("+33170000001", 1300)
	first := ana.rings()
	ana.picksUp(first)
	bo := s.agent("bo", 900)
	cara, two := s.rang("+33170000001", 1100)
	s.until("the second caller waits for ana", func() bool {
		var wanted acd.AgentID
		s.ex.board.ask(s.ctx, func() {
			for _, c := range s.ex.board.floor.Snapshot(s.ex.board.now()).Calls {
				wanted = max(wanted, c.Wanted)
			}
		})
		return wanted == "ana"
	})
	one.Bye()
	second := ana.rings()
	ana.picksUp(second)
	cara.hears(500)
	if n := bo.invited(); n != 0 {
		t.Errorf("bo was rung %d times", n)
	}
	two.Bye()
	s.until("both calls over", func() bool { return s.ex.calls.count() == 0 })
}

// noticed is how long it may take until a dead line is known: 5 s of silence, two
// probes without an answer, and a busy machine.
const noticed = 30 * time.Second

// The agent's router dies in the middle of a talk. The caller is told, and rung
// for by the phone that comes back from somewhere else.
func TestAgentsLineIsLostAndFoundAgain(t *testing.T) {
	slow(t)
	t.Parallel()
	s := newStage(t, hasty, with("media_timeout: 2s", "media_timeout: 40s"), with("require: [fr], ring: {timeout: 3s}", "require: [fr], rejoin: 30s, ring: {timeout: 5s}"))
	cara, ana := s.caller("127.0.0.2", 1300), s.agent("ana", 500)
	out, _ := s.connected(cara, ana)
	cara.hears(500)
	ana.Close() // no BYE, no REGISTER: the line is dead
	ana.voice.silence(true)
	s.within(noticed, "the link counts as lost", func() bool {
		return slices.ContainsFunc(s.agents(), func(a acd.AgentView) bool { return a.ID == "ana" && !a.LinkLost.IsZero() })
	})
	cara.hearsPrompt("agent-lost")
	again := s.person("127.0.0.1", 600, siptest.Options{User: "ana", Password: "pw-ana", Domain: "lo.test"})
	if res, err := again.Register(s.ctx, time.Minute); err != nil || res.Status != 200 {
		t.Fatalf("REGISTER: %v, %v", res, err)
	}
	in := again.rings()
	again.picksUp(in)
	cara.hears(600)
	again.hears(1300)
	out.Bye()
	again.expect(in, "BYE")
	c := s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
	if len(c.Agents) != 1 || c.RecordingID == "" {
		t.Errorf("%s", asJSON(c))
	}
	_, right := s.recorded(c.RecordingID)
	if begin, end := right[:8000], right[len(right)-8000:]; power(begin, 500) < 0.6 || power(end, 600) < 0.6 {
		t.Errorf("the one recording holds %.2f of the first phone and %.2f of the second", power(begin, 500), power(end, 600))
	}
}

// Not found again: the caller goes to the head of the line, before one who has
// waited longer, and another agent takes the call.
func TestAgentsLineIsLostForGood(t *testing.T) {
	slow(t)
	t.Parallel()
	s := newStage(t, hasty, with("media_timeout: 2s", "media_timeout: 40s"), with("require: [fr], ring: {timeout: 3s}", "require: [fr], rejoin: 1s, ring: {timeout: 5s}"))
	cara, ana := s.caller("127.0.0.2", 1300), s.agent("ana", 500)
	out, _ := s.connected(cara, ana)
	other := s.caller("127.0.0.2", 1100)
	second := other.call("+33170000001")
	other.expect(second, "200 INVITE")
	ana.Close()
	ana.voice.silence(true)
	s.within(noticed, "the caller waits again", func() bool {
		var n int
		s.ex.board.ask(s.ctx, func() {
			for _, c := range s.ex.board.floor.Snapshot(s.ex.board.now()).Calls {
				if c.State == acd.CallWaiting {
					n++
				}
			}
		})
		return n == 2
	})
	bo := s.agent("bo", 900)
	bo.picksUp(bo.rings())
	cara.hears(900)
	bo.hears(1300)
	out.Bye()
	bo.picksUp(bo.rings())
	second.Bye()
	s.until("both calls over", func() bool { return s.ex.calls.count() == 0 })
}

// A muted phone that saves its packets is silent and there: nothing is lost.
func TestMutedPhoneIsNoLostLine(t *testing.T) {
	slow(t)
	t.Parallel()
	s := newStage(t, with("media_timeout: 2s", "media_timeout: 40s"))
	cara, ana := s.caller("127.0.0.2", 1300), s.agent("ana", 500)
	out, _ := s.connected(cara, ana)
	ana.voice.silence(true)
	var quiet bool
	s.until("the phone is asked", func() bool {
		quiet = quiet || strings.Contains(ana.Wire().Ladder(), "OPTIONS")
		return quiet
	})
	ana.voice.silence(false)
	cara.hears(500)
	out.Bye()
	s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
}

func (s *stage) agents() (list []acd.AgentView) {
	s.ex.board.ask(s.ctx, func() { list = s.ex.board.floor.Snapshot(s.ex.board.now()).Agents })
	return list
}

// Everything above, told by the journal again.
func TestJournalOfTheFloorReplays(t *testing.T) {
	slow(t)
	t.Parallel()
	s, far := withCarrier(t, callbacks("agent_first"))
	s.asksForCallback()
	ana := s.agent("ana", 500)
	atAna := ana.rings()
	atAna.Answer(ana.voice.offer())
	in := far.rings()
	in.Answer(far.voice.offer())
	far.expect(in, "ACK")
	ana.voice.talkTo(t, atAna.RemoteSDP())
	far.voice.talkTo(t, in.RemoteSDP())
	far.hears(500)
	in.Bye()
	s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
	v, err := s.ex.journal.verify(s.ctx)
	if err != nil || v.decisions == 0 {
		t.Errorf("%+v, %v", v, err)
	}
}
