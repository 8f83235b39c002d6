package siptest

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Template is a good message in which what may be spoiled stands between braces
// with its name: {tag:4711}. A value of # is the length of the body.
type Template string

var slot = regexp.MustCompile(`\{([a-z0-9-]+):([^}]*)\}`)

// Elements returns the names of what may be spoiled.
func (t Template) Elements() []string {
	var names []string
	for _, m := range slot.FindAllStringSubmatch(string(t), -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	return names
}

// Spoil writes the message with one element replaced; Spoil("", nil) leaves it
// good. Lines of a template end with LF.
func (t Template) Spoil(element string, how func(string) string) []byte {
	text := slot.ReplaceAllStringFunc(strings.ReplaceAll(string(t), "\n", "\r\n"), func(s string) string {
		m := slot.FindStringSubmatch(s)
		if m[1] != element {
			return m[2]
		}
		if m[2] == "#" {
			return how("0")
		}
		return how(m[2])
	})
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	head = strings.Replace(head, "Length: #", "Length: "+strconv.Itoa(len(body)), 1)
	return []byte(head + "\r\n\r\n" + body)
}

// Spoiling is one way to spoil an element.
type Spoiling struct {
	Name string
	Of   func(good string) string
}

// Spoilings returns them, more than 150.
func Spoilings() []Spoiling {
	var all []Spoiling
	for _, s := range foreign {
		all = append(all, Spoiling{strconv.Quote(s), func(string) string { return s }})
	}
	for _, s := range appended {
		all = append(all, Spoiling{"with " + strconv.Quote(s), func(good string) string { return good + s }})
	}
	for _, s := range repeated {
		all = append(all, Spoiling{s.what + " times " + strconv.Itoa(s.n), func(string) string { return strings.Repeat(s.what, s.n) }})
	}
	return append(all, twisted...)
}

// foreign is what stands in place of the element.
var foreign = []string{
	"", " ", "\t", "0", "-1", "+1", "-0", "00000000000000000001", "255", "256", "65535", "65536", "70000",
	"2147483647", "2147483648", "4294967295", "4294967296", "18446744073709551616", "-9223372036854775809",
	"0x10", "1e9", "1.5", "NaN", "\u0663\u0664", // digits, but not of ASCII
	"\x00", "\x01\x02\x03", "\x7f", "\x0b", "\x1b[31m", "\r", "\n", "\r\n", "\r\n ", "\r\n\t\r\n", "\r\n\r\n",
	"\xff\xfe", "\xc0\xaf", "\xed\xa0\x80", "\xf8\x88\x80\x80\x80", "\u00e9", "\u202e", "\ufeff", "\U0001F4DE",
	"%s%s%s%n", "%n", "%00", "%0d%0a", "%", "%zz", "%2", "%25%32%35",
	"${jndi:ldap://x}", "$(id)", "`id`", "'; DROP TABLE calls;--", "<script>alert(1)</script>", "=1+1", "../../../etc/passwd",
	`"`, `""`, `"""`, `"a`, `a"`, `\`, `"\`, `"\"`, `"a" "b"`, "<", ">", "<>", "><", "<<a>>",
	"[", "]", "[]", "[::1", "::1]", "[fe80::1%25lo]", "[1:2:3:4:5:6:7:8:9]", "999.999.999.999", "255.255.255.255", "224.0.0.1", "0.0.0.0",
	",", ",,,", ", ,", ";", ";;;", "=", "=a", "a=", "?", "?a=b", "&", "@", "a@b@c", ":", ":::", "/", "//", "*", "(", "()", "((a)", "|", "#", "~", "null", "undefined",
}

// appended is what stands behind it.
var appended = []string{
	" ", "\t", "\x00", "\xff", "\r", "\n", "\r\nX-Smuggled: 1", "\r\n X-Folded: 1", "\r\n\r\nINVITE sip:b@c SIP/2.0", ",", ";", ";;", ";a;a", ",a", "?a", "@a", ":a", `"`, `\`, "<", ">", "%",
}

// repeated is what stands there often. A message of more than 64 kB is no
// datagram, so nothing comes near.
var repeated = []struct {
	what string
	n    int
}{
	{"A", 300}, {"A", 5000}, {"A", 9000}, {"A", 40000}, {"9", 100}, {"-", 100}, {" ", 5000}, {"\r\n ", 2000}, {",a", 70}, {",a", 2000}, {";a=b", 2000}, {"<", 500}, {`"`, 501}, {"(", 500}, {"%41", 2000}, {"a@", 500},
}

// twisted is the element itself, changed.
var twisted = []Spoiling{
	{"twice", func(s string) string { return s + s }},
	{"twice with a comma", func(s string) string { return s + "," + s }},
	{"twice with a semicolon", func(s string) string { return s + ";" + s }},
	{"a hundred times", func(s string) string { return strings.Repeat(s, 100) }},
	{"in lower case", strings.ToLower},
	{"in upper case", strings.ToUpper},
	{"behind white space", func(s string) string { return " \t " + s }},
	{"half of it", func(s string) string { return s[:len(s)/2] }},
	{"without its end", func(s string) string { return s[:max(0, len(s)-1)] }},
	{"without its beginning", func(s string) string { return s[min(1, len(s)):] }},
	{"quoted", func(s string) string { return `"` + s + `"` }},
	{"in angle brackets", func(s string) string { return "<" + s + ">" }},
	{"in brackets", func(s string) string { return "[" + s + "]" }},
	{"backwards", func(s string) string { b := []byte(s); slices.Reverse(b); return string(b) }},
	{"folded in the middle", func(s string) string { return s[:len(s)/2] + "\r\n " + s[len(s)/2:] }},
	{"with a NUL in the middle", func(s string) string { return s[:len(s)/2] + "\x00" + s[len(s)/2:] }},
	{"with every byte's top bit set", func(s string) string {
		b := []byte(s)
		for i := range b {
			b[i] |= 0x80
		}
		return string(b)
	}},
	{"with its digits nine", func(s string) string {
		return strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return '9'
			}
			return r
		}, s)
	}},
}
