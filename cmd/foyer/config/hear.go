package config

// Prompts is what callers hear of the switch itself.
type Prompts struct {
	// Dir holds <lang>/<id>.wav files that replace built-in prompts.
	Dir    string         `yaml:"dir"`
	MOH    MusicOnHold    `yaml:"moh"`
	Custom []CustomPrompt `yaml:"custom"`
}

// MusicOnHold is what callers hear while they wait: one of ours, or a file.
type MusicOnHold struct {
	Builtin string `yaml:"builtin" enum:"calm tick silence"` // calm when neither is given
	File    string `yaml:"file"`                             // 8 kHz mono WAV
}

// CustomPrompt is a prompt of the operator's own: 8 kHz mono WAV files.
type CustomPrompt struct {
	ID string `yaml:"id" need:"yes"`
	FR string `yaml:"fr"`
	EN string `yaml:"en"`
}

// In is the file for a language, or for the other where there is none for that.
func (p CustomPrompt) In(locale string) string {
	if locale == "fr" && p.FR != "" || p.EN == "" {
		return p.FR
	}
	return p.EN
}
