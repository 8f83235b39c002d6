package acd

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A reload touches only what it changes. The floor it leaves is the one that seating
// everybody anew would have made.
func TestReloadLeavesTheFloorThatSeatingAllAnewMakes(t *testing.T) {
	reloads := 0
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			w.next()
			if w.events[len(w.events)-1].Event.Kind != Reconfigured {
				continue
			}
			reloads++
			got := lines(w.f)
			for _, l := range w.f.order {
				l.cfg.Client += "?" // another one than in the configuration
			}
			w.step(Event{Kind: Reconfigured, Config: w.cfg})
			if want := lines(w.f); got != want {
				t.Fatalf("the reload has left\n%s\nseating all anew makes\n%s", got, want)
			}
		}
	})
	if reloads == 0 {
		t.Error("nothing was ever reloaded: this has tested nothing")
	}
}

// lines is what the lines of a floor know of their agents.
func lines(f *Floor) string {
	var b strings.Builder
	for _, l := range f.order {
		fmt.Fprintf(&b, "%s: %v of %d, strength %d\n", l.cfg.ID, l.in, l.able, l.strength)
		for _, s := range l.seats {
			fmt.Fprintf(&b, " %s tier %d level %d from %d on, guest %v, share %d, turn %d, rank %d\n",
				s.agent.id, s.tier, s.level, s.ring, s.guest, s.share, s.turn, s.agent.rank)
		}
		for i := range l.ready {
			for _, s := range l.ready[i].all() {
				fmt.Fprintf(&b, " ready %d: %s\n", i, s.agent.id)
			}
		}
	}
	return b.String()
}
