package ledger

import (
	"errors"
	"maps"
	"slices"

	"foyer/acd"
	"foyer/acd/flat"
)

// Images of the books as they stand between two records: what a Fold and a Tally
// remember, so that both go on from there as if they had seen all that came before.
// Like those of the floor (acd.Image), each goes over its fields in one function for
// both ways, and TestEveryFieldIsInTheImage asks for those that are new.

// imageVersion is the form of both. One of another version is not read.
const imageVersion = 1

// ErrImage: these bytes are no image of the books, or one of another version.
var ErrImage = errors.New("no image of the books that can be read")

// painter goes over a Fold or a Tally.
type painter struct {
	*flat.Form
	now     Instant // near which the others are
	stories []*story
	rows    []*row
	place   map[*row]int // in rows, from 1
}

func newPainter(f *flat.Form) (*painter, bool) {
	version := uint64(imageVersion)
	flat.Number(f, &version)
	return &painter{Form: f}, version == imageVersion
}

// Freeze writes down what the Fold remembers.
func (f *Fold) Freeze() []byte {
	p, _ := newPainter(flat.Writing(make([]byte, 0, 1<<10+512*len(f.open))))
	f.flat(p)
	return p.Bytes()
}

// ThawFold makes a Fold of what Freeze wrote.
func ThawFold(image []byte) (*Fold, error) {
	f := NewFold()
	return f, thaw(image, f.flat)
}

// thaw reads an image into what goes over itself.
func thaw(image []byte, into func(*painter)) error {
	p, known := newPainter(flat.Reading(image))
	if known {
		into(p)
	}
	if err := p.End(); err != nil || !known {
		return errors.Join(ErrImage, err)
	}
	return nil
}

// Freeze writes down what the Tally remembers, but for its schedule.
func (t *Tally) Freeze() ([]byte, error) {
	p, _ := newPainter(flat.Writing(make([]byte, 0, 1<<10+64*len(t.rows)+64*len(t.calls))))
	t.flat(p)
	return p.Bytes(), p.Err()
}

// ThawTally makes a Tally of what Freeze wrote. Its quarter goes on with the shifts it
// began with; the schedule is that of the next ones.
func ThawTally(image []byte, s Schedule) (*Tally, error) {
	t := NewTally(s)
	return t, thaw(image, t.flat)
}

// keyed goes over a map: every key, and what stands there.
func keyed[K ~string, V any](p *painter, m map[K]V, value func(K, *V)) {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	flat.List(p.Form, &keys, func(k *K) {
		flat.Text(p.Form, k)
		v := m[*k]
		value(*k, &v)
		m[*k] = v
	})
}

func (r *rules) flat(p *painter) {
	flat.Text(p.Form, &r.client)
	flat.Number(p.Form, &r.within)
	flat.Number(p.Form, &r.short)
}

func (f *Fold) flat(p *painter) {
	p.instant(&f.alive)
	p.now = f.alive
	keyed(p, f.queues, func(_ acd.QueueID, r *rules) { r.flat(p) })
	place := make(map[*story]int, len(f.open)+len(f.wrapping))
	add := func(s *story) {
		if _, twice := place[s]; !twice {
			p.stories = append(p.stories, s)
			place[s] = len(p.stories)
		}
	}
	for _, s := range f.open {
		add(s)
	}
	for _, s := range f.wrapping {
		add(s)
	}
	flat.List(p.Form, &p.stories, func(s **story) {
		if p.Reads() {
			*s = &story{}
		}
		(*s).flat(p)
	})
	known := func(s **story) {
		n := place[*s]
		if flat.Number(p.Form, &n); n < 1 || n > len(p.stories) {
			p.Fail("no story %d", n)
			return
		}
		*s = p.stories[n-1]
	}
	keyed(p, f.open, func(_ acd.CallID, s **story) { known(s) })
	keyed(p, f.wrapping, func(_ acd.AgentID, s **story) { known(s) })
}

func (s *story) flat(p *painter) {
	s.cdr.flat(p)
	flat.List(p.Form, &s.segments, func(g *Segment) { g.flat(p) })
	p.instant(&s.latest)
	flat.Number(p.Form, &s.holders)
	for _, b := range []*bool{&s.ended, &s.closed, &s.rejected, &s.message} {
		p.Bool(b)
	}
	flat.Number(p.Form, &s.by)
	flat.Number(p.Form, &s.cause)
	flat.Number(p.Form, &s.refused)
	flat.Number(p.Form, &s.settled)
	flat.Number(p.Form, &s.settledBy)
}

// instant goes over a moment, counted from the newest record; 0 stands for never.
func (p *painter) instant(i *Instant) {
	n := *i
	if !p.Reads() && n != 0 {
		if n -= p.now; n >= 0 {
			n++
		}
	}
	if flat.Number(p.Form, &n); !p.Reads() {
		return
	}
	switch {
	case n == 0:
		*i = 0
	case n > 0:
		*i = p.now + n - 1
	default:
		*i = p.now + n
	}
}

func (c *CDR) flat(p *painter) {
	for _, s := range []*string{
		&c.ID, &c.Client, &c.DID, &c.Direction, &c.From, &c.To, &c.Queue, &c.Trunk, &c.WrapUpCode, &c.WrapUpNote, &c.DivertedTo, &c.TransferTo,
		&c.Callback, &c.Origin, &c.Agent, (*string)(&c.Outcome), &c.EndedBy, &c.Cause, &c.SIPCallID, &c.RecordingID, &c.Codec, &c.Transport, &c.SRTP,
	} {
		flat.Text(p.Form, s)
	}
	flat.List(p.Form, &c.Agents, func(s *string) { flat.Text(p.Form, s) })
	for _, i := range []*Instant{&c.Started, &c.Answered, &c.Ended} {
		p.instant(i)
	}
	for _, m := range []*Millis{&c.QueuedFor, &c.RungFor, &c.TalkedFor, &c.HeldFor, &c.DivertedFor, &c.WrappedUpIn, &c.Duration, &c.RecordedFor} {
		flat.Number(p.Form, m)
	}
	flat.Number(p.Form, &c.SIPCode)
	flat.Number(p.Form, &c.Q850)
	p.Bool(&c.ServiceLevelMet)
	for _, v := range []*float64{&c.MOSMin, &c.LossRatio, &c.JitterMS} {
		p.Float(v)
	}
	optional(p, &c.Quality, func(q *QualityByLeg) {
		optional(p, &q.Caller, func(q *acd.Quality) { p.quality(q) })
		optional(p, &q.Agent, func(q *acd.Quality) { p.quality(q) })
	})
}

// optional goes over what may be missing.
func optional[T any](p *painter, v **T, each func(*T)) {
	there := *v != nil
	if p.Bool(&there); !there {
		return
	}
	if p.Reads() {
		*v = new(T)
	}
	each(*v)
}

func (p *painter) quality(q *acd.Quality) {
	flat.Text(p.Form, &q.Codec)
	flat.Number(p.Form, &q.Packets)
	flat.Number(p.Form, &q.Lost)
	for _, v := range []*float64{&q.LossRatio, &q.JitterMS, &q.RTTMS, &q.MOS, &q.RemoteLossRatio} {
		p.Float(v)
	}
	flat.Text(p.Form, &q.SRTP)
}

func (g *Segment) flat(p *painter) {
	for _, s := range []*string{(*string)(&g.Kind), &g.Queue, &g.Agent, &g.By, &g.To, &g.Result, &g.Cause, &g.Code} {
		flat.Text(p.Form, s)
	}
	for _, i := range []*Instant{&g.Start, &g.End, &g.Alerted} {
		p.instant(i)
	}
	flat.Number(p.Form, &g.Duration)
	flat.Number(p.Form, &g.Offer)
	flat.Number(p.Form, &g.SIPCode)
}

func (t *Tally) flat(p *painter) {
	p.instant(&t.now)
	p.now = t.now
	for _, i := range []*Instant{&t.life, &t.start, &t.covered} {
		p.instant(i)
	}
	keyed(p, t.queues, func(_ acd.QueueID, r *rules) { r.flat(p) })
	t.flatShifts(p)
	p.rows, p.place = slices.Collect(maps.Values(t.rows)), make(map[*row]int, len(t.rows))
	for i, r := range p.rows {
		p.place[r] = i + 1
	}
	flat.List(p.Form, &p.rows, func(r **row) {
		if p.Reads() {
			*r = &row{}
		}
		(*r).flat(p)
	})
	if p.Reads() {
		for _, r := range p.rows {
			t.rows[rowKey{r.Start, r.Subject, r.ID, r.Client}] = r
			if r.listed {
				t.late = append(t.late, r)
			}
		}
	}
	keyed(p, t.calls, func(_ acd.CallID, c **contact) {
		if p.Reads() {
			*c = &contact{}
		}
		(*c).flat(p)
	})
	keyed(p, t.agents, func(_ acd.AgentID, w **worker) {
		if p.Reads() {
			*w = &worker{}
		}
		(*w).flat(p)
	})
}

func (t *Tally) flatShifts(p *painter) {
	there := t.shifts != nil
	if p.Bool(&there); !there {
		return
	}
	if p.Reads() {
		t.shifts = map[acd.AgentID][]Shift{}
	}
	keyed(p, t.shifts, func(id acd.AgentID, list *[]Shift) {
		flat.List(p.Form, list, func(s *Shift) {
			s.Agent = id
			p.instant(&s.From)
			p.instant(&s.To)
		})
	})
}

func (r *row) flat(p *painter) {
	p.instant(&r.Start)
	p.instant(&r.Life)
	flat.Text(p.Form, &r.Subject)
	flat.Text(p.Form, &r.ID)
	flat.Text(p.Form, &r.Client)
	optional(p, &r.Queue, func(q *QueueCounts) { q.flat(p) })
	optional(p, &r.Agent, func(a *AgentCounts) { a.flat(p) })
	if r.Queue == nil && (r.Agent == nil || r.Subject == OfQueue) {
		p.Fail("a row counts nothing")
	}
	flat.Number(p.Form, &r.users)
	p.Bool(&r.listed)
}

func (q *QueueCounts) flat(p *painter) {
	for _, n := range []*int{
		&q.Offered, &q.Answered, &q.AnsweredWithin, &q.Abandoned, &q.AbandonedWithin, &q.AbandonedLater, &q.ShortAbandoned,
		&q.Overflowed, &q.Refused, &q.Callbacks, &q.Failed, &q.Handled,
	} {
		flat.Number(p.Form, n)
	}
	for _, m := range []*Millis{&q.WaitAnswered, &q.WaitAll, &q.WaitMost, &q.Talked, &q.Held, &q.WrappedUp, &q.Within, &q.Short} {
		flat.Number(p.Form, m)
	}
	classes := slices.Collect(maps.Keys(q.Waits))
	flat.List(p.Form, &classes, func(class *int) {
		flat.Number(p.Form, class)
		n := q.Waits[*class]
		flat.Number(p.Form, &n)
		if p.Reads() && q.Waits == nil {
			q.Waits = Waits{}
		}
		q.Waits[*class] = n
	})
}

func (a *AgentCounts) flat(p *painter) {
	for _, n := range []*int{&a.Offers, &a.Accepted, &a.Declined, &a.Missed, &a.Unreachable, &a.Withdrawn, &a.Handled} {
		flat.Number(p.Form, n)
	}
	for _, m := range []*Millis{&a.Paused, &a.Idle, &a.Rung, &a.Talked, &a.Held, &a.WrappedUp, &a.Scheduled, &a.Adhered} {
		flat.Number(p.Form, m)
	}
}

// rowOf goes over the name of a row that may be none.
func (p *painter) rowOf(r **row, subject Subject) {
	n := p.place[*r]
	if *r != nil && n == 0 {
		p.Fail("a row of %s is not kept", (*r).ID)
	}
	if flat.Number(p.Form, &n); n == 0 || !p.Reads() {
		return
	}
	if n < 0 || n > len(p.rows) || p.rows[n-1].Subject != subject {
		p.Fail("no row %d of a %s", n, subject)
		return
	}
	*r = p.rows[n-1]
}

// someRow is rowOf where there must be one.
func (p *painter) someRow(r **row, subject Subject) {
	if p.rowOf(r, subject); *r == nil {
		p.Fail("no row of a %s", subject)
	}
}

func (c *contact) flat(p *painter) {
	p.Bool(&c.arrived)
	optional(p, &c.stay, func(s *stay) {
		p.someRow(&s.row, OfQueue)
		flat.Text(p.Form, &s.queue)
		p.instant(&s.entered)
		flat.Number(p.Form, &s.within)
		flat.Number(p.Form, &s.short)
	})
	flat.List(p.Form, &c.rings, func(r *ringing) {
		flat.Number(p.Form, &r.offer)
		flat.Text(p.Form, &r.agent)
		p.someRow(&r.row, OfAgent)
	})
	flat.Number(p.Form, &c.holders)
	flat.Number(p.Form, &c.refused)
	flat.Text(p.Form, &c.agent)
	flat.Number(p.Form, &c.offer)
	p.instant(&c.joined)
	p.Bool(&c.counted)
}

func (w *worker) flat(p *painter) {
	p.instant(&w.since)
	flat.Number(p.Form, &w.doing)
	flat.Number(p.Form, &w.state)
	flat.Text(p.Form, &w.call)
	p.rowOf(&w.row, OfQueue)
}
