package sip

import (
	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// account is what we are to a carrier that challenges our INVITE. It goes to no
// one else: an INVITE with an account is sent to its trunk's host, and only the
// trunk's answers to it are heard. A challenge inside the dialog is not
// answered; it might be the callee's.
type account struct {
	user, password string
	answered       int // challenges of this call
}

// answer signs an INVITE that was challenged (RFC 3261 section 22.2). It reports
// whether that may help: not again after a refusal of the same credentials, but
// for a nonce that had grown old.
func (a *account) answer(inv *sip.Request, res *sip.Response) bool {
	ask, reply := "www-authenticate", "Authorization"
	switch {
	case a.user == "":
		return false
	case res.StatusCode == sip.StatusProxyAuthRequired:
		ask, reply = "proxy-authenticate", "Proxy-Authorization"
	case res.StatusCode != sip.StatusUnauthorized:
		return false
	}
	for _, h := range res.GetHeaders(ask) {
		c, err := digest.ParseChallenge(h.Value())
		if err != nil || !usable(c) || a.answered > 0 && !c.Stale || a.answered > 1 {
			continue
		}
		signed, err := digest.Digest(c, digest.Options{
			Method: string(inv.Method), URI: inv.Recipient.String(), Username: a.user, Password: a.password, Count: 1,
		})
		if err != nil {
			continue
		}
		drop(inv, reply)
		inv.AppendHeader(sip.NewHeader(reply, signed.String()))
		a.answered++
		return true
	}
	return false
}

// usable reports whether we can answer a challenge; a digest of the body too is
// more than anybody asks.
func usable(c *digest.Challenge) bool {
	return digest.CanDigest(c) && (len(c.QOP) == 0 || c.SupportsQOP("auth"))
}
