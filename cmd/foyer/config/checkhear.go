package config

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"foyer/rtp/sound"
)

func (k *checker) checkPrompts() {
	for i := range k.c.Prompts.Custom {
		p := &k.c.Prompts.Custom[i]
		if p.FR == "" && p.EN == "" {
			k.errorf(k.at[p], "prompts.custom[%s] needs \"fr\" or \"en\", the path of a WAV file", p.ID)
		}
		k.audio(&p.FR)
		k.audio(&p.EN)
	}
	m := &k.c.Prompts.MOH
	if m.Builtin != "" && m.File != "" {
		k.errorf(k.at[m], "prompts.moh has both \"builtin\" and \"file\"; callers can hear one")
	}
	k.audio(&m.File)
	k.checkReplacements()
}

// audio checks that a file a caller shall hear is there and can be played.
func (k *checker) audio(path *string) {
	if *path == "" {
		return
	}
	switch _, err := sound.LoadWAV(*path); {
	case errors.Is(err, fs.ErrNotExist):
		k.errorf(k.at[path], "file %q does not exist", *path)
	case err != nil:
		k.errorf(k.at[path], "%s", err)
	}
}

// checkReplacements checks the files that shall be played instead of built-in
// prompts.
func (k *checker) checkReplacements() {
	dir := &k.c.Prompts.Dir
	if *dir == "" {
		return
	}
	for _, lang := range sound.Languages() {
		files, err := filepath.Glob(filepath.Join(*dir, lang, "*.wav"))
		if err != nil {
			k.errorf(k.at[dir], "prompts.dir %q cannot be searched: %s", *dir, err)
			return
		}
		for _, f := range files {
			if _, err := sound.LoadWAV(f); err != nil {
				k.errorf(k.at[dir], "%s", err)
			}
			if id := strings.TrimSuffix(filepath.Base(f), ".wav"); !k.prompts[id] {
				k.warnf(k.at[dir], "%s replaces no prompt%s", f, meant(id, slices.Sorted(maps.Keys(k.prompts))))
			}
		}
	}
}

// prompt checks a reference to a prompt, the operator's or a built-in one.
func (k *checker) prompt(id *string) {
	k.refer(id, "prompt", "prompts.custom, or one of "+strings.Join(sound.Sentences(), ", "), k.prompts)
}
