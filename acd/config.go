package acd

import "time"

// Config is what the floor must know of the configuration. It is journalled, so
// that a replay needs nothing else.
type Config struct {
	Queues  []Queue    `json:"queues"`
	Agents  []AgentCfg `json:"agents"`
	Reasons []Reason   `json:"reasons,omitempty"`
	// PauseEndsIdle makes a pause start the idle clock anew, so that nobody keeps
	// their place at the head of the agents by pausing. Else a pause changes nothing.
	PauseEndsIdle bool `json:"pause_ends_idle,omitempty"`
}

// Reason is a reason to be not ready.
type Reason struct {
	ID  string        `json:"id"`
	Max time.Duration `json:"max,omitempty"` // after it the pause is overdue; 0: never
}

// Medium is a kind of contact. A call is one kind; the floor distributes all of
// them by the same rules.
type Medium uint8

const (
	Voice Medium = iota
	Chat
	Mail

	media = 3
)

// beside says which contacts an agent may be given while handling others: over
// mail anything may be taken, over a chat another chat, over a call nothing.
var beside = [media][media]bool{
	Voice: {Mail: true},
	Chat:  {Chat: true, Mail: true},
	Mail:  {Mail: true},
}

// Queue is one waiting line.
type Queue struct {
	ID           QueueID        `json:"id"`
	Client       ClientID       `json:"client"`
	Medium       Medium         `json:"medium,omitempty"`
	Require      []string       `json:"require,omitempty"`   // skills an agent must have, level 1 or more
	MinLevel     map[string]int `json:"min_level,omitempty"` // of those skills
	MaxTier      int            `json:"max_tier,omitempty"`  // agents of a higher tier are not offered its calls; 0: all are
	Relax        []Relax        `json:"relax,omitempty"`     // in order of After
	Strategy     Strategy       `json:"strategy,omitempty"`
	AtOnce       int            `json:"at_once,omitempty"`  // RingAll: most agents rung at once, 0: all; RingProgressively: rung first, 0: one
	NextAfter    time.Duration  `json:"next,omitempty"`     // RingProgressively: one more agent each time
	Priority     int            `json:"priority,omitempty"` // seconds of head start against other queues
	RingTimeout  time.Duration  `json:"ring"`
	MaxOffers    int            `json:"max_offers"` // offers missed in a row before OnNoAnswer applies; at least 1
	OnNoAnswer   NoAnswer       `json:"on_no_answer"`
	WrapMode     WrapMode       `json:"wrap_mode,omitempty"`
	WrapUp       time.Duration  `json:"wrapup"`
	ExtendBy     time.Duration  `json:"extend_by,omitempty"`
	MaxExtend    int            `json:"max_extend,omitempty"` // extensions of one wrap-up
	Overflow     []Overflow     `json:"overflow,omitempty"`   // in order of After
	MaxWaiting   int            `json:"max_waiting,omitempty"`
	Full         Door           `json:"full,omitzero"`       // when MaxWaiting wait already
	NoneReady    Door           `json:"none_ready,omitzero"` // when nobody is ready as a call comes
	Empty        Door           `json:"empty,omitzero"`      // when nobody is logged in
	Closed       Door           `json:"closed,omitzero"`     // when a call comes that is said to be too late or too early
	Within       time.Duration  `json:"within,omitempty"`    // service-level target time
	ShortAbandon time.Duration  `json:"short,omitempty"`
	Prefer       time.Duration  `json:"prefer,omitempty"` // how long a call waits for the agent it names
	LastAgent    Sticky         `json:"last_agent,omitzero"`
	Return       time.Duration  `json:"return,omitempty"` // who left keeps their place that long
	Rejoin       time.Duration  `json:"rejoin,omitempty"` // time an agent whose link is lost has to come back
	Announce     Announcing     `json:"announce,omitzero"`
	Callback     Callback       `json:"callback,omitzero"`
}

// Relax loosens what a queue asks of an agent for a call that has waited After in it.
type Relax struct {
	After time.Duration `json:"after"`
	Skill string        `json:"skill,omitempty"`
	Level int           `json:"level,omitempty"`    // what is asked of Skill from now on; 0: nothing
	Tier  int           `json:"max_tier,omitempty"` // agents up to this tier from now on
	Widen QueueID       `json:"widen,omitempty"`    // the agents of this queue too, whatever they lack here
}

// Overflow is a step a call takes when it has waited After since it entered the queue.
type Overflow struct {
	After time.Duration `json:"after"`
	To    Target        `json:"to,omitzero"`              // zero: refuse the call (CauseMaxWait)
	Offer bool          `json:"offer_callback,omitempty"` // only ask the caller whether to call back
}

// Target is where a call goes that a queue does not keep. The zero Target is
// nowhere: the caller is told so and the call ends.
type Target struct {
	Queue     QueueID `json:"queue,omitempty"`
	Number    string  `json:"number,omitempty"`    // outside, E.164
	Voicemail bool    `json:"voicemail,omitempty"` // the box of the queue it comes from
}

// Door is what a queue does with a call in some condition.
type Door struct {
	Rule DoorRule `json:"rule,omitempty"`
	To   Target   `json:"to,omitzero"` // with Send
}

// DoorRule is the kind of a Door.
type DoorRule uint8

const (
	Wait DoorRule = iota
	Deny          // refuse it
	Send          // to the door's target
)

// NoAnswer is what happens to an agent who lets calls ring out.
type NoAnswer uint8

const (
	PauseAgent NoAnswer = iota // not ready, reason "missed", until one action undoes it
	StayReady
)

// Strategy is in which order a queue takes its ready agents. A lower tier always
// comes first; what is left equal is decided by the idle clock, then by id.
type Strategy uint8

const (
	LongestIdle       Strategy = iota
	FewestCalls                // contacts handled since login
	LeastTalk                  // time talked since login
	RoundRobin                 // longest not offered a call of this queue
	TopDown                    // as listed in the configuration
	SkillThenIdle              // the highest level in what the queue requires
	WeightedRandom             // by chance, in proportion to that level
	RingAll                    // everybody at once; the first to answer has the call
	RingProgressively          // one more agent every few seconds; likewise
)

// WrapMode is how a wrap-up ends.
type WrapMode uint8

const (
	WrapFixed      WrapMode = iota // after its time, or earlier by the agent; none at all when the time is 0
	WrapExtendable                 // the same, and the agent may ask for more time
	WrapManual                     // when the agent says so
	WrapCoded                      // when the agent says so, with a code
)

// Sticky brings a caller back to the agent who had them last.
type Sticky struct {
	Within time.Duration `json:"within"` // since that talk; 0: not at all
	Wait   time.Duration `json:"wait"`   // how long the caller waits for them
}

// Announcing is what those who wait are told.
type Announcing struct {
	Position bool          `json:"position,omitempty"`
	Wait     bool          `json:"wait,omitempty"`
	First    time.Duration `json:"first,omitempty"`
	Every    time.Duration `json:"every,omitempty"` // 0: once
	// MaxError is how far the share of callers who were served inside the band told
	// them may stray from what it should be before bands are no longer told; 0 to 1.
	MaxError float64 `json:"max_error,omitempty"`
}

// Callback is how customers who asked for it are called back.
type Callback struct {
	CallerFirst bool          `json:"caller_first,omitempty"` // else the agent is rung first
	Attempts    int           `json:"attempts,omitempty"`     // 0: callbacks are not taken
	Retry       time.Duration `json:"retry,omitempty"`
	DialFor     time.Duration `json:"dial_for,omitempty"` // how long the customer's phone may ring
}

// AgentCfg is an agent as configured.
type AgentCfg struct {
	ID              AgentID         `json:"id"`
	Skills          map[string]int  `json:"skills,omitempty"` // skill to level, 1 to 5
	Queues          []QueueID       `json:"queues"`
	Tiers           map[QueueID]int `json:"tiers,omitempty"` // 1 when not given
	Capacity        *Capacity       `json:"capacity,omitempty"`
	ReadyOnRegister bool            `json:"ror,omitempty"`
}

// Capacity is how many contacts of each kind an agent handles at once. An agent
// without one takes one call and nothing else.
type Capacity struct {
	Voice uint8 `json:"voice"` // more than 1 counts as 1: nobody talks on two calls
	Chat  uint8 `json:"chat"`
	Mail  uint8 `json:"mail"`
}

func (c *Capacity) of(m Medium) int {
	switch {
	case c == nil && m == Voice:
		return 1
	case c == nil:
		return 0
	case m == Voice:
		return min(int(c.Voice), 1)
	case m == Chat:
		return int(c.Chat)
	}
	return int(c.Mail)
}
