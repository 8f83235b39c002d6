package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
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
	w := table()
	printQueues(w, queues.Items)
	fmt.Fprintln(w)
	printAgents(w, agents.Items)
	fmt.Fprintln(w)
	printCalls(w, calls.Items)
	return w.Flush()
}

func printCalls(w *tabwriter.Writer, calls []console.LiveCall) {
	fmt.Fprintln(w, "CALL\tSTATE\tFROM\tQUEUE\tAGENT\tSINCE")
	for _, c := range calls {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, c.State, printable(c.From), c.Queue, cmp.Or(strings.Join(c.Ringing, " "), c.Agent), ago(c.Started))
	}
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return time.Since(t).Round(time.Second).String()
}

func table() *tabwriter.Writer { return tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0) }

// outputFlag is the -o of commands that list.
type outputFlag struct {
	Output string `short:"o" help:"table or json." enum:"table,json" default:"table"`
}

// show asks the switch for something and writes it as a table or as it came.
func show[T any](c *cli, o outputFlag, path string, table func(*tabwriter.Writer, T)) error {
	op, err := c.operator()
	if err != nil {
		return err
	}
	var v T
	if err := op.get(path, &v); err != nil {
		return err
	}
	return o.write(v, func(w *tabwriter.Writer) { table(w, v) })
}

// showList is show for the items of a list.
func showList[T any](c *cli, o outputFlag, path string, table func(*tabwriter.Writer, []T)) error {
	op, err := c.operator()
	if err != nil {
		return err
	}
	var v listed[T]
	if err := op.get(path, &v); err != nil {
		return err
	}
	return o.write(v.Items, func(w *tabwriter.Writer) { table(w, v.Items) })
}

func (o outputFlag) write(v any, rows func(*tabwriter.Writer)) error {
	if o.Output == "json" {
		return printJSON(os.Stdout, v)
	}
	w := table()
	rows(w)
	return w.Flush()
}

type callCmd struct {
	List     callList     `cmd:"" help:"Calls that are up."`
	Hangup   callHangup   `cmd:"" help:"End a call."`
	Transfer callTransfer `cmd:"" help:"Give the caller of an agent to another agent, a queue or a number."`
}

type callList struct{ outputFlag }

func (l *callList) Run(c *cli) error { return showList(c, l.outputFlag, "/calls?live=1", printCalls) }

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

type callTransfer struct {
	Call string `arg:"" help:"The call, as listed."`
	To   string `arg:"" help:"An agent, a queue, a number of ours or a number outside."`
}

func (t *callTransfer) Run(c *cli) error {
	op, err := c.operator()
	if err != nil {
		return err
	}
	var went struct{ Done bool }
	err = op.do(http.MethodPost, "/calls/"+url.PathEscape(t.Call)+"/transfer", map[string]string{"to": t.To}, &went)
	if err == nil && !went.Done {
		fmt.Printf("it rings at %s; the agent has the caller until it is taken\n", t.To)
	}
	return err
}
