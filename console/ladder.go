package console

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Ladder draws the SIP messages of a call as text: a column for the carrier, one
// for the switch and one for each agent rung, an arrow for each message, and the
// time since the first. Bytes from the wire cannot steer the terminal it is shown on.
func Ladder(lines []TraceLine) string {
	if len(lines) == 0 {
		return "no messages\n"
	}
	const width = 30 // between two columns
	columns := []string{"carrier", "foyer"}
	place := map[string]int{}
	for _, l := range lines {
		name := plain(l.Agent)
		if name == "" {
			name = "agent"
		}
		if _, known := place[name]; l.Leg != "caller" && !known {
			place[name] = len(columns)
			columns = append(columns, name)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", lines[0].At.UTC().Format("2006-01-02 15:04:05.000 UTC"))
	fmt.Fprintf(&b, "%10s ", "")
	for _, c := range columns {
		fmt.Fprintf(&b, " %-*s", width-1, cut(c, width-2))
	}
	b.WriteByte('\n')
	for _, l := range lines {
		other := 0
		if l.Leg != "caller" {
			name := plain(l.Agent)
			if name == "" {
				name = "agent"
			}
			other = place[name]
		}
		row := strings.Repeat("|"+strings.Repeat(" ", width-1), len(columns)-1) + "|"
		text := plain(l.Summary)
		if l.CSeq != "" && !strings.Contains(text, l.CSeq) {
			text += " (" + plain(l.CSeq) + ")"
		}
		row = arrow(row, other*width, width, text, l.Direction == "in")
		fmt.Fprintf(&b, "%+10.3f  %s  %s %s\n", l.At.Sub(lines[0].At).Round(time.Millisecond).Seconds(), row, plain(l.Transport), plain(l.Remote))
	}
	return b.String()
}

// arrow writes text on the line between the column at place other and the switch's,
// which is the second.
func arrow(row string, other, foyer int, text string, in bool) string {
	left, right := min(other, foyer), max(other, foyer)
	toRight := in == (other < foyer)
	inner := right - left - 1
	text = " " + cut(text, inner-5) + " "
	body := text + strings.Repeat("-", inner-1-utf8.RuneCountInString(text))
	if toRight {
		body = "-" + body[:len(body)-1] + ">"
	} else {
		body = "<" + body
	}
	return row[:left+1] + body + row[right:]
}

func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "~"
}

// plain takes out what is not meant to be seen.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
