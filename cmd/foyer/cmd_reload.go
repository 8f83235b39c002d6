package main

import (
	"fmt"
	"text/tabwriter"

	"foyer/console"
)

type reloadCmd struct {
	outputFlag
	DryRun bool `help:"Say what would change, and change nothing."`
}

func (r *reloadCmd) Run(c *cli) error {
	op, err := c.operator()
	if err != nil {
		return err
	}
	route := "/config/reload"
	if r.DryRun {
		route = "/config/check"
	}
	var changes listed[console.ConfigChange]
	if err := op.do("POST", route, nil, &changes); err != nil {
		return err
	}
	return r.write(changes, func(w *tabwriter.Writer) {
		for _, change := range changes.Items {
			if change.Kind == "changed" {
				fmt.Fprintf(w, "%s\t%s -> %s\n", change.Path, printable(change.Was), printable(change.Is))
			} else {
				fmt.Fprintf(w, "%s\t%s\n", change.Path, change.Kind)
			}
		}
		switch n := len(changes.Items); {
		case n == 0:
			fmt.Fprintln(w, "Nothing has changed.")
		case r.DryRun:
			fmt.Fprintf(w, "%d changes; nothing was reloaded.\n", n)
		default:
			fmt.Fprintf(w, "Reloaded, %d changes; calls that are up go on.\n", n)
		}
	})
}
