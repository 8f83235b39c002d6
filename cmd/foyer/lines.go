package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"foyer/acd"
	"foyer/console"
)

// Queues, who waits in them and who will be called back, as the console shows them.

// Queues lists every queue.
func (d *desk) Queues(ctx context.Context) []console.QueueView {
	p := d.ex.plan.Load()
	var list []console.QueueView
	now := time.Now()
	snap := d.ex.board.snapshot(ctx)
	promises := countCallbacks(snap.Calls)
	for _, q := range snap.Queues {
		known, cfg := p.queues[q.ID], p.queueConfig(q.ID)
		v := console.QueueView{
			ID: string(q.ID), Client: string(q.Client), Label: known.label, Open: p.open(now, q.ID), Strategy: q.Strategy.String(),
			Waiting: q.Waiting, OldestWaitS: q.OldestWait.Seconds(), Ready: q.Ready, LoggedIn: q.LoggedIn,
			Offered: q.Offered, Answered: q.Answered, AnsweredWithin: q.AnsweredWithin,
			Abandoned: q.Abandoned, ShortAbandoned: q.ShortAbandoned, Overflowed: q.Overflowed,
			WithinS: known.within.Seconds(), ServiceLevel: p.serviceLevel(q),
			Expected:  console.ExpectedWait{Known: q.Known, P50S: q.Wait.P50.Seconds(), P90S: q.Wait.P90.Seconds(), Error: q.CalibrationError, Told: q.Told},
			Callbacks: console.CallbackCount{Open: q.Callable, Asked: q.Callbacks},
		}
		n := promises[q.ID]
		v.Callbacks.Waiting, v.Callbacks.Calling, v.Callbacks.Later = n["waiting"], n["calling"], n["later"]
		if cfg != nil {
			v.Formula, v.Callbacks.Taken = cfg.ServiceLevel.Formula, cfg.Callback != nil
		}
		if q.Handled > 0 {
			mean := q.HandleTime.Seconds() / float64(q.Handled)
			v.HandleS = &mean
		}
		list = append(list, v)
	}
	return list
}

// serviceLevel is the share of calls answered in time since the start, by the
// queue's formula; nil when there is none or nothing to count.
func (p *plan) serviceLevel(q acd.QueueView) *float64 {
	cfg := p.queueConfig(q.ID)
	if cfg == nil || cfg.ServiceLevel.Within <= 0 {
		return nil
	}
	n := q.Answered + q.Abandoned
	if cfg.ServiceLevel.Formula == excludeShort {
		n -= q.ShortAbandoned
	}
	if n == 0 {
		return nil
	}
	level := float64(q.AnsweredWithin) / float64(n)
	return &level
}

// excludeShort is the formula that leaves out who gave up at once.
const excludeShort = "exclude_short"

// countCallbacks counts the promises to call back of each queue by state.
func countCallbacks(calls []acd.CallView) map[acd.QueueID]map[string]int {
	n := map[acd.QueueID]map[string]int{}
	for _, c := range calls {
		if state := callbackState(c); state != "" {
			if n[c.Queue] == nil {
				n[c.Queue] = map[string]int{}
			}
			n[c.Queue][state]++
		}
	}
	return n
}

// Waiting lists the calls of a queue that no agent has answered.
func (d *desk) Waiting(ctx context.Context, queue string) []console.WaitingCall {
	snap := d.ex.board.snapshot(ctx)
	var list []console.WaitingCall
	for _, c := range snap.Calls {
		if string(c.Queue) != queue || c.State != acd.CallWaiting && c.State != acd.CallRinging {
			continue
		}
		v := console.WaitingCall{
			ID: string(c.ID), Position: c.Position, From: c.Callback, Arrived: c.Arrived, WaitedS: snap.At.Sub(c.Arrived).Seconds(),
			Callback: c.Callback != "", Wanted: string(c.Wanted), Ringing: idsOf(c.Ringing), Relaxed: c.Relaxed,
		}
		if card := d.ex.calls.card(c.ID); card != nil {
			v.From = card.from
		}
		list = append(list, v)
	}
	slices.SortStableFunc(list, func(a, b console.WaitingCall) int { return cmp.Compare(a.Position, b.Position) })
	return list
}

// Callbacks lists the promises to call back that are not kept yet: those being
// made, then by place, then those whose time has not come.
func (d *desk) Callbacks(ctx context.Context) []console.CallbackView {
	p := d.ex.plan.Load()
	var list []console.CallbackView
	for _, c := range d.ex.board.snapshot(ctx).Calls {
		if callbackState(c) != "" {
			list = append(list, p.callbackView(c))
		}
	}
	order := []string{"calling", "waiting", "later"}
	slices.SortStableFunc(list, func(a, b console.CallbackView) int {
		return cmp.Or(
			cmp.Compare(slices.Index(order, a.State), slices.Index(order, b.State)),
			cmp.Compare(a.Position, b.Position), a.Since.Compare(b.Since))
	})
	return list
}

func (p *plan) callbackView(c acd.CallView) console.CallbackView {
	return console.CallbackView{
		ID: string(c.ID), Queue: string(c.Queue), Client: string(p.queues[c.Queue].client), Number: c.Callback,
		State: callbackState(c), Position: c.Position, Since: c.Turn, Attempts: c.Attempts,
		Due: momentOf(c.Due), Agent: string(c.Agent),
	}
}
