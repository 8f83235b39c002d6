package interop

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"foyer/loadtest"
)

// Telephones that protect their media, each in its own way and under each policy
// that lets it: heard both ways, recorded in the clear, and the keys in no trace.
func TestPhonesWithProtectedMedia(t *testing.T) {
	for _, c := range []struct {
		name, policy string
		linphone     bool
		media, nat   string
		how          string // in the call record; its beginning
	}{
		{"baresip SDES preferred", "prefer", false, "srtp-mand", "", "sdes "},
		{"baresip SDES required", "require", false, "srtp-mand", "", "sdes "},
		{"baresip that may encrypt required", "require", false, "srtp", "", "sdes "},
		{"baresip DTLS required", "require", false, "dtls_srtp", "", "dtls "},
		{"linphone SDES preferred", "prefer", true, "srtp", "", "sdes "},
		{"linphone SDES required", "require", true, "srtp", "", "sdes "},
		{"linphone DTLS required", "require", true, "dtls", "", "dtls "},
		{"baresip in the clear preferred", "prefer", false, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, loadtest.Setup{ExtraYAML: "media: {srtp: {phones: " + c.policy + "}}\n"})
			p := h.agent(0, "udp", baresipTone)
			p.media, p.nat, p.auto = c.media, c.nat, true
			var heard func() []float64
			var output func() string
			var caller *baresip
			if c.linphone {
				p.tone = linphoneTone
				agent := startLinphone(t, p)
				caller = h.callFromBaresip("")
				agent.answer()
				heard, output = agent.heard, agent.output
			} else {
				agent := startBaresip(t, p)
				caller = h.callFromBaresip("")
				heard, output = agent.heard, agent.output
			}
			for range 2 {
				lastSecond(t, "the caller hears the agent", caller, func(x []float64) bool { return share(x, p.tone) > 0.9 })
			}
			caller.do("hangup", "") // linphone writes what it heard when the call ends
			hears(t, "agent", heard, carrierTone, output)
			h.wantChannels(carrierTone, p.tone)
			row := h.wantOutcome("answered", "caller")
			if how := row.Quality.Agent.SRTP; !strings.HasPrefix(how, c.how) || (how == "") != (c.how == "") || row.Quality.Caller.SRTP != "" {
				t.Errorf("the agent's media were protected by %q, the caller's by %q", how, row.Quality.Caller.SRTP)
			}
			t.Logf("%-40s %s", c.name, row.Quality.Agent.SRTP)
			h.wantNoKeys()
		})
	}
}

// A carrier with protected media, where trunks may or must.
func TestCarriersWithProtectedMedia(t *testing.T) {
	for _, c := range []struct {
		name, policy    string
		media, nat, how string
	}{
		{"SDES preferred", "prefer", "srtp-mand", "", "sdes "},
		{"may encrypt preferred", "prefer", "srtp", "", "sdes "},
		{"DTLS required", "require", "dtls_srtp", "", "dtls "},
		{"DTLS and ICE required", "require", "dtls_srtp", "ice", "dtls "},
		{"SDES and ICE required", "require", "srtp-mand", "ice", "sdes "},
		{"in the clear preferred", "prefer", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, loadtest.Setup{ExtraYAML: "media: {srtp: {trunks: " + c.policy + ", phones: require}}\n"})
			p := h.agent(0, "udp", baresipTone)
			p.media, p.auto = "srtp-mand", true
			agent := startBaresip(t, p)
			from := h.carrier()
			from.media, from.nat = c.media, c.nat
			caller := h.callFrom(from)
			lastSecond(t, "the caller hears the agent", caller, func(x []float64) bool { return share(x, baresipTone) > 0.9 })
			lastSecond(t, "the agent hears the caller", agent, func(x []float64) bool { return share(x, carrierTone) > 0.9 })
			caller.do("hangup", "")
			agent.wait("CALL_CLOSED")
			h.wantChannels(carrierTone, baresipTone)
			row := h.wantOutcome("answered", "caller")
			if how := row.Quality.Caller.SRTP; !strings.HasPrefix(how, c.how) || (how == "") != (c.how == "") || row.SRTP == "" {
				t.Errorf("the caller's media were protected by %q, of the call %q", how, row.SRTP)
			}
			t.Logf("%-40s %s", c.name, row.Quality.Caller.SRTP)
			if trace := h.wantNoKeys(); strings.Contains(trace, "a=ice-lite") != (c.nat != "") {
				t.Errorf("ICE was not answered, or not asked for:\n%s", trace)
			}
			h.wantNoFailures()
		})
	}
}

// What may not be is refused: a carrier that must encrypt where trunks may not, and
// one that does not where they must.
func TestPolicyRefuses(t *testing.T) {
	for _, c := range []struct{ policy, media string }{{"off", "srtp-mand"}, {"require", ""}} {
		t.Run(c.policy, func(t *testing.T) {
			h := newHouse(t, loadtest.Setup{ExtraYAML: "media: {srtp: {trunks: " + c.policy + "}}\n"})
			from := h.carrier()
			from.media = c.media
			caller := h.callFrom(from)
			caller.wait("CALL_CLOSED")
			if row := h.wantOutcome("failed", "switch"); row.SIPCode != 488 {
				t.Errorf("call record: code %d", row.SIPCode)
			}
		})
	}
}

// wantNoKeys looks for keys in everything that was written down.
func (h *house) wantNoKeys() (trace string) {
	h.t.Helper()
	out, err := h.sw.Command(h.ctx, "trace", h.cdrs(1)[0].ID, "--messages")
	if err != nil {
		h.t.Fatalf("trace: %v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("INVITE")) || bytes.Contains(out, []byte("inline:")) {
		h.t.Errorf("the trace of the call:\n%s", out)
	}
	raw, err := os.ReadFile(filepath.Join(h.sw.Dir, "foyer.log"))
	if err != nil || bytes.Contains(raw, []byte("inline:")) {
		h.t.Errorf("keys in the log, or no log: %v", err)
	}
	return string(out)
}

// wantNoFailures wants no ICE check refused, and every peer found.
func (h *house) wantNoFailures() {
	h.t.Helper()
	readings, err := h.sw.Readings(h.ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	if n, told := readings["foyer_ice_failures_total"]; n != 0 || !told {
		h.t.Errorf("foyer_ice_failures_total is %v, told %v", n, told)
	}
}

// Hold and resume are re-INVITEs: the keys, or the handshake, stay in force.
func TestHoldWithProtectedMedia(t *testing.T) {
	for _, media := range []string{"srtp-mand", "dtls_srtp"} {
		t.Run(media, func(t *testing.T) {
			h := newHouse(t, loadtest.Setup{ExtraYAML: "media: {srtp: {phones: require}}\n"})
			p := h.agent(0, "udp", baresipTone)
			p.media, p.auto = media, true
			agent := startBaresip(t, p)
			caller := h.callFromBaresip("")
			hears(t, "caller", caller.heard, baresipTone, caller.output)
			for range 2 {
				agent.do("hold", "")
				lastSecond(t, "the caller hears music instead of the agent", caller, func(second []float64) bool {
					return energy(second) > 100 && share(second, baresipTone) < 0.1
				})
				agent.do("resume", "")
				lastSecond(t, "the caller hears the agent again", caller, func(second []float64) bool { return share(second, baresipTone) > 0.9 })
			}
			agent.do("hangup", "")
			caller.wait("CALL_CLOSED")
			// As in TestBaresipHoldsTheCaller: what it got, it could decrypt.
			if sent, got := agent.packets(); sent < 100 || got < sent*9/10 {
				t.Errorf("the agent's telephone sent %d packets and got %d", sent, got)
			}
			if row := h.wantOutcome("answered", "agent"); row.SRTP != "agent" || row.HoldS == 0 {
				t.Errorf("call record: %+v", row)
			}
		})
	}
}
