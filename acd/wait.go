package acd

import "time"

// tempo is what a line has lately seen: how long contacts take, how long callers
// are patient, and how well the bands told them held. Sums are halved now and
// then, so that this morning weighs more than last week.
type tempo struct {
	handling, waiting time.Duration
	contacts, leavers int64

	told, inside int64 // callers who were told a band and then served; those served inside it
}

// halfAfter is the count at which what was seen so far begins to weigh half.
const halfAfter = 200

// firstHandle is the handle time assumed of a queue that has had no contact yet.
const firstHandle = 180 * time.Second

func (t *tempo) handled(d time.Duration) {
	t.handling += d
	if t.contacts++; t.contacts >= halfAfter {
		t.contacts, t.handling = t.contacts/2, t.handling/2
	}
}

// left and served see the time a caller has waited. All of it, over the number of
// those who gave up, is the mean patience (the estimator of Brown et al., 2005,
// for waits cut short by an answer).
func (t *tempo) left(d time.Duration) {
	t.leavers++
	t.waited(d)
}

func (t *tempo) served(c *call, at time.Time) {
	if c.back != nil || c.again {
		return
	}
	wait := at.Sub(c.asked)
	t.waited(wait)
	if c.told.high > 0 {
		t.told++
		if low := c.told.since.Sub(c.asked) + c.told.low; wait >= low && wait <= c.told.since.Sub(c.asked)+c.told.high {
			t.inside++
		}
		if t.told >= halfAfter {
			t.told, t.inside = t.told/2, t.inside/2
		}
	}
}

func (t *tempo) waited(d time.Duration) {
	t.waiting += d
	if t.leavers >= halfAfter {
		t.leavers, t.waiting = t.leavers/2, t.waiting/2
	}
}

// handle is the mean time of a contact, wrap-up included. The assumption weighs as
// much as one contact, so that the first, a wrong number say, does not decide alone.
func (t *tempo) handle() time.Duration {
	return (firstHandle + t.handling) / time.Duration(t.contacts+1)
}

// patience is the mean time after which a caller gives up; 0 when nobody has.
func (t *tempo) patience() time.Duration {
	if t.leavers == 0 {
		return 0
	}
	return t.waiting / time.Duration(t.leavers)
}

// expected is what a caller with so many before them still has to wait. An agent
// of k queues counts as a k-th of one in each.
func (l *line) expected(ahead int) (Estimate, bool) {
	p := Pace{Agents: float64(l.strength) / wholeAgent, Handle: l.tempo.handle(), Patience: l.tempo.patience()}
	return p.Wait(ahead)
}

// insideShare is the share of callers who should be served inside a band from the
// median to the 90th percentile.
const insideShare = 0.4

// fewTold is how many callers must have been told a band before its error says anything.
const fewTold = 30

// CalibrationError is how far the share of callers served inside the band they
// were first told strays from what it should be, 0 to 1.
func (t *tempo) calibrationError() float64 {
	if t.told == 0 {
		return 0
	}
	off := float64(t.inside)/float64(t.told) - insideShare
	return max(off, -off)
}

// announced is what a caller has been told.
type announced struct {
	next      time.Time // when they are told again; zero: never
	since     time.Time // of the first band
	low, high time.Duration
	latest    time.Duration // the upper end of the last band told
	at        time.Time     // when
}

// position is a call's place among those who wait in its queue: 1 is next.
func (c *call) position() int {
	i, there := c.line.waiting.find(c)
	if !there {
		return 0
	}
	return i + 1
}

// announce tells a caller their place and what they have to wait: a band, from
// the median to the 90th percentile, whose upper end never moves away from them
// once it was told. When that has passed, they hear of their place alone.
func (f *Floor) announce(c *call) {
	if c.told.next.IsZero() || c.told.next.After(f.now) {
		return
	}
	l, rule := c.line, &c.line.cfg.Announce
	c.told.next = time.Time{}
	if rule.Every > 0 {
		c.told.next = f.now.Add(rule.Every)
	}
	word := Announce{Call: c.id, Queue: l.cfg.ID}
	place := c.position()
	if rule.Position {
		word.Position = place
	}
	trusted := rule.MaxError <= 0 || l.tempo.told < fewTold || l.tempo.calibrationError() <= rule.MaxError
	if e, ok := l.expected(place - 1); rule.Wait && ok && trusted {
		word.Low, word.High = e.P50, e.P90
		if c.told.high > 0 {
			word.High = min(word.High, max(c.told.latest-f.now.Sub(c.told.at), 0))
			word.Low = min(word.Low, word.High)
		} else {
			c.told.since, c.told.low, c.told.high = f.now, word.Low, word.High
		}
		c.told.latest, c.told.at = word.High, f.now
	}
	if word.Position > 0 || word.High > 0 {
		f.emit(word)
	}
}
