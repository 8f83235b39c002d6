package ledger

import (
	"encoding/json"
	"fmt"
	"math/bits"
)

// Waits is how long callers waited, counted in classes: a millisecond wide up to
// 32 ms, then sixteen to each doubling. A class is at most 1/16 of what it holds,
// and Quantile answers with its middle, so it is off by 1/32 at most: 3.2 %, which
// is 0.6 s of 20 s. Classes are the same everywhere and for ever; adding two Waits
// is adding their counts.
type Waits map[int]int

// classOf is the class of a wait.
func classOf(m Millis) int {
	if m < 0 {
		m = 0
	}
	if m < 32 {
		return int(m)
	}
	exp := bits.Len64(uint64(m)) - 5
	return exp*16 + int(uint64(m)>>exp)
}

// middleOf is the middle of a class.
func middleOf(class int) Millis {
	if class < 32 {
		return Millis(class)
	}
	exp := class/16 - 1
	low := int64(class-exp*16) << exp
	return Millis(low + (int64(1)<<exp)/2)
}

func (w *Waits) count(m Millis) {
	if *w == nil {
		*w = Waits{}
	}
	(*w)[classOf(m)]++
}

func (w *Waits) add(o Waits) {
	if *w == nil && len(o) > 0 {
		*w = make(Waits, len(o))
	}
	for class, n := range o {
		(*w)[class] += n
	}
}

// Quantile is the wait that a share q of all waits does not exceed; zero for no waits.
func (w Waits) Quantile(q float64) Millis {
	total, last := 0, 0
	for class, n := range w {
		total += n
		last = max(last, class)
	}
	if total == 0 {
		return 0
	}
	rank := int(q*float64(total) + 0.5)
	seen := 0
	for class := 0; class <= last; class++ {
		if seen += w[class]; seen >= max(rank, 1) {
			return middleOf(class)
		}
	}
	return middleOf(last)
}

// mostClass is the class of the longest time there is.
const mostClass = 58*16 + 31

// UnmarshalJSON reads what was stored, and nothing else.
func (w *Waits) UnmarshalJSON(b []byte) error {
	var raw map[int]int
	if err := json.Unmarshal(b, &raw); err != nil {
		return fmt.Errorf("waits: %w", err)
	}
	for class, n := range raw {
		if class < 0 || class > mostClass || n < 0 {
			return fmt.Errorf("waits: %d in class %d", n, class)
		}
	}
	*w = raw
	return nil
}
