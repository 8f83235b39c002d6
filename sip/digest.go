package sip

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Algorithm of digest, one per account (RFC 8760 offers several; real phones fail on that).
type Algorithm string

const (
	MD5    Algorithm = "MD5"
	SHA256 Algorithm = "SHA-256"
)

// Account is an agent's SIP account. HA1 is H(user:realm:password) in hex by Algorithm.
type Account struct {
	User      string
	Algorithm Algorithm
	HA1       string
}

// HA1 computes what an Account stores.
func HA1(alg Algorithm, user, realm, password string) string {
	return string(alg.appendSum(nil, []byte(user+":"+realm+":"+password)))
}

// appendSum appends the lower-case hex digest of data to dst. Any algorithm but
// SHA256 counts as MD5, the one RFC 7616 section 3.3 assumes when none is named.
func (a Algorithm) appendSum(dst, data []byte) []byte {
	if a == SHA256 {
		sum := sha256.Sum256(data)
		return hex.AppendEncode(dst, sum[:])
	}
	sum := md5.Sum(data)
	return hex.AppendEncode(dst, sum[:])
}

// nobody is an account that no password opens. A request in the name of an
// unknown user is verified against it, so that it costs the same work as a
// wrong password.
func nobody(alg Algorithm) Account {
	var secret [32]byte
	rand.Read(secret[:]) // never fails
	return Account{Algorithm: alg, HA1: string(alg.appendSum(nil, secret[:]))}
}

// proves reports whether the response of c was made with the password of the
// account, for this method: RFC 7616 section 3.4.1 with qop=auth.
func (a Account) proves(c *credentials, method string) bool {
	var room [512]byte
	var a2, want [2 * sha256.Size]byte
	data := append(room[:0], method...)
	data = append(data, ':')
	data = append(data, c.uri...)
	ha2 := a.Algorithm.appendSum(a2[:0], data)

	data = append(data[:0], a.HA1...)
	for _, part := range [...]string{c.nonce, c.nc, c.cnonce, c.qop} {
		data = append(data, ':')
		data = append(data, part...)
	}
	data = append(data, ':')
	data = append(data, ha2...)
	return subtle.ConstantTimeCompare(a.Algorithm.appendSum(want[:0], data), []byte(c.response)) == 1
}

// credentials is a parsed Authorization header of scheme Digest (RFC 7616
// section 3.4).
type credentials struct {
	username, realm, nonce, uri, response string
	algorithm, cnonce, qop, nc            string
	userhash                              bool
}

// maxAuthorization is the longest Authorization header value we look at, in
// bytes. The longest a phone sends is about 500.
const maxAuthorization = 2048

// parseCredentials reads the value of an Authorization header. It is stricter
// than most: a parameter given twice, or anything that is not name=token or
// name="quoted string" between commas, is refused, because two readers of such
// a header could each see another user in it.
func parseCredentials(value string) (*credentials, bool) {
	if len(value) > maxAuthorization {
		return nil, false
	}
	scheme, rest, ok := strings.Cut(strings.TrimSpace(value), " ")
	if !ok || !strings.EqualFold(scheme, "Digest") {
		return nil, false
	}
	c := &credentials{}
	var seen [9]bool
	for {
		var name, v string
		if name, v, rest, ok = cutParam(rest); !ok {
			return nil, false
		}
		if field, i := c.field(name); field != nil {
			if seen[i] {
				return nil, false
			}
			seen[i], *field = true, v
		} else if strings.EqualFold(name, "userhash") {
			c.userhash = strings.EqualFold(v, "true")
		}
		if rest == "" {
			break
		}
		if rest[0] != ',' {
			return nil, false
		}
		rest = rest[1:]
	}
	return c, c.username != "" && c.nonce != "" && c.uri != "" && c.response != ""
}

// field returns where a parameter is kept and its number, nil for one we have
// no use for.
func (c *credentials) field(name string) (*string, int) {
	names := [...]string{"username", "realm", "nonce", "uri", "response", "algorithm", "cnonce", "qop", "nc"}
	fields := [...]*string{&c.username, &c.realm, &c.nonce, &c.uri, &c.response, &c.algorithm, &c.cnonce, &c.qop, &c.nc}
	for i, n := range names {
		if strings.EqualFold(n, name) {
			return fields[i], i
		}
	}
	return nil, 0
}

// count returns nc as a number; it must be eight hexadecimal digits.
func (c *credentials) count() (uint32, bool) {
	if len(c.nc) != 8 {
		return 0, false
	}
	n, err := strconv.ParseUint(c.nc, 16, 32)
	return uint32(n), err == nil && n > 0
}

const blank = " \t"

// cutParam takes the first name=value off a list of parameters. The value is
// without its quotes and backslashes, rest begins with a comma or is empty.
func cutParam(s string) (name, value, rest string, ok bool) {
	s = afterBlank(s)
	name, s, ok = strings.Cut(s, "=")
	name = beforeBlank(name)
	if !ok || !isToken(name) {
		return "", "", "", false
	}
	s = afterBlank(s)
	if !strings.HasPrefix(s, `"`) {
		value, rest = s, ""
		if i := strings.IndexByte(s, ','); i >= 0 {
			value, rest = s[:i], s[i:]
		}
		value = beforeBlank(value)
		return name, value, rest, isToken(value)
	}
	value, rest, ok = cutQuoted(s[1:])
	return name, value, afterBlank(rest), ok
}

// cutQuoted takes a quoted string, its opening quote already gone, off s.
func cutQuoted(s string) (value, rest string, ok bool) {
	end := strings.IndexAny(s, `"\`)
	if end < 0 {
		return "", "", false
	}
	if s[end] == '"' {
		return s[:end], s[end+1:], true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			i++
			if i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// isToken reports whether s is a token of RFC 3261 section 25.1. A slash and a
// colon are let through: some phones leave the quotes off uri.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("-.!%*_+`'~/:@", rune(c)) {
			return false
		}
	}
	return s != ""
}

// names reports whether the uri of an Authorization header means the
// Request-URI: scheme, user, host and port. Parameters are left out of the
// comparison, as many phones leave them out of the header, and nothing we do
// depends on them. RFC 3261 section 22.4 wants both to be the same.
func names(uri string, target *sip.Uri) bool {
	var u sip.Uri
	if err := sip.ParseUri(uri, &u); err != nil {
		return false
	}
	return u.Scheme == target.Scheme && u.User == target.User && u.Password == target.Password &&
		strings.EqualFold(u.Host, target.Host) && portOf(&u) == portOf(target)
}

// portOf is the port that a URI means.
func portOf(u *sip.Uri) int {
	if u.Port != 0 {
		return u.Port
	}
	if u.Scheme == "sips" {
		return 5061
	}
	return 5060
}
