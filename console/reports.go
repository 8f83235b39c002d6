package console

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

func (c *console) reportRoutes(api huma.API) {
	op := route("get-report", "GET /reports/{name}", ReportsRead, "Service levels, queues, agents or intervals, added up")
	op.Description += " sla and queues have a line for each queue and bucket, agents for each agent, intervals for each client. " +
		"Quarters of an hour are counted when they are over. Every service level names its formula. " +
		"A token limited to some clients sees of an agent the work for those, and no idle time."
	huma.Register(api, op, c.getReport)
}

func (c *console) getReport(ctx context.Context, in *struct {
	Name    string    `path:"name" enum:"sla,queues,agents,intervals"`
	From    time.Time `query:"from" doc:"From this moment on; the beginning of today when not given"`
	To      time.Time `query:"to" doc:"Before this moment"`
	Bucket  string    `query:"bucket" enum:"15m,30m,day" default:"15m" doc:"Half hours and days are those of the site's time zone"`
	Client  string    `query:"client"`
	Queue   string    `query:"queue" doc:"Not of agents"`
	Agent   string    `query:"agent" doc:"Of agents only"`
	Formula string    `query:"formula" doc:"SL1 to SL5 or a formula's name; each queue's own when not given"`
}) (*list[any], error) {
	if c.Reports == nil {
		return nil, notHere("ledger")
	}
	lines, err := c.Reports.Report(ctx, ReportQuery{
		Name: in.Name, From: in.From, To: in.To, Bucket: in.Bucket, Client: in.Client, Queue: in.Queue, Agent: in.Agent,
		Formula: in.Formula, Clients: who(ctx).clients,
	})
	if err != nil {
		return nil, c.problem(err, "report", in.Name)
	}
	return listing(lines, ""), nil
}
