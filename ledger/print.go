package ledger

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// A report's lines are structs; their columns are its fields, embedded ones
// included, under the names of its JSON. Those with a heading are in the table too.

// column is a field of a report's line.
type column struct {
	name    string
	heading string // empty: not in the table
	path    []int
}

// columnsOf are the columns of a line.
func columnsOf(line any) []column {
	var all []column
	for _, f := range reflect.VisibleFields(reflect.TypeOf(line).Elem()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" {
			continue
		}
		all = append(all, column{name, f.Tag.Get("table"), f.Index})
	}
	return all
}

// value is the cell of a column: a string, or the text of a number; empty where
// there is nothing to say.
func (c column) value(line any) (text string, number bool) {
	v := reflect.ValueOf(line).Elem().FieldByIndex(c.path)
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "", false
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case Instant:
		return x.String(), false
	case Millis:
		return x.String(), true
	case int:
		return strconv.Itoa(x), true
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64), true
	}
	return fmt.Sprint(v.Interface()), false
}

// WriteReportCSV writes a header line and one line each of a Report; nothing for none.
func WriteReportCSV(w io.Writer, lines []any, o CSVOptions) error {
	if len(lines) == 0 {
		return nil
	}
	columns := columnsOf(lines[0])
	header := make([]string, len(columns))
	for i, c := range columns {
		header[i] = c.name
	}
	t, err := newTable(w, o, header)
	if err != nil {
		return err
	}
	for _, line := range lines {
		t.cells = t.cells[:0]
		for _, c := range columns {
			if text, number := c.value(line); number {
				t.number(text)
			} else {
				t.text(text)
			}
		}
		if err := t.write(t.cells); err != nil {
			return err
		}
	}
	return t.flush()
}

// WriteReportTable writes a Report for people: times in their zone, shares in
// percent, and of the columns those that matter most.
func WriteReportTable(w io.Writer, lines []any, zone *time.Location) error {
	if len(lines) == 0 {
		_, err := fmt.Fprintln(w, "Nothing was counted in that time. Quarters of an hour are counted when they are over.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	var shown []column
	for _, c := range columnsOf(lines[0]) {
		if c.heading != "" {
			shown = append(shown, c)
		}
	}
	row := func(cell func(column) string) {
		cells := make([]string, len(shown))
		for i, c := range shown {
			cells[i] = cell(c)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	row(func(c column) string { return c.heading })
	for _, line := range lines {
		row(func(c column) string { return c.shown(line, zone) })
	}
	return t.Flush()
}

// shown is a cell as people read it.
func (c column) shown(line any, zone *time.Location) string {
	switch x := reflect.ValueOf(line).Elem().FieldByIndex(c.path).Interface().(type) {
	case Instant:
		return x.Time().In(zone).Format("2006-01-02 15:04")
	case *float64:
		if x != nil {
			return fmt.Sprintf("%.2f %%", 100**x)
		}
	case *bool:
		if x != nil {
			return map[bool]string{true: "yes", false: "NO"}[*x]
		}
	}
	if text, _ := c.value(line); text != "" {
		return text
	}
	return "-"
}
