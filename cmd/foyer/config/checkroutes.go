package config

import "regexp"

// prefixForm is the beginning of E.164 numbers.
var prefixForm = regexp.MustCompile(`^\+([1-9][0-9]{0,14})?\*$`)

func (k *checker) checkRoutes() {
	hosts := map[string]bool{}
	for i := range k.c.Trunks {
		_, hosts[k.c.Trunks[i].ID] = k.at[&k.c.Trunks[i].Host]
	}
	for i := range k.c.OutboundRoutes {
		r := &k.c.OutboundRoutes[i]
		at := k.at[&r.Match]
		if r.Match == "" {
			continue
		}
		if !prefixForm.MatchString(r.Match) && !e164.MatchString(r.Match) {
			k.errorf(at, "match %q must be an E.164 number, or the beginning of one and a star, such as +33170000001 or +33*", r.Match)
			continue
		}
		k.checkTwice(r, k.c.OutboundRoutes[:i])
		k.checkWays(r, hosts)
		if r.Action == Allow {
			k.checkCostly(r)
		}
	}
}

// checkTwice: one of two routes for the same numbers would never be used.
func (k *checker) checkTwice(r *OutboundRoute, before []OutboundRoute) {
	for i := range before {
		o := &before[i]
		was := k.at[&o.Match]
		switch {
		case o.Match != r.Match:
		case o.Action == r.Action:
			k.errorf(k.at[&r.Match], "match %s stands twice, first at %s:%d", r.Match, was.file, was.line)
		default:
			k.warnf(k.at[&r.Match], "match %s is both allowed and denied (%s:%d): it is denied", r.Match, was.file, was.line)
		}
	}
}

// checkWays checks the trunks of a route.
func (k *checker) checkWays(r *OutboundRoute, hosts map[string]bool) {
	switch {
	case r.Action == Deny && len(r.Trunks) > 0:
		k.errorf(k.at[&r.Trunks], "outbound_routes[%s] denies: its trunks would never be used", r.Match)
	case r.Action == Allow && len(r.Trunks) == 0:
		k.errorf(k.at[&r.Match], "outbound_routes[%s] needs \"trunks\", or action: deny", r.Match)
	}
	seen := map[string]bool{}
	for i := range r.Trunks {
		id := &r.Trunks[i]
		switch {
		case !k.trunks[*id]:
			k.refer(id, "trunk", "trunks", k.trunks)
		case seen[*id]:
			k.errorf(k.at[id], "trunk %q stands twice in outbound_routes[%s]", *id, r.Match)
		case !hosts[*id]:
			k.errorf(k.at[id], "trunk %q has no \"host\": no number can be called by it", *id)
		}
		seen[*id] = true
	}
}

// costly are ranges that are called for money: who breaks into a telephone
// system calls them first.
var costly = [...]struct{ prefix, what string }{
	{"+3389", "premium-rate numbers of France"},
	{"+87", "satellite telephones"},
	{"+88", "satellite and other international networks"},
	{"+979", "international premium-rate numbers"},
}

// checkCostly warns of a route that lets costly numbers through by being wide,
// with no other route that decides about them.
func (k *checker) checkCostly(r *OutboundRoute) {
	for _, c := range costly {
		if fit := r.Fit(c.prefix); fit == 0 || fit == len(c.prefix) {
			continue
		}
		decided := false
		for i := range k.c.OutboundRoutes {
			o := &k.c.OutboundRoutes[i]
			decided = decided || o.Fit(c.prefix) > r.Fit(c.prefix)
		}
		if !decided {
			k.warnf(k.at[&r.Match], "outbound_routes[%s] lets %s* be called (%s): deny it by a route of its own, or allow it by one", r.Match, c.prefix, c.what)
		}
	}
}
