package acd

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Calendar is when a queue is open: an exception for the day if there is one,
// else closed on a public holiday, else the hours of its weekday. All on the
// wall clock of one time zone, so that nine o'clock stays nine o'clock when
// summer time begins. The zero Calendar is never open.
type Calendar struct {
	Weekly     [7][]Span   `json:"weekly"` // by time.Weekday
	Holidays   Holidays    `json:"holidays,omitzero"`
	Exceptions []Exception `json:"exceptions,omitempty"` // the first for a date counts
}

// Span is a stretch of a day, as time since midnight on the wall clock: From is
// in it, To is not. To is at most 24 h.
type Span struct{ From, To time.Duration }

// Exception replaces the hours of one day, be it a holiday or not. No hours: closed.
type Exception struct {
	Date  Date   `json:"date"`
	Hours []Span `json:"hours,omitempty"`
}

// Date is a day of the calendar, in no particular zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf is the day of t in t's zone.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date{y, m, d}
}

// plus is the day n days later.
func (d Date) plus(n int) Date {
	return DateOf(time.Date(d.Year, d.Month, d.Day+n, 0, 0, 0, 0, time.UTC))
}

// Open says whether the calendar is open at t, in t's zone.
func (c *Calendar) Open(t time.Time) bool {
	h, m, s := t.Clock()
	clock := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
	for _, span := range c.hours(t) {
		if clock >= span.From && clock < span.To {
			return true
		}
	}
	return false
}

func (c *Calendar) hours(t time.Time) []Span {
	day := DateOf(t)
	for _, x := range c.Exceptions {
		if x.Date == day {
			return x.Hours
		}
	}
	if c.Holidays.On(day) {
		return nil
	}
	return c.Weekly[t.Weekday()]
}

// String is the day as 2026-12-24.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// MarshalText writes the day as 2026-12-24.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a day that exists, such as 2026-12-24.
func (d *Date) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.DateOnly, string(text))
	if err != nil {
		return fmt.Errorf("date %q: must be a day such as 2026-12-24", text)
	}
	*d = DateOf(t)
	return nil
}

// String is the span as 08:00-19:00.
func (s Span) String() string { return clockText(s.From) + "-" + clockText(s.To) }

func clockText(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Hours()), int(d.Minutes())%60)
}

// MarshalText writes the span as 08:00-19:00.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads hours of one day, such as 08:00-19:00, up to 24:00.
func (s *Span) UnmarshalText(text []byte) error {
	from, to, _ := strings.Cut(string(text), "-")
	a, okA := readClock(from)
	b, okB := readClock(to)
	if !okA || !okB || a >= b {
		return fmt.Errorf("hours %q: must be a stretch of a day such as 08:00-19:00", text)
	}
	*s = Span{a, b}
	return nil
}

func readClock(text string) (time.Duration, bool) {
	if len(text) != len("15:04") || text[2] != ':' {
		return 0, false
	}
	h, errH := strconv.ParseUint(text[:2], 10, 8)
	m, errM := strconv.ParseUint(text[3:], 10, 8)
	if errH != nil || errM != nil || m > 59 || h > 24 || h == 24 && m > 0 {
		return 0, false
	}
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute, true
}
