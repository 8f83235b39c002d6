package interop

import (
	"strings"
	"testing"

	"foyer/loadtest"
)

// talking is a caller who talks with the first agent's telephone.
func (h *house) talking() (caller, agent *baresip) {
	h.t.Helper()
	p := h.agent(0, "udp", baresipTone)
	p.auto = true
	agent = startBaresip(h.t, p)
	caller = h.callFromBaresip("")
	h.hearsFor(caller, baresipTone)
	return caller, agent
}

// hearsFor waits until a party has heard a tone for a second.
func (h *house) hearsFor(who *baresip, tone float64) {
	h.t.Helper()
	lastSecond(h.t, "a second of it", who, func(second []float64) bool { return share(second, tone) > 0.9 })
}

// A baresip transfers as its user does: by its own command, which holds and refers.
func TestBaresipTransfers(t *testing.T) {
	h := newHouse(t, loadtest.Setup{})
	caller, agent := h.talking()
	second := startBaresip(t, h.agent(1, "tcp", linphoneTone))
	agent.do("transfer", "sip:"+h.sw.Crew()[1].User+"@"+h.sw.Realm)
	second.wait("CALL_INCOMING")
	second.do("accept", "")
	agent.wait("CALL_CLOSED")
	h.hearsFor(caller, linphoneTone)
	h.hearsFor(second, carrierTone)
	caller.do("hangup", "")
	second.wait("CALL_CLOSED")
	row := h.wantOutcome("answered", "caller")
	if row.Agent != "agent0002" || row.TransferTo != "agent0002" {
		t.Errorf("call record: %+v", row)
	}
	h.wantBothAgents()
}

// wantBothAgents wants one recording with the caller on its left and, one after the
// other, both agents on its right.
func (h *house) wantBothAgents() {
	h.t.Helper()
	left, right := h.recorded()
	if p := loudest(left, carrierTone, rate); p < 0.9 {
		h.t.Errorf("caller's channel: %.2f", p)
	}
	for _, tone := range []float64{baresipTone, linphoneTone} {
		if p := loudest(right, tone, rate/2); p < 0.9 {
			h.t.Errorf("agents' channel: %.2f at best at %.0f Hz\n%s", p, tone, describe(right, tone))
		}
	}
}

// Nobody takes it. This telephone hangs up when it is told so, which its user has not
// asked for: the caller goes back to the head of the queue, and on to another agent.
func TestBaresipTransferIsDeclined(t *testing.T) {
	h := newHouse(t, loadtest.Setup{})
	caller, agent := h.talking()
	second := startBaresip(t, h.agent(1, "udp", linphoneTone))
	agent.do("transfer", "sip:"+h.sw.Crew()[1].User+"@"+h.sw.Realm)
	second.wait("CALL_INCOMING")
	second.do("hangup", "")
	h.logged("transfer failed", "busy")
	second.wait("CALL_INCOMING")
	second.do("accept", "")
	h.hearsFor(caller, linphoneTone)
	caller.do("hangup", "")
	if row := h.wantOutcome("answered", "caller"); row.Agent != "agent0002" || row.TransferTo != "" {
		t.Errorf("call record: %+v", row)
	}
}

// A linphone consults, then joins its two calls.
func TestLinphoneTransfers(t *testing.T) {
	for _, how := range []string{"blind", "attended"} {
		t.Run(how, func(t *testing.T) {
			h := newHouse(t, loadtest.Setup{})
			agent := startLinphone(t, h.agent(0, "udp", linphoneTone))
			caller := h.callFromBaresip("")
			agent.answer()
			h.hearsFor(caller, linphoneTone)
			second := startBaresip(t, h.agent(1, "udp", baresipTone))
			whom := "sip:" + h.sw.Crew()[1].User + "@" + h.sw.Realm
			if how == "blind" {
				agent.do("transfer 1 " + whom)
				second.wait("CALL_INCOMING")
				second.do("accept", "")
			} else {
				agent.do("pause 1")
				agent.do("call " + whom)
				second.wait("CALL_INCOMING")
				second.do("accept", "")
				second.wait("CALL_ESTABLISHED")
				until(t, "linphone has two calls", func() bool { return strings.Count(agent.output(), "connected") > 1 }, agent.output)
				agent.do("transfer 1 --to-call 2")
			}
			h.hearsFor(caller, baresipTone)
			h.hearsFor(second, carrierTone)
			until(t, "the first agent is free", func() bool { return h.agents()["agent0001"].State == "ready" }, h.sw.Tail)
			caller.do("hangup", "")
			second.wait("CALL_CLOSED")
			row := h.wantOutcome("answered", "caller")
			if row.Agent != "agent0002" || row.TransferTo != "agent0002" {
				t.Errorf("call record: %+v", row)
			}
			h.wantBothAgents()
			if !strings.Contains(agent.log(), "message/sipfrag") {
				t.Error("the telephone was not told by NOTIFY")
			}
		})
	}
}
