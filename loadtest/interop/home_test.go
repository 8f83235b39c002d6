package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"foyer/loadtest"
)

// dials has a baresip call a feature code.
func (h *house) dials(b *baresip, code string) {
	h.t.Helper()
	b.do("dial", "sip:"+code+"@"+h.sw.Realm)
	b.wait("CALL_ESTABLISHED")
}

// A telephone calls the echo test: it hears its own tone, then what its line is
// worth, and is hung up on.
func TestBaresipTestsItsLine(t *testing.T) {
	h := newHouse(t, loadtest.Setup{})
	b := startBaresip(t, h.agent(0, "tcp", baresipTone))
	h.dials(b, "*9")
	hears(t, "baresip", b.heard, baresipTone, b.output)
	h.logged("echo test", `"agent":"agent0001"`, `"line":`)
	b.wait("CALL_CLOSED")
	out, err := h.sw.Command(h.ctx, "agent", "doctor", "agent0001", "--lang", "en")
	if err != nil || !strings.Contains(string(out), "The phone (baresip") {
		t.Errorf("agent doctor: %v\n%s", err, out)
	}
}

// An agent's day by a real telephone: out, in, paused, ready.
func TestBaresipDialsItsState(t *testing.T) {
	h := newHouse(t, loadtest.Setup{})
	b := startBaresip(t, h.agent(0, "udp", baresipTone))
	for _, step := range []struct{ code, state string }{
		{"*2", "registered"}, {"*1", "ready"}, {"*4", "not_ready"}, {"*3", "ready"},
	} {
		h.dials(b, step.code)
		until(t, "after "+step.code+" the agent is "+step.state, func() bool { return h.agents()["agent0001"].State == step.state }, h.sw.Tail)
		b.wait("CALL_CLOSED")
	}
}

// A Linphone that knows nothing but a link registers, and is rung.
func TestLinphoneIsProvisioned(t *testing.T) {
	h := newHouse(t, loadtest.Setup{})
	out, err := h.sw.Command(h.ctx, "agent", "provision", "agent0001", "-o", "json")
	link := between(string(out), `"url": "`, `"`)
	if err != nil || !strings.Contains(link, "/provision/linphone/") {
		t.Fatalf("agent provision: %v\n%s", err, out)
	}
	l := startEmptyLinphone(t, link, baresipTone)
	if rc, err := os.ReadFile(filepath.Join(l.dir, "linphonerc")); err == nil && strings.Contains(string(rc), link) {
		t.Error("linphone would fetch the link again at its next start")
	}
	until(t, "the agent is ready", func() bool { return h.agents()["agent0001"].State == "ready" }, h.sw.Tail)
	caller := h.callFromBaresip("")
	l.answer()
	hears(t, "caller", caller.heard, baresipTone, caller.output)
	caller.do("hangup", "")
	h.wantOutcome("answered", "caller")
}

// between is the text between two others.
func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, _ = strings.Cut(s, after)
	return s
}

// startEmptyLinphone starts a linphonec without an account, which fetches one.
func startEmptyLinphone(t *testing.T, link string, tone float64) *linphone {
	t.Helper()
	base := ports(t)
	text := fmt.Sprintf("[sip]\nsip_port=%d\nsip_tcp_port=-1\nsip_tls_port=-1\nregister_only_when_network_is_up=0\n[misc]\nconfig-uri=%s\n"+
		"[rtp]\naudio_rtp_port=%d\n[sound]\nechocancellation=0\n[video]\nenabled=0\n", base, link, base+10)
	return launchLinphone(t, text, tone)
}
