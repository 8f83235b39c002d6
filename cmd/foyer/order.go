package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/cmd/foyer/config"
	"foyer/console"
)

// What an operator or a supervisor orders from outside. Each order is judged on
// the board, so that nothing happens between the look at the floor and the event:
// whoever is told that it was carried out has not been overtaken.

// transferSoon is how long an order waits to learn what came of a transfer: one to a
// queue, or one that cannot be, is decided at once; a phone rings for longer.
const transferSoon = time.Second

// Transfer gives the caller of an agent to somebody else.
func (d *desk) Transfer(ctx context.Context, call, to, by string) (done bool, err error) {
	g, err := d.ex.plan.Load().goal(time.Now(), to)
	if err == nil && g.code != "" {
		err = errFeature
	}
	if err != nil {
		return false, &console.BadField{Field: "to", Value: to, Why: "The call cannot go to " + to + ": " + cause(err) + "."}
	}
	d.ex.log.Info("transfer by order", zap.String("call", call), zap.Stringer("to", &g), zap.String("by", by))
	went := make(chan error, 1)
	if !d.ex.calls.post(acd.CallID(call), orderedTransfer{g, went}) {
		return false, fmt.Errorf("call %s: %w", call, console.ErrNotFound)
	}
	soon := time.NewTimer(transferSoon)
	defer soon.Stop()
	select {
	case err := <-went:
		return err == nil, err
	case <-soon.C:
		return false, nil
	case <-ctx.Done():
		return false, errNotTaken
	}
}

// errNotTaken: the board is gone or did not come to it in time.
var errNotTaken = fmt.Errorf("the switch did not take the order: %w", console.ErrUnavailable)

// order lets judge look at the floor and takes the event it makes; an event
// without a Kind is none. Then see looks at what came of it.
func (b *board) order(ctx context.Context, judge func(f *acd.Floor) (acd.Event, error), see func(f *acd.Floor, now time.Time)) error {
	var err error
	heard := b.ask(ctx, func() {
		var ev acd.Event
		if ev, err = judge(b.floor); err != nil {
			return
		}
		if ev.Kind != 0 {
			b.take([]posted{{b.now().UnixNano(), ev}})
		}
		see(b.floor, b.now())
	})
	if !heard {
		return errNotTaken
	}
	b.snapMu.Lock()
	b.snap = acd.Snapshot{} // whoever gave an order sees what it did
	b.snapMu.Unlock()
	return err
}

// SetAgent carries out an order about an agent.
func (d *desk) SetAgent(ctx context.Context, id string, o console.AgentOrder) (console.AgentState, error) {
	return d.ex.setAgent(ctx, id, o, acd.Supervisor)
}

// setAgent carries out what a supervisor orders of an agent, or what they ask for
// themselves.
func (ex *exchange) setAgent(ctx context.Context, id string, o console.AgentOrder, by acd.Party) (after console.AgentState, err error) {
	agent := acd.AgentID(id)
	var wrapped acd.WrapView
	err = ex.board.order(ctx, func(f *acd.Floor) (acd.Event, error) {
		a, ok := f.Agent(agent, time.Time{})
		if !ok {
			return acd.Event{}, fmt.Errorf("agent %s: %w", id, console.ErrNotFound)
		}
		wrapped, _ = f.Wrapping(agent, acd.CallID(o.Call))
		ev, err := ex.judge(f, a, o)
		ev.By = by
		return ev, err
	}, func(f *acd.Floor, now time.Time) {
		if a, ok := f.Agent(agent, now); ok {
			after = stateOf(a)
		}
	})
	if err == nil {
		ex.log.Info("agent set by order", zap.String("agent", id), zap.String("order", o.Do), zap.String("by", o.By))
	}
	if err == nil && !o.CallbackAt.IsZero() {
		// Judged with the order; a promise that the number has already stands.
		_, _, err = (&desk{ex: ex}).AskCallback(ctx, console.CallbackOrder{Queue: string(wrapped.Queue), Number: wrapped.From, At: o.CallbackAt, By: o.By})
	}
	return after, err
}

// judge makes the event of an order, or says why it cannot be carried out.
func (ex *exchange) judge(f *acd.Floor, a acd.AgentView, o console.AgentOrder) (acd.Event, error) {
	ev := acd.Event{Agent: a.ID}
	switch o.Do {
	case "ready":
		ev.Kind = acd.MakeReady
	case "login":
		ev.Kind = acd.Login
	case "logout":
		ev.Kind = acd.Logout
	case "release":
		ev.Kind = acd.Release
	case "pause":
		ev.Kind, ev.Reason = acd.Pause, cmp.Or(o.Reason, bySupervisor)
		return ev, ex.plan.Load().checkPause(ev.Reason)
	case "wrapup", "extend":
		return ex.judgeWrapUp(f, a, o)
	default:
		return ev, fmt.Errorf("order %s: %w", o.Do, console.ErrNotFound)
	}
	return ev, nil
}

// judgeWrapUp looks at the wrap-up that an order wants ended or prolonged.
func (ex *exchange) judgeWrapUp(f *acd.Floor, a acd.AgentView, o console.AgentOrder) (acd.Event, error) {
	w, ok := f.Wrapping(a.ID, acd.CallID(o.Call))
	if !ok {
		why := fmt.Sprintf("%s is not wrapping up but %s.", a.ID, a.State)
		if o.Call != "" {
			why = fmt.Sprintf("%s is not wrapping up call %s.", a.ID, o.Call)
		}
		return acd.Event{}, &console.StateConflict{State: a.State.String(), Why: why}
	}
	ev := acd.Event{Kind: acd.Extend, Agent: a.ID, Call: w.Call}
	switch {
	case o.Do == "wrapup":
		ev.Kind, ev.Reason = acd.WrapUpDone, o.Code
		if o.Note != "" {
			ev.Facts = &acd.Facts{Note: o.Note}
		}
		return ev, ex.plan.Load().checkWrapUp(w, o)
	case w.Mode != acd.WrapExtendable:
		return ev, &console.StateConflict{State: a.State.String(), Why: fmt.Sprintf("A wrap-up of queue %s cannot be extended: it is %s.", w.Queue, w.Mode)}
	case w.Extensions == 0:
		return ev, &console.StateConflict{State: a.State.String(), Why: fmt.Sprintf("No extension of this wrap-up is left to %s.", a.ID)}
	}
	return ev, nil
}

func stateOf(a acd.AgentView) console.AgentState {
	return console.AgentState{
		State: a.State.String(), Reason: a.Reason, Since: a.Since, Next: a.Next.String(), NextReason: a.NextReason,
		Until: momentOf(a.Until), Extensions: a.Extensions,
	}
}

// momentOf is a time for JSON, which leaves out what is not there.
func momentOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// bySupervisor is the reason of a pause by order that names none.
const bySupervisor = "supervisor"

// byPhone is that of a pause that an agent dialled where no reasons are configured.
const byPhone = "phone"

// ownReasons are those of the switch and its console: nobody has to configure them.
func ownReasons() []string {
	return []string{acd.ReasonMissed, acd.ReasonLogin, bySupervisor, "console", byPhone}
}

// knowsPause says whether a reason is the switch's own or configured.
func (p *plan) knowsPause(reason string) bool {
	return slices.Contains(ownReasons(), reason) ||
		slices.ContainsFunc(p.floor.Reasons, func(r acd.Reason) bool { return r.ID == reason })
}

// checkPause says whether agents may be paused for a reason. Where none is
// configured, any will do.
func (p *plan) checkPause(reason string) error {
	if len(p.floor.Reasons) == 0 || p.knowsPause(reason) {
		return nil
	}
	known := []string{bySupervisor}
	for _, r := range p.floor.Reasons {
		known = append(known, r.ID)
	}
	return &console.BadField{Field: "reason", Value: reason, Known: known, Why: fmt.Sprintf("%q is not a reason of reasons.pause.", reason)}
}

// checkCode holds the code given for a wrap-up against those of its queue.
func (p *plan) checkCode(w acd.WrapView, code string) error {
	known := p.codes(w.Queue)
	switch {
	case code == "" && w.Mode == acd.WrapCoded:
		return &console.BadField{Field: "code", Known: known, Why: fmt.Sprintf("Queue %s wants a code for what came of the call.", w.Queue)}
	case code == "" || slices.Contains(known, code):
		return nil
	}
	return &console.BadField{Field: "code", Value: code, Known: known, Why: fmt.Sprintf("%q is not a wrap-up code of queue %s.", code, w.Queue)}
}

// checkWrapUp holds what an agent says of a call against what its queue asks of them.
func (p *plan) checkWrapUp(w acd.WrapView, o console.AgentOrder) error {
	if err := p.checkCode(w, o.Code); err != nil {
		return err
	}
	for _, code := range p.cfg.Reasons.WrapUp {
		switch {
		case code.ID != o.Code:
		case o.Note == "" && slices.Contains(code.Requires, "note"):
			return &console.BadField{Field: "note", Why: fmt.Sprintf("Code %s asks for a note about the call.", o.Code)}
		case o.CallbackAt.IsZero() && slices.Contains(code.Requires, "callback_at"):
			return &console.BadField{Field: "callback_at", Why: fmt.Sprintf("Code %s asks for when to call back.", o.Code)}
		}
	}
	if o.CallbackAt.IsZero() {
		return nil
	}
	if w.From == "" {
		return &console.BadField{Field: "callback_at", Value: o.CallbackAt.Format(time.RFC3339), Why: "The caller's number is not known: they cannot be called back."}
	}
	_, err := p.checkCallback(console.CallbackOrder{Queue: string(w.Queue), Number: w.From, At: o.CallbackAt}, time.Now())
	var bad *console.BadField
	if errors.As(err, &bad) {
		bad.Field = "callback_at" // the field that was given
	}
	return err
}

// furthest is how far ahead an appointment may lie: what the journal keeps, it can bring
// over a restart.
const furthest = journalAge

// checkCallback says whether somebody may be called back, and by which way.
func (p *plan) checkCallback(o console.CallbackOrder, now time.Time) (way, error) {
	at := o.At.Format(time.RFC3339)
	c := p.queueConfig(acd.QueueID(o.Queue))
	switch {
	case c == nil || c.Callback == nil:
		return way{}, &console.BadField{Field: "queue", Value: o.Queue, Why: "Nobody is called back by queue " + o.Queue + ": its configuration has no callback section."}
	case !o.At.IsZero() && o.At.Before(now):
		return way{}, &console.BadField{Field: "at", Value: at, Why: "The moment is over."}
	case o.At.After(now.Add(furthest)):
		return way{}, &console.BadField{Field: "at", Value: at, Why: fmt.Sprintf("The moment is more than %d days ahead.", int(furthest.Hours()/24))}
	}
	w, err := p.wouldDial(now, dialer{client: p.queues[acd.QueueID(o.Queue)].client}, o.Number)
	if err != nil {
		return w, &console.BadField{Field: "number", Value: o.Number, Why: "The number may not be called: " + cause(err) + "."}
	}
	return w, nil
}

// codes are what agents may say of a call of a queue.
func (p *plan) codes(id acd.QueueID) []string {
	if q := p.queueConfig(id); q != nil {
		return q.WrapUp.Codes
	}
	return nil
}

// queueConfig is a queue as configured; nil for one that is no more.
func (p *plan) queueConfig(id acd.QueueID) *config.Queue {
	for i := range p.cfg.Queues {
		if q := &p.cfg.Queues[i]; q.ID == string(id) {
			return q
		}
	}
	return nil
}

// AskCallback promises to call a number back.
func (d *desk) AskCallback(ctx context.Context, o console.CallbackOrder) (back console.CallbackView, fresh bool, err error) {
	if d.ex.draining.Load() {
		return back, false, fmt.Errorf("the switch is draining: %w", console.ErrUnavailable)
	}
	p := d.ex.plan.Load()
	q, served := p.queues[acd.QueueID(o.Queue)]
	if !served {
		return back, false, fmt.Errorf("queue %s: %w", o.Queue, console.ErrNotFound)
	}
	way, err := p.checkCallback(o, time.Now())
	if err != nil {
		return back, false, err
	}
	id := newCallID(time.Now())
	ev := acd.Event{
		Kind: acd.CallbackAsked, Call: id, Queue: acd.QueueID(o.Queue), Number: way.number, Since: o.At, By: acd.Supervisor,
		Facts: &acd.Facts{Client: q.client, DID: q.number, From: way.number},
	}
	err = d.ex.board.order(ctx, func(*acd.Floor) (acd.Event, error) { return ev, nil }, func(f *acd.Floor, now time.Time) {
		if c, ok := f.Promised(ev.Queue, ev.Number); ok {
			back, fresh = p.callbackView(c), c.ID == id
		}
	})
	if err == nil && back.ID == "" {
		err = fmt.Errorf("queue %s does not call back any more: %w", o.Queue, console.ErrUnavailable)
	}
	if fresh {
		d.ex.log.Info("callback asked by order", zap.String("call", back.ID), zap.String("queue", o.Queue), zap.String("by", o.By))
	}
	return back, fresh, err
}

// cause is the innermost error, which is the sentence for people.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// CancelCallback takes a promise back, and the phones off the hook that ring for it.
func (d *desk) CancelCallback(ctx context.Context, id, by string) error {
	call := acd.CallID(id)
	err := d.ex.board.order(ctx, func(f *acd.Floor) (acd.Event, error) {
		c, ok := f.Call(call)
		state := callbackState(c)
		switch {
		case !ok || c.Callback == "":
			return acd.Event{}, fmt.Errorf("callback %s: %w", id, console.ErrNotFound)
		case state == "":
			return acd.Event{}, &console.StateConflict{State: c.State.String(), Why: "The customer is on the line already: hang the call up to end it."}
		case state == "calling" && d.ex.calls.post(call, ordered{by: acd.Supervisor, cause: acd.CauseAdmin}):
			return acd.Event{}, nil // the call hangs its phones up and says that it is gone
		}
		return acd.Event{Kind: acd.Gone, Call: call, By: acd.Supervisor, Cause: acd.CauseAdmin}, nil
	}, func(*acd.Floor, time.Time) {})
	if err == nil {
		d.ex.log.Info("callback cancelled by order", zap.String("call", id), zap.String("by", by))
	}
	return err
}

// callbackState is how far a promise to call back has come; "" for what is none,
// or none any more because the customer is on the line.
func callbackState(c acd.CallView) string {
	switch {
	case c.Callback == "" || c.Present:
		return ""
	case c.State == acd.CallLater:
		return "later"
	case c.State == acd.CallWaiting:
		return "waiting"
	}
	return "calling"
}
