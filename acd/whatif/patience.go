package whatif

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// patience is how long callers wait before they give up, as far as a day has shown:
// the estimate of Kaplan and Meier (1958), for waits that are mostly cut short by
// an answer. Beyond the longest wait seen, callers leave at the day's mean rate.
type patience struct {
	waits []seenWait
	steps []survival
	rate  float64 // leavers per nanosecond of waiting; 0: nobody leaves
	end   time.Duration
}

// seenWait is a wait and whether the caller ended it.
type seenWait struct {
	wait time.Duration
	left bool
}

// survival is the share of callers who are still there right after a wait.
type survival struct {
	at    time.Duration
	share float64
}

func (p *patience) saw(wait time.Duration, left bool) {
	p.waits = append(p.waits, seenWait{max(wait, 0), left})
}

// settle makes the estimate.
func (p *patience) settle() {
	slices.SortFunc(p.waits, func(a, b seenWait) int {
		if n := cmp.Compare(a.wait, b.wait); n != 0 || a.left == b.left {
			return n
		} else if a.left { // of the same moment, who left was still at risk of leaving
			return -1
		}
		return 1
	})
	there, sum, left := 1.0, 0.0, 0
	p.steps = p.steps[:0]
	for i, w := range p.waits {
		sum += float64(w.wait)
		if !w.left {
			continue
		}
		left++
		there *= 1 - 1/float64(len(p.waits)-i)
		p.steps = append(p.steps, survival{w.wait, there})
	}
	if n := len(p.waits); n > 0 {
		p.end = p.waits[n-1].wait
	}
	if left > 0 && sum > 0 {
		p.rate = float64(left) / sum
	}
}

// never is a patience that no day outlasts.
const never = 1000 * time.Hour

// beyond draws how long a caller is patient who has waited so long already.
func (p *patience) beyond(waited time.Duration, lot uint64) time.Duration {
	now := 1.0
	i, _ := slices.BinarySearchFunc(p.steps, waited, func(s survival, d time.Duration) int {
		if s.at <= d {
			return -1
		}
		return 1
	})
	if i > 0 {
		now = p.steps[i-1].share
	}
	goal := now * share(lot)
	for _, s := range p.steps[i:] {
		if s.share <= goal && s.at > waited {
			return s.at
		}
	}
	if p.rate == 0 {
		return never
	}
	last := now
	if n := len(p.steps); n > i {
		last = p.steps[n-1].share
	}
	more := never
	if last > 0 && goal > 0 {
		more = time.Duration(min(math.Log(last/goal)/p.rate, float64(never)))
	}
	return max(waited, p.end) + more
}
