package interop

import (
	"testing"
	"time"

	"foyer/loadtest"
)

func TestSippCancels(t *testing.T) {
	h := newHouse(t, loadtest.Setup{EarlyMedia: true})
	agent := startBaresip(t, h.agent(0, "udp", baresipTone))
	sipp := h.startSipp(carrier{scenario: "cancel", pause: time.Second})
	agent.wait("CALL_INCOMING")
	sipp.succeeded()
	agent.wait("CALL_CLOSED")
	h.wantOutcome("short_abandon", "caller")
	if a := h.agents()["agent0001"]; a.State != "ready" {
		t.Errorf("the agent is %s after a call that was given up", a.State)
	}
}

func TestSippGivesUpWaiting(t *testing.T) {
	h := newHouse(t, loadtest.Setup{})
	agent := startBaresip(t, h.agent(0, "tcp", baresipTone))
	sipp := h.startSipp(carrier{scenario: "talk", pause: time.Second})
	agent.wait("CALL_INCOMING")
	sipp.succeeded()
	agent.wait("CALL_CLOSED")
	h.wantOutcome("short_abandon", "caller")
}

func TestSippIsRefused(t *testing.T) {
	h := newHouse(t, loadtest.Setup{MaxCalls: 1})
	h.startSipp(carrier{scenario: "refused", number: "+33199999999", code: 404}).succeeded()
	if row := h.wantOutcome("rejected", "switch"); row.SIPCode != 404 {
		t.Errorf("call record: code %d", row.SIPCode)
	}
	agent := startBaresip(t, h.agent(0, "udp", baresipTone))
	up := h.startSipp(carrier{scenario: "talk", pause: 3 * time.Second})
	agent.wait("CALL_INCOMING")
	h.startSipp(carrier{scenario: "refused", code: 503}).succeeded()
	h.logged("carrier", "all 1 channels in use")
	up.succeeded()
	// The edge turns the surplus away before it becomes a call with a record.
	h.cdrs(2)
}

func TestSippOffersLate(t *testing.T) {
	h := newHouse(t, loadtest.Setup{})
	agent := startBaresip(t, h.agent(0, "udp", baresipTone))
	sipp := h.startSipp(carrier{scenario: "delayed", pause: 3 * time.Second})
	agent.wait("CALL_INCOMING")
	agent.do("accept", "")
	hears(t, "baresip", agent.heard, carrierTone, agent.output)
	sipp.succeeded()
	h.wantChannels(carrierTone, baresipTone)
	h.wantOutcome("answered", "caller")
}
