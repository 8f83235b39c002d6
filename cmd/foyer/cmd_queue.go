package main

import (
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"foyer/console"
)

type queueCmd struct {
	List  queueList  `cmd:"" help:"Queues, who waits and how long callers must expect to."`
	Show  queueShow  `cmd:"" help:"One queue."`
	Calls queueCalls `cmd:"" help:"Who waits in a queue, in the order they will be served."`
}

type queueList struct{ outputFlag }

func (l *queueList) Run(c *cli) error { return showList(c, l.outputFlag, "/queues", printQueues) }

func printQueues(w *tabwriter.Writer, queues []console.QueueView) {
	fmt.Fprintln(w, "QUEUE\tSTRATEGY\tWAITING\tOLDEST\tEXPECTED\tREADY\tLOGGED IN\tANSWERED\tABANDONED\tCALLBACKS")
	for _, q := range queues {
		id := q.ID
		if !q.Open {
			id += " (closed)"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%d\n", id, q.Strategy, q.Waiting, span(q.OldestWaitS), expected(q.Expected),
			q.Ready, q.LoggedIn, q.Answered, q.Abandoned, q.Callbacks.Waiting+q.Callbacks.Calling+q.Callbacks.Later)
	}
}

func span(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}

// expected is the band between the median and the ninetieth percentile.
func expected(e console.ExpectedWait) string {
	if !e.Known {
		return "-"
	}
	return span(e.P50S) + " to " + span(e.P90S)
}

type queueShow struct {
	outputFlag
	Queue string `arg:"" help:"The queue's id."`
}

func (s *queueShow) Run(c *cli) error {
	return show(c, s.outputFlag, "/queues/"+url.PathEscape(s.Queue), printQueue)
}

func printQueue(w *tabwriter.Writer, q console.QueueView) {
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	open := "open"
	if !q.Open {
		open = "closed"
	}
	line("queue", "%s, %s", q.ID, open)
	line("client", "%s", q.Client)
	line("strategy", "%s", q.Strategy)
	line("waiting", "%d, the oldest for %s", q.Waiting, span(q.OldestWaitS))
	line("expected wait", "%s", expected(q.Expected))
	if q.Expected.Told > 0 {
		line("calibration", "off by %.0f %%, of %d callers told", 100*q.Expected.Error, q.Expected.Told)
	}
	line("agents", "%d ready of %d logged in", q.Ready, q.LoggedIn)
	line("calls", "%d offered, %d answered, %d abandoned (%d at once), %d overflowed", q.Offered, q.Answered, q.Abandoned, q.ShortAbandoned, q.Overflowed)
	if q.ServiceLevel != nil {
		line("service level", "%.0f %% within %s (%s)", 100**q.ServiceLevel, span(q.WithinS), q.Formula)
	}
	if q.HandleS != nil {
		line("handle time", "%s", span(*q.HandleS))
	}
	if b := q.Callbacks; b.Taken {
		now := "customers may be called now"
		if !b.Open {
			now = "nobody may be called now"
		}
		line("callbacks", "%d waiting, %d being called, %d later; %s", b.Waiting, b.Calling, b.Later, now)
	}
}

type queueCalls struct {
	outputFlag
	Queue string `arg:"" help:"The queue's id."`
}

func (q *queueCalls) Run(c *cli) error {
	return showList(c, q.outputFlag, "/queues/"+url.PathEscape(q.Queue)+"/calls", printWaiting)
}

func printWaiting(w *tabwriter.Writer, calls []console.WaitingCall) {
	fmt.Fprintln(w, "PLACE\tCALL\tFROM\tWAITED\tWANTS\tRELAXED\tRINGING")
	for _, c := range calls {
		place, from := fmt.Sprint(c.Position), printable(c.From)
		if c.Position == 0 {
			place = "-"
		}
		if c.Callback {
			from += " (callback)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", place, c.ID, from, span(c.WaitedS), c.Wanted, c.Relaxed, strings.Join(c.Ringing, " "))
	}
}

type callbackCmd struct {
	List   callbackList   `cmd:"" help:"Customers who will be called back."`
	Add    callbackAdd    `cmd:"" help:"Promise to call a number back."`
	Cancel callbackCancel `cmd:"" help:"Take a promise to call back off the list."`
}

type callbackList struct {
	outputFlag
	Queue string `help:"Only of this queue."`
}

func (l *callbackList) Run(c *cli) error {
	return showList(c, l.outputFlag, "/callbacks?queue="+url.QueryEscape(l.Queue), printCallbacks)
}

func printCallbacks(w *tabwriter.Writer, list []console.CallbackView) {
	fmt.Fprintln(w, "CALLBACK\tQUEUE\tNUMBER\tSTATE\tPLACE\tSINCE\tATTEMPTS\tNOT BEFORE\tAGENT")
	for _, b := range list {
		place, due := "-", "-"
		if b.Position > 0 {
			place = fmt.Sprint(b.Position)
		}
		if b.Due != nil {
			due = b.Due.Local().Format(time.TimeOnly)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", b.ID, b.Queue, b.Number, b.State, place, ago(b.Since), b.Attempts, due, b.Agent)
	}
}

type callbackAdd struct {
	outputFlag
	Queue  string `arg:"" help:"The queue whose agents call."`
	Number string `arg:"" help:"Whom to call; an outbound route must allow it."`
	At     string `help:"Not before: 15:30, or a moment such as 2026-11-23T09:30:00+01:00; as soon as it is their turn when not given."`
}

func (a *callbackAdd) Run(c *cli) error {
	op, err := c.operator()
	if err != nil {
		return err
	}
	body := map[string]string{"queue": a.Queue, "number": a.Number}
	if a.At != "" {
		at, err := timeOfDay(a.At, time.Now())
		if err != nil {
			return fmt.Errorf("--at: %w", err)
		}
		body["at"] = at.Format(time.RFC3339)
	}
	var b console.CallbackView
	if err := op.do("POST", "/callbacks", body, &b); err != nil {
		return err
	}
	return a.write(b, func(w *tabwriter.Writer) { printCallbacks(w, []console.CallbackView{b}) })
}

type callbackCancel struct {
	Callback string `arg:"" help:"The callback, as listed."`
}

func (x *callbackCancel) Run(c *cli) error {
	op, err := c.operator()
	if err != nil {
		return err
	}
	return op.post("/callbacks/"+url.PathEscape(x.Callback)+"/cancel", nil)
}
