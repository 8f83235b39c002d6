package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"go.uber.org/zap"

	"foyer/cmd/foyer/config"
	"foyer/console"
)

// The commands of this file tell what happened to a call. They ask the running
// switch, and read its journal themselves when none runs.

type traceCmd struct {
	Call     string `arg:"" help:"The call: the id of its CDR, recording or log lines."`
	Messages bool   `help:"Print the whole messages under the ladder."`
}

func (t *traceCmd) Run(c *cli) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	var answer struct{ Items []console.TraceLine }
	err = newOperator(cfg).get("/calls/"+url.PathEscape(t.Call)+"/trace", &answer)
	lines := answer.Items
	if errors.Is(err, errNotRunning) {
		err = withJournal(cfg, func(d *desk) (err error) {
			lines, err = d.Trace(context.Background(), t.Call)
			return err
		})
	}
	if err != nil {
		return err
	}
	fmt.Print(console.Ladder(lines))
	if t.Messages {
		for _, l := range lines {
			fmt.Printf("\n%s %s %s %s\n%s\n", l.At.Format("15:04:05.000000"), l.Direction, l.Transport, l.Remote, printableLines(l.Message))
		}
	}
	return nil
}

func printableLines(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\r\n"), "\n")
	for i, l := range lines {
		lines[i] = "  " + printable(strings.TrimSuffix(l, "\r"))
	}
	return strings.Join(lines, "\n")
}

type explainCmd struct {
	Call  string `arg:"" optional:"" help:"The call: the id of its CDR, recording or log lines."`
	Agent string `help:"Instead of a call: say why this agent got the calls they got, and no others."`
	From  string `help:"With --agent: from this time of today or moment on (14:00, or RFC 3339)."`
	To    string `help:"With --agent: up to this time or moment; now when not given."`
	Lang  string `help:"fr or en; the site's language when not given." enum:"fr,en,site" default:"site"`
}

func (e *explainCmd) Run(c *cli) error {
	if (e.Call == "") == (e.Agent == "") {
		return errors.New("name a call, or an agent with --agent (and --from, --to)")
	}
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	lang := e.Lang
	if lang == "site" {
		lang = cfg.Site.Locale
	}
	if e.Agent != "" {
		return e.agent(cfg, lang)
	}
	var x console.Explanation
	err = newOperator(cfg).get("/calls/"+url.PathEscape(e.Call)+"/explain?lang="+lang, &x)
	if errors.Is(err, errNotRunning) {
		err = withJournal(cfg, func(d *desk) (err error) {
			x, err = d.Explain(context.Background(), e.Call, lang)
			return err
		})
	}
	if err != nil {
		return err
	}
	return printExplanation(x)
}

func (e *explainCmd) agent(cfg *config.Config, lang string) error {
	q, err := e.question(time.Now().In(cfg.Site.Timezone), lang)
	if err != nil {
		return err
	}
	ask := url.Values{"from": {q.From.Format(time.RFC3339Nano)}, "to": {q.To.Format(time.RFC3339Nano)}, "lang": {lang}}
	var x console.AgentExplanation
	err = newOperator(cfg).get("/agents/"+url.PathEscape(q.Agent)+"/explain?"+ask.Encode(), &x)
	if errors.Is(err, errNotRunning) {
		err = withJournal(cfg, func(d *desk) (err error) {
			x, err = d.ExplainAgent(context.Background(), q)
			return err
		})
	}
	if err != nil {
		return err
	}
	return printAgentExplanation(os.Stdout, x, cfg.Site.Timezone)
}

// question is what the flags ask; half an hour when they do not say.
func (e *explainCmd) question(now time.Time, lang string) (console.AgentQuestion, error) {
	q := console.AgentQuestion{Agent: e.Agent, To: now, Lang: lang}
	var err error
	if e.To != "" {
		if q.To, err = timeOfDay(e.To, now); err != nil {
			return q, fmt.Errorf("--to: %w", err)
		}
	}
	q.From = q.To.Add(-30 * time.Minute)
	if e.From != "" {
		if q.From, err = timeOfDay(e.From, now); err != nil {
			return q, fmt.Errorf("--from: %w", err)
		}
	}
	if q.To.After(now) {
		q.To = now
	}
	if !q.From.Before(q.To) {
		return q, fmt.Errorf("--from %s is not before --to %s", q.From.Format("2006-01-02 15:04:05"), q.To.Format("2006-01-02 15:04:05"))
	}
	return q, nil
}

// timeOfDay reads a time of today, a day or a moment.
func timeOfDay(s string, now time.Time) (time.Time, error) {
	for _, layout := range []string{"15:04", "15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			y, m, d := now.Date()
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	t, err := moment(s, now.Location())
	if err != nil {
		return t, fmt.Errorf("%q is neither a time of today (14:30), nor a day (2026-11-23), nor a moment (2026-11-23T09:30:00+01:00)", s)
	}
	return t, nil
}

func printAgentExplanation(out io.Writer, x console.AgentExplanation, zone *time.Location) error {
	fmt.Fprintln(out, x.Text)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "\nFROM\tTO\tSTATE\tWHY")
	for _, s := range x.Stretches {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.From.In(zone).Format(time.TimeOnly), s.To.In(zone).Format(time.TimeOnly), s.State, s.Text)
	}
	return w.Flush()
}

func printExplanation(x console.Explanation) error {
	fmt.Println(x.Text)
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	for _, o := range x.Offers {
		fmt.Fprintf(w, "\n%s\n", o.Text)
		fmt.Fprintln(w, "ORDER\tAGENT\tTIER\tSTEP\tRANK\tLEVEL\tIDLE\tEXCLUDED BY")
		for i, c := range o.Candidates {
			order, excluded := fmt.Sprint(i+1), "-"
			if c.Failed != "" {
				order, excluded = "-", c.Failed
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%.1fs\t%s\n", order, c.Agent, max(c.Tier, 1), c.Step, c.Rank, c.Level, c.IdleS, excluded)
		}
	}
	return w.Flush()
}

// withJournal opens the journal of a switch that is not running.
func withJournal(cfg *config.Config, f func(*desk) error) error {
	lock, err := lockDir(cfg.Site.DataDir, 0)
	if err != nil {
		return fmt.Errorf("%w; stop it first, or ask it over its admin socket", err)
	}
	defer lock.Close()
	j, err := openJournal(cfg.Site.DataDir, cfg.Observability.SIPTrace.RingBuffer)
	if err != nil {
		return err
	}
	defer j.close()
	return f(&desk{ex: &exchange{journal: j, log: zap.NewNop()}, cfg: cfg})
}
