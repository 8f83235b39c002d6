package whatif

import (
	"container/heap"
	"time"

	"foyer/acd"
)

// plan is what somebody will do, unless it has become void by then.
type plan struct {
	at    time.Time
	order int
	ev    acd.Event
	still func() bool // nil: the floor sees for itself whether it is late
}

// agenda is a heap of plans, the nearest on top; what was planned first goes first.
type agenda []plan

func (a agenda) Len() int { return len(a) }

func (a agenda) Less(i, j int) bool {
	if n := a[i].at.Compare(a[j].at); n != 0 {
		return n < 0
	}
	return a[i].order < a[j].order
}

func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

func (a *agenda) Push(x any) { *a = append(*a, x.(plan)) }

func (a *agenda) Pop() any {
	last := len(*a) - 1
	p := (*a)[last]
	(*a)[last] = plan{}
	*a = (*a)[:last]
	return p
}

func (r *run) plan(after time.Duration, ev acd.Event, still func() bool) {
	r.plans++
	heap.Push(&r.due, plan{r.now.Add(after), r.plans, ev, still})
}
