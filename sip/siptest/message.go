package siptest

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Header is one header line, name as written on the wire or in its long form.
type Header struct{ Name, Value string }

// H writes a Header shortly, for use as an extra header of a request or answer.
func H(name, value string) Header { return Header{Name: name, Value: value} }

// Message is one SIP request (Method set) or response (Status set). The zero
// value is an empty message. Header lines keep their order.
type Message struct {
	Method, URI string // of a request
	Status      int    // of a response
	Reason      string // of a response
	Headers     []Header
	Body        string
}

// longForms are the compact header names of RFC 3261 section 7.3.3 and of the
// extensions that registered one.
var longForms = map[string]string{
	"i": "Call-ID", "m": "Contact", "e": "Content-Encoding", "l": "Content-Length",
	"c": "Content-Type", "f": "From", "s": "Subject", "k": "Supported", "t": "To",
	"v": "Via", "r": "Refer-To", "b": "Referred-By", "x": "Session-Expires", "o": "Event",
}

var errIncomplete = errors.New("message is not complete")

// Parse reads one message from a datagram. Compact names become long ones and
// folded lines are joined; values are otherwise untouched. A body shorter than
// Content-Length is an error, a longer one is cut.
func Parse(raw []byte) (*Message, error) {
	m, used, err := parse(raw)
	if err != nil {
		return nil, err
	}
	if _, err := m.takeBody(raw[used:]); err != nil {
		return nil, err
	}
	return m, nil
}

// parse reads start line and headers and tells how many bytes they took.
func parse(raw []byte) (*Message, int, error) {
	end := bytes.Index(raw, []byte("\r\n\r\n"))
	if end < 0 {
		return nil, 0, errIncomplete
	}
	start, rest, _ := strings.Cut(string(raw[:end]), "\r\n")
	m := &Message{}
	if err := m.startLine(start); err != nil {
		return nil, 0, err
	}
	m.Headers = make([]Header, 0, 12)
	for rest != "" {
		var line string
		line, rest, _ = strings.Cut(rest, "\r\n")
		if err := m.headerLine(line); err != nil {
			return nil, 0, err
		}
	}
	return m, end + 4, nil
}

func (m *Message) startLine(line string) error {
	if after, ok := strings.CutPrefix(line, "SIP/2.0 "); ok {
		code, reason, _ := strings.Cut(after, " ")
		status, err := strconv.Atoi(code)
		if err != nil || status < 100 || status > 699 {
			return fmt.Errorf("status line %q: bad code", line)
		}
		m.Status, m.Reason = status, reason
		return nil
	}
	parts := strings.Split(line, " ")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] != "SIP/2.0" {
		return fmt.Errorf("start line %q: neither request nor response", line)
	}
	m.Method, m.URI = parts[0], parts[1]
	return nil
}

func (m *Message) headerLine(line string) error {
	if line != "" && (line[0] == ' ' || line[0] == '\t') {
		if len(m.Headers) == 0 {
			return fmt.Errorf("header line %q: folded without a header before", line)
		}
		last := &m.Headers[len(m.Headers)-1]
		last.Value = strings.TrimSpace(last.Value + " " + strings.TrimSpace(line))
		return nil
	}
	name, value, ok := strings.Cut(line, ":")
	name = strings.TrimSpace(name)
	if !ok || name == "" {
		return fmt.Errorf("header line %q: no name", line)
	}
	if long, ok := longForms[strings.ToLower(name)]; ok {
		name = long
	}
	m.Headers = append(m.Headers, Header{name, strings.TrimSpace(value)})
	return nil
}

// takeBody cuts the body announced by Content-Length from what follows the
// headers and tells its length; without the header everything is body.
func (m *Message) takeBody(rest []byte) (int, error) {
	size := len(rest)
	if v := m.Get("Content-Length"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("content length %q: not a number", v)
		}
		if n > size {
			return 0, errIncomplete
		}
		size = n
	}
	m.Body = string(rest[:size])
	return size, nil
}

// IsRequest tells a request from a response.
func (m *Message) IsRequest() bool { return m.Method != "" }

// Get returns the first value of a header, "" without one; the name's case does
// not matter.
func (m *Message) Get(name string) string {
	for i := range m.Headers {
		if strings.EqualFold(m.Headers[i].Name, name) {
			return m.Headers[i].Value
		}
	}
	return ""
}

// Values returns every value of a header in order, lists on one line split.
func (m *Message) Values(name string) []string {
	var all []string
	for _, h := range m.Headers {
		if strings.EqualFold(h.Name, name) {
			all = append(all, splitList(h.Value)...)
		}
	}
	return all
}

// Has tells whether a list header (Supported, Require, Allow) contains a token.
func (m *Message) Has(name, token string) bool {
	for _, v := range m.Values(name) {
		if strings.EqualFold(v, token) {
			return true
		}
	}
	return false
}

// Add appends a header line.
func (m *Message) Add(name, value string) {
	m.Headers = append(m.Headers, Header{name, value})
}

// Set replaces the first line of a header and removes its others, or appends it.
func (m *Message) Set(name, value string) {
	kept, done := m.Headers[:0:0], false
	for _, h := range m.Headers {
		if !strings.EqualFold(h.Name, name) {
			kept = append(kept, h)
		} else if !done {
			kept, done = append(kept, Header{h.Name, value}), true
		}
	}
	if !done {
		kept = append(kept, Header{name, value})
	}
	m.Headers = kept
}

// Del removes every line of a header.
func (m *Message) Del(name string) {
	kept := m.Headers[:0:0]
	for _, h := range m.Headers {
		if !strings.EqualFold(h.Name, name) {
			kept = append(kept, h)
		}
	}
	m.Headers = kept
}

// CSeq returns the number and the method of the CSeq header, 0 and "" if broken.
func (m *Message) CSeq() (uint32, string) {
	num, method, ok := strings.Cut(m.Get("CSeq"), " ")
	n, err := strconv.ParseUint(num, 10, 32)
	if !ok || err != nil {
		return 0, ""
	}
	return uint32(n), strings.TrimSpace(method)
}

// Tag returns the tag parameter of From or To, "" without one.
func (m *Message) Tag(header string) string { return Param(m.Get(header), "tag") }

// Caller returns the user part a callee would show: of P-Asserted-Identity if
// present, else of From.
func (m *Message) Caller() string {
	if pai := m.Get("P-Asserted-Identity"); pai != "" {
		return UserOf(URIOf(pai))
	}
	return UserOf(URIOf(m.Get("From")))
}

// Bytes writes the message for the wire. Content-Length is the body's unless
// the headers already carry one: a test may lie.
func (m *Message) Bytes() []byte {
	b := make([]byte, 0, 512+len(m.Body))
	if m.IsRequest() {
		b = append(append(append(append(b, m.Method...), ' '), m.URI...), " SIP/2.0\r\n"...)
	} else {
		b = append(b, "SIP/2.0 "...)
		b = strconv.AppendInt(b, int64(m.Status), 10)
		b = append(append(append(b, ' '), m.Reason...), "\r\n"...)
	}
	length := false
	for i := range m.Headers {
		h := &m.Headers[i]
		length = length || strings.EqualFold(h.Name, "Content-Length")
		b = append(append(append(append(b, h.Name...), ": "...), h.Value...), "\r\n"...)
	}
	if !length {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(m.Body)), 10)
		b = append(b, "\r\n"...)
	}
	return append(append(b, "\r\n"...), m.Body...)
}

func (m *Message) String() string { return string(m.Bytes()) }

// Clone copies the message so that headers can be changed apart.
func (m *Message) Clone() *Message {
	c := *m
	c.Headers = append([]Header(nil), m.Headers...)
	return &c
}
