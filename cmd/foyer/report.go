package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"foyer/acd"
	"foyer/cmd/foyer/config"
	"foyer/console"
	"foyer/ledger"
)

// Report answers the console.
func (d *desk) Report(ctx context.Context, q console.ReportQuery) ([]any, error) {
	asked, err := reportQuery(q, d.ex.plan.Load().cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", console.ErrBadQuery, err)
	}
	lines, err := d.ex.cdrs.Report(ctx, q.Name, asked)
	if errors.Is(err, ledger.ErrTooLong) {
		err = fmt.Errorf("%w: %w", console.ErrBadQuery, err)
	}
	return lines, err
}

// reportQuery says in the ledger's terms what the console or the command line asks.
func reportQuery(q console.ReportQuery, cfg *config.Config) (ledger.ReportQuery, error) {
	zone := cfg.Site.Timezone
	asked := ledger.ReportQuery{
		From: q.From, To: q.To, Bucket: ledger.Bucket(q.Bucket), Zone: zone,
		ID: q.Queue, Client: q.Client, Clients: q.Clients,
		Promises: promisesOf(cfg),
	}
	switch {
	case q.Name == "agents" && q.Queue != "":
		return asked, errors.New("agents are not counted by queue; ask for a client or an agent")
	case q.Name == "agents":
		asked.ID = q.Agent
	case q.Agent != "":
		return asked, errors.New("queues are not counted by agent; ask for the report of agents")
	}
	if asked.From.IsZero() {
		y, m, d := time.Now().In(zone).Date()
		asked.From = time.Date(y, m, d, 0, 0, 0, 0, zone)
	}
	if q.Formula != "" {
		var err error
		if asked.Formula, err = ledger.ParseFormula(q.Formula); err != nil {
			return asked, err
		}
	}
	return asked, nil
}

// promisesOf is what was promised of each queue.
func promisesOf(cfg *config.Config) func(queue string) ledger.Promise {
	of := make(map[string]ledger.Promise, len(cfg.Queues))
	for _, q := range cfg.Queues {
		of[q.ID] = ledger.Promise{Formula: ledger.Formula(q.ServiceLevel.Formula), Target: q.ServiceLevel.Target}
	}
	return func(queue string) ledger.Promise { return of[queue] }
}

// shiftsOf is when agents have agreed to be there.
func shiftsOf(cfg *config.Config) *ledger.Weekly {
	w := &ledger.Weekly{Zone: cfg.Site.Timezone, Agents: map[acd.AgentID][7][]ledger.Hours{}}
	for _, a := range cfg.Agents {
		var week [7][]ledger.Hours
		agreed := false
		for day, spans := range a.Shifts.Weekly {
			for _, s := range spans {
				week[day] = append(week[day], ledger.Hours(s))
				agreed = true
			}
		}
		if agreed {
			w.Agents[acd.AgentID(a.ID)] = week
		}
	}
	return w
}
