package lab

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Print writes rows as a table.
func Print(w io.Writer, rows []Row) {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "case\tcalls\tone-way\tlost\tMOS\tnotes")
	for _, r := range rows {
		notes := strings.Join(append(r.Notes, r.Faults...), "; ")
		fmt.Fprintf(t, "%s\t%d\t%d\t%.1f %%\t%.2f\t%s\n", r.Name, r.Calls, r.OneWay, 100*r.Loss, r.MOS, notes)
	}
	t.Flush()
	_, _ = w.Write(b.Bytes()) // a table nobody can see is nobody's fault
}
