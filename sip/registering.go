package sip

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/emiago/sipgo/sip"
)

// enrolWait is how long a registrar may take to answer; by UDP the transaction
// repeats the request four times in it.
const enrolWait = 8 * time.Second

// registering sends the REGISTERs of one trunk. It belongs to the goroutine that
// looks after it.
type registering struct {
	e       *Edge
	w       *watch
	account account
	callID  string // of all of them (RFC 3261 section 10.2)
	tag     string
	cseq    uint32
}

// refresh registers, or registers again, at the first place of the registrar that
// answers, and notes what came of it.
func (r *registering) refresh(ctx context.Context) {
	e, w := r.e, r.w
	var out enrolled
	var res *sip.Response
	var at netip.AddrPort
	places, err := e.placesOf(ctx, w.registrar())
	if err != nil {
		out.err = err.Error()
	}
	for _, at = range r.inTurn(places) {
		out, res = r.register(ctx, at, w.enrol.asks)
		if ctx.Err() != nil {
			return
		}
		if out.code != 0 && out.code != sip.StatusServiceUnavailable {
			break
		}
		e.hosts.silent(at, out.after)
	}
	e.turn(w, func(now time.Time) {
		if len(places) > 0 {
			w.found(&w.registrars, places)
		}
		w.enrol.took(now, out, rand.Float64())
		if out.code == sip.StatusOK {
			w.at, w.routes, w.path = at, serviceRoute(res), pathOf(res)
		}
	})
}

// registrar is where the trunk is registered.
func (w *watch) registrar() host {
	return host{w.trunk.Registration.Host, w.trunk.Registration.Port, w.trunk.transport()}
}

// inTurn puts the place where we are registered first: another may not know us.
func (r *registering) inTurn(places []netip.AddrPort) []netip.AddrPort {
	r.w.mu.Lock()
	at, up := r.w.at, r.w.enrol.up(r.e.o.Now()) && r.w.enrol.failures == 0
	r.w.mu.Unlock()
	if !up || !slices.Contains(places, at) {
		return places
	}
	rest := slices.DeleteFunc(slices.Clone(places), func(p netip.AddrPort) bool { return p == at })
	return append([]netip.AddrPort{at}, rest...)
}

// register sends one REGISTER to a place and answers its challenge.
func (r *registering) register(ctx context.Context, at netip.AddrPort, expires time.Duration) (enrolled, *sip.Response) {
	ctx, cancel := context.WithTimeout(ctx, enrolWait)
	defer cancel()
	f := r.e.flowTo(r.w.trunk, at)
	req := r.request(f, expires)
	r.account.answered = 0
	r.account.sign(req)
	for {
		res, err := r.e.finalOf(ctx, req)
		if err != nil {
			return enrolled{err: brieflyWhy(err)}, nil
		}
		again := r.request(f, expires)
		if !r.account.answer(again, res) {
			r.cseq-- // it is never sent
			return enrolledOf(req, res), res
		}
		req = again
	}
}

// request builds a REGISTER (RFC 3261 section 10.2). The Contact's user is the
// account: by it a carrier addresses its calls, and we tell whose they are.
func (r *registering) request(f flow, expires time.Duration) *sip.Request {
	t := r.w.trunk
	r.cseq++
	domain := sip.Uri{Scheme: "sip", Host: t.Registration.Host, Port: int(t.Registration.Port)}
	aor := sip.Uri{Scheme: "sip", User: escapeUser(t.Username), Host: t.Registration.Host}
	d := dialog{
		flow: f, target: domain,
		from: &sip.FromHeader{Address: aor, Params: sip.HeaderParams{{K: "tag", V: r.tag}}},
		to:   &sip.ToHeader{Address: aor},
	}
	req := r.e.inside(r.callID, &d, sip.REGISTER, r.cseq)
	req.AppendHeader(r.e.contactAs(t.Username, f))
	until := sip.ExpiresHeader(seconds(expires))
	req.AppendHeader(&until)
	req.AppendHeader(sip.NewHeader("Supported", "path"))
	req.SetBody(nil)
	return req
}

// leave takes the registration back, if there is one.
func (r *registering) leave() {
	r.w.mu.Lock()
	up, at := r.w.enrol.up(r.e.o.Now()), r.w.at
	r.w.mu.Unlock()
	if !up {
		return
	}
	ctx, cancel := context.WithTimeout(r.e.stopped, farewell)
	defer cancel()
	r.register(ctx, at, 0)
}

// serviceRoute is by which proxies a carrier wants our calls (RFC 3608 section 6.1).
func serviceRoute(res *sip.Response) (routes []sip.Uri) {
	for _, h := range res.GetHeaders("service-route") {
		for value := range eachElement(h.Value(), ',') {
			var uri sip.Uri
			if _, err := sip.ParseAddressValue(value, &uri, nil); err == nil && len(routes) < mostPlaces {
				routes = append(routes, uri)
			}
		}
	}
	return routes
}

// pathOf is by which proxies a carrier reaches us (RFC 3327 section 5.3), as far as
// it says so.
func pathOf(res *sip.Response) (path []string) {
	for _, h := range res.GetHeaders("path") {
		if len(path) < mostPlaces {
			path = append(path, printable(h.Value()))
		}
	}
	return path
}
