package main

import (
	"fmt"
	"strings"
	"testing"

	"foyer/cmd/foyer/config"
)

// Numbers as carriers and phones write them, and as we know them.
func TestNumbers(t *testing.T) {
	p := routed(t)
	for written, want := range map[string]string{
		"+33170000001": "+33170000001", "0170000001": "+33170000001", "0033170000001": "+33170000001", "33170000001": "+33170000001",
		"+33 1 70 00 00 01": "+33170000001", "01.70.00.00.01": "+33170000001", "01-70-00-00-01": "+33170000001", " 0170000001 ": "+33170000001",
		"+33(0)170000001": "+33170000001", "+33 (0)1 70 00 00 01": "+33170000001", "+330170000001": "+33170000001", "0033(0)170000001": "+33170000001",
		"0612345678": "+33612345678", "33612345678": "+33612345678", "0800123456": "+33800123456",
		"+441632960001": "+441632960001", "00441632960001": "+441632960001", "+14155550100": "+14155550100", "0014155550100": "+14155550100",
		"+3906123456": "+3906123456", // Italy keeps its zero

		// Numbers that are local to a country (RFC 3966 section 5.1.5).
		"0170000001;phone-context=+33": "+33170000001", "170000001;phone-context=+33": "+33170000001",
		"01632960001;phone-context=+44": "+441632960001", "4155550100;phone-context=+1": "+14155550100",
		"5550100;phone-context=+1-415":  "5550100", // seven digits are a number of a town, which we do not know
		"0612345678;phone-context=+999": "0612345678;phone-context=+999", "0612345678;phone-context=+x": "0612345678;phone-context=+x",

		// What means something else on every network stays as it is.
		"15": "15", "17": "17", "18": "18", "112": "112", "114": "114", "119": "119", "3117": "3117", "3639": "3639", "3900": "3900", "118218": "118218", "116117": "116117",
		"112;phone-context=+33": "112",

		// And so does what is too short or too long, or no number at all.
		"017000000": "017000000", "01700000011": "01700000011", "+33017000000": "+33017000000",
		"anonymous": "anonymous", "unknown": "unknown", "Anonymous": "Anonymous", "": "", "+": "+", "+0170000001": "+0170000001",
		"restricted": "restricted", "unavailable": "unavailable", "desk": "desk", "*21*0170000001#": "*21*0170000001#",
	} {
		if got := p.e164(written); got != want {
			t.Errorf("%q is %q, want %q", written, got, want)
		}
		if got := p.e164(p.e164(written)); got != want {
			t.Errorf("%q twice is %q", written, got)
		}
	}
}

func TestNumberFormats(t *testing.T) {
	for _, x := range []struct{ number, e164, national, international string }{
		{"+33170000001", "+33170000001", "0170000001", "0033170000001"},
		{"+441632960001", "+441632960001", "00441632960001", "00441632960001"},
		{"+14155550100", "+14155550100", "0014155550100", "0014155550100"},
	} {
		for f, want := range map[config.NumberFormat]string{config.E164: x.e164, config.National: x.national, config.International00: x.international} {
			got := x.number
			if spell := spelling(f); spell != nil {
				got = spell(x.number)
			}
			if got != want {
				t.Errorf("%s in %s is %s, want %s", x.number, f, got, want)
			}
			if back := routed(t).e164(got); back != x.number {
				t.Errorf("%s in %s is read as %s", x.number, f, back)
			}
		}
	}
}

func TestIncompleteNumbers(t *testing.T) {
	p := routed(t)
	for number, want := range map[string]bool{
		"+3317000000": true, "+331700000": true, "+331700": true, "+33170": false, "+33": false,
		"+33170000001": false, "+331700000011": false, "+33170000009": false, "anonymous": false, "017": false,
		"017000000": true, "003317000000": true, "0170": false, "0140": false,
	} {
		if p.incomplete(number) != want {
			t.Errorf("%s incomplete: %v", number, !want)
		}
	}
}

// Trunks that are down are left for the end, in the order of the route.
func TestTrunksThatAreUpComeFirst(t *testing.T) {
	for down, want := range map[string]string{
		"": "a b c", "a": "b c a", "a b": "c a b", "b": "a c b", "a b c": "a b c",
	} {
		route := []string{"a", "b", "c"}
		w := way{trunks: route}
		w.prefer(func(trunk string) bool { return !strings.Contains(down, trunk) })
		if got := strings.Join(w.trunks, " "); got != want {
			t.Errorf("%q down: %s, want %s", down, got, want)
		}
		if fmt.Sprint(route) != "[a b c]" {
			t.Fatal("the configuration was changed")
		}
	}
}
