package ledger

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Instant is a point in time, in milliseconds since 1970 UTC. Zero is "never". Its
// JSON is RFC 3339 in UTC with milliseconds, so that texts sort like times.
type Instant int64

const instantLayout = "2006-01-02T15:04:05.000Z"

// At is the Instant of t, the fraction of a millisecond cut off.
func At(t time.Time) Instant {
	if t.IsZero() {
		return 0
	}
	return Instant(t.UnixMilli())
}

// Time is the Instant as a time.Time in UTC; zero for never.
func (i Instant) Time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(i)).UTC()
}

func (i Instant) String() string {
	if i == 0 {
		return ""
	}
	return i.Time().Format(instantLayout)
}

// MarshalJSON writes null for never, so that no reader takes it for 1970.
func (i Instant) MarshalJSON() ([]byte, error) {
	if i == 0 {
		return []byte("null"), nil
	}
	b := make([]byte, 0, len(instantLayout)+2)
	b = append(b, '"')
	b = i.Time().AppendFormat(b, instantLayout)
	return append(b, '"'), nil
}

func (i *Instant) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		*i = 0
		return nil
	}
	text, err := strconv.Unquote(string(b))
	if err != nil {
		return fmt.Errorf("time %s: %w", b, err)
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return fmt.Errorf("time %s: %w", b, err)
	}
	*i = At(t)
	return nil
}

// Millis is a length of time in whole milliseconds. Its JSON is seconds with up
// to three decimals, made and read without floating point, so that sums of what a
// reader sees are the sums we keep.
type Millis int64

// Span is the time from a to b; zero if either is never or b lies before a.
func Span(a, b Instant) Millis {
	if a == 0 || b <= a {
		return 0
	}
	return Millis(b - a)
}

// Length is m as a time.Duration.
func (m Millis) Length() time.Duration { return time.Duration(m) * time.Millisecond }

func (m Millis) append(b []byte) []byte {
	if m < 0 {
		b, m = append(b, '-'), -m
	}
	b = strconv.AppendInt(b, int64(m/1000), 10)
	rest := int(m % 1000)
	if rest == 0 {
		return b
	}
	b = append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	return bytes.TrimRight(b, "0")
}

// String is m in seconds: "12.345", "3".
func (m Millis) String() string { return string(m.append(nil)) }

func (m Millis) MarshalJSON() ([]byte, error) { return m.append(make([]byte, 0, 16)), nil }

func (m *Millis) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return fmt.Errorf("seconds %s: %w", b, err)
	}
	*m = Millis(math.Round(f * 1e3))
	return nil
}
