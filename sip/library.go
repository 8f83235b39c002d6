package sip

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net"
	"reflect"
	"strings"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

const (
	// largestDatagram is what one UDP datagram may carry over IPv4.
	largestDatagram = 65507
	// readBuffer is the largest message we take. Each UDP socket and the intake
	// have such a buffer; connections have small ones of their own.
	readBuffer = largestMessage
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

// headerParsers are our readers of the headers that the library wants read. Its
// own compare names of parameters by case, keep the white space around them,
// take the last colon of a user for that of its password, and more: what they
// are given has passed vet, so that ours never fail. Compact names that the
// library does not know get their long form (RFC 3261 section 7.3.3).
func headerParsers() map[string]sip.HeaderParser {
	theirs := sip.DefaultHeadersParser()
	list := lists(theirs["via"])
	parsers := map[string]sip.HeaderParser{
		"call-id": theirs["call-id"], "content-length": theirs["content-length"],
		"content-type": theirs["content-type"], "max-forwards": theirs["max-forwards"],
		"via": list.via, "cseq": parseCSeq,
		"from": list.addressed("from"), "to": list.addressed("to"), "contact": list.addressed("contact"),
		// Record-Route is left as it is: it goes into responses with all its parameters.
		"route": list.addressed("route"), "refer-to": list.addressed("refer-to"), "referred-by": list.addressed("referred-by"),
	}
	for short, long := range compact {
		if parse := parsers[strings.ToLower(long)]; parse != nil {
			parsers[short] = parse
		} else {
			parsers[short] = func(_ []byte, text string) (sip.Header, error) { return sip.NewHeader(long, text), nil }
		}
	}
	return parsers
}

// compact are the short names of headers (RFC 3261 section 7.3.3 and later
// registrations).
var compact = map[string]string{
	"a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition", "e": "Content-Encoding",
	"f": "From", "i": "Call-ID", "j": "Reject-Contact", "k": "Supported", "l": "Content-Length", "m": "Contact",
	"n": "Identity-Info", "o": "Event", "r": "Refer-To", "s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via",
	"x": "Session-Expires", "y": "Identity",
}

// longName is the name of a header in lower case, a compact one written out.
func longName(name string) string {
	name = sip.HeaderToLower(name)
	if len(name) == 1 && compact[name] != "" {
		return sip.HeaderToLower(compact[name])
	}
	return name
}

var errUnread = errors.New("not as RFC 3261 has it")

func parseCSeq(_ []byte, text string) (sip.Header, error) {
	number, method := cutBlank(text)
	n, ok := readNumber(number, 1<<31-1)
	if !ok {
		return nil, errUnread
	}
	return &sip.CSeqHeader{SeqNo: uint32(n), MethodName: sip.RequestMethod(method)}, nil
}

// elements parses headers of several elements. A parser of the library says that
// another begins behind a comma by an error of a type it keeps to itself: an
// integer, which is where the comma stands.
type elements struct{ comma reflect.Type }

// lists learns that type from the library's parser of Via.
func lists(via sip.HeaderParser) elements {
	_, err := via(nil, "SIP/2.0/UDP a;b,SIP/2.0/UDP c")
	return elements{reflect.TypeOf(err)}
}

func (l elements) more(text, rest string) error {
	if rest == "" {
		return nil
	}
	at := reflect.New(l.comma).Elem()
	at.SetInt(int64(len(text) - len(rest)))
	return at.Interface().(error)
}

func (l elements) via(_ []byte, text string) (sip.Header, error) {
	v, rest, ok := readVia(text)
	if !ok {
		return nil, errUnread
	}
	return &v, l.more(text, rest)
}

func (l elements) addressed(long string) sip.HeaderParser {
	return func(_ []byte, text string) (sip.Header, error) {
		if text == "*" {
			return headerOf(long, everything), nil // only Contact's passes vet
		}
		a, rest, ok := readAddress(text)
		if !ok {
			return nil, errUnread
		}
		return headerOf(long, a), l.more(text, rest)
	}
}

// everything is the address in Contact: * (RFC 3261 section 10.2.2).
var everything = address{uri: sip.Uri{Host: "*", Wildcard: true}}

// headerOf is the library's header of an address by its long name in lower case,
// nil if the library leaves that one as it is.
func headerOf(long string, a address) sip.Header {
	switch long {
	case "from":
		return &sip.FromHeader{DisplayName: a.display, Address: a.uri, Params: a.params}
	case "to":
		return &sip.ToHeader{DisplayName: a.display, Address: a.uri, Params: a.params}
	case "contact":
		return &sip.ContactHeader{DisplayName: a.display, Address: a.uri, Params: a.params}
	case "route":
		return &sip.RouteHeader{Address: a.uri}
	case "refer-to":
		return &sip.ReferToHeader{Address: a.uri}
	case "referred-by":
		return &sip.ReferredByHeader{DisplayName: a.display, Address: a.uri, Params: a.params}
	}
	return nil
}

// eachHeader are the headers of a name. The library finds them too, but writes the name
// of every header in lower case each time it is asked.
func eachHeader(req *sip.Request, name string) iter.Seq[sip.Header] {
	return func(yield func(sip.Header) bool) {
		for _, h := range req.Headers() {
			if n := h.Name(); len(n) == len(name) && strings.EqualFold(n, name) && !yield(h) {
				return
			}
		}
	}
}

// firstHeader is the first header of a name, nil if there is none.
func firstHeader(req *sip.Request, name string) sip.Header {
	for h := range eachHeader(req, name) {
		return h
	}
	return nil
}

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
