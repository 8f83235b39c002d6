package acd

import "time"

// CallID identifies one customer call across both of its legs, its recording,
// its journal records and its CDR.
type CallID string

// AgentID, QueueID and ClientID are the stable ids of the configuration.
type (
	AgentID  string
	QueueID  string
	ClientID string
)

// OfferID numbers the offers of one call, from 1: the second agent rung for a
// call is its offer 2. Together with the CallID it names one ringing for ever,
// so a late event about an old offer is recognised as late.
type OfferID uint32

// Party is who caused something: who ended a call, who moved an agent.
type Party uint8

const (
	Nobody     Party = iota
	Caller           // the person who rang in, or the carrier speaking for them
	Agent            // the agent, by telephone or console
	Supervisor       // a human with authority over the agent
	Switch           // Foyer itself, by rule or deadline
	Carrier          // the trunk: its line, its timers
)

// Cause says why a call, an offer or a leg ended. Its zero value is "unknown".
type Cause uint8

const (
	CauseUnknown       Cause = iota
	CauseHangup              // somebody hung up a call that was talking
	CauseAbandoned           // the caller left before an agent answered
	CauseNoAgents            // the queue was empty of agents and its rule refuses
	CauseClosed              // the queue was closed
	CauseMaxWait             // the queue's longest wait was reached
	CauseNumberUnknown       // no DID matches the called number
	CauseTrunkFull           // the trunk's channel limit
	CausePortsFull           // no media port was free
	CauseDraining            // the switch is shutting down and takes no new calls
	CauseMediaTimeout        // a talking leg was silent on the wire too long
	CauseSessionTimer        // no session refresh came in time (RFC 4028)
	CauseNoAck               // our 200 was never acknowledged
	CauseBadOffer            // the SDP could not be understood or shares no codec
	CauseRestart             // the switch died with the call up; found at the next start
	CausePanic               // a broken invariant of ours, confined to this call
	CauseAdmin               // an operator or supervisor ended it
	CauseDeclined            // an offer: the agent said no (603, 480, …)
	CauseBusy                // an offer: the phone was busy (486, 600)
	CauseNoAnswer            // an offer: rang out
	CauseUnreachable         // an offer: the phone could not be reached
	CauseElsewhere           // an offer: another phone or agent took it
	CauseFailed              // an offer or call: any other final answer
	CauseFull                // the queue's waiting line was full
	CauseNoneReady           // nobody of the queue was ready
	CauseCallback            // the caller will be called back
	CauseLinkLost            // the agent's phone or line was lost in the middle of the talk
	CauseLost                // the switch no longer had the call: found by the floor's own watch
	CauseTransferred         // the agent, or a supervisor for them, has given the caller to somebody else
	CauseUnrecordable        // the call must be recorded and could not be
)

// Kind says what happened.
type Kind uint8

const (
	_ Kind = iota
	// Started begins a life of the switch: the floor is empty, Config holds what it serves.
	Started
	// Reconfigured replaces Config without a call or an agent noticing more than they must.
	Reconfigured
	// Arrived: an INVITE for a queue got past 100. Facts says who and whence. With
	// CauseClosed it came outside the queue's hours, and goes where its Closed door leads.
	Arrived
	// Rejected: an INVITE got past 100 but no queue takes it; Cause says why. Facts as for Arrived.
	Rejected
	// Gone: the call is over, in whatever phase it was; By and Cause say who and why.
	Gone
	// Closed: the call's last word, after its media and signalling are gone; Facts holds what was measured.
	Closed
	// Reachable and Unreachable: the switch's own judgement of an agent's phones.
	Reachable
	Unreachable
	// Login, Logout, MakeReady, Pause: an agent's intent, or a supervisor's for them (By). Reason goes with Pause.
	// During a call they say what comes after it; MakeReady also ends a wrap-up.
	Login
	Logout
	MakeReady
	Pause
	// Alerting, Answered, Failed: what became of an offer (Call, Agent, Offer; Cause with Failed).
	Alerting
	Answered
	Failed
	// Bridged: both parties hear each other.
	Bridged
	// Held and Resumed: a party (By) put the other on hold during the talk.
	Held
	Resumed
	// WrapUpDone: the agent has finished the work after the call. Reason is the code they
	// gave it, and Facts has their note.
	WrapUpDone
	// Tick: nothing happened, but time passed Deadline.
	Tick
	// LinkLost: the phone or line of an agent has gone in the middle of a talk
	// (Call, Agent, Offer). LinkBack: it is there again, with the same talk.
	LinkLost
	LinkBack
	// Extend: the agent asks for more time to wrap up.
	Extend
	// Release: an order to free an agent from whatever they are in.
	Release
	// CallbackAsked: the customer wants to be called back and not wait on the line.
	// Call is the new contact's, Origin the waiting call whose place it takes, if
	// there is one; Number is whom to call, Since when they began to wait or, if it is
	// yet to come, before when they must not be called.
	CallbackAsked
	// CallerBack: the customer of a callback is on the line. CallerMissed: they are not; Cause.
	// Offer is that of the Dial.
	CallerBack
	CallerMissed
	// CallbacksOpen and CallbacksShut: customers of Queue may be called back from now on, or not.
	CallbacksOpen
	CallbacksShut
	// Consult: the agent of a talk (Call, Agent, Offer) asks somebody else while the
	// caller holds: the agent To, the first who is free in Queue, or Number outside.
	// ConsultOver: they have stopped.
	Consult
	ConsultOver
	// Transfer: the caller of a talk is given to the agent To, to Queue, or to Number
	// outside, which has answered. By the switch: the agent has hung up meanwhile.
	Transfer
	// Continued: the switch died, and goes on with the calls it had (Floor.Pending). Calls
	// that did not outlive it are Gone after it.
	Continued
)

// Event is one thing that happened to a call or an agent. It is a value: it goes
// through the ring without an allocation, and into the journal before it is
// acted on. Only the fields a Kind names are set.
type Event struct {
	Kind     Kind      `json:"k"`
	Call     CallID    `json:"c,omitempty"`
	Agent    AgentID   `json:"a,omitempty"` // with Arrived: whom the caller would rather have
	Queue    QueueID   `json:"q,omitempty"`
	Offer    OfferID   `json:"o,omitempty"`
	By       Party     `json:"by,omitempty"`
	Cause    Cause     `json:"why,omitempty"`
	Reason   string    `json:"r,omitempty"`    // a pause reason, a wrap-up code, a SIP reason phrase
	Code     int       `json:"sc,omitempty"`   // the SIP status code behind it, if one
	Priority int       `json:"p,omitempty"`    // with Arrived: seconds of head start, besides the queue's own
	Number   string    `json:"nr,omitempty"`   // of a callback, a consultation or a transfer, E.164
	To       AgentID   `json:"to,omitempty"`   // of a consultation or a transfer: the agent who is asked
	Origin   CallID    `json:"oc,omitempty"`   // of a callback: the call it was asked in
	Since    time.Time `json:"since,omitzero"` // with Arrived and CallbackAsked: the moment the place counts from, if earlier; of a callback also the moment of an appointment
	Facts    *Facts    `json:"f,omitempty"`
	Config   *Config   `json:"cfg,omitempty"`
}

// Facts is what the CDR wants to know of a call and the floor does not.
type Facts struct {
	// With Arrived and Rejected.
	Client    ClientID `json:"client,omitempty"`
	DID       string   `json:"did,omitempty"`  // the number called, E.164
	From      string   `json:"from,omitempty"` // the caller's number, E.164 where it could be normalised; "anonymous" when withheld
	To        string   `json:"to,omitempty"`   // the user part of the Request-URI as received
	Trunk     string   `json:"trunk,omitempty"`
	Transport string   `json:"transport,omitempty"` // udp, tcp
	SIPCallID string   `json:"sip_call_id,omitempty"`
	// With WrapUpDone.
	Note string `json:"note,omitempty"` // what the agent wrote about the call
	// With Closed.
	Code       int      `json:"code,omitempty"` // final SIP status on the caller's leg; 200 when answered
	Q850       int      `json:"q850,omitempty"`
	Codec      string   `json:"codec,omitempty"` // of the caller's leg: PCMA, PCMU, G722, opus
	Recording  string   `json:"rec,omitempty"`
	RecordedMS int64    `json:"rec_ms,omitempty"`
	CallerLeg  *Quality `json:"cq,omitempty"`
	AgentLeg   *Quality `json:"aq,omitempty"` // of the leg that talked
}

// Quality is what a media leg measured, of the stream received from that party.
type Quality struct {
	Codec           string  `json:"codec,omitempty"`
	Packets         uint64  `json:"packets"`
	Lost            uint64  `json:"lost"`
	LossRatio       float64 `json:"loss"`      // lost / expected, 0 to 1
	JitterMS        float64 `json:"jitter_ms"` // RFC 3550 interarrival jitter, p95 over the call
	RTTMS           float64 `json:"rtt_ms,omitempty"`
	MOS             float64 `json:"mos"`                   // E-model, 1 to 4.5
	RemoteLossRatio float64 `json:"remote_loss,omitempty"` // what the peer reported of our stream (RTCP RR)
	SRTP            string  `json:"srtp,omitempty"`        // how the keys were agreed, and the cipher: "sdes AES_CM_128_HMAC_SHA1_80"
}
