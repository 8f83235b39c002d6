package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

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
	Call string `arg:"" help:"The call: the id of its CDR, recording or log lines."`
	Lang string `help:"fr or en; the site's language when not given." enum:"fr,en,site" default:"site"`
}

func (e *explainCmd) Run(c *cli) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	lang := e.Lang
	if lang == "site" {
		lang = cfg.Site.Locale
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

func printExplanation(x console.Explanation) error {
	fmt.Println(x.Text)
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	for _, o := range x.Offers {
		fmt.Fprintf(w, "\n%s\n", o.Text)
		fmt.Fprintln(w, "ORDER\tAGENT\tIDLE\tLEVEL\tEXCLUDED BY")
		for i, c := range o.Candidates {
			order, excluded := fmt.Sprint(i+1), "-"
			if c.Failed != "" {
				order, excluded = "-", c.Failed
			}
			fmt.Fprintf(w, "%s\t%s\t%.1fs\t%d\t%s\n", order, c.Agent, c.IdleS, c.Level, excluded)
		}
	}
	return w.Flush()
}

type journalCmd struct {
	Verify journalVerify `cmd:"" help:"Replay the journal through the floor and check that it decides the same again."`
}

type journalVerify struct{}

func (journalVerify) Run(c *cli) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	return withJournal(cfg, func(d *desk) error {
		r, err := d.ex.journal.verify(context.Background())
		if err != nil {
			return err
		}
		fmt.Printf("%d events in %d lives replayed, %d decisions: the same again (hash %016x)\n", r.events, r.lives, r.decisions, r.hash)
		return nil
	})
}

// withJournal opens the journal of a switch that is not running.
func withJournal(cfg *config.Config, f func(*desk) error) error {
	lock, err := lockDir(cfg.Site.DataDir)
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
