package ledger

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The smallest numbers of agents for 80 % by Erlang C.
func TestStaffByErlangC(t *testing.T) {
	for _, c := range []struct {
		calls  float64 // an hour
		aht    time.Duration
		within time.Duration
		want   int
	}{
		{20, 300 * time.Second, 20 * time.Second, 4},
		{60, 300 * time.Second, 20 * time.Second, 8},
		{100, 300 * time.Second, 20 * time.Second, 12},
		{200, 180 * time.Second, 20 * time.Second, 14},
		{250, 330 * time.Second, 30 * time.Second, 28},
		{500, 180 * time.Second, 20 * time.Second, 30},
		{720, 240 * time.Second, 15 * time.Second, 55},
		{1000, 240 * time.Second, 20 * time.Second, 74},
		{3000, 300 * time.Second, 20 * time.Second, 261},
	} {
		w := Work{Calls: c.calls, Per: time.Hour, Handle: c.aht}
		f, err := Staff(ErlangC, w, Goal{Share: 0.8, Within: c.within})
		if err != nil || f.Agents != c.want {
			t.Errorf("%+v within %v: %d agents, %v; want %d", w, c.within, f.Agents, err, c.want)
		}
	}
}

// The answer reaches the goal and one agent fewer does not, whatever the model.
func TestStaffIsTheSmallestNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, _, within := someWork(t)
		g := Goal{Share: rapid.Float64Range(0.01, 0.999).Draw(t, "share"), Within: within}
		if rapid.Bool().Draw(t, "calm") {
			g.Occupancy = rapid.Float64Range(0.3, 1).Draw(t, "occupancy")
		}
		for name, m := range map[string]Model{"A": ErlangA, "C": ErlangC} {
			f, err := Staff(m, w, g)
			if err != nil || !g.reached(f) {
				t.Fatalf("Erlang %s: %+v, %v", name, f, err)
			}
			if fewer, err := m(w, f.Agents-1, within); err == nil && g.reached(fewer) {
				t.Fatalf("Erlang %s: one fewer than %+v does: %+v", name, f, fewer)
			}
		}
	})
}

// Callers who leave need fewer agents; below the erlangs only Erlang A answers.
func TestStaffBelowTheErlangs(t *testing.T) {
	w := Work{720, time.Hour, 4 * time.Minute, 2 * time.Minute} // 48 erlangs
	f, err := Staff(ErlangA, w, Goal{Share: 0.75, Within: 20 * time.Second})
	if err != nil || f.Agents != 47 {
		t.Errorf("Erlang A: %+v, %v", f, err)
	}
	f, err = Staff(ErlangC, w, Goal{Share: 0.75, Within: 20 * time.Second})
	if err != nil || f.Agents <= 48 {
		t.Errorf("Erlang C: %+v, %v", f, err)
	}
}

func TestOccupancyAsksForMore(t *testing.T) {
	w := Work{Calls: 720, Per: time.Hour, Handle: 4 * time.Minute}
	f, err := Staff(ErlangC, w, Goal{Share: 0.8, Within: 15 * time.Second, Occupancy: 0.8})
	if err != nil || f.Agents != 60 { // 48 erlangs at 80 %
		t.Errorf("%+v, %v", f, err)
	}
}

func TestRoster(t *testing.T) {
	for _, c := range []struct {
		agents    int
		shrinkage float64
		want      int
	}{{55, 0, 55}, {55, 0.3, 79}, {70, 0.3, 100}, {90, 0.1, 100}, {1, 0.5, 2}, {1, 0.51, 3}} {
		if got := (Goal{Shrinkage: c.shrinkage}).Roster(c.agents); got != c.want {
			t.Errorf("%d agents, %v away: %d, want %d", c.agents, c.shrinkage, got, c.want)
		}
	}
}

func TestGoalsOfNonsense(t *testing.T) {
	w := Work{100, time.Hour, time.Minute, time.Minute}
	for _, c := range []struct {
		g   Goal
		say string
	}{
		{Goal{}, "service level"},
		{Goal{Share: 1}, "service level"},
		{Goal{Share: math.NaN()}, "service level"},
		{Goal{Share: 0.8, Occupancy: -0.1}, "occupancy"},
		{Goal{Share: 0.8, Occupancy: 1.1}, "occupancy"},
		{Goal{Share: 0.8, Occupancy: math.NaN()}, "occupancy"},
		{Goal{Share: 0.8, Shrinkage: 1}, "shrinkage"},
		{Goal{Share: 0.8, Shrinkage: -1}, "shrinkage"},
		{Goal{Share: 0.8, Within: -1}, "within"},
		{Goal{Share: 0.8, Occupancy: 1e-9}, "not even 100000 agents"},
	} {
		for name, m := range map[string]Model{"A": ErlangA, "C": ErlangC} {
			if f, err := Staff(m, w, c.g); err == nil || !strings.Contains(err.Error(), c.say) || f != (Forecast{}) {
				t.Errorf("Erlang %s, %+v: %+v, %v", name, c.g, f, err)
			}
		}
	}
	if _, err := Staff(ErlangC, Work{Calls: 1e9, Per: time.Hour, Handle: time.Hour}, Goal{Share: 0.8}); err == nil {
		t.Error("a billion erlangs were staffed")
	}
}

func BenchmarkStaff(b *testing.B) {
	w := Work{50_000, time.Hour, 6 * time.Minute, 2 * time.Minute} // 5000 erlangs
	g := Goal{Share: 0.8, Within: 20 * time.Second}
	for name, m := range map[string]Model{"Erlang A": ErlangA, "Erlang C": ErlangC} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Staff(m, w, g); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
