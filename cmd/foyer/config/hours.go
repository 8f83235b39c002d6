package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

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

// String is the span as it is written in a configuration.
func (s Span) String() string {
	clock := func(d time.Duration) string {
		return fmt.Sprintf("%02d:%02d", int(d.Hours()), int(d.Minutes())%60)
	}
	return clock(s.From) + "-" + clock(s.To)
}

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

// String is the day as it is written in a configuration.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

func setDate(into *Date, text string) error {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return fmt.Errorf("must be a day such as 2026-12-24, not %q", text)
	}
	into.Year, into.Month, into.Day = t.Date()
	return nil
}

// setSpan reads "08:00-19:00".
func setSpan(into *Span, text string) error {
	from, to, _ := strings.Cut(text, "-")
	a, okA := clock(from)
	b, okB := clock(to)
	switch {
	case !okA || !okB:
		return fmt.Errorf("must be hours such as 08:00-19:00, not %q", text)
	case a >= b:
		return fmt.Errorf("%s ends before it begins; hours past midnight are two spans, one on each day", text)
	}
	*into = Span{a, b}
	return nil
}

// clock reads HH:MM, 00:00 to 24:00, as time since midnight.
func clock(text string) (time.Duration, bool) {
	if len(text) != len("15:04") || text[2] != ':' {
		return 0, false
	}
	hours, errH := strconv.ParseUint(text[:2], 10, 8)
	minutes, errM := strconv.ParseUint(text[3:], 10, 8)
	if errH != nil || errM != nil || minutes > 59 || hours > 24 || hours == 24 && minutes > 0 {
		return 0, false
	}
	return time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute, true
}

// week reads hours by day or range of days: {mon-fri: ["08:00-19:00"], sat: [...]}.
func (r *reader) week(into *Week, v value) {
	m := r.mapping(v)
	if m == nil {
		return
	}
	for _, k := range m.keys {
		days, ok := weekdays(k.name)
		if !ok {
			r.errorf(k.at, "unknown day %q%s; days are mon, tue, wed, thu, fri, sat, sun or a range such as mon-fri", k.name, in(m.path))
			continue
		}
		var spans []Span
		r.field(reflect.ValueOf(&spans).Elem(), field{}, []key{k})
		if !inOrder(spans) {
			r.errorf(r.place(k.value), "%s must be in order and not overlap", k.value.path)
		}
		for _, d := range days {
			if into[d] != nil {
				r.errorf(k.at, "%s already has its hours in %s", dayNames[d], m.path)
				break
			}
			into[d] = spans
		}
	}
}

var dayNames = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// weekdays is the days of "sat" or "mon-fri"; a range may run over the weekend.
func weekdays(text string) ([]time.Weekday, bool) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	first, last := slices.Index(dayNames[:], from), slices.Index(dayNames[:], to)
	if first < 0 || last < 0 {
		return nil, false
	}
	days := []time.Weekday{time.Weekday(first)}
	for d := first; d != last; {
		d = (d + 1) % 7
		days = append(days, time.Weekday(d))
	}
	return days, true
}

func inOrder(spans []Span) bool {
	for i := 1; i < len(spans); i++ {
		if spans[i].From < spans[i-1].To {
			return false
		}
	}
	return true
}
