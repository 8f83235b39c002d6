package main

import (
	"strings"
	"testing"

	"foyer/acd"
	"foyer/cmd/foyer/config"
	"foyer/ledger"
	"foyer/rtp"
)

func TestOffersByKindOfPeer(t *testing.T) {
	for _, c := range []struct {
		policy    config.Protect
		browser   bool
		transport string
		offers    string // one after the other
		answers   string
	}{
		{config.Off, false, "udp", "plain", "plain"},
		{config.None, false, "tls", "plain", "plain"},
		{config.Prefer, false, "udp", "plain sdes dtls", "plain sdes dtls"},
		{config.Prefer, false, "tcp", "plain sdes dtls", "plain sdes dtls"},
		{config.Prefer, false, "tls", "sdes dtls plain", "plain sdes dtls"},
		{config.Require, false, "udp", "sdes dtls", "sdes dtls"},
		{config.Require, false, "tls", "sdes dtls", "sdes dtls"},
		{config.Require, true, "wss", "dtls", "dtls"},
		{config.Require, true, "ws", "dtls", "dtls"},
	} {
		p := protection{policy: c.policy, browser: c.browser, ice: true, fingerprint: "sha-256 AA"}
		var offers []string
		for _, o := range p.offers(c.transport) {
			offers = append(offers, o.Offer.String())
			if o.Answer != p.answers().Answer {
				t.Errorf("%s %s: what is taken changes with what is offered", c.policy, c.transport)
			}
			if o.ICE != c.browser {
				t.Errorf("%s %s: offers ICE %v", c.policy, c.transport, o.ICE)
			}
		}
		var answers []string
		for _, g := range []rtp.Guard{rtp.Plain, rtp.SDES, rtp.DTLS} {
			a := p.answers()
			if a.Answer == rtp.Among(g) || a.Answer&rtp.Among(g) != 0 || a.Answer == 0 && a.Offer == g {
				answers = append(answers, g.String())
			}
		}
		if got := strings.Join(offers, " "); got != c.offers {
			t.Errorf("%s %s: offers %s, want %s", c.policy, c.transport, got, c.offers)
		}
		if got := strings.Join(answers, " "); got != c.answers {
			t.Errorf("%s %s: takes %s, want %s", c.policy, c.transport, got, c.answers)
		}
	}
}

// A phone that takes none of what it is offered gets each kind once, and never one
// that the policy forbids; then the offer has failed and the caller waits on.
func TestAPhoneIsOfferedOneKindAfterAnother(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string][]string{
		"off":     {"RTP/AVP"},
		"prefer":  {"RTP/AVP", "RTP/SAVP", "UDP/TLS/RTP/SAVP"},
		"require": {"RTP/SAVP", "UDP/TLS/RTP/SAVP"},
	} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, with("observability:", "media: {srtp: {phones: "+policy+"}}\nobservability:"))
			ana := s.agent("ana", anaTone)
			caller := s.caller(carrierHost, callerTone)
			out := caller.call("+33170000001")
			caller.expect(out, "200 INVITE")
			for _, profile := range want {
				in := ana.rings()
				if sdp := in.RemoteSDP(); !strings.Contains(sdp, " "+profile+" ") {
					t.Fatalf("offered, where %s was due:\n%s", profile, sdp)
				}
				in.Reject(488)
			}
			s.until("ana is no longer offered the call", func() bool {
				state := s.agentState("ana")
				return state != acd.Offered && state != acd.Reserved
			})
			caller.voice.talkTo(t, out.RemoteSDP())
			caller.hearsMusic()
			out.Bye()
			s.wantEnd(ledger.ShortAbandoned, acd.Caller, acd.CauseAbandoned)
		})
	}
}

// One phone wants keys, the other does not know them: the same call rings both.
func TestPhonesOfOneAgentAreOfferedWhatEachTakes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first, second := s.agent("ana", anaTone), s.agent("ana", boTone)
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	a, b := first.rings(), second.rings()
	a.Reject(488)
	again := first.rings()
	if sdp := again.RemoteSDP(); !strings.Contains(sdp, "RTP/SAVP") || strings.Count(sdp, "a=crypto:") != 4 {
		t.Errorf("offered again:\n%s", sdp)
	}
	second.picksUp(b)
	first.expect(again, "CANCEL")
	caller.voice.talkTo(t, out.RemoteSDP())
	caller.hears(boTone)
	second.hears(callerTone)
	out.Bye()
	if row := s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup); row.SRTP != "" {
		t.Errorf("a call in the clear is said to be protected: %s", row.SRTP)
	}
}
