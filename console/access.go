package console

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"
)

// actor is who makes a request.
type actor struct {
	name    string
	all     bool // every scope
	scopes  []string
	clients []string // nil: every client
	remote  string
}

func (a actor) may(scope string) bool {
	return a.all || slices.Contains(a.scopes, scope) || slices.Contains(a.scopes, AdminScope)
}

// sees tells whether something of a client is the actor's to know of.
func (a actor) sees(client string) bool {
	return a.clients == nil || slices.Contains(a.clients, client)
}

type contextKey uint8

const (
	actorKey contextKey = iota
	socketKey
)

// who is the actor of a request that the middleware let through.
func who(ctx context.Context) actor {
	a, _ := ctx.Value(actorKey).(actor)
	return a
}

// Admin marks every request as the operator's at the machine. Serve it on the admin
// socket only: there the permissions of the socket's file say who the operator is.
func Admin(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), socketKey, true)))
	})
}

// door decides who a request is.
type door struct {
	db   *sql.DB
	demo bool
	log  *zap.Logger
}

// recognise returns the actor of a request, or the problem to answer with.
func (d *door) recognise(r *http.Request) (actor, *Problem) {
	if on, _ := r.Context().Value(socketKey).(bool); on {
		return actor{name: "admin-socket", all: true, remote: "unix"}, nil
	}
	if header := r.Header.Get("Authorization"); header != "" {
		return d.bearer(r, header)
	}
	if d.demo && fromHere(r) {
		if p := sameOrigin(r); p != nil {
			return actor{}, p
		}
		return actor{name: "demo", all: true, remote: r.RemoteAddr}, nil
	}
	hint := "Make a token with `foyer token create` and send it as Authorization: Bearer."
	if d.demo {
		hint += " Without a token the demo serves only requests from this machine to localhost."
	}
	return actor{}, unauthorised("A token is needed.", "", hint)
}

func (d *door) bearer(r *http.Request, header string) (actor, *Problem) {
	kind, plain, _ := strings.Cut(header, " ")
	if !strings.EqualFold(kind, "Bearer") || d.db == nil {
		return actor{}, unauthorised("Only bearer tokens are known here.", "invalid_request", "Send Authorization: Bearer foyer_….")
	}
	t, err := findToken(r.Context(), d.db, strings.TrimSpace(plain), time.Now())
	if errors.Is(err, errBadToken) {
		return actor{}, unauthorised("The token is not valid.", "invalid_token", "It may be mistyped, expired or revoked: `foyer token list` tells.")
	}
	if err != nil {
		d.log.Error("console", zap.String("about", "token"), zap.Error(err))
		return actor{}, problem(http.StatusServiceUnavailable, "unavailable", "Tokens cannot be checked now.", "")
	}
	a := actor{name: t.Name + " (" + t.ID + ")", scopes: t.Scopes, remote: r.RemoteAddr}
	if len(t.Clients) > 0 {
		a.clients = t.Clients
	}
	return a, nil
}

// unauthorised is a 401 with the challenge of RFC 6750 section 3.
func unauthorised(detail, reason, hint string) *Problem {
	p := problem(http.StatusUnauthorized, "unauthorised", detail, hint)
	challenge := `Bearer realm="foyer"`
	if reason != "" {
		challenge += `, error="` + reason + `"`
	}
	p.headers = http.Header{"Www-Authenticate": {challenge}}
	return p
}

func forbidden(scope string) *Problem {
	p := problem(http.StatusForbidden, "forbidden", "This needs the scope "+scope+".", "Make a token with that scope.")
	p.headers = http.Header{"Www-Authenticate": {`Bearer realm="foyer", error="insufficient_scope", scope="` + scope + `"`}}
	return p
}

// fromHere tells whether a request comes from this machine and knows it. A page of
// some other site can have its name resolve to 127.0.0.1 (DNS rebinding), but the
// browser still says that name in Host; and a proxy on this machine says whom it
// speaks for.
func fromHere(r *http.Request) bool {
	if !loopback(r.RemoteAddr) {
		return false
	}
	for _, forwarded := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(forwarded) != "" {
			return false
		}
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 section 6.3
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// loopback tells whether an address of a peer, host:port, is on this machine.
func loopback(remote string) bool {
	peer, err := netip.ParseAddrPort(remote)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// sameOrigin refuses what another site's page makes a browser send here. A request
// that says nothing of its origin is not from a browser.
func sameOrigin(r *http.Request) *Problem {
	site := r.Header.Get("Sec-Fetch-Site")
	foreign := site != "" && site != "same-origin" && site != "none"
	if err := http.NewCrossOriginProtection().Check(r); err == nil && !foreign {
		return nil
	}
	return problem(http.StatusForbidden, "cross_origin", "Another site's page may not do this.", "Use the console's own page, or a token.")
}

// admit is huma's middleware: it finds out who asks and whether their scopes allow
// the operation.
func (d *door) admit(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	a, p := d.recognise(r)
	if p == nil {
		if scope, _ := ctx.Operation().Metadata["scope"].(string); !a.may(scope) {
			p = forbidden(scope)
		}
	}
	if p != nil {
		p.write(w)
		return
	}
	next(huma.WithValue(ctx, actorKey, a))
}

// guard is admit for a plain handler; a request from this machine passes freely.
func (d *door) guard(scope string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || !fromHere(r) {
			a, p := d.recognise(r)
			if p == nil && !a.may(scope) {
				p = forbidden(scope)
			}
			if p != nil {
				p.write(w)
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}
