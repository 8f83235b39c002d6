package sip

import (
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// refusal is a final response with what must stand in it.
type refusal struct {
	code    int
	reason  string // "": the standard phrase
	headers []Header
}

// Header is an extra header of a message.
type Header struct{ Name, Value string }

const (
	// Limits of what anybody may send. The longest honest messages stay far
	// below.
	maxHeaders = 200
	maxOfAKind = 64
	maxVias    = 70

	blank4Params = " \t"
)

// normalise mends what the library reads otherwise than RFC 3261 does: names of
// parameters are compared without regard to case and may have white space
// around them (section 7.3.1). It runs before anything else looks at a message.
func normalise(msg sip.Message) {
	if via := msg.Via(); via != nil {
		tidy(via.Params)
	}
	if from := msg.From(); from != nil {
		tidy(from.Params)
	}
	if to := msg.To(); to != nil {
		tidy(to.Params)
	}
	if cseq := msg.CSeq(); cseq != nil {
		cseq.MethodName = sip.RequestMethod(strings.Trim(string(cseq.MethodName), blank4Params))
	}
}

func tidy(params sip.HeaderParams) {
	for i := range params {
		p := &params[i]
		p.K = strings.ToLower(strings.Trim(p.K, blank4Params))
		p.V = strings.Trim(p.V, blank4Params)
	}
}

// check says what is wrong with a request, nil if it may be looked at further.
// The order is that of RFC 3261 section 8.2.
func check(req *sip.Request) *refusal {
	if req.SipVersion != "SIP/2.0" {
		return &refusal{code: sip.StatusVersionNotSupported}
	}
	if r := wellFormed(req); r != nil {
		return r
	}
	switch scheme := req.Recipient.Scheme; scheme {
	case "sip", "tel":
	case "sips": // we have no TLS to keep its promise
		return &refusal{code: sip.StatusRequestedRangeNotSatisfiable, reason: "Unsupported URI Scheme"}
	default:
		return &refusal{code: sip.StatusRequestedRangeNotSatisfiable, reason: "Unsupported URI Scheme"}
	}
	if hops := req.MaxForwards(); hops != nil && hops.Val() == 0 && !req.IsAck() {
		return &refusal{code: sip.StatusTooManyHops}
	}
	if req.IsAck() || req.IsCancel() {
		return nil // RFC 3261 section 8.2.2.3: Require in these is ignored
	}
	return extensions(req)
}

// wellFormed checks the headers every request must have, and that none of those
// we read is malformed or there twice.
func wellFormed(req *sip.Request) *refusal {
	bad := func(reason string) *refusal { return &refusal{code: sip.StatusBadRequest, reason: reason} }
	all := req.Headers()
	if len(all) > maxHeaders {
		return bad("Too Many Headers")
	}
	var seen [6]int // From, To, Call-ID, CSeq, Max-Forwards, Content-Length
	vias := 0
	for _, h := range all {
		switch h := h.(type) {
		case *sip.ViaHeader:
			if vias++; vias > maxVias || h.Host == "" || !port(h.Port) {
				return bad("Bad Via")
			}
		case *sip.FromHeader:
			seen[0]++
		case *sip.ToHeader:
			seen[1]++
		case *sip.CallIDHeader:
			seen[2]++
		case *sip.CSeqHeader:
			seen[3]++
		case *sip.MaxForwardsHeader:
			seen[4]++
		case *sip.ContentLengthHeader:
			seen[5]++
		case *sip.ContactHeader:
			if !h.Address.Wildcard && !speakable(&h.Address) {
				return bad("Bad Contact")
			}
		case *arrival:
		default:
			if r := unread(h); r != "" {
				return bad("Bad " + r)
			}
		}
	}
	for _, n := range seen {
		if n > 1 {
			return bad("Repeated Header")
		}
	}
	if req.Via() == nil || seen[0] == 0 || seen[1] == 0 || seen[2] == 0 || seen[3] == 0 {
		return bad("Missing Header")
	}
	if req.CSeq().MethodName != req.Method {
		return bad("CSeq Method Mismatch")
	}
	if int(valueOr(req.ContentLength(), len(req.Body()))) != len(req.Body()) {
		return bad("Bad Content-Length")
	}
	if u := &req.Recipient; u.Scheme == "sip" && (u.Host == "" || !port(u.Port)) {
		return bad("Bad Request-URI")
	}
	return nil
}

func valueOr(length *sip.ContentLengthHeader, otherwise int) int {
	if length == nil {
		return otherwise
	}
	return int(*length)
}

func port(n int) bool { return n >= 0 && n <= 65535 }

// speakable reports whether a URI could be sent a request.
func speakable(u *sip.Uri) bool {
	return u.Scheme != "sip" && u.Scheme != "sips" || u.Host != "" && port(u.Port)
}

// unread names a header that its parser could not read, or whose name is none;
// "" if all is well. Headers without a parser are not looked into.
func unread(h sip.Header) string {
	switch h.(type) {
	case *sip.RouteHeader, *sip.RecordRouteHeader, *sip.ContentTypeHeader, *sip.ReferToHeader, *sip.ReferredByHeader:
		return ""
	}
	name := h.Name()
	switch sip.HeaderToLower(name) {
	case "via", "v":
		return "Via"
	case "from", "f":
		return "From"
	case "to", "t":
		return "To"
	case "call-id", "i":
		return "Call-ID"
	case "cseq":
		return "CSeq"
	case "contact", "m":
		return "Contact"
	case "max-forwards":
		return "Max-Forwards"
	case "content-length", "l":
		return "Content-Length"
	case "content-type", "c":
		return "Content-Type"
	case "route", "record-route":
		return "Route"
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "Header"
	}
	return ""
}

// extensions refuses what we do not support of what a request demands (RFC 3261
// section 8.2.2.3), and bodies we cannot read (section 8.2.3).
func extensions(req *sip.Request) *refusal {
	var unknown []string
	for _, h := range req.GetHeaders("require") {
		for tag := range eachElement(h.Value(), ',') {
			if !supports(tag) {
				unknown = append(unknown, printable(tag))
			}
		}
	}
	if len(unknown) > 0 {
		return &refusal{code: sip.StatusBadExtension, headers: []Header{{"Unsupported", strings.Join(unknown, ", ")}}}
	}
	if len(req.Body()) == 0 {
		return nil
	}
	switch req.Method {
	case sip.INVITE, sip.UPDATE:
		if contentType(&req.MessageData) != "application/sdp" || encoded(req) {
			return &refusal{code: sip.StatusUnsupportedMediaType, headers: []Header{{"Accept", "application/sdp"}}}
		}
	}
	return nil
}

// supports reports whether we do an extension that a request may demand.
func supports(extension string) bool {
	for tag := range eachElement(supported, ',') {
		if strings.EqualFold(tag, extension) {
			return true
		}
	}
	return false
}

// contentType is the type of a message's body in lower case, without parameters.
func contentType(msg *sip.MessageData) string {
	if h := msg.ContentType(); h != nil {
		return mediaType(string(*h))
	}
	return ""
}

func mediaType(value string) string {
	value, _, _ = strings.Cut(value, ";")
	return strings.ToLower(strings.TrimSpace(value))
}

// encoded reports whether a body is compressed or the like.
func encoded(req *sip.Request) bool {
	h := req.GetHeader("content-encoding")
	return h != nil && !strings.EqualFold(strings.TrimSpace(h.Value()), "identity")
}

// saneStatus reports whether a response's code is one at all.
func saneStatus(res *sip.Response) bool { return res.StatusCode >= 100 && res.StatusCode <= 699 }

// deltaSeconds reads delta-seconds with parameters behind them, 0 if there are
// none or they are not a number.
func deltaSeconds(value string) uint32 {
	value, _, _ = strings.Cut(value, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
	if err != nil {
		return 0
	}
	return uint32(n)
}
