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
