package sound

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"foyer/rtp"
)

// furthest is the last place in line that is told by its number.
const furthest = 30

// minutes are the waits that are spoken of. Nobody believes "between seven and
// nine minutes", and nobody can promise it.
var minutes = [...]int{1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30}

// Voice is every prompt in one language, by its id, ready to be played.
type Voice map[string]*rtp.Sound

// Voice loads all prompts there are in a language: the built-in ones and those
// of Files.
func (p Prompts) Voice(lang string) (Voice, error) {
	v := Voice{}
	for _, id := range append(IDs(), slices.Sorted(maps.Keys(p.Files))...) {
		s, err := p.Prompt(lang, id)
		if err != nil {
			return nil, err
		}
		v[id] = s
	}
	return v, nil
}

// Say is several prompts one after another; one that does not exist is left out.
func (v Voice) Say(ids ...string) []*rtp.Sound {
	var sounds []*rtp.Sound
	for _, id := range ids {
		if s := v[id]; s != nil {
			sounds = append(sounds, s)
		}
	}
	return sounds
}

// Position tells a caller his place in line; the first is 1. There is nothing to
// say of a place that does not exist.
func (v Voice) Position(n int) []*rtp.Sound { return v.Say(position(n)...) }

// Wait tells a caller between what times he will probably be answered. The band
// that is said is never lower than low to high, and never leaves out any of it;
// nothing is said where all that could be is that it may take any time.
func (v Voice) Wait(low, high time.Duration) []*rtp.Sound { return v.Say(wait(low, high)...) }

// position is the prompts that tell a place in line.
func position(n int) []string {
	switch {
	case n < 1:
		return nil
	case n == 1:
		return []string{"position-next"}
	case n > furthest:
		return []string{"part-beyond", number(furthest), "part-in-line"}
	}
	return []string{"part-position", number(n), "part-in-line"}
}

// wait is the prompts that tell a band of time.
func wait(low, high time.Duration) []string {
	from, to := floor(low), ceiling(max(low, high))
	if from == to && to > 0 {
		to = ceiling(time.Duration(from)*time.Minute + 1) // a band, never one figure
	}
	switch {
	case to == 0 && from < 2:
		return nil
	case to == 0:
		return []string{"part-more", ofMinutes(from)}
	case to == 1:
		return []string{"wait-short"}
	case from == 0:
		return []string{"part-less", ofMinutes(to)}
	}
	return []string{"part-between", number(from), "part-and", ofMinutes(to)}
}

// floor is the longest wait spoken of that is not longer than d; 0 if there is none.
func floor(d time.Duration) int {
	longest := 0
	for _, m := range minutes {
		if time.Duration(m)*time.Minute <= d {
			longest = m
		}
	}
	return longest
}

// ceiling is the shortest wait spoken of that is not shorter than d; 0 if there is
// none.
func ceiling(d time.Duration) int {
	for _, m := range minutes {
		if time.Duration(m)*time.Minute >= d {
			return m
		}
	}
	return 0
}

func number(n int) string    { return "part-number-" + strconv.Itoa(n) }
func ofMinutes(n int) string { return "part-minutes-" + strconv.Itoa(n) }
