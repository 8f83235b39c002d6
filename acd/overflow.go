package acd

import (
	"slices"
	"time"
)

// emptyGrace is how long a queue may be without an agent before those already
// waiting in it are treated as its Empty door says, when the last agent was lost
// rather than logged out: one lost probe must not hang up on everybody.
const emptyGrace = 30 * time.Second

// nextStep is when the call takes its next overflow step; zero if there is none.
// A step needs some time, or two queues that overflow into each other would
// never finish. The promise of a callback is not broken by overflow.
func (c *call) nextStep() time.Time {
	if c.back != nil || c.step >= len(c.line.cfg.Overflow) {
		return time.Time{}
	}
	return c.entered.Add(max(c.line.cfg.Overflow[c.step].After, time.Millisecond))
}

// overflow takes the step that is due: to another queue, outside, or out. A
// caller is not sent from a queue where they may be served to one that would not
// keep them.
func (f *Floor) overflow(c *call) {
	step := c.line.cfg.Overflow[c.step]
	c.step++
	switch to := step.To; {
	case step.Offer:
		f.emit(OfferCallback{Call: c.id, Queue: c.line.cfg.ID})
	case to == Target{}:
		f.refuse(c, CauseMaxWait)
	case to.Queue == "":
		f.divert(c, to, CauseMaxWait)
	default:
		target := f.lines[to.Queue]
		if target == nil {
			return
		}
		if in := f.landing(target, c, true); in.line != nil && in.line != c.line {
			f.moveOn(c, in.line)
		}
	}
}

// moveOn moves a waiting call to another queue. It keeps its time of arrival,
// so its place among those who wait there is that of its whole wait.
func (f *Floor) moveOn(c *call, to *line) {
	from := c.line
	from.unwait(c)
	from.stats.Overflowed++
	f.unprefer(c)
	// Still waiting, but not here: the state does not change, the row does.
	f.settleIn(c, to)
	c.key = c.keyIn(to)
	to.wait(c)
	f.emit(Queued{Call: c.id, Queue: to.cfg.ID, From: from.cfg.ID})
	f.freshen(c)
	f.due.set(&c.due, f.callNext(c))
	f.leave(from)
}

// divert sends a call off the floor: to a number outside or a voicemail box.
func (f *Floor) divert(c *call, to Target, cause Cause) {
	f.emit(Divert{Call: c.id, Queue: c.line.cfg.ID, To: to, Cause: cause})
	c.line.stats.Overflowed++
	f.settle(c, cause, Switch)
}

// landing is where a call that comes to a queue ends up, by the rules of the doors.
type landing struct {
	line  *line  // waits here
	cause Cause  // else: why not
	to    Target // and where it goes instead; zero: nowhere
}

// landing follows the doors from l on. Only a call that is just coming meets the
// doors of a full line and of a line where nobody is ready.
func (f *Floor) landing(l *line, c *call, joining bool) landing {
	to := l
	for range f.order {
		d, cause := to.door(c, joining)
		switch {
		case d.Rule == Wait:
			return landing{line: to}
		case d.Rule == Deny, d.To == Target{}:
			return landing{cause: cause}
		case d.To.Queue == "":
			return landing{cause: cause, to: d.To}
		}
		next := f.lines[d.To.Queue]
		if next == nil {
			return landing{line: to}
		}
		to = next
	}
	return landing{line: l} // doors that lead to each other: wait here
}

// door is the door a call meets at a line, and why.
func (l *line) door(c *call, joining bool) (Door, Cause) {
	others := l.waiting.len()
	if c.line == l && c.state == CallWaiting {
		others--
	}
	free := 0 // agents whom it and others that are just coming will not wait for
	if joining && l.choose(c) != nil {
		free = l.free(c.relaxed)
	}
	switch q := &l.cfg; {
	case l.present() == 0 && q.Empty.Rule != Wait:
		return q.Empty, CauseNoAgents
	case !joining:
	case q.MaxWaiting > 0 && others >= q.MaxWaiting+free:
		if q.Full.Rule == Wait {
			return Door{Rule: Deny}, CauseFull
		}
		return q.Full, CauseFull
	case q.NoneReady.Rule != Wait && l.in[Ready] == 0 && free == 0:
		return q.NoneReady, CauseNoneReady
	}
	return Door{}, CauseUnknown
}

// shelter applies the doors of its queue to a call that waits in it.
func (f *Floor) shelter(c *call, joining bool) {
	in := f.landing(c.line, c, joining)
	switch {
	case in.line == c.line:
	case in.line != nil:
		f.moveOn(c, in.line)
	case in.to != Target{}:
		f.divert(c, in.to, in.cause)
	default:
		f.refuse(c, in.cause)
	}
}

// watchEmpty starts or stops the clock of a line whose agents come and go.
func (f *Floor) watchEmpty(l *line, cause Cause) {
	switch {
	case l.present() > 0 || l.cfg.Empty.Rule == Wait || l.waiting.len() == 0:
		f.due.unset(&l.due)
	case l.due.place != 0:
	case cause == CauseUnreachable:
		f.due.set(&l.due, f.now.Add(emptyGrace))
	default:
		f.due.set(&l.due, f.now)
	}
}

// expire: the line has been empty long enough.
func (l *line) expire(f *Floor) {
	if l.present() > 0 {
		return
	}
	for _, c := range slices.Clone(l.waiting.all()) {
		if c.back == nil {
			f.shelter(c, false)
		}
	}
}
