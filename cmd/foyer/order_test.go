package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"foyer/acd"
	"foyer/console"
	"foyer/ledger"
)

// ask sends a request to the console as a supervisor at this machine does.
func (s *stage) ask(method, path, body string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.ctx, method, "http://"+s.cfg.Listen.HTTP.String()+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// wants checks an answer of the console and returns it.
func (s *stage) wants(code int, method, path, body string, parts ...string) string {
	s.t.Helper()
	got, text := s.ask(method, path, body)
	if got != code {
		s.t.Errorf("%s %s %s: %d %s; want %d", method, path, body, got, text, code)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			s.t.Errorf("%s %s %s: %q is not in %s", method, path, body, part, text)
		}
	}
	return text
}

const theReasons = `reasons:
  pause: [{id: repas, max: 1m}, {id: formation}]
  wrapup: [{id: resolu}, {id: rappel}]
`

// reasons configures reasons of pauses and wrap-up codes.
func reasons(st *staging) { st.yaml += theReasons }

func wrapup(mode string) stageOption {
	return with("wrapup: {seconds: 0}", "wrapup: "+mode)
}

func TestCodedWrapUpIsFinishedFromOutside(t *testing.T) {
	t.Parallel()
	s, _, _, out, in := conversation(t, reasons, wrapup("{mode: coded, seconds: 30}"))
	id := in.Invite().Get("X-Foyer-Call")
	s.wants(409, "POST", "/agents/ana/wrapup", `{"code":"resolu"}`, `"current_state":"talking"`, "not wrapping up")
	s.wants(409, "POST", "/agents/ana/extend", "", `"current_state":"talking"`)
	out.Bye()
	s.until("ana wraps up", func() bool { return s.agentState("ana") == acd.WrapUp })
	s.wants(200, "GET", "/agents/ana", "", `"wrap":"coded"`, `"until":`, `"handled":1`, `"in_hand":["`+id+`"]`, `"next":"ready"`)
	s.wants(422, "POST", "/agents/ana/wrapup", `{}`, "wants a code", "resolu, rappel", `"location":"body.code"`)
	s.wants(422, "POST", "/agents/ana/wrapup", `{"code":"sold"}`, "not a wrap-up code of queue accueil", "resolu, rappel")
	s.wants(409, "POST", "/agents/ana/wrapup", `{"code":"resolu","call":"c0"}`, "not wrapping up call c0")
	s.wants(409, "POST", "/agents/ana/extend", "", `"current_state":"wrap_up"`, "cannot be extended")
	s.wants(200, "POST", "/agents/ana/ready", "", `"state":"wrap_up"`, `"next":"ready"`) // a coded one waits for its code
	s.wants(200, "POST", "/agents/ana/wrapup", `{"code":"resolu","call":"`+id+`"}`, `"state":"ready"`)
	s.wants(409, "POST", "/agents/ana/wrapup", `{"code":"resolu"}`, `"current_state":"ready"`)
	s.wants(404, "POST", "/agents/nobody/wrapup", `{"code":"resolu"}`)
	s.until("the wrap-up is in the CDR", func() bool { return s.cdr().WrappedUpIn > 0 })
	if c := s.cdr(); c.WrapUpCode != "resolu" || c.Segments[len(c.Segments)-1].Code != "resolu" {
		t.Errorf("the code is not in the CDR: %s", asJSON(c))
	}
	s.wants(200, "GET", "/audit?object=ana", "", `"action":"agent.wrapup"`, `"detail":"resolu"`, `"call":"`+id+`"`)
}

// A code may ask for a note and for when to call back; the caller is called back then,
// and not before.
func TestWrapUpMakesAnAppointment(t *testing.T) {
	slow(t)
	t.Parallel()
	s, far := withCarrier(t, callbacks("agent_first"), func(st *staging) {
		st.yaml += "reasons: {wrapup: [{id: rappel, requires: [callback_at, note]}]}\n"
	}, with("ring: {timeout: 12s}, wrapup: {seconds: 0}", "ring: {timeout: 12s}, wrapup: {mode: coded, seconds: 30}"))
	ana := s.agent("ana", anaTone)
	cara, out := s.waits(callerTone)
	atAna := ana.rings()
	ana.picksUp(atAna)
	cara.hears(anaTone)
	out.Bye()
	s.until("ana wraps up", func() bool { return s.agentState("ana") == acd.WrapUp })
	soon := time.Now().Add(6 * time.Second)
	at := soon.Format(time.RFC3339Nano)
	s.wants(422, "POST", "/agents/ana/wrapup", `{"code":"rappel"}`, "asks for a note", `"location":"body.note"`)
	s.wants(422, "POST", "/agents/ana/wrapup", `{"code":"rappel","note":"wants a price"}`, "asks for when to call back", `"location":"body.callback_at"`)
	s.wants(422, "POST", "/agents/ana/wrapup", `{"code":"rappel","note":"wants a price","callback_at":"2020-01-01T10:00:00Z"}`, "The moment is over", `"location":"body.callback_at"`)
	s.wants(422, "POST", "/agents/ana/wrapup", `{"code":"rappel","note":"wants a price","callback_at":"2099-01-01T10:00:00Z"}`, "31 days ahead")
	s.wants(200, "POST", "/agents/ana/wrapup", `{"code":"rappel","note":"wants a price","callback_at":"`+at+`"}`, `"state":"ready"`)
	s.wants(200, "GET", "/callbacks", "", `"number":"+33612345678"`, `"state":"later"`, `"due":`)
	s.until("the note is in the CDR", func() bool { c := s.cdr(); return c.WrapUpNote == "wants a price" && c.WrapUpCode == "rappel" })

	again := ana.rings()
	if early := time.Until(soon); early > 0 {
		t.Errorf("ana is rung %s before the appointment", early)
	}
	again.Answer(ana.voice.offer())
	ana.expect(again, "ACK")
	far.takes(far.rings())
	ana.voice.talkTo(t, again.RemoteSDP())
	far.hears(anaTone)
	again.Bye()
	s.until("ana wraps up again", func() bool { return s.agentState("ana") == acd.WrapUp })
	s.wants(422, "POST", "/agents/ana/wrapup", `{"code":"resolu"}`, "not a wrap-up code")
	s.wants(200, "POST", "/agents/ana/release", "")
}

func TestWrapUpIsExtendedAsOftenAsItMay(t *testing.T) {
	t.Parallel()
	s, _, _, out, _ := conversation(t, reasons, wrapup("{mode: extendable, seconds: 60, extend_by: 30, max_extensions: 2}"))
	out.Bye()
	s.until("ana wraps up", func() bool { return s.agentState("ana") == acd.WrapUp })
	until := func(text string) time.Time {
		var a console.AgentState
		if err := json.Unmarshal([]byte(text), &a); err != nil || a.Until == nil {
			t.Fatalf("%v in %s", err, text)
		}
		return *a.Until
	}
	first := until(s.wants(200, "GET", "/agents/ana", "", `"extensions":2`))
	for i := range 2 {
		text := s.wants(200, "POST", "/agents/ana/extend", "", `"state":"wrap_up"`)
		if got, want := until(text), first.Add(time.Duration(i+1)*30*time.Second); !got.Equal(want) {
			t.Errorf("extended until %v, want %v", got, want)
		}
	}
	s.wants(409, "POST", "/agents/ana/extend", "", `"current_state":"wrap_up"`, "No extension")
	s.wants(200, "POST", "/agents/ana/pause", `{"reason":"formation"}`, `"state":"wrap_up"`, `"next":"not_ready","next_reason":"formation"`)
	s.wants(200, "POST", "/agents/ana/wrapup", `{}`, `"state":"not_ready","reason":"formation"`) // no code is asked for
}

func TestOrdersDuringATalkSayWhatComesAfterIt(t *testing.T) {
	t.Parallel()
	s, caller, ana, out, in := conversation(t, reasons)
	s.wants(422, "POST", "/agents/ana/pause", `{"reason":"holiday"}`, "reasons.pause", "supervisor, repas, formation")
	s.wants(200, "POST", "/agents/ana/pause", `{"reason":"repas"}`, `"state":"talking"`, `"next":"not_ready","next_reason":"repas"`)
	s.wants(200, "GET", "/agents", "", `"next_reason":"repas"`) // who gave an order sees what it did
	s.wants(200, "POST", "/agents/ana/logout", "", `"state":"talking"`, `"next":"registered"`)
	s.wants(200, "POST", "/agents/ana/pause", `{"reason":"repas"}`)
	s.wants(200, "POST", "/agents/ana/release", "", `"state":"not_ready","reason":"repas"`)
	caller.expect(out, "BYE")
	ana.expect(in, "BYE")
	s.wantEnd(ledger.Answered, acd.Supervisor, acd.CauseAdmin)
	s.wants(200, "GET", "/audit?object=ana&limit=1", "", `"action":"agent.release"`)
	s.wants(200, "POST", "/agents/ana/login", "", `"state":"not_ready"`)
	s.wants(200, "POST", "/agents/ana/ready", "", `"state":"ready"`)
	s.wants(200, "POST", "/agents/bo/ready", "", `"state":"off"`, `"next":"ready"`) // no phone of his yet
}

// An agent whose phone rings is released: the caller waits on, and nobody is punished.
func TestReleaseOfARingingAgent(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	caller, out := s.waits(callerTone)
	in := ana.rings()
	s.wants(200, "POST", "/agents/ana/release", "", `"state":"ready"`)
	ana.expect(in, "CANCEL")
	bo := s.agent("bo", boTone)
	bo.picksUp(bo.rings())
	caller.hears(boTone)
	out.Bye()
	s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
}

func TestQueueIsShownWithThoseWhoWait(t *testing.T) {
	t.Parallel()
	s, _, ana, out, _ := conversation(t,
		with("ring: {timeout: 3s}", "ring: {timeout: 3s}, relax: [{after: 1s, drop: fr}], last_agent: {within: 1h, wait: 5m}, service_level: {target: \"0.8\", within: 20s, formula: all_abandons_count}"))
	out.Bye()
	s.cdr()
	s.wants(200, "GET", "/queues/accueil", "", `"strategy":"longest_idle"`, `"expected_wait":{"known":true`, `"told":0`,
		`"callbacks":{"taken":false,"open":true,"waiting":0,"calling":0,"later":0,"asked":0}`,
		`"service_level":1`, `"formula":"all_abandons_count"`, `"handle_s":`)
	other := s.caller(carrierHost, 900)
	busy := other.call("+33170000001")
	ana.picksUp(ana.rings())
	_, second := s.waits(callerTone)
	_, third := s.waits(callerTone)
	s.until("the first who waits is relaxed", func() bool {
		_, text := s.ask("GET", "/queues/accueil/calls", "")
		return strings.Contains(text, `"position":1`) && strings.Contains(text, `"position":2`) && strings.Contains(text, `"relaxed":1`)
	})
	var list struct{ Items []console.WaitingCall }
	if err := json.Unmarshal([]byte(s.wants(200, "GET", "/queues/accueil/calls", "")), &list); err != nil || len(list.Items) != 2 {
		t.Fatalf("%v %+v", err, list)
	}
	for i, c := range list.Items {
		if c.Position != i+1 || c.From != "+33612345678" || c.Callback || c.WaitedS <= 0 || c.Wanted != "ana" {
			t.Errorf("%+v", c)
		}
	}
	s.wants(404, "GET", "/queues/none/calls", "")
	busy.Bye()
	second.Bye()
	third.Bye()
	s.until("all over", func() bool { return s.ex.calls.count() == 0 })
}

func TestOperatorAsksForACallback(t *testing.T) {
	t.Parallel()
	s, _ := withCarrier(t, callbacks("agent_first"))
	s.wants(404, "POST", "/callbacks", `{"queue":"none","number":"+33612345678"}`)
	for number, why := range map[string]string{
		"112": "not a number that can be called", "+4930123456": "no outbound route", "nonsense": "not a number",
	} {
		s.wants(422, "POST", "/callbacks", `{"queue":"accueil","number":"`+number+`"}`, `"location":"body.number"`, why)
	}
	s.wants(422, "POST", "/callbacks", `{"queue":"patient","number":"+33612345678"}`, `"location":"body.queue"`, "no callback section")
	var first, again console.CallbackView
	text := s.wants(201, "POST", "/callbacks", `{"queue":"accueil","number":"06 12 34 56 78"}`, `"number":"+33612345678"`, `"state":"waiting"`, `"position":1`, `"client":"essai"`)
	if err := json.Unmarshal([]byte(text), &first); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(s.wants(200, "POST", "/callbacks", `{"queue":"accueil","number":"+33612345678"}`)), &again); err != nil || again.ID != first.ID {
		t.Errorf("asked twice: %s and %s, %v", first.ID, again.ID, err)
	}
	s.wants(200, "GET", "/callbacks?queue=accueil", "", first.ID)
	s.wants(200, "GET", "/queues/accueil", "", `"callbacks":{"taken":true,"open":true,"waiting":1,"calling":0,"later":0,"asked":0}`)
	s.wants(200, "GET", "/queues/accueil/calls", "", `"from":"+33612345678"`, `"callback":true`)
	s.wants(204, "POST", "/callbacks/"+first.ID+"/cancel", "")
	s.wants(200, "GET", "/callbacks", "", `"items":[]`)
	s.wants(404, "POST", "/callbacks/"+first.ID+"/cancel", "")
	c := s.wantEnd(ledger.CalledBack, acd.Switch, acd.CauseAdmin)
	if c.ID != first.ID || c.To != "+33612345678" || c.Client != "essai" || c.DID != "+33170000001" {
		t.Errorf("%s", asJSON(c))
	}
	s.metrics(`foyer_callbacks_total{queue="accueil",result="cancelled"} 1`)
}

// A caller whom the floor has sent elsewhere is still on the line, to be seen and hung up.
func TestDivertedCallsAreShown(t *testing.T) {
	t.Parallel()
	for to, state := range map[string]string{`"+33140000000"`: "diverted", "voicemail": "voicemail"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			s, _ := withCarrier(t, with(`overflow: [{after: 1s, to: hangup}]`, `overflow: [{after: 1s, to: `+to+`}]`))
			caller := s.caller(carrierHost, callerTone)
			out := caller.call("+33170000004")
			caller.expect(out, "200 INVITE")
			var list struct{ Items []console.LiveCall }
			s.until("the call is "+state, func() bool {
				_, text := s.ask("GET", "/calls", "")
				return json.Unmarshal([]byte(text), &list) == nil && len(list.Items) == 1 && list.Items[0].State == state
			})
			c := list.Items[0]
			if c.Queue != "hasty" || c.Client != "essai" || c.Since.Sub(c.Started) < time.Second {
				t.Errorf("%+v", c)
			}
			s.wants(204, "POST", "/calls/"+c.ID+"/hangup", "")
			caller.expect(out, "BYE")
			s.until("it is over", func() bool { return s.ex.calls.count() == 0 })
		})
	}
}

// A callback is cancelled while an agent is rung for it, and while its customer
// is: both telephones fall silent.
func TestCallbackIsCancelledWhileItIsMade(t *testing.T) {
	t.Parallel()
	s, far := withCarrier(t, callbacks("agent_first"))
	ana := s.agent("ana", 500)
	add := func() (id string) {
		var b console.CallbackView
		if err := json.Unmarshal([]byte(s.wants(201, "POST", "/callbacks", `{"queue":"accueil","number":"+33612345678"}`)), &b); err != nil {
			t.Fatal(err)
		}
		return b.ID
	}
	id := add()
	in := ana.rings()
	s.wants(200, "GET", "/callbacks", "", `"state":"calling"`, `"agent":"ana"`)
	s.wants(204, "POST", "/callbacks/"+id+"/cancel", "")
	ana.expect(in, "CANCEL")
	s.until("ana ready", func() bool { return s.agentState("ana") == acd.Ready && s.ex.calls.count() == 0 })

	id = add()
	in = ana.rings()
	in.Answer(ana.voice.offer())
	ana.expect(in, "ACK")
	out := far.rings()
	s.wants(200, "GET", "/queues/accueil", "", `"waiting":0,"calling":1,"later":0`)
	s.wants(204, "POST", "/callbacks/"+id+"/cancel", "")
	far.expect(out, "CANCEL")
	ana.expect(in, "BYE")
	s.until("ana ready", func() bool { return s.agentState("ana") == acd.Ready && s.ex.calls.count() == 0 })

	id = add()
	in = ana.rings()
	in.Answer(ana.voice.offer())
	ana.expect(in, "ACK")
	out = far.rings()
	out.Answer(far.voice.offer())
	far.expect(out, "ACK")
	s.until("both talk", func() bool { return s.bridged(in) })
	s.wants(409, "POST", "/callbacks/"+id+"/cancel", "", `"current_state":"talking"`, "hang the call up")
	s.wants(200, "GET", "/calls", "", `"callback":true`)
	s.wants(204, "POST", "/calls/"+id+"/hangup", "")
	ana.expect(in, "BYE")
	far.expect(out, "BYE")
	s.until("three CDRs", func() bool {
		rows, err := s.ex.cdrs.List(s.ctx, ledger.Query{Limit: 10})
		return err == nil && len(rows) == 3 && s.ex.calls.count() == 0
	})
	if c := s.cdr(); c.ID != id || c.Outcome != ledger.Answered || c.EndedBy != "supervisor" || c.RecordingID == "" || c.Quality == nil {
		t.Errorf("a callback that was made has the record of a call: %s", asJSON(c))
	}
	s.metrics(`foyer_callbacks_total{queue="accueil",result="cancelled"} 2`, `foyer_callbacks_total{queue="accueil",result="made"} 1`,
		`foyer_queue_callbacks{queue="accueil",state="calling"} 0`)
}

// metrics checks that lines stand in what Prometheus gets.
func (s *stage) metrics(lines ...string) {
	s.t.Helper()
	var text []byte
	for _, want := range lines {
		ok := false
		for end := time.Now().Add(5 * time.Second); !ok && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			text, _ = fetch(s.t, "http://"+s.cfg.Listen.HTTP.String()+"/metrics")
			ok = strings.Contains(string(text), "\n"+want)
		}
		if !ok {
			s.t.Errorf("metrics lack %s in\n%s", want, text)
		}
	}
}

func TestMetricsOfTheFloor(t *testing.T) {
	t.Parallel()
	s, _, _, out, _ := conversation(t, reasons, wrapup("{seconds: 0}, service_level: {target: \"0.8\", within: 20s}"))
	s.metrics(`foyer_agents{state="talking"} 1`, `foyer_agents{state="consulting"} 0`, `foyer_agents{state="reserved"} 0`, `foyer_agents{state="off"} 1`)
	out.Bye()
	s.cdr()
	s.wants(200, "POST", "/agents/ana/pause", `{"reason":"repas"}`)
	s.wants(200, "POST", "/agents/bo/pause", `{"reason":"formation"}`)
	s.metrics(
		`foyer_queue_service_level_ratio{client="essai",formula="exclude_short",queue="accueil"} 1`,
		`foyer_queue_open{queue="accueil"} 1`, `foyer_queue_open{queue="shut"} 0`,
		`foyer_queue_handle_seconds_count{client="essai",queue="accueil"} 1`, `foyer_queue_handle_seconds_sum{client="essai",queue="accueil"} `,
		`foyer_queue_wait_calibration_callers{queue="accueil"} 0`,
		`foyer_queue_callbacks{queue="accueil",state="later"} 0`,
		`foyer_agents_overdue 0`, `foyer_agent_state_seconds_total{reason="",state="talking"} `,
		`foyer_agent_state_seconds_total{reason="repas",state="not_ready"} `,
		`foyer_floor_violations_total 0`)
	s.wants(200, "POST", "/agents/ana/ready", "")
	s.metrics(`foyer_queue_wait_estimate_seconds{client="essai",quantile="0.9",queue="accueil"} `)
}

// Only reasons that somebody has configured, or that are our own, become labels.
func TestNoLabelIsUnbounded(t *testing.T) {
	p := &plan{floor: acd.Config{Reasons: []acd.Reason{{ID: "repas"}}}}
	got := map[string]float64{}
	p.agentTimes(acd.Snapshot{Paused: map[string]time.Duration{
		"repas": time.Second, "missed": 2 * time.Second, "lunch": 3 * time.Second, "holiday": 4 * time.Second,
	}, Agents: []acd.AgentView{{State: acd.NotReady, Overdue: true}}}, func(name string, v float64, labels ...string) {
		got[name+" "+strings.Join(labels, " ")] = v
	})
	for line, want := range map[string]float64{
		"agent_state_seconds_total not_ready repas": 1, "agent_state_seconds_total not_ready missed": 2,
		"agent_state_seconds_total not_ready other": 7, "agents_overdue ": 1, "agents not_ready": 1, "agents ready": 0,
	} {
		if v, ok := got[line]; !ok || v != want {
			t.Errorf("%s is %v, want %v", line, v, want)
		}
	}
}

// The board's decisions tell what became of a line that was lost.
func TestLostLinesAreCounted(t *testing.T) {
	lost := func(c acd.CallID) acd.Action { return acd.Comfort{Call: c} }
	m := newMetrics("test")
	for _, a := range []acd.Action{
		lost("c1"), acd.Rejoin{Call: "c1"}, acd.Settled{Call: "c1"},
		lost("c2"), acd.Part{Call: "c2"}, acd.Offer{Call: "c2", Rejoin: true}, acd.Queued{Call: "c2"},
		lost("c3"), acd.Part{Call: "c3"}, acd.Queued{Call: "c3"}, acd.Offer{Call: "c3"}, acd.Settled{Call: "c3"},
		lost("c4"), acd.Settled{Call: "c4"},
		acd.Queued{Call: "c5"}, acd.Settled{Call: "c5"},
		lost("c6"), acd.Rejoin{Call: "c6"}, lost("c6"), acd.Rejoin{Call: "c6"},
	} {
		m.acted(a)
	}
	w := httptest.NewRecorder()
	m.handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for result, n := range map[string]int{"back": 3, "rung_back": 1, "gone": 1, "left": 1} {
		if line := fmt.Sprintf("\nfoyer_link_lost_total{result=%q} %d\n", result, n); !strings.Contains(w.Body.String(), line) {
			t.Errorf("metrics lack %s", line)
		}
	}
	if len(m.lost) != 0 {
		t.Errorf("remembers %v", m.lost)
	}
}

func TestWhatBecameOfACallback(t *testing.T) {
	for want, c := range map[string]ledger.CDR{
		"made":        {Outcome: ledger.Answered, Cause: acd.CauseHangup.String()},
		"cancelled":   {Outcome: ledger.CalledBack, Cause: acd.CauseAdmin.String()},
		"needless":    {Outcome: ledger.CalledBack, Cause: acd.CauseElsewhere.String()},
		"abandoned":   {Outcome: ledger.CalledBack, Cause: acd.CauseHangup.String()},
		"not_reached": {Outcome: ledger.CalledBack, Cause: acd.CauseNoAnswer.String()},
		"failed":      {Outcome: ledger.Broken, Cause: acd.CauseRestart.String()},
	} {
		if got := callbackResult(&c); got != want {
			t.Errorf("%+v: %s, want %s", c, got, want)
		}
	}
}
