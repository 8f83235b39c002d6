package acd

import "time"

// Holidays are the public holidays of a country. Those known are of France, by
// article L3133-1 of the Code du travail; in Alsace and Moselle two more, by
// article L3134-13. The zero value knows none.
type Holidays struct {
	Country string `json:"country,omitempty"` // "FR"
	Region  string `json:"region,omitempty"`  // "metropole" (as "") or "alsace-moselle"
}

// On says whether d is a public holiday.
func (h Holidays) On(d Date) bool {
	if h.Country != "FR" {
		return false
	}
	local := h.Region == "alsace-moselle"
	switch (Date{Month: d.Month, Day: d.Day}) {
	case Date{Month: time.January, Day: 1},
		Date{Month: time.May, Day: 1},
		Date{Month: time.May, Day: 8},
		Date{Month: time.July, Day: 14},
		Date{Month: time.August, Day: 15},
		Date{Month: time.November, Day: 1},
		Date{Month: time.November, Day: 11},
		Date{Month: time.December, Day: 25}:
		return true
	case Date{Month: time.December, Day: 26}:
		return local
	}
	easter := Easter(d.Year)
	switch d {
	case easter.plus(-2): // Good Friday
		return local
	case easter.plus(1), easter.plus(39), easter.plus(50): // Easter Monday, Ascension, Whit Monday
		return true
	}
	return false
}

// Easter is Easter Sunday of a year of the Gregorian calendar: the Sunday after
// the first full moon, as the church computes it, on or after 21 March.
func Easter(year int) Date {
	golden := year%19 + 1 // the year's place in the moon's cycle of 19 years
	century := year/100 + 1
	noLeap := 3*century/4 - 12       // leap years that the Gregorian calendar left out
	moon := (8*century+5)/25 - 5     // correction of the moon's cycle
	sunday := 5*year/4 - noLeap - 10 // with it, 7 - sunday%7 is a Sunday of March
	epact := (11*golden + 20 + moon - noLeap) % 30
	if epact < 0 {
		epact += 30
	}
	if epact == 24 || epact == 25 && golden > 11 {
		epact++
	}
	full := 44 - epact // full moon, as a day of March
	if full < 21 {
		full += 30
	}
	return Date{year, time.March, 1}.plus(full + 7 - (sunday+full)%7 - 1)
}
