package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"foyer/console"
	"foyer/sip/siptest"
)

// types runs a command of the switch's own configuration, and checks what it says.
func (l *life) types(code int, args []string, says ...string) string {
	l.t.Helper()
	out, errs, got := foyer(l.t, append(args, "-c", l.file)...)
	if got != code {
		l.t.Errorf("foyer %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, errs)
	}
	for _, want := range says {
		if !strings.Contains(out+errs, want) {
			l.t.Errorf("foyer %s: %q is not in\n%s%s", strings.Join(args, " "), want, out, errs)
		}
	}
	return out
}

func words(s string) []string { return strings.Fields(s) }

// steered is a switch as a process of its own, with all that can be steered.
func steered(t *testing.T) *life {
	t.Helper()
	file, sip, web := smallest(t, t.TempDir())
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	yaml := strings.NewReplacer(
		"{id: carrier,", "{id: carrier, host: 127.0.0.2,",
		"wrapup: {seconds: 0}", "wrapup: {mode: extendable, seconds: 300, extend_by: 60, max_extensions: 1}, callback: {mode: agent_first}",
	).Replace(string(text)) + theReasons + `outbound_routes: [{match: "+336*", trunks: [carrier]}]` + "\n"
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return startLife(t, file, sip, web)
}

func TestOperatorSteersAgents(t *testing.T) {
	t.Parallel()
	l := steered(t)
	ana := outsider(t, l.sip, "127.0.0.1", anaTone, siptest.Options{User: "ana", Password: "pw-ana", Domain: "lo.test"})
	if res, err := ana.Register(ana.s.ctx, time.Minute); err != nil || res.Status != 200 {
		t.Fatalf("REGISTER: %v %v", res, err)
	}
	caller := outsider(t, l.sip, "127.0.0.2", callerTone, siptest.Options{User: "+33612345678", Domain: "carrier.test"})
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	ana.picksUp(ana.rings())
	l.until("ana talks", func() bool {
		text, _ := l.get("/api/v1/agents/ana")
		return strings.Contains(text, `"talking"`)
	})
	l.types(1, words("agent wrapup ana --code resolu"), "ana is not wrapping up but talking")
	l.types(1, words("agent pause ana --reason holiday"), `"holiday" is not a reason`, "supervisor, repas, formation")
	l.types(0, words("agent pause ana --reason repas"), "ana is talking, then not_ready (repas)")
	l.types(0, words("agent list"), "NEXT", "not_ready (repas)")
	out.Bye()
	l.until("ana wraps up", func() bool {
		text, _ := l.get("/api/v1/agents/ana")
		return strings.Contains(text, `"wrap_up"`)
	})
	l.types(0, words("agent show ana"), "wrap_up for", "not_ready (repas)", "extendable", "1 left", "1 since login", "fr:5", "127.0.0.1:")
	l.types(0, words("agent extend ana"), "ana is wrap_up until ", ", then not_ready (repas)")
	l.types(1, words("agent extend ana"), "No extension of this wrap-up is left")
	l.types(1, words("agent wrapup ana --code sold"), "not a wrap-up code", "resolu, rappel")
	l.types(0, words("agent wrapup ana --code rappel"), "ana is not_ready (repas)")
	var a console.AgentView
	if err := json.Unmarshal([]byte(l.types(0, words("agent show ana -o json"))), &a); err != nil || a.State != "not_ready" || a.Handled != 1 || a.Next != "not_ready" {
		t.Errorf("%v %+v", err, a)
	}
	l.types(0, words("agent ready ana"), "ana is ready\n")
	l.types(0, words("agent release ana"), "ana is ready\n")
	l.types(0, words("agent logout ana"), "ana is registered\n")
	l.types(0, words("agent login bo"), "bo is off, then ready\n")
	l.types(1, words("agent release nobody"), "There is no agent nobody")
}

func TestOperatorSteersQueuesAndCallbacks(t *testing.T) {
	t.Parallel()
	l := steered(t)
	caller := outsider(t, l.sip, "127.0.0.2", callerTone, siptest.Options{User: "+33612345678", Domain: "carrier.test"})
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	l.types(0, words("callback list"), "CALLBACK")
	l.types(0, words("callback add accueil 0699887766"), "+33699887766", "waiting")
	l.types(1, words("callback add accueil 112"), "may not be called", "not a number")
	l.types(1, words("callback add accueil +4930123456"), "no outbound route")
	l.types(1, words("callback add nowhere 0699887766"), "There is no queue nowhere")
	l.types(0, words("queue list"), "STRATEGY", "longest_idle", "accueil")
	l.types(0, words("queue show accueil"), "accueil, open", "2, the oldest for", "1 waiting, 0 being called, 0 later; customers may be called now")
	l.types(0, words("queue calls accueil"), "PLACE", "+33612345678", "+33699887766 (callback)")
	l.types(1, words("queue show nowhere"), "There is no queue nowhere")
	l.types(1, words("queue calls nowhere"), "There is no queue nowhere")

	var queues []console.QueueView
	if err := json.Unmarshal([]byte(l.types(0, words("queue list -o json"))), &queues); err != nil || len(queues) != 1 || queues[0].Waiting != 2 {
		t.Errorf("%v %+v", err, queues)
	}
	var waiting []console.WaitingCall
	if err := json.Unmarshal([]byte(l.types(0, words("queue calls accueil -o json"))), &waiting); err != nil || len(waiting) != 2 || !waiting[1].Callback || waiting[1].Position != 2 {
		t.Errorf("%v %+v", err, waiting)
	}
	var backs []console.CallbackView
	if err := json.Unmarshal([]byte(l.types(0, words("callback list --queue accueil -o json"))), &backs); err != nil || len(backs) != 1 {
		t.Fatalf("%v %+v", err, backs)
	}
	l.types(0, []string{"callback", "cancel", backs[0].ID})
	l.types(1, []string{"callback", "cancel", backs[0].ID}, "There is no callback")
	if text := strings.TrimSpace(l.types(0, words("callback list -o json"))); text != "[]" {
		t.Errorf("callbacks left: %s", text)
	}
	out.Bye()
}

func TestOperatorTransfers(t *testing.T) {
	t.Parallel()
	l := steered(t)
	phones := map[string]*person{}
	for id, tone := range map[string]float64{"ana": anaTone, "bo": boTone} {
		p := outsider(t, l.sip, "127.0.0.1", tone, siptest.Options{User: id, Password: "pw-" + id, Domain: "lo.test"})
		if res, err := p.Register(p.s.ctx, time.Minute); err != nil || res.Status != 200 {
			t.Fatalf("REGISTER: %v %v", res, err)
		}
		phones[id] = p
		if id == "ana" {
			l.types(0, words("agent ready ana"))
		}
	}
	l.types(0, words("agent pause bo --reason repas"))
	caller := outsider(t, l.sip, "127.0.0.2", callerTone, siptest.Options{User: "+33612345678", Domain: "carrier.test"})
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	caller.voice.talkTo(t, out.RemoteSDP())
	ana, bo := phones["ana"], phones["bo"]
	var live listed[console.LiveCall]
	list := func() console.LiveCall {
		if err := json.Unmarshal([]byte(l.types(0, words("call list -o json"))), &live.Items); err != nil || len(live.Items) != 1 {
			t.Fatal(err, live)
		}
		return live.Items[0]
	}
	l.types(1, words("call transfer "+list().ID+" bo"), "Only a caller who talks with an agent can be transferred.")
	atAna := ana.rings()
	ana.picksUp(atAna)
	l.until("ana talks", func() bool {
		text, _ := l.get("/api/v1/agents/ana")
		return strings.Contains(text, `"talking"`)
	})
	id := list().ID
	l.types(1, words("call transfer "+id+" someone"), "The call cannot go to someone: neither an agent nor a queue nor a number.")
	l.types(1, words("call transfer "+id+" +33899123456"), "no outbound route fits it")
	l.types(1, words("call transfer "+id+" 112"), "not a number that can be called")
	l.types(1, words("call transfer "+id+" ana"), "The transfer to ana failed: busy. The agent still has the caller.")
	l.types(1, words("call transfer nonesuch bo"), "There is no live call nonesuch.")

	// Bo is paused, which keeps the queues' calls away and not a colleague's.
	l.types(0, words("call transfer "+id+" bo"), "it rings at bo; the agent has the caller until it is taken")
	l.types(1, words("call transfer "+id+" accueil"), "Another transfer of this caller is under way.")
	atBo := bo.rings()
	bo.picksUp(atBo)
	caller.hears(boTone)
	ana.expect(atAna, "BYE")
	l.types(0, words("call transfer "+id+" accueil"))
	bo.expect(atBo, "BYE")
	caller.hearsMusic(boTone)
	out.Bye()
	caller.expect(out, "200 BYE")
	l.until("the record says who moved whom", func() bool {
		text := l.types(0, words("explain "+id+" --lang en"))
		return strings.Contains(text, "a supervisor moved the caller from ana to bo") && strings.Contains(text, "a supervisor moved the caller from bo to accueil")
	})
}
