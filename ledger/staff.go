package ledger

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Goal is what a group of agents must reach.
type Goal struct {
	Share     float64       // of the offered calls, to be answered …
	Within    time.Duration // … in this time
	Occupancy float64       // no agent is to be busier than this share of the time; 0: as busy as may be
	Shrinkage float64       // share of the paid time that an agent is not there for calls
}

// Model forecasts: ErlangC or ErlangA.
type Model func(w Work, agents int, within time.Duration) (Forecast, error)

// Staff is the forecast for the smallest number of agents at work with which
// the model reaches the goal. An error when the work or goal makes no sense, or
// no number of agents reaches it.
func Staff(m Model, w Work, g Goal) (Forecast, error) {
	if err := g.check(); err != nil {
		return Forecast{}, err
	}
	// reached leaves the forecast in best, which the last to reach the goal wins.
	var best Forecast
	reached := func(agents int) (bool, error) {
		f, err := m(w, agents, g.Within)
		if errors.Is(err, ErrOverloaded) {
			return false, nil
		}
		if err != nil || !g.reached(f) {
			return false, err
		}
		best = f
		return true, nil
	}
	// The service level rises and the occupancy falls with every agent more.
	few, enough := 0, int(min(max(math.Ceil(w.Erlangs()), 1), MostAgents))
	for {
		ok, err := reached(enough)
		if err != nil {
			return Forecast{}, err
		}
		if ok {
			break
		}
		if enough == MostAgents {
			return Forecast{}, fmt.Errorf("not even %d agents reach this goal", MostAgents)
		}
		few, enough = enough, min(2*enough, MostAgents)
	}
	for enough-few > 1 {
		middle := few + (enough-few)/2
		ok, err := reached(middle)
		if err != nil {
			return Forecast{}, err
		}
		if ok {
			enough = middle
		} else {
			few = middle
		}
	}
	return best, nil
}

// Roster is how many agents must be paid for so many to be at work.
func (g Goal) Roster(agents int) int {
	// 70 / 0.7 is a hair more than 100, and nobody is hired for a hair.
	return int(math.Ceil(float64(agents)/(1-g.Shrinkage) - 1e-9))
}

func (g Goal) reached(f Forecast) bool {
	return f.OfOffered >= g.Share && (g.Occupancy == 0 || f.Occupancy <= g.Occupancy)
}

func (g Goal) check() error {
	switch {
	case !(g.Share > 0 && g.Share < 1):
		return fmt.Errorf("service level: %v, must be between 0 and 1 and neither", g.Share)
	case g.Occupancy != 0 && !(g.Occupancy > 0 && g.Occupancy <= 1):
		return fmt.Errorf("occupancy: %v, must be above 0 and at most 1", g.Occupancy)
	case !(g.Shrinkage >= 0 && g.Shrinkage < 1):
		return fmt.Errorf("shrinkage: %v, must be at least 0 and below 1", g.Shrinkage)
	}
	return nil
}
