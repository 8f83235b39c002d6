package sip

import (
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// verdict on the credentials of a request. Whoever sent it sees only 401 with a
// fresh challenge, and whether it pays to try again without asking the user.
type verdict uint8

const (
	missing   verdict = iota // no credentials for our realm
	malformed                // not as RFC 7616 has it, or without qop=auth
	stale                    // nonce too old, not ours, or issued to another flow
	replayed                 // the count of this nonce has been used
	delayed                  // not looked at: this source has failed too often to try again so soon
	unknown                  // no such user, or the credentials of another one
	wrong                    // response does not match
	proven
)

func (v verdict) String() string {
	return [...]string{"missing", "malformed", "stale", "replay", "delayed", "unknown_user", "wrong_password", "proven"}[v]
}

// guess reports whether the sender may be trying passwords: what a ban counts.
func (v verdict) guess() bool { return v == unknown || v == wrong }

// worthRetrying reports whether the phone may answer a new challenge without
// asking its user: stale=true of RFC 7616 section 3.3.
func (v verdict) worthRetrying() bool { return v == stale || v == replayed }

// authenticate finds out which agent sent a request: REGISTER by its To, any
// other method by its From. If it is not proven, refusal is the answer to send.
//
// Any other method than REGISTER must besides come by a flow that one of the
// agent's phones is registered with; a password alone does not place calls.
func (r *Registrar) authenticate(req *sip.Request) (user string, refusal *sip.Response) {
	account, v := r.prove(req)
	if v != proven {
		return "", r.challenge(req, account.Algorithm, v.worthRetrying())
	}
	if req.Method != sip.REGISTER && !r.registeredBy(account.User, req) {
		r.authFailures("unregistered_flow")
		return "", reply(req, sip.StatusForbidden, "Forbidden")
	}
	return account.User, nil
}

// prove judges a request by the account it claims and counts what came of it.
func (r *Registrar) prove(req *sip.Request) (Account, verdict) {
	now := r.now()
	user := claimed(req)
	account, known := r.account(user)
	c, v := r.credentials(req)
	if v == proven {
		v = r.judge(now, req, c, attempt{account, known, user})
	}
	if v != missing && v != proven {
		r.authFailures(v.String())
	}
	return account, v
}

// attempt is a request's claim to be from a user.
type attempt struct {
	account Account
	known   bool
	user    string // as claimed
}

// judge verifies the credentials of a request against an account, unless whoever
// sent it has to wait, and notes the outcome. It is the same for a user who does
// not exist as for a wrong password.
func (r *Registrar) judge(now time.Time, req *sip.Request, c *credentials, a attempt) verdict {
	from, _ := flowOf(req)
	source := from.remote.Addr()
	trusted := r.registeredBy(a.user, req)
	if !trusted && r.guesses.waiting(a.user, source, now) {
		return delayed
	}
	v := r.verify(now, req, c, a)
	switch {
	case v == proven:
		r.guesses.right(a.user, source, now)
	case v.guess():
		r.guessed(a.user, source, now)
	}
	return v
}

// claimed returns the user a request says it is from, "" if it says none.
func claimed(req *sip.Request) string {
	var u *sip.Uri
	if req.Method == sip.REGISTER {
		if to := req.To(); to != nil {
			u = &to.Address
		}
	} else if from := req.From(); from != nil {
		u = &from.Address
	}
	if u == nil || u.Scheme != "sip" && u.Scheme != "sips" {
		return ""
	}
	return unescape(u.User)
}

// unescape reads a user part. One with control characters in it, such as the
// %00 of RFC 4475 section 3.1.1.4, is better left escaped.
func unescape(user string) string {
	if strings.Contains(user, "%") {
		if plain, err := url.PathUnescape(user); err == nil && !strings.ContainsFunc(plain, unicode.IsControl) && utf8.ValidString(plain) {
			return plain
		}
	}
	return user
}

// verify holds credentials against an account. An unknown user costs the same work
// as a wrong password: one nonce, one digest.
func (r *Registrar) verify(now time.Time, req *sip.Request, c *credentials, a attempt) verdict {
	account, known := a.account, a.known
	count, counted := c.count()
	if c.qop != "auth" || !counted || c.cnonce == "" {
		return malformed
	}
	use, ok := r.nonces.open(now, c.nonce, flowName(req))
	if !ok {
		return stale
	}
	use.count = count
	right := account.proves(c, string(req.Method))
	itself := known && c.username == account.User && !c.userhash
	// A response by another algorithm is no proof, however it was made. Some
	// phones do not repeat the algorithm; the digest then speaks for itself.
	right = right && (c.algorithm == "" || strings.EqualFold(c.algorithm, string(account.Algorithm)))
	right = right && names(c.uri, &req.Recipient)
	switch {
	case !itself:
		return unknown
	case !right:
		return wrong
	case !r.nonces.uses.admit(now, use):
		return replayed
	}
	return proven
}

// credentials returns the first ones for our realm; the verdict is proven when
// there are any.
func (r *Registrar) credentials(req *sip.Request) (*credentials, verdict) {
	v := missing
	for h := range eachHeader(req, "authorization") {
		value := h.Value()
		if scheme, _, _ := strings.Cut(value, " "); !strings.EqualFold(scheme, "Digest") {
			continue
		}
		c, ok := parseCredentials(value)
		if !ok {
			v = malformed
		} else if c.realm == r.realm {
			return c, proven
		}
	}
	return nil, v
}

// guessed notes a failed authentication against its source and its account.
func (r *Registrar) guessed(user string, source netip.Addr, now time.Time) {
	if r.guesses.fail(user, source, now) {
		r.alarms.Add(1)
		r.log.Warn("passwords of agents' phones are being guessed",
			zap.Int("failures_this_hour", r.guesses.policy.Alarm), zap.Stringer("latest_source", source))
	}
	if r.bans.fail(source, now) {
		r.bansBegun.Add(1)
		r.log.Warn("source banned after failed authentications",
			zap.Stringer("source", banKey(source)), zap.Duration("for", r.bans.policy.Duration))
	}
}

// registeredBy reports whether a request came by the flow of one of the user's phones.
func (r *Registrar) registeredBy(user string, req *sip.Request) bool {
	from, ok := flowOf(req)
	r.mu.RLock()
	defer r.mu.RUnlock()
	return ok && r.places.on(r.now(), user, from)
}

// challenge refuses a request with a fresh nonce. Its form depends on nothing
// but the algorithm: never two in one answer, because real phones give up when
// they see one they do not know.
func (r *Registrar) challenge(req *sip.Request, alg Algorithm, again bool) *sip.Response {
	value := r.scheme + r.nonces.issue(r.now(), flowName(req)) + `", algorithm=` + string(alg) + `, qop="auth"`
	if again {
		value += ", stale=true"
	}
	res := reply(req, sip.StatusUnauthorized, "Unauthorized")
	res.AppendHeader(sip.NewHeader("WWW-Authenticate", value))
	return res
}

func quote(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
}

// reply builds a response that goes back to where the request really came from,
// whether or not its Via asks for that (RFC 3581): behind a home router nothing
// else arrives.
func reply(req *sip.Request, code int, reason string) *sip.Response {
	res := sip.NewResponseFromRequest(req, code, reason, nil)
	res.SetDestination(req.Source())
	if via := res.Via(); via != nil && !via.Params.Has("received") {
		// RFC 3261 section 18.2.1.
		source, err := netip.ParseAddrPort(req.Source())
		if err == nil && strings.Trim(via.Host, "[]") != source.Addr().String() {
			via.Params.Add("received", source.Addr().String())
		}
	}
	return res
}
