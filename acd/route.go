package acd

import "time"

// Routes say which queue a called number leads to, and when. They are plain
// data: filled once with SetQueue and SetNumber, then only read, by any number
// of goroutines.
type Routes struct {
	Location  *time.Location // of the calendars; nil is UTC
	Calendars map[string]Calendar

	numbers map[string]QueueID
	queues  map[QueueID]opening
}

type opening struct {
	calendar string // "" is always open
	closedTo Target // who takes the calls while closed
}

// Route is where a number leads.
type Route struct {
	Queue QueueID // with CauseClosed the queue that is closed
	Cause Cause   // CauseUnknown: Queue takes the call; else CauseNumberUnknown or CauseClosed
	// Via is the queue the number names, if it is closed and another takes its calls.
	Via QueueID
	// To is where the calls of Queue go while it is closed, if to a number or to
	// voicemail.
	To Target
}

// SetQueue makes a queue known: the calendar it is open by ("" for always), and
// who takes its calls while it is closed (the zero Target for nobody).
func (r *Routes) SetQueue(q QueueID, calendar string, closedTo Target) {
	if r.queues == nil {
		r.queues = map[QueueID]opening{}
	}
	r.queues[q] = opening{calendar, closedTo}
}

// SetNumber makes a number, in E.164, lead to a queue.
func (r *Routes) SetNumber(number string, q QueueID) {
	if r.numbers == nil {
		r.numbers = map[string]QueueID{}
	}
	r.numbers[number] = q
}

// Route says where a call to number goes that arrives now.
func (r *Routes) Route(now time.Time, number string) Route {
	first, ok := r.numbers[number]
	if !ok {
		return Route{Cause: CauseNumberUnknown}
	}
	q := first
	for range len(r.queues) + 1 { // closed queues may lead to each other
		out := Route{Queue: q}
		if q != first {
			out.Via = first
		}
		if r.Open(now, q) {
			return out
		}
		to := r.queues[q].closedTo
		if to != (Target{}) && to.Queue == "" {
			out.Cause, out.To = CauseClosed, to
			return out
		}
		if q = to.Queue; q == "" {
			break
		}
	}
	return Route{Queue: first, Cause: CauseClosed}
}

// Open says whether a queue takes calls now. One that is not known does not, nor
// one whose calendar is not.
func (r *Routes) Open(now time.Time, q QueueID) bool {
	o, ok := r.queues[q]
	if !ok {
		return false
	}
	return r.Within(now, o.calendar)
}

// Within says whether a calendar is open now. "" is always open; one that is not
// known never is.
func (r *Routes) Within(now time.Time, calendar string) bool {
	if calendar == "" {
		return true
	}
	c, ok := r.Calendars[calendar]
	if !ok {
		return false
	}
	zone := r.Location
	if zone == nil {
		zone = time.UTC
	}
	return c.Open(now.In(zone))
}
