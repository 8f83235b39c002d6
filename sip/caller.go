package sip

import (
	"strings"

	"github.com/emiago/sipgo/sip"
)

// callerOf reads who calls, as it may be shown and kept: without what is not
// printable.
func callerOf(req *sip.Request) Caller {
	c := claimedCaller(req)
	c.User, c.Display = printable(c.User), printable(c.Display)
	return c
}

// claimedCaller reads who calls from a trunk's INVITE: the asserted identity if there
// is one (RFC 3325 section 9.1, a trunk being trusted), else From.
func claimedCaller(req *sip.Request) Caller {
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
// without parameters, but for the country that a number which is not global is
// local to (RFC 3966 section 5.1.5): 0170000001;phone-context=+33.
func userOf(u *sip.Uri) string {
	user := u.User
	if u.Scheme == "tel" {
		user = u.Raw()
	}
	user, params, _ := strings.Cut(user, ";")
	user = unescape(user)
	for param := range strings.SplitSeq(params, ";") {
		const context = "phone-context="
		if len(param) > len(context) && strings.EqualFold(param[:len(context)], context) {
			if country := unescape(param[len(context):]); strings.HasPrefix(country, "+") && user != "" && user[0] != '+' {
				return user + ";" + context + country
			}
		}
	}
	return user
}

// from makes our From of a caller towards a phone, and the identity headers that
// go with it. One who wants privacy is anonymous in all of them (RFC 3323 section
// 4.1.1.3, RFC 3325 section 7).
func (c Caller) from(domain, tag string) (from *sip.FromHeader, identity []sip.Header) {
	from = c.fromHeader(sip.Uri{Scheme: "sip", User: escapeUser(c.User), Host: domain}, tag)
	if c.hidden() {
		return anonymous(tag), []sip.Header{sip.NewHeader("Privacy", "id")}
	}
	return from, []sip.Header{sip.NewHeader("P-Asserted-Identity", nameAddr(from))}
}

// towards is from towards a trunk, as the carrier wants it. A private caller's
// identity it is told too: it is trusted to know it and to keep it to itself.
func (c Caller) towards(t Trunk, domain, tag string) (from *sip.FromHeader, identity []sip.Header) {
	from = c.fromHeader(numberURI(t, c.User, domain), tag)
	said := nameAddr(from)
	if c.hidden() {
		from = anonymous(tag)
		identity = append(identity, sip.NewHeader("Privacy", "id"))
	}
	switch {
	case c.User == "" || t.Identity == FromOnly:
	case t.Identity == Preferred:
		identity = append(identity, sip.NewHeader("P-Preferred-Identity", said))
	default:
		identity = append(identity, sip.NewHeader("P-Asserted-Identity", said))
	}
	return from, identity
}

func (c Caller) hidden() bool { return c.Private || c.User == "" }

func (c Caller) fromHeader(address sip.Uri, tag string) *sip.FromHeader {
	return &sip.FromHeader{DisplayName: quote(printable(c.Display)), Address: address, Params: sip.HeaderParams{{K: "tag", V: tag}}}
}

func anonymous(tag string) *sip.FromHeader {
	return &sip.FromHeader{
		DisplayName: "Anonymous",
		Address:     sip.Uri{Scheme: "sip", User: "anonymous", Host: "anonymous.invalid"},
		Params:      sip.HeaderParams{{K: "tag", V: tag}},
	}
}

// nameAddr is a From without its tag.
func nameAddr(from *sip.FromHeader) string {
	address := "<" + from.Address.String() + ">"
	if from.DisplayName != "" {
		return `"` + from.DisplayName + `" ` + address
	}
	return address
}

// numberURI is an address in a domain for a carrier, a number written as it wants
// it. A number says that it is one (RFC 3261 section 19.1.1: user).
func numberURI(t Trunk, user, domain string) sip.Uri {
	uri := sip.Uri{Scheme: "sip", User: escapeUser(t.spell(user)), Host: domain}
	if isE164(user) {
		uri.UriParams = sip.HeaderParams{{K: "user", V: "phone"}}
	}
	return uri
}

// isE164 reports whether s is a number with its country code: the plus sign and
// at most 15 digits (ITU-T E.164 section 6).
func isE164(s string) bool {
	return len(s) >= 3 && len(s) <= 16 && s[0] == '+' && s[1] != '0' && strings.Trim(s[1:], "0123456789") == ""
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
