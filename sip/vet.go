package sip

import (
	"bytes"
	"iter"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

const (
	// maxKinds is how many names of headers a message may have, and maxOfAKind how
	// many headers of one name, or hops in Via. RFC 4475 section 3.1.1.7 wants 34
	// hops to be taken.
	maxKinds   = 100
	maxOfAKind = 64
)

// paper is a message as it came, read as far as it takes to say whether the
// library may have it, and to answer it without the library.
type paper struct {
	method string   // "" in a response
	wrong  *refusal // nil: nothing is
	tagged bool     // To has a tag: it belongs to a dialog

	// Values as they came.
	vias                           []string
	from, to, callID, cseq, length string

	hops  int // in all of Via
	kinds [maxKinds]kind
	named int // of kinds

	// req is a REGISTER, as the library would read it, with what the registrar asks
	// for; nil in any other message.
	req *sip.Request
}

// kind counts the headers of a name.
type kind struct {
	name string
	n    int
}

// vet reads a message whose bounds are known and notes the first thing that is
// wrong with it. What passes is read by the library as it is read here, and read
// again the same when it is written. isSIP is false if there is nobody to answer.
func vet(data []byte) (p paper, isSIP bool) {
	head, body, whole := bytes.Cut(data, endOfHead)
	line, lines, _ := strings.Cut(string(head[:min(len(head), largestHead)]), "\r\n")
	if !p.startLine(line) {
		return p, false
	}
	switch {
	case len(head) > largestHead:
		p.bad("Header Too Long")
	case !whole:
		p.bad("Missing Empty Line")
	}
	for name, value := range headerLines(lines) {
		p.header(name, value)
	}
	p.complete(len(body))
	return p, len(p.vias) > 0
}

// bad notes what is wrong, if nothing was before.
func (p *paper) bad(reason string) { p.refuse(&refusal{code: sip.StatusBadRequest, reason: reason}) }

func (p *paper) refuse(r *refusal) {
	if p.wrong == nil {
		p.wrong = r
	}
}

// startLine reads the first line and reports whether it is one of SIP at all.
func (p *paper) startLine(line string) bool {
	if rest, ok := strings.CutPrefix(line, "SIP/2.0 "); ok {
		// The phrase may be missing, its space may not (RFC 4475 section 3.1.1.13).
		code, phrase, ok := strings.Cut(rest, " ")
		if n, okay := readNumber(code, 699); !ok || !okay || len(code) != 3 || n < 100 || hasControl(phrase) {
			p.bad("Bad Status Line")
		}
		return true
	}
	at := strings.LastIndex(line, " SIP/")
	if at < 0 {
		return false
	}
	method, uri, _ := strings.Cut(line[:at], " ")
	version := strings.TrimPrefix(line[at:], " SIP/")
	p.method = method
	if !tokenChar.fills(method) {
		p.bad("Bad Start Line")
	}
	if version != "2.0" {
		if major, minor, _ := strings.Cut(version, "."); isNumber(major) && isNumber(minor) {
			// Before anything else, for its grammar may be another.
			p.refuse(&refusal{code: sip.StatusVersionNotSupported})
		}
		p.bad("Bad Start Line")
	}
	u, ok := readURI(uri)
	switch {
	case !ok || u.Headers != nil || !legible(uri, &u):
		p.bad("Bad Request-URI") // RFC 3261 section 19.1.1: no headers in one
	case method != strings.ToUpper(method):
		p.refuse(notImplemented()) // the library would take invite for INVITE
	case u.Scheme != "sip" && u.Scheme != "sips" && u.Scheme != "tel":
		p.refuse(unknownScheme())
	case method == "REGISTER":
		p.req = sip.NewRequest(sip.REGISTER, u)
	}
	return true
}

// legible reports whether the library, which reads the Request-URI after us,
// understands it as we do. It reads no IPv6 reference longer than 42 characters, as
// only one that ends in an IPv4 address written out can be; and where there is no
// user it takes the first bracket for the host, be it in a parameter.
func legible(uri string, u *sip.Uri) bool {
	if strings.HasPrefix(u.Host, "[") {
		return len(u.Host) <= 42
	}
	return u.User != "" || !strings.Contains(uri, "[")
}

// header takes one header.
func (p *paper) header(name, value string) {
	if !tokenChar.fills(name) {
		p.bad("Bad Header Name")
		return
	}
	long := longName(name)
	switch n := p.count(long); {
	case len(value) > longestLine:
		p.bad("Header Too Long")
	case hasControl(value):
		p.bad("Control Character")
	case n > 1 && comesOnce(long):
		p.bad("Repeated " + name)
	case n > maxOfAKind:
		p.bad("Too Many Headers")
	case !p.sound(long, value):
		p.bad("Bad " + name)
	case p.req != nil:
		p.keep(long, value)
	}
	switch long {
	case "via":
		p.vias = append(p.vias, value)
	case "from":
		p.from = value
	case "to":
		p.to = value
	case "call-id":
		p.callID = value
	case "cseq":
		p.cseq = value
	case "content-length":
		p.length = value
	}
}

// count counts another header of a name.
func (p *paper) count(name string) int {
	for i := range p.named {
		if k := &p.kinds[i]; k.name == name {
			k.n++
			return k.n
		}
	}
	if p.named == maxKinds {
		p.bad("Too Many Headers")
		return 1
	}
	p.kinds[p.named] = kind{name, 1}
	p.named++
	return 1
}

// comesOnce reports whether a header may be there only once.
func comesOnce(long string) bool {
	switch long {
	case "from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type", "expires", "date",
		"refer-to", "referred-by", "replaces", "event", "session-expires", "min-se", "rseq", "rack":
		return true
	}
	return false
}

// sound reports whether a header is as its grammar has it. Headers that only we
// read, and none of the library, are left to whoever reads them.
func (p *paper) sound(long, value string) bool {
	switch long {
	case "via":
		return p.soundVia(value)
	case "from", "to", "refer-to", "referred-by":
		a, rest, ok := readAddress(value)
		if tag, _ := a.params.Get("tag"); long == "to" {
			p.tagged = tag != ""
		}
		p.keepAddress(long, a)
		return ok && rest == ""
	case "contact":
		if value == "*" {
			p.keepAddress(long, everything)
			return true
		}
		return p.soundList(long, value, false)
	case "route", "record-route":
		return p.soundList(long, value, true)
	case "call-id":
		return isVisible(value)
	case "cseq":
		number, method := cutBlank(value)
		_, ok := readNumber(number, 1<<31-1) // RFC 3261 section 8.1.1.5
		return ok && tokenChar.fills(method)
	case "max-forwards":
		_, ok := readNumber(value, 255)
		return ok
	case "content-length":
		_, ok := readNumber(value, 1<<32-1)
		return ok
	case "expires":
		// What is no number at all counts as an hour (RFC 3261 section 20.19).
		_, ok := readNumber(value, 1<<32-1)
		return ok || !isNumber(value)
	case "content-type":
		kind, subtype, _ := strings.Cut(mediaType(value), "/")
		return tokenChar.fills(kind) && tokenChar.fills(subtype)
	}
	return true
}

// soundVia reads every hop.
func (p *paper) soundVia(value string) bool {
	for {
		v, rest, ok := readVia(value)
		if p.hops++; !ok || p.hops > maxOfAKind {
			return false
		}
		if p.req != nil {
			hop := v
			p.req.AppendHeader(&hop)
		}
		if rest == "" {
			return true
		}
		value = rest[1:]
	}
}

// soundList reports whether value is addresses between commas, in angle brackets
// if need be. Each counts.
func (p *paper) soundList(long, value string, angled bool) bool {
	for {
		a, rest, ok := readAddress(value)
		if !ok || angled && !a.angled || !soundExpiry(a) {
			return false
		}
		p.keepAddress(long, a)
		if rest == "" {
			return true
		}
		if value = rest[1:]; p.count(long) > maxOfAKind {
			return false
		}
	}
}

// keepAddress adds an address to a REGISTER.
func (p *paper) keepAddress(long string, a address) {
	if p.req != nil && (long == "from" || long == "to" || long == "contact") {
		p.req.AppendHeader(headerOf(long, a))
	}
}

// keep adds to a REGISTER what is neither a hop nor an address.
func (p *paper) keep(long, value string) {
	switch long {
	case "call-id":
		id := sip.CallIDHeader(value)
		p.req.AppendHeader(&id)
	case "cseq":
		if h, err := parseCSeq(nil, value); err == nil {
			p.req.AppendHeader(h)
		}
	case "max-forwards":
		n, _ := readNumber(value, 255)
		hops := sip.MaxForwardsHeader(n)
		p.req.AppendHeader(&hops)
	case "authorization", "expires", "require", "user-agent":
		p.req.AppendHeader(sip.NewHeader(long, value))
	}
}

// soundExpiry refuses a number of more than 32 bits (RFC 4475 section 3.1.2.4).
func soundExpiry(a address) bool {
	expires, _ := a.params.Get("expires")
	_, ok := readNumber(expires, 1<<32-1)
	return ok || !isNumber(expires)
}

// complete checks what only the whole message shows.
func (p *paper) complete(body int) {
	switch {
	case len(p.vias) == 0 || p.from == "" || p.to == "" || p.callID == "" || p.cseq == "":
		p.bad("Missing Header")
	case p.method == "" && p.hops > 1:
		p.bad("Not Ours") // RFC 3261 section 8.1.3.3
	}
	if _, method := cutBlank(p.cseq); p.method != "" && method != p.method {
		p.bad("CSeq Method Mismatch")
	}
	if length, ok := readNumber(p.length, 1<<32-1); ok && length > uint64(body) {
		p.bad("Bad Content-Length") // RFC 3261 section 18.3: never read past a datagram
	}
}

// headerLines are the names and values of headers, folded lines put together. A
// line without a colon has no name.
func headerLines(lines string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for lines != "" {
			var line string
			line, lines, _ = strings.Cut(lines, "\r\n")
			if line == "" {
				return
			}
			if isFolded(lines) {
				var whole strings.Builder
				whole.WriteString(line)
				for isFolded(lines) {
					line, lines, _ = strings.Cut(lines, "\r\n")
					whole.WriteByte(' ')
					whole.WriteString(betweenBlank(line))
				}
				line = whole.String()
			}
			name, value, found := strings.Cut(line, ":")
			if !found {
				name, value = "", line
			}
			if !yield(beforeBlank(name), betweenBlank(value)) {
				return
			}
		}
	}
}

// isFolded reports whether what follows goes on with the header before it.
func isFolded(lines string) bool { return lines != "" && (lines[0] == ' ' || lines[0] == '\t') }

// cutBlank cuts a value at its white space.
func cutBlank(s string) (before, after string) {
	i := strings.IndexAny(s, blank)
	if i < 0 {
		return s, ""
	}
	return s[:i], afterBlank(s[i:])
}

// readNumber reads digits that are all of s.
func readNumber(s string, most uint64) (uint64, bool) {
	if !isNumber(s) {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n <= most
}

func isNumber(s string) bool { return digit.fills(s) }

// hasControl reports whether s has control characters other than a tab.
func hasControl(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return true
		}
	}
	return false
}
