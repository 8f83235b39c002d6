package sip

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Vouched is what an INVITE claims of how sure its caller's number is. Nothing of
// it is verified here, and no certificate is fetched: an address that stands in
// a SIP message is never called up.
type Vouched struct {
	Verstat  string   // what the carrier found when it verified: TN-Validation-Passed, TN-Validation-Failed, No-TN-Validation
	Attest   string   // A, B or C: what the signature claims (RFC 8588 section 4)
	Identity []string // the signatures themselves (RFC 8224), to be passed on
}

const (
	longestIdentity = 4 << 10
	mostIdentities  = 4
)

// vouchedOf reads Identity, and verstat of P-Asserted-Identity or From.
func vouchedOf(req *sip.Request) (v Vouched) {
	for _, h := range req.GetHeaders("identity") {
		if text := h.Value(); len(text) <= longestIdentity && printable(text) == text && len(v.Identity) < mostIdentities {
			v.Identity = append(v.Identity, text)
			if v.Attest == "" {
				v.Attest = attestOf(text)
			}
		}
	}
	for _, name := range []string{"p-asserted-identity", "from"} {
		for _, h := range req.GetHeaders(name) {
			if v.Verstat == "" {
				v.Verstat = verstatIn(h.Value())
			}
		}
	}
	return v
}

// verstatIn finds the parameter where carriers write it: in the number of a tel or
// SIP URI, or after its host.
func verstatIn(address string) string {
	_, value, found := strings.Cut(strings.ToLower(address), "verstat=")
	if !found {
		return ""
	}
	start := len(address) - len(value)
	end := strings.IndexAny(value, `;@>, "&?`)
	if end < 0 {
		end = len(value)
	}
	return tokenOnly(address[start : start+end])
}

// attestOf reads the claim of a PASSporT (RFC 8225) without believing it.
func attestOf(identity string) string {
	token, _, _ := strings.Cut(identity, ";")
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return ""
	}
	var claim struct {
		Attest string `json:"attest"`
	}
	if json.Unmarshal(payload, &claim) != nil || len(claim.Attest) != 1 || !strings.Contains("ABC", claim.Attest) {
		return ""
	}
	return claim.Attest
}
