package interop

import (
	"regexp"
	"strings"
	"testing"

	"foyer/loadtest"
)

// Two telephones that both have a wideband codec change to it once they talk. A hold
// in between is music in G.711, which they play without being asked: what comes under
// its payload type is taken for what it is. Their receivers are dead after each
// change (aubridge), so they are asked what they decode, and how many packets came.
func TestBaresipTalksInWideband(t *testing.T) {
	for _, c := range []struct{ name, codec, cdr, media string }{
		{"g722", "G722/16000/1", "G722", ""},
		{"opus", "opus/48000/2", "opus", ""},
		{"opus", "opus/48000/2", "opus", "srtp-mand"}, // of the agent's phone
	} {
		t.Run(c.name+c.media, func(t *testing.T) {
			h := openHouse(t, loadtest.Setup{Wideband: c.name})
			p := h.agent(0, "udp", baresipTone)
			p.auto, p.media, p.codecs = true, c.media, c.codec+",PCMA/8000/1"
			agent := startBaresip(t, p)
			caller := h.callFromBaresip(c.codec + ",PCMA/8000/1")
			for _, b := range []*baresip{caller, agent} {
				b.decodes(c.cdr)
				b.talksOn()
			}
			agent.do("hold", "")
			caller.decodes("PCMA")
			agent.do("resume", "")
			caller.decodes(c.cdr)
			caller.talksOn()
			caller.do("hangup", "")
			agent.wait("CALL_CLOSED")
			for _, b := range []*baresip{caller, agent} {
				if sent, got := b.packets(); sent < 100 || got < sent*9/10 {
					t.Errorf("a telephone sent %d packets and got %d", sent, got)
				}
			}
			row := h.wantOutcome("answered", "caller")
			if row.Codec != c.cdr || row.Quality.Agent.Codec != c.cdr || row.Quality.Caller.Lost+row.Quality.Agent.Lost > 0 || row.HoldS == 0 || (row.SRTP == "") != (c.media == "") {
				t.Errorf("call record: %+v", row)
			}
		})
	}
}

// decodes waits until a codec is what a baresip decodes.
func (b *baresip) decodes(codec string) {
	b.t.Helper()
	until(b.t, "baresip decodes "+codec, func() bool {
		out := b.output()
		at := strings.LastIndex(out, "Set audio decoder: ")
		return at >= 0 && strings.HasPrefix(out[at:], "Set audio decoder: "+codec+" ")
	}, b.output)
}

// talksOn waits until a baresip has told ten times more, in a second, that packets
// come and go.
func (b *baresip) talksOn() {
	b.t.Helper()
	both := regexp.MustCompile(`audio=[1-9]\d*/[1-9]\d* `)
	before := len(both.FindAllString(b.output(), -1))
	until(b.t, "baresip talks on", func() bool { return len(both.FindAllString(b.output(), -1)) >= before+10 }, b.output)
}

// Linphone has Opus by itself, and no G.722 unless it is switched on: with the one it
// hears the caller in 48 kHz, with the other both stay in G.711.
func TestLinphoneTalksInWideband(t *testing.T) {
	for _, c := range []struct {
		name, codec, cdr string
		rate             float64 // of what it hears
	}{
		{"opus", "opus/48000/2", "opus", 48000},
		{"g722", "G722/16000/1", "PCMA", 8000},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := openHouse(t, loadtest.Setup{Wideband: c.name})
			agent := startLinphone(t, h.agent(0, "udp", linphoneTone))
			caller := h.callFromBaresip(c.codec + ",PCMA/8000/1")
			agent.answer()
			caller.decodes(c.cdr)
			caller.talksOn()
			caller.do("hangup", "") // linphone writes what it heard when the call ends
			hears(t, "agent", agent.heard, carrierTone*rate/c.rate, agent.output)
			if sent, got := caller.packets(); sent < 100 || got < sent*9/10 {
				t.Errorf("the caller's telephone sent %d packets and got %d", sent, got)
			}
			row := h.wantOutcome("answered", "caller")
			if row.Codec != c.cdr || row.Quality.Agent.Codec != c.cdr || row.Quality.Caller.Lost+row.Quality.Agent.Lost > 0 {
				t.Errorf("call record: %+v", row)
			}
		})
	}
}

// A browser has Opus always. Its page need not know that it is asked for it.
func TestBrowserTalksInOpus(t *testing.T) {
	h := openHouse(t, loadtest.Setup{Secure: true, Wideband: "opus"})
	agent := h.registerBrowser(0, "wss")
	caller := h.callFromBaresip("opus/48000/2,PCMA/8000/1")
	agent.takes()
	hearsCaller := func(when string) {
		t.Helper()
		lastSecond(t, "the browser hears the caller "+when, agent, func(x []float64) bool { return share(x, carrierTone) > 0.9 })
	}
	caller.decodes("opus")
	hearsCaller("in Opus")
	agent.do("hold")
	agent.wait("on hold")
	caller.decodes("PCMA")
	agent.do("resume")
	agent.wait("resumed")
	caller.decodes("opus")
	hearsCaller("after a hold")
	agent.do("hangup")
	caller.wait("CALL_CLOSED")
	agent.wait("ended")
	if sent, got := caller.packets(); sent < 100 || got < sent*9/10 {
		t.Errorf("the caller's telephone sent %d packets and got %d", sent, got)
	}
	if row := h.wantOutcome("answered", "agent"); row.Codec != "opus" || row.Quality.Agent.Codec != "opus" || row.SRTP != "agent" {
		t.Errorf("call record: %+v", row)
	}
	h.wantNoFailures()
}
