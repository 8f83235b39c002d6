package sound

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"foyer/rtp"
)

// spoken is prompts/<lang>/<id>.al: A-law without a header, made by `make prompts`.
//
//go:embed prompts
var spoken embed.FS

// Languages are those the built-in prompts are spoken in.
func Languages() []string { return []string{"en", "fr"} }

// IDs are the built-in prompts, sorted.
func IDs() []string {
	entries, err := spoken.ReadDir("prompts/en")
	if err != nil {
		return nil
	}
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = strings.TrimSuffix(e.Name(), ".al")
	}
	slices.Sort(ids)
	return ids
}

// Sentences are the built-in prompts that say something by themselves. The others
// are parts, which Voice puts together.
func Sentences() []string {
	return slices.DeleteFunc(IDs(), func(id string) bool { return strings.HasPrefix(id, "part-") })
}

// ErrNoPrompt is wrapped by the error of a prompt nobody has spoken.
var ErrNoPrompt = errors.New("no such prompt")

// Prompt is a built-in prompt. A language without it falls back to English.
func Prompt(lang, id string) (*rtp.Sound, error) {
	for _, l := range [...]string{lang, "en"} {
		alaw, err := spoken.ReadFile(path.Join("prompts", l, id+".al"))
		if err == nil {
			return rtp.NewSound(id, alaw), nil
		}
	}
	return nil, fmt.Errorf("prompt %s: %w", id, ErrNoPrompt)
}

// Prompts are the built-in prompts with the operator's own over them. The zero
// value is the built-in ones alone.
type Prompts struct {
	// Dir holds <lang>/<id>.wav files, played instead of the built-in prompts.
	Dir string
	// Files are further WAV files, by prompt id and language; they come first.
	Files map[string]map[string]string
}

// Prompt is the operator's recording in lang or, failing that, the built-in
// prompt. A file that is there and cannot be played is an error.
func (p Prompts) Prompt(lang, id string) (*rtp.Sound, error) {
	if file := p.Files[id][lang]; file != "" {
		return LoadWAV(file)
	}
	if p.Dir == "" {
		return Prompt(lang, id)
	}
	s, err := LoadWAV(filepath.Join(p.Dir, lang, id+".wav"))
	if errors.Is(err, fs.ErrNotExist) {
		return Prompt(lang, id)
	}
	return s, err
}

// LoadWAV reads a file of 8 kHz mono, 16-bit PCM or G.711.
func LoadWAV(file string) (*rtp.Sound, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("sound: %w", err)
	}
	if info.Size() > maxWAV {
		return nil, fmt.Errorf("sound %s is longer than the %d minutes a caller should be made to listen", file, maxWAV/(60*2*rate))
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("sound: %w", err)
	}
	alaw, err := decodeWAV(data)
	if err != nil {
		return nil, fmt.Errorf("sound %s %w", file, err)
	}
	return rtp.NewSound(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), alaw), nil
}
