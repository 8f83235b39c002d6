package config

import "time"

// Reasons are the codes agents choose from. Their ids are what reports use.
type Reasons struct {
	Pause  []PauseReason `yaml:"pause"`
	WrapUp []WrapUpCode  `yaml:"wrapup"`
}

// PauseReason is why an agent is not ready. The switch itself pauses who misses
// calls, for the reason "missed"; it may be listed here to be given a label.
type PauseReason struct {
	ID    string        `yaml:"id" need:"yes"`
	Label Label         `yaml:"label"`                   // the id when not given
	Max   time.Duration `yaml:"max" min:"1m" max:"24h"`  // after it the pause is overdue; none: never
	Paid  bool          `yaml:"paid" default:"false"`    // counts as work
	Alert string        `yaml:"alert" enum:"supervisor"` // who is told that an agent chose it; none: nobody
}

// WrapUpCode is what came of a call.
type WrapUpCode struct {
	ID    string `yaml:"id" need:"yes"`
	Label Label  `yaml:"label"` // the id when not given
	// Requires is what an agent must say besides the code.
	Requires []string `yaml:"requires" enum:"callback_at note"`
}

// Floor is how agents are treated, whatever their queue.
type Floor struct {
	// PauseEndsIdle makes a pause start an agent's idle time anew, so that nobody
	// keeps a place at the head of the agents by pausing.
	PauseEndsIdle bool `yaml:"pause_ends_idle" default:"false"`
}
