package interop

import (
	"testing"
	"time"

	"foyer/loadtest"
)

func TestSippCallsBaresip(t *testing.T) {
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			h := newHouse(t, loadtest.Setup{Secure: transport == "tls"})
			agent := startBaresip(t, h.agent(0, transport, baresipTone))
			sipp := h.startSipp(carrier{scenario: "talk", pause: 3 * time.Second})
			agent.wait("CALL_INCOMING")
			agent.do("accept", "")
			agent.wait("CALL_ESTABLISHED")
			hears(t, "baresip", agent.heard, carrierTone, agent.output)
			sipp.succeeded()
			agent.wait("CALL_CLOSED")
			h.wantChannels(carrierTone, baresipTone)
			h.wantOutcome("answered", "caller")
		})
	}
}

func TestSippCallsLinphone(t *testing.T) {
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			h := newHouse(t, loadtest.Setup{Secure: transport == "tls"})
			agent := startLinphone(t, h.agent(0, transport, linphoneTone))
			sipp := h.startSipp(carrier{scenario: "talk", pause: 3 * time.Second})
			agent.answer()
			sipp.succeeded()
			hears(t, "linphone", agent.heard, carrierTone, agent.output)
			h.wantChannels(carrierTone, linphoneTone)
			h.wantOutcome("answered", "caller")
		})
	}
}

// A carrier that comes by IPv6 reaches an agent who is at IPv4.
func TestSippCallsByIPv6(t *testing.T) {
	for _, transport := range []string{"udp6", "tcp6"} {
		t.Run(transport, func(t *testing.T) {
			h := newHouse(t, loadtest.Setup{IPv6: true})
			agent := startBaresip(t, h.agent(0, "udp", baresipTone))
			sipp := h.startSipp(carrier{scenario: "talk", pause: 3 * time.Second, from: "::1", transport: transport})
			agent.wait("CALL_INCOMING")
			agent.do("accept", "")
			hears(t, "baresip", agent.heard, carrierTone, agent.output)
			sipp.succeeded()
			agent.wait("CALL_CLOSED")
			h.wantChannels(carrierTone, baresipTone)
			h.wantOutcome("answered", "caller")
		})
	}
}

func TestBaresipCallsLinphone(t *testing.T) {
	h := newHouse(t, loadtest.Setup{})
	agent := startLinphone(t, h.agent(0, "udp", linphoneTone))
	caller := h.callFromBaresip("")
	caller.wait("CALL_ESTABLISHED") // with the queue
	agent.answer()
	hears(t, "baresip", caller.heard, linphoneTone, caller.output)
	lastSecond(t, "baresip still hears linphone", caller, func(x []float64) bool { return share(x, linphoneTone) > 0.9 })
	agent.do("terminate")
	caller.wait("CALL_CLOSED")
	hears(t, "linphone", agent.heard, carrierTone, agent.output)
	h.wantChannels(carrierTone, linphoneTone)
	h.wantOutcome("answered", "agent")
}

func TestLinphoneRegistersWithSHA256(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Digest: "sha-256"})
	agent := startLinphone(t, h.agent(0, "udp", linphoneTone))
	until(t, "linphone answers a SHA-256 challenge", func() bool {
		return contains(agent.log(), "Authorization:", "algorithm=SHA-256")
	}, agent.output)
	sipp := h.startSipp(carrier{scenario: "talk", pause: 3 * time.Second})
	agent.answer()
	sipp.succeeded()
	hears(t, "linphone", agent.heard, carrierTone, agent.output)
	h.wantOutcome("answered", "caller")
}

// Each side has a codec the other has not: the switch translates.
func TestBaresipsWithoutACommonCodec(t *testing.T) {
	h := newHouse(t, loadtest.Setup{})
	p := h.agent(0, "udp", baresipTone)
	p.codecs, p.auto = "PCMU/8000/1", true
	agent := startBaresip(t, p)
	caller := h.callFromBaresip("PCMA/8000/1")
	lastSecond(t, "caller hears agent", caller, func(x []float64) bool { return share(x, baresipTone) > 0.9 })
	lastSecond(t, "agent hears caller", agent, func(x []float64) bool { return share(x, carrierTone) > 0.9 })
	caller.do("hangup", "")
	agent.wait("CALL_CLOSED")
	h.wantChannels(carrierTone, baresipTone)
	h.wantOutcome("answered", "caller")
}

func TestManyShortCallsOverTwoAgents(t *testing.T) {
	h := newHouse(t, loadtest.Setup{})
	for n, transport := range []string{"udp", "tcp"} {
		p := h.agent(n, transport, baresipTone)
		p.auto = true
		startBaresip(t, p)
	}
	h.startSipp(carrier{scenario: "talk", calls: 20, atOnce: 2, pause: 800 * time.Millisecond}).succeeded()
	by := map[string]int{}
	for _, row := range h.cdrs(20) {
		by[row.Agent]++
		if row.Outcome != "answered" || row.RecordingID == "" {
			t.Errorf("call record: %+v", row)
		}
	}
	if len(by) != 2 || by["agent0001"] < 5 || by["agent0002"] < 5 {
		t.Errorf("calls by agent: %v", by)
	}
}
