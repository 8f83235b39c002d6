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

// Error makes it an error of what could not be read any further.
func (r *refusal) Error() string { return r.reason }

// Header is an extra header of a message.
type Header struct{ Name, Value string }

// check says what is wrong with a request that vet has passed, nil if it may be
// looked at further. The order is that of RFC 3261 section 8.2.
func check(req *sip.Request) *refusal {
	// A promise of privacy all the way that has been broken on the way here.
	if req.Recipient.Scheme == "sips" && !secure(sip.NetworkToLower(req.Transport())) {
		return unknownScheme()
	}
	if hops := req.MaxForwards(); hops != nil && hops.Val() == 0 && !req.IsAck() {
		return &refusal{code: sip.StatusTooManyHops}
	}
	if req.IsAck() || req.IsCancel() {
		return nil // RFC 3261 section 8.2.2.3: Require in these is ignored
	}
	return extensions(req)
}

func unknownScheme() *refusal {
	return &refusal{code: sip.StatusRequestedRangeNotSatisfiable, reason: "Unsupported URI Scheme"}
}

// extensions refuses what we do not support of what a request demands (RFC 3261
// section 8.2.2.3), and bodies we cannot read (section 8.2.3).
func extensions(req *sip.Request) *refusal {
	var unknown []string
	for h := range eachHeader(req, "require") {
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
