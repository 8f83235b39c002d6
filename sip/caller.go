package sip

import (
	"strings"

	"github.com/emiago/sipgo/sip"
)

// callerOf reads who calls from a trunk's INVITE: the asserted identity if there
// is one (RFC 3325 section 9.1, a trunk being trusted), else From.
func callerOf(req *sip.Request) Caller {
	c := Caller{Private: wantsPrivacy(req)}
	if from := req.From(); from != nil {
		c.User, c.Display = userOf(&from.Address), unbackslash(from.DisplayName)
		if strings.EqualFold(from.Address.Host, "anonymous.invalid") || strings.EqualFold(from.Address.User, "anonymous") {
			c.Private = true
		}
	}
	for _, h := range req.GetHeaders("p-asserted-identity") {
		for value := range eachElement(h.Value(), ',') {
			var uri sip.Uri
			display, err := sip.ParseAddressValue(value, &uri, nil)
			if err != nil || userOf(&uri) == "" {
				continue
			}
			c.User = userOf(&uri)
			if display != "" {
				c.Display = unbackslash(display)
			}
			// A tel URI beside a SIP one says the same: the first counts.
			return c
		}
	}
	return c
}

// wantsPrivacy reads Privacy (RFC 3323 section 4.2).
func wantsPrivacy(req *sip.Request) bool {
	for _, h := range req.GetHeaders("privacy") {
		for _, v := range strings.FieldsFunc(h.Value(), func(r rune) bool { return strings.ContainsRune("; ,\t", r) }) {
			if strings.EqualFold(v, "id") || strings.EqualFold(v, "user") {
				return true
			}
		}
	}
	return false
}

// userOf is the user part of a SIP URI or the number of a tel URI, unescaped and
// without parameters.
func userOf(u *sip.Uri) string {
	user := u.User
	if u.Scheme == "tel" {
		user = u.Raw()
	}
	user, _, _ = strings.Cut(user, ";")
	return unescape(user)
}

// from makes our From of a caller, and the identity headers that go with it. One
// who wants privacy is anonymous in all of them (RFC 3323 section 4.1.1.3, RFC
// 3325 section 7).
func (c Caller) from(domain, tag string) (*sip.FromHeader, []sip.Header) {
	if c.Private || c.User == "" {
		from := &sip.FromHeader{
			DisplayName: "Anonymous",
			Address:     sip.Uri{Scheme: "sip", User: "anonymous", Host: "anonymous.invalid"},
			Params:      sip.HeaderParams{{K: "tag", V: tag}},
		}
		return from, []sip.Header{sip.NewHeader("Privacy", "id")}
	}
	uri := sip.Uri{Scheme: "sip", User: escapeUser(c.User), Host: domain}
	display := quote(printable(c.Display))
	from := &sip.FromHeader{DisplayName: display, Address: uri, Params: sip.HeaderParams{{K: "tag", V: tag}}}
	asserted := "<" + uri.String() + ">"
	if display != "" {
		asserted = `"` + display + `" ` + asserted
	}
	return from, []sip.Header{sip.NewHeader("P-Asserted-Identity", asserted)}
}

// escapeUser writes a user part (RFC 3261 section 25.1: user).
func escapeUser(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()&=+$,?/"
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
