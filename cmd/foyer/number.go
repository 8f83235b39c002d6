package main

import (
	"strings"

	"github.com/nyaruka/phonenumbers"

	"foyer/cmd/foyer/config"
)

// home is the country whose numbers are dialled without a country code.
const (
	home     = "FR"
	homeCode = "+33"
)

// e164 writes a number with its country code, as everything in here compares and
// shows numbers. It reads what carriers and phones write in France: 0170000001,
// 0033170000001, 33170000001, +33 (0)1 70 00 00 01, and of another country what
// names it, be it as phone-context (RFC 3966 section 5.1.5). Our own numbers are
// known in whatever form. What is no number of the public network, or means
// something else on every one, such as 15, 3639 and 118218, stays as it came.
func (p *plan) e164(user string) string {
	user = strings.TrimSpace(user)
	number, context, _ := strings.Cut(user, ";phone-context=")
	region := home
	if strings.HasPrefix(context, "+") && !strings.HasPrefix(number, "+") {
		if region = regionOf(context); region == "" {
			return user
		}
	}
	if isE164(number) {
		return trunkZero(number)
	}
	if _, ok := p.dids["+"+number]; ok {
		return "+" + number
	}
	n, err := phonenumbers.Parse(number, region)
	if err != nil || phonenumbers.IsPossibleNumberWithReason(n) != phonenumbers.IS_POSSIBLE {
		return number
	}
	full := phonenumbers.Format(n, phonenumbers.E164)
	if strings.HasPrefix(full, homeCode+"0") {
		return number // nine digits with a zero before them: one is missing
	}
	return full
}

// trunkZero takes the zero out of +330170000001, which many write from +33 (0)1.
func trunkZero(number string) string {
	if rest, ok := strings.CutPrefix(number, homeCode+"0"); ok && len(rest) == 9 {
		return homeCode + rest
	}
	return number
}

// regionOf is the country of a phone-context such as +44 or +1-914; "" for none.
func regionOf(context string) string {
	digits := strings.NewReplacer("-", "", ".", "", "(", "", ")", "").Replace(context[1:])
	for size := min(len(digits), 3); size > 0; size-- {
		code := 0
		for _, d := range digits[:size] {
			if d < '0' || d > '9' {
				return ""
			}
			code = 10*code + int(d-'0')
		}
		if region := phonenumbers.GetRegionCodeForCountryCode(code); region != "ZZ" {
			return region
		}
	}
	return ""
}

func isE164(s string) bool {
	return len(s) >= 3 && len(s) <= 16 && s[0] == '+' && s[1] != '0' && isDigits(s[1:])
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// spelling is how a carrier wants numbers written, which are E.164; nil: as they are.
func spelling(f config.NumberFormat) func(string) string {
	switch f {
	case config.National:
		return func(number string) string {
			if rest, ok := strings.CutPrefix(number, homeCode); ok {
				return "0" + rest
			}
			return "00" + number[1:]
		}
	case config.International00:
		return func(number string) string { return "00" + number[1:] }
	}
	return nil
}

// incomplete says that a number is the beginning of one of ours: who dials digit by
// digit has not finished yet.
func (p *plan) incomplete(number string) bool {
	if rest, ok := strings.CutPrefix(number, "00"); ok {
		number = "+" + rest
	} else if rest, ok := strings.CutPrefix(number, "0"); ok {
		number = homeCode + rest // too short to be read as a number of France
	}
	if !isE164(number) || len(number) < len(homeCode)+4 {
		return false
	}
	for did := range p.dids {
		if len(did) > len(number) && strings.HasPrefix(did, number) {
			return true
		}
	}
	return false
}
