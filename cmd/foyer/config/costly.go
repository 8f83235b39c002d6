package config

import (
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Costly says of what kind a number, in E.164, is that whoever breaks into a
// telephone system calls for money, "" if it is none, and how much of it a route
// must fit to allow it nevertheless: more than its country.
func Costly(number string) (kind string, least int) {
	n, err := phonenumbers.Parse(number, "")
	if err != nil {
		return "", 0
	}
	code := strconv.Itoa(int(n.GetCountryCode()))
	least = len("+") + len(code) + 1
	switch phonenumbers.GetNumberType(n) {
	case phonenumbers.PREMIUM_RATE:
		kind = "premium rate"
	case phonenumbers.SHARED_COST:
		kind = "shared cost"
	case phonenumbers.PERSONAL_NUMBER, phonenumbers.PAGER, phonenumbers.UAN, phonenumbers.VOICEMAIL:
		kind = "special service"
	}
	region := phonenumbers.GetRegionCodeForNumber(n)
	switch {
	case strings.HasPrefix(code, "87"), strings.HasPrefix(code, "88"), code == "979", code == "808":
		return "satellite or international network", least - 1
	case kind == "" && code == "1" && region != "" && region != "US" && region != "CA":
		kind = "a country of its own within +1"
	}
	return kind, least
}
