package config

// FeatureCodes is what agents dial who work by their phone alone: each code an act,
// confirmed by voice. "off" leaves the act to the console.
type FeatureCodes struct {
	Login  string `yaml:"login" default:"*1"`
	Logout string `yaml:"logout" default:"*2"`
	Ready  string `yaml:"ready" default:"*3"`
	// Pause may be followed by the place of the reason in reasons.pause: *42 is the second.
	Pause string `yaml:"pause" default:"*4"`
	// WrapUp ends the work after a call; it may be followed by the place of the code
	// among those of the queue.
	WrapUp string `yaml:"wrapup" default:"*5"`
	Extend string `yaml:"extend" default:"*6"`
	Echo   string `yaml:"echo" default:"*9"`
}

// CodeOff is the code of an act that cannot be dialled.
const CodeOff = "off"

// Echo is what DID.To says of a number that leads to the echo test.
const Echo = "echo"
