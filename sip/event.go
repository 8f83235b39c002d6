package sip

import "time"

// LegEvent is what a peer did.
type LegEvent interface{ legEvent() }

type (
	// Progress is a 18x on a client leg.
	Progress struct {
		Code int
		SDP  []byte
	}
	// Answered is the 200 on a client leg. The ACK has been sent.
	Answered struct{ SDP []byte }
	// Refused ends a client leg that was never answered: a final response, or
	// none at all. Unreachable says that the transport failed or that nothing
	// came back; Code is 408 or 503 then.
	Refused struct {
		Code        int
		Reason      string
		Unreachable bool
		RetryAfter  time.Duration // 0: none was said
		Moved       []string      // with 3xx of a trunk: the numbers it names at addresses of its own
		To          Referral      // with 3xx: where the phone would have us call instead
	}
	// Acked is the ACK for our 200 on a server leg, or the one that brings the
	// answer to an offer of ours on either; SDP is that answer.
	Acked struct{ SDP []byte }
	// Cancelled ends a server leg before its answer; 200 to the CANCEL and 487
	// have been sent. It also tells that the caller's connection is gone.
	Cancelled struct {
		Reason Reason
		Broken bool // no CANCEL: a fault of ours, and we have sent 500
	}
	// Reoffered is a re-INVITE or UPDATE from the peer: reply with Accept or
	// Decline. SDP nil: the peer wants our offer, its answer then comes as Acked.
	Reoffered struct {
		SDP    []byte
		Method string
		Token  uint64
	}
	// Reanswered is what became of our Reoffer; Code 200 carries SDP. It also
	// comes by itself when the answer to a session refresh of ours is another
	// than before.
	Reanswered struct {
		Code    int
		SDP     []byte
		Refresh bool // of a session refresh, not of a Reoffer
	}
	// Referred is a REFER: reply with AcceptReferral or DeclineReferral.
	Referred struct {
		To    Referral
		Token uint64
	}
	// Moved says that a phone is reached by another flow than before, which Remote
	// and Transport tell: its router or its line has changed.
	Moved struct{}
	// Info is a DTMF digit by INFO (application/dtmf-relay or dtmf); 200 has
	// been sent. Length is how long the key was pressed, 0 if that was not said.
	Info struct {
		Digit  byte
		Length time.Duration
	}
	// Ended ends an answered leg that we did not hang up.
	Ended struct {
		Why    EndKind
		Reason Reason
	}
)

// Elsewhere reports whether another trunk may do better: this one could not be
// reached, said nothing or has trouble of its own. What a 4xx or 6xx says is
// true of the number, whoever is asked.
func (r Refused) Elsewhere() bool { return r.Unreachable || r.Code/100 == 5 }

// EndKind is why an answered leg ended without our wish.
type EndKind uint8

const (
	Bye            EndKind = iota // the peer hung up
	SessionExpired                // no refresh: we have sent BYE (RFC 4028 section 10)
	NoAck                         // no ACK to our 200 in 32 s: we have sent BYE (RFC 3261 section 13.3.1.4)
	FlowLost                      // an in-dialog request found no dialog or no answer (481, 408), or the edge closed
	Broken                        // a fault of ours: we have sent BYE
)

func (Progress) legEvent()   {}
func (Answered) legEvent()   {}
func (Refused) legEvent()    {}
func (Acked) legEvent()      {}
func (Cancelled) legEvent()  {}
func (Reoffered) legEvent()  {}
func (Reanswered) legEvent() {}
func (Referred) legEvent()   {}
func (Moved) legEvent()      {}
func (Info) legEvent()       {}
func (Ended) legEvent()      {}

// Reject is a refusal.
type Reject struct {
	Code       int           // final response, 300 to 699
	Reason     string        // reason phrase; "" for the standard one; never an internal detail
	RetryAfter time.Duration // with 503, 480
	Err        error         // for the log
}

// Caller is who a leg is presented as coming from.
type Caller struct {
	User    string // number or name, the user part of the asserted (PAI from a trunk) or else From URI
	Display string
	Private bool // Privacy: id or user, or an anonymous From: never shown to an agent
}
