package config

import "os"

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
}

// audio checks that a file a caller shall hear is there.
func (k *checker) audio(path *string) {
	if *path == "" {
		return
	}
	if _, err := os.Stat(*path); err != nil {
		k.errorf(k.at[path], "%s: %s", *path, plain(err))
	}
}

// prompt checks a reference to a prompt.
func (k *checker) prompt(id *string) {
}
