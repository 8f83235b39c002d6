package config

import (
	"maps"
	"regexp"
	"slices"
)

func (k *checker) checkQueue(q *Queue) {
	switch Target(q.ID) {
	case Hangup, Wait, "voicemail":
		k.errorf(k.at[&q.ID], "a queue cannot be called %q: the word has a meaning as a target", q.ID)
	}
	k.refer(&q.Client, "client", "clients", k.clients)
	for i := range q.Overflow {
		o := &q.Overflow[i]
		k.target(q, &o.To)
		if i > 0 && o.After > 0 && o.After <= q.Overflow[i-1].After {
			k.errorf(k.at[&o.After], "overflow steps must be in order of \"after\"; %s is not later than %s", o.After, q.Overflow[i-1].After)
		} else if i > 0 {
			k.warnf(k.at[&o.After], "this overflow step is never reached: the caller has left queue %q at the one before", q.ID)
		}
	}
	k.target(q, &q.Closed.To)
	if q.Closed.To == Wait {
		k.errorf(k.at[&q.Closed.To], "queues[%s].closed.to cannot be wait: nobody comes", q.ID)
	}
	k.target(q, &q.Empty.To)
	k.prompt(&q.Closed.Prompt)
	k.prompt(&q.Empty.Prompt)
}

// target checks where a queue sends its callers on to.
func (k *checker) target(q *Queue, to *Target) {
	id, ok := to.Queue()
	switch {
	case !ok && *to == Wait && to != &q.Empty.To && to != &q.Closed.To:
		k.errorf(k.at[to], "an overflow step leads to a queue or to hangup, not to wait")
	case ok && !k.queues[id]:
		hint := meant(id, append(slices.Sorted(maps.Keys(k.queues)), string(Hangup)))
		k.errorf(k.at[to], "queue %q is not defined%s", id, hint)
	case ok && id == q.ID:
		k.errorf(k.at[to], "queue %q sends its callers to itself", id)
	}
}

// e164 is + and a country code, at most 15 digits (ITU-T E.164 section 6).
var e164 = regexp.MustCompile(`^\+[1-9][0-9]{5,14}$`)

func (k *checker) checkNumbers() {
	clientOf := map[string]string{}
	for _, q := range k.c.Queues {
		clientOf[q.ID] = q.Client
	}
	first := map[string]place{}
	for i := range k.c.DIDs {
		d := &k.c.DIDs[i]
		at := k.at[&d.Number]
		switch was, again := first[d.Number]; {
		case d.Number == "":
			continue
		case again:
			k.errorf(at, "number %s is already defined at %s:%d", d.Number, was.file, was.line)
		case !e164.MatchString(d.Number):
			k.errorf(at, "number %q must be E.164: a plus sign, the country code and the number, such as +33170000001", d.Number)
		}
		first[d.Number] = at
		k.refer(&d.Client, "client", "clients", k.clients)
		k.refer(&d.To, "queue", "queues", k.queues)
		if of := clientOf[d.To]; k.clients[of] && k.clients[d.Client] && d.Client != of {
			k.warnf(k.at[&d.Client], "number %s is of client %q, but its queue %q is of client %q", d.Number, d.Client, d.To, of)
		}
		k.prompt(&d.Greeting)
	}
}
