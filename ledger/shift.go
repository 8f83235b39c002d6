package ledger

import (
	"cmp"
	"slices"
	"time"

	"foyer/acd"
)

// Shift is a stretch of time in which an agent has agreed to be there for calls.
// A meal is the gap between two shifts.
type Shift struct {
	Agent    acd.AgentID
	From, To Instant
}

// Schedule says who should be there when.
type Schedule interface {
	// Shifts are those that overlap the time from one moment to another. Shifts of
	// one agent must not overlap each other.
	Shifts(from, to Instant) []Shift
}

// Hours is a stretch of a day on the wall clock, as time since midnight.
type Hours struct{ From, To time.Duration }

// Weekly is a Schedule that is the same every week, on the wall clock of a zone.
type Weekly struct {
	Zone   *time.Location
	Agents map[acd.AgentID][7][]Hours // by time.Weekday
}

// Shifts are those of every day that touches the time asked for, by agent.
func (w *Weekly) Shifts(from, to Instant) []Shift {
	if w == nil || len(w.Agents) == 0 || to <= from {
		return nil
	}
	var all []Shift
	year, month, day := from.Time().In(w.Zone).Date()
	for n := 0; ; n++ {
		midnight := time.Date(year, month, day+n, 0, 0, 0, 0, w.Zone)
		if n > 0 && At(midnight) >= to {
			break
		}
		for agent, week := range w.Agents {
			for _, h := range week[midnight.Weekday()] {
				s := Shift{agent, At(onDay(midnight, h.From)), At(onDay(midnight, h.To))}
				if s.From < to && s.To > from {
					all = append(all, s)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b Shift) int {
		return cmp.Or(cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.From, b.From))
	})
	return all
}

// onDay is a time of day on the wall clock: nine o'clock stays nine o'clock when
// summer time begins.
func onDay(midnight time.Time, clock time.Duration) time.Time {
	y, m, d := midnight.Date()
	return time.Date(y, m, d, int(clock/time.Hour), int(clock/time.Minute)%60, 0, 0, midnight.Location())
}

// overlap is the time that two stretches share.
func overlap(a, b, c, d Instant) Millis { return Span(max(a, c), min(b, d)) }
