package interop

import (
	"slices"
	"sync"
)

// events is what a telephone has told and nobody has waited for yet.
type events struct {
	mu   sync.Mutex
	list []event // guarded by mu
}

type event struct{ name, told string }

func (e *events) happened(name, told string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, event{name, told})
}

// take tells whether an event has come, with what was told about it, and forgets it.
func (e *events) take(name string) (told string, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := slices.IndexFunc(e.list, func(ev event) bool { return ev.name == name })
	if at < 0 {
		return "", false
	}
	told = e.list[at].told
	e.list = slices.Delete(e.list, at, at+1)
	return told, true
}
