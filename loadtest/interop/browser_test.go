package interop

import (
	"strings"
	"testing"

	"foyer/loadtest"
)

// An agent whose telephone is a page: the call comes by WSS, its media by DTLS-SRTP
// and ICE, and it does what it does on any telephone.
func TestBrowserTakesCalls(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Secure: true})
	agent := h.registerBrowser(0, browserTone)
	caller := h.callFromBaresip("")
	if from := agent.wait("ringing"); !strings.HasSuffix(from, "33612345678") {
		t.Errorf("the page is called by %q", from)
	}
	agent.do("answer")
	agent.wait("talking")
	talk := func(when string) {
		t.Helper()
		lastSecond(t, "the caller hears the browser "+when, caller, func(x []float64) bool { return share(x, browserTone) > 0.9 })
		lastSecond(t, "the browser hears the caller "+when, agent, func(x []float64) bool { return share(x, carrierTone) > 0.9 })
	}
	talk("at first")
	for range 2 {
		agent.do("hold")
		agent.wait("on hold")
		lastSecond(t, "the caller hears music instead of the browser", caller, func(x []float64) bool {
			return energy(x) > 100 && share(x, browserTone) < 0.1
		})
		agent.do("resume")
		agent.wait("resumed")
		talk("after a hold")
	}
	agent.do("hangup")
	caller.wait("CALL_CLOSED")
	agent.wait("ended")
	h.wantChannels(carrierTone, browserTone)
	row := h.wantOutcome("answered", "agent")
	if row.SRTP != "agent" || !strings.HasPrefix(row.Quality.Agent.SRTP, "dtls ") || row.HoldS == 0 {
		t.Errorf("call record: %+v", row)
	}
	trace := h.wantNoKeys()
	for _, line := range strings.Split(trace, "\n") {
		if strings.Contains(line, "a=ice-pwd:") && !strings.Contains(line, "redacted") {
			t.Errorf("a password of ICE in the trace: %s", line)
		}
	}
	h.wantNoFailures()

	caller.do("dial", "sip:"+number+"@"+h.server("udp"))
	agent.wait("ringing")
	agent.do("answer")
	agent.wait("talking")
	talk("in the second call")
	caller.do("hangup", "")
	if how := agent.wait("ended"); !strings.HasPrefix(how, "remote") {
		t.Errorf("the second call ended: %s", how)
	}
	if row := h.cdrs(2)[0]; row.Outcome != "answered" || row.EndedBy != "caller" || row.SRTP != "agent" {
		t.Errorf("second call record: %+v", row)
	}
}
