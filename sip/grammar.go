package sip

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// The readers of this file take one element of a header off a value, by the
// grammar of RFC 3261 section 25.1, and are strict where two readers could
// understand two things. What they return is in normal form: names of
// parameters in lower case, no white space, nothing that the library would write
// otherwise than it was read.

// mostParams is how many parameters an element may have.
const mostParams = 64

// address is an element of From, To, Contact, Route and their like.
type address struct {
	display string // as it stands between its quotes
	uri     sip.Uri
	params  sip.HeaderParams
	angled  bool // in angle brackets, as Route demands
}

// readAddress takes an address off s; rest begins with a comma or is empty.
func readAddress(s string) (a address, rest string, ok bool) {
	s = afterBlank(s)
	if strings.HasPrefix(s, `"`) {
		end := quoteEnd(s)
		if end < 0 {
			return a, "", false
		}
		a.display, s = s[1:end], afterBlank(s[end+1:])
		if !strings.HasPrefix(s, "<") {
			return a, "", false
		}
	} else if i := strings.IndexByte(s, '<'); i > 0 && !strings.ContainsAny(s[:i], `>",;:@\`) {
		a.display, s = beforeBlank(s[:i]), s[i:]
	}
	// Carriers write names in Latin-1 to this day. Everything behind us is UTF-8.
	a.display = strings.ToValidUTF8(a.display, "\uFFFD")
	var text string
	if a.angled = strings.HasPrefix(s, "<"); a.angled {
		if text, s, ok = strings.Cut(s[1:], ">"); !ok {
			return a, "", false
		}
	} else {
		end := wordEnd(s)
		text, s = s[:end], s[end:]
		// RFC 3261 section 20.10: a URI with a question mark stands in brackets.
		if strings.Contains(text, "?") {
			return a, "", false
		}
	}
	if a.uri, ok = readURI(text); !ok {
		return a, "", false
	}
	a.params, rest, ok = readParams(s)
	return a, rest, ok
}

// afterBlank is s behind the white space it begins with.
func afterBlank(s string) string {
	for s != "" && isBlank(s[0]) {
		s = s[1:]
	}
	return s
}

// beforeBlank is s before the white space it ends with.
func beforeBlank(s string) string {
	for s != "" && isBlank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func betweenBlank(s string) string { return afterBlank(beforeBlank(s)) }

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// wordEnd is where the white space, semicolon or comma stands that ends a word.
func wordEnd(s string) int {
	for i := range len(s) {
		if c := s[i]; isBlank(c) || c == ';' || c == ',' {
			return i
		}
	}
	return len(s)
}

// quoteEnd finds the quote that ends the quoted string s begins with, -1 if none
// does.
func quoteEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// readParams takes ;name=value off s as often as it can. What is left begins
// with a comma or is empty. A name that stands there twice is refused: one
// reader takes the first, the next the last.
func readParams(s string) (params sip.HeaderParams, rest string, ok bool) {
	for {
		s = afterBlank(s)
		if s == "" || s[0] == ',' {
			return params, s, true
		}
		if s[0] != ';' {
			return nil, "", false
		}
		s = afterBlank(s[1:])
		end := tokenChar.prefix(s)
		p := sip.HeaderKV{K: strings.ToLower(s[:end])}
		s = afterBlank(s[end:])
		if strings.HasPrefix(s, "=") {
			if p.V, s, ok = readParamValue(afterBlank(s[1:])); !ok {
				return nil, "", false
			}
		}
		if end == 0 || params.Has(p.K) || len(params) == mostParams {
			return nil, "", false
		}
		params = append(params, p)
	}
}

// readParamValue takes a token, host or quoted string off s. The library puts
// quotes, and nothing else, around a value with white space.
func readParamValue(s string) (value, rest string, ok bool) {
	if strings.HasPrefix(s, `"`) {
		end := quoteEnd(s)
		if end < 0 {
			return "", "", false
		}
		if value = s[:end+1]; strings.ContainsAny(value, blank) {
			value = value[1:end]
		}
		return value, s[end+1:], true
	}
	end := wordEnd(s)
	return s[:end], s[end:], end > 0 && !strings.ContainsAny(s[:end], `"<>\`)
}

// readVia takes a hop of Via off s; rest begins with a comma or is empty.
func readVia(s string) (v sip.ViaHeader, rest string, ok bool) {
	for i, part := range [...]*string{&v.ProtocolName, &v.ProtocolVersion, &v.Transport} {
		s = afterBlank(s)
		end := tokenChar.prefix(s)
		if end == 0 {
			return v, "", false
		}
		*part, s = s[:end], s[end:]
		after := afterBlank(s)
		if i < 2 {
			if !strings.HasPrefix(after, "/") {
				return v, "", false
			}
			s = after[1:]
		} else if after == s {
			return v, "", false // nothing between the transport and the host
		}
	}
	s = afterBlank(s)
	if v.Host, s, ok = readHost(s); !ok {
		return v, "", false
	}
	v.Host = unbracketed(v.Host)
	s = afterBlank(s)
	if strings.HasPrefix(s, ":") {
		s = afterBlank(s[1:])
		end := digit.prefix(s)
		if v.Port, ok = readPort(s[:end]); !ok {
			return v, "", false
		}
		s = s[end:]
	}
	v.Params, rest, ok = readParams(s)
	if branch, _ := v.Params.Get("branch"); strings.HasPrefix(branch, `"`) {
		return v, "", false
	}
	return v, rest, ok
}

// unbracketed is a Via's host as the library keeps it: without brackets if it
// will put them back, which it does not for IPv4 in IPv6.
func unbracketed(host string) string {
	if !strings.HasPrefix(host, "[") {
		return host
	}
	bare := strings.Trim(host, "[]")
	if a, err := netip.ParseAddr(bare); err == nil && a.Is6() && !a.Is4In6() {
		return bare
	}
	return host
}

// class is a set of characters of RFC 3261 section 25.1.
type class uint8

const (
	digit class = 1 << iota
	hostChar
	tokenChar
	userChar // and a number sign, which belongs escaped: phones send feature codes as they are dialled
	passwordChar
	paramChar
	headerChar
	schemeChar
)

var classes = classTable() // of every byte

func classTable() (table [256]class) {
	const (
		digits     = "0123456789"
		letters    = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		unreserved = letters + digits + "-_.!~*'()"
	)
	for c, chars := range map[class]string{
		digit: digits, hostChar: letters + digits + "-._", tokenChar: letters + digits + "-.!%*_+`'~",
		userChar: unreserved + "&=+$,;?/#", passwordChar: unreserved + "&=+$,", paramChar: unreserved + "[]/:&+$",
		headerChar: unreserved + "[]/?:+$", schemeChar: letters + digits + "+-.",
	} {
		for i := range chars {
			table[chars[i]] |= c
		}
	}
	return table
}

// prefix is how many bytes s begins with that are of the class.
func (c class) prefix(s string) int {
	for i := range len(s) {
		if classes[s[i]]&c == 0 {
			return i
		}
	}
	return len(s)
}

// fills reports whether s is made of the class, and of something.
func (c class) fills(s string) bool { return s != "" && c.prefix(s) == len(s) }

// escaped reports whether s is made of the class and of %HH, if of anything.
func (c class) escaped(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return false
			}
			i += 2
		} else if classes[s[i]]&c == 0 {
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// readHost takes a name, IPv4 address or IPv6 reference off s.
func readHost(s string) (host, rest string, ok bool) {
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		return s[:end+1], s[end+1:], end > 0 && isIPv6(s[1:end])
	}
	end := hostChar.prefix(s)
	host, rest = s[:end], s[end:]
	if host == "" || len(host) > 255 || host[0] == '.' || host[0] == '-' || strings.Contains(host, "..") {
		return "", "", false
	}
	if isDotted(host) {
		a, err := netip.ParseAddr(host)
		ok = err == nil && a.Is4()
		return host, rest, ok
	}
	return host, rest, true
}

// isDotted reports whether a host has nothing but digits and dots.
func isDotted(host string) bool {
	for i := range len(host) {
		if host[i] != '.' && classes[host[i]]&digit == 0 {
			return false
		}
	}
	return true
}

// isIPv6 reports whether s is an IPv6 address without a zone. Three colons before
// an IPv4 address are a slip in the grammar of RFC 3261 that some still write, and
// mean two (RFC 5118 section 4.10).
func isIPv6(s string) bool {
	a, err := netip.ParseAddr(strings.Replace(s, ":::", "::", 1))
	return err == nil && a.Is6() && a.Zone() == ""
}

func readPort(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil && n > 0 && len(s) <= 5
}

// readURI reads a URI that is all of s. What is behind the scheme is looked into
// for sip and sips only.
func readURI(s string) (u sip.Uri, ok bool) {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !schemeChar.fills(scheme) || scheme[0]|0x20 < 'a' || rest == "" || !isURIText(rest) {
		return u, false
	}
	scheme = strings.ToLower(scheme)
	if scheme != "sip" && scheme != "sips" {
		// The library keeps the rest where only it can write, and reads no scheme
		// with other than letters.
		other := new(sip.Uri) // apart, or every URI would be on the heap
		if err := sip.ParseUri("any:"+rest, other); err != nil {
			return u, false
		}
		other.Scheme = scheme
		return *other, true
	}
	u.Scheme = scheme
	if user, behind, found := strings.Cut(rest, "@"); found {
		user, password, _ := strings.Cut(user, ":")
		if user == "" || !userChar.escaped(user) || !passwordChar.escaped(password) {
			return u, false
		}
		u.User, u.Password, rest = user, password, behind
	}
	if u.Host, rest, ok = readHost(rest); !ok {
		return u, false
	}
	if strings.HasPrefix(rest, ":") {
		end := 1 + digit.prefix(rest[1:])
		if u.Port, ok = readPort(rest[1:end]); !ok {
			return u, false
		}
		rest = rest[end:]
	}
	rest, headers, asked := strings.Cut(rest, "?")
	if u.UriParams, ok = readURIParams(rest); !ok {
		return u, false
	}
	if asked {
		u.Headers, ok = readPairs(headers, '&', headerChar)
	}
	return u, ok
}

// readURIParams reads the parameters of a URI, each with its semicolon.
func readURIParams(s string) (sip.HeaderParams, bool) {
	if s == "" {
		return nil, true
	}
	if s[0] != ';' {
		return nil, false
	}
	return readPairs(s[1:], ';', paramChar)
}

// readPairs reads name=value between separators, all of s. Parameters, behind
// semicolons, are told apart without case and come once; headers of a URI may
// come again.
func readPairs(s string, separator byte, chars class) (pairs sip.HeaderParams, ok bool) {
	params := separator == ';'
	for more := true; more; {
		var one string
		one, s, more = strings.Cut(s, string(separator))
		name, value, _ := strings.Cut(one, "=")
		if params {
			name = strings.ToLower(name)
		}
		if name == "" || !chars.escaped(name) || !chars.escaped(value) ||
			params && pairs.Has(name) || len(pairs) == mostParams {
			return nil, false
		}
		pairs = append(pairs, sip.HeaderKV{K: name, V: value})
	}
	return pairs, true
}

// isURIText reports whether s is visible and has nothing that ends a URI where one
// stands in angle brackets or quotes.
func isURIText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '<' || c == '>' || c == '"' {
			return false
		}
	}
	return s != ""
}

// isVisible reports whether s has neither white space nor control characters,
// and nothing beyond ASCII.
func isVisible(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}
