package sip

import (
	"context"
	"log/slog"
	"net"
	"reflect"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

const (
	// largestDatagram is what one UDP datagram may carry over IPv4.
	largestDatagram = 65507
	// readBuffer is the largest message we take. Each UDP socket and the intake
	// have such a buffer; connections have small ones of their own.
	readBuffer = maxMessage
)

// The library keeps these for the whole process; they are set before anything
// can use them and never again.
func init() {
	sip.SetDefaultLogger(slog.New(slog.DiscardHandler))
	// The library sends nothing above this size less 200 bytes and has no way
	// to change to TCP for it. A fragmented datagram beats none.
	sip.UDPMTUSize = largestDatagram + 200
	sip.TransportBufferReadSize = readBuffer
}

// headerParsers returns the library's parsers, made to keep what they cannot
// read: the message arrives with an unread header and is answered 400 instead of
// vanishing. Compact names the library does not know get their long form (RFC
// 3261 section 7.3.3 and later registrations).
func headerParsers() map[string]sip.HeaderParser {
	parsers := make(map[string]sip.HeaderParser)
	for name, parse := range sip.DefaultHeadersParser() {
		parsers[name] = keepUnread(parse)
	}
	parsers["r"] = parsers["refer-to"]
	parsers["b"] = parsers["referred-by"]
	for short, long := range map[string]string{
		"a": "Accept-Contact", "d": "Request-Disposition", "e": "Content-Encoding", "j": "Reject-Contact",
		"k": "Supported", "n": "Identity-Info", "o": "Event", "s": "Subject", "u": "Allow-Events",
		"x": "Session-Expires", "y": "Identity",
	} {
		parsers[short] = func(_ []byte, text string) (sip.Header, error) { return sip.NewHeader(long, text), nil }
	}
	return parsers
}

func keepUnread(parse sip.HeaderParser) sip.HeaderParser {
	return func(name []byte, text string) (sip.Header, error) {
		h, err := parse(name, text)
		if err == nil || moreFollows(err) {
			return h, err
		}
		return sip.NewHeader(string(name), text), nil
	}
}

// moreFollows reports whether a parser's error is the library's way to say at
// which comma the next element of a list begins: an integer that is an error.
func moreFollows(err error) bool { return reflect.TypeOf(err).Kind() == reflect.Int }

// libraryLog takes what the library logs. Everything below an error is dropped
// before it is formatted. Its errors are about what strangers send, so they are
// shown only when debugging; datagrams it could not parse are counted.
type libraryLog struct {
	log      *zap.Logger
	unparsed func()
}

func (h libraryLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelError
}

func (h libraryLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "failed to parse" {
		h.unparsed()
	}
	if ce := h.log.Check(zap.DebugLevel, r.Message); ce != nil {
		fields := make([]zap.Field, 0, r.NumAttrs())
		r.Attrs(func(a slog.Attr) bool {
			if a.Key != "data" {
				fields = append(fields, zap.String(a.Key, a.Value.String()))
			}
			return true
		})
		ce.Write(fields...)
	}
	return nil
}

func (h libraryLog) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h libraryLog) WithGroup(string) slog.Handler      { return h }

// nowhere is a resolver that knows no name. The library would look up what
// strangers write into their Via when their connection is gone.
func nowhere() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errNoConnection
	}}
}

// unresolvable is a name for nowhere (RFC 2606 section 2).
const unresolvable = "gone.invalid"
