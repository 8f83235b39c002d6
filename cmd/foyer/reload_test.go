package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"foyer/acd"
)

// rewrite puts another configuration into the file that the switch was started with.
func (s *stage) rewrite(pairs ...string) {
	s.t.Helper()
	text, err := os.ReadFile(s.cfg.Files[0])
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(string(text), pairs[i]) {
			s.t.Fatalf("%q is not in the configuration", pairs[i])
		}
	}
	if err := os.WriteFile(s.cfg.Files[0], []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// reloads runs the command as an operator does.
func (s *stage) reloads(wantCode int, flags ...string) string {
	s.t.Helper()
	out, errs, code := foyer(s.t, append([]string{"reload", "-c", s.cfg.Files[0]}, flags...)...)
	if code != wantCode {
		s.t.Fatalf("foyer reload %v: exit %d\n%s%s", flags, code, out, errs)
	}
	return out + errs
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), line) {
			t.Errorf("%q is not said in:\n%s", line, text)
		}
	}
}

// A day's changes are taken over while one caller talks and another waits: neither
// notices, who is new can be called at once, and who is gone ends the call in hand.
func TestReload(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", 500)
	cara, talk := s.waits(1300)
	atAna := ana.rings()
	ana.picksUp(atAna)
	cara.hears(500)
	dora, wait := s.waits(1100)
	dora.hearsMusic(1100)

	s.rewrite(
		"{id: ana, name: Ana, sip: {password: pw-ana}, skills: {fr: 5}, queues: [accueil]",
		"{id: lea, name: Lea, sip: {password: pw-lea}, queues: [neuf]",
		"ring: {timeout: 3s}", "ring: {timeout: 4s}",
		"queues:\n", "queues:\n  - {id: neuf, client: essai}\n",
		"dids:\n", "dids:\n  - {number: \"+33170000009\", client: essai, to: neuf}\n",
	)
	wantLines(t, s.reloads(0, "--dry-run"),
		"queues[accueil].ring.timeout 3s -> 4s", "agents[ana] removed", "agents[lea] added", "5 changes; nothing was reloaded")
	if out := s.reloads(0, "--dry-run", "-o", "json"); !json.Valid([]byte(out)) {
		t.Errorf("not JSON: %s", out)
	}
	wantLines(t, s.reloads(0), "dids[+33170000009] added", "Reloaded, 5 changes; calls that are up go on.")
	wantLines(t, s.reloads(0), "Nothing has changed.")

	lea := s.agent("lea", 900)
	eve, third := s.rang("+33170000009", 700)
	atLea := lea.rings()
	lea.picksUp(atLea)
	eve.hears(900)
	third.Bye()

	cara.hears(500)
	dora.hearsMusic(1100)
	talk.Bye()
	s.until("ana off once her call is over", func() bool { return s.agentState("ana") == acd.Off })
	if n := ana.invited(); n != 1 {
		t.Errorf("ana, who is removed, was rung %d times", n)
	}
	wait.Bye()
	s.until("no call is up", func() bool { return s.ex.calls.count() == 0 })
	if res, err := ana.Register(s.ctx, time.Minute); err == nil && res.Status == http.StatusOK {
		t.Error("the phone of an agent who is removed still registers")
	}
	text, _ := fetch(t, "http://"+s.cfg.Listen.HTTP.String()+"/metrics")
	if !strings.Contains(string(text), "foyer_config_reload_success 1") {
		t.Error("the metrics do not tell of the reload")
	}
}

// What is wrong, or fixed while calls are up, changes nothing at all, and is told.
func TestReloadIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.agent("ana", 500)
	good, err := os.ReadFile(s.cfg.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	s.rewrite("ring: {timeout: 3s}", "ring: {timeout: 4s}", "skills: {fr: 5}", "skillz: {fr: 5}")
	wantLines(t, s.reloads(3), `unknown key "skillz"`, `did you mean "skills"?`, "configuration not usable")
	// The same by the API, which has no file of its own to look into first.
	s.wants(422, "POST", "/config/reload", "", `"code":"bad_configuration"`, `unknown key \"skillz\"`)

	if err := os.WriteFile(s.cfg.Files[0], good, 0o600); err != nil {
		t.Fatal(err)
	}
	s.rewrite("ring: {timeout: 3s}", "ring: {timeout: 4s}", "media_timeout: 2s", "media_timeout: 3s")
	wantLines(t, s.reloads(1), "the switch must be restarted for listen.rtp.media_timeout", "put these back and reload the rest")
	if got := s.ex.plan.Load().floor.Queues[0].RingTimeout; got != 3*time.Second {
		t.Errorf("a refused reload changed the ring timeout to %s", got)
	}
	text, _ := fetch(t, "http://"+s.cfg.Listen.HTTP.String()+"/metrics")
	if !strings.Contains(string(text), "foyer_config_reload_success 0") {
		t.Error("the metrics do not tell of the refusal")
	}
	if s.agentState("ana") != acd.Ready {
		t.Error("ana is no longer ready")
	}
}

// SIGHUP does the same, and the journal of a day with a reload in it replays to the
// same decisions.
func TestReloadBySignal(t *testing.T) {
	t.Parallel()
	file, sip, web := smallest(t, t.TempDir())
	l := startLife(t, file, sip, web)
	text, err := os.ReadFile(l.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.file, []byte(strings.Replace(string(text), "timeout: 15s", "timeout: 12s", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	(&stage{t: t}).within(time.Minute, "the configuration is reloaded", func() bool {
		return strings.Contains(l.log.String(), `"at":"queues[accueil].ring.timeout","kind":"changed","was":"15s","is":"12s"`)
	})
	if code := l.kill(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d", code)
	}
	if out, errs, code := foyer(t, "journal", "verify", "-c", l.file); code != 0 {
		t.Errorf("journal verify: exit %d\n%s%s", code, out, errs)
	}
}
