package console

import (
	"time"
)

// LiveCall is a customer call that is up now.
type LiveCall struct {
	ID        string     `json:"id" doc:"The call's id: also of its trace, its recording's call_id and its contact row"`
	Client    string     `json:"client"`
	DID       string     `json:"did,omitempty" doc:"The number called, E.164"`
	From      string     `json:"from" doc:"The caller's number as E.164 where it could be normalised, or anonymous"`
	Queue     string     `json:"queue"`
	Trunk     string     `json:"trunk,omitempty"`
	State     string     `json:"state" enum:"waiting,ringing,talking,held,later,diverted,voicemail,ending" doc:"later: a callback between two attempts; diverted: put through to a number outside"`
	Position  int        `json:"position,omitempty" doc:"Place in the queue, 1 is next; absent when not waiting"`
	Agent     string     `json:"agent,omitempty" doc:"The agent rung or talking"`
	Ringing   []string   `json:"ringing,omitempty" doc:"Every agent rung for it, when several are"`
	Callback  bool       `json:"callback,omitempty" doc:"The customer asked for it, and from is whom we call"`
	Started   time.Time  `json:"started" doc:"When the call arrived"`
	Answered  *time.Time `json:"answered,omitempty" doc:"When the agent answered"`
	Since     time.Time  `json:"since" doc:"When the call entered its state"`
	Recording string     `json:"recording_id,omitempty" doc:"Set while the call is being recorded"`
}

// AgentView is an agent and what they are doing.
type AgentView struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	State      string         `json:"state" enum:"off,registered,not_ready,ready,reserved,offered,talking,held,consulting,wrap_up" doc:"registered: a phone, but not logged in; reserved: chosen for a call, not rung yet"`
	Reason     string         `json:"reason,omitempty" doc:"Why not ready"`
	Next       string         `json:"next" enum:"registered,not_ready,ready" doc:"What the agent will be when nothing is left in hand and a phone is reachable"`
	NextReason string         `json:"next_reason,omitempty" doc:"Why not ready then"`
	Since      time.Time      `json:"since" doc:"When the agent entered the state"`
	Reachable  bool           `json:"reachable" doc:"Whether the switch's own probes find a phone of theirs"`
	Call       string         `json:"call,omitempty"`
	InHand     []string       `json:"in_hand" doc:"Every contact: rung for, talking or wrapping up"`
	Until      *time.Time     `json:"until,omitempty" doc:"When the ringing or the wrap-up ends; a wrap-up that only the agent can end is overdue then"`
	Wrap       string         `json:"wrap,omitempty" enum:"fixed,extendable,manual,coded" doc:"In a wrap-up: how it ends"`
	Extensions int            `json:"extensions,omitempty" doc:"In a wrap-up: how often it can still be extended"`
	Overdue    bool           `json:"overdue,omitempty" doc:"Paused or wrapping up for longer than is allowed"`
	LinkLost   *time.Time     `json:"link_lost,omitempty" doc:"The line of the agent is gone in the middle of a talk, since then"`
	Handled    int            `json:"handled" doc:"Contacts since login"`
	Dumped     int            `json:"dumped,omitempty" doc:"Answered and dropped before both talked, since login"`
	Missed     int            `json:"missed,omitempty" doc:"Offers missed in a row"`
	Skills     map[string]int `json:"skills,omitempty" doc:"Skill to level, 1 to 5"`
	Queues     []string       `json:"queues"`
	Clients    []string       `json:"clients" doc:"Clients whose queues the agent serves; what a token's client filter looks at"`
	Phones     []Phone        `json:"phones,omitempty"`
}

// AgentState is what came of an order about an agent.
type AgentState struct {
	State      string     `json:"state"`
	Reason     string     `json:"reason,omitempty" doc:"Why not ready"`
	Since      time.Time  `json:"since"`
	Next       string     `json:"next" doc:"Differs from state where the order holds only after what the agent is in, or once a phone is reachable"`
	NextReason string     `json:"next_reason,omitempty"`
	Until      *time.Time `json:"until,omitempty" doc:"When the ringing or the wrap-up ends"`
	Extensions int        `json:"extensions,omitempty" doc:"How often the wrap-up can still be extended"`
}

// Phone is one registered telephone of an agent.
type Phone struct {
	Address   string     `json:"address" doc:"Where packets for it really go, host:port"`
	Transport string     `json:"transport"`
	UserAgent string     `json:"user_agent,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"`
	RTTMS     float64    `json:"rtt_ms,omitempty" doc:"Round trip of the last probe, milliseconds"`
}

// QueueView is a waiting line. The counters run since the switch started.
type QueueView struct {
	ID             string   `json:"id"`
	Client         string   `json:"client"`
	Label          string   `json:"label,omitempty"`
	Open           bool     `json:"open"`
	Strategy       string   `json:"strategy" example:"longest_idle" doc:"In which order its agents are rung"`
	Waiting        int      `json:"waiting"`
	OldestWaitS    float64  `json:"oldest_wait_s" doc:"Seconds the longest-waiting caller has waited"`
	Ready          int      `json:"ready" doc:"Agents of the queue who could take a call now"`
	LoggedIn       int      `json:"logged_in"`
	Offered        uint64   `json:"offered"`
	Answered       uint64   `json:"answered"`
	AnsweredWithin uint64   `json:"answered_within" doc:"Answered within the service-level target"`
	Abandoned      uint64   `json:"abandoned"`
	ShortAbandoned uint64   `json:"short_abandoned"`
	Overflowed     uint64   `json:"overflowed"`
	WithinS        float64  `json:"within_s,omitempty" doc:"The service-level target time, seconds"`
	ServiceLevel   *float64 `json:"service_level,omitempty" doc:"Ratio 0 to 1 since the start, by the queue's formula; absent while there is nothing to count"`
	Formula        string   `json:"formula,omitempty" doc:"Which abandoned calls the service level counts"`
	HandleS        *float64 `json:"handle_s,omitempty" doc:"Mean time of an agent for a contact since the start, wrap-up included; absent before the first"`

	Expected  ExpectedWait  `json:"expected_wait"`
	Callbacks CallbackCount `json:"callbacks"`
}

// ExpectedWait is what a caller who comes now must expect. Half of them wait at
// most P50, nine in ten at most P90.
type ExpectedWait struct {
	Known bool    `json:"known" doc:"Nothing is known where nobody serves the queue"`
	P50S  float64 `json:"p50_s"`
	P90S  float64 `json:"p90_s"`
	Error float64 `json:"calibration_error" doc:"How far the share of callers served inside the band they were told strays from what it should be, 0 to 1"`
	Told  int64   `json:"told" doc:"Callers the error is of: of few it says little"`
}

// CallbackCount is the promises to call back of a queue.
type CallbackCount struct {
	Taken   bool   `json:"taken" doc:"Whether the queue promises any"`
	Open    bool   `json:"open" doc:"Whether its customers may be called now"`
	Waiting int    `json:"waiting" doc:"Whose turn comes among those who wait"`
	Calling int    `json:"calling" doc:"Being called, or an agent being rung for them"`
	Later   int    `json:"later" doc:"Not to be called yet: out of hours, or tried a while ago"`
	Asked   uint64 `json:"asked" doc:"Calls that became a promise"`
}

// WaitingCall is a call of a queue that no agent has answered.
type WaitingCall struct {
	ID       string    `json:"id"`
	Position int       `json:"position,omitempty" doc:"1 is next; absent while agents are rung for it"`
	From     string    `json:"from" doc:"The caller, or the customer to call back"`
	Arrived  time.Time `json:"arrived" doc:"In its first queue"`
	WaitedS  float64   `json:"waited_s" doc:"Since arrival"`
	Callback bool      `json:"callback,omitempty"`
	Wanted   string    `json:"wanted,omitempty" doc:"The one agent it waits for"`
	Ringing  []string  `json:"ringing,omitempty" doc:"Agents rung for it"`
	Relaxed  int       `json:"relaxed,omitempty" doc:"Steps by which less is asked of an agent"`
}

// CallbackView is a promise to call back that is not kept yet.
type CallbackView struct {
	ID       string     `json:"id" doc:"Also of the call it becomes and its contact row"`
	Queue    string     `json:"queue"`
	Client   string     `json:"client"`
	Number   string     `json:"number" doc:"E.164"`
	State    string     `json:"state" enum:"waiting,calling,later"`
	Position int        `json:"position,omitempty" doc:"Among those who wait in the queue; 1 is next"`
	Since    time.Time  `json:"since" doc:"The moment its place counts from"`
	Attempts int        `json:"attempts,omitempty" doc:"Made so far"`
	Due      *time.Time `json:"due,omitempty" doc:"Not to be called before"`
	Agent    string     `json:"agent,omitempty" doc:"Rung for it, or kept for it"`
}

// TraceLine is one SIP message of a call. Secrets are redacted before it gets here.
type TraceLine struct {
	At        time.Time `json:"at"`
	Leg       string    `json:"leg" enum:"caller,agent" doc:"Which leg the message belongs to"`
	Agent     string    `json:"agent,omitempty" doc:"Whose phone, on an agent's leg"`
	Direction string    `json:"direction" enum:"in,out" doc:"As the switch sees it"`
	Transport string    `json:"transport"`
	Local     string    `json:"local,omitempty" doc:"host:port of the switch"`
	Remote    string    `json:"remote" doc:"host:port of the other side"`
	Summary   string    `json:"summary" doc:"What a ladder writes on the arrow: INVITE, 180 Ringing, BYE"`
	CSeq      string    `json:"cseq,omitempty"`
	SIPCallID string    `json:"sip_call_id,omitempty"`
	Message   string    `json:"message,omitempty" doc:"The whole message"`
}

// Explanation says why a call was offered to whom.
type Explanation struct {
	Call   string             `json:"call"`
	Lang   string             `json:"lang"`
	Text   string             `json:"text" doc:"In sentences"`
	Offers []OfferExplanation `json:"offers"`
}

// OfferExplanation is one match of the call with an agent and what became of it.
type OfferExplanation struct {
	Offer      uint32      `json:"offer" doc:"1 for the first agent rung"`
	At         time.Time   `json:"at"`
	Queue      string      `json:"queue"`
	Agent      string      `json:"agent"`
	WaitedS    float64     `json:"waited_s"`
	Position   int         `json:"position"`
	Result     string      `json:"result,omitempty"`
	Cause      string      `json:"cause,omitempty"`
	Text       string      `json:"text,omitempty" doc:"This offer in a sentence"`
	Candidates []Candidate `json:"candidates" doc:"In order of preference, the excluded last"`
}

// Candidate is one agent who was considered.
type Candidate struct {
	Agent  string  `json:"agent"`
	IdleS  float64 `json:"idle_s,omitempty"`
	Level  int     `json:"level,omitempty"`
	Tier   int     `json:"tier,omitempty" doc:"Where it is not 1"`
	Step   int     `json:"step,omitempty" doc:"Of relaxation, from which on the agent qualifies"`
	Rank   int64   `json:"rank,omitempty" doc:"What the strategy orders by, where it is neither idle time nor level: contacts handled, nanoseconds talked, the turn, the place in the list"`
	Failed string  `json:"failed,omitempty" doc:"The first filter that excluded the agent; absent when eligible"`
}

// AgentQuestion asks what an agent did between two moments.
type AgentQuestion struct {
	Agent    string
	From, To time.Time
	Lang     string
}

// AgentExplanation says what an agent did, and why calls did not come to them.
type AgentExplanation struct {
	Agent     string    `json:"agent"`
	Lang      string    `json:"lang"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Text      string    `json:"text" doc:"In sentences"`
	Stretches []Stretch `json:"stretches" doc:"One after the other, without a gap"`
}

// LineReport is what is wrong with the line of an agent's home, the gravest first.
type LineReport struct {
	Agent    string        `json:"agent"`
	Lang     string        `json:"lang"`
	At       time.Time     `json:"at"`
	Healthy  bool          `json:"healthy" doc:"Nothing needs to be done"`
	Summary  string        `json:"summary" doc:"The phone, and when it answered last, in a sentence"`
	Findings []LineFinding `json:"findings"`
	Line     LineFacts     `json:"line" doc:"What the findings are made of"`
}

// LineFinding is one thing that is the matter with a line.
type LineFinding struct {
	ID       string `json:"id" example:"alg" doc:"The same in every language"`
	Severity string `json:"severity" enum:"error,warning,info" doc:"error: no talks, or one-way ones; warning: talks suffer"`
	Says     string `json:"says" doc:"What is the matter, in a sentence"`
	Advice   string `json:"advice" doc:"What to do"`
}

// LineFacts is what is known of a line. Counts are of the last 24 hours, and of this
// life of the switch.
type LineFacts struct {
	Phones     []Phone    `json:"phones" doc:"Registered now"`
	LastAnswer *time.Time `json:"last_answer,omitempty" doc:"Of a phone to a probe"`
	AnswerMS   float64    `json:"answer_ms,omitempty" doc:"How long that took"`
	SurvivedS  float64    `json:"survived_s,omitempty" doc:"The longest silence after which the phone was still reachable"`
	ForgottenS float64    `json:"forgotten_s,omitempty" doc:"The shortest after which its router had forgotten it"`
	Lost       int        `json:"lost" doc:"Times the phone did not answer, or its connection broke"`
	Forgotten  int        `json:"forgotten" doc:"Times it came back by another port of its router"`
	Roamed     int        `json:"roamed" doc:"Times it came back from another address"`
	Refused    int        `json:"refused" doc:"Registrations refused in a row"`
	Signs      []string   `json:"signs" doc:"What shows that something rewrites SIP"`
	Calls      int        `json:"calls" doc:"Talks that were looked at"`
	Codec      string     `json:"codec,omitempty" doc:"Of the last"`
}

// Stretch is a time in which an agent did one thing.
type Stretch struct {
	From   time.Time  `json:"from"`
	To     time.Time  `json:"to"`
	State  string     `json:"state" enum:"away,unreachable,not_ready,ready,offered,in_call,wrap_up"`
	Reason string     `json:"reason,omitempty" doc:"Why not ready"`
	By     string     `json:"by,omitempty" doc:"Who brought it about"`
	Call   string     `json:"call,omitempty"`
	Queue  string     `json:"queue,omitempty"`
	Result string     `json:"result,omitempty" doc:"Of an offer"`
	Given  []WentPast `json:"given,omitempty" doc:"Calls that others were offered while this agent was ready"`
	Waited []WentPast `json:"waited,omitempty" doc:"Calls that waited meanwhile and could not have this agent"`
	Text   string     `json:"text"`
}

// WentPast counts calls that did not come to an agent, by why.
type WentPast struct {
	Agent string `json:"agent,omitempty" doc:"Who was offered them"`
	Why   string `json:"why"`
	Calls int    `json:"calls"`
}

// Recording is one recording as listed.
type Recording struct {
	ID         string    `json:"id"`
	CallID     string    `json:"call_id"`
	Client     string    `json:"client"`
	Queue      string    `json:"queue"`
	Agent      string    `json:"agent"`
	Started    time.Time `json:"started"`
	DurationS  float64   `json:"duration_s"`
	State      string    `json:"state" enum:"recording,complete,interrupted,erased"`
	Policy     string    `json:"policy,omitempty"`
	Purpose    string    `json:"purpose,omitempty"`
	LegalBasis string    `json:"legal_basis,omitempty"`
	From       string    `json:"from,omitempty"`
	To         string    `json:"to,omitempty"`
	Encrypted  bool      `json:"encrypted"`
	Bytes      int64     `json:"bytes"`
	LostMS     int64     `json:"lost_ms" doc:"Audio that should be there and is not, milliseconds"`
	Held       *Word     `json:"held,omitempty" doc:"The legal hold it is under: nobody and no rule erases it"`
	Erased     *Word     `json:"erased,omitempty" doc:"Of a recording that is gone"`
}

// Word is what somebody has ordered of a recording.
type Word struct {
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// RecordingQuery selects recordings, newest first.
type RecordingQuery struct {
	From, To                   time.Time // of the start; zero: unbounded
	Call, Client, Agent, Queue string    // empty: any
	Clients                    []string  // the token's client filter; nil: every client. Applied with Client, not instead of it
	Limit                      int       // always set, 1 to 1000
}

// ReportQuery says what a report is of.
type ReportQuery struct {
	Name                 string    // sla, queues, agents or intervals
	From, To             time.Time // zero From: the beginning of today; zero To: unbounded
	Bucket               string    // 15m, 30m or day
	Client, Queue, Agent string    // empty: any
	Formula              string    // of service levels; empty: each queue's own
	Clients              []string  // the token's client filter; nil: every client. Applied with Client, not instead of it
}

// ContactQuery selects contact rows (CDRs), newest first.
type ContactQuery struct {
	From, To                           time.Time // of the start; zero: unbounded
	Client, Queue, Agent, DID, Calling string    // empty: any
	Outcome                            string
	Clients                            []string // the token's client filter; nil: every client. Applied with Client, not instead of it
	Limit                              int      // 1 to 1000 when listing, 0 (no limit) when exporting
	After                              string   // the cursor a List gave as next
	Lang                               string   // of an export: fr means a CSV that a French Excel opens
}

// TrunkView is a carrier's line.
type TrunkView struct {
	ID           string       `json:"id"`
	State        string       `json:"state" enum:"up,down,unwatched" doc:"unwatched: neither registered nor pinged, so that nothing is known of it"`
	Why          string       `json:"why,omitempty" doc:"Why it is down"`
	Since        *time.Time   `json:"since,omitempty" doc:"When it last went up or down"`
	Mode         string       `json:"mode" enum:"ip,register"`
	Host         string       `json:"host,omitempty" doc:"Where calls to numbers go; absent if the trunk only brings calls"`
	Transport    string       `json:"transport"`
	Calls        int          `json:"calls" doc:"Up now, both ways"`
	MaxCalls     int          `json:"max_calls"`
	Registration *TrunkEnrol  `json:"registration,omitempty" doc:"Absent while the trunk is not registered"`
	Options      *TrunkAnswer `json:"options,omitempty" doc:"The last OPTIONS; absent if none was sent"`
	Addresses    []string     `json:"addresses,omitempty" doc:"Of its host, in the order they are tried; absent before they were looked up"`
}

// TrunkEnrol is a registration of ours at a carrier.
type TrunkEnrol struct {
	Registrar string    `json:"registrar" doc:"Address and port that took it"`
	Until     time.Time `json:"until"`
	Path      []string  `json:"path,omitempty" doc:"By which proxies the carrier reaches us (RFC 3327)"`
}

// TrunkAnswer is what a carrier last answered OPTIONS with.
type TrunkAnswer struct {
	Code   int     `json:"code" doc:"0: there was no answer"`
	RTTMS  float64 `json:"rtt_ms" doc:"Of the last good answer"`
	Missed int     `json:"missed" doc:"In a row"`
}
