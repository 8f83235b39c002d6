package rtp

import (
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/srtp/v3"
)

// Suite is a cipher of SRTP that SDP can name (RFC 4568 section 6.2, RFC 7714
// section 14.2) and DTLS can agree on (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
type Suite uint8

const (
	noSuite Suite = iota
	GCM128
	GCM256
	CM80
	CM32
)

// suites are in the order of our offers: GCM is both stronger and, with the AES of
// today's processors, cheaper than HMAC-SHA1.
var suites = [...]struct {
	suite   Suite
	name    string
	profile srtp.ProtectionProfile
	key     int // bytes of the master key
	salt    int
}{
	{GCM128, "AEAD_AES_128_GCM", srtp.ProtectionProfileAeadAes128Gcm, 16, 12},
	{GCM256, "AEAD_AES_256_GCM", srtp.ProtectionProfileAeadAes256Gcm, 32, 12},
	{CM80, "AES_CM_128_HMAC_SHA1_80", srtp.ProtectionProfileAes128CmHmacSha1_80, 16, 14},
	{CM32, "AES_CM_128_HMAC_SHA1_32", srtp.ProtectionProfileAes128CmHmacSha1_32, 16, 14},
}

// String is its name in SDP.
func (s Suite) String() string {
	if s == noSuite {
		return "none"
	}
	return suites[s-1].name
}

func suiteNamed(name string) Suite {
	for _, s := range suites {
		if strings.EqualFold(s.name, name) { // RFC 4568 section 9.1 has them upper case; some phones do not
			return s.suite
		}
	}
	return noSuite
}

// Keys are what a pair of SRTP contexts is made of. Each key is the master key and
// behind it the salt.
type Keys struct {
	Suite  Suite
	Ours   Secret // of what we send
	Theirs Secret // of what the peer sends
	MKI    string // which the peer's packets carry behind their payload, "" for none
}

// cryptoLine is one a=crypto line (RFC 4568 section 9.1).
type cryptoLine struct {
	tag   int
	suite Suite
	key   Secret
	mki   string
}

const (
	maxCryptos = 16 // lines of one stream that are looked at
	maxPrints  = 8
)

// readCrypto reads "1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^20|1:4". Lines that ask
// for something we do not do are not ours to choose: several keys, another key
// derivation rate, or no encryption at all.
func readCrypto(value string) (c cryptoLine, ok bool) {
	fields := strings.Fields(value)
	if len(fields) < 3 {
		return c, false
	}
	tag, err := strconv.ParseUint(fields[0], 10, 30)
	if err != nil {
		return c, false
	}
	c.tag, c.suite = int(tag), suiteNamed(fields[1])
	inline, isKey := cutFold(fields[2], "inline:")
	if c.suite == noSuite || !isKey || strings.Contains(inline, ";") {
		return c, false
	}
	for _, parameter := range fields[3:] {
		// RFC 4568 section 6.3.7: one that begins with "-" may be passed over. WSH
		// is about the receiver's window alone.
		name, rate, _ := strings.Cut(strings.ToUpper(parameter), "=")
		if !strings.HasPrefix(name, "-") && name != "WSH" && (name != "KDR" || rate != "0") {
			return c, false
		}
	}
	text, rest, _ := strings.Cut(inline, "|")
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		key, err = base64.RawStdEncoding.DecodeString(text) // some leave the padding out
	}
	s := suites[c.suite-1]
	if err != nil || len(key) != s.key+s.salt {
		return c, false
	}
	c.key = Secret(key)
	c.mki, ok = readMKI(rest)
	return c, ok
}

// readMKI reads what follows the key: "2^20|1:4", either of the two, or nothing.
// A lifetime is not counted down: at 50 packets a second the shortest that is used,
// 2^20, is six hours.
func readMKI(rest string) (mki string, ok bool) {
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, "|")
		value, length, found := strings.Cut(part, ":")
		if !found {
			continue
		}
		n, err := strconv.ParseUint(value, 10, 64)
		size, err2 := strconv.ParseUint(length, 10, 8)
		if err != nil || err2 != nil || size == 0 || size > 8 {
			return "", false
		}
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], n)
		mki = string(b[8-size:])
	}
	return mki, true
}

func cutFold(s, prefix string) (rest string, found bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// offerKeys are the crypto lines of an offer: each suite, each with a key of its own.
func offerKeys() []cryptoLine {
	lines := make([]cryptoLine, 0, len(suites))
	for i, s := range suites {
		lines = append(lines, cryptoLine{tag: i + 1, suite: s.suite, key: newKey(s.suite)})
	}
	return lines
}

func newKey(s Suite) Secret {
	b := make([]byte, suites[s-1].key+suites[s-1].salt)
	_, _ = rand.Read(b) // never fails; see its documentation
	return Secret(b)
}

func (c cryptoLine) append(b []byte) []byte {
	b = append(b, "a=crypto:"...)
	b = appendInt(b, c.tag)
	b = append(b, ' ')
	b = append(b, c.suite.String()...)
	b = append(b, " inline:"...)
	b = base64.StdEncoding.AppendEncode(b, []byte(c.key))
	return append(b, "\r\n"...)
}

func appendInt(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) }

// randomText is n characters an ICE name or password may have, of 6 bits each.
func randomText(n int) string {
	b := make([]byte, (n*3+3)/4)
	_, _ = rand.Read(b)
	return base64.RawStdEncoding.EncodeToString(b)[:n] // letters, digits, "+" and "/": ice-char
}

// printHash is the function behind its name in a=fingerprint; 0 for one that is
// broken or unknown.
func printHash(name string) crypto.Hash {
	switch name {
	case "sha-256":
		return crypto.SHA256
	case "sha-384":
		return crypto.SHA384
	case "sha-512":
		return crypto.SHA512
	}
	return 0
}

// readPrint reads the value of a=fingerprint (RFC 8122 section 5). Hashes that are
// broken or unknown are as if they were not there.
func readPrint(value string) (print string, ok bool) {
	hash, hex, _ := strings.Cut(value, " ")
	hash = strings.ToLower(hash)
	hex = strings.ToUpper(strings.TrimSpace(hex))
	h := printHash(hash)
	if h == 0 || len(hex) != 3*h.Size()-1 {
		return "", false
	}
	for i := range len(hex) {
		digit := hex[i] >= '0' && hex[i] <= '9' || hex[i] >= 'A' && hex[i] <= 'F'
		if colon := i%3 == 2; colon && hex[i] != ':' || !colon && !digit {
			return "", false
		}
	}
	return hash + " " + hex, true
}

// attributes of ICE and DTLS, on a stream or, for all streams, before the first.
func (m *section) secrecy(name, rest string) {
	switch name {
	case "crypto":
		if c, ok := readCrypto(rest); ok && len(m.cryptos) < maxCryptos {
			m.cryptos = append(m.cryptos, c)
		}
	case "fingerprint":
		if !m.ownPrints { // those of the session give way to the stream's own
			m.ownPrints, m.prints = true, nil
		}
		if p, ok := readPrint(rest); ok && len(m.prints) < maxPrints && !slices.Contains(m.prints, p) {
			m.prints = append(m.prints, p)
		}
	case "setup":
		m.setup = strings.ToLower(rest)
	case "tls-id":
		m.tlsID = rest
	case "ice-ufrag":
		m.ufrag = iceText(rest, 4)
	case "ice-pwd":
		m.pwd = Secret(iceText(rest, 22))
	case "ice-lite":
		m.lite = true
	case "mid":
		m.mid = iceText(rest, 1)
	}
}

// iceText is a token of limited length, "" when it is none (RFC 8839 section 5.4).
func iceText(s string, least int) string {
	if len(s) < least || len(s) > 256 {
		return ""
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return ""
		}
	}
	return s
}
