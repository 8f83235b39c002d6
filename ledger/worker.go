package ledger

import "foyer/acd"

// worker is an agent who is logged in, and what their time is counted as.
type worker struct {
	since Instant // counted up to here
	doing activity
	state acd.AgentState
	call  acd.CallID
	row   *row // of the queue whose call it is; nil when it is none
}

// moved follows an agent from one state to another.
func (t *Tally) moved(m acd.Moved) {
	w := t.agents[m.Agent]
	to := activityOf(m.To)
	if w == nil {
		if to == away {
			return
		}
		w = &worker{since: t.now}
		t.agents[m.Agent] = w
	}
	t.credit(m.Agent, w, t.now)
	about := w.row
	switch c := t.calls[m.Call]; {
	case !to.concerns():
		about = nil
	case c != nil && c.stay != nil:
		about = c.stay.row
	case m.Call != w.call:
		about = nil // a call we know nothing of
	}
	t.workOn(w, about)
	w.doing, w.state, w.call = to, m.To, m.Call
	if to == away {
		delete(t.agents, m.Agent)
		return
	}
	t.overlay(w)
}

// workOn changes the row an agent's work counts in.
func (t *Tally) workOn(w *worker, r *row) {
	if r == w.row {
		return
	}
	if r != nil {
		r.users++
	}
	if w.row != nil {
		t.release(w.row)
	}
	w.row = r
}

// hold changes who holds a connected call, and with it what its agent does.
func (t *Tally) hold(c *contact, change func(*contact)) {
	if c == nil || c.agent == "" {
		return
	}
	change(c)
	if w := t.agents[c.agent]; w != nil && t.calls[w.call] == c {
		t.credit(c.agent, w, t.now)
		t.overlay(w)
	}
}

// overlay tells talking from holding for a floor that has no state for it: what an
// agent says is in their state goes before it.
func (t *Tally) overlay(w *worker) {
	if w.state != acd.Talking {
		return
	}
	w.doing = talking
	if c := t.calls[w.call]; c != nil && c.holders != 0 {
		w.doing = holding
	}
}

// credit counts an agent's time up to a moment of this quarter.
func (t *Tally) credit(id acd.AgentID, w *worker, at Instant) {
	spent := Span(w.since, at)
	if spent <= 0 {
		return
	}
	since := w.since
	w.since = at
	client := ""
	if w.row != nil {
		client = w.row.Client
	}
	a := t.agentRow(id, client).Agent
	switch w.doing {
	case paused:
		a.Paused += spent
	case idle:
		a.Idle += spent
	case rung:
		a.Rung += spent
	case talking:
		a.Talked += spent
	case holding:
		a.Held += spent
	case wrapping:
		a.WrappedUp += spent
	}
	if w.doing.handling() && w.row != nil {
		q := w.row.Queue
		switch w.doing {
		case talking:
			q.Talked += spent
		case holding:
			q.Held += spent
		case wrapping:
			q.WrappedUp += spent
		}
		t.touch(w.row)
	}
	if w.doing.works() {
		for _, s := range t.shifts[id] {
			if d := overlap(since, at, s.From, s.To); d > 0 {
				t.agentRow(id, "").Agent.Adhered += d
			}
		}
	}
}
