package ledger

import "foyer/acd"

// CDR is one customer call, from the INVITE that got past 100 to the last word
// said about it. Its JSON is the contract of `foyer cdr export` and of the API's
// contact rows.
//
// The times of a call add up to the millisecond. Until an agent is connected the
// caller is queued, ringing included; from then on the caller talks or is on hold,
// or is put through elsewhere. So duration = queued + talk + hold + diverted for
// every call that came to a queue, and those segments lie end to end from Started to
// Ended. A callback begins when it was asked for: until its customer and an agent
// talk it is queued. Offers are segments too, laid over the queue
// segment they happened in; ring is the winning offer's and is part of queued.
// Wrap-up is the agent's time after the call and part of no sum.
type CDR struct {
	ID        string `json:"id"` // the call's id
	Client    string `json:"client"`
	DID       string `json:"did"` // the number called, E.164
	Direction string `json:"direction"`
	From      string `json:"from"` // the caller, E.164 where known, or "anonymous"
	To        string `json:"to"`   // the user part of the Request-URI as received
	Queue     string `json:"queue,omitempty"`
	Trunk     string `json:"trunk,omitempty"`

	Started  Instant `json:"started"`            // the call arrived
	Answered Instant `json:"answered,omitempty"` // an agent was first connected
	Ended    Instant `json:"ended"`

	QueuedFor   Millis `json:"queued_s"` // not connected to an agent, ringing included
	RungFor     Millis `json:"ring_s"`   // the winning offer: from the decision to ring the agent to the answer
	TalkedFor   Millis `json:"talk_s"`   // connected and not on hold
	HeldFor     Millis `json:"hold_s"`
	DivertedFor Millis `json:"diverted_s"` // with a number outside or a voicemail box
	WrappedUpIn Millis `json:"wrapup_s"`
	Duration    Millis `json:"duration_s"` // Ended - Started

	WrapUpCode string `json:"wrapup_code,omitempty"` // what came of the call: the last agent's word
	WrapUpNote string `json:"wrapup_note,omitempty"` // and what they wrote about it
	DivertedTo string `json:"diverted_to,omitempty"` // the number, or "voicemail"
	Callback   string `json:"callback,omitempty"`    // of a call whose caller is to be called back: the CDR of that
	Origin     string `json:"origin,omitempty"`      // of a callback: the CDR of the call it was asked in

	Agent  string   `json:"agent,omitempty"` // the last agent who talked
	Agents []string `json:"agents"`          // every agent who talked, in order

	Outcome         Outcome `json:"outcome"`
	EndedBy         string  `json:"ended_by"` // caller, agent, supervisor, switch, carrier
	Cause           string  `json:"cause"`    // a word of acd.Cause
	SIPCode         int     `json:"sip_code,omitempty"`
	Q850            int     `json:"q850,omitempty"`
	ServiceLevelMet bool    `json:"service_level_met"` // answered, and QueuedFor was within the answering queue's target

	SIPCallID   string        `json:"sip_call_id,omitempty"` // of the caller's leg
	RecordingID string        `json:"recording_id,omitempty"`
	RecordedFor Millis        `json:"recorded_s"`
	Codec       string        `json:"codec,omitempty"`
	Transport   string        `json:"transport,omitempty"`
	MOSMin      float64       `json:"mos_min,omitempty"`       // the worse leg's, 1 to 4.5; absent when nothing was measured
	LossRatio   float64       `json:"loss_ratio,omitempty"`    // the worse leg's, 0 to 1
	JitterMS    float64       `json:"jitter_ms_p95,omitempty"` // the worse leg's, milliseconds
	Quality     *QualityByLeg `json:"quality,omitempty"`
	Segments    []Segment     `json:"segments"`

	// Again says that the row was handed out before and a wrap-up has completed it.
	// It belongs to the hand-over, not to the record.
	Again bool `json:"-"`
}

// QualityByLeg is what each media leg measured of what it received.
type QualityByLeg struct {
	Caller *acd.Quality `json:"caller,omitempty"`
	Agent  *acd.Quality `json:"agent,omitempty"`
}

// Outcome is what became of a call, in one word.
type Outcome string

const (
	Answered       Outcome = "answered"      // an agent was connected
	Abandoned      Outcome = "abandoned"     // the caller left first
	ShortAbandoned Outcome = "short_abandon" // the caller left sooner than the queue counts as waiting
	Overflowed     Outcome = "overflow"      // the queue did not keep the call: its longest wait was reached, or it went on to a number
	LeftMessage    Outcome = "voicemail"     // the queue did not keep the call, and gave it to a voicemail box
	CalledBack     Outcome = "callback"      // became a promise to call back; or such a promise that could not be kept
	Refused        Outcome = "rejected"      // a rule turned the call away: unknown number, trunk full, closed, nobody there
	Broken         Outcome = "failed"        // something that should have worked did not
)

// Segment is one stretch of a call.
type Segment struct {
	Kind     SegmentKind `json:"kind"`
	Start    Instant     `json:"start"`
	End      Instant     `json:"end"`
	Duration Millis      `json:"duration_s"`
	Queue    string      `json:"queue,omitempty"`
	Agent    string      `json:"agent,omitempty"`
	Offer    uint32      `json:"offer,omitempty"`
	Alerted  Instant     `json:"alerted,omitempty"` // of an offer: the phone said it rings
	By       string      `json:"by,omitempty"`      // of a hold: who held
	Result   string      `json:"result,omitempty"`
	Cause    string      `json:"cause,omitempty"`
	SIPCode  int         `json:"sip_code,omitempty"` // of an offer that failed
	Code     string      `json:"code,omitempty"`     // of a wrap-up: what came of the call
}

// SegmentKind says what the stretch was.
type SegmentKind string

const (
	InQueue  SegmentKind = "queue" // result: answered, overflow, abandoned, refused, failed
	Offering SegmentKind = "offer" // result: answered, declined, busy, no_answer, unreachable, withdrawn, failed
	Talking  SegmentKind = "talk"
	OnHold   SegmentKind = "hold"
	Diverted SegmentKind = "diverted" // result: voicemail, or the number
	WrapUp   SegmentKind = "wrapup"
)
