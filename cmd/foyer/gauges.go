package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"foyer/acd"
)

// floor reads queues, agents and calls.
func (g *gauges) floor(ch chan<- prometheus.Metric, send sender) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	snap, p := g.ex.board.snapshot(ctx), g.ex.plan.Load()
	promises, now := countCallbacks(snap.Calls), time.Now()
	for _, q := range snap.Queues {
		send.counts(q)
		g.service(p, q, send)
		ch <- prometheus.MustNewConstSummary(g.desc["queue_handle_seconds"], q.Handled, q.HandleTime.Seconds(), nil, string(q.ID), string(q.Client))
		send("queue_open", truth(p.open(now, q.ID)), string(q.ID))
		for _, state := range []string{"waiting", "calling", "later"} {
			send("queue_callbacks", float64(promises[q.ID][state]), string(q.ID), state)
		}
	}
	calls := map[acd.CallState]int{}
	for _, c := range snap.Calls {
		calls[c.State]++
	}
	for s, n := range calls {
		send("calls_active", float64(n), s.String())
	}
	p.agentTimes(snap, send)
	send("agents_alg_suspected", float64(g.ex.homes.suspected(now)))
}

// sender gives a metric its value.
type sender func(name string, v float64, labels ...string)

func (send sender) counts(q acd.QueueView) {
	queue, client := string(q.ID), string(q.Client)
	send("queue_waiting", float64(q.Waiting), queue, client)
	send("queue_oldest_wait_seconds", q.OldestWait.Seconds(), queue, client)
	send("queue_offered_total", float64(q.Offered), queue, client)
	send("queue_answered_total", float64(q.Answered), queue, client)
	send("queue_abandoned_total", float64(q.Abandoned-q.ShortAbandoned), queue, client, "false")
	send("queue_abandoned_total", float64(q.ShortAbandoned), queue, client, "true")
	send("queue_overflowed_total", float64(q.Overflowed), queue, client)
	send("queue_refused_total", float64(q.Refused), queue, client)
	send("queue_promised_total", float64(q.Callbacks), queue, client)
	send("queue_answered_within_target_total", float64(q.AnsweredWithin), queue, client)
}

// service is how well a queue serves, and what it expects of itself.
func (g *gauges) service(p *plan, q acd.QueueView, send sender) {
	queue, client := string(q.ID), string(q.Client)
	if level := p.serviceLevel(q); level != nil {
		send("queue_service_level_ratio", *level, queue, client, p.queueConfig(q.ID).ServiceLevel.Formula)
	}
	if q.Known {
		send("queue_wait_estimate_seconds", q.Wait.P50.Seconds(), queue, client, "0.5")
		send("queue_wait_estimate_seconds", q.Wait.P90.Seconds(), queue, client, "0.9")
	}
	if q.Told > 0 {
		send("queue_wait_calibration_error_ratio", q.CalibrationError, queue)
	}
	send("queue_wait_calibration_callers", float64(q.Told), queue)
}

// agentTimes is what agents do and for how long they have done it.
func (p *plan) agentTimes(snap acd.Snapshot, send sender) {
	states, overdue := map[acd.AgentState]int{}, 0
	for _, a := range snap.Agents {
		states[a.State]++
		if a.Overdue {
			overdue++
		}
	}
	send("agents_overdue", float64(overdue))
	for s := acd.Off; s <= acd.WrapUp; s++ {
		send("agents", float64(states[s]), s.String())
		if s != acd.NotReady {
			send("agent_state_seconds_total", snap.Spent[s].Seconds(), s.String(), "")
		}
	}
	paused := map[string]time.Duration{}
	for reason, d := range snap.Paused {
		if !p.knowsPause(reason) {
			reason = "other" // no label may be unbounded
		}
		paused[reason] += d
	}
	for reason, d := range paused {
		send("agent_state_seconds_total", d.Seconds(), acd.NotReady.String(), reason)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
