package config

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// target checks where a queue sends its callers. Where they cannot simply wait,
// noWait says why.
func (k *checker) target(q *Queue, to *Target, noWait string) {
	at := k.at[to]
	if number, ok := to.Number(); ok {
		k.callable(at, number)
		return
	}
	id, ok := to.Queue()
	switch {
	case !ok && *to == Wait && noWait != "":
		k.errorf(at, "%s", noWait)
	case ok && !k.queues[id] && strings.Trim(id, "0123456789 .") == "":
		k.errorf(at, "queue %q is not defined; a number is written in E.164, such as +33170000001", id)
	case ok && !k.queues[id] && id == "callback":
		k.errorf(at, "a callback is offered, not a place to send callers to: write offer: callback in an overflow step")
	case ok && !k.queues[id]:
		known := append(slices.Sorted(maps.Keys(k.queues)), string(Hangup), string(Voicemail))
		if noWait == "" {
			known = append(known, string(Wait))
		}
		k.errorf(at, "queue %q is not defined%s", id, meant(id, known))
	case ok && id == q.ID:
		k.errorf(at, "queue %q sends its callers to itself", id)
	}
}

// callable checks that a number can be called at all.
func (k *checker) callable(at place, number string) {
	switch r := k.c.RouteTo(number); {
	case r == nil:
		k.errorf(at, "no outbound route fits %s: it would never be called; add one to outbound_routes", number)
	case r.Action == Deny:
		k.errorf(at, "outbound_routes[%s] denies %s: it would never be called", r.Match, number)
	case !r.Allows(ForClients):
		k.errorf(at, "outbound_routes[%s] is for %s only: %s would never be called for a queue; add client to allow_roles", r.Match, strings.Join(r.AllowRoles, " and "), number)
	default:
		if kind, least := Costly(number); kind != "" && r.Fit(number) < least {
			k.errorf(at, "outbound_routes[%s] does not name %s (%s): it would never be called; add a route for %s or the beginning of it", r.Match, number, kind, number)
		}
	}
}

func (k *checker) checkOverflow(q *Queue) {
	left := k.leftAfter(q)
	for i := range q.Overflow {
		o := &q.Overflow[i]
		_, to := k.at[&o.To]
		_, widen := k.at[&o.WidenTo]
		_, offer := k.at[&o.Offer]
		if has := notOne(to, widen, offer); has != "" {
			k.errorf(k.at[o], "queues[%s].overflow[%d] needs one of \"to\", \"widen_to\" and \"offer\"; it has %s", q.ID, i+1, has)
		}
		if i > 0 && o.After > 0 && o.After <= q.Overflow[i-1].After {
			k.errorf(k.at[&o.After], "overflow steps must be in order of \"after\"; %s is not later than %s", o.After, q.Overflow[i-1].After)
		} else if left != nil && i > 0 && left == &q.Overflow[i-1] {
			k.warnf(k.at[&o.After], "this overflow step is never reached: the caller has left queue %q at the one before", q.ID)
		}
		k.target(q, &o.To, "an overflow step leads away from the queue, not to wait")
		k.checkWiden(q, o)
		if offer && q.Callback == nil {
			k.errorf(k.at[&o.Offer], "queue %q offers a callback but has no \"callback\" section to say how it is made", q.ID)
		}
	}
}

// notOne is how many of three keys were given, in words; nothing when it is one.
func notOne(a, b, c bool) string {
	n := 0
	for _, given := range []bool{a, b, c} {
		if given {
			n++
		}
	}
	return [...]string{"none", "", "two", "all"}[n]
}

// leaves says whether a step takes every caller away. A queue with doors may
// refuse them; then they stay, and come to the next step.
func (k *checker) leaves(o *Overflow) bool {
	id, isQueue := o.To.Queue()
	if !isQueue {
		return o.To != ""
	}
	t := k.queueOf[id]
	return t != nil && t.Full == nil && t.NoneReady.To == Wait && t.Empty.To == Wait
}

func (k *checker) checkWiden(q *Queue, o *Overflow) {
	if at, given := k.at[&o.WidenTo]; given && len(o.WidenTo) == 0 {
		k.errorf(at, "widen_to names no queue")
	}
	for j := range o.WidenTo {
		id := &o.WidenTo[j]
		k.refer(id, "queue", "queues", k.queues)
		switch {
		case *id == q.ID:
			k.errorf(k.at[id], "queue %q is widened to itself", q.ID)
		case slices.Contains(o.WidenTo[:j], *id):
			k.errorf(k.at[id], "queue %q stands twice", *id)
		}
	}
}

func (k *checker) checkDoors(q *Queue) {
	if q.Full != nil {
		k.target(q, &q.Full.To, "queues["+q.ID+"].full.to cannot be wait: the line is full")
		k.checkFarewell(&q.Full.Prompt, q.Full.To)
	}
	k.target(q, &q.NoneReady.To, "")
	k.checkFarewell(&q.NoneReady.Prompt, q.NoneReady.To)
	k.target(q, &q.Empty.To, "")
	k.checkFarewell(&q.Empty.Prompt, q.Empty.To)
	k.target(q, &q.Closed.To, "queues["+q.ID+"].closed.to cannot be wait: nobody comes")
	k.checkFarewell(&q.Closed.Prompt, q.Closed.To)
	if id, ok := q.Closed.To.Queue(); ok && id != q.ID && q.Calendar != "" {
		if t := k.queueOf[id]; t != nil && t.Calendar == q.Calendar {
			k.warnf(k.at[&q.Closed.To], "queue %q has the same calendar: it is closed whenever queue %q is", id, q.ID)
		}
	}
}

// checkFarewell checks the prompt a caller hears before they go where a door leads.
func (k *checker) checkFarewell(prompt *string, to Target) {
	k.prompt(prompt)
	if id, ok := to.Queue(); ok && k.queues[id] || to == Wait {
		k.warnf(k.at[prompt], "prompt %q is never said: callers wait on in a queue", *prompt)
	}
}

// shortestEvery is how often a caller may be told something: what is said takes
// some seconds.
const shortestEvery = 10 * time.Second

func (k *checker) checkAnnounce(q *Queue) {
	a := q.Announce
	if a == nil {
		return
	}
	if !a.Position && !a.EstimatedWait {
		k.errorf(k.at[&q.Announce], "queues[%s].announce says nothing: set \"position\" or \"estimated_wait\" to true", q.ID)
	}
	if at, given := k.at[&a.MaxError]; given && !a.EstimatedWait {
		k.errorf(at, "queues[%s].announce.max_error is about \"estimated_wait\", which is not true", q.ID)
	}
	if a.Every > 0 && a.Every < shortestEvery {
		k.errorf(k.at[&a.Every], "queues[%s].announce.every must be 0s, which is once, or at least %s, not %s: callers would hear nothing else", q.ID, shortestEvery, a.Every)
	}
}

func (k *checker) checkCallback(q *Queue) {
	b := q.Callback
	if b == nil {
		return
	}
	k.refer(&b.Hours, "calendar", "calendars", k.calendars)
	k.prompt(&b.Prompt)
	if !slices.ContainsFunc(k.c.OutboundRoutes, func(r OutboundRoute) bool { return r.Action == Allow }) {
		k.errorf(k.at[&q.Callback], "queue %q calls people back, but no number may be called: add their numbers to outbound_routes", q.ID)
	}
	own := k.c.Prompts.Dir != "" || slices.ContainsFunc(k.c.Prompts.Custom, func(p CustomPrompt) bool { return p.ID == b.Prompt })
	if b.Digit != "1" && b.Prompt == "callback-offer" && !own {
		k.warnf(k.at[&b.Digit], "the built-in prompt callback-offer says to press 1, not %s: give queues[%s].callback.prompt one of your own", b.Digit, q.ID)
	}
}
