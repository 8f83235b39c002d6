package acd

import (
	"iter"
	"time"
)

// Record is one event as the journal keeps it.
type Record struct {
	Seq   uint64    `json:"n"`
	At    time.Time `json:"t"`
	Event Event     `json:"e"`
}

// Replay runs records through a floor of its own, from a Started record on, and
// returns it as it stands at the end, with the hash of the whole history. The
// same records give the same hash on every run. Each record and what the floor
// decided on it is shown to observe, unless that is nil.
//
// Records before the first Started are skipped: what they meet is not known.
func Replay(records iter.Seq[Record], observe func(Record, []Action)) (*Floor, uint64) {
	f, h := NewFloor(), NewHash()
	begun := false
	for r := range records {
		if begun = begun || r.Event.Kind == Started; !begun {
			continue
		}
		done := f.Step(r.At, r.Event)
		h.Add(r, done)
		if observe != nil {
			observe(r, done)
		}
	}
	return f, h.Sum()
}
