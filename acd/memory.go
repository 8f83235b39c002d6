package acd

import (
	"slices"
	"time"
)

// What the floor remembers of calls that are over, for some time: who talked with
// a caller last, and the place of a caller who left.

// recent keeps values by a caller's number for a time, the oldest forgotten first.
type recent[T any] struct {
	of map[string]kept[T]
	// order is all that was put and forgotten, oldest first. Nothing in it is ever
	// changed, so that an image may share it (image.go).
	order []stamp[T]
	over  uint64 // how many have left the front of order
}

type kept[T any] struct {
	at     time.Time
	value  T
	number uint64 // its place among all that ever was in order
}

type stamp[T any] struct {
	key   string
	at    time.Time
	value T
	gone  bool // what the key had is forgotten
}

// mostRecent bounds what is remembered, whatever the configuration says.
const mostRecent = 500_000

func (m *recent[T]) put(key string, at time.Time, keep time.Duration, value T) {
	m.note(stamp[T]{key: key, at: at, value: value})
	for len(m.order) > mostRecent || at.Sub(m.order[0].at) > keep {
		old := m.order[0]
		if k, there := m.of[old.key]; there && k.number == m.over {
			delete(m.of, old.key)
		}
		m.order = m.order[1:]
		m.over++
	}
}

// note adds to the order, and does what it says.
func (m *recent[T]) note(s stamp[T]) {
	if m.of == nil {
		m.of = map[string]kept[T]{}
	}
	if s.gone {
		delete(m.of, s.key)
	} else {
		m.of[s.key] = kept[T]{s.at, s.value, m.over + uint64(len(m.order))}
	}
	m.order = append(m.order, s)
}

// get is what is remembered, if it is not older than keep.
func (m *recent[T]) get(key string, now time.Time, keep time.Duration) (value T, ok bool) {
	k, there := m.of[key]
	return k.value, there && now.Sub(k.at) <= keep
}

func (m *recent[T]) forget(key string, now time.Time) {
	m.note(stamp[T]{key: key, at: now, gone: true})
}

// remember notes who talks with a caller: from the first word, and until some time
// after the last.
func (f *Floor) remember(c *call, a *agent) {
	if c.from != "" && f.stickiest > 0 {
		f.talked.put(c.from, f.now, f.stickiest, a.id)
	}
}

// leaves notes the place of a caller who hangs up while waiting.
func (f *Floor) leaves(c *call, cause Cause) {
	if keep := c.line.cfg.Return; keep > 0 && c.from != "" && cause == CauseAbandoned {
		f.left.put(placeKey(c.line.cfg.ID, c.from), f.now, f.longestReturn, c.turn)
	}
}

// returned gives a caller the place they had, if they left a moment ago or were
// to be called back. The callback that this makes needless is returned.
func (f *Floor) returned(c *call, l *line) (needless *call) {
	if c.from == "" {
		return nil
	}
	key := placeKey(l.cfg.ID, c.from)
	if old := f.promised[key]; old != nil && (old.state == CallLater || old.state == CallWaiting) && !old.back.present {
		if old.turn.Before(c.turn) { // else it was for later: they are earlier than that
			c.turn = old.turn
		}
		return old
	}
	if turn, ok := f.left.get(key, f.now, l.cfg.Return); ok && l.cfg.Return > 0 {
		c.turn = turn
		f.left.forget(key, f.now)
	}
	return nil
}

// preferred lets a call wait for one agent: the one it names, or who talked with
// the caller last. Only one who is at work is worth waiting for.
func (f *Floor) preferred(c *call, l *line, named *agent) {
	a, wait := named, l.cfg.Prefer
	if a == nil && c.from != "" && l.cfg.LastAgent.Within > 0 {
		if id, ok := f.talked.get(c.from, f.now, l.cfg.LastAgent.Within); ok {
			a, wait = f.agents[id], l.cfg.LastAgent.Wait
		}
	}
	if a == nil || wait <= 0 || !a.state.atWork() || a.want != wantsCalls {
		return
	}
	if s := a.seatIn(l); s == nil || s.ring < 0 {
		return
	}
	c.prefer, c.held = a, f.now.Add(wait)
	a.awaited = append(a.awaited, c)
}

// unprefer lets anybody take a call.
func (f *Floor) unprefer(c *call) {
	c.held = time.Time{}
	a := c.prefer
	if a == nil {
		return
	}
	c.prefer = nil
	a.awaited = slices.DeleteFunc(a.awaited, func(x *call) bool { return x == c })
	if c.state == CallWaiting {
		f.freshen(c)
	}
	f.widen(c)
}
