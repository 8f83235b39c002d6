package config

// Agent is a person who takes calls. The id is the SIP user of their phone.
type Agent struct {
	ID   string     `yaml:"id" need:"yes"`
	Name string     `yaml:"name"` // the id when not given
	SIP  SIPAccount `yaml:"sip"`
	// Skills by level, 1 to 5.
	Skills map[string]int `yaml:"skills" min:"1" max:"5"`
	Queues []Assignment   `yaml:"queues"`
	// Capacity is how many contacts the agent handles at once.
	Capacity *Capacity `yaml:"capacity"` // one call when not given
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

// Assignment is a queue an agent serves. It may be written as the queue's id alone.
type Assignment struct {
	ID string `yaml:"id" need:"yes"`
	// Tier is the agent's line there: those of a lower tier are offered calls first.
	Tier int `yaml:"tier" default:"1" min:"1" max:"10"`
}

// Capacity is how many contacts of each kind an agent handles at once. Nobody
// talks on two calls; with none, the agent is given no calls.
type Capacity struct {
	Voice int `yaml:"voice" default:"1" min:"0" max:"1"`

	// The floor counts chats and mail too, but nothing brings them yet.
	_ struct{} `later:"chat mail"`
}

// SIPAccount is how an agent's phone authenticates.
type SIPAccount struct {
	// Password, where it is not one that `foyer agent provision` has made: that one
	// is known to the switch alone, and wins over this.
	Password Secret `yaml:"password"`
	Digest   Digest `yaml:"digest" enum:"md5 sha-256"` // registrar.digest when not given
}
