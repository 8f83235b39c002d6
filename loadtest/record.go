package loadtest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Outcome is how a call ended, seen from outside the switch.
type Outcome string

// The outcomes; Open is a call still in progress.
const (
	Open      Outcome = ""
	Answered  Outcome = "answered"  // an agent was connected
	Abandoned Outcome = "abandoned" // the caller gave up first
	Refused   Outcome = "rejected"  // the switch said no, or hung up on a waiting caller
	Failed    Outcome = "failed"    // no answer at all, or something impossible
)

// Call is the generator's own account of one call. Times are zero for what did
// not happen.
type Call struct {
	Number  uint32 // unique within the switch's life if Plan.First is kept apart
	Caller  string // the caller number shown, unique to this call
	Called  string
	Outcome Outcome
	Agent   string // who answered
	EndedBy string // "caller", "agent" or "switch"
	Code    int    // final SIP code of a refusal
	Offers  int    // INVITEs seen at agents

	Started   time.Time // INVITE sent
	Ringing   time.Time // first answer above 100
	Connected time.Time // 200 to the caller
	Offered   time.Time // first INVITE at an agent
	Answered  time.Time // an agent's 200 sent
	Hungup    time.Time // the first BYE or CANCEL, sent or received
	Ended     time.Time
}

// Talk is how long caller and agent were connected.
func (c *Call) Talk() time.Duration {
	if c.Answered.IsZero() || c.Hungup.IsZero() {
		return 0
	}
	return c.Hungup.Sub(c.Answered)
}

// callerPrefix makes every caller a mobile number of the French plan.
const callerPrefix = "+336"

// CallerNumber is the number from which call n comes, by which Verify knows it again.
func CallerNumber(call uint32) string { return fmt.Sprintf("%s%08d", callerPrefix, call%1e8) }

// callOf finds the call number in a caller number as the switch shows it, in
// whatever notation: the last eight digits count.
func callOf(caller string) (uint32, bool) {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, caller)
	if len(digits) < 9 || digits[len(digits)-9] != '6' {
		return 0, false
	}
	n, err := strconv.ParseUint(digits[len(digits)-8:], 10, 32)
	return uint32(n), err == nil
}
