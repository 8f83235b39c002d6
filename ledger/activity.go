package ledger

import "foyer/acd"

// activity is what an agent's time is counted as.
type activity uint8

const (
	away     activity = iota // not logged in; counted nowhere
	paused                   // logged in and not to be offered calls
	idle                     // free for the next call
	rung                     // chosen for a call, their phone about to ring or ringing
	talking                  // with a caller, or asking somebody about them
	holding                  // with a caller on hold
	wrapping                 // at work after a call
)

// activityOf maps every state of an agent to what its time counts as. A state
// nobody has told us of counts as paused: it is time at work, and bends neither
// occupancy nor handle time.
func activityOf(s acd.AgentState) activity { return activityCalled(s.String()) }

func activityCalled(word string) activity {
	switch word {
	case "off", "registered":
		return away
	case "not_ready":
		return paused
	case "ready":
		return idle
	case "reserved", "offered":
		return rung
	case "talking", "consulting":
		return talking
	case "held", "on_hold":
		return holding
	case "wrap_up":
		return wrapping
	}
	return paused
}

// handling is time spent on a caller: it makes handle time and occupancy.
func (a activity) handling() bool { return a >= talking }

// works says whether an agent is where a shift wants them.
func (a activity) works() bool { return a >= idle }

// concerns says whether the time belongs to a client's call.
func (a activity) concerns() bool { return a >= rung }
