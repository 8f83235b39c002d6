package siptest

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// challenge is one WWW-Authenticate or Proxy-Authenticate header, and how often
// its nonce has been used (RFC 7616 section 3.3).
type challenge struct {
	realm, nonce, opaque string
	algorithm            string // "MD5" or "SHA-256"
	qop                  string // "auth" or ""
	answerIn             string // name of the header that answers it
	stale                bool
	used                 uint32
}

// findChallenge picks the first challenge of a 401 or 407 that this phone can
// answer, as most phones do.
func findChallenge(res *Message) (*challenge, error) {
	ask, answer := "WWW-Authenticate", "Authorization"
	if res.Status == 407 {
		ask, answer = "Proxy-Authenticate", "Proxy-Authorization"
	}
	for _, h := range res.Headers {
		if !strings.EqualFold(h.Name, ask) {
			continue
		}
		if c, err := parseChallenge(h.Value); err == nil {
			c.answerIn = answer
			return c, nil
		}
	}
	return nil, fmt.Errorf("%d without a digest challenge this phone understands", res.Status)
}

func parseChallenge(value string) (*challenge, error) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	if !strings.EqualFold(scheme, "Digest") {
		return nil, fmt.Errorf("challenge scheme %q: not digest", scheme)
	}
	c := &challenge{algorithm: "MD5"}
	for _, p := range splitList(rest) {
		k, v, _ := strings.Cut(p, "=")
		v = strings.Trim(strings.TrimSpace(v), `"`)
		switch strings.ToLower(strings.TrimSpace(k)) {
		case "realm":
			c.realm = v
		case "nonce":
			c.nonce = v
		case "opaque":
			c.opaque = v
		case "algorithm":
			c.algorithm = strings.ToUpper(v)
		case "stale":
			c.stale = strings.EqualFold(v, "true")
		case "qop":
			for _, q := range strings.Split(v, ",") {
				if strings.TrimSpace(q) == "auth" {
					c.qop = "auth"
				}
			}
		}
	}
	if c.algorithm != "MD5" && c.algorithm != "SHA-256" {
		return nil, fmt.Errorf("challenge algorithm %q: unknown", c.algorithm)
	}
	return c, nil
}

func (c *challenge) hash(s string) string {
	if c.algorithm == "SHA-256" {
		sum := sha256.Sum256([]byte(s))
		return hex.EncodeToString(sum[:])
	}
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// sign puts the answer to the challenge into a request, counting the use of the
// nonce.
func (c *challenge) sign(req *Message, user, password string) {
	c.used++
	ha1 := c.hash(user + ":" + c.realm + ":" + password)
	ha2 := c.hash(req.Method + ":" + req.URI)
	v := fmt.Sprintf(`Digest username="%s",realm="%s",nonce="%s",uri="%s",algorithm=%s`,
		user, c.realm, c.nonce, req.URI, c.algorithm)
	if c.qop == "" {
		v += `,response="` + c.hash(ha1+":"+c.nonce+":"+ha2) + `"`
	} else {
		nc, cnonce := fmt.Sprintf("%08x", c.used), token()
		v += fmt.Sprintf(`,qop=auth,nc=%s,cnonce="%s",response="%s"`, nc, cnonce, c.proof(ha1, ha2, nc, cnonce))
	}
	if c.opaque != "" {
		v += `,opaque="` + c.opaque + `"`
	}
	req.Set(c.answerIn, v)
}

// proof is the response with qop=auth, RFC 7616 section 3.4.1.
func (c *challenge) proof(ha1, ha2, nc, cnonce string) string {
	return c.hash(ha1 + ":" + c.nonce + ":" + nc + ":" + cnonce + ":auth:" + ha2)
}
