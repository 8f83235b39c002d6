package config

import (
	"regexp"
	"slices"
)

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
	}
	k.checkOutbound()
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
	case r.Action == Deny && len(r.AllowRoles) > 0:
		k.errorf(k.at[&r.AllowRoles], "outbound_routes[%s] denies: it allows nobody", r.Match)
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

// checkOutbound checks the limits on what is called.
func (k *checker) checkOutbound() {
	o := &k.c.Outbound
	k.refer(&o.Agent.Calendar, "calendar", "calendars", k.calendars)
	k.refer(&o.Client.Calendar, "calendar", "calendars", k.calendars)
	priced := slices.ContainsFunc(k.c.OutboundRoutes, func(r OutboundRoute) bool { return r.Rate > 0 })
	for _, spend := range []*Money{&o.Agent.DailySpend, &o.Client.DailySpend} {
		if at, given := k.at[spend]; given && !priced {
			k.errorf(at, "no outbound route has a \"rate\": nothing would ever count as spent")
		}
	}
}
