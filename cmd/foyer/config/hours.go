package config

import "time"

// Calendar is when a queue is open, in site.timezone.
type Calendar struct {
	ID         string      `yaml:"id" need:"yes"`
	Weekly     Week        `yaml:"weekly" need:"yes"`
	Holidays   Holidays    `yaml:"holidays"`
	Exceptions []Exception `yaml:"exceptions"`
}

// Week is the opening hours by time.Weekday, each in order and not overlapping.
type Week [7][]Span

// Span is a stretch of a day, as time since midnight on the wall clock: From
// is in it, To is not. To is at most 24 h.
type Span struct{ From, To time.Duration }

// Holidays closes the calendar on a country's public holidays.
type Holidays struct {
	Country string `yaml:"country" enum:"FR"` // none: holidays are days like others
	Region  string `yaml:"region" enum:"metropole alsace-moselle"`
}

// Exception replaces the hours of one day, holiday or not. No hours: closed.
type Exception struct {
	Date  Date   `yaml:"date" need:"yes"`
	Hours []Span `yaml:"hours"`
}

// Date is a day, in site.timezone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}
