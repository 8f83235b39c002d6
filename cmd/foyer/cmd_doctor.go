package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"foyer/console"
)

type agentDoctor struct {
	outputFlag
	Agent string `arg:"" help:"The agent's id."`
	Lang  string `help:"fr or en; the site's language when not given." enum:"fr,en,site" default:"site"`
}

func (a *agentDoctor) Run(c *cli) error {
	op, err := c.operator()
	if err != nil {
		return err
	}
	path := "/agents/" + url.PathEscape(a.Agent) + "/doctor"
	if a.Lang != "site" {
		path += "?lang=" + a.Lang
	}
	var r console.LineReport
	if err := op.get(path, &r); err != nil {
		return err
	}
	if a.Output != "table" {
		return a.write(r, func(*tabwriter.Writer) {})
	}
	printLine(os.Stdout, r)
	return nil
}

// printLine writes sentences, not columns: they are read out over the telephone.
func printLine(out io.Writer, r console.LineReport) {
	fmt.Fprintln(out, printable(r.Summary))
	for i, f := range r.Findings {
		fmt.Fprintf(out, "\n%d. [%s] %s\n", i+1, f.Severity, folded(printable(f.Says), 3))
		fmt.Fprintf(out, "   → %s\n", folded(printable(f.Advice), 5))
	}
}

// folded breaks a sentence into lines of a terminal, the next ones indented.
func folded(s string, indent int) string {
	const width = 88
	var b strings.Builder
	at := indent
	for i, word := range strings.Split(s, " ") {
		n := len([]rune(word))
		switch {
		case i == 0:
		case at+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}
