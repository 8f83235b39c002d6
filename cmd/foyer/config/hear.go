package config

import "cmp"

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

// Files are the operator's own prompts, by id and language. A prompt recorded
// in one language only is played in both.
func (p Prompts) Files() map[string]map[string]string {
	files := make(map[string]map[string]string, len(p.Custom))
	for _, c := range p.Custom {
		files[c.ID] = map[string]string{"fr": cmp.Or(c.FR, c.EN), "en": cmp.Or(c.EN, c.FR)}
	}
	return files
}
