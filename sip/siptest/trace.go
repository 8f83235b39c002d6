package siptest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// Entry is one message seen on a wire.
type Entry struct {
	At   time.Time
	Out  bool // sent by us
	Peer net.Addr
	Raw  []byte
	Msg  *Message // nil if it could not be parsed
	Err  error    // why not

	taken bool // returned by WaitMessage
}

func (e *Entry) String() string {
	dir, what := "<-", "unparsable"
	if e.Out {
		dir = "->"
	}
	if e.Msg != nil {
		seq := e.Msg.Get("CSeq")
		if e.Msg.IsRequest() {
			what = e.Msg.Method + " " + e.Msg.URI + " (" + seq + ")"
		} else {
			what = fmt.Sprintf("%d %s (%s)", e.Msg.Status, e.Msg.Reason, seq)
		}
	}
	return fmt.Sprintf("%s %s %v %s", e.At.Format("15:04:05.000"), dir, e.Peer, what)
}

func (w *Wire) note(e *Entry) {
	if w.quiet {
		return
	}
	e.At = time.Now()
	w.trace = append(w.trace, e)
	if w.traced != nil {
		close(w.traced)
		w.traced = nil
	}
}

// Trace returns every message of the wire so far, retransmissions included.
func (w *Wire) Trace() []Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]Entry, len(w.trace))
	for i, e := range w.trace {
		all[i] = *e
	}
	return all
}

// Ladder writes the trace one line a message, for the log of a failed test.
func (w *Wire) Ladder() string {
	var b strings.Builder
	for _, e := range w.Trace() {
		b.WriteString(e.String() + "\n")
	}
	return b.String()
}

// Count returns how many messages of the trace fit: received ones, or sent ones
// with out. What is a method ("INVITE"), a code ("200", "4xx") or both ("200
// BYE"), as in Call.WaitFor.
func (w *Wire) Count(what string, out bool) int {
	n := 0
	for _, e := range w.Trace() {
		if e.Out == out && e.Msg != nil && fits(what, eventName(e.Msg)) {
			n++
		}
	}
	return n
}

// WaitMessage waits for a received message that fits; each message is returned
// once. Unparsable ones never fit.
func (w *Wire) WaitMessage(ctx context.Context, fit func(*Message) bool) (*Message, error) {
	for {
		w.mu.Lock()
		for _, e := range w.trace {
			if !e.Out && !e.taken && e.Msg != nil && fit(e.Msg) {
				e.taken = true
				w.mu.Unlock()
				return e.Msg, nil
			}
		}
		if w.traced == nil {
			w.traced = make(chan struct{})
		}
		more := w.traced
		w.mu.Unlock()
		select {
		case <-more:
		case <-w.done:
			return nil, fmt.Errorf("wait for message: %w", net.ErrClosed)
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for message: %w; seen:\n%s", context.Cause(ctx), w.Ladder())
		}
	}
}

// SendRaw writes bytes as they are, to addr on a packet socket (ignored on a
// stream). Answers to handmade requests appear in the trace and in WaitMessage.
func (w *Wire) SendRaw(raw []byte, to net.Addr) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	m, err := Parse(raw)
	w.note(&Entry{Out: true, Peer: to, Raw: append([]byte(nil), raw...), Msg: m, Err: err})
	failed := w.stats.SendFailed
	w.writeRaw(raw, to)
	if w.stats.SendFailed > failed {
		return fmt.Errorf("send raw: %s", w.stats.LastFailure)
	}
	return nil
}

// eventName is what a message is called in events and patterns: "BYE" or "200
// BYE".
func eventName(m *Message) string {
	if m.IsRequest() {
		return m.Method
	}
	_, method := m.CSeq()
	return fmt.Sprintf("%d %s", m.Status, method)
}

// fits tells whether an event's name is what the pattern asks for: the whole
// name, or its first word; an x in a code stands for any digit.
func fits(pattern, name string) bool {
	if pattern == name {
		return true
	}
	word, method, _ := strings.Cut(name, " ")
	want, wantMethod, both := strings.Cut(pattern, " ")
	if both && wantMethod != method {
		return false
	}
	if len(want) != len(word) {
		return false
	}
	code := word != "" && word[0] >= '1' && word[0] <= '9'
	for i := range want {
		if want[i] != word[i] && !(code && want[i] == 'x') {
			return false
		}
	}
	return true
}
