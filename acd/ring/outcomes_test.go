package ring

import (
	"fmt"
	"sync"
	"testing"
)

// Each promise of the ring is a race run many times. What the two sides saw is
// one word, and every word that can come out is in the table: acceptable, or
// forbidden with the promise it would break. A word not in the table fails too.
type promise struct {
	name       string
	acceptable map[string]string // outcome: why it may be
	forbidden  map[string]string // outcome: the promise it would break
	race       func() string
}

func (p promise) check(t *testing.T) {
	runs := 4000
	if testing.Short() {
		runs = 500
	}
	seen := map[string]int{}
	for range runs {
		seen[p.race()]++
	}
	for outcome, n := range seen {
		switch why, bad := p.forbidden[outcome]; {
		case bad:
			t.Errorf("FORBIDDEN %q, %d times of %d: %s", outcome, n, runs, why)
		case p.acceptable[outcome] == "":
			t.Errorf("UNKNOWN outcome %q, %d times of %d", outcome, n, runs)
		default:
			t.Logf("ACCEPTABLE %-12q %6d  %s", outcome, n, p.acceptable[outcome])
		}
	}
}

// together runs both sides as nearly at once as the machine allows.
func together(a, b func()) {
	var start, done sync.WaitGroup
	start.Add(2)
	for _, side := range []func(){a, b} {
		done.Go(func() {
			start.Done()
			start.Wait()
			side()
		})
	}
	done.Wait()
}

func TestPromises(t *testing.T) {
	for _, p := range []promise{lastPlace, wholeEvents, producersOrder, noLostWake, noLostRoom, lapIsSafe} {
		t.Run(p.name, p.check)
	}
}

var lastPlace = promise{
	name: "one place, two producers",
	acceptable: map[string]string{
		"first":  "the first producer got the place",
		"second": "the second producer got the place",
	},
	forbidden: map[string]string{
		"both":    "a slot has one writer",
		"neither": "TryPost says full only when it is",
	},
	race: func() string {
		r := New[int](2)
		r.Post(0)
		var a, b bool
		together(func() { a = r.TryPost(1) }, func() { b = r.TryPost(2) })
		return map[[2]bool]string{{true, true}: "both", {true, false}: "first", {false, true}: "second", {}: "neither"}[[2]bool{a, b}]
	},
}

var wholeEvents = promise{
	name: "an event is seen whole or not at all",
	acceptable: map[string]string{
		"nothing": "taken before it was filled",
		"whole":   "both halves",
	},
	forbidden: map[string]string{"torn": "filling a slot happens before it is taken"},
	race: func() string {
		r := New[event](2)
		out := "nothing"
		together(func() { r.Post(event{number: 7, end: 7}) }, func() {
			if ev, ok := r.Take(); ok && ev.number == 7 && ev.end == 7 {
				out = "whole"
			} else if ok {
				out = "torn"
			}
		})
		return out
	},
}

var producersOrder = promise{
	name: "a producer's events stay in order",
	acceptable: map[string]string{
		"[]":    "neither was there yet",
		"[1]":   "the second was not there yet",
		"[1 2]": "both, in order",
	},
	forbidden: map[string]string{
		"[2]":   "overtaken",
		"[2 1]": "swapped",
		"[1 1]": "doubled",
		"[2 2]": "doubled",
	},
	race: func() string {
		r := New[int](4)
		seen := []int{}
		together(func() { r.Post(1); r.Post(2) }, func() {
			for range 2 {
				if v, ok := r.Take(); ok {
					seen = append(seen, v)
				}
			}
		})
		return fmt.Sprint(seen)
	},
}

var noLostWake = promise{
	name: "the consumer does not sleep through an event",
	acceptable: map[string]string{
		"taken": "it came before the consumer looked the second time",
		"woken": "the producer saw the sleeper",
	},
	forbidden: map[string]string{"asleep": "an event lies there, the consumer found nothing, and no token is left"},
	race: func() string {
		r := New[int](2)
		out := "asleep"
		together(func() { r.Post(1) }, func() {
			if _, ok := r.Take(); ok {
				out = "taken"
			}
		})
		// Both sides are done, so whatever token there will ever be is there.
		select {
		case <-r.Ready():
			if out == "asleep" {
				out = "woken"
			}
		default:
		}
		return out
	},
}

var noLostRoom = promise{
	name: "a producer does not sleep through room",
	acceptable: map[string]string{
		"1 2 3": "the producer waited or did not have to; it is posted either way",
	},
	race: func() string {
		r := New[int](2)
		r.Post(1)
		r.Post(2)
		var first int
		together(func() { r.Post(3) }, func() { first, _ = r.Take() }) // ends only if nobody sleeps for ever
		second, _ := r.Take()
		third, _ := r.Take()
		return fmt.Sprint(first, second, third)
	},
}

var lapIsSafe = promise{
	name: "the next lap does not overwrite what is being taken",
	acceptable: map[string]string{
		"1":      "taken; the producer found the ring still full",
		"1, 3in": "taken, and the freed place used at once",
	},
	forbidden: map[string]string{
		"3":      "overwritten before it was taken",
		"3, 3in": "overwritten before it was taken",
	},
	race: func() string {
		r := New[int](2)
		r.Post(1)
		r.Post(2)
		var out string
		var in bool
		together(func() { in = r.TryPost(3) }, func() {
			v, _ := r.Take()
			out = fmt.Sprint(v)
		})
		if in {
			out += ", 3in"
		}
		return out
	},
}
