package acd

import (
	"slices"
	"time"
)

// emptyGrace is how long a queue may be without an agent before those already
// waiting in it are treated as its EmptyRule says, when the last agent was lost
// rather than logged out: one lost probe must not hang up on everybody.
const emptyGrace = 30 * time.Second

// nextStep is when the call takes its next overflow step; zero if there is none.
// A step needs some time, or two queues that overflow into each other would
// never finish.
func (c *call) nextStep() time.Time {
	if c.step >= len(c.line.cfg.Overflow) {
		return time.Time{}
	}
	return c.entered.Add(max(c.line.cfg.Overflow[c.step].After, time.Millisecond))
}

// overflow takes the step that is due: to another queue, or out. A caller is not
// sent from a queue where they may be served to one that would refuse them.
func (f *Floor) overflow(c *call) {
	step := c.line.cfg.Overflow[c.step]
	c.step++
	if step.To == "" {
		f.refuse(c, CauseMaxWait)
		return
	}
	target := f.lines[step.To]
	if target == nil {
		return
	}
	if to, refused := f.landing(target); !refused && to != c.line {
		f.transfer(c, to)
	}
}

// transfer moves a waiting call to another queue. It keeps its time of arrival,
// so its place among those who wait there is that of its whole wait.
func (f *Floor) transfer(c *call, to *line) {
	from := c.line
	from.waiting.remove(c)
	from.stats.Overflowed++
	// Still waiting, but not here: the state does not change, the row does.
	c.line, c.entered, c.step = to, f.now, 0
	c.key = c.keyIn(to)
	to.calls++
	to.stats.Offered++
	to.waiting.add(c)
	f.emit(Queued{Call: c.id, Queue: to.cfg.ID, From: from.cfg.ID})
	f.freshen(c)
	f.due.set(&c.due, c.nextDue())
	f.leave(from)
}

// landing is where a call that comes to l ends up, by the rules of empty queues,
// and whether it is refused there.
func (f *Floor) landing(l *line) (to *line, refused bool) {
	to = l
	for range f.order {
		switch {
		case to.present() > 0 || to.cfg.Empty == EmptyWait:
			return to, false
		case to.cfg.Empty == EmptyRefuse:
			return to, true
		}
		next := f.lines[to.cfg.EmptyTo]
		if next == nil {
			return to, false
		}
		to = next
	}
	return l, false // empty queues that lead to each other: wait here
}

// shelter applies the rule of an empty queue to a call that waits in it.
func (f *Floor) shelter(c *call) {
	to, refused := f.landing(c.line)
	switch {
	case refused:
		f.refuse(c, CauseNoAgents)
	case to != c.line:
		f.transfer(c, to)
	}
}

// watchEmpty starts or stops the clock of a line whose agents come and go.
func (f *Floor) watchEmpty(l *line, cause Cause) {
	switch {
	case l.present() > 0 || l.cfg.Empty == EmptyWait || l.waiting.len() == 0:
		f.due.unset(&l.due)
	case l.due.place != 0:
	case cause == CauseUnreachable:
		f.due.set(&l.due, f.now.Add(emptyGrace))
	default:
		f.due.set(&l.due, f.now)
	}
}

// lineDue: the line has been empty long enough.
func (f *Floor) lineDue(l *line) {
	if l.present() > 0 {
		return
	}
	for _, c := range slices.Clone(l.waiting.all()) {
		f.shelter(c)
	}
}
