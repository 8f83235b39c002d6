package config

import "time"

// RecordingPolicy says which calls are kept, why and for how long.
type RecordingPolicy struct {
	ID      string `yaml:"id" need:"yes"`
	Purpose string `yaml:"purpose" need:"yes" enum:"quality training contract_proof"`
	// LegalBasis is kept with every recording: why this was lawful.
	LegalBasis string      `yaml:"legal_basis"`
	Select     Selection   `yaml:"select" need:"yes"`
	Notice     NoticeRule  `yaml:"notice"`
	Retain     RetainRules `yaml:"retain"`
	// WhenFull is what becomes of a call that cannot be recorded when it arrives.
	WhenFull WhenFull `yaml:"when_full" default:"call_first" enum:"call_first refuse"`

	_ struct{} `later:"pause access"`
}

// Selection is which calls of a client a policy keeps.
type Selection struct {
	Percent float64 `yaml:"percent" need:"yes" min:"0" max:"100"`

	_ struct{} `later:"only_after_tag"`
}

// NoticeRule is how callers are told.
type NoticeRule struct {
	Prompt string `yaml:"prompt"` // of prompts.custom or built in; none: callers are not told

	_ struct{} `later:"opt_out_dtmf"`
}

// WhenFull is what a policy demands where there is no room for a recording.
type WhenFull string

// What RecordingPolicy.WhenFull may be.
const (
	CallFirst WhenFull = "call_first" // the call goes on unrecorded, and is counted as missing
	Refuse    WhenFull = "refuse"     // the call is refused: nobody talks unrecorded
)

// RetainRules is how long a recording is kept. What is older is deleted once a day:
// first what was said, then what is known of it.
type RetainRules struct {
	Audio    time.Duration `yaml:"audio" default:"180d" min:"1d" max:"3650d"`
	Metadata time.Duration `yaml:"metadata" default:"365d" min:"1d" max:"3650d"`

	_ struct{} `later:"evaluations"`
}

// Recording is how recordings are stored.
type Recording struct {
	Store   Store   `yaml:"store"`
	Encrypt Encrypt `yaml:"encrypt"`
	Render  string  `yaml:"render" default:"wav" enum:"wav"`
}

// Store is where.
type Store struct {
	Dir string `yaml:"dir"` // recordings in site.data_dir when not given

	_ struct{} `later:"s3"`
}

// Encrypt is for whom: the switch cannot read back what it writes for a recipient.
type Encrypt struct {
	Recipient string `yaml:"recipient"` // an age X25519 public key, age1…; none: not encrypted
}
