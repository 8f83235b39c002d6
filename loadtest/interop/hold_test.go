package interop

import (
	"testing"
	"time"

	"foyer/loadtest"
)

func TestBaresipHoldsTheCaller(t *testing.T) {
	h := newHouse(t, loadtest.Setup{})
	p := h.agent(0, "udp", baresipTone)
	p.auto = true
	agent := startBaresip(t, p)
	caller := h.callFromBaresip("")
	hears(t, "caller", caller.heard, baresipTone, caller.output)
	agent.do("hold", "")
	lastSecond(t, "the caller hears music instead of the agent", caller, func(second []float64) bool {
		return energy(second) > 100 && share(second, baresipTone) < 0.1
	})
	agent.do("resume", "")
	lastSecond(t, "the caller hears the agent again", caller, func(second []float64) bool { return share(second, baresipTone) > 0.9 })
	lastSecond(t, "and still", caller, func(second []float64) bool { return share(second, baresipTone) > 0.9 })
	agent.do("hangup", "")
	caller.wait("CALL_CLOSED")
	// Its receiver is dead after a hold (aubridge), so the agent's telephone is
	// asked for its packets: after the hold they must come as they go.
	if sent, got := agent.packets(); sent < 100 || got < sent*9/10 {
		t.Errorf("the agent's telephone sent %d packets and got %d", sent, got)
	}
	h.wantChannels(carrierTone, baresipTone)
	if row := h.wantOutcome("answered", "agent"); row.HoldS < 0.5 {
		t.Errorf("held for %.1f s, by the call record", row.HoldS)
	}
}

func TestSippHoldsTheAgent(t *testing.T) {
	h := newHouse(t, loadtest.Setup{})
	agent := startBaresip(t, h.agent(0, "udp", baresipTone))
	sipp := h.startSipp(carrier{scenario: "hold", pause: 1500 * time.Millisecond})
	agent.wait("CALL_INCOMING")
	agent.do("accept", "")
	agent.wait("CALL_ESTABLISHED")
	sipp.succeeded()
	agent.wait("CALL_CLOSED")
	h.wantChannels(carrierTone, baresipTone)
	h.wantOutcome("answered", "caller")
}

// lastSecond waits until what a telephone has heard in the last second is as wanted,
// leaving out what it heard before.
func lastSecond(t *testing.T, what string, p listener, ok func(second []float64) bool) {
	t.Helper()
	before := len(p.heard())
	until(t, what, func() bool {
		x := p.heard()
		return len(x) > before+rate && ok(x[len(x)-rate:])
	}, p.output)
}

// listener is a telephone whose receiver can be listened to during the call.
type listener interface {
	heard() []float64
	output() string
}
