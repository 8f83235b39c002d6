package config

import "time"

// Client is a company whose calls are answered here.
type Client struct {
	ID   string `yaml:"id" need:"yes"`
	Name string `yaml:"name"` // the id when not given
	// Locale is the language its callers hear; site.locale when not given.
	Locale string `yaml:"locale" enum:"fr en"`
	// Recording is the recording policy of its calls; none: nothing is recorded.
	Recording string `yaml:"recording"`

	_ struct{} `later:"contacts screen_pop agent_greeting billing"`
}

// Label is a name in both languages. Written as one text, it is the same in both.
type Label struct {
	FR string `yaml:"fr"`
	EN string `yaml:"en"`
}

// In is the label in a language, or in the other where it has none in that.
func (l Label) In(locale string) string {
	if locale == "fr" && l.FR != "" || l.EN == "" {
		return l.FR
	}
	return l.EN
}

// Queue is one waiting line of a client.
type Queue struct {
	ID     string `yaml:"id" need:"yes"`
	Client string `yaml:"client" need:"yes"`
	Label  Label  `yaml:"label"` // the id when not given
	// Require are skills an agent must have, at level 1 or at MinLevel.
	Require  []string       `yaml:"require"`
	MinLevel map[string]int `yaml:"min_level" min:"1" max:"5"`
	// Priority is a head start against the callers of other queues, in seconds of waiting.
	Priority int `yaml:"priority" default:"0" min:"0" max:"86400"`
	// Medium is the kind of contact. The floor distributes chats and mail by the same
	// rules as calls, but nothing brings them yet.
	Medium string `yaml:"medium" default:"voice" enum:"voice" later:"chat mail"`
	// MaxTier leaves out agents of a higher tier, until a step of Relax lets them in.
	MaxTier int     `yaml:"max_tier" min:"1" max:"10"` // none: agents of all tiers
	Relax   []Relax `yaml:"relax"`                     // in order of After
	// Strategy is in which order agents are taken who may have a call.
	Strategy     Strategy     `yaml:"strategy" default:"longest_idle" enum:"longest_idle fewest_calls least_talk round_robin top_down skill_then_idle weighted_random ring_all ring_progressive"`
	Calendar     string       `yaml:"calendar"` // none: always open
	ServiceLevel ServiceLevel `yaml:"service_level"`
	Ring         Ring         `yaml:"ring"`
	WrapUp       WrapUp       `yaml:"wrapup"`
	// Prefer is how long a call that names an agent waits for that one alone.
	Prefer    time.Duration `yaml:"prefer" min:"1s" max:"10m"` // none: not at all
	LastAgent *LastAgent    `yaml:"last_agent"`                // none: callers are nobody's
	// Return is how long a caller who hangs up keeps their place.
	Return time.Duration `yaml:"return" min:"1s" max:"24h"` // none: not at all
	// Rejoin is how long an agent whose link is lost in a talk has to come back to it.
	Rejoin    time.Duration `yaml:"rejoin" default:"20s" min:"1s" max:"5m"`
	Overflow  []Overflow    `yaml:"overflow"` // in order of After
	Full      *Full         `yaml:"full"`     // none: any number may wait
	NoneReady Door          `yaml:"none_ready"`
	Empty     Door          `yaml:"empty"`
	Closed    Closed        `yaml:"closed"`
	Announce  *Announce     `yaml:"announce"` // none: callers are told nothing
	Callback  *Callback     `yaml:"callback"` // none: nobody is called back

	_ struct{} `later:"alerts"`
}

// Strategy is in which order a queue takes agents of one tier.
type Strategy string

// The strategies that need to be told apart here: these ring several agents for
// one call.
const (
	RingAll         Strategy = "ring_all"
	RingProgressive Strategy = "ring_progressive"
	SkillThenIdle   Strategy = "skill_then_idle"
	WeightedRandom  Strategy = "weighted_random"
)

// ServiceLevel is the promise made of a queue: Target of its calls answered Within.
type ServiceLevel struct {
	Target       float64       `yaml:"target" default:"0.80" min:"0" max:"1"` // ratio, 0 to 1
	Within       time.Duration `yaml:"within" default:"20s" min:"1s" max:"1h"`
	ShortAbandon time.Duration `yaml:"short_abandon" default:"5s" min:"0s" max:"1m"`
	// Formula says how the share is made, above all what abandoned calls count; see
	// docs/numbers.md. It is applied when a report is read, to the past as well.
	Formula string `yaml:"formula" default:"exclude_short" enum:"exclude_short quick_abandons_met answered_only all_abandons_count late_abandons_count short_abandons_met"`
}

// NoAnswer is what becomes of an agent who let MaxOffers calls in a row ring out.
type NoAnswer string

// What Ring.OnNoAnswer may be.
const (
	NotReady NoAnswer = "not_ready"
	Ready    NoAnswer = "ready"
)

// Ring is how an agent is offered a call.
type Ring struct {
	Timeout    time.Duration `yaml:"timeout" default:"18s" min:"3s" max:"3m"`
	MaxOffers  int           `yaml:"max_offers" default:"1" min:"1" max:"100"`
	OnNoAnswer NoAnswer      `yaml:"on_no_answer" default:"not_ready" enum:"not_ready ready"`
	// AtOnce bounds how many agents ring_all rings for a call (none: all of them),
	// and says how many ring_progressive rings first (none: one).
	AtOnce int `yaml:"at_once" min:"1" max:"100"`
	// NextAfter is when ring_progressive rings one more.
	NextAfter time.Duration `yaml:"next_after" min:"1s" max:"3m"` // 5s when not given
}

// WrapMode is how a wrap-up ends.
type WrapMode string

// What WrapUp.Mode may be.
const (
	WrapFixed      WrapMode = "fixed"      // after its time, or earlier by the agent
	WrapExtendable WrapMode = "extendable" // the same, and the agent may ask for more time
	WrapManual     WrapMode = "manual"     // when the agent says so
	WrapCoded      WrapMode = "coded"      // when the agent gives a code
)

// WrapUp is the time an agent has after a call before the next. Where only the
// agent ends it, it is overdue after Seconds, or ten minutes when that is 0.
type WrapUp struct {
	Mode          WrapMode `yaml:"mode" enum:"fixed extendable manual coded"` // extendable with extend_by, else fixed
	Seconds       int      `yaml:"seconds" default:"0" min:"0" max:"3600"`
	ExtendBy      int      `yaml:"extend_by" min:"1" max:"3600"`     // seconds; 60 when extendable
	MaxExtensions int      `yaml:"max_extensions" min:"1" max:"100"` // of one wrap-up; 10 when extendable (WCAG 2.2.1)
	// Codes an agent may give, of reasons.wrapup; all of them when not given.
	Codes []string `yaml:"codes"`
}

// Duration is Seconds as a duration.
func (w WrapUp) Duration() time.Duration { return time.Duration(w.Seconds) * time.Second }

// LastAgent brings a caller back to the agent who talked with them last.
type LastAgent struct {
	Within time.Duration `yaml:"within" need:"yes" min:"1m" max:"90d"` // since that talk
	Wait   time.Duration `yaml:"wait" default:"15s" min:"1s" max:"10m"`
}

// Notice says whether callers are told that the call is recorded.
type Notice string

// What DID.RecordingNotice may be.
const (
	NoticePolicy Notice = "policy" // when the policy chose this call and has a notice prompt
	NoticeAlways Notice = "always"
	NoticeNever  Notice = "never"
)

// DID is a number callers dial.
type DID struct {
	Number string `yaml:"number" need:"yes"` // E.164, with +
	Client string `yaml:"client"`            // the queue's when not given
	To     string `yaml:"to" need:"yes"`     // a queue, or echo for the echo test
	// Agent of the queue is whom callers of this number want: the queue's Prefer says
	// how long they wait for that one alone.
	Agent string `yaml:"agent"`
	// Greeting is played before the music, of prompts.custom or built in.
	Greeting        string `yaml:"greeting"`
	RecordingNotice Notice `yaml:"recording_notice" default:"policy" enum:"policy always never"`

	_ struct{} `later:"languages"`
}
