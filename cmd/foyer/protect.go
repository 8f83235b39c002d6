package main

import (
	"foyer/cmd/foyer/config"
	"foyer/rtp"
	"foyer/sip"
)

// How the media of each kind of peer is protected: a browser, a telephone, a
// carrier. See docs/media.md.

// protection is what the configuration says of one kind of peer.
type protection struct {
	policy      config.Protect
	browser     bool
	ice         bool
	fingerprint string
}

func (ex *exchange) protection(policy config.Protect, browser bool) protection {
	return protection{policy: policy, browser: browser, ice: ex.plan.Load().cfg.Media.ICE.Lite, fingerprint: ex.media.Fingerprint()}
}

// ofTrunk is how a carrier's calls are protected, ofPhone those of an agent's phone.
// What came by a WebSocket is a browser, whoever wrote it.
func (ex *exchange) ofTrunk() protection {
	return ex.protection(ex.plan.Load().cfg.Media.SRTP.Trunks, false)
}

func (ex *exchange) ofPhone(transport string) protection {
	srtp := ex.plan.Load().cfg.Media.SRTP
	if transport == "ws" || transport == "wss" {
		return ex.protection(srtp.WebRTC, true)
	}
	return ex.protection(srtp.Phones, false)
}

// answers is how a peer's offer is answered.
func (p protection) answers() rtp.Protection {
	r := rtp.Protection{Offer: rtp.Plain, Fingerprint: p.fingerprint, ICE: p.ice}
	switch {
	case p.browser:
		r.Offer, r.Answer = rtp.DTLS, rtp.Among(rtp.DTLS)
	case p.policy == config.Require:
		r.Offer, r.Answer = rtp.SDES, rtp.Among(rtp.SDES, rtp.DTLS)
	case p.policy == config.Prefer:
		r.Answer = rtp.Among(rtp.Plain, rtp.SDES, rtp.DTLS)
	default:
		r.ICE = false
	}
	return r
}

// offers are what a peer is offered, one after the other as long as it says 488: a
// telephone often takes one kind alone, and nobody knows which before. Where the
// signalling is secret the protected kinds come first, for keys in the SDP are then
// worth something; where it is not, the kind that every telephone takes.
func (p protection) offers(transport string) []rtp.Protection {
	order := []rtp.Guard{rtp.Plain}
	switch {
	case p.browser:
		order = []rtp.Guard{rtp.DTLS}
	case p.policy == config.Require:
		order = []rtp.Guard{rtp.SDES, rtp.DTLS}
	case p.policy == config.Prefer && transport == "tls":
		order = []rtp.Guard{rtp.SDES, rtp.DTLS, rtp.Plain}
	case p.policy == config.Prefer:
		order = []rtp.Guard{rtp.Plain, rtp.SDES, rtp.DTLS}
	}
	list := make([]rtp.Protection, len(order))
	for i, guard := range order {
		list[i] = p.answers()
		list[i].Offer = guard
		list[i].ICE = p.browser && p.ice
	}
	return list
}

// unacceptable says that a refusal is about the media that were offered.
func unacceptable(r sip.Refused) bool { return r.Code == 488 || r.Code == 606 }

// guardOf says how a leg was protected, for call records; "" if it was not.
func guardOf(r rtp.Report) string {
	if r.Guard == rtp.Plain {
		return ""
	}
	return r.Guard.String() + " " + r.Suite.String()
}
