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

// Target is where a call goes: the id of a queue, Hangup, or Wait.
type Target string

// The targets that are not a queue. No queue may be called so.
const (
	Hangup Target = "hangup"
	Wait   Target = "wait"
)

// Queue is the queue the target names, if it names one.
func (t Target) Queue() (id string, ok bool) {
	return string(t), t != Hangup && t != Wait && t != ""
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
	// Strategy is which of the agents who may take a call is offered it.
	Strategy     string       `yaml:"strategy" default:"longest_idle" enum:"longest_idle" later:"fewest_calls skill_then_idle ring_all"`
	Calendar     string       `yaml:"calendar"` // none: always open
	ServiceLevel ServiceLevel `yaml:"service_level"`
	Ring         Ring         `yaml:"ring"`
	WrapUp       WrapUp       `yaml:"wrapup"`
	// Overflow steps, in order of After.
	Overflow []Overflow `yaml:"overflow"`
	Closed   Closed     `yaml:"closed"`
	Empty    Empty      `yaml:"empty"`

	_ struct{} `later:"announce alerts"`
}

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
}

// WrapUp is the time an agent has after a call before the next.
type WrapUp struct {
	Seconds int `yaml:"seconds" default:"0" min:"0" max:"3600"`

	_ struct{} `later:"extend_by max_extensions"`
}

// Duration is Seconds as a duration.
func (w WrapUp) Duration() time.Duration { return time.Duration(w.Seconds) * time.Second }

// Overflow sends a caller who has waited After in this queue elsewhere.
type Overflow struct {
	After time.Duration `yaml:"after" need:"yes" min:"1s" max:"24h"`
	To    Target        `yaml:"to" need:"yes" later:"voicemail"`

	_ struct{} `later:"widen_to surge offer"`
}

// Closed is what a caller meets outside the queue's calendar.
type Closed struct {
	Prompt string `yaml:"prompt" default:"closed"` // played before To; of prompts.custom or built in
	To     Target `yaml:"to" default:"hangup" later:"voicemail"`
}

// Empty is what a caller meets when no agent of the queue is logged in.
type Empty struct {
	To     Target `yaml:"to" default:"wait" later:"voicemail"`
	Prompt string `yaml:"prompt" default:"nobody"` // played before To, unless that is wait
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
	To     string `yaml:"to" need:"yes"`     // a queue
	// Greeting is played before the music, of prompts.custom or built in.
	Greeting        string `yaml:"greeting"`
	RecordingNotice Notice `yaml:"recording_notice" default:"policy" enum:"policy always never"`

	_ struct{} `later:"languages"`
}
