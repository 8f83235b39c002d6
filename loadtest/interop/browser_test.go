package interop

import (
	"strings"
	"testing"

	"foyer/loadtest"
)

// talkingByBrowser is a caller who talks with the first agent's page.
func (h *house) talkingByBrowser() (caller *baresip, agent *browser) {
	h.t.Helper()
	agent = h.registerBrowser(0, "wss")
	caller = h.callFromBaresip("")
	agent.takes()
	h.heardBothWays(caller, agent, "at first")
	return caller, agent
}

// takes answers the call that comes.
func (b *browser) takes() {
	b.t.Helper()
	if from := b.wait("ringing"); from != "+33612345678 for accueil" {
		b.t.Errorf("the page is rung by %q", from)
	}
	b.do("answer")
	b.wait("talking")
}

func (h *house) heardBothWays(caller *baresip, agent *browser, when string) {
	h.t.Helper()
	lastSecond(h.t, "the caller hears the browser "+when, caller, func(x []float64) bool { return share(x, browserTone) > 0.9 })
	lastSecond(h.t, "the browser hears the caller "+when, agent, func(x []float64) bool { return share(x, carrierTone) > 0.9 })
}

// An agent whose telephone is a page: the call comes by WSS, its media by DTLS-SRTP
// and ICE, and it does what it does on any telephone.
func TestBrowserTakesCalls(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Secure: true})
	caller, agent := h.talkingByBrowser()
	for range 2 {
		agent.do("hold")
		agent.wait("on hold")
		lastSecond(t, "the caller hears music instead of the browser", caller, func(x []float64) bool {
			return energy(x) > 100 && share(x, browserTone) < 0.1
		})
		agent.do("resume")
		agent.wait("resumed")
		h.heardBothWays(caller, agent, "after a hold")
	}
	agent.do("hangup")
	caller.wait("CALL_CLOSED")
	agent.wait("ended")
	h.wantChannels(carrierTone, browserTone)
	row := h.wantOutcome("answered", "agent")
	if row.SRTP != "agent" || !strings.HasPrefix(row.Quality.Agent.SRTP, "dtls ") || row.HoldS == 0 {
		t.Errorf("call record: %+v", row)
	}
	for line := range strings.Lines(h.wantNoKeys()) {
		if strings.Contains(line, "a=ice-pwd:") && !strings.Contains(line, "redacted") {
			t.Errorf("a password of ICE in the trace: %s", line)
		}
	}

	caller.do("dial", "sip:"+number+"@"+h.server("udp"))
	agent.takes()
	h.heardBothWays(caller, agent, "in the second call")
	caller.do("hangup", "")
	if how := agent.wait("ended"); !strings.HasPrefix(how, "remote") {
		t.Errorf("the second call ended: %s", how)
	}
	if row := h.cdrs(2)[0]; row.Outcome != "answered" || row.EndedBy != "caller" || row.SRTP != "agent" {
		t.Errorf("second call record: %+v", row)
	}
	h.wantNoFailures()

	agent.do("unregister")
	agent.wait("unregistered")
	until(t, "the page is gone as soon as it says so", func() bool { return !h.agents()["agent0001"].Reachable }, h.sw.Tail)
}

// A page that is closed, or loaded anew, in the middle of a talk is a line that is
// lost: the caller waits for the agent, and has them again as soon as the page is
// back.
func TestBrowserIsClosedInATalk(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Secure: true})
	caller, agent := h.talkingByBrowser()
	agent.kill()
	lastSecond(t, "the caller hears that the agent is gone", caller, func(x []float64) bool {
		return energy(x) > 100 && share(x, browserTone) < 0.1
	})
	agent = h.registerBrowser(0, "wss")
	agent.takes()
	h.heardBothWays(caller, agent, "again")
	agent.do("hangup")
	caller.wait("CALL_CLOSED")
	h.wantChannels(carrierTone, browserTone) // of the one recording
	h.wantOutcome("answered", "agent")
}

// The page's connection breaks in a talk and nothing else: they talk on, and when it
// is there again the call is the page's, to hold and to be hung up on.
func TestBrowserLosesItsConnectionInATalk(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Secure: true})
	caller, agent := h.talkingByBrowser()
	agent.do("cut")
	agent.wait("registered")
	h.heardBothWays(caller, agent, "by the new connection")
	agent.do("hold")
	agent.wait("on hold")
	agent.do("resume")
	agent.wait("resumed")
	h.heardBothWays(caller, agent, "after a hold by the new connection")
	caller.do("hangup", "")
	if how := agent.wait("ended"); !strings.HasPrefix(how, "remote") {
		t.Errorf("the call ended: %s", how)
	}
	h.wantOutcome("answered", "caller")
}

// The switch dies in a talk: media go on under the keys of the old handshake, and the
// page comes back by a new connection.
func TestBrowserTalkOutlivesTheSwitch(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Secure: true, Kept: true})
	caller, agent := h.talkingByBrowser()
	h.kill()
	agent.wait("registered")
	h.heardBothWays(caller, agent, "from the next switch")
	agent.do("hold")
	agent.wait("on hold")
	agent.do("resume")
	agent.wait("resumed")
	h.heardBothWays(caller, agent, "after a hold")
	caller.do("hangup", "")
	if how := agent.wait("ended"); !strings.HasPrefix(how, "remote") {
		t.Errorf("the call ended: %s", how)
	}
	h.wantOutcome("answered", "caller")
}

// Keys pressed in the page reach the caller, by INFO as JsSIP sends them of itself
// and as events of the browser's own; then the page gives the caller away.
func TestBrowserPressesKeysAndTransfers(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Secure: true})
	caller, agent := h.talkingByBrowser()
	for _, by := range []string{"INFO", "RFC2833"} {
		agent.do("press", "keys", "5", "by", by)
		caller.wait("CALL_DTMF_START")
		caller.wait("CALL_DTMF_END")
	}
	second := startBaresip(t, h.agent(1, "udp", baresipTone))
	agent.do("transfer", "to", "sip:"+h.sw.Crew()[1].User+"@"+h.sw.Realm)
	second.wait("CALL_INCOMING")
	second.do("accept", "")
	agent.wait("transferred")
	agent.wait("ended")
	h.hearsFor(caller, baresipTone)
	h.hearsFor(second, carrierTone)
	caller.do("hangup", "")
	second.wait("CALL_CLOSED")
	if row := h.wantOutcome("answered", "caller"); row.Agent != "agent0002" || row.TransferTo != "agent0002" {
		t.Errorf("call record: %+v", row)
	}
}

// A page declines, and the next agent has the call.
func TestBrowserDeclines(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Secure: true})
	agent := h.registerBrowser(0, "wss")
	p := h.agent(1, "tls", baresipTone)
	p.auto = true
	second := startBaresip(t, p)
	caller := h.callFromBaresip("")
	agent.wait("ringing")
	agent.do("decline")
	h.hearsFor(caller, baresipTone)
	caller.do("hangup", "")
	second.wait("CALL_CLOSED")
	if row := h.wantOutcome("answered", "caller"); row.Agent != "agent0002" {
		t.Errorf("call record: %+v", row)
	}
}

// A page calls: the echo test gives back what it says. By WS too, as behind a proxy
// that ends TLS.
func TestBrowserTestsItsLine(t *testing.T) {
	for _, scheme := range []string{"wss", "ws"} {
		t.Run(scheme, func(t *testing.T) {
			h := newHouse(t, loadtest.Setup{Secure: true})
			agent := h.registerBrowser(0, scheme)
			agent.do("call", "to", "sip:*9@"+h.sw.Realm)
			agent.wait("talking")
			hears(t, "the browser", agent.heard, browserTone, agent.output)
			agent.do("press", "keys", "1", "by", "RFC2833") // enough
			h.logged("echo test", `"agent":"agent0001"`, `"line":`)
			agent.wait("ended")
		})
	}
}
