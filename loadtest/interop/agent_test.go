package interop

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"foyer/loadtest"
)

// Three phones vanish, each in another way; the fourth gets the call at once.
func TestVanishedPhonesGetNoCalls(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Agents: 4, Probe: time.Second})
	killed := startBaresip(t, h.agent(0, "udp", baresipTone))
	cut := startBaresip(t, h.agent(1, "tcp", baresipTone))
	frozen := startBaresip(t, h.agent(2, "udp", baresipTone))
	p := h.agent(3, "udp", baresipTone)
	p.auto = true
	there := startBaresip(t, p)
	killed.kill()
	cut.kill()
	frozen.cmd.Process.Signal(syscall.SIGSTOP)
	until(t, "three phones are missed", func() bool {
		all := h.agents()
		return !all["agent0001"].Reachable && !all["agent0002"].Reachable && !all["agent0003"].Reachable
	}, h.sw.Tail)
	if a := h.agents()["agent0004"]; !a.Reachable || a.State != "ready" {
		t.Errorf("the agent whose phone is there: %+v", a)
	}
	sipp := h.startSipp(carrier{scenario: "talk", pause: 2 * time.Second})
	there.wait("CALL_ESTABLISHED")
	sipp.succeeded()
	if row := h.wantOutcome("answered", "caller"); row.Agent != "agent0004" || row.TalkS < 1.5 {
		t.Errorf("call record: %+v", row)
	}
	frozen.cmd.Process.Signal(syscall.SIGCONT)
	until(t, "the frozen phone is found again", func() bool { return h.agents()["agent0003"].Reachable }, h.sw.Tail)
}

func TestDeclinedCallGoesToTheNextAgent(t *testing.T) {
	h := newHouse(t, loadtest.Setup{})
	first := startBaresip(t, h.agent(0, "udp", baresipTone))
	second := startBaresip(t, h.agent(1, "tcp", linphoneTone))
	caller := h.callFromBaresip("")
	first.wait("CALL_INCOMING")
	first.do("hangup", "")
	second.wait("CALL_INCOMING")
	second.do("accept", "")
	hears(t, "caller", caller.heard, linphoneTone, caller.output)
	caller.do("hangup", "")
	second.wait("CALL_CLOSED")
	if row := h.wantOutcome("answered", "caller"); row.Agent != "agent0002" {
		t.Errorf("call record: %+v", row)
	}
}

func TestUnansweredCallGoesToTheNextAgent(t *testing.T) {
	h := newHouse(t, loadtest.Setup{RingFor: 5 * time.Second})
	first := startBaresip(t, h.agent(0, "udp", baresipTone))
	second := startLinphone(t, h.agent(1, "udp", linphoneTone))
	caller := h.callFromBaresip("")
	first.wait("CALL_INCOMING")
	second.answer()
	first.wait("CALL_CLOSED")
	hears(t, "caller", caller.heard, linphoneTone, caller.output)
	if a := h.agents()["agent0001"]; a.State != "not_ready" {
		t.Errorf("the agent who did not answer is %s", a.State)
	}
	caller.do("hangup", "")
	if row := h.wantOutcome("answered", "caller"); row.Agent != "agent0002" {
		t.Errorf("call record: %+v", row)
	}
}

func contains(text string, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
