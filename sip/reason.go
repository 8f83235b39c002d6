package sip

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"
)

// Reason is RFC 3326: the zero value sends no header.
type Reason struct {
	SIP  int // cause of protocol SIP, 0 if none
	Q850 int // cause of protocol Q.850, 0 if none
	Text string
}

// write adds Reason to a message. The text goes with the first cause.
func (r Reason) write(msg sip.Message) {
	text := ""
	if r.Text != "" {
		text = `;text="` + quote(printable(r.Text)) + `"`
	}
	if r.SIP != 0 {
		msg.AppendHeader(sip.NewHeader("Reason", "SIP;cause="+strconv.Itoa(r.SIP)+text))
		text = ""
	}
	if r.Q850 != 0 {
		msg.AppendHeader(sip.NewHeader("Reason", "Q.850;cause="+strconv.Itoa(r.Q850)+text))
	}
}

// reasonOf reads the Reason headers of a message. Protocols we do not know are
// passed over.
func reasonOf(msg sip.Message) (r Reason) {
	for _, h := range msg.GetHeaders("reason") {
		for value := range eachElement(h.Value(), ',') {
			r.add(value)
		}
	}
	return r
}

func (r *Reason) add(value string) {
	cause, text := 0, ""
	protocol := ""
	for part := range eachElement(value, ';') {
		name, v, _ := strings.Cut(part, "=")
		switch name = strings.TrimSpace(name); {
		case protocol == "":
			protocol = name
		case strings.EqualFold(name, "cause"):
			if n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 16); err == nil {
				cause = int(n)
			}
		case strings.EqualFold(name, "text"):
			text = unquote(strings.TrimSpace(v))
		}
	}
	switch {
	case strings.EqualFold(protocol, "SIP"):
		r.SIP = cause
	case strings.EqualFold(protocol, "Q.850"):
		r.Q850 = cause
	default:
		return
	}
	if r.Text == "" {
		r.Text = text
	}
}

// eachElement splits a header value at a separator that stands outside quotes
// and angle brackets.
func eachElement(s string, separator byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		start, quoted, bracket := 0, false, false
		for i := 0; i < len(s); i++ {
			switch c := s[i]; {
			case quoted && c == '\\':
				i++
			case c == '"':
				quoted = !quoted
			case quoted:
			case c == '<':
				bracket = true
			case c == '>':
				bracket = false
			case c == separator && !bracket:
				if !yield(strings.TrimSpace(s[start:i])) {
					return
				}
				start = i + 1
			}
		}
		if rest := strings.TrimSpace(s[start:]); rest != "" {
			yield(rest)
		}
	}
}

// unquote takes the quotes and backslashes from a quoted string.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	return unbackslash(s)
}

func unbackslash(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// printable drops control characters, those that turn the direction of writing and
// what is no UTF-8: what is written into a header line must not end it, and what is
// shown of a name must not show as another.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
}
