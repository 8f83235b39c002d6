package sip

import (
	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// account is what we are to a carrier that challenges a request of ours. It goes
// to no one else: an INVITE or REGISTER with an account is sent to its trunk's
// own host, and only the trunk's answers to it are heard. A challenge inside a
// dialog is not answered; it might be the callee's.
type account struct {
	user, password string
	realm          string // "": any
	answered       int    // challenges of this request

	last   *digest.Challenge // answered last, to sign the next request unasked
	header string            // that carried the answer
	uses   int               // of its nonce
}

func (t Trunk) account() account {
	return account{user: t.Username, password: t.Password, realm: t.Realm}
}

// answer signs a request that was challenged (RFC 3261 section 22.2). It reports
// whether that may help: not again after a refusal of the same credentials, but
// for a nonce that had grown old. Of several challenges the first that we can
// answer counts (RFC 7616 section 3.7).
func (a *account) answer(req *sip.Request, res *sip.Response) bool {
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
		if err != nil || !usable(c) || a.realm != "" && c.Realm != a.realm || a.answered > 0 && !c.Stale || a.answered > 1 {
			continue
		}
		a.last, a.header, a.uses = c, reply, 0
		if !a.sign(req) {
			continue
		}
		a.answered++
		return true
	}
	return false
}

// sign answers the last challenge again, for a request that nobody has challenged
// yet (RFC 7616 section 3.6). It reports whether there was one.
func (a *account) sign(req *sip.Request) bool {
	if a.last == nil {
		return false
	}
	a.uses++
	signed, err := digest.Digest(a.last, digest.Options{
		Method: string(req.Method), URI: req.Recipient.String(), Username: a.user, Password: a.password, Count: a.uses,
	})
	if err != nil {
		return false
	}
	drop(req, a.header)
	req.AppendHeader(sip.NewHeader(a.header, signed.String()))
	return true
}

// usable reports whether we can answer a challenge; a digest of the body too is
// more than anybody asks.
func usable(c *digest.Challenge) bool {
	return digest.CanDigest(c) && (len(c.QOP) == 0 || c.SupportsQOP("auth"))
}
