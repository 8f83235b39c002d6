package sip

import (
	"bytes"
	"iter"
	"net"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Traced is one message on the wire, byte by byte, for a call's ladder.
type Traced struct {
	At        time.Time
	SIPCallID string
	Out       bool
	Transport string
	Local     string
	Remote    string
	Message   []byte // Authorization, Proxy-Authorization and media keys replaced by "redacted"; own copy
}

// Counters receives what is counted on the wire. Any goroutine calls it.
type Counters interface {
	Request(method, transport string, out bool)
	Response(method string, code int, out bool)
	ParseError(transport string)
	AuthFailure(reason string)
	Retransmission(method string)
}

// countNothing is the Counters of an edge without any.
type countNothing struct{}

func (countNothing) Request(string, string, bool) {}
func (countNothing) Response(string, int, bool)   {}
func (countNothing) ParseError(string)            {}
func (countNothing) AuthFailure(string)           {}
func (countNothing) Retransmission(string)        {}

// sent sees every message that left, after it did.
func (e *Edge) sent(transport string, local, remote net.Addr, b []byte) {
	if e.o.Trace != nil {
		e.trace(true, transport, addrs{local, remote}, b)
	}
	if e.counting {
		e.countSent(transport, b)
	}
}

// addrs are the two ends of a message.
type addrs struct{ local, remote net.Addr }

func (e *Edge) countSent(transport string, b []byte) {
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	if status, ok := bytes.CutPrefix(line, []byte("SIP/2.0 ")); ok && len(status) >= 3 {
		code := int(status[0]-'0')*100 + int(status[1]-'0')*10 + int(status[2]-'0')
		_, cseq, _ := bytes.Cut(b, []byte("\r\nCSeq: "))
		cseq, _, _ = bytes.Cut(cseq, []byte("\r\n"))
		_, method, _ := bytes.Cut(cseq, []byte(" "))
		e.o.Count.Response(string(method), code, true)
		return
	}
	method, _, _ := bytes.Cut(line, []byte(" "))
	e.o.Count.Request(string(method), transport, true)
}

func (e *Edge) countReceived(msg sip.Message) {
	switch m := msg.(type) {
	case *sip.Request:
		e.o.Count.Request(string(m.Method), sip.NetworkToLower(m.Transport()), false)
	case *sip.Response:
		if cseq := m.CSeq(); cseq != nil {
			e.o.Count.Response(string(cseq.MethodName), m.StatusCode, false)
		}
	}
}

func (e *Edge) trace(out bool, transport string, ends addrs, b []byte) {
	if e.o.Traces != nil && !e.o.Traces(b) {
		return
	}
	e.o.Trace(Traced{
		At: e.o.Now(), SIPCallID: string(headerValue(b, "Call-ID", "i")), Out: out, Transport: transport,
		Local: ends.local.String(), Remote: ends.remote.String(), Message: redacted(b),
	})
}

// rawLines are the names and values of a message's headers, where they stand. Of a
// folded value there is the first line.
func rawLines(b []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		_, rest, _ := bytes.Cut(b, []byte("\r\n"))
		for len(rest) >= 2 && rest[0] != '\r' {
			var line []byte
			line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
			name, value, _ := bytes.Cut(line, []byte(":"))
			if !yield(bytes.TrimSpace(name), bytes.TrimSpace(value)) {
				return
			}
		}
	}
}

// headerValue finds the first value of a header by its long or short name.
func headerValue(b []byte, long, short string) []byte {
	for name, value := range rawLines(b) {
		if isHeader(name, long, short) {
			return value
		}
	}
	return nil
}

func isHeader(name []byte, long, short string) bool {
	return len(name) == len(long) && equalFold(name, long) || len(name) == len(short) && equalFold(name, short)
}

func equalFold(b []byte, s string) bool { return strings.EqualFold(string(b), s) }

// redacted copies a message without its credentials.
func redacted(b []byte) []byte {
	out := make([]byte, 0, len(b))
	secret := false
	for len(b) > 0 {
		line, rest, _ := bytes.Cut(b, []byte("\r\n"))
		end := len(b) - len(rest)
		if len(line) == 0 {
			return append(out, withoutKeys(b)...) // the body and the empty line before it
		}
		folded := line[0] == ' ' || line[0] == '\t'
		if !folded {
			name, _, _ := bytes.Cut(line, []byte(":"))
			name = bytes.TrimSpace(name)
			if secret = equalFold(name, "Authorization") || equalFold(name, "Proxy-Authorization"); secret {
				out = append(append(out, name...), ": redacted\r\n"...)
			}
		}
		if !secret {
			out = append(out, b[:end]...)
		}
		b = rest
	}
	return out
}
