package config

import "strings"

// OutboundRoute says by which trunks the numbers of a range are called, or that
// they are not. Of the routes that fit a number the longest match counts, an
// exact number being longer than a prefix of it; where two are the same, the one
// that denies.
//
// A number that no route fits is never called: that is what covers emergency
// numbers, short codes and premium-rate numbers. The first two are no E.164
// numbers (112, 15, 3639), so nothing that can be written here fits them: a call
// to the fire brigade must not come from a queue that overflows. Premium-rate
// numbers are called only if a route says so, and a route that is so wide that it
// does by accident is warned of.
type OutboundRoute struct {
	// Match is a number in E.164, or the beginning of some and a star: +33*.
	Match string `yaml:"match" need:"yes"`
	// Trunks are tried in order: the next when one is full, does not answer or
	// answers 5xx.
	Trunks []string `yaml:"trunks"`
	Action Action   `yaml:"action" default:"allow" enum:"allow deny"`

	_ struct{} `later:"allow_roles"`
}

// Action is what a route does with the numbers it fits.
type Action string

// What OutboundRoute.Action may be.
const (
	Allow Action = "allow"
	Deny  Action = "deny"
)

// Fit says how much of a number, in E.164, the route is about: 0 if it does not
// fit it.
func (r *OutboundRoute) Fit(number string) int {
	digits, prefix := strings.CutSuffix(r.Match, "*")
	switch {
	case prefix && strings.HasPrefix(number, digits):
		return len(digits)
	case !prefix && number == r.Match:
		return len(number) + 1
	}
	return 0
}

// RouteTo is the route that decides about a number, in E.164; nil if none does.
func (c *Config) RouteTo(number string) *OutboundRoute {
	var route *OutboundRoute
	best := 0
	for i := range c.OutboundRoutes {
		r := &c.OutboundRoutes[i]
		if fit := r.Fit(number); fit > best || fit == best && fit > 0 && r.Action == Deny {
			route, best = r, fit
		}
	}
	return route
}
