package config

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// This file is what becomes of a caller whom nobody has answered yet.

// Target is where a call goes: the id of a queue, a number outside, or one of the
// words below. A number is written as "+33170000001", as number:+33170000001 or as
// {number: "+33170000001"}; here it begins with the plus sign, which no id does.
type Target string

// The targets that are neither a queue nor a number. No queue may be called so.
const (
	Hangup    Target = "hangup"
	Wait      Target = "wait"
	Voicemail Target = "voicemail" // the box of the queue the call comes from
)

// Queue is the queue the target names, if it names one.
func (t Target) Queue() (id string, ok bool) {
	_, number := t.Number()
	return string(t), t != Hangup && t != Wait && t != Voicemail && t != "" && !number
}

// Number is the number the target names, in E.164, if it names one.
func (t Target) Number() (number string, ok bool) {
	return string(t), strings.HasPrefix(string(t), "+")
}

func setTarget(into *Target, text string) error {
	number, named := strings.CutPrefix(text, "number:")
	number = strings.TrimSpace(number)
	switch {
	case strings.TrimSpace(text) == "":
		return errors.New("is empty")
	case (named || strings.HasPrefix(number, "+")) && !e164.MatchString(number):
		return fmt.Errorf("has number %q, which must be E.164: a plus sign, the country code and the number, such as +33170000001", number)
	}
	*into = Target(number)
	return nil
}

// outside is a target written as a mapping.
type outside struct {
	Number string `yaml:"number" need:"yes"`
}

// Overflow is what is done for a caller who has waited After in this queue: one
// of To, WidenTo and Offer. Only To takes the caller away.
type Overflow struct {
	After time.Duration `yaml:"after" need:"yes" min:"1s" max:"24h"`
	To    Target        `yaml:"to"`
	// WidenTo names queues whose agents may take the call too, whatever they lack of
	// what this one requires; those of the first are taken first.
	WidenTo []string `yaml:"widen_to"`
	Offer   string   `yaml:"offer" enum:"callback"`

	_ struct{} `later:"surge" elsewhere:"skill=relax level=relax drop=relax max_tier=relax"`
}

// Relax asks less of an agent for a caller who has waited After: Level in Skill,
// or nothing of the skill in Drop, or agents up to MaxTier.
type Relax struct {
	After   time.Duration `yaml:"after" need:"yes" min:"1s" max:"24h"`
	Skill   string        `yaml:"skill"`
	Level   int           `yaml:"level" min:"1" max:"5"`
	Drop    string        `yaml:"drop"`
	MaxTier int           `yaml:"max_tier" min:"1" max:"10"`

	_ struct{} `elsewhere:"widen_to=overflow to=overflow offer=overflow"`
}

// The prompt of a door below is said to a caller before they go to a number, to
// voicemail or out. When not given it is a built-in one before hangup, else none.

// Full is what a caller meets when Max wait already and no agent is free.
type Full struct {
	Max    int    `yaml:"max" need:"yes" min:"1" max:"10000"`
	To     Target `yaml:"to" default:"hangup"`
	Prompt string `yaml:"prompt"` // queue-full before hangup
}

// Door is what a caller meets when no agent of the queue is logged in, or ready.
type Door struct {
	To     Target `yaml:"to" default:"wait"`
	Prompt string `yaml:"prompt"` // nobody before hangup
}

// Closed is what a caller meets outside the queue's calendar.
type Closed struct {
	Prompt string `yaml:"prompt"` // closed before hangup
	To     Target `yaml:"to" default:"hangup"`
}

// Announce is what callers are told while they wait.
type Announce struct {
	Position      bool          `yaml:"position" default:"false"`
	EstimatedWait bool          `yaml:"estimated_wait" default:"false"`
	First         time.Duration `yaml:"first" default:"20s" min:"1s" max:"1h"`
	Every         time.Duration `yaml:"every" default:"60s" min:"0s" max:"1h"` // 0s: once
	// MaxError is how far the share of callers served within the wait they were told
	// may stray from what it should be; beyond it no waits are told. 1: always told.
	MaxError float64 `yaml:"max_error" default:"0.25" min:"0.05" max:"1"`

	_ struct{} `later:"whisper_to_agent"`
}

// Callback is how callers are called back who asked for it. They keep their place.
type Callback struct {
	// Mode is who is called first.
	Mode     string        `yaml:"mode" default:"agent_first" enum:"agent_first caller_first"`
	Attempts int           `yaml:"attempts" default:"3" min:"1" max:"10"`
	Retry    time.Duration `yaml:"retry" default:"15m" min:"1m" max:"24h"`
	DialFor  time.Duration `yaml:"dial_for" default:"45s" min:"10s" max:"3m"`
	// Hours is the calendar in which people may be called; outside of it nobody is.
	Hours string `yaml:"hours"` // the queue's calendar when not given
	// Digit is the key that asks for it, Prompt what offers it.
	Digit  string `yaml:"digit" default:"1" enum:"0 1 2 3 4 5 6 7 8 9 * #"`
	Prompt string `yaml:"prompt" default:"callback-offer"`
}
