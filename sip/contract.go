// Package sip: CONTRACT STUB. Signatures stay; the owners of the files replace the bodies.
package sip

import (
	"context"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"
)

// ---------------------------------------------------------------- edge.go (owner: dialogs)

// Options says what an Edge serves. Sockets are opened by the caller.
type Options struct {
	UserAgent string
	UDP       net.PacketConn // nil: not served
	TCP       net.Listener   // nil: not served
	Host      string         // what our Contact and Via carry when the socket listens on a wildcard address
	Trunks    []Trunk
	Registrar *Registrar // nil: no agents
	Log       *zap.Logger
	Trace     func(Traced) // every message in and out, redacted; may be nil; must not block
	Count     Counters     // may be nil
	Session   SessionPolicy
	Now       func() time.Time // nil: time.Now

	// Invite is called for every new call from a trunk, on a goroutine of its
	// own. The leg's transaction lives until it gets a final response; a leg
	// left without one when Invite returns is answered 500.
	Invite func(*Leg)
	// AgentInvite is the same for an INVITE an authenticated agent sends. nil: refused with 403.
	AgentInvite func(*Leg, string)
	// Draining refuses new calls (503, Retry-After) and answers OPTIONS 503 when true. nil: never.
	Draining func() bool
}

// Edge terminates SIP: transports, sanity, trunk and agent checks, legs.
type Edge struct{}

func NewEdge(o Options) (*Edge, error)          { panic("stub") }
func (e *Edge) Serve(ctx context.Context) error { panic("stub") } // returns when ctx ends and transports are closed
func (e *Edge) Close() error                    { panic("stub") }
func (e *Edge) Legs() int                       { panic("stub") } // legs not yet ended, for drain and leak checks
// SetTrunks replaces the trunks (configuration reload).
func (e *Edge) SetTrunks([]Trunk) { panic("stub") }

// Traced is one message on the wire, for a call's ladder.
type Traced struct {
	At        time.Time
	SIPCallID string
	Out       bool
	Transport string
	Local     string
	Remote    string
	Message   []byte // Authorization and Proxy-Authorization values replaced by "redacted"; own copy
}

// Counters receives what is counted on the wire; implemented by the metrics of cmd/foyer.
type Counters interface {
	Request(method, transport string, out bool)
	Response(method string, code int, out bool)
	ParseError(transport string)
	AuthFailure(reason string)
	Retransmission(method string)
}

// SessionPolicy is RFC 4028 in both roles.
type SessionPolicy struct {
	Expires time.Duration // what we ask and grant, 1800 s by default
	Min     time.Duration // Min-SE, 90 s
}

// ---------------------------------------------------------------- leg.go (owner: dialogs)

// Leg is one side of a call on the signalling wire: as server, a carrier that
// rang us; as client, a phone we ring. Its methods are called from the one
// goroutine that owns the call; they send and return, never waiting for the
// peer. What the peer does arrives, in CSeq order, at the leg's sink.
type Leg struct{}

func (l *Leg) SIPCallID() string      { panic("stub") }
func (l *Leg) Caller() Caller         { panic("stub") } // server legs: who calls
func (l *Leg) Called() string         { panic("stub") } // server legs: user part of the Request-URI, unescaped, parameters dropped
func (l *Leg) Trunk() string          { panic("stub") } // server legs: id of the trunk it came from
func (l *Leg) Transport() string      { panic("stub") } // udp, tcp
func (l *Leg) Remote() netip.AddrPort { panic("stub") } // where the peer's signalling really comes from
func (l *Leg) Local() netip.AddrPort  { panic("stub") } // our address on that flow (never a wildcard)
func (l *Leg) SDP() []byte            { panic("stub") } // server legs: the INVITE's body; nil when the offer is delayed
// Listen sets where the leg's events go; events that came before are delivered
// at once. The sink must not block.
func (l *Leg) Listen(sink func(LegEvent)) { panic("stub") }

// Wait blocks until the INVITE server transaction has its final response (for Options.Invite).
func (l *Leg) Wait() { panic("stub") }

// Server legs, before the final response.
func (l *Leg) Ring(code int, sdp []byte) error { panic("stub") } // 180, 183
func (l *Leg) Answer(sdp []byte) error         { panic("stub") } // 200, retransmitted until ACK; sdp is our answer, or our offer when the INVITE had none
func (l *Leg) Reject(r Reject)                 { panic("stub") }

// Hangup ends the leg as its phase demands: CANCEL (also before any 1xx came,
// and ACK+BYE when a 200 crosses it), a final response, or BYE. Idempotent.
func (l *Leg) Hangup(r Reason) { panic("stub") }

// Accept answers an offer made by re-INVITE or UPDATE with sdp.
func (l *Leg) Accept(o Reoffered, sdp []byte) { panic("stub") }

// Decline refuses it (488, …); the session stays as it was.
func (l *Leg) Decline(o Reoffered, r Reject) { panic("stub") }

// Reoffer sends a re-INVITE with sdp; glare (491) is retried inside. Outcome: Reanswered.
func (l *Leg) Reoffer(sdp []byte) error { panic("stub") }

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
	// Refused ends a client leg that was never answered: a final response, or none at all.
	Refused struct {
		Code        int
		Reason      string
		Unreachable bool
	} // Unreachable: transport failed or no response; Code 408 or 503 then
	// Acked is the ACK for our 200 on a server leg; SDP is the answer when our 200 carried the offer.
	Acked struct{ SDP []byte }
	// Cancelled ends a server leg before its answer; 200 to the CANCEL and 487 have been sent.
	Cancelled struct{ Reason Reason }
	// Reoffered is a re-INVITE or UPDATE from the peer: reply with Accept or Decline. SDP nil: the peer wants our offer,
	// its answer then comes as Acked.
	Reoffered struct {
		SDP    []byte
		Method string
		Token  uint64
	}
	// Reanswered is what became of our Reoffer; Code 200 carries SDP.
	Reanswered struct {
		Code int
		SDP  []byte
	}
	// Info is a DTMF digit by INFO (application/dtmf-relay or dtmf); 200 has been sent.
	Info struct{ Digit byte }
	// Ended ends an answered leg that we did not hang up.
	Ended struct {
		Why    EndKind
		Reason Reason
	}
)

type EndKind uint8

const (
	Bye            EndKind = iota // the peer hung up
	SessionExpired                // no refresh: we have sent BYE (RFC 4028 section 10)
	NoAck                         // no ACK to our 200 in 32 s: we have sent BYE (RFC 3261 section 13.3.1.4)
	FlowLost                      // the connection of the flow is gone for good / in-dialog request unanswered (408, 481)
)

func (Progress) legEvent()   {}
func (Answered) legEvent()   {}
func (Refused) legEvent()    {}
func (Acked) legEvent()      {}
func (Cancelled) legEvent()  {}
func (Reoffered) legEvent()  {}
func (Reanswered) legEvent() {}
func (Info) legEvent()       {}
func (Ended) legEvent()      {}

// Reject is a refusal.
type Reject struct {
	Code       int
	Reason     string        // reason phrase; "" for the standard one; never an internal detail
	RetryAfter time.Duration // with 503, 480
	Err        error         // for the log
}

// Reason is RFC 3326: the zero value sends no header.
type Reason struct {
	SIP  int // cause of protocol SIP, 0 if none
	Q850 int // cause of protocol Q.850, 0 if none
	Text string
}

// Caller is who a leg is presented as coming from.
type Caller struct {
	User    string // number or name, the user part of the asserted (PAI from a trunk) or else From URI
	Display string
	Private bool // Privacy: id or user, or an anonymous From: never shown to an agent
}

// ---------------------------------------------------------------- dial.go (owner: dialogs)

// Dial rings one contact of an agent. The returned leg is ringing (or failing:
// then Refused reaches the sink); it never blocks on the network.
func (e *Edge) Dial(d Dial, sink func(LegEvent)) (*Leg, error) { panic("stub") }

type Dial struct {
	To      Binding
	Caller  Caller // From, P-Asserted-Identity, Privacy (RFC 3323, 3325) are made of it
	SDP     []byte
	Headers []Header // extra headers
}
type Header struct{ Name, Value string }
