package main

import (
	"context"
	"fmt"
	"os"

	"foyer/console"
	"foyer/ledger"
)

type reportCmd struct {
	Name string `arg:"" help:"sla: service levels by queue. queues: their calls, waits and handle times. agents: their offers and time. intervals: queues added up by client." enum:"sla,queues,agents,intervals"`
	days
	Bucket  string `help:"15m, 30m or day." enum:"15m,30m,day" default:"15m"`
	Formula string `help:"How service levels are made: SL1 to SL5 or ${formulas}; each queue's own when not given."`
	Client  string `help:"Only this client."`
	Queue   string `help:"Only this queue."`
	Agent   string `help:"Only this agent."`
	Output  string `short:"o" help:"table, json or csv." enum:"table,json,csv" default:"table"`
	Excel   bool   `help:"CSV as a French Excel opens it: semicolons and a byte-order mark."`
}

// Run reads the database: quarters of an hour that are over, also beside a running switch.
func (r *reportCmd) Run(c *cli) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	q := console.ReportQuery{Name: r.Name, Bucket: r.Bucket, Client: r.Client, Queue: r.Queue, Agent: r.Agent, Formula: r.Formula}
	if q.From, q.To, err = r.times(cfg.Site.Timezone); err != nil {
		return err
	}
	asked, err := reportQuery(q, cfg)
	if err != nil {
		return err
	}
	ctx := context.Background()
	store, err := ledger.ReadOnly(ctx, books(cfg))
	if err != nil {
		return fmt.Errorf("reports: %w", err)
	}
	defer store.Close()
	lines, err := store.Report(ctx, r.Name, asked)
	if err != nil {
		return err
	}
	switch r.Output {
	case "json":
		return printJSON(os.Stdout, append([]any{}, lines...))
	case "csv":
		var o ledger.CSVOptions
		if r.Excel {
			o = ledger.CSVFor("fr")
		}
		return ledger.WriteReportCSV(os.Stdout, lines, o)
	}
	return ledger.WriteReportTable(os.Stdout, lines, cfg.Site.Timezone)
}
