package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"foyer/cmd/foyer/config"
	"foyer/sip"
)

// way is how a number of the public network is called: the number as carriers
// take it, and the trunks that are left to try.
type way struct {
	number string
	trunks []string
}

var (
	errNoNumber  = errors.New("not a number that can be called")
	errNoRoute   = errors.New("no outbound route fits it")
	errDenied    = errors.New("an outbound route denies it")
	errNoTrunk   = errors.New("no trunk left to try")
	errEmergency = errors.New("an emergency number")
	errCostly    = errors.New("no outbound route names numbers of this kind")
)

// outbound finds the way to a number. What has no E.164 form is never dialled:
// 112, 15 or 3639 mean something else on every network, and a call for help must
// not come from here. Nor is anything that no route fits.
func (p *plan) outbound(number string) (way, *config.OutboundRoute, error) {
	refused := func(number string, why error) (way, *config.OutboundRoute, error) {
		return way{}, nil, fmt.Errorf("dial %q: %w", number, why)
	}
	n, err := phonenumbers.Parse(p.e164(plainNumber(number)), "")
	if err != nil || phonenumbers.IsPossibleNumberWithReason(n) != phonenumbers.IS_POSSIBLE {
		return refused(number, errNoNumber)
	}
	// As the number truly is: some write +33 0 8 99 12 34 56, and many networks call
	// +33899123456 then.
	w := way{number: phonenumbers.Format(n, phonenumbers.E164)}
	if !isE164(w.number) {
		return refused(number, errNoNumber)
	}
	// +49110 is as long as a number may be in Germany, and some networks would
	// take it for 110.
	if phonenumbers.IsEmergencyNumber(phonenumbers.GetNationalSignificantNumber(n), phonenumbers.GetRegionCodeForCountryCode(int(n.GetCountryCode()))) {
		return refused(number, errEmergency)
	}
	route := p.cfg.RouteTo(w.number)
	kind, least := config.Costly(w.number)
	switch {
	case route == nil:
		return refused(w.number, errNoRoute)
	case route.Action == config.Deny:
		return refused(w.number, fmt.Errorf("%w (%s)", errDenied, route.Match))
	case kind != "" && route.Fit(w.number) < least:
		return refused(w.number, fmt.Errorf("%w: %s (%s)", errCostly, kind, route.Match))
	}
	w.trunks = route.Trunks
	return w, route, nil
}

// plainNumber is what was dialled, if it is written with digits and what people put
// between them, "" if there is anything else: parameters, escapes, letters, digits
// of other scripts, service codes. Each of these means one thing to us and might
// mean another to a carrier.
func plainNumber(s string) string {
	s = strings.TrimPrefix(strings.TrimSpace(s), "tel:")
	if strings.Trim(strings.TrimPrefix(s, "+"), "0123456789 .-()/") != "" {
		return ""
	}
	return s
}

// next dials the number by the next trunk that takes the call, one that is full
// being passed over. The leg is one attempt: when its Refused says Elsewhere, or
// nothing more is to be hoped of it, the call asks next again. The error says
// that no trunk is left.
func (w *way) next(dial func(trunk string) (*sip.Leg, error)) (*sip.Leg, error) {
	err := fmt.Errorf("dial %s: %w", w.number, errNoTrunk)
	for len(w.trunks) > 0 {
		trunk := w.trunks[0]
		w.trunks = w.trunks[1:]
		leg, failed := dial(trunk)
		if failed == nil {
			return leg, nil
		}
		err = failed
	}
	return nil, err
}

// shown says whom a number that is called by a trunk sees, when the call is passed
// on for a caller who dialled one of our numbers; for a call of our own, the caller
// is empty. A caller who has no number to show is shown as ours. passedOn says that
// the trunk is to be told who passes the call on.
func (p *plan) shown(trunk string, caller sip.Caller, did string) (shown sip.Caller, passedOn bool) {
	caller.User = p.e164(caller.User)
	switch {
	case p.trunks[trunk].callerID != config.ShowCaller || caller == sip.Caller{}:
		return sip.Caller{User: did}, false
	case !isE164(caller.User):
		return sip.Caller{User: did, Private: caller.Private}, true
	}
	return caller, true
}

// prefer puts those trunks first that take calls as far as is known. Those that are
// down are tried when nothing else is left: what we know may be out of date, and no
// caller has to wait for it.
func (w *way) prefer(up func(trunk string) bool) {
	var first, last []string
	for _, trunk := range w.trunks {
		if up(trunk) {
			first = append(first, trunk)
		} else {
			last = append(last, trunk)
		}
	}
	w.trunks = append(first, last...)
}
