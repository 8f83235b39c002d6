package main

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"foyer/console"
)

type trunkCmd struct {
	List trunkList `cmd:"" help:"Trunks, whether they are up, and how many calls they carry."`
	Show trunkShow `cmd:"" help:"One trunk: its registration, its addresses, its last answer."`
	Ping trunkPing `cmd:"" help:"Ask a trunk's carrier by OPTIONS now. Exit 1 if it does not answer."`
}

type trunkList struct{ outputFlag }

func (l *trunkList) Run(c *cli) error { return showList(c, l.outputFlag, "/trunks", printTrunks) }

func printTrunks(w *tabwriter.Writer, trunks []console.TrunkView) {
	fmt.Fprintln(w, "TRUNK\tSTATE\tSINCE\tCALLS\tREGISTERED UNTIL\tRTT\tHOST\tNOTE")
	for _, t := range trunks {
		since, until := "-", "-"
		if t.Since != nil {
			since = ago(*t.Since)
		}
		if t.Registration != nil {
			until = t.Registration.Until.Local().Format(time.TimeOnly)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d/%d\t%s\t%s\t%s\t%s\n", t.ID, t.State, since, t.Calls, t.MaxCalls, until, roundTrip(t), cmp.Or(t.Host, "-"), printable(t.Why))
	}
}

// roundTrip is how long a carrier took to answer OPTIONS.
func roundTrip(t console.TrunkView) string {
	if t.Options == nil || t.Options.Code == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", t.Options.RTTMS)
}

type trunkShow struct {
	outputFlag
	Trunk string `arg:"" help:"The trunk's id."`
}

func (s *trunkShow) Run(c *cli) error {
	return show(c, s.outputFlag, "/trunks/"+url.PathEscape(s.Trunk), printTrunk)
}

func printTrunk(w *tabwriter.Writer, t console.TrunkView) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	line("trunk", t.ID)
	state := t.State
	if t.Since != nil {
		state += " for " + ago(*t.Since)
	}
	line("state", state)
	line("why", printable(t.Why))
	line("mode", t.Mode)
	line("calls", fmt.Sprintf("%d of %d", t.Calls, t.MaxCalls))
	line("host", strings.TrimSpace(t.Host+" "+t.Transport))
	line("addresses", strings.Join(t.Addresses, " "))
	if r := t.Registration; r != nil {
		line("registered", "at "+r.Registrar+" until "+r.Until.Local().Format(time.TimeOnly))
		line("path", printable(strings.Join(r.Path, " ")))
	} else if t.Mode == "register" {
		line("registered", "no")
	}
	if o := t.Options; o != nil {
		switch {
		case o.Code != 0:
			line("options", fmt.Sprintf("%d after %.1f ms", o.Code, o.RTTMS))
		case o.Missed > 0:
			line("options", fmt.Sprintf("%d in a row not answered", o.Missed))
		default:
			line("options", "not answered")
		}
	}
}

type trunkPing struct {
	Trunk string `arg:"" help:"The trunk's id."`
}

func (p *trunkPing) Run(c *cli) error {
	op, err := c.operator()
	if err != nil {
		return err
	}
	var t console.TrunkView
	if err := op.do("POST", "/trunks/"+url.PathEscape(p.Trunk)+"/ping", nil, &t); err != nil {
		return err
	}
	if t.Options == nil || t.Options.Code == 0 {
		return fmt.Errorf("trunk %s does not answer at %s", t.ID, cmp.Or(strings.Join(t.Addresses, ", "), t.Host))
	}
	fmt.Printf("trunk %s answers %d after %.1f ms\n", t.ID, t.Options.Code, t.Options.RTTMS)
	return nil
}
