package config

// Agent is a person who takes calls. The id is the SIP user of their phone.
type Agent struct {
	ID   string     `yaml:"id" need:"yes"`
	Name string     `yaml:"name"` // the id when not given
	SIP  SIPAccount `yaml:"sip" need:"yes"`
	// Skills by level, 1 to 5.
	Skills map[string]int `yaml:"skills" min:"1" max:"5"`
	Queues []string       `yaml:"queues"`
	// ReadyOnRegister makes the agent ready as soon as a phone registers, for
	// agents who have no console.
	ReadyOnRegister bool   `yaml:"ready_on_register" default:"false"`
	Contract        string `yaml:"contract" default:"employee" enum:"employee independent"`
	Device          string `yaml:"device" default:"sip" enum:"sip any" later:"webrtc"`

	// Shifts are when the agent has agreed to be there: what adherence is held against.
	Shifts Shifts `yaml:"shifts"`

	_ struct{} `later:"weekly_hours disconnect accessibility rate"`
}

// Shifts are an agent's hours, every week the same, in site.timezone. A meal is the
// gap between two of them.
type Shifts struct {
	Weekly Week `yaml:"weekly"`

	_ struct{} `later:"calendar"`
}

// SIPAccount is how an agent's phone authenticates.
type SIPAccount struct {
	Password Secret `yaml:"password" need:"yes"`
	Digest   Digest `yaml:"digest" enum:"md5 sha-256"` // registrar.digest when not given
}
