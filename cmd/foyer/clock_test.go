package main

import (
	"testing"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
)

// A clock that is set, forward or back, is not the floor's: what happens keeps its
// order and its distance.
func TestClockThatIsSet(t *testing.T) {
	begun := time.Now()
	c := newClock(begun)
	for _, step := range []time.Duration{0, time.Hour, -time.Hour} {
		c.wall = begun.Round(0).Add(step) // as if the machine had been set by -step since
		if d := c.of(begun.Add(5 * time.Second)).Sub(c.of(begun)); d != 5*time.Second {
			t.Errorf("set by %v: five seconds are %v", -step, d)
		}
		if off := c.off() + step; off < -time.Second || off > time.Second {
			t.Errorf("set by %v: off by %v", -step, c.off())
		}
	}
}

// A life whose machine was set back goes on from where the last one was, at the usual
// pace: it does not stand still until the time has come again.
func TestFloorGoesOnAfterAStepBack(t *testing.T) {
	j, err := openJournal(t.TempDir(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	b := newBoard(j, zap.NewNop())
	last := time.Now().Add(time.Hour).UTC().Round(0)
	b.last = last
	b.clock.notBefore(last)
	first := b.now()
	if first.Before(last) {
		t.Fatalf("%v, the last life had %v", first, last)
	}
	b.post(acd.Event{Kind: acd.Tick})
	time.Sleep(10 * time.Millisecond) // time has to pass
	b.post(acd.Event{Kind: acd.Tick})
	one, _ := b.ring.Take()
	two, _ := b.ring.Take()
	if d := time.Duration(two.at - one.at); d < 10*time.Millisecond || one.at < last.UnixNano() {
		t.Errorf("two events 10 ms apart are %v apart, from %v on", d, time.Unix(0, one.at))
	}
}
