package siptest

import "strings"

// Param returns a parameter of a header value such as Via, From or Contact: the
// parameters after the closing angle bracket, or after the address without one.
// A parameter without a value yields "".
func Param(value, name string) string {
	v, _ := param(value, name)
	return v
}

// HasParam tells whether a header value carries a parameter at all.
func HasParam(value, name string) bool {
	_, ok := param(value, name)
	return ok
}

func param(value, name string) (string, bool) {
	if i := strings.LastIndexByte(value, '>'); i >= 0 {
		value = value[i+1:]
	}
	_, rest, more := strings.Cut(value, ";")
	for more {
		var p string
		p, rest, more = strings.Cut(rest, ";")
		k, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.Trim(strings.TrimSpace(v), `"`), true
		}
	}
	return "", false
}

// URIOf returns the URI of a header value such as From or Contact, without the
// angle brackets, with its own parameters.
func URIOf(value string) string {
	if _, after, ok := strings.Cut(value, "<"); ok {
		uri, _, _ := strings.Cut(after, ">")
		return uri
	}
	uri, _, _ := strings.Cut(value, ";")
	return strings.TrimSpace(uri)
}

// UserOf returns the user part of a sip, sips or tel URI, "" without one.
func UserOf(uri string) string {
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok {
		return ""
	}
	if strings.EqualFold(scheme, "tel") {
		user, _, _ := strings.Cut(rest, ";")
		return user
	}
	user, _, ok := strings.Cut(rest, "@")
	if !ok {
		return ""
	}
	user, _, _ = strings.Cut(user, ":")
	return user
}

// HostOf returns host and port ("host" or "host:port") of a SIP URI.
func HostOf(uri string) string {
	_, rest, ok := strings.Cut(uri, ":")
	if !ok {
		return ""
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if i := strings.IndexAny(rest, ";?>"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

// splitList cuts a comma separated header value, respecting quotes and angle
// brackets.
func splitList(value string) []string {
	if !strings.ContainsRune(value, ',') {
		return []string{value}
	}
	var all []string
	quoted, angle, start := false, false, 0
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case c == ',' && !angle:
			all = append(all, strings.TrimSpace(value[start:i]))
			start = i + 1
		}
	}
	return append(all, strings.TrimSpace(value[start:]))
}
