package main

import (
	"fmt"
	"net/url"
	"os"
	"text/tabwriter"
	"time"

	"foyer/console"
)

// The commands of this file ask the running switch.

func (c *cli) operator() (*operator, error) {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return nil, err
	}
	return newOperator(cfg), nil
}

// listed is the shape of the API's lists.
type listed[T any] struct {
	Items []T `json:"items"`
}

type statusCmd struct{}

func (statusCmd) Run(c *cli) error {
	op, err := c.operator()
	if err != nil {
		return err
	}
	var queues listed[console.QueueView]
	var agents listed[console.AgentView]
	var calls listed[console.LiveCall]
	if err := op.get("/queues", &queues); err != nil {
		return err
	}
	if err := op.get("/agents", &agents); err != nil {
		return err
	}
	if err := op.get("/calls?live=1", &calls); err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "QUEUE\tWAITING\tOLDEST\tREADY\tLOGGED IN\tANSWERED\tABANDONED")
	for _, q := range queues.Items {
		fmt.Fprintf(w, "%s\t%d\t%.0fs\t%d\t%d\t%d\t%d\n", q.ID, q.Waiting, q.OldestWaitS, q.Ready, q.LoggedIn, q.Answered, q.Abandoned)
	}
	fmt.Fprintln(w)
	printAgents(w, agents.Items)
	fmt.Fprintln(w)
	printCalls(w, calls.Items)
	return w.Flush()
}

func printAgents(w *tabwriter.Writer, agents []console.AgentView) {
	fmt.Fprintln(w, "AGENT\tSTATE\tREASON\tSINCE\tPHONES\tCALL")
	for _, a := range agents {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", a.ID, a.State, a.Reason, ago(a.Since), len(a.Phones), a.Call)
	}
}

func printCalls(w *tabwriter.Writer, calls []console.LiveCall) {
	fmt.Fprintln(w, "CALL\tSTATE\tFROM\tQUEUE\tAGENT\tSINCE")
	for _, c := range calls {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, c.State, printable(c.From), c.Queue, c.Agent, ago(c.Started))
	}
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return time.Since(t).Round(time.Second).String()
}

type callCmd struct {
	List   callList   `cmd:"" help:"Calls that are up."`
	Hangup callHangup `cmd:"" help:"End a call."`
}

type callList struct {
	Output string `short:"o" help:"table or json." enum:"table,json" default:"table"`
}

func (l *callList) Run(c *cli) error {
	op, err := c.operator()
	if err != nil {
		return err
	}
	var calls listed[console.LiveCall]
	if err := op.get("/calls?live=1", &calls); err != nil {
		return err
	}
	if l.Output == "json" {
		return printJSON(os.Stdout, calls.Items)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	printCalls(w, calls.Items)
	return w.Flush()
}

type callHangup struct {
	Call string `arg:"" help:"The call, as listed."`
}

func (h *callHangup) Run(c *cli) error {
	op, err := c.operator()
	if err != nil {
		return err
	}
	return op.post("/calls/"+url.PathEscape(h.Call)+"/hangup", nil)
}

type agentCmd struct {
	List   agentList   `cmd:"" help:"Agents, their state and phones."`
	Ready  agentReady  `cmd:"" help:"Make an agent ready; also undoes the pause after missed calls."`
	Pause  agentPause  `cmd:"" help:"Take an agent off the queues for a while."`
	Login  agentLogin  `cmd:"" help:"Log an agent in."`
	Logout agentLogout `cmd:"" help:"Log an agent out; a call in progress is finished first."`
}

type agentList struct {
	Output string `short:"o" help:"table or json." enum:"table,json" default:"table"`
}

func (l *agentList) Run(c *cli) error {
	op, err := c.operator()
	if err != nil {
		return err
	}
	var agents listed[console.AgentView]
	if err := op.get("/agents", &agents); err != nil {
		return err
	}
	if l.Output == "json" {
		return printJSON(os.Stdout, agents.Items)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	printAgents(w, agents.Items)
	return w.Flush()
}

type (
	agentReady struct {
		Agent string `arg:"" help:"The agent's id."`
	}
	agentPause struct {
		Agent  string `arg:"" help:"The agent's id."`
		Reason string `help:"Why." default:"supervisor"`
	}
	agentLogin struct {
		Agent string `arg:"" help:"The agent's id."`
	}
	agentLogout struct {
		Agent string `arg:"" help:"The agent's id."`
	}
)

func (a agentReady) Run(c *cli) error  { return c.setAgent(a.Agent, "ready", nil) }
func (a agentLogin) Run(c *cli) error  { return c.setAgent(a.Agent, "login", nil) }
func (a agentLogout) Run(c *cli) error { return c.setAgent(a.Agent, "logout", nil) }
func (a agentPause) Run(c *cli) error {
	return c.setAgent(a.Agent, "pause", map[string]string{"reason": a.Reason})
}

func (c *cli) setAgent(agent, state string, body any) error {
	op, err := c.operator()
	if err != nil {
		return err
	}
	return op.post("/agents/"+url.PathEscape(agent)+"/"+state, body)
}
