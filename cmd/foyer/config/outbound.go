package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// OutboundRoute says by which trunks the numbers of a range are called, or that
// they are not. Of the routes that fit a number the longest match counts, an
// exact number being longer than a prefix of it; where two are the same, the one
// that denies.
//
// A number that no route fits is never called: that is what covers emergency
// numbers and short codes, which are no E.164 numbers (112, 15, 3639), so nothing
// that can be written here fits them: a call to the fire brigade must not come
// from a queue that overflows. Numbers that cost more than others of their
// country (premium rate, shared cost, personal numbers), satellite telephones and
// international networks, and the countries besides the United States and Canada
// that begin with +1, are called only if the route names them: +3389* does,
// +33* does not.
type OutboundRoute struct {
	// Match is a number in E.164, or the beginning of some and a star: +33*.
	Match string `yaml:"match" need:"yes"`
	// Trunks are tried in order: the next when one is full, does not answer or
	// answers 5xx.
	Trunks []string `yaml:"trunks"`
	Action Action   `yaml:"action" default:"allow" enum:"allow deny"`
	// AllowRoles are who may call it; everybody when not given.
	AllowRoles []string `yaml:"allow_roles" enum:"agent supervisor client"`
	// Rate is what a minute costs, for the limits of outbound.
	Rate Money `yaml:"rate"`
}

// Action is what a route does with the numbers it fits.
type Action string

// What OutboundRoute.Action may be.
const (
	Allow Action = "allow"
	Deny  Action = "deny"
)

// Role is in whose name a number is called.
type Role string

// What OutboundRoute.AllowRoles may be.
const (
	ForAgents      Role = "agent"
	ForSupervisors Role = "supervisor"
	// ForClients is the switch itself: callers whom a queue passes on, callbacks.
	ForClients Role = "client"
)

// Allows says whether a role may use the route.
func (r *OutboundRoute) Allows(role Role) bool {
	return len(r.AllowRoles) == 0 || slices.Contains(r.AllowRoles, string(role))
}

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

// Outbound is how much may be called, by whichever route. Days begin at midnight
// in site.timezone; a restart of the switch begins one too.
type Outbound struct {
	// Agent is for each agent, Client for each client: its callers whom a queue
	// passes on, its callbacks, and the calls of agents for it.
	Agent  AgentDialling  `yaml:"agent"`
	Client ClientDialling `yaml:"client"`
	// SameNumber is how often one number may be called in a day, whoever does: a
	// caller who shows another's number must not have it rung all day.
	SameNumber int `yaml:"same_number" default:"20" min:"1" max:"100000"`
}

// DialLimits are what somebody may call. A call that meets one while it is up is
// ended.
type DialLimits struct {
	Calls      int           // at once
	Call       time.Duration // one, from its answer
	DailyCalls int           // answered or not
	Daily      time.Duration // of all together, from their answers
	DailySpend Money         // by the rates of outbound_routes; 0: no limit
	Calendar   string        // only in its hours; "": always
}

// AgentDialling is DialLimits with the defaults for agents.
type AgentDialling struct {
	Calls      int           `yaml:"calls" default:"2" min:"0" max:"100"`
	Call       time.Duration `yaml:"call" default:"1h" min:"10s" max:"1d"`
	DailyCalls int           `yaml:"daily_calls" default:"200" min:"0" max:"100000"`
	Daily      time.Duration `yaml:"daily" default:"4h" min:"10s" max:"1d"`
	DailySpend Money         `yaml:"daily_spend"`
	Calendar   string        `yaml:"calendar"`
}

// ClientDialling is DialLimits with the defaults for clients.
type ClientDialling struct {
	Calls      int           `yaml:"calls" default:"50" min:"0" max:"100000"`
	Call       time.Duration `yaml:"call" default:"2h" min:"10s" max:"1d"`
	DailyCalls int           `yaml:"daily_calls" default:"2000" min:"0" max:"1000000"`
	Daily      time.Duration `yaml:"daily" default:"100h" min:"10s" max:"366d"`
	DailySpend Money         `yaml:"daily_spend"`
	Calendar   string        `yaml:"calendar"`
}

// Money is an amount in ten-thousandths of the currency, written as a quoted
// decimal: "0.0150".
type Money int64

func setMoney(into *Money, text string) error {
	bad := fmt.Errorf("must be an amount such as \"0.02\" or \"25\", with at most four decimals, not %q", text)
	units, decimals, point := strings.Cut(text, ".")
	if point && decimals == "" || len(decimals) > 4 {
		return bad
	}
	n, err := strconv.ParseUint(units+decimals+strings.Repeat("0", 4-len(decimals)), 10, 48)
	if err != nil || units == "" {
		return bad
	}
	*into = Money(n)
	return nil
}
